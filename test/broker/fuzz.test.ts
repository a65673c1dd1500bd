// Thousands of packets, well-made and broken, from a fixed seed, in both versions and over many connections, while a canary
// publishes and hears itself. The process lives, nothing is rejected in silence, nothing that was not granted is heard, and
// everything is cleaned up.

import mqttPacket, { type Packet } from 'mqtt-packet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, openWire, publishPacket, subscribe, type Version, type Wire } from './wire.ts'

let house: House
let canary: Identity
let attacker: Identity
const uncaught: unknown[] = []
const onUncaught = (error: unknown): void => void uncaught.push(error)

beforeAll(async () => {
  process.on('unhandledRejection', onUncaught)
  process.on('uncaughtException', onUncaught)
  house = await openHouse()
  canary = await house.device('canary', 'backend')
  attacker = await house.device('attacker')
})
afterAll(async () => {
  process.off('unhandledRejection', onUncaught)
  process.off('uncaughtException', onUncaught)
  await house[Symbol.asyncDispose]()
})

/** mulberry32: the same numbers for the same seed. */
function chance(seed: number): { next(): number; below(n: number): number; pick<T>(list: readonly T[]): T; bytes(n: number): Buffer } {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number): number => Math.floor(next() * n)
  return { next, below, pick: (list) => list[below(list.length)]!, bytes: (n) => Buffer.from(Array.from({ length: n }, () => below(256))) }
}

const TOPICS = ['t/attacker/x', 't/attacker/#', 'open/x', 'secret/x', '#', '+', '', '/', '$SYS/x', '$share/g/t/attacker/#', '__proto__', 'constructor', 't/attacker/\u0000', `t/${'/'.repeat(80)}`, 'x'.repeat(700), '5', 't/attacker/+/y', '\ufeff', 'cmd/attacker/x', '\ud800']

function packet(random: ReturnType<typeof chance>, version: Version): Packet {
  const topic = (): string => random.pick(TOPICS)
  const id = random.pick([1, 1, 2, 3, 7, 300, 65_535])
  const qos = random.pick([0, 1, 2] as const)
  const properties = version === 5 && random.below(3) === 0
    ? random.pick([{ topicAlias: random.below(40) }, { userProperties: { __proto__: 'x', a: ['1', '2'] } }, { messageExpiryInterval: random.below(3) }, { responseTopic: topic() }, { subscriptionIdentifier: random.below(3) }, { contentType: 'x' }, { sessionExpiryInterval: random.below(5) }, { correlationData: Buffer.from('x') }])
    : undefined
  const more = properties === undefined ? {} : { properties }
  switch (random.below(9)) {
    case 0:
    case 1:
    case 2:
      return { ...publishPacket(topic(), random.bytes(random.below(64)), { qos, retain: random.below(4) === 0, dup: qos > 0 && random.below(3) === 0, ...(qos === 0 ? {} : { messageId: id }) }), ...more }
    case 3:
      return { cmd: 'subscribe', messageId: id, subscriptions: Array.from({ length: 1 + random.below(4) }, () => ({ topic: topic(), qos, ...(version === 5 ? { nl: random.below(2) === 0, rap: random.below(2) === 0, rh: random.below(3) } : {}) })), ...more }
    case 4:
      return { cmd: 'unsubscribe', messageId: id, unsubscriptions: Array.from({ length: 1 + random.below(3) }, topic) }
    case 5:
      return { cmd: random.pick(['puback', 'pubrec', 'pubcomp'] as const), messageId: id, ...(version === 5 ? { reasonCode: random.pick([0, 0x80]) } : {}) }
    case 6:
      return { cmd: 'pubrel', messageId: id }
    case 7:
      return { cmd: 'pingreq' }
    default:
      return random.below(6) === 0 ? { cmd: 'disconnect', ...(version === 5 ? { reasonCode: random.pick([0, 4]) } : {}) } : { cmd: 'pingreq' }
  }
}

/** A packet's bytes, now and then with a bit turned, a piece missing, or something in front. */
function bytesOf(random: ReturnType<typeof chance>, version: Version): Buffer {
  let bytes: Buffer
  try {
    bytes = mqttPacket.generate(packet(random, version), { protocolVersion: version })
  } catch {
    // The generator is stricter than a network: then it is noise.
    bytes = random.bytes(random.below(20))
  }
  switch (random.below(12)) {
    case 0:
      if (bytes.length > 0) bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
      return bytes
    case 1:
      return bytes.subarray(0, random.below(bytes.length + 1))
    case 2:
      return Buffer.concat([bytes, random.bytes(random.below(6))])
    default:
      return bytes
  }
}

test.each<[Version, number]>([[4, 1], [4, 2], [5, 3], [5, 4]])('MQTT %s, seed %s: 1,500 packets of an attacker end at most its own connections', async (version, seed) => {
  const random = chance(seed)
  const heard = await connected(house, canary, { version: 5 })
  await subscribe(heard, 'canary/#')
  const listener = await connected(house, canary, { version: 5, clientId: 'canary:listener' })
  await subscribe(listener, 'secret/#', '#')

  let wire: Wire | undefined
  let sent = 0
  let connections = 0
  while (sent < 1_500) {
    if (wire === undefined || !wire.open) {
      house.rest()
      connections += 1
      wire = await openWire(house, attacker, { version, acknowledge: random.below(2) === 0 })
      wire.send(connectPacket(random.pick(['attacker', 'attacker:1', '']), version, { clean: true, ...(version === 5 ? { properties: { sessionExpiryInterval: random.below(2) } } : {}), ...(random.below(2) === 0 ? { will: { topic: 'state/attacker', payload: random.bytes(4), qos: random.pick([0, 1, 2] as const), retain: false } } : {}) }))
    }
    const burst = 1 + random.below(30)
    wire.bytes(...Array.from({ length: burst }, () => bytesOf(random, version)))
    sent += burst
    // The canary is served after every burst.
    heard.send(publishPacket('canary/x', String(sent), { qos: 1 }))
    await heard.take('publish', (p) => p.payload.toString() === String(sent))
  }
  wire?.end()
  await heard.ping()
  await listener.ping()
  expect(uncaught).toEqual([])
  expect(connections).toBeGreaterThan(5)
  expect(listener.open && heard.open).toBe(true)
  expect(listener.published().filter((p) => p.topic.startsWith('secret/') || p.topic.startsWith('$') || p.topic.includes('\0'))).toEqual([])
  const granted = /^(t\/attacker(\/|$)|open(\/|$)|low(\/|$)|state\/attacker$|canary\/x$)/
  expect(listener.published().map((p) => p.topic).filter((topic) => !granted.test(topic))).toEqual([])
  // An engine that throws would be caught by the gate; it is not meant to throw at all.
  expect(house.logged.filter((line) => line.includes('the engine failed'))).toEqual([])
  heard.end()
  listener.end()
  while (house.broker.sessionCount > 0) await new Promise((resolve) => void setImmediate(resolve))
  house.forget()
})
