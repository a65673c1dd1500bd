// What most cases of family Q do with a device: let it in, break one of its sessions with bytes, look whether a session is still
// served, and publish so that it is known who heard it.

import { commandTopic, type Acl } from '../acl.ts'
import { stillServed } from '../canary.ts'
import { inParallel, type Identity } from '../identities.ts'
import type { MqttVersion, Observed } from '../oracle.ts'
import { SIM_LIMITS } from '../limits.ts'
import { within } from '../within.ts'
import { howSessionEnded, openPeer, howConnectEnded, type ConnectFields, type Peer } from '../raw-peer.ts'
import { auditOf, connectFrom, MQTT_VERSIONS, type Arena, type Bench, type Runner } from './arena.ts'
import { NotOffered } from './powers.ts'
import type { Watcher } from './watcher.ts'

export const REFUSED_FROM = 0x80

/** Runs the same for MQTT 3.1.1 and 5. */
export function onBothVersions(run: (arena: Arena, bench: Bench, version: MqttVersion) => Promise<void>): Runner {
  return async (arena, bench) => {
    for (const version of MQTT_VERSIONS) await run(arena, bench, version)
  }
}

/** The client id of one more connection of this device. Where a device has one session only it is its own id: the connection before is over. */
export function anotherId(arena: Arena, device: Identity, suffix: string | number): string {
  return arena.offers('several-sessions') ? `${device.id}:${suffix}` : device.id
}

/** A connection of this device that is admitted; the case cannot go on without it. */
export async function admitted(arena: Arena, device: Identity, version: MqttVersion, clientId: string = device.id, fields: ConnectFields = {}): Promise<Peer> {
  const { seen, peer } = await connectFrom(arena, { credentials: device, version }, clientId, fields)
  if (seen.kind !== 'admitted') throw new Error(`${clientId} was not admitted: ${seen.kind}`)
  return peer
}

/** Somebody who may speak to this device, on `topic`, which it hears by `filter`: another connection of its own, or the backend. */
export async function speakerTo(arena: Arena, device: Identity, version: MqttVersion): Promise<{ readonly speaker: Peer; readonly topic: string; readonly filter: string }> {
  if (arena.offers('several-sessions')) return { speaker: await admitted(arena, device, version, `${device.id}:speaker`), topic: `t/${device.id}/x`, filter: `t/${device.id}/#` }
  const topic = commandTopic(arena.acl, device.id, 'x')
  if (topic === undefined) throw new NotOffered('several-sessions')
  const backend = await arena.identities.fresh('speaker', 'backend')
  return { speaker: await admitted(arena, backend, version), topic, filter: topic }
}

export async function pair(arena: Arena, label: string): Promise<readonly [Identity, Identity]> {
  const [own, other] = await arena.identities.batch(label, 2)
  if (own === undefined || other === undefined) throw new Error('two devices are needed')
  return [own, other]
}

/** Does the server answer this connection? What was sent before has been read by then. */
export async function answersPing(peer: Peer): Promise<boolean> {
  peer.send({ cmd: 'pingreq' })
  return (await peer.take((packet) => packet.cmd === 'pingresp')) !== undefined
}

/** Is this session still there, and does it still hear itself? */
export async function undisturbed(peer: Peer, acl: Acl, id: string): Promise<Observed> {
  if (peer.socket.destroyed) return { kind: 'disturbed', how: 'its connection was closed' }
  return (await stillServed(peer, acl, id, 'still-here')) ? { kind: 'undisturbed' } : { kind: 'disturbed', how: 'it no longer hears itself' }
}

export async function acknowledgement(peer: Peer, qos: 0 | 1 | 2): Promise<number | undefined> {
  if (qos === 0) {
    // The server has read on when it answers: what was published before has been judged.
    await answersPing(peer)
    return undefined
  }
  const answer = await peer.take((packet) => packet.cmd === (qos === 1 ? 'puback' : 'pubrec'))
  if (answer?.cmd !== 'puback' && answer?.cmd !== 'pubrec') return undefined
  const code = answer.reasonCode ?? 0
  // A PUBREC that refuses ends the exchange [MQTT-4.3.3-4]; any other wants its PUBREL.
  if (answer.cmd === 'pubrec' && code < REFUSED_FROM && answer.messageId !== undefined) {
    peer.send({ cmd: 'pubrel', messageId: answer.messageId })
    await peer.take((packet) => packet.cmd === 'pubcomp')
  }
  return code
}

/** Publishes, waits for the acknowledgement that the QoS asks for, and for a witness: who heard it by then? */
export async function published(watcher: Watcher, peer: Peer, topic: string, qos: 0 | 1 | 2): Promise<Observed> {
  const token = watcher.publish(peer, topic, qos)
  const acknowledged = await acknowledgement(peer, qos)
  await watcher.witness()
  return { kind: 'published', version: peer.version, qos, acknowledged, receivers: watcher.receiversOf(token) }
}

/** Beyond some bound the server said no. */
export function turnedAway(tried: number, refused: number): Observed {
  return refused > 0 ? { kind: 'withstood', how: `${refused} of ${tried} refused` } : { kind: 'disturbed', how: `all ${tried} were accepted` }
}

/** Bytes for a session, made with the device's own id. */
export interface Breakage {
  readonly label: string
  /** The claim that it is held to. */
  readonly claim?: string
  readonly bytes: (own: string) => Buffer
}

/** An audit log may count what one device is refused beyond some records a second, and a device may not connect at any rate. */
const PER_DEVICE = 6

/**
 * Each breakage is sent on a connection of its own, whose session must end. Beside them the harmless bytes of the same kind, which
 * must not end it.
 */
export async function breakSessions(arena: Arena, bench: Bench, version: MqttVersion, harmless: Breakage, breakages: readonly Breakage[]): Promise<void> {
  const devices = await arena.identities.batch('bytes', Math.ceil(breakages.length / PER_DEVICE))
  const [first] = devices
  if (first === undefined) throw new Error('a device is needed')
  const well = await admitted(arena, first, version)
  well.sendBytes(harmless.bytes(first.id))
  bench.control(`${harmless.label}, MQTT ${version}`, await answersPing(well), 'the session goes on')
  well.end()
  for (const [i, { label, claim = 'attack', bytes }] of breakages.entries()) {
    const device = devices[Math.floor(i / PER_DEVICE)] ?? first
    const peer = await admitted(arena, device, version, anotherId(arena, device, i))
    const since = performance.now()
    peer.sendBytes(bytes(device.id))
    bench.attack(claim, `${label}, MQTT ${version}`, await howBroken(arena, peer, since), auditOf(peer))
    peer.end()
  }
}

/** How it ended. A server that is not ours may let it go on: then it is asked, and need not be waited for. */
export async function howBroken(arena: Arena, peer: Peer, since: number): Promise<Observed> {
  if (arena.offers('letter') || (await within(peer.closed, SIM_LIMITS.kickMs)) !== undefined) return howSessionEnded(peer, since)
  await answersPing(peer)
  return peer.socket.destroyed ? howSessionEnded(peer, since) : { kind: 'open', afterMs: performance.now() - since }
}

/** Each of these is sent in place of a CONNECT. */
export async function breakConnects(arena: Arena, bench: Bench, version: MqttVersion, harmless: Breakage, breakages: readonly Breakage[]): Promise<void> {
  const devices = await arena.identities.batch('bytes', Math.ceil(breakages.length / PER_DEVICE))
  const [first] = devices
  if (first === undefined) throw new Error('a device is needed')
  const send = async (device: Identity, { bytes }: Breakage): Promise<{ readonly seen: Observed; readonly peer: Peer }> => {
    const peer = await openPeer({ target: arena.target, source: arena.sources.next(), credentials: device, version })
    peer.sendBytes(bytes(device.id))
    return { peer, seen: await howConnectEnded(peer) }
  }
  const well = await send(first, harmless)
  bench.control(`${harmless.label}, MQTT ${version}`, well.seen.kind === 'admitted', well.seen.kind)
  well.peer.end()
  // One that answers nothing takes its time; where an audit log is read they come one after the other, so that it counts none of them together.
  const tries = await inParallel(breakages, arena.offers('letter') ? 1 : PER_DEVICE, async (breakage, i) => ({ breakage, ...(await send(devices[Math.floor(i / PER_DEVICE)] ?? first, breakage)) }))
  for (const { breakage, seen, peer } of tries) {
    bench.attack(breakage.claim ?? 'attack', `${breakage.label}, MQTT ${version}`, seen, auditOf(peer))
    peer.end()
  }
}
