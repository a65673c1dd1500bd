// How often each address may ask.

import type { EpochMs } from './ids.ts'
import { openRates } from './rates.ts'
import { sourceKey } from './source.ts'
import type { BucketRate } from './token-bucket.ts'

/** Takes a token of this address and says whether there was one. An IPv6 network of 64 bits is one address. */
export type SourceRates = (address: string, now: EpochMs) => boolean

export function openSourceRates(rate: BucketRate, sourcesMax: number): SourceRates {
  const within = openRates(rate, sourcesMax)
  return (address, now) => within(sourceKey(address), now)
}
