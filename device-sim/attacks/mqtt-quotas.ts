// Family Q: one device asks for more than its share: of memory, of places in a queue, of everybody's time. Each flood has an end that
// it is given, and beside it stands somebody who must not notice.

import { randomBytes } from 'node:crypto'
import { publishBytes } from '../forge/mqtt-bytes.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { MqttVersion, Observed } from '../oracle.ts'
import { howSessionEnded, type ConnectFields, type Peer } from '../raw-peer.ts'
import { resourcesOf } from '../resources.ts'
import { within } from '../within.ts'
import { auditOf, type Arena, type Bench, type Runner } from './arena.ts'
import { acknowledgement, admitted, anotherId, answersPing, howBroken, onBothVersions, REFUSED_FROM, speakerTo, turnedAway } from './sessions.ts'
import { NotOffered } from './powers.ts'
import { openWatcher, subscribe } from './watcher.ts'

/** Is an honest device heard, while somebody else is greedy? */
async function othersNotice(arena: Arena, bench: Bench, label: string): Promise<void> {
  const trip = await arena.canary.roundTrip()
  bench.attack('others', label, trip === undefined ? { kind: 'disturbed', how: 'the canary device no longer hears itself' } : { kind: 'undisturbed' })
}

/** How much the server grows while this goes on; undefined where it is no process that can be looked at. */
async function growth(arena: Arena, work: () => Promise<void>): Promise<number | undefined> {
  const before = await resourcesOf(await arena.pid())
  await work()
  const after = await resourcesOf(await arena.pid())
  return before === undefined || after === undefined ? undefined : after.residentBytes - before.residentBytes
}

async function halfOpenExchanges(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const device = await arena.identities.fresh('q27')
  const honest = await admitted(arena, device, version)
  for (let id = 1; id <= 20; id++) honest.sendBytes(publishBytes({ version, topic: `t/${device.id}/x`, qos: 2, messageId: id, payload: 'x' }))
  bench.control(`twenty at a time, MQTT ${version}`, await answersPing(honest), 'the session goes on')
  honest.end()
  const peer = await admitted(arena, device, version, anotherId(arena, device, 'greedy'))
  const since = performance.now()
  for (let id = 1; id <= MQTT_LIMITS.halfOpenMessages; id++) peer.sendBytes(publishBytes({ version, topic: `t/${device.id}/x`, qos: 2, messageId: id, payload: 'x' }))
  const ended = arena.offers('letter') ? await within(peer.closed, MQTT_LIMITS.floodAnswerMs) : undefined
  const seen = await (arena.offers('letter') ? howSessionEnded(peer, ended === undefined ? since : ended.at) : howBroken(arena, peer, since))
  bench.attack('attack', `${MQTT_LIMITS.halfOpenMessages} messages of QoS 2 without a PUBREL, MQTT ${version}`, seen, auditOf(peer))
  await othersNotice(arena, bench, `the canary device, MQTT ${version}`)
  peer.end()
}

/** Q31: one that may send twenty a second, and one that nobody limits, as fast as they can. */
async function publishFlood(arena: Arena, bench: Bench): Promise<void> {
  // A rate of one device is what Sallyport has; that others do not notice is for everybody.
  const ours = arena.offers('letter')
  if (ours && !arena.offers('own-policy')) throw new NotOffered('own-policy')
  const [metered, unlimited, honest] = [await arena.identities.fresh('q31', ours ? 'metered' : 'sensors'), await arena.identities.fresh('q31'), await arena.identities.fresh('q31')]
  await using watcher = await openWatcher(arena)
  const peer = await admitted(arena, metered, 5)
  bench.control('one message is within the rate', (await watcher.heard(watcher.publish(peer, `t/${metered.id}/a`, 1))).length > 0 && (await acknowledgement(peer, 1)) === 0, 'heard')
  let refused = 0
  peer.onPacket((packet) => void (packet.cmd === 'puback' && (packet.reasonCode ?? 0) >= REFUSED_FROM && (refused += 1)))
  const calm = await admitted(arena, honest, 4)
  for (let id = 2; id < MQTT_LIMITS.meteredMessages; id++) peer.sendBytes(publishBytes({ version: 5, topic: `t/${metered.id}/a`, qos: 1, messageId: id, payload: 'x' }))
  const flood = await admitted(arena, unlimited, 4)
  for (let i = 0; i < MQTT_LIMITS.floodMessages; i++) flood.sendBytes(publishBytes({ version: 4, topic: `t/${unlimited.id}/a`, payload: 'x'.repeat(100) }))
  await othersNotice(arena, bench, 'the canary device meanwhile')
  const heard = watcher.publish(calm, `t/${honest.id}/a`, 1)
  bench.attack('others', 'an honest device meanwhile', (await watcher.heard(heard)).length > 0 ? { kind: 'undisturbed' } : { kind: 'disturbed', how: 'it was not heard' })
  await peer.take((packet) => packet.cmd === 'puback' && packet.messageId === MQTT_LIMITS.meteredMessages - 1, MQTT_LIMITS.floodAnswerMs)
  if (ours) bench.attack('attack', `${MQTT_LIMITS.meteredMessages} messages at once, of twenty a second`, turnedAway(MQTT_LIMITS.meteredMessages, refused), { device: metered.id })
  for (const each of [peer, calm, flood]) each.end()
}

const large = (version: MqttVersion, topic: string, qos: 0 | 1, messageId: number, retain = false): Buffer =>
  publishBytes({ version, topic, qos, retain, ...(qos === 0 ? {} : { messageId }), payload: randomBytes(MQTT_LIMITS.largePayloadBytes) })

/** Publishes many, and waits for the answer to each where there is one; how many were refused. */
async function sayMany(peer: Peer, count: number, bytesOf: (i: number) => Buffer, qos: 0 | 1): Promise<number> {
  let refused = 0
  for (let i = 1; i <= count && !peer.socket.destroyed; i++) {
    peer.sendBytes(bytesOf(i))
    const code = await acknowledgement(peer, qos)
    if (qos === 1 && code !== 0) refused += 1
  }
  return refused
}

/** Q32: a reader that stops reading, and goes on being written to. */
async function slowReader(arena: Arena, bench: Bench): Promise<void> {
  for (const qos of [0, 1] as const) {
    const device = await arena.identities.fresh('q32')
    const { speaker, topic, filter } = await speakerTo(arena, device, 5)
    const reader = await admitted(arena, device, 5)
    await subscribe(reader, filter, qos)
    // Who hears the same, and reads: another connection of its own, or whoever hears all.
    const honest = arena.offers('several-sessions') ? await admitted(arena, device, 5, `${device.id}:honest`) : await admitted(arena, await arena.identities.fresh('q32', arena.acl.ears?.group ?? 'ears'), 5)
    await subscribe(honest, filter, qos)
    reader.socket.pause()
    const grown = await growth(arena, async () => void (await sayMany(speaker, MQTT_LIMITS.unreadMessages / (qos + 1), (i) => large(5, topic, qos, i), qos)))
    const heard = honest.received.filter((packet) => packet.cmd === 'publish').length
    bench.control(`who reads hears all of it, QoS ${qos}`, heard > 0 && !honest.socket.destroyed, `${heard} heard`)
    if (grown === undefined) bench.skip(`what the server keeps, QoS ${qos}`, 'the server is no process of this machine that could be looked at')
    else bench.attack('memory', `${MQTT_LIMITS.unreadMessages / (qos + 1)} messages of ${MQTT_LIMITS.largePayloadBytes / 1_024} kB that nobody reads, QoS ${qos}`, grown <= MQTT_LIMITS.growthBytesMax ? { kind: 'withstood', how: 'dropped or closed' } : { kind: 'disturbed', how: `the server grew by ${Math.round(grown / 1_048_576)} MiB` })
    await othersNotice(arena, bench, `the canary device, QoS ${qos}`)
    reader.socket.destroy()
    for (const peer of [speaker, honest]) peer.end()
  }
}

/** Q33: a session that is kept, and nobody comes for it. */
async function waitingForNobody(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('q33')
  const kept: ConnectFields = { clean: false, properties: { sessionExpiryInterval: 300 } }
  const away = await admitted(arena, device, 5, `${device.id}:away`, kept)
  await subscribe(away, `t/${device.id}/#`, 1)
  away.end()
  await away.closed
  const speaker = await admitted(arena, device, 5)
  const refused = await sayMany(speaker, MQTT_LIMITS.waitingMessages, (i) => large(5, `t/${device.id}/${i}`, 1, i), 1)
  const back = await admitted(arena, device, 5, `${device.id}:away`, kept)
  const topics: string[] = back.received.flatMap((packet) => (packet.cmd === 'publish' ? [packet.topic] : []))
  back.onPacket((packet) => void (packet.cmd === 'publish' && topics.push(packet.topic)))
  const last = `t/${device.id}/${MQTT_LIMITS.waitingMessages - refused}`
  await back.take((packet) => packet.cmd === 'publish' && packet.topic === last, MQTT_LIMITS.floodAnswerMs)
  bench.control('the newest is there', topics.includes(last), `${topics.length} were there`)
  const bytes = topics.length * MQTT_LIMITS.largePayloadBytes
  bench.attack('attack', `${MQTT_LIMITS.waitingMessages} messages of ${MQTT_LIMITS.largePayloadBytes / 1_024} kB for who is away`, bytes <= MQTT_LIMITS.keptBytesMax && (refused > 0 || topics.length < MQTT_LIMITS.waitingMessages) ? { kind: 'withstood', how: refused > 0 ? 'the others were refused' : 'the newest were kept' } : { kind: 'disturbed', how: `${topics.length} are kept` })
  await arena.admin.changeState(device.id, 'retire')
  for (const peer of [speaker, back]) peer.end()
}

/** Q34. */
async function retainedFlood(arena: Arena, bench: Bench): Promise<void> {
  const keeper = await arena.identities.fresh('q34', 'keepers')
  const peer = await admitted(arena, keeper, 5)
  peer.sendBytes(publishBytes({ version: 5, topic: `t/${keeper.id}/0`, qos: 1, messageId: 1, retain: true, payload: 'x' }))
  const first = await acknowledgement(peer, 1)
  bench.control('one retained message', first === 0, `acknowledged ${first ?? 'nothing'}`)
  const refused = await sayMany(peer, MQTT_LIMITS.retainedMessages, (i) => large(5, `t/${keeper.id}/${i}`, 1, i, true), 1)
  const bytes = (MQTT_LIMITS.retainedMessages - refused) * MQTT_LIMITS.largePayloadBytes
  bench.attack('attack', `${MQTT_LIMITS.retainedMessages} retained messages of ${MQTT_LIMITS.largePayloadBytes / 1_024} kB`, bytes <= MQTT_LIMITS.keptBytesMax ? turnedAway(MQTT_LIMITS.retainedMessages, refused) : { kind: 'disturbed', how: `${MQTT_LIMITS.retainedMessages - refused} are kept` }, { device: keeper.id })
  await othersNotice(arena, bench, 'the canary device')
  peer.end()
  await arena.admin.changeState(keeper.id, 'retire')
}

/** Q35: filters until no more are granted, each of which matches what is published. */
async function filterFlood(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('q35')
  const peer = await admitted(arena, device, 5)
  const first = await subscribe(peer, `t/${device.id}/#`)
  bench.control('one filter', first === 0, `SUBACK ${first ?? 'none'}`)
  let granted = 1
  let refused = 0
  for (let at = 0; at < MQTT_LIMITS.filters && refused === 0 && !peer.socket.destroyed; at += MQTT_LIMITS.filtersPerPacket) {
    peer.send({ cmd: 'subscribe', messageId: 1_000 + at, subscriptions: Array.from({ length: MQTT_LIMITS.filtersPerPacket }, (_, i) => ({ topic: `t/${device.id}/${overlapping(at + i)}`, qos: 0 as const })) })
    const suback = await peer.take((packet) => packet.cmd === 'suback' && packet.messageId === 1_000 + at)
    const codes = suback?.cmd === 'suback' ? suback.granted : []
    const no = codes.filter((code) => typeof code === 'number' && code >= REFUSED_FROM).length
    refused += no
    granted += codes.length - no
  }
  const seen: Observed = refused > 0 && granted <= MQTT_LIMITS.keptFiltersMax ? turnedAway(granted + refused, refused) : { kind: 'disturbed', how: `${granted} are held` }
  bench.attack('attack', 'filters that overlap', seen, { device: device.id })
  const since = performance.now()
  peer.sendBytes(publishBytes({ version: 5, topic: `t/${device.id}/a/b/c/d/e/f/g/h/i/j`, payload: 'x' }))
  await answersPing(peer)
  const ms = performance.now() - since
  bench.attack('time', 'a message that all of them match', ms <= MQTT_LIMITS.heavyPacketMs ? { kind: 'withstood', how: 'delivered in time' } : { kind: 'disturbed', how: `it took ${ms.toFixed(0)} ms` })
  await othersNotice(arena, bench, 'the canary device')
  peer.end()
}

/** Filters that all match one topic of ten levels: each level is itself or a plus, by the bits of the number. */
function overlapping(number: number): string {
  const levels = 'abcdefghij'.split('').map((letter, bit) => ((number >> bit) & 1 ? '+' : letter)).join('/')
  // Beyond 1,024 there are no other ones: those match nothing, and are held all the same.
  return number < 1_024 ? levels : `${levels}/${number}`
}

export const MQTT_QUOTA_CASES = {
  Q27: onBothVersions(halfOpenExchanges),
  Q31: publishFlood,
  Q32: slowReader,
  Q33: waitingForNobody,
  Q34: retainedFlood,
  Q35: filterFlood,
} as const satisfies Record<string, Runner>
