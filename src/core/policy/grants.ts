// What one session may do: its rules with their variables filled in, and the decisions. Synchronous and without
// allocation where it matters: verdicts are made when the session is, and the last topics are remembered. policy.md R1–R12.

import type { DenyReason } from '../../vocabulary.ts'
import { POLICY_LIMITS } from '../../limits.ts'
import type { SourcePosition } from '../errors.ts'
import { isOwnClientId, type EpochMs } from '../ids.ts'
import { contains, intersects, matches, parseTopicFilter, parseTopicName, type Levels } from '../topic.ts'
import type { CompiledPolicy } from './compile.ts'
import { judgeConditions, STATES_OF_GRANT } from './conditions.ts'
import type { Conditions, ConnectTerms, DenyPattern, DenyRule, GrantRule, OnDeny, PublishGrant, Rate, SubscribeGrant } from './document.ts'
import { resolveParts, resolveTemplate, type Principal, type Resolved, type Template } from './template.ts'

export type { Principal } from './template.ts'

export interface Verdict {
  readonly effect: 'allow' | 'deny'
  readonly reason: DenyReason | 'granted'
  /** The rule that decided, and where its pattern stands. */
  readonly rule?: string
  readonly at?: SourcePosition
  readonly bindings: Readonly<Record<string, string>>
  readonly generation: number
  /** Of a subscription: what SUBACK grants. */
  readonly grantedQos?: 0 | 1 | 2
  /** Of a denied publish. */
  readonly onDeny?: OnDeny
}

export interface Unresolved {
  readonly rule: string
  readonly variable: string
  readonly effect: 'grant-absent' | 'deny-widened'
}

export interface Grants {
  readonly generation: number
  /** No grant names this device: it may not even connect. */
  readonly empty: boolean
  readonly sessionsMax?: number
  readonly sessionExpirySecondsMax?: number
  /** Conditions of time change what is granted, at this instant at the earliest: then these grants are to be made again. */
  readonly until?: EpochMs
  /** R3: what could not be filled in, for the audit. */
  readonly unresolved: readonly Unresolved[]
  connect(clientId: string): Verdict
  publish(topic: string, qos: 0 | 1 | 2, retain: boolean, bytes: number): Verdict
  subscribe(filter: string, qos: 0 | 1 | 2): Verdict
  will(topic: string, qos: 0 | 1 | 2, retain: boolean, bytes: number): Verdict
  /** R6: some grant admits this topic, and no rule forbids its delivery. */
  mayReceive(topic: string): boolean
}

/** How much a device has used of its rates, all of its sessions together. */
export interface RateMeter {
  /** Takes one message of the pattern with this key, unless its rate is used up. */
  take(key: string, rate: Rate): boolean
}

type Qos = 0 | 1 | 2

/** A pattern of a rule, resolved for one session, with the verdicts it can give. */
interface SendPattern {
  readonly levels: Levels
  readonly grant: PublishGrant
  readonly allowed: Verdict
  readonly overQos: Verdict
  readonly overRetain: Verdict
  readonly overSize: Verdict
  readonly overRate: Verdict
  /** Which of the device's buckets it draws on. */
  readonly rateKey: string
}

interface ReadPattern {
  readonly levels: Levels
  readonly grant: SubscribeGrant
  /** By the QoS asked for. */
  readonly allowed: readonly [Verdict, Verdict, Verdict]
  readonly notShared: Verdict
}

interface Forbidden {
  readonly levels: Levels
  readonly denied: Verdict
}

/** What a topic means to a session: remembered, so that a repeated topic costs one look-up. */
interface TopicMeaning {
  readonly final?: Verdict
  readonly candidates: readonly SendPattern[]
}

/** Without a meter, every rate has room: for whoever asks and does not publish. */
export function grantsFor(policy: CompiledPolicy, principal: Principal, meter?: RateMeter): Grants {
  const { device, ca } = principal
  const { generation } = policy
  const unresolved: Unresolved[] = []
  let until: EpochMs | undefined

  /** What cannot be known keeps no grant away, and adds no denial: it was judged when it was known. */
  function applies({ when }: { readonly when?: Conditions }, ofUnknown: boolean): boolean {
    if (when === undefined) return true
    const judged = judgeConditions(when, principal)
    if (judged.until !== undefined) until = Math.min(until ?? judged.until, judged.until)
    return judged.holds === 'unknown' ? ofUnknown : judged.holds === 'yes'
  }
  const isMeant = ({ when }: GrantRule): boolean => when?.states !== undefined || STATES_OF_GRANT.some((state) => state === device.state)
  const rules = policy.grantsOf(device, ca).filter((rule) => isMeant(rule) && applies(rule, true))
  const denies = policy.deniesOf(device, ca).filter((rule) => applies(rule, false))

  const verdict = (effect: Verdict['effect'], reason: Verdict['reason'], more: Partial<Verdict> = {}): Verdict => ({ effect, reason, bindings: {}, generation, ...more })
  const refusal = (reason: DenyReason, more: Partial<Verdict> = {}): Verdict => verdict('deny', reason, { onDeny: policy.onDeny, ...more })

  function resolved(rule: GrantRule | DenyRule, template: Template, effect: Unresolved['effect']): Resolved | undefined {
    return resolveTemplate(template, principal, (variable) => {
      unresolved.push({ rule: rule.id, variable, effect })
      return effect === 'deny-widened' ? '+' : undefined
    })
  }

  function sendPattern(rule: GrantRule, grant: PublishGrant): SendPattern[] {
    const known = resolved(rule, grant.topic, 'grant-absent')
    if (known === undefined) return []
    const where = { rule: rule.id, at: grant.at, bindings: known.bindings }
    return [{
      levels: known.levels, grant,
      allowed: verdict('allow', 'granted', where),
      overQos: refusal('publish-qos', where),
      overRetain: refusal('publish-retain', where),
      overSize: refusal('publish-size', where),
      overRate: refusal('publish-rate', where),
      rateKey: `${rule.id} ${grant.topic.text}`,
    }]
  }

  function readPattern(rule: GrantRule, grant: SubscribeGrant): ReadPattern[] {
    const known = resolved(rule, grant.topic, 'grant-absent')
    if (known === undefined) return []
    const granting = (asked: Qos): Verdict => verdict('allow', 'granted', { rule: rule.id, at: grant.at, bindings: known.bindings, grantedQos: asked < grant.qos ? asked : grant.qos })
    return [{ levels: known.levels, grant, allowed: [granting(0), granting(1), granting(2)], notShared: refusal('share-not-granted', { rule: rule.id, at: grant.at, bindings: known.bindings }) }]
  }

  function forbidden(rule: DenyRule, patterns: readonly DenyPattern[], reason: DenyReason): Forbidden[] {
    return patterns.flatMap((pattern) => {
      const known = resolved(rule, pattern.topic, 'deny-widened')
      if (known === undefined) return []
      const onDeny = rule.onDeny ?? policy.onDeny
      return [{ levels: known.levels, denied: refusal(reason, { rule: rule.id, at: pattern.at, bindings: known.bindings, onDeny }) }]
    })
  }

  const publishes = rules.flatMap((rule) => rule.publish.flatMap((grant) => sendPattern(rule, grant)))
  const wills = rules.flatMap((rule) => rule.will.flatMap((grant) => sendPattern(rule, grant)))
  const reads = rules.flatMap((rule) => rule.subscribe.flatMap((grant) => readPattern(rule, grant)))
  const noPublish = denies.flatMap((rule) => forbidden(rule, rule.publish, 'publish-denied'))
  const noSubscribe = denies.flatMap((rule) => forbidden(rule, rule.subscribe, 'subscribe-denied'))
  const noReceive = [...noSubscribe, ...denies.flatMap((rule) => forbidden(rule, rule.receive, 'receive-denied'))]
  const clientIds = connectRules(rules, principal, unresolved)
  const sessionsMax = smallest(rules.map((r) => r.connect.sessionsMax))
  const sessionExpirySecondsMax = smallest(rules.map((r) => r.connect.sessionExpirySecondsMax))

  const connectAllowed = verdict('allow', 'granted')
  const notGranted = refusal('publish-not-granted')
  const willNotGranted = refusal('will-not-granted')
  const filterNotGranted = refusal('subscribe-not-granted')
  const meanings = { publish: new Map<string, TopicMeaning>(), will: new Map<string, TopicMeaning>() }
  const receivable = new Map<string, boolean>()

  /** Deny wins, whatever the order (R2); then the grants whose pattern matches. */
  function meaningOf(topic: string, patterns: readonly SendPattern[], known: Map<string, TopicMeaning>, willTopic: boolean): TopicMeaning {
    const before = known.get(topic)
    if (before !== undefined) return before
    const name = parseTopicName(topic)
    let meaning: TopicMeaning
    if (!name.allow) meaning = { final: refusal(willTopic ? 'will-invalid' : name.reason), candidates: [] }
    else {
      const { levels } = name.value
      const denied = noPublish.find((d) => matches(d.levels, levels))
      meaning = denied === undefined ? { candidates: unlimitedFirst(patterns.filter((p) => matches(p.levels, levels))) } : { final: denied.denied, candidates: [] }
    }
    // What is no topic is told again as quickly, and may be as long as a packet: remembering it would cost memory.
    if (name.allow) remember(known, topic, meaning)
    return meaning
  }

  function judgeSend(meaning: TopicMeaning, qos: Qos, retain: boolean, bytes: number, none: Verdict): Verdict {
    if (meaning.final !== undefined) return meaning.final
    let nearest = none
    for (const { grant, allowed, overQos, overRetain, overSize, overRate, rateKey } of meaning.candidates) {
      if (qos > grant.qos) nearest = overQos
      else if (retain && !grant.retain) nearest = overRetain
      else if (bytes > grant.bytesMax) nearest = overSize
      else if (grant.rate !== undefined && meter?.take(rateKey, grant.rate) === false) nearest = overRate
      else return allowed
    }
    return nearest
  }

  return {
    generation,
    empty: rules.length === 0,
    unresolved,
    ...(until === undefined ? {} : { until }),
    ...(sessionsMax === undefined ? {} : { sessionsMax }),
    ...(sessionExpirySecondsMax === undefined ? {} : { sessionExpirySecondsMax }),

    connect(clientId) {
      const failing = clientIds.find((rule) => !rule.admits(clientId))
      return failing === undefined ? connectAllowed : refusal('client-id-mismatch', failing.where)
    },

    publish(topic, qos, retain, bytes) {
      return judgeSend(meaningOf(topic, publishes, meanings.publish, false), qos, retain, bytes, notGranted)
    },

    will(topic, qos, retain, bytes) {
      return judgeSend(meaningOf(topic, wills, meanings.will, true), qos, retain, bytes, willNotGranted)
    },

    subscribe(text, qos) {
      const filter = parseTopicFilter(text)
      if (!filter.allow) return refusal(filter.reason)
      const { levels, share } = filter.value
      const denied = noSubscribe.find((d) => contains(d.levels, levels)) ?? (policy.strictDeny ? noReceive.find((d) => intersects(d.levels, levels)) : undefined)
      if (denied !== undefined) return denied.denied
      // Of several grants the one with the highest QoS, so that the order in which they stand does not matter.
      let grant: ReadPattern | undefined
      let unshared: ReadPattern | undefined
      for (const r of reads) {
        if (grant !== undefined && grant.grant.qos >= r.grant.qos) continue
        if (!ADMITS[r.grant.wildcard](r.levels, levels)) continue
        if (share === undefined || admitsShare(r.grant, share)) grant = r
        else unshared = r
      }
      if (grant !== undefined) return grant.allowed[qos]
      // Of the share name nothing is said before the inner filter is granted: the answer must not tell which exist for others.
      return unshared?.notShared ?? filterNotGranted
    },

    mayReceive(topic) {
      const before = receivable.get(topic)
      if (before !== undefined) return before
      const name = parseTopicName(topic)
      if (!name.allow) return false
      const may = reads.some((r) => matches(r.levels, name.value.levels)) && !noReceive.some((d) => matches(d.levels, name.value.levels))
      remember(receivable, topic, may)
      return may
    },
  }
}

/** Where a grant without a rate allows a message, no rate is used up for it, whatever the order of rules. */
function unlimitedFirst(patterns: readonly SendPattern[]): readonly SendPattern[] {
  return patterns.some(({ grant }) => grant.rate !== undefined) ? patterns.toSorted((a, b) => Number(a.grant.rate !== undefined) - Number(b.grant.rate !== undefined)) : patterns
}

/** Keeps a bounded memory: the topic that came first is forgotten first. */
function remember<T>(known: Map<string, T>, topic: string, meaning: T): void {
  if (known.size >= POLICY_LIMITS.decisionCacheMax) {
    const oldest = known.keys().next()
    if (oldest.done !== true) known.delete(oldest.value)
  }
  known.set(topic, meaning)
}

/** R5: which filters a grant admits. */
const ADMITS: Readonly<Record<SubscribeGrant['wildcard'], (granted: Levels, filter: Levels) => boolean>> = {
  contain: contains,
  forbid: (granted, filter) => !hasWildcard(filter) && contains(granted, filter),
  filter: intersects,
}

function hasWildcard(levels: Levels): boolean {
  return levels.includes('+') || levels.includes('#')
}

function admitsShare({ share }: SubscribeGrant, name: string): boolean {
  return share.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern))
}

function smallest(values: readonly (number | undefined)[]): number | undefined {
  const said = values.filter((v) => v !== undefined)
  return said.length === 0 ? undefined : Math.min(...said)
}

interface ClientIdRule {
  readonly where: Partial<Verdict>
  admits(clientId: string): boolean
}

/** `connect` narrows: every rule that speaks of client ids must admit it. Without any, R9's default rule holds. */
function connectRules(rules: readonly GrantRule[], principal: Principal, unresolved: Unresolved[]): readonly ClientIdRule[] {
  const speaking = rules.filter((rule) => rule.connect.clientIds !== undefined)
  if (speaking.length === 0) {
    return [{ where: {}, admits: (clientId) => isOwnClientId(principal.device.id, clientId) }]
  }
  return speaking.map((rule) => {
    const patterns = resolveClientIds(rule, rule.connect, principal, unresolved)
    return { where: { rule: rule.id, at: rule.at }, admits: (clientId) => patterns.some((p) => (p.prefix ? clientId.startsWith(p.text) : clientId === p.text)) }
  })
}

function resolveClientIds(rule: GrantRule, connect: ConnectTerms, principal: Principal, unresolved: Unresolved[]): readonly { readonly text: string; readonly prefix: boolean }[] {
  return (connect.clientIds ?? []).flatMap(({ parts, prefix }) => {
    const text = resolveParts(parts, principal, {})
    if (typeof text === 'string') return [{ text, prefix }]
    unresolved.push({ rule: rule.id, variable: text.unresolved, effect: 'grant-absent' })
    return []
  })
}
