// What a device may do, line by line: every pattern of the rules that concern it, with its variables filled in, in force now or waiting
// for a condition, and where it stands. For a person who reads; whoever decides asks the grants.

import type { SourcePosition } from '../errors.ts'
import type { CompiledPolicy } from './compile.ts'
import { judgeEach, STATES_OF_GRANT, type ConditionName } from './conditions.ts'
import type { Conditions, PublishGrant, Rate, WildcardMode } from './document.ts'
import { resolveTemplate, type Principal, type Template } from './template.ts'

interface Line {
  readonly pattern: string
  readonly rule: string
  readonly at: SourcePosition
  /** Does it count now? Not while a condition does not hold; and it depends where one cannot be known. */
  readonly inForce: 'yes' | 'no' | 'depends'
  /** The conditions that do not hold, or cannot be known. */
  readonly because: readonly (ConditionName | 'state')[]
  /** A variable of it is missing or unusable for this device: a grant counts for nothing then, and a deny rule for more. */
  readonly unresolved?: string
}

export interface SendLine extends Line {
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** Absent where only the size of a packet is the limit. */
  readonly bytesMax?: number
  readonly rate?: Rate
}

export interface ReadLine extends Line {
  readonly qos: 0 | 1 | 2
  readonly wildcard: WildcardMode
  readonly share: readonly string[]
}

export interface EffectiveTopics {
  readonly generation: number
  readonly publish: readonly SendLine[]
  readonly subscribe: readonly ReadLine[]
  readonly will: readonly SendLine[]
  /** What is forbidden, whatever is granted. */
  readonly deny: readonly (Line & { readonly action: 'publish' | 'subscribe' | 'receive' })[]
}

export function effectiveTopics(policy: CompiledPolicy, principal: Principal): EffectiveTopics {
  const { device, ca } = principal
  const grants = policy.grantsOf(device, ca).toSorted(byPlace)

  function line(rule: { readonly id: string; readonly when?: Conditions }, { topic, at }: { readonly topic: Template; readonly at: SourcePosition }, isGrant: boolean): Line {
    let missing: string | undefined
    const known = resolveTemplate(topic, principal, (variable) => {
      missing = variable
      return isGrant ? undefined : '+'
    })
    const failing = (rule.when === undefined ? [] : judgeEach(rule.when, principal)).filter(({ holds }) => holds !== 'yes')
    // What says no state is meant for active devices alone.
    const isOut = isGrant && rule.when?.states === undefined && !STATES_OF_GRANT.some((state) => state === device.state)
    const isOff = isOut || (isGrant && missing !== undefined) || failing.some(({ holds }) => holds === 'no')
    return {
      pattern: known?.levels.join('/') ?? topic.text, rule: rule.id, at,
      inForce: isOff ? 'no' : failing.length > 0 ? 'depends' : 'yes',
      because: [...failing.map(({ condition }) => condition), ...(isOut ? ['state' as const] : [])],
      ...(missing === undefined ? {} : { unresolved: missing }),
    }
  }

  const send = (rule: (typeof grants)[number], grant: PublishGrant): SendLine => ({
    ...line(rule, grant, true), qos: grant.qos, retain: grant.retain,
    ...(Number.isFinite(grant.bytesMax) ? { bytesMax: grant.bytesMax } : {}), ...(grant.rate === undefined ? {} : { rate: grant.rate }),
  })
  return {
    generation: policy.generation,
    publish: grants.flatMap((rule) => rule.publish.map((grant) => send(rule, grant))),
    subscribe: grants.flatMap((rule) => rule.subscribe.map((grant) => ({ ...line(rule, grant, true), qos: grant.qos, wildcard: grant.wildcard, share: grant.share }))),
    will: grants.flatMap((rule) => rule.will.map((grant) => send(rule, grant))),
    deny: policy.deniesOf(device, ca).toSorted(byPlace).flatMap((rule) => (['publish', 'subscribe', 'receive'] as const).flatMap((action) => rule[action].map((pattern) => ({ ...line(rule, pattern, false), action })))),
  }
}

/** As they stand in the files. */
function byPlace(a: { readonly at: SourcePosition }, b: { readonly at: SourcePosition }): number {
  return a.at.file === b.at.file ? a.at.line - b.at.line : a.at.file < b.at.file ? -1 : 1
}
