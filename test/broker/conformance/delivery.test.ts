// Chapters 4.3 to 4.6: the three ways of delivery, as sender and as receiver, what is sent again and what is not, and order.

import { describe, expect, test } from 'vitest'
import { payloads, publishPacket, subscribe, versions } from '../wire.ts'
import { field, frame, kept, openStage, pass, properties, publishAll, rawConnected, u16, type Raw } from './raw.ts'

const at = openStage()

/** A hundred messages of each QoS, interleaved, with all exchanges of QoS 2 open at once and then finished. */
async function sendAll(sender: Raw, topic: string, from: number): Promise<void> {
  const each = Array.from({ length: 100 }, (_, i) => from + i)
  for (const i of each) for (const qos of [0, 1, 2] as const) sender.send(publishPacket(topic, String(i), { qos, ...(qos === 2 ? { messageId: 30_000 + i } : {}) }))
  for (const i of each) sender.send({ cmd: 'pubrel', messageId: 30_000 + i })
  for (const i of each) await sender.take('pubcomp', (p) => p.messageId === 30_000 + i)
  await sender.ping()
}
const numbers = (from: number): readonly string[] => Array.from({ length: 100 }, (_, i) => String(from + i))
const inOrder = (wire: Raw, qos: number): readonly string[] => wire.published().filter((p) => p.qos === qos).map((p) => p.payload.toString())

describe.each(versions)('MQTT %s, the server receives', (version) => {
  test('[MQTT-4.3.2-2 in 3.1.1] [MQTT-4.3.2-5 in 5] after its PUBACK a packet id is free: the same one is a new message, with DUP or without', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: 't/sensor/x', qos: 0 })
    const wire = await rawConnected(at.house, at.sensor, { version })
    for (const [first, payload] of [[0x32, '1'], [0x32, '2'], [0x3a, '3'], [0x3a, '3']] as const) {
      wire.bytes(frame(first, field('t/sensor/x'), u16(7), properties(version), Buffer.from(payload)))
      expect((await wire.next('puback')).body.subarray(0, 2)).toEqual(u16(7))
    }
    await wire.ping()
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['1', '2', '3', '3'])
    wire.end()
    watcher.end()
  })

  test('[MQTT-4.3.3-2 in 3.1.1] [MQTT-4.3.3-10 in 5] until PUBREL a packet id of QoS 2 is the same message: acknowledged again, delivered once', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: 't/sensor/x', qos: 0 })
    const wire = await rawConnected(at.house, at.sensor, { version })
    for (const first of [0x34, 0x3c, 0x34, 0x3c]) {
      wire.bytes(frame(first, field('t/sensor/x'), u16(8), properties(version), Buffer.from('once')))
      expect((await wire.next('pubrec')).body.subarray(0, 2)).toEqual(u16(8))
    }
    wire.bytes(frame(0x62, u16(8)))
    await wire.next('pubcomp')
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['once'])
    wire.end()
    watcher.end()
  })

  test('[MQTT-4.3.3-2 in 3.1.1] [MQTT-4.3.3-12 in 5] after its PUBCOMP a packet id of QoS 2 is free: the same one is a new message', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: 't/sensor/x', qos: 0 })
    const wire = await rawConnected(at.house, at.sensor, { version })
    for (const payload of ['first', 'second']) {
      wire.bytes(frame(0x34, field('t/sensor/x'), u16(9), properties(version), Buffer.from(payload)))
      await wire.next('pubrec')
      wire.bytes(frame(0x62, u16(9)))
      await wire.next('pubcomp')
    }
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['first', 'second'])
    wire.end()
    watcher.end()
  })

  test('[MQTT-4.3.3-2 in 3.1.1] [MQTT-4.3.3-11 in 5] [MQTT-4.4.0-1] a QoS 2 exchange is finished by PUBREL on the next connection of the session', async () => {
    const identity = await at.fresh()
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: `t/${identity.id}/x`, qos: 0 })
    const first = await rawConnected(at.house, identity, kept(version))
    first.send(publishPacket(`t/${identity.id}/x`, 'once', { qos: 2, messageId: 3 }))
    await first.next('pubrec')
    await at.left(first)
    const second = await rawConnected(at.house, identity, kept(version))
    second.send(publishPacket(`t/${identity.id}/x`, 'once', { qos: 2, messageId: 3, dup: true }))
    await second.next('pubrec')
    second.bytes(frame(0x62, u16(3)))
    expect((await second.next('pubcomp')).body.subarray(0, 2)).toEqual(u16(3))
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['once'])
    second.end()
    watcher.end()
  })
})

describe('MQTT 5, the server receives', () => {
  test('[MQTT-4.3.3-9 in 5] after a PUBREC that refuses, the packet id is free: the same one is a new message', async () => {
    const watcher = await at.another({ version: 5 })
    await subscribe(watcher, { topic: 't/sensor/x', qos: 0 })
    const wire = await rawConnected(at.house, at.sensor, { version: 5 })
    wire.send(publishPacket('elsewhere', 'denied', { qos: 2, messageId: 4 }))
    expect((await wire.next('pubrec')).body[2]).toBe(0x87)
    wire.send(publishPacket('t/sensor/x', 'granted', { qos: 2, messageId: 4 }))
    expect((await wire.next('pubrec')).body[2] ?? 0).toBe(0)
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['granted'])
    wire.end()
    watcher.end()
  })

  test('[MQTT-4.3.3-13] a message that expired in the middle of its exchange is acknowledged to the end', async () => {
    await pass(0)
    const wire = await rawConnected(at.house, at.sensor, { version: 5 })
    wire.send(publishPacket('t/sensor/x', 'x', { qos: 2, messageId: 5, properties: { messageExpiryInterval: 1 } }))
    await wire.next('pubrec')
    await pass(5_000)
    wire.bytes(frame(0x62, u16(5)))
    const { body } = await wire.next('pubcomp')
    expect([...body.subarray(0, 2), body[2] ?? 0]).toEqual([0, 5, 0])
    wire.end()
  })
})

describe.each(versions)('MQTT %s, the server sends', (version) => {
  test('[MQTT-4.3.2-1 in 3.1.1] [MQTT-4.3.2-3 in 5] [MQTT-3.3.1-1] [MQTT-2.3.1-4 in 3.1.1] [MQTT-4.4.0-1] what was not acknowledged is sent again on the next connection: same id, DUP; what was acknowledged is not', async () => {
    const identity = await at.fresh()
    const first = await rawConnected(at.house, identity, { ...kept(version), acknowledge: false })
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 2 })
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/x`, ['acknowledged', 'not'])
    const [one, two] = [await first.take('publish'), await first.take('publish')]
    expect([one.dup, two.dup]).toEqual([false, false])
    first.send({ cmd: 'puback', messageId: one.messageId! })
    await first.ping()
    await at.left(first)
    const second = await rawConnected(at.house, identity, kept(version))
    const again = await second.next('publish')
    expect(again.first).toBe(0x3a)
    expect(again.body.readUInt16BE(2 + `t/${identity.id}/x`.length)).toBe(two.messageId)
    await second.ping()
    expect(payloads(second)).toEqual(['not'])
    await at.left(second)
    const third = await rawConnected(at.house, identity, kept(version))
    await third.ping()
    expect(payloads(third)).toEqual([])
    third.end()
    sender.end()
  })

  test('[MQTT-4.4.0-1 in 5] while the connection lives nothing is sent again, however long an acknowledgement takes', async () => {
    await pass(0)
    const wire = await rawConnected(at.house, at.sensor, { version, acknowledge: false })
    await subscribe(wire, { topic: 't/sensor/#', qos: 2 })
    await publishAll(wire, 't/sensor/x', ['one'])
    const { messageId } = await wire.take('publish')
    for (let i = 0; i < 20; i++) {
      await pass(30_000)
      await wire.ping()
    }
    expect(wire.published()).toHaveLength(1)
    wire.send({ cmd: 'puback', messageId: messageId! })
    await wire.ping()
    wire.end()
  })

  test('[MQTT-4.3.3-1 in 3.1.1] [MQTT-4.3.3-3 in 5] a message of QoS 2 without its PUBREC is sent again with its id and DUP', async () => {
    const identity = await at.fresh()
    const first = await rawConnected(at.house, identity, { ...kept(version), acknowledge: false })
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 2 })
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/x`, ['x'], { qos: 2 })
    const { messageId } = await first.take('publish')
    await at.left(first)
    const second = await rawConnected(at.house, identity, kept(version))
    expect(await second.take('publish')).toMatchObject({ messageId, dup: true, qos: 2 })
    expect((await second.take('pubrel')).messageId).toBe(messageId)
    second.end()
    sender.end()
  })

  test('[MQTT-4.3.3-1 in 3.1.1] [MQTT-4.3.3-5 in 5] [MQTT-4.3.3-6 in 5] [MQTT-4.4.0-1] once PUBREL is sent, PUBREL is what is sent again until PUBCOMP, and never the message', async () => {
    const identity = await at.fresh()
    const first = await rawConnected(at.house, identity, { ...kept(version), acknowledge: false })
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 2 })
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/x`, ['x'], { qos: 2 })
    const { messageId } = await first.take('publish')
    first.send({ cmd: 'pubrec', messageId: messageId! })
    await first.next('pubrel')
    await at.left(first)
    const second = await rawConnected(at.house, identity, { ...kept(version), acknowledge: false })
    const pubrel = await second.next('pubrel')
    expect([pubrel.first, pubrel.body.readUInt16BE(0)]).toEqual([0x62, messageId])
    second.send({ cmd: 'pubcomp', messageId: messageId! })
    await second.ping()
    expect(second.published()).toEqual([])
    await at.left(second)
    const third = await rawConnected(at.house, identity, kept(version))
    await third.ping()
    expect(third.types()).toEqual([2, 13])
    third.end()
    sender.end()
  })

  test('[MQTT-4.6.0-5] [MQTT-4.6.0-6] messages of one client on one topic arrive in the order in which they were sent, for each QoS', async () => {
    const identity = await at.fresh()
    const [wire, sender] = [await rawConnected(at.house, identity, { version }), await at.another({ version })]
    await subscribe(wire, { topic: `t/${identity.id}/#`, qos: 2 })
    await sendAll(sender, `t/${identity.id}/x`, 0)
    for (const qos of [0, 1, 2]) await wire.take('publish', (p) => p.qos === qos && p.payload.toString() === '99')
    for (const qos of [0, 1, 2]) expect(inOrder(wire, qos), `QoS ${qos}`).toEqual(numbers(0))
    wire.end()
    sender.end()
  })

  test('[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.3.3-1 in 3.1.1] messages that waited for a session come once each and in the order in which they were sent', async () => {
    const identity = await at.fresh()
    const first = await rawConnected(at.house, identity, kept(version))
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 2 })
    const sender = await at.another({ version })
    await at.left(first)
    await sendAll(sender, `t/${identity.id}/x`, 200)
    const second = await rawConnected(at.house, identity, kept(version))
    for (const qos of [1, 2]) await second.take('publish', (p) => p.qos === qos && p.payload.toString() === '299')
    await second.ping()
    for (const qos of [1, 2]) expect(inOrder(second, qos), `QoS ${qos}`).toEqual(numbers(200))
    second.end()
    sender.end()
  })

  test('[MQTT-4.6.0-6 in 3.1.1] [MQTT-4.4.0-1] what is sent again comes in the order of the first time, and before what came meanwhile', async () => {
    const identity = await at.fresh()
    const first = await rawConnected(at.house, identity, { ...kept(version), acknowledge: false })
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 2 })
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/x`, ['0', '1', '2', '3', '4'])
    for (let i = 0; i < 5; i++) await first.take('publish')
    const ids = first.published().map((p) => p.messageId)
    await at.left(first)
    await publishAll(sender, `t/${identity.id}/x`, ['5', '6'])
    const second = await rawConnected(at.house, identity, kept(version))
    await second.take('publish', (p) => p.payload.toString() === '6')
    expect(second.published().map((p) => [p.payload.toString(), p.dup])).toEqual([['0', true], ['1', true], ['2', true], ['3', true], ['4', true], ['5', false], ['6', false]])
    expect(second.published().slice(0, 5).map((p) => p.messageId)).toEqual(ids)
    second.end()
    sender.end()
  })
})

describe('MQTT 5, the server sends', () => {
  test.each([['puback', 1], ['pubrec', 2]] as const)('[MQTT-4.4.0-2] [MQTT-4.3.3-4 in 5] a %s that refuses ends the delivery: no PUBREL, and nothing is sent again', async (cmd, qos) => {
    const identity = await at.fresh()
    const first = await rawConnected(at.house, identity, { ...kept(5), acknowledge: false })
    await subscribe(first, { topic: `t/${identity.id}/#`, qos })
    const sender = await at.another({ version: 5 })
    await publishAll(sender, `t/${identity.id}/x`, ['unwanted'], { qos: 2 })
    const { messageId } = await first.take('publish')
    first.send({ cmd, messageId: messageId!, reasonCode: 0x83 })
    await first.ping()
    expect(first.types()).not.toContain(6)
    await at.left(first)
    const second = await rawConnected(at.house, identity, kept(5))
    await second.ping()
    expect(second.types()).toEqual([2, 13])
    second.end()
    sender.end()
  })
})
