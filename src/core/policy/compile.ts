// A document, indexed: which rules concern whom. Compiled once per generation; what a session needs of it is resolved in
// grants.ts.

import type { CaName } from '../ids.ts'
import type { Device } from '../device.ts'
import { NOTHING_GRANTED, type DenyRule, type GrantRule, type IdentityRule, type PolicyDocument, type Target } from './document.ts'
import { groupClosure, type GroupClosure } from './groups.ts'

export interface CompiledPolicy extends Pick<PolicyDocument, 'onDeny' | 'strictDeny' | 'retained' | 'willOnKick'> {
  /** Counts the policies that were in force in this process, from 1; 0 is the empty policy. */
  readonly generation: number
  /** What it was compiled from: for whoever explains, compares or reports. */
  readonly document: PolicyDocument
  readonly identity: ReadonlyMap<CaName, IdentityRule>
  readonly groupsOf: GroupClosure
  /** Each rule once, whatever conditions it has. */
  grantsOf(device: Device, ca: CaName): readonly GrantRule[]
  deniesOf(device: Device, ca: CaName): readonly DenyRule[]
}

interface Targeted {
  readonly to: Target
}

type Concerning<Rule> = (device: Device, ca: CaName) => readonly Rule[]

/** Rules by target; a look-up costs the rules that concern the device, not the rules that there are. */
function index<Rule extends Targeted>(rules: readonly Rule[], groupsOf: GroupClosure): Concerning<Rule> {
  const byKey = new Map<string, Rule[]>()
  const queried: string[] = []
  for (const rule of rules) {
    if (rule.to.kind === 'attributes') queried.push(rule.to.all[0]?.name ?? '')
    for (const key of keysOf(rule.to)) {
      const same = byKey.get(key)
      if (same === undefined) byKey.set(key, [rule])
      else same.push(rule)
    }
  }
  const names = [...new Set(queried)]
  const withKey = (key: string): readonly Rule[] => byKey.get(key) ?? []
  return (device, ca) => [
    ...['any', `device/${device.id}`, `ca/${ca}`, `tenant/${device.tenant}`, ...groupsOf(device.groups).map((g) => `group/${g}`)].flatMap(withKey),
    ...names.flatMap((name) => withKey(`attr/${name}/${attributeOf(device, name) ?? ''}`)).filter(({ to }) => hasAll(device, to)),
  ]
}

function keysOf(to: Target): readonly string[] {
  switch (to.kind) {
    case 'any':
      return ['any']
    case 'group':
      return [`group/${to.group}`]
    case 'device':
      return [`device/${to.device}`]
    case 'ca':
      return [`ca/${to.ca}`]
    case 'tenant':
      return [`tenant/${to.tenant}`]
    case 'attributes': {
      // By the first of them; the others are looked at when that one fits.
      const [first] = to.all
      return first === undefined ? [] : [...new Set(first.values)].map((value) => `attr/${first.name}/${value}`)
    }
  }
}

function attributeOf({ attributes }: Device, name: string): string | undefined {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined
}

function hasAll(device: Device, to: Target): boolean {
  return to.kind === 'attributes' && to.all.every(({ name, values }) => values.some((value) => value === attributeOf(device, name)))
}

export function compilePolicy(document: PolicyDocument, generation: number): CompiledPolicy {
  const { onDeny, strictDeny, retained, willOnKick } = document
  const groupsOf = groupClosure(document.groups)
  return {
    generation, document, onDeny, strictDeny, retained, willOnKick,
    identity: new Map(document.identity.map((rule) => [rule.ca, rule])),
    groupsOf,
    grantsOf: index(document.grants, groupsOf),
    deniesOf: index(document.deny, groupsOf),
  }
}

export const EMPTY_POLICY: CompiledPolicy = compilePolicy(NOTHING_GRANTED, 0)
