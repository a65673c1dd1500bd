// Who may connect: the judgement of a CONNECT, from facts that hooks have gathered. It knows no sockets and no packets
// and reads no clock. The same standing rules judge a Will when it fires and a live session when something changed.

import type { DenyReason } from '../vocabulary.ts'
import { BROKER_LIMITS, REGISTRY_LIMITS } from '../limits.ts'
import { allow, deny, type Decision, type Denied } from './decision.ts'
import type { Device, DeviceState } from './device.ts'
import type { EpochMs } from './ids.ts'
import type { WillOnKick } from './policy/document.ts'
import type { Grants, Verdict } from './policy/grants.ts'
import type { CertificateRecord } from './registry.ts'

/** What the registry says of a certificate and its device at this moment. */
export interface StandingFacts {
  readonly now: EpochMs
  readonly record: CertificateRecord | undefined
  readonly device: Device | undefined
  /** What the policy grants the device in its present state. Where it is not known, a quarantined device is granted nothing. */
  readonly grants?: Pick<Grants, 'empty'> | undefined
}

const STATE_REFUSAL: Readonly<Record<DeviceState, DenyReason | undefined>> = {
  pending: 'device-pending',
  active: undefined,
  suspended: 'device-suspended',
  quarantined: 'device-quarantined',
  retired: 'device-retired',
}

/** A quarantined device that the policy grants something may do that. Grants are made for these two states alone. */
const REFUSAL_WITH_GRANTS: typeof STATE_REFUSAL = { ...STATE_REFUSAL, quarantined: undefined }

/**
 * Is this certificate in force now, for a device that is active, or quarantined and granted something even so? The first
 * failing rule wins. Revocation is named before expiry: it says more. Reasons: certificate-unrecorded, -purpose, -revoked,
 * -superseded, -not-yet-valid, -expired, device-unknown, device-name-mismatch, device-<state>.
 */
export function judgeStanding(facts: StandingFacts): Decision<Device> {
  const { record, device, now } = facts
  if (record === undefined || record.state === 'planned') return deny('certificate-unrecorded')
  if (record.profile !== 'device') return deny('certificate-purpose', `profile ${record.profile}`)
  if (record.state === 'revoked') return deny('certificate-revoked', record.revocationReason)
  if (record.state === 'superseded') return deny('certificate-superseded')
  if (now < record.notBefore) return deny('certificate-not-yet-valid')
  // Expired at the very millisecond of notAfter.
  if (record.notAfter <= now) return deny('certificate-expired')
  if (device === undefined) return deny('device-unknown', record.device)
  if (record.device !== device.id) return deny('device-name-mismatch', `recorded for ${record.device ?? 'nobody'}`)
  const refusal = facts.grants?.empty === false ? REFUSAL_WITH_GRANTS[device.state] : STATE_REFUSAL[device.state]
  return refusal === undefined ? allow(device) : deny(refusal)
}

/** How a certificate and its device are put out of force by somebody's order: not by time, and not because they are unknown. */
const ORDERED_OUT: ReadonlySet<DenyReason> = new Set(['certificate-revoked', 'certificate-superseded', 'device-suspended', 'device-quarantined', 'device-retired'])

/**
 * May a Will of this certificate be published at all? A certificate that expired with its session is no reason to keep silent about
 * the session's end. Of who was put out of force the policy decides; then the device is judged as if it were active: it is returned as
 * it is to be judged. Reasons: those of `judgeStanding`.
 */
export function judgeWillStanding(facts: StandingFacts & { readonly device: Device }, willOnKick: WillOnKick): Decision<Device> {
  const { record, device } = facts
  const unexpired = record === undefined ? record : { ...record, notAfter: Number.POSITIVE_INFINITY }
  const standing = judgeStanding({ ...facts, record: unexpired })
  if (standing.allow) return allow(device)
  return willOnKick === 'publish' && ORDERED_OUT.has(standing.reason) ? allow({ ...device, state: 'active' }) : standing
}

/**
 * Can this device ever come back to a session that is kept for it? Not when it is retired, and not without a certificate
 * in force: whoever gives it a new one provisions it anew. A suspended device can. Reasons: device-retired, or why its last
 * certificate does not count: certificate-unrecorded, -purpose, -revoked, -superseded, -expired.
 */
export function judgeReturn(device: Device, certificates: readonly CertificateRecord[], now: EpochMs): Decision<void> {
  if (device.state === 'retired') return deny('device-retired')
  let last: Denied = deny('certificate-unrecorded')
  for (const record of certificates) {
    const back = judgeReturnWith(device, record, now)
    if (back.allow) return back
    last = back
  }
  return last
}

/** The same for one of its certificates: one that is not valid yet will be. */
export function judgeReturnWith(device: Device, record: CertificateRecord, now: EpochMs): Decision<void> {
  const standing = judgeStanding({ now, record, device: { ...device, state: 'active' } })
  return standing.allow || standing.reason === 'certificate-not-yet-valid' ? allow(undefined) : standing
}

/** A session that was admitted, when something has changed. */
export interface StayFacts extends StandingFacts {
  readonly clientId: string
  readonly grants: Grants
  /** Sessions of this device that connected before this one and are connected still. */
  readonly earlierSessions: number
}

/** May it stay? Reasons: those of `judgeStanding`; no-grant, client-id-mismatch, sessions-limit: of more than are granted the oldest stay. */
export function judgeStay(facts: StayFacts): Decision<void> {
  const { grants, clientId, earlierSessions } = facts
  const standing = judgeStanding(facts)
  if (!standing.allow) return standing
  if (grants.empty) return deny('no-grant')
  const connect = grants.connect(clientId)
  if (connect.effect === 'deny') return denied(connect)
  return grants.sessionsMax !== undefined && earlierSessions >= grants.sessionsMax ? deny('sessions-limit', `${grants.sessionsMax} granted`) : allow(undefined)
}

export interface WillFacts {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly bytes: number
}

/** A CONNECT, as the packet says it, and what this server knows around it. */
export interface ConnectFacts extends StandingFacts {
  readonly protocol: 3 | 4 | 5
  readonly clientId: string
  /** A client id of this device that no session has, connected or kept: it is given to a client that sends none. */
  readonly freeClientId: string
  /** Clean Session of MQTT 3.1.1, Clean Start of MQTT 5. */
  readonly clean: boolean
  readonly will: WillFacts | undefined
  readonly authenticationMethod: string | undefined
  readonly grants: Grants
  /** Sessions of this device with other client ids that are connected. */
  readonly otherSessions: number
  /** The device has not used up its rate of CONNECTs. */
  readonly withinRate: boolean
}

export interface Admitted {
  readonly device: Device
  /** The client id in force: one that was free where the client left it empty. */
  readonly clientId: string
  /** The client sent none, so that MQTT 5 must be told. */
  readonly clientIdAssigned: boolean
}

// What a client id may consist of: printable, so that it can be shown and logged; no "/" so that it cannot imitate a
// session key, no wildcard so that it cannot become one through ${clientId}. A space between words is what it looks like, and
// clients have them; at an end, or any other kind of space, it is not seen.
const CLIENT_ID_FORBIDDEN = /[/+#\p{C}]|(?! )\p{Z}|^ | $/u

/** Can a session be called this at all, whatever is granted? */
export function isClientId(text: string): boolean {
  return new TextEncoder().encode(text).length <= REGISTRY_LIMITS.clientIdBytesMax && !CLIENT_ID_FORBIDDEN.test(text)
}

/** May this CONNECT open a session? The first failing rule wins. */
export function admit(facts: ConnectFacts): Decision<Admitted> {
  if (facts.protocol === 3) return deny('protocol-version', 'MQTT 3.1')
  const standing = judgeStanding(facts)
  if (!standing.allow) return standing
  if (!facts.withinRate) return deny('connect-rate')
  if (facts.authenticationMethod !== undefined) return deny('authentication-method')
  const device = standing.value
  const assigned = facts.clientId === ''
  // [MQTT-3.1.3-8]: an empty client id with a session to keep is refused in 3.1.1; MQTT 5 assigns one.
  if (assigned && facts.protocol === 4 && !facts.clean) return deny('client-id-empty')
  // [MQTT-3.1.3-6]: never that of another session, which would be taken over, or wiped by a clean start.
  const clientId = assigned ? facts.freeClientId : facts.clientId
  if (!isClientId(clientId)) return deny('client-id-invalid')
  if (facts.grants.empty) return deny('no-grant')
  const connect = facts.grants.connect(clientId)
  if (connect.effect === 'deny') return denied(connect)
  const live = facts.grants.sessionsMax
  if (live !== undefined && facts.otherSessions >= live) return deny('sessions-limit', `${live} granted`)
  if (facts.otherSessions >= BROKER_LIMITS.sessionsPerDeviceMax) return deny('sessions-limit', `${BROKER_LIMITS.sessionsPerDeviceMax} connected`)
  const { will } = facts
  if (will !== undefined) {
    const verdict = facts.grants.will(will.topic, will.qos, will.retain, will.bytes)
    if (verdict.effect === 'deny') return denied(verdict)
  }
  return allow({ device, clientId, clientIdAssigned: assigned })
}

function denied(verdict: Verdict): Denied {
  const reason = verdict.reason === 'granted' ? 'no-grant' : verdict.reason
  return verdict.rule === undefined ? deny(reason) : deny(reason, `rule ${verdict.rule}`)
}
