// What the parts of npm run bench:api have in common: their flags, and how they say figures.

import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { spread } from '../process-cpu.ts'

const POLL_MS = 10
const PATIENCE_MS = 60_000

export interface PartFlags {
  readonly quick: boolean
  /** A folder in which the home stays, to be used again. */
  readonly kept?: string | undefined
  readonly rounds?: string | undefined
  readonly seconds?: string | undefined
  /** Of whatever the part offers, a second. */
  readonly rate?: string | undefined
  readonly profile?: string | undefined
  /** Devices that are connected. */
  readonly connected?: string | undefined
}

export function partFlags(): PartFlags {
  return parseArgs({ options: { quick: { type: 'boolean', default: false }, kept: { type: 'string' }, rounds: { type: 'string' }, seconds: { type: 'string' }, rate: { type: 'string' }, profile: { type: 'string' }, connected: { type: 'string' } } }).values
}

/** Minimum / median / maximum. */
export function three(samples: readonly number[], digits: number): string {
  const { min, median, max } = spread(samples)
  return [min, median, max].map((n) => n.toFixed(digits)).join(' / ')
}

export async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await delay(POLL_MS)) {
    const found = look()
    if (found !== undefined) return found
  }
  throw new Error(`no ${what} in ${PATIENCE_MS} ms`)
}
