// Readers that take nothing: found by looking, once in a while, at what each output has taken since the last look. A peer that
// keeps its connection alive and reads nothing would otherwise hold what waits for it for ever.

import { BROKER_LIMITS } from '../../limits.ts'
import type { EpochMs } from '../../core/ids.ts'
import type { Link } from './link.ts'
import type { Looker } from './walk.ts'

export interface StallsPorts {
  readonly clock: () => EpochMs
  readonly onStalled: (link: Link) => void
  /** How many bytes wait for all of them together. */
  readonly weigh: (waiting: number) => void
}

export function openStalls({ clock, onStalled, weigh }: StallsPorts): Looker {
  let [now, all] = [clock(), 0]
  return {
    begin() {
      now = clock()
      all = 0
    },
    look(link) {
      const { output, stalled } = link
      const { waiting } = output
      all += waiting
      if (waiting === 0) link.stalled = undefined
      else if (stalled === undefined || stalled.taken !== output.taken) link.stalled = { taken: output.taken, since: now }
      else if (now - stalled.since > BROKER_LIMITS.stalledMs) onStalled(link)
    },
    end() {
      weigh(all)
      return []
    },
  }
}
