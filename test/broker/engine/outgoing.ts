// Messages of every kind, and outgoing packets read back by mqtt-packet's own parser.

import * as fc from 'fast-check'
import mqttPacket, { type IPublishPacket } from 'mqtt-packet'
import type { SessionKey } from '../../../src/core/ids.ts'
import type { Message, UserProperty } from '../../../src/core/message.ts'
import { noteUserProperties, type PairParser } from '../../../src/broker/engine/user-properties.ts'

export interface ReadBack {
  readonly packet: IPublishPacket
  readonly pairs: readonly UserProperty[]
}

/** Exactly one packet, to the last byte. */
export function readBack(bytes: Buffer, protocolVersion: 4 | 5): ReadBack {
  const parser = mqttPacket.parser({ protocolVersion })
  const order = noteUserProperties(parser as unknown as PairParser)
  const packets: IPublishPacket[] = []
  parser.on('packet', (packet) => packets.push(packet as IPublishPacket))
  parser.on('error', (error) => { throw error })
  const left = parser.parse(bytes)
  const [packet] = packets
  if (left !== 0 || packet === undefined || packets.length !== 1) throw new Error(`${packets.length} packets, ${left} bytes left`)
  return { packet, pairs: packet.properties === undefined ? [] : order(packet.properties) }
}

const text = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: 'grapheme', maxLength: 8 }), fc.constantFrom('', 'constructor', '__proto__', '7', 'a'.repeat(300)))
const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(new Uint8Array(200), new Uint8Array(17_000)))

export const NOW = 1_700_000_000_000

export const anyMessage: fc.Arbitrary<Message> = fc.record({
  topic: text.filter((topic) => topic !== ''),
  payload: bytes,
  qos: fc.constantFrom(0, 1, 2),
  retain: fc.boolean(),
  properties: fc.option(fc.record({
    payloadFormatIndicator: fc.boolean(), contentType: text, responseTopic: text, correlationData: bytes,
    userProperties: fc.array(fc.tuple(text, text), { maxLength: 8 }),
  }, { requiredKeys: [] }), { nil: undefined }),
  publisher: fc.constant('default/p/p' as SessionKey),
  receivedAt: fc.constant(NOW),
  expiresAt: fc.option(fc.integer({ min: NOW - 10_000, max: NOW + 100_000_000 }), { nil: undefined }),
})

export const anyIdentifiers = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455)), { maxLength: 4 })

export const PLAIN: Message = { topic: 'a/b', payload: Buffer.from('on'), qos: 1, retain: false, properties: undefined, publisher: 'default/p/p' as SessionKey, receivedAt: NOW, expiresAt: undefined }
