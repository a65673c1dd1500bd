// Two runs side by side: what became slower, what was lost that was not, which cases no longer pass. It judges
// with the share by which something may become worse.

import { TIMINGS } from '../scenario/scenario.ts'
import type { ReadReport } from './read-report.ts'
import { oneLine, table } from './table.ts'
import type { Paper } from './text.ts'

/** What is compared of a run. */
export type ComparedReport = Pick<ReadReport, 'cases'> & { readonly scenario?: Pick<NonNullable<ReadReport['scenario']>, 'messages' | 'leaks' | 'failures' | 'timings'> | undefined }

export interface Change {
  readonly what: string
  readonly before: string
  readonly after: string
  readonly change: string
  readonly verdict: 'worse' | 'better' | 'same'
}

/** Below this, times differ by chance alone. */
const NOISE_MS = 5

/** `worseBy`: 0.2 lets a time become 20 % longer. Counts may not become worse at all. */
export function compare(before: ComparedReport, after: ComparedReport, worseBy: number): readonly Change[] {
  return [...scenarioChanges(before, after, worseBy), ...caseChanges(before, after)]
}

function scenarioChanges({ scenario: a }: ComparedReport, { scenario: b }: ComparedReport, worseBy: number): readonly Change[] {
  if (a === undefined || b === undefined) return []
  const counts = ([['lost', a.messages.lost, b.messages.lost], ['twice', a.messages.duplicates, b.messages.duplicates], ['out of order', a.messages.misordered, b.messages.misordered], ['leaks', a.leaks.count, b.leaks.count], ['not as expected', a.failures.count, b.failures.count]] as const)
    .map(([what, x, y]): Change => ({ what, before: String(x), after: String(y), change: x === y ? '' : `${y > x ? '+' : ''}${y - x}`, verdict: y > x ? 'worse' : y < x ? 'better' : 'same' }))
  const times = TIMINGS.flatMap((timing) => (['p50Ms', 'p99Ms'] as const).flatMap((percentile): readonly Change[] => {
    const [x, y] = [a.timings[timing]?.[percentile], b.timings[timing]?.[percentile]]
    if (x === undefined && y === undefined) return []
    const ratio = x === undefined || y === undefined || x === 0 ? undefined : y / x - 1
    const small = x !== undefined && y !== undefined && Math.abs(y - x) < NOISE_MS
    const verdict = ratio === undefined ? (y === undefined ? 'worse' : 'same') : small || Math.abs(ratio) <= worseBy ? 'same' : ratio > 0 ? 'worse' : 'better'
    return [{ what: `${timing}.${percentile.slice(0, 3)}`, before: ms(x), after: ms(y), change: ratio === undefined ? '' : `${ratio >= 0 ? '+' : ''}${(ratio * 100).toFixed(0)} %`, verdict }]
  }))
  return [...counts, ...times]
}

const ms = (value: number | undefined): string => (value === undefined ? 'never' : `${value.toFixed(1)} ms`)
const RANK = { 'ok': 0, 'differs': 1, 'not run': 2, 'falls short': 3, 'FAILED': 4 } as const

function caseChanges({ cases: a = [] }: ComparedReport, { cases: b = [] }: ComparedReport): readonly Change[] {
  const after = new Map(b.map((each) => [each.case, each]))
  return a.flatMap((was): readonly Change[] => {
    const is = after.get(was.case)
    const verdict = is?.verdict ?? 'not run'
    if (verdict === was.verdict) return []
    return [{ what: `${was.case} ${was.title}`, before: was.verdict, after: is === undefined ? 'not run' : `${verdict}: ${is.seen}`, change: '', verdict: RANK[verdict] > RANK[was.verdict] ? 'worse' : 'better' }]
  })
}

export function compareText(changes: readonly Change[], paper: Paper): string {
  if (changes.length === 0) return 'Nothing to compare: the two have neither a scenario nor a case in common that came out differently.\n'
  const rows = changes.map(({ what, before, after, change, verdict }) => [oneLine(what), before, oneLine(after), change, verdict === 'same' ? '' : verdict])
  const style = { worse: 'red', better: 'green', same: undefined } as const
  const worse = changes.filter(({ verdict }) => verdict === 'worse').length
  return `${table({ head: ['', 'before', 'after', 'change', ''], rows, columns: paper.columns, paint: (text, row, column) => {
    const colour = row === undefined || column !== 4 ? undefined : style[changes[row]?.verdict ?? 'same']
    return row === undefined ? paper.colour('bold', text) : colour === undefined ? text : paper.colour(colour, text)
  } })}\n${worse === 0 ? 'Nothing became worse.' : `${worse} became worse.`}\n`
}
