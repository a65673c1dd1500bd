// Chapters 3.12 to 3.15, 4.8 and 4.12 to 4.13: PINGREQ, DISCONNECT, AUTH, and what follows from an error.

import { describe, expect, test, vi } from 'vitest'
import { connected, connectPacket, payloads, publishPacket, subscribe, versions } from '../wire.ts'
import { cut, field, frame, openStage, properties, publishAll, rawConnect, rawConnected, rawWire, u32 } from './raw.ts'

const at = openStage()
const DISCONNECT_CODES = [0x00, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2]

describe.each(versions)('MQTT %s', (version) => {
  test('[MQTT-3.12.4-1] every PINGREQ is answered with PINGRESP: two bytes, in its turn', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    wire.bytes([0xc0, 0], [0xc0, 0], frame(0x32, field('t/sensor/x'), [0, 1], properties(version)), [0xc0, 0])
    for (let i = 0; i < 3; i++) expect((await wire.next('pingresp')).hex).toBe('d000')
    await wire.next('puback')
    wire.end()
  })

  test('[MQTT-4.8.0-1 in 3.1.1] [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.2-1] [MQTT-3.14.4-1 in 5] [MQTT-3.14.4-2 in 5] who breaks the protocol is closed; MQTT 5 hears why, and nothing behind it', async () => {
    const faults = [
      frame(0x30, field('a/+'), properties(version)), frame(0x36, field('t/sensor/x'), [0, 1], properties(version)), frame(0x82, [0, 0], properties(version), field('t/sensor/x'), [0]),
      frame(0x20, [0, 0]), frame(0x10, field('MQTT'), [version, 2, 0, 60], properties(version), field('sensor')), Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    ]
    for (const bytes of faults) {
      const wire = await rawConnected(at.house, at.sensor, { version })
      wire.bytes(bytes, [0xc0, 0])
      await wire.ended
      expect(wire.types(), bytes.toString('hex')).toEqual(version === 5 ? [2, 14] : [2])
      if (version === 5) expect(DISCONNECT_CODES).toContain(wire.frames[1]!.body[0])
    }
  })

  test('[MQTT-4.2.0-1 in 5] [MQTT-7.1.1-1 in 3.1.1] [MQTT-7.0.0-2 in 3.1.1] TLS over TCP carries packets however they are cut: byte by byte, and many at once', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version })
    await subscribe(wire, { topic: 't/sensor/#', qos: 0 })
    for (const byte of frame(0x30, field('t/sensor/x'), properties(version), Buffer.from('in pieces'))) wire.bytes([byte])
    wire.bytes(...Array.from({ length: 10 }, (_, i) => frame(0x30, field('t/sensor/x'), properties(version), Buffer.from(String(i)))))
    await wire.take('publish', (p) => p.payload.toString() === '9')
    expect(payloads(wire)).toEqual(['in pieces', ...Array.from({ length: 10 }, (_, i) => String(i))])
    wire.end()
  })

  test('[MQTT-4.8.0-2 in 3.1.1] [MQTT-3.2.2-6 in 3.1.1] an error of the server while it handles a packet closes the connection, and no other; the same packet is served afterwards', async () => {
    const bystander = await at.another({ version })
    const failing = vi.spyOn(at.house.home.view, 'device').mockImplementation(() => {
      throw new Error('the registry cannot be read')
    })
    const wire = await rawWire(at.house, at.sensor, { version })
    wire.send(connectPacket('sensor', version))
    await wire.ended
    expect(wire.types()).not.toContain(13)
    expect(wire.frames.filter((f) => f.first === 0x20 && f.body[1] === 0)).toEqual([])
    failing.mockRestore()
    await bystander.ping()
    ;(await rawConnected(at.house, at.sensor, { version })).end()
    bystander.end()
  })

  test('[MQTT-4.1.0-1] the state of a session is not discarded while its connection is open', async () => {
    const identity = await at.fresh()
    const wire = await connected(at.house, identity, version === 5 ? { version, clean: true, properties: { sessionExpiryInterval: 1 } } : { version, clean: true })
    const sender = await at.another({ version })
    await subscribe(wire, `t/${identity.id}/#`)
    at.house.rest(3_600_000)
    await publishAll(sender, `t/${identity.id}/x`, ['still subscribed'])
    expect((await wire.take('publish')).payload.toString()).toBe('still subscribed')
    wire.end()
    sender.end()
  })
})

describe('MQTT 5, DISCONNECT', () => {
  test('[MQTT-3.14.0-1] before CONNACK nobody hears a DISCONNECT', async () => {
    for (const bytes of [frame(0x30, field('t/sensor/x'), [0]), Buffer.from([0x10, 5, 0, 4, 0x4d, 0x51, 0x54]), Buffer.from([0xff, 0xff])]) {
      const wire = await rawWire(at.house, at.sensor, { version: 5 })
      wire.bytes(bytes)
      wire.socket.end()
      await wire.ended
      expect(wire.types()).not.toContain(14)
    }
  })

  test('[MQTT-3.14.2-2] the server sends no Session Expiry Interval with DISCONNECT', async () => {
    const first = await rawConnected(at.house, at.sensor, { version: 5, clean: true, properties: { sessionExpiryInterval: 60 } })
    const second = await rawConnected(at.house, at.sensor, { version: 5, clean: true })
    const { reasonCode, properties: said } = await first.take('disconnect')
    expect([reasonCode, said?.sessionExpiryInterval]).toEqual([0x8e, undefined])
    await first.ended
    second.end()
  })

  test('[MQTT-3.14.1-1 in 5] [MQTT-4.13.1-1] a DISCONNECT that cannot be read is malformed: the Will is published', async () => {
    const watcher = await at.another({ version: 5 })
    await subscribe(watcher, { topic: 'state/sensor', qos: 0 })
    const will = { topic: 'state/sensor', payload: Buffer.from('w'), qos: 0, retain: false } as const
    for (const bytes of [Buffer.from([0xe1, 0]), frame(0xe0, [0, 5, 0x11], u32(1).subarray(0, 2)), frame(0xe0, [0], properties(5, [0x02], u32(1)))]) {
      const wire = await rawConnected(at.house, at.sensor, { version: 5, will })
      wire.bytes(bytes)
      await wire.ended
      await watcher.take('publish')
    }
    watcher.end()
  })
})

describe('MQTT 5, AUTH', () => {
  test.each<[string, Buffer]>([
    ['Continue', frame(0xf0, [0x18, 0])], ['Re-authenticate', frame(0xf0, [0x19], properties(5, [0x15], field('SCRAM-SHA-256')))], ['Success', Buffer.from([0xf0, 0])],
  ])('[MQTT-4.12.0-7] [MQTT-4.12.1-2] %s, where there is no authentication method, ends the session', async (_, bytes) => {
    const wire = await rawConnected(at.house, at.sensor, { version: 5 })
    wire.bytes(bytes)
    expect([0x81, 0x82]).toContain((await wire.take('disconnect')).reasonCode)
    await wire.ended
    expect(wire.types()).toEqual([2, 14])
  })

  test('[MQTT-4.12.0-1] [MQTT-4.12.0-4] a CONNECT with an authentication method is refused with 0x8C and closed, whatever the method; without one it is served', async () => {
    for (const authenticationMethod of ['SCRAM-SHA-1', 'GS2-KRB5', '']) {
      const wire = await rawWire(at.house, at.sensor, { version: 5 })
      wire.send(connectPacket('sensor', 5, { properties: { authenticationMethod, authenticationData: Buffer.from('x') } }), publishPacket('t/sensor/x', 'behind'))
      await wire.ended
      expect(wire.types()).toEqual([2])
      expect(wire.frames[0]?.body.subarray(0, 2)).toEqual(Buffer.from([0, 0x8c]))
    }
    ;(await rawConnected(at.house, at.sensor, { version: 5 })).end()
  })
})

describe.each(versions)('MQTT %s, what stands behind a DISCONNECT', (version) => {
  test('[MQTT-3.14.4-3] with DISCONNECT the Will is gone, also where something was sent behind it, which nobody hears', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: 't/sensor/#', qos: 0 }, { topic: 'state/sensor', qos: 0 })
    const wire = await rawConnected(at.house, at.sensor, { version, will: { topic: 'state/sensor', payload: Buffer.from('w'), qos: 0, retain: false } })
    wire.bytes(frame(0x30, field('t/sensor/x'), properties(version), Buffer.from('before')), [0xe0, 0], frame(0x30, field('t/sensor/x'), properties(version), Buffer.from('behind')))
    await wire.ended
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['before'])
    watcher.end()
  })

  test('a DISCONNECT that waits behind its CONNECT is obeyed like any other: what stands before it is done, and the Will is gone', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: 't/sensor/#', qos: 0 }, { topic: 'state/sensor', qos: 0 })
    const wire = await rawWire(at.house, at.sensor, { version })
    wire.bytes(rawConnect(version, 0x06, field('sensor'), properties(version), field('state/sensor'), field('w')), frame(0x30, field('t/sensor/x'), properties(version), Buffer.from('before')), [0xe0, 0], [0x00, 0xff])
    await wire.ended
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['before'])
    watcher.end()
  })

  test('what goes on behind its last field is no DISCONNECT, and no PINGREQ: the Will fires', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: 'state/sensor', qos: 0 })
    for (const bytes of [frame(0xe0, version === 5 ? [0, 0, 0] : [0]), frame(0xc0, [0])]) {
      const wire = await rawConnected(at.house, at.sensor, { version, will: { topic: 'state/sensor', payload: bytes, qos: 0, retain: false } })
      wire.bytes(bytes)
      await cut(wire, 0x81)
      expect((await watcher.take('publish')).payload).toEqual(bytes)
    }
    watcher.end()
  })
})

test('MQTT 5: a DISCONNECT that asks for the Will is heard, whatever stands behind it', async () => {
  const watcher = await at.another({ version: 5 })
  await subscribe(watcher, { topic: 'state/sensor', qos: 0 })
  for (const [bytes, fires] of [[[0xe0, 1, 4], true], [[0xe0, 2, 4, 0], true], [[0xe0, 1, 0], false]] as const) {
    const wire = await rawConnected(at.house, at.sensor, { version: 5, will: { topic: 'state/sensor', payload: Buffer.from(bytes), qos: 0, retain: false } })
    wire.bytes(bytes, [0x30, 0xff, 0xff, 0xff, 0xff])
    await wire.ended
    expect(wire.types()).toEqual([2])
    if (fires) expect((await watcher.take('publish')).payload).toEqual(Buffer.from(bytes))
  }
  await watcher.ping()
  expect(payloads(watcher)).toHaveLength(2)
  watcher.end()
})
