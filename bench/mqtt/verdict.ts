// What may be said about two brokers: percentiles of latencies, ratios round by round, and the refusal to state a ratio
// where it was the generator that was measured. Numbers in, words or numbers out.

import { spread, type Spread } from '../process-cpu.ts'

/** How much of a phase's wall time a program wanted the CPU: it ran, or was ready to and waited for its core. 1 is a whole core. */
export interface Wanted {
  readonly broker: number
  readonly generator: number
}

/** One measurement of one broker in one round. */
export interface Measured {
  readonly value: number
  readonly wanted: Wanted
}

export type Ratio = { readonly stated: true; readonly spread: Spread } | { readonly stated: false; readonly why: string }

/** A generator that wants nearly its whole core, while the broker has some of its own to spare, sets the pace. */
const GENERATOR_BUSY = 0.9
const BROKER_BUSY = 0.95
/** At a set rate a generator that wants more than this adds its own queue to the latencies. */
const GENERATOR_CALM = 0.7

/** Why a measurement says nothing about the broker. */
export interface Objection {
  readonly why: string
  holds(wanted: Wanted): boolean
}

/** At saturation: it was the generator that could not do more. */
export const GENERATOR_BOUND: Objection = {
  why: 'the generator was the bottleneck',
  holds: ({ broker, generator }) => generator >= GENERATOR_BUSY && broker < BROKER_BUSY,
}

/** At a set rate: the generator had no time to be punctual, for its own work or because its core was somebody else's, too. */
export const GENERATOR_LATE: Objection = {
  why: 'the generator was late',
  holds: ({ generator }) => generator > GENERATOR_CALM,
}

/** Punctual to a millisecond is not punctual enough for latencies that are shorter. */
export const TIMER_COARSE: Objection = { why: 'the timer was too coarse', holds: () => true }

/**
 * Round by round, because what slows the machine down for a while slows both brokers down. One round in which either side
 * was not measured, or in which the generator was the bottleneck, is one too many.
 */
export function ratioOf(over: readonly Measured[], under: readonly Measured[], objection: Objection): Ratio {
  if (over.length === 0 || over.length !== under.length) return { stated: false, why: 'not measured on both sides' }
  const spoilt = [...over, ...under].filter(({ wanted }) => objection.holds(wanted))
  if (spoilt.length > 0) return { stated: false, why: `${objection.why} in ${spoilt.length} of ${over.length + under.length} measurements` }
  const ratios = over.map(({ value }, round) => value / (under[round]?.value ?? Number.NaN))
  return ratios.every(Number.isFinite) ? { stated: true, spread: spread(ratios) } : { stated: false, why: 'nothing was delivered' }
}

export interface Tail {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  readonly count: number
}

/** Of samples in any order. A percentile is a sample: the smallest that at least so many percent do not exceed. */
export function tailOf(samples: Float64Array): Tail {
  const sorted = samples.toSorted()
  // In thousandths: 99.9 of a hundred is not a number that can be multiplied without an error.
  const at = (perMille: number): number => sorted[Math.ceil((perMille * sorted.length) / 1_000) - 1] ?? Number.NaN
  return { p50: at(500), p99: at(990), p999: at(999), max: at(1_000), count: sorted.length }
}
