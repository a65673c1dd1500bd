// The registry's contract: what it records, the one verb that writes it, and what readers are told. SQLite, the view in
// memory and (later) PostgreSQL are held to this page by test/contract/registry.ts.

import type { RevocationReason } from '../vocabulary.ts'
import type { Actor, AuditEvent } from './audit.ts'
import type { SubjectAltName } from './certificate.ts'
import type { Decision } from './decision.ts'
import type { Device, DeviceState, Hold } from './device.ts'
import type { CaName, DeviceId, EpochMs, Fingerprint, GroupName, KeyHash, OperatorName, SerialNumber, TenantId, TokenName } from './ids.ts'
import type { Operator, OperatorChange } from './operator.ts'
import type { RenewalOrder } from './renewal-orders.ts'
import type { EnrollmentRecord, EnrollmentState, TokenRecord, TokenUse } from './token.ts'
import type { WebhookRecord } from './webhook.ts'

/** planned → issued → active → superseded | revoked. Expiry is not a state: it follows from notAfter and the clock. */
export const CERTIFICATE_STATES = ['planned', 'issued', 'active', 'superseded', 'revoked'] as const
export type CertificateState = (typeof CERTIFICATE_STATES)[number]

export const PROFILE_NAMES = ['root', 'issuing', 'server', 'operator', 'device', 'claim', 'ocsp-responder'] as const
export type ProfileName = (typeof PROFILE_NAMES)[number]

/** A certificate as the registry keeps it. Identified by (issuer, serial), as RFC 5280 §4.1.2.2 has it. */
export interface CertificateRecord {
  readonly issuer: CaName
  readonly serial: SerialNumber
  readonly profile: ProfileName
  /** The device it is for; undefined for server, operator and CA certificates. */
  readonly device?: DeviceId
  readonly state: CertificateState
  readonly spkiSha256: KeyHash
  /** Known once it is signed: undefined while planned. */
  readonly sha256?: Fingerprint
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
  readonly createdAt: EpochMs
  readonly revokedAt?: EpochMs
  readonly revocationReason?: RevocationReason
  /** The token that it came through: by which it was enrolled, it or the certificate at the beginning of its renewals. A claim's is its own. */
  readonly through?: TokenName
}

/**
 * The life of a CA of ours: created → trusted (the door knows it) → current (new certificates come from it) → replaced (the door knows
 * it still) → retired. One that was never current can be given up: created | trusted → retired. A CA of others is trusted.
 */
export const CA_STATES = ['created', 'trusted', 'current', 'replaced', 'retired'] as const
export type CaState = (typeof CA_STATES)[number]

/** What a planned certificate will say beyond its record. Committed with it and fixed from then on: the signer signs nothing else. */
export interface CertificatePlan {
  readonly commonName: string
  readonly organization?: string
  readonly subjectAltNames: readonly SubjectAltName[]
  /** How the public door was reached from outside, and into how many shards the CRL was cut: where it points, as far as its profile points. */
  readonly door?: { readonly url: string; readonly crlShards: number }
  readonly actor: Actor
}

/** A certificate authority that the organisation runs or trusts. */
export interface CaRecord {
  readonly name: CaName
  readonly role: 'root' | 'issuing' | 'trusted'
  readonly tenant: TenantId
  /** The certificate, DER. */
  readonly der: Uint8Array
  readonly spkiSha256: KeyHash
  readonly createdAt: EpochMs
  readonly state: CaState
  /** When it came to this state. */
  readonly since: EpochMs
  /** The device ids that it may name, as patterns; absent where it may name any. */
  readonly ids?: readonly string[]
}

/** A certificate that one CA of ours has given another: the same name and key as that one's own, with another signature. */
export interface CrossCertificate {
  readonly issuer: CaName
  readonly serial: SerialNumber
  /** The key that it certifies. */
  readonly spkiSha256: KeyHash
  readonly notAfter: EpochMs
  readonly der: Uint8Array
}

/** A CRL that was published, or would have been: its number is taken before it is signed. */
export interface CrlRecord {
  readonly issuer: CaName
  /** '' for the whole list of the issuer, '3of16' for a shard. */
  readonly scope: string
  readonly number: number
  readonly thisUpdate: EpochMs
  readonly nextUpdate: EpochMs
}

/** An entry of a CRL, and when its certificate expires. */
export interface RevokedEntry {
  readonly serial: SerialNumber
  readonly at: EpochMs
  readonly reason: RevocationReason
  readonly notAfter: EpochMs
}

/** A device that is kept out, and since when. */
export interface DeviceOut {
  readonly device: DeviceId
  readonly state: 'suspended' | 'retired'
  readonly since: EpochMs
}

/** One of its certificates. */
export interface CertificateOut extends DeviceOut {
  readonly serial: SerialNumber
  readonly notAfter: EpochMs
}

/** Everything that can happen to the registry. Readers of the change feed see exactly these. */
export type Change =
  | { readonly kind: 'device-added'; readonly device: Device }
  /** Whatever held the device before is over; `hold`: what holds it from now on. */
  | { readonly kind: 'device-state'; readonly id: DeviceId; readonly state: DeviceState; readonly hold?: Hold }
  | { readonly kind: 'device-described'; readonly id: DeviceId; readonly groups: readonly GroupName[]; readonly attributes: Readonly<Record<string, string>> }
  /** The plan, committed before anything is signed: a crash leaves a recorded orphan, never an unrecorded certificate. */
  | { readonly kind: 'certificate-planned'; readonly certificate: CertificateRecord; readonly plan?: CertificatePlan }
  | { readonly kind: 'certificate-issued'; readonly issuer: CaName; readonly serial: SerialNumber; readonly sha256: Fingerprint; readonly der: Uint8Array; readonly state: 'issued' | 'active' }
  /** A certificate of a trusted foreign CA, seen for the first time at the door. */
  | { readonly kind: 'certificate-observed'; readonly certificate: CertificateRecord; readonly der: Uint8Array }
  | { readonly kind: 'certificate-state'; readonly issuer: CaName; readonly serial: SerialNumber; readonly state: 'active' | 'superseded' }
  | { readonly kind: 'certificate-revoked'; readonly issuer: CaName; readonly serial: SerialNumber; readonly at: EpochMs; readonly reason: RevocationReason }
  | { readonly kind: 'ca-added'; readonly ca: CaRecord }
  | { readonly kind: 'ca-state'; readonly name: CaName; readonly state: CaState; readonly at: EpochMs }
  | { readonly kind: 'token-added'; readonly token: TokenRecord }
  /** Counted once for a device and a key, however often it is said. `instead`: the use that was counted for this other key of the device is for this one from here on; another one is not counted. */
  | { readonly kind: 'token-used'; readonly name: TokenName; readonly device: DeviceId; readonly spkiSha256: KeyHash; readonly at: EpochMs; readonly instead?: KeyHash }
  | { readonly kind: 'token-revoked'; readonly name: TokenName; readonly at: EpochMs }
  /** `at`: since when; without it the token is in force again. */
  | { readonly kind: 'token-suspended'; readonly name: TokenName; readonly at?: EpochMs }
  | { readonly kind: 'enrollment-requested'; readonly enrollment: EnrollmentRecord }
  | { readonly kind: 'enrollment-decided'; readonly id: string; readonly state: Exclude<EnrollmentState, 'pending'>; readonly at: EpochMs }
  | { readonly kind: 'crl-numbered'; readonly crl: CrlRecord }
  | { readonly kind: 'renewal-ordered'; readonly order: RenewalOrder }
  /** Ending twice is ending once. */
  | { readonly kind: 'renewal-order-ended'; readonly id: string; readonly at: EpochMs }
  | { readonly kind: 'operator-added'; readonly operator: Operator }
  | OperatorChange
  /** A certificate is this operator's. One of which nobody says so is the first operator's. */
  | { readonly kind: 'operator-certified'; readonly name: OperatorName; readonly issuer: CaName; readonly serial: SerialNumber }
  /** It was said of this that it expires. */
  | { readonly kind: 'webhook-added'; readonly webhook: WebhookRecord }
  | { readonly kind: 'webhook-removed'; readonly name: string; readonly at: EpochMs }
  | { readonly kind: 'expiry-told'; readonly what: string; readonly at: EpochMs }

/**
 * What must hold at the moment of the commit, judged inside its transaction; otherwise nothing is written and the
 * Decision names the reason in brackets. `commit` also refuses by itself what would break an invariant: a second device
 * of one id [device-exists], a second certificate of one (issuer, serial), a second CA of one name or a second current one [revision-conflict],
 * a CRL number that is not higher than the last of its issuer and scope [revision-conflict],
 * a second password of a device [revision-conflict], a key with two owners, be they devices, by certificate or by report, or CAs [key-in-use], a step that the life cycle does not have and a hold of a device that nothing keeps out [state-transition],
 * a change of something that is not there [device-not-found | certificate-not-found | ca-step | token-not-found | enrollment-not-found | renewal-order-not-found | operator-not-found],
 * a second operator of one name [operator-exists], one more than it keeps [operators-limit], a change of one who is revoked [operator-revoked],
 * a second order of one id [revision-conflict], more open orders than every look at a session may ask [renewal-orders-limit],
 * a use of a token beyond its last [token-used-up], and more requests waiting for an operator than it keeps, of all tokens and of one [enrollment-rate].
 */
export type Expectation =
  /** [revision-conflict] */
  | { readonly kind: 'device-revision'; readonly id: DeviceId; readonly revision: number }
  /** [device-unknown | device-suspended | …] The device is there and in one of these states. */
  | { readonly kind: 'device-state'; readonly id: DeviceId; readonly states: readonly DeviceState[] }
  /**
   * [device-issuer-mismatch] No certificate of any state is recorded for this device by another issuer: a CA that only signs
   * must not speak for the devices of another one.
   */
  | { readonly kind: 'device-issuer'; readonly device: DeviceId; readonly issuer: CaName }
  /** [key-in-use] No CA has this key, no certificate of another device, no revoked certificate of any, and it is not the reported key of another device. */
  | { readonly kind: 'key-free'; readonly spkiSha256: KeyHash; readonly device?: DeviceId }
  /**
   * [certificates-limit] With this commit the device has at most `max` certificates in force or on their way at `now`:
   * those that the commit plans or observes count, older ones of the same keys and those that it ends do not.
   */
  | { readonly kind: 'certificates-in-force'; readonly device: DeviceId; readonly max: number; readonly now: EpochMs }
  /** [last-admin] After this commit, too, an operator who is an admin of all tenants has a certificate that is in force at `now`; one that the commit itself issues does not count. */
  | { readonly kind: 'operators-remain'; readonly now: EpochMs }
  /** [operator-not-found | operator-revoked] */
  | { readonly kind: 'operator-open'; readonly name: OperatorName }
  /** [ca-step] The CA is there and in one of these states. */
  | { readonly kind: 'ca-state'; readonly name: CaName; readonly states: readonly CaState[] }
  /** [ca-in-use] No certificate of this CA for anybody but another CA and its own OCSP responder is planned, issued or active at `now`. */
  | { readonly kind: 'ca-unused'; readonly name: CaName; readonly now: EpochMs }
  /** [token-not-found | token-revoked | token-suspended] */
  | { readonly kind: 'token-open'; readonly name: TokenName }
  /**
   * [token-used-up] This use of the token was counted. `unspent`: and no certificate of its key was signed, or is on its way behind this commit.
   */
  | { readonly kind: 'token-use'; readonly name: TokenName; readonly device: DeviceId; readonly spkiSha256: KeyHash; readonly unspent: boolean }
  /** [revision-conflict] */
  | { readonly kind: 'certificate-state'; readonly issuer: CaName; readonly serial: SerialNumber; readonly states: readonly CertificateState[] }

export interface Committed {
  /** The place of the last change of this commit in the change feed; strictly increasing, without gaps. */
  readonly sequence: number
}

export interface Page<T> {
  readonly items: readonly T[]
  /** The `after` of the next page; undefined on the last one. */
  readonly next?: string
}

/** What is undefined is not asked for. */
export interface DeviceQuery extends PageQuery {
  readonly tenant?: TenantId | undefined
  readonly group?: GroupName | undefined
  readonly state?: DeviceState | undefined
  /** Stands in the id, in whatever case; there are no wildcards. */
  readonly q?: string | undefined
  readonly attribute?: { readonly name: string; readonly value: string } | undefined
  /** It has a certificate in force at `now`, and none that lasts until `before`. */
  readonly expiring?: { readonly now: EpochMs; readonly before: EpochMs } | undefined
}
export interface CertificateQuery { readonly tenant?: TenantId | undefined; readonly after?: string | undefined; readonly limit?: number | undefined; readonly device?: DeviceId | undefined; readonly issuer?: CaName | undefined; readonly state?: CertificateState | undefined; readonly profile?: ProfileName | undefined; readonly through?: TokenName | undefined }

/** Who planned a certificate: `name` needs `by`. What was observed, and what older versions planned, was planned by nobody. */
export interface JournalQuery extends PageQuery { readonly tenant?: TenantId | undefined; readonly state?: 'planned' | undefined; readonly by?: Actor['kind'] | undefined; readonly name?: string | undefined; readonly through?: TokenName | undefined }

/** A certificate, and who planned it. */
export type JournalEntry = CertificateRecord & { readonly by?: Actor }

export interface PageQuery { readonly after?: string | undefined; readonly limit?: number | undefined }
export interface TokenQuery extends PageQuery { readonly tenant?: TenantId | undefined }
/** Certificates of devices that are in force or on their way and end from `from` on and before `until`. */
export interface ExpiringCertificatesQuery extends PageQuery { readonly from: EpochMs; readonly until: EpochMs; readonly group?: GroupName | undefined }
/** Those that wait, unless another state is asked for. */
export interface EnrollmentQuery extends PageQuery { readonly tenant?: TenantId | undefined; readonly state?: EnrollmentState | undefined }

/**
 * The durable registry. `commit` is atomic and durable (fsync) when its promise resolves; commits are totally ordered;
 * changes, their audit events and their places in the feed are one transaction. Failures throw SallyportError
 * ('database-corrupt', 'internal'); refusals are values. Lists are in the order of their key, by keyset.
 */
export interface Registry {
  commit(changes: readonly Change[], expected: readonly Expectation[], audit: readonly AuditEvent[]): Promise<Decision<Committed>>
  device(id: DeviceId): Device | undefined
  devices(query: DeviceQuery): Page<Device>
  /** How many there are in each state. */
  devicesByState(): Readonly<Record<DeviceState, number>>
  certificate(issuer: CaName, serial: SerialNumber): CertificateRecord | undefined
  /** All certificates of this serial: serials are unique per issuer only. */
  certificatesBySerial(serial: SerialNumber): readonly CertificateRecord[]
  certificates(query: CertificateQuery): Page<CertificateRecord>
  /** Those of this device that are neither superseded nor revoked, in the order in which they were recorded. */
  standingCertificates(device: DeviceId): readonly CertificateRecord[]
  certificateDer(issuer: CaName, serial: SerialNumber): Uint8Array | undefined
  /** In the order in which they were planned, with who did it. */
  journal(query: JournalQuery): Page<JournalEntry>
  /** What was planned under this serial; undefined for what was planned without one, and for what was observed. */
  certificatePlan(issuer: CaName, serial: SerialNumber): CertificatePlan | undefined
  /** In the order in which they were made. */
  cas(): readonly CaRecord[]
  /** Those that are active. */
  crossCertificates(): readonly CrossCertificate[]
  token(name: TokenName): TokenRecord | undefined
  tokens(query: TokenQuery): Page<TokenRecord>
  /** Tokens that a certificate proves: the claim of this key, the rules for the manufacturer whose CA has it. In the order of their names. */
  tokensProvenBy(sha256: KeyHash): readonly TokenRecord[]
  /** The token that is the password of this device, and not revoked. As quick where there is none. */
  passwordOf(device: DeviceId): { readonly name: TokenName; readonly sha256: string } | undefined
  /** Was this token used by this device with this key? */
  tokenUsed(name: TokenName, use: TokenUse): boolean
  /** With which keys this device has used this token. */
  tokenUses(name: TokenName, device: DeviceId): readonly KeyHash[]
  enrollment(id: string): EnrollmentRecord | undefined
  operator(name: OperatorName): Operator | undefined
  /** In the order of their names. */
  operators(query: PageQuery): Page<Operator>
  /** All certificates of this operator, of whatever state, newest first. */
  certificatesOfOperator(name: OperatorName): readonly CertificateRecord[]
  enrollments(query: EnrollmentQuery): Page<EnrollmentRecord>
  /** In the order of their ends, soonest first. */
  expiringCertificates(query: ExpiringCertificatesQuery): Page<CertificateRecord>
  /** Those that are open, in the order in which they were given. */
  renewalOrders(): readonly RenewalOrder[]
  /** When it was last said of this that it expires. */
  expiryToldAt(what: string): EpochMs | undefined
  /** In the order of their names. */
  webhooks(): readonly WebhookRecord[]
  /** The last CRL of each scope of this issuer. */
  crls(issuer: CaName): readonly CrlRecord[]
  /** Revoked certificates of this issuer with a serial behind `after` ('' for the first page), a page in their order; empty at the end. */
  revokedAfter(issuer: CaName, after: string): readonly RevokedEntry[]
  /** This device, where it is suspended or retired. */
  deviceOut(device: DeviceId): DeviceOut | undefined
  /** What this issuer has signed for devices that are suspended or retired, and is not revoked, superseded included: a page behind `after`, by device and serial; empty at the end. */
  certificatesOut(issuer: CaName, after: Pick<CertificateOut, 'device' | 'serial'> | undefined): readonly CertificateOut[]
  /** Changes after `sequence`, in order, at most `limit`. */
  changesAfter(sequence: number, limit: number): readonly { readonly sequence: number; readonly change: Change }[]
  close(): void
}

/**
 * Lists that are read beside the thread that carries messages: a filter that finds little looks at every device there is. What was committed
 * when a list is asked for is in it. Rejects with the failures of the registry; reason: registry-unavailable where too many are asked for at once.
 */
export interface Lists {
  devices(query: DeviceQuery): Promise<Page<Device>>
  certificates(query: CertificateQuery): Promise<Page<CertificateRecord>>
  journal(query: JournalQuery): Promise<Page<JournalEntry>>
  devicesByState(): Promise<Readonly<Record<DeviceState, number>>>
}

/** What the door asks, answered from memory without I/O: 0 SQL on the connect path. */
export interface RegistryView {
  /** The place in the feed that this view has reached. */
  readonly sequence: number
  device(id: DeviceId): Device | undefined
  certificate(issuer: CaName, serial: string): CertificateRecord | undefined
  /** The signed certificate whose bytes have this hash: what equals a recorded one needs no second verification. */
  certificateBySha256(sha256: Fingerprint): CertificateRecord | undefined
  /** In the order in which they were recorded. */
  certificatesOf(device: DeviceId): readonly CertificateRecord[]
  /** Whose certificate this is, where it is an operator's. */
  operatorOf(certificate: Pick<CertificateRecord, 'issuer' | 'serial' | 'profile'>): Operator | undefined
  /** Called after the view has taken the change in, in feed order. Returns the way to stop. */
  onChange(listener: (change: Change, sequence: number) => void): () => void
}

/** Where audit events go that come without a change: refusals, sessions. Never throws, never blocks the caller. */
export interface AuditSink {
  record(event: AuditEvent): void
}
