// Certificate requests: possession, names, wishes, and what is no request.

import { createECDH, createHash, generateKeyPairSync } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CsrFacts } from '../../src/core/certificate.ts'
import { judgeEnrollment } from '../../src/core/enrollment.ts'
import { DEFAULT_TENANT, type DeviceId } from '../../src/core/ids.ts'
import { X509_LIMITS } from '../../src/limits.ts'
import { makeCsr, parseCsr } from '../../src/x509/csr.ts'
import { generateKey, keyHash, spkiOf as spki } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { big, bits, explicit, hex, implicit, join, octets, oid, seq, set, small, toHex, utf8, type Bytes } from './asn1.ts'
import { ALGORITHM, altNames, attribute, basicConstraints, cn, dns, EKU, email, extension, extensionRequest, extKeyUsage, ip, keyUsage, makeRequest, name, nameConstraints, newKey, O, spkiOf, uri } from './forge.ts'

const key = newKey()
const SENSOR = { id: 'sensor-1' as DeviceId, tenant: DEFAULT_TENANT, groups: [], attributes: {}, state: 'active', createdAt: 0, revision: 1 } as const

function facts(request: string | Bytes): CsrFacts {
  const parsed = parseCsr(request)
  if (!parsed.allow) throw new Error(parsed.detail)
  return parsed.value
}

/** 'enrolled', or the reason why not. */
function verdict(request: string | Bytes): string {
  const parsed = parseCsr(request)
  if (!parsed.allow) return parsed.reason
  const judged = judgeEnrollment(parsed.value, SENSOR)
  return judged.allow ? 'enrolled' : judged.reason
}

describe('requests that we make', () => {
  test.each(['P-256', 'P-384', 'Ed25519', 'RSA-2048'] as const)('with a key of kind %s are read back, possession proven', (kind) => {
    const own = generateKey(kind)
    const found = facts(makeCsr(own, 'sensor-1'))
    expect(found).toMatchObject({ possessionProven: true, subject: [[{ short: 'CN', value: 'sensor-1' }]], requestedAltNames: [], requestedExtensions: [] })
    expect(found.key.spkiSha256).toBe(keyHash(spki(own)))
    expect(toHex(found.spki)).toBe(toHex(spki(own)))
  })

  test('a key that signs nothing makes no request', () => {
    expect(() => makeCsr(generateKeyPairSync('x25519').privateKey, 'x')).toThrow('x25519')
  })
})

describe('possession (E01, E10)', () => {
  test('is proven by the key that shall be certified', () => {
    expect(verdict(makeRequest(key))).toBe('enrolled')
  })

  test('is not proven by another key, of the same kind or not', () => {
    expect(verdict(makeRequest(key, { signWith: newKey() }))).toBe('csr-signature-invalid')
    expect(verdict(makeRequest(key, { signWith: generateKeyPairSync('ed25519').privateKey, hash: null }))).toBe('csr-signature-invalid')
  })

  test('is not proven for the key of another, which is put into one\'s own request', () => {
    expect(verdict(makeRequest(key, { spki: spkiOf(newKey()) }))).toBe('csr-signature-invalid')
  })

  test('is not proven when any bit is flipped', () => {
    const good = makeRequest(key)
    for (let at = 0; at < good.length; at++) {
      const flipped = Uint8Array.from(good, (byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte))
      const parsed = parseCsr(flipped)
      expect([at, parsed.allow && parsed.value.possessionProven]).toEqual([at, false])
    }
  })

  test.each<[string, Bytes]>([
    ['an algorithm of another kind of key, with the same hash', makeRequest(key, { algorithm: ALGORITHM.rsaSha256 })],
    ['an algorithm with another hash', makeRequest(key, { algorithm: ALGORITHM.ecdsaSha384 })],
    ['SHA-1', makeRequest(key, { algorithm: ALGORITHM.ecdsaSha1, hash: 'sha1' })],
    ['an unknown algorithm', makeRequest(key, { algorithm: seq(oid('1.2.3')) })],
    ['Ed25519 with the key of P-256', makeRequest(key, { algorithm: ALGORITHM.ed25519 })],
  ])('is not proven with %s', (_, request) => {
    expect(facts(request).possessionProven).toBe(false)
    expect(verdict(request)).toBe('csr-signature-invalid')
  })

  test('is not proven by an empty signature, nor by one with unused bits', () => {
    const info = seq(small(0), name(cn('sensor-1')), spkiOf(key), explicit(0))
    for (const signature of [bits(hex('')), bits(hex('80'), 7)]) expect(verdict(seq(info, ALGORITHM.ecdsaSha256, signature))).toBe('csr-signature-invalid')
  })

  test('for the point at infinity anybody can prove it, and the key is refused', () => {
    // Under that key a signature (r, s) holds when r is the x coordinate of (e/s)·G; with s = 1 that needs no secret.
    const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const info = seq(small(0), name(cn('sensor-1')), seq(seq(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')), bits(hex('00'))), explicit(0))
    const e = BigInt(`0x${createHash('sha256').update(info).digest('hex')}`) % N
    const curve = createECDH('prime256v1')
    curve.setPrivateKey(Buffer.from(e.toString(16).padStart(64, '0'), 'hex'))
    const r = BigInt(`0x${curve.getPublicKey('hex').slice(2, 66)}`) % N
    const request = seq(info, ALGORITHM.ecdsaSha256, bits(seq(big(r), big(1n))))
    expect(facts(request).possessionProven).toBe(true)
    expect(verdict(request)).toBe('key-weak')
  })

  test.each<[string, () => Bytes]>([
    ['RSA-1024', () => makeRequest(generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey)],
    ['RSA with exponent 3', () => makeRequest(generateKeyPairSync('rsa', { modulusLength: 2_048, publicExponent: 3 }).privateKey)],
    ['secp256k1', () => makeRequest(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey)],
    ['explicit parameters', () => makeRequest(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).privateKey)],
  ])('a weak key is refused though possession is proven: %s', (_, request) => {
    expect(facts(request()).possessionProven).toBe(true)
    expect(verdict(request())).toBe('key-weak')
  })
})

describe('names (E02)', () => {
  test.each<[string, Bytes, string]>([
    ['the device itself', name(cn('sensor-1')), 'enrolled'],
    ['nobody', name(), 'enrolled'],
    ['an organisation alone', name(attribute(O, utf8('Acme'))), 'enrolled'],
    ['another device', name(cn('sensor-2')), 'csr-name-mismatch'],
    ['the device in other letters', name(cn('Sensor-1')), 'csr-name-mismatch'],
    ['the device and another', name(cn('sensor-1'), cn('sensor-2')), 'csr-name-mismatch'],
    ['the device twice', name(cn('sensor-1'), cn('sensor-1')), 'csr-name-mismatch'],
    ['a name that does not decode', name(attribute('2.5.4.3', Uint8Array.of(0x0c, 1, 0xff))), 'csr-name-mismatch'],
  ])('%s', (_, subject, expected) => {
    expect(verdict(makeRequest(key, { subject }))).toBe(expected)
  })
})

describe('wishes are reported, and go no further (E07, E08)', () => {
  test('every extension that is asked for is told by its OID, and the names that are asked for', () => {
    const wishes = [basicConstraints(true, 3), keyUsage('keyCertSign'), extKeyUsage(EKU.server, EKU.any), altNames(dns('evil.example'), uri('urn:x'), email('a@b'), ip(hex('7f000001'))), nameConstraints({ permitted: [dns('a')] }), extension('2.5.29.31', seq()), extension('1.2.3', hex('0500'), true)]
    expect(facts(makeRequest(key, { attributes: [extensionRequest(...wishes)] }))).toMatchObject({
      possessionProven: true,
      requestedExtensions: ['2.5.29.19', '2.5.29.15', '2.5.29.37', '2.5.29.17', '2.5.29.30', '2.5.29.31', '1.2.3'],
      requestedAltNames: [{ kind: 'dns', value: 'evil.example' }, { kind: 'uri', value: 'urn:x' }, { kind: 'email', value: 'a@b' }, { kind: 'ip', value: '127.0.0.1' }],
    })
  })

  test('a plan takes the key alone', () => {
    const request = makeRequest(key, { attributes: [extensionRequest(basicConstraints(true), altNames(dns('evil.example')))] })
    const judged = judgeEnrollment(facts(request), SENSOR)
    expect(judged).toEqual({ allow: true, value: { device: 'sensor-1', spki: facts(request).spki, spkiSha256: keyHash(spkiOf(key)) } })
  })

  test.each<[string, readonly Bytes[]]>([
    ['a challenge password', [seq(oid('1.2.840.113549.1.9.7'), set(utf8('secret')))]],
    ['an extension request without a list', [seq(oid('1.2.840.113549.1.9.14'), set())]],
    ['an attribute that is none', [utf8('x'), seq(), seq(oid('1.2.3'))]],
    ['an extension that is none', [extensionRequest(utf8('x'), seq(), seq(utf8('x')))]],
    ['an alternative name that is none', [extensionRequest(extension('2.5.29.17', hex('ff')), extension('2.5.29.17', octets(hex('00'))), seq(oid('2.5.29.17')))]],
  ])('%s is no obstacle', (_, attributes) => {
    expect(facts(makeRequest(key, { attributes }))).toMatchObject({ possessionProven: true, requestedAltNames: [] })
  })
})

describe('what is no request (E14, E15)', () => {
  const good = makeRequest(key)
  test.each<[string, string | Bytes]>([
    ['nothing', hex('')],
    ['an empty text', ''],
    ['a certificate in PEM', encodePem('CERTIFICATE', good)],
    ['a private key in PEM', encodePem('PRIVATE KEY', good)],
    ['two requests in PEM', encodePem('CERTIFICATE REQUEST', good).repeat(2)],
    ['PEM in the place of DER', Uint8Array.from(Buffer.from(encodePem('CERTIFICATE REQUEST', good)))],
    ['DER in the place of PEM', Buffer.from(good).toString('latin1')],
    ['base64 without armour', Buffer.from(good).toString('base64')],
    ['a request with a byte behind it', join(good, hex('00'))],
    ['version 1', makeRequest(key, { version: small(1) })],
    ['a fifth field', makeRequest(key, { after: [explicit(1)] })],
    ['a subject that is no name', makeRequest(key, { subject: utf8('x') })],
    ['a key that is no SEQUENCE', makeRequest(key, { spki: octets(hex('00')) })],
    ['an algorithm that is none', makeRequest(key, { algorithm: seq() })],
    ['more bytes than allowed', makeRequest(key, { attributes: [octets(new Uint8Array(X509_LIMITS.csrBytesMax))] })],
    ['a million attributes', makeRequest(key, { attributes: [Uint8Array.from(Buffer.alloc(2_000_000, Buffer.from([0x30, 0])))] })],
    ['10,000 levels', Uint8Array.from(Buffer.alloc(15_000, Buffer.from([0x30, 0x80])))],
    ['10 MB of spaces', ' '.repeat(10_000_000)],
    ['a SET', set()],
    ['attributes with another tag', seq(seq(small(0), name(), spkiOf(key), explicit(1)), ALGORITHM.ecdsaSha256, bits(hex('00')))],
    ['an unknown implicit field', seq(seq(small(0), name(), spkiOf(key), implicit(0, hex(''))), ALGORITHM.ecdsaSha256, bits(hex('00')))],
  ])('%s', (_, request) => {
    expect(parseCsr(request)).toMatchObject({ allow: false, reason: 'csr-malformed' })
  })

  test('a request is read in DER, in PEM, and under the label of old tools', () => {
    const pem = encodePem('CERTIFICATE REQUEST', good)
    for (const request of [good, pem, pem.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'), `text\n${pem}\ntext`]) expect(verdict(request)).toBe('enrolled')
  })

  test('attributes may be absent, as some devices write it', () => {
    expect(parseCsr(seq(seq(small(0), name(), spkiOf(key)), ALGORITHM.ecdsaSha256, bits(hex('00'))))).toMatchObject({ allow: true, value: { possessionProven: false } })
  })

  test('whatever the bytes are, the parser answers', () => {
    const edit = fc.record({ at: fc.nat(good.length), out: fc.nat(30), put: fc.uint8Array({ maxLength: 30 }) })
    fc.assert(fc.property(edit, ({ at, out, put }) => {
      const parsed = parseCsr(join(good.slice(0, at), put, good.slice(at + out)))
      expect(parsed.allow || parsed.reason).toBeOneOf([true, 'csr-malformed'])
    }), { numRuns: 300 })
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 300 })), (request) => {
      expect(parseCsr(request)).toMatchObject({ allow: false, reason: 'csr-malformed' })
    }))
  })
})
