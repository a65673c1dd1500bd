// An EMQX acl.conf → a draft of a policy. There the first rule that matches decides; here a deny wins and order means nothing.
// So each deny is laid against the rules behind it: those that it swallows are dropped, those that it only limits are limited,
// and it becomes a deny of the policy only where it takes a part of them. Where that takes something from a rule before it,
// too, it is said.

import type { SourcePosition } from '../errors.ts'
import { printable } from '../ids.ts'
import { Findings, RuleIds, tooMany, type Draft, type DraftDeny, type DraftGrant, type FindingKind, type Importing } from './import-draft.ts'
import { emqxLevels } from './import-emqx-topics.ts'
import { mayOverlap, surelyContains, withoutHashFilters, type PatternLevels } from './import-patterns.ts'
import { readEmqxAcl, type EmqxClient, type EmqxRule, type EmqxTools, type EmqxTopic } from './read-emqx-acl.ts'

const DIRECTIONS = ['publish', 'subscribe'] as const
type Direction = (typeof DIRECTIONS)[number]
type Qos = 0 | 1 | 2

interface Atom {
  readonly order: number
  readonly rule: EmqxRule
  readonly client: EmqxClient
  readonly topic: EmqxTopic
  readonly levels: PatternLevels
}

/** What a rule allows one client on one pattern, as far as it is left. */
interface Allow extends Atom {
  readonly qos: Qos
  readonly retain: boolean
}

interface Deny extends Atom {
  readonly qos: readonly number[]
  readonly retain: boolean | 'all'
  /** It is for more clients, or more topics, than the original says. */
  readonly isWidened: boolean
}

export function importEmqx(file: string, text: string, tools: EmqxTools): Importing {
  const { rules, problems } = readEmqxAcl(file, text, tools)
  const atoms = (effect: EmqxRule['effect']): number => rules.reduce((sum, rule) => sum + (rule.effect === effect ? rule.clients.length * rule.topics.length : 0), 0)
  const excess = tooMany(file, [atoms('allow'), atoms('deny') + 1])
  if (excess !== undefined) return { problems: [excess] }
  return problems.length > 0 ? { problems } : { draft: new EmqxImport(file, rules).draft() }
}

class EmqxImport {
  readonly #findings = new Findings()
  readonly #ids = new RuleIds()
  readonly #rules: readonly EmqxRule[]
  readonly #file: string

  constructor(file: string, rules: readonly EmqxRule[]) {
    this.#rules = rules
    this.#file = file
  }

  draft(): Draft {
    this.#judgeEnd()
    for (const rule of this.#rules) this.#judgeClients(rule)
    const settled = { publish: this.#settle('publish'), subscribe: this.#settle('subscribe') }
    return { grants: this.#grants(settled.publish.allows, settled.subscribe.allows), deny: this.#denies(settled.publish.denies, settled.subscribe.denies), findings: this.#findings.sorted }
  }

  #find(kind: FindingKind, { text }: Pick<EmqxRule, 'text'>, at: SourcePosition, why: string): void {
    this.#findings.add({ at, kind, original: text, why })
  }

  /** Behind the last rule authorization.no_match decides, which allows when the configuration does not say. */
  #judgeEnd(): void {
    const last = this.#rules.at(-1)
    const isFull = this.#rules.some((rule) => rule.clients.some(isEverybody) && DIRECTIONS.every((direction) => isUnlimited(rule[direction])) && rule.topics.some(({ text, exactly }) => text === '#' && !exactly))
    if (!isFull) this.#find('narrowed', last ?? { text: '' }, last?.at ?? { file: this.#file, line: 1, column: 1 }, 'what no rule matches is up to authorization.no_match, which is allow unless the configuration says deny; here it is denied. If it is deny, end the file with {deny, all}.')
  }

  #judgeClients(rule: EmqxRule): void {
    const loss = rule.effect === 'allow' ? 'left-out' : 'narrowed'
    for (const { unsaid, nobody, byClientId, device } of rule.clients) {
      if (nobody !== undefined) this.#find(rule.effect === 'allow' ? 'left-out' : 'remark', rule, rule.at, `${nobody}.`)
      else if (unsaid.length > 0) this.#find(loss, rule, rule.at, `${unsaid.join('; ')}${rule.effect === 'allow' ? '.' : ': here more clients are denied.'}`)
      else if (byClientId && rule.effect === 'allow') this.#find('narrowed', rule, rule.at, `a client id is one of its device: ${device} may now connect with this one alone. To be free of that, write {username, "${device}"}.`)
      else if (byClientId) this.#find('narrowed', rule, rule.at, `a client id is one of its device: ${device} is denied it with every client id.`)
    }
  }

  #settle(direction: Direction): { readonly allows: readonly Allow[]; readonly denies: readonly Deny[] } {
    let allows = this.#rules.flatMap((rule, order) => this.#allowsOf(rule, order, direction))
    const denies: Deny[] = []
    for (const deny of this.#rules.flatMap((rule, order) => this.#deniesOf(rule, order, direction))) {
      const met = allows.filter((allow) => allow.order > deny.order && mayMeet(allow, deny))
      if (met.length === 0) continue
      const left = new Map(met.map((allow) => [allow, this.#against(allow, deny, direction)]))
      allows = allows.flatMap((allow) => left.get(allow) ?? [allow])
      if (isLimit(deny, direction) || isOneFilter(deny, direction)) continue
      const partly = allows.filter((allow) => allow.order > deny.order && mayMeet(allow, deny))
      if (partly.length > 0 && this.#takesEffect(deny, allows, direction)) denies.push(deny)
    }
    return { allows, denies }
  }

  #allowsOf(rule: EmqxRule, order: number, direction: Direction): readonly Allow[] {
    const limits = rule[direction]
    if (rule.effect !== 'allow' || limits === undefined) return []
    // QoS here is "at most": what may be sent with 1 alone cannot be said.
    const qos = ([2, 1, 0] as const).find((max) => [0, 1, 2].every((each) => each > max || limits.qos.includes(each)))
    const retain = 'retain' in limits ? limits.retain : 'all'
    if (qos === undefined || retain === true) {
      this.#find('left-out', rule, rule.at, qos === undefined ? 'a grant allows a QoS and those below it, and this rule not the lowest.' : 'a grant that allows retained messages allows others, too.')
      return []
    }
    if (limits.qos.some((each) => each > qos)) this.#find('narrowed', rule, rule.at, `a grant allows a QoS and those below it: here at most ${qos}.`)
    return this.#atoms(rule, order, direction).map(({ atom }) => {
      const { levels, topic } = atom
      const hole = direction === 'subscribe' ? hashForPlus(levels) : undefined
      if (hole !== undefined) this.#find('narrowed', rule, topic.at, `EMQX takes ${[...hole, '#'].join('/')} for a filter within ${topic.text}; here it is none.`)
      return { ...atom, qos, retain: retain === 'all' }
    })
  }

  #deniesOf(rule: EmqxRule, order: number, direction: Direction): readonly Deny[] {
    const limits = rule[direction]
    if (rule.effect !== 'deny' || limits === undefined) return []
    return this.#atoms(rule, order, direction).map(({ atom, isWidened }) => ({ ...atom, qos: limits.qos, retain: 'retain' in limits ? limits.retain : 'all', isWidened: isWidened || atom.client.unsaid.length > 0 }))
  }

  /** One for each client and topic of a rule that can be said. */
  #atoms(rule: EmqxRule, order: number, direction: Direction): readonly { readonly atom: Atom; readonly isWidened: boolean }[] {
    const clients = rule.clients.filter(({ nobody, unsaid }) => nobody === undefined && (rule.effect === 'deny' || unsaid.length === 0))
    if (clients.length === 0) return []
    return rule.topics.flatMap((topic) => {
      const said = emqxLevels(topic, rule.effect, direction)
      if (said.finding !== undefined) this.#find(said.finding.kind, rule, topic.at, `${printable(topic.text)}: ${said.finding.why}`)
      const { levels } = said
      return levels === undefined ? [] : clients.map((client) => ({ atom: { order, rule, client, topic, levels }, isWidened: said.finding?.kind === 'narrowed' }))
    })
  }

  /** What a deny before it leaves of a grant, apart from topics, which a deny of the policy takes. */
  #against(allow: Allow, deny: Deny, direction: Direction): readonly Allow[] {
    const isFor = forAll(deny.client, allow.client)
    if (isOneFilter(deny, direction)) return direction === 'publish' ? [allow] : this.#withoutFilter(allow, deny, deny.levels.slice(0, -1), isFor && !isLimit(deny, direction))
    const swallows = isFor && surelyContains(deny.levels, allow.levels)
    if (isLimit(deny, direction)) return this.#limited(allow, deny, direction, swallows)
    if (swallows) {
      if (deny.isWidened) this.#find('left-out', allow.rule, allow.topic.at, `line ${deny.rule.at.line} denies it to some before it is asked, and whom cannot be said.`)
      else this.#find('remark', allow.rule, allow.topic.at, `${printable(allow.topic.text)}: line ${deny.rule.at.line} denies all of it before it is asked.`)
      return []
    }
    const hole = direction === 'subscribe' && !deny.topic.exactly ? hashForPlus(deny.levels) : undefined
    return hole === undefined ? [allow] : this.#withoutFilter(allow, deny, hole, isFor)
  }

  #withoutFilter(allow: Allow, deny: Deny, prefix: PatternLevels, isFor: boolean): readonly Allow[] {
    const { patterns, exact } = withoutHashFilters(allow.levels, prefix, deny.topic.exactly)
    if (!exact || (patterns[0] !== allow.levels && !isFor)) {
      this.#find('narrowed', allow.rule, allow.topic.at, `line ${deny.rule.at.line} denies ${printable([...prefix, '#'].join('/'))} as a filter: here other filters of ${printable(allow.topic.text)} that end in "#" are refused, too.`)
    }
    return patterns.map((levels) => ({ ...allow, levels }))
  }

  /** A deny of some QoS, or of retained messages, makes grants smaller: a deny of the policy would take all of them. */
  #limited(allow: Allow, deny: Deny, direction: Direction, swallows: boolean): readonly Allow[] {
    const met = deny.qos.filter((qos) => qos <= allow.qos)
    if (met.length === 0 || (deny.retain === true && !allow.retain)) return [allow]
    const onlyRetained = direction === 'publish' && deny.retain === true
    const qos = Math.min(...met) - 1
    const isExact = swallows && !deny.isWidened && (onlyRetained ? met.length === allow.qos + 1 : met.length === allow.qos - qos && (deny.retain === 'all' || !allow.retain))
    if (!isExact) this.#find('narrowed', allow.rule, allow.topic.at, `${printable(allow.topic.text)}: line ${deny.rule.at.line} denies some of its messages; here it allows ${onlyRetained ? 'no retained ones' : qos < 0 ? 'none' : `QoS ${qos} at most`}.`)
    if (onlyRetained) return [{ ...allow, retain: false }]
    return qos < 0 ? [] : [{ ...allow, qos: qos === 0 ? 0 : 1 }]
  }

  /** Tells what a deny of the policy takes that the original does not; false when it has no effect there. */
  #takesEffect(deny: Deny, allows: readonly Allow[], direction: Direction): boolean {
    const before = allows.filter((allow) => allow.order < deny.order && mayMeet(allow, deny))
    const answered = before.find((allow) => allow.qos === 2 && (direction === 'subscribe' || allow.retain) && forAll(allow.client, deny.client) && surelyContains(allow.levels, deny.levels) && allow.client.unsaid.length === 0)
    // "a/+" before "a/#" is no reason to leave the deny of a/+ out: what it contains here is less than EMQX lets through.
    if (answered !== undefined && !deny.isWidened) {
      this.#find('remark', deny.rule, deny.topic.at, `${printable(deny.topic.text)}: line ${answered.rule.at.line} allows all of it before this is asked. It is not in the policy.`)
      return false
    }
    for (const allow of before) this.#find('narrowed', deny.rule, deny.topic.at, `${printable(deny.topic.text)}: line ${allow.rule.at.line} allows a part of it before this is asked; here a deny wins.`)
    if (direction === 'subscribe') this.#find('narrowed', deny.rule, deny.topic.at, `${printable(deny.topic.text)}: EMQX refuses the filter and delivers its topics by a wider one; here they are not delivered.`)
    return true
  }

  #grants(publish: readonly Allow[], subscribe: readonly Allow[]): readonly DraftGrant[] {
    return grouped(publish, subscribe).map(({ rule, client, sent, read }) => {
      const sends = sent.map(({ levels, topic, qos, retain }) => ({ topic: levels.join('/'), qos: limitOf(qos), retain, from: fromOf(rule, topic) }))
      const reads = read.map(({ levels, topic, qos }) => ({ topic: levels.join('/'), qos: limitOf(qos), share: ['*'], from: fromOf(rule, topic) }))
      return { ...this.#head(rule, client), ...(client.byClientId ? { clientIds: ['${device.id}'] } : {}), publish: sends, will: sends, subscribe: reads }
    })
  }

  #denies(publish: readonly Deny[], subscribe: readonly Deny[]): readonly DraftDeny[] {
    return grouped(publish, subscribe).map(({ rule, client, sent, read }) => {
      const topics = (denies: readonly Deny[]) => denies.map(({ levels, topic }) => ({ topic: levels.join('/'), from: fromOf(rule, topic) }))
      return { ...this.#head(rule, client), publish: topics(sent), subscribe: topics(read), receive: [] }
    })
  }

  #head({ at }: EmqxRule, { device, source }: EmqxClient): Pick<DraftGrant, 'id' | 'to' | 'source'> {
    return { id: this.#ids.make(`line-${at.line}`), to: device === undefined ? 'any' : { device }, source }
  }
}

interface Group<A extends Atom> {
  readonly rule: EmqxRule
  readonly client: EmqxClient
  readonly sent: A[]
  readonly read: A[]
}

/** By rule and client, in the order of the file. */
function grouped<A extends Atom>(publish: readonly A[], subscribe: readonly A[]): readonly Group<A>[] {
  const groups = new Map<EmqxRule, Map<EmqxClient, Group<A>>>()
  const groupOf = ({ rule, client }: Atom): Group<A> => {
    const ofRule = groups.get(rule) ?? new Map<EmqxClient, Group<A>>()
    const group = ofRule.get(client) ?? { rule, client, sent: [], read: [] }
    groups.set(rule, ofRule.set(client, group))
    return group
  }
  for (const atom of publish) groupOf(atom).sent.push(atom)
  for (const atom of subscribe) groupOf(atom).read.push(atom)
  return [...groups.values()].flatMap((ofRule) => [...ofRule.values()]).toSorted((a, b) => a.rule.at.line - b.rule.at.line || a.rule.at.column - b.rule.at.column)
}

const fromOf = ({ at }: EmqxRule, { text, exactly }: EmqxTopic): string => `line ${at.line}: ${exactly ? `{eq, "${text}"}` : text}`
const limitOf = (qos: Qos): 0 | 1 | undefined => (qos === 2 ? undefined : qos)

const isEverybody = ({ device, source, unsaid, nobody }: EmqxClient): boolean => device === undefined && source === undefined && unsaid.length === 0 && nobody === undefined

function isUnlimited(limits: { readonly qos: readonly number[]; readonly retain?: boolean | 'all' } | undefined): boolean {
  return limits !== undefined && [0, 1, 2].every((qos) => limits.qos.includes(qos)) && (limits.retain ?? 'all') === 'all'
}

/** It denies some QoS alone, or some messages by their retain flag. */
const isLimit = (deny: Deny, direction: Direction): boolean => !isUnlimited({ qos: deny.qos, retain: direction === 'publish' ? deny.retain : 'all' })

/** {eq, "a/#"}: a filter and not what is within it. Of messages it denies none. */
const isOneFilter = ({ topic, levels }: Deny, direction: Direction): boolean => topic.exactly && (levels.at(-1) === '#' || (direction === 'publish' && levels.includes('+')))

/** Word by word, "#" is taken by a "+": to EMQX a/# is within a/+ and within a/+/#. What is before it; undefined where there is no such filter. */
function hashForPlus(levels: PatternLevels): PatternLevels | undefined {
  const stem = levels.at(-1) === '#' ? levels.slice(0, -1) : levels
  return stem.at(-1) === '+' ? stem.slice(0, -1) : undefined
}

const mayMeet = (a: Atom, b: Atom): boolean => (a.client.device === undefined || b.client.device === undefined || a.client.device === b.client.device) && mayOverlap(a.levels, b.levels)

/** Whoever is `inner` is `outer`. */
function forAll(outer: EmqxClient, inner: EmqxClient): boolean {
  return (outer.device === undefined || outer.device === inner.device)
    && (!outer.byClientId || inner.byClientId)
    && (outer.source === undefined || (inner.source?.every((network) => outer.source?.includes(network)) ?? false))
}
