// What one device may do, as lines that can be compared: every grant and denial that concerns it, with its variables filled
// in. Two policies are compared by what one has and the other does not cover. Conditions are compared, not judged: the answer
// does not depend on the hour.

import type { SourcePosition } from '../errors.ts'
import { contains, intersects, type Levels } from '../topic.ts'
import type { CompiledPolicy } from './compile.ts'
import { STATES_OF_GRANT } from './conditions.ts'
import type { Conditions, DenyPattern, GrantRule, PublishGrant, SubscribeGrant } from './document.ts'
import { resolveParts, resolveTemplate, type Principal } from './template.ts'
import { connectWords, partsWords, readTerms, sendTerms, whenWords } from './words.ts'

export const PERMISSION_KINDS = ['connect', 'publish', 'subscribe', 'receive', 'will'] as const
export type PermissionKind = (typeof PERMISSION_KINDS)[number]

/** Something that a device may do in one policy and not in the other. */
export interface Permission {
  readonly kind: PermissionKind
  /** The pattern with its variables filled in; of connect, what is asked of it. */
  readonly topic: string
  /** QoS, retain and the like, and conditions, in words. */
  readonly terms?: string
  /** The other policy has it with other terms: these. '' where it asks for none. */
  readonly instead?: string
  /** The rule that grants it; where a denial takes it, that. */
  readonly rule: string
  readonly at: SourcePosition
  /** A denial came or went; the grant is in both. */
  readonly deny?: true
}

export interface PermissionChange {
  readonly lost: readonly Permission[]
  readonly gained: readonly Permission[]
  /** No grant is left, or the first one came. */
  readonly mayConnect: { readonly before: boolean; readonly after: boolean }
}

export type Terms = { readonly send: PublishGrant } | { readonly read: SubscribeGrant }

interface Held {
  readonly kind: 'publish' | 'subscribe' | 'will'
  readonly levels: Levels
  readonly terms: Terms
  readonly when: string
  readonly rule: string
  readonly at: SourcePosition
}

interface Denied {
  readonly kind: 'publish' | 'subscribe' | 'receive'
  readonly levels: Levels
  readonly when: string
  readonly rule: string
  readonly at: SourcePosition
}

interface Permissions {
  readonly held: readonly Held[]
  readonly denied: readonly Denied[]
  /** What is asked of a CONNECT, in words. */
  readonly connect: readonly Demand[]
  /** The rules: while one of them applies, the device may connect. */
  readonly rights: readonly { readonly when: string; readonly rule: string; readonly at: SourcePosition }[]
}

interface Demand {
  readonly words: string
  readonly rule: string
  readonly at: SourcePosition
}

/** `changed`: rules that the two policies do not have in common; what the others grant, both grant. Undefined: it may be any. */
export function comparePermissions(before: CompiledPolicy, after: CompiledPolicy, principal: Principal, changed?: ReadonlySet<string>): PermissionChange {
  const [old, next] = [permissionsOf(before, principal), permissionsOf(after, principal)]
  return {
    lost: [...lostRights(old, next), ...lostHeld(old, next, changed), ...newDenials(old, next, changed), ...newDemands(old, next)],
    gained: [...lostRights(next, old), ...lostHeld(next, old, changed), ...newDenials(next, old, changed), ...newDemands(next, old)],
    mayConnect: { before: old.rights.length > 0, after: next.rights.length > 0 },
  }
}

/** Filters below which a denial now takes away what was delivered. */
export function narrowedFilters(before: CompiledPolicy, after: CompiledPolicy, principal: Principal, filters: readonly { readonly text: string; readonly levels: Levels }[]): readonly string[] {
  const [old, next] = [permissionsOf(before, principal), permissionsOf(after, principal)]
  const fresh = next.denied.filter((deny) => deny.kind !== 'publish' && !isKnown(deny, old))
  return filters.filter(({ levels }) => fresh.some((deny) => intersects(deny.levels, levels))).map(({ text }) => text)
}

function permissionsOf(policy: CompiledPolicy, principal: Principal): Permissions {
  const { device, ca } = principal
  const rules = policy.grantsOf(device, ca).filter(({ when }) => (when?.states ?? STATES_OF_GRANT).some((state) => state === device.state))
  const denies = policy.deniesOf(device, ca).filter(({ when }) => when?.states === undefined || when.states.some((state) => state === device.state))
  const held = rules.flatMap((rule) => [
    ...rule.publish.flatMap((grant) => resolvedHeld(rule, 'publish', grant, { send: grant }, principal)),
    ...rule.subscribe.flatMap((grant) => resolvedHeld(rule, 'subscribe', grant, { read: grant }, principal)),
    ...rule.will.flatMap((grant) => resolvedHeld(rule, 'will', grant, { send: grant }, principal)),
  ])
  const denied = denies.flatMap(({ id, when, publish, subscribe, receive }) => {
    const of = (kind: Denied['kind'], patterns: readonly DenyPattern[]): readonly Denied[] => patterns.map(({ topic, at }) => ({ kind, levels: resolveTemplate(topic, principal, () => '+')?.levels ?? [], when: whenOf(when), rule: id, at }))
    return [...of('publish', publish), ...of('subscribe', subscribe), ...of('receive', receive)]
  })
  const rights = rules.map(({ id, at, when }) => ({ when: whenOf(when), rule: id, at }))
  return { held, denied, rights, connect: [...rules.flatMap((rule) => demandsOf(rule, principal)), ...defaultDemand(rules, principal)] }
}

/** Where no grant speaks of client ids, or only at some times, a client id is one of the device's own. */
function defaultDemand(rules: readonly GrantRule[], { device: { id } }: Principal): readonly Demand[] {
  const [first] = rules
  const times = rules.filter(({ connect }) => connect.clientIds !== undefined).map(({ when }) => whenOf(when))
  if (first === undefined || times.includes('')) return []
  const unless = times.length === 0 ? '' : ` unless ${[...new Set(times)].toSorted().join(' or ')}`
  return [{ words: `clientId ${id} or ${id}:*, the default${unless}`, rule: first.id, at: first.at }]
}

/** The state is looked at, not compared: the device is in one. */
function whenOf(when: Conditions | undefined): string {
  if (when === undefined) return ''
  const { states: _, ...others } = when
  return whenWords(others)
}

function resolvedHeld({ id, when }: GrantRule, kind: Held['kind'], { topic, at }: PublishGrant | SubscribeGrant, terms: Terms, principal: Principal): readonly Held[] {
  const known = resolveTemplate(topic, principal, () => undefined)
  return known === undefined ? [] : [{ kind, levels: known.levels, terms, when: whenOf(when), rule: id, at }]
}

function demandsOf({ id, at, when, connect }: GrantRule, principal: Principal): Permissions['connect'] {
  const { clientIds, ...others } = connect
  const condition = whenOf(when)
  const ids = clientIds?.map(({ parts, prefix }) => {
    const text = resolveParts(parts, principal, {})
    return (typeof text === 'string' ? text : partsWords(parts)) + (prefix ? '*' : '')
  }).toSorted()
  return [...(ids === undefined ? [] : [`clientId ${ids.join(' or ')}`]), ...connectWords(others)].map((line) => ({ words: condition === '' ? line : `${line} when ${condition}`, rule: id, at }))
}

/** Times at which `one` lets the device connect at all and `other` may not; who has no grant left is told that. */
function lostRights(one: Permissions, other: Permissions): readonly Permission[] {
  const [first] = other.rights
  if (first === undefined) return []
  const lost = one.rights.filter(({ when }) => !other.rights.some((right) => right.when === '' || right.when === when))
  return lost.filter(({ when }, i) => lost.findIndex((right) => right.when === when) === i).map(({ when, rule, at }) => ({
    kind: 'connect', topic: 'session', ...(when === '' ? {} : { terms: `when ${when}` }), rule, at, instead: `when ${first.when}`,
  }))
}

/** What denies each kind: whoever may not subscribe to it is not sent it either, and a Will is published. */
const DENIED_BY: Readonly<Record<Held['kind'], readonly Denied['kind'][]>> = { publish: ['publish'], will: ['publish'], subscribe: ['subscribe', 'receive'] }

/** Grants of `one` that nothing of `other` covers, but for those that a denial had made worthless already. */
function lostHeld(one: Permissions, other: Permissions, changed: ReadonlySet<string> | undefined): readonly Permission[] {
  return one.held.filter((held) => changed?.has(held.rule) !== false && !other.held.some((its) => covers(its, held)) && !isWorthless(held, one.denied)).map((held) => {
    const instead = other.held.find((its) => its.kind === held.kind && contains(its.levels, held.levels))
    return { ...permission(held), ...(instead === undefined ? {} : { instead: termsWords(instead) }) }
  })
}

/** A subscription stands of which nothing is delivered: it is refused only where all that could be asked for is denied. */
function isWorthless({ kind, levels, terms }: Held, denied: readonly Denied[]): boolean {
  const overlaps = 'read' in terms && terms.read.wildcard === 'filter'
  const refusing = kind === 'subscribe' ? 'subscribe' : 'publish'
  return !overlaps && denied.some((deny) => deny.kind === refusing && deny.when === '' && contains(deny.levels, levels))
}

/** At every moment at which `held` allows something, `its` allows it too. */
function covers(its: Held, held: Held): boolean {
  return its.kind === held.kind && (its.when === '' || its.when === held.when) && contains(its.levels, held.levels) && coversTerms(its.terms, held.terms)
}

/** Also asked by lint.ts, of lines whose variables are not filled in. */
export function coversTerms(its: Terms, held: Terms): boolean {
  if ('send' in its) {
    if (!('send' in held)) return false
    const [a, b] = [its.send, held.send]
    const isAsOften = a.rate === undefined || (b.rate !== undefined && a.rate.perSecond >= b.rate.perSecond && a.rate.burst >= b.rate.burst)
    return a.qos >= b.qos && (a.retain || !b.retain) && a.bytesMax >= b.bytesMax && isAsOften
  }
  if (!('read' in held)) return false
  const [a, b] = [its.read, held.read]
  return a.qos >= b.qos && BREADTH[a.wildcard] >= BREADTH[b.wildcard] && b.share.every((name) => a.share.some((pattern) => coversShare(pattern, name)))
}

/** How many filters the mode admits for one pattern: each admits what the one before admits. */
const BREADTH = { forbid: 0, contain: 1, filter: 2 } as const

function coversShare(pattern: string, name: string): boolean {
  return pattern === name || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)))
}

/** Denials that `next` has and `old` has not, where they touch what both grant. */
function newDenials(old: Permissions, next: Permissions, changed: ReadonlySet<string> | undefined): readonly Permission[] {
  return next.denied.filter((deny) => changed?.has(deny.rule) !== false && !isKnown(deny, old)).flatMap((deny) => {
    const touched = (['publish', 'subscribe', 'will'] as const).filter((kind) => DENIED_BY[kind].includes(deny.kind)
      && next.held.some((held) => held.kind === kind && intersects(held.levels, deny.levels)) && old.held.some((held) => held.kind === kind && intersects(held.levels, deny.levels)))
    return touched.map((kind): Permission => ({
      kind: kind === 'subscribe' && deny.kind === 'receive' ? 'receive' : kind, topic: deny.levels.join('/'), ...(deny.when === '' ? {} : { terms: `when ${deny.when}` }), rule: deny.rule, at: deny.at, deny: true,
    }))
  })
}

function isKnown(deny: Denied, { denied }: Permissions): boolean {
  return denied.some((its) => isDeniedBy(its, deny) && (its.when === '' || its.when === deny.when) && contains(its.levels, deny.levels))
}

const isDeniedBy = (its: Denied, deny: Denied): boolean => its.kind === deny.kind || (its.kind === 'subscribe' && deny.kind === 'receive')

function newDemands(old: Permissions, next: Permissions): readonly Permission[] {
  const known = new Set(old.connect.map(({ words }) => words))
  // Who had no grant, or has none, is told so.
  if (old.rights.length === 0 || next.rights.length === 0) return []
  return next.connect.filter(({ words }) => !known.has(words)).map(({ words, rule, at }) => ({ kind: 'connect', topic: words, rule, at, deny: true }))
}

function termsWords({ terms, when }: Held): string {
  return [('send' in terms ? sendTerms(terms.send) : readTerms(terms.read)), when === '' ? '' : `when ${when}`].filter((word) => word !== '').join(' ')
}

function permission(held: Held): Permission {
  const { kind, levels, rule, at } = held
  const words = termsWords(held)
  return { kind, topic: levels.join('/'), ...(words === '' ? {} : { terms: words }), rule, at }
}
