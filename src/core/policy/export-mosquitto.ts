// A policy → the ACL file of Mosquitto, as far as that can hold it, and never wider: a right that Mosquitto could not limit as the
// policy does is left out. What is for everybody becomes patterns, what is for some becomes the lines of each user, with the
// denies repeated: there a user's own lines come before every pattern. A device id is the user name.

import type { Device } from '../device.ts'
import { DEFAULT_TENANT } from '../ids.ts'
import type { DenyRule, GrantRule, PolicyDocument, PublishGrant, SubscribeGrant, Target } from './document.ts'
import { aclTopic, deniedTopic } from './export-mosquitto-topics.ts'
import { groupClosure, type GroupClosure } from './groups.ts'
import { Findings, type Finding, type FindingKind } from './import-draft.ts'
import { mayOverlap, surelyContains } from './import-patterns.ts'
import type { SourcePosition } from '../errors.ts'
import type { Template } from './template.ts'

/** What mosquitto.conf says, which holds for every client. */
export interface MosquittoSettings {
  readonly retainAvailable: boolean
  readonly maxQos: 0 | 1 | 2
  /** Of a payload; infinity when it does not say. */
  readonly messageSizeLimit: number
}

export interface MosquittoExport {
  readonly text: string
  readonly findings: readonly Finding[]
}

type Access = 'read' | 'write' | 'deny'

interface Line {
  readonly access: Access
  readonly template: Template
  readonly at: SourcePosition
  readonly rule: GrantRule | DenyRule
}

/** Whose lines are written; `isKnown`: all of it is from the registry, not the id alone. */
interface User {
  readonly device: Device
  readonly isKnown: boolean
}

/** `devices`: all of the registry; undefined where there is none. */
export function exportMosquitto(document: PolicyDocument, devices: readonly Device[] | undefined, settings: MosquittoSettings): MosquittoExport {
  const exporter = new Exporter(document, settings)
  return exporter.export(devices)
}

class Exporter {
  readonly #document: PolicyDocument
  readonly #settings: MosquittoSettings
  readonly #groupsOf: GroupClosure
  readonly #findings = new Findings()

  constructor(document: PolicyDocument, settings: MosquittoSettings) {
    this.#document = document
    this.#settings = settings
    this.#groupsOf = groupClosure(document.groups)
  }

  export(devices: readonly Device[] | undefined): MosquittoExport {
    const allows = this.#document.grants.flatMap((rule) => this.#allows(rule))
    const denies = this.#document.deny.flatMap((rule) => this.#denies(rule))
    this.#judgeAll(allows, denies)
    const forAll = allows.filter(({ template, rule }) => rule.to.kind === 'any' && aclTopic(template) !== undefined)
    const forSome = allows.filter((line) => !forAll.includes(line))
    for (const line of forSome) if (line.rule.to.kind === 'ca') this.#find('left-out', line, 'an ACL file does not know which CA a certificate is of.')
    if (devices === undefined) for (const line of forSome) if (line.rule.to.kind !== 'device' && line.rule.to.kind !== 'ca') this.#find('left-out', line, 'whom it is for, and what its variables are, stands in the registry: export in a home.')
    const users = devices === undefined ? named([...forSome, ...denies]) : devices.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map((device): User => ({ device, isKnown: true }))
    const patterns = [...forAll.map(({ access, template }) => `pattern ${access} ${aclTopic(template) ?? ''}`), ...denies.filter(({ rule }) => isForAll(rule.to, devices)).map((line) => this.#patternDeny(line))]
    const sections = users.flatMap((user) => this.#section(user, forSome, denies))
    return { text: [...inOrder(patterns), ...sections, ''].join('\n'), findings: this.#findings.sorted }
  }

  #find(kind: FindingKind, { template, rule, access, at }: Line, why: string): void {
    this.#findings.add({ at, kind, original: `${rule.id}: ${SAID[access]} ${template.text}`, why })
  }

  #allows(rule: GrantRule): readonly Line[] {
    const { connect, when } = rule
    const grants = [...rule.publish.map((grant) => ({ grant, access: 'write' as const })), ...rule.subscribe.map((grant) => ({ grant, access: 'read' as const }))]
    if (Object.keys(connect).length > 0) this.#findings.add({ at: rule.at, kind: 'left-out', original: `${rule.id}: connect`, why: 'an ACL file says nothing of client ids and sessions.' })
    for (const { topic, at } of rule.will) {
      if (!rule.publish.some((grant) => surelyContains(grant.topic.text.split('/'), topic.text.split('/')))) this.#findings.add({ at, kind: 'left-out', original: `${rule.id}: will ${topic.text}`, why: 'who may leave a Will there may publish there, and this rule grants that to nobody.' })
    }
    const isConditional = when !== undefined && (when.states?.includes('active') !== true || Object.keys(when).some((key) => key !== 'at' && key !== 'states'))
    return grants.flatMap(({ grant, access }) => {
      const why = isConditional ? 'an ACL file has no conditions.' : 'retain' in grant ? this.#whyNotSent(grant) : this.#whyNotRead(grant)
      const line: Line = { access, template: grant.topic, at: grant.at, rule }
      if (why !== undefined) this.#find('left-out', line, why)
      else if (variablesOf(grant.topic).includes('clientId')) this.#find('narrowed', line, 'a client id is no proof there: it is exported for the client id that is the device id.')
      return why === undefined ? [line] : []
    })
  }

  #whyNotSent({ qos, retain, bytesMax, rate }: PublishGrant): string | undefined {
    const { retainAvailable, maxQos, messageSizeLimit } = this.#settings
    if (!retain && retainAvailable) return 'who may write may retain. It is exported with --setting retain_available=false, where mosquitto.conf says so.'
    if (qos < maxQos) return `who may write may with every QoS. It is exported with --setting max_qos=${qos}, where mosquitto.conf says so.`
    if (bytesMax < messageSizeLimit) return `who may write may send what is of any size. It is exported with --setting message_size_limit=${bytesMax}, where mosquitto.conf says so.`
    return rate === undefined ? undefined : 'an ACL file limits no rates.'
  }

  #whyNotRead({ qos, wildcard }: SubscribeGrant): string | undefined {
    if (wildcard === 'forbid') return 'an ACL file forbids no wildcards.'
    return qos < this.#settings.maxQos ? `what is read is read with every QoS. It is exported with --setting max_qos=${qos}, where mosquitto.conf says so.` : undefined
  }

  #denies(rule: DenyRule): readonly Line[] {
    const topics = new Map([...rule.publish, ...rule.subscribe, ...rule.receive].map(({ topic, at }) => [topic.text, { topic, at }]))
    return [...topics.values()].map(({ topic, at }) => {
      const line: Line = { access: 'deny', template: topic, at, rule }
      if (rule.when !== undefined) this.#find('narrowed', line, 'an ACL file has no conditions: it is denied without them.')
      if (variablesOf(topic).some((name) => name === 'clientId' || OF_CERTIFICATE.test(name))) this.#find('narrowed', line, 'what it would be filled in with is not known there: any text is denied.')
      return line
    })
  }

  /** What is lost whoever it is for. */
  #judgeAll(allows: readonly Line[], denies: readonly Line[]): void {
    for (const denial of denies) {
      const { rule, template } = denial
      const has = (kind: 'publish' | 'subscribe' | 'receive'): boolean => kind in rule && (rule as DenyRule)[kind].some(({ topic }) => topic.text === template.text)
      const spared: Access | undefined = !has('publish') ? 'write' : !has('subscribe') && !has('receive') ? 'read' : undefined
      const hit = allows.find(({ access, template: granted }) => access === spared && mayOverlap(granted.text.split('/'), template.text.split('/')))
      if (hit !== undefined) this.#find('narrowed', denial, `an ACL file denies both directions: it takes ${spared} from ${hit.rule.id}, too.`)
    }
  }

  #patternDeny(line: Line): string {
    const { text, isWidened } = deniedTopic(line.template)
    if (isWidened) this.#find('narrowed', line, 'a pattern knows %u alone, as a level: any text is denied there.')
    return `pattern deny ${text}`
  }

  #section(user: User, forSome: readonly Line[], denies: readonly Line[]): readonly string[] {
    const { device } = user
    if (device.state !== 'active') return ['', `# It is ${device.state}.`, `user ${device.id}`, 'topic deny #']
    const allowed = forSome.filter(({ rule }) => this.#isFor(rule.to, user) === 'yes').flatMap((line) => {
      const isKnown = user.isKnown || !variablesOf(line.template).includes('device.tenant')
      const topic = isKnown ? aclTopic(line.template, device) : undefined
      if (topic === undefined) this.#find('left-out', line, 'a variable of it is not in the registry, or it begins or ends with a space.')
      return topic === undefined ? [] : [`topic ${line.access} ${topic}`]
    })
    // Without lines of its own, what is denied to all is denied by patterns.
    const own = denies.filter(({ rule }) => this.#isFor(rule.to, user) !== 'no' && (allowed.length > 0 || rule.to.kind !== 'any'))
    const deniedTo = (template: Template): string => (user.isKnown ? deniedTopic(template, device).text : deniedTopic(template).text.replaceAll('%u', device.id))
    const lines = [...own.map(({ template }) => `topic deny ${deniedTo(template)}`), ...allowed]
    return lines.length === 0 ? [] : ['', `user ${device.id}`, ...inOrder(lines)]
  }

  /** Which CA a device has its certificate of is not known here. */
  #isFor(to: Target, { device, isKnown }: User): 'yes' | 'no' | 'perhaps' {
    const answer = (is: boolean): 'yes' | 'no' | 'perhaps' => (isKnown || to.kind === 'device' ? (is ? 'yes' : 'no') : 'perhaps')
    switch (to.kind) {
      case 'any':
        return 'yes'
      case 'device':
        return answer(to.device === device.id)
      case 'group':
        return answer(this.#groupsOf(device.groups).includes(to.group))
      case 'tenant':
        return answer(to.tenant === device.tenant)
      case 'attributes':
        return answer(to.all.every(({ name, values }) => Object.hasOwn(device.attributes, name) && values.includes(device.attributes[name] ?? '')))
      case 'ca':
        return 'perhaps'
    }
  }
}

const SAID: Readonly<Record<Access, string>> = { read: 'subscribe', write: 'publish', deny: 'deny' }
const OF_CERTIFICATE = /^(?:cert|san|spiffe)\./

const variablesOf = ({ levels }: Template): readonly string[] => levels.flatMap((level) => (typeof level === 'string' ? [] : level.flatMap((part) => ('variable' in part ? [part.variable] : []))))

/** The devices that rules name, where there is no registry. */
function named(lines: readonly Line[]): readonly User[] {
  const ids = new Set(lines.flatMap(({ rule }) => (rule.to.kind === 'device' ? [rule.to.device] : [])))
  return [...ids].toSorted().map((id) => ({ device: { id, tenant: DEFAULT_TENANT, groups: [], attributes: {}, state: 'active', createdAt: 0, revision: 1 }, isKnown: false }))
}

/** Whom it is for is not known of everybody who might come: then it is denied to all. */
const isForAll = (to: Target, devices: readonly Device[] | undefined): boolean => to.kind === 'any' || to.kind === 'ca' || (devices === undefined && to.kind !== 'device')

/** Each line once, denies first, as Mosquitto takes them. */
function inOrder(lines: readonly string[]): readonly string[] {
  const isDeny = (line: string): boolean => line.split(' ')[1] === 'deny'
  return [...new Set(lines)].toSorted((a, b) => Number(isDeny(b)) - Number(isDeny(a)))
}
