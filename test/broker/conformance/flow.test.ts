// Chapters 3.3.4 and 4.9: flow control of MQTT 5. How many deliveries may wait for their acknowledgement is what the client
// says with its Receive Maximum.

import { describe, expect, test } from 'vitest'
import { nextId, payloads, publishPacket, subscribe } from '../wire.ts'
import { openStage, publishAll, rawConnected } from './raw.ts'

const at = openStage()
const numbers = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => String(i))
const narrow = (receiveMaximum: number) => ({ version: 5, acknowledge: false, properties: { receiveMaximum } }) as const

describe('the Receive Maximum of the client', () => {
  test.each([1, 2, 5])('[MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] of %s is never exceeded, and everything arrives in order as it is acknowledged', async (max) => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const wire = await at.another(narrow(max))
    await subscribe(wire, { topic: `f/${id}`, qos: 1 })
    await publishAll(sender, `f/${id}`, numbers(20))
    await wire.ping()
    expect(payloads(wire)).toEqual(numbers(max))
    for (let i = 0; i < 20; i++) {
      const { messageId } = await wire.take('publish')
      expect(wire.published().length - i).toBeLessThanOrEqual(max)
      wire.send({ cmd: 'puback', messageId: messageId! })
    }
    expect(payloads(wire)).toEqual(numbers(20))
    wire.end()
    sender.end()
  })

  test('[MQTT-3.3.4-9] [MQTT-4.9.0-2] counts a message of QoS 2 until PUBCOMP: PUBREC makes no room', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const wire = await at.another(narrow(1))
    await subscribe(wire, { topic: `f/${id}`, qos: 2 })
    await publishAll(sender, `f/${id}`, ['one', 'two'], { qos: 2 })
    const { messageId } = await wire.take('publish')
    wire.send({ cmd: 'pubrec', messageId: messageId! })
    await wire.take('pubrel')
    await wire.ping()
    expect(payloads(wire)).toEqual(['one'])
    wire.send({ cmd: 'pubcomp', messageId: messageId! })
    expect((await wire.take('publish')).payload.toString()).toBe('two')
    wire.end()
    sender.end()
  })

  test('[MQTT-3.3.4-9] [MQTT-4.9.0-2] a PUBREC that refuses makes room', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const wire = await at.another(narrow(1))
    await subscribe(wire, { topic: `f/${id}`, qos: 2 })
    await publishAll(sender, `f/${id}`, ['one', 'two'], { qos: 2 })
    const { messageId } = await wire.take('publish')
    await wire.ping()
    expect(payloads(wire)).toEqual(['one'])
    wire.send({ cmd: 'pubrec', messageId: messageId!, reasonCode: 0x97 })
    expect((await wire.take('publish')).payload.toString()).toBe('two')
    wire.end()
    sender.end()
  })

  test('[MQTT-3.3.4-9] counts over all subscriptions and for retained messages, and not what is delivered with QoS 0', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    for (const level of ['a', 'b', 'c']) await publishAll(sender, `f/${id}/${level}`, [`retained ${level}`], { retain: true })
    const wire = await at.another(narrow(2))
    await subscribe(wire, { topic: `f/${id}/+`, qos: 1 }, { topic: `z/${id}`, qos: 0 })
    await publishAll(sender, `z/${id}`, ['z0', 'z1', 'z2'], { qos: 0 })
    await wire.take('publish', (p) => p.payload.toString() === 'z2')
    const waiting = [await wire.take('publish', (p) => p.qos === 1), await wire.take('publish', (p) => p.qos === 1)]
    await wire.ping()
    expect(wire.published().filter((p) => p.qos === 1)).toHaveLength(2)
    expect(wire.published().filter((p) => p.qos === 0)).toHaveLength(3)
    wire.send({ cmd: 'puback', messageId: waiting[0]!.messageId! })
    await wire.take('publish', (p) => p.qos === 1)
    expect(wire.published().filter((p) => p.qos === 1)).toHaveLength(3)
    wire.end()
    sender.end()
  })

  test('[MQTT-3.3.4-10] [MQTT-4.9.0-3] holds up nothing but deliveries: what the client asks is answered while it is full', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const wire = await at.another(narrow(1))
    await subscribe(wire, { topic: `f/${id}`, qos: 2 })
    await publishAll(sender, `f/${id}`, ['one', 'two'])
    await wire.take('publish')
    expect(await subscribe(wire, { topic: `g/${id}`, qos: 1 })).toEqual([1])
    await publishAll(wire, `h/${id}`, ['of my own'], { qos: 2 })
    await publishAll(wire, `h/${id}`, ['of my own'], { qos: 1 })
    const messageId = nextId()
    wire.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [`g/${id}`] })
    await wire.take('unsuback', (p) => p.messageId === messageId)
    await wire.ping()
    expect(payloads(wire)).toEqual(['one'])
    wire.end()
    sender.end()
  })

  test('[MQTT-3.3.4-9] [MQTT-4.4.0-1 in 5] holds on the next connection, too, where what is sent again comes first', async () => {
    const identity = await at.fresh('backend')
    const sender = await at.another({ version: 5 })
    const options = (receiveMaximum: number) => ({ version: 5, clean: false, acknowledge: false, properties: { sessionExpiryInterval: 600, receiveMaximum } }) as const
    const first = await rawConnected(at.house, identity, options(3))
    await subscribe(first, { topic: `f/${identity.id}`, qos: 1 })
    await publishAll(sender, `f/${identity.id}`, numbers(10))
    for (let i = 0; i < 3; i++) await first.take('publish')
    await first.ping()
    expect(payloads(first)).toEqual(numbers(3))
    await at.left(first)
    const second = await rawConnected(at.house, identity, options(2))
    await second.ping()
    expect(second.published().map((p) => [p.payload.toString(), p.dup])).toEqual([['0', true], ['1', true]])
    for (let i = 0; i < 10; i++) second.send({ cmd: 'puback', messageId: (await second.take('publish')).messageId! })
    expect(second.published().map((p) => p.dup)).toEqual(numbers(10).map((_, i) => i < 3))
    expect(payloads(second)).toEqual(numbers(10))
    second.end()
    sender.end()
  })
})

test('[MQTT-3.3.4-7] a client that leaves more exchanges open than the server takes is told 0x93; QoS 1, which is acknowledged at once, is not counted', async () => {
  const wire = await rawConnected(at.house, at.sensor, { version: 5 })
  const connack = wire.received[0]
  const max = (connack?.cmd === 'connack' ? connack.properties?.receiveMaximum : undefined) ?? 65_535
  for (let i = 0; i < max; i++) wire.send(publishPacket('t/sensor/x', 'x', { qos: 2, messageId: 1_000 + i }))
  for (let i = 0; i < max; i++) await wire.take('pubrec')
  wire.send(publishPacket('t/sensor/x', 'x', { qos: 2, messageId: 500 }))
  expect((await wire.take('disconnect')).reasonCode).toBe(0x93)
  await wire.ended
})
