// The two sides of a comparison and the table that shows them. It adds nothing up but minimum, median and maximum.

import { spread, type Spread } from '../process-cpu.ts'
import { ratioOf, type Measured, type Objection, type Ratio, type Wanted } from './verdict.ts'

/** What was measured, by side and round. A side that is absent has no rounds. */
export type Sides<T> = Readonly<Record<'sallyport' | 'mosquitto', readonly T[]>>

/** Measures both in every round; each of them is first in every other. */
export async function interleaved<T>(rounds: number, ours: (round: number) => Promise<T>, theirs: ((round: number) => Promise<T>) | undefined): Promise<Sides<T>> {
  const sides = { sallyport: [] as T[], mosquitto: [] as T[] }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['sallyport', 'mosquitto'] as const) : (['mosquitto', 'sallyport'] as const)
    for (const side of order) {
      const measure = side === 'sallyport' ? ours : theirs
      if (measure !== undefined) sides[side].push(await measure(round))
    }
  }
  return sides
}

/** One side over the other, figure by figure. */
export function ratioBetween<T>(over: readonly T[], under: readonly T[], value: (m: T) => number, wanted: (m: T) => Wanted, objection: Objection): Ratio {
  const measured = (side: readonly T[]): Measured[] => side.map((m) => ({ value: value(m), wanted: wanted(m) }))
  return ratioOf(measured(over), measured(under), objection)
}

interface Row<T> {
  readonly what: string
  readonly value: (measured: T) => number
  readonly digits: number
  readonly unit: string
}

export interface Table {
  /** Header and lines, cell by cell. */
  readonly rows: readonly (readonly string[])[]
  add<T>(sides: Sides<T>, row: Row<T>, ratio?: Ratio, goal?: string): void
  addText(...cells: readonly string[]): void
  text(): string
}

export function openTable(): Table {
  const rows: (readonly string[])[] = [['', 'Sallyport', 'mosquitto', 'ratio', 'wanted']]
  const three = ({ min, median, max }: Spread, digits: number): string => [min, median, max].map((n) => n.toFixed(digits)).join(' / ')
  const shown = (ratio: Ratio): string => (ratio.stated ? `${three(ratio.spread, 2)} ×` : `none: ${ratio.why}`)
  return {
    rows,
    add(sides, { what, value, digits, unit }, ratio, goal = '') {
      const of = (side: (typeof sides)['sallyport']): string => (side.length === 0 ? 'absent' : `${three(spread(side.map(value)), digits)} ${unit}`.trimEnd())
      rows.push([what, of(sides.sallyport), of(sides.mosquitto), ratio === undefined ? '' : shown(ratio), goal])
    },
    addText: (...cells) => void rows.push(cells),
    text() {
      const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
      return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ').trimEnd()).join('\n')
    },
  }
}
