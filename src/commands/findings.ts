// How the findings of a translation are told: a line each for people, the same as data for programs.

import { printable } from '../core/ids.ts'
import type { Finding, FindingKind } from '../core/policy/import-draft.ts'

const ORIGINAL_CHARS_MAX = 120
/** So many are also told in what is written. */
const TOLD_MAX = 100
const WORDS: Readonly<Record<FindingKind, string>> = { 'left-out': 'left out', narrowed: 'narrowed', remark: 'remark' }

function counts(findings: readonly Finding[]): { readonly leftOut: number; readonly narrowed: number; readonly remarks: number } {
  const of = (kind: FindingKind): number => findings.filter((finding) => finding.kind === kind).length
  return { leftOut: of('left-out'), narrowed: of('narrowed'), remarks: of('remark') }
}

export function findingsAnswer(findings: readonly Finding[]) {
  return { ...counts(findings), findings: findings.map(({ at, ...rest }) => ({ ...at, ...rest })) }
}

export function summaryOf(findings: readonly Finding[]): string {
  const { leftOut, narrowed, remarks } = counts(findings)
  const lost = leftOut + narrowed === 0 ? 'nothing is lost' : `${leftOut} left out, ${narrowed} narrowed`
  return remarks === 0 ? lost : `${lost}, ${remarks} ${remarks === 1 ? 'remark' : 'remarks'}`
}

export function describeFinding({ at, path, kind, original, why }: Finding): string {
  return `${at.file}:${at.line}:${at.column}: ${WORDS[kind]}: ${path === undefined ? '' : `${path}: `}${original === '' ? '' : `${printable(original, ORIGINAL_CHARS_MAX)}: `}${why}`
}

/** At the end of a file, for whoever reads it later. */
export function asComments(findings: readonly Finding[], head: string): string {
  if (findings.length === 0) return ''
  const lines = findings.slice(0, TOLD_MAX).map((finding) => `# ${printable(describeFinding(finding), 2 * ORIGINAL_CHARS_MAX)}`)
  return `\n# ${head}\n${lines.join('\n')}\n${findings.length > TOLD_MAX ? `# and ${findings.length - TOLD_MAX} more\n` : ''}`
}
