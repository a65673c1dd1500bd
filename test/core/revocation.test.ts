// Which certificates a revocation touches, that asking twice is asking once, and what it must not touch.

import { describe, expect, test } from 'vitest'
import { CERTIFICATE_STATES, PROFILE_NAMES, type CertificateRecord, type ProfileName } from '../../src/core/registry.ts'
import { planRevocation } from '../../src/core/revocation.ts'
import { detailOf, NOW, planned, reasonOf, valueOf } from './facts.ts'

const record = (name: string, facts: Partial<CertificateRecord> = {}): CertificateRecord => planned(name, 'sensor-7', { state: 'active', ...facts })
const operator = (name: string, facts: Partial<CertificateRecord> = {}): CertificateRecord => planned(name, undefined, { profile: 'operator', state: 'active', ...facts })
const plan = (records: readonly CertificateRecord[], operatorsInForce = 0) => planRevocation(records, operatorsInForce, 'keyCompromise', NOW)

describe('a revocation', () => {
  test('is one change for every certificate, with reason and time', () => {
    const [a, b] = [record('a'), record('b')]
    expect(valueOf(plan([a, b]))).toEqual({
      changes: [a, b].map((c) => ({ kind: 'certificate-revoked', issuer: c.issuer, serial: c.serial, at: NOW, reason: 'keyCompromise' })),
      revoked: [a.serial, b.serial],
    })
  })

  test.each(CERTIFICATE_STATES)('of a certificate that is %s is recorded once', (state) => {
    const { changes, revoked } = valueOf(plan([record('a', { state })]))
    expect(changes).toHaveLength(state === 'revoked' ? 0 : 1)
    expect(revoked).toHaveLength(1)
  })

  test('of a certificate that has expired is recorded all the same', () => {
    expect(valueOf(plan([record('a', { notAfter: NOW - 1 })])).changes).toHaveLength(1)
  })

  test('names those again that were revoked already, and changes only the others', () => {
    const [old, fresh] = [record('a', { state: 'revoked', revokedAt: 1, revocationReason: 'superseded' }), record('b')]
    const { changes, revoked } = valueOf(plan([old, fresh]))
    expect(changes.map((c) => c.serial)).toEqual([fresh.serial])
    expect(revoked).toEqual([old.serial, fresh.serial])
  })

  test('of nothing is not found', () => expect(reasonOf(plan([]))).toBe('certificate-not-found'))

  test.each(PROFILE_NAMES)('of a %s certificate is refused when it is a CA\'s, alone and among others', (profile: ProfileName) => {
    const expected = profile === 'root' || profile === 'issuing' ? 'certificate-purpose' : 'allowed'
    expect(reasonOf(plan([record('a', { profile })], 2))).toBe(expected)
    expect(reasonOf(plan([record('b'), record('a', { profile })], 2))).toBe(expected)
  })
})

describe('the last operator', () => {
  test('stays, and goes when there is a second one', () => {
    expect(reasonOf(plan([operator('a')], 1))).toBe('state-transition')
    expect(detailOf(plan([operator('a')], 1))).toContain('last operator')
    expect(reasonOf(plan([operator('a')], 2))).toBe('allowed')
  })

  test('also when both are revoked at once', () => {
    expect(reasonOf(plan([operator('a'), operator('b')], 2))).toBe('state-transition')
    expect(reasonOf(plan([operator('a'), operator('b')], 3))).toBe('allowed')
  })

  test('one that is not in force is no last one: expired, revoked, superseded, or only planned', () => {
    expect(reasonOf(plan([operator('a', { notAfter: NOW })], 1))).toBe('allowed')
    expect(reasonOf(plan([operator('a', { notAfter: NOW + 1 })], 1))).toBe('state-transition')
    for (const state of ['revoked', 'superseded', 'planned'] as const) expect(reasonOf(plan([operator('a', { state })], 1))).toBe('allowed')
  })

  test('a count of none in force does not open the door', () => expect(reasonOf(plan([operator('a')], 0))).toBe('state-transition'))

  test('devices do not count as operators', () => expect(reasonOf(plan([record('a')], 1))).toBe('allowed'))
})
