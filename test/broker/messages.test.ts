// What a session may send and hear, over the wire and at its limits: topics and aliases, filters, sizes, quotas, packets
// that are no packets. Each refusal stands beside what is allowed.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { HOUSE_POLICY, openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, nextId, openWire, payloads, publishPacket, subscribe, versions, type Wire } from './wire.ts'

let house: House
let sensor: Identity
let backend: Identity

beforeAll(async () => {
  house = await openHouse()
  sensor = await house.device('sensor')
  backend = await house.device('backend', 'backend')
})
afterEach(() => {
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const text = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}
const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)])
const frame = (first: number, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([first, ...varint(body.length)]), body])
}
/** Waits for the end, which MQTT 5 hears with this code. */
async function cut(wire: Wire, code: number): Promise<void> {
  if (wire.version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(code)
  await wire.ended
}

describe.each(versions)('MQTT %s, PUBLISH', (version) => {
  const noProperties = version === 5 ? [Buffer.from([0])] : []

  test.each<[string, Buffer]>([
    ['NUL', Buffer.from('t/sensor/\0')],
    ['bytes that are no UTF-8', Buffer.from([0x74, 0x2f, 0xff])],
    ['an overlong slash', Buffer.from([0x74, 0xc0, 0xaf])],
    ['half a surrogate pair', Buffer.from([0x74, 0x2f, 0xed, 0xa0, 0x80])],
  ])('to a topic with %s ends the session, and nothing is forwarded', async (_, topic) => {
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, '#')
    const wire = await connected(house, sensor, { version })
    wire.bytes(frame(0x30, text(topic), ...noProperties, Buffer.from('x')))
    await cut(wire, 0x81)
    await house.refused('malformed-packet')
    await watcher.ping()
    expect(payloads(watcher)).toEqual([])
    watcher.end()
  })
  test.each<[string, string, number]>([['no topic', '', 0x82], ['a wildcard', 't/sensor/+', 0x90], ['a wildcard', 't/sensor/#', 0x90]])('to %s (%j) ends the session', async (_, topic, code) => {
    const wire = await connected(house, sensor, { version })
    wire.bytes(frame(0x30, text(topic), ...noProperties))
    await cut(wire, code)
  })
  test('of 65,535 slashes costs nothing but its own session', async () => {
    const wire = await connected(house, backend, { version })
    wire.bytes(frame(0x30, text('/'.repeat(65_535)), ...noProperties))
    await wire.ended
    expect(house.refusals()).toHaveLength(1)
  })
  test('with packet id 0 is malformed', async () => {
    for (const first of [0x32, 0x34]) {
      const wire = await connected(house, sensor, { version })
      wire.bytes(frame(first, text('t/sensor/x'), Buffer.from([0, 0]), ...noProperties))
      await cut(wire, 0x81)
    }
  })
  test('beyond the QoS, retain and rule that are granted is refused with its reason, and within is not', async () => {
    const wire = await connected(house, sensor, { version })
    for (const [topic, fields, reason] of [
      ['low/x', { qos: 1 }, 'publish-qos'], ['secret/x', { qos: 1 }, 'publish-denied'], ['elsewhere', { qos: 1 }, 'publish-not-granted'],
    ] as const) {
      wire.send(publishPacket(topic, 'x', fields))
      expect((await wire.take('puback')).reasonCode).toBe(version === 5 ? 0x87 : undefined)
      const refused = await house.refused(reason)
      expect(refused).toMatchObject({ topic, device: 'sensor', clientId: 'sensor' })
    }
    expect(await house.refused('publish-denied')).toMatchObject({ rule: 'no-secrets', ruleAt: expect.stringMatching(/^policy\.yaml:\d+$/) })
    wire.send(publishPacket('low/x', 'x', { retain: true }))
    await house.refused('publish-retain')
    const before = house.events.length
    wire.send(publishPacket('low/x', 'x'))
    await wire.ping()
    expect(house.events).toHaveLength(before)
    wire.end()
  })
  test('that the policy answers with an end, ends the session, and its Will fires', async () => {
    house.policy(HOUSE_POLICY.replace('id: no-secrets,', 'id: no-secrets, onDeny: disconnect,'))
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, 'state/sensor')
    const wire = await connected(house, sensor, { version, will: { topic: 'state/sensor', payload: Buffer.from('w'), qos: 0, retain: false } })
    wire.send(publishPacket('secret/x', 'x', { qos: 1 }))
    await cut(wire, 0x87)
    await watcher.take('publish')
    house.policy(HOUSE_POLICY)
    watcher.end()
  })
  test('of 5,000 messages of QoS 1 behind one another are acknowledged and delivered, each once and in order', async () => {
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, { topic: 't/sensor/many', qos: 1 })
    const wire = await connected(house, sensor, { version })
    wire.send(...Array.from({ length: 5_000 }, (_, i) => publishPacket('t/sensor/many', String(i), { qos: 1, messageId: i + 1 })))
    await watcher.take('publish', (p) => p.payload.toString() === '4999')
    await wire.take('puback', (p) => p.messageId === 5_000)
    expect(payloads(watcher)).toEqual(Array.from({ length: 5_000 }, (_, i) => String(i)))
    expect(wire.received.filter((p) => p.cmd === 'puback')).toHaveLength(5_000)
    wire.end()
    watcher.end()
  })
  test('as large as the limit is served, and larger is refused before its body comes', async () => {
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, 't/sensor/large')
    const wire = await connected(house, sensor, { version })
    if (version === 5) expect(wire.connack.properties?.maximumPacketSize).toBe(BROKER_LIMITS.packetBytesMax)
    const overhead = publishPacket('t/sensor/large', '').topic.length + 2 + 4 + (version === 5 ? 1 : 0)
    wire.send(publishPacket('t/sensor/large', Buffer.alloc(BROKER_LIMITS.packetBytesMax - overhead)))
    await watcher.take('publish')
    wire.bytes([0x30, ...varint(BROKER_LIMITS.packetBytesMax)])
    await cut(wire, 0x95)
    await house.refused('packet-too-large')
    watcher.end()
  })
})

describe('topic aliases', () => {
  const aliased = (topic: string, alias: number, payload: string) => publishPacket(topic, payload, { properties: { topicAlias: alias } })

  test('carry their topic, and the grant is asked for what they mean', async () => {
    const watcher = await connected(house, backend, { version: 5 })
    await subscribe(watcher, '#')
    const wire = await connected(house, sensor, { version: 5 })
    wire.send(aliased('t/sensor/a', 1, 'bound'), aliased('', 1, 'used'), aliased('secret/x', 1, 'rebound to what is forbidden'), aliased('', 1, 'forbidden'), aliased('t/sensor/b', 1, 'rebound'), aliased('', 1, 'used again'))
    await watcher.take('publish', (p) => p.payload.toString() === 'used again')
    expect(watcher.published().map((p) => [p.topic, p.payload.toString(), p.properties?.topicAlias])).toEqual([
      ['t/sensor/a', 'bound', undefined], ['t/sensor/a', 'used', undefined], ['t/sensor/b', 'rebound', undefined], ['t/sensor/b', 'used again', undefined],
    ])
    expect(house.refusals()).toEqual(['publish-denied', 'publish-denied'])
    wire.end()
    watcher.end()
  })
  test.each([['0', 0, 't/sensor/a'], ['beyond the maximum', BROKER_LIMITS.topicAliasMaximum + 1, 't/sensor/a'], ['that was never bound', 7, '']])('of %s end the session with 0x94', async (_, alias, topic) => {
    const wire = await connected(house, sensor, { version: 5 })
    wire.bytes(frame(0x30, text(topic), Buffer.from([3, 0x23, alias >> 8, alias & 255])))
    expect((await wire.take('disconnect')).reasonCode).toBe(0x94)
    await wire.ended
  })
  test('of one connection mean nothing in the next', async () => {
    const first = await connected(house, sensor, { version: 5 })
    first.send(aliased('t/sensor/a', 1, 'x'))
    await first.ping()
    first.end()
    const second = await connected(house, sensor, { version: 5 })
    second.send(aliased('', 1, 'x'))
    expect((await second.take('disconnect')).reasonCode).toBe(0x94)
  })
})

describe.each(versions)('MQTT %s, SUBSCRIBE', (version) => {
  const no = version === 5 ? 0x87 : 0x80
  const invalid = version === 5 ? 0x8f : 0x80

  test.each(['#', '+/#', '+', 't/+/x', 't/#', 't/sensor', '//', 't/sensorx', 'T/sensor/a', '$queue/t/sensor/#', '$share/g/#', '$share/g/t/other/#'])('to %s is not granted and delivers nothing', async (filter) => {
    const wire = await connected(house, sensor, { version })
    const other = await connected(house, backend, { version })
    // 't/sensor' is the parent level that 't/sensor/#' matches, too.
    expect(await subscribe(wire, filter)).toEqual([filter === 't/sensor' ? 1 : no])
    for (const topic of ['t/other/x', 't/sensorx', 'elsewhere']) other.send(publishPacket(topic, 'no'))
    await other.ping()
    await wire.ping()
    expect(payloads(wire)).toEqual([])
    wire.end()
    other.end()
  })
  test('to what is no filter is answered so, beside one that is granted', async () => {
    const wire = await connected(house, sensor, { version })
    expect(await subscribe(wire, 't/sensor/#/x', 't/sensor/a+', '$share/g', '$share//x', 't/sensor/\u0001', 't/sensor/ok')).toEqual([invalid, invalid, invalid, invalid, invalid, 1])
    expect(await subscribe(wire, `t/sensor/${'/'.repeat(1_000)}`, `t/sensor/${'x'.repeat(600)}`)).toEqual([invalid, invalid])
    wire.end()
  })
  test('to a share of what is granted needs MQTT 5, and a grant of the share name', async () => {
    const wire = await connected(house, sensor, { version })
    expect(await subscribe(wire, '$share/g/t/sensor/#', '$share/g/cmd/sensor/+')).toEqual(version === 5 ? [1, 0x87] : [0x80, 0x80])
    // Not to say that they are available is to say so. MQTT 5 §3.2.2.3.13.
    expect((await connected(house, backend, { version })).connack.properties?.sharedSubscriptionAvailable).toBeUndefined()
    wire.end()
  })
  test('of 100 filters is answered, of 101 it ends the session', async () => {
    const wire = await connected(house, sensor, { version })
    const filters = Array.from({ length: BROKER_LIMITS.filtersPerSubscribeMax }, (_, i) => `t/sensor/${i}`)
    expect(await subscribe(wire, ...filters)).toEqual(filters.map(() => 1))
    wire.send({ cmd: 'subscribe', messageId: nextId(), subscriptions: [...filters, 't/sensor/x'].map((topic) => ({ topic, qos: 0 })) })
    await cut(wire, 0x97)
  })
  test('beyond the subscriptions of a session is refused, until one is given up', async () => {
    const wire = await connected(house, sensor, { version })
    const perPacket = BROKER_LIMITS.filtersPerSubscribeMax
    for (let i = 0; i < BROKER_LIMITS.subscriptionsPerSessionMax; i += perPacket) await subscribe(wire, ...Array.from({ length: perPacket }, (_, j) => `t/sensor/${i + j}`))
    const full = version === 5 ? 0x97 : 0x80
    expect(await subscribe(wire, 't/sensor/more', 't/sensor/0')).toEqual([full, 1])
    wire.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: ['t/sensor/5'] })
    await wire.take('unsuback')
    expect(await subscribe(wire, 't/sensor/more', 't/sensor/most')).toEqual([1, full])
    await house.refused('quota-exceeded')
    wire.end()
  })
  test('without a filter, with packet id 0 or with QoS 3 ends the session', async () => {
    const nothing = version === 5 ? Buffer.from([0, 1, 0]) : Buffer.from([0, 1])
    const none = version === 5 ? Buffer.from([0, 0, 0]) : Buffer.from([0, 0])
    for (const bytes of [frame(0x82, nothing), frame(0x82, none, text('t/sensor/x'), Buffer.from([0])), frame(0x82, nothing, text('t/sensor/x'), Buffer.from([3]))]) {
      const wire = await connected(house, sensor, { version })
      wire.bytes(bytes)
      await wire.ended
    }
    expect(house.refusals()).toHaveLength(3)
  })
  test('again with another QoS replaces what was granted', async () => {
    const wire = await connected(house, sensor, { version })
    await subscribe(wire, { topic: 'open/#', qos: 0 })
    await subscribe(wire, { topic: 'open/#', qos: 2 })
    wire.send(publishPacket('open/x', 'x', { qos: 1 }))
    expect((await wire.take('publish')).qos).toBe(1)
    wire.end()
  })
  test('a topic that a rule forbids to hear is not delivered, though the filter is granted', async () => {
    const wire = await connected(house, sensor, { version })
    await subscribe(wire, 't/sensor/#')
    const other = await connected(house, backend, { version })
    other.send(publishPacket('t/sensor/private', 'no', { qos: 1, retain: true }), publishPacket('t/sensor/public', 'yes', { qos: 1 }))
    await wire.take('publish')
    await subscribe(wire, 't/sensor/+')
    await wire.ping()
    expect(payloads(wire)).toEqual(['yes'])
    other.send(publishPacket('t/sensor/private', '', { retain: true }))
    await other.ping()
    other.end()
    wire.end()
  })
})

describe.each(versions)('MQTT %s, UNSUBSCRIBE', (version) => {
  test('is answered for each filter, and what was unsubscribed delivers no more', async () => {
    const wire = await connected(house, sensor, { version })
    await subscribe(wire, 't/sensor/#', 'open/#')
    wire.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['t/sensor/#', 'never/held'] })
    const ack = await wire.take('unsuback')
    if (version === 5) expect(ack.granted).toEqual([0, 0x11])
    wire.send(publishPacket('t/sensor/x', 'no'), publishPacket('open/x', 'yes'))
    await wire.take('publish')
    expect(payloads(wire)).toEqual(['yes'])
    wire.end()
  })
  test('without a filter ends the session', async () => {
    const wire = await connected(house, sensor, { version })
    wire.bytes(frame(0xa2, version === 5 ? Buffer.from([0, 1, 0]) : Buffer.from([0, 1])))
    await wire.ended
    expect(house.refusals()).toHaveLength(1)
  })
})

describe('subscription identifiers', () => {
  test('come with what they matched; 0 and two of them end the session', async () => {
    const wire = await connected(house, backend, { version: 5 })
    wire.send({ cmd: 'subscribe', messageId: 1, properties: { subscriptionIdentifier: 268_435_455 }, subscriptions: [{ topic: 'id/#', qos: 1 }] })
    await wire.take('suback')
    wire.send(publishPacket('id/x', 'x', { qos: 1 }))
    expect((await wire.take('publish')).properties?.subscriptionIdentifier).toBe(268_435_455)
    wire.end()
    for (const properties of [[2, 0x0b, 0], [4, 0x0b, 1, 0x0b, 2]]) {
      const bad = await connected(house, backend, { version: 5 })
      bad.bytes(frame(0x82, Buffer.from([0, 1]), Buffer.from(properties), text('id/#'), Buffer.from([0])))
      await cut(bad, 0x82)
    }
  })
})

describe('what no client sends', () => {
  test('AUTH without a method ends the session with 0x82', async () => {
    const wire = await connected(house, sensor, { version: 5 })
    wire.bytes(frame(0xf0, Buffer.from([0x18, 0])))
    await cut(wire, 0x82)
  })
  test.each<[string, readonly number[]]>([
    ['a length of five bytes', [0x30, 0x80, 0x80, 0x80, 0x80, 0x01]], ['256 MiB', [0x30, 0xff, 0xff, 0xff, 0x7f]], ['CONNACK', [0x20, 2, 0, 0]], ['QoS 3', [0x36, 0]], ['type 0', [0, 0]],
    ['SUBSCRIBE with wrong flags', [0x80, 0]], ['PUBREL with wrong flags', [0x60, 2, 0, 1]], ['a topic longer than its packet', [0x30, 4, 0, 200, 0x74, 0x2f]],
  ])('%s ends the session, and one refusal is told', async (_, bytes) => {
    for (const version of versions) {
      house.forget()
      const wire = await connected(house, sensor, { version })
      wire.bytes(bytes)
      await wire.ended
      expect(house.refusals()).toHaveLength(1)
      expect(house.refusals()[0]).toMatch(/malformed-packet|packet-too-large|protocol-error/)
    }
  })
  test('acknowledgements of nothing are ignored', async () => {
    for (const version of versions) {
      const wire = await connected(house, sensor, { version })
      wire.send({ cmd: 'puback', messageId: 900 }, { cmd: 'pubcomp', messageId: 901 }, { cmd: 'pubrec', messageId: 902 }, { cmd: 'pubrel', messageId: 903 })
      await wire.take('pubcomp', (p) => p.messageId === 903)
      await wire.ping()
      wire.end()
    }
  })
  test('a packet that is cut off by the end of its connection is dropped, and the Will fires', async () => {
    const watcher = await connected(house, backend, { version: 4 })
    await subscribe(watcher, 't/sensor/#', 'state/sensor')
    const wire = await connected(house, sensor, { version: 4, will: { topic: 'state/sensor', payload: Buffer.from('w'), qos: 0, retain: false } })
    const whole = frame(0x30, text('t/sensor/x'), Buffer.from('half'))
    wire.bytes(whole.subarray(0, -2))
    wire.end()
    await watcher.take('publish')
    expect(payloads(watcher)).toEqual(['w'])
    watcher.end()
  })
})

test('a queue for an absent session has an end: the oldest messages go, which the audit tells; the rest comes back in order', async () => {
  const identity = await house.device('absent')
  const first = await connected(house, identity, { version: 4, clean: false })
  await subscribe(first, 't/absent/#')
  first.end()
  await first.ended
  const other = await connected(house, backend, { version: 4 })
  const packet = (i: number) => publishPacket('t/absent/x', String(i), { qos: 1, messageId: (i % 60_000) + 1 })
  for (let i = 0; i < BROKER_LIMITS.queueMessagesMax + 5; i += 500) {
    other.send(...Array.from({ length: 500 }, (_, j) => packet(i + j)))
    await other.ping()
  }
  await house.heard((event) => event.kind === 'messages-dropped' && event.device === 'absent')
  const second = await connected(house, identity, { version: 4, clean: false })
  await second.take('publish', (p) => p.payload.toString() === '10499')
  expect(payloads(second)).toEqual(Array.from({ length: BROKER_LIMITS.queueMessagesMax }, (_, i) => String(i + 500)))
  second.end()
  other.end()
  ;(await connected(house, identity, { version: 4, clean: true })).end()
})

test('a CONNECT in pieces of one byte is a CONNECT', async () => {
  const wire = await openWire(house, sensor, { version: 4 })
  const { generate } = await import('mqtt-packet')
  for (const byte of generate(connectPacket('sensor', 4))) wire.bytes([byte])
  expect((await wire.take('connack')).returnCode).toBe(0)
  wire.end()
})
