// The policy language as a document: every key that the grammar has, read strictly from a tree with positions. What is
// wrong is reported with its place and a suggestion, all of a file at once; what the grammar knows and this version does
// not enforce is refused, never ignored.

import { BROKER_LIMITS, POLICY_LIMITS } from '../../limits.ts'
import type { SourcePosition } from '../errors.ts'
import { parseCaName, parseDeviceId, parseGroupName, printable, type CaName, type DeviceId, type GroupName } from '../ids.ts'
import { TreeReader, type MapEntry, type Problem, type SourceNode } from '../source-tree.ts'
import { parseTopicFilter } from '../topic.ts'
import { RESERVED_ROOT_PREFIX } from '../../vocabulary.ts'
import { parseParts, type Parts, type Template, type TemplateLevel } from './template.ts'

/** Whom a rule is for. */
export type Target =
  | { readonly kind: 'any' }
  | { readonly kind: 'group'; readonly group: GroupName }
  | { readonly kind: 'device'; readonly device: DeviceId }
  | { readonly kind: 'ca'; readonly ca: CaName }

export type OnDeny = 'drop' | 'disconnect'

export interface PublishGrant {
  readonly topic: Template
  /** The highest QoS; 2 when the policy does not say. */
  readonly qos: 0 | 1 | 2
  /** Retained messages are allowed: false for publish and true for a Will when the policy does not say. */
  readonly retain: boolean
  /** The largest payload; no limit beyond the packet's when the policy does not say. */
  readonly bytesMax: number
  readonly at: SourcePosition
}

export interface SubscribeGrant {
  readonly topic: Template
  readonly qos: 0 | 1 | 2
  /** contain: the grant must contain the filter. forbid: the filter must have no wildcard and match the grant. */
  readonly wildcard: 'contain' | 'forbid'
  /** Names that it may be shared under, a last "*" for anything; none when the policy does not say. */
  readonly share: readonly string[]
  readonly at: SourcePosition
}

export interface ConnectTerms {
  /** A pattern is text with variables; a last "*" stands for anything. Undefined: the default rule. */
  readonly clientIds?: readonly { readonly parts: Parts; readonly prefix: boolean }[]
  readonly sessionsMax?: number
  readonly sessionExpirySecondsMax?: number
}

export interface GrantRule {
  readonly id: string
  readonly at: SourcePosition
  readonly to: Target
  readonly connect: ConnectTerms
  readonly publish: readonly PublishGrant[]
  readonly subscribe: readonly SubscribeGrant[]
  readonly will: readonly PublishGrant[]
}

export interface DenyPattern {
  readonly topic: Template
  readonly at: SourcePosition
}

export interface DenyRule {
  readonly id: string
  readonly at: SourcePosition
  readonly to: Target
  readonly publish: readonly DenyPattern[]
  readonly subscribe: readonly DenyPattern[]
  readonly receive: readonly DenyPattern[]
  readonly onDeny?: OnDeny
}

export interface IdentityRule {
  readonly ca: CaName
  readonly at: SourcePosition
  readonly device: Parts
  readonly idMatches: (id: string) => boolean
  readonly groups: readonly Parts[]
  readonly register: 'known' | 'auto'
}

export interface PolicyDocument {
  readonly identity: readonly IdentityRule[]
  readonly grants: readonly GrantRule[]
  readonly deny: readonly DenyRule[]
  readonly onDeny: OnDeny
}

export interface DocumentTools {
  /** Compiles a pattern of linear-time syntax that must match a whole text, or says what is wrong with it. */
  pattern(text: string): ((value: string) => boolean) | string
}

/** Where a certificate is all that there is, these are the variables that can be known. */
const OF_CERTIFICATE = /^(?:cert|san|spiffe)\./
const TOPIC_KEYS_REFUSED = { rate: 'rates per rule come with a later version.' }
const GRANT_KEYS_REFUSED = { when: 'conditions come with a later version.', share: 'it stands with a topic: subscribe: [ { topic: a, share: [g] } ].', retained: 'the default, hide, holds.', willOnKick: 'a kick always suppresses the Will.' }

/** Reads a document. When there are problems there is no document. */
export function parsePolicyDocument(tree: SourceNode, tools: DocumentTools): { readonly document?: PolicyDocument; readonly problems: readonly Problem[] } {
  const reader = new TreeReader()
  const document = new DocumentReader(reader, tools).document(tree)
  return document === undefined || reader.problems.length > 0 ? { problems: reader.problems } : { document, problems: [] }
}

class DocumentReader {
  readonly #reader: TreeReader
  readonly #tools: DocumentTools
  readonly #ids = new Map<string, SourcePosition>()
  readonly #cas = new Map<CaName, SourcePosition>()

  constructor(reader: TreeReader, tools: DocumentTools) {
    this.#reader = reader
    this.#tools = tools
  }

  document(tree: SourceNode): PolicyDocument | undefined {
    const top = this.#reader.map(tree, 'the policy', ['version', 'identity', 'grants', 'deny', 'onDeny'], {
      strictDeny: 'the default holds: a deny that only overlaps a filter narrows what is delivered.',
      quarantine: 'quarantine comes with a later version.',
    })
    if (top === undefined) return undefined
    const version = top.get('version')
    if (version === undefined) this.#reader.report(tree.at, 'the policy has no version.', 'Begin the file with: version: 1')
    else this.#reader.integer(version.value, 'version', 1, 1)
    const onDeny = top.get('onDeny')
    return {
      identity: this.#each(top.get('identity'), 'identity', (node) => this.#identity(node)),
      grants: this.#each(top.get('grants'), 'grants', (node) => this.#grant(node)),
      deny: this.#each(top.get('deny'), 'deny', (node) => this.#deny(node)),
      onDeny: (onDeny && this.#reader.oneOf(onDeny.value, 'onDeny', ['drop', 'disconnect'])) ?? 'drop',
    }
  }

  #each<T>(entry: MapEntry | undefined, what: string, read: (node: SourceNode) => T | undefined): readonly T[] {
    if (entry === undefined || (entry.value.kind === 'scalar' && entry.value.value === null)) return []
    const items = this.#reader.list(entry.value, what) ?? []
    if (items.length > POLICY_LIMITS.rulesMax) {
      this.#reader.report(entry.keyAt, `${what} has more than ${POLICY_LIMITS.rulesMax} entries.`)
      return []
    }
    // What is read may be a list itself (parts of a text), so it is wrapped, not flattened.
    return items.flatMap((node) => {
      const value = read(node)
      return value === undefined ? [] : [value]
    })
  }

  #identity(node: SourceNode): IdentityRule | undefined {
    const map = this.#reader.map(node, 'an identity rule', ['ca', 'device', 'idPattern', 'groups', 'register'])
    if (map === undefined) return undefined
    const ca = this.#named(map.get('ca'), node, 'ca', parseCaName)
    const device = map.get('device')
    const parts = device === undefined ? this.#reader.report(node.at, 'the identity rule does not say where the device id comes from.', 'Add: device: "${cert.subject.CN}"') : this.#certificateParts(device.value, 'device')
    const first = ca && this.#cas.get(ca)
    if (first !== undefined) this.#reader.report(map.get('ca')?.value.at ?? node.at, `the CA "${ca}" has an identity rule already, in line ${first.line}.`, 'One rule for each CA: the order of rules must not matter.')
    else if (ca !== undefined) this.#cas.set(ca, node.at)
    const pattern = map.get('idPattern')
    const idMatches = pattern === undefined ? () => true : this.#pattern(pattern.value)
    const register = map.get('register')
    const rule = {
      groups: this.#each(map.get('groups'), 'groups', (g) => this.#certificateParts(g, 'a group')),
      register: (register && this.#reader.oneOf(register.value, 'register', ['known', 'auto'])) ?? 'known',
    } as const
    return ca === undefined || parts === undefined || idMatches === undefined ? undefined : { ca, at: node.at, device: parts, idMatches, ...rule }
  }

  #pattern(node: SourceNode): ((id: string) => boolean) | undefined {
    const text = this.#reader.string(node, 'idPattern')
    if (text === undefined) return undefined
    const compiled = this.#tools.pattern(text)
    return typeof compiled === 'string' ? this.#reader.report(node.at, `idPattern cannot be used: ${printable(compiled, POLICY_LIMITS.problemCharsMax)}.`, 'It is RE2 syntax: no look-around and no back references.') : compiled
  }

  #grant(node: SourceNode): GrantRule | undefined {
    const map = this.#reader.map(node, 'a grant', ['id', 'to', 'connect', 'publish', 'subscribe', 'will'], GRANT_KEYS_REFUSED)
    if (map === undefined) return undefined
    const id = this.#id(map.get('id'), node)
    const to = this.#target(map.get('to'), node)
    const connect = map.get('connect')
    const rule = {
      connect: connect === undefined ? {} : this.#connect(connect.value),
      publish: this.#patterns(map.get('publish'), 'publish', (n) => this.#publish(n, 'publish', false)),
      subscribe: this.#patterns(map.get('subscribe'), 'subscribe', (n) => this.#subscribe(n)),
      will: this.#patterns(map.get('will'), 'will', (n) => this.#publish(n, 'will', true)),
    }
    return id === undefined || to === undefined ? undefined : { id, at: node.at, to, ...rule }
  }

  #deny(node: SourceNode): DenyRule | undefined {
    const map = this.#reader.map(node, 'a deny rule', ['id', 'to', 'publish', 'subscribe', 'receive', 'onDeny'], { when: 'conditions come with a later version.' })
    if (map === undefined) return undefined
    const id = this.#id(map.get('id'), node)
    const to = this.#target(map.get('to'), node)
    const onDeny = map.get('onDeny')
    const said = onDeny && this.#reader.oneOf(onDeny.value, 'onDeny', ['drop', 'disconnect'])
    const pattern = (n: SourceNode): DenyPattern | undefined => {
      const topic = this.#template(n.kind === 'map' ? this.#reader.map(n, 'a denied topic', ['topic'])?.get('topic')?.value ?? n : n, 'a denied topic')
      return topic && { topic, at: n.at }
    }
    const rule = {
      publish: this.#patterns(map.get('publish'), 'publish', pattern),
      subscribe: this.#patterns(map.get('subscribe'), 'subscribe', pattern),
      receive: this.#patterns(map.get('receive'), 'receive', pattern),
      ...(said === undefined ? {} : { onDeny: said }),
    }
    return id === undefined || to === undefined ? undefined : { id, at: node.at, to, ...rule }
  }

  #patterns<T>(entry: MapEntry | undefined, what: string, read: (node: SourceNode) => T | undefined): readonly T[] {
    const found = this.#each(entry, what, read)
    if (entry !== undefined && found.length > POLICY_LIMITS.patternsPerRuleMax) this.#reader.report(entry.keyAt, `${what} has more than ${POLICY_LIMITS.patternsPerRuleMax} entries.`)
    return found
  }

  #publish(node: SourceNode, what: string, retainByDefault: boolean): PublishGrant | undefined {
    const map = this.#topicMap(node, what, ['topic', 'qos', 'retain', 'maxBytes'])
    if (map === undefined) return undefined
    const topic = this.#template(map.get('topic')?.value ?? node, `the topic of ${what}`)
    const retain = map.get('retain')
    const bytes = map.get('maxBytes')
    return topic && {
      topic, at: node.at,
      qos: this.#qos(map.get('qos')),
      retain: (retain && this.#reader.boolean(retain.value, 'retain')) ?? retainByDefault,
      bytesMax: (bytes && this.#reader.bytes(bytes.value, 'maxBytes')) ?? Number.POSITIVE_INFINITY,
    }
  }

  #subscribe(node: SourceNode): SubscribeGrant | undefined {
    const map = this.#topicMap(node, 'subscribe', ['topic', 'qos', 'wildcard', 'share'])
    if (map === undefined) return undefined
    const topic = this.#template(map.get('topic')?.value ?? node, 'the topic of subscribe')
    const wildcard = map.get('wildcard')
    const mode = wildcard && this.#reader.oneOf(wildcard.value, 'wildcard', ['contain', 'forbid', 'filter'])
    if (wildcard !== undefined && mode === 'filter') this.#reader.report(wildcard.value.at, 'wildcard: filter is not enforced yet.', 'Use contain (the default) or forbid.')
    return topic && { topic, at: node.at, qos: this.#qos(map.get('qos')), wildcard: mode === 'forbid' ? 'forbid' : 'contain', share: this.#each(map.get('share'), 'share', (n) => this.#shareName(n)) }
  }

  #shareName(node: SourceNode): string | undefined {
    const text = this.#reader.string(node, 'a share name')
    return text === undefined || /^[^/+#*]*(?:[^/+#]|\*)$/.test(text) ? text : this.#reader.report(node.at, 'a share name is not empty and has none of / + #; only its last character may be "*".', 'For $share/workers/t/# it is: share: [workers]')
  }

  /** A topic alone is short for {topic: …}. */
  #topicMap(node: SourceNode, what: string, keys: readonly string[]): ReadonlyMap<string, MapEntry> | undefined {
    if (node.kind === 'scalar') return new Map()
    const map = this.#reader.map(node, what, keys, TOPIC_KEYS_REFUSED)
    return map !== undefined && !map.has('topic') ? this.#reader.report(node.at, `${what} has no topic.`, 'Add: topic: "…"') : map
  }

  #qos(entry: MapEntry | undefined): 0 | 1 | 2 {
    const qos = entry && this.#reader.integer(entry.value, 'qos', 0, 2)
    return qos === 0 ? 0 : qos === 1 ? 1 : 2
  }

  #connect(node: SourceNode): ConnectTerms {
    const map = this.#reader.map(node, 'connect', ['clientId', 'sessions', 'sessionExpiryMax'])
    const clientIds = map?.get('clientId')
    const sessions = map?.get('sessions')
    const expiry = map?.get('sessionExpiryMax')
    const sessionsMax = sessions && this.#reader.integer(sessions.value, 'sessions', 1, BROKER_LIMITS.sessionsPerDeviceMax)
    const expiryMs = expiry && this.#reader.duration(expiry.value, 'sessionExpiryMax')
    return {
      ...(clientIds === undefined ? {} : { clientIds: this.#each(clientIds, 'clientId', (n) => this.#clientId(n)) }),
      ...(sessionsMax === undefined ? {} : { sessionsMax }),
      ...(expiryMs === undefined ? {} : { sessionExpirySecondsMax: Math.floor(expiryMs / 1_000) }),
    }
  }

  #clientId(node: SourceNode): { readonly parts: Parts; readonly prefix: boolean } | undefined {
    const text = this.#reader.string(node, 'a client id pattern')
    if (text === undefined) return undefined
    if (text.includes('${clientId}')) return this.#reader.report(node.at, 'a client id cannot be compared with itself.', 'Use "${device.id}".')
    const prefix = text.endsWith('*')
    const stem = prefix ? text.slice(0, -1) : text
    if (stem.includes('*')) return this.#reader.report(node.at, 'only the last character of a client id pattern may be "*".')
    const parts = this.#partsOf(stem, node.at, 'a client id pattern')
    return parts && { parts, prefix }
  }

  #id(entry: MapEntry | undefined, node: SourceNode): string | undefined {
    if (entry === undefined) return this.#reader.report(node.at, 'the rule has no id.', 'Add an id: explanations and the audit log name it.')
    const text = this.#reader.string(entry.value, 'id')
    if (text === undefined) return undefined
    if (!parseGroupName(text).allow) return this.#reader.report(entry.value.at, 'a rule id is 1 to 64 of A-Z a-z 0-9 _ . - and begins with a letter or digit.')
    const first = this.#ids.get(text)
    if (first !== undefined) return this.#reader.report(entry.value.at, `the rule id "${text}" is taken by line ${first.line}.`, 'Give every rule an id of its own.')
    this.#ids.set(text, entry.value.at)
    return text
  }

  #target(entry: MapEntry | undefined, node: SourceNode): Target | undefined {
    if (entry === undefined) return this.#reader.report(node.at, 'the rule does not say whom it is for.', 'Add, for example: to: { group: sensors }')
    if (entry.value.kind === 'scalar') return this.#reader.oneOf(entry.value, 'to', ['any']) && { kind: 'any' }
    const map = this.#reader.map(entry.value, 'to', ['group', 'device', 'ca'], { attr: 'attribute queries come with a later version.' })
    if (map === undefined) return undefined
    if (map.size !== 1) return this.#reader.report(entry.value.at, 'to must name exactly one of group, device or ca.', 'Everybody is written: to: any')
    const [group, device, ca] = [
      this.#named(map.get('group'), undefined, 'group', parseGroupName),
      this.#named(map.get('device'), undefined, 'device', parseDeviceId),
      this.#named(map.get('ca'), undefined, 'ca', parseCaName),
    ]
    if (group !== undefined) return { kind: 'group', group }
    if (device !== undefined) return { kind: 'device', device }
    return ca === undefined ? undefined : { kind: 'ca', ca }
  }

  #named<T>(entry: MapEntry | undefined, owner: SourceNode | undefined, what: string, parse: (text: string) => { readonly allow: boolean; readonly value?: T }): T | undefined {
    if (entry === undefined) return owner === undefined ? undefined : this.#reader.report(owner.at, `${what} is missing.`)
    const text = this.#reader.string(entry.value, what)
    if (text === undefined) return undefined
    const parsed = parse(text)
    return parsed.allow ? parsed.value : this.#reader.report(entry.value.at, `${what} is not a valid name.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
  }

  /** Text that is filled in before there is a device. */
  #certificateParts(node: SourceNode, what: string): Parts | undefined {
    const text = this.#reader.string(node, what)
    const parts = text === undefined ? undefined : this.#partsOf(text, node.at, what)
    const early = parts?.find((p) => 'variable' in p && !OF_CERTIFICATE.test(p.variable))
    if (early === undefined || !('variable' in early)) return parts
    return this.#reader.report(node.at, `${what}: \${${early.variable}} is not known yet: the certificate is read to find the device.`, 'Use a variable of the certificate, such as ${cert.subject.CN}.')
  }

  #partsOf(text: string, at: SourcePosition, what: string): Parts | undefined {
    const parts = parseParts(text)
    return 'problem' in parts ? this.#reader.report(at, `${what}: ${parts.problem}`, parts.fix) : parts
  }

  #template(node: SourceNode, what: string): Template | undefined {
    const text = this.#reader.string(node, what)
    if (text === undefined) return undefined
    const levels: TemplateLevel[] = []
    for (const level of text.split('/')) {
      const parts = level === '+' || level === '#' ? level : this.#partsOf(level, node.at, what)
      if (parts === undefined) return undefined
      levels.push(parts)
    }
    // Each variable fills a part of one level, so any letter may stand for it where the form is checked.
    const form = levels.map((level) => (typeof level === 'string' ? level : level.map((p) => ('literal' in p ? p.literal : 'v')).join(''))).join('/')
    if (form.startsWith(RESERVED_ROOT_PREFIX)) return this.#reader.report(node.at, `${what}: topics that begin with ${RESERVED_ROOT_PREFIX} are reserved.`, 'Choose a root of your own.')
    const filter = parseTopicFilter(form)
    if (!filter.allow) return this.#reader.report(node.at, `${what}: "${printable(text)}" is not a topic filter (${filter.detail ?? 'malformed'}).`, 'A "+" fills a level alone, a "#" is the last level, alone.')
    return { text, levels }
  }
}
