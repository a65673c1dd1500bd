// Readers that take nothing: found by looking, once in a while, at what each output has taken since the last look. A peer that
// keeps its connection alive and reads nothing would otherwise hold what waits for it for ever.

import { BROKER_LIMITS } from '../../limits.ts'
import type { EpochMs } from '../../core/ids.ts'
import type { Link } from './link.ts'

export interface Stalls {
  /** Returns how many bytes wait for all of them together. */
  sweep(links: Iterable<Link>, now: EpochMs): number
}

export function openStalls(onStalled: (link: Link) => void): Stalls {
  return {
    sweep(links, now) {
      let all = 0
      for (const link of links) {
        const { output, stalled } = link
        const { waiting } = output
        all += waiting
        if (waiting === 0) link.stalled = undefined
        else if (stalled === undefined || stalled.taken !== output.taken) link.stalled = { taken: output.taken, since: now }
        else if (now - stalled.since > BROKER_LIMITS.stalledMs) onStalled(link)
      }
      return all
    },
  }
}
