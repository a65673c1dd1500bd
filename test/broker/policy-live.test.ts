// A policy that changes while clients are connected, and while they are away: what a session loses it loses at once and for good, what
// it is given works without a reconnect, and who loses nothing notices nothing. policy.md R10.

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import { openGate, type StoreGate } from './gated-store.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, kept, nextId, payloads, publishPacket, subscribe, versions, type Version, type Wire } from './wire.ts'

let house: House
let gate: StoreGate
let speaker: Identity
let count = 0
const fresh = (): Promise<Identity> => house.device(`device-${++count}`)

interface Rules {
  readonly subscribe?: string
  readonly publish?: string
  readonly connect?: string
  readonly deny?: string
}

/** Sensors hear below a/ and b/ unless the rules say otherwise; the speaker says everything. */
function policyOf({ subscribe: heard = '{ topic: "a/#", share: [g] }, b/#', publish = 'p/#', connect = '', deny = '' }: Rules = {}): string {
  return `version: 1
grants:
  - id: sensor
    to: { group: sensors }
${connect === '' ? '' : `    connect: { ${connect} }\n`}    subscribe: [ ${heard} ]
    publish: [ ${publish} ]
  - { id: speaker, to: { group: speakers }, publish: [ { topic: "#", retain: true } ], subscribe: [ "#" ] }
${deny === '' ? '' : `deny:\n  - { id: taken, to: { group: sensors }, ${deny} }\n`}`
}

beforeAll(async () => {
  gate = openGate()
  house = await openHouse({ policy: policyOf(), wrapStore: gate.wrap })
  speaker = await house.device('speaker', 'speakers')
})
afterEach(() => {
  house.policy(policyOf())
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const isLoss = (event: AuditEvent): event is AuditEvent & { readonly kind: 'subscription-lost' } => event.kind === 'subscription-lost'
const lost = (of: Identity): readonly string[] => house.events.filter(isLoss).filter(({ device }) => device === of.id).map(({ filter }) => filter).toSorted()

/** Says each topic to itself, and waits until that is stored and sent. */
async function say(version: Version, qos: 0 | 1 | 2, ...topics: readonly string[]): Promise<void> {
  const wire = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
  wire.send(...topics.map((topic) => publishPacket(topic, topic, { qos })))
  for (const _ of topics) if (qos > 0) await wire.take(qos === 1 ? 'puback' : 'pubrec')
  await wire.ping()
  wire.end()
}

async function broken(wire: Wire): Promise<void> {
  const before = house.broker.sessionCount
  wire.end()
  while (house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
}

describe.each(versions)('MQTT %s, connected', (version) => {
  test.each([0, 1, 2] as const)('loses exactly the subscription that is granted no longer: QoS %s', async (qos) => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    await subscribe(wire, { topic: 'a/#', qos }, { topic: 'b/#', qos })
    house.policy(policyOf({ subscribe: 'b/#' }))
    await say(version, qos, 'a/1', 'b/1')
    await wire.take('publish', (p) => p.topic === 'b/1')
    await wire.ping()
    expect(payloads(wire)).toEqual(['b/1'])
    expect(lost(identity)).toEqual(['a/#'])
    expect(house.events.filter(isLoss).find(({ device }) => device === identity.id)).toMatchObject({ clientId: identity.id, reason: 'subscribe-not-granted', generation: expect.any(Number) })
    // It does not come back by itself when it is granted again.
    house.policy(policyOf())
    await say(version, qos, 'a/2', 'b/2')
    await wire.take('publish', (p) => p.topic === 'b/2')
    expect(await subscribe(wire, { topic: 'a/#', qos })).toEqual([qos])
    await say(version, qos, 'a/3')
    await wire.take('publish', (p) => p.topic === 'a/3')
    expect(payloads(wire)).toEqual(['b/1', 'b/2', 'a/3'])
    wire.end()
  })

  test('of a filter that may be held no longer nothing comes, though the topic may be heard by another one', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    await subscribe(wire, { topic: 'a/+', qos: 1 }, { topic: 'a/x', qos: 1 })
    await say(version, 1, 'a/x')
    house.policy(policyOf({ subscribe: '{ topic: "a/#", wildcard: forbid }' }))
    await say(version, 1, 'a/y', 'a/x')
    await say(version, 0, 'a/y', 'a/x')
    await wire.take('publish', (p) => p.qos === 0)
    expect(payloads(wire)).toEqual(['a/x', 'a/x', 'a/x'])
    expect(lost(identity)).toEqual(['a/+'])
    wire.end()
  })

  test('what waits in its queue in memory for that filter alone is not sent, and what another one holds is', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version, acknowledge: false })
    await subscribe(wire, { topic: 'a/+', qos: 1 }, { topic: 'a/x', qos: 1 })
    // The window is full of what is never acknowledged.
    const sent = 1_000
    const say1 = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
    say1.send(...Array.from({ length: sent }, () => publishPacket('a/x', 'a/x', { qos: 1 })), publishPacket('a/y', 'lost', { qos: 1 }), publishPacket('a/x', 'left', { qos: 1 }))
    await wire.take('publish', (p) => p.messageId === sent)
    await say1.ping()
    house.policy(policyOf({ subscribe: '{ topic: "a/#", wildcard: forbid }' }))
    for (const { messageId } of wire.published()) wire.send({ cmd: 'puback', messageId: messageId! })
    expect((await wire.take('publish', (p) => p.payload.toString() !== 'a/x')).payload.toString()).toBe('left')
    await wire.ping()
    expect(payloads(wire)).not.toContain('lost')
    wire.end()
    say1.end()
  })

  test('a deny that comes takes what it contains, and narrows what it overlaps', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    await subscribe(wire, { topic: 'a/#', qos: 1 }, { topic: 'b/x', qos: 1 })
    house.policy(policyOf({ deny: 'subscribe: [ "b/#" ], receive: [ "a/secret" ]' }))
    await say(version, 1, 'b/x', 'a/secret', 'a/open')
    await wire.take('publish', (p) => p.topic === 'a/open')
    expect(payloads(wire)).toEqual(['a/open'])
    expect(house.events.filter(isLoss).filter(({ device }) => device === identity.id)).toMatchObject([{ filter: 'b/x', reason: 'subscribe-denied', rule: 'taken', ruleAt: expect.stringMatching(/^policy\.yaml:\d+$/) }])
    wire.end()
  })

  test('what is new is there at once, without a reconnect: a publish that was refused, a filter that was refused', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    const listener = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
    await subscribe(listener, { topic: 'new/#', qos: 1 })
    wire.send(publishPacket('new/1', 'refused', { qos: 1 }))
    await wire.take('puback')
    expect(await subscribe(wire, 'new/#')).toEqual([version === 5 ? 0x87 : 0x80])
    house.policy(policyOf({ publish: 'p/#, new/#', subscribe: 'new/#' }))
    wire.send(publishPacket('new/1', 'allowed', { qos: 1 }))
    await listener.take('publish')
    expect(await subscribe(wire, 'new/#')).toEqual([1])
    expect(payloads(listener)).toEqual(['allowed'])
    wire.end()
    listener.end()
  })

  test('a right to publish that is gone is gone with the next packet', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    const listener = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
    await subscribe(listener, { topic: 'p/#', qos: 1 })
    wire.send(publishPacket('p/1', 'before', { qos: 1 }))
    await wire.take('puback')
    house.policy(policyOf({ publish: 'q/#' }))
    wire.send(publishPacket('p/1', 'after', { qos: 1 }))
    expect((await wire.take('puback')).reasonCode).toBe(version === 5 ? 0x87 : undefined)
    await listener.ping()
    expect(payloads(listener)).toEqual(['before'])
    wire.end()
    listener.end()
  })

  test('a QoS that is lowered holds from the next message on, and is not raised again before the client asks', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    await subscribe(wire, { topic: 'a/#', qos: 2 })
    const said = async (): Promise<number> => {
      await say(version, 2, 'a/1')
      return (await wire.take('publish')).qos
    }
    expect(await said()).toBe(2)
    house.policy(policyOf({ subscribe: '{ topic: "a/#", qos: 1 }' }))
    expect(await said()).toBe(1)
    house.policy(policyOf())
    expect(await said()).toBe(1)
    expect(await subscribe(wire, { topic: 'a/#', qos: 2 })).toEqual([2])
    expect(await said()).toBe(2)
    expect(lost(identity)).toEqual([])
    wire.end()
  })

  test('who loses nothing notices nothing: no packet, nothing retained again, nothing written', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, kept(version))
    const sender = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
    sender.send(publishPacket('a/kept', 'retained', { qos: 1, retain: true }))
    await sender.take('puback')
    await subscribe(wire, { topic: 'a/#', qos: 1 })
    await wire.take('publish')
    await wire.ping()
    const received = wire.received.length
    const commits = (): number => gate.commits.flat().filter((change) => 'key' in change && change.key.includes(`/${identity.id}/`)).length
    const before = commits()
    house.policy(policyOf({ subscribe: '{ topic: "a/#", share: [g] }', publish: 'elsewhere/#' }))
    await wire.ping()
    expect([wire.received.length, commits()]).toEqual([received + 1, before])
    sender.send(publishPacket('a/kept', '', { qos: 1, retain: true }))
    await sender.take('puback')
    wire.end()
    sender.end()
  })

  test('who may not have its client id any longer is ended with that reason, and who may stays', async () => {
    const identity = await fresh()
    const [own, suffixed] = [await connected(house, identity, { version }), await connected(house, identity, { version, clientId: `${identity.id}:2` })]
    house.policy(policyOf({ connect: 'clientId: [ "${device.id}" ]' }))
    if (version === 5) expect((await suffixed.take('disconnect')).reasonCode).toBe(0x87)
    await suffixed.ended
    await own.ping()
    expect(house.events.filter((e) => e.kind === 'session-closed')).toMatchObject([{ clientId: `${identity.id}:2`, reason: 'client-id-mismatch' }])
    own.end()
  })

  test('of more sessions than are granted the oldest stay', async () => {
    const identity = await fresh()
    const wires = [await connected(house, identity, { version }), await connected(house, identity, { version, clientId: `${identity.id}:2` }), await connected(house, identity, { version, clientId: `${identity.id}:3` })] as const
    house.policy(policyOf({ connect: 'sessions: 2' }))
    if (version === 5) expect((await wires[2].take('disconnect')).reasonCode).toBe(0x97)
    await wires[2].ended
    await wires[0].ping()
    await wires[1].ping()
    wires[0].end()
    wires[1].end()
  })

  test('a device whose attributes change loses and gains by them, at once', async () => {
    const identity = await fresh()
    await house.regroup(identity.id, ['sensors'], { line: 'a' })
    house.policy(policyOf({ subscribe: '"${device.attr.line}/#"' }))
    const wire = await connected(house, identity, { version })
    await subscribe(wire, { topic: 'a/#', qos: 1 })
    await house.regroup(identity.id, ['sensors'], { line: 'b' })
    expect(await subscribe(wire, { topic: 'b/#', qos: 1 })).toEqual([1])
    await say(version, 1, 'a/1', 'b/1')
    await wire.take('publish', (p) => p.topic === 'b/1')
    expect(payloads(wire)).toEqual(['b/1'])
    expect(lost(identity)).toEqual(['a/#'])
    wire.end()
  })
})

test('MQTT 5: a client that gives up what it lost hears that it had it no longer, and that it has the other one', async () => {
  const wire = await connected(house, await fresh(), { version: 5 })
  await subscribe(wire, 'a/#', 'b/#')
  house.policy(policyOf({ subscribe: 'b/#' }))
  wire.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: ['a/#', 'b/#'] })
  expect((await wire.take('unsuback')).granted).toEqual([0x11, 0])
  wire.end()
})

test('MQTT 5: who loses its part in a share is passed over, and who has another one gets everything', async () => {
  const [one, two] = [await fresh(), await fresh()]
  const wires = [await connected(house, one, { version: 5 }), await connected(house, two, { version: 5 })] as const
  for (const wire of wires) await subscribe(wire, { topic: '$share/g/a/#', qos: 1 })
  house.policy(policyOf({ deny: 'subscribe: [ "a/#" ]' }).replace('id: taken, to: { group: sensors }', `id: taken, to: { device: ${one.id} }`))
  await say(5, 1, 'a/1', 'a/2', 'a/3', 'a/4')
  await wires[1].take('publish', (p) => p.topic === 'a/4')
  await wires[0].ping()
  expect([payloads(wires[0]), payloads(wires[1])]).toEqual([[], ['a/1', 'a/2', 'a/3', 'a/4']])
  expect(lost(one)).toEqual(['$share/g/a/#'])
  for (const wire of wires) wire.end()
})

describe.each(versions)('MQTT %s, kept', (version) => {
  test('and away: the filter goes, and what waits for it alone; the rest is there', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, { topic: 'a/+', qos: 2 }, { topic: 'a/x', qos: 2 }, { topic: 'b/#', qos: 2 })
    await broken(wire)
    await say(version, 1, 'a/x', 'a/y', 'b/1')
    house.policy(policyOf({ subscribe: '{ topic: "a/#", wildcard: forbid }, b/#' }))
    expect(await house.heard((e) => isLoss(e) && e.device === identity.id)).toMatchObject({ filter: 'a/+', clientId: identity.id })
    house.policy(policyOf())
    await say(version, 1, 'a/z', 'a/x')
    const again = await connected(house, identity, kept(version))
    expect(again.connack.sessionPresent).toBe(true)
    await again.take('publish', (p) => p.topic === 'a/x')
    await again.take('publish', (p) => p.topic === 'a/x')
    await again.ping()
    expect(payloads(again)).toEqual(['a/x', 'b/1', 'a/x'])
    again.end()
  })

  test('what changed while nobody served is found at the start, before anybody comes back', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, { topic: 'a/#', qos: 1 }, { topic: 'b/#', qos: 1 })
    await broken(wire)
    await say(version, 1, 'a/1', 'b/1')
    await house.restart(policyOf({ subscribe: 'b/#' }))
    await house.heard((e) => isLoss(e) && e.device === identity.id && e.filter === 'a/#')
    house.policy(policyOf())
    const again = await connected(house, identity, kept(version))
    await say(version, 1, 'a/2', 'b/2')
    await again.take('publish', (p) => p.topic === 'b/2')
    expect(payloads(again)).toEqual(['b/1', 'b/2'])
    again.end()
  })

  test('a change of its device reaches a session that is away, and none of another device', async () => {
    const [identity, other] = [await fresh(), await fresh()]
    for (const one of [identity, other]) {
      const wire = await connected(house, one, kept(version))
      await subscribe(wire, { topic: 'a/#', qos: 1 })
      await broken(wire)
    }
    house.forget()
    await house.regroup(identity.id, ['nobodies'])
    await house.heard((e) => isLoss(e) && e.device === identity.id)
    await house.regroup(identity.id, ['sensors'])
    await say(version, 1, 'a/1')
    for (const [one, heard] of [[identity, []], [other, ['a/1']]] as const) {
      const again = await connected(house, one, kept(version))
      await subscribe(again, { topic: 'b/#', qos: 1 })
      await say(version, 1, 'b/mark')
      await again.take('publish', (p) => p.topic === 'b/mark')
      expect(payloads(again).filter((p) => p !== 'b/mark')).toEqual(heard)
      again.end()
    }
    expect(lost(identity)).toEqual(['a/#'])
  })

  test('a QoS that is lowered holds for what is published from then on, for those who are away, too', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, { topic: 'a/#', qos: 2 })
    await broken(wire)
    const before = gate.commits.length
    house.policy(policyOf({ subscribe: '{ topic: "a/#", qos: 1 }' }))
    await gate.asked((change) => change.kind === 'session-narrowed' && change.key.includes(`/${identity.id}/`))
    expect(gate.commits.slice(before).flat().filter((c) => c.kind === 'session-narrowed' && c.key.includes(`/${identity.id}/`))).toMatchObject([{ lost: [], lowered: [{ filter: 'a/#', qos: 1 }] }])
    house.policy(policyOf())
    await say(version, 2, 'a/1')
    const again = await connected(house, identity, kept(version))
    expect((await again.take('publish')).qos).toBe(1)
    again.end()
  })

  test('and connected: what waits in the store for a lost filter is not sent, now or later', async () => {
    const identity = await fresh()
    const options = version === 5 ? { ...kept(5), properties: { sessionExpiryInterval: 600, receiveMaximum: 1 } } : kept(version)
    const wire = await connected(house, identity, { ...options, acknowledge: false })
    await subscribe(wire, { topic: 'a/+', qos: 1 }, { topic: 'a/x', qos: 1 })
    await say(version, 1, 'a/first', 'a/y', 'a/x')
    await wire.take('publish', (p) => p.topic === 'a/first')
    house.policy(policyOf({ subscribe: '{ topic: "a/#", wildcard: forbid }' }))
    await gate.asked((change) => change.kind === 'session-narrowed' && change.key.includes(`/${identity.id}/`))
    await broken(wire)
    const again = await connected(house, identity, kept(version))
    await again.take('publish', (p) => p.topic === 'a/x')
    await again.ping()
    expect(payloads(again)).toEqual(['a/x'])
    again.end()
  })

  test('a message of QoS 2 that was sent before its filter was lost is not sent again: its receiver is told to let go of the packet id', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { ...kept(version), acknowledge: false })
    await subscribe(wire, { topic: 'a/+', qos: 2 })
    await say(version, 2, 'a/1')
    const { messageId } = await wire.take('publish')
    await broken(wire)
    house.policy(policyOf({ subscribe: 'b/#' }))
    await gate.asked((change) => change.kind === 'session-narrowed' && change.key.includes(`/${identity.id}/`))
    const again = await connected(house, identity, kept(version))
    expect((await again.take('pubrel')).messageId).toBe(messageId)
    await again.ping()
    expect(payloads(again)).toEqual([])
    again.end()
  })
})

test('who goes away before its turn has come loses all the same', async () => {
  const crowd: Wire[] = []
  for (let i = 0; i < 40; i++) crowd.push(await connected(house, await fresh(), { version: 4 }))
  const identity = await fresh()
  const wire = await connected(house, identity, kept(5))
  await subscribe(wire, { topic: 'a/#', qos: 1 }, { topic: 'b/#', qos: 1 })
  // One session for each turn of the event loop: the slice of work is over as soon as it has begun.
  let ms = 0
  const slow = vi.spyOn(performance, 'now').mockImplementation(() => (ms += 1_000))
  house.policy(policyOf({ subscribe: 'b/#' }))
  await broken(wire)
  slow.mockRestore()
  await house.heard((e) => isLoss(e) && e.device === identity.id)
  house.policy(policyOf())
  await say(5, 1, 'a/1', 'b/1')
  const again = await connected(house, identity, kept(5))
  await again.take('publish', (p) => p.topic === 'b/1')
  await again.ping()
  expect([payloads(again), lost(identity)]).toEqual([['b/1'], ['a/#']])
  for (const one of [...crowd, again]) one.end()
})

test('while the store does not answer, what is lost is lost all the same', async () => {
  const identity = await fresh()
  const wire = await connected(house, identity, kept(5))
  await subscribe(wire, { topic: 'a/+', qos: 1 }, { topic: 'a/x', qos: 0 })
  const sender = await connected(house, speaker, { version: 5, clientId: `speaker:${++count}` })
  gate.close()
  // On its way into the queue of the session when the right ends.
  sender.send(publishPacket('a/y', 'under way', { qos: 1 }))
  await sender.ping()
  house.policy(policyOf({ subscribe: '{ topic: "a/#", wildcard: forbid }' }))
  sender.send(publishPacket('a/y', 'after', { qos: 1 }), publishPacket('a/x', 'zero', { qos: 0 }))
  await wire.take('publish', (p) => p.payload.toString() === 'zero')
  gate.open()
  await sender.take('puback')
  await sender.take('puback')
  await wire.ping()
  await broken(wire)
  const again = await connected(house, identity, kept(5))
  sender.send(publishPacket('a/x', 'mark', { qos: 0 }))
  await again.take('publish', (p) => p.payload.toString() === 'mark')
  expect([payloads(wire), payloads(again)]).toEqual([['zero'], ['mark']])
  again.end()
  sender.end()
})
