// The CONNECT over the wire, in both versions: client ids, protocol names, credentials that do not count, deadlines, and
// what is said before and behind it.

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { HOUSE_POLICY, openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, openWire, publishPacket, subscribe, tryConnect, versions, type Version } from './wire.ts'

let house: House
let device: Identity
let other: Identity

beforeAll(async () => {
  house = await openHouse()
  device = await house.device('device')
  other = await house.device('other')
})
afterEach(() => {
  vi.useRealTimers()
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const idRefused = (version: Version): number => (version === 5 ? 0x85 : 2)
const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length >> 8, value.length & 255]), Buffer.from(value, 'latin1')])
const frame = (first: number, body: Buffer): Buffer => {
  if (body.length > 127) throw new Error('too long for this test')
  return Buffer.concat([Buffer.from([first, body.length]), body])
}
const rawConnect = (name: string, level: number, flags = 2, id = 'device'): Buffer => frame(0x10, Buffer.concat([text(name), Buffer.from([level, flags, 0, 60]), ...(level === 5 ? [Buffer.from([0])] : []), text(id)]))

describe.each(versions)('MQTT %s, client ids', (version) => {
  test('the device id, and the device id with a suffix, come in', async () => {
    for (const id of ['device', 'device:1', 'device:a.b-c']) expect(await tryConnect(house, device, connectPacket(id, version), { version }), id).toBe(0)
  })
  test.each(['other', 'devic', 'device:', 'devicex', 'Device', 'a/b', '../device', 'device:#', 'device:+', 'device:a ', 'device:\r\nx', 'device:\u202e', '<b>', 'default/device/x', `device:${'x'.repeat(200)}`, 'constructor', '__proto__'])('%j does not', async (id) => {
    expect(await tryConnect(house, device, connectPacket(id, version), { version })).toBe(idRefused(version))
    const refused = await house.refused(/^(device:[^1]|a\/b|\.\.|default|device:x)/.test(id) && id !== 'device:' ? 'client-id-invalid' : 'client-id-mismatch')
    expect(refused.clientId).not.toMatch(/[^\x20-\x7e…]/)
    expect(refused.device).toBe('device')
  })
  test('an empty one is given the device id where there is no session to keep', async () => {
    const wire = await connected(house, device, { version, clientId: '' })
    expect(wire.connack.properties?.assignedClientIdentifier).toBe(version === 5 ? 'device' : undefined)
    expect(house.broker.sessionCount).toBeGreaterThan(0)
    // It is the same session as the one that names itself.
    const named = await connected(house, device, { version })
    await wire.ended
    named.end()
  })
  test('an empty one with a session to keep is refused in 3.1.1 and assigned in 5', async () => {
    expect(await tryConnect(house, device, rawConnect('MQTT', version, 0, ''), { version })).toBe(version === 5 ? 0 : 2)
    if (version === 4) await house.refused('client-id-empty')
  })
  const keep = version === 5 ? ({ version, clean: false, properties: { sessionExpiryInterval: 60 } } as const) : ({ version, clean: false } as const)
  const admitted = (): readonly string[] => house.events.flatMap((e) => (e.kind === 'admission' ? [e.clientId] : []))
  const gone = async (): Promise<void> => {
    while (house.broker.sessionCount > 0) await new Promise((resolve) => void setImmediate(resolve))
  }

  test('an empty one does not wipe the session that is kept under the device id; when that has expired, the device id is free again', async () => {
    const identity = await house.device(`kept-${version}`)
    const first = await connected(house, identity, keep)
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 1 })
    first.end()
    await gone()
    house.forget()
    const nameless = await connected(house, identity, { version, clientId: '' })
    nameless.send(publishPacket(`t/${identity.id}/x`, 'waited', { qos: 1 }))
    await nameless.take('puback')
    nameless.end()
    expect(admitted()[0]).toMatch(new RegExp(`^${identity.id}:[0-9a-f-]{36}$`))
    const again = await connected(house, identity, keep)
    expect(again.connack.sessionPresent).toBe(true)
    expect((await again.take('publish')).payload.toString()).toBe('waited')
    again.end()
    await gone()
    house.rest(BROKER_LIMITS.sessionExpirySecondsMax * 1_000)
    house.forget()
    ;(await connected(house, identity, { version, clientId: '' })).end()
    expect(admitted()).toEqual([identity.id])
  })

  test('of many empty ones at once each has its own, and one has the device id', async () => {
    const identity = await house.device(`crowd-${version}`)
    house.forget()
    const wires = await Promise.all(Array.from({ length: 10 }, () => openWire(house, identity, { version })))
    for (const wire of wires) wire.send(connectPacket('', version))
    for (const wire of wires) await wire.ping()
    expect(new Set(admitted()).size).toBe(10)
    expect(admitted().filter((id) => id === identity.id)).toHaveLength(1)
    for (const wire of wires) wire.end()
  })

  test('an empty one is refused where the policy knows no other id than the device id, and that is in use', async () => {
    house.policy(HOUSE_POLICY.replace('to: { group: sensors }', 'to: { group: sensors }\n    connect: { clientId: ["${device.id}"] }'))
    const identity = await house.device(`lone-${version}`)
    const first = await connected(house, identity, { version, clientId: '' })
    expect(await tryConnect(house, identity, connectPacket('', version), { version })).toBe(idRefused(version))
    await first.ping()
    first.end()
    house.policy(HOUSE_POLICY)
  })
})

test.each(versions)('MQTT %s: a CONNECT that is no CONNECT leaves the session that it names alone', async (version) => {
  const first = await connected(house, device, { version })
  const whole = rawConnect('MQTT', version)
  for (const bytes of [frame(0x10, Buffer.concat([whole.subarray(2), Buffer.from([0])])), frame(0x10, Buffer.concat([whole.subarray(2), text('name')]))]) {
    expect(await tryConnect(house, device, bytes, { version })).toBe('closed')
    await house.refused('malformed-packet')
    house.forget()
  }
  await first.ping()
  expect(await tryConnect(house, device, whole, { version })).toBe(0)
  await first.ended
})

describe.each(versions)('MQTT %s, take-over', (version) => {
  test('by the same device leaves exactly one, and what was on its way is not lost', async () => {
    const options = version === 5 ? { version, clean: false, properties: { sessionExpiryInterval: 60 } } : { version, clean: false }
    const first = await connected(house, device, { ...options, acknowledge: false })
    await subscribe(first, 't/device/#')
    const sender = await connected(house, device, { version, clientId: 'device:sender' })
    sender.send(publishPacket('t/device/x', 'unacknowledged', { qos: 1 }))
    await first.take('publish')
    const second = await connected(house, device, options)
    if (version === 5) expect((await first.take('disconnect')).reasonCode).toBe(0x8e)
    await first.ended
    expect(await second.take('publish')).toMatchObject({ dup: true, qos: 1 })
    await second.ping()
    expect(house.broker.sessionCount).toBe(2)
    sender.end()
    second.end()
    ;(await connected(house, device, { ...options, clean: true })).end()
  })

  test('by 20 connections at once leaves exactly one', async () => {
    const wires = await Promise.all(Array.from({ length: 20 }, () => openWire(house, device, { version })))
    for (const wire of wires) wire.send(connectPacket('device', version))
    const alive = async (): Promise<number> => {
      await Promise.allSettled(wires.map((w) => w.ping()))
      return wires.filter((w) => w.open).length
    }
    while ((await alive()) > 1) await new Promise((resolve) => void setImmediate(resolve))
    expect(wires.filter((w) => w.open)).toHaveLength(1)
    expect(house.broker.sessionCount).toBe(1)
    for (const wire of wires) wire.end()
  })

  test('a war over one client id is bounded by a rate, and told', async () => {
    let refusedWith: number | 'closed' = 0
    for (let i = 0; i <= 2 * BROKER_LIMITS.deviceConnectBurst && refusedWith === 0; i++) refusedWith = await tryConnect(house, device, connectPacket('device', version), { version })
    expect(refusedWith).toBe(version === 5 ? 0x9f : 3)
    await house.refused('connect-rate')
    expect(await tryConnect(house, other, connectPacket('other', version), { version })).toBe(0)
  })
})

describe('credentials that do not count', () => {
  test.each(versions)('MQTT %s: a user name and a password of somebody else change nothing, and the password is nowhere', async (version) => {
    const wire = await connected(house, device, { version, username: 'other', password: Buffer.from('hunter2-secret') })
    const admission = house.events.find(({ kind }) => kind === 'admission')
    expect(admission).toMatchObject({ kind: 'admission', device: 'device', usernameIgnored: true })
    expect(await subscribe(wire, 't/other/#')).toEqual([version === 5 ? 0x87 : 0x80])
    expect(await tryConnect(house, device, connectPacket('other', version, { username: 'other', password: Buffer.from('hunter2-secret') }), { version })).toBe(idRefused(version))
    expect(JSON.stringify([house.events, house.logged])).not.toContain('hunter2')
    wire.end()
  })
  test('without a certificate the right password opens nothing', async () => {
    expect(await tryConnect(house, undefined, connectPacket('device', 4, { username: 'device', password: Buffer.from('right') }))).toBe('closed')
    await house.refused('tls-no-certificate')
  })
  test('enhanced authentication is answered 0x8C', async () => {
    expect(await tryConnect(house, device, connectPacket('device', 5, { properties: { authenticationMethod: 'SCRAM-SHA-256' } }), { version: 5 })).toBe(0x8c)
    await house.refused('authentication-method')
  })
})

describe('protocol name and level', () => {
  test.each<[string, Buffer]>([
    ['MQTT 3.1', rawConnect('MQIsdp', 3)],
    ['MQIsdp with level 4', rawConnect('MQIsdp', 4)],
    ['MQTT with level 3', rawConnect('MQTT', 3)],
    ['MQTT with level 6', rawConnect('MQTT', 6)],
    ["level 4 with a bridge's bit", rawConnect('MQTT', 0x84)],
    ['another name', rawConnect('AMQP', 4)],
  ])('%s is answered 0x01', async (_, bytes) => {
    expect(await tryConnect(house, device, bytes)).toBe(1)
    await house.refused('protocol-version')
    expect(house.events.some((e) => e.kind === 'admission')).toBe(false)
  })
  test('MQTT 3.1.1 written by the same hand comes in, and with its reserved flag set it does not', async () => {
    expect(await tryConnect(house, device, rawConnect('MQTT', 4))).toBe(0)
    expect(await tryConnect(house, device, rawConnect('MQTT', 4, 3))).toBe('closed')
    await house.refused('malformed-packet')
  })
  test('a Will of QoS 3 is refused', async () => {
    const bytes = frame(0x10, Buffer.concat([text('MQTT'), Buffer.from([4, 0b0001_1110, 0, 60]), text('device'), text('state/device'), text('x')]))
    expect(await tryConnect(house, device, bytes)).not.toBe(0)
  })
  test('an empty Will topic is refused', async () => {
    const bytes = frame(0x10, Buffer.concat([text('MQTT'), Buffer.from([4, 0b0000_0110, 0, 60]), text('device'), text(''), text('x')]))
    expect(await tryConnect(house, device, bytes)).toBe(5)
    await house.refused('will-invalid')
  })
  test('a client id with NUL or bytes that are no UTF-8 is refused', async () => {
    for (const id of ['device:\0', 'device:\xc0\xaf']) expect(await tryConnect(house, device, rawConnect('MQTT', 4, 2, id))).toBe(2)
  })
})

describe.each(versions)('MQTT %s, order', (version) => {
  test.each<[string, number]>([['PUBLISH', 0x30], ['SUBSCRIBE', 0x82], ['PINGREQ', 0xc0], ['DISCONNECT', 0xe0], ['AUTH', 0xf0], ['CONNACK', 0x20], ['type 0', 0x00]])('%s before CONNECT ends the connection without an answer', async (_, first) => {
    const wire = await openWire(house, device, { version })
    wire.bytes([first, 0])
    await wire.ended
    expect(wire.received).toEqual([])
    expect(house.refusals()[0]).toMatch(/protocol-error|malformed-packet/)
  })
  test('a second CONNECT ends the session', async () => {
    const wire = await connected(house, device, { version })
    wire.send(connectPacket('device', version))
    if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x82)
    await wire.ended
    expect((await house.refused('protocol-error')).detail).toBe('second CONNECT')
  })
  test('a CONNECT that is announced and never finished is ended at the deadline, and so is silence', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const silent = await openWire(house, device, { version })
    const half = await openWire(house, device, { version })
    half.bytes([0x10, 60, 0, 4])
    // Both are with the engine when a third one is admitted.
    const third = await connected(house, other, { version })
    await third.ping()
    vi.advanceTimersByTime(BROKER_LIMITS.connectMs)
    await Promise.all([silent.ended, half.ended])
    expect(house.refusals()).toEqual(['connect-timeout', 'connect-timeout'])
    await third.ping()
    third.end()
  })
})

describe.each(versions)('MQTT %s, keep-alive', (version) => {
  test('a session that is silent for one and a half times its keep-alive ends, and its Will fires', async () => {
    const watcher = await connected(house, await house.device(`watcher-${version}`, 'backend'), { version })
    await subscribe(watcher, 'state/#')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const wire = await connected(house, device, { version, keepalive: 10, will: { topic: 'state/device', payload: Buffer.from('silent'), qos: 0, retain: false } })
    await wire.ping()
    vi.advanceTimersByTime(14_000)
    await wire.ping()
    vi.advanceTimersByTime(14_000)
    // What the gate answers itself counts as a sign of life.
    await subscribe(wire, 't/other/#')
    vi.advanceTimersByTime(14_000)
    expect(wire.open).toBe(true)
    vi.advanceTimersByTime(1_002)
    await wire.ended
    expect((await watcher.take('publish')).payload.toString()).toBe('silent')
    watcher.end()
  })
  test.each([0, 65_535])('%s seconds are bounded', async (keepalive) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const wire = await connected(house, device, { version, keepalive })
    expect(wire.connack.properties?.serverKeepAlive).toBe(version === 5 ? BROKER_LIMITS.keepAliveSecondsMax : undefined)
    vi.advanceTimersByTime(BROKER_LIMITS.keepAliveSecondsMax * 1_500 - 1_000)
    expect(wire.open).toBe(true)
    vi.advanceTimersByTime(1_002)
    await wire.ended
  })
})

describe('what the policy says of connecting', () => {
  test('a device without any grant is refused, and so is one session too many', async () => {
    const lonely = await house.device('lonely', 'nobody')
    expect(await tryConnect(house, lonely, connectPacket('lonely', 5), { version: 5 })).toBe(0x87)
    await house.refused('no-grant')
    house.policy(HOUSE_POLICY.replace('to: { group: sensors }', 'to: { group: sensors }\n    connect: { sessions: 2 }'))
    const wires = [await connected(house, device, { clientId: 'device:1' }), await connected(house, device, { clientId: 'device:2' })]
    expect(await tryConnect(house, device, connectPacket('device:3', 5), { version: 5 })).toBe(0x97)
    // Taking over one's own session needs no room.
    ;(await connected(house, device, { clientId: 'device:2' })).end()
    for (const wire of wires) wire.end()
    house.policy(HOUSE_POLICY)
  })
  test('a device has an end of sessions that are kept for it', async () => {
    const many = await house.device('many')
    for (let i = 0; i < BROKER_LIMITS.sessionsPerDeviceMax; i++) {
      const wire = await connected(house, many, { clientId: `many:${i}`, clean: false })
      await subscribe(wire, 't/many/#')
      wire.end()
      await wire.ended
    }
    const more = connectPacket('many:more', 5, { properties: { sessionExpiryInterval: 60 } })
    expect(await tryConnect(house, many, more, { version: 5 })).toBe(0x97)
    house.rest()
    // One that is not kept needs no room, and one that ends makes some.
    ;(await connected(house, many, { clientId: 'many:clean' })).end()
    ;(await connected(house, many, { clientId: 'many:0', clean: true })).end()
    expect(await tryConnect(house, many, more, { version: 5 })).toBe(0)
  })
  test('a Session Expiry beyond the grant is lowered and said', async () => {
    house.policy(HOUSE_POLICY.replace('to: { group: sensors }', 'to: { group: sensors }\n    connect: { sessionExpiryMax: 1h }'))
    const wire = await connected(house, device, { version: 5, properties: { sessionExpiryInterval: 0xffffffff } })
    expect(wire.connack.properties?.sessionExpiryInterval).toBe(3_600)
    wire.end()
    house.policy(HOUSE_POLICY)
    const free = await connected(house, other, { version: 5, properties: { sessionExpiryInterval: 0xffffffff } })
    expect(free.connack.properties?.sessionExpiryInterval).toBe(BROKER_LIMITS.sessionExpirySecondsMax)
    free.end()
  })
})

test('what MQTT 5 is told at the end arrives, also behind an answer that is still on its way', async () => {
  const wire = await connected(house, device, { version: 5 })
  wire.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'secret/#', qos: 0 }] }, publishPacket('a/+', 'x'))
  await wire.ended
  expect(wire.received.slice(1).map((p) => p.cmd === 'disconnect' ? p.reasonCode : p.cmd)).toEqual(['suback', 0x90])
})

test('the longest keep-alive is the operator\'s to choose; a shorter one is the client\'s', async () => {
  await using strict = await openHouse({ keepAliveSecondsMax: 60 })
  const identity = await strict.device('pulse')
  const given = async (keepalive: number): Promise<number | undefined> => {
    const wire = await connected(strict, identity, { version: 5, keepalive })
    wire.end()
    return wire.connack.properties?.serverKeepAlive
  }
  expect([await given(120), await given(0), await given(61), await given(60), await given(30)]).toEqual([60, 60, 60, undefined, undefined])
})
