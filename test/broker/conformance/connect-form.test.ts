// Chapters 3.1 and 3.2 beyond the fields one by one: forms of a CONNECT that are no CONNECT, client ids that the server assigns,
// sessions without a subscription, a CONNACK that fits.

import { describe, expect, test } from 'vitest'
import { connected, connectPacket, subscribe, tryConnect, versions } from '../wire.ts'
import { field, kept, openStage, properties, rawConnect, rawConnected, rawWire } from './raw.ts'

const at = openStage()
const ILL_FORMED = Buffer.from([0xc0, 0xaf])

describe.each(versions)('MQTT %s, CONNECT', (version) => {
  const willProperties = properties(version)
  const attempt = (...args: Parameters<typeof rawConnect>): Promise<number | 'closed'> => tryConnect(at.house, at.sensor, rawConnect(...args), { version })
  /** MQTT 3.1.1 is closed without a CONNACK; MQTT 5 may hear one that refuses. */
  const isRefusal = (code: number | 'closed'): boolean => (version === 4 ? code === 'closed' : code !== 0)

  test('[MQTT-3.1.4-1] [MQTT-3.2.2-6 in 3.1.1] a Will of QoS 3 is no CONNECT: 3.1.1 is closed without a CONNACK', async () => {
    expect(await attempt(version, 0x1e, field('sensor'), willProperties, field('state/sensor'), field('w'))).toSatisfy(isRefusal)
  })

  test('[MQTT-3.1.3-10 in 3.1.1] [MQTT-3.1.3-11 in 5] [MQTT-1.5.3-1 in 3.1.1] [MQTT-1.5.4-1 in 5] a Will topic that is not UTF-8 is malformed: 3.1.1 is closed without a CONNACK', async () => {
    expect(await attempt(version, 0x06, field('sensor'), willProperties, field(Buffer.concat([Buffer.from('state/sensor'), ILL_FORMED])), field('w'))).toSatisfy(isRefusal)
  })

  test('[MQTT-3.1.3-11 in 3.1.1] [MQTT-3.1.3-12 in 5] [MQTT-1.5.3-2 in 3.1.1] [MQTT-1.5.4-2 in 5] a user name that is not UTF-8, or has NUL in it, is malformed; one that is text is not', async () => {
    expect(await attempt(version, 0x82, field('sensor'), field('name'))).toBe(0)
    for (const name of [ILL_FORMED, Buffer.from('na\0me')]) expect(await attempt(version, 0x82, field('sensor'), field(name))).toSatisfy(isRefusal)
  })

  test.each<[string, number, readonly Buffer[]]>([
    ['a user name', 0x02, [field('name')]],
    ['a password', 0x82, [field('name'), field('password')]],
  ])('[MQTT-3.1.2-16 in 5] [MQTT-3.1.2-18] [MQTT-3.1.2-20 in 3.1.1] %s that the flags do not announce is malformed', async (_, flags, rest) => {
    expect(await attempt(version, flags, field('sensor'), ...rest)).toSatisfy(isRefusal)
  })

  test('[MQTT-3.1.3-6] [MQTT-3.1.3-7 in 5] [MQTT-3.2.2-16] clients without a client id are given one each, which no other session has', async () => {
    const named = await connected(at.house, at.sensor, { version })
    const wires = [await connected(at.house, at.sensor, { version, clientId: '' }), await connected(at.house, at.sensor, { version, clientId: '' })]
    for (const wire of [named, ...wires]) await wire.ping()
    if (version === 5) {
      const assigned = wires.map((w) => w.connack.properties?.assignedClientIdentifier)
      expect(new Set([...assigned, 'sensor', undefined]).size).toBe(4)
      // It is a client id like any other: the session is found again under it.
      wires[0]!.end()
      const again = await connected(at.house, at.sensor, { version, clientId: assigned[0]! })
      await again.ping()
      again.end()
    }
    for (const wire of [named, ...wires]) wire.end()
  })

  test('[MQTT-3.2.2-2 in 3.1.1] [MQTT-3.2.2-3 in 5] a session that was kept is said to be present, also without a subscription', async () => {
    const identity = await at.fresh()
    await at.left(await connected(at.house, identity, kept(version)))
    const again = await connected(at.house, identity, kept(version))
    expect(again.connack.sessionPresent).toBe(true)
    again.end()
  })
})

test('[MQTT-3.1.2-22 in 3.1.1] a password without a user name is refused in MQTT 3.1.1; in 5 it may stand alone', async () => {
  expect(await tryConnect(at.house, at.sensor, rawConnect(5, 0x42, field('sensor'), field('secret')), { version: 5 })).toBe(0)
  expect(await tryConnect(at.house, at.sensor, rawConnect(4, 0x42, field('sensor'), field('secret')), { version: 4 })).toBe('closed')
})

describe('MQTT 5, CONNACK', () => {
  test('[MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24 in 5] a refusal has no words where they would not fit into the Maximum Packet Size; where they fit, it has', async () => {
    const will = { topic: 'state/other', payload: Buffer.from('w'), qos: 0, retain: false } as const
    const refusal = async (maximumPacketSize: number) => {
      const wire = await rawWire(at.house, at.sensor, { version: 5 })
      wire.send(connectPacket('sensor', 5, { will, properties: { maximumPacketSize } }))
      await wire.ended
      return wire.frames.map((f) => f.hex)
    }
    expect((await refusal(200))[0]!.length / 2).toBeGreaterThan(20)
    expect(await refusal(20)).toEqual(['2003008700'])
  })

  test('[MQTT-3.1.3-10 in 5] the user properties of a Will keep their order, names that repeat and numeric names included', async () => {
    const pairs = Buffer.concat([['2', 'a'], ['b', 'b'], ['1', 'c'], ['b', 'd']].map(([name, value]) => Buffer.concat([Buffer.from([0x26]), field(name!), field(value!)])))
    const watcher = await rawConnected(at.house, at.backend, { version: 5 })
    await subscribe(watcher, { topic: 'state/sensor', qos: 0 })
    const wire = await rawWire(at.house, at.sensor, { version: 5 })
    wire.bytes(rawConnect(5, 0x06, field('sensor'), properties(5, pairs), field('state/sensor'), field('w')))
    await wire.next('connack')
    wire.end()
    const { body } = await watcher.next('publish')
    expect(body.subarray(2 + 'state/sensor'.length)).toEqual(Buffer.concat([properties(5, pairs), Buffer.from('w')]))
    watcher.end()
  })
})
