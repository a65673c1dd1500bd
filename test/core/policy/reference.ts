// A second evaluator of the grants language, written from policy.md and its manual alone and as plainly as possible: no
// compiling, no caches of decisions, no sharing of code with src. It reads the policy as the plain data that stands in the
// file, and answers with what is allowed, why not, and which rules may be named for it. Where it and src disagree, one of
// them has read policy.md wrongly.

import { applies, type RefSituation, type RefWhen } from './reference-when.ts'

export interface RefTopic {
  readonly topic: string
  readonly qos?: number
  readonly retain?: boolean
  readonly maxBytes?: number
  readonly wildcard?: 'contain' | 'forbid' | 'filter'
  readonly share?: readonly string[]
  readonly rate?: string
  readonly burst?: number
}
export type RefTarget =
  | 'any' | { readonly group: string } | { readonly device: string } | { readonly ca: string } | { readonly tenant: string }
  | { readonly attr: Readonly<Record<string, string | readonly string[]>> }
interface RefBody {
  readonly connect?: { readonly clientId?: readonly string[]; readonly sessions?: number }
  readonly publish?: readonly (string | RefTopic)[]
  readonly subscribe?: readonly (string | RefTopic)[]
  readonly will?: readonly (string | RefTopic)[]
}
export interface RefGrant extends RefBody {
  readonly id: string
  readonly to: RefTarget
  readonly when?: RefWhen
}
export interface RefDeny {
  readonly id: string
  readonly to: RefTarget
  readonly when?: RefWhen
  readonly onDeny?: 'drop' | 'disconnect'
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
  readonly receive?: readonly string[]
}
export interface RefPolicy {
  readonly version: 1
  readonly onDeny?: 'drop' | 'disconnect'
  readonly strictDeny?: boolean
  readonly groups?: Readonly<Record<string, readonly string[]>>
  readonly grants: readonly RefGrant[]
  readonly deny: readonly RefDeny[]
  readonly quarantine?: RefBody
}

/** Somebody: what the registry, the certificate, the connection and the CONNECT say. Names of a subject by short name. */
export interface RefPrincipal extends RefSituation {
  readonly id: string
  readonly tenant: string
  readonly groups: readonly string[]
  readonly attributes: readonly (readonly [string, string])[]
  readonly ca: string
  readonly clientId: string
  readonly subject: readonly (readonly [string, string])[]
  readonly dns: readonly string[]
  readonly uris: readonly string[]
}

export type RefAsk =
  | { readonly kind: 'connect'; readonly clientId: string }
  | { readonly kind: 'publish' | 'will'; readonly topic: string; readonly qos: number; readonly retain: boolean; readonly bytes: number }
  | { readonly kind: 'subscribe'; readonly filter: string; readonly qos: number }
  | { readonly kind: 'receive'; readonly topic: string }

export interface RefAnswer {
  readonly allow: boolean
  /** Of what is denied, where it is told. */
  readonly reason?: string
  /** Rules that may be named: those that allow, or those that deny; empty where none decided. */
  readonly rules: readonly string[]
  readonly grantedQos?: number
  /** Of a denied publish or Will, by each of the rules that may be named; under '' where none decided. */
  readonly onDeny?: Readonly<Record<string, 'drop' | 'disconnect'>>
}

/** How many messages the lines with a rate have let through: a line lets as many through as its burst, and no time passes here. */
export type RefUsed = Map<string, number>

const NO: RefAnswer = { allow: false, rules: [] }
const no = (reason: string, rules: readonly string[] = []): RefAnswer => ({ allow: false, reason, rules })

export function judge(policy: RefPolicy, who: RefPrincipal, ask: RefAsk, used: RefUsed = new Map()): RefAnswer {
  const quarantine: RefGrant[] = policy.quarantine === undefined ? [] : [{ id: 'quarantine', to: 'any', when: { state: 'quarantined' }, ...policy.quarantine }]
  const groups = allGroups(policy.groups ?? {}, who.groups)
  // What is not known keeps a grant, and adds no denial. A grant that says no state is for active devices.
  const grants = [...policy.grants, ...quarantine].filter((g) => concerns(g.to, who, groups) && applies({ state: 'active', ...g.when }, who) !== false)
  const denies = policy.deny.filter((d) => concerns(d.to, who, groups) && applies(d.when ?? {}, who) === true)
  switch (ask.kind) {
    case 'connect':
      return judgeConnect(grants, who, ask.clientId)
    case 'publish':
    case 'will':
      return judgeSend(policy, grants, denies, who, ask, used)
    case 'subscribe':
      return judgeSubscribe(policy, grants, denies, who, ask.filter, ask.qos)
    case 'receive': {
      if (!isTopic(ask.topic)) return NO
      const admitted = grants.some((g) => (g.subscribe ?? []).some((s) => isIn(ask.topic, inAllow(topicOf(s), who))))
      // R5 and R6: a deny for subscribing that only overlaps a filter narrows what is delivered, as one for receiving does.
      const denied = denies.some((d) => [...(d.receive ?? []), ...(d.subscribe ?? [])].some((p) => isIn(ask.topic, inDeny(p, who))))
      return { allow: admitted && !denied, rules: [] }
    }
  }
}

/** Its own, and every group that contains one that it is in, until no more are found. */
function allGroups(containment: Readonly<Record<string, readonly string[]>>, direct: readonly string[]): readonly string[] {
  const more = Object.entries(containment).filter(([outer, inner]) => !direct.includes(outer) && inner.some((one) => direct.includes(one))).map(([outer]) => outer)
  return more.length === 0 ? direct : allGroups(containment, [...direct, ...more])
}

function concerns(to: RefTarget, who: RefPrincipal, groups: readonly string[]): boolean {
  if (to === 'any') return true
  if ('group' in to) return groups.includes(to.group)
  if ('device' in to) return who.id === to.device
  if ('tenant' in to) return who.tenant === to.tenant
  if ('ca' in to) return who.ca === to.ca
  return Object.entries(to.attr).every(([name, values]) => who.attributes.some(([k, v]) => k === name && (typeof values === 'string' ? v === values : values.includes(v))))
}

/** R1 and R9. */
function judgeConnect(grants: readonly RefGrant[], who: RefPrincipal, clientId: string): RefAnswer {
  if (grants.length === 0) return NO
  const speaking = grants.filter((g) => g.connect?.clientId !== undefined)
  if (speaking.length === 0) return isOwn(who, clientId) ? { allow: true, rules: [] } : NO
  const narrow = speaking.filter((g) => !(g.connect?.clientId ?? []).some((pattern) => {
    const any = pattern.endsWith('*')
    const text = fillLevel(any ? pattern.slice(0, -1) : pattern, who)
    return text !== undefined && (any ? clientId.slice(0, text.length) === text : clientId === text)
  }))
  return { allow: narrow.length === 0, rules: narrow.map((g) => g.id) }
}

function isOwn(who: RefPrincipal, clientId: string): boolean {
  const [first, ...rest] = clientId.split(':')
  return first === who.id && (rest.length === 0 || rest.join(':') !== '')
}

type Line = ReturnType<typeof full> & { readonly id: string }

/** R2, R4, R8, R11. */
function judgeSend(policy: RefPolicy, grants: readonly RefGrant[], denies: readonly RefDeny[], who: RefPrincipal, ask: Extract<RefAsk, { kind: 'publish' | 'will' }>, used: RefUsed): RefAnswer {
  const byDefault = policy.onDeny ?? 'drop'
  const isWill = ask.kind === 'will'
  if (!isTopic(ask.topic)) return { ...no(isWill ? 'will-invalid' : isText(ask.topic) && !/[+#]/.test(ask.topic) ? 'topic-reserved' : 'topic-invalid'), onDeny: { '': byDefault } }
  const denying = denies.filter((d) => (d.publish ?? []).some((p) => isIn(ask.topic, inDeny(p, who))))
  if (denying.length > 0) return { ...no('publish-denied', denying.map((d) => d.id)), onDeny: Object.fromEntries(denying.map((d) => [d.id, d.onDeny ?? byDefault])) }
  const matching: readonly Line[] = grants.flatMap((g) => ((isWill ? g.will : g.publish) ?? []).map((p) => ({ id: g.id, ...full(p, isWill) }))).filter((p) => isIn(ask.topic, inAllow(p.topic, who)))
  const fitting = matching.filter((p) => termThatRefuses(p, ask) === undefined)
  const free = fitting.filter((p) => p.rate === undefined)
  if (free.length > 0) return { allow: true, rules: free.map((p) => p.id) }
  // The lowest rate is used first; of equals the smaller burst, and then the first by name.
  const [next] = fitting.filter((p) => (used.get(nameOf(p)) ?? 0) < burstOf(p)).toSorted((a, b) => perHour(a) - perHour(b) || burstOf(a) - burstOf(b) || (nameOf(a) < nameOf(b) ? -1 : 1))
  if (next !== undefined) {
    used.set(nameOf(next), (used.get(nameOf(next)) ?? 0) + 1)
    return { allow: true, rules: [next.id] }
  }
  // That which came nearest to allowing it says why not.
  const refusals = matching.map((p) => ({ id: p.id, reason: termThatRefuses(p, ask) ?? 'publish-rate' }))
  const reason = ['publish-rate', 'publish-size', 'publish-retain', 'publish-qos'].find((r) => refusals.some((refusal) => refusal.reason === r))
  const rules = refusals.filter((refusal) => refusal.reason === reason).map((refusal) => refusal.id)
  return { ...no(reason ?? (isWill ? 'will-not-granted' : 'publish-not-granted'), rules), onDeny: Object.fromEntries(['', ...rules].map((id) => [id, byDefault])) }
}

function termThatRefuses(p: Line, { qos, retain, bytes }: Extract<RefAsk, { kind: 'publish' | 'will' }>): string | undefined {
  if (qos > p.qos) return 'publish-qos'
  if (retain && !p.retain) return 'publish-retain'
  return bytes > p.maxBytes ? 'publish-size' : undefined
}

const nameOf = ({ id, topic, qos, retain, maxBytes, rate, burst }: Line): string => [id, topic, qos, retain, maxBytes, rate, burst].join(' ')
const burstOf = ({ rate = '', burst }: Line): number => burst ?? Number(rate.split('/')[0])
const perHour = ({ rate = '' }: Line): number => Number(rate.split('/')[0]) * (rate.endsWith('/s') ? 3_600 : rate.endsWith('/m') ? 60 : 1)

/** R5. */
function judgeSubscribe(policy: RefPolicy, grants: readonly RefGrant[], denies: readonly RefDeny[], who: RefPrincipal, filter: string, qos: number): RefAnswer {
  const inner = innerFilter(filter)
  if (inner === undefined) return no('filter-invalid')
  const by = (patternsOf: (d: RefDeny) => readonly string[] | undefined, holds: (pattern: string, asked: string) => boolean): readonly string[] =>
    denies.filter((d) => (patternsOf(d) ?? []).some((p) => holds(inDeny(p, who), inner))).map((d) => d.id)
  const denying = by((d) => d.subscribe, contains)
  if (denying.length > 0) return no('subscribe-denied', denying)
  if (policy.strictDeny === true) {
    const [overlapping, withheld] = [by((d) => d.subscribe, overlaps), by((d) => d.receive, overlaps)]
    if (overlapping.length > 0) return no('subscribe-denied', overlapping)
    if (withheld.length > 0) return no('receive-denied', withheld)
  }
  const shareName = inner === filter ? undefined : (filter.split('/')[1] ?? '')
  const admitting = grants.flatMap((g) => (g.subscribe ?? []).map((s) => ({ id: g.id, ...full(s, false) }))).filter((s) => {
    const pattern = inAllow(s.topic, who)
    if (pattern === undefined) return false
    if (s.wildcard === 'filter') return overlaps(pattern, inner)
    return s.wildcard === 'forbid' ? !/[+#]/.test(inner) && isIn(inner, pattern) : contains(pattern, inner)
  })
  const allowing = admitting.filter((s) => shareName === undefined || s.share.some((one) => (one.at(-1) === '*' ? shareName.startsWith(one.slice(0, -1)) : one === shareName)))
  if (allowing.length === 0) return admitting.length === 0 ? no('subscribe-not-granted') : no('share-not-granted', admitting.map((s) => s.id))
  const highest = Math.max(...allowing.map((s) => s.qos))
  return { allow: true, rules: allowing.filter((s) => s.qos === highest).map((s) => s.id), grantedQos: Math.min(qos, highest) }
}

const topicOf = (p: string | RefTopic): string => (typeof p === 'string' ? p : p.topic)

function full(p: string | RefTopic, retainByDefault: boolean): { topic: string; qos: number; retain: boolean; maxBytes: number; wildcard: string; share: readonly string[]; rate?: string; burst?: number } {
  return { qos: 2, retain: retainByDefault, maxBytes: Number.POSITIVE_INFINITY, wildcard: 'contain', share: [], ...(typeof p === 'string' ? { topic: p } : p) }
}

// R3. A pattern with its variables filled in, as text; undefined when it cannot be.

function inAllow(pattern: string, who: RefPrincipal): string | undefined {
  const levels = pattern.split('/').map((level) => fillLevel(level, who))
  if (levels.includes(undefined) || levels[0]?.startsWith('$') === true) return undefined
  return levels.join('/')
}

function inDeny(pattern: string, who: RefPrincipal): string {
  return pattern.split('/').map((level, i) => {
    const text = fillLevel(level, who)
    return text === undefined || (i === 0 && text.startsWith('$')) ? '+' : text
  }).join('/')
}

function fillLevel(level: string, who: RefPrincipal): string | undefined {
  let out = ''
  let rest = level
  while (rest !== '') {
    if (rest.startsWith('$${')) {
      out += '${'
      rest = rest.slice(3)
    } else if (rest.startsWith('${')) {
      const end = rest.indexOf('}')
      const values = valuesOf(rest.slice(2, end), who)
      const [value] = values
      if (values.length !== 1 || value === undefined || !isUsable(value)) return undefined
      out += value
      rest = rest.slice(end + 1)
    } else {
      out += rest[0]
      rest = rest.slice(1)
    }
  }
  return out
}

function isUsable(value: string): boolean {
  if (value === '' || Buffer.byteLength(value) > 128 || value !== value.normalize('NFC')) return false
  for (const c of value) {
    const code = c.codePointAt(0) ?? 0
    if ('/+#'.includes(c) || code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code < 0xe000)) return false
    // What is no character is not UTF-8 text either.
    if (code === 0xfffd || (code & 0xfffe) === 0xfffe || (code >= 0xfdd0 && code <= 0xfdef)) return false
  }
  return true
}

function valuesOf(name: string, who: RefPrincipal): readonly string[] {
  const [, family = name, index] = /^(.*?)(?:\[(\d+)\])?$/.exec(name) ?? []
  const pick = (all: readonly string[]): readonly string[] => (index === undefined ? all : all.slice(Number(index), Number(index) + 1))
  if (name === 'device.id') return [who.id]
  if (name === 'device.tenant') return [who.tenant]
  if (name === 'device.group') return who.groups
  // What a peer merely says cannot widen anything: a client id that may be somebody else's fills in nothing.
  if (name === 'clientId') return isOwn(who, who.clientId) ? [who.clientId] : []
  if (name.startsWith('device.attr.')) return who.attributes.filter(([k]) => k === name.slice(12)).map(([, v]) => v)
  if (name.startsWith('cert.subject.')) return who.subject.filter(([k]) => k === name.slice(13)).map(([, v]) => v)
  if (family === 'cert.san.dns') return pick(who.dns)
  if (family === 'cert.san.uri') return pick(who.uris)
  if (family === 'spiffe.path') {
    const paths = who.uris.filter((u) => u.startsWith('spiffe://') && u.slice(9).includes('/')).map((u) => u.slice(9).split('/').slice(1))
    return paths.length === 1 ? pick(paths[0] ?? []) : []
  }
  throw new Error(`the reference has no variable ${name}`)
}

// Topics and filters, by MQTT 5 §4.7.

const isText = (text: string): boolean => text !== '' && Buffer.byteLength(text) <= 512 && text.split('/').length <= 64 && !text.includes('\0') && !text.includes('\uFFFD')

function isTopic(text: string): boolean {
  return isText(text) && !text.includes('+') && !text.includes('#') && !text.startsWith('$')
}

/** The filter itself, or what is inside $share/NAME/; undefined when it is no filter. */
function innerFilter(text: string): string | undefined {
  if (!isText(text)) return undefined
  let inner = text
  if (text.startsWith('$share/')) {
    const [, share = '', ...rest] = text.split('/')
    inner = rest.join('/')
    if (share === '' || /[+#]/.test(share) || inner === '') return undefined
  }
  const levels = inner.split('/')
  const good = levels.every((l, i) => l === '+' || (l === '#' && i === levels.length - 1) || !/[+#]/.test(l))
  return good ? inner : undefined
}

/** T ∈ L(F), as a regular expression over the whole topic. */
function isIn(topic: string, filter: string | undefined): boolean {
  if (filter === undefined || (/^[+#]/.test(filter) && topic.startsWith('$'))) return false
  if (filter === '#') return true
  const levels = filter.split('/')
  const deep = levels.at(-1) === '#'
  const pattern = (deep ? levels.slice(0, -1) : levels).map((l) => (l === '+' ? '[^/]*' : l.replaceAll(/[.*?^${}()|[\]\\]/g, '\\$&'))).join('/')
  return new RegExp(`^${pattern}${deep ? '(/.*)?' : ''}$`, 's').test(topic)
}

/** contains(A, F), line by line as policy.md has it. */
function contains(pattern: string, filter: string): boolean {
  const a = pattern.split('/')
  const f = filter.split('/')
  if ((a[0] ?? '').startsWith('$') !== (f[0] ?? '').startsWith('$')) return false
  const from = (i: number): boolean => {
    if (i === a.length) return i === f.length
    if (a[i] === '#') return true
    if (i === f.length) return false // a[i..] = ['#'] has been answered above
    if (f[i] === '#') return false
    if (f[i] === '+' && a[i] !== '+') return false
    if (a[i] !== '+' && a[i] !== f[i]) return false
    return from(i + 1)
  }
  return from(0)
}

/** L(A) and L(F) have a topic in common: one that is made of both, a literal level wherever one of them has it, is it or there is none. */
function overlaps(pattern: string, filter: string): boolean {
  const [a, f] = [pattern.split('/'), filter.split('/')]
  const [deepA, deepF] = [a.at(-1) === '#', f.at(-1) === '#']
  const [headA, headF] = [deepA ? a.slice(0, -1) : a, deepF ? f.slice(0, -1) : f]
  const made = Array.from({ length: Math.max(headA.length, headF.length, 1) }, (_, i) => [headA[i], headF[i]].find((level) => level !== undefined && level !== '+') ?? 'x').join('/')
  return isIn(made, pattern) && isIn(made, filter)
}
