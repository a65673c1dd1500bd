// The very first judgement: may this address open one more connection? It runs before a byte of TLS is spent on anybody.
// It owns the buckets and the counts of unfinished handshakes, both bounded; it knows nothing of certificates.

import { BROKER_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import { sourceKey } from '../core/source.ts'
import { openSourceRates } from '../core/source-rates.ts'
import type { BucketRate } from '../core/token-bucket.ts'
import type { EpochMs } from '../core/ids.ts'

export interface SourceGate {
  /** Takes a token of this address and a place among the unfinished handshakes: give the place back with `finished`. */
  enter(address: string, now: EpochMs): Decision<void>
  /** The handshake and CONNECT of one connection that entered are over, in whatever way. */
  finished(address: string): void
}

export function openSourceGate(rate: BucketRate): SourceGate {
  const withinRate = openSourceRates(rate, BROKER_LIMITS.sourcesTrackedMax)
  const halfOpen = new Map<string, number>()
  let halfOpenInAll = 0

  return {
    enter(address, now) {
      const key = sourceKey(address)
      if (!withinRate(address, now)) return deny('source-rate')
      const here = halfOpen.get(key) ?? 0
      if (here >= BROKER_LIMITS.halfOpenPerSourceMax || halfOpenInAll >= BROKER_LIMITS.halfOpenMax) {
        return deny('source-busy', here >= BROKER_LIMITS.halfOpenPerSourceMax ? 'from this address' : 'in all')
      }
      halfOpen.set(key, here + 1)
      halfOpenInAll += 1
      return allow(undefined)
    },
    finished(address) {
      const key = sourceKey(address)
      const here = halfOpen.get(key) ?? 0
      if (here === 0) return
      halfOpenInAll -= 1
      if (here === 1) halfOpen.delete(key)
      else halfOpen.set(key, here - 1)
    },
  }
}
