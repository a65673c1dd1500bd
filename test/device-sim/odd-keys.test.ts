// The oddest things that the forge makes are what they say: keys that nobody should accept, bytes around a certificate that
// change nothing in it, names that are no text.

import { createPublicKey, verify, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { forgeIntermediate, forgeIssuing, forgeLeaf, forgeRoot, lookalikeOf } from '../../device-sim/forge/authority.ts'
import { content, forgeCertificate, keyUsage, nameConstraints, readCertificate, rsaAlgorithm } from '../../device-sim/forge/certificate.ts'
import { commonName, elements, name, oid, OID, raw, sequence, tlv } from '../../device-sim/forge/der.ts'
import { privateKey, spki } from '../../device-sim/forge/keys.ts'
import { curveball, ODD_EC_KEYS, ODD_RSA_KEYS, withIndefiniteLength, withSurplus } from '../../device-sim/forge/odd-keys.ts'

const root = forgeRoot('Acme')
const issuing = forgeIssuing(root, 'Acme')

describe('RSA', () => {
  const modulusBits = (bytes: Buffer): number => {
    const [, bitString] = elements(bytes)
    const modulus = content(elements(content(bitString ?? Buffer.alloc(0)).subarray(1))[0] ?? Buffer.alloc(0))
    return (modulus[0] === 0 ? modulus.length - 1 : modulus.length) * 8
  }

  test('is as long as it says', () => {
    expect(Object.values(ODD_RSA_KEYS).map((make) => modulusBits(make().spki))).toEqual([512, 1_024, 2_048, 2_048, 2_048, 16_384])
  })

  test('with exponent 1 proves itself without a private key', () => {
    const key = ODD_RSA_KEYS['RSA-2048 with exponent 1, signed by nobody']!()
    const body = key.proof(Buffer.from('anything'), 'TLSv1.2')
    expect(body.readUInt16BE()).toBe(0x0401)
    // The signature to the power of 1 is what RSA verification compares with.
    expect(body.subarray(4, 6).toString('hex')).toBe('0001')
    expect(body.length).toBe(4 + 256)
  })
})

describe('curves', () => {
  test('OpenSSL reads explicit parameters of P-256, and no point that is on no curve', () => {
    expect(createPublicKey({ key: ODD_EC_KEYS['explicit parameters of P-256']!().spki, format: 'der', type: 'spki' }).asymmetricKeyType).toBe('ec')
    for (const odd of ['a point that is not on the curve', 'a point of zeros', 'explicit parameters of a field that is none']) {
      expect(() => createPublicKey({ key: ODD_EC_KEYS[odd]!().spki, format: 'der', type: 'spki' })).toThrow()
    }
  })

  test('with a base point of its own the public key of a CA signs for everybody, as its own parameters say, and not as the CA', () => {
    const borrowed = curveball(issuing.key)
    const { sign } = borrowed.signature()
    const signed = sign?.(Buffer.from('x')) ?? Buffer.alloc(0)
    expect(verify('sha256', Buffer.from('x'), createPublicKey({ key: borrowed.spki, format: 'der', type: 'spki' }), signed)).toBe(true)
    expect(verify('sha256', Buffer.from('x'), createPublicKey(issuing.key), signed)).toBe(false)
    // The point is that of the CA.
    expect(borrowed.spki.subarray(-65)).toEqual(spki(issuing.key).subarray(-65))
    const ca = lookalikeOf(issuing.certificate, undefined, borrowed)
    expect(readCertificate(ca.certificate).subject).toEqual(readCertificate(issuing.certificate).subject)
  })
})

describe('bytes around a certificate', () => {
  const { certificate } = forgeLeaf(issuing, 'd')

  test('BER of it is the same certificate to OpenSSL, in other bytes', () => {
    const ber = withIndefiniteLength(certificate)
    expect(ber).not.toEqual(certificate)
    expect(new X509Certificate(ber).raw).toEqual(certificate)
  })

  test('an element more is one too many', () => {
    expect(elements(withSurplus(certificate))).toHaveLength(4)
    expect(() => new X509Certificate(withSurplus(certificate))).toThrow()
  })
})

describe('a wish is written as it stands', () => {
  test('times, serial number and version', () => {
    const fields = { subject: name(commonName('d')), issuer: name(commonName('ca')), notBefore: 0, notAfter: 1, spki: spki(issuing.key), signWith: issuing.key }
    const times = [raw(tlv(0x17, Buffer.from('4901010000Z'))), raw(tlv(0x18, Buffer.from('20490101000000.5Z')))] as const
    expect(forgeCertificate({ ...fields, extensions: [], times }).includes('20490101000000.5Z')).toBe(true)
    const v1 = new X509Certificate(forgeCertificate({ ...fields, extensions: [], version: 1, serial: Buffer.from([5]) }))
    expect(v1.serialNumber).toBe('05')
    expect(elements(elements(v1.raw)[0] ?? Buffer.alloc(0))).toHaveLength(6)
  })

  test('two signature algorithms', () => {
    const { certificate } = forgeLeaf(issuing, 'd', { signature: () => ({ hash: 'sha256', inner: sequence(oid(OID.ecdsaWithSha256)), outer: rsaAlgorithm(OID.md5WithRsa) }) })
    const [tbs, outer] = elements(certificate)
    expect(elements(tbs ?? Buffer.alloc(0))[2]).not.toEqual(outer)
  })

  test('names that are no text', () => {
    const bytes = Buffer.from([0xc3])
    expect(name([[{ type: OID.commonName, value: bytes }]]).includes(Buffer.from([0x0c, 1, 0xc3]))).toBe(true)
    expect(name([[{ type: OID.commonName, value: 'ab', encoding: 'bmp' }]]).includes(Buffer.from([0x1e, 4, 0, 0x61, 0, 0x62]))).toBe(true)
    expect(name([[{ type: OID.commonName, value: 'é', encoding: 'teletex' }]]).includes(Buffer.from([0x14, 1, 0xe9]))).toBe(true)
  })

  test('a CA below another, without basic constraints or with constraints of names', () => {
    const plain = forgeIntermediate(issuing, 'Below', { basicConstraints: null })
    expect(new X509Certificate(plain.certificate).ca).toBe(false)
    const narrowed = forgeIntermediate(issuing, 'Below', { more: [nameConstraints('excluded', ['evil.example', name([])])] })
    expect(new X509Certificate(narrowed.certificate).ca).toBe(true)
    expect(narrowed.certificate.includes('evil.example')).toBe(true)
    expect(new X509Certificate(narrowed.certificate).checkIssued(new X509Certificate(issuing.certificate))).toBe(true)
  })

  test('an extension twice, or none at all', () => {
    const twice = readCertificate(forgeLeaf(issuing, 'd', { more: [keyUsage('digitalSignature')] }).certificate)
    expect(twice.extensions.filter(({ id }) => id === OID.keyUsage)).toHaveLength(2)
    expect(readCertificate(forgeLeaf(issuing, 'd', { bare: true }).certificate).extensions).toEqual([])
    expect(readCertificate(forgeLeaf(issuing, 'd', { spki: ODD_EC_KEYS['a point of zeros']!().spki, key: privateKey() }).certificate).spki).not.toEqual(spki(issuing.key))
  })
})
