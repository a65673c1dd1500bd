// Chance that can be had again: numbers from a seed. Not for secrets.

export interface Chance {
  /** A whole number from 0 to below `end`. */
  below(end: number): number
  /** True one time in `n`. */
  oneIn(n: number): boolean
}

/** mulberry32. */
export function openChance(seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
  return { below: (end) => Math.floor(next() * end), oneIn: (n) => next() < 1 / n }
}

/** What a run may be told: TEST_FAULTS_<NAME>, a whole number, or the default. */
export function setting(name: 'TIMES' | 'SEED' | 'PAGES' | 'SUBSCRIBERS' | 'POINTS', otherwise: number): number {
  const text = process.env[`TEST_FAULTS_${name}`]
  if (text === undefined || text === '') return otherwise
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new Error(`TEST_FAULTS_${name} is ${JSON.stringify(text)}, not a whole number`)
  return value
}
