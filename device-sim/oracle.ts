// The judge of the simulator: what was seen, what a person wrote down as expected, and whether they agree. It opens no
// connection and shares no rule with the server, so a bug in a rule cannot agree with itself.

import type { DenyReason } from '../src/vocabulary.ts'
import { unreachable } from './failure.ts'
import { SIM_LIMITS } from './limits.ts'

export type MqttVersion = 4 | 5

/** What one attempt led to. */
export type Observed =
  | { readonly kind: 'admitted' }
  /** The connection ended and no MQTT byte was answered. */
  | { readonly kind: 'refused-in-tls'; readonly how: string }
  | { readonly kind: 'refused-by-connack'; readonly version: MqttVersion; readonly code: number }
  /** A session that had been admitted ended; `code` is the reason of the DISCONNECT where there was one. */
  | { readonly kind: 'cut'; readonly version: MqttVersion; readonly code: number | undefined; readonly afterMs: number }
  | { readonly kind: 'published'; readonly version: MqttVersion; readonly qos: 0 | 1 | 2; readonly acknowledged: number | undefined; readonly receivers: readonly string[] }
  /** `granted` is the code of the SUBACK, undefined when the connection was closed in its place. */
  | { readonly kind: 'subscribed'; readonly granted: number | undefined; readonly received: number }
  | { readonly kind: 'answered'; readonly status: number; readonly code: string | undefined; readonly recorded: number }
  /** A message that was posted over HTTPS: how that was answered, and who heard it. */
  | { readonly kind: 'posted'; readonly status: number; readonly code: string | undefined; readonly receivers: readonly string[] }
  /** A certificate came back: what it holds beyond the profile. */
  | { readonly kind: 'issued'; readonly surplus: readonly string[] }
  /** Many attempts at once. `refused` of `tried` ended without an answer, the slowest after `slowestMs`. */
  | { readonly kind: 'flood'; readonly tried: number; readonly refused: number; readonly slowestMs: number }
  /** What a false server received after its handshake, and what the device said. */
  | { readonly kind: 'trap'; readonly bytes: number; readonly complaint: string | undefined }
  /** Nobody answered and nobody closed. */
  | { readonly kind: 'open'; readonly afterMs: number }
  /** What was tried did not happen: it was answered, ignored, or ended the connection. */
  | { readonly kind: 'withstood'; readonly how: string }
  | { readonly kind: 'undisturbed' }
  | { readonly kind: 'disturbed'; readonly how: string }

/** What is expected, by layer. Codes are listed by hand. */
export type Expected =
  | { readonly kind: 'admitted' }
  | { readonly kind: 'tls' }
  | { readonly kind: 'connack'; readonly v3: readonly number[]; readonly v5: readonly number[] }
  | { readonly kind: 'tls-or-connack'; readonly v3: readonly number[]; readonly v5: readonly number[] }
  | { readonly kind: 'cut'; readonly v5: readonly number[] }
  | { readonly kind: 'publish-dropped'; readonly v5: readonly number[] }
  | { readonly kind: 'subscribe-refused' }
  | { readonly kind: 'http'; readonly statuses: readonly number[] }
  | { readonly kind: 'post-refused'; readonly statuses: readonly number[] }
  | { readonly kind: 'http-or-dropped'; readonly statuses: readonly number[] }
  | { readonly kind: 'all-closed'; readonly withinMs: number }
  | { readonly kind: 'some-refused' }
  | { readonly kind: 'silent-device' }
  /** Any answer that is one; a refusal, too. */
  | { readonly kind: 'withstood' }
  | { readonly kind: 'undisturbed' }

const FAILURE_CODE = 0x80

/** Of MQTT 3.1.1, a denied publish is acknowledged like any other [MQTT-3.3.5-2]; QoS 0 is never acknowledged. */
function acknowledgedAsDenied(seen: Extract<Observed, { kind: 'published' }>, v5: readonly number[]): boolean {
  if (seen.qos === 0) return true
  if (seen.acknowledged === undefined) return false
  return seen.version === 5 ? v5.includes(seen.acknowledged) : seen.acknowledged === 0
}

function codeFits(seen: Extract<Observed, { kind: 'refused-by-connack' }>, expected: { readonly v3: readonly number[]; readonly v5: readonly number[] }): boolean {
  return (seen.version === 5 ? expected.v5 : expected.v3).includes(seen.code)
}

/** Whether what was seen is what was written down. Everything that is not expected is a failure. */
export function agrees(expected: Expected, seen: Observed): boolean {
  switch (expected.kind) {
    case 'admitted': return seen.kind === 'admitted'
    case 'tls': return seen.kind === 'refused-in-tls'
    case 'connack': return seen.kind === 'refused-by-connack' && codeFits(seen, expected)
    case 'tls-or-connack': return seen.kind === 'refused-in-tls' || (seen.kind === 'refused-by-connack' && codeFits(seen, expected))
    case 'cut': return seen.kind === 'cut' && seen.afterMs <= SIM_LIMITS.kickMs && (seen.version === 4 || (seen.code !== undefined && expected.v5.includes(seen.code)))
    case 'publish-dropped': return seen.kind === 'published' && seen.receivers.length === 0 && acknowledgedAsDenied(seen, expected.v5)
    case 'subscribe-refused': return seen.kind === 'subscribed' && seen.received === 0 && (seen.granted === undefined || seen.granted >= FAILURE_CODE)
    case 'http': return seen.kind === 'answered' && expected.statuses.includes(seen.status) && seen.recorded === 0
    case 'post-refused': return seen.kind === 'posted' && expected.statuses.includes(seen.status) && seen.receivers.length === 0
    case 'http-or-dropped': return (seen.kind === 'issued' && seen.surplus.length === 0) || (seen.kind === 'answered' && expected.statuses.includes(seen.status) && seen.recorded === 0)
    case 'all-closed': return seen.kind === 'flood' && seen.tried > 0 && seen.refused === seen.tried && seen.slowestMs <= expected.withinMs
    case 'some-refused': return seen.kind === 'flood' && seen.refused > 0
    case 'silent-device': return seen.kind === 'trap' && seen.bytes === 0 && seen.complaint !== undefined
    case 'withstood': return seen.kind === 'withstood' || seen.kind === 'refused-in-tls'
    case 'undisturbed': return seen.kind === 'undisturbed'
    default: return unreachable(expected)
  }
}

const hex = (code: number | undefined): string => (code === undefined ? 'none' : `0x${code.toString(16).padStart(2, '0')}`)

/** What was seen, in a few words. */
export function describe(seen: Observed): string {
  switch (seen.kind) {
    case 'admitted': return 'admitted'
    case 'refused-in-tls': return `closed without an answer (${seen.how})`
    case 'refused-by-connack': return `CONNACK ${hex(seen.code)}`
    case 'cut': return `cut after ${seen.afterMs.toFixed(0)} ms${seen.code === undefined ? '' : `, DISCONNECT ${hex(seen.code)}`}`
    case 'published': return `${seen.qos === 0 ? 'QoS 0' : `acknowledged ${hex(seen.acknowledged)}`}, ${seen.receivers.length === 0 ? 'not delivered' : `delivered to ${seen.receivers.join(', ')}`}`
    case 'subscribed': return `${seen.granted === undefined ? 'closed' : `SUBACK ${hex(seen.granted)}`}${seen.received === 0 ? '' : `, received ${seen.received}`}`
    case 'answered': return `HTTP ${seen.status}${seen.code === undefined ? '' : ` ${seen.code}`}${seen.recorded === 0 ? '' : `, ${seen.recorded} certificates recorded`}`
    case 'posted': return `HTTP ${seen.status}${seen.code === undefined ? '' : ` ${seen.code}`}${seen.receivers.length === 0 ? '' : `, delivered to ${seen.receivers.join(', ')}`}`
    case 'issued': return seen.surplus.length === 0 ? 'issued by the profile alone' : `issued with ${seen.surplus.join(', ')}`
    case 'flood': return `${seen.refused} of ${seen.tried} refused, the slowest after ${seen.slowestMs.toFixed(0)} ms`
    case 'trap': return `${seen.bytes} bytes left the device${seen.complaint === undefined ? '' : ` (${seen.complaint})`}`
    case 'open': return `still open after ${seen.afterMs.toFixed(0)} ms`
    case 'withstood': return seen.how
    case 'undisturbed': return 'undisturbed'
    case 'disturbed': return `disturbed: ${seen.how}`
    default: return unreachable(seen)
  }
}

/** An expectation together with the reasons that the audit log may give for it; none: it leaves no record. */
export interface Claim {
  readonly outcome: Expected
  readonly reasons: readonly DenyReason[]
  /** A flood is counted, not written one by one. */
  readonly counted?: true
  /** Why it is no hole at a broker that is not ours. */
  readonly elsewhere?: Excuse
}

/** What a broker that promises less may do: admit, unless `seen` says another thing. */
export interface Excuse {
  readonly because: string
  readonly seen?: Observed['kind'] | readonly Observed['kind'][]
  /** Only where this is what names a device. */
  readonly where?: 'certificate'
  /** Only where this claim of the same case was tried, too: it says whether harm is done. */
  readonly judgedBy?: string
}

/** Which audit records belong to an attempt. Fields that are absent are not compared. */
export interface AuditSelector {
  readonly address?: string | undefined
  readonly port?: number | undefined
  readonly device?: string | undefined
  readonly topic?: string | undefined
}

/** A refusal as the audit log has it, in the simulator's own words. */
export interface RefusalRecord {
  readonly sequence: number
  readonly reason: string
  readonly count: number
  readonly address?: string | undefined
  readonly port?: number | undefined
  readonly device?: string | undefined
  readonly topic?: string | undefined
}

function same(wanted: string | number | undefined, found: string | number | undefined): boolean {
  return wanted === undefined || wanted === found
}

export function selects(selector: AuditSelector, record: RefusalRecord): boolean {
  // A counted record stands for many ports.
  const port = record.count > 1 ? undefined : selector.port
  return same(selector.address, record.address) && same(port, record.port) && same(selector.device, record.device) && same(selector.topic, record.topic)
}

/** 'missing' may become 'fits' when more records are read; 'wrong' stays wrong. */
export type AuditVerdict = 'fits' | 'missing' | 'wrong'

/** Exactly one record with an accepted reason; of a flood at least one, and none with another reason. */
export function judgeAudit(claim: Claim, records: readonly RefusalRecord[]): AuditVerdict {
  const accepted: readonly string[] = claim.reasons
  if (accepted.length === 0) return records.length === 0 ? 'fits' : 'wrong'
  if (records.length === 0) return 'missing'
  if (!records.every((record) => accepted.includes(record.reason))) return 'wrong'
  return claim.counted === true || (records.length === 1 && records[0]?.count === 1) ? 'fits' : 'wrong'
}
