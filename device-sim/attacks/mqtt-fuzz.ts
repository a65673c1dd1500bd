// Family Q: packets by chance, from one seed: well-made and broken ones, in both versions, of devices that shall not hear each other.
// What is looked for is what nobody has thought of.

import type { Packet } from 'mqtt-packet'
import { acknowledgeBytes, HEADER, packet, PINGREQ, PROPERTY, property, publishBytes, subscribeBytes, text, u16, u32, unsubscribeBytes, userProperty, varint } from '../forge/mqtt-bytes.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { MqttVersion } from '../oracle.ts'
import type { Peer } from '../raw-peer.ts'
import { openChance, type Chance } from '../scenario/chance.ts'
import { connectFrom, type Arena, type Bench, type Runner } from './arena.ts'
import { admitted, answersPing } from './sessions.ts'
import { within } from '../within.ts'
import { openWatcher, subscribe } from './watcher.ts'

const below = (chance: Chance, end: number): number => Math.floor(chance.next() * end)
function one<T>(chance: Chance, items: readonly [T, ...T[]]): T {
  return items[below(chance, items.length)] ?? items[0]
}
const noise = (chance: Chance, length: number): Buffer => Buffer.from(Array.from({ length }, () => below(chance, 256)))

/** Says in every payload whose it is. */
const MARK = 'fuzz of '

function topicOf(chance: Chance, own: string, other: string): string {
  return one(chance, [
    `t/${own}/x`, `t/${own}/y`, `t/${own}/#`, `t/${other}/x`, `cmd/${other}/x`, `state/${other}`, '#', '+', '', '/', '$SYS/x', `$share/g/t/${own}/#`, `$share/g/t/${other}/#`, `$device/${other}/certificate/renew`,
    '__proto__', 'constructor', `t/${own}/\0`, `t/${'/'.repeat(80)}`, 'x'.repeat(700), '\uFEFF', `t/${own}/+/y`,
  ])
}

function wellMade(chance: Chance, version: MqttVersion, own: string, other: string): Buffer {
  const topic = (): string => topicOf(chance, own, other)
  const messageId = one(chance, [1, 1, 2, 3, 7, 300, 65_535])
  const qos = below(chance, 3)
  const properties = version === 4 || below(chance, 3) > 0 ? [] : [one(chance, [
    property(PROPERTY.topicAlias, u16(below(chance, 40))), property(PROPERTY.messageExpiry, u32(below(chance, 3))), property(PROPERTY.responseTopic, text(topic())),
    property(PROPERTY.subscriptionIdentifier, varint(below(chance, 3))), property(PROPERTY.contentType, text('x')), property(PROPERTY.sessionExpiry, u32(5)), userProperty('__proto__', 'x'),
  ])]
  switch (below(chance, 9)) {
    case 0: case 1: case 2:
      return publishBytes({ version, topic: topic(), qos, retain: below(chance, 4) === 0, dup: below(chance, 4) === 0, ...(qos === 0 ? {} : { messageId }), properties, payload: `${MARK}${own} ` })
    case 3:
      return subscribeBytes({ version, messageId, filters: Array.from({ length: 1 + below(chance, 4) }, topic), options: qos, properties })
    case 4:
      return unsubscribeBytes({ version, messageId, filters: Array.from({ length: 1 + below(chance, 3) }, topic) })
    case 5:
      return acknowledgeBytes(one(chance, [HEADER.puback, HEADER.pubrec, HEADER.pubcomp]), messageId)
    case 6:
      return acknowledgeBytes(HEADER.pubrel, messageId)
    case 7:
      return PINGREQ
    default:
      return below(chance, 6) === 0 ? packet(HEADER.disconnect) : PINGREQ
  }
}

/** A packet, now and then with a bit turned, a piece missing, or something behind it. */
function fuzzed(chance: Chance, version: MqttVersion, own: string, other: string): Buffer {
  const bytes = wellMade(chance, version, own, other)
  switch (below(chance, 12)) {
    case 0: {
      const at = below(chance, bytes.length)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << below(chance, 8))
      return bytes
    }
    case 1: return bytes.subarray(0, below(chance, bytes.length))
    case 2: return Buffer.concat([bytes, noise(chance, below(chance, 6))])
    default: return bytes
  }
}

interface Heard {
  readonly by: string
  readonly topic: string
  readonly payload: string
}

/** May whoever marked this payload say it on this topic? Written by hand from the starter policy. */
function isOwn({ topic, payload }: Heard): boolean {
  const [speaker = ''] = payload.slice(MARK.length).split(' ')
  return topic === `t/${speaker}` || topic.startsWith(`t/${speaker}/`)
}

async function fuzz(arena: Arena, bench: Bench): Promise<void> {
  const victim = await arena.identities.fresh('q42')
  await using watcher = await openWatcher(arena)
  const leaks: Heard[] = []
  const marked: Heard[] = []
  const listen = (by: string, mayHear: (topic: string) => boolean) => (each: Packet): void => {
    if (each.cmd !== 'publish') return
    const heard: Heard = { by, topic: each.topic, payload: each.payload.toString() }
    if (heard.payload.startsWith(MARK)) marked.push(heard)
    if (!mayHear(each.topic) || (heard.payload.startsWith(MARK) && !isOwn(heard))) leaks.push(heard)
  }
  watcher.overhear(listen('the backend', () => true))
  const listener = await admitted(arena, victim, 5)
  listener.onPacket(listen('the victim', (topic) => topic.startsWith(`t/${victim.id}/`) || topic.startsWith(`cmd/${victim.id}/`)))
  for (const filter of [`t/${victim.id}/#`, `cmd/${victim.id}/+`]) await subscribe(listener, filter, 1)

  const attackers = await arena.identities.batch('q42', MQTT_LIMITS.fuzzDevices)
  const deadline = performance.now() + MQTT_LIMITS.fuzzMs
  const counts = { sent: 0, connections: 0 }
  await Promise.all(attackers.map((attacker, i) => attackOn(arena, { attacker, victim, version: i % 2 === 0 ? 4 : 5, chance: openChance(MQTT_LIMITS.fuzzSeed + i), deadline, counts, listen })))

  await watcher.witness()
  const [leak] = leaks
  bench.attack('leak', `${counts.sent} packets of ${attackers.length} devices`, leak === undefined ? { kind: 'withstood', how: 'nothing heard that nobody may hear' } : { kind: 'disturbed', how: `${leak.by} heard ${leak.topic}` })
  bench.attack('others', 'the victim', (await answersPing(listener)) ? { kind: 'undisturbed' } : { kind: 'disturbed', how: 'a connection of an honest device was closed' })
  bench.control('what was well-made and granted was heard', marked.some(({ by }) => by === 'the backend'), `${marked.length} heard`)
  bench.control('and connections were broken', counts.sent >= MQTT_LIMITS.fuzzPacketsMin && counts.connections > attackers.length, `${counts.sent} packets on ${counts.connections} connections`)
  listener.end()
}

interface FuzzPlan {
  readonly attacker: Identity
  readonly victim: Identity
  readonly version: MqttVersion
  readonly chance: Chance
  readonly deadline: number
  readonly counts: { sent: number; connections: number }
  readonly listen: (by: string, mayHear: (topic: string) => boolean) => (packet: Packet) => void
}

/** One device, on one connection after the other. */
async function attackOn(arena: Arena, { attacker, victim, version, chance, deadline, counts, listen }: FuzzPlan): Promise<void> {
  const own = attacker.id
  let peer: Peer | undefined
  while (counts.sent < MQTT_LIMITS.fuzzPackets && performance.now() < deadline) {
    if (peer === undefined || peer.socket.destroyed) {
      const attempt = await connectFrom(arena, { credentials: attacker, version }, own)
      counts.connections += 1
      // Its rate of connections is used up: that is another case.
      if (attempt.seen.kind !== 'admitted') return
      peer = attempt.peer
      peer.sendBytes(publishBytes({ version, topic: `t/${own}/x`, payload: `${MARK}${own} ` }))
      peer.onPacket(listen('an attacker', (topic) => topic === `t/${own}` || topic.startsWith(`t/${own}/`) || topic.startsWith(`cmd/${own}/`) || topic.startsWith(`$device/${own}/`)))
    }
    for (let i = 0; i < MQTT_LIMITS.fuzzBatch; i++) peer.sendBytes(fuzzed(chance, version, own, victim.id))
    counts.sent += MQTT_LIMITS.fuzzBatch
    const answered = await within(Promise.race([answersPing(peer), peer.closed]), arena.offers('letter') ? SIM_LIMITS.verdictMs : SIM_LIMITS.kickMs)
    // A server that is not ours may wait for the rest of a packet that was cut off, as long as it likes.
    if (answered === undefined) peer.socket.destroy()
  }
  peer?.end()
}

export const MQTT_FUZZ_CASES = {
  Q42: fuzz,
} as const satisfies Record<string, Runner>
