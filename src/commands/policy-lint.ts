// sallyport policy lint: what is allowed to be said and is hardly ever meant.

import type { LintPart } from '../core/policy-desk.ts'
import { joinLint, lintFleet, type FleetLintPart } from '../core/policy/lint-fleet.ts'
import { inPlace, lintPolicy, type Finding } from '../core/policy/lint.ts'
import type { PolicyDocument } from '../core/policy/document.ts'
import type { PolicyText } from '../core/policy-desk.ts'
import { EXIT } from '../vocabulary.ts'
import { print, withDesk, type CommonOptions } from './context.ts'
import { policyAt } from './policy-source.ts'

interface LintOptions extends CommonOptions {
  readonly fleet?: boolean
  readonly strict?: boolean
}

export async function lint(file: string | undefined, options: LintOptions): Promise<void> {
  const { file: named, texts, policy: { document } } = await policyAt(file, options)
  const findings = inPlace([...lintPolicy(document, Date.now()), ...(options.fleet === true ? await ofFleet(document, texts, options) : [])])
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const counts = { errors, warnings: findings.length - errors }
  print(options, { file: named, ...counts, findings }, () => [
    ...findings.map(({ at, severity, code, rule, message }) => `${at.file}:${at.line}:${at.column}: ${severity} ${code}: rule ${rule}: ${message}`),
    findings.length === 0 ? `${named}: nothing found` : `${named}: ${counts.errors} ${counts.errors === 1 ? 'error' : 'errors'}, ${counts.warnings} ${counts.warnings === 1 ? 'warning' : 'warnings'}`,
  ].join('\n'))
  if (options.strict === true && findings.length > 0) process.exitCode = EXIT.failed
}

async function ofFleet(document: PolicyDocument, files: readonly PolicyText[], options: LintOptions): Promise<readonly Finding[]> {
  return withDesk(options, async (desk) => {
    let whole: FleetLintPart | undefined
    let after: string | undefined
    do {
      const part: LintPart = await desk.lintFleet({ files, after })
      whole = whole === undefined ? part : joinLint(whole, part)
      after = part.next
    } while (after !== undefined)
    return lintFleet(document, whole)
  })
}
