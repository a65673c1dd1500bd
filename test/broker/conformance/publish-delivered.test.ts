// Chapter 3.3, what reaches a subscriber: DUP that is the server's own, one copy for overlapping subscriptions with all that
// they ask for, user properties in their order, aliases of the server, packets that fit.

import { describe, expect, test } from 'vitest'
import { connected, connectPacket, nextId, payloads, publishPacket, subscribe, versions } from '../wire.ts'
import { field, frame, kept, openStage, properties, publishAll, rawConnected, rawWire, subscribeWith, u16, type Raw } from './raw.ts'

const at = openStage()

describe.each(versions)('MQTT %s, PUBLISH', (version) => {
  test('[MQTT-3.3.1-3] [MQTT-4.3.2-1 in 3.1.1] [MQTT-4.3.2-2 in 5] the DUP of a publisher is not handed on: a first delivery has none', async () => {
    const watcher = await rawConnected(at.house, at.backend, { version })
    await subscribe(watcher, { topic: 't/sensor/#', qos: 2 })
    const wire = await rawConnected(at.house, at.sensor, { version })
    wire.bytes(frame(0x3a, field('t/sensor/1'), u16(11), properties(version), Buffer.from('x')), frame(0x3c, field('t/sensor/2'), u16(12), properties(version), Buffer.from('x')))
    await wire.next('pubrec')
    wire.bytes(frame(0x62, u16(12)))
    expect([(await watcher.next('publish')).first, (await watcher.next('publish')).first].toSorted((a, b) => a - b)).toEqual([0x32, 0x34])
    wire.end()
    watcher.end()
  })

  test('[MQTT-3.3.1-2] a QoS 0 message with DUP is heard without it, or not at all', async () => {
    const watcher = await rawConnected(at.house, at.backend, { version })
    await subscribe(watcher, { topic: 't/sensor/#', qos: 2 })
    const wire = await rawConnected(at.house, at.sensor, { version })
    wire.bytes(frame(0x38, field('t/sensor/x'), properties(version), Buffer.from('x')), [0xc0, 0])
    await Promise.race([wire.next('pingresp').catch(() => undefined), wire.ended])
    await watcher.ping()
    expect(watcher.frames.filter((f) => f.first >> 4 === 3).every((f) => f.first === 0x30)).toBe(true)
    wire.end()
    watcher.end()
  })
  test('[MQTT-3.3.5-1 in 3.1.1] [MQTT-3.3.4-2 in 5] of overlapping subscriptions the highest QoS counts, in whatever order they were made', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version })
    for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]] as const) {
      const watcher = await at.another({ version })
      const filters = [{ topic: `o/${id}/#`, qos: order[0] }, { topic: `o/${id}/+`, qos: order[1] }, { topic: `o/${id}/x`, qos: order[2] }] as const
      await subscribe(watcher, ...filters)
      await publishAll(sender, `o/${id}/x`, ['message'], { qos: 2 })
      await watcher.take('publish')
      await watcher.ping()
      // Several copies are allowed; that none comes with the QoS that was granted is not.
      expect(Math.max(...watcher.published().map((p) => p.qos)), order.join()).toBe(2)
      expect(watcher.published()).toHaveLength(1)
      watcher.end()
    }
    sender.end()
  })
})

describe('MQTT 5, subscription identifiers', () => {
  const identifiers = (wire: Raw): readonly number[][] => wire.published().map((p) => [p.properties?.subscriptionIdentifier ?? []].flat().toSorted((a, b) => a - b))

  test('[MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5] a message says the identifiers of all subscriptions that matched and have one', async () => {
    const { id } = await at.fresh()
    const wire = await at.another({ version: 5 })
    await subscribeWith(wire, [{ topic: `o/${id}/#`, qos: 1 }], 1)
    await subscribeWith(wire, [{ topic: `o/${id}/+`, qos: 1 }], 268_435_455)
    await subscribeWith(wire, [{ topic: `o/${id}/x`, qos: 0 }])
    await subscribeWith(wire, [{ topic: `o/${id}/y`, qos: 0 }], 7)
    await publishAll(wire, `o/${id}/x`, ['x'])
    await wire.take('publish')
    await wire.ping()
    expect(identifiers(wire)).toEqual([[1, 268_435_455]])
    wire.end()
  })

  test('[MQTT-3.3.4-4] the identifiers of a message that waited, and of a retained one, are those of the subscriptions that match', async () => {
    const identity = await at.fresh('backend')
    const first = await rawConnected(at.house, identity, kept(5))
    await subscribeWith(first, [{ topic: `o/${identity.id}/#`, qos: 1 }], 3)
    await subscribeWith(first, [{ topic: `o/${identity.id}/x`, qos: 1 }], 4)
    await at.left(first)
    const sender = await at.another({ version: 5 })
    await publishAll(sender, `o/${identity.id}/x`, ['waited'], { retain: true })
    const second = await rawConnected(at.house, identity, kept(5))
    await second.take('publish')
    await second.ping()
    expect(identifiers(second)).toEqual([[3, 4]])
    await subscribeWith(second, [{ topic: `o/${identity.id}/x`, qos: 1 }], 5)
    const retained = await second.take('publish')
    expect(retained.retain).toBe(true)
    expect([retained.properties?.subscriptionIdentifier].flat()).toContain(5)
    second.end()
    sender.end()
  })

  test('[MQTT-3.8.4-3 in 5] a subscription that is made again without an identifier has none any more', async () => {
    const { id } = await at.fresh()
    const wire = await at.another({ version: 5 })
    await subscribeWith(wire, [{ topic: `o/${id}`, qos: 1 }], 9)
    await subscribeWith(wire, [{ topic: `o/${id}`, qos: 1 }])
    await publishAll(wire, `o/${id}`, ['x'])
    await wire.take('publish')
    expect(identifiers(wire)).toEqual([[]])
    wire.end()
  })
})

describe('MQTT 5, user properties', () => {
  const pairs = Buffer.concat([['2', 'a'], ['b', 'b'], ['1', 'c'], ['b', 'd'], ['', ''], ['b', 'b']].map(([name, value]) => Buffer.concat([Buffer.from([0x26]), field(name!), field(value!)])))

  test('[MQTT-3.3.2-17] [MQTT-3.3.2-18] arrive unaltered and in their order, names that repeat and numeric names included: live, retained and after a wait', async () => {
    const identity = await at.fresh('backend')
    const topic = `u/${identity.id}`
    const first = await rawConnected(at.house, identity, kept(5))
    await subscribe(first, { topic, qos: 1 })
    await at.left(first)
    const live = await at.another({ version: 5 })
    await subscribe(live, { topic, qos: 1 })
    const sender = await at.another({ version: 5 })
    sender.bytes(frame(0x33, field(topic), u16(nextId()), properties(5, pairs), Buffer.from('p')))
    await sender.next('puback')
    const [late, waited] = [await at.another({ version: 5 }), await rawConnected(at.house, identity, kept(5))]
    await subscribe(late, { topic, qos: 1 })
    for (const [what, wire] of [['live', live], ['retained', late], ['waited', waited]] as const) {
      const { body } = await wire.next('publish')
      expect(body.subarray(2 + topic.length + 2).toString('hex'), what).toBe(Buffer.concat([properties(5, pairs), Buffer.from('p')]).toString('hex'))
      wire.end()
    }
    sender.end()
  })
})

describe('MQTT 5, topic aliases of the server', () => {
  test('[MQTT-3.1.2-26] [MQTT-3.3.2-8] [MQTT-3.3.2-11] a topic that repeats goes by an alias within the maximum of the client, and every alias means one topic at a time', async () => {
    const { id } = await at.fresh()
    const watcher = await at.another({ version: 5, properties: { topicAliasMaximum: 2 } })
    const sender = await at.another({ version: 5 })
    await subscribe(watcher, { topic: `a/${id}/#`, qos: 1 })
    const sent = ['one', 'one', 'two', 'one', 'two', 'three', 'four', 'one', 'three', 'three', 'two', 'two', 'one', 'one']
    for (const level of sent) await publishAll(sender, `a/${id}/${level}`, [level])
    await watcher.ping()
    const known = new Map<number, string>()
    const heard = watcher.published().map(({ topic, properties: said, payload }) => {
      const alias = said?.topicAlias
      if (alias === undefined) return topic
      expect([1, 2]).toContain(alias)
      if (topic !== '') known.set(alias, topic)
      expect(known.get(alias), payload.toString()).toBeDefined()
      return known.get(alias)
    })
    expect(heard).toEqual(sent.map((level) => `a/${id}/${level}`))
    expect(watcher.published().some((p) => p.topic === '')).toBe(true)
    sender.end()
    watcher.end()
  })

  test('[MQTT-3.3.2-7] an alias is not carried over to the next connection: every topic is named again', async () => {
    const identity = await at.fresh('backend')
    const sender = await at.another({ version: 5 })
    const options = { version: 5, clean: false, properties: { sessionExpiryInterval: 600, topicAliasMaximum: 5 } } as const
    for (let i = 0; i < 2; i++) {
      const watcher = await rawConnected(at.house, identity, options)
      await subscribe(watcher, { topic: `a/${identity.id}`, qos: 1 })
      await publishAll(sender, `a/${identity.id}`, ['first', 'second', 'third'])
      await watcher.ping()
      expect(watcher.published().map((p) => p.topic)[0]).toBe(`a/${identity.id}`)
      expect(watcher.published().map((p) => p.topic)[2]).toBe('')
      await at.left(watcher)
    }
    sender.end()
  })
})

describe('MQTT 5, Maximum Packet Size of the client', () => {
  const small = (maximumPacketSize: number) => ({ version: 5, properties: { maximumPacketSize } }) as const

  test.each([0, 1, 2] as const)('[MQTT-3.1.2-24 in 5] [MQTT-3.1.2-25] a message of QoS %s that does not fit is not sent, one that does by a byte is, and the session goes on', async (qos) => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const watcher = await at.another(small(100))
    await subscribe(watcher, { topic: `m/${id}`, qos })
    const overhead = 2 + 2 + `m/${id}`.length + (qos > 0 ? 2 : 0) + 1
    await publishAll(sender, `m/${id}`, ['x'.repeat(100 - overhead + 1)], { qos })
    await publishAll(sender, `m/${id}`, ['y'.repeat(100 - overhead), 'after'], { qos })
    await watcher.take('publish', (p) => p.payload.toString() === 'after')
    expect(payloads(watcher).map((p) => p[0])).toEqual(['y', 'a'])
    expect(watcher.frames.every((f) => f.hex.length / 2 <= 100)).toBe(true)
    watcher.end()
    sender.end()
  })

  test('[MQTT-3.1.2-25] [MQTT-4.9.0-2] a message that does not fit counts as sent: it takes no place of the Receive Maximum and does not come when the session is resumed', async () => {
    const identity = await at.fresh('backend')
    const options = { version: 5, clean: false, properties: { sessionExpiryInterval: 600, maximumPacketSize: 100, receiveMaximum: 1 } } as const
    const first = await rawConnected(at.house, identity, options)
    const sender = await at.another({ version: 5 })
    await subscribe(first, { topic: `m/${identity.id}`, qos: 1 })
    await publishAll(sender, `m/${identity.id}`, ['x'.repeat(200), 'fits'])
    expect((await first.take('publish')).payload.toString()).toBe('fits')
    await at.left(first)
    await publishAll(sender, `m/${identity.id}`, ['x'.repeat(200), 'waits'])
    const second = await rawConnected(at.house, identity, options)
    expect((await second.take('publish')).payload.toString()).toBe('waits')
    await at.left(second)
    const wide = await rawConnected(at.house, identity, kept(5))
    await wide.ping()
    expect(payloads(wide)).toEqual([])
    wide.end()
    sender.end()
  })

  test('[MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] a refused message is refused without words where they do not fit', async () => {
    const wire = await rawConnected(at.house, at.sensor, small(20))
    wire.send(publishPacket('elsewhere', 'x', { qos: 1, messageId: 1 }), publishPacket('elsewhere', 'x', { qos: 2, messageId: 2 }))
    expect((await wire.next('puback')).hex).toMatch(/^400(30001|40001)87(00)?$/)
    expect((await wire.next('pubrec')).hex).toMatch(/^500(30002|40002)87(00)?$/)
    wire.end()
    const wide = await rawConnected(at.house, at.sensor, small(200))
    wide.send(publishPacket('elsewhere', 'x', { qos: 1, messageId: 1 }))
    expect((await wide.take('puback')).properties?.reasonString).toBeDefined()
    wide.end()
  })

  test('[MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] no acknowledgement is larger than the client takes', async () => {
    const wire = await at.another(small(40))
    await subscribe(wire, 'ack/x', '$SYS/#', 'a/#/b', '')
    wire.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: ['ack/never', '#'] }, { cmd: 'pubrel', messageId: 4_712 })
    await wire.take('pubcomp')
    await publishAll(wire, 'ack/x', ['x'], { qos: 2 })
    await wire.take('publish')
    await wire.ping()
    expect(wire.types().filter((type) => [6, 7, 9, 11].includes(type)).length).toBeGreaterThanOrEqual(3)
    // What CONNACK says of the server is not a matter of this chapter.
    expect(wire.frames.filter((f) => f.first !== 0x20 && f.hex.length / 2 > 40)).toEqual([])
    wire.end()
  })

  test('[MQTT-3.14.2-3] [MQTT-3.14.2-4] a DISCONNECT has no words where they do not fit; where they fit, it has', async () => {
    const end = async (maximumPacketSize: number): Promise<string> => {
      const wire = await rawConnected(at.house, at.sensor, small(maximumPacketSize))
      wire.bytes(frame(0x30, field('a/+'), [0]))
      const { hex } = await wire.next('disconnect')
      await wire.ended
      return hex
    }
    expect((await end(200)).length / 2).toBeGreaterThan(20)
    expect(await end(15)).toMatch(/^e0(0190|029000)$/)
  })
})

test('[MQTT-3.1.2-24 in 5] a session whose CONNACK does not fit hears no CONNACK that is too large', async () => {
  const connack = await connected(at.house, at.sensor, { version: 5 }).then((wire) => {
    wire.end()
    return wire.connack.length ?? 0
  })
  expect(connack).toBeGreaterThan(3)
  const wire = await rawWire(at.house, at.sensor, { version: 5 })
  wire.send(connectPacket('sensor', 5, { properties: { maximumPacketSize: 8 } }), { cmd: 'pingreq' })
  await Promise.race([wire.ended, wire.next('pingresp').catch(() => undefined)])
  expect(wire.frames.filter((f) => f.hex.length / 2 > 8)).toEqual([])
  wire.end()
})

test('a CONNACK is sent where it fits to the byte, without the Topic Alias Maximum if need be; a byte less and the connection ends, unanswered and told', async () => {
  const whole = await rawConnected(at.house, at.sensor, { version: 5 })
  const length = whole.frames[0]!.hex.length / 2
  whole.end()
  for (const [maximumPacketSize, sent] of [[length, length], [length - 1, length - 3], [length - 3, length - 3]] as const) {
    const wire = await rawConnected(at.house, at.sensor, { version: 5, properties: { maximumPacketSize } })
    expect(wire.frames[0]!.hex.length / 2).toBe(sent)
    await wire.ping()
    wire.end()
  }
  const wire = await rawWire(at.house, at.sensor, { version: 5 })
  wire.send(connectPacket('sensor', 5, { properties: { maximumPacketSize: length - 4 } }))
  await wire.ended
  expect(wire.frames).toEqual([])
  await at.house.refused('packet-too-large')
  // Nothing of it is left.
  ;(await rawConnected(at.house, at.sensor, { version: 5 })).end()
})

test('a CONNECT that is refused is closed without a CONNACK where not even one without words fits', async () => {
  for (const [maximumPacketSize, frames] of [[5, ['2003008500']], [4, []]] as const) {
    const wire = await rawWire(at.house, at.sensor, { version: 5 })
    wire.send(connectPacket('other', 5, { properties: { maximumPacketSize } }))
    await wire.ended
    expect(wire.frames.map((f) => f.hex)).toEqual(frames)
  }
})

test('a SUBACK that does not fit ends the session; one that does by a byte is sent', async () => {
  const maximumPacketSize = 40
  const wire = await rawConnected(at.house, at.sensor, { version: 5, properties: { maximumPacketSize } })
  const filters = Array.from({ length: maximumPacketSize - 5 }, (_, i) => `t/sensor/${i}`)
  expect(await subscribe(wire, ...filters)).toHaveLength(filters.length)
  wire.send({ cmd: 'subscribe', messageId: 9, subscriptions: [...filters, 't/sensor/x'].map((topic) => ({ topic, qos: 0 as const })) })
  expect((await wire.take('disconnect')).reasonCode).toBe(0x95)
  await wire.ended
  expect(wire.frames.filter((f) => f.hex.length / 2 > maximumPacketSize)).toEqual([])
})
