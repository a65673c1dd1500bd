// What keeps one line of a grant from allowing what was asked, in words that name the fact: the device's group, the level of
// the topic, the condition and when it will hold. It judges nothing: grants.ts has said no already.

import type { SourcePosition } from '../errors.ts'
import type { EpochMs } from '../ids.ts'
import { printable } from '../ids.ts'
import type { Levels } from '../topic.ts'
import type { CompiledPolicy } from './compile.ts'
import { holdsFrom, judgeEach, STATES_OF_GRANT, type ConditionName } from './conditions.ts'
import type { Conditions, GrantRule, PublishGrant, SubscribeGrant, Target } from './document.ts'
import { ADMITS, admitsShare, hasWildcard } from './grants.ts'
import type { Principal, Template } from './template.ts'
import { ageWords, conditionWords, instantWords, partsWords } from './words.ts'

export interface Obstacle {
  readonly kind: 'target' | 'state' | 'condition' | 'unresolved' | 'topic' | 'wildcard' | 'qos' | 'retain' | 'size' | 'share' | 'client-id' | 'deny'
  readonly message: string
  /** Of a condition of time: when it will hold. */
  readonly holdsFrom?: EpochMs
  /** Of a deny: which. */
  readonly rule?: string
  readonly at?: SourcePosition
}

const shown = (text: string): string => `"${printable(text)}"`

/** The rule is for others. */
export function targetObstacles(to: Target, { device, ca }: Principal, groupsOf: CompiledPolicy['groupsOf']): readonly Obstacle[] {
  const miss = (fits: boolean, message: string): readonly Obstacle[] => (fits ? [] : [{ kind: 'target', message }])
  switch (to.kind) {
    case 'any':
      return []
    case 'group':
      return miss(groupsOf(device.groups).includes(to.group), `it is for group ${to.group}; the device is ${device.groups.length === 0 ? 'in no group' : `in ${device.groups.join(', ')}`}`)
    case 'device':
      return miss(to.device === device.id, `it is for the device ${to.device}`)
    case 'ca':
      return miss(to.ca === ca, `it is for devices of CA ${to.ca}; the certificate is of ${ca}`)
    case 'tenant':
      return miss(to.tenant === device.tenant, `it is for tenant ${to.tenant}; the device is of ${device.tenant}`)
    case 'attributes':
      return to.all.flatMap(({ name, values }) => {
        const has = Object.hasOwn(device.attributes, name) ? device.attributes[name] : undefined
        return miss(values.some((value) => value === has), `it asks for attribute ${name}=${values.join('|')}; the device has ${has === undefined ? 'none' : `${name}=${has}`}`)
      })
  }
}

/** Of the connection, the time and the device: as they are. */
const SEEN: Readonly<Record<ConditionName, (principal: Principal, connection: Principal['connection']) => string>> = {
  source: (_, connection) => `the connection comes from ${printable(connection?.source ?? 'nowhere')}`,
  tls: (_, connection) => `the connection has TLS ${connection?.tls ?? '?'}`,
  time: ({ now }) => `it is ${now === undefined ? 'no time' : instantWords(now)}`,
  notBefore: ({ now }) => `it is ${now === undefined ? 'no time' : instantWords(now)}`,
  notAfter: ({ now }) => `it is ${now === undefined ? 'no time' : instantWords(now)}`,
  certificateAge: ({ certificate, now }) => (certificate === undefined || now === undefined ? 'no certificate can be read' : `the certificate is ${ageOf(now - certificate.notBefore)} old`),
  attested: () => 'no enrollment attests a device yet',
  state: ({ device }) => `the device is ${device.state}`,
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Nobody asks for the milliseconds of a certificate that is a month old. */
const ageOf = (ms: number): string => ageWords(ms < HOUR_MS ? ms : ms - (ms % (ms < DAY_MS ? HOUR_MS : DAY_MS)))

/** A condition that somebody asked about, and how it stands. */
export interface ConditionShown {
  readonly condition: ConditionName
  readonly wanted: string
  /** `unknown`: nobody said where the connection comes from, or when. */
  readonly holds: 'yes' | 'no' | 'unknown'
  readonly seen?: string
}

export function conditionsShown(when: Conditions | undefined, principal: Principal): readonly ConditionShown[] {
  return when === undefined ? [] : judgeEach(when, principal).map(({ condition, holds }) => ({
    condition, wanted: conditionWords(when, condition), holds, ...(holds === 'unknown' ? {} : { seen: SEEN[condition](principal, principal.connection) }),
  }))
}

export function conditionObstacles({ when }: Pick<GrantRule, 'when'>, principal: Principal): readonly Obstacle[] {
  const { device } = principal
  if (when?.states === undefined && !STATES_OF_GRANT.some((state) => state === device.state)) {
    return [{ kind: 'state', message: `it is for active devices; the device is ${device.state}` }]
  }
  if (when === undefined) return []
  const failing = conditionsShown(when, principal).filter(({ holds }) => holds === 'no')
  const from = failing.length === 0 ? undefined : holdsFrom(when, principal)
  return failing.map(({ condition, wanted, seen }) => ({
    kind: condition === 'state' ? 'state' : 'condition',
    message: `${condition} must be ${wanted}: ${seen ?? ''}${from === undefined ? '' : `; it holds from ${instantWords(from)} on`}`,
    ...(from === undefined ? {} : { holdsFrom: from }),
  }))
}

export function unresolvedObstacle(variable: string, template: Template, principal: Principal): Obstacle {
  const part = template.levels.flatMap((level) => (typeof level === 'string' ? [] : level)).find((each) => 'variable' in each && each.variable === variable)
  const values = part !== undefined && 'read' in part ? part.read(principal) : []
  const [value] = values
  const why = value === undefined ? 'the device has no such value' : values.length > 1 ? `it has ${values.length} values` : `${shown(value)} cannot stand in a topic`
  return { kind: 'unresolved', message: `\${${variable}} is not known: ${why}` }
}

/** How far a topic or filter is from a pattern: the first level that differs, and how many do. */
export interface Distance {
  readonly differing: number
  /** Levels that are the same, letter by letter. */
  readonly same: number
  readonly obstacle?: Obstacle
}

/** `asked` is a topic or, with wildcards, a filter that must be contained. */
export function distance(pattern: Levels, template: Template, asked: Levels): Distance {
  const reserved = asked[0]?.startsWith('$') === true
  if (reserved) return { differing: 1, same: 0, obstacle: { kind: 'topic', message: 'no grant reaches topics that begin with $' } }
  let [differing, same] = [0, 0]
  let first: string | undefined
  for (let i = 0; i < Math.max(pattern.length, asked.length); i++) {
    const [p, a] = [pattern[i], asked[i]]
    if (p === '#') break
    if (p === a) {
      same += a === '+' ? 0 : 1
      continue
    }
    if (p === '+' && a !== undefined && a !== '#') continue
    differing++
    first ??= difference(i + 1, p, a, template.levels[i])
  }
  return { differing, same, ...(first === undefined ? {} : { obstacle: { kind: 'topic', message: first } }) }
}

function difference(level: number, pattern: string | undefined, asked: string | undefined, written: Template['levels'][number] | undefined): string {
  if (asked === undefined) return `it ends after level ${level - 1}, where the grant goes on with ${shown(pattern ?? '')}`
  if (pattern === undefined) return `it goes on after level ${level - 1}, where the grant ends`
  const by = written === undefined || typeof written === 'string' || written.every((part) => 'literal' in part) ? '' : `, ${partsWords(written)}`
  if (asked === '+' || asked === '#') return `"${asked}" at level ${level} asks for more than ${shown(pattern)}${by}`
  return `level ${level} is ${shown(asked)}, where the grant has ${shown(pattern)}${by}`
}

export function sendObstacles(grant: PublishGrant, { qos, retain, bytes }: { readonly qos: number; readonly retain: boolean; readonly bytes: number }): readonly Obstacle[] {
  return [
    ...(qos > grant.qos ? [{ kind: 'qos', message: `it allows QoS ${grant.qos} at most` } as const] : []),
    ...(retain && !grant.retain ? [{ kind: 'retain', message: 'it allows no retained messages' } as const] : []),
    ...(bytes > grant.bytesMax ? [{ kind: 'size', message: `it allows ${grant.bytesMax} bytes at most` } as const] : []),
  ]
}

export function readObstacles(grant: SubscribeGrant, pattern: Levels, filter: Levels, share: string | undefined): readonly Obstacle[] {
  const forbids = grant.wildcard === 'forbid' && hasWildcard(filter) && ADMITS.contain(pattern, filter)
  return [
    ...(forbids ? [{ kind: 'wildcard', message: 'it forbids wildcards in the filter' } as const] : []),
    ...(share !== undefined && !admitsShare(grant, share)
      ? [{ kind: 'share', message: grant.share.length === 0 ? 'it allows no shared subscription' : `share name ${shown(share)} is not one of ${grant.share.join(', ')}` } as const]
      : []),
  ]
}
