// What the templates build is exactly the plan, in the form of RFC 5280.

import { sign, X509Certificate } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KEY_USAGE_BITS, type CertificateFacts, type KeyUsageBit, type SubjectAltName } from '../../src/core/certificate.ts'
import { parseCertificate } from '../../src/x509/certificate.ts'
import { generateKey, openPublicKey, spkiOf } from '../../src/x509/keys.ts'
import { encodeName } from '../../src/x509/names.ts'
import { isCertificateSignedBy, signingAlgorithm } from '../../src/x509/signatures.ts'
import { joinCertificate, openTemplate, subjectKeyId, type TemplateFacts, type TemplateValues } from '../../src/x509/template.ts'
import { bits, generalizedTime, hex, octets, seq, toHex, utcTime, yes, type Bytes } from './asn1.ts'
import { basicConstraints, EKU, extension, extKeyUsage, keyUsage } from './forge.ts'

const issuerKey = generateKey('P-256')
const algorithm = signingAlgorithm(issuerKey)!
const issuerDer = encodeName({ organization: 'Acme', commonName: 'Acme Issuing 1' })
const key = generateKey('P-256')
const SERIAL = hex('4d'.repeat(16))

const PLAN: TemplateFacts = { issuerDer, authorityKeyId: hex('0a0b'), signatureIdentifier: algorithm.identifier, basicConstraints: { ca: false }, keyUsage: ['digitalSignature'], extendedKeyUsage: [EKU.client] }
const VALUES: TemplateValues = { serial: SERIAL, notBefore: Date.UTC(2030, 0, 1), notAfter: Date.UTC(2031, 0, 1), subjectDer: encodeName({ commonName: 'sensor-1' }), spki: spkiOf(key), subjectAltNames: [] }

function make(plan: Partial<TemplateFacts> = {}, values: Partial<TemplateValues> = {}): Bytes {
  const tbs = openTemplate({ ...PLAN, ...plan })({ ...VALUES, ...values })
  return joinCertificate(tbs, algorithm.identifier, sign(algorithm.name, tbs, issuerKey))
}

function facts(der: Bytes): CertificateFacts {
  const parsed = parseCertificate(der)
  if (!parsed.allow) throw new Error(parsed.detail)
  return parsed.value
}
const holds = (der: Bytes, element: Bytes): boolean => Buffer.from(der).includes(Buffer.from(element))

describe('what is built parses back to exactly the plan', () => {
  const label = fc.stringMatching(/^[a-z0-9]{1,10}$/)
  const altName: fc.Arbitrary<SubjectAltName> = fc.oneof(
    fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => ({ kind: 'dns' as const, value: labels.join('.') })),
    label.map((l) => ({ kind: 'uri' as const, value: `urn:x:${l}` })),
    label.map((l) => ({ kind: 'email' as const, value: `${l}@example.org` })),
    fc.ipV4().map((value) => ({ kind: 'ip' as const, value })),
    fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 }).map((groups) => ({ kind: 'ip' as const, value: groups.map((g) => g.toString(16)).join(':') })),
  )
  const anyKey = fc.constantFrom(...(['P-256', 'P-384', 'Ed25519', 'RSA-2048'] as const).map((kind) => spkiOf(generateKey(kind))))
  const second = fc.integer({ min: Date.UTC(1950, 0, 1) / 1_000, max: Date.UTC(9999, 11, 31) / 1_000 }).map((s) => s * 1_000)
  const plan = fc.record({
    ca: fc.boolean(), pathLength: fc.option(fc.nat(10), { nil: undefined }),
    keyUsage: fc.subarray<KeyUsageBit>([...KEY_USAGE_BITS], { minLength: 1 }),
    extendedKeyUsage: fc.subarray([EKU.client, EKU.server, '1.3.6.1.5.5.7.3.9']),
    authorityKeyId: fc.option(fc.uint8Array({ minLength: 1, maxLength: 32 }), { nil: undefined }),
    serial: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((s) => Uint8Array.from(s, (b, i) => (i === 0 ? (b & 0x3f) | 0x40 : b))),
    notBefore: second, notAfter: second, spki: anyKey, subjectAltNames: fc.array(altName, { maxLength: 32 }),
    commonName: fc.string({ minLength: 1, maxLength: 64, unit: 'grapheme' }),
  })

  test('for every plan', () => {
    fc.assert(fc.property(plan, (p) => {
      const pathLength = p.ca ? p.pathLength : undefined
      const subjectDer = encodeName({ commonName: p.commonName })
      const found = facts(make(
        { basicConstraints: pathLength === undefined ? { ca: p.ca } : { ca: p.ca, pathLength }, keyUsage: p.keyUsage, extendedKeyUsage: p.extendedKeyUsage, authorityKeyId: p.authorityKeyId },
        { serial: p.serial, notBefore: p.notBefore, notAfter: p.notAfter, subjectDer, spki: p.spki, subjectAltNames: p.subjectAltNames },
      ))
      expect(found).toMatchObject({
        version: 3, serial: toHex(p.serial), serialDerHex: toHex(p.serial), issuerDerHex: toHex(issuerDer), subjectDerHex: toHex(subjectDer), notBefore: p.notBefore, notAfter: p.notAfter,
        keyUsage: KEY_USAGE_BITS.filter((b) => p.keyUsage.includes(b)), subjectKeyId: toHex(subjectKeyId(p.spki)), signatureAlgorithmsAgree: true,
        hasNameConstraints: false, unknownCritical: [], duplicateExtensions: [], malformedExtensions: [],
      })
      expect(found.basicConstraints).toEqual(pathLength === undefined ? { ca: p.ca } : { ca: p.ca, pathLength })
      expect(found.extendedKeyUsage ?? []).toEqual(p.extendedKeyUsage)
      expect(found.authorityKeyId).toBe(p.authorityKeyId === undefined ? undefined : toHex(p.authorityKeyId))
      expect(found.subjectAltNames ?? []).toEqual(p.subjectAltNames)
    }))
  })

  test('equal plans give equal bytes, and a template can be used again and again', () => {
    const template = openTemplate(PLAN)
    expect(template(VALUES)).toEqual(template(VALUES))
    expect(template({ ...VALUES, serial: hex('55'.repeat(16)) })).not.toEqual(template(VALUES))
    expect(template(VALUES)).toEqual(openTemplate(PLAN)(VALUES))
  })

  test('a template without an issuer makes a certificate that names itself', () => {
    const found = facts(make({ issuerDer: new Uint8Array(), authorityKeyId: undefined }))
    expect(found.issuerDerHex).toBe(found.subjectDerHex)
    expect(found).not.toHaveProperty('authorityKeyId')
  })

  test('the signature verifies', () => {
    expect(isCertificateSignedBy(make(), openPublicKey(spkiOf(issuerKey))!)).toBe(true)
    expect(isCertificateSignedBy(make(), openPublicKey(spkiOf(key))!)).toBe(false)
  })
})

describe('the form of RFC 5280', () => {
  test('basic constraints and key usage are critical, extended key usage is not, and defaults are left out', () => {
    const der = make()
    for (const element of [basicConstraints(false), keyUsage('digitalSignature'), extKeyUsage(EKU.client), extension('2.5.29.14', octets(subjectKeyId(VALUES.spki)))]) expect(holds(der, element)).toBe(true)
    const ca = make({ basicConstraints: { ca: true, pathLength: 0 }, keyUsage: ['keyCertSign', 'cRLSign'], extendedKeyUsage: [] })
    expect(holds(ca, extension('2.5.29.19', seq(yes, hex('020100')), true))).toBe(true)
    expect(holds(ca, keyUsage('keyCertSign', 'cRLSign'))).toBe(true)
    expect(facts(ca)).not.toHaveProperty('extendedKeyUsage')
  })

  test('the bits of key usage end with the last one that is set', () => {
    const usage = (...usages: KeyUsageBit[]): Bytes => make({ keyUsage: usages })
    expect(holds(usage('digitalSignature'), octets(bits(hex('80'), 7)))).toBe(true)
    expect(holds(usage('cRLSign', 'keyCertSign'), octets(bits(hex('06'), 1)))).toBe(true)
    expect(holds(usage('encipherOnly'), octets(bits(hex('01'), 0)))).toBe(true)
    expect(holds(usage('keyAgreement', 'decipherOnly'), octets(bits(hex('0880'), 7)))).toBe(true)
  })

  test('times are UTCTime through 2049, GeneralizedTime from 2050, and have no fractions', () => {
    const der = make({}, { notBefore: Date.UTC(2049, 11, 31, 23, 59, 59, 999), notAfter: Date.UTC(2050, 0, 1, 0, 0, 0, 1) })
    expect(holds(der, seq(utcTime('491231235959Z'), generalizedTime('20500101000000Z')))).toBe(true)
  })

  test('addresses are octets, however they are written', () => {
    const of = (value: string): Bytes => make({}, { subjectAltNames: [{ kind: 'ip', value }] })
    for (const [text, octetsOf] of [
      ['127.0.0.1', '7f000001'], ['::1', '00000000000000000000000000000001'], ['::', '00'.repeat(16)], ['fe80::', `fe80${'00'.repeat(14)}`],
      ['2001:db8::8:800:200c:417a', '20010db80000000000080800200c417a'], ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
      ['::ffff:192.0.2.128', '00000000000000000000ffffc0000280'], ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'], ['1:2:3:4:5:6:1.2.3.4', '00010002000300040005000601020304'],
    ] as const) expect([text, holds(of(text), hex(`87${(octetsOf.length / 2).toString(16).padStart(2, '0')}${octetsOf}`))]).toEqual([text, true])
  })

  test('addresses read back as node:net understands them', () => {
    fc.assert(fc.property(fc.ipV6(), (value) => {
      const [found] = facts(make({}, { subjectAltNames: [{ kind: 'ip', value }] })).subjectAltNames!
      expect(new URL(`http://[${found!.value}]`).hostname).toBe(new URL(`http://[${value}]`).hostname)
    }))
  })

  test('a name of a kind that cannot be written is not written', () => {
    expect(() => make({}, { subjectAltNames: [{ kind: 'other', value: '[0]' }] })).toThrow(TypeError)
  })

  test('node:crypto reads it, too', () => {
    const read = new X509Certificate(make({}, { subjectAltNames: [{ kind: 'dns', value: 'a.example' }, { kind: 'ip', value: '::1' }] }))
    expect(read.subject).toBe('CN=sensor-1')
    expect(read.issuer).toBe('O=Acme\nCN=Acme Issuing 1')
    expect(read.subjectAltName).toBe('DNS:a.example, IP Address:0:0:0:0:0:0:0:1')
    expect(read.serialNumber.toLowerCase()).toBe(toHex(SERIAL))
    expect(read.ca).toBe(false)
  })
})
