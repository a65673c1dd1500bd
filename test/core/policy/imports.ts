// What the tests of the importers share: a translation as its user has it, read again from its text; small alphabets of topics
// and filters; and who asks. What a filter matches is told here anew, with a regular expression.

import type { CertificateFacts } from '../../../src/core/certificate.ts'
import type { CaName } from '../../../src/core/ids.ts'
import type { Draft, Importing } from '../../../src/core/policy/import-draft.ts'
import { isComplete } from '../../../src/core/policy/import-draft.ts'
import { importAws, type AwsTarget } from '../../../src/core/policy/import-aws.ts'
import { importEmqx } from '../../../src/core/policy/import-emqx.ts'
import { importMosquitto } from '../../../src/core/policy/import-mosquitto.ts'
import { writeDraft } from '../../../src/core/policy/import-write.ts'
import { grantsFor, type Grants } from '../../../src/core/policy/grants.ts'
import { describeProblem } from '../../../src/core/source-tree.ts'
import { POLICY_TOOLS, readPolicy } from '../../../src/policy-file.ts'
import { readYaml } from '../../../src/yaml-source.ts'
import { device } from '../facts.ts'

export interface Who {
  readonly id: string
  readonly clientId?: string
  readonly groups?: readonly string[]
  readonly attributes?: Readonly<Record<string, string>>
  readonly source?: string
  readonly certificate?: CertificateFacts
}

export interface Translation {
  readonly draft: Draft
  readonly text: string
  /** Nothing was lost. */
  readonly complete: boolean
  /** 'left-out 3: why' */
  readonly told: readonly string[]
  readonly grants: (who: Who) => Grants
}

export function translated(importing: Importing): Translation {
  if ('problems' in importing) throw new Error(importing.problems.map(describeProblem).join('\n'))
  const { draft } = importing
  const text = writeDraft(draft, ['a test'])
  const read = readPolicy('policy.yaml', text, 1)
  if ('problems' in read) throw new Error(`${read.problems.map(describeProblem).join('\n')}\n${text}`)
  return {
    draft, text, complete: isComplete(draft),
    told: draft.findings.map(({ kind, at, why }) => `${kind} ${at.line}: ${why}`),
    grants: ({ id, clientId = id, groups = [], attributes = {}, source = '192.0.2.1', certificate }) =>
      grantsFor(read.policy, { device: device(id, { groups: groups as never, attributes }), ca: 'issuing-1' as CaName, clientId, now: 0, connection: { source, tls: '1.3' }, certificate }),
  }
}

export const fromMosquitto = (text: string): Translation => translated(importMosquitto('acl', text))
export const fromEmqx = (text: string): Translation => translated(importEmqx('acl.conf', text, POLICY_TOOLS))
export function awsImport(documents: readonly string[], to: AwsTarget = 'any'): Importing {
  const read = documents.map((text, i) => ({ file: `policy-${i + 1}.json`, ...readYaml(`policy-${i + 1}.json`, text) }))
  const problems = read.flatMap((each) => each.problems)
  return problems.length > 0 ? { problems } : importAws(read.flatMap(({ file, tree }) => (tree === undefined ? [] : [{ file, tree }])), to, POLICY_TOOLS)
}
export const fromAws = (document: object, to: AwsTarget = 'any'): Translation => translated(awsImport([JSON.stringify(document, null, 1)], to))

export function problemsOf(importing: Importing): readonly string[] {
  return 'problems' in importing ? importing.problems.map(describeProblem) : []
}

/** [MQTT-4.7.1], of topics that do not begin with "$". */
export function matcher(filter: string): (topic: string) => boolean {
  const escaped = filter.replaceAll(/[.*?^${}()|[\]\\]/g, '\\$&')
  const pattern = new RegExp(`^${escaped.replace(/(^|\/)#$/, (_, slash: string) => (slash === '' ? '.*' : '(?:/.*)?')).replaceAll('+', '[^/]*')}$`, 's')
  return (topic) => pattern.test(topic)
}

/** Every topic of these levels, up to a length. */
export function topicsOf(alphabet: readonly string[], levelsMax: number): readonly string[] {
  let longest: readonly string[] = alphabet
  const all = [...alphabet]
  for (let n = 1; n < levelsMax; n++) {
    longest = longest.flatMap((topic) => alphabet.map((level) => `${topic}/${level}`))
    all.push(...longest)
  }
  return all.filter((topic) => topic !== '')
}

/** Every filter of these levels, up to a length. */
export function filtersOf(alphabet: readonly string[], levelsMax: number): readonly string[] {
  const without = topicsOf([...alphabet, '+'], levelsMax)
  return ['#', ...(alphabet.includes('') ? ['/#'] : []), ...without, ...topicsOf([...alphabet, '+'], levelsMax - 1).map((stem) => `${stem}/#`)]
}
