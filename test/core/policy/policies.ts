// Policies from text, for the tests of the language: the document, its problems, and what it grants to one device.

import type { CertificateFacts } from '../../../src/core/certificate.ts'
import type { Device } from '../../../src/core/device.ts'
import type { CaName } from '../../../src/core/ids.ts'
import type { CompiledPolicy } from '../../../src/core/policy/compile.ts'
import type { PolicyDocument, Rate } from '../../../src/core/policy/document.ts'
import { grantsFor, type Grants, type Principal, type RateMeter } from '../../../src/core/policy/grants.ts'
import { describeProblem } from '../../../src/core/source-tree.ts'
import { POLICY_TOOLS, readPolicy } from '../../../src/policy-file.ts'
import { parsePolicyDocument } from '../../../src/core/policy/read-document.ts'
import { readYaml } from '../../../src/yaml-source.ts'
import { device } from '../facts.ts'

const anything = (): boolean => true

export function documentOf(text: string, pattern: (text: string) => ((value: string) => boolean) | string = () => anything): PolicyDocument {
  const { tree, problems } = readYaml('policy.yaml', text)
  const read = tree === undefined ? { problems } : parsePolicyDocument([tree], { ...POLICY_TOOLS, pattern })
  if ('document' in read && read.document !== undefined) return read.document
  throw new Error(read.problems.map(describeProblem).join('\n'))
}

/** One line per problem; empty when it is a policy. */
export function problemsOf(text: string): readonly string[] {
  const read = readPolicy('policy.yaml', text, 1)
  return 'policy' in read ? [] : read.problems.map(describeProblem)
}

export function policyOf(text: string, generation = 1): CompiledPolicy {
  const read = readPolicy('policy.yaml', text, generation)
  if ('policy' in read) return read.policy
  throw new Error(read.problems.map(describeProblem).join('\n'))
}

export interface Asking extends Pick<Principal, 'now' | 'connection' | 'attested'> {
  readonly device?: Device
  readonly ca?: string
  readonly clientId?: string
  readonly certificate?: CertificateFacts
  readonly meter?: RateMeter
}

/** What this text grants; without more, to device d of group g, with client id d, from our own CA. */
export function grantsOf(text: string, asking: Asking = {}): Grants {
  const asked = asking.device ?? device('d', { groups: ['g' as Device['groups'][number]], attributes: {} })
  const { ca = 'issuing-1', clientId = asked.id, meter, device: _, ...rest } = asking
  return grantsFor(policyOf(text), { ...rest, device: asked, ca: ca as CaName, clientId }, meter)
}

/** A meter in which no time passes: every line may send its burst, and no more. */
export function frozenMeter(): RateMeter & { readonly left: ReadonlyMap<string, number> } {
  const left = new Map<string, number>()
  return {
    left,
    take(key: string, { burst }: Rate) {
      const has = left.get(key) ?? burst
      if (has >= 1) left.set(key, has - 1)
      return has >= 1
    },
  }
}

/** A policy with one grant to everybody: the lines of its body, in flow style. */
export const grant = (body: string): string => `version: 1\ngrants:\n  - { id: r, to: any, ${body} }\n`

/** The same, with denials to everybody. */
export const grantAndDeny = (body: string, denied: string): string => `${grant(body)}deny:\n  - { id: no, to: any, ${denied} }\n`
