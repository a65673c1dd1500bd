// Family Q: devices with a good certificate that ask for what is not theirs: client ids, sessions, Wills, topics. The floods
// of the family are in floods.ts.

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { commandTopic, echoOf, forbiddenWillTopics, foreignTopics as topicsOfOthers, mayPublish, ownFilters, ownTopic, sharedFilters, wideFilters, willTopic, type Acl } from '../acl.ts'
import { stillServed } from '../canary.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { MqttVersion, Observed } from '../oracle.ts'
import { connectPacket, howSessionEnded, type Peer } from '../raw-peer.ts'
import { admittedControl, auditOf, connectFrom, MQTT_VERSIONS, TLS_VERSIONS, type Arena, type Bench, type Runner } from './arena.ts'
import { acknowledgement, admitted, answersPing, onBothVersions, pair, published, REFUSED_FROM, undisturbed } from './sessions.ts'
import { openWatcher, subscribe, type Watcher } from './watcher.ts'

/** Client ids that this device may not use, made of its own id and another device's. Q01. */
const FOREIGN_CLIENT_IDS: Readonly<Record<string, (own: string, other: string) => string>> = {
  'the id of another device': (_own, other) => other,
  'another device with a suffix': (_own, other) => `${other}:tool`,
  'own id and one letter more': (own) => `${own}x`,
  'own id in capitals': (own) => own.toUpperCase(),
  'own id and nothing behind the colon': (own) => `${own}:`,
}

async function foreignClientIds(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const [own, other] = await pair(arena, 'q01')
  for (const clientId of arena.offers('several-sessions') ? [own.id, `${own.id}:tool`] : [own.id]) {
    const peer = await admittedControl(arena, bench, `own client id, MQTT ${version}`, { credentials: own, version }, clientId)
    peer.end()
  }
  for (const [label, claimed] of Object.entries(FOREIGN_CLIENT_IDS)) {
    const { seen, peer } = await connectFrom(arena, { credentials: own, version }, claimed(own.id, other.id))
    bench.attack('attack', `${label}, MQTT ${version}`, seen, auditOf(peer))
    peer.end()
  }
}

async function takeOvers(arena: Arena, bench: Bench): Promise<void> {
  const [thief, victim] = await pair(arena, 'q02')
  const incumbent = await admitted(arena, victim, 5)
  for (const filter of ownFilters(arena.acl, victim.id)) await subscribe(incumbent, filter)
  for (const version of MQTT_VERSIONS) {
    for (const clean of [true, false]) {
      const { seen, peer } = await connectFrom(arena, { credentials: thief, version }, victim.id, { clean })
      bench.attack('attack', `take-over, ${clean ? 'clean' : 'resuming'}, MQTT ${version}`, seen, auditOf(peer))
      peer.end()
    }
  }
  const source = arena.sources.next()
  const tries = await Promise.all(Array.from({ length: SIM_LIMITS.warTries }, async (_, i) => {
    await delay(i * SIM_LIMITS.warIntervalMs)
    const started = performance.now()
    const { seen, peer } = await connectFrom(arena, { credentials: thief, version: 5, source }, victim.id)
    peer.end()
    return { refused: seen.kind === 'refused-by-connack' || seen.kind === 'refused-in-tls', ms: performance.now() - started }
  }))
  bench.attack('war', 'fifty take-overs a second', { kind: 'flood', tried: tries.length, refused: tries.filter((t) => t.refused).length, slowestMs: Math.max(...tries.map((t) => t.ms)) }, { address: source })
  bench.attack('incumbent', 'the session that was to be taken over', await undisturbed(incumbent, arena.acl, victim.id), auditOf(incumbent))
  const successor = await admittedControl(arena, bench, 'the device itself takes its session over', { credentials: victim, version: 5 }, victim.id)
  bench.control('then the older connection ends', (await howSessionEnded(incumbent, performance.now())).kind === 'cut', 'the older connection')
  successor.end()
}

/** Q06: what is not a certificate counts for nothing, and is not written down. */
async function passwords(arena: Arena, bench: Bench): Promise<void> {
  const [own, victim] = await pair(arena, 'q06')
  const password = randomUUID()
  const fields = { username: victim.id, password: Buffer.from(password) }
  for (const [i, tlsVersion] of TLS_VERSIONS.entries()) {
    const { seen, peer } = await connectFrom(arena, { tlsVersion, version: MQTT_VERSIONS[i] ?? 4 }, victim.id, fields)
    bench.attack('without', `right name and password, no certificate, ${tlsVersion}`, seen, auditOf(peer))
    peer.end()
  }
  await using watcher = await openWatcher(arena)
  for (const version of MQTT_VERSIONS) {
    const peer = await admittedControl(arena, bench, `own certificate beside them, MQTT ${version}`, { credentials: own, version }, own.id, fields)
    const topic = ownTopic(arena.acl, victim.id, `password-v${version}`)
    bench.attack('beside', `publish as the name, MQTT ${version}`, await published(watcher, peer, topic, 1), { ...auditOf(peer), topic })
    peer.end()
  }
  if (!arena.offers('audit')) return bench.skip('the password in the audit log', 'there is none that can be read')
  bench.attack('log', 'the password in the audit log', (await arena.admin.auditMentions(password)) ? { kind: 'disturbed', how: 'the password is in the audit log' } : { kind: 'undisturbed' })
  bench.control('the name is in the audit log', await arena.admin.auditMentions(victim.id), victim.id)
}

/** Q07 */
async function forbiddenWills(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const [own, other] = await pair(arena, 'q07')
  await using watcher = await openWatcher(arena)
  const will = (topic: string, payload: string) => ({ will: { topic, payload: Buffer.from(payload), qos: 0 as const, retain: false } })
  const permitted = randomUUID()
  const dying = await admittedControl(arena, bench, `a Will of its own, MQTT ${version}`, { credentials: own, version }, own.id, will(willTopic(arena.acl, own.id), permitted))
  dying.socket.destroy()
  bench.control(`and it is heard, MQTT ${version}`, (await watcher.heard(permitted)).length > 0, 'after the connection broke')
  const tokens: string[] = []
  for (const [label, topic] of Object.entries(forbiddenWillTopics(arena.acl, own.id, other.id))) {
    const token = randomUUID()
    tokens.push(token)
    const { seen, peer } = await connectFrom(arena, { credentials: own, version }, own.id, will(topic, token))
    bench.attack('attack', `Will on ${label}, MQTT ${version}`, seen, auditOf(peer))
    peer.socket.destroy()
  }
  await watcher.witness()
  bench.attack('silence', `what was heard of them, MQTT ${version}`, { kind: 'published', version, qos: 0, acknowledged: undefined, receivers: tokens.flatMap((token) => watcher.receiversOf(token)) })
}

async function foreignTopics(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const [own, other] = await pair(arena, 'q09')
  await using watcher = await openWatcher(arena)
  const victim = await admitted(arena, other, 5)
  for (const filter of ownFilters(arena.acl, other.id)) await subscribe(victim, filter, 1)
  watcher.alsoListen('the other device', victim)
  const peer = await admitted(arena, own, version)
  for (const qos of [0, 1, 2] as const) {
    const token = watcher.publish(peer, ownTopic(arena.acl, own.id, `own-${qos}`), qos)
    await acknowledgement(peer, qos)
    bench.control(`own topic, QoS ${qos}, MQTT ${version}`, (await watcher.heard(token)).length > 0, 'heard by the backend')
    const topic = ownTopic(arena.acl, other.id, `forged-${qos}`)
    bench.attack('attack', `QoS ${qos}, MQTT ${version}`, await published(watcher, peer, topic, qos), { ...auditOf(peer), topic })
  }
  for (const [label, topic] of Object.entries(topicsOfOthers(arena.acl, own.id, other.id))) {
    bench.attack('attack', `${label}, MQTT ${version}`, await published(watcher, peer, topic, 1), { ...auditOf(peer), topic })
  }
  peer.end()
  victim.end()
}

/** What a subscription led to: its code, and how much was received on its connection that is not the device's own. */
async function subscribed(peer: Peer, filter: string): Promise<() => Observed> {
  const granted = await subscribe(peer, filter)
  return () => ({ kind: 'subscribed', granted, received: peer.received.filter((packet) => packet.cmd === 'publish').length })
}

/** Q11, Q13, Q14: a device for each filter, so that what comes can be told apart, and none asks for more than an audit log writes down one by one. */
async function forbiddenFilters(arena: Arena, bench: Bench, claim: string, version: MqttVersion, filters: (acl: Acl, own: string, other: string) => readonly string[]): Promise<void> {
  const { acl } = arena
  const [own, other] = await arena.identities.batch('sub', 2)
  if (own === undefined || other === undefined) throw new Error('two devices are needed')
  const attackers = await arena.identities.batch('sub', filters(acl, own.id, other.id).length)
  await using watcher = await openWatcher(arena)
  const listener = await admittedControl(arena, bench, `own topics, MQTT ${version}`, { credentials: own, version }, own.id)
  const granted = await Promise.all(ownFilters(acl, own.id).map((filter) => subscribe(listener, filter)))
  const works = granted.every((code) => code !== undefined && code < REFUSED_FROM) && (await stillServed(listener, acl, own.id, 'a'))
  bench.control(`subscription to own topics, MQTT ${version}`, works, `SUBACK ${granted.map((code) => code ?? 'none').join(', ')}`)
  const attempts: { readonly filter: string; readonly peer: Peer; readonly seen: () => Observed }[] = []
  for (const [i, attacker] of attackers.entries()) {
    const filter = filters(acl, attacker.id, other.id)[i] ?? ''
    const peer = await admitted(arena, attacker, version)
    attempts.push({ filter, peer, seen: await subscribed(peer, filter) })
  }
  await speakTo(arena, watcher, other)
  await watcher.witness()
  for (const { filter, peer, seen } of attempts) {
    // Another connection brings the witness: of this one its own answer says that all has come.
    await answersPing(peer)
    bench.attack(claim, `${filter}, MQTT ${version}`, seen(), { ...auditOf(peer), topic: filter })
    peer.end()
  }
  listener.end()
}

/** Something that each of those who listen where they may not would have heard: by a device, and to it. */
async function speakTo(arena: Arena, watcher: Watcher, other: Identity): Promise<void> {
  const { acl } = arena
  const victim = await admitted(arena, other, 5)
  const topics = new Set(['x', '', 'a/b'].map((leaf) => ownTopic(acl, other.id, leaf)).filter((topic) => mayPublish(acl, other.id, topic)))
  for (const topic of topics) await watcher.heard(watcher.publish(victim, topic, 1))
  const command = commandTopic(acl, other.id, 'x')
  if (command !== undefined) {
    const backend = await arena.identities.fresh('cmd', 'backend')
    const commander = await admitted(arena, backend, 5)
    watcher.publish(commander, command, 1)
    await acknowledgement(commander, 1)
    commander.end()
  }
  victim.end()
}

const MESSAGES_NOT_TO_STEAL = 10

/** Q13: the nearest that is allowed, own topics under a share name, is served: each message goes to one of the two. */
async function ownShare(arena: Arena, bench: Bench): Promise<void> {
  if (!arena.offers('several-sessions')) return bench.skip('a share of own topics', 'a device has one session here')
  const own = await arena.identities.fresh('share')
  const members = [await admitted(arena, own, 5, `${own.id}:a`), await admitted(arena, own, 5, `${own.id}:b`)]
  const granted = await Promise.all(members.map((member) => subscribe(member, `$share/g/${ownFilters(arena.acl, own.id)[0] ?? ''}`, 1)))
  bench.control('a share of own topics, MQTT 5', granted.every((code) => code !== undefined && code < REFUSED_FROM), `SUBACK ${granted.map((code) => code ?? 'none').join(', ')}`)
  for (const member of members) member.end()
}

/** Q13: a thief in the same share would get every second message of the one whom they are for. */
async function stolenMessages(arena: Arena, bench: Bench): Promise<void> {
  const [own, other] = await pair(arena, 'q13')
  await using watcher = await openWatcher(arena)
  const [thief, victim] = [await admitted(arena, own, 5), await admitted(arena, other, 5)]
  const echo = echoOf(arena.acl, other.id, '0')
  if (echo === undefined) return bench.skip('messages to the owner', 'a device does not hear itself here')
  await subscribe(victim, echo.filter, 1)
  await subscribe(thief, `$share/g/${echo.filter}`, 1)
  watcher.alsoListen('the thief', thief)
  const tokens = Array.from({ length: MESSAGES_NOT_TO_STEAL }, (_, i) => watcher.publish(victim, echoOf(arena.acl, other.id, String(i))?.topic ?? '', 1))
  const arrived = await Promise.all(tokens.map((token) => victim.take((packet) => packet.cmd === 'publish' && packet.payload.toString() === token)))
  await watcher.witness()
  const lost = tokens.filter((token, i) => arrived[i] === undefined || watcher.receiversOf(token).includes('the thief')).length
  bench.attack('others', 'messages to the owner', lost === 0 ? { kind: 'undisturbed' } : { kind: 'disturbed', how: `${lost} of ${tokens.length} went elsewhere` })
  thief.end()
  victim.end()
}

async function reservedTopics(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  await forbiddenFilters(arena, bench, 'subscribe', version, () => ['$SYS/#', '$SYS/+/new/clients', '$SYS/broker/uptime', '$refused/#', '$share/g/$SYS/#'])
  const own = await arena.identities.fresh('q14')
  await using watcher = await openWatcher(arena)
  const peer = await admitted(arena, own, version)
  const permitted = watcher.publish(peer, ownTopic(arena.acl, own.id, 'own'), 1)
  bench.control(`publish to its own topic, MQTT ${version}`, (await watcher.heard(permitted)).length > 0 && (await acknowledgement(peer, 1)) === 0, 'heard and acknowledged')
  for (const [topic, qos] of [['$SYS/broker/uptime', 0], ['$SYS/broker/x', 1], ['$refused/publish', 1], ['$share/g/t', 1], ['$aws/things/x/shadow/update', 2]] as const) {
    bench.attack('publish', `publish to ${topic}, MQTT ${version}`, await published(watcher, peer, topic, qos), { ...auditOf(peer), topic })
  }
  peer.end()
}

async function secondConnect(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const [own, other] = await pair(arena, 'q24')
  for (const [label, clientId] of [['the same id', own.id], ['another id', other.id]] as const) {
    const peer = await admittedControl(arena, bench, `one CONNECT, MQTT ${version}`, { credentials: own, version }, own.id)
    peer.send({ cmd: 'pingreq' })
    bench.control(`the session answers, MQTT ${version}`, (await peer.take((packet) => packet.cmd === 'pingresp')) !== undefined, 'PINGRESP')
    const since = performance.now()
    peer.send(connectPacket(clientId, version))
    bench.attack('attack', `${label}, MQTT ${version}`, await howSessionEnded(peer, since), auditOf(peer))
    peer.end()
  }
}

export const MQTT_CASES = {
  Q01: onBothVersions(foreignClientIds),
  Q02: takeOvers,
  Q06: passwords,
  Q07: onBothVersions(forbiddenWills),
  Q09: onBothVersions(foreignTopics),
  Q11: onBothVersions((arena, bench, version) => forbiddenFilters(arena, bench, 'attack', version, wideFilters)),
  async Q13(arena, bench) {
    for (const version of MQTT_VERSIONS) await forbiddenFilters(arena, bench, 'attack', version, sharedFilters)
    await ownShare(arena, bench)
    await stolenMessages(arena, bench)
  },
  Q14: onBothVersions(reservedTopics),
  Q24: onBothVersions(secondConnect),
} as const satisfies Record<string, Runner>
