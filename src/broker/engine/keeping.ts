// Sessions beyond their connections: how long each is kept, in both versions of the protocol, and for whom no longer. The
// engine's timers do the waiting; what a kept session holds is the store's business.

import { REASONS, type DenyReason } from '../../vocabulary.ts'
import type { Device } from '../../core/device.ts'
import type { SessionKey } from '../../core/ids.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session, SessionTable } from '../sessions.ts'
import type { ConnectJudge, Opening } from './connect.ts'
import type { EngineClient, EngineCore } from './surface.ts'

/**
 * How long a session outlives its connection: as the policy grants. A session of 3.1.1 that is not clean asks for ever, and
 * is given the longest.
 */
export function boundExpiry(client: EngineClient, opening: Opening, cleanStart: boolean): void {
  const expiryMax = opening.grants.sessionExpirySecondsMax
  if (expiryMax !== undefined && client.sessionExpiryInterval > expiryMax) {
    client.sessionExpiryInterval = expiryMax
    client._sessionExpiryClamped = opening.protocol === 5
    client.clean = expiryMax === 0
  }
  // Trap 15: Clean Start 0 without a Session Expiry resumes the session for this connection; the engine takes "does not
  // outlive the connection" for "has nothing to resume" and would drop the queue. The session still ends with it.
  if (!cleanStart && client.sessionExpiryInterval === 0) client.clean = false
}

/**
 * Trap 21: the engine keeps the sessions of 3.1.1 for ever and does not count them. It looks at the version only, so it is
 * shown the same client as one of version 5: the interval is set for both.
 */
export function expireAllVersions(core: EngineCore): void {
  const schedule = core.scheduleSessionExpiry.bind(core)
  core.scheduleSessionExpiry = (client) => {
    if (client.version === 5) schedule(client)
    else if (!client.clean) schedule(Object.create(client, { version: { value: 5 } }) as EngineClient)
  }
}

export interface KeepingPorts {
  readonly broker: BrokerPorts
  readonly core: EngineCore
  readonly judge: ConnectJudge
  readonly sessions: SessionTable
  readonly clientOf: (session: Session) => EngineClient | undefined
}

/**
 * The way to forget a device that cannot come back, and why: what is kept for it goes (subscriptions, queues, exchanges,
 * Wills), and what is connected leaves nothing when it ends.
 */
export function openForgetting({ broker, core, judge, sessions, clientOf }: KeepingPorts): (device: Device, reason: DenyReason) => void {
  async function drop(key: SessionKey, device: Device, reason: DenyReason): Promise<void> {
    core.clearSessionExpiry(key)
    core.clearDelayedWill(key)
    const [will] = await Promise.all([core.persistence.delWill({ id: key, brokerId: core.id }), core.persistence.cleanSubscriptions({ id: key })])
    if (will === undefined) return
    const clientId = key.slice(`${device.tenant}/${device.id}/`.length)
    broker.audit.record({ kind: 'refusal', at: broker.clock(), step: REASONS[reason].step, reason, device: device.id, clientId, topic: will.topic, detail: 'the Will was not published' })
  }

  return (device, reason) => {
    for (const session of sessions.ofDevice(device.id)) {
      const client = clientOf(session)
      if (client !== undefined) client.sessionExpiryInterval = 0
    }
    const keys = judge.kept(`${device.tenant}/${device.id}`)
    for (const key of keys) {
      drop(key, device, reason).catch((cause: unknown) => {
        broker.log('error', { session: key, error: cause instanceof Error ? cause.message : 'unknown' }, 'a session that nobody can come back to could not be removed')
      })
    }
    if (keys.length > 0) broker.log('info', { device: device.id, sessions: keys.length, reason }, 'what was kept for a device that cannot come back is gone')
  }
}
