// Chapters 3.3 to 3.7: DUP, retained messages, what a message carries from end to end, topic aliases from a client, and the
// acknowledgements.

import { describe, expect, test } from 'vitest'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import { connected, payloads, publishPacket, subscribe, versions } from '../wire.ts'
import { cut, field, frame, openStage, pass, properties, publishAll, rawConnected, subscribeWith, u16, u32 } from './raw.ts'

const at = openStage()

describe.each(versions)('MQTT %s, PUBLISH', (version) => {
  test('[MQTT-3.3.1-5] [MQTT-3.3.1-6 in 3.1.1] [MQTT-3.3.1-8 in 3.1.1] [MQTT-3.3.1-9 in 5] a new subscription is sent the last retained message of every topic that it matches, with RETAIN and the QoS of both', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version })
    await publishAll(sender, `r/${id}/a`, ['old', 'new'], { retain: true })
    await publishAll(sender, `r/${id}/b`, ['two'], { retain: true, qos: 2 })
    await publishAll(sender, `r/${id}/c`, ['zero'], { retain: true, qos: 0 })
    await publishAll(sender, `r/${id}/d`, ['not retained'])
    const late = await at.another({ version })
    await subscribe(late, { topic: `r/${id}/+`, qos: 2 })
    const seen = [await late.take('publish'), await late.take('publish'), await late.take('publish')]
    await late.ping()
    expect(late.published()).toHaveLength(3)
    expect(new Set(seen.map((p) => `${p.payload.toString()} ${p.qos} ${p.retain}`))).toEqual(new Set(['new 1 true', 'two 2 true', 'zero 0 true']))
    sender.end()
    late.end()
  })

  test('[MQTT-3.3.1-7 in 3.1.1] [MQTT-3.3.1-5 in 5] a retained message of QoS 0 takes the place of one of QoS 2', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version })
    await publishAll(sender, `r/${id}`, ['two'], { retain: true, qos: 2 })
    await publishAll(sender, `r/${id}`, ['zero'], { retain: true, qos: 0 })
    const late = await at.another({ version })
    await subscribe(late, { topic: `r/${id}`, qos: 2 })
    expect(await late.take('publish')).toMatchObject({ qos: 0, payload: Buffer.from('zero') })
    await late.ping()
    expect(late.published()).toHaveLength(1)
    sender.end()
    late.end()
  })

  test('[MQTT-3.3.1-9 in 3.1.1] [MQTT-3.3.1-12 in 5] [MQTT-3.3.1-10 in 3.1.1] [MQTT-3.3.1-11 in 3.1.1] [MQTT-3.3.1-6 in 5] [MQTT-3.3.1-7 in 5] an empty retained message is sent to who is subscribed, without RETAIN, takes the retained one away, and is not kept itself', async () => {
    const { id } = await at.fresh()
    const [sender, watcher] = [await at.another({ version }), await at.another({ version })]
    await subscribe(watcher, `r/${id}`)
    await publishAll(sender, `r/${id}`, ['there', ''], { retain: true })
    expect([await watcher.take('publish'), await watcher.take('publish')].map((p) => [p.payload.toString(), p.retain])).toEqual([['there', false], ['', false]])
    const late = await at.another({ version })
    await subscribe(late, `r/${id}`, 'r/#')
    await late.ping()
    expect(late.published().filter((p) => p.topic === `r/${id}`)).toEqual([])
    for (const wire of [sender, watcher, late]) wire.end()
  })

  test('[MQTT-3.3.1-12 in 3.1.1] [MQTT-3.3.1-8 in 5] a message without RETAIN, empty or not, leaves the retained one as it is, and is not retained', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version })
    await publishAll(sender, `r/${id}`, ['kept'], { retain: true })
    await publishAll(sender, `r/${id}`, ['passing', ''])
    const late = await at.another({ version })
    await subscribe(late, `r/${id}`)
    expect((await late.take('publish')).payload.toString()).toBe('kept')
    await late.ping()
    expect(late.published()).toHaveLength(1)
    sender.end()
    late.end()
  })

  test('[MQTT-3.3.2-1] [MQTT-3.3.2-3] what is delivered has the topic that was published, whatever filter matched', async () => {
    const watcher = await rawConnected(at.house, at.backend, { version })
    await subscribe(watcher, { topic: '+/sensor/#', qos: 0 })
    const sender = await at.another({ version })
    for (const topic of ['t/sensor', 't/sensor/', 't/sensor/ä/€/😀']) {
      sender.send(publishPacket(topic, 'x'), publishPacket('t/other', 'no'))
      const { body } = await watcher.next('publish')
      expect(body.subarray(0, 2 + Buffer.byteLength(topic))).toEqual(field(topic))
    }
    sender.end()
    watcher.end()
  })
})

describe('MQTT 5, what a message carries', () => {
  test('[MQTT-3.3.2-4] [MQTT-3.3.2-13] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-19] [MQTT-3.3.2-20] every property of a message arrives byte for byte, live and retained', async () => {
    const { id } = await at.fresh()
    const carried = [
      Buffer.from([0x01, 1]), Buffer.concat([Buffer.from([0x08]), field('answers/1')]), Buffer.concat([Buffer.from([0x09]), field(Buffer.from([0, 255, 128]))]),
      Buffer.concat([Buffer.from([0x03]), field('text/plain; ä')]), Buffer.concat([Buffer.from([0x26]), field('name'), field('välue')]),
    ]
    const watcher = await rawConnected(at.house, at.backend, { version: 5 })
    await subscribe(watcher, { topic: `r/${id}`, qos: 0 })
    const sender = await at.another({ version: 5 })
    sender.bytes(frame(0x31, field(`r/${id}`), properties(5, ...carried), Buffer.from('p')))
    await sender.ping()
    const late = await at.another({ version: 5 })
    await subscribe(late, { topic: `r/${id}`, qos: 0 })
    for (const wire of [watcher, late]) {
      const { body } = await wire.next('publish')
      const heard = body.subarray(2 + `r/${id}`.length)
      expect(heard).toHaveLength(1 + Buffer.concat(carried).length + 1)
      // Properties may come in any order; each comes as it was.
      for (const property of carried) expect(heard.includes(property), property.toString('hex')).toBe(true)
      wire.end()
    }
    sender.end()
  })

  test('[MQTT-3.3.2-4] a Payload Format Indicator of 0 is handed on as 0, and one that was not sent is not', async () => {
    const watcher = await rawConnected(at.house, at.backend, { version: 5 })
    await subscribe(watcher, { topic: 'pfi', qos: 0 })
    watcher.bytes(frame(0x30, field('pfi'), [2, 0x01, 0], Buffer.from('p')), frame(0x30, field('pfi'), [0], Buffer.from('p')))
    expect((await watcher.next('publish')).body.subarray(5).toString('hex')).toBe('02010070')
    expect((await watcher.next('publish')).body.subarray(5).toString('hex')).toBe('0070')
    watcher.end()
  })

  test('[MQTT-3.3.2-13] [MQTT-3.3.2-19] a Response Topic and a Content Type that are not UTF-8 are malformed', async () => {
    for (const id of [0x08, 0x03]) {
      const wire = await rawConnected(at.house, at.sensor, { version: 5 })
      wire.bytes(frame(0x30, field('t/sensor/x'), properties(5, [id], field(Buffer.from([0xe2, 0x82])))))
      await cut(wire, 0x81)
    }
  })

  test('[MQTT-3.3.2-5] [MQTT-3.3.2-6] a retained message says how long it has left, and is not sent when its time is over', async () => {
    const { id } = await at.fresh()
    await pass(0)
    const sender = await at.another({ version: 5 })
    await publishAll(sender, `r/${id}`, ['expires'], { retain: true, properties: { messageExpiryInterval: 600 } })
    sender.end()
    await pass(100_000)
    const late = await at.another({ version: 5 })
    await subscribe(late, `r/${id}`)
    const left = (await late.take('publish')).properties?.messageExpiryInterval
    expect(left).toBeGreaterThan(450)
    expect(left).toBeLessThanOrEqual(500)
    late.end()
    await pass(600_000)
    const later = await at.another({ version: 5 })
    await subscribe(later, `r/${id}`)
    await later.ping()
    expect(later.published()).toEqual([])
    later.end()
  })

  test('[MQTT-3.3.2-6] a message that is delivered at once says the expiry that it was sent with', async () => {
    const watcher = await rawConnected(at.house, at.backend, { version: 5 })
    await subscribe(watcher, { topic: 'mei', qos: 0 })
    watcher.bytes(frame(0x30, field('mei'), properties(5, [0x02], u32(0xffff_ffff)), Buffer.from('p')))
    expect((await watcher.next('publish')).hex).toBe(frame(0x30, field('mei'), properties(5, [0x02], u32(0xffff_ffff)), Buffer.from('p')).toString('hex'))
    watcher.end()
  })
})

describe('MQTT 5, topic aliases of a client', () => {
  test('[MQTT-3.3.2-12] [MQTT-3.2.2-17] every alias from 1 to the Topic Alias Maximum is accepted', async () => {
    const watcher = await connected(at.house, at.backend, { version: 5 })
    await subscribe(watcher, { topic: 't/sensor/#', qos: 0 })
    const wire = await connected(at.house, at.sensor, { version: 5 })
    const max = wire.connack.properties?.topicAliasMaximum
    expect(max).toBe(BROKER_LIMITS.topicAliasMaximum)
    for (let alias = 1; alias <= max!; alias++) wire.send(publishPacket(`t/sensor/${alias}`, 'bound', { properties: { topicAlias: alias } }))
    for (let alias = 1; alias <= max!; alias++) wire.send(publishPacket('', 'used', { properties: { topicAlias: alias } }))
    await wire.ping()
    await watcher.ping()
    expect(watcher.published().filter((p) => p.payload.toString() === 'used').map((p) => p.topic)).toEqual(Array.from({ length: max! }, (_, i) => `t/sensor/${i + 1}`))
    wire.end()
    watcher.end()
  })

  test('[MQTT-3.1.2-27] [MQTT-3.3.2-8] who allows no aliases is sent none', async () => {
    for (const allowed of [{}, { topicAliasMaximum: 0 }]) {
      const watcher = await at.another({ version: 5, properties: allowed })
      await subscribe(watcher, { topic: 'alias/#', qos: 1 })
      const sender = await at.another({ version: 5 })
      for (let i = 0; i < 3; i++) await publishAll(sender, 'alias/again', [String(i)])
      await watcher.ping()
      expect(watcher.published().map((p) => [p.topic, p.properties?.topicAlias])).toEqual(Array.from({ length: 3 }, () => ['alias/again', undefined]))
      sender.end()
      watcher.end()
    }
  })
})

describe('MQTT 5, Retain Handling and Retain As Published', () => {
  test('[MQTT-3.3.1-9 in 5] [MQTT-3.3.1-10 in 5] [MQTT-3.3.1-11 in 5] 0 sends retained messages every time, 1 only where the subscription is new, 2 never', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    await publishAll(sender, `r/${id}`, ['r'], { retain: true })
    const wire = await at.another({ version: 5 })
    const sent = async (rh: 0 | 1 | 2): Promise<number> => {
      const before = wire.published().length
      await subscribeWith(wire, [{ topic: `r/${id}`, qos: 1, rh }])
      await wire.ping()
      return wire.published().length - before
    }
    expect([await sent(2), await sent(1), await sent(0), await sent(0), await sent(1), await sent(2)]).toEqual([0, 0, 1, 1, 0, 0])
    wire.send({ cmd: 'unsubscribe', messageId: 77, unsubscriptions: [`r/${id}`] })
    await wire.take('unsuback')
    expect(await sent(1)).toBe(1)
    sender.end()
    wire.end()
  })

  test('[MQTT-3.3.1-12 in 5] [MQTT-3.3.1-13] RETAIN is handed on to who asked for it, as it was, and is 0 for the others', async () => {
    const { id } = await at.fresh()
    const [asPublished, plain, sender] = [await at.another({ version: 5 }), await at.another({ version: 5 }), await at.another({ version: 5 })]
    await subscribeWith(asPublished, [{ topic: `r/${id}`, qos: 0, rap: true }])
    await subscribeWith(plain, [{ topic: `r/${id}`, qos: 0 }])
    await publishAll(sender, `r/${id}`, ['retained'], { retain: true })
    await publishAll(sender, `r/${id}`, ['passing'])
    expect([(await asPublished.next('publish')).first, (await asPublished.next('publish')).first]).toEqual([0x31, 0x30])
    expect([(await plain.next('publish')).first, (await plain.next('publish')).first]).toEqual([0x30, 0x30])
    for (const wire of [asPublished, plain, sender]) wire.end()
  })
})

describe('MQTT 5, acknowledgements', () => {
  test('[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] the codes of PUBACK, PUBREC, PUBREL and PUBCOMP are those of the tables', async () => {
    const wire = await at.another({ version: 5 })
    const sensor = await rawConnected(at.house, at.sensor, { version: 5 })
    await subscribe(wire, { topic: 'codes/heard', qos: 2 })
    sensor.send(publishPacket('elsewhere', 'denied', { qos: 1 }), publishPacket('elsewhere', 'denied', { qos: 2 }), { cmd: 'pubrel', messageId: 4_711 })
    await publishAll(wire, 'codes/unheard', ['x'])
    await publishAll(wire, 'codes/heard', ['x', 'y'], { qos: 2 })
    await sensor.take('pubcomp')
    await wire.ping()
    const codes = (type: number): number[] => [...wire.frames, ...sensor.frames].filter((f) => f.first >> 4 === type).map((f) => f.body[2] ?? 0)
    const received = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
    for (const [type, allowed] of [[4, received], [5, received], [6, [0, 0x92]], [7, [0, 0x92]]] as const) {
      expect(codes(type).length).toBeGreaterThan(0)
      expect(codes(type).filter((code) => !(allowed as readonly number[]).includes(code))).toEqual([])
    }
    wire.end()
    sensor.end()
  })
})

test('[MQTT-3.3.5-2 in 3.1.1] MQTT 3.1.1 is told nothing of a message that it may not publish: it is acknowledged as any other, and not delivered', async () => {
  const watcher = await at.another({ version: 4 })
  await subscribe(watcher, '#')
  const wire = await rawConnected(at.house, at.sensor, { version: 4 })
  wire.bytes(frame(0x32, field('elsewhere'), u16(21), Buffer.from('x')), frame(0x34, field('elsewhere'), u16(22), Buffer.from('x')))
  expect((await wire.next('puback')).hex).toBe('40020015')
  expect((await wire.next('pubrec')).hex).toBe('50020016')
  wire.bytes(frame(0x62, u16(22)))
  expect((await wire.next('pubcomp')).hex).toBe('70020016')
  await watcher.ping()
  expect(payloads(watcher).filter((p) => p === 'x')).toEqual([])
  wire.end()
  watcher.end()
})
