// What a run prints at its end: the table of the cases, the sums of the fleet. It judges nothing; what it is
// given has been judged.

import { styleText } from 'node:util'
import type { CaseResult } from '../attacks/run.ts'
import type { FleetResult } from '../fleet.ts'
import { SIM_LIMITS } from '../limits.ts'
import { oneLine, table } from './table.ts'

/** Where the text goes: how wide a line may be, and whether it may have colours. */
export interface Paper {
  readonly columns: number
  colour(style: 'green' | 'red' | 'yellow' | 'bold', text: string): string
}

/** Colours only on a terminal, and not where NO_COLOR is set; the width is that of the terminal. */
export function paperOf(stream: NodeJS.WriteStream): Paper {
  return {
    columns: stream.isTTY ? stream.columns : SIM_LIMITS.tableColumns,
    colour: (style, text) => styleText(style, text, { stream }),
  }
}

export const VERDICT_STYLE = { ok: 'green', differs: 'green', 'falls short': 'red', FAILED: 'red', 'not run': 'yellow' } as const satisfies Record<CaseResult['verdict'], string>

/** `planned`: how many were to be run. `audit`: an audit log was read. */
export function casesText(results: readonly CaseResult[], planned: number, paper: Paper, audit = true): string {
  const rows = results.map((result) => [
    `${result.case} ${result.title}`, result.expected, result.verdict === 'not run' ? result.notes.join('; ') : result.seen, ...(audit ? [result.reasons.join(', ')] : []), result.verdict,
  ])
  const head = ['case', 'expected', 'seen', ...(audit ? ['reason in the audit log'] : []), 'verdict']
  const paint = (text: string, row: number | undefined, column: number): string => {
    if (row === undefined) return paper.colour('bold', text)
    const result = results[row]
    return result !== undefined && column === head.length - 1 ? paper.colour(VERDICT_STYLE[result.verdict], text) : text
  }
  return `${table({ head, rows, columns: paper.columns, paint })}${notesText(results, paper)}\n${countsText(results, planned)}\n`
}

/** In full what the table had no room for: every failure, and what was left out of a case or of the run. */
export function notesText(results: readonly CaseResult[], paper: Paper): string {
  const noted = results.filter((result) => result.verdict !== 'ok' || result.notes.length > 0)
  return noted
    .map((result) => {
      const seen = result.verdict === 'FAILED' || result.verdict === 'falls short' ? [`expected: ${result.expected}`, `seen: ${result.seen}`] : []
      return `\n${result.case} ${paper.colour(VERDICT_STYLE[result.verdict], result.verdict)}\n${[...seen, ...result.notes].map((note) => `  ${oneLine(note)}\n`).join('')}`
    })
    .join('')
}

export function countsText(results: readonly CaseResult[], planned: number): string {
  const count = (verdict: CaseResult['verdict']): number => results.filter((result) => result.verdict === verdict).length
  // Only of targets that are not ours.
  const others = (['differs', 'falls short'] as const).map((verdict) => (count(verdict) === 0 ? '' : ` ${count(verdict)} ${verdict},`)).join('')
  return `${results.length === planned ? '' : `${results.length} of `}${planned} cases: ${count('ok')} ok,${others} ${count('FAILED')} failed, ${count('not run')} not run`
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

export function fleetText(fleet: FleetResult, paper: Paper): string {
  const { enrolled, connected, messages, strays, durationsMs } = fleet
  const verdict = fleet.ok ? paper.colour('green', 'ok') : fleet.interrupted ? paper.colour('yellow', 'interrupted') : paper.colour('red', 'FAILED')
  const lines = [
    `fleet of ${fleet.devices} devices  ${verdict}`,
    `  enrolled   ${enrolled.ownRequest} with a request of their own, ${enrolled.bundle} by device bundle, in ${seconds(durationsMs.enroll)}`,
    `  connected  ${connected['MQTT 3.1.1']} with MQTT 3.1.1, ${connected['MQTT 5']} with MQTT 5, in ${seconds(durationsMs.connect)}`,
    `  messages   ${messages.received} of ${messages.expected} received, in ${seconds(durationsMs.messages)}: ${messages.lost} lost, ${messages.duplicates} twice, ${messages.misordered} out of order`,
    `  leaks      ${messages.leaks}; of ${strays.sent} publishes to a neighbour's topic ${strays.refused} were refused in words, and nobody may hear any`,
    ...shown(fleet.faults).map((fault) => `  ${paper.colour('red', fault)}`),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function shown(faults: readonly string[]): readonly string[] {
  const more = faults.length - SIM_LIMITS.faultsShownMax
  return [...faults.slice(0, SIM_LIMITS.faultsShownMax).map(oneLine), ...(more > 0 ? [`and ${more} more`] : [])]
}
