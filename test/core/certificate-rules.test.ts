// Each rule of a leaf and of an issuer with the certificate that breaks nothing else, beside the nearest one that passes;
// which rule speaks first; and the name of a device.

import { describe, expect, test } from 'vitest'
import { EXTENDED_KEY_USAGES, type CertificateFacts, type KeyFacts } from '../../src/core/certificate.ts'
import { deviceNameOf, isSignatureAccepted, judgeIssuer, judgeLeaf, keyProblem } from '../../src/core/certificate-rules.ts'
import type { DenyReason } from '../../src/vocabulary.ts'
import { detailOf, issuing, keyOf, leaf, nameOf, NOW, P256, reasonOf, valueOf, without } from './facts.ts'

const { clientAuth, serverAuth, any, ocspSigning } = EXTENDED_KEY_USAGES
const key = (facts: Partial<KeyFacts>): KeyFacts => ({ algorithm: 'rsa', spkiSha256: keyOf('k'), ...facts })
const rsa = (bits: number, exponent = '65537'): KeyFacts => key({ algorithm: 'rsa', bits, exponent })

/** What every certificate of a chain is asked, as [why, broken, reason, nearest that passes]. */
const FORM: readonly (readonly [string, Partial<CertificateFacts>, DenyReason, Partial<CertificateFacts>])[] = [
  ['version 1', { version: 1 }, 'certificate-version', { version: 3 }],
  ['version 2', { version: 2 }, 'certificate-version', {}],
  ['serial zero', { serialDerHex: '00' }, 'certificate-serial-invalid', { serialDerHex: '01' }],
  ['no serial', { serialDerHex: '' }, 'certificate-serial-invalid', {}],
  ['a serial of zeros', { serialDerHex: '0000' }, 'certificate-serial-invalid', {}],
  ['a negative serial', { serialDerHex: '80' }, 'certificate-serial-invalid', { serialDerHex: '0080' }],
  ['21 octets of serial', { serialDerHex: '7f'.repeat(21) }, 'certificate-serial-invalid', { serialDerHex: '7f'.repeat(20) }],
  ['22 octets of serial behind a sign octet', { serialDerHex: `00${'80'.repeat(21)}` }, 'certificate-serial-invalid', { serialDerHex: `00${'80'.repeat(20)}` }],
  ['an extension twice', { duplicateExtensions: ['2.5.29.15'] }, 'certificate-malformed', {}],
  ['two signature algorithms', { signatureAlgorithmsAgree: false }, 'certificate-malformed', {}],
  ['a malformed SAN', { malformedExtensions: ['2.5.29.17'] }, 'certificate-san-malformed', { malformedExtensions: [] }],
  ['another malformed extension', { malformedExtensions: ['2.5.29.15'] }, 'certificate-malformed', {}],
  ['an unknown critical extension', { unknownCritical: ['1.2.3'] }, 'certificate-critical-extension', {}],
  ['SHA-1', { signatureAlgorithm: '1.2.840.113549.1.1.5' }, 'certificate-signature-weak', { signatureAlgorithm: '1.2.840.113549.1.1.11' }],
  ['MD5', { signatureAlgorithm: '1.2.840.113549.1.1.4' }, 'certificate-signature-weak', { signatureAlgorithm: '1.2.840.113549.1.1.13' }],
  ['ECDSA with SHA-1', { signatureAlgorithm: '1.2.840.10045.4.1' }, 'certificate-signature-weak', { signatureAlgorithm: '1.2.840.10045.4.3.4' }],
  ['an algorithm named constructor', { signatureAlgorithm: 'constructor' }, 'certificate-signature-weak', { signatureAlgorithm: '1.3.101.112' }],
  ['RSA 1024', { key: rsa(1_024) }, 'certificate-key-weak', { key: rsa(2_048) }],
  ['a known private key', { key: { ...P256, weakness: 'a known Debian key' } }, 'certificate-key-weak', {}],
  ['not yet valid by a millisecond', { notBefore: NOW + 1 }, 'certificate-not-yet-valid', { notBefore: NOW }],
  ['expired at the very millisecond of notAfter', { notAfter: NOW }, 'certificate-expired', { notAfter: NOW + 1 }],
]

describe('form and strength', () => {
  test.each(FORM)('%s is refused in a leaf and in an issuer; its neighbour passes', (_, broken, reason, neighbour) => {
    expect(reasonOf(judgeLeaf(leaf(broken), NOW))).toBe(reason)
    expect(reasonOf(judgeIssuer(issuing(broken), 0, NOW))).toBe(reason)
    expect(reasonOf(judgeLeaf(leaf(neighbour), NOW))).toBe('allowed')
    expect(reasonOf(judgeIssuer(issuing(neighbour), 0, NOW))).toBe('allowed')
  })

  test('of two broken rules the one that stands first is told', () => {
    for (const [i, [, first, reason]] of FORM.entries()) {
      for (const [, second] of FORM.slice(i + 1)) {
        if (Object.keys(first).some((k) => k in second)) continue
        expect(reasonOf(judgeLeaf(leaf({ ...second, ...first }), NOW))).toBe(reason)
      }
    }
  })
})

describe('keys', () => {
  test.each<[string, KeyFacts]>([
    ['P-256', P256], ['P-384', { ...P256, curve: 'P-384' }], ['Ed25519', key({ algorithm: 'ed25519' })], ['RSA 2048', rsa(2_048)], ['RSA 3072', rsa(3_072)], ['RSA 4096', rsa(4_096)], ['a larger exponent', rsa(2_048, '4294967297')], ['the largest exponent', rsa(2_048, String(2n ** 256n - 1n))],
  ])('%s is accepted', (_, facts) => expect(keyProblem(facts)).toBeUndefined())

  test.each<[string, KeyFacts, string]>([
    ['P-521', { ...P256, curve: 'P-521' }, 'curve P-521'], ['secp256k1', { ...P256, curve: '1.3.132.0.10' }, 'curve 1.3.132.0.10'], ['explicit parameters', key({ algorithm: 'ec' }), 'explicit'],
    ['Ed448', key({ algorithm: 'ed448' }), 'kind of key'], ['ML-DSA', key({ algorithm: 'other' }), 'kind of key'],
    ['RSA 512', rsa(512), '512'], ['RSA 2047', rsa(2_047), '2047'], ['RSA 2049', rsa(2_049), '2049'], ['RSA 16384', rsa(16_384), '16384'], ['RSA of unknown size', key({ exponent: '65537' }), '0 bits'],
    ['e = 1', rsa(2_048, '1'), 'exponent 1'], ['e = 2^256', rsa(2_048, String(2n ** 256n)), 'exponent 1157920892'], ['e = 3', rsa(2_048, '3'), 'exponent 3'], ['e = 65535', rsa(2_048, '65535'), 'exponent 65535'], ['no exponent', key({ bits: 2_048 }), 'exponent 0'],
    ['a weakness', { ...rsa(2_048), weakness: 'ROCA' }, 'ROCA'],
  ])('%s is refused', (_, facts, problem) => expect(keyProblem(facts)).toContain(problem))

  test('exactly seven signature algorithms are accepted', () => {
    for (const oid of ['1.2.840.10045.4.3.2', '1.2.840.10045.4.3.3', '1.2.840.10045.4.3.4', '1.2.840.113549.1.1.11', '1.2.840.113549.1.1.12', '1.2.840.113549.1.1.13', '1.3.101.112']) expect(isSignatureAccepted(oid)).toBe(true)
    for (const oid of ['', 'toString', '1.2.840.113549.1.1.5', '1.2.840.113549.1.1.10', '1.2.840.10040.4.3', '1.3.101.113', '2.16.840.1.101.3.4.3.17']) expect(isSignatureAccepted(oid)).toBe(false)
  })
})

describe('a leaf', () => {
  test('that breaks no rule passes', () => expect(reasonOf(judgeLeaf(leaf(), NOW))).toBe('allowed'))

  test.each<[string, CertificateFacts, DenyReason, CertificateFacts]>([
    ['a CA', leaf({ basicConstraints: { ca: true } }), 'certificate-is-ca', without(leaf(), 'basicConstraints')],
    ['one that may sign certificates', leaf({ keyUsage: ['digitalSignature', 'keyCertSign'] }), 'certificate-is-ca', leaf({ keyUsage: ['digitalSignature', 'keyEncipherment', 'keyAgreement'] })],
    ['one that may sign CRLs', leaf({ keyUsage: ['digitalSignature', 'cRLSign'] }), 'certificate-key-usage', leaf({ keyUsage: ['digitalSignature', 'nonRepudiation'] })],
    ['one that may not sign', leaf({ keyUsage: ['keyEncipherment'] }), 'certificate-key-usage', without(leaf(), 'keyUsage')],
    ['empty key usage', leaf({ keyUsage: [] }), 'certificate-key-usage', leaf({ keyUsage: ['digitalSignature'] })],
    ['name constraints', leaf({ hasNameConstraints: true }), 'certificate-name-constraints', leaf()],
    ['no extended key usage', without(leaf(), 'extendedKeyUsage'), 'certificate-usage-missing', leaf()],
    ['empty extended key usage', leaf({ extendedKeyUsage: [] }), 'certificate-usage-wrong', leaf({ extendedKeyUsage: [clientAuth] })],
    ['serverAuth only', leaf({ extendedKeyUsage: [serverAuth] }), 'certificate-usage-wrong', leaf({ extendedKeyUsage: [serverAuth, clientAuth] })],
    ['anyExtendedKeyUsage only', leaf({ extendedKeyUsage: [any] }), 'certificate-usage-wrong', leaf({ extendedKeyUsage: [any, clientAuth] })],
    ['OCSPSigning only', leaf({ extendedKeyUsage: [ocspSigning] }), 'certificate-usage-wrong', leaf()],
    ['no authority key id', without(leaf(), 'authorityKeyId'), 'certificate-key-id-missing', leaf()],
    ['no subject key id', without(leaf(), 'subjectKeyId'), 'certificate-key-id-missing', leaf()],
  ])('%s is refused; its neighbour passes', (_, broken, reason, neighbour) => {
    expect(reasonOf(judgeLeaf(broken, NOW))).toBe(reason)
    expect(reasonOf(judgeLeaf(neighbour, NOW))).toBe('allowed')
  })

  test('"this is a CA" is said before anything about its form', () => {
    expect(reasonOf(judgeLeaf(issuing({ version: 1, notAfter: 0 }), NOW))).toBe('certificate-is-ca')
  })

  test('form is said before usage', () => {
    expect(reasonOf(judgeLeaf(leaf({ notAfter: NOW, extendedKeyUsage: [] }), NOW))).toBe('certificate-expired')
  })
})

describe('an issuer', () => {
  test.each<[string, CertificateFacts, number, DenyReason, CertificateFacts, number]>([
    ['a leaf that signed', leaf(), 0, 'certificate-issuer-not-ca', issuing(), 0],
    ['no basic constraints', without(issuing(), 'basicConstraints'), 0, 'certificate-issuer-not-ca', issuing({ basicConstraints: { ca: true } }), 0],
    ['key usage without keyCertSign', issuing({ keyUsage: ['cRLSign', 'digitalSignature'] }), 0, 'certificate-issuer-not-ca', without(issuing(), 'keyUsage'), 0],
    ['one CA below a path length of 0', issuing(), 1, 'certificate-path-length', issuing({ basicConstraints: { ca: true, pathLength: 1 } }), 1],
    ['two CAs below a path length of 1', issuing({ basicConstraints: { ca: true, pathLength: 1 } }), 2, 'certificate-path-length', issuing({ basicConstraints: { ca: true } }), 2],
    ['one for servers only', issuing({ extendedKeyUsage: [serverAuth] }), 0, 'certificate-usage-wrong', issuing({ extendedKeyUsage: [serverAuth, clientAuth] }), 0],
    ['one with empty usages', issuing({ extendedKeyUsage: [] }), 0, 'certificate-usage-wrong', issuing({ extendedKeyUsage: [any] }), 0],
  ])('%s is refused; its neighbour passes', (_, broken, below, reason, neighbour, belowNeighbour) => {
    expect(reasonOf(judgeIssuer(broken, below, NOW))).toBe(reason)
    expect(reasonOf(judgeIssuer(neighbour, belowNeighbour, NOW))).toBe('allowed')
  })

  test('may have name constraints, and needs neither key id nor extended key usage', () => {
    expect(reasonOf(judgeIssuer(without(issuing({ hasNameConstraints: true }), 'authorityKeyId', 'subjectKeyId'), 0, NOW))).toBe('allowed')
  })
})

describe('the name of a device', () => {
  const named = (...rdns: (string | string[])[]): CertificateFacts => leaf({ subject: nameOf(...rdns) })

  test.each<[string, CertificateFacts]>([
    ['the common name alone', named('CN=sensor-7')], ['behind organisation and country', named('C=CH', 'O=Acme', 'CN=sensor-7')], ['before others', named('CN=sensor-7', 'OU=lab')],
    ['with an empty organisation', named('O=', 'CN=sensor-7')],
    ['with a DNS name that says the same', leaf({ subjectAltNames: [{ kind: 'dns', value: 'sensor-7' }] })],
    ['with an address and an otherName', leaf({ subjectAltNames: [{ kind: 'ip', value: '10.0.0.7' }, { kind: 'other', value: '[0]' }] })],
  ])('is read: %s', (_, facts) => expect(valueOf(deviceNameOf(facts))).toBe('sensor-7'))

  test.each<[string, CertificateFacts, DenyReason]>([
    ['an empty subject', named(), 'certificate-subject-empty'], ['no common name', named('O=Acme'), 'certificate-subject-empty'], ['an empty common name', named('CN='), 'certificate-subject-empty'],
    ['two common names', named('CN=sensor-7', 'CN=admin'), 'certificate-name-ambiguous'], ['two common names, the other way round', named('CN=admin', 'CN=sensor-7'), 'certificate-name-ambiguous'], ['the same twice', named('CN=sensor-7', 'CN=sensor-7'), 'certificate-name-ambiguous'],
    ['CN and UID in one RDN', named(['CN=sensor-7', 'UID=x']), 'certificate-name-ambiguous'], ['CN and CN in one RDN', named(['CN=sensor-7', 'CN=admin']), 'certificate-name-ambiguous'], ['another RDN of two attributes', named(['O=a', 'OU=b'], 'CN=sensor-7'), 'certificate-name-ambiguous'],
    ['one that does not decode', named('CN!'), 'certificate-name-invalid'], ['one that decodes beside one that does not', named('CN=sensor-7', 'CN!'), 'certificate-name-ambiguous'],
    ...['+', '#', '$SYS', 'a/b', '../x', '__proto__', 'a\0.evil', 'a\nCN=admin', 'dev1 ', ' dev1', 'dеv', '%c', '${clientId}', 'a:b', 'x'.repeat(65), 'x'.repeat(65_536)].map((cn) => [`CN=${cn.slice(0, 20)}`, named(`CN=${cn}`), 'certificate-name-invalid'] as [string, CertificateFacts, DenyReason]),
    ['a DNS name that says something else', leaf({ subjectAltNames: [{ kind: 'dns', value: 'sensor-8' }] }), 'certificate-name-ambiguous'],
    ['a DNS name in another case', leaf({ subjectAltNames: [{ kind: 'dns', value: 'Sensor-7' }] }), 'certificate-name-ambiguous'],
    ['a URI', leaf({ subjectAltNames: [{ kind: 'dns', value: 'sensor-7' }, { kind: 'uri', value: 'spiffe://a/sensor-7' }] }), 'certificate-name-ambiguous'],
    ['a mail address', leaf({ subjectAltNames: [{ kind: 'email', value: 'sensor-7@example.org' }] }), 'certificate-name-ambiguous'],
  ])('is refused: %s', (_, facts, reason) => expect(reasonOf(deviceNameOf(facts))).toBe(reason))

  test('a prototype\'s name is only a name', () => expect(valueOf(deviceNameOf(named('CN=constructor')))).toBe('constructor'))

  test('a hostile name is shown without its control characters', () => {
    expect(detailOf(deviceNameOf(named('CN=a\nb')))).toBe('a\\u{a}b')
  })
})
