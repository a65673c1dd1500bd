// The story of a pack: what the attacker has, with the certificates that are really there, what he tried, what was seen, and what has
// stopped him. Whether it did is said by the verdicts that it is given.

import type { CaseId } from '../attacks/catalogue.ts'
import { casesOfPack, PACK_NAMES, packOf, type PackName } from '../attacks/packs.ts'
import type { CaseResult } from '../attacks/run.ts'
import type { RealCertificates } from '../real-certificates.ts'
import { oneLine } from './table.ts'
import { VERDICT_STYLE, type Paper } from './text.ts'

export function packText(name: PackName, { server, device }: RealCertificates, results: readonly CaseResult[], paper: Paper): string {
  const { title, has, steps, left } = packOf(name)
  const facts = [['the server shows', server], ['a device shows', device]] as const
  const lines = [
    paper.colour('bold', `${name}: ${title}`),
    `he has     ${has}`,
    ...facts.flatMap(([who, [first = 'nothing', ...more]]) => [`${who.padEnd(17)}${first}`, ...more.map((fact) => `${' '.repeat(17)}${fact}`)]),
    ...steps.flatMap(({ tries, cases, stops }, index) => ['', `${index + 1}. ${tries}`, ...cases.flatMap((id) => told(id, results, paper)), `   → ${endOf(cases, results, stops)}`]),
    '', `left to him  ${left}`, '', '',
  ]
  return lines.join('\n')
}

/** What has stopped him, only where it has. */
function endOf(cases: readonly CaseId[], results: readonly CaseResult[], stops: string): string {
  const verdictOf = (id: CaseId): CaseResult['verdict'] => results.find((each) => each.case === id)?.verdict ?? 'not run'
  const through = cases.filter((id) => verdictOf(id) === 'FAILED' || verdictOf(id) === 'falls short')
  if (through.length > 0) return `This has not stopped him here: ${through.join(', ')}.`
  const untried = cases.filter((id) => verdictOf(id) === 'not run')
  return untried.length === 0 ? stops : `Not all of it was tried here: ${untried.join(', ')}.`
}

function told(id: CaseId, results: readonly CaseResult[], paper: Paper): readonly string[] {
  const result = results.find((each) => each.case === id)
  if (result === undefined) return [`   ${id}  was not finished`]
  const { verdict, title, seen, reasons, notes } = result
  const outcome = verdict === 'not run' ? notes.join('; ') : `seen: ${seen}${reasons.length === 0 ? '' : `; in the audit log: ${reasons.join(', ')}`}`
  return [`   ${id}  ${paper.colour(VERDICT_STYLE[verdict], verdict)}  ${title}`, `        ${oneLine(outcome)}`]
}

/** What there is to choose from. */
export function packListText(): string {
  return `packs\n${PACK_NAMES.map((name) => `  ${name}  ${packOf(name).title}\n      he has ${packOf(name).has}\n      cases: ${casesOfPack(name).join(', ')}\n`).join('')}`
}
