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
import { isBelowDeviceRoot, isOwnFilter, isOwnTopic, judgeOwnPublish, OWN_QOS_MAX } from './own-topics.ts'
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
  /** The same with its reason, and not remembered: for whoever asks. */
  receive(topic: string): Verdict
}

/** How much a device has used of its rates, all of its sessions together. */
export interface RateMeter {
  /** Takes one message of the pattern with this key, unless its rate is used up. */
  take(key: string, rate: Rate): boolean
}

type Qos = 0 | 1 | 2

/** A pattern of a rule, resolved for one session, with the verdict that it gives. */
interface SendPattern {
  readonly levels: Levels
  readonly grant: PublishGrant
  readonly allowed: Verdict & Where
  /** Which of the device's buckets it draws on. */
  readonly rateKey: string
}

interface ReadPattern {
  readonly levels: Levels
  readonly grant: SubscribeGrant
  readonly where: Where
}

/** The rule that a verdict names. */
type Where = Required<Pick<Verdict, 'rule' | 'at' | 'bindings'>>

/** The terms of a grant in the order in which they are looked at: the further a message gets, the nearer it was to being allowed. */
const TERMS = ['publish-qos', 'publish-retain', 'publish-size', 'publish-rate'] as const satisfies readonly DenyReason[]

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

  const refusal = (reason: DenyReason, { bindings = {}, onDeny = policy.onDeny, ...where }: Partial<Verdict> = {}): Verdict => ({ effect: 'deny', reason, ...where, bindings, generation, onDeny })

  function resolved(rule: GrantRule | DenyRule, template: Template, effect: Unresolved['effect']): Resolved | undefined {
    return resolveTemplate(template, principal, (variable) => {
      unresolved.push({ rule: rule.id, variable, effect })
      return effect === 'deny-widened' ? '+' : undefined
    })
  }

  function sendPattern(rule: GrantRule, grant: PublishGrant): SendPattern[] {
    const known = resolved(rule, grant.topic, 'grant-absent')
    if (known === undefined) return []
    const allowed: SendPattern['allowed'] = { effect: 'allow', reason: 'granted', rule: rule.id, at: grant.at, bindings: known.bindings, generation }
    return [{ levels: known.levels, grant, allowed, rateKey: rateKeyOf(rule, grant) }]
  }

  function readPattern(rule: GrantRule, grant: SubscribeGrant): ReadPattern[] {
    const known = resolved(rule, grant.topic, 'grant-absent')
    return known === undefined ? [] : [{ levels: known.levels, grant, where: { rule: rule.id, at: grant.at, bindings: known.bindings } }]
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

  const plainlyAllowed: Verdict = { effect: 'allow', reason: 'granted', bindings: {}, generation }
  const notGranted = refusal('publish-not-granted')
  const willNotGranted = refusal('will-not-granted')
  const filterNotGranted = refusal('subscribe-not-granted')
  const notReceivable = refusal('receive-not-granted')
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
      meaning = denied === undefined ? { candidates: inOrderOfUse(patterns.filter((p) => matches(p.levels, levels))) } : { final: denied.denied, candidates: [] }
    }
    // What is no topic is told again as quickly, and may be as long as a packet: remembering it would cost memory.
    if (name.allow) remember(known, topic, meaning)
    return meaning
  }

  /** The first term of a grant that refuses a message, by its place among the terms; none when it allows it. */
  function refusingTerm({ grant, rateKey }: SendPattern, qos: Qos, retain: boolean, bytes: number): 0 | 1 | 2 | 3 | undefined {
    if (qos > grant.qos) return 0
    if (retain && !grant.retain) return 1
    if (bytes > grant.bytesMax) return 2
    return grant.rate !== undefined && meter?.take(rateKey, grant.rate) === false ? 3 : undefined
  }

  /** Of several refusals the one of the grant that came nearest to allowing it, so that the order of rules does not change the reason. */
  function judgeSend(meaning: TopicMeaning, qos: Qos, retain: boolean, bytes: number, none: Verdict): Verdict {
    if (meaning.final !== undefined) return meaning.final
    let nearest: SendPattern | undefined
    let reached = -1
    for (const pattern of meaning.candidates) {
      const term = refusingTerm(pattern, qos, retain, bytes)
      if (term === undefined) return pattern.allowed
      if (term > reached) [nearest, reached] = [pattern, term]
    }
    const reason = TERMS[reached]
    if (nearest === undefined || reason === undefined) return none
    const { rule, at, bindings } = nearest.allowed
    return { effect: 'deny', reason, rule, at, bindings, generation, onDeny: policy.onDeny }
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
      return failing === undefined ? plainlyAllowed : refusal('client-id-mismatch', failing.where)
    },

    publish(topic, qos, retain, bytes) {
      if (isBelowDeviceRoot(topic)) {
        const own = judgeOwnPublish(device.id, topic, qos, retain, bytes)
        return own === 'granted' ? plainlyAllowed : refusal(own)
      }
      return judgeSend(meaningOf(topic, publishes, meanings.publish, false), qos, retain, bytes, notGranted)
    },

    will(topic, qos, retain, bytes) {
      return judgeSend(meaningOf(topic, wills, meanings.will, true), qos, retain, bytes, willNotGranted)
    },

    subscribe(text, qos) {
      const filter = parseTopicFilter(text)
      if (!filter.allow) return refusal(filter.reason)
      const { levels, share } = filter.value
      if (share === undefined && isOwnFilter(device.id, levels)) return { ...plainlyAllowed, grantedQos: qos < OWN_QOS_MAX ? qos : OWN_QOS_MAX }
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
      if (grant !== undefined) return { effect: 'allow', reason: 'granted', ...grant.where, generation, grantedQos: qos < grant.grant.qos ? qos : grant.grant.qos }
      // Of the share name nothing is said before the inner filter is granted: the answer must not tell which exist for others.
      return unshared === undefined ? filterNotGranted : refusal('share-not-granted', unshared.where)
    },

    receive(topic) {
      if (isOwnTopic(device.id, topic)) return plainlyAllowed
      const name = parseTopicName(topic)
      if (!name.allow) return refusal(name.reason)
      const { levels } = name.value
      const denied = noReceive.find((d) => matches(d.levels, levels))
      if (denied !== undefined) return denied.denied
      const read = reads.find((r) => matches(r.levels, levels))
      if (read === undefined) return notReceivable
      return { effect: 'allow', reason: 'granted', ...read.where, generation }
    },

    mayReceive(topic) {
      if (isOwnTopic(device.id, topic)) return true
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

/** A bucket for each line, named by all that the line says: where it stands, and what stands beside it, does not matter. */
function rateKeyOf({ id }: GrantRule, { topic, qos, retain, bytesMax, rate }: PublishGrant): string {
  return rate === undefined ? '' : `${id} ${topic.text} ${qos} ${retain} ${bytesMax} ${rate.perSecond} ${rate.burst}`
}

/**
 * Where a grant without a rate allows a message, no rate is used up for it; else that of the lowest rate. The order in which
 * they stand must not decide whose bucket is empty for the next message.
 */
function inOrderOfUse(patterns: readonly SendPattern[]): readonly SendPattern[] {
  if (!patterns.some(({ grant }) => grant.rate !== undefined)) return patterns
  const rateOf = ({ grant }: SendPattern): readonly [number, number] => [grant.rate?.perSecond ?? 0, grant.rate?.burst ?? 0]
  return patterns.toSorted((a, b) => {
    const [[rateA, burstA], [rateB, burstB]] = [rateOf(a), rateOf(b)]
    return rateA - rateB || burstA - burstB || (a.rateKey < b.rateKey ? -1 : Number(a.rateKey > b.rateKey))
  })
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
export const ADMITS: Readonly<Record<SubscribeGrant['wildcard'], (granted: Levels, filter: Levels) => boolean>> = {
  contain: contains,
  forbid: (granted, filter) => !hasWildcard(filter) && contains(granted, filter),
  filter: intersects,
}

export function hasWildcard(levels: Levels): boolean {
  return levels.includes('+') || levels.includes('#')
}

export function admitsShare({ share }: SubscribeGrant, name: string): boolean {
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
