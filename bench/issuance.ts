// What a certificate costs, through the real authority and its real commits; and a home full of devices, made quickly, for
// the start that has to read it.

import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { loadConfig } from '../src/config.ts'
import type { Actor, AuditEvent } from '../src/core/audit.ts'
import type { Decision } from '../src/core/decision.ts'
import type { Device } from '../src/core/device.ts'
import { DEFAULT_TENANT, type DeviceId, type Fingerprint, type GroupName, type KeyHash, type SerialNumber } from '../src/core/ids.ts'
import type { CertificateRecord, Change } from '../src/core/registry.ts'
import { openDesk } from '../src/desk.ts'
import { openHome, type OpenHome } from '../src/home.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { generateKey, spkiOf } from '../src/x509/keys.ts'
import { noPolicy } from './no-policy.ts'

const CONCURRENCY = 64
/** Devices that are registered at a time: their changes wait together for their transactions. */
const PAGE = 4_096
const SYSTEM: Actor = { kind: 'system' }
const GROUPS = ['sensors' as GroupName]

export interface Rate {
  /** Certificates per second of CPU, all threads: signing runs in the thread pool. */
  readonly perCpuSecond: number
  readonly perSecond: number
  readonly cpuUs: number
}

export interface Issuance {
  readonly certificates: number
  readonly concurrency: number
  /** The authority alone: judge, commit the plan, sign, read back, commit. */
  readonly authority: Rate
  /** What a device's enrollment costs: the same behind the desk, from a request in PEM whose signature is verified. */
  readonly enrollment: Rate
}

function openBenchHome(home: string): Promise<OpenHome> {
  return openHome(home, loadConfig(home, {}))
}

function must<T>(decision: Decision<T>): T {
  if (decision.allow) return decision.value
  throw new Error(`refused: ${decision.reason} ${decision.detail ?? ''}`)
}

const deviceOf = (id: string): Device => ({ id: id as DeviceId, tenant: DEFAULT_TENANT, groups: GROUPS, attributes: {}, state: 'active', createdAt: Date.now(), revision: 1 })

/** Registers devices, each with the audit event that the desk would write. */
async function register(home: OpenHome, ids: readonly string[]): Promise<void> {
  for (let at = 0; at < ids.length; at += PAGE) {
    const page = ids.slice(at, at + PAGE).map(deviceOf)
    const added = page.map((device) => home.registry.commit([{ kind: 'device-added', device }], [], [{ kind: 'device-added', at: device.createdAt, device: device.id, actor: SYSTEM }]))
    for (const decision of await Promise.all(added)) must(decision)
  }
}

/**
 * Registers `count` devices in a home in which no server runs, each with a certificate in force, by the same commits and
 * audit events as an enrollment. Keys, serials and hashes are random; the body is that of a real certificate, because a
 * start reads no bodies and their size is what counts.
 */
export async function prefill(home: string, count: number): Promise<void> {
  await using opened = await openBenchHome(home)
  const { authority } = await opened.organisation(SYSTEM, 'open')
  const [real] = opened.registry.certificates({ state: 'active' }).items
  const der = real && opened.registry.certificateDer(real.issuer, real.serial)
  if (real === undefined || der === undefined) throw new Error(`${home} has no certificate to take for a model`)
  const ids = Array.from({ length: count }, (_, n) => `prefilled-${n}`)
  await register(opened, ids)
  const hex = (bytes: number): string => randomBytes(bytes).toString('hex')
  const commit = (change: Change, audit: AuditEvent): Promise<unknown> => opened.registry.commit([change], [], [audit]).then(must)
  for (let at = 0; at < count; at += PAGE) {
    const records = ids.slice(at, at + PAGE).map((id): CertificateRecord => ({
      issuer: authority.issuer, serial: `4${hex(16).slice(1)}` as SerialNumber, profile: 'device', device: id as DeviceId, state: 'planned',
      spkiSha256: hex(32) as KeyHash, notBefore: real.notBefore, notAfter: real.notAfter, createdAt: Date.now(),
    }))
    const event = ({ issuer, serial, profile, device, createdAt }: CertificateRecord) => ({ at: createdAt, issuer, serial, profile, actor: SYSTEM, ...(device === undefined ? {} : { device }) })
    await Promise.all(records.map((r) => commit({ kind: 'certificate-planned', certificate: r }, { kind: 'certificate-planned', ...event(r) })))
    await Promise.all(
      records.map((r) => {
        const sha256 = createHash('sha256').update(r.serial).digest('hex') as Fingerprint
        return commit({ kind: 'certificate-issued', issuer: r.issuer, serial: r.serial, sha256, der, state: 'active' }, { kind: 'certificate-issued', ...event(r), sha256 })
      }),
    )
  }
}

/** Runs `work` for every item, `CONCURRENCY` at a time, and reads what this process spent on it. */
async function rateOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<Rate> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const item = items[next++]
      if (item !== undefined) await work(item)
    }
  }
  const before = process.cpuUsage()
  const since = performance.now()
  await Promise.all(Array.from({ length: CONCURRENCY }, lane))
  const seconds = (performance.now() - since) / 1_000
  const { user, system } = process.cpuUsage(before)
  const cpuUs = (user + system) / items.length
  return { perCpuSecond: 1e6 / cpuUs, perSecond: items.length / seconds, cpuUs }
}

/** Makes an organisation in `home` and issues `count` certificates in each of the two ways. Keys and requests are made before. */
export async function measureIssuance(home: string, count: number): Promise<Issuance> {
  await using opened = await openBenchHome(home)
  const { authority } = await opened.organisation(SYSTEM, 'make')
  const ids = (prefix: string, n: number): DeviceId[] => Array.from({ length: n }, (_, i) => `${prefix}-${i}` as DeviceId)
  const [warmUp, alone, enrolled] = [ids('warm', Math.ceil(count / 4)), ids('alone', count), ids('enrolled', count)]
  await register(opened, [...warmUp, ...alone, ...enrolled])
  const keyed = (of: readonly DeviceId[]): { id: DeviceId; spki: Uint8Array }[] => of.map((id) => ({ id, spki: spkiOf(generateKey('P-256')) }))
  const made = new Map<DeviceId, Uint8Array | string>()
  const issue = async ({ id, spki }: { id: DeviceId; spki: Uint8Array }): Promise<void> => {
    made.set(id, must(await authority.issue({ profile: 'device', commonName: id, device: id, spki }, SYSTEM)).der)
  }
  const desk = openDesk({ registry: opened.registry, view: opened.view, audit: opened.audit, authority, policies: await noPolicy(opened, authority), ca: opened, clock: Date.now }, SYSTEM)
  const requests = enrolled.map((id) => ({ id, csr: makeCsr(generateKey('P-256'), id) }))
  await rateOf(keyed(warmUp), issue)
  const measured = {
    certificates: count, concurrency: CONCURRENCY,
    authority: await rateOf(keyed(alone), issue),
    enrollment: await rateOf(requests, async ({ id, csr }) => void made.set(id, (await desk.enroll(id, csr)).certificate)),
  }
  for (const [id, der] of made) if (new X509Certificate(der).subject !== `CN=${id}`) throw new Error(`the certificate of ${id} is another's`)
  return measured
}
