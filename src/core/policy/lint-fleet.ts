// The findings that only the registry can tell: rules that concern nobody, and variables that devices do not have.

import type { Device } from '../device.ts'
import type { DeviceId } from '../ids.ts'
import type { CompiledPolicy } from './compile.ts'
import type { PolicyDocument } from './document.ts'
import { grantsFor } from './grants.ts'
import { finding, inPlace, type Finding } from './lint.ts'
import type { Principal } from './template.ts'
import { targetWords } from './words.ts'

/** What a part of the fleet says of a policy. */
export interface FleetLintPart {
  /** Rules that no device of it is concerned by. */
  readonly idle: readonly string[]
  readonly unknown: readonly UnknownVariable[]
}

export interface UnknownVariable {
  readonly rule: string
  readonly variable: string
  readonly effect: 'grant-absent' | 'deny-widened'
  readonly devices: number
  readonly examples: readonly DeviceId[]
}

export interface FleetLint {
  add(principal: Principal): void
  /** After the last device. */
  part(): FleetLintPart
}

const EXAMPLES_MAX = 3
/** Who is retired will never connect. */
const isGone = ({ state }: Device): boolean => state === 'retired'

export function openFleetLint(policy: CompiledPolicy): FleetLint {
  const { grants, deny } = policy.document
  const idle = new Set([...grants, ...deny].filter(({ to }) => to.kind !== 'any').map(({ id }) => id))
  const unknown = new Map<string, UnknownVariable>()
  return {
    add(principal) {
      const { device, ca } = principal
      if (isGone(device)) return
      for (const { id } of [...policy.grantsOf(device, ca), ...policy.deniesOf(device, ca)]) idle.delete(id)
      // A variable that stands in ten lines of a rule is missing once.
      const missing = new Map(grantsFor(policy, principal).unresolved.map((each) => [keyOf(each), each]))
      for (const each of missing.values()) note(unknown, { ...each, devices: 1, examples: [device.id] })
    },
    part: () => ({ idle: [...idle], unknown: [...unknown.values()] }),
  }
}

const keyOf = ({ rule, variable }: Pick<UnknownVariable, 'rule' | 'variable'>): string => `${rule}/${variable}`

function note(unknown: Map<string, UnknownVariable>, more: UnknownVariable): void {
  const seen = unknown.get(keyOf(more))
  unknown.set(keyOf(more), seen === undefined ? more : { ...seen, devices: seen.devices + more.devices, examples: [...seen.examples, ...more.examples].slice(0, EXAMPLES_MAX) })
}

/** Of two parts, the whole. */
export function joinLint(a: FleetLintPart, b: FleetLintPart): FleetLintPart {
  const unknown = new Map(a.unknown.map((each) => [keyOf(each), each]))
  for (const each of b.unknown) note(unknown, each)
  const idle = new Set(b.idle)
  return { idle: a.idle.filter((id) => idle.has(id)), unknown: [...unknown.values()] }
}

export function lintFleet({ grants, deny }: PolicyDocument, { idle, unknown }: FleetLintPart): readonly Finding[] {
  const rules = new Map([...grants, ...deny].map((rule) => [rule.id, rule]))
  return inPlace([
    ...idle.flatMap((id) => {
      const rule = rules.get(id)
      return rule === undefined ? [] : [finding('target-nobody', rule, rule.at, `it is for ${targetWords(rule.to)}, and no device of the registry is.`)]
    }),
    ...unknown.flatMap(({ rule: id, variable, effect, devices, examples }) => {
      const rule = rules.get(id)
      const what = effect === 'grant-absent' ? 'for them the grant does not exist' : 'for them the denial has a + in its place'
      return rule === undefined ? [] : [finding('variable-unresolved', rule, rule.at, `\${${variable}} is not known of ${devices} ${devices === 1 ? 'device' : 'devices'} (${examples.join(', ')}${devices > examples.length ? ', …' : ''}): ${what}.`, { devices, examples })]
    }),
  ])
}
