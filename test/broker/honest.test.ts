// What an honest client gets, with MQTT.js as the client and both versions of the protocol: all flows, retained messages,
// resumed sessions, expiries, and the properties that travel from end to end.

import type { MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openHouse, type House, type Identity } from './house.ts'
import { client, connected, message, publishPacket, subscribe } from './wire.ts'

let house: House
let sensor: Identity
let backend: Identity
const open: MqttClient[] = []

beforeAll(async () => {
  house = await openHouse()
  sensor = await house.device('sensor')
  backend = await house.device('backend', 'backend')
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((c) => c.endAsync(true)))
  expect(house.refusals()).toEqual([])
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const versions = [4, 5] as const
const join = async (...args: Parameters<typeof client>): Promise<MqttClient> => {
  const joined = await client(...args)
  open.push(joined)
  return joined
}
const kept = (version: 4 | 5) => ({ protocolVersion: version, clean: false, ...(version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}) })

describe.each(versions)('MQTT %s', (version) => {
  describe.each([0, 1, 2] as const)('published with QoS %s', (sent) => {
    test.each([0, 1, 2] as const)('and subscribed with QoS %s, a message comes once, with the lower of both', async (asked) => {
      const listener = await join(house, backend, { protocolVersion: version })
      const speaker = await join(house, sensor, { protocolVersion: version })
      const [granted] = await listener.subscribeAsync('t/sensor/#', { qos: asked })
      expect(granted?.qos).toBe(asked)
      const got: string[] = []
      listener.on('message', (_, payload) => got.push(payload.toString()))
      const coming = message(listener, (_, payload) => payload === 'first')
      const last = message(listener, (_, payload) => payload === 'last')
      await speaker.publishAsync('t/sensor/flow', 'first', { qos: sent })
      expect((await coming).packet.qos).toBe(Math.min(sent, asked))
      await speaker.publishAsync('t/sensor/flow', 'last', { qos: sent })
      await last
      expect(got).toEqual(['first', 'last'])
    })
  })

  test('a retained message is shown to who comes later, replaced by the next, and gone when it is emptied', async () => {
    const speaker = await join(house, sensor, { protocolVersion: version })
    await speaker.publishAsync('t/sensor/state', 'old', { qos: 1, retain: true })
    await speaker.publishAsync('t/sensor/state', 'new', { qos: 1, retain: true })
    const listener = await join(house, backend, { protocolVersion: version })
    const retained = message(listener)
    await listener.subscribeAsync('t/sensor/state', { qos: 1 })
    expect(await retained).toMatchObject({ payload: 'new', packet: { retain: true, qos: 1 } })
    const live = message(listener)
    await speaker.publishAsync('t/sensor/state', 'live', { qos: 1, retain: true })
    // To who is subscribed already it is an ordinary message [MQTT-3.3.1-9].
    expect(await live).toMatchObject({ payload: 'live', packet: { retain: false } })
    await speaker.publishAsync('t/sensor/state', '', { qos: 1, retain: true })
    const late = await connected(house, backend, { version, clientId: 'backend:late' })
    await subscribe(late, 't/sensor/state')
    await late.ping()
    expect(late.published()).toEqual([])
    late.end()
  })

  test('a session that was kept has its subscriptions and what came meanwhile, in order, QoS 1 and 2', async () => {
    const first = await join(house, backend, kept(version))
    await first.subscribeAsync('t/sensor/#', { qos: 2 })
    await first.endAsync(true)
    const speaker = await join(house, sensor, { protocolVersion: version })
    for (let i = 0; i < 30; i++) await speaker.publishAsync('t/sensor/x', String(i), { qos: i % 2 === 0 ? 1 : 2 })
    await speaker.publishAsync('t/sensor/x', 'QoS 0 does not wait')
    const got: string[] = []
    const second = await connected(house, backend, version === 5 ? { version, clean: false, properties: { sessionExpiryInterval: 600 } } : { version, clean: false })
    expect(second.connack.sessionPresent).toBe(true)
    await second.take('publish', (p) => p.payload.toString() === '29')
    got.push(...second.published().map((p) => p.payload.toString()))
    expect(got).toEqual(Array.from({ length: 30 }, (_, i) => String(i)))
    expect(second.published().every((p) => !p.dup)).toBe(true)
    speaker.publish('t/sensor/x', 'live', { qos: 1 })
    await second.take('publish', (p) => p.payload.toString() === 'live')
    second.end()
    await second.ended
    // A clean start ends it.
    const clean = await connected(house, backend, { version, clean: true })
    expect(clean.connack.sessionPresent).toBe(false)
    clean.end()
  })

  test('a QoS 2 delivery that was interrupted after PUBREC is finished, not repeated', async () => {
    const options = version === 5 ? { version, clean: false, properties: { sessionExpiryInterval: 600 } } as const : { version, clean: false } as const
    const first = await connected(house, backend, { ...options, acknowledge: false })
    await subscribe(first, { topic: 't/sensor/#', qos: 2 })
    const speaker = await join(house, sensor, { protocolVersion: version })
    await speaker.publishAsync('t/sensor/x', 'once', { qos: 2 })
    const { messageId } = await first.take('publish')
    first.send({ cmd: 'pubrec', messageId: messageId! })
    await first.take('pubrel')
    first.end()
    await first.ended
    const second = await connected(house, backend, options)
    expect((await second.take('pubrel')).messageId).toBe(messageId)
    await second.ping()
    expect(second.published()).toEqual([])
    second.end()
    await second.ended
    ;(await connected(house, backend, { version, clean: true })).end()
  })

  test('subscriptions that overlap bring a message once, and a device hears itself', async () => {
    const both = await join(house, sensor, { protocolVersion: version })
    await both.subscribeAsync(['t/sensor/#', 't/sensor/+', 't/sensor/x'], { qos: 1 })
    const got: string[] = []
    both.on('message', (_, payload) => got.push(payload.toString()))
    const last = message(both, (_, payload) => payload === 'last')
    await both.publishAsync('t/sensor/x', 'once', { qos: 1 })
    await both.publishAsync('t/sensor/x', 'last', { qos: 1 })
    await last
    expect(got).toEqual(['once', 'last'])
  })

  test('a payload of any bytes arrives as it was sent', async () => {
    const listener = await join(house, backend, { protocolVersion: version })
    await listener.subscribeAsync('t/sensor/bytes', { qos: 1 })
    const speaker = await join(house, sensor, { protocolVersion: version })
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) & 255))
    const coming = new Promise<Buffer>((resolve) => void listener.once('message', (_, payload) => resolve(payload)))
    await speaker.publishAsync('t/sensor/bytes', bytes, { qos: 1 })
    expect((await coming).equals(bytes)).toBe(true)
  })
})

describe('MQTT 5', () => {
  test('properties of a message travel from end to end, user properties with repeated names included', async () => {
    const listener = await join(house, backend, { protocolVersion: 5 })
    await listener.subscribeAsync('t/sensor/#', { qos: 1 })
    const speaker = await join(house, sensor, { protocolVersion: 5 })
    const coming = message(listener)
    const properties = { payloadFormatIndicator: true, contentType: 'application/json', responseTopic: 'answers/1', correlationData: Buffer.from([0, 255, 7]), userProperties: { a: ['1', '2'], b: '3' } }
    await speaker.publishAsync('t/sensor/x', '{}', { qos: 1, properties })
    const { packet } = await coming
    expect(packet.properties).toEqual(properties)
  })

  test('a request that names a Response Topic is answered there, by the grant of who answers', async () => {
    const asker = await join(house, backend, { protocolVersion: 5 })
    await asker.subscribeAsync('t/sensor/answer')
    const answerer = await join(house, sensor, { protocolVersion: 5 })
    await answerer.subscribeAsync('cmd/sensor/+', { qos: 1 })
    answerer.on('message', (_topic, _payload, packet) => answerer.publish(packet.properties!.responseTopic!, 'answer', { properties: { correlationData: packet.properties!.correlationData! } }))
    const answer = message(asker)
    await asker.publishAsync('cmd/sensor/do', 'x', { qos: 1, properties: { responseTopic: 't/sensor/answer', correlationData: Buffer.from('7') } })
    expect((await answer).packet.properties?.correlationData?.toString()).toBe('7')
  })

  test('a message that expired while it waited is not delivered; one that did not says how long it has', async () => {
    const first = await connected(house, backend, { version: 5, clean: false, properties: { sessionExpiryInterval: 600 } })
    await subscribe(first, 't/sensor/#')
    first.end()
    await first.ended
    const speaker = await connected(house, sensor, { version: 5 })
    speaker.send(publishPacket('t/sensor/x', 'short', { qos: 1, properties: { messageExpiryInterval: 1 } }), publishPacket('t/sensor/x', 'long', { qos: 1, properties: { messageExpiryInterval: 600 } }))
    await speaker.ping()
    // The engine reads the machine's clock for this.
    await new Promise((resolve) => void setTimeout(resolve, 2_100))
    const second = await connected(house, backend, { version: 5, clean: false })
    const delivered = await second.take('publish')
    expect(delivered.payload.toString()).toBe('long')
    expect(delivered.properties?.messageExpiryInterval).toBeLessThan(600)
    expect(delivered.properties?.messageExpiryInterval).toBeGreaterThan(540)
    await second.ping()
    expect(second.published()).toHaveLength(1)
    second.end()
    speaker.end()
  })

  test('a session ends when its expiry is over, and not before', async () => {
    for (const [seconds, present] of [[1, false], [600, true]] as const) {
      const first = await connected(house, backend, { version: 5, clean: true, properties: { sessionExpiryInterval: seconds } })
      await subscribe(first, 't/sensor/#')
      first.end()
      await first.ended
      await new Promise((resolve) => void setTimeout(resolve, 2_500))
      const second = await connected(house, backend, { version: 5, clean: false })
      expect(second.connack.sessionPresent, `${seconds} s`).toBe(present)
      second.end()
      await second.ended
    }
  })

  test('DISCONNECT may shorten the expiry of its session', async () => {
    const first = await connected(house, backend, { version: 5, clean: true, properties: { sessionExpiryInterval: 600 } })
    await subscribe(first, 't/sensor/#')
    first.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
    await first.ended
    const second = await connected(house, backend, { version: 5, clean: false })
    expect(second.connack.sessionPresent).toBe(false)
    second.end()
  })

  test('No Local, Retain As Published and Retain Handling are honoured', async () => {
    const wire = await connected(house, sensor, { version: 5, clean: true, properties: { sessionExpiryInterval: 60 } })
    wire.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't/sensor/own', qos: 1, nl: true }, { topic: 't/sensor/rap', qos: 1, rap: true }] })
    await wire.take('suback')
    wire.send(publishPacket('t/sensor/own', 'not to me', { qos: 1 }), publishPacket('t/sensor/rap', 'as published', { qos: 0, retain: true }))
    expect(await wire.take('publish')).toMatchObject({ topic: 't/sensor/rap', retain: true })
    wire.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 't/sensor/rap', qos: 1, rh: 2 }] })
    await wire.take('suback', (p) => p.messageId === 2)
    await wire.ping()
    expect(wire.published()).toHaveLength(1)
    wire.end()
    await wire.ended
    // What No Local kept back does not wait for a resume either.
    const again = await connected(house, sensor, { version: 5, clean: false })
    await again.ping()
    expect(again.published()).toEqual([])
    again.send(publishPacket('t/sensor/rap', '', { retain: true }))
    await again.ping()
    again.end()
  })

  test('a denied publish tells why in words, unless the client asked for none', async () => {
    const wire = await connected(house, sensor, { version: 5 })
    wire.send(publishPacket('t/other/x', 'x', { qos: 1 }))
    const ack = await wire.take('puback')
    expect(ack.properties?.reasonString).toBe('No grant allows publishing to this topic.')
    wire.end()
    const quiet = await connected(house, sensor, { version: 5, properties: { requestProblemInformation: false } })
    quiet.send(publishPacket('t/other/x', 'x', { qos: 1 }))
    expect((await quiet.take('puback')).properties?.reasonString).toBeUndefined()
    quiet.end()
    house.forget()
  })

  test('a version 4 and a version 5 client speak with each other', async () => {
    const four = await join(house, backend, { protocolVersion: 4 })
    const five = await join(house, sensor, { protocolVersion: 5 })
    await four.subscribeAsync('t/#', { qos: 2 })
    await five.subscribeAsync('cmd/sensor/+', { qos: 2 })
    const [up, down] = [message(four), message(five)]
    await five.publishAsync('t/sensor/x', 'up', { qos: 2, properties: { contentType: 'x' } })
    await four.publishAsync('cmd/sensor/x', 'down', { qos: 2 })
    expect([(await up).payload, (await down).payload]).toEqual(['up', 'down'])
  })
})
