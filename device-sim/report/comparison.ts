// The same audit of several targets, side by side: a table for the terminal, and a page. It judges nothing; what it is given has
// been judged.

import { rowOf, type CaseId } from '../attacks/catalogue.ts'
import type { CaseResult } from '../attacks/run.ts'
import { html, htmlPage, type Html } from './page.ts'
import { table } from './table.ts'
import { countsText, notesText, VERDICT_STYLE, type Paper } from './text.ts'

/** One target and what came of it. */
export interface AuditedTarget {
  readonly name: string
  readonly results: readonly CaseResult[]
  /** Whether an audit log was read. */
  readonly audit: boolean
}

export interface Comparison {
  readonly startedAt: string
  readonly cases: readonly CaseId[]
  readonly targets: readonly AuditedTarget[]
}

const resultOf = ({ results }: AuditedTarget, id: CaseId): CaseResult | undefined => results.find((result) => result.case === id)
const shortOf = (result: CaseResult | undefined): string => (result === undefined ? '' : `${result.verdict}: ${result.seen === '' ? result.notes.join('; ') : result.seen}`)

/** Said where refusals were judged without their reasons. */
export function withoutAudit({ name }: AuditedTarget): string {
  return `${name}: no audit log is read there. Refusals are judged by what is seen, not by the reason that is written down.`
}

export function comparisonText({ cases, targets }: Comparison, paper: Paper): string {
  const head = ['case', 'expected', ...targets.map(({ name }) => name), 'why it matters']
  const rows = cases.map((id) => [`${id} ${rowOf(id).title}`, rowOf(id).expected, ...targets.map((target) => shortOf(resultOf(target, id))), rowOf(id).why])
  const paint = (text: string, row: number | undefined, column: number): string => {
    if (row === undefined) return paper.colour('bold', text)
    const [id, target] = [cases[row], targets[column - 2]]
    const verdict = id === undefined || target === undefined ? undefined : resultOf(target, id)?.verdict
    return verdict === undefined ? text : paper.colour(VERDICT_STYLE[verdict], text)
  }
  // What was not run is told in the table.
  const parts = targets.map((target) => {
    const notes = notesText(target.results.filter(({ verdict }) => verdict !== 'not run'), paper)
    return notes === '' ? '' : `\n${paper.colour('bold', target.name)}\n${notes}`
  })
  const sums = targets.map((target) => `${target.name}: ${countsText(target.results, cases.length)}\n`)
  return `${table({ head, rows, columns: paper.columns, paint })}${parts.join('')}\n${sums.join('')}${targets.filter(({ audit }) => !audit).map((target) => `${withoutAudit(target)}\n`).join('')}`
}

const TONE = { ok: 'good', differs: 'good', 'falls short': 'bad', FAILED: 'bad', 'not run': 'quiet' } as const satisfies Record<CaseResult['verdict'], string>

function cell(result: CaseResult | undefined): Html {
  if (result === undefined) return html`<span class="quiet">not finished</span>`
  const notes = result.notes.length === 0 ? '' : result.verdict === 'not run' ? html`<br>${result.notes.join('; ')}` : html`<details><summary>${result.notes.length === 1 ? 'one note' : `${result.notes.length} notes`}</summary><ul>${result.notes.map((note) => html`<li>${note}</li>`)}</ul></details>`
  const seen = result.seen === '' ? '' : html`<br>${result.seen}`
  const reasons = result.reasons.length === 0 ? '' : html`<br><span class="quiet">audit log:</span> <code>${result.reasons.join(', ')}</code>`
  return html`<strong class="${TONE[result.verdict]}">${result.verdict}</strong>${seen}${reasons}${notes}`
}

const LEGEND: Readonly<Record<string, string>> = {
  ok: 'what was expected, beside something that had to work and did',
  differs: 'not as expected, and no hole: the note says why',
  'falls short': 'something is not given that mutual TLS or an access control list promises',
  FAILED: 'not as it was written down; or what had to work did not, so that nothing is known',
  'not run': 'the target does not have what the case needs; this never counts as passed',
}

/** What a reader looks for first. */
function shortcomings({ name, results }: AuditedTarget): Html {
  const wrong = results.filter(({ verdict }) => TONE[verdict] === 'bad')
  if (wrong.length === 0) return html``
  return html`<h2>Where ${name} ${wrong.some(({ verdict }) => verdict === 'FAILED') ? 'fails' : 'falls short'}</h2>
<ul>${wrong.map((result) => html`<li><strong>${result.case}</strong> ${result.title}: ${result.seen}. <span class="quiet">${rowOf(result.case).why}</span></li>`)}</ul>
`
}

/** The page, whole. */
export function comparisonPage({ startedAt, cases, targets }: Comparison): string {
  const title = `Audit of ${targets.map(({ name }) => name).join(' and ')}`
  const rows = cases.map((id) => {
    const { title: what, why, advisory, expected } = rowOf(id)
    const seenIn = advisory === undefined ? '' : html`<br><span class="quiet">seen in: ${advisory}</span>`
    return html`<tr><td><strong>${id}</strong> ${what}</td><td>${expected}</td>${targets.map((target) => html`<td>${cell(resultOf(target, id))}</td>`)}<td>${why}${seenIn}</td></tr>
`
  })
  const head = ['case', 'expected', ...targets.map(({ name }) => name), 'why it matters']
  return htmlPage(title, html`<h1>${title}</h1>
<p class="quiet">${cases.length} cases, each beside something that must work. Begun ${startedAt}.</p>
<ul>${targets.map((target) => html`<li><strong>${target.name}</strong>: ${countsText(target.results, cases.length)}</li>`)}</ul>
${targets.map(shortcomings)}
<h2>Case by case</h2>
<div class="wide"><table><thead><tr>${head.map((text) => html`<th>${text}</th>`)}</tr></thead><tbody>
${rows}</tbody></table></div>
<h2>The words</h2>
<ul>${Object.entries(LEGEND).map(([word, meaning]) => html`<li><strong>${word}</strong>: ${meaning}.</li>`)}</ul>
${targets.filter(({ audit }) => !audit).map((target) => html`<p>${withoutAudit(target)}</p>`)}`)
}
