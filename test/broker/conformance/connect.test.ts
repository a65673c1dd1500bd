// Chapters 3.1 and 3.2: the CONNECT by hand, field by field, what it opens, and the CONNACK that answers it. What the door
// says of certificates and client ids is proven in test/broker/connect.test.ts and door.test.ts.

import { describe, expect, test } from 'vitest'
import { HOUSE_POLICY } from '../house.ts'
import { connected, connectPacket, nextId, payloads, publishPacket, subscribe, tryConnect, versions } from '../wire.ts'
import { field, frame, kept, openStage, properties, publishAll, rawConnect, rawConnected, rawWire } from './raw.ts'

const at = openStage()
const ILL_FORMED = Buffer.from([0xc0, 0xaf])

describe.each(versions)('MQTT %s, CONNECT', (version) => {
  const willFlags = (qos: number, retain = false): number => 0x06 | (qos << 3) | (retain ? 0x20 : 0)
  const willProperties = properties(version)
  const attempt = (bytes: Buffer): Promise<number | 'closed'> => tryConnect(at.house, at.sensor, bytes, { version })
  /** How a CONNECT that is no CONNECT ends: without a CONNACK in 3.1.1; in 5 there may be one. */
  const isRefusal = (code: number | 'closed'): boolean => (version === 4 ? code === 'closed' : code !== 0)

  test('[MQTT-3.1.4-4 in 3.1.1] [MQTT-3.1.4-5 in 5] [MQTT-3.2.2-1] [MQTT-3.2.2-2 in 5] [MQTT-3.2.2-8 in 5] one that is admitted is answered with return code 0, reserved bits 0 and no session', async () => {
    const wire = await rawWire(at.house, at.sensor, { version })
    wire.bytes(rawConnect(version, 0x02, field('sensor')))
    const { hex, body } = await wire.next('connack')
    if (version === 4) expect(hex).toBe('20020000')
    else expect([hex.slice(0, 2), ...body.subarray(0, 2)]).toEqual(['20', 0, 0])
    wire.end()
  })

  test('[MQTT-3.1.3-1] [MQTT-3.1.3-3] every field is read in its place: client id, Will, user name, password', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, 'state/sensor')
    const wire = await rawWire(at.house, at.sensor, { version })
    wire.bytes(rawConnect(version, 0xc2 | willFlags(1), field('sensor'), willProperties, field('state/sensor'), field('the Will'), field('a name'), field('a password')))
    expect((await wire.next('connack')).body[1]).toBe(0)
    await wire.ping()
    wire.end()
    expect((await watcher.take('publish')).payload.toString()).toBe('the Will')
    watcher.end()
  })

  test('[MQTT-3.1.2-3] with its reserved flag set it is refused; without, it is not', async () => {
    expect(await attempt(rawConnect(version, 0x03, field('sensor')))).toSatisfy(isRefusal)
    expect(await attempt(rawConnect(version, 0x02, field('sensor')))).toBe(0)
  })

  test.each<[string, number]>([['Will QoS 1', 0x0a], ['Will QoS 2', 0x12], ['Will Retain', 0x22]])('[MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15 in 3.1.1] %s without a Will is refused', async (_, flags) => {
    expect(await attempt(rawConnect(version, flags, field('sensor')))).toSatisfy(isRefusal)
  })

  test('[MQTT-3.1.2-12 in 5] [MQTT-3.1.2-14 in 3.1.1] a Will of QoS 3 is refused, of QoS 2 it is not', async () => {
    expect(await attempt(rawConnect(version, willFlags(3), field('sensor'), willProperties, field('state/sensor'), field('w')))).not.toBe(0)
    expect(await attempt(rawConnect(version, willFlags(2), field('sensor'), willProperties, field('state/sensor'), field('w')))).toBe(0)
  })

  test.each<[string, number, readonly Buffer[]]>([
    ['a Will that is not there', willFlags(0), []],
    ['a Will topic without its message', willFlags(0), [willProperties, field('state/sensor')]],
    ['a user name that is not there', 0x82, []],
    ['a password that is not there', 0xc2, [field('name')]],
  ])('[MQTT-3.1.2-9] [MQTT-3.1.2-17 in 5] [MQTT-3.1.2-19] [MQTT-3.1.2-21 in 3.1.1] [MQTT-3.1.4-1] %s is malformed', async (_, flags, rest) => {
    expect(await attempt(rawConnect(version, flags, field('sensor'), ...rest))).toSatisfy(isRefusal)
  })

  test('[MQTT-3.1.3-4] [MQTT-3.1.3-10 in 3.1.1] [MQTT-3.1.3-11 in 5] a client id and a Will topic that are not UTF-8 are refused', async () => {
    expect(await attempt(rawConnect(version, 0x02, Buffer.concat([Buffer.from([0, 9]), Buffer.from('sensor:'), ILL_FORMED])))).not.toBe(0)
    expect(await attempt(rawConnect(version, willFlags(0), field('sensor'), willProperties, Buffer.concat([Buffer.from([0, 14]), Buffer.from('state/sensor'), ILL_FORMED]), field('w')))).not.toBe(0)
  })

  test('[MQTT-3.1.3-5] a client id of 23 letters and digits, in all 62 of them, is allowed', async () => {
    at.house.policy(HOUSE_POLICY.replace('to: { group: sensors }', 'to: { group: sensors }\n    connect: { clientId: ["*"] }'))
    for (const id of ['0', '0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ']) {
      expect(await tryConnect(at.house, at.sensor, connectPacket(id, version), { version })).toBe(0)
    }
    at.house.policy(HOUSE_POLICY)
  })

  test('[MQTT-3.1.4-5 in 3.1.1] [MQTT-3.1.4-6 in 5] [MQTT-3.14.0-1 in 5] what comes behind a CONNECT that is refused is not processed, and CONNACK is all that is heard', async () => {
    const watcher = await at.another({ version })
    await subscribe(watcher, '#')
    const wire = await rawWire(at.house, at.sensor, { version })
    wire.send(connectPacket('backend', version), publishPacket('t/sensor/x', 'behind'), publishPacket('t/sensor/x', 'retained', { retain: true }), { cmd: 'pingreq' })
    await wire.ended
    expect(wire.types()).toEqual([2])
    await watcher.ping()
    const late = await at.another({ version })
    await subscribe(late, 't/#')
    await late.ping()
    expect([...payloads(watcher), ...payloads(late)]).toEqual([])
    watcher.end()
    late.end()
  })

  test('[MQTT-3.2.2-4 in 3.1.1] [MQTT-3.2.2-5 in 3.1.1] [MQTT-3.2.2-6 in 5] [MQTT-3.2.2-7 in 5] a refusal says that there is no session, although there is one, and closes', async () => {
    const identity = await at.fresh()
    const first = await connected(at.house, identity, kept(version))
    await subscribe(first, `t/${identity.id}/#`)
    await at.left(first)
    const wire = await rawWire(at.house, identity, { version })
    wire.send(connectPacket(identity.id, version, { ...kept(version), will: { topic: 'state/other', payload: Buffer.from('w'), qos: 0, retain: false } }))
    await wire.ended
    expect(wire.types()).toEqual([2])
    const [flags, code] = wire.frames[0]!.body
    expect(flags).toBe(0)
    expect(code).toBe(version === 5 ? 0x87 : 5)
    const again = await connected(at.house, identity, kept(version))
    expect(again.connack.sessionPresent).toBe(true)
    again.end()
  })

  test('[MQTT-3.2.0-1] [MQTT-3.2.0-2 in 5] CONNACK is the first packet, also where messages wait, and the only one of its kind', async () => {
    const identity = await at.fresh()
    const first = await connected(at.house, identity, kept(version))
    await subscribe(first, `t/${identity.id}/#`)
    await at.left(first)
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/x`, ['one', 'two'])
    const wire = await rawWire(at.house, identity, { version })
    wire.send(connectPacket(identity.id, version, kept(version)))
    await wire.take('publish', (p) => p.payload.toString() === 'two')
    await wire.ping()
    expect(wire.types().indexOf(2)).toBe(0)
    expect(wire.types().lastIndexOf(2)).toBe(0)
    wire.end()
    sender.end()
  })
})

describe('MQTT 5, CONNECT', () => {
  test('[MQTT-3.1.2-1 in 5] another protocol name is no MQTT, whatever its level: closed, with 0x84 or without', async () => {
    for (const name of ['mqtt', 'MQTTX', 'AMQP']) {
      const wire = await rawWire(at.house, at.sensor, { version: 4 })
      wire.bytes(frame(0x10, field(name), [5, 2, 0, 60, 0], field('sensor')))
      await wire.ended
      expect(wire.types().every((type) => type === 2)).toBe(true)
      expect(at.house.events.some((e) => e.kind === 'admission')).toBe(false)
    }
  })

  test('[MQTT-3.1.2-2 in 5] a protocol version that nobody speaks yet is refused and closed', async () => {
    const wire = await rawWire(at.house, at.sensor, { version: 4 })
    wire.bytes(frame(0x10, field('MQTT'), [6, 2, 0, 60, 0], field('sensor')))
    await wire.ended
    expect([0x01, 0x84]).toContain(wire.frames[0]?.body[1])
    await at.house.refused('protocol-version')
  })

  test('[MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12] [MQTT-3.2.2-13] QoS 2 and retained messages are served, so CONNACK limits neither', async () => {
    const wire = await connected(at.house, at.sensor, { version: 5, will: { topic: 'state/sensor', payload: Buffer.from('w'), qos: 2, retain: true } })
    expect(wire.connack.properties?.maximumQoS).toBeUndefined()
    expect(wire.connack.properties?.retainAvailable ?? true).toBe(true)
    expect(await subscribe(wire, { topic: 't/sensor/#', qos: 2 })).toEqual([2])
    wire.send({ cmd: 'disconnect' })
    await wire.ended
  })

  test('[MQTT-3.2.2-22] a Keep Alive that the server can live with is not replaced', async () => {
    const wire = await connected(at.house, at.sensor, { version: 5, keepalive: 30 })
    expect(wire.connack.properties?.serverKeepAlive).toBeUndefined()
    wire.end()
  })

  test('[MQTT-3.1.2-28] who does not ask for Response Information is given none', async () => {
    for (const asked of [{}, { requestResponseInformation: false }]) {
      const wire = await connected(at.house, at.sensor, { version: 5, properties: asked })
      expect(wire.connack.properties?.responseInformation).toBeUndefined()
      wire.end()
    }
  })

  test('[MQTT-3.1.2-29] who wants no problem information hears no reasons but in CONNACK, PUBLISH and DISCONNECT', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version: 5, properties: { requestProblemInformation: false } })
    await subscribe(wire, 'elsewhere/#', 't/sensor/#')
    wire.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: ['never/held'] }, publishPacket('elsewhere', 'x', { qos: 1 }), publishPacket('elsewhere', 'x', { qos: 2 }), { cmd: 'pubrel', messageId: 999 })
    await wire.take('pubcomp')
    for (const packet of wire.received) {
      if (['connack', 'publish', 'disconnect'].includes(packet.cmd)) continue
      const said = 'properties' in packet ? (packet.properties as Readonly<Record<string, unknown>> | undefined) : undefined
      expect([packet.cmd, said?.['reasonString'], said?.['userProperties']]).toEqual([packet.cmd, undefined, undefined])
    }
    wire.end()
  })

  test('[MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-4.12.0-6] [MQTT-3.15.2-1] [MQTT-3.15.2-2] [MQTT-3.15.2-3] the server sends no AUTH and names no Authentication Method', async () => {
    const wire = await rawConnected(at.house, at.sensor, { version: 5 })
    const connack = wire.received[0]
    expect(connack?.cmd === 'connack' ? connack.properties?.authenticationMethod : 'no CONNACK').toBeUndefined()
    await wire.ping()
    wire.end()
    const refused = await rawWire(at.house, at.sensor, { version: 5 })
    refused.send(connectPacket('sensor', 5, { properties: { authenticationMethod: 'SCRAM-SHA-256', authenticationData: Buffer.from('n,,n=x') } }))
    await refused.ended
    expect(refused.types()).toEqual([2])
    expect(refused.frames[0]?.body[1]).toBe(0x8c)
  })
})
