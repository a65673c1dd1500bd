// What an operator sees of a running server: who is connected, who was refused and where on the way, and what needs a person. Read
// models over the sessions, the registry and the audit log; nothing here decides.

import type { DenyReason, Step } from '../vocabulary.ts'
import type { DeviceState } from './device.ts'
import type { CaName, DeviceId, EpochMs, GroupName, SerialNumber, TenantId } from './ids.ts'
import type { PathStep } from './handshake-path.ts'
import type { EffectiveTopics } from './policy/effective-topics.ts'
import type { CertificateState, Page } from './registry.ts'

export const LISTENERS = ['mqtt', 'websocket'] as const
export type ListenerName = (typeof LISTENERS)[number]

/** One connected session. */
export interface ConnectionShown {
  /** Of this connection alone: whoever comes back has another. */
  readonly id: string
  readonly device: DeviceId
  readonly clientId: string
  readonly address: string
  readonly port: number
  readonly listener: ListenerName
  readonly since: EpochMs
  /** 4 is MQTT 3.1.1. */
  readonly protocol: 4 | 5
  readonly tls: string
  readonly cipher: string
  readonly keepAliveSeconds: number
  /** It outlives its connection. */
  readonly kept: boolean
  readonly subscriptions: number
  /** Messages that wait in memory for room, and those that wait for an acknowledgement. */
  readonly queued: number
  readonly inFlight: number
  readonly issuer: CaName
  readonly serial: SerialNumber
  readonly notAfter: EpochMs
  /** Of MQTT, without TLS. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly packetsIn: number
}

export interface ConnectionQuery {
  readonly after?: string | undefined
  readonly limit?: number | undefined
  readonly device?: DeviceId | undefined
  readonly group?: GroupName | undefined
  /** A part of the device id, the client id or the address. */
  readonly q?: string | undefined
  readonly address?: string | undefined
  readonly listener?: ListenerName | undefined
  readonly tenant?: TenantId | undefined
}

/** In the order of device and client id. */
export interface ConnectionPage extends Page<ConnectionShown> {
  /** All that match, on all pages. */
  readonly matched: number
}

export interface ConnectionEnded {
  readonly id: string
  readonly device: DeviceId
  readonly clientId: string
}

/** What the peer had shown, as far as it came. */
export interface PresentedShown {
  readonly subject?: string
  readonly issuer?: string
  readonly serial?: string
  readonly sha256?: string
  readonly notAfter?: EpochMs
}

export interface RefusalShown {
  /** Its number in the audit log. */
  readonly id: number
  readonly at: EpochMs
  readonly step: Step
  readonly reason: DenyReason
  readonly sentence: string
  readonly fix: string
  readonly detail?: string
  /** The device that the registry knows the peer to be. */
  readonly device?: string
  /** A name that nothing vouches for. */
  readonly claimed?: string
  readonly address?: string
  readonly port?: number
  /** The way in, where it was not MQTT. */
  readonly door?: string
  readonly clientId?: string
  readonly topic?: string
  readonly rule?: string
  readonly ruleAt?: string
  readonly presented?: PresentedShown
  /** How many it stands for: beyond a rate they are counted, not written. */
  readonly count: number
}

export interface RefusalFilter {
  readonly step?: Step | undefined
  readonly reason?: DenyReason | undefined
  /** Of this device, or of somebody who claimed its name. */
  readonly device?: string | undefined
  readonly address?: string | undefined
  readonly since?: EpochMs | undefined
  readonly until?: EpochMs | undefined
  /** A part of any of its texts. */
  readonly q?: string | undefined
  /** Of devices of this tenant, and of who claimed the name of one. */
  readonly tenant?: TenantId | undefined
}

export interface RefusalQuery extends RefusalFilter {
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/** How far back the memory of the server goes. What is older stands in the audit log. */
export interface Reach {
  /** Of the oldest refusal that is remembered. */
  readonly since?: EpochMs
  /** Nothing older was refused, as far as the audit log knows. */
  readonly complete: boolean
  /** The log is being read: there may be more in a moment. */
  readonly reading: boolean
}

/** Newest first. */
export interface RefusalPage extends Page<RefusalShown> {
  readonly reach: Reach
}

/** Refusals of one reason, of one peer. */
export interface RefusalGroup {
  readonly reason: DenyReason
  readonly step: Step
  readonly sentence: string
  readonly device?: string
  readonly claimed?: string
  readonly address?: string
  readonly count: number
  readonly first: EpochMs
  readonly last: EpochMs
  /** The newest of them. */
  readonly id: number
}

/** Most frequent first. */
export interface RefusalGroups {
  readonly items: readonly RefusalGroup[]
  /** Groups that are not listed. */
  readonly more: number
  readonly reach: Reach
}

export interface RefusalDetail extends RefusalShown {
  readonly path: readonly PathStep[]
  readonly similar: { readonly count: number; readonly first: EpochMs; readonly last: EpochMs; readonly newest: readonly { readonly id: number; readonly at: EpochMs }[] }
}

export interface StripBucket {
  readonly at: EpochMs
  readonly connections: number
  readonly refusals: Readonly<Partial<Record<DenyReason, number>>>
}

export const ATTENTION = ['expiring', 'devices-overdue', 'rotation', 'approvals', 'detection', 'session-store', 'audit-log', 'webhooks'] as const

/** Something that waits for a person. */
export interface Attention {
  readonly kind: (typeof ATTENTION)[number]
  readonly count: number
  readonly sentence: string
  /** The command that shows more, or does it. */
  readonly command: string
  readonly at?: EpochMs
}

export interface Overview {
  readonly at: EpochMs
  readonly devices: { readonly total: number; readonly byState: Readonly<Record<DeviceState, number>> }
  readonly connected: { readonly devices: number; readonly sessions: number }
  readonly refused: { readonly hour: number; readonly day: number; readonly byReason: readonly { readonly reason: DenyReason; readonly sentence: string; readonly hour: number; readonly day: number }[] }
  readonly strip: { readonly bucketMs: number; readonly buckets: readonly StripBucket[]; readonly reach: Reach }
  readonly attention: readonly Attention[]
  readonly newest: readonly RefusalShown[]
}

/** A session that waits for its device. */
export interface KeptSession {
  readonly clientId: string
  readonly expiresAt?: EpochMs
  readonly queued: number
  readonly subscriptions: readonly string[]
}

export interface DeviceSessions {
  readonly device: DeviceId
  readonly connected: readonly (ConnectionShown & { readonly filters: readonly string[] })[]
  readonly kept: readonly KeptSession[]
}

/** The life of one certificate. What the audit log does not reach back to is absent. */
export interface CertificateLife {
  readonly issuer: CaName
  readonly serial: SerialNumber
  readonly state: CertificateState
  readonly plannedAt: EpochMs
  readonly issuedAt?: EpochMs
  readonly firstUsedAt?: EpochMs
  readonly supersededAt?: EpochMs
  readonly because?: string
  readonly revokedAt?: EpochMs
  readonly revocationReason?: string
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
  /** The one that it was the renewal of. */
  readonly renews?: SerialNumber
}

export interface DeviceTopics extends EffectiveTopics {
  readonly device: DeviceId
}

export interface FeedDesk {
  connections(query: ConnectionQuery): Promise<ConnectionPage>
  /** Of this tenant, where one is named. Reason: connection-not-found. */
  endConnection(id: string, tenant?: TenantId): Promise<ConnectionEnded>
  refusals(query: RefusalQuery): Promise<RefusalPage>
  refusalGroups(filter: RefusalFilter): Promise<RefusalGroups>
  /** Of this tenant, where one is named. Reason: refusal-not-found. */
  refusal(id: number, tenant?: TenantId): Promise<RefusalDetail>
  overview(): Promise<Overview>
  deviceSessions(id: DeviceId): Promise<DeviceSessions>
  deviceTopics(id: DeviceId): Promise<DeviceTopics>
  /** Newest first. */
  deviceTimeline(id: DeviceId): Promise<readonly CertificateLife[]>
}
