// Family T: revoked devices, those that are connected and those that come back with a saved TLS session.

import { ownTopic } from '../acl.ts'
import { operatorSession, servedWith } from '../admin-session.ts'
import { howSessionEnded, type Peer } from '../raw-peer.ts'
import { admittedControl, auditOf, connectFrom, MQTT_VERSIONS, ownCertificateWorks, TLS_VERSIONS, tryOnBothVersions, type Arena, type Bench, type Runner } from './arena.ts'
import { openWatcher, type Watcher } from './watcher.ts'

/** Connections that begin before a revocation and end after it. T09. */
const KNOCKING = 20

/** T10: one session each of 3.1.1 and 5, both talking when the revocation is answered. */
async function revokedAlive(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  for (const version of MQTT_VERSIONS) {
    const device = await arena.identities.fresh('t10')
    const peer = await admittedControl(arena, bench, `connected before, MQTT ${version}`, { credentials: device, version }, device.id)
    const before = watcher.publish(peer, ownTopic(arena.acl, device.id, 'before'), 1)
    bench.control(`heard before, MQTT ${version}`, (await watcher.heard(before)).length > 0, 'published before the revocation')
    const revoked = await arena.admin.revoke({ device: device.id }, 'keyCompromise')
    const since = performance.now()
    const after = watcher.publish(peer, ownTopic(arena.acl, device.id, 'after'), 0)
    if (revoked.sessionsClosed !== undefined) bench.control(`the session was counted, MQTT ${version}`, revoked.sessionsClosed === 1, `${revoked.sessionsClosed} sessions closed`)
    bench.attack('kick', `live session, MQTT ${version}`, await howSessionEnded(peer, since), auditOf(peer))
    bench.attack('silence', `publish after revocation, MQTT ${version}`, { kind: 'published', version: 4, qos: 0, acknowledged: undefined, receivers: await silence(watcher, after) })
    const again = await connectFrom(arena, { credentials: device, version }, device.id)
    bench.attack('again', `reconnect, MQTT ${version}`, again.seen, auditOf(again.peer))
    again.peer.end()
  }
}

/** Who heard a message that nobody may hear, after a witness has gone the same way. */
async function silence(watcher: Watcher, token: string): Promise<readonly string[]> {
  await watcher.witness()
  return watcher.receiversOf(token)
}

/** The newest session that the server has handed out; in TLS 1.3 it comes after the handshake. */
async function savedSession(peer: Peer, sessions: readonly Buffer[]): Promise<Buffer | undefined> {
  // A message there and back: a ticket that was sent after the handshake has come by then.
  peer.send({ cmd: 'pingreq' })
  await peer.take((packet) => packet.cmd === 'pingresp')
  return sessions.at(-1) ?? peer.socket.getSession()
}

async function resumedAfterRevocation(arena: Arena, bench: Bench): Promise<void> {
  for (const tlsVersion of TLS_VERSIONS) {
    const device = await arena.identities.fresh('t11')
    const { seen, peer } = await connectFrom(arena, { credentials: device, tlsVersion }, device.id)
    const sessions: Buffer[] = []
    peer.socket.on('session', (session: Buffer) => void sessions.push(session))
    bench.control(`first connection, ${tlsVersion}`, seen.kind === 'admitted', seen.kind)
    const session = await savedSession(peer, sessions)
    peer.end()
    const resumed = await connectFrom(arena, { credentials: device, tlsVersion, session }, device.id)
    bench.control(`saved session before revocation, ${tlsVersion}`, resumed.seen.kind === 'admitted', resumed.seen.kind)
    if (!resumed.peer.socket.isSessionReused()) bench.skip(`resumption, ${tlsVersion}`, 'this server resumes no sessions; the handshake was a full one')
    const newest = (await savedSession(resumed.peer, [])) ?? session
    resumed.peer.end()
    await arena.admin.revoke({ device: device.id }, 'keyCompromise')
    for (const [label, credentials] of [['with its certificate', device], ['the session alone', undefined]] as const) {
      const attempt = await connectFrom(arena, { credentials, tlsVersion, session: newest }, device.id)
      bench.attack('attack', `${tlsVersion}, ${label}`, attempt.seen, auditOf(attempt.peer))
      attempt.peer.end()
    }
  }
}

/** T09: not a moment later, and also for those who were already knocking. */
async function revokedBefore(arena: Arena, bench: Bench): Promise<void> {
  const [device, other] = await arena.identities.batch('t09', 2)
  if (device === undefined || other === undefined) throw new Error('two devices are needed')
  await ownCertificateWorks(arena, bench, device)
  await arena.admin.revoke({ device: device.id }, 'keyCompromise')
  await tryOnBothVersions(arena, bench, 'attack', 'after the answer', device, device.id)
  await ownCertificateWorks(arena, bench, other)
  const source = arena.sources.next()
  const knocking = Array.from({ length: KNOCKING }, (_, i) => connectFrom(arena, { credentials: other, version: 5, source }, `${other.id}:${i}`))
  await arena.admin.revoke({ device: other.id }, 'keyCompromise')
  const since = performance.now()
  for (const { seen, peer } of await Promise.all(knocking)) {
    bench.attack('knocking', 'on its way before the answer', seen.kind === 'admitted' ? await howSessionEnded(peer, since) : { kind: 'cut', version: 4, code: undefined, afterMs: 0 })
    peer.end()
  }
}

/** T12: a session of the operator's door at the devices' door, and the reverse. */
async function sessionsOfOtherDoors(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t12')
  for (const tlsVersion of TLS_VERSIONS) {
    const operator = await operatorSession(arena.admin, tlsVersion)
    bench.control(`the operator's door serves the operator, ${tlsVersion}`, operator.served, operator.served ? 'served' : 'not served')
    if (operator.session === undefined) bench.skip(`a session of the operator's door, ${tlsVersion}`, 'it gives none')
    else {
      const { seen, peer } = await connectFrom(arena, { tlsVersion, session: operator.session }, device.id)
      bench.attack('attack', `the operator's session at the devices' door, ${tlsVersion}`, seen, auditOf(peer))
      peer.end()
    }
    const { seen, peer } = await connectFrom(arena, { credentials: device, tlsVersion }, device.id)
    const sessions: Buffer[] = []
    peer.socket.on('session', (session: Buffer) => void sessions.push(session))
    bench.control(`the device at its own door, ${tlsVersion}`, seen.kind === 'admitted', seen.kind)
    const session = await savedSession(peer, sessions)
    peer.end()
    if (session === undefined) continue
    const served = await servedWith(arena.admin, tlsVersion, session)
    bench.attack('other', `the device's session at the operator's door, ${tlsVersion}`, served ? { kind: 'disturbed', how: 'served as an operator' } : { kind: 'withstood', how: 'not served' })
  }
}

export const TLS_REVOKED_CASES = {
  T09: revokedBefore,
  T10: revokedAlive,
  T11: resumedAfterRevocation,
  T12: sessionsOfOtherDoors,
} as const satisfies Record<string, Runner>
