// A document, indexed: which rules concern whom. Compiled once per generation; what a session needs of it is resolved in
// grants.ts.

import type { CaName } from '../ids.ts'
import type { Device } from '../device.ts'
import type { DenyRule, GrantRule, IdentityRule, OnDeny, PolicyDocument, Target } from './document.ts'

export interface CompiledPolicy {
  /** Counts the policies that were in force in this process, from 1; 0 is the empty policy. */
  readonly generation: number
  readonly identity: ReadonlyMap<CaName, IdentityRule>
  readonly onDeny: OnDeny
  grantsOf(device: Device, ca: CaName): readonly GrantRule[]
  deniesOf(device: Device, ca: CaName): readonly DenyRule[]
}

interface Targeted {
  readonly to: Target
}

/** Rules by target; a look-up costs the rules that concern the device, not the rules that there are. */
function index<Rule extends Targeted>(rules: readonly Rule[]): (device: Device, ca: CaName) => readonly Rule[] {
  const byKey = new Map<string, Rule[]>()
  for (const rule of rules) {
    const key = keyOf(rule.to)
    const same = byKey.get(key)
    if (same === undefined) byKey.set(key, [rule])
    else same.push(rule)
  }
  return (device, ca) => ['any', `device/${device.id}`, `ca/${ca}`, ...device.groups.map((g) => `group/${g}`)].flatMap((key) => byKey.get(key) ?? [])
}

function keyOf(to: Target): string {
  switch (to.kind) {
    case 'any':
      return 'any'
    case 'group':
      return `group/${to.group}`
    case 'device':
      return `device/${to.device}`
    case 'ca':
      return `ca/${to.ca}`
  }
}

export function compilePolicy(document: PolicyDocument, generation: number): CompiledPolicy {
  return {
    generation,
    identity: new Map(document.identity.map((rule) => [rule.ca, rule])),
    onDeny: document.onDeny,
    grantsOf: index(document.grants),
    deniesOf: index(document.deny),
  }
}

/** R1: no policy denies everything. */
export const NOTHING_GRANTED: PolicyDocument = { identity: [], grants: [], deny: [], onDeny: 'drop' }
export const EMPTY_POLICY: CompiledPolicy = compilePolicy(NOTHING_GRANTED, 0)
