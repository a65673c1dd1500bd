// Family Q: packets that no library writes, on the connection of a device with a good certificate. The certificate proves who
// speaks; it does not prove that what is said is MQTT.

import { setTimeout as delay } from 'node:timers/promises'
import {
  acknowledgeBytes, connectBytes, HEADER, packet, PINGREQ, PROPERTY, property, publishBytes, subscribeBytes, text, u16, u32, u8, unsubscribeBytes, userProperty, varint,
} from '../forge/mqtt-bytes.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { MqttVersion, Observed } from '../oracle.ts'
import { howConnectEnded, openPeer } from '../raw-peer.ts'
import { resourcesOf } from '../resources.ts'
import { auditOf, type Arena, type Bench, type Runner } from './arena.ts'
import { acknowledgement, admitted, anotherId, answersPing, breakConnects, breakSessions, onBothVersions, pair, published, REFUSED_FROM, type Breakage } from './sessions.ts'
import { openWatcher, subscribe } from './watcher.ts'

const VARINT_MAX = 268_435_455
const own = (id: string, below = 'x'): string => `t/${id}/${below}`
const breakage = (label: string, bytes: (own: string) => Buffer, claim?: string): Breakage => ({ label, bytes, ...(claim === undefined ? {} : { claim }) })
const harmlessPublish = (version: MqttVersion): Breakage => breakage('an honest PUBLISH', (id) => publishBytes({ version, topic: own(id), qos: 1, messageId: 1, payload: 'x' }))
const harmlessConnect = (version: MqttVersion): Breakage => breakage('an honest CONNECT', (id) => connectBytes({ version, clientId: id }))

async function subscriptionIdentifiers(arena: Arena, bench: Bench): Promise<void> {
  const asking = (...identifiers: readonly Buffer[]) => (id: string): Buffer =>
    subscribeBytes({ version: 5, messageId: 1, filters: [own(id, '#')], properties: identifiers.map((value) => property(PROPERTY.subscriptionIdentifier, value)) })
  await breakSessions(arena, bench, 5, breakage('the largest identifier that there is', asking(varint(VARINT_MAX))), [
    breakage('identifier 0', asking(varint(0))),
    breakage('identifier of five bytes', asking(Buffer.from([0x80, 0x80, 0x80, 0x80, 0x01]))),
    breakage('two identifiers', asking(varint(1), varint(2))),
    breakage('a thousand identifiers', asking(...Array.from({ length: 1_000 }, (_, i) => varint(i + 1)))),
  ])
}

const EXPIRY = property(PROPERTY.messageExpiry, u32(60))

async function properties(arena: Arena, bench: Bench): Promise<void> {
  const publishing = (...given: readonly Buffer[]) => (id: string): Buffer => publishBytes({ version: 5, topic: own(id), qos: 1, messageId: 1, properties: given, payload: 'x' })
  await breakSessions(arena, bench, 5, breakage('properties that belong there', publishing(EXPIRY, userProperty('a', 'b'), userProperty('a', 'b'))), [
    breakage('message expiry twice', publishing(EXPIRY, EXPIRY)),
    breakage('content type twice', publishing(property(PROPERTY.contentType, text('a')), property(PROPERTY.contentType, text('b')))),
    breakage('an unknown property', publishing(property(0x7f, u8(1)))),
    breakage('a property of a Will', publishing(property(PROPERTY.willDelay, u32(1)))),
    breakage('a property of CONNECT', publishing(property(PROPERTY.receiveMaximum, u16(1)))),
    breakage('a property of CONNACK', publishing(property(PROPERTY.serverKeepAlive, u16(1)))),
    breakage('a subscription identifier', publishing(property(PROPERTY.subscriptionIdentifier, varint(1)))),
    breakage('half a property', publishing(Buffer.from([PROPERTY.messageExpiry, 0]))),
    breakage('properties longer than the packet', (id) => packet(HEADER.publish, text(own(id)), varint(50), EXPIRY)),
  ])
  const connecting = (...given: readonly Buffer[]) => (id: string): Buffer => connectBytes({ version: 5, clientId: id, properties: given })
  await breakConnects(arena, bench, 5, breakage('properties that belong there', connecting(property(PROPERTY.receiveMaximum, u16(1)))), [
    breakage('Receive Maximum 0', connecting(property(PROPERTY.receiveMaximum, u16(0))), 'connect'),
    breakage('Maximum Packet Size 0', connecting(property(PROPERTY.maximumPacketSize, u32(0))), 'connect'),
    breakage('session expiry twice', connecting(property(PROPERTY.sessionExpiry, u32(1)), property(PROPERTY.sessionExpiry, u32(2))), 'connect'),
    breakage('a topic alias', connecting(property(PROPERTY.topicAlias, u16(1))), 'connect'),
  ])
}

const pairs = (count: number): readonly Buffer[] => Array.from({ length: count }, (_, i) => userProperty(`n${i}`, 'v'))

/** Q18: as many as a packet may hold are worked through in time; more are not read at all. */
async function userProperties(arena: Arena, bench: Bench): Promise<void> {
  const publishing = (given: readonly Buffer[]) => (id: string): Buffer => publishBytes({ version: 5, topic: own(id), qos: 1, messageId: 1, properties: given })
  await breakSessions(arena, bench, 5, breakage('ten pairs', publishing(pairs(10))), [breakage('60,000 pairs', publishing(pairs(60_000))), breakage('one pair in pieces of 64 kB, nine times', publishing(Array.from({ length: 9 }, () => userProperty('n', 'v'.repeat(65_000)))))])
  await breakConnects(arena, bench, 5, breakage('ten pairs', (id) => connectBytes({ version: 5, clientId: id, properties: pairs(10) })), [breakage('10,000 pairs in CONNECT', (id) => connectBytes({ version: 5, clientId: id, properties: pairs(10_000) }), 'connect')])
  const device = await arena.identities.fresh('q18')
  const peer = await admitted(arena, device, 5)
  const since = performance.now()
  peer.sendBytes(publishing(pairs(10_000))(device.id))
  await answersPing(peer)
  const ms = performance.now() - since
  bench.attack('time', '10,000 pairs', ms <= MQTT_LIMITS.heavyPacketMs ? { kind: 'withstood', how: 'worked through in time' } : { kind: 'disturbed', how: `it took ${ms.toFixed(0)} ms` })
  peer.end()
}

/** Bytes that are not the text that they pretend to be. */
const NOT_TEXT: Readonly<Record<string, Buffer>> = {
  'NUL': Buffer.from([0]),
  'half of a surrogate pair': Buffer.from([0xed, 0xa0, 0x80]),
  'a surrogate pair, each half encoded': Buffer.from([0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]),
  'a byte that never occurs': Buffer.from([0xff]),
  'a slash in two bytes': Buffer.from([0xc0, 0xaf]),
  'a character that is cut off': Buffer.from([0xe2, 0x82]),
}

async function notText(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  await using watcher = await openWatcher(arena)
  const topics = Object.entries(NOT_TEXT)
  const bytesOf = (id: string, wrong: Buffer): Buffer => Buffer.concat([Buffer.from(`t/${id}/`), wrong, Buffer.from('/x')])
  await breakSessions(arena, bench, version, harmlessPublish(version), [
    ...topics.map(([label, wrong]) => breakage(`topic with ${label}`, (id) => publishBytes({ version, topic: bytesOf(id, wrong), payload: `not text ${version}` }))),
    ...topics.map(([label, wrong]) => breakage(`filter with ${label}`, (id) => subscribeBytes({ version, messageId: 1, filters: [bytesOf(id, wrong)] }))),
  ])
  await watcher.witness()
  bench.attack('silence', `what was heard of them, MQTT ${version}`, { kind: 'published', version, qos: 0, acknowledged: undefined, receivers: watcher.receiversOf(`not text ${version}`) })
  // [MQTT-1.5.4-3]: it is a character like any other, and must not be dropped: the topic would become the device's own.
  const device = await arena.identities.fresh('q19')
  const peer = await admitted(arena, device, version)
  const topic = `\uFEFFt/${device.id}/x`
  bench.attack('mark', `a byte order mark in front, MQTT ${version}`, await published(watcher, peer, topic, 1), auditOf(peer))
  peer.end()
}

async function noTopic(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  await breakSessions(arena, bench, version, harmlessPublish(version), [
    ...[0, 1, 2].map((qos) => breakage(`QoS ${qos}`, () => publishBytes({ version, topic: '', qos, ...(qos === 0 ? {} : { messageId: 1 }), payload: 'x' }))),
    breakage('a PUBLISH of nothing at all', () => packet(HEADER.publish)),
  ])
}

/** What Q21 takes for a topic: as long as one can be, and shorter than any packet that is not read. */
const SLASHES = [60_000, 65_535] as const

async function slashes(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const device = await arena.identities.fresh('q21')
  await using watcher = await openWatcher(arena)
  const honest = await admitted(arena, device, version)
  bench.control(`a topic of five levels, MQTT ${version}`, (await watcher.heard(watcher.publish(honest, own(device.id, 'a/b/c'), 1))).length > 0, 'heard')
  honest.end()
  for (const count of SLASHES) {
    const peer = await admitted(arena, device, version, anotherId(arena, device, `p${count}`))
    const since = performance.now()
    const token = watcher.publish(peer, '/'.repeat(count), 1)
    const code = await acknowledgement(peer, 1)
    const ms = performance.now() - since
    await watcher.witness()
    const heard = watcher.receiversOf(token)
    // Whether it is refused in words or loses its connection is the server's choice; elsewhere, whether it is told at all.
    const refused = heard.length === 0 && (!arena.offers('letter') || peer.socket.destroyed || version === 4 || (code !== undefined && code >= REFUSED_FROM))
    bench.attack('attack', `publish to ${count} slashes, MQTT ${version}`, ms <= MQTT_LIMITS.heavyPacketMs && refused ? { kind: 'withstood', how: 'refused' } : { kind: 'disturbed', how: `answered ${code ?? 'nothing'} after ${ms.toFixed(0)} ms, heard by ${heard.length}` }, auditOf(peer))
    peer.end()
    const asking = await admitted(arena, device, version, anotherId(arena, device, `s${count}`))
    const granted = await subscribe(asking, '/'.repeat(count))
    bench.attack('subscribe', `subscribe to ${count} slashes, MQTT ${version}`, { kind: 'subscribed', granted, received: 0 }, auditOf(asking))
    asking.end()
  }
}

/** Q22. */
async function lengths(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const honest = (id: string): Buffer => connectBytes({ version, clientId: id })
  await breakConnects(arena, bench, version, harmlessConnect(version), [
    breakage('a length of five bytes', (id) => Buffer.concat([u8(HEADER.connect), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x01]), honest(id)]), 'connect'),
    breakage('268,435,455 bytes announced, none sent', () => Buffer.concat([u8(HEADER.connect), varint(VARINT_MAX)]), 'connect'),
    breakage('nothing behind the header', () => packet(HEADER.connect), 'empty'),
    breakage('a client id longer than its packet', (id) => {
      const bytes = honest(id)
      bytes.writeUInt16BE(60_000, bytes.length - id.length - 2)
      return bytes
    }, 'connect'),
    breakage('bytes behind the last field', (id) => connectBytes({ version, clientId: id, payload: [Buffer.alloc(8)] }), 'connect'),
  ])
  await breakSessions(arena, bench, version, harmlessPublish(version), [
    breakage('a length of five bytes', () => Buffer.concat([u8(HEADER.publish), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x01])])),
    breakage('268,435,455 bytes announced', () => Buffer.concat([u8(HEADER.publish), varint(VARINT_MAX)])),
    breakage('a topic longer than its packet', () => packet(HEADER.publish, u16(5_000), Buffer.from('t/x'))),
    breakage('bytes behind a PUBACK', () => packet(HEADER.puback, u16(1), Buffer.alloc(40))),
    breakage('bytes behind a PINGREQ', () => packet(HEADER.pingreq, Buffer.alloc(4))),
  ])
}

/** Q22: what is only announced is not set aside. */
async function announced(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('q22')
  const before = await resourcesOf(await arena.pid())
  if (before === undefined) return bench.skip('what a server sets aside', 'the server is no process of this machine that could be looked at')
  const peers = await Promise.all(Array.from({ length: MQTT_LIMITS.announcingPeers }, async () => {
    const peer = await openPeer({ target: arena.target, source: arena.sources.next(), credentials: device, version: 5 })
    peer.sendBytes(Buffer.concat([u8(HEADER.connect), varint(VARINT_MAX), text('MQTT')]))
    return peer
  }))
  await delay(MQTT_LIMITS.announcedMs)
  const after = await resourcesOf(await arena.pid())
  const grown = (after?.residentBytes ?? Number.POSITIVE_INFINITY) - before.residentBytes
  bench.attack('memory', `${peers.length} such announcements`, grown <= MQTT_LIMITS.growthBytesMax ? { kind: 'withstood', how: 'nothing set aside' } : { kind: 'disturbed', how: `the server grew by ${Math.round(grown / 1_048_576)} MiB` })
  for (const peer of peers) peer.end()
}

const SERVER_ONLY = { CONNACK: HEADER.connack, SUBACK: HEADER.suback, UNSUBACK: HEADER.unsuback, PINGRESP: HEADER.pingresp } as const
const BEFORE_CONNECT = { ...SERVER_ONLY, PUBLISH: HEADER.publish, PUBACK: HEADER.puback, PUBREC: HEADER.pubrec, PUBREL: HEADER.pubrel, PUBCOMP: HEADER.pubcomp, SUBSCRIBE: HEADER.subscribe, UNSUBSCRIBE: HEADER.unsubscribe, PINGREQ: HEADER.pingreq, DISCONNECT: HEADER.disconnect, AUTH: HEADER.auth } as const

async function packetTypes(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  await breakConnects(arena, bench, version, harmlessConnect(version), [
    ...Object.entries(BEFORE_CONNECT).map(([name, header]) => breakage(`${name} before CONNECT`, (id) => packet(header, text(own(id)), Buffer.alloc(4)), 'connect')),
    breakage('CONNECT with the reserved flag', (id) => connectBytes({ version, clientId: id, flags: 0x03 }), 'connect'),
    breakage('CONNECT with flags in its header', (id) => {
      const bytes = connectBytes({ version, clientId: id })
      bytes[0] = HEADER.connect | 0x0f
      return bytes
    }, 'connect'),
  ])
  await breakSessions(arena, bench, version, harmlessPublish(version), [
    breakage('type 0', () => packet(0x00)),
    ...Object.entries(SERVER_ONLY).map(([name, header]) => breakage(name, () => packet(header, u16(1)))),
    breakage('QoS 3', (id) => publishBytes({ version, topic: own(id), qos: 3, messageId: 1 })),
    breakage('SUBSCRIBE with other flags', (id) => packet(0x80, subscribeBytes({ version, messageId: 1, filters: [own(id)] }).subarray(2))),
    breakage('PUBREL with other flags', () => packet(0x60, u16(1))),
    breakage('PINGREQ with flags', () => packet(HEADER.pingreq | 0x05)),
    breakage('QoS 1 with packet id 0', (id) => publishBytes({ version, topic: own(id), qos: 1, messageId: 0 })),
  ])
}

async function subscribeForms(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const subscribing = (filters: (id: string) => readonly string[], options = 0, messageId = 1) => (id: string): Buffer => subscribeBytes({ version, messageId, filters: filters(id), options })
  await breakSessions(arena, bench, version, breakage('one filter', subscribing((id) => [own(id, '#')])), [
    breakage('SUBSCRIBE without a filter', subscribing(() => [])),
    breakage('SUBSCRIBE with packet id 0', subscribing((id) => [own(id)], 0, 0)),
    breakage('SUBSCRIBE with 1,000 filters', subscribing((id) => Array.from({ length: 1_000 }, (_, i) => own(id, `${i}`))), 'many'),
    breakage('SUBSCRIBE with 10,000 filters', subscribing((id) => Array.from({ length: 10_000 }, (_, i) => own(id, `${i}`))), 'many'),
    breakage('SUBSCRIBE with QoS 3', subscribing((id) => [own(id)], 3)),
    breakage('SUBSCRIBE with reserved options', subscribing((id) => [own(id)], 0xc0)),
    breakage('SUBSCRIBE whose last filter has no options', (id) => packet(HEADER.subscribe, u16(1), ...(version === 5 ? [varint(0)] : []), text(own(id)))),
    breakage('UNSUBSCRIBE without a filter', () => unsubscribeBytes({ version, messageId: 1, filters: [] })),
    breakage('UNSUBSCRIBE with 10,000 filters', (id) => unsubscribeBytes({ version, messageId: 1, filters: Array.from({ length: 10_000 }, (_, i) => own(id, `${i}`)) }), 'many'),
  ])
}

async function protocolNames(arena: Arena, bench: Bench): Promise<void> {
  const naming = (protocol: string, level: number, version: MqttVersion = 4) => (id: string): Buffer => connectBytes({ version, clientId: id, protocol, level })
  await breakConnects(arena, bench, 4, harmlessConnect(4), [
    breakage('MQIsdp level 3', naming('MQIsdp', 3)),
    breakage('MQTT level 3', naming('MQTT', 3)),
    breakage('MQTT level 6', naming('MQTT', 6)),
    breakage('MQTT level 255', naming('MQTT', 255)),
    breakage('MQIsdp level 4', naming('MQIsdp', 4)),
    breakage('the bit of a bridge', naming('MQTT', 0x84)),
    breakage('mqtt in small letters', naming('mqtt', 4)),
    breakage('a name of 60 kB', naming('M'.repeat(60_000), 4)),
    breakage('no name', naming('', 4)),
  ])
  await breakConnects(arena, bench, 5, harmlessConnect(5), [breakage('the bit of a bridge', naming('MQTT', 0x85, 5)), breakage('MQIsdp level 5', naming('MQIsdp', 5, 5))])
  if (!arena.offers('letter')) await bridgeSpeaks(arena, bench)
}

/** Where bridges are let in: is one of them heard where its certificate may not speak? */
async function bridgeSpeaks(arena: Arena, bench: Bench): Promise<void> {
  const [device, other] = await pair(arena, 'q26')
  await using watcher = await openWatcher(arena)
  const peer = await openPeer({ target: arena.target, source: arena.sources.next(), credentials: device, version: 4 })
  peer.sendBytes(connectBytes({ version: 4, clientId: device.id, level: 0x84 }))
  await howConnectEnded(peer)
  bench.attack('speaks', 'a bridge on the topic of another device', await published(watcher, peer, own(other.id), 0))
  peer.end()
}

async function enhancedAuthentication(arena: Arena, bench: Bench): Promise<void> {
  const method = property(PROPERTY.authenticationMethod, text('SCRAM-SHA-256'))
  const data = property(PROPERTY.authenticationData, text('x'))
  await breakSessions(arena, bench, 5, harmlessPublish(5), [
    breakage('AUTH that nobody asked for', () => packet(HEADER.auth)),
    breakage('AUTH that asks to authenticate again', () => packet(HEADER.auth, u8(0x19), varint(method.length), method)),
    breakage('AUTH that goes on', () => packet(HEADER.auth, u8(0x18), varint(method.length + data.length), method, data)),
  ])
  await breakSessions(arena, bench, 4, harmlessPublish(4), [breakage('type 15, which is not there', () => packet(HEADER.auth))])
  await breakConnects(arena, bench, 5, harmlessConnect(5), [
    breakage('CONNECT with a method', (id) => connectBytes({ version: 5, clientId: id, properties: [method] }), 'connect'),
    breakage('CONNECT with data and no method', (id) => connectBytes({ version: 5, clientId: id, properties: [data] }), 'connect'),
  ])
}

/** Q28 in part: words about exchanges that nobody has begun. Harmless, but a server must not lose its way. */
export async function strayAcknowledgements(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const device = await arena.identities.fresh('q28')
  const peer = await admitted(arena, device, version)
  for (const header of [HEADER.puback, HEADER.pubrec, HEADER.pubrel, HEADER.pubcomp]) {
    for (let id = 1; id <= MQTT_LIMITS.strayAcknowledgements; id++) peer.sendBytes(acknowledgeBytes(header, id))
  }
  peer.sendBytes(PINGREQ)
  const answered = (await peer.take((each) => each.cmd === 'pingresp', MQTT_LIMITS.floodAnswerMs)) !== undefined
  const seen: Observed = answered ? { kind: 'withstood', how: 'answered, and the session goes on' } : peer.socket.destroyed ? { kind: 'withstood', how: 'closed' } : { kind: 'disturbed', how: 'no answer' }
  bench.attack('stray', `${4 * MQTT_LIMITS.strayAcknowledgements} acknowledgements of nothing, MQTT ${version}`, seen)
  peer.end()
}

export const MQTT_PACKET_CASES = {
  Q16: subscriptionIdentifiers,
  Q17: properties,
  Q18: userProperties,
  Q19: onBothVersions(notText),
  Q20: onBothVersions(noTopic),
  Q21: onBothVersions(slashes),
  async Q22(arena, bench) {
    await onBothVersions(lengths)(arena, bench)
    await announced(arena, bench)
  },
  Q23: onBothVersions(packetTypes),
  Q25: onBothVersions(subscribeForms),
  Q26: protocolNames,
  Q39: enhancedAuthentication,
} as const satisfies Record<string, Runner>
