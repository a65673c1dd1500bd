// A token bucket as a value: what is left and when that was known. It reads no clock; whoever asks says what time it is.

import type { EpochMs } from './ids.ts'

export interface Bucket {
  tokens: number
  at: EpochMs
}

export interface BucketRate {
  readonly perSecond: number
  readonly burst: number
}

/** A full bucket. */
export function fullBucket(rate: BucketRate, now: EpochMs): Bucket {
  return { tokens: rate.burst, at: now }
}

/** Is there a token? Time that runs backwards refills nothing. */
export function hasToken(bucket: Bucket, rate: BucketRate, now: EpochMs): boolean {
  const elapsed = now - bucket.at
  if (elapsed > 0) bucket.tokens = Math.min(rate.burst, bucket.tokens + (elapsed / 1_000) * rate.perSecond)
  bucket.at = now
  return bucket.tokens >= 1
}

/** Takes one token and says whether there was one. */
export function takeToken(bucket: Bucket, rate: BucketRate, now: EpochMs): boolean {
  if (!hasToken(bucket, rate, now)) return false
  bucket.tokens -= 1
  return true
}
