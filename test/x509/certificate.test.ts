// Certificates to facts, and what the rules of core/ say of each hostile leaf, beside the nearest good one.

import { createHash, X509Certificate } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deviceNameOf, judgeLeaf } from '../../src/core/certificate-rules.ts'
import type { CertificateFacts } from '../../src/core/certificate.ts'
import { X509_LIMITS } from '../../src/limits.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { explicit, generalizedTime, hex, implicit, integer, join, octets, oid, printable, seq, set, small, time, tlv, toHex, utcTime, utf8, type Bytes } from './asn1.ts'
import { ALGORITHM, altNames, attribute, basicConstraints, cn, CN, dns, EKU, extension, extKeyUsage, keyUsage, makeCa, makeLeaf, name, nameConstraints, newKey, NOW, O, uri, type LeafOptions, type Plan } from './forge.ts'

const CA = makeCa({ name: 'Issuing' })
const leaf = (options: Partial<LeafOptions> = {}, change: Partial<Plan> = {}): Bytes => makeLeaf({ under: CA, ...options }, change)

function facts(der: Bytes): CertificateFacts {
  const parsed = parseCertificate(der)
  if (!parsed.allow) throw new Error(parsed.detail)
  return parsed.value
}

/** What a leaf is refused for, by its form and by its name; 'accepted' when it is not. */
function verdict(der: Bytes): string {
  const parsed = parseCertificate(der)
  if (!parsed.allow) return parsed.reason
  const judged = judgeLeaf(parsed.value, NOW)
  if (!judged.allow) return judged.reason
  const named = deviceNameOf(parsed.value)
  return named.allow ? 'accepted' : named.reason
}

describe('a certificate as facts', () => {
  const key = newKey()
  const der = leaf({ key, subject: name(attribute(O, utf8('Acme')), cn('sensor-1')) }, { serial: integer(hex('00ff01')), notBefore: utcTime('491231235959Z'), notAfter: generalizedTime('20500101000000Z') })
  const found = facts(der)

  test('says what node:crypto says', () => {
    const other = new X509Certificate(der)
    expect(found.sha256).toBe(createHash('sha256').update(der).digest('hex'))
    expect(found.serial).toBe(other.serialNumber.toLowerCase())
    expect(found.notBefore).toBe(Date.parse(other.validFrom))
    expect(found.notAfter).toBe(Date.parse(other.validTo))
    expect(found.key.spkiSha256).toBe(createHash('sha256').update(other.publicKey.export({ type: 'spki', format: 'der' })).digest('hex'))
  })

  test('keeps names as bytes and serials as they stand', () => {
    expect(found).toMatchObject({ version: 3, serialDerHex: '00ff01', serial: 'ff01', signatureAlgorithm: '1.2.840.10045.4.3.2', signatureAlgorithmsAgree: true, issuerDerHex: toHex(CA.subject), subjectDerHex: toHex(name(attribute(O, utf8('Acme')), cn('sensor-1'))) })
  })

  test('keeps a zero serial, which is not a leading zero', () => {
    expect(facts(leaf({}, { serial: small(0) }))).toMatchObject({ serialDerHex: '00', serial: '00' })
  })

  test('the good one is accepted', () => {
    expect(verdict(leaf())).toBe('accepted')
  })
})

describe('what is no certificate', () => {
  const [tbs, algorithm, signature] = ((der: Bytes): [Bytes, Bytes, Bytes] => {
    // A certificate of less than 64 KiB begins 30 82 xx xx.
    const tbsLength = 4 + der[6]! * 256 + der[7]!
    return [der.slice(4, 4 + tbsLength), ALGORITHM.ecdsaSha256, der.slice(4 + tbsLength + ALGORITHM.ecdsaSha256.length)]
  })(leaf())

  test('these parts make one', () => {
    expect(parseCertificate(seq(tbs, algorithm, signature)).allow).toBe(true)
  })

  test.each<[string, Bytes]>([
    ['nothing', hex('')],
    ['PEM', Uint8Array.from(Buffer.from('-----BEGIN CERTIFICATE-----'))],
    ['two parts', seq(tbs, algorithm)],
    ['four parts', seq(tbs, algorithm, signature, hex('0500'))],
    ['a SET', set(tbs, algorithm, signature)],
    ['parts in another order', seq(algorithm, tbs, signature)],
    ['a signature that is an OCTET STRING', seq(tbs, algorithm, octets(hex('00')))],
    ['an algorithm without an OID', seq(tbs, seq(), signature)],
    ['a byte behind it (T38)', join(leaf(), hex('00'))],
    ['another certificate behind it', join(leaf(), leaf())],
    ['more bytes than allowed (T28)', leaf({ more: [extension('1.2.3', octets(new Uint8Array(X509_LIMITS.certificateBytesMax)))] })],
    ['an outer length in BER (T38)', join(hex('3083 00'), leaf().subarray(2))],
    ['version 0, which is v1 said explicitly', leaf({}, { version: explicit(0, small(0)) })],
    ['a version of two octets', leaf({}, { version: explicit(0, integer(hex('0100'))) })],
    ['a negative version', leaf({}, { version: explicit(0, small(0xff)) })],
    ['two versions', leaf({}, { version: explicit(0, small(2), small(2)) })],
    ['a serial that is no INTEGER', leaf({}, { serial: octets(hex('01')) })],
    ['a serial with a zero too many', leaf({}, { serial: integer(hex('0001')) })],
    ['a validity of three times', leaf({}, { notAfter: join(time(NOW), time(NOW)) })],
    ['a time in another type', leaf({}, { notAfter: utf8('300101000000Z') })],
    ['a time without seconds (T08)', leaf({}, { notAfter: utcTime('3001010000Z') })],
    ['a time with an offset (T08)', leaf({}, { notAfter: utcTime('300101000000+0100') })],
    ['a time with fractions (T08)', leaf({}, { notAfter: generalizedTime('20510101000000.5Z') })],
    ['an issuer that is no name', leaf({}, { issuer: utf8('x') })],
    ['a subject that is no name', leaf({}, { subject: seq(seq()) })],
    ['a key that is no SEQUENCE', leaf({}, { spki: octets(hex('00')) })],
    ['an unknown field', leaf({}, { between: [explicit(4, small(1))] })],
    ['extensions that are there twice', leaf({}, { between: [explicit(3, seq(basicConstraints(false)))] })],
    ['an empty list of extensions', leaf({}, { extensions: [] })],
    ['an extension that is none', leaf({ more: [seq(oid('1.2.3'))] })],
  ])('%s', (_, der) => {
    expect(parseCertificate(der)).toMatchObject({ allow: false, reason: 'certificate-malformed' })
  })

  test('a validity that is no SEQUENCE', () => {
    const der = leaf({}, { notBefore: time(NOW), notAfter: time(NOW) })
    const at = Buffer.from(der).indexOf(Buffer.from(seq(time(NOW), time(NOW))))
    der[at] = 0x31
    expect(at).toBeGreaterThan(0)
    expect(parseCertificate(der)).toMatchObject({ allow: false, reason: 'certificate-malformed' })
  })

  test('unique ids are odd, and legal', () => {
    expect(parseCertificate(leaf({}, { between: [implicit(1, hex('0001')), implicit(2, hex('0001'))] })).allow).toBe(true)
  })
})

describe('each hostile leaf is refused for what it is', () => {
  test.each<[string, Bytes, string]>([
    ['T06: expired at this very millisecond', leaf({}, { notAfter: time(NOW) }), 'certificate-expired'],
    ['T06: expired a year ago', leaf({}, { notBefore: time(NOW - 400 * 86_400_000), notAfter: time(NOW - 365 * 86_400_000) }), 'certificate-expired'],
    ['T07: valid from the next second', leaf({}, { notBefore: time(NOW + 1_000) }), 'certificate-not-yet-valid'],
    ['T07: valid from next year', leaf({}, { notBefore: time(NOW + 365 * 86_400_000), notAfter: time(NOW + 366 * 86_400_000) }), 'certificate-not-yet-valid'],
    ['T16: serverAuth only', leaf({ eku: extKeyUsage(EKU.server) }), 'certificate-usage-wrong'],
    ['T17: no extended key usage', leaf({ eku: null }), 'certificate-usage-missing'],
    ['T18: anyExtendedKeyUsage only', leaf({ eku: extKeyUsage(EKU.any) }), 'certificate-usage-wrong'],
    ['T19: an empty extended key usage', leaf({ eku: extKeyUsage() }), 'certificate-usage-wrong'],
    ['T20: no digitalSignature', leaf({ usage: keyUsage('keyEncipherment') }), 'certificate-key-usage'],
    ['T20: cRLSign beside it', leaf({ usage: keyUsage('digitalSignature', 'cRLSign') }), 'certificate-key-usage'],
    ['T21: a CA', leaf({ basic: basicConstraints(true) }), 'certificate-is-ca'],
    ['T21: keyCertSign without cA', leaf({ usage: keyUsage('digitalSignature', 'keyCertSign') }), 'certificate-is-ca'],
    ['T25: name constraints in a leaf', leaf({ more: [nameConstraints({ permitted: [dns('a')] })] }), 'certificate-name-constraints'],
    ['T26: an unknown critical extension', leaf({ more: [extension('1.2.3.4', hex('0500'), true)] }), 'certificate-critical-extension'],
    ['T28: 10,000 alternative names', leaf({ more: [altNames(...Array.from({ length: 10_000 }, () => dns('a')))] }), 'certificate-malformed'],
    ['T28: 33 alternative names', leaf({ more: [altNames(...Array.from({ length: 33 }, () => dns('sensor-1')))] }), 'certificate-san-malformed'],
    ['T30: SHA-1', leaf({}, { innerAlgorithm: ALGORITHM.ecdsaSha1, outerAlgorithm: ALGORITHM.ecdsaSha1, hash: 'sha1' }), 'certificate-signature-weak'],
    ['T30: MD5', leaf({}, { innerAlgorithm: ALGORITHM.rsaMd5, outerAlgorithm: ALGORITHM.rsaMd5 }), 'certificate-signature-weak'],
    ['T30: an unknown algorithm', leaf({}, { innerAlgorithm: seq(oid('1.2.3')), outerAlgorithm: seq(oid('1.2.3')) }), 'certificate-signature-weak'],
    ['T35: two signature algorithms', leaf({}, { innerAlgorithm: ALGORITHM.ecdsaSha384 }), 'certificate-malformed'],
    ['T35: two sets of parameters', leaf({}, { innerAlgorithm: seq(oid('1.2.840.10045.4.3.2'), hex('0500')) }), 'certificate-malformed'],
    ['T38: serial zero', leaf({}, { serial: small(0) }), 'certificate-serial-invalid'],
    ['T38: a negative serial', leaf({}, { serial: small(0x80) }), 'certificate-serial-invalid'],
    ['T38: a serial of 21 octets', leaf({}, { serial: integer(new Uint8Array(21).fill(0x55)) }), 'certificate-serial-invalid'],
    ['T38: a serial of 21 octets and a zero', leaf({}, { serial: integer(join(hex('00'), new Uint8Array(21).fill(0xff))) }), 'certificate-serial-invalid'],
    ['T38: an extension twice', leaf({ more: [extKeyUsage(EKU.server)] }), 'certificate-malformed'],
    ['T38: version 1', leaf({}, { version: null, extensions: null }), 'certificate-version'],
    ['T38: version 2', leaf({}, { version: explicit(0, small(1)) }), 'certificate-version'],
    ['T38: version 4', leaf({}, { version: explicit(0, small(3)) }), 'certificate-version'],
    ['no key identifiers', leaf({ keyIds: [] }), 'certificate-key-id-missing'],
    ['I01: an empty subject', leaf({ subject: name() }), 'certificate-subject-empty'],
    ['I01: a subject without a common name', leaf({ subject: name(attribute(O, utf8('Acme'))) }), 'certificate-subject-empty'],
    ['I01: an empty common name', leaf({ subject: name(cn('')) }), 'certificate-subject-empty'],
    ['I02: two common names', leaf({ subject: name(cn('sensor-1'), cn('sensor-2')) }), 'certificate-name-ambiguous'],
    ['I02: two common names, the other way round', leaf({ subject: name(cn('sensor-2'), cn('sensor-1')) }), 'certificate-name-ambiguous'],
    ['I02: one common name twice', leaf({ subject: name(cn('sensor-1'), cn('sensor-1')) }), 'certificate-name-ambiguous'],
    ['I03: an RDN of CN and UID', leaf({ subject: seq(set(cn('sensor-1'), attribute('0.9.2342.19200300.100.1.1', utf8('x')))) }), 'certificate-name-ambiguous'],
    ['I03: an RDN of two common names', leaf({ subject: seq(set(cn('sensor-1'), cn('sensor-2'))) }), 'certificate-name-ambiguous'],
    ['I11: a common name of 65 characters', leaf({ subject: name(cn('x'.repeat(65))) }), 'certificate-name-invalid'],
    ['I11: a common name of 15 kB', leaf({ subject: name(cn('x'.repeat(15_000))) }), 'certificate-name-invalid'],
    ['I11: a common name of 64 kB', leaf({ subject: name(cn('x'.repeat(65_000))) }), 'certificate-malformed'],
    ['I12: invalid UTF-8', leaf({ subject: name(attribute(CN, tlv(0x0c, hex('73ff')))) }), 'certificate-name-invalid'],
    ['I12: a PrintableString with an underscore', leaf({ subject: name(attribute(CN, printable('sensor_1'))) }), 'certificate-name-invalid'],
    ['I12: a T61String', leaf({ subject: name(attribute(CN, tlv(0x14, hex('61')))) }), 'certificate-name-invalid'],
    ['I12: a BMPString of odd length', leaf({ subject: name(attribute(CN, tlv(0x1e, hex('006100')))) }), 'certificate-name-invalid'],
    ['I19: another DNS name', leaf({ more: [altNames(dns('sensor-2'))] }), 'certificate-name-ambiguous'],
    ['I19: another URI', leaf({ more: [altNames(dns('sensor-1'), uri('urn:sensor-2'))] }), 'certificate-name-ambiguous'],
  ])('%s', (_, der, reason) => {
    expect(verdict(der)).toBe(reason)
  })

  const NAMES = ['dev1\0.evil', 'dev1\nCN=admin', 'd\u0435v1', 'sensor-\u0661', 'o\u0308', 'dev\u200d1', '\u202edev1', '\ufeffdev1', '+', '#', 'a/b', '../x', '/a', '$SYS', '$share/g/x', '%c', '%u', '${clientId}', '__proto__', ' dev1', 'dev1 ', '.dev1', '-dev1', 'a b', 'a*']
  test.each(NAMES)('I04–I10, I15: the common name %j', (value) => {
    expect(verdict(leaf({ subject: name(cn(value)) }))).toBe('certificate-name-invalid')
  })

  test.each<[string, Bytes]>([
    ['the same without the last millisecond', leaf({}, { notBefore: time(NOW), notAfter: time(NOW + 1_000) })],
    ['no well-defined expiration', leaf({}, { notAfter: generalizedTime('99991231235959Z') })],
    ['clientAuth beside serverAuth', leaf({ eku: extKeyUsage(EKU.server, EKU.client) })],
    ['no key usage at all, which RFC 5280 allows', leaf({ usage: null })],
    ['no basic constraints, which RFC 5280 allows in a leaf', leaf({ basic: null })],
    ['an unknown extension that is not critical', leaf({ more: [extension('1.2.3.4', hex('0500'))] })],
    ['a serial of one octet', leaf({}, { serial: small(1) })],
    ['a serial of 20 octets', leaf({}, { serial: integer(new Uint8Array(20).fill(0x55)) })],
    ['a serial of 20 octets and the zero that keeps it positive', leaf({}, { serial: integer(join(hex('00'), new Uint8Array(20).fill(0xff))) })],
    ['a common name of 64 characters', leaf({ subject: name(cn('x'.repeat(64))) })],
    ['an organisation beside the common name', leaf({ subject: name(attribute(O, utf8('Acme')), cn('sensor-1')) })],
    ['a PrintableString', leaf({ subject: name(attribute(CN, printable('sensor-1'))) })],
    ['the same name as DNS name', leaf({ more: [altNames(dns('sensor-1'))] })],
    ['names that only objects of JavaScript know, which are ordinary here', leaf({ subject: name(cn('constructor')) })],
  ])('the nearest good one is accepted: %s', (_, der) => {
    expect(verdict(der)).toBe('accepted')
  })
})

describe('whatever the bytes are, the parser answers', () => {
  const good = leaf({ more: [altNames(dns('sensor-1'), uri('urn:x')), nameConstraints({ permitted: [dns('a')] })] })

  const answered = (der: Bytes): boolean => {
    const parsed = parseCertificate(der)
    return parsed.allow || parsed.reason === 'certificate-malformed'
  }

  test('random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      expect(parseCertificate(bytes)).toMatchObject({ allow: false, reason: 'certificate-malformed' })
    }))
  })

  test('every certificate with one bit flipped is refused, or another certificate', () => {
    for (let at = 0; at < good.length; at++) {
      const flipped = Uint8Array.from(good)
      flipped[at]! ^= 1 << (at % 8)
      const parsed = parseCertificate(flipped)
      expect(answered(flipped)).toBe(true)
      expect(parsed.allow && parsed.value.sha256 === facts(good).sha256).toBe(false)
    }
  })

  test('certificates with bytes replaced, taken out and put in', () => {
    const edit = fc.record({ at: fc.nat(good.length), out: fc.nat(40), put: fc.uint8Array({ maxLength: 40 }) })
    fc.assert(fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let bytes: Bytes = good
      for (const { at, out, put } of edits) bytes = join(bytes.slice(0, at), put, bytes.slice(at + out))
      expect(answered(bytes)).toBe(true)
    }), { numRuns: 300 })
  })

  test('well-formed DER of any shape in the place of any field', () => {
    const field = fc.constantFrom(seq(), set(), octets(hex('00')), small(1), hex('0500'), explicit(0), explicit(3, seq()), implicit(0, hex('')), utf8(''), seq(seq(seq())), oid('2.5.4.3'), hex('030100'))
    const keys = ['version', 'serial', 'innerAlgorithm', 'outerAlgorithm', 'issuer', 'notBefore', 'notAfter', 'subject', 'spki'] as const
    fc.assert(fc.property(fc.dictionary(fc.constantFrom(...keys), field, { minKeys: 1 }), fc.array(field, { maxLength: 3 }), (change, more) => {
      expect(answered(leaf({ more }, change))).toBe(true)
    }), { numRuns: 200 })
  })
})
