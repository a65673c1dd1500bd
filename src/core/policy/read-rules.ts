// Reads what stands in the sections of a policy, one by one: rules, whom they are for, groups, and what is said of the
// certificates of other CAs. read-document.ts puts them together.

import { BROKER_LIMITS, POLICY_LIMITS, REGISTRY_LIMITS } from '../../limits.ts'
import { parseAttributes } from '../device.ts'
import type { SourcePosition } from '../errors.ts'
import { parseCaName, parseDeviceId, parseGroupName, parseTenantId, printable } from '../ids.ts'
import type { MapEntry, SourceNode, TreeReader } from '../source-tree.ts'
import { CONNECT_KEYS, DENY_KEYS, GRANT_KEYS, IDENTITY_KEYS, NOT_IN_A_DENY, NOT_IN_A_GRANT, NOT_IN_QUARANTINE, QUARANTINE_KEYS, TARGET_KEYS } from './keys.ts'
import { ON_DENY, type AttributeQuery, type ConnectTerms, type DenyRule, type GrantRule, type GroupRule, type IdentityRule, type Target } from './document.ts'
import { ConditionsReader, type ConditionTools } from './read-conditions.ts'
import { TopicReader } from './read-topics.ts'
import type { Parts } from './template.ts'

export interface DocumentTools extends ConditionTools {
  /** Compiles a pattern of linear-time syntax that must match a whole text, or says what is wrong with it. */
  pattern(text: string): ((value: string) => boolean) | string
}

/** Where a certificate is all that there is, these are the variables that can be known. */
const OF_CERTIFICATE = /^(?:cert|san|spiffe)\./

export class RuleReader {
  readonly #reader: TreeReader
  readonly #tools: DocumentTools
  readonly #topics: TopicReader
  readonly #conditions: ConditionsReader
  /** What may be said once, and where it was: by kind and name. */
  readonly #taken = new Map<string, SourcePosition>()

  constructor(reader: TreeReader, tools: DocumentTools) {
    this.#reader = reader
    this.#tools = tools
    this.#topics = new TopicReader(reader)
    this.#conditions = new ConditionsReader(reader, tools)
  }

  /** False, and reported, when `name` of this kind was taken before. */
  #take(kind: string, name: string, at: SourcePosition, message: (first: SourcePosition) => string, fix: string): boolean {
    const key = `${kind}/${name}`
    const first = this.#taken.get(key)
    if (first !== undefined) this.#reader.report(at, message(first), fix)
    else this.#taken.set(key, at)
    return first === undefined
  }

  group(entry: MapEntry): GroupRule | undefined {
    const { key, keyAt } = entry
    const group = parseGroupName(key)
    if (!group.allow) return this.#reader.report(keyAt, `"${printable(key)}" is not a valid name of a group.`, NAMES)
    if (!this.#take('group', key, keyAt, (first) => `the group "${key}" is described already, in ${placeOf(first)}.`, 'Describe it once, with all that it contains.')) return undefined
    const contains = this.#topics.each(entry, `the group ${key}`, (node) => this.#name(node, 'a group', parseGroupName))
    return { group: group.value, contains: [...new Set(contains)], at: keyAt }
  }

  identity(node: SourceNode): IdentityRule | undefined {
    const map = this.#reader.map(node, 'an identity rule', IDENTITY_KEYS)
    if (map === undefined) return undefined
    const ca = this.#named(map.get('ca'), node, 'ca', parseCaName)
    const device = map.get('device')
    const parts = device === undefined ? this.#reader.report(node.at, 'the identity rule does not say where the device id comes from.', 'Add, for example, device: "${cert.subject.CN}".') : this.#certificateParts(device.value, 'device')
    if (ca !== undefined) this.#take('ca', ca, map.get('ca')?.value.at ?? node.at, (first) => `the CA "${ca}" has an identity rule already, in ${placeOf(first)}.`, 'One rule for each CA: the order of rules must not matter.')
    const pattern = map.get('idPattern')
    const ids = pattern === undefined ? { idPattern: undefined, idMatches: () => true } : this.#pattern(pattern.value)
    const register = map.get('register')
    const rule = {
      groups: this.#topics.each(map.get('groups'), 'groups', (g) => this.#certificateParts(g, 'a group')),
      register: (register && this.#reader.oneOf(register.value, 'register', ['known', 'auto'])) ?? 'known',
    } as const
    return ca === undefined || parts === undefined || ids === undefined ? undefined : { ca, at: node.at, device: parts, ...ids, ...rule }
  }

  #pattern(node: SourceNode): Pick<IdentityRule, 'idPattern' | 'idMatches'> | undefined {
    const text = this.#reader.string(node, 'idPattern')
    if (text === undefined) return undefined
    const compiled = this.#tools.pattern(text)
    return typeof compiled === 'string' ? this.#reader.report(node.at, `idPattern cannot be used: ${printable(compiled, POLICY_LIMITS.problemCharsMax)}.`, 'It is RE2 syntax: no look-around and no back references.') : { idPattern: text, idMatches: compiled }
  }

  grant(node: SourceNode): GrantRule | undefined {
    const map = this.#reader.map(node, 'a grant', GRANT_KEYS, NOT_IN_A_GRANT)
    if (map === undefined) return undefined
    const id = this.#id(map.get('id'), node)
    const to = this.#target(map.get('to'), node)
    const when = this.#when(map)
    const rule = this.#body(map)
    return id === undefined || to === undefined ? undefined : { id, at: node.at, to, ...when, ...rule }
  }

  #body(map: ReadonlyMap<string, MapEntry>): Pick<GrantRule, 'connect' | 'publish' | 'subscribe' | 'will'> {
    const connect = map.get('connect')
    return {
      connect: connect === undefined ? {} : this.#connect(connect.value),
      publish: this.#topics.each(map.get('publish'), 'publish', (n) => this.#topics.publish(n)),
      subscribe: this.#topics.each(map.get('subscribe'), 'subscribe', (n) => this.#topics.subscribe(n)),
      will: this.#topics.each(map.get('will'), 'will', (n) => this.#topics.will(n)),
    }
  }

  /** Short for a grant to everybody who is quarantined. */
  quarantine(entry: MapEntry | undefined): GrantRule | undefined {
    if (entry === undefined) return undefined
    const map = this.#reader.map(entry.value, 'quarantine', QUARANTINE_KEYS, NOT_IN_QUARANTINE)
    const isFirst = this.#take('section', 'quarantine', entry.keyAt, (first) => `quarantine is said already, in ${placeOf(first)}.`, 'Say it once; a grant with the condition state: quarantined may say more.')
    return map && isFirst && this.#take('rule', 'quarantine', entry.keyAt, (first) => `quarantine is a rule id, too, and taken by ${placeOf(first)}.`, 'Give that rule another id.') ? { id: 'quarantine', at: entry.keyAt, to: { kind: 'any' }, when: { at: entry.keyAt, states: ['quarantined'] }, ...this.#body(map) } : undefined
  }

  deny(node: SourceNode): DenyRule | undefined {
    const map = this.#reader.map(node, 'a deny rule', DENY_KEYS, NOT_IN_A_DENY)
    if (map === undefined) return undefined
    const id = this.#id(map.get('id'), node)
    const to = this.#target(map.get('to'), node)
    const when = this.#when(map)
    const onDeny = map.get('onDeny')
    const said = onDeny && this.#reader.oneOf(onDeny.value, 'onDeny', ON_DENY)
    const denied = (n: SourceNode) => this.#topics.denied(n)
    const rule = {
      publish: this.#topics.each(map.get('publish'), 'publish', denied),
      subscribe: this.#topics.each(map.get('subscribe'), 'subscribe', denied),
      receive: this.#topics.each(map.get('receive'), 'receive', denied),
      ...(said === undefined ? {} : { onDeny: said }),
    }
    return id === undefined || to === undefined ? undefined : { id, at: node.at, to, ...when, ...rule }
  }

  #when(map: ReadonlyMap<string, MapEntry>): Pick<GrantRule, 'when'> {
    const entry = map.get('when')
    const when = entry && this.#conditions.conditions(entry)
    return when === undefined ? {} : { when }
  }

  #connect(node: SourceNode): ConnectTerms {
    const map = this.#reader.map(node, 'connect', CONNECT_KEYS)
    const clientIds = map?.get('clientId')
    const sessions = map?.get('sessions')
    const expiry = map?.get('sessionExpiryMax')
    const sessionsMax = sessions && this.#reader.integer(sessions.value, 'sessions', 1, BROKER_LIMITS.sessionsPerDeviceMax)
    const expiryMs = expiry && this.#reader.duration(expiry.value, 'sessionExpiryMax')
    return {
      ...(clientIds === undefined ? {} : { clientIds: this.#topics.each(clientIds, 'clientId', (n) => this.#clientId(n)) }),
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
    const parts = this.#topics.parts(stem, node.at, 'a client id pattern')
    return parts && { parts, prefix }
  }

  #id(entry: MapEntry | undefined, node: SourceNode): string | undefined {
    if (entry === undefined) return this.#reader.report(node.at, 'the rule has no id.', 'Add an id: explanations and the audit log name it.')
    const text = this.#reader.string(entry.value, 'id')
    if (text === undefined) return undefined
    if (!parseGroupName(text).allow) return this.#reader.report(entry.value.at, 'a rule id is 1 to 64 of A-Z a-z 0-9 _ . - and begins with a letter or digit.')
    return this.#take('rule', text, entry.value.at, (first) => `the rule id "${text}" is taken, by ${placeOf(first)}.`, 'Give every rule an id of its own.') ? text : undefined
  }

  #target(entry: MapEntry | undefined, node: SourceNode): Target | undefined {
    if (entry === undefined) return this.#reader.report(node.at, 'the rule does not say whom it is for.', 'Add, for example: to: { group: sensors }')
    if (entry.value.kind === 'scalar') return this.#reader.oneOf(entry.value, 'to', ['any']) && { kind: 'any' }
    const map = this.#reader.map(entry.value, 'to', TARGET_KEYS)
    if (map === undefined) return undefined
    // Of one that is none of these a word has been said already.
    if (map.size !== 1 && entry.value.kind === 'map' && entry.value.entries.length > map.size) return undefined
    if (map.size !== 1) return this.#reader.report(entry.value.at, 'to must name exactly one of group, device, ca, tenant or attr.', 'Everybody is written: to: any')
    const attr = map.get('attr')
    if (attr !== undefined) return this.#attributes(attr)
    const [group, device, ca, tenant] = [
      this.#named(map.get('group'), undefined, 'group', parseGroupName),
      this.#named(map.get('device'), undefined, 'device', parseDeviceId),
      this.#named(map.get('ca'), undefined, 'ca', parseCaName),
      this.#named(map.get('tenant'), undefined, 'tenant', parseTenantId),
    ]
    if (group !== undefined) return { kind: 'group', group }
    if (device !== undefined) return { kind: 'device', device }
    if (tenant !== undefined) return { kind: 'tenant', tenant }
    return ca === undefined ? undefined : { kind: 'ca', ca }
  }

  /** { model: X1, site: [north, south] }: all of them, each with one of its values. */
  #attributes({ value }: MapEntry): Target | undefined {
    if (value.kind !== 'map' || value.entries.length === 0) return this.#reader.report(value.at, 'attr must say which attributes a device has.', 'Write: to: { attr: { model: X1, site: [north, south] } }')
    if (value.entries.length > REGISTRY_LIMITS.attributesPerDeviceMax) return this.#reader.report(value.at, `attr names more than ${REGISTRY_LIMITS.attributesPerDeviceMax} attributes, which no device has.`)
    const all: AttributeQuery[] = []
    for (const { key, keyAt, value: wanted } of value.entries) {
      const nodes = wanted.kind === 'scalar' ? [wanted] : this.#reader.list(wanted, printable(key)) ?? []
      const values = nodes.slice(0, POLICY_LIMITS.valuesMax).flatMap((node) => this.#reader.string(node, `the attribute ${printable(key)}`) ?? [])
      const bad = values.map((text) => parseAttributes([[key, text]])).find((parsed) => !parsed.allow)
      if (wanted.kind === 'list' && nodes.length === 0) this.#reader.report(wanted.at, `attr: no value is given for "${printable(key)}".`)
      else if (nodes.length > POLICY_LIMITS.valuesMax) this.#reader.report(wanted.at, `attr: "${printable(key)}" has more than ${POLICY_LIMITS.valuesMax} values.`)
      else if (bad !== undefined && !bad.allow) this.#reader.report(keyAt, `attr: no device can have this attribute: ${bad.detail ?? 'invalid'}.`, 'Attribute names are letters, digits and _; values have no / + # and no control characters.')
      else if (values.length > 0) all.push({ name: key, values: [...new Set(values)] })
    }
    return all.length === value.entries.length ? { kind: 'attributes', all } : undefined
  }

  #named<T>(entry: MapEntry | undefined, owner: SourceNode | undefined, what: string, parse: NameParser<T>): T | undefined {
    if (entry === undefined) return owner === undefined ? undefined : this.#reader.report(owner.at, `${what} is missing.`)
    return this.#name(entry.value, what, parse)
  }

  #name<T>(node: SourceNode, what: string, parse: NameParser<T>): T | undefined {
    const text = this.#reader.string(node, what)
    if (text === undefined) return undefined
    const parsed = parse(text)
    return parsed.allow ? parsed.value : this.#reader.report(node.at, `${what} must be a name, not "${printable(text)}".`, NAMES)
  }

  /** Text that is filled in before there is a device. */
  #certificateParts(node: SourceNode, what: string): Parts | undefined {
    const text = this.#reader.string(node, what)
    const parts = text === undefined ? undefined : this.#topics.parts(text, node.at, what)
    const early = parts?.find((p) => 'variable' in p && !OF_CERTIFICATE.test(p.variable))
    if (early === undefined || !('variable' in early)) return parts
    return this.#reader.report(node.at, `${what}: \${${early.variable}} is not known yet: the certificate is read to find the device.`, 'Use a variable of the certificate, such as ${cert.subject.CN}.')
  }
}

type NameParser<T> = (text: string) => { readonly allow: boolean; readonly value?: T }

const NAMES = 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.'

/** The id of a rule, where it says one that can be told. */
export function idOf(node: SourceNode): string | undefined {
  const id = node.kind === 'map' ? node.entries.find(({ key }) => key === 'id')?.value : undefined
  return id?.kind === 'scalar' && parseGroupName(id.text).allow ? id.text : undefined
}

export const placeOf = ({ file, line }: SourcePosition): string => `${file}:${line}`
