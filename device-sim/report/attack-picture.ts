// A run of attacks half-way: how far it is, what came of it so far, what is being tried now, and the newest that did not come to
// what it should.

import { rowOf, type CaseId } from '../attacks/catalogue.ts'
import type { CaseResult } from '../attacks/run.ts'
import type { Line, Size } from './screen.ts'
import { bar, clockOf } from './sparkline.ts'
import { VERDICT_STYLE } from './text.ts'

export interface AttackFacts {
  readonly target: string
  readonly planned: number
  /** In the order in which they ended. */
  readonly finished: readonly CaseResult[]
  readonly running: readonly CaseId[]
  readonly seconds: number
}

const BAR = 30
/** Of what is running, and of what went wrong. */
const SHOWN_MAX = 6
const WRONG: readonly CaseResult['verdict'][] = ['FAILED', 'falls short']

/** For logs. */
export function attackLine(finished: readonly CaseResult[], planned: number): string {
  const last = finished.at(-1)
  return `${finished.length} of ${planned} cases${last === undefined ? '' : `, last ${last.case} ${last.verdict}`}`
}

export function attackPicture({ target, planned, finished, running, seconds }: AttackFacts, { columns }: Size): readonly Line[] {
  const counts = (Object.keys(VERDICT_STYLE) as CaseResult['verdict'][]).flatMap((verdict): Line => {
    const count = finished.filter((result) => result.verdict === verdict).length
    return count === 0 ? [] : ['   ', { text: `${count} ${verdict}`, style: VERDICT_STYLE[verdict] }]
  })
  return [
    [{ text: target, style: 'bold' }, `   ${clockOf(seconds)}`],
    [bar(finished.length, planned, Math.min(BAR, Math.max(0, columns - BAR))), `  ${finished.length} of ${planned} cases`, ...counts],
    ...finished.filter(({ verdict }) => WRONG.includes(verdict)).slice(-SHOWN_MAX).map((result): Line => [{ text: `${result.case} ${result.verdict}`, style: VERDICT_STYLE[result.verdict] }, `  ${result.notes[0] ?? result.seen}`]),
    ...running.slice(0, SHOWN_MAX).map((id): Line => [{ text: `${id}  `, style: 'dim' }, rowOf(id).title]),
  ]
}
