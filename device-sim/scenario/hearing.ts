// What one receiver has heard of one stream: which numbers came, which came twice or late, and which are missing.

import { SCENARIO_LIMITS } from '../scenario-limits.ts'

/** As it is sent between threads. */
export interface Heard {
  /** One more than the highest number that came. */
  readonly next: number
  readonly missing: readonly number[]
  readonly received: number
  readonly duplicates: number
  readonly misordered: number
}

export interface Hearing {
  /** `isAgain`: a redelivery that says so is no repetition [MQTT-3.3.1-1]. */
  hear(sequence: number, isAgain: boolean): void
  heard(): Heard
}

export function openHearing(): Hearing {
  const missing = new Set<number>()
  let [next, received, duplicates, misordered] = [0, 0, 0, 0]
  return {
    hear(sequence, isAgain) {
      if (sequence >= next) {
        // A gap is kept number by number, so that what comes late is told from what comes twice; beyond the bound it is only lost.
        for (let gap = next; gap < sequence && missing.size < SCENARIO_LIMITS.missingKeptMax; gap++) missing.add(gap)
        next = sequence + 1
        received += 1
      } else if (missing.delete(sequence)) {
        received += 1
        misordered += 1
      } else if (!isAgain) duplicates += 1
    },
    heard: () => ({ next, missing: [...missing], received, duplicates, misordered }),
  }
}

/** Numbers below `sent` that never came, without those that nobody has to deliver. */
export function lostOf(heard: Heard | undefined, sent: number, notDue: ReadonlySet<number>): number {
  const came = heard?.next ?? 0
  const gaps = (heard?.missing ?? []).filter((sequence) => sequence < sent && !notDue.has(sequence)).length
  let tail = 0
  for (let sequence = came; sequence < sent; sequence++) if (!notDue.has(sequence)) tail += 1
  return gaps + tail
}
