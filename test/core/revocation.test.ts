// Which certificates a revocation touches, that asking twice is asking once, and what it must not touch.

import { describe, expect, test } from 'vitest'
import { CERTIFICATE_STATES, PROFILE_NAMES, type CertificateRecord, type ProfileName } from '../../src/core/registry.ts'
import { planRevocation } from '../../src/core/revocation.ts'
import { NOW, planned, reasonOf, valueOf } from './facts.ts'

const record = (name: string, facts: Partial<CertificateRecord> = {}): CertificateRecord => planned(name, 'sensor-7', { state: 'active', ...facts })
const operator = (name: string, facts: Partial<CertificateRecord> = {}): CertificateRecord => planned(name, undefined, { profile: 'operator', state: 'active', ...facts })
const plan = (records: readonly CertificateRecord[]) => planRevocation(records, 'keyCompromise', NOW)

describe('a revocation', () => {
  test('is one change for every certificate, with reason and time', () => {
    const [a, b] = [record('a'), record('b')]
    expect(valueOf(plan([a, b]))).toEqual({
      changes: [a, b].map((c) => ({ kind: 'certificate-revoked', issuer: c.issuer, serial: c.serial, at: NOW, reason: 'keyCompromise' })),
      expected: [],
      revoked: [a.serial, b.serial],
      before: [],
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
    const { changes, revoked, before } = valueOf(plan([old, fresh]))
    expect(changes.map((c) => c.serial)).toEqual([fresh.serial])
    expect(revoked).toEqual([old.serial, fresh.serial])
    expect(before).toEqual([old.serial])
  })

  test('of nothing is not found', () => expect(reasonOf(plan([]))).toBe('certificate-not-found'))

  test.each(PROFILE_NAMES)('of a %s certificate is refused when it is a CA\'s, alone and among others', (profile: ProfileName) => {
    const expected = profile === 'root' || profile === 'issuing' ? 'certificate-purpose' : 'allowed'
    expect(reasonOf(plan([record('a', { profile })]))).toBe(expected)
    expect(reasonOf(plan([record('b'), record('a', { profile })]))).toBe(expected)
  })
})

describe('the last operator', () => {
  const remain = [{ kind: 'operators-remain', now: NOW }]
  const expected = (records: readonly CertificateRecord[]) => valueOf(plan(records)).expected

  test('is looked for when the commit is made, also when several are revoked at once', () => {
    expect(expected([operator('a')])).toEqual(remain)
    expect(expected([operator('a'), operator('b')])).toEqual(remain)
  })

  test('one that is not in force is no last one: expired, revoked, superseded, or only planned', () => {
    expect(expected([operator('a', { notAfter: NOW })])).toEqual([])
    expect(expected([operator('a', { notAfter: NOW + 1 })])).toEqual(remain)
    for (const state of ['revoked', 'superseded', 'planned'] as const) expect(expected([operator('a', { state })])).toEqual([])
  })

  test('devices do not count as operators', () => expect(expected([record('a')])).toEqual([]))
})
