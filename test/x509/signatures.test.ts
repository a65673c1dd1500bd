// Which algorithm a key signs with, and whether a certificate is signed by a key.

import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { isSignatureAccepted } from '../../src/core/certificate-rules.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { openPublicKey, spkiOf } from '../../src/x509/keys.ts'
import { hashOfSignature, isCertificateSignedBy, signingAlgorithm } from '../../src/x509/signatures.ts'
import { hex, nothing, oid, seq, toHex } from './asn1.ts'
import { makeCa, makeLeaf } from './forge.ts'

describe('how our keys sign', () => {
  test.each([
    ['P-256', seq(oid('1.2.840.10045.4.3.2'))],
    ['P-384', seq(oid('1.2.840.10045.4.3.3'))],
    ['Ed25519', seq(oid('1.3.101.112'))],
    ['RSA-2048', seq(oid('1.2.840.113549.1.1.11'), nothing)],
  ] as const)('%s', (kind, identifier) => {
    const key = generateKey(kind)
    const algorithm = signingAlgorithm(key)!
    expect(toHex(algorithm.identifier)).toBe(toHex(identifier))
    expect(isSignatureAccepted(algorithm.oid)).toBe(true)
    const message = Buffer.from('message')
    expect(verify(algorithm.name, message, openPublicKey(spkiOf(key))!, sign(algorithm.name, message, key))).toBe(true)
  })

  test('keys that sign nothing here have no algorithm', () => {
    expect(signingAlgorithm(generateKeyPairSync('x25519').privateKey)).toBeUndefined()
    expect(signingAlgorithm(generateKeyPairSync('ed448').privateKey)).toBeUndefined()
  })

  test.each(['1.2.840.113549.1.1.4', '1.2.840.113549.1.1.5', '1.2.840.10045.4.1', '1.2.3', 'constructor', '__proto__', ''])('%s verifies nothing', (name) => {
    expect(hashOfSignature(name)).toBeUndefined()
    expect(isSignatureAccepted(name)).toBe(false)
  })
})

describe('the signature of a certificate', () => {
  const ca = makeCa({ name: 'R' })
  const leaf = makeLeaf({ under: ca })
  const key = openPublicKey(spkiOf(ca.key))!

  test('fits the key that made it', () => {
    expect(isCertificateSignedBy(leaf, key)).toBe(true)
  })

  test('fits no other key, of the same kind or another', () => {
    for (const kind of ['P-256', 'RSA-2048', 'Ed25519'] as const) expect(isCertificateSignedBy(leaf, openPublicKey(spkiOf(generateKey(kind)))!)).toBe(false)
  })

  test('fits nothing when any bit of the certificate is flipped', () => {
    for (let at = 0; at < leaf.length; at++) {
      const flipped = Uint8Array.from(leaf)
      flipped[at]! ^= 1 << (at % 8)
      expect(isCertificateSignedBy(flipped, key)).toBe(false)
    }
  })

  test('of bytes that are no certificate fits nothing', () => {
    expect(isCertificateSignedBy(hex('3000'), key)).toBe(false)
  })
})
