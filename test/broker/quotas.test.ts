// What one device may hold in memory, over the wire: retained messages, sessions, subscriptions, and how long and for whom a
// session is kept. Each bound beside what it leaves room for.

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { DeviceId } from '../../src/core/ids.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { HOUSE_POLICY, openHouse, type House, type Identity } from './house.ts'
import { codeOf, connected, connectPacket, kept, nextId, openWire, payloads, publishPacket, subscribe, tryConnect, versions, type Version, type Wire } from './wire.ts'

let house: House
let backend: Identity
let count = 0
const fresh = (group?: string): Promise<Identity> => house.device(`device-${++count}`, group)

beforeAll(async () => {
  house = await openHouse()
  backend = await house.device('backend', 'backend')
})
afterEach(() => {
  vi.useRealTimers()
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

/** A session that goes on without its connection, in the words of the version. */
async function left(wire: Wire): Promise<void> {
  wire.end()
  await wire.ended
  // The broker closes its side in a turn of its own; a round trip of somebody else shows that it has had one.
  const other = await connected(house, backend, { clientId: `backend:${++count}` })
  await other.ping()
  other.end()
}

describe('retained messages', () => {
  const PAYLOAD = Buffer.alloc(255 * 1_024, 'x')
  const fits = Math.floor(BROKER_LIMITS.retainedBytesPerDeviceMax / (PAYLOAD.length + 32))

  /** Leaves as many as there is room for; returns the wire that did. */
  async function hoard(identity: Identity): Promise<Wire> {
    const wire = await connected(house, identity, { version: 5 })
    for (let i = 0; i < fits; i++) expect((await retain(wire, `t/${identity.id}/${i}`, PAYLOAD)).reasonCode).toBe(0)
    return wire
  }
  async function retain(wire: Wire, topic: string, payload: string | Buffer, qos: 1 | 2 = 1) {
    const packet = publishPacket(topic, payload, { qos, retain: true })
    wire.send(packet)
    return qos === 1 ? wire.take('puback', (p) => p.messageId === packet.messageId) : wire.take('pubrec', (p) => p.messageId === packet.messageId)
  }

  test('of one device have an end: 0x97, audited, until one is cleared; those of another are kept', async () => {
    const [identity, other] = [await fresh(), await fresh()]
    const [topic, next] = [`t/${identity.id}/more`, `t/${identity.id}/next`]
    const wire = await hoard(identity)
    const refused = await retain(wire, topic, PAYLOAD)
    expect([refused.reasonCode, refused.properties?.reasonString]).toEqual([0x97, 'The client exceeded a quota of its session.'])
    expect((await house.refused('quota-exceeded')).topic).toBe(topic)
    // The session goes on: a topic that is held can be replaced, by as much and by less, and cleared.
    expect((await retain(wire, `t/${identity.id}/0`, PAYLOAD)).reasonCode).toBe(0)
    expect((await retain(wire, `t/${identity.id}/0`, 'smaller')).reasonCode).toBe(0)
    expect((await retain(wire, topic, PAYLOAD)).reasonCode).toBe(0)
    expect((await retain(wire, next, PAYLOAD)).reasonCode).toBe(0x97)
    expect((await retain(wire, `t/${identity.id}/1`, '')).reasonCode).toBe(0)
    expect((await retain(wire, next, PAYLOAD)).reasonCode).toBe(0)
    const stranger = await connected(house, other, { version: 5 })
    expect((await retain(stranger, `t/${other.id}/0`, PAYLOAD)).reasonCode).toBe(0)
    wire.end()
    stranger.end()
  })

  test('beyond the end are refused for QoS 2, with a packet id that is free again, and in no words for who wants none', async () => {
    const identity = await fresh()
    ;(await hoard(identity)).end()
    const wire = await connected(house, identity, { version: 5, properties: { requestProblemInformation: false } })
    const messageId = nextId()
    for (let i = 0; i < 2; i++) {
      wire.send(publishPacket(`t/${identity.id}/more`, PAYLOAD, { qos: 2, retain: true, messageId }))
      const refused = await wire.take('pubrec')
      expect([refused.reasonCode, refused.properties]).toEqual([0x97, undefined])
    }
    wire.end()
  })

  test('beyond the end are acknowledged and not retained in MQTT 3.1.1', async () => {
    const identity = await fresh()
    ;(await hoard(identity)).end()
    const wire = await connected(house, identity, { version: 4 })
    await retain(wire, `t/${identity.id}/more`, PAYLOAD)
    await house.refused('quota-exceeded', (e) => e.device === identity.id)
    await subscribe(wire, `t/${identity.id}/more`)
    await wire.ping()
    expect(payloads(wire)).toEqual([])
    wire.end()
  })

  test('beyond the end are not left by a Will either', async () => {
    const identity = await fresh()
    ;(await hoard(identity)).end()
    const wire = await connected(house, identity, { version: 5, will: { topic: `state/${identity.id}`, payload: PAYLOAD.subarray(0, 60_000), qos: 1, retain: true } })
    for (let i = 0; i < 3; i++) await retain(wire, `t/${identity.id}/rest-${i}`, PAYLOAD.subarray(0, 60_000))
    wire.end()
    expect((await house.refused('quota-exceeded', (e) => e.topic === `state/${identity.id}`)).detail).toBe('the Will was published and not retained')
  })
})

describe('sessions of one device', () => {
  test('have an end, connected and kept ones together; taking over and leaving need no room', async () => {
    const identity = await fresh()
    const wires: Wire[] = []
    for (let i = 0; i < BROKER_LIMITS.sessionsPerDeviceMax - 1; i++) wires.push(await connected(house, identity, { clientId: `${identity.id}:${i}` }))
    // One that is kept counts, though it subscribes to nothing.
    await left(await connected(house, identity, { ...kept(4), clientId: `${identity.id}:kept` }))
    house.rest()
    const more = connectPacket(`${identity.id}:more`, 5, { properties: { sessionExpiryInterval: 60 } })
    expect(await tryConnect(house, identity, more, { version: 5 })).toBe(0x97)
    expect((await house.refused('sessions-limit')).detail).toBe(`${BROKER_LIMITS.sessionsPerDeviceMax} connected or kept`)
    ;(await connected(house, identity, { ...kept(4), clientId: `${identity.id}:kept` })).end()
    wires.push(await connected(house, identity, { clientId: `${identity.id}:0` }))
    await wires[0]!.ended
    expect(await tryConnect(house, identity, more, { version: 5 })).toBe(0x97)
    await left(wires.pop()!)
    expect(await tryConnect(house, identity, more, { version: 5 })).toBe(0)
    for (const wire of wires) wire.end()
  })
})

describe('subscriptions of one device', () => {
  const max = BROKER_LIMITS.subscriptionsPerDeviceMax
  async function fill(wire: Wire, device: string, from: number, to: number): Promise<void> {
    for (let i = from; i < to; i += BROKER_LIMITS.filtersPerSubscribeMax) {
      const filters = Array.from({ length: Math.min(BROKER_LIMITS.filtersPerSubscribeMax, to - i) }, (_, j) => `t/${device}/${i + j}`)
      expect(await subscribe(wire, ...filters)).toEqual(filters.map(() => 1))
    }
  }

  test('have an end over all its sessions, those that are kept included', async () => {
    const identity = await fresh()
    const [one, two] = [await connected(house, identity, { version: 5, clientId: `${identity.id}:1` }), await connected(house, identity, { ...kept(5, true), clientId: `${identity.id}:2` })]
    await fill(one, identity.id, 0, max / 2)
    await fill(two, identity.id, 0, max / 2)
    expect(await subscribe(two, `t/${identity.id}/more`, `t/${identity.id}/0`)).toEqual([0x97, 1])
    await house.refused('quota-exceeded')
    // The clean one leaves and makes room; the kept one leaves and does not.
    await left(one)
    await left(two)
    const three = await connected(house, identity, { ...kept(5, true), clientId: `${identity.id}:3` })
    await fill(three, identity.id, 0, max / 2)
    expect(await subscribe(three, `t/${identity.id}/more`)).toEqual([0x97])
    const stranger = await fresh()
    const other = await connected(house, stranger, { version: 5 })
    await fill(other, stranger.id, 0, 1)
    const again = await connected(house, identity, { ...kept(5, false, 0), clientId: `${identity.id}:2` })
    expect(again.connack.sessionPresent).toBe(true)
    expect(await subscribe(again, `t/${identity.id}/more`)).toEqual([0x97])
    await left(again)
    expect(await subscribe(three, `t/${identity.id}/more`)).toEqual([1])
    three.end()
    other.end()
  })

  test.each(versions)('have an end also when all are asked for at once, MQTT %s', async (version) => {
    const identity = await fresh()
    const wire = await connected(house, identity, kept(version))
    const perPacket = BROKER_LIMITS.filtersPerSubscribeMax
    const packets = Array.from({ length: max / perPacket + 3 }, (_, i) =>
      ({ cmd: 'subscribe' as const, messageId: nextId(), subscriptions: Array.from({ length: perPacket }, (_, j) => ({ topic: `t/${identity.id}/${i}-${j}`, qos: 1 as const })) }))
    wire.send(...packets)
    const granted: unknown[] = []
    for (const { messageId } of packets) granted.push(...(await wire.take('suback', (p) => p.messageId === messageId)).granted)
    expect(granted.filter((code) => code === 1)).toHaveLength(max)
    wire.send({ cmd: 'disconnect' })
    await wire.ended
  })
})

describe('how long a session is kept', () => {
  const limited = (seconds: string): string => HOUSE_POLICY.replace('to: { group: sensors }', `to: { group: sensors }\n    connect: { sessionExpiryMax: ${seconds} }`)

  /** Is the session there so many seconds after it was left? */
  async function isThere(identity: Identity, version: Version, open: Parameters<typeof connected>[2], seconds: number, expiryAtDisconnect?: number): Promise<boolean> {
    const wire = await connected(house, identity, open)
    await subscribe(wire, `t/${identity.id}/#`)
    wire.send({ cmd: 'disconnect', ...(expiryAtDisconnect === undefined ? {} : { reasonCode: 0, properties: { sessionExpiryInterval: expiryAtDisconnect } }) })
    await left(wire)
    house.rest(seconds * 1_000)
    const again = await connected(house, identity, { version, clean: false })
    const present = again.connack.sessionPresent
    again.end()
    await again.ended
    ;(await connected(house, identity, { version: 4, clean: true })).end()
    return present
  }

  test('in MQTT 3.1.1 is as long as the server keeps any, and no longer than the policy says', async () => {
    const identity = await fresh()
    const max = BROKER_LIMITS.sessionExpirySecondsMax
    expect(await isThere(identity, 4, kept(4), max - 1)).toBe(true)
    expect(await isThere(identity, 4, kept(4), max + 1)).toBe(false)
    house.policy(limited('1h'))
    house.rest()
    expect(await isThere(identity, 4, kept(4), 3_599)).toBe(true)
    expect(await isThere(identity, 4, kept(4), 3_601)).toBe(false)
    house.policy(HOUSE_POLICY)
  })

  test('is not made longer than granted by DISCONNECT', async () => {
    const identity = await fresh()
    expect(await isThere(identity, 5, kept(5, true, 60), 3_601, 7_200)).toBe(true)
    house.policy(limited('1h'))
    expect(await isThere(identity, 5, kept(5, true, 60), 3_599, 7_200)).toBe(true)
    house.rest()
    expect(await isThere(identity, 5, kept(5, true, 60), 3_601, 7_200)).toBe(false)
    house.policy(HOUSE_POLICY)
  })

  test('is not changed from nothing by DISCONNECT [MQTT-3.14.2-2]', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version: 5 })
    wire.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } })
    expect((await wire.take('disconnect')).reasonCode).toBe(0x82)
    await house.refused('protocol-error')
    // To say again that it ends is no error.
    const fine = await connected(house, identity, { version: 5 })
    fine.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
    await fine.ended
    expect(fine.received.map((p) => p.cmd)).toEqual(['connack'])
  })
})

describe.each(versions)('for whom a session is kept, MQTT %s', (version) => {
  const published = async (topic: string, payload: string): Promise<void> => {
    const sender = await connected(house, backend, { version: 5, clientId: `backend:${++count}` })
    sender.send(publishPacket(topic, payload, { qos: 1 }))
    await sender.take('puback')
    await sender.ping()
    sender.end()
  }

  test('not for a device without a certificate in force: a new certificate finds nothing of the old session', async () => {
    for (const isAway of [true, false]) {
      const identity = await fresh()
      const wire = await connected(house, identity, kept(version))
      await subscribe(wire, `t/${identity.id}/#`)
      if (isAway) await left(wire)
      await published(`t/${identity.id}/x`, 'before')
      await house.revoke(identity)
      await wire.ended
      await published(`t/${identity.id}/x`, 'after')
      const renewed = await house.certify(identity.id)
      const again = await connected(house, renewed, kept(version))
      expect(again.connack.sessionPresent).toBe(false)
      await subscribe(again, `t/${identity.id}/#`)
      await again.ping()
      expect(payloads(again)).toEqual([])
      again.end()
    }
  })

  test('for a device that has another certificate in force', async () => {
    const identity = await fresh()
    const second = await house.certify(identity.id)
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, `t/${identity.id}/#`)
    await left(wire)
    await house.revoke(identity)
    await published(`t/${identity.id}/x`, 'waits')
    const again = await connected(house, second, kept(version))
    expect(again.connack.sessionPresent).toBe(true)
    expect((await again.take('publish')).payload.toString()).toBe('waits')
    again.end()
  })

  test('not for a device that is retired; for one that is suspended', async () => {
    const [retired, suspended] = [await fresh(), await fresh()]
    for (const identity of [retired, suspended]) {
      const wire = await connected(house, identity, kept(version))
      await subscribe(wire, `t/${identity.id}/#`)
      await left(wire)
    }
    await house.state(retired.id, 'retired')
    await house.state(suspended.id, 'suspended')
    const gone = (): readonly string[] => house.logged.filter((line) => line.includes('cannot come back is gone'))
    await vi.waitFor(() => expect(gone().some((line) => line.includes(retired.id))).toBe(true))
    expect(gone().some((line) => line.includes(suspended.id))).toBe(false)
  })

  test('what came while a device was suspended, and it may not hear any more, is not delivered when it comes back', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, 'open/#', `t/${identity.id}/#`)
    await house.state(identity.id, 'suspended')
    await wire.ended
    await published('open/x', 'not for it any more')
    await published(`t/${identity.id}/x`, 'still for it')
    house.policy(HOUSE_POLICY.replace('{ topic: "open/#", qos: 2, share: ["*"] }, { topic: "one/#"', '{ topic: "one/#"'))
    await house.state(identity.id, 'active')
    const again = await connected(house, identity, kept(version))
    expect((await again.take('publish')).payload.toString()).toBe('still for it')
    await again.ping()
    expect(payloads(again)).toEqual(['still for it'])
    again.end()
    house.policy(HOUSE_POLICY)
  })
})

test('until CONNACK a message behind the CONNECT is held to the smaller bound; after it, it is not', async () => {
  const big = publishPacket('open/x', Buffer.alloc(100_000), { qos: 1 })
  const early = await openWire(house, backend, { version: 5 })
  early.send(connectPacket('backend', 5), big)
  await early.ended
  await house.refused('packet-too-large')
  const patient = await openWire(house, backend, { version: 5 })
  patient.send(connectPacket('backend', 5))
  expect(codeOf(await patient.take('connack'), 5)).toBe(0)
  patient.send(big)
  expect((await patient.take('puback')).reasonCode).toBe(0)
  patient.end()
})

test('how many sessions a device has lost is not forgotten by the timer of an earlier change', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const identity = await fresh()
  for (let i = 0; i < 2; i++) {
    const wire = await connected(house, identity, { version: 5 })
    await house.state(identity.id, 'suspended')
    await wire.ended
    await house.state(identity.id, 'active')
    vi.advanceTimersByTime(BROKER_LIMITS.drainMs - 1_000)
  }
  expect(await house.broker.closed({ device: identity.id as DeviceId })).toBe(2)
  const third = await connected(house, identity, { version: 5 })
  await house.state(identity.id, 'suspended')
  await third.ended
  vi.advanceTimersByTime(BROKER_LIMITS.drainMs + 1)
  expect(await house.broker.closed({ device: identity.id as DeviceId })).toBe(0)
})
