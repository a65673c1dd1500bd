// The last day, in buckets: how many connected, and who was refused why. A fixed number of buckets, each with a count for each reason
// that there was, whatever happens.

import type { DenyReason } from '../vocabulary.ts'
import { FEED_LIMITS } from '../feed-limits.ts'
import type { StripBucket } from '../core/feed-desk.ts'
import type { EpochMs } from '../core/ids.ts'

export interface DayStrip {
  connected(at: EpochMs): void
  refused(at: EpochMs, reason: DenyReason, count: number): void
  /** All of the day before `now`, oldest first; those in which nothing happened, too. */
  buckets(now: EpochMs): readonly StripBucket[]
  /** Refusals from `since` on, by reason, to the minute. */
  refusedSince(since: EpochMs, now: EpochMs): ReadonlyMap<DenyReason, number>
}

interface Minute {
  connections: number
  readonly refusals: Map<DenyReason, number>
}

const MINUTE_MS = 60_000

export function openDayStrip(): DayStrip {
  const minutes = new Map<number, Minute>()

  function minuteOf(at: EpochMs): Minute {
    const number = Math.floor(at / MINUTE_MS)
    const known = minutes.get(number)
    if (known !== undefined) return known
    // By the distance to now, and not by age: after a clock that was wrong for a while the strip is right again.
    if (minutes.size >= 2 * MINUTES_KEPT) for (const other of minutes.keys()) if (Math.abs(other - number) >= MINUTES_KEPT) minutes.delete(other)
    const fresh: Minute = { connections: 0, refusals: new Map() }
    minutes.set(number, fresh)
    return fresh
  }

  return {
    connected(at) {
      minuteOf(at).connections += 1
    },
    refused(at, reason, count) {
      const { refusals } = minuteOf(at)
      refusals.set(reason, (refusals.get(reason) ?? 0) + count)
    },
    buckets(now) {
      const { stripMs, stripBucketMs } = FEED_LIMITS
      const first = Math.floor(now / stripBucketMs) * stripBucketMs - stripMs + stripBucketMs
      return Array.from({ length: stripMs / stripBucketMs }, (_, index) => bucketOf(minutes, first + index * stripBucketMs))
    },
    refusedSince(since, now) {
      const total = new Map<DenyReason, number>()
      for (const [number, { refusals }] of minutes) {
        if (number < Math.floor(since / MINUTE_MS) || number > Math.floor(now / MINUTE_MS)) continue
        for (const [reason, count] of refusals) total.set(reason, (total.get(reason) ?? 0) + count)
      }
      return total
    },
  }
}

const MINUTES_KEPT = FEED_LIMITS.stripMs / MINUTE_MS + 1

function bucketOf(minutes: ReadonlyMap<number, Minute>, at: EpochMs): StripBucket {
  let connections = 0
  const refusals: Partial<Record<DenyReason, number>> = {}
  for (let number = at / MINUTE_MS; number < (at + FEED_LIMITS.stripBucketMs) / MINUTE_MS; number++) {
    const minute = minutes.get(number)
    connections += minute?.connections ?? 0
    for (const [reason, count] of minute?.refusals ?? []) refusals[reason] = (refusals[reason] ?? 0) + count
  }
  return { at, connections, refusals }
}
