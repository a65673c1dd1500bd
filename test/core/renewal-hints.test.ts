// When a device is told that it is time to renew: at two thirds of the life of its certificate, each a little later in its own way; when an
// operator has ordered it; and whom nobody tells.

import { describe, expect, test } from 'vitest'
import { DEVICE_STATES } from '../../src/core/device.ts'
import type { CaName, DeviceId, GroupName } from '../../src/core/ids.ts'
import { hintFor, hintPause, hintTime, type HintFacts } from '../../src/core/renewal-hints.ts'
import { isOrdered, turnOf, type RenewalChoice, type RenewalOrder } from '../../src/core/renewal-orders.ts'
import { CERTIFICATE_STATES, type CertificateRecord } from '../../src/core/registry.ts'
import { LIFE } from '../../src/limits.ts'
import { CA, device, NOW, planned, printOf } from '../contract/records.ts'

const YEAR = 360 * LIFE.day
const HOUR = LIFE.day / 24
/** Of a year of 360 days, issued at NOW. */
const record = (name = 'a', changed: Partial<CertificateRecord> = {}): CertificateRecord => ({ ...planned(name, 'd'), state: 'active', sha256: printOf(name), notAfter: NOW + YEAR, ...changed })
const order = (choice: RenewalChoice, changed: Partial<RenewalOrder> = {}): RenewalOrder => ({ id: '00000000', choice, at: NOW + 1, overMs: 0, devices: 1, ...changed })
const facts = (changed: Partial<HintFacts> = {}): HintFacts => ({ record: record(), device: device('d'), ofDevice: [changed.record ?? record()], isOurs: true, orders: [], toldAt: undefined, now: hintTime(record()), ...changed })
const hint = (changed: Partial<HintFacts> = {}) => hintFor(facts(changed))

describe('by the life of the certificate', () => {
  test('its time is two thirds of its life and up to a twelfth of it later, the same at every look', () => {
    for (let i = 0; i < 500; i++) {
      const at = hintTime(record(`n${i}`)) - NOW
      expect(at).toBeGreaterThanOrEqual((YEAR * 2) / 3)
      expect(at).toBeLessThan((YEAR * 3) / 4)
      expect(hintTime(record(`n${i}`)) - NOW).toBe(at)
    }
  })

  test('a batch that was made in one minute is spread over a month: no day has more than thrice its share', () => {
    const days = new Map<number, number>()
    for (let i = 0; i < 3_000; i++) {
      const day = Math.floor(hintTime(record(`b${i}`, { notBefore: NOW + (i % 60) * 1_000, notAfter: NOW + YEAR + (i % 60) * 1_000 })) / LIFE.day)
      days.set(day, (days.get(day) ?? 0) + 1)
    }
    expect(days.size).toBeGreaterThanOrEqual(30)
    expect(Math.max(...days.values())).toBeLessThan(300)
  })

  test('a device is told from the very millisecond of its time on, and not before', () => {
    const now = hintTime(record())
    expect(hint({ now: now - 1 })).toBeUndefined()
    expect(hint({ now })).toEqual({ serial: record().serial, notAfter: NOW + YEAR, renewBefore: NOW + YEAR - YEAR / 12, reason: 'expiring', againAt: now + 12 * HOUR })
  })

  test('late, it is told to renew before it is told again, or before the end, where that comes first', () => {
    expect(hint({ now: NOW + YEAR - LIFE.day })?.renewBefore).toBe(NOW + YEAR - LIFE.day + 12 * HOUR)
    expect(hint({ now: NOW + YEAR - 1 })?.renewBefore).toBe(NOW + YEAR)
    expect(hint({ now: NOW + YEAR })).toBeUndefined()
  })

  test('it is not told again within half a day, also by a clock that was set back, but by one that was set back further it is', () => {
    const now = hintTime(record()) + 30 * LIFE.day
    expect(hint({ now, toldAt: now - 12 * HOUR + 1 })).toBeUndefined()
    expect(hint({ now, toldAt: now + 12 * HOUR - 1 })).toBeUndefined()
    expect(hint({ now, toldAt: now - 12 * HOUR })).toBeDefined()
    expect(hint({ now, toldAt: now + YEAR })).toBeDefined()
  })

  test('of a certificate of one day the pause is an hour', () => {
    expect(hintPause(record('s', { notAfter: NOW + LIFE.day }))).toBe(HOUR)
    expect(hintPause(record())).toBe(12 * HOUR)
  })
})

describe('who is not told', () => {
  test.each(DEVICE_STATES)('a %s device', (state) => {
    const told = { pending: true, active: true, suspended: false, quarantined: false, retired: false } as const
    expect(hint({ device: device('d', { state }) }) !== undefined).toBe(told[state])
  })

  test.each(CERTIFICATE_STATES)('who shows a %s certificate', (state) => {
    const told = { planned: false, issued: true, active: true, superseded: false, revoked: false } as const
    expect(hint({ record: record('a', { state }) }) !== undefined).toBe(told[state])
  })

  test('who is not there, has a certificate of another CA, or is an operator', () => {
    expect(hint({ device: undefined })).toBeUndefined()
    expect(hint({ isOurs: false })).toBeUndefined()
    expect(hint({ record: record('a', { profile: 'operator' }) })).toBeUndefined()
    expect(hint()).toBeDefined()
  })

  const next = (state: CertificateRecord['state'], changed: Partial<CertificateRecord> = {}): Partial<HintFacts> => {
    const other = record('next', { state, createdAt: NOW + 2 * YEAR, notAfter: NOW + 3 * YEAR, ...changed })
    return { ofDevice: [record(), other] }
  }

  test('who has a longer one in force; a shorter one is no next one', () => {
    expect(hint(next('active'))).toBeUndefined()
    expect(hint(next('active', { notAfter: NOW + YEAR - 1 }))).toBeDefined()
    expect(hint(next('superseded'))).toBeDefined()
  })

  test('who was given its next one a moment ago; who never used it is told again half a day later', () => {
    const now = hintTime(record())
    expect(hint(next('issued', { createdAt: now - 12 * HOUR + 1 }))).toBeUndefined()
    expect(hint(next('issued', { createdAt: now - 12 * HOUR }))).toBeDefined()
  })
})

describe('by order', () => {
  const now = NOW + LIFE.day

  test('who is meant is told from its turn on, though its time has not come', () => {
    const given = order({ group: 'sensors' as GroupName }, { overMs: LIFE.day })
    const turn = turnOf(record(), given)
    expect(hint({ orders: [given], now: turn - 1 })).toBeUndefined()
    expect(hint({ orders: [given], now: turn })).toMatchObject({ reason: 'ordered', renewBefore: Math.max(turn + 12 * HOUR, given.at + LIFE.day) })
  })

  test('when both hold, the end of its life is the reason', () => {
    expect(hint({ orders: [order({ ca: CA })] })).toMatchObject({ reason: 'expiring' })
  })

  test('turns are spread over all of the duration, and not as the times of life are', () => {
    const given = order({ ca: CA }, { overMs: 10 * HOUR })
    const turns = Array.from({ length: 2_000 }, (_, i) => turnOf(record(`t${i}`), given) - given.at)
    for (let hour = 0; hour < 10; hour++) expect(turns.filter((turn) => Math.floor(turn / HOUR) === hour).length).toBeGreaterThan(100)
    expect(Math.min(...turns)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...turns)).toBeLessThan(10 * HOUR)
  })

  const meant = (choice: RenewalChoice, changed: Partial<CertificateRecord> = {}, at = now): boolean => isOrdered(record('a', changed), device('d'), { choice, at }, at)
  test.each<[string, RenewalChoice, RenewalChoice]>([
    ['the device', { device: 'd' as DeviceId }, { device: 'e' as DeviceId }],
    ['its group', { group: 'sensors' as GroupName }, { group: 'backends' as GroupName }],
    ['the CA', { ca: CA }, { ca: 'other' as CaName }],
    ['a time', { issuedBefore: NOW + 1 }, { issuedBefore: NOW }],
    ['all that is said', { ca: CA, group: 'sensors' as GroupName }, { ca: CA, group: 'backends' as GroupName }],
  ])('an order that names %s means it, and one that names another does not', (_, right, wrong) => {
    expect([meant(right), meant(wrong)]).toEqual([true, false])
  })

  test('whatever was made after the order is not meant by it: who has renewed is done', () => {
    expect(meant({ ca: CA }, { createdAt: now - 1 })).toBe(true)
    expect(meant({ ca: CA }, { createdAt: now })).toBe(false)
    expect(hint({ record: record('b', { createdAt: now }), orders: [order({ ca: CA }, { at: now })], now })).toBeUndefined()
  })

  test.each([['ended', { notAfter: NOW + LIFE.day }], ['revoked', { state: 'revoked' }], ['superseded', { state: 'superseded' }], ['of a claim', { profile: 'claim' }], ['only planned', { state: 'planned' }]] as const)('one that is %s is not meant', (_, changed) => {
    expect(meant({ ca: CA }, changed)).toBe(false)
  })

  test('an order is told once a pause, and ends nothing that the registry would refuse', () => {
    expect(hint({ orders: [order({ ca: CA })], now, toldAt: now - 1 })).toBeUndefined()
    expect(hint({ orders: [order({ ca: CA })], now, device: device('d', { state: 'suspended' }) })).toBeUndefined()
    expect(hint({ orders: [order({ ca: CA })], now })).toBeDefined()
  })

})
