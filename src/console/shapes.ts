// What the admin API answers, as far as the console shows it. test/console/shapes.test.ts lays each of these against the types
// of the desk: an answer that changes is an error of the compiler, and not an empty cell.

export interface Page<T> { readonly items: readonly T[]; readonly next?: string }
export interface Position { readonly file: string; readonly line: number; readonly column?: number }

export interface Session { readonly signedIn: boolean; readonly ended?: boolean; readonly via?: 'certificate' | 'link'; readonly name?: string; readonly role?: string; readonly tenant?: string; readonly endsAt?: number }
export interface Status { readonly version: string; readonly sessions: number; readonly policyGeneration: number; readonly sessionStore: { readonly ok: boolean }; readonly expiring: readonly { readonly certificate?: string; readonly name?: string; readonly notAfter: number }[] }

export interface Device { readonly id: string; readonly tenant: string; readonly groups: readonly string[]; readonly attributes: Readonly<Record<string, string>>; readonly state: string; readonly createdAt: number; readonly revision: number; readonly hold?: { readonly since: number; readonly from: string; readonly because: string } }
export interface Certificate { readonly issuer: string; readonly serial: string; readonly profile: string; readonly device?: string; readonly state: string; readonly sha256?: string; readonly notBefore: number; readonly notAfter: number; readonly createdAt: number; readonly revokedAt?: number; readonly revocationReason?: string; readonly through?: string }
export type DeviceWithCertificates = Device & { readonly certificates: readonly Certificate[] }

export interface Connection { readonly id: string; readonly device: string; readonly clientId: string; readonly address: string; readonly port: number; readonly listener: string; readonly since: number; readonly protocol: number; readonly tls: string; readonly cipher: string; readonly keepAliveSeconds: number; readonly kept: boolean; readonly subscriptions: number; readonly queued: number; readonly inFlight: number; readonly serial: string; readonly notAfter: number; readonly bytesIn: number; readonly bytesOut: number }
export interface ConnectionPage extends Page<Connection> { readonly matched: number }
export interface DeviceSessions { readonly connected: readonly (Connection & { readonly filters: readonly string[] })[]; readonly kept: readonly { readonly clientId: string; readonly expiresAt?: number; readonly queued: number; readonly subscriptions: readonly string[] }[] }
export interface TopicLine { readonly pattern: string; readonly rule: string; readonly at: Position; readonly inForce: string; readonly because: readonly string[]; readonly unresolved?: string }
export interface DeviceTopics { readonly generation: number; readonly publish: readonly (TopicLine & { readonly qos: number; readonly retain: boolean })[]; readonly subscribe: readonly (TopicLine & { readonly qos: number })[]; readonly will: readonly TopicLine[]; readonly deny: readonly (TopicLine & { readonly action: string })[] }
export interface CertificateLife { readonly issuer: string; readonly serial: string; readonly state: string; readonly plannedAt: number; readonly issuedAt?: number; readonly firstUsedAt?: number; readonly supersededAt?: number; readonly because?: string; readonly revokedAt?: number; readonly revocationReason?: string; readonly notBefore: number; readonly notAfter: number; readonly renews?: string }

export interface Refusal { readonly id: number; readonly at: number; readonly step: string; readonly reason: string; readonly sentence: string; readonly fix: string; readonly detail?: string; readonly device?: string; readonly claimed?: string; readonly address?: string; readonly port?: number; readonly clientId?: string; readonly topic?: string; readonly rule?: string; readonly ruleAt?: string; readonly presented?: { readonly subject?: string; readonly issuer?: string; readonly serial?: string; readonly sha256?: string; readonly notAfter?: number }; readonly count: number }
export interface Reach { readonly since?: number; readonly complete: boolean; readonly reading: boolean }
export interface RefusalPage extends Page<Refusal> { readonly reach: Reach }
export interface RefusalDetail extends Refusal { readonly path: readonly { readonly name: string; readonly title: string; readonly state: 'passed' | 'stopped' | 'perhaps' | 'not-reached' | 'unknown' }[]; readonly similar: { readonly count: number; readonly first: number; readonly last: number; readonly newest: readonly { readonly id: number; readonly at: number }[] } }

export interface Overview {
  readonly at: number
  readonly devices: { readonly total: number; readonly byState: Readonly<Record<string, number>> }
  readonly connected: { readonly devices: number; readonly sessions: number }
  readonly refused: { readonly hour: number; readonly day: number; readonly byReason: readonly { readonly reason: string; readonly sentence: string; readonly hour: number; readonly day: number }[] }
  readonly strip: { readonly bucketMs: number; readonly buckets: readonly { readonly at: number; readonly connections: number; readonly refusals: Readonly<Partial<Record<string, number>>> }[]; readonly reach: Reach }
  readonly attention: readonly { readonly kind: string; readonly count: number; readonly sentence: string; readonly command: string; readonly at?: number }[]
  readonly newest: readonly Refusal[]
}

export interface Token { readonly name: string; readonly proof: { readonly kind: string }; readonly target: { readonly device?: string; readonly pattern?: string }; readonly register: boolean; readonly groups: readonly string[]; readonly networks: readonly string[]; readonly approve: string; readonly usesMax: number; readonly uses: number; readonly createdAt: number; readonly expiresAt: number; readonly revokedAt?: number; readonly suspendedAt?: number }
export interface TokenMade { readonly name: string; readonly token: string; readonly expiresAt: number }
export interface Enrollment { readonly id: string; readonly token: string; readonly device: string; readonly spkiSha256: string; readonly state: string; readonly source: string; readonly createdAt: number; readonly decidedAt?: number }
export interface OnRung { readonly device: string; readonly rung: string; readonly since: number; readonly until?: number; readonly because: string; readonly signal?: string }
export interface Expiring { readonly kind: string; readonly name: string; readonly serial?: string; readonly notBefore: number; readonly notAfter: number; readonly nextWaits?: boolean }
export interface ExpiringPage extends Page<Expiring> { readonly counted?: { readonly devices: number; readonly own: number } }

export interface PolicyLint { readonly findings?: readonly { readonly severity: 'error' | 'warning'; readonly rule: string; readonly at: Position; readonly message: string }[] }
export interface PolicyFile { readonly name: string; readonly text: string }
export interface Policy { readonly generation: number; readonly sha256: string; readonly files: readonly PolicyFile[]; readonly edited: boolean }
export interface PolicyVersion { readonly generation: number; readonly at: number; readonly actor: { readonly kind: string; readonly name?: string }; readonly because: string; readonly of?: number; readonly sha256: string; readonly kept: boolean }
export interface PolicyHistory { readonly generation: number; readonly items: readonly PolicyVersion[] }
export interface RuleChange { readonly kind: string; readonly id: string; readonly change: string; readonly at?: Position; readonly removed: readonly string[]; readonly added: readonly string[] }
export interface Applied { readonly generation: number; readonly sha256: string; readonly changed: boolean; readonly changes: readonly RuleChange[] }
export interface PolicyDiff { readonly generation: number; readonly sha256: string; readonly changes: readonly RuleChange[]; readonly fleet?: { readonly devices: number; readonly next?: string; readonly counts: FleetCounts; readonly items: readonly { readonly device: string; readonly lost: readonly unknown[]; readonly gained: readonly unknown[] }[] } }
export interface FleetCounts { readonly devices: number; readonly concerned: number; readonly losing: number; readonly gaining: number; readonly shutOut: number; readonly letIn: number; readonly sessionsEnding: number; readonly subscriptionsLost: number }
export interface Explanation { readonly effect: 'allow' | 'deny'; readonly reason: string; readonly rule?: string; readonly at?: Position; readonly generation: number; readonly grantedQos?: number; readonly nearest?: readonly { readonly rule?: string; readonly at?: Position; readonly line: string; readonly obstacles: readonly { readonly message: string }[] }[] }
export interface WhoCan { readonly generation: number; readonly devices: number; readonly allowed: number; readonly next?: string; readonly items: readonly { readonly device: string; readonly rule: string; readonly at: Position }[] }

export interface Ca { readonly name: string; readonly role: string; readonly state: string; readonly subject: string; readonly sha256: string; readonly notAfter: number; readonly pem: string; readonly ids?: readonly string[] }
export interface CaUse { readonly name: string; readonly role: string; readonly state: string; readonly since: number; readonly notAfter: number; readonly root?: string; readonly certificates: number; readonly only: number; readonly others: number; readonly sessions: number }
export interface CaRotation { readonly next: string; readonly nextDoes: string; readonly steps: readonly { readonly step: string; readonly does: string }[]; readonly crossSigning: string; readonly cas: readonly CaUse[]; readonly serverIssuer: string; readonly rootKeys: readonly string[]; readonly expiring: readonly { readonly certificate: string; readonly notAfter: number }[] }
export interface Rotated { readonly step: string; readonly outcome: string; readonly told: readonly string[]; readonly breaks: readonly string[]; readonly breaksCount: number; readonly sessionsClosed: number; readonly revoked: number; readonly next: string }

export type AuditRecord = Readonly<Record<string, unknown>>
export interface AuditVerdict { readonly intact: boolean; readonly records: number; readonly firstBad?: { readonly line: number; readonly problem: string } }
export interface ConsoleSession { readonly id: string; readonly openedAt: number; readonly seenAt: number; readonly endsAt: number; readonly source: string; readonly agent: string }

export interface Operator { readonly name: string; readonly role: string; readonly tenant?: string; readonly createdAt: number; readonly revokedAt?: number; readonly certificates: readonly { readonly serial: string; readonly notAfter: number }[] }
export interface OperatorCertified { readonly name: string; readonly role: string; readonly certificate: string; readonly chain: readonly string[]; readonly root: string; readonly notAfter: number }
export interface WebhookMade { readonly webhook: Webhook; readonly secret: string }
export interface WebhookRetried { readonly delivered: number; readonly left: number; readonly because?: string }
export interface Webhook { readonly name: string; readonly url: string; readonly kinds: readonly string[]; readonly told: number; readonly behind: number; readonly dead: number; readonly failing?: { readonly since: number; readonly attempts: number; readonly because: string; readonly nextAt?: number } }
export interface WebhookAttempt { readonly at: number; readonly number?: number; readonly attempt: number; readonly outcome: string; readonly status?: number; readonly because?: string; readonly ms: number }
export interface WebhookDeliveries { readonly recent: readonly WebhookAttempt[]; readonly dead: readonly { readonly id: number; readonly number: number; readonly at: number; readonly attempts: number; readonly because: string }[] }
