// What the broker room is handed by main.ts, and nothing else: the view, the trust, the policy, the clock and the audit.
// No sibling room is imported; whoever composes the program decides what stands behind these.

import type { AuditSink, CertificateRecord, RegistryView } from '../core/registry.ts'
import type { Decision } from '../core/decision.ts'
import type { Fact } from '../core/detection/signals.ts'
import type { CaName, DeviceId, EpochMs, SerialNumber } from '../core/ids.ts'
import type { RenewalHint } from '../core/renewal-hints.ts'
import type { CompiledPolicy } from '../core/policy/compile.ts'
import type { Trust } from '../x509/chain.ts'
import type { BucketRate } from '../core/token-bucket.ts'
import type { Router } from '../core/router.ts'
import type { SessionStore } from '../core/session-store.ts'
import type { Trace } from '../core/trace.ts'
import type { Timing, Traffic } from '../core/traffic.ts'
import type { Outbound } from './engine/outbound.ts'
import type { Peer } from './peer.ts'
import type { TlsMaterial } from './listener.ts'

/** Something happened that a person who runs the server should read. */
export type BrokerLog = (level: 'info' | 'warn' | 'error', facts: Readonly<Record<string, unknown>>, message: string) => void

/** Where MQTT over WebSocket is served. */
export interface WebSocketListen {
  readonly host: string
  readonly port: number
  /** The one path that is answered: '/mqtt'. */
  readonly path: string
  /** Web pages that may connect, by their origin, as browsers write it. */
  readonly origins: readonly string[]
}

/** The detection ladder. It is told only what was done on connections whose certificate proved the device. */
export interface DetectionPort {
  note(device: DeviceId, fact: Fact): void
  /** Is this device slowed down, now? */
  isThrottled(device: DeviceId): boolean
  /** To be called every second: time alone may lead down. */
  sweep(): void
}

/** A certificate that was issued, DER, with those of its issuing CAs. */
export interface RenewedCertificate {
  readonly record: CertificateRecord
  readonly der: Uint8Array
  readonly chain: readonly Uint8Array[]
}

/** The next certificates of devices that are connected. */
export interface RenewalPort {
  /** For the holder of the presented certificate (DER). `csr` is PEM or DER. */
  renew(request: { readonly csr: string | Uint8Array; readonly presented: Uint8Array; readonly mayBeLate: boolean }): Promise<Decision<RenewedCertificate>>
  /** Somebody was admitted with this certificate. Never rejects, and nobody waits for it. */
  used(certificate: { readonly issuer: CaName; readonly serial: SerialNumber }): Promise<void>
}

/** Whom to tell that it is time to renew. */
export interface HintsPort {
  /** What the device that is connected with this certificate is to be told now; undefined: nothing. */
  due(certificate: { readonly issuer: CaName; readonly serial: SerialNumber }): RenewalHint | undefined
  told(device: DeviceId): void
}

export interface ConnectionBounds {
  readonly packetBytesMax: number
  /** A client that asks for a longer keep-alive, or for none, is given this: in seconds. MQTT 5 is told [MQTT-3.2.2-21]. */
  readonly keepAliveSecondsMax: number
}

export interface BrokerPorts {
  readonly host: string
  readonly port: number
  /** Absent: there is no such door. */
  readonly websocket: WebSocketListen | undefined
  readonly tls: TlsMaterial
  /** Read at every connection: it may change. */
  readonly sourceRate: BucketRate
  /** Those in force now; a connection keeps what it began with. */
  readonly bounds: () => ConnectionBounds
  readonly view: RegistryView
  readonly audit: AuditSink
  readonly clock: () => EpochMs
  readonly log: BrokerLog
  /** A recorded certificate, DER: what sessions that are away are judged by, where the policy speaks of certificates. Undefined: there is none. */
  readonly certificateDer: (issuer: CaName, serial: SerialNumber) => Uint8Array | undefined
  /** Between the sessions that are connected. */
  readonly router: Router<Outbound>
  /** What outlives a connection. The broker does not close it. */
  readonly store: SessionStore
  /** The trust in force now. */
  readonly trust: () => Trust
  /** The same with the CAs whose certificates enroll and open no other door: for whoever publishes with one to be told so. */
  readonly enrolls?: () => Trust
  /** The policy in force now. */
  readonly policy: () => CompiledPolicy
  /**
   * Records a certificate of a trusted foreign CA that is seen for the first time, and registers its device where the
   * identity rule says so. The view knows both when it resolves.
   */
  readonly observe: (peer: Peer) => Promise<Decision<void>>
  readonly detection: DetectionPort
  readonly renewal: RenewalPort
  readonly hints: HintsPort
  /** Counted up here, read by others. */
  readonly traffic: Traffic
  readonly timing: Timing
  readonly trace: Trace
}
