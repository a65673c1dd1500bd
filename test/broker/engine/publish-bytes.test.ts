// Outgoing PUBLISH packets: whatever the message, the parser reads back what was meant; what is shared is one object, and
// what is one subscriber's own changes nobody else's.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import type { Message, Qos } from '../../../src/core/message.ts'
import { publishBytes } from '../../../src/broker/engine/publish-bytes.ts'
import { anyIdentifiers, anyMessage, NOW, PLAIN, readBack } from './outgoing.ts'

interface Meant {
  readonly qos: Qos
  readonly retain: boolean
  readonly dup: boolean
  readonly packetId: number | undefined
  readonly identifiers: readonly number[]
  readonly topic: string
  readonly alias: number | undefined
}

/** Compares a packet with the message that it carries, field by field. */
function expectCarried(bytes: Buffer, protocol: 4 | 5, message: Message, meant: Meant, now: number): void {
  const { packet, pairs } = readBack(bytes, protocol)
  expect({ topic: packet.topic, qos: packet.qos, retain: packet.retain, dup: packet.dup, packetId: packet.messageId }).toEqual({ topic: meant.topic, qos: meant.qos, retain: meant.retain, dup: meant.dup, packetId: meant.packetId })
  expect(Buffer.compare(packet.payload as Buffer, message.payload)).toBe(0)
  if (protocol === 4) {
    expect(packet.properties).toBeUndefined()
    return
  }
  const { userProperties: _, correlationData, subscriptionIdentifier, ...rest } = packet.properties ?? {}
  const { userProperties = [], correlationData: sent, ...others } = message.properties ?? {}
  const expiry = message.expiresAt === undefined ? {} : { messageExpiryInterval: Math.max(1, Math.ceil((message.expiresAt - now) / 1_000)) }
  expect(rest).toEqual({ ...others, ...expiry, ...(meant.alias === undefined ? {} : { topicAlias: meant.alias }) })
  expect(correlationData === undefined || sent === undefined ? correlationData === sent : Buffer.compare(correlationData, sent) === 0).toBe(true)
  expect([subscriptionIdentifier ?? []].flat()).toEqual(meant.identifiers)
  expect(pairs).toEqual(userProperties)
}

const protocol = fc.constantFrom(4 as const, 5 as const)
const own = fc.record({ qos: fc.constantFrom(1 as const, 2 as const), retain: fc.boolean(), dup: fc.boolean(), packetId: fc.integer({ min: 1, max: 65_535 }), identifiers: anyIdentifiers })

describe('what is sent is what was meant', () => {
  test('QoS 0, in both protocols', () => {
    fc.assert(fc.property(anyMessage, protocol, fc.boolean(), anyIdentifiers, fc.nat(20_000), (message, version, retain, identifiers, later) => {
      const bytes = publishBytes(message).qos0(version, retain, identifiers, NOW + later)
      expectCarried(bytes, version, message, { qos: 0, retain, dup: false, packetId: undefined, identifiers, topic: message.topic, alias: undefined }, NOW + later)
    }), { numRuns: 250 })
  })

  test('QoS 1 and 2, one subscriber after another, in both protocols', () => {
    fc.assert(fc.property(anyMessage, fc.array(fc.tuple(protocol, own), { minLength: 1, maxLength: 6 }), (message, deliveries) => {
      const bytes = publishBytes(message)
      const made = deliveries.map(([version, to]) => bytes.withPacketId(version, to.qos, to.retain, to.dup, to.identifiers, to.packetId, NOW))
      for (const [i, [version, to]] of deliveries.entries()) expectCarried(made[i]!, version, message, { ...to, topic: message.topic, alias: undefined }, NOW)
    }), { numRuns: 250 })
  })

  test('with a topic alias, with its topic and without', () => {
    fc.assert(fc.property(anyMessage, own, fc.constantFrom(0, 1, 2), fc.integer({ min: 1, max: 65_535 }), fc.boolean(), (message, to, qos, alias, withTopic) => {
      const addressed = { ...to, qos, dup: to.dup && qos > 0 }
      const bytes = publishBytes(message).aliased(addressed, alias, withTopic, NOW)
      expectCarried(bytes, 5, message, { ...addressed, packetId: qos === 0 ? undefined : to.packetId, topic: withTopic ? message.topic : '', alias }, NOW)
      expect(bytes.length).toBeLessThanOrEqual(publishBytes(message).wireBytes(5, qos, to.identifiers) + 5)
    }), { numRuns: 250 })
  })

  test('User Properties go out in the order of the message, a name as often as it was sent, and 3.1.1 has none [MQTT-3.3.2-18]', () => {
    const userProperties = [['b', '1'], ['a', ''], ['10', 'x'], ['b', '2'], ['2', 'y'], ['a', 'z'], ['__proto__', 'p'], ['b', '1']] as const
    const bytes = publishBytes({ ...PLAIN, properties: { userProperties } })
    expect(readBack(bytes.qos0(5, false, [3], NOW), 5).pairs).toEqual(userProperties)
    expect(readBack(bytes.withPacketId(5, 1, false, false, [], 7, NOW), 5).pairs).toEqual(userProperties)
    expect(readBack(bytes.aliased({ qos: 0, retain: false, dup: false, identifiers: [], packetId: 0 }, 4, true, NOW), 5).pairs).toEqual(userProperties)
    expect(readBack(bytes.qos0(4, false, [], NOW), 4)).toMatchObject({ pairs: [], packet: { payload: Buffer.from('on') } })
    expect(bytes.qos0(4, false, [], NOW)).toEqual(publishBytes(PLAIN).qos0(4, false, [], NOW))
  })

  test('its size is known before it is made', () => {
    fc.assert(fc.property(anyMessage, protocol, own, (message, version, to) => {
      const bytes = publishBytes(message)
      expect(bytes.wireBytes(version, 0, to.identifiers)).toBe(bytes.qos0(version, false, to.identifiers, NOW).length)
      expect(bytes.wireBytes(version, to.qos, to.identifiers)).toBe(bytes.withPacketId(version, to.qos, false, true, to.identifiers, to.packetId, NOW).length)
    }), { numRuns: 250 })
  })

  test.each([126, 127, 128, 16_382, 16_383, 16_384, 2_097_151, 2_097_152])('around %i bytes the length has its right form', (size) => {
    for (let spare = 0; spare < 14; spare++) {
      const message = { ...PLAIN, payload: new Uint8Array(size - spare) }
      const bytes = publishBytes(message)
      const made = bytes.withPacketId(5, 1, false, false, [], 9, NOW)
      expect([readBack(made, 5).packet.messageId, bytes.wireBytes(5, 1, [])]).toEqual([9, made.length])
      expect(readBack(bytes.aliased({ qos: 1, retain: false, dup: false, identifiers: [], packetId: 9 }, 3, false, NOW), 5).packet.properties).toEqual({ topicAlias: 3 })
    }
  })
})

describe('what is shared and what is not', () => {
  test('equal requests of QoS 0 get the same bytes object, others do not', () => {
    const bytes = publishBytes({ ...PLAIN, properties: { contentType: 'x' } })
    const first = bytes.qos0(5, false, [], NOW)
    expect(bytes.qos0(5, false, [], NOW + 5_000)).toBe(first)
    expect(bytes.qos0(5, false, [7, 8], NOW)).toBe(bytes.qos0(5, false, [7, 8], NOW))
    expect(new Set([first, bytes.qos0(5, true, [], NOW), bytes.qos0(4, false, [], NOW), bytes.qos0(4, true, [], NOW), bytes.qos0(5, false, [7, 8], NOW), bytes.qos0(5, false, [7], NOW)]).size).toBe(6)
    // 3.1.1 knows no identifiers.
    expect(bytes.qos0(4, false, [7], NOW)).toBe(bytes.qos0(4, false, [], NOW))
  })

  test('a copy with a packet id, DUP or an alias leaves the form that it came from as it was', () => {
    const bytes = publishBytes(PLAIN)
    const shared = bytes.qos0(5, false, [], NOW)
    const before = Buffer.from(shared)
    const first = bytes.withPacketId(5, 1, false, true, [], 0xffff, NOW)
    const kept = Buffer.from(first)
    bytes.aliased({ qos: 1, retain: false, dup: true, identifiers: [], packetId: 0xffff }, 5, true, NOW)
    const second = readBack(bytes.withPacketId(5, 1, false, false, [], 1, NOW), 5).packet
    expect([second.messageId, second.dup]).toEqual([1, false])
    expect([first.equals(kept), shared.equals(before)]).toEqual([true, true])
  })

  test('a crowd with an identifier each is served, and not remembered one by one', () => {
    const bytes = publishBytes(PLAIN)
    const many = Array.from({ length: BROKER_LIMITS.templatesPerMessageMax + 5 }, (_, i) => bytes.qos0(5, false, [i + 1], NOW))
    for (const [i, one] of many.entries()) expect(readBack(one, 5).packet.properties?.subscriptionIdentifier).toBe(i + 1)
    expect(bytes.qos0(5, false, [1], NOW)).toBe(many[0])
    expect(bytes.qos0(5, false, [many.length], NOW)).not.toBe(many.at(-1))
  })
})

describe('the Message Expiry Interval is what is left', () => {
  const expiring = { ...PLAIN, expiresAt: NOW + 10_000 }
  const leftAt = (now: number): number | undefined => readBack(publishBytes(expiring).qos0(5, false, [], now), 5).packet.properties?.messageExpiryInterval

  test.each([[0, 10], [1, 10], [999, 10], [1_000, 9], [9_000, 1], [9_999, 1], [10_000, 1], [60_000, 1]])('after %i ms: %i s', (later, seconds) => {
    expect(leftAt(NOW + later)).toBe(seconds)
  })

  test('a form holds for the second that it was made in; bytes that are on their way are not changed', () => {
    const bytes = publishBytes(expiring)
    const first = bytes.qos0(5, false, [4], NOW + 1)
    const kept = Buffer.from(first)
    expect(bytes.qos0(5, false, [4], NOW + 900)).toBe(first)
    const next = bytes.qos0(5, false, [4], NOW + 1_000)
    expect([next === first, first.equals(kept), bytes.qos0(5, false, [4], NOW + 1_500) === next]).toEqual([false, true, true])
    expect(readBack(bytes.withPacketId(5, 1, false, false, [], 1, NOW + 5_000), 5).packet.properties?.messageExpiryInterval).toBe(5)
    expect(readBack(bytes.withPacketId(5, 1, false, false, [], 1, NOW + 6_000), 5).packet.properties?.messageExpiryInterval).toBe(4)
    expect(bytes.qos0(4, false, [], NOW)).toBe(bytes.qos0(4, false, [], NOW + 5_000))
  })

  test('a clock that went back by centuries makes the longest interval, and no fault', () => {
    expect(leftAt(NOW - 5_000_000_000_000)).toBe(0xffff_ffff)
  })
})
