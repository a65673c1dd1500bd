// Chapters 3.8 to 3.11: subscriptions that are made, replaced and given up, filter by filter, and their answers.

import { describe, expect, test } from 'vitest'
import { nextId, payloads, publishPacket, subscribe, versions } from '../wire.ts'
import { cut, field, frame, kept, openStage, properties, publishAll, rawConnected, subscribeWith, u16 } from './raw.ts'

const at = openStage()

describe.each(versions)('MQTT %s, SUBSCRIBE', (version) => {
  const reserved: readonly (readonly [string, number])[] = version === 5 ? [['bit 6', 0x40], ['bit 7', 0x80], ['QoS 3', 0x03], ['Retain Handling 3', 0x30]] : [['bit 2', 0x04], ['bit 7', 0x80], ['QoS 3', 0x03]]

  test.each(reserved)('[MQTT-3.8.3-4 in 3.1.1] [MQTT-3.8.3-5 in 5] %s in the options of a filter is malformed', async (_, options) => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    wire.bytes(frame(0x82, u16(5), properties(version), field('t/sensor/x'), [1], field('t/sensor/y'), [options]))
    await cut(wire, 0x81)
    expect(wire.types()).not.toContain(9)
  })

  test('[MQTT-3.8.3-2 in 5] [MQTT-3.8.3-3 in 3.1.1] a SUBSCRIBE without a filter, or with half of one, ends the session', async () => {
    for (const rest of [Buffer.alloc(0), field('t/sensor/x'), Buffer.from([0, 10, 0x74])]) {
      const wire = await rawConnected(at.house, at.sensor, { version })
      wire.bytes(frame(0x82, u16(5), properties(version), rest))
      await wire.ended
      expect(wire.types()).not.toContain(9)
    }
  })

  test('[MQTT-3.8.3-2 in 3.1.1] filters with wildcards are served', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    expect(await subscribe(wire, 't/sensor/#', 't/sensor/+/x')).toEqual([1, 1])
    wire.end()
  })

  test('[MQTT-3.8.4-3] [MQTT-3.8.4-4 in 5] a filter that is subscribed to again takes the place of the first: one copy, the new QoS, retained messages again', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version })
    await publishAll(sender, `s/${id}`, ['retained'], { retain: true })
    const wire = await at.another({ version })
    await subscribe(wire, { topic: `s/${id}`, qos: 1 })
    await subscribe(wire, { topic: `s/${id}`, qos: 0 })
    await publishAll(sender, `s/${id}`, ['live'], { qos: 2 })
    await wire.take('publish', (p) => p.payload.toString() === 'live')
    await wire.ping()
    expect(wire.published().map((p) => [p.payload.toString(), p.qos, p.retain])).toEqual([['retained', 1, true], ['retained', 0, true], ['live', 0, false]])
    wire.end()
    sender.end()
  })

  test('[MQTT-3.8.4-3 in 3.1.1] [MQTT-3.8.4-4 in 5] nothing is lost while a subscription is replaced again and again', async () => {
    const { id } = await at.fresh()
    const [sender, wire] = [await at.another({ version }), await at.another({ version })]
    await subscribe(wire, { topic: `s/${id}`, qos: 1 })
    const sent = Array.from({ length: 100 }, (_, i) => String(i))
    for (const payload of sent) {
      sender.send(publishPacket(`s/${id}`, payload, { qos: 1 }))
      wire.send({ cmd: 'subscribe', messageId: nextId(), subscriptions: [{ topic: `s/${id}`, qos: 1 }] })
    }
    await wire.take('publish', (p) => p.payload.toString() === '99')
    await wire.ping()
    expect(payloads(wire)).toEqual(sent)
    wire.end()
    sender.end()
  })

  test('[MQTT-3.8.4-4 in 3.1.1] [MQTT-3.8.4-5] [MQTT-3.8.4-6 in 5] [MQTT-3.8.4-7 in 5] [MQTT-3.9.3-1] [MQTT-3.9.3-2] many filters in one SUBSCRIBE are many subscriptions and one SUBACK, with a code for each in its place', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    const no = version === 5 ? 0x87 : 0x80
    const body = [['t/sensor/a', 0], ['elsewhere', 2], ['one/x', 2], ['t/sensor/b', 2], ['t/sensor/a', 1]] as const
    wire.bytes(frame(0x82, u16(77), properties(version), ...body.map(([topic, qos]) => Buffer.concat([field(topic), Buffer.from([qos])]))))
    expect((await wire.next('suback')).hex).toBe(frame(0x90, u16(77), properties(version), [0, no, 1, 2, 1]).toString('hex'))
    await wire.ping()
    expect(wire.types().filter((type) => type === 9)).toHaveLength(1)
    wire.end()
  })

  test('[MQTT-3.8.4-6 in 3.1.1] [MQTT-3.8.4-8 in 5] the QoS of a delivery is the lower one of the message and of what was granted, which may be less than was asked for', async () => {
    const [wire, sender] = [await rawConnected(at.house, at.sensor, { version }), await at.another({ version })]
    expect(await subscribe(wire, { topic: 'zero/x', qos: 2 }, { topic: 'one/x', qos: 2 }, { topic: 'open/x', qos: 2 })).toEqual([0, 1, 2])
    for (const topic of ['zero/x', 'one/x', 'open/x']) for (const qos of [0, 1, 2] as const) await publishAll(sender, topic, [String(qos)], { qos })
    await wire.take('publish', (p) => p.topic === 'open/x' && p.payload.toString() === '2')
    expect(wire.published().map((p) => [p.topic, p.payload.toString(), p.qos])).toEqual([
      ['zero/x', '0', 0], ['zero/x', '1', 0], ['zero/x', '2', 0], ['one/x', '0', 0], ['one/x', '1', 1], ['one/x', '2', 1], ['open/x', '0', 0], ['open/x', '1', 1], ['open/x', '2', 2],
    ])
    wire.end()
    sender.end()
  })

  test('[MQTT-4.7.3-1] an empty filter subscribes to nothing, and an empty topic name publishes nothing', async () => {
    const wire = await rawConnected(at.house, at.backend, { version })
    wire.bytes(frame(0x82, u16(5), properties(version), field(''), [1]))
    const suback = await wire.next('suback').catch(() => undefined)
    if (suback !== undefined) expect(suback.body.at(-1)).toBe(version === 5 ? 0x8f : 0x80)
    wire.end()
    const other = await rawConnected(at.house, at.backend, { version, clientId: 'backend:empty' })
    other.bytes(frame(0x30, field(''), properties(version), Buffer.from('x')))
    await other.ended
    expect(other.types()).toEqual(version === 5 ? [2, 14] : [2])
  })
})

describe('MQTT 5, No Local', () => {
  test('[MQTT-3.8.3-3 in 5] a message is not sent back to the client that published it, live or after a wait; to another client of the same device it is', async () => {
    const identity = await at.fresh()
    const topic = `t/${identity.id}/x`
    const [own, other] = [await rawConnected(at.house, identity, kept(5)), await rawConnected(at.house, identity, { version: 5, clientId: `${identity.id}:2` })]
    for (const wire of [own, other]) await subscribeWith(wire, [{ topic, qos: 1, nl: true }])
    await publishAll(own, topic, ['mine'])
    await publishAll(other, topic, ['of the other'])
    await own.ping()
    await other.ping()
    expect([payloads(own), payloads(other)]).toEqual([['of the other'], ['mine']])
    await at.left(own)
    const again = await rawConnected(at.house, identity, kept(5))
    await again.ping()
    expect(payloads(again)).toEqual([])
    again.end()
    other.end()
  })
})

describe.each(versions)('MQTT %s, UNSUBSCRIBE', (version) => {
  const unsubscribe = async (wire: Awaited<ReturnType<typeof rawConnected>>, ...filters: readonly string[]) => {
    const messageId = nextId()
    wire.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [...filters] })
    return (await wire.take('unsuback', (p) => p.messageId === messageId)).granted
  }

  test('[MQTT-3.10.4-1] filters are compared character by character: what merely matches stays', async () => {
    const { id } = await at.fresh()
    const [wire, sender] = [await at.another({ version }), await at.another({ version })]
    await subscribe(wire, `s/${id}/#`, `s/${id}/+/x`)
    const codes = await unsubscribe(wire, `s/${id}/a/x`, `s/${id}/+`, `S/${id}/#`, `s/${id}//#`, `s/${id}`, '#')
    if (version === 5) expect(codes).toEqual([0x11, 0x11, 0x11, 0x11, 0x11, 0x11])
    await publishAll(sender, `s/${id}/a/x`, ['still'])
    expect((await wire.take('publish')).payload.toString()).toBe('still')
    await unsubscribe(wire, `s/${id}/#`)
    await publishAll(sender, `s/${id}/b`, ['not any more'])
    await publishAll(sender, `s/${id}/a/x`, ['by the other filter'])
    await wire.take('publish', (p) => p.payload.toString() === 'by the other filter')
    expect(payloads(wire)).toEqual(['still', 'by the other filter'])
    wire.end()
    sender.end()
  })

  test('[MQTT-3.10.4-2] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] many filters are given up with one UNSUBACK, a code for each in its place, and bring nothing new', async () => {
    const { id } = await at.fresh()
    const [wire, sender] = [await at.another({ version }), await at.another({ version })]
    await subscribe(wire, `s/${id}/a`, `s/${id}/b`, `s/${id}/c`)
    wire.bytes(frame(0xa2, u16(91), properties(version), field(`s/${id}/c`), field(`s/${id}/never`), field(`s/${id}/a`)))
    expect((await wire.next('unsuback')).hex).toBe(frame(0xb0, u16(91), properties(version), version === 5 ? [0, 0x11, 0] : []).toString('hex'))
    for (const level of ['a', 'b', 'c']) await publishAll(sender, `s/${id}/${level}`, [level])
    await wire.ping()
    expect(payloads(wire)).toEqual(['b'])
    expect(wire.types().filter((type) => type === 11)).toHaveLength(1)
    wire.end()
    sender.end()
  })

  test('[MQTT-3.10.4-3] deliveries of QoS 1 and 2 that have begun are completed after UNSUBSCRIBE', async () => {
    const identity = await at.fresh()
    const first = await rawConnected(at.house, identity, { ...kept(version), acknowledge: false })
    const sender = await at.another({ version })
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 2 })
    await publishAll(sender, `t/${identity.id}/one`, ['one'])
    await publishAll(sender, `t/${identity.id}/two`, ['two'], { qos: 2 })
    const [one, two] = [await first.take('publish'), await first.take('publish')]
    await unsubscribe(first, `t/${identity.id}/#`)
    first.send({ cmd: 'pubrec', messageId: two.messageId! })
    expect((await first.take('pubrel')).messageId).toBe(two.messageId)
    await at.left(first)
    const second = await rawConnected(at.house, identity, kept(version))
    expect(await second.take('publish')).toMatchObject({ messageId: one.messageId, dup: true, payload: Buffer.from('one') })
    expect((await second.take('pubrel')).messageId).toBe(two.messageId)
    second.end()
    sender.end()
  })

  test('[MQTT-3.10.3-2] an UNSUBSCRIBE without a filter ends the session, and is not answered', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    wire.bytes(frame(0xa2, u16(5), properties(version)))
    await wire.ended
    expect(wire.types()).not.toContain(11)
  })
})

describe.each(versions)('MQTT %s, filters as bytes and in sequence', (version) => {
  test('[MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2] [MQTT-1.5.3-1 in 3.1.1] [MQTT-1.5.3-2 in 3.1.1] [MQTT-1.5.4-1 in 5] [MQTT-1.5.4-2 in 5] a filter that is not UTF-8, or has NUL in it, ends the session', async () => {
    for (const filter of [Buffer.from([0x74, 0xff]), Buffer.from([0x74, 0xed, 0xa0, 0x80]), Buffer.from('t/sensor/\0')]) {
      for (const bytes of [frame(0x82, u16(5), properties(version), field(filter), [0]), frame(0xa2, u16(5), properties(version), field(filter))]) {
        const wire = await rawConnected(at.house, at.sensor, { version })
        wire.bytes(bytes)
        // Who is still answered after it has not been refused.
        await Promise.race([wire.ended, wire.ping().catch(() => undefined)])
        expect(wire.types(), bytes.toString('hex')).not.toContain(13)
        await cut(wire, 0x81)
      }
    }
  })

  test('[MQTT-3.10.4-6] [MQTT-3.11.3-2] a filter that is given up twice in one UNSUBSCRIBE is there the first time and not the second', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    await subscribe(wire, 't/sensor/a', 't/sensor/b')
    wire.bytes(frame(0xa2, u16(91), properties(version), field('t/sensor/a'), field('t/sensor/b'), field('t/sensor/a')))
    expect((await wire.next('unsuback')).hex).toBe(frame(0xb0, u16(91), properties(version), version === 5 ? [0, 0, 0x11] : []).toString('hex'))
    wire.end()
  })

  test.each([['that is kept', true], ['that is not', false]])('of SUBSCRIBE and UNSUBSCRIBE of one filter the last counts, in a session %s, however close they come', async (_, isKept) => {
    const identity = await at.fresh()
    const options = isKept ? kept(version) : { version }
    const wire = await rawConnected(at.house, identity, options)
    const [on, off] = [`t/${identity.id}/on`, `t/${identity.id}/off`]
    const [plus, minus] = [(filter: string) => frame(0x82, u16(1), properties(version), field(filter), [1]), (filter: string) => frame(0xa2, u16(2), properties(version), field(filter))]
    wire.bytes(...Array.from({ length: 20 }, () => [plus(on), plus(off), minus(on), minus(off)]).flat(), plus(on))
    for (let i = 0; i < 41; i++) await wire.next('suback')
    const last = isKept ? await at.left(wire).then(() => rawConnected(at.house, identity, options)) : wire
    last.send(publishPacket(off, 'off'), publishPacket(on, 'on'))
    await last.take('publish')
    await last.ping()
    expect(payloads(last)).toEqual(['on'])
    last.end()
  })
})
