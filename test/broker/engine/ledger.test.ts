// What one device may hold in memory, counted: messages with everything that they carry, retained messages by topic.

import { array, assert, constantFrom, nat, property, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { messageBytes, openLedger, openRetainedLedger, ownerOf } from '../../../src/broker/engine/ledger.ts'
import type { EnginePacket } from '../../../src/broker/engine/surface.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

const packet = (topic: string, payload: number | Buffer, fields: Partial<EnginePacket> = {}): EnginePacket =>
  ({ cmd: 'publish', topic, payload: typeof payload === 'number' ? Buffer.alloc(payload) : payload, qos: 1, retain: true, ...fields })

test('the owner of a session is its tenant and device, whatever the client id', () => {
  expect(ownerOf('default/sensor-7/sensor-7:1')).toBe('default/sensor-7')
  expect(ownerOf('default/sensor-7/a/b')).toBe('default/sensor-7')
})

test('a message costs its topic, its payload and its properties', () => {
  expect(messageBytes(packet('t/x', 10))).toBe(13)
  expect(messageBytes(packet('t/x', 10, { properties: { messageExpiryInterval: 5 } }))).toBe(13 + 'messageExpiryInterval'.length)
  expect(messageBytes(packet('t/x', 0, { properties: { userProperties: { k: 'x'.repeat(1_000) } } }))).toBeGreaterThan(1_000)
  expect(messageBytes(packet('t/x', 0, { properties: { userProperties: { k: ['x'.repeat(500), 'y'.repeat(500)] } } }))).toBeGreaterThan(1_000)
  expect(messageBytes(packet('t/x', 0, { properties: { correlationData: Buffer.alloc(1_000) } }))).toBeGreaterThan(1_000)
})

test('what was added and removed again leaves nothing behind', () => {
  assert(property(array(record({ holder: constantFrom('a', 'b'), bytes: nat(1_000) })), (entries) => {
    const ledger = openLedger()
    for (const { holder, bytes } of entries) ledger.add(holder, bytes)
    for (const holder of ['a', 'b']) {
      const own = entries.filter((e) => e.holder === holder)
      expect([ledger.messages(holder), ledger.bytes(holder)]).toEqual([own.length, own.reduce((sum, e) => sum + e.bytes, 0)])
    }
    for (const { holder, bytes } of entries.toReversed()) ledger.remove(holder, bytes)
    expect([ledger.messages('a'), ledger.bytes('a'), ledger.messages('b'), ledger.bytes('b')]).toEqual([0, 0, 0, 0])
  }))
})

describe('retained messages', () => {
  const max = BROKER_LIMITS.retainedBytesPerDeviceMax
  const by = (device: string, topic: string, payload: number): EnginePacket => packet(topic, payload, { clientId: `default/${device}/${device}` })

  test('have an end in number, by device; clearing one makes room for one', () => {
    const ledger = openRetainedLedger()
    for (let i = 0; i < BROKER_LIMITS.retainedMessagesPerDeviceMax; i++) expect(ledger.enter(by('d', `t/${i}`, 1))).toBe(true)
    expect(ledger.enter(by('d', 't/more', 1))).toBe(false)
    expect(ledger.hasRoom('default/d/d:2', by('d', 't/more', 1))).toBe(false)
    expect(ledger.enter(by('e', 't/more', 1))).toBe(true)
    expect(ledger.enter(by('d', 't/7', 2))).toBe(true)
    expect(ledger.enter(by('d', 't/7', 0))).toBe(true)
    expect(ledger.enter(by('d', 't/7', 1))).toBe(true)
    expect(ledger.enter(by('d', 't/most', 1))).toBe(false)
  })

  test('have an end in bytes, to the byte', () => {
    const ledger = openRetainedLedger()
    expect(ledger.enter(by('d', 'a', max - 1))).toBe(true)
    expect(ledger.enter(by('d', 'b', 1))).toBe(false)
    // One that replaces needs the difference only; it never needs more than the whole.
    expect(ledger.enter(by('d', 'a', max))).toBe(false)
    expect(ledger.enter(by('d', 'a', max - 3))).toBe(true)
    expect(ledger.enter(by('d', 'b', 2))).toBe(false)
    expect(ledger.enter(by('d', 'b', 1))).toBe(true)
  })

  test('replaced or cleared by another device, give the room back to whose they were', () => {
    const ledger = openRetainedLedger()
    expect(ledger.enter(by('d', 'a', max - 1))).toBe(true)
    expect(ledger.enter(by('e', 'a', 1))).toBe(true)
    expect(ledger.enter(by('d', 'b', max - 1))).toBe(true)
    expect(ledger.enter(by('e', 'b', 0))).toBe(true)
    expect(ledger.enter(by('d', 'c', max - 1))).toBe(true)
  })
})
