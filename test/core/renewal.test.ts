// Renewal: with which certificate a device may ask for its next one, for which names and which key, how late, and what its first
// use does to the older ones.

import { describe, expect, test } from 'vitest'
import type { CertificateFacts, CsrFacts } from '../../src/core/certificate.ts'
import { DEVICE_STATES, type Device } from '../../src/core/device.ts'
import type { CaName, Fingerprint, GroupName, SerialNumber } from '../../src/core/ids.ts'
import { DEFAULT_RENEWAL, graceOf, judgeRenewal, planFirstUse, type RenewalFacts } from '../../src/core/renewal.ts'
import type { CertificateRecord } from '../../src/core/registry.ts'
import { LIFE } from '../../src/limits.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { device, keyOf, leaf, nameOf, NOW, P256, planned, reasonOf, request, valueOf } from './facts.ts'

const SHA = 'ab'.repeat(32) as Fingerprint
const record = (changed: Partial<CertificateRecord> = {}): CertificateRecord => ({ ...planned('now', 'sensor-7'), state: 'active', sha256: SHA, spkiSha256: P256.spkiSha256, notBefore: NOW - 1_000, notAfter: NOW + 1_000, createdAt: NOW - 1_000, ...changed })
const other = (name: string, changed: Partial<CertificateRecord> = {}): CertificateRecord => record({ serial: name as SerialNumber, sha256: name.padEnd(64, '0') as Fingerprint, spkiSha256: keyOf(name), ...changed })
const newKey: Partial<CsrFacts> = { key: { ...P256, spkiSha256: keyOf('next') } }

const facts = (changed: Partial<RenewalFacts> = {}): RenewalFacts => ({
  csr: request(newKey), presented: leaf(), record: record(), device: device('sensor-7'), ofDevice: [changed.record ?? record()],
  isOurs: true, mayBeLate: false, now: NOW, rules: DEFAULT_RENEWAL, ...changed,
})
const outcome = (changed: Partial<RenewalFacts> = {}): DenyReason | 'allowed' => reasonOf(judgeRenewal(facts(changed)))

test('a device whose key was reported renews for another key: with the certificate that its key began', () => {
  expect(outcome({ device: device('sensor-7', { keySha256: keyOf('reported') }) })).toBe('allowed')
})

describe('the certificate that is shown', () => {
  test.each<[string, Partial<RenewalFacts>, DenyReason]>([
    ['unknown', { record: undefined }, 'certificate-unrecorded'],
    ['planned only', { record: record({ state: 'planned' }) }, 'certificate-unrecorded'],
    ['other bytes than recorded', { presented: leaf({ sha256: 'cd'.repeat(32) as Fingerprint }) }, 'certificate-mismatch'],
    ['of an operator', { record: record({ profile: 'operator' }) }, 'certificate-purpose'],
    ['of a claim', { record: record({ profile: 'claim' }) }, 'certificate-purpose'],
    ['revoked', { record: record({ state: 'revoked' }) }, 'certificate-revoked'],
    ['superseded', { record: record({ state: 'superseded' }) }, 'certificate-superseded'],
    ['of nobody', { device: undefined }, 'device-unknown'],
    ['of another device', { device: device('sensor-8') }, 'device-name-mismatch'],
    ['of a CA that is only trusted', { isOurs: false }, 'device-issuer-mismatch'],
    ['not valid yet', { record: record({ notBefore: NOW + 1 }) }, 'certificate-not-yet-valid'],
  ])('%s: refused, at every door', (_, broken, reason) => {
    for (const mayBeLate of [false, true]) expect(outcome({ ...broken, mayBeLate })).toBe(reason)
    expect(outcome()).toBe('allowed')
  })

  test('one that waits for its first use renews, too', () => {
    expect(outcome({ record: record({ state: 'issued' }) })).toBe('allowed')
  })

  test('revoked is told before expired, also within the grace', () => {
    expect(outcome({ record: record({ state: 'revoked', notAfter: NOW - 1 }), mayBeLate: true })).toBe('certificate-revoked')
  })

  test.each(DEVICE_STATES)('a %s device', (state) => {
    const expected = { pending: 'allowed', active: 'allowed', suspended: 'device-suspended', quarantined: 'device-quarantined', retired: 'device-retired' } as const
    expect(outcome({ device: device('sensor-7', { state }) })).toBe(expected[state])
  })
})

describe('late', () => {
  const DAY = LIFE.day
  const ended = (ms: number): Partial<RenewalFacts> => ({ record: record({ notAfter: NOW - ms }) })
  const inGroup = (...groups: readonly string[]): Device => device('sensor-7', { groups: groups as readonly GroupName[] })
  const rules = { ...DEFAULT_RENEWAL, graceOfGroups: new Map([['line-1', 90 * DAY], ['vault', 0]] as [GroupName, number][]) }

  test('expired is expired at the very millisecond of notAfter, and then only a door for renewals will do', () => {
    expect(outcome(ended(-1))).toBe('allowed')
    expect(outcome(ended(0))).toBe('certificate-expired')
    expect(outcome({ ...ended(0), mayBeLate: true })).toBe('allowed')
  })

  test('the grace ends at its very millisecond: 30 days, where nothing else is said', () => {
    expect(outcome({ ...ended(30 * DAY - 1), mayBeLate: true })).toBe('allowed')
    expect(outcome({ ...ended(30 * DAY), mayBeLate: true })).toBe('certificate-expired')
  })

  test('a group has a grace of its own, and of several the shortest counts', () => {
    const line = { device: inGroup('line-1', 'unnamed'), rules, mayBeLate: true }
    expect(outcome({ ...line, ...ended(90 * DAY - 1) })).toBe('allowed')
    expect(outcome({ ...line, ...ended(90 * DAY) })).toBe('certificate-expired')
    expect(outcome({ ...line, device: inGroup('line-1', 'vault'), ...ended(0) })).toBe('certificate-expired')
    expect(graceOf(inGroup('unnamed'), rules)).toBe(30 * DAY)
  })

  test('a device that slept for years is told that its certificate expired', () => {
    expect(outcome({ ...ended(3 * 365 * DAY), mayBeLate: true })).toBe('certificate-expired')
  })

  test('an old key does not push out what the device works with; an unused next one is no such thing', () => {
    const late = { ...ended(DAY), mayBeLate: true }
    const newer = (changed: Partial<CertificateRecord>) => outcome({ ...late, ofDevice: [record({ notAfter: NOW - DAY }), other('newer', changed)] })
    expect(newer({ state: 'active' })).toBe('certificate-superseded')
    expect(newer({ state: 'active', notAfter: NOW })).toBe('allowed')
    expect(newer({ state: 'issued' })).toBe('allowed')
    expect(newer({ state: 'revoked' })).toBe('allowed')
  })
})

describe('the request', () => {
  const asks = (csr: Partial<CsrFacts>, presented: Partial<CertificateFacts> = {}) => outcome({ csr: request({ ...newKey, ...csr }), presented: leaf(presented) })

  test.each<[string, Partial<CsrFacts>]>([
    ['another device', { subject: nameOf('CN=sensor-8') }],
    ['no name', { subject: nameOf() }],
    ['one attribute more', { subject: nameOf('O=Acme', 'CN=sensor-7') }],
    ['its name twice', { subject: nameOf('CN=sensor-7', 'CN=sensor-7') }],
    ['another case', { subject: nameOf('CN=Sensor-7') }],
    ['a name that does not decode', { subject: nameOf('CN!') }],
    ['an alternative name', { requestedAltNames: [{ kind: 'dns', value: 'sensor-7' }], requestedExtensions: ['2.5.29.17'] }],
    ['alternative names that cannot be read', { requestedExtensions: ['2.5.29.17'] }],
  ])('for %s: refused, whatever its key', (_, csr) => {
    expect(asks(csr)).toBe('csr-subject-changed')
    expect(asks({})).toBe('allowed')
  })

  test('the common name alone asks for the same device, where its CA puts subjects into one place; more, or another place, does not', () => {
    const presented = { subject: nameOf('O=Acme', 'OU=plant-7', 'CN=sensor-7') }
    expect(asks({ subject: nameOf('O=Acme', 'OU=plant-7', 'CN=sensor-7') }, presented)).toBe('allowed')
    expect(asks({ subject: nameOf('CN=sensor-7') }, presented)).toBe('allowed')
    for (const subject of [nameOf('CN=sensor-8'), nameOf('O=Acme', 'CN=sensor-7'), nameOf('OU=plant-7', 'CN=sensor-7'), nameOf('O=Acme', 'OU=plant-8', 'CN=sensor-7'), nameOf('CN=sensor-7', 'CN=sensor-7'), nameOf()]) {
      expect(asks({ subject }, presented)).toBe('csr-subject-changed')
    }
  })

  test('two names that do not decode are not the same name', () => {
    expect(asks({ subject: nameOf('CN=unreadable') }, { subject: nameOf('CN!') })).toBe('csr-subject-changed')
  })

  test('alternative names of the certificate must be asked for again, in any order', () => {
    const names = [{ kind: 'dns', value: 'a' }, { kind: 'ip', value: '10.0.0.1' }] as const
    const presented = { subjectAltNames: names }
    expect(asks({ requestedAltNames: names.toReversed(), requestedExtensions: ['2.5.29.17'] }, presented)).toBe('allowed')
    expect(asks({}, presented)).toBe('csr-subject-changed')
    expect(asks({ requestedAltNames: [names[0]], requestedExtensions: ['2.5.29.17'] }, presented)).toBe('csr-subject-changed')
  })

  test('possession, key and signature are judged as at any enrollment', () => {
    expect(asks({ possessionProven: false })).toBe('csr-signature-invalid')
    expect(asks({ key: { ...P256, curve: 'P-192' } })).toBe('key-weak')
    expect(asks({ signatureAlgorithm: '1.2.840.10045.4.1' })).toBe('csr-signature-invalid')
  })

  test('the same key is taken, unless the organisation wants a new one', () => {
    expect(outcome({ csr: request() })).toBe('allowed')
    const rules = { ...DEFAULT_RENEWAL, sameKey: 'refused' } as const
    expect(outcome({ csr: request(), rules })).toBe('renewal-same-key')
    expect(outcome({ rules })).toBe('allowed')
  })

  test('ends what was never used for another key: not what is in use, not the same key, not what ended already', () => {
    const ofDevice = [record(), other('lost', { state: 'issued' }), other('orphan', { state: 'planned' }), other('used'), other('gone', { state: 'superseded' }), other('same', { state: 'issued', spkiSha256: keyOf('next') }), other('claim', { state: 'issued', profile: 'claim' })]
    expect(valueOf(judgeRenewal(facts({ ofDevice }))).ends.map(({ serial }) => serial)).toEqual(['lost', 'orphan'])
  })
})

describe('the first use', () => {
  const next = other('next', { state: 'issued', createdAt: NOW })

  test('puts the next certificate in force and supersedes the older ones of its profile, whoever issued them, and only those', () => {
    const ofDevice = [record(), other('unused', { state: 'issued', createdAt: NOW - 1 }), other('foreign', { issuer: 'issuing-0' as CaName }), other('revoked', { state: 'revoked' }), other('claim', { profile: 'claim' }), next, other('younger', { state: 'issued', createdAt: NOW + 1 })]
    const plan = planFirstUse(next, ofDevice)
    expect(plan?.changes.map(({ serial, state }) => `${serial} ${state}`)).toEqual(['next active', `${record().serial} superseded`, 'unused superseded', 'foreign superseded'])
    expect(plan?.expected).toHaveLength(4)
  })

  test('of two, which is older is what was recorded first, also where the clock was set back between them; a bundle that came later stays', () => {
    const ofDevice = [record({ createdAt: NOW + 1_000 }), next, other('bundle', { createdAt: NOW - 1_000 })]
    expect(planFirstUse(next, ofDevice)?.superseded.map(({ serial }) => serial)).toEqual([record().serial])
  })

  test.each(['planned', 'active', 'superseded', 'revoked'] as const)('of a certificate that is %s is nothing', (state) => {
    expect(planFirstUse(other('next', { state }), [record()])).toBeUndefined()
  })
})
