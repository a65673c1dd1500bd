// Chapter 4.8: shared subscriptions of MQTT 5. Every message goes to one member of the group, whoever that is; what is granted
// is asked of the filter behind the share name. Sensors may hear open/# with QoS 2 and one/# with QoS 1.

import { describe, expect, test } from 'vitest'
import { connected, payloads, publishPacket, subscribe } from '../wire.ts'
import { cut, field, frame, kept, openStage, publishAll, rawConnected, subscribeWith, u16 } from './raw.ts'

const at = openStage()
const numbers = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => String(i))

describe('a shared subscription', () => {
  test('[MQTT-4.8.2-1] [MQTT-4.8.2-2] is granted where its filter is, and CONNACK says that there are such', async () => {
    const wire = await connected(at.house, at.sensor, { version: 5 })
    expect(wire.connack.properties?.sharedSubscriptionAvailable ?? true).toBe(true)
    expect(await subscribe(wire, '$share/g/t/sensor/#', '$share/g/t/other/#', '$share/ä b/t/sensor/x')).toEqual([1, 0x87, 1])
    wire.end()
  })

  test.each(['$share', '$share/', '$share/g', '$share/g/', '$share//t/sensor/x', '$share/+/t/sensor/x', '$share/g#/t/sensor/x', '$share/g+/t/sensor/x', '$share/#'])('[MQTT-4.8.2-1] [MQTT-4.8.2-2] %j is none', async (filter) => {
    const wire = await connected(at.house, at.backend, { version: 5 })
    const [code] = await subscribe(wire, filter)
    expect([0x87, 0x8f]).toContain(code)
    wire.end()
  })

  test('[MQTT-4.8.2-3] brings every message to one member of its group, and to every group', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const group = [await at.another({ version: 5 }), await at.another({ version: 5 }), await at.another({ version: 5 })]
    const [other, plain] = [await at.another({ version: 5 }), await at.another({ version: 5 })]
    for (const wire of group) expect(await subscribe(wire, { topic: `$share/g/s/${id}/#`, qos: 1 })).toEqual([1])
    await subscribe(other, { topic: `$share/h/s/${id}/#`, qos: 1 })
    await subscribe(plain, { topic: `s/${id}/#`, qos: 1 })
    await publishAll(sender, `s/${id}/x`, numbers(60))
    for (const wire of [...group, other, plain]) await wire.ping()
    const byNumber = (list: readonly string[]): readonly string[] => list.toSorted((a, b) => Number(a) - Number(b))
    expect(byNumber(group.flatMap(payloads))).toEqual(numbers(60))
    expect(payloads(other)).toEqual(numbers(60))
    expect(payloads(plain)).toEqual(numbers(60))
    // Fair: nobody is left out, nobody is given most of it.
    for (const wire of group) expect(payloads(wire).length).toBeGreaterThan(10)
    for (const wire of [...group, other, plain, sender]) wire.end()
  })

  test('[MQTT-4.8.2-3] respects the QoS that was granted to the member', async () => {
    const sender = await at.another({ version: 5 })
    const wire = await connected(at.house, at.sensor, { version: 5 })
    expect(await subscribe(wire, { topic: '$share/g/one/#', qos: 2 }, { topic: '$share/g/open/shared', qos: 0 })).toEqual([1, 0])
    await publishAll(sender, 'one/x', ['one'], { qos: 2 })
    await publishAll(sender, 'open/shared', ['zero'], { qos: 2 })
    expect([(await wire.take('publish')).qos, (await wire.take('publish')).qos]).toEqual([1, 0])
    wire.end()
    sender.end()
  })

  test('[MQTT-4.8.2-3] beside a plain one of the same session delivers for both: each message comes by the one, and by the other', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const wire = await at.another({ version: 5 })
    await subscribeWith(wire, [{ topic: `$share/g/s/${id}`, qos: 1 }], 11)
    await subscribeWith(wire, [{ topic: `s/${id}`, qos: 1 }], 12)
    await publishAll(sender, `s/${id}`, ['x'])
    await wire.ping()
    const identifiers = wire.published().flatMap((p) => [p.properties?.subscriptionIdentifier ?? []].flat())
    expect(identifiers.toSorted((a, b) => a - b)).toEqual([11, 12])
    wire.end()
    sender.end()
  })

  test('[MQTT-3.8.3-4 in 5] with No Local is a protocol error', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version: 5 })
    wire.bytes(frame(0x82, u16(5), [0], field('$share/g/t/sensor/x'), [0x05]))
    await cut(wire, 0x82)
    expect(wire.types()).not.toContain(9)
  })

  test('[MQTT-4.8.2-4] a message that was sent to a member and not acknowledged is completed when it comes back', async () => {
    const { id } = await at.fresh()
    const identity = await at.fresh('backend')
    const sender = await at.another({ version: 5 })
    const first = await rawConnected(at.house, identity, { ...kept(5), acknowledge: false })
    await subscribe(first, { topic: `$share/g/s/${id}`, qos: 2 })
    await publishAll(sender, `s/${id}`, ['begun'], { qos: 2 })
    const { messageId } = await first.take('publish')
    first.send({ cmd: 'pubrec', messageId: messageId! })
    await first.next('pubrel')
    await at.left(first)
    const other = await at.another({ version: 5 })
    await subscribe(other, { topic: `$share/g/s/${id}`, qos: 2 })
    const second = await rawConnected(at.house, identity, kept(5))
    expect((await second.take('pubrel')).messageId).toBe(messageId)
    await other.ping()
    expect(payloads(other)).toEqual([])
    for (const wire of [second, other, sender]) wire.end()
  })

  test('[MQTT-4.8.2-5] a message of QoS 2 that was sent to a member whose session ends goes to nobody else', async () => {
    const { id } = await at.fresh()
    const identity = await at.fresh('backend')
    const sender = await at.another({ version: 5 })
    const first = await rawConnected(at.house, identity, { version: 5, acknowledge: false })
    await subscribe(first, { topic: `$share/g/s/${id}`, qos: 2 })
    await publishAll(sender, `s/${id}`, ['begun'], { qos: 2 })
    await first.take('publish')
    const other = await at.another({ version: 5 })
    await subscribe(other, { topic: `$share/g/s/${id}`, qos: 2 })
    await at.left(first)
    await publishAll(sender, `s/${id}`, ['next'], { qos: 2 })
    await other.take('publish', (p) => p.payload.toString() === 'next')
    await other.ping()
    expect(payloads(other)).toEqual(['next'])
    other.end()
    sender.end()
  })

  test.each([['puback', 1], ['pubrec', 2]] as const)('[MQTT-4.8.2-6] a message that a member refuses with %s goes to nobody else', async (cmd, qos) => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const members = [await at.another({ version: 5, acknowledge: false }), await at.another({ version: 5, acknowledge: false })]
    for (const wire of members) await subscribe(wire, { topic: `$share/g/s/${id}`, qos })
    await publishAll(sender, `s/${id}`, ['unwanted'], { qos: 2 })
    const chosen = await Promise.race(members.map(async (wire) => ({ wire, packet: await wire.take('publish') })))
    chosen.wire.send({ cmd, messageId: chosen.packet.messageId!, reasonCode: 0x80 })
    for (let i = 0; i < 3; i++) for (const wire of members) await wire.ping()
    expect(members.flatMap(payloads)).toEqual(['unwanted'])
    for (const wire of [...members, sender]) wire.end()
  })

  test('[MQTT-3.3.1-9 in 5] is sent no retained messages when it is made', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    await publishAll(sender, `s/${id}`, ['retained'], { retain: true })
    const wire = await at.another({ version: 5 })
    expect(await subscribe(wire, `$share/g/s/${id}`)).toEqual([1])
    await wire.ping()
    expect(payloads(wire)).toEqual([])
    wire.end()
    sender.end()
  })

  test('[MQTT-3.10.4-1 in 5] is given up by its whole text, and its group goes on without it', async () => {
    const { id } = await at.fresh()
    const sender = await at.another({ version: 5 })
    const [one, two] = [await at.another({ version: 5 }), await at.another({ version: 5 })]
    for (const wire of [one, two]) await subscribe(wire, `$share/g/s/${id}`)
    one.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: [`s/${id}`, `$share/h/s/${id}`, `$share/g/s/${id}`] })
    expect((await one.take('unsuback')).granted).toEqual([0x11, 0x11, 0])
    for (const payload of numbers(10)) sender.send(publishPacket(`s/${id}`, payload, { qos: 1 }))
    await two.take('publish', (p) => p.payload.toString() === '9')
    expect([payloads(one), payloads(two)]).toEqual([[], numbers(10)])
    for (const wire of [one, two, sender]) wire.end()
  })
})

test('MQTT 3.1.1 has no shared subscriptions: $share is a filter that nobody is granted', async () => {
  const wire = await connected(at.house, at.backend, { version: 4 })
  expect(await subscribe(wire, '$share/g/t/#')).toEqual([0x80])
  wire.end()
})
