// Reads a file of policy tests: devices as the registry would have them, and what is expected of the policy for each. Strictly,
// with the place of everything that is wrong. run-tests.ts asks the policy.

import { POLICY_LIMITS } from '../../limits.ts'
import { REASONS, type DenyReason } from '../../vocabulary.ts'
import { ATTRIBUTE_SHORT_NAMES, type NameFacts, type SubjectAltName } from '../certificate.ts'
import type { Decision } from '../decision.ts'
import { DEVICE_STATES, parseAttributes, type Device } from '../device.ts'
import type { SourcePosition } from '../errors.ts'
import { DEFAULT_TENANT, parseCaName, parseDeviceId, parseGroupName, parseTenantId, printable, type CaName, type EpochMs, type Fingerprint } from '../ids.ts'
import { nearest, TreeReader, type MapEntry, type Problem, type SourceNode } from '../source-tree.ts'
import type { ConnectionFacts } from './conditions.ts'
import { TLS_VERSIONS } from './document.ts'
import { QUESTION_KINDS, questionOf, type Question } from './question.ts'
import { readInstant } from './read-conditions.ts'
import type { PolicyCertificate } from './template.ts'

/** Who is asked about. */
export interface TestDevice {
  readonly device: Device
  readonly ca: CaName
  readonly certificate: PolicyCertificate | undefined
}

export interface PolicyTest {
  readonly name: string
  readonly at: SourcePosition
  readonly who: TestDevice
  readonly clientId: string
  readonly question: Question
  readonly connection: Partial<ConnectionFacts> | undefined
  readonly now: EpochMs | undefined
  readonly expect: 'allow' | 'deny' | DenyReason
  readonly rule?: string
  readonly grantedQos?: 0 | 1 | 2
}

export interface PolicyTestFile {
  /** The policy that it is about, from this file. */
  readonly policy?: string
  readonly tests: readonly PolicyTest[]
}

export type PolicyTestsRead = { readonly file: PolicyTestFile } | { readonly problems: readonly Problem[] }

export function readPolicyTests(tree: SourceNode): PolicyTestsRead {
  const reader = new TreeReader()
  const file = new TestReader(reader).file(tree)
  return reader.problems.length > 0 || file === undefined ? { problems: reader.problems } : { file }
}

/** The CA that a device is of when a test does not say. */
const OWN_CA = 'issuing-1' as CaName
const TEST_KEYS = ['name', 'device', ...QUESTION_KINDS, 'clientId', 'qos', 'retain', 'bytes', 'when', 'expect', 'rule', 'grantedQos']
const DEVICE_KEYS = ['groups', 'attributes', 'tenant', 'state', 'ca', 'certificate']
const ALT_NAMES = ['dns', 'uri', 'email', 'ip'] as const
const CERTIFICATE_KEYS = ['subject', 'issuer', ...ALT_NAMES, 'serial', 'sha256', 'notBefore']

type Top = ReadonlyMap<string, MapEntry>

class TestReader {
  readonly #reader: TreeReader
  readonly #devices = new Map<string, TestDevice | undefined>()

  constructor(reader: TreeReader) {
    this.#reader = reader
  }

  file(tree: SourceNode): PolicyTestFile | undefined {
    const top = this.#reader.map(tree, 'a file of policy tests', ['version', 'policy', 'devices', 'tests'])
    if (top === undefined) return undefined
    const [version, policy, devices, tests] = ['version', 'policy', 'devices', 'tests'].map((key) => top.get(key))
    if (version === undefined) this.#reader.report(tree.at, 'the file has no version.', 'Begin it with: version: 1')
    else this.#reader.integer(version.value, 'version', 1, 1)
    const named = policy && this.#reader.string(policy.value, 'policy')
    this.#readDevices(devices)
    const items = tests === undefined ? [] : this.#reader.list(tests.value, 'tests') ?? []
    if (items.length === 0) return this.#reader.report(tests?.keyAt ?? tree.at, 'there is no test in this file.', 'Write, for example: tests: [ { device: sensor-1, publish: t/sensor-1/a, expect: allow } ]')
    if (items.length > POLICY_LIMITS.testsMax) return this.#reader.report(tests?.keyAt ?? tree.at, `there are more than ${POLICY_LIMITS.testsMax} tests in this file.`)
    return { ...(named === undefined ? {} : { policy: named }), tests: items.flatMap((node) => this.#test(node) ?? []) }
  }

  #readDevices(entry: MapEntry | undefined): void {
    if (entry === undefined) return
    if (entry.value.kind !== 'map') return this.#reader.report(entry.value.at, 'devices must say who is asked about.', 'Write: devices: { sensor-1: { groups: [sensors] } }')
    for (const each of entry.value.entries) {
      // Also one that is wrong is known by its name: what is wrong is told once.
      if (this.#devices.has(each.key)) this.#reader.report(each.keyAt, `the device "${printable(each.key)}" is described twice.`)
      this.#devices.set(each.key, this.#device(each))
    }
    return undefined
  }

  #device({ key, keyAt, value }: MapEntry): TestDevice | undefined {
    const id = parseDeviceId(key)
    if (!id.allow) return this.#reader.report(keyAt, `"${printable(key)}" is not a device id.`, REASONS['device-id-invalid'].fix)
    const map = isNothing(value) ? new Map<string, MapEntry>() : this.#reader.map(value, `the device ${key}`, DEVICE_KEYS)
    if (map === undefined) return undefined
    const [state, certificate, attributes] = [map.get('state'), map.get('certificate'), map.get('attributes')]
    return {
      device: {
        id: id.value,
        tenant: this.#name(map.get('tenant'), 'tenant', parseTenantId) ?? DEFAULT_TENANT,
        groups: this.#several(map.get('groups'), 'groups').flatMap((node) => this.#named(node, 'a group', parseGroupName) ?? []),
        attributes: attributes === undefined ? {} : this.#attributes(attributes),
        state: (state && this.#reader.oneOf(state.value, 'state', DEVICE_STATES)) ?? 'active',
        createdAt: 0, revision: 1,
      },
      ca: this.#name(map.get('ca'), 'ca', parseCaName) ?? OWN_CA,
      certificate: certificate && this.#certificate(certificate),
    }
  }

  #attributes({ value }: MapEntry): Device['attributes'] {
    if (value.kind !== 'map') return this.#reader.report(value.at, 'attributes must be a mapping.', 'Write: attributes: { model: X1 }') ?? {}
    const parsed = parseAttributes(value.entries.flatMap(({ key, value: node }): [string, string][] => {
      const text = this.#text(node, `the attribute ${printable(key)}`)
      return text === undefined ? [] : [[key, text]]
    }))
    return parsed.allow ? parsed.value : this.#reader.report(value.at, `attributes: no device can have them (${parsed.detail ?? 'invalid'}).`, REASONS['attribute-invalid'].fix) ?? {}
  }

  #certificate({ value }: MapEntry): PolicyCertificate | undefined {
    const map = this.#reader.map(value, 'certificate', CERTIFICATE_KEYS)
    if (map === undefined) return undefined
    const text = (key: string): string | undefined => {
      const entry = map.get(key)
      return entry && this.#text(entry.value, key)
    }
    const notBefore = map.get('notBefore')
    const subjectAltNames = ALT_NAMES.flatMap((kind) => this.#several(map.get(kind), kind).flatMap((node): SubjectAltName[] => {
      const name = this.#reader.string(node, kind)
      return name === undefined ? [] : [{ kind, value: name }]
    }))
    return {
      subject: this.#nameFacts(map.get('subject'), 'subject'), issuer: this.#nameFacts(map.get('issuer'), 'issuer'), subjectAltNames,
      // What a test does not say is unresolved, as what a certificate does not have.
      serial: text('serial') ?? '', sha256: (text('sha256') ?? '') as Fingerprint,
      notBefore: (notBefore && readInstant(this.#reader, notBefore.value, 'notBefore')) ?? 0,
    }
  }

  /** { CN: sensor-1, OU: [a, b] } */
  #nameFacts(entry: MapEntry | undefined, what: string): NameFacts {
    if (entry === undefined) return []
    const map = this.#reader.map(entry.value, what, ATTRIBUTE_SHORT_NAMES)
    return [...(map ?? [])].flatMap(([short, each]) => this.#several(each, short).flatMap((node) => {
      const value = this.#text(node, short)
      return value === undefined ? [] : [[{ type: short, short, value }]]
    }))
  }

  #test(node: SourceNode): PolicyTest | undefined {
    const map = this.#reader.map(node, 'a test', TEST_KEYS)
    if (map === undefined) return undefined
    const asked = this.#question(map, node)
    const who = this.#who(map.get('device'), node)
    const when = map.get('when')
    const circumstances = when === undefined ? { connection: undefined, now: undefined } : this.#when(when.value)
    const expect = this.#expectation(map, node, asked)
    const name = this.#optional(map, 'name')
    if (asked === undefined || who === undefined || circumstances === undefined || expect === undefined) return undefined
    const { id } = who.device
    return {
      name: name ?? `${id} ${asked.kind} ${asked.kind === 'connect' ? asked.clientId : asked.topic}`, at: node.at, who,
      clientId: asked.kind === 'connect' ? asked.clientId : this.#optional(map, 'clientId') ?? id,
      question: asked, ...circumstances, ...expect,
    }
  }

  #question(map: Top, node: SourceNode): Question | undefined {
    const kinds = QUESTION_KINDS.filter((kind) => map.has(kind))
    const [kind] = kinds
    if (kind === undefined || kinds.length > 1) return this.#reader.report(node.at, `a test asks exactly one of ${QUESTION_KINDS.join(', ')}.`)
    const [qos, retain, bytes] = [map.get('qos'), map.get('retain'), map.get('bytes')]
    const sends = kind === 'publish' || kind === 'will'
    if (qos !== undefined && !sends && kind !== 'subscribe') this.#reader.report(qos.keyAt, `qos says nothing of ${kind}.`)
    for (const entry of [retain, bytes]) if (entry !== undefined && !sends) this.#reader.report(entry.keyAt, `${entry.key} says nothing of ${kind}.`)
    const text = this.#optional(map, kind)
    return text === undefined ? undefined : questionOf({
      [kind]: text, qos: qos && this.#qos(qos), retain: retain && this.#reader.boolean(retain.value, 'retain'), bytes: bytes && this.#reader.bytes(bytes.value, 'bytes'),
    })
  }

  #who(entry: MapEntry | undefined, node: SourceNode): TestDevice | undefined {
    if (entry === undefined) return this.#reader.report(node.at, 'the test does not say which device.', 'Add: device: ID, and describe it under devices.')
    const id = this.#text(entry.value, 'device')
    if (id === undefined || this.#devices.has(id)) return id === undefined ? undefined : this.#devices.get(id)
    const near = nearest(id, [...this.#devices.keys()])
    return this.#reader.report(entry.value.at, `there is no device "${printable(id)}" in this file.`, near === undefined ? 'Describe it under devices.' : `Did you mean "${near}"?`)
  }

  #when(node: SourceNode): Pick<PolicyTest, 'connection' | 'now'> | undefined {
    const map = this.#reader.map(node, 'when', ['source', 'tls', 'at'])
    if (map === undefined) return undefined
    const [source, tls, at] = [this.#optional(map, 'source'), map.get('tls'), map.get('at')]
    const version = tls && this.#reader.oneOf(tls.value, 'tls', TLS_VERSIONS)
    return {
      connection: { ...(source === undefined ? {} : { source }), ...(version === undefined ? {} : { tls: version }) },
      now: at && readInstant(this.#reader, at.value, 'at'),
    }
  }

  #expectation(map: Top, node: SourceNode, asked: Question | undefined): Pick<PolicyTest, 'expect' | 'rule' | 'grantedQos'> | undefined {
    const entry = map.get('expect')
    if (entry === undefined) return this.#reader.report(node.at, 'the test does not say what is expected.', 'Add: expect: allow, deny, or a reason code.')
    const expect = this.#reader.string(entry.value, 'expect')
    const rule = this.#optional(map, 'rule')
    const granted = map.get('grantedQos')
    if (granted !== undefined && asked?.kind !== 'subscribe') this.#reader.report(granted.keyAt, 'grantedQos is of a subscribe.')
    const grantedQos = granted && this.#qos(granted)
    if (expect === undefined) return undefined
    if (!isExpectation(expect)) {
      const near = nearest(expect, ['allow', 'deny', ...Object.keys(REASONS)])
      return this.#reader.report(entry.value.at, `expect must be allow, deny or a reason code, not ${printable(expect)}.`, near === undefined ? 'docs/reasons.md lists the codes.' : `Did you mean "${near}"?`)
    }
    return { expect, ...(rule === undefined ? {} : { rule }), ...(grantedQos === undefined ? {} : { grantedQos }) }
  }

  #qos(entry: MapEntry): 0 | 1 | 2 | undefined {
    const qos = this.#reader.integer(entry.value, entry.key, 0, 2)
    return qos === 0 || qos === 1 || qos === 2 ? qos : undefined
  }

  #optional(map: Top, key: string): string | undefined {
    const entry = map.get(key)
    return entry && this.#text(entry.value, key)
  }

  /** A number may stand without quotes: nobody means it as one. */
  #text(node: SourceNode, what: string): string | undefined {
    return node.kind === 'scalar' && typeof node.value === 'number' ? node.text : this.#reader.string(node, what)
  }

  /** One alone may stand without brackets. */
  #several(entry: MapEntry | undefined, what: string): readonly SourceNode[] {
    if (entry === undefined || isNothing(entry.value)) return []
    return entry.value.kind === 'scalar' ? [entry.value] : this.#reader.list(entry.value, what) ?? []
  }

  #name<T>(entry: MapEntry | undefined, what: string, parse: (text: string) => Decision<T>): T | undefined {
    return entry && this.#named(entry.value, what, parse)
  }

  #named<T>(node: SourceNode, what: string, parse: (text: string) => Decision<T>): T | undefined {
    const text = this.#text(node, what)
    if (text === undefined) return undefined
    const parsed = parse(text)
    return parsed.allow ? parsed.value : this.#reader.report(node.at, `${what} is not a valid name.`, 'Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.')
  }
}

const isNothing = (node: SourceNode): boolean => node.kind === 'scalar' && node.value === null

function isExpectation(text: string): text is PolicyTest['expect'] {
  return text === 'allow' || text === 'deny' || Object.hasOwn(REASONS, text)
}
