// Packets by hand: what is legal reads as a library would write it, and what is not is wrong exactly where it is meant to be.

import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { acknowledgeBytes, connectBytes, HEADER, packet, PROPERTY, property, publishBytes, subscribeBytes, u16, unsubscribeBytes, userProperty, varint } from '../../device-sim/forge/mqtt-bytes.ts'

function read(bytes: Buffer, protocolVersion: 4 | 5): Packet {
  const parser = mqttPacket.parser({ protocolVersion })
  const found: Packet[] = []
  parser.on('packet', (each) => void found.push(each))
  parser.on('error', (fault) => {
    throw fault
  })
  expect(parser.parse(bytes)).toBe(0)
  expect(found).toHaveLength(1)
  return found[0]!
}

describe.each([4, 5] as const)('MQTT %s', (version) => {
  test('a CONNECT is the one that a library writes', () => {
    const theirs = mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: true, keepalive: 60, clientId: 'sensor-7' }, { protocolVersion: version })
    expect(connectBytes({ version, clientId: 'sensor-7' })).toEqual(theirs)
  })

  test.each([0, 1, 2] as const)('a PUBLISH of QoS %s is the one that a library writes', (qos) => {
    const id = qos === 0 ? {} : { messageId: 7 }
    const theirs = mqttPacket.generate({ cmd: 'publish', topic: 't/a', payload: 'x', qos, retain: true, dup: false, ...id }, { protocolVersion: version })
    expect(publishBytes({ version, topic: 't/a', payload: 'x', qos, retain: true, ...id })).toEqual(theirs)
  })

  test('SUBSCRIBE, UNSUBSCRIBE and acknowledgements read as what they are', () => {
    expect(read(subscribeBytes({ version, messageId: 3, filters: ['a/#', 'b'], options: 1 }), version)).toMatchObject({ cmd: 'subscribe', messageId: 3, subscriptions: [{ topic: 'a/#', qos: 1 }, { topic: 'b', qos: 1 }] })
    expect(read(unsubscribeBytes({ version, messageId: 4, filters: ['a'] }), version)).toMatchObject({ cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['a'] })
    expect(read(acknowledgeBytes(HEADER.pubrel, 5), version)).toMatchObject({ cmd: 'pubrel', messageId: 5 })
  })
})

test('properties stand where MQTT 5 has them', () => {
  const bytes = publishBytes({ version: 5, topic: '', properties: [property(PROPERTY.topicAlias, u16(9)), userProperty('a', 'b')], payload: 'x' })
  expect(read(bytes, 5)).toMatchObject({ topic: '', properties: { topicAlias: 9, userProperties: { a: 'b' } } })
})

test.each([[0, '00'], [127, '7f'], [128, '8001'], [16_384, '808001'], [268_435_455, 'ffffff7f'], [268_435_456, '8080808001']])('the length %d is %s', (value, hex) => expect(varint(value).toString('hex')).toBe(hex))

test('bytes that are no text are sent as they are', () => expect(publishBytes({ version: 4, topic: Buffer.from([0xc0, 0xaf]) }).toString('hex')).toBe('30040002c0af'))

test('a packet of nothing is its header and a length of 0', () => expect(packet(HEADER.connect)).toEqual(Buffer.from([0x10, 0])))
