import { expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { AUDIT_LIMITS } from '../../src/limits.ts'
import { openFloodGate, type FloodGate } from '../../src/observe/flood.ts'
import type { DenyReason } from '../../src/vocabulary.ts'

const NOW = 1_800_000_000_000
const refusal = (at: number, address = '192.0.2.1', reason: DenyReason = 'tls-untrusted-issuer'): AuditEvent & { readonly kind: 'refusal' } =>
  ({ kind: 'refusal', at, step: 'tls', reason, source: { address, port: 1 } })
const passed = (gate: FloodGate, count: number, of: (i: number) => ReturnType<typeof refusal>): number =>
  Array.from({ length: count }, (_, i) => gate.pass(of(i))).filter(Boolean).length

test('as many refusals of one source and reason as the rate allows are written, the others are one counted record', () => {
  const gate = openFloodGate()
  expect(passed(gate, 1_000, () => refusal(NOW))).toBe(AUDIT_LIMITS.refusalsPerSecond)
  expect(gate.sweep(NOW + 999)).toEqual([])
  expect(gate.sweep(NOW + 1_000)).toEqual([{ kind: 'refusals-suppressed', at: NOW + 1_000, step: 'tls', reason: 'tls-untrusted-issuer', count: 1_000 - AUDIT_LIMITS.refusalsPerSecond, source: { address: '192.0.2.1', port: 1 } }])
  expect(gate.sweep(NOW + 2_000)).toEqual([])
})
test('what stays within the rate is never counted', () => {
  const gate = openFloodGate()
  for (let second = 0; second < 20; second++) expect(passed(gate, AUDIT_LIMITS.refusalsPerSecond, () => refusal(NOW + second * 1_000))).toBe(AUDIT_LIMITS.refusalsPerSecond)
  expect(gate.sweep(Number.POSITIVE_INFINITY)).toEqual([])
})
test('another source and another reason have rates of their own', () => {
  const gate = openFloodGate()
  passed(gate, 100, () => refusal(NOW))
  expect(gate.pass(refusal(NOW, '192.0.2.2'))).toBe(true)
  expect(gate.pass(refusal(NOW, '192.0.2.1', 'tls-self-signed'))).toBe(true)
})
test('no refusal is forgotten: those that were written and those that are counted are all', () => {
  const gate = openFloodGate()
  const written = passed(gate, 5_000, (i) => refusal(NOW + i, `192.0.2.${i % 7}`))
  const counted = gate.sweep(Number.POSITIVE_INFINITY).reduce((sum, e) => sum + (e.kind === 'refusals-suppressed' ? e.count : 0), 0)
  expect(written + counted).toBe(5_000)
})
test('beyond a number of sources they share one count by reason', () => {
  const gate = openFloodGate()
  const written = passed(gate, 3 * AUDIT_LIMITS.refusalKeysMax, (i) => refusal(NOW, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`))
  expect(written).toBe(AUDIT_LIMITS.refusalKeysMax + AUDIT_LIMITS.refusalsPerSecond)
  expect(gate.sweep(NOW + 1_000)).toHaveLength(1)
})
const LIMIT = AUDIT_LIMITS.refusalsPerSecond
const denied = (device: string, address = '192.0.2.1'): ReturnType<typeof refusal> => ({ ...refusal(NOW, address, 'publish-denied'), step: 'policy', device: device as DeviceId })

test('a device hides nobody behind its address, neither a device nor a stranger, and the count names it', () => {
  const gate = openFloodGate()
  expect(passed(gate, 40, () => denied('noisy'))).toBe(LIMIT)
  expect(gate.pass(denied('quiet'))).toBe(true)
  expect(gate.pass(refusal(NOW, '192.0.2.1', 'publish-denied'))).toBe(true)
  expect(gate.sweep(NOW + 1_000)).toMatchObject([{ device: 'noisy', count: 40 - LIMIT, source: { address: '192.0.2.1' } }])
})
test('a device has one rate, from however many addresses, and the count then names none of them', () => {
  const gate = openFloodGate()
  expect(passed(gate, 40, (i) => denied('roaming', `192.0.2.${i}`))).toBe(LIMIT)
  const [counted] = gate.sweep(NOW + 1_000)
  expect(counted).toMatchObject({ device: 'roaming', count: 40 - LIMIT })
  expect(counted).not.toHaveProperty('source')
})
test('an address without a device has one rate, whatever names it claims and whatever certificates it shows without their keys', () => {
  const gate = openFloodGate()
  expect(passed(gate, 1_000, (i) => ({ ...refusal(NOW), claimed: `d${i}` }))).toBe(LIMIT)
  expect(passed(gate, 1_000, (i) => ({ ...refusal(NOW, '192.0.2.1', 'tls-possession-unproven'), device: `d${i}` as DeviceId }))).toBe(LIMIT)
  const counted = gate.sweep(NOW + 1_000)
  expect(counted).toHaveLength(2)
  for (const one of counted) {
    expect(one).not.toHaveProperty('claimed')
    expect(one).not.toHaveProperty('device')
  }
})
test('a count names who was claimed when all of them claimed the same', () => {
  const gate = openFloodGate()
  passed(gate, 40, () => ({ ...refusal(NOW), claimed: 'sensor-7' }))
  expect(gate.sweep(NOW + 1_000)).toMatchObject([{ claimed: 'sensor-7', count: 40 - LIMIT }])
  passed(gate, 40, (i) => (i === 39 ? refusal(NOW) : { ...refusal(NOW), claimed: 'sensor-7' }))
  expect(gate.sweep(NOW + 1_000)[0]).not.toHaveProperty('claimed')
})
test('strangers with many addresses take no room from devices; beyond a number of devices they share one count, too', () => {
  const gate = openFloodGate()
  passed(gate, 2 * AUDIT_LIMITS.refusalKeysMax, (i) => refusal(NOW, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 'publish-denied'))
  expect(passed(gate, 40, () => denied('a'))).toBe(LIMIT)
  expect(gate.pass(denied('b'))).toBe(true)
  const written = passed(gate, 2 * AUDIT_LIMITS.refusalKeysMax, (i) => denied(`d${i}`))
  expect(written).toBe(AUDIT_LIMITS.refusalKeysMax - 2 + LIMIT)
  // Who had a rate of its own keeps it.
  expect(gate.pass(denied('b'))).toBe(true)
})
test('a clock that is set back a day silences nobody', () => {
  const gate = openFloodGate()
  passed(gate, 100, () => refusal(NOW))
  const back = NOW - 86_400_000
  expect(gate.sweep(back)).toMatchObject([{ count: 100 - AUDIT_LIMITS.refusalsPerSecond }])
  expect(passed(gate, 5, () => refusal(back))).toBe(5)
  const silent = openFloodGate()
  silent.pass(refusal(NOW))
  expect(passed(silent, 20, () => refusal(back))).toBe(AUDIT_LIMITS.refusalsPerSecond)
})
