// How much a device usually sends, and whether it sends far more than that now. Learned of the device alone: what others of its
// group do says nothing about it. It counts nothing and knows no rungs.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import type { DetectionRules } from './rules.ts'

/** What a device was seen to send. */
export interface Usual {
  readonly since: number
  at: number
  /** Messages per second, averaged over `usualMs`. */
  perSecond: number
}

export function newUsual(at: number): Usual {
  return { since: at, at, perSecond: 0 }
}

/**
 * Takes note of the messages since the last look, and says whether that was far more than usual. Who was not watched for long is
 * never an outlier: nothing is known of it. An outlier teaches little, so that a flood does not become usual within minutes, and
 * something, so that a device with more to say from now on becomes usual within hours.
 */
export function isOutlier(usual: Usual, messages: number, at: number, { outlier: { perSecond, times } }: DetectionRules): boolean {
  const { usualMs } = DETECTION_LIMITS
  const passed = at - usual.at
  if (passed <= 0) return false
  usual.at = at
  const rate = (messages * 1_000) / passed
  const outlier = at - usual.since >= usualMs && rate >= Math.max(perSecond, times * usual.perSecond)
  const learned = outlier ? 2 * Math.max(usual.perSecond, perSecond / times) : rate
  usual.perSecond += (learned - usual.perSecond) * Math.min(1, passed / Math.min(usualMs, at - usual.since))
  return outlier
}
