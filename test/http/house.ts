// A home with its CA, a desk and an admin API on a real socket, in a folder of its own: what the tests of this room and of
// the desk stand on. It judges nothing.

import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { AdminServer } from '../../src/http/admin.ts'
import type { Desk } from '../../src/core/desk.ts'
import type { DeviceId, GroupName, OperatorName, SerialNumber, TenantId } from '../../src/core/ids.ts'
import type { Role } from '../../src/core/operator.ts'
import type { Organisation } from '../../src/ca/genesis.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { loadConfig } from '../../src/config.ts'
import { openDesk, type SessionsPort } from '../../src/desk.ts'
import { openFeed } from '../../src/feed.ts'
import type { LivePorts } from '../../src/feed-desk.ts'
import { openHome, type OpenHome } from '../../src/home.ts'
import { openAdminServer } from '../../src/http/admin.ts'
import { openConsole } from '../../src/console-desk.ts'
import { loadPolicy, needPolicy, readTexts } from '../../src/policy-file.ts'
import { openLogLevels } from '../../src/log-levels.ts'
import { openPolicies, type Policies, type PoliciesPorts } from '../../src/policies.ts'
import { STARTER_POLICY } from '../../src/starter.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { spkiOf } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { discrepancyOf } from './conforming.ts'

export interface Credential {
  readonly cert: string
  readonly key: string
  readonly serial: SerialNumber
}

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
  readonly json: () => { readonly [name: string]: unknown }
}

export interface House extends AsyncDisposable {
  readonly home: OpenHome
  readonly organisation: Organisation
  readonly policies: Policies
  readonly folder: string
  readonly root: string
  /** The operator that the first start makes. */
  readonly operator: Credential
  /** Moves the clock of the desk and of the API. */
  clockAt: (now: number | undefined) => void
  desk(sessions?: SessionsPort): Desk
  /** A further operator, or a certificate of another profile. */
  issue(profile: 'operator' | 'server' | 'claim', name: string): Promise<Credential>
  /** An operator of this role, of all tenants or of one. */
  operatorAs(role: Role, tenant?: TenantId): Promise<Credential>
  /** Registers a device and enrolls it. */
  device(id: string): Promise<Credential>
  openAdmin(): Promise<AdminServer>
  /** The reasons of the refusals in the audit log, oldest first. */
  refusals(): Promise<readonly DenyReason[]>
}

export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
export const device = (id: string): DeviceId => id as DeviceId
export const group = (name: string): GroupName => name as GroupName

/** The policy of a home in which no server runs. */
async function policiesOf({ paths, registry, view, audit }: OpenHome, { authority }: Organisation, ports: Partial<PoliciesPorts> = {}): Promise<Policies> {
  const policyFile = path.join(paths.home, 'policy.yaml')
  const policies = await openPolicies({ data: paths.data, policyFile, audit, clock: Date.now, warn: () => {}, read: (file) => loadPolicy(file, 1), compile: async (texts, generation) => needPolicy(readTexts(texts, generation)), serially: (work) => work(), fleet: () => ({ registry, view, issuer: authority.issuer }), ...ports })
  policies.replace(await policies.load(policyFile))
  return policies
}

export async function openHouse(): Promise<House> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-house-'))
  const home = await openHome(folder, loadConfig(folder, {}))
  const organisation = await home.organisation({ kind: 'system' }, 'make')
  writeFileSync(path.join(folder, 'policy.yaml'), STARTER_POLICY)
  const policies = await policiesOf(home, organisation)
  let moved: number | undefined
  const clock = (): number => moved ?? Date.now()
  const file = (name: string): string => readFileSync(path.join(folder, 'certs/local', name), 'utf8')
  const root = file('root.pem')
  const admins: AdminServer[] = []
  const feed = openFeed({ audit: home.audit, clock, log: () => {} })
  await feed.restored
  const logLevels = openLogLevels({ log: { setLevels: () => {} }, configured: 'info', record: (event) => home.audit.record(event), clock })
  const live: LivePorts = { feed: () => Promise.resolve(feed), running: undefined, memory: {} }
  const desk = (sessions?: SessionsPort): Desk =>
    openDesk({ registry: home.registry, view: home.view, audit: home.audit, authority: organisation.authority, policies, ca: home, live, clock, ...(sessions === undefined ? {} : { sessions }) }, { kind: 'local' })

  const first = home.registry.certificates({ limit: 100 }).items.find((r) => r.profile === 'operator')
  if (first === undefined) throw new Error('no operator')
  return {
    home, organisation, policies, folder, root, desk,
    operator: { cert: file('operator/cert.pem'), key: file('operator/key.pem'), serial: first.serial },
    clockAt: (now) => {
      moved = now
    },
    async issue(profile, name) {
      const key = newKey()
      const issued = await organisation.authority.issue({ profile, commonName: name, spki: spkiOf(key), subjectAltNames: [] }, { kind: 'local' })
      if (!issued.allow) throw new Error(issued.reason)
      return { cert: encodePem('CERTIFICATE', issued.value.der) + encodePem('CERTIFICATE', organisation.issuing.der), key: pemOf(key), serial: issued.value.record.serial }
    },
    async operatorAs(role, tenant) {
      const key = newKey()
      const name = `${role}-${randomBytes(4).toString('hex')}` as OperatorName
      const { certificate, chain, serial } = await desk().addOperator({ name, role, tenant, csr: makeCsr(key, name) })
      return { cert: certificate + chain.join(''), key: pemOf(key), serial }
    },
    async device(id) {
      await desk().addDevice({ id: device(id), groups: [group('sensors')], attributes: {} })
      const key = newKey()
      const { certificate, chain, serial } = await desk().enroll(device(id), makeCsr(key, id))
      return { cert: certificate + chain.join(''), key: pemOf(key), serial }
    },
    async openAdmin() {
      const web = openConsole({ audit: home.audit, view: home.view, clock })
      const admin: AdminServer = await openAdminServer({
        listen: { host: '127.0.0.1', port: 0 }, hosts: [], view: home.view, audit: home.audit, clock,
        tls: { key: file('server/key.pem'), cert: file('server/cert.pem'), anchors: [root] },
        deskFor: (actor) => openDesk({ registry: home.registry, view: home.view, audit: home.audit, authority: organisation.authority, policies, ca: home, live, clock, reload: () => Promise.resolve({ policyGeneration: 1, trustedCas: 0, changed: [], atNextStart: [] }), logLevels, console: { access: web.access, url: () => admin.url } }, actor),
        version: '0.0.0',
        status: () => ({ version: '0.0.0' }),
        console: web,
        events: feed.events,
        log: () => {},
      })
      admins.push(admin)
      return admin
    },
    async refusals() {
      await home.audit.flush()
      const records = (await home.audit.tail(1_000)) as readonly { readonly event: { readonly action: string; readonly reason?: DenyReason } }[]
      return records.flatMap((r) => (r.event.action === 'refusal' && r.event.reason !== undefined ? [r.event.reason] : []))
    },
    async [Symbol.asyncDispose]() {
      for (const admin of admins) await admin.close()
      feed[Symbol.dispose]()
      logLevels[Symbol.dispose]()
      await home[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export interface Asked {
  readonly method?: string
  readonly path?: string
  readonly body?: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
  readonly credential?: Omit<Credential, 'serial'>
  /** The address that is asked from, another than 127.0.0.1: rates are counted by it. */
  readonly localAddress?: string
}

/** One request on a connection of its own. Rejects when there is no answer, or one that docs/openapi.json does not name. */
export function ask(url: string, ca: string, { method = 'GET', path: at = '/v1/status', body, headers = {}, credential, localAddress }: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const sent = request({ hostname, port, path: at, method, ca, agent: false, servername: 'localhost', ...(localAddress === undefined ? {} : { localAddress }), headers: { ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }), ...headers }, ...(credential === undefined ? {} : { cert: credential.cert, key: credential.key }) }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const wrong = discrepancyOf(method, at, response.statusCode ?? 0, () => JSON.parse(text) as { readonly [name: string]: unknown })
        if (wrong !== undefined) return reject(new Error(wrong))
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: () => JSON.parse(text) as { readonly [name: string]: unknown } })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
