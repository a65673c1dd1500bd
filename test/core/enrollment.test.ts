// Requests: who may have a certificate, for which key, and that nothing else of the request is taken.

import { describe, expect, test } from 'vitest'
import type { CsrFacts } from '../../src/core/certificate.ts'
import { DEVICE_STATES, type DeviceState } from '../../src/core/device.ts'
import { ENROLLABLE_STATES, judgeEnrollment } from '../../src/core/enrollment.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { device, keyOf, nameOf, P256, reasonOf, request, valueOf } from './facts.ts'

const of = (csr: Partial<CsrFacts>, state: DeviceState = 'active') => judgeEnrollment(request(csr), device('sensor-7', { state }))

describe('enrollment', () => {
  test('takes the public key from the request and the name from the registry, and nothing else', () => {
    const hostile = request({
      requestedAltNames: [{ kind: 'dns', value: 'admin.example.org' }, { kind: 'uri', value: 'spiffe://x/admin' }],
      requestedExtensions: ['2.5.29.19', '2.5.29.15', '2.5.29.30', '2.5.29.31'],
    })
    expect(valueOf(judgeEnrollment(hostile, device('sensor-7')))).toStrictEqual({ device: 'sensor-7', spki: new Uint8Array([1, 2, 3]), spkiSha256: P256.spkiSha256 })
  })

  test('a device whose key was reported gets a certificate for that key and no other; one whose was not, for any', () => {
    const reported = (name: string) => judgeEnrollment(request({ key: { ...P256, spkiSha256: keyOf(name) } }), device('sensor-7', { keySha256: keyOf('reported') }))
    expect([reasonOf(reported('reported')), reasonOf(reported('another')), reasonOf(of({ key: { ...P256, spkiSha256: keyOf('another') } }))]).toEqual(['allowed', 'key-not-reported', 'allowed'])
    // What is wrong with the request is said first: whoever does not hold the key is not told whose it is.
    expect(reasonOf(judgeEnrollment(request({ possessionProven: false }), device('sensor-7', { keySha256: keyOf('reported') })))).toBe('csr-signature-invalid')
  })

  test.each(DEVICE_STATES)('a %s device is served if it is enrollable, and otherwise told its state', (state) => {
    const expected = { pending: 'allowed', active: 'allowed', suspended: 'device-suspended', quarantined: 'device-quarantined', retired: 'device-retired' } as const
    expect(reasonOf(of({}, state))).toBe(expected[state])
    expect(ENROLLABLE_STATES.includes(state)).toBe(expected[state] === 'allowed')
  })

  test.each<[string, Partial<CsrFacts>, DenyReason, Partial<CsrFacts>]>([
    ['a request that its key did not sign', { possessionProven: false }, 'csr-signature-invalid', {}],
    ['a weak key', { key: { ...P256, algorithm: 'rsa', bits: 1_024, exponent: '65537' } }, 'key-weak', { key: { ...P256, algorithm: 'rsa', bits: 2_048, exponent: '65537' } }],
    ['a known key', { key: { ...P256, weakness: 'a known Debian key' } }, 'key-weak', {}],
    ['SHA-1', { signatureAlgorithm: '1.2.840.10045.4.1' }, 'csr-signature-invalid', { signatureAlgorithm: '1.3.101.112' }],
    ['another name', { subject: nameOf('CN=sensor-8') }, 'csr-name-mismatch', { subject: nameOf() }],
    ['its name in another case', { subject: nameOf('CN=Sensor-7') }, 'csr-name-mismatch', { subject: nameOf('CN=sensor-7') }],
    ['its name twice', { subject: nameOf('CN=sensor-7', 'CN=sensor-7') }, 'csr-name-mismatch', { subject: nameOf('O=Acme', 'CN=sensor-7') }],
    ['its name and another', { subject: nameOf('CN=sensor-7', 'CN=admin') }, 'csr-name-mismatch', {}],
    ['both in one RDN', { subject: nameOf(['CN=sensor-7', 'CN=admin']) }, 'csr-name-mismatch', {}],
    ['an empty common name', { subject: nameOf('CN=') }, 'csr-name-mismatch', { subject: nameOf('O=Acme') }],
    ['a common name that does not decode', { subject: nameOf('CN!') }, 'csr-name-mismatch', {}],
  ])('%s is refused; its neighbour passes', (_, broken, reason, neighbour) => {
    expect(reasonOf(of(broken))).toBe(reason)
    expect(reasonOf(of(neighbour))).toBe('allowed')
  })

  test('the state is told first, then possession, then the key, then the signature, then the name', () => {
    const broken = { subject: nameOf('CN=x'), signatureAlgorithm: '1.1', key: { ...P256, curve: 'P-192' }, possessionProven: false }
    expect(reasonOf(of(broken, 'retired'))).toBe('device-retired')
    expect(reasonOf(of(broken))).toBe('csr-signature-invalid')
    expect(reasonOf(of({ ...broken, possessionProven: true }))).toBe('key-weak')
    expect(reasonOf(of({ subject: broken.subject, signatureAlgorithm: '1.1' }))).toBe('csr-signature-invalid')
    expect(reasonOf(of({ subject: broken.subject }))).toBe('csr-name-mismatch')
  })
})
