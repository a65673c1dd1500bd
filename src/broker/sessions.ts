// The sessions that are connected now, and who they belong to: the index that revocation, suspension, expiry and policy
// changes use to find them. How a session is ended on the wire is the engine's business; here it is one function.

import type { DenyReason } from '../vocabulary.ts'
import type { Source } from '../core/audit.ts'
import type { CaName, DeviceId, EpochMs, Fingerprint, SerialNumber, SessionKey, TenantId } from '../core/ids.ts'
import type { ConnectionFacts } from '../core/policy/conditions.ts'
import type { Grants } from '../core/policy/grants.ts'
import type { HeldFilter } from '../core/policy/narrowing.ts'

/** Whose doing it is that the server ends a session: an operator's, a change of the policy's, or its own. Only the last is an end that its Will tells of, unless the policy says otherwise. */
export type EndedBy = 'operator' | 'policy' | 'itself'

/** What can be seen of a connection, and decides nothing. Bytes are those of MQTT, without TLS. */
export interface SessionDetail {
  readonly cipher: string
  readonly keepAliveSeconds: number
  /** It outlives its connection. */
  readonly kept: boolean
  readonly queued: number
  readonly inFlight: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly packetsIn: number
}

/** One connected session. What it is granted changes with policy, trust, device and time; everything else is fixed. */
export interface Session {
  readonly key: SessionKey
  readonly tenant: TenantId
  readonly device: DeviceId
  readonly clientId: string
  readonly issuer: CaName
  readonly serial: SerialNumber
  readonly sha256: Fingerprint
  /** The leaf certificate, DER: policy variables are read from it again when the policy changes. */
  readonly leaf: Uint8Array
  readonly notAfter: EpochMs
  readonly protocol: 4 | 5
  /** Of this connection alone: counted from the start of the server. */
  readonly number: number
  readonly since: EpochMs
  readonly listener: 'mqtt' | 'websocket'
  readonly source: Source
  readonly connection: ConnectionFacts
  /** What it may do now: to be asked for each decision, and kept by nobody. Asking may end the session. */
  readonly grants: Grants
  /** Set from the moment the server decided to end it: nothing is accepted from it or delivered to it any more. */
  ending: DenyReason | 'session-taken-over' | undefined
  /** What it is subscribed to. */
  held(): readonly HeldFilter[]
  /** How it stands at this moment, for whoever looks at it. */
  detail(): SessionDetail
  /** Ends the session now. Resolves when its socket is closed. Ending twice is ending once. */
  end(reason: DenyReason, by: EndedBy): Promise<void>
}

export type SessionMatch =
  | { readonly device: DeviceId }
  | { readonly issuer: CaName; readonly serial: SerialNumber }

export interface SessionTable {
  readonly size: number
  add(session: Session): void
  remove(session: Session): void
  get(key: SessionKey): Session | undefined
  ofDevice(device: DeviceId): readonly Session[]
  /** Taken-over sessions whose socket is still open included. `owner`: the device of the certificate, where it is known. */
  matching(match: SessionMatch, owner?: DeviceId): readonly Session[]
  all(): Iterable<Session>
}

export function openSessionTable(): SessionTable {
  const byKey = new Map<SessionKey, Session>()
  const byDevice = new Map<DeviceId, Set<Session>>()
  const ofDevice = (device: DeviceId): readonly Session[] => [...(byDevice.get(device) ?? [])]

  return {
    get size() {
      return byKey.size
    },
    add(session) {
      // A taken-over session of the same key stays in its device's set until its socket is closed.
      byKey.set(session.key, session)
      const siblings = byDevice.get(session.device)
      if (siblings === undefined) byDevice.set(session.device, new Set([session]))
      else siblings.add(session)
    },
    remove(session) {
      if (byKey.get(session.key) === session) byKey.delete(session.key)
      const siblings = byDevice.get(session.device)
      siblings?.delete(session)
      if (siblings?.size === 0) byDevice.delete(session.device)
    },
    get: (key) => byKey.get(key),
    ofDevice,
    matching(match, owner) {
      if ('device' in match) return ofDevice(match.device)
      // Revoking many certificates must not cost a walk through all sessions for each of them.
      const candidates = owner === undefined ? [...byDevice.values()].flatMap((siblings) => [...siblings]) : ofDevice(owner)
      return candidates.filter((s) => s.serial === match.serial && s.issuer === match.issuer)
    },
    all: () => byKey.values(),
  }
}
