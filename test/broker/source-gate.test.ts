import { expect, test } from 'vitest'
import { openSourceGate } from '../../src/broker/source-gate.ts'
import { sourceAddress, sourceKey } from '../../src/core/source-key.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'

const RATE = { perSecond: 10, burst: 20 }
const reasonOf = (d: { allow: boolean; reason?: string }): string => (d.allow ? 'in' : (d.reason ?? ''))

test('a source may use its burst, is refused one beyond it, and comes back at its rate', () => {
  const gate = openSourceGate(RATE)
  for (let i = 0; i < 20; i++) expect(reasonOf(gate.enter('192.0.2.1', 0))).toBe('in')
  expect(reasonOf(gate.enter('192.0.2.1', 0))).toBe('source-rate')
  expect(reasonOf(gate.enter('192.0.2.1', 99))).toBe('source-rate')
  expect(reasonOf(gate.enter('192.0.2.1', 100))).toBe('in')
})

test('one source that is out of tokens does not cost another one', () => {
  const gate = openSourceGate(RATE)
  for (let i = 0; i < 30; i++) gate.enter('192.0.2.1', 0)
  expect(reasonOf(gate.enter('192.0.2.2', 0))).toBe('in')
})

test('unfinished handshakes of one source have an end, and finishing one makes room', () => {
  const gate = openSourceGate({ perSecond: 1e9, burst: 1e9 })
  for (let i = 0; i < BROKER_LIMITS.halfOpenPerSourceMax; i++) expect(gate.enter('192.0.2.1', 0).allow).toBe(true)
  expect(reasonOf(gate.enter('192.0.2.1', 0))).toBe('source-busy')
  expect(gate.enter('192.0.2.2', 0).allow).toBe(true)
  gate.finished('192.0.2.1')
  expect(gate.enter('192.0.2.1', 0).allow).toBe(true)
})

test('unfinished handshakes from everywhere have an end', () => {
  const gate = openSourceGate({ perSecond: 1e9, burst: 1e9 })
  let entered = 0
  for (let i = 0; i < BROKER_LIMITS.halfOpenMax + 100; i++) if (gate.enter(`10.0.${i >> 8}.${i & 255}`, 0).allow) entered += 1
  expect(entered).toBe(BROKER_LIMITS.halfOpenMax)
})

test('finishing more often than entering makes no room out of nothing', () => {
  const gate = openSourceGate({ perSecond: 1e9, burst: 1e9 })
  gate.finished('192.0.2.1')
  for (let i = 0; i < BROKER_LIMITS.halfOpenPerSourceMax; i++) gate.enter('192.0.2.1', 0)
  expect(reasonOf(gate.enter('192.0.2.1', 0))).toBe('source-busy')
})

test('time that runs backwards gives nothing away', () => {
  const gate = openSourceGate(RATE)
  for (let i = 0; i < 20; i++) gate.enter('192.0.2.1', 1_000_000)
  expect(reasonOf(gate.enter('192.0.2.1', 0))).toBe('source-rate')
})

test('an IPv4 address inside IPv6 is the IPv4 address', () => {
  expect(sourceAddress('::ffff:192.0.2.1')).toBe('192.0.2.1')
  expect(sourceAddress('2001:db8::1')).toBe('2001:db8::1')
})

test('an IPv6 /64 is one source, two are two', () => {
  expect(sourceKey('2001:db8:0:1::1')).toBe(sourceKey('2001:db8:0:1:ffff:ffff:ffff:ffff'))
  expect(sourceKey('2001:db8::1')).toBe(sourceKey('2001:db8:0:0:9::'))
  expect(sourceKey('2001:db8:0:1::1')).not.toBe(sourceKey('2001:db8:0:2::1'))
  expect(sourceKey('192.0.2.1')).toBe('192.0.2.1')
})
