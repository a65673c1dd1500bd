// Family Q: messages that reach where they may not, by a way that a check of each publish does not see: retained, as a Will, through
// an alias, by an answer of the server, or along a subscription that was once granted.

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { PROPERTY, property, publishBytes, text, u16 } from '../forge/mqtt-bytes.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { MqttVersion, Observed } from '../oracle.ts'
import { howSessionEnded, type ConnectFields, type Peer } from '../raw-peer.ts'
import { admittedControl, auditOf, type Arena, type Bench, type Runner } from './arena.ts'
import { acknowledgement, admitted, anotherId, answersPing, howBroken, onBothVersions, pair, published, REFUSED_FROM } from './sessions.ts'
import { NotOffered } from './powers.ts'
import { openWatcher, subscribe, type Watcher } from './watcher.ts'

const heardBy = (watcher: Watcher, token: string, version: MqttVersion): Observed => ({ kind: 'published', version, qos: 0, acknowledged: undefined, receivers: watcher.receiversOf(token) })

/** Publishes with the flag, waits for the acknowledgement, and says what it was. */
async function retain(peer: Peer, topic: string, payload: string): Promise<number | undefined> {
  peer.send({ cmd: 'publish', topic, payload, qos: 1, retain: true, dup: false, messageId: 1 })
  return acknowledgement(peer, 1)
}

/** What somebody who subscribes now is shown of what was retained. */
async function retainedUnder(arena: Arena, reader: Identity, filter: string): Promise<readonly string[]> {
  const peer = await admitted(arena, reader, 5)
  await subscribe(peer, filter, 1)
  await answersPing(peer)
  const found = peer.received.flatMap((packet) => (packet.cmd === 'publish' && packet.retain ? [packet.payload.toString()] : []))
  peer.end()
  return found
}

const willOf = (topic: string, payload: string, more: Partial<NonNullable<ConnectFields['will']>> = {}): ConnectFields => ({ will: { topic, payload: Buffer.from(payload), qos: 1, retain: false, ...more } })

/** Q08: a device that was thrown out says nothing more, also not by what it left behind. */
async function lastWords(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const backend = await arena.identities.fresh('q08', 'backend')
  await using watcher = await openWatcher(arena)
  const dying = await arena.identities.fresh('q08')
  const kept = randomUUID()
  const honest = await admittedControl(arena, bench, `a retained Will of its own, MQTT ${version}`, { credentials: dying, version }, dying.id, willOf(`state/${dying.id}`, kept, { retain: true }))
  honest.socket.destroy()
  bench.control(`and it is heard, MQTT ${version}`, (await watcher.heard(kept)).length > 0, 'after the connection broke')
  bench.control(`and it is there for who comes later, MQTT ${version}`, (await retainedUnder(arena, backend, `state/${dying.id}`)).includes(kept), 'retained')

  for (const [label, act] of Object.entries(THROWN_OUT)) {
    const device = await arena.identities.fresh('q08')
    const token = randomUUID()
    const peer = await admitted(arena, device, version, device.id, willOf(`state/${device.id}`, token, { retain: true }))
    await act(arena, device)
    await howSessionEnded(peer, performance.now())
    await watcher.witness()
    bench.attack('attack', `Will of a device that was ${label}, MQTT ${version}`, heardBy(watcher, token, version))
    bench.attack('left', `and what is retained of it, MQTT ${version}`, (await retainedUnder(arena, backend, `state/${device.id}`)).includes(token) ? { kind: 'disturbed', how: 'it is retained' } : { kind: 'undisturbed' })
  }
}

const THROWN_OUT: Readonly<Record<string, (arena: Arena, device: Identity) => Promise<unknown>>> = {
  revoked: (arena, device) => arena.admin.revoke({ device: device.id }, 'keyCompromise'),
  suspended: (arena, device) => arena.admin.changeState(device.id, 'suspend'),
}

/** Q10. */
async function retainedMessages(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  // Of ours only some may retain, and what a revoked device has retained is gone; elsewhere retaining is a publish like any other.
  const ours = arena.offers('letter')
  if (ours && !(arena.offers('own-policy') && arena.offers('revocation'))) throw new NotOffered('own-policy')
  const [keeper, reader] = [await arena.identities.fresh('q10', ours ? 'keepers' : 'sensors'), await arena.identities.fresh('q10', ours ? 'backend' : (arena.acl.ears?.group ?? 'ears'))]
  const other = await arena.identities.fresh('q10')
  const peer = await admitted(arena, keeper, version)
  const [mine, theirs] = [randomUUID(), randomUUID()]
  const code = await retain(peer, `t/${keeper.id}/last`, mine)
  bench.control(`retained under a topic of its own, MQTT ${version}`, code !== undefined && code < REFUSED_FROM && (await retainedUnder(arena, reader, `t/${keeper.id}/#`)).includes(mine), `acknowledged ${code ?? 'nothing'}`)
  const topic = `t/${other.id}/last`
  const acknowledged = await retain(peer, topic, theirs)
  const shown = await retainedUnder(arena, reader, `t/${other.id}/#`)
  bench.attack('attack', `retained under the topic of another device, MQTT ${version}`, { kind: 'published', version, qos: 1, acknowledged, receivers: shown.includes(theirs) ? ['a later subscriber'] : [] }, { ...auditOf(peer), topic })
  // To empty what another has retained is to write there, too.
  const wiping = await admitted(arena, other, version)
  const wipe = await retain(wiping, `t/${keeper.id}/last`, '')
  const still = (await retainedUnder(arena, reader, `t/${keeper.id}/#`)).includes(mine)
  bench.attack('attack', `wiped by another device, MQTT ${version}`, { kind: 'published', version, qos: 1, acknowledged: wipe, receivers: still ? [] : ['it is gone'] }, { ...auditOf(wiping), topic: `t/${keeper.id}/last` })
  wiping.end()
  if (!ours) {
    await retain(peer, `t/${keeper.id}/last`, '')
    return peer.end()
  }
  await arena.admin.revoke({ device: keeper.id }, 'keyCompromise')
  await howSessionEnded(peer, performance.now())
  bench.attack('left', `what a revoked device has retained, MQTT ${version}`, (await retainedUnder(arena, reader, `t/${keeper.id}/#`)).length === 0 ? { kind: 'undisturbed' } : { kind: 'disturbed', how: 'it is still shown' })
}

/** Q12: neighbours by name: what is granted to x-1 is not granted to x-10. */
async function exactLevels(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const own = await arena.identities.fresh('q12')
  const longer = await arena.identities.named(`${own.id}0`)
  await using watcher = await openWatcher(arena)
  const victim = await admitted(arena, longer, 5)
  await subscribe(victim, `t/${longer.id}/#`, 1)
  watcher.alsoListen('the neighbour', victim)
  const peer = await admitted(arena, own, version)
  const parent = await subscribe(peer, `t/${own.id}/#`, 1)
  bench.control(`its own topics, MQTT ${version}`, parent !== undefined && parent < REFUSED_FROM && (await watcher.heard(watcher.publish(peer, `t/${own.id}/a`, 1))).length > 0, `SUBACK ${parent ?? 'none'}`)
  await acknowledgement(peer, 1)
  const topics = [`t/${longer.id}/a`, `t/${own.id}0`, `t/${own.id.slice(0, -1)}/a`, `T/${own.id}/a`, `t/${own.id.toUpperCase()}/a`, `t//${own.id}/a`, `t/${own.id} /a`]
  for (const topic of topics) bench.attack('attack', `publish to ${topic.replace(own.id, 'ID')}, MQTT ${version}`, await published(watcher, peer, topic, 1), { ...auditOf(peer), topic })
  peer.end()
  // Another connection: an audit log may count what one device is refused beyond some records a second.
  await delay(MQTT_LIMITS.auditWindowMs)
  let asking = await admitted(arena, own, version, anotherId(arena, own, 's'))
  for (const filter of [`t/${longer.id}/#`, `t/${own.id}+/#`, `t/${own.id.slice(0, -1)}/#`, `T/${own.id}/#`, `t/${own.id.toUpperCase()}/#`]) {
    // A filter that is none may have ended the connection.
    if (asking.socket.destroyed) asking = await admitted(arena, own, version, anotherId(arena, own, 's'))
    const granted = await subscribe(asking, filter)
    await watcher.heard(watcher.publish(victim, `t/${longer.id}/b`, 0))
    await answersPing(asking)
    bench.attack('subscribe', `subscribe to ${filter.replace(own.id, 'ID')}, MQTT ${version}`, { kind: 'subscribed', granted, received: asking.received.filter((packet) => packet.cmd === 'publish').length }, { ...auditOf(asking), topic: filter })
  }
  asking.end()
  victim.end()
}

const alias = (number: number): readonly Buffer[] => [property(PROPERTY.topicAlias, u16(number))]

/** Q15. */
async function aliases(arena: Arena, bench: Bench): Promise<void> {
  const [own, other] = await pair(arena, 'q15')
  await using watcher = await openWatcher(arena)
  const say = async (peer: Peer, topic: string, number: number): Promise<Observed> => {
    const token = randomUUID()
    peer.sendBytes(publishBytes({ version: 5, topic, qos: 1, messageId: 1, properties: alias(number), payload: token }))
    const acknowledged = await acknowledgement(peer, 1)
    await watcher.witness()
    return { kind: 'published', version: 5, qos: 1, acknowledged, receivers: watcher.receiversOf(token) }
  }
  const honest = await admitted(arena, own, 5)
  const connack = honest.received.find((packet) => packet.cmd === 'connack')
  if (connack?.cmd === 'connack' && (connack.properties?.topicAliasMaximum ?? 0) > 0) {
    const first = await say(honest, `t/${own.id}/a`, 1)
    const second = await say(honest, '', 1)
    bench.control('an alias of its own topic', [first, second].every((seen) => seen.kind === 'published' && seen.receivers.length > 0), 'heard twice')
  } else {
    // It takes none [MQTT-3.2.2-18]: whoever sends one breaks the rule.
    bench.control('a publish on its own topic', (await watcher.heard(watcher.publish(honest, `t/${own.id}/a`, 1))).length > 0, 'heard')
  }
  honest.end()
  for (const [label, topic, number] of [['alias 0', `t/${own.id}/a`, 0], ['alias 65535', `t/${own.id}/a`, 65_535], ['an alias beyond the maximum', `t/${own.id}/a`, 1_000], ['an alias that was never set', '', 2]] as const) {
    const peer = await admitted(arena, own, 5, anotherId(arena, own, number))
    const since = performance.now()
    peer.sendBytes(publishBytes({ version: 5, topic, qos: 1, messageId: 1, properties: alias(number), payload: 'x' }))
    bench.attack('broken', label, await howSessionEnded(peer, since), auditOf(peer))
    peer.end()
  }
  const forbidden = `t/${other.id}/alias`
  const set = await admitted(arena, own, 5)
  bench.attack('attack', 'an alias that is set to the topic of another device', await say(set, forbidden, 1), { ...auditOf(set), topic: forbidden })
  bench.attack('resolved', 'and used', await closedOrDropped(set, say(set, '', 1)))
  set.end()
  const moved = await admitted(arena, own, 5)
  await say(moved, `t/${own.id}/a`, 1)
  bench.attack('attack', 'an alias of its own topic, set to the topic of another device', await say(moved, `${forbidden}/2`, 1), { ...auditOf(moved), topic: `${forbidden}/2` })
  bench.attack('resolved', 'and used', await closedOrDropped(moved, say(moved, '', 1)))
  moved.end()
}

/** What an alias stands for after its setting was refused, the norm does not say: not delivered is what counts, however it ends. */
async function closedOrDropped(peer: Peer, saying: Promise<Observed>): Promise<Observed> {
  const seen = await saying
  if (seen.kind !== 'published' || seen.receivers.length > 0) return { kind: 'disturbed', how: 'it was delivered' }
  return { kind: 'withstood', how: peer.socket.destroyed ? 'closed' : 'not delivered' }
}

/** Q38: what the server says in the name of a device goes nowhere where the device could not speak. */
async function serverSpeaks(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  // Only a server that answers devices itself can be told where.
  if (arena.offers('letter')) await answersAstray(arena, bench, watcher)
  const own = await arena.identities.fresh('q38')
  const wild = await admitted(arena, own, 5)
  if (!arena.offers('letter')) bench.control('a publish on its own topic', (await watcher.heard(watcher.publish(wild, `t/${own.id}/a`, 1))).length > 0, 'heard')
  const since = performance.now()
  wild.sendBytes(publishBytes({ version: 5, topic: `t/${own.id}/a`, properties: [property(PROPERTY.responseTopic, text('t/+/x'))] }))
  bench.attack('wildcard', 'a Response Topic with a wildcard', await howBroken(arena, wild, since), auditOf(wild))
  wild.end()
  // A Will that is to wait for ever waits no longer than its session.
  const token = randomUUID()
  const dying = await arena.identities.fresh('q38')
  const late = await admitted(arena, dying, 5, dying.id, { ...willOf(`state/${dying.id}`, token, { properties: { willDelayInterval: 0xffff_ffff } }), properties: { sessionExpiryInterval: 1 } })
  late.socket.destroy()
  bench.attack('late', 'a Will with a delay of 136 years, in a session of one second', (await watcher.heard(token)).length > 0 ? { kind: 'withstood', how: 'published when its session ended' } : { kind: 'disturbed', how: 'it was not published' })
}

async function answersAstray(arena: Arena, bench: Bench, watcher: Watcher): Promise<void> {
  const [own, other] = await pair(arena, 'q38')
  const victim = await admitted(arena, other, 5)
  await subscribe(victim, `t/${other.id}/#`, 1)
  const answers: string[] = []
  victim.onPacket((packet) => void (packet.cmd === 'publish' && answers.push(packet.topic)))
  const peer = await admitted(arena, own, 5)
  await subscribe(peer, `$device/${own.id}/#`, 1)
  const request = `$device/${own.id}/certificate/renew`
  const ask = async (topic: string): Promise<boolean> => {
    peer.sendBytes(publishBytes({ version: 5, topic: request, qos: 1, messageId: 1, properties: [property(PROPERTY.responseTopic, text(topic))], payload: 'no request' }))
    await acknowledgement(peer, 1)
    return (await peer.take((packet) => packet.cmd === 'publish' && packet.topic.startsWith('$device/'), SIM_LIMITS.verdictMs)) !== undefined
  }
  bench.control('an answer on a topic of its own', await ask(`$device/${own.id}/answers`), 'answered')
  for (const topic of [`t/${other.id}/answer`, `cmd/${other.id}/reboot`, `$device/${other.id}/certificate/renew/accepted`, '$SYS/answer']) {
    const before = answers.length
    await ask(topic)
    await watcher.witness()
    bench.attack('answer', `a Response Topic ${topic.replace(other.id, 'OTHER')}`, answers.length === before ? { kind: 'withstood', how: 'not answered there' } : { kind: 'disturbed', how: `the server published to ${answers.at(-1) ?? ''}` })
  }
  for (const each of [peer, victim]) each.end()
}

/** Q41: groups are taken away while a subscription that they granted is in use, and while one is kept. */
async function narrowed(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const [spy, other] = await pair(arena, 'q41')
  await arena.admin.setGroups(spy.id, ['sensors', 'backend'])
  await using watcher = await openWatcher(arena)
  const victim = await admitted(arena, other, 5)
  const kept: ConnectFields = version === 5 ? { clean: false, properties: { sessionExpiryInterval: 300 } } : { clean: false }
  const away = await admitted(arena, spy, version, `${spy.id}:away`, kept)
  await subscribe(away, 't/#', 1)
  away.end()
  await away.closed
  const peer = await admitted(arena, spy, version)
  const granted = await subscribe(peer, 't/#', 1)
  const own = await subscribe(peer, `t/${spy.id}/#`, 1)
  watcher.alsoListen('the device that lost it', peer)
  const before = watcher.publish(victim, `t/${other.id}/before`, 1)
  const heard = await peer.take((packet) => packet.cmd === 'publish' && packet.payload.toString() === before)
  bench.control(`granted and heard before, MQTT ${version}`, granted !== undefined && granted < REFUSED_FROM && own !== undefined && own < REFUSED_FROM && heard !== undefined, `SUBACK ${granted ?? 'none'}`)
  await arena.admin.setGroups(spy.id, ['sensors'])
  await delay(SIM_LIMITS.kickMs)
  const after = watcher.publish(victim, `t/${other.id}/after`, 1)
  await watcher.witness()
  // Another connection brings the witness: of this one its own answer says that all has come.
  await answersPing(peer)
  const ears = watcher.receiversOf(after).filter((name) => name === 'the device that lost it')
  bench.attack('attack', `live, MQTT ${version}`, { kind: 'published', version: 4, qos: 0, acknowledged: undefined, receivers: ears })
  bench.control(`its own topics are heard still, MQTT ${version}`, !peer.socket.destroyed && (await ownStillHeard(watcher, peer, spy)), 'heard')
  const back = await admitted(arena, spy, version, `${spy.id}:away`, kept)
  await answersPing(back)
  const received = back.received.flatMap((packet) => (packet.cmd === 'publish' ? ['the session that was away'] : []))
  bench.attack('attack', `kept, MQTT ${version}`, { kind: 'published', version: 4, qos: 0, acknowledged: undefined, receivers: received })
  for (const each of [peer, back, victim]) each.end()
}

async function ownStillHeard(watcher: Watcher, peer: Peer, spy: Identity): Promise<boolean> {
  const token = watcher.publish(peer, `t/${spy.id}/own`, 1)
  return (await peer.take((packet) => packet.cmd === 'publish' && packet.payload.toString() === token)) !== undefined
}

export const MQTT_TOPIC_CASES = {
  Q08: onBothVersions(lastWords),
  Q10: onBothVersions(retainedMessages),
  Q12: onBothVersions(exactLevels),
  Q15: aliases,
  Q38: serverSpeaks,
  Q41: onBothVersions(narrowed),
} as const satisfies Record<string, Runner>
