// A broker as main.ts composes it, on a real socket of loopback, over a registry, a view and a CA made by src/ in a folder
// of its own. Its clock can be moved, its policy exchanged, its audit read as events. What the tests of this room stand
// on; it judges nothing.

import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openBroker, type Broker } from '../../src/broker/broker.ts'
import type { TlsMaterial } from '../../src/broker/listener.ts'
import { openPassphrase, unsealKey } from '../../src/ca/key-file.ts'
import { loadConfig } from '../../src/config.ts'
import type { AuditEvent } from '../../src/core/audit.ts'
import { DEFAULT_RULES, type DetectionRules } from '../../src/core/detection/rules.ts'
import { DEFAULT_TENANT, type CaName, type DeviceId, type Fingerprint, type GroupName, type SerialNumber } from '../../src/core/ids.ts'
import { DEFAULT_RENEWAL } from '../../src/core/renewal.ts'
import type { Trace } from '../../src/core/trace.ts'
import { newTraffic, type Timing, type Traffic } from '../../src/core/traffic.ts'
import { EMPTY_POLICY, type CompiledPolicy } from '../../src/core/policy/compile.ts'
import type { AuditSink, CaRecord, CertificateRecord } from '../../src/core/registry.ts'
import type { DeviceState } from '../../src/core/device.ts'
import type { SessionStore } from '../../src/core/session-store.ts'
import { openWatch, type Watch } from '../../src/detection.ts'
import { observeForeign } from '../../src/foreign.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { openHome, type OpenHome } from '../../src/home.ts'
import type { Organisation } from '../../src/ca/genesis.ts'
import { readPolicy } from '../../src/policy-file.ts'
import { openRenewal } from '../../src/renewal.ts'
import { openHints } from '../../src/renewal-hints.ts'
import { openRouter } from '../../src/router/memory.ts'
import { openSqliteSessions } from '../../src/store/sessions/sqlite.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { openTrust, type Trust } from '../../src/x509/chain.ts'
import { spkiOf } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import type { ForgedAuthority } from '../../device-sim/forge/authority.ts'

/** What a device presents, and what the registry knows it by. */
export interface Identity {
  readonly id: string
  /** PEM: leaf, then issuing. */
  readonly cert: string
  readonly key: string
  readonly serial: SerialNumber
}

export type Refusal = AuditEvent & { readonly kind: 'refusal' }

export interface House extends AsyncDisposable {
  readonly traffic: Traffic
  readonly broker: Broker
  readonly home: OpenHome
  readonly organisation: Organisation
  readonly port: number
  /** Subscriptions by which messages are routed now. */
  readonly routed: number
  /** PEM of the root: what clients trust. */
  readonly root: string
  /** The issuing CA with its key, for certificates that it would never make. */
  readonly issuing: () => Promise<ForgedAuthority>
  readonly events: readonly AuditEvent[]
  /** What the broker wrote into the program's log. */
  readonly logged: readonly string[]
  /** The detection ladder, which watches nobody until a test says otherwise. */
  readonly watch: Watch
  material(change?: Partial<TlsMaterial>): TlsMaterial
  /** The audit log and the log of the program, for a door beside the broker's. */
  readonly audit: AuditSink
  readonly log: (level: string, facts: object, message: string) => void
  /** The time of the broker. */
  clock(): number
  /** Other rules for the ladder, as a reload has them: the defaults, but for these. */
  detect(rules: Partial<DetectionRules>): void
  /** The broker has looked at its connections once more, as it does every second. */
  looked(): Promise<void>
  /** Moves the broker's clock forward, by a minute when nothing else is said: rates are forgotten by then. */
  rest(ms?: number): void
  policy(yaml: string): void
  trustAlso(name: string, der: Uint8Array): void
  /** A CA whose certificates enroll, and open no other door. */
  enrollsBy(name: string, der: Uint8Array): void
  /** Binds the issuing CA to these device ids, for the door alone. */
  bind(ids: readonly string[] | undefined): void
  /** Takes a CA out of trust, as a reload does. */
  distrust(name: string): void
  device(id: string, group?: string): Promise<Identity>
  /** A certificate for another purpose than connecting a device. */
  other(profile: 'operator' | 'claim'): Promise<Identity>
  /** A second certificate for a device that is registered; `issued`: it waits for its first use. */
  certify(id: string, state?: 'issued' | 'active'): Promise<Identity>
  /** Puts a forged certificate of the issuing CA into the registry, as if it had been issued. */
  recordAs(der: Uint8Array, device: string): Promise<void>
  state(id: string, state: DeviceState): Promise<void>
  regroup(id: string, groups: readonly string[], attributes?: Readonly<Record<string, string>>): Promise<void>
  revoke(identity: Identity): Promise<void>
  refusals(): readonly DenyReason[]
  /** The first event, past or future, that fits. */
  heard(fits: (event: AuditEvent) => boolean): Promise<AuditEvent>
  refused(reason: DenyReason, fits?: (event: Refusal) => boolean): Promise<Refusal>
  /** Forgets the events so far. */
  forget(): void
  /** The server ends, as at SIGTERM, and is started again on the same home: another port, another broker. With another policy, it was exchanged while nobody served. */
  restart(yaml?: string): Promise<void>
}

const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()

/** Sensors speak below t/<id> and hear it and their commands; backends hear everything; nobody may publish to secret/. */
export const HOUSE_POLICY = `
version: 1
grants:
  - id: sensor
    to: { group: sensors }
    publish: [{ topic: "t/\${device.id}/#", qos: 2, retain: true }, { topic: "open/#", qos: 2, retain: true }, { topic: "low/#", qos: 0 }]
    subscribe: [{ topic: "t/\${device.id}/#", qos: 2, share: ["*"] }, { topic: "cmd/\${device.id}/+", qos: 2 }, { topic: "open/#", qos: 2, share: ["*"] }, { topic: "one/#", qos: 1, share: ["*"] }, { topic: "zero/#", qos: 0, share: ["*"] }]
    will: [{ topic: "state/\${device.id}", qos: 2, retain: true }]
  - id: backend
    to: { group: backend }
    publish: [{ topic: "#", qos: 2, retain: true }]
    subscribe: [{ topic: "#", qos: 2, share: ["*"] }]
    will: ["state/#"]
deny:
  - { id: no-secrets, to: any, publish: ["secret/#"], receive: ["t/+/private"] }
`

function compile(yaml: string, generation = 1): CompiledPolicy {
  const read = readPolicy('policy.yaml', yaml, generation)
  if (!('policy' in read)) throw new Error(JSON.stringify(read.problems))
  return read.policy
}

export interface HouseOptions {
  readonly onEvent?: (event: AuditEvent) => void
  readonly timing?: Timing
  readonly trace?: Trace
  /** What of the ladder's rules is not as by default; without it, nobody is watched. */
  readonly detection?: Partial<DetectionRules>
  readonly policy?: string
  readonly resumption?: boolean
  readonly sourceRate?: { readonly perSecond: number; readonly burst: number }
  readonly packetBytesMax?: number
  readonly keepAliveSecondsMax?: number
  /** Opens the WebSocket door, too, on /mqtt, for these web pages. */
  readonly websocketOrigins?: readonly string[]
  /** Puts something between the broker and its session store: see gated-store.ts. */
  readonly wrapStore?: (store: SessionStore) => SessionStore
}

export async function openHouse(options: HouseOptions = {}): Promise<House> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-broker-'))
  const home = await openHome(folder, loadConfig(folder, {}))
  const organisation = await home.organisation({ kind: 'system' }, 'make')
  const file = (name: string): string => readFileSync(path.join(folder, 'certs/local', name), 'utf8')
  const root = encodePem('CERTIFICATE', organisation.root.der)
  const issuingPem = encodePem('CERTIFICATE', organisation.issuing.der)
  const events: AuditEvent[] = []
  const traffic = newTraffic()
  const logged: string[] = []
  const waiting = new Set<() => void>()
  const foreign: Pick<CaRecord, 'name' | 'role' | 'tenant' | 'der'>[] = []
  const enrolling: typeof foreign = []
  let ahead = 0
  let policy = options.policy === '' ? EMPTY_POLICY : compile(options.policy ?? HOUSE_POLICY)
  let trust: Trust = openTrust(home.registry.cas())
  const clock = (): number => Date.now() + ahead
  const audit: AuditSink = {
    record(event) {
      events.push(event)
      options.onEvent?.(event)
      for (const check of waiting) check()
    },
  }
  const log = (level: string, facts: object, message: string): void => void logged.push(`${level} ${message} ${JSON.stringify(facts)}`)
  const renewal = openRenewal({ registry: home.registry, view: home.view, authority: organisation.authority, rules: () => DEFAULT_RENEWAL, clock, log })
  const hints = openHints({ registry: home.registry, view: home.view, clock })
  let rules: DetectionRules = { ...DEFAULT_RULES, upTo: options.detection === undefined ? 'none' : DEFAULT_RULES.upTo, ...options.detection }
  const startWatch = (): Watch => openWatch({ rules: () => rules, registry: home.registry, view: home.view, audit, clock, log })
  let watch = startWatch()
  let router: Parameters<typeof openBroker>[0]['router'] | undefined
  let looking = Promise.withResolvers<void>()

  const material = (change: Partial<TlsMaterial> = {}): TlsMaterial => ({
    key: file('server/key.pem'), cert: file('server/cert.pem'),
    anchors: [root, ...foreign.map((ca) => encodePem('CERTIFICATE', ca.der))],
    resumption: options.resumption ?? false, ...change,
  })
  const openStore = (): Promise<SessionStore> => openSqliteSessions({ file: home.paths.sessions, clock, log: (level, facts, message) => void logged.push(`${level} ${message} ${JSON.stringify(facts)}`) })
  const openDoor = (): Promise<Broker> => openBroker({
    host: '127.0.0.1', port: 0, tls: material(),
    websocket: options.websocketOrigins && { host: '127.0.0.1', port: 0, path: '/mqtt', origins: options.websocketOrigins },
    sourceRate: options.sourceRate ?? { perSecond: 1e6, burst: 1e6 },
    bounds: () => ({ packetBytesMax: options.packetBytesMax ?? 256 * 1024, keepAliveSecondsMax: options.keepAliveSecondsMax ?? BROKER_LIMITS.keepAliveSecondsMax }),
    view: home.view, clock,
    audit, log,
    trust: () => trust,
    enrolls: () => openTrust([...home.registry.cas(), ...foreign, ...enrolling]),
    policy: () => policy,
    certificateDer: (issuer, serial) => home.registry.certificateDer(issuer, serial),
    router: (router = openRouter()),
    store: options.wrapStore?.(store) ?? store,
    observe: (peer) => observeForeign(home, peer, clock),
    renewal,
    hints,
    traffic, timing: options.timing ?? (() => {}), trace: options.trace ?? (() => {}),
    detection: {
      note: (device, fact) => watch.note(device, fact),
      isThrottled: (device) => watch.isThrottled(device),
      sweep() {
        watch.sweep()
        // It goes on to look in the same turn.
        looking.resolve()
        looking = Promise.withResolvers()
      },
    },
  })
  let store = await openStore()
  let broker = await openDoor()

  const commit: OpenHome['registry']['commit'] = async (changes, expected, audit) => {
    const committed = await home.registry.commit(changes, expected, audit)
    if (!committed.allow) throw new Error(`${committed.reason} ${committed.detail ?? ''}`)
    return committed
  }
  const heard = (fits: (event: AuditEvent) => boolean): Promise<AuditEvent> =>
    new Promise((resolve) => {
      const check = (): void => {
        const event = events.find(fits)
        if (event === undefined) return
        waiting.delete(check)
        resolve(event)
      }
      waiting.add(check)
      check()
    })

  const house: House = {
    home, organisation, root, traffic, events, logged, material, heard, clock, audit, log,
    get broker() {
      return broker
    },
    get port() {
      return broker.address.port
    },
    get routed() {
      return router?.subscriptionCount ?? 0
    },
    get watch() {
      return watch
    },
    looked: () => looking.promise,
    detect(changed) {
      rules = { ...DEFAULT_RULES, ...changed }
    },
    async issuing() {
      const sealed = path.join(folder, 'certs/local/issuing.key')
      return { certificate: Buffer.from(organisation.issuing.der), key: await unsealKey(readFileSync(sealed, 'utf8'), openPassphrase(path.join(folder, 'certs/local/passphrase'), false), sealed) }
    },
    rest(ms = 60_000) {
      ahead += ms
    },
    policy(yaml) {
      policy = compile(yaml, policy.generation + 1)
      broker.regrant()
    },
    trustAlso(name, der) {
      foreign.push({ name: name as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der })
      trust = openTrust([...home.registry.cas(), ...foreign])
      broker.prepareTls(material())()
    },
    enrollsBy(name, der) {
      enrolling.push({ name: name as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der })
    },
    bind(ids) {
      trust = openTrust([...home.registry.cas().map((ca) => (ca.role === 'issuing' ? { ...ca, ids } : ca)), ...foreign])
      broker.regrant()
    },
    distrust(name) {
      foreign.splice(foreign.findIndex((ca) => ca.name === name), 1)
      trust = openTrust([...home.registry.cas(), ...foreign])
      broker.prepareTls(material())()
      broker.regrant()
    },
    async device(id, group = 'sensors') {
      await commit([{ kind: 'device-added', device: { id: id as DeviceId, tenant: DEFAULT_TENANT, groups: [group as GroupName], attributes: {}, state: 'active', createdAt: Date.now(), revision: 1 } }], [], [])
      return house.certify(id)
    },
    async other(profile) {
      const key = newKey()
      const issued = await organisation.authority.issue({ profile, commonName: `an-${profile}`, spki: spkiOf(key), subjectAltNames: [] }, { kind: 'local' })
      if (!issued.allow) throw new Error(issued.reason)
      return { id: `an-${profile}`, cert: encodePem('CERTIFICATE', issued.value.der) + issuingPem, key: pemOf(key), serial: issued.value.record.serial }
    },
    async certify(id, state = 'active') {
      const key = newKey()
      const issued = await organisation.authority.issue({ profile: 'device', commonName: id, device: id as DeviceId, spki: spkiOf(key), state }, { kind: 'local' })
      if (!issued.allow) throw new Error(issued.reason)
      return { id, cert: encodePem('CERTIFICATE', issued.value.der) + issuingPem, key: pemOf(key), serial: issued.value.record.serial }
    },
    async recordAs(der, device) {
      const facts = parseCertificate(der)
      if (!facts.allow) throw new Error(facts.reason)
      const sha256 = createHash('sha256').update(der).digest('hex') as Fingerprint
      const certificate: CertificateRecord = {
        issuer: organisation.issuing.name, serial: facts.value.serial as SerialNumber, profile: 'device', device: device as DeviceId, state: 'planned',
        spkiSha256: facts.value.key.spkiSha256, notBefore: facts.value.notBefore, notAfter: facts.value.notAfter, createdAt: Date.now(),
      }
      await commit([{ kind: 'certificate-planned', certificate }], [], [])
      await commit([{ kind: 'certificate-issued', issuer: certificate.issuer, serial: certificate.serial, sha256, der, state: 'active' }], [], [])
    },
    async state(id, state) {
      await commit([{ kind: 'device-state', id: id as DeviceId, state }], [], [])
    },
    async regroup(id, groups, attributes = {}) {
      await commit([{ kind: 'device-described', id: id as DeviceId, groups: groups as readonly GroupName[], attributes }], [], [])
    },
    async revoke({ serial }) {
      await commit([{ kind: 'certificate-revoked', issuer: organisation.issuing.name, serial, at: Date.now(), reason: 'keyCompromise' }], [], [])
    },
    refusals: () => events.flatMap((event) => (event.kind === 'refusal' ? [event.reason] : [])),
    refused: async (reason, fits = () => true) => (await heard((event) => event.kind === 'refusal' && event.reason === reason && fits(event))) as Refusal,
    forget() {
      events.length = 0
    },
    async restart(yaml) {
      await broker.close()
      await store.close()
      watch[Symbol.dispose]()
      watch = startWatch()
      if (yaml !== undefined) policy = compile(yaml, policy.generation + 1)
      store = await openStore()
      broker = await openDoor()
    },
    async [Symbol.asyncDispose]() {
      await broker.close()
      await store.close()
      hints[Symbol.dispose]()
      await home[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return house
}
