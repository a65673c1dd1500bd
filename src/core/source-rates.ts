// How often each address may ask: a bucket for every one that was seen lately. Bounded: of too many, the one unseen for longest is
// forgotten, and begins with a full bucket.

import type { EpochMs } from './ids.ts'
import { sourceKey } from './source.ts'
import { fullBucket, takeToken, type Bucket, type BucketRate } from './token-bucket.ts'

/** Takes a token of this address and says whether there was one. An IPv6 network of 64 bits is one address. */
export type SourceRates = (address: string, now: EpochMs) => boolean

export function openSourceRates(rate: BucketRate, sourcesMax: number): SourceRates {
  // Maps keep insertion order: the first key is the one unseen for longest, because every use re-inserts.
  const buckets = new Map<string, Bucket>()
  return (address, now) => {
    const key = sourceKey(address)
    const bucket = buckets.get(key) ?? fullBucket(rate, now)
    buckets.delete(key)
    buckets.set(key, bucket)
    const oldest = buckets.size > sourcesMax ? buckets.keys().next() : undefined
    if (oldest?.done === false) buckets.delete(oldest.value)
    return takeToken(bucket, rate, now)
  }
}
