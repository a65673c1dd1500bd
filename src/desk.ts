// The operator's desk over an open home: every verb of core/desk.ts, judged by core, committed to the registry, and acted
// on. The running server hands it to the admin API; a command without a server uses it directly.

import type { DenyReason, RevocationReason } from './vocabulary.ts'
import { chainOf, rootsInForce } from './ca/chains.ts'
import { openAuditDesk } from './audit-desk.ts'
import { openCaDesk, type CaDeskPorts } from './ca-desk.ts'
import type { Authority } from './ca/issue.ts'
import type { Actor, AuditEvent } from './core/audit.ts'
import type { CsrFacts } from './core/certificate.ts'
import { allow, type Decision } from './core/decision.ts'
import type { CaShown, Desk, DetectionCleared, DeviceAdded, DetectionSeen, DeviceDescription, Enrolled, NewDevice, RefusalSeen, Revocation, RevocationTarget, Why } from './core/desk.ts'
import { describedDevice, distinctGroups, nextDeviceState, type Device, type DeviceAction } from './core/device.ts'
import { judgeEnrollment } from './core/enrollment.ts'
import { failureOf, SallyportError } from './core/errors.ts'
import { DEFAULT_TENANT, type CaName, type DeviceId, type EpochMs, type SerialNumber } from './core/ids.ts'
import type { Applied, ApplyRequest } from './core/policy-desk.ts'
import type { HeldSession } from './core/policy/fleet-diff.ts'
import type { CaRecord, CertificateQuery, CertificateRecord, Change, Committed, Expectation, Lists, Registry, RegistryView } from './core/registry.ts'
import type { Reloaded } from './core/reload.ts'
import { planRevocation } from './core/revocation.ts'
import { openedLater, openFeedDesk, type LivePorts } from './feed-desk.ts'
import type { AuditLog } from './observe/audit-log.ts'
import { clearedEvents, onRungs, rungOf, takeBack, type DetectionPort } from './detection.ts'
import { openConsoleDesk, type ConsolePort } from './console-desk.ts'
import { allCertificatesOf } from './device-certificates.ts'
import { openEnrollmentDesk, passwordToken } from './enrollment-desk.ts'
import { openOperatorDesk } from './operator-desk.ts'
import type { Trace } from './core/trace.ts'
import { openLogDesk, type LogLevels } from './log-levels.ts'
import { revokeMany } from './mass-revocation.ts'
import { openReportsDesk } from './reports.ts'
import { openRenewalDesk, type OwnPort } from './renewal-desk.ts'
import { openPolicyDesk, type PoliciesPort } from './policy-desk.ts'
import { NO_WEBHOOKS, type Webhooks } from './webhook-desk.ts'
import { parseCertificate } from './x509/certificate.ts'
import { parseCsr } from './x509/csr.ts'
import { encodePem } from './x509/pem.ts'

/** Whose sessions a change has closed: what a running broker knows. Without one nobody is connected. */
export interface SessionsPort {
  closed(match: { readonly device: DeviceId } | { readonly issuer: CaName; readonly serial: SerialNumber }): Promise<number>
  /** Live sessions of this certificate, of which nothing is closed. */
  readonly connected?: (record: CertificateRecord) => number
  /** Those of one device, connected and kept, with what they subscribed to. */
  readonly of?: (device: Device) => Promise<readonly HeldSession[]>
}

/** The policy of the home, and the way to another one: whoever asks is named. */
export interface PoliciesOfHome extends Omit<PoliciesPort, 'apply'> {
  apply(request: ApplyRequest, actor: Actor): Promise<Applied>
}

/** What must end access at once, recorded or not. */
export interface DecreesPort {
  /** In force until the registry records it, or the server restarts. */
  decree(changes: readonly EndingChange[]): void
  lift(device: DeviceId): void
}

export interface AuditPort {
  flush(): Promise<void>
  readonly verify: AuditLog['verify']
  readonly tail: AuditLog['tail']
  readonly page: AuditLog['page']
  refusals(device: DeviceId, limit: number): Promise<readonly RefusalSeen[]>
  detections(device: DeviceId, limit: number): Promise<readonly DetectionSeen[]>
  readonly degraded: AuditLog['degraded']
  readonly follow: AuditLog['follow']
  readonly walkBack: AuditLog['walkBack']
}

export interface DeskPorts {
  readonly registry: Registry
  /** Of a running server, whose messages must not wait for a list; without them the registry reads it here. */
  readonly lists?: Lists
  readonly view: RegistryView
  readonly audit: AuditPort
  readonly authority: Authority
  /** The CAs themselves: their keys, and whoever has to follow when they change. */
  readonly ca: Pick<CaDeskPorts, 'genesis' | 'alone' | 'connected' | 'changed'>
  readonly sessions?: SessionsPort
  /** Without it, as without a running server, an order that cannot be recorded is only a failure. */
  readonly decrees?: DecreesPort
  /** What expires of the organisation's own; without it nothing is known of that. */
  readonly own?: OwnPort
  /** The ladder of a running server; without one there is what the registry holds. */
  readonly detection?: DetectionPort
  readonly policies: PoliciesOfHome
  /** The console of a running server. */
  readonly console?: ConsolePort
  /** The folder of the simulator's reports. */
  readonly reports?: string
  /** What a running server remembers and knows of its connections; without it the audit log is read when somebody asks. */
  readonly live?: LivePorts
  /** Without it there are none. */
  readonly webhooks?: Pick<Webhooks, 'deskFor'>
  /** Of a running server; without one there is nothing to reload. */
  readonly reload?: (actor: Actor) => Promise<Reloaded>
  /** Of a running server, the levels of its log. */
  readonly logLevels?: LogLevels
  /** Hears of each revocation, and how long it took. */
  readonly trace?: Trace
  readonly clock: () => EpochMs
}

const WHY_REFUSALS_MAX = 20
const WHY_DETECTIONS_MAX = 10
const REVOKE_ATTEMPTS_MAX = 3
type RevocationChange = Extract<Change, { kind: 'certificate-revoked' }>
type EndingChange = RevocationChange | Extract<Change, { kind: 'device-state' }>

const no = (reason: DenyReason, detail?: string): SallyportError => failureOf(detail === undefined ? { allow: false, reason } : { allow: false, reason, detail })

const joined = (first: Revocation, { revoked, sessionsClosed, closedMs }: Revocation): Revocation => ({ ...first, revoked, sessionsClosed: first.sessionsClosed + sessionsClosed, closedMs: Math.max(first.closedMs, closedMs) })

export function openDesk(ports: DeskPorts, actor: Actor): Desk {
  const { registry, view, audit, clock } = ports
  const lists = ports.lists ?? registry

  function known(id: DeviceId): Device {
    const device = registry.device(id)
    if (device === undefined) throw no('device-not-found', id)
    return device
  }

  async function addDevice({ id, groups, attributes, tenant = DEFAULT_TENANT, keySha256, password }: NewDevice): Promise<Device> {
    const now = clock()
    const ofGroups = distinctGroups(groups)
    if (!ofGroups.allow) throw failureOf(ofGroups)
    const device: Device = { id, tenant, groups: ofGroups.value, attributes, state: 'active', createdAt: now, revision: 1, ...(keySha256 === undefined ? {} : { keySha256 }) }
    const token = password === undefined ? undefined : passwordToken(id, password, now)
    if (token?.allow === false) throw failureOf(token)
    const committed = await registry.commit(
      [{ kind: 'device-added', device }, ...(token === undefined ? [] : [{ kind: 'token-added', token: token.value } as const])],
      keySha256 === undefined ? [] : [{ kind: 'key-free', spkiSha256: keySha256, device: id }],
      [{ kind: 'device-added', at: now, device: id, actor }, ...(token === undefined ? [] : [{ kind: 'token-created', at: now, token: token.value.name, actor } as const])],
    )
    if (!committed.allow) throw failureOf(committed)
    return device
  }

  async function addDeviceOfMany(device: NewDevice): Promise<DeviceAdded> {
    try {
      await addDevice(device)
      return { ok: true }
    } catch (error) {
      // A registry that takes nothing now has refused the time, not the device.
      if (!(error instanceof SallyportError) || error.reason === undefined || error.reason === 'registry-unavailable') throw error
      return { ok: false, code: error.reason, message: error.message }
    }
  }

  async function describeDevice(id: DeviceId, { groups, attributes, revision }: DeviceDescription): Promise<Device> {
    const device = known(id)
    const described = describedDevice(device, { groups, attributes })
    if (!described.allow) throw failureOf(described)
    if (revision !== undefined && revision !== device.revision) throw no('revision-conflict', `the device is at revision ${device.revision}`)
    if (described.value === undefined) return device
    const committed = await registry.commit(
      [{ kind: 'device-described', id, ...described.value }],
      [{ kind: 'device-revision', id, revision: device.revision }],
      [{ kind: 'device-changed', at: clock(), device: id, action: 'describe', state: device.state, actor }],
    )
    if (!committed.allow) throw failureOf(committed)
    return known(id)
  }

  async function changeDevice(id: DeviceId, action: DeviceAction, revision?: number): Promise<Device & { readonly sessionsClosed: number }> {
    await ports.detection?.settled(id)
    const device = known(id)
    if (revision !== undefined && revision !== device.revision) throw no('revision-conflict', `the device is at revision ${device.revision}`)
    const next = nextDeviceState(device.state, action)
    if (!next.allow) throw failureOf(next)
    const state = next.value
    const cleared = clearedEvents(device, rungOf(device, ports.detection), actor, clock())
    // Whoever resumes a device the suspension of which was never recorded takes that back.
    if (state === device.state && device.hold === undefined) {
      ports.decrees?.lift(id)
      if (cleared.length > 0) await registry.commit([], [], cleared)
    } else {
      const committed = await commitEnding(
        [{ kind: 'device-state', id, state }],
        [{ kind: 'device-revision', id, revision: device.revision }],
        [{ kind: 'device-changed', at: clock(), device: id, action, state, actor }, ...cleared],
      )
      if (!committed.allow) throw failureOf(committed)
    }
    ports.detection?.clear(id)
    const sessionsClosed = (await ports.sessions?.closed({ device: id })) ?? 0
    return { ...known(id), sessionsClosed }
  }

  /** What ends access is in force in this server even when the registry fails to record it. The failure is told all the same. */
  async function commitEnding(changes: readonly EndingChange[], expected: readonly Expectation[], events: readonly AuditEvent[]): Promise<Decision<Committed>> {
    try {
      return await registry.commit(changes, expected, events)
    } catch (cause) {
      // What gives access is never given unrecorded; and whether an operator remains, only the registry can say.
      const ends = changes.every((change) => change.kind === 'certificate-revoked' || change.state !== 'active')
      if (ports.decrees === undefined || !ends || expected.some(({ kind }) => kind === 'operators-remain')) throw cause
      ports.decrees.decree(changes)
      for (const change of changes) await ports.sessions?.closed(change.kind === 'device-state' ? { device: change.id } : { issuer: change.issuer, serial: change.serial })
      throw new SallyportError('internal', `This is in force, but not recorded: it ends when the server restarts (${cause instanceof Error ? cause.message : 'the registry failed'})`, {
        fix: 'Look for a full or failing disk, and repeat the command until it answers without a failure.',
        cause,
      })
    }
  }

  async function enroll(id: DeviceId, csr: string, read?: CsrFacts): Promise<Enrolled> {
    const device = known(id)
    const parsed = read === undefined ? parseCsr(csr) : allow(read)
    if (!parsed.allow) throw failureOf(parsed)
    const plan = judgeEnrollment(parsed.value, device)
    if (!plan.allow) throw failureOf(plan)
    const issued = await ports.authority.issue({ profile: 'device', commonName: id, device: id, spki: plan.value.spki, key: parsed.value.key }, actor)
    if (!issued.allow) throw failureOf(issued)
    const { record, der } = issued.value
    const cas = registry.cas()
    return {
      device: id,
      serial: record.serial,
      certificate: encodePem('CERTIFICATE', der),
      chain: chainOf(record.issuer, cas).map((ca) => encodePem('CERTIFICATE', ca)),
      root: rootsInForce(cas).map((root) => encodePem('CERTIFICATE', root.der)).join(''),
      notAfter: record.notAfter,
    }
  }

  /** Of a device it looks twice: a renewal that was on its way to the registry had been seen by nobody, and comes from what is revoked by now. */
  async function revoke(target: RevocationTarget, reason: RevocationReason): Promise<Revocation> {
    const begunAt = clock()
    const first = await revokeSeen(target, reason)
    const all = 'serial' in target ? first : joined(first, await revokeSeen(target, reason))
    ports.trace?.({ name: 'revoke', begunAt, endedAt: clock(), attributes: { 'sallyport.revocation.reason': reason, 'sallyport.certificates': all.revoked.length, 'sallyport.sessions': all.sessionsClosed } })
    return all
  }

  async function revokeSeen(target: RevocationTarget, reason: RevocationReason): Promise<Revocation> {
    for (let attempt = 1; ; attempt++) {
      const records = 'device' in target ? allCertificatesOf(registry, known(target.device).id) : registry.certificatesBySerial(target.serial).filter(({ device }) => target.of === undefined || device === target.of)
      const ca = records.length === 0 && 'serial' in target ? caOfSerial(target.serial) : undefined
      if (ca !== undefined) throw no('certificate-purpose', `this is the certificate of the CA ${ca}; rotate the CA instead: ca rotate`)
      const plan = planRevocation(records, reason, clock(), 'serial' in target && target.devicesOnly === true)
      if (!plan.allow) throw failureOf(plan)
      const { changes, expected, revoked, before } = plan.value
      if (changes.length > 0) {
        const committed = await commitEnding(changes, expected, changes.map((change) => revocationEvent(change, records)))
        // Somebody else revoked one of them meanwhile: that is no refusal, but a shorter plan. The last operator stays refused.
        if (!committed.allow && committed.reason === 'state-transition' && attempt < REVOKE_ATTEMPTS_MAX) continue
        if (!committed.allow) throw failureOf(committed)
      }
      // The view took the change in with the commit: nobody comes in with these certificates from here on, and the broker
      // is ending the sessions already.
      const committedAt = performance.now()
      const counts = await Promise.all(changes.map(({ issuer, serial }) => ports.sessions?.closed({ issuer, serial }) ?? Promise.resolve(0)))
      // The server shows another one from here on, of a new key.
      if (changes.some(({ issuer, serial }) => records.some((r) => r.issuer === issuer && r.serial === serial && r.profile === 'server'))) await ports.ca.changed?.()
      const sessionsClosed = counts.reduce((sum, n) => sum + n, 0)
      return { revoked, ...(before.length === 0 ? {} : { before }), sessionsClosed, closedMs: Math.round((performance.now() - committedAt) * 100) / 100 }
    }
  }

  /** The CA of ours whose own certificate has this serial number. */
  function caOfSerial(serial: SerialNumber): CaName | undefined {
    return registry.cas().find(({ role, der }) => {
      const facts = role === 'trusted' ? undefined : parseCertificate(der)
      return facts?.allow === true && facts.value.serial === serial
    })?.name
  }

  function revocationEvent({ issuer, serial, at, reason }: RevocationChange, records: readonly CertificateRecord[]): AuditEvent {
    const device = records.find((r) => r.serial === serial && r.issuer === issuer)?.device
    return { kind: 'certificate-revoked', at, issuer, serial, revocationReason: reason, actor, ...(device === undefined ? {} : { device }) }
  }

  async function clearDetection(id: DeviceId): Promise<DetectionCleared> {
    await ports.detection?.settled(id)
    const cleared = await takeBack({ registry, running: ports.detection, clock }, known(id), actor)
    if (!cleared.allow) throw failureOf(cleared)
    return cleared.value
  }

  return {
    addDevice,
    addDevices: (devices) => Promise.all(devices.map(addDeviceOfMany)),
    describeDevice,
    changeDevice,
    enroll,
    revoke,
    revokeMany: (order) => revokeMany({ registry, view, sessions: ports.sessions, decrees: ports.decrees, clock, actor }, order),
    journal: async (query) => lists.journal(query),
    devices: async ({ expiringWithinMs, ...query }) => lists.devices({ ...query, ...(expiringWithinMs === undefined ? {} : { expiring: { now: clock(), before: clock() + expiringWithinMs } }) }),
    // Promises that start with a throw must reject, not throw: hence async.
    device: async (id) => ({ ...known(id), certificates: allCertificatesOf(registry, id).toSorted((a, b) => b.createdAt - a.createdAt) }),
    certificates: async (query: CertificateQuery) => lists.certificates(query),
    certificate: async (serial) => {
      const [record] = registry.certificatesBySerial(serial)
      if (record === undefined) throw no('certificate-not-found', serial)
      const der = registry.certificateDer(record.issuer, record.serial)
      return der === undefined ? record : { ...record, pem: encodePem('CERTIFICATE', der) }
    },
    why: async (id): Promise<Why> => {
      await audit.flush()
      const refusals = await audit.refusals(id, WHY_REFUSALS_MAX)
      // A name that nobody registered may still have been refused: strangers are asked about, too.
      if (refusals.length === 0) known(id)
      return { device: id, refusals, detections: await audit.detections(id, WHY_DETECTIONS_MAX) }
    },
    ...openPolicyDesk({ registry, view, issuer: ports.authority.issuer, device: known, clock, policies: { ...ports.policies, apply: (request) => ports.policies.apply(request, actor) }, sessionsOf: ports.sessions?.of }),
    // A trusted CA is recorded for its name and key alone: whether it is trusted now is said by the configuration.
    cas: () => Promise.resolve(registry.cas().filter((ca) => ca.role !== 'trusted').map(shown)),
    ...openCaDesk({ ...ports.ca, registry, view, clock, sessions: ports.sessions }, actor),
    reload: async () => {
      if (ports.reload === undefined) throw new SallyportError('unreachable', 'No server runs here: there is nothing to reload.')
      return ports.reload(actor)
    },
    detections: () => onRungs(registry, ports.detection),
    clearDetection,
    ...openFeedDesk({
      registry, lists, view, audit, clock, issuer: ports.authority.issuer, device: known, certificatesOf: (id) => allCertificatesOf(registry, id), own: ports.own, detections: () => onRungs(registry, ports.detection),
      policy: () => ports.policies.inForce().policy, ...(ports.live ?? openedLater(audit, clock)),
    }, actor),
    ...(ports.webhooks?.deskFor(actor) ?? NO_WEBHOOKS),
    ...openRenewalDesk({ registry, view, clock, sessions: ports.sessions, own: ports.own }, actor),
    ...openConsoleDesk(ports.console, actor),
    ...openReportsDesk(ports.reports),
    ...openLogDesk(ports.logLevels, actor),
    ...openEnrollmentDesk({ registry, authority: ports.authority, clock }, actor),
    ...openOperatorDesk({ registry, authority: ports.authority, clock }, actor),
    ...openAuditDesk(audit),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

function shown({ name, role, state, ids, der }: CaRecord): CaShown {
  const facts = parseCertificate(der)
  const subject = facts.allow ? facts.value.subject.flat().map((a) => `${a.short ?? a.type}=${a.value ?? '?'}`).join(', ') : '(not readable)'
  return { name, role, state, ...(ids === undefined ? {} : { ids }), subject, sha256: facts.allow ? facts.value.sha256 : '', notAfter: facts.allow ? facts.value.notAfter : 0, pem: encodePem('CERTIFICATE', der) }
}
