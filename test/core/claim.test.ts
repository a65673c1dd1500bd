// Certificates as the proof of a token: each rule beside its nearest opposite.

import { describe, expect, test } from 'vitest'
import type { NameFacts } from '../../src/core/certificate.ts'
import { deviceOfFactory, isShared, judgeClaim, judgeTakeover } from '../../src/core/claim.ts'
import type { CaName, DeviceId } from '../../src/core/ids.ts'
import { parsePrefix, type TokenProof } from '../../src/core/token.ts'
import { keyOf, NOW, planned, printOf } from '../contract/records.ts'

const CLAIM: TokenProof = { kind: 'claim', sha256: keyOf('c') }
const FACTORY: TokenProof = { kind: 'manufacturer', sha256: keyOf('f'), ca: 'factory' as CaName, nameFrom: 'CN', prefix: '' }
const SECRET: TokenProof = { kind: 'secret', sha256: '00' }
const many = { pattern: 'a-*' }
const one = { device: 'a-1' as DeviceId }
const use = { device: 'a-1' as DeviceId, spkiSha256: keyOf('own') }
const said = (decision: { readonly allow: boolean; readonly reason?: string }): string => (decision.allow ? 'allowed' : (decision.reason ?? ''))

describe('the certificate of a claim', () => {
  const claim = planned('c', undefined, { profile: 'claim', state: 'active', sha256: printOf('c'), notBefore: NOW, notAfter: NOW + 10 })

  test('is in force from its first millisecond, and expired at that of notAfter', () => {
    expect([NOW - 1, NOW, NOW + 9, NOW + 10].map((now) => said(judgeClaim(claim, now)))).toEqual(['certificate-not-yet-valid', 'allowed', 'allowed', 'certificate-expired'])
  })

  test.each([['planned', 'certificate-unrecorded'], ['issued', 'allowed'], ['active', 'allowed'], ['superseded', 'certificate-superseded'], ['revoked', 'certificate-revoked']] as const)('%s: %s', (state, verdict) => {
    expect(said(judgeClaim({ ...claim, state }, NOW))).toBe(verdict)
  })
})

describe('a shared certificate', () => {
  test('is one that speaks for a pattern; a secret is none, nor one for a single device', () => {
    expect([isShared({ proof: CLAIM, target: many }), isShared({ proof: FACTORY, target: many }), isShared({ proof: CLAIM, target: one }), isShared({ proof: SECRET, target: many })]).toEqual([true, true, false, false])
  })

  const other = planned('x', 'a-1', { state: 'revoked', sha256: printOf('x') })
  test.each([
    ['no certificate', CLAIM, many, [], 'allowed'],
    ['one for another key, revoked', CLAIM, many, [other], 'device-enrolled'],
    ['one for another key, in force', FACTORY, many, [{ ...other, state: 'active' }], 'device-enrolled'],
    ['one for this key', CLAIM, many, [{ ...other, spkiSha256: keyOf('own') }], 'allowed'],
    ['a plan that came to nothing', CLAIM, many, [planned('x', 'a-1')], 'allowed'],
    ['one of this manufacturer', FACTORY, many, [{ ...other, issuer: 'factory' as CaName }], 'allowed'],
    ['one of another manufacturer', CLAIM, many, [{ ...other, issuer: 'factory' as CaName }], 'device-enrolled'],
    ['one for another key, and a claim for it alone', CLAIM, one, [other], 'allowed'],
    ['one for another key, and a secret', SECRET, many, [other], 'allowed'],
  ] as const)('and a device that has %s', (_, proof, target, records, verdict) => {
    expect(said(judgeTakeover({ proof, target }, use, records))).toBe(verdict)
  })
})

describe('the name in a factory certificate', () => {
  const subject = (...pairs: readonly (readonly [short: string, value: string | undefined])[]): NameFacts => pairs.map(([short, value]) => [{ type: short, short, ...(value === undefined ? {} : { value }) }])
  const named = (facts: NameFacts, rule: Partial<typeof FACTORY> = {}): string => {
    const id = deviceOfFactory(facts, { ...FACTORY, ...rule })
    return id.allow ? id.value : id.reason
  }

  test('is the one of the attribute that was said, behind the prefix', () => {
    const facts = subject(['CN', 'Press'], ['serialNumber', 'SN-7'])
    expect([named(facts), named(facts, { nameFrom: 'serialNumber' }), named(facts, { nameFrom: 'serialNumber', prefix: 'acme-' })]).toEqual(['Press', 'SN-7', 'acme-SN-7'])
  })

  test('is none where it is missing, double, undecodable, too long or not of the letters of a device id', () => {
    expect(named(subject(['O', 'x']))).toBe('certificate-subject-empty')
    expect(named(subject(['CN', '']))).toBe('certificate-subject-empty')
    expect(named(subject(['CN', 'a'], ['CN', 'a']))).toBe('certificate-name-ambiguous')
    expect(named(subject(['CN', undefined]))).toBe('certificate-name-invalid')
    expect(named(subject(['CN', 'a'.repeat(64)]))).toBe('a'.repeat(64))
    expect(named(subject(['CN', 'a'.repeat(64)]), { prefix: 'b' })).toBe('certificate-name-invalid')
    for (const bad of ['a/b', '+', 'a b', '\u0430', '$SYS']) expect(named(subject(['CN', bad]), { prefix: 'x' })).toBe('certificate-name-invalid')
  })

  test('a prefix is nothing, or the beginning of a device id', () => {
    expect(['', 'acme-', 'a'.repeat(32)].every((text) => parsePrefix(text).allow)).toBe(true)
    expect(['-a', 'a/', '*', 'a'.repeat(33), ' '].some((text) => parsePrefix(text).allow)).toBe(false)
  })
})
