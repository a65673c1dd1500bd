// The very first judgement: may this address open one more connection? It runs before a byte of TLS is spent on anybody.
// It owns the buckets and the counts of unfinished handshakes, both bounded; it knows nothing of certificates.

import { BROKER_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import { fullBucket, takeToken, type Bucket, type BucketRate } from '../core/token-bucket.ts'
import type { EpochMs } from '../core/ids.ts'

export interface SourceGate {
  /** Takes a token of this address and a place among the unfinished handshakes: give the place back with `finished`. */
  enter(address: string, now: EpochMs): Decision<void>
  /** The handshake and CONNECT of one connection that entered are over, in whatever way. */
  finished(address: string): void
}

/** `::ffff:192.0.2.1` and `192.0.2.1` are one address; a dual-stack socket reports the former. */
export function sourceAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}

/**
 * An attacker with a whole IPv6 /64 owns 2^64 addresses; they share one bucket. IPv4 addresses stand for themselves.
 */
export function sourceKey(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::')
  const front = head.split(':').filter((g) => g !== '')
  const back = tail === undefined ? [] : tail.split(':').filter((g) => g !== '')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length)
  return [...front, ...Array<string>(zeros).fill('0'), ...back].slice(0, 4).join(':')
}

export function openSourceGate(rate: BucketRate): SourceGate {
  // Maps keep insertion order: the first key is the one unseen for longest, because every use re-inserts.
  const buckets = new Map<string, Bucket>()
  const halfOpen = new Map<string, number>()
  let halfOpenInAll = 0

  return {
    enter(address, now) {
      const key = sourceKey(address)
      const bucket = buckets.get(key) ?? fullBucket(rate, now)
      buckets.delete(key)
      buckets.set(key, bucket)
      if (buckets.size > BROKER_LIMITS.sourcesTrackedMax) {
        const oldest = buckets.keys().next()
        if (oldest.done !== true) buckets.delete(oldest.value)
      }
      if (!takeToken(bucket, rate, now)) return deny('source-rate')
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
