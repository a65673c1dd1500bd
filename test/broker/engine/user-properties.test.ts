// The order of User Properties: what mqtt-packet's parser makes of it, so that a repair upstream is noticed, and that what is
// noted beside it is what was sent.

import * as fc from 'fast-check'
import mqttPacket, { type IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { UserProperty } from '../../../src/core/message.ts'
import { noteUserProperties, type PairParser } from '../../../src/broker/engine/user-properties.ts'

/** By hand: a PUBLISH to "t" with these pairs and nothing else. */
function publishOf(pairs: readonly UserProperty[]): Buffer {
  const field = (value: string): Buffer => {
    const bytes = Buffer.from(value)
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
  }
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)])
  const properties = Buffer.concat(pairs.flatMap(([name, value]) => [Buffer.from([0x26]), field(name), field(value)]))
  const body = Buffer.concat([field('t'), Buffer.from(varint(properties.length)), properties])
  return Buffer.concat([Buffer.from([0x30, ...varint(body.length)]), body])
}

/** What can be told from an object of names and values. */
function pairsOf(parsed: object): UserProperty[] {
  return Object.entries(parsed).flatMap(([name, value]: [string, unknown]) => [value].flat().map((one): UserProperty => [name, String(one)]))
}

function open() {
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  const order = noteUserProperties(parser as unknown as PairParser)
  const packets: IPublishPacket[] = []
  parser.on('packet', (packet) => packets.push(packet as IPublishPacket))
  parser.on('error', () => {})
  return { parser, order, packets }
}

describe('User Properties keep their order', () => {
  test.each([
    ['interleaved', [['a', '1'], ['b', '2'], ['a', '3']], { a: ['1', '3'], b: '2' }],
    ['names like numbers', [['10', 'x'], ['2', 'y']], { 2: 'y', 10: 'x' }],
    ['an empty value before another', [['a', ''], ['a', 'x']], { a: 'x' }],
  ] as const)('%s: the parser alone loses something, the note does not', (_, pairs, parsed) => {
    const { parser, order, packets } = open()
    parser.parse(publishOf(pairs))
    expect(pairsOf({ ...packets[0]!.properties!.userProperties })).toEqual(pairsOf(parsed))
    expect(pairsOf(parsed)).not.toEqual(pairs)
    expect(order(packets[0]!.properties!)).toEqual(pairs)
  })

  test('whatever they are, of several packets in one chunk or in many', () => {
    const text = fc.oneof(fc.constantFrom('a', 'b', '', '1', '__proto__', 'constructor'), fc.string({ maxLength: 5 }))
    fc.assert(fc.property(fc.array(fc.array(fc.tuple(text, text), { maxLength: 8 }), { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 40 }), (all, step) => {
      const { parser, order, packets } = open()
      const bytes = Buffer.concat(all.map(publishOf))
      for (let at = 0; at < bytes.length; at += step) parser.parse(bytes.subarray(at, at + step))
      expect(packets.map(({ properties }) => (properties === undefined ? [] : order(properties)))).toEqual(all)
    }), { numRuns: 300 })
  })

  test('of a pair that cannot be read nothing is noted, and other parsers are left alone', () => {
    const { parser, order, packets } = open()
    const bytes = publishOf([['x', 'y'], ['a', '']])
    // A value of one byte, after which the packet ends.
    bytes[bytes.length - 1] = 1
    parser.parse(bytes)
    expect(packets.map(({ properties }) => order(properties!))).toEqual([[]])
    const other = mqttPacket.parser({ protocolVersion: 5 })
    expect(Object.hasOwn(other, '_parseStringPair')).toBe(false)
  })
})
