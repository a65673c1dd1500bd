// The operator's desk: one function per thing that an operator does. It is implemented twice: over the open home
// (src/desk.ts) and over the admin API (http/admin-client.ts). Commands hold a Desk and need not know which.

import type { DenyReason, RevocationReason, Rung, Signal, Step } from '../vocabulary.ts'
import type { CsrFacts } from './certificate.ts'
import type { OnRung } from './detection/ladder.ts'
import type { Device, DeviceAction, DeviceState } from './device.ts'
import type { CaDesk } from './ca-desk.ts'
import type { AuditDesk } from './audit-desk.ts'
import type { ConsoleDesk } from './console-desk.ts'
import type { FeedDesk } from './feed-desk.ts'
import type { EnrollmentDesk } from './enrollment-desk.ts'
import type { OperatorDesk } from './operator-desk.ts'
import type { PolicyDesk } from './policy-desk.ts'
import type { LogDesk } from './log-levels.ts'
import type { WebhookDesk } from './webhook-desk.ts'
import type { RenewalDesk } from './renewal-desk.ts'
import type { Reloaded } from './reload.ts'
import type { ReportsDesk } from './reports-desk.ts'
import type { MassRevocation, MassRevoked } from './mass-revocation.ts'
import type { CaName, DeviceId, EpochMs, GroupName, KeyHash, SerialNumber, TenantId } from './ids.ts'
import type { CaState, CertificateQuery, CertificateRecord, DeviceQuery, JournalEntry, JournalQuery, Page } from './registry.ts'

export interface NewDevice {
  readonly id: DeviceId
  readonly groups: readonly GroupName[]
  readonly attributes: Readonly<Record<string, string>>
  /** The one that there is, where nothing is said. */
  readonly tenant?: TenantId | undefined
  /** The only key for which it gets a first certificate. */
  readonly keySha256?: KeyHash | undefined
  /** A one-time password that the device has already. */
  readonly password?: { readonly text: string; readonly lifeMs: number } | undefined
}

/** What became of one device of many: refused ones say why and stop no other. */
export type DeviceAdded = { readonly ok: true } | { readonly ok: false; readonly code: string; readonly message: string }

/** What is to be another thing of a device. What is undefined stays. */
export interface DeviceDescription {
  /** All of its groups from now on. */
  readonly groups?: readonly GroupName[] | undefined
  /** Attributes by name; null takes one away. */
  readonly attributes?: Readonly<Record<string, string | null>> | undefined
  /** Only if the device is still at this revision. */
  readonly revision?: number | undefined
}

/** All certificates in PEM. */
export interface Enrolled {
  readonly device: DeviceId
  readonly serial: SerialNumber
  readonly certificate: string
  /** The issuing certificates, leaf side first, without the root. */
  readonly chain: readonly string[]
  /** What this server is verified with: all roots in force, the current one first. */
  readonly root: string
  readonly notAfter: EpochMs
}

export interface Revocation {
  readonly revoked: readonly SerialNumber[]
  /** Those of them that were revoked before, where there are any: their reason and time stay. */
  readonly before?: readonly SerialNumber[]
  readonly sessionsClosed: number
  /** From the commit to the last socket closed. */
  readonly closedMs: number
}

export interface RefusalSeen {
  readonly at: EpochMs
  readonly step: Step
  readonly reason: DenyReason
  readonly sentence: string
  readonly fix: string
  readonly detail?: string
  readonly source?: string
  readonly clientId?: string
  readonly topic?: string
  readonly rule?: string
  readonly ruleAt?: string
  /** By which way in, where it was not MQTT: `https-publish`. */
  readonly door?: string
  /** The peer only claimed to be this device: its certificate is not one of ours. */
  readonly claimed?: true
  /** It stands for this many of one reason that were counted, not written. */
  readonly count?: number
}

/** A step of the detection ladder. */
export interface DetectionSeen {
  readonly at: EpochMs
  readonly from: Rung
  readonly to: Rung
  readonly because: string
  /** Of a step up, with what to do about it. */
  readonly signal?: Signal
  readonly fix?: string
  /** When the rung is left, unless it is reached again. */
  readonly until?: EpochMs
}

export interface Why {
  readonly device: DeviceId
  /** Newest first. */
  readonly refusals: readonly RefusalSeen[]
  /** Newest first. */
  readonly detections: readonly DetectionSeen[]
}

/** What `detection clear` has done. */
export interface DetectionCleared {
  readonly device: DeviceId
  /** The rung that it was on. */
  readonly was: Rung
  /** The ladder had put it into another state, and that is taken back. */
  readonly undone: boolean
  readonly state: DeviceState
}

export interface CaShown {
  readonly name: CaName
  readonly role: 'root' | 'issuing' | 'trusted'
  readonly state: CaState
  /** The device ids that it may name; absent where it may name any. */
  readonly ids?: readonly string[]
  readonly subject: string
  readonly sha256: string
  readonly notAfter: EpochMs
  readonly pem: string
}

export interface AuditVerdict {
  readonly intact: boolean
  readonly records: number
  /** The first line (from 1) that does not verify, and what is wrong with it. */
  readonly firstBad?: { readonly line: number; readonly problem: string }
}

/** A record of the audit log as it stands in data/audit.ndjson (ECS field names, dotted or nested as written). */
export type AuditRecord = Readonly<Record<string, unknown>>

/** As the registry's, from now on. */
export interface DeviceListQuery extends Omit<DeviceQuery, 'expiring'> {
  /** Its certificates that are in force end within this time. */
  readonly expiringWithinMs?: number | undefined
}

/**
 * `of`: those of this serial number that are this device's; a CA of others may have given the same number to somebody else. `devicesOnly`: nothing
 * that an operator or the server shows, or the CA.
 */
export type RevocationTarget = { readonly device: DeviceId } | { readonly serial: SerialNumber; readonly of?: DeviceId; readonly devicesOnly?: true }

/** Refusals are thrown as SallyportError('refused' | 'not-found', …) with their DenyReason: an operator asked for success. */
export interface Desk extends PolicyDesk, CaDesk, EnrollmentDesk, RenewalDesk, OperatorDesk, FeedDesk, WebhookDesk, ConsoleDesk, ReportsDesk, LogDesk, AuditDesk {
  addDevice(device: NewDevice): Promise<Device>
  /** At most `batchRows` of them; results in their order. It throws when one failed that was not refused: what became of the others is then not known. */
  addDevices(devices: readonly NewDevice[]): Promise<readonly DeviceAdded[]>
  devices(query: DeviceListQuery): Promise<Page<Device>>
  device(id: DeviceId): Promise<Device & { readonly certificates: readonly CertificateRecord[] }>
  /** Groups and attributes, in force for connected sessions when it resolves. */
  describeDevice(id: DeviceId, description: DeviceDescription): Promise<Device>
  /** `revision`: only if the device is still at this one. */
  changeDevice(id: DeviceId, action: DeviceAction, revision?: number): Promise<Device & { readonly sessionsClosed: number }>
  /** `csr` is PEM; `read`: what was read in it, where that was done in this process. Idempotent by (device, public key): a lost answer can be asked for again. */
  enroll(id: DeviceId, csr: string, read?: CsrFacts): Promise<Enrolled>
  certificates(query: CertificateQuery): Promise<Page<CertificateRecord>>
  /** Who planned which certificate, in the order in which they did. */
  journal(query: JournalQuery): Promise<Page<JournalEntry>>
  certificate(serial: SerialNumber): Promise<CertificateRecord & { readonly pem?: string }>
  revoke(target: RevocationTarget, reason: RevocationReason): Promise<Revocation>
  /** In pages, each in force when it is committed; what a failure leaves over is done by asking again. */
  revokeMany(order: MassRevocation): Promise<MassRevoked>
  why(id: DeviceId): Promise<Why>
  cas(): Promise<readonly CaShown[]>
  /** Who is on a rung of the detection ladder, highest first. */
  detections(): Promise<readonly OnRung[]>
  /** Takes a device off the ladder, and takes back what the ladder did to it; what an operator did stays. */
  clearDetection(id: DeviceId): Promise<DetectionCleared>
  /** Reads configuration, policy, trust and server certificate anew: all of them or, with one mistake, none. */
  reload(): Promise<Reloaded>
  [Symbol.asyncDispose](): Promise<void>
}
