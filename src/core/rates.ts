// How often each may ask, whoever they are: a bucket for every key that was seen lately. Bounded: of too many, the one unseen for longest is
// forgotten, and begins with a full bucket.

import type { EpochMs } from './ids.ts'
import { fullBucket, takeToken, type Bucket, type BucketRate } from './token-bucket.ts'

/** Takes a token of this key and says whether there was one. */
export type Rates = (key: string, now: EpochMs) => boolean

export function openRates(rate: BucketRate, keysMax: number): Rates {
  // Maps keep insertion order: the first key is the one unseen for longest, because every use re-inserts.
  const buckets = new Map<string, Bucket>()
  return (key, now) => {
    const bucket = buckets.get(key) ?? fullBucket(rate, now)
    buckets.delete(key)
    buckets.set(key, bucket)
    const oldest = buckets.size > keysMax ? buckets.keys().next() : undefined
    if (oldest?.done === false) buckets.delete(oldest.value)
    return takeToken(bucket, rate, now)
  }
}
