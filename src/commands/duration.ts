// Durations on the command line: 90s, 15m, 24h, 30d.

import { SallyportError } from '../core/errors.ts'
import { printable } from '../core/ids.ts'

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const isUnit = (text: string): text is keyof typeof UNIT_MS => Object.hasOwn(UNIT_MS, text)

/** In milliseconds. Failure: 'usage', which names the option. */
export function readDuration(option: string, text: string, maxMs: number): number {
  const [, count = '', unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const ms = isUnit(unit) ? Number(count) * UNIT_MS[unit] : 0
  if (ms < 1 || ms > maxMs) throw new SallyportError('usage', `${option} takes a duration of at most ${Math.floor(maxMs / UNIT_MS.d)}d, not ${printable(text)}.`, { fix: 'Write 90s, 15m, 24h or 30d.' })
  return ms
}
