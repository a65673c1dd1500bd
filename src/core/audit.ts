// What becomes history: one union of events. How they are chained and written is the business of observe/; which fields
// are shown to whom, of http/ and commands/. No event has a field for a secret, a password or a payload.

import type { DenyReason, RevocationReason, Rung, Signal, Step } from '../vocabulary.ts'
import type { DeviceAction, DeviceState } from './device.ts'
import type { CaName, DeviceId, EpochMs, Fingerprint, GroupName, OperatorName, SerialNumber, TenantId, TokenName } from './ids.ts'
import type { Role } from './operator.ts'
import type { CaState, CertificateRecord, ProfileName } from './registry.ts'
import type { EnrollmentState } from './token.ts'

/** Who asked. `local` is a person at a shell of the home itself, `system` the program. */
export type Actor =
  /** `name`: the serial number of the certificate; `operator`: whose it was at that moment. */
  | { readonly kind: 'operator'; readonly name: string; readonly operator?: OperatorName }
  | { readonly kind: 'device'; readonly name: string }
  /** Whoever holds this enrollment token. */
  | { readonly kind: 'token'; readonly name: string }
  /** Whoever holds the certificate of the claim, or of the manufacturer, that proves this token. */
  | { readonly kind: 'claim' | 'manufacturer'; readonly name: string }
  | { readonly kind: 'local' }
  | { readonly kind: 'system' }

export const ACTOR_KINDS = ['operator', 'device', 'token', 'claim', 'manufacturer', 'local', 'system'] as const satisfies readonly Actor['kind'][]

/** Where a connection comes from, as the socket says it. */
export interface Source {
  readonly address: string
  readonly port: number
}

/** A way in that the audit log names beside MQTT: publishing over HTTPS. */
export type Door = 'https-publish'

/** What a peer presented, cut to printable text: facts for the operator, trusted by nobody. */
export interface Presented {
  readonly subject?: string
  readonly issuer?: string
  readonly serial?: string
  readonly sha256?: Fingerprint
  readonly notAfter?: EpochMs
}

interface Common {
  readonly at: EpochMs
}

/** A newer certificate of the device took its place; `because` names it. */
interface SupersededEvent extends Common {
  readonly kind: 'certificate-superseded'
  readonly issuer: CaName
  readonly serial: SerialNumber
  readonly device?: DeviceId
  readonly because: string
  readonly actor: Actor
}

export function supersededEvent({ issuer, serial, device, state }: CertificateRecord, by: SerialNumber, at: EpochMs, actor: Actor): SupersededEvent {
  const because = state === 'active' ? `the device has connected with its newer certificate ${by}` : `it was never used, and ${by} takes its place`
  return { kind: 'certificate-superseded', at, issuer, serial, because, actor, ...(device === undefined ? {} : { device }) }
}

export type AuditEvent =
  | Common & {
      readonly kind: 'refusal'
      readonly step: Step
      readonly reason: DenyReason
      readonly detail?: string
      readonly source?: Source
      /** The device that the registry knows this peer to be. */
      readonly device?: DeviceId
      /** The name that the presented certificate claims when nothing vouches for it. */
      readonly claimed?: string
      readonly presented?: Presented
      readonly clientId?: string
      /** Where it was not MQTT's door or the operators'. */
      readonly door?: Door
      readonly topic?: string
      /** The policy rule that decided, and where it stands: "no-admin", "policy.yaml:12". */
      readonly rule?: string
      readonly ruleAt?: string
    }
  /** Refusals of one reason beyond the rate, as one counted record. It names the source, the device and the claimed name that all of them had. */
  | Common & { readonly kind: 'refusals-suppressed'; readonly step: Step; readonly reason: DenyReason; readonly source?: Source; readonly device?: DeviceId; readonly claimed?: string; readonly count: number }
  | Common & { readonly kind: 'admission'; readonly device: DeviceId; readonly clientId: string; readonly serial: SerialNumber; readonly issuer: CaName; readonly source: Source; readonly protocol: 3 | 4 | 5; readonly usernameIgnored?: true }
  /** A connection over which a device publishes by HTTPS. */
  | Common & { readonly kind: 'admission'; readonly device: DeviceId; readonly clientId: string; readonly serial: SerialNumber; readonly issuer: CaName; readonly source: Source; readonly door: Door }
  /** An absent session lost the oldest of its messages: its queue is full. */
  | Common & { readonly kind: 'messages-dropped'; readonly device: DeviceId; readonly clientId: string; readonly count: number }
  /** A change of what is granted took a subscription from a session, which may be away. The client is not told: MQTT has no word for it. */
  | Common & { readonly kind: 'subscription-lost'; readonly device: DeviceId; readonly clientId: string; readonly filter: string; readonly reason: DenyReason; readonly generation: number; readonly rule?: string; readonly ruleAt?: string }
  /** The same of one device beyond the rate, counted. */
  | Common & { readonly kind: 'subscriptions-lost'; readonly device: DeviceId; readonly count: number }
  | Common & { readonly kind: 'session-closed'; readonly device: DeviceId; readonly clientId: string; readonly because: string; readonly reason?: DenyReason; readonly door?: Door }
  /** The connection of an admitted session is gone, whoever ended it. */
  | Common & { readonly kind: 'connection-closed'; readonly device: DeviceId; readonly clientId: string; readonly because: string; readonly source: Source; readonly connectedMs: number }
  /** An operator ended this connection; its session is told of beside it. */
  | Common & { readonly kind: 'connection-ended'; readonly device: DeviceId; readonly clientId: string; readonly actor: Actor }
  | Common & { readonly kind: 'device-added'; readonly device: DeviceId; readonly actor: Actor }
  | Common & { readonly kind: 'device-changed'; readonly device: DeviceId; readonly action: DeviceAction | 'describe' | 'register'; readonly state: DeviceState; readonly actor: Actor; readonly because?: string }
  | Common & { readonly kind: 'certificate-planned'; readonly issuer: CaName; readonly serial: SerialNumber; readonly profile: ProfileName; readonly device?: DeviceId; readonly actor: Actor }
  | Common & { readonly kind: 'certificate-issued'; readonly issuer: CaName; readonly serial: SerialNumber; readonly profile: ProfileName; readonly device?: DeviceId; readonly sha256: Fingerprint; readonly actor: Actor }
  | Common & { readonly kind: 'certificate-observed'; readonly issuer: CaName; readonly serial: SerialNumber; readonly device: DeviceId; readonly sha256: Fingerprint }
  /** The device has connected with it for the first time. */
  | Common & { readonly kind: 'certificate-activated'; readonly issuer: CaName; readonly serial: SerialNumber; readonly device?: DeviceId; readonly actor: Actor }
  | SupersededEvent
  | Common & { readonly kind: 'certificate-revoked'; readonly issuer: CaName; readonly serial: SerialNumber; readonly device?: DeviceId; readonly revocationReason: RevocationReason; readonly actor: Actor }
  | Common & { readonly kind: 'token-revoked' | 'token-suspended' | 'token-resumed'; readonly token: TokenName; readonly actor: Actor }
  /** `ca`: the CA of the manufacturer whose certificates prove it. */
  | Common & { readonly kind: 'token-created'; readonly token: TokenName; readonly ca?: CaName; readonly actor: Actor }
  /** `presented`: the certificate of the claim or the factory that was shown. */
  | Common & { readonly kind: 'token-used'; readonly token: TokenName; readonly device: DeviceId; readonly source: Source; readonly presented?: Presented }
  /** A key for this device was made here, and handed to whoever asked. */
  | Common & { readonly kind: 'server-key-made'; readonly device: DeviceId; readonly source: Source; readonly actor: Actor }
  | Common & { readonly kind: 'enrollment-requested'; readonly enrollment: string; readonly device: DeviceId; readonly source: Source; readonly actor: Actor }
  | Common & { readonly kind: 'enrollment-decided'; readonly enrollment: string; readonly device: DeviceId; readonly state: EnrollmentState; readonly actor: Actor }
  /** `role`: what it may do from then on. */
  | Common & { readonly kind: 'operator-added' | 'operator-role'; readonly operator: OperatorName; readonly role: Role; readonly tenant?: TenantId; readonly actor: Actor }
  | Common & { readonly kind: 'operator-revoked' | 'operator-certified'; readonly operator: OperatorName; readonly actor: Actor }
  | Common & { readonly kind: 'ca-added'; readonly ca: CaName; readonly ids?: readonly string[]; readonly actor: Actor }
  | Common & { readonly kind: 'ca-state'; readonly ca: CaName; readonly state: CaState; readonly actor: Actor }
  /** What became of the key of a CA outside the registry: it was written to a file, taken out of the home, or lent for one step. */
  | Common & { readonly kind: 'ca-key'; readonly ca: CaName; readonly action: 'made' | 'exported' | 'removed' | 'lent'; readonly actor: Actor }
  /** A certificate that the server depends on expires within 30 days; said once a day. */
  | Common & { readonly kind: 'expiry-near'; readonly certificate: string; readonly notAfter: EpochMs }
  /** So many devices of a group (`undefined`: of none) should have renewed, and have not; said once a day. */
  | Common & { readonly kind: 'devices-expiring'; readonly group?: GroupName; readonly count: number; readonly notAfter: EpochMs }
  /** `message` says whom it means. */
  | Common & { readonly kind: 'renewal-ordered'; readonly order: string; readonly count: number; readonly message: string; readonly actor: Actor }
  | Common & { readonly kind: 'renewal-order-ended'; readonly order: string; readonly actor: Actor }
  /** `scope`: the shard, where it is one. */
  | Common & { readonly kind: 'crl-numbered'; readonly issuer: CaName; readonly scope?: string; readonly number: number }
  | Common & { readonly kind: 'policy-loaded'; readonly generation: number; readonly sha256: string; readonly actor: Actor; readonly because: 'start' | 'reload' | 'apply' | 'rollback' }
  | Common & { readonly kind: 'policy-rejected'; readonly message: string }
  | Common & { readonly kind: 'policy-unresolved'; readonly device: DeviceId; readonly rule: string; readonly variable: string; readonly effect: 'grant-absent' | 'deny-widened' }
  | Common & { readonly kind: 'trust-loaded'; readonly cas: number }
  /** `message`: which keys changed, from what to what. */
  | Common & { readonly kind: 'config-loaded'; readonly message: string; readonly actor: Actor }
  | Common & { readonly kind: 'config-rejected'; readonly message: string }
  /** `message`: which rooms, which level, until when. */
  | Common & { readonly kind: 'log-level-changed'; readonly message: string; readonly actor: Actor }
  /** The detection ladder took a device to another rung, or an operator took it off. `until`: when it is left unless it is reached again. */
  | Common & { readonly kind: 'detection'; readonly device: DeviceId; readonly from: Rung; readonly to: Rung; readonly because: string; readonly signal?: Signal; readonly count?: number; readonly until?: EpochMs; readonly actor?: Actor }
  | Common & { readonly kind: 'console-link-made'; readonly actor: Actor }
  /** Somebody has opened the console by a link. */
  | Common & { readonly kind: 'console-session-opened'; readonly session: string; readonly source: Source; readonly actor: Actor }
  | Common & { readonly kind: 'console-session-ended'; readonly session: string; readonly because: string; readonly actor: Actor }
  /** `url`: without its query, which may hold a secret of the receiver. */
  | Common & { readonly kind: 'webhook-added'; readonly webhook: string; readonly url: string; readonly actor: Actor }
  | Common & { readonly kind: 'webhook-removed'; readonly webhook: string; readonly actor: Actor }
  /** Events that a full disk kept out of the log. */
  | Common & { readonly kind: 'audit-lost'; readonly count: number }
  /** The home was restored from a backup; `because` says of when, and what was taken over from newer records. */
  | Common & { readonly kind: 'home-restored'; readonly because: string; readonly actor: Actor }
  | Common & { readonly kind: 'server-started'; readonly version: string }
  | Common & { readonly kind: 'server-stopped' }
