// What is far more than usual, second by second, as the broker looks.

import { describe, expect, test } from 'vitest'
import { DEFAULT_RULES } from '../../../src/core/detection/rules.ts'
import { isOutlier, newUsual } from '../../../src/core/detection/usual.ts'

const SECOND = 1_000
const HOUR = 3_600
const { perSecond, times } = DEFAULT_RULES.outlier

/** Watches a device for so many seconds; says how many of them were outliers. */
function watch(usual: ReturnType<typeof newUsual>, seconds: number, perSecondSent: number): number {
  let outliers = 0
  for (let i = 0; i < seconds; i++) if (isOutlier(usual, perSecondSent, usual.at + SECOND, DEFAULT_RULES)) outliers += 1
  return outliers
}

describe('a device', () => {
  test('that was not watched for an hour is no outlier, whatever it sends; a moment later it is', () => {
    const usual = newUsual(0)
    expect(watch(usual, HOUR - 60, 0)).toBe(0)
    expect(watch(usual, 59, 10_000)).toBe(0)
    const quiet = newUsual(0)
    watch(quiet, HOUR, 1)
    expect(watch(quiet, 1, 10_000)).toBe(1)
  })

  test('that sends twenty times what is usual, and at least a hundred, is one; with one message less it is not', () => {
    const busy = newUsual(0)
    watch(busy, 3 * HOUR, 50)
    const factor = times * busy.perSecond
    expect(isOutlier({ ...busy }, Math.ceil(factor), busy.at + SECOND, DEFAULT_RULES)).toBe(true)
    expect(isOutlier({ ...busy }, Math.floor(factor - 1), busy.at + SECOND, DEFAULT_RULES)).toBe(false)
    const quiet = newUsual(0)
    watch(quiet, 2 * HOUR, 0)
    expect(isOutlier({ ...quiet }, perSecond, quiet.at + SECOND, DEFAULT_RULES)).toBe(true)
    expect(isOutlier({ ...quiet }, perSecond - 1, quiet.at + SECOND, DEFAULT_RULES)).toBe(false)
  })

  test('that always sent much may go on', () => {
    expect(watch(newUsual(0), 5 * HOUR, 2_000)).toBe(0)
  })

  test('whose flood lasts for minutes is an outlier for all of them; what it sends for a day is usual in the end', () => {
    const usual = newUsual(0)
    watch(usual, 2 * HOUR, 1)
    expect(watch(usual, 600, 500)).toBe(600)
    watch(usual, 24 * HOUR, 500)
    expect(watch(usual, 600, 500)).toBe(0)
  })

  test('that sends less in the second that is judged is never more of an outlier', () => {
    const usual = newUsual(0)
    watch(usual, 2 * HOUR, 3)
    const judged = Array.from({ length: 400 }, (_, messages) => isOutlier({ ...usual }, messages, usual.at + SECOND, DEFAULT_RULES))
    expect(judged.indexOf(true)).toBeGreaterThan(0)
    expect(judged.slice(judged.indexOf(true)).every(Boolean)).toBe(true)
  })

  test('is judged by the time that has passed: what comes late is no flood, and no time at all is no judgement', () => {
    const usual = newUsual(0)
    watch(usual, 2 * HOUR, 1)
    expect(isOutlier({ ...usual }, 1_000, usual.at + 60 * SECOND, DEFAULT_RULES)).toBe(false)
    expect(isOutlier({ ...usual }, 1_000, usual.at + SECOND, DEFAULT_RULES)).toBe(true)
    expect(isOutlier(usual, 1_000_000, usual.at, DEFAULT_RULES)).toBe(false)
  })
})
