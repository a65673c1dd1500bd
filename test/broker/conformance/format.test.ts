// Chapters 1 and 2 of both specifications: text, lengths, reserved flags, packet identifiers and property lengths, as they
// stand in the bytes.

import { describe, expect, test } from 'vitest'
import { payloads, publishPacket, subscribe, versions } from '../wire.ts'
import { cut, field, frame, openStage, properties, rawConnected, u16 } from './raw.ts'

const at = openStage()
const BOM = '\uFEFF'
const PACKET_IDS = [1, 255, 256, 65_535]

describe.each(versions)('MQTT %s, text', (version) => {
  test('[MQTT-1.5.3-3 in 3.1.1] [MQTT-1.5.4-3 in 5] U+FEFF is a character like any other: it is neither stripped nor passed over', async () => {
    const { house, backend, sensor } = at
    const watcher = await rawConnected(house, backend, { version })
    await subscribe(watcher, { topic: `t/sensor/${BOM}x`, qos: 0 })
    const wire = await rawConnected(house, sensor, { version })
    wire.send(publishPacket('t/sensor/x', 'without'), publishPacket(`t/sensor/${BOM}x`, 'with'))
    const { body } = await watcher.next('publish')
    expect(body.subarray(2, 2 + 13).toString('hex')).toBe(Buffer.from('t/sensor/\xef\xbb\xbfx', 'latin1').toString('hex'))
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['with'])
    wire.end()
    watcher.end()
  })
})

describe('MQTT 5, text', () => {
  test.each<[string, Buffer, Buffer]>([
    ['an ill-formed name', Buffer.from([0xff]), Buffer.from('v')],
    ['an ill-formed value', Buffer.from('n'), Buffer.from([0xed, 0xa0, 0x80])],
    ['NUL in the name', Buffer.from([0]), Buffer.from('v')],
    ['NUL in the value', Buffer.from('n'), Buffer.from([0])],
  ])('[MQTT-1.5.7-1] both strings of a user property are UTF-8: %s is malformed', async (_, name, value) => {
    const wire = await rawConnected(at.house, at.sensor, { version: 5 })
    wire.bytes(frame(0x30, field('t/sensor/x'), properties(5, [0x26], field(name), field(value))))
    await cut(wire, 0x81)
  })
})

describe.each(versions)('MQTT %s, lengths', (version) => {
  test('[MQTT-1.5.5-1 in 5] a length has as few bytes as it can have', async () => {
    const { house, backend } = at
    const watcher = await rawConnected(house, backend, { version })
    await subscribe(watcher, { topic: 'len', qos: 0 })
    const overhead = 2 + 'len'.length + (version === 5 ? 1 : 0)
    for (const [length, bytes] of [[127, 1], [128, 2], [16_383, 2], [16_384, 3]] as const) {
      watcher.send(publishPacket('len', Buffer.alloc(length - overhead, 'x')))
      const { hex, body } = await watcher.next('publish')
      expect(body).toHaveLength(length)
      expect(hex.length / 2).toBe(1 + bytes + length)
    }
    watcher.end()
  })
})

describe.each(versions)('MQTT %s, reserved flags', (version) => {
  test.each<[string, number, readonly number[]]>([
    ['PUBACK', 0x41, [0, 1]], ['PUBREC', 0x51, [0, 1]], ['PUBREL', 0x60, [0, 1]], ['PUBREL', 0x63, [0, 1]], ['PUBCOMP', 0x71, [0, 1]],
    ['SUBSCRIBE', 0x80, [0, 1, 0, 1, 0x61, 0]], ['SUBSCRIBE', 0x83, [0, 1, 0, 1, 0x61, 0]], ['UNSUBSCRIBE', 0xa0, [0, 1, 0, 1, 0x61]], ['UNSUBSCRIBE', 0xa3, [0, 1, 0, 1, 0x61]],
    ['PINGREQ', 0xc1, []], ['DISCONNECT', 0xe1, []], ['DISCONNECT', 0xe8, []],
  ])('[MQTT-2.2.2-1 in 3.1.1] [MQTT-2.2.2-2 in 3.1.1] [MQTT-2.1.3-1 in 5] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] %s that begins with 0x%s is malformed', async (_, first, body) => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    wire.bytes(frame(first, body))
    await cut(wire, 0x81)
    await at.house.refused('malformed-packet')
  })

  test('[MQTT-2.2.2-1 in 3.1.1] [MQTT-2.1.3-1 in 5] what the server sends has the flags of the table', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version, acknowledge: false })
    await subscribe(wire, { topic: 't/sensor/#', qos: 2 })
    wire.send(publishPacket('t/sensor/x', 'x', { qos: 2, messageId: 5 }))
    await wire.next('pubrec')
    wire.send({ cmd: 'pubrel', messageId: 5 })
    await wire.next('pubcomp')
    const delivered = await wire.take('publish')
    wire.send({ cmd: 'pubrec', messageId: delivered.messageId! })
    await wire.next('pubrel')
    wire.send(publishPacket('t/sensor/x', 'x', { qos: 1, messageId: 6 }), { cmd: 'unsubscribe', messageId: 7, unsubscriptions: ['t/sensor/#'] })
    await wire.next('unsuback')
    await wire.ping()
    const firsts = new Set(wire.frames.map((f) => f.first).filter((first) => first >> 4 !== 3))
    expect([...firsts].toSorted((a, b) => a - b)).toEqual([0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xb0, 0xd0])
    wire.end()
  })
})

describe('MQTT 5, reserved flags', () => {
  test.each([0xf1, 0xf2, 0xff])('[MQTT-3.15.1-1] AUTH that begins with 0x%s is malformed', async (first) => {
    const wire = await rawConnected(at.house, at.sensor, { version: 5 })
    wire.bytes([first, 0])
    await cut(wire, 0x81)
  })
})

describe.each(versions)('MQTT %s, packet identifiers', (version) => {
  test('[MQTT-2.3.1-5 in 3.1.1] [MQTT-2.2.1-2 in 5] [MQTT-4.3.1-1] [MQTT-3.3.1-2] a delivery of QoS 0 has none, and no DUP: topic and payload are all there is', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    await subscribe(wire, { topic: 't/sensor/#', qos: 2 })
    wire.send(publishPacket('t/sensor/x', 'p'))
    expect((await wire.next('publish')).hex).toBe(frame(0x30, field('t/sensor/x'), properties(version), Buffer.from('p')).toString('hex'))
    wire.end()
  })

  test('[MQTT-2.3.1-1 in 3.1.1] [MQTT-2.2.1-3 in 5] UNSUBSCRIBE with packet id 0 ends the session', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    wire.bytes(frame(0xa2, u16(0), properties(version), field('t/sensor/x')))
    await wire.ended
    expect(at.house.refusals()).toHaveLength(1)
  })

  test('[MQTT-2.3.1-1 in 3.1.1] [MQTT-2.2.1-4 in 5] [MQTT-4.3.2-1] [MQTT-4.3.3-1] the server gives every delivery that waits for its acknowledgement an id of its own, and none is 0', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version, acknowledge: false })
    const sender = await at.another({ version })
    await subscribe(wire, { topic: 't/sensor/#', qos: 2 })
    for (let i = 0; i < 100; i++) sender.send(publishPacket('t/sensor/x', String(i), { qos: 1 }))
    for (let i = 0; i < 100; i++) await wire.take('publish')
    const ids = wire.published().map((p) => p.messageId)
    expect(new Set(ids).size).toBe(100)
    expect(ids).not.toContain(0)
    expect(wire.published().every((p) => !p.dup)).toBe(true)
    wire.end()
    sender.end()
  })

  test('[MQTT-2.3.1-6 in 3.1.1] [MQTT-2.2.1-5 in 5] [MQTT-3.3.4-1] [MQTT-4.3.2-2 in 3.1.1] [MQTT-4.3.2-4 in 5] PUBACK has the id of the PUBLISH', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    for (const id of PACKET_IDS) {
      wire.bytes(frame(0x32, field('t/sensor/x'), u16(id), properties(version), Buffer.from('x')))
      const { body } = await wire.next('puback')
      expect(body.subarray(0, 2)).toEqual(u16(id))
      if (version === 4) expect(body).toHaveLength(2)
    }
    wire.end()
  })

  test('[MQTT-2.3.1-6 in 3.1.1] [MQTT-2.2.1-5 in 5] [MQTT-3.3.4-1] [MQTT-4.3.3-2 in 3.1.1] [MQTT-4.3.3-8 in 5] [MQTT-4.3.3-11 in 5] PUBREC has the id of the PUBLISH, PUBCOMP that of the PUBREL', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    for (const id of PACKET_IDS) {
      wire.bytes(frame(0x34, field('t/sensor/x'), u16(id), properties(version), Buffer.from('x')))
      expect((await wire.next('pubrec')).body.subarray(0, 2)).toEqual(u16(id))
      wire.bytes(frame(0x62, u16(id)))
      expect((await wire.next('pubcomp')).body.subarray(0, 2)).toEqual(u16(id))
    }
    wire.end()
  })

  test('[MQTT-4.3.3-1 in 3.1.1] [MQTT-4.3.3-4 in 5] [MQTT-2.2.1-5 in 5] PUBREL of the server has the id of its PUBLISH', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version, acknowledge: false })
    await subscribe(wire, { topic: 't/sensor/#', qos: 2 })
    const sender = await at.another({ version })
    sender.send(publishPacket('t/sensor/x', 'x', { qos: 2, messageId: 9 }))
    sender.send({ cmd: 'pubrel', messageId: (await sender.take('pubrec')).messageId! })
    const { messageId } = await wire.take('publish')
    wire.bytes(frame(0x50, u16(messageId!)))
    const { first, body } = await wire.next('pubrel')
    expect([first, ...body.subarray(0, 2)]).toEqual([0x62, ...u16(messageId!)])
    wire.bytes(frame(0x70, u16(messageId!)))
    await wire.ping()
    wire.end()
    sender.end()
  })

  test('[MQTT-2.3.1-7 in 3.1.1] [MQTT-2.2.1-6 in 5] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] SUBACK and UNSUBACK have the id of what they answer, also where nothing was subscribed', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    for (const id of PACKET_IDS) {
      wire.bytes(frame(0x82, u16(id), properties(version), field('t/sensor/x'), [1]))
      expect((await wire.next('suback')).hex).toBe(frame(0x90, u16(id), properties(version), [1]).toString('hex'))
      wire.bytes(frame(0xa2, u16(id), properties(version), field('t/sensor/x')))
      expect((await wire.next('unsuback')).hex).toBe(frame(0xb0, u16(id), properties(version), version === 5 ? [0] : []).toString('hex'))
      wire.bytes(frame(0xa2, u16(id), properties(version), field('t/sensor/never')))
      expect((await wire.next('unsuback')).hex).toBe(frame(0xb0, u16(id), properties(version), version === 5 ? [0x11] : []).toString('hex'))
    }
    wire.end()
  })
})

test('[MQTT-2.2.2-1 in 5] where there are no properties, their length is said to be 0', async () => {
  const wire = await rawConnected(at.house, at.sensor, { version: 5 })
  await subscribe(wire, { topic: 't/sensor/#', qos: 1 })
  expect((await wire.next('suback')).body[2]).toBe(0)
  wire.send(publishPacket('t/sensor/x', 'p', { qos: 1, messageId: 3 }))
  const { body } = await wire.next('publish')
  expect(body.subarray(2 + 't/sensor/x'.length + 2)).toEqual(Buffer.from('\0p'))
  wire.send({ cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['t/sensor/#'] })
  expect((await wire.next('unsuback')).body[2]).toBe(0)
  wire.end()
})
