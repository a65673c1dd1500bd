// Keys that we make, and keys of strangers with what is wrong with each of them.

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { keyProblem } from '../../src/core/certificate-rules.ts'
import { generateKey, isKeyOf, KEY_KINDS, keyFacts, keyHash, openPublicKey, privateKeyPem, spkiOf } from '../../src/x509/keys.ts'
import { bits, hex, join, oid, seq, type Bytes } from './asn1.ts'
import { modulusOf, rsaSpki, withoutSmallFactor } from './rsa.ts'

const EC = '1.2.840.10045.2.1'
const P256 = '1.2.840.10045.3.1.7'

const ecSpki = (parameters: Bytes, point: Bytes): Bytes => seq(seq(oid(EC), parameters), bits(point))

describe('keys that we make', () => {
  test.each(KEY_KINDS.filter((kind) => kind !== 'RSA-3072' && kind !== 'RSA-4096'))('%s', (kind) => {
    const key = generateKey(kind)
    const facts = keyFacts(spkiOf(key))
    expect(facts.curve ?? (facts.bits === undefined ? 'Ed25519' : `RSA-${facts.bits}`)).toBe(kind)
    expect(keyProblem(facts)).toBeUndefined()
    expect(createPrivateKey(privateKeyPem(key)).equals(key)).toBe(true)
  })

  test('a key is made anew every time', () => {
    expect(keyHash(spkiOf(generateKey('P-256')))).not.toBe(keyHash(spkiOf(generateKey('P-256'))))
  })

  test('private and public half have one SubjectPublicKeyInfo', () => {
    const key = generateKey('P-384')
    expect(spkiOf(createPublicKey(key))).toEqual(spkiOf(key))
  })

  test('a private key belongs to its own public key and to no other', () => {
    const key = generateKey('P-256')
    expect(isKeyOf(privateKeyPem(key), keyHash(spkiOf(key)))).toBe(true)
    expect(isKeyOf(privateKeyPem(generateKey('P-256')), keyHash(spkiOf(key)))).toBe(false)
    expect(isKeyOf('no key', keyHash(spkiOf(key)))).toBe(false)
  })
})

describe('keys of strangers (T31–T33)', () => {
  const made = (type: 'ec' | 'rsa', options: object): Bytes => Uint8Array.from(generateKeyPairSync(type as 'ec', options as { namedCurve: string }).publicKey.export({ type: 'spki', format: 'der' }))
  const modulus = modulusOf(generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey)
  const point = made('ec', { namedCurve: 'P-256' }).subarray(-65)
  const prime256v1 = Uint8Array.from(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey.export({ type: 'spki', format: 'der' }))
  const secp384r1 = Uint8Array.from(generateKeyPairSync('ec', { namedCurve: 'P-384', paramEncoding: 'explicit' }).publicKey.export({ type: 'spki', format: 'der' }))

  test.each<[string, Bytes, string]>([
    ['RSA-1024', made('rsa', { modulusLength: 1_024 }), 'RSA of 1024 bits'],
    ['RSA-512', rsaSpki(withoutSmallFactor(1n << 511n)), 'RSA of 512 bits'],
    ['RSA of an odd size', rsaSpki(withoutSmallFactor(modulus >> 1n)), 'RSA of 2047 bits'],
    ['RSA-16384', rsaSpki(withoutSmallFactor(1n << 16_383n)), 'RSA of 16384 bits'],
    ['RSA with exponent 1', rsaSpki(modulus, 1n), 'RSA exponent 1'],
    ['RSA with exponent 3', rsaSpki(modulus, 3n), 'RSA exponent 3'],
    ['secp256k1', made('ec', { namedCurve: 'secp256k1' }), 'curve secp256k1'],
    ['P-521', made('ec', { namedCurve: 'P-521' }), 'curve P-521'],
    ['P-224', made('ec', { namedCurve: 'secp224r1' }), 'curve secp224r1'],
    ['P-192', made('ec', { namedCurve: 'prime192v1' }), 'curve prime192v1'],
    ['explicit parameters that equal P-256', prime256v1, 'curve with explicit parameters'],
    ['explicit parameters that equal P-384', secp384r1, 'curve with explicit parameters'],
    ['Ed448', Uint8Array.from(generateKeyPairSync('ed448').publicKey.export({ type: 'spki', format: 'der' })), 'a kind of key that is not accepted'],
    ['X25519, which signs nothing', Uint8Array.from(generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' })), 'a kind of key that is not accepted'],
    ['a point that is not on its curve', ecSpki(oid(P256), join(point.subarray(0, 64), Uint8Array.of(point[64]! ^ 1))), 'a kind of key that is not accepted'],
    ['the point at infinity, under which anybody can sign', ecSpki(oid(P256), hex('00')), 'the point at infinity'],
    ['a point of zeros', ecSpki(oid(P256), join(hex('04'), new Uint8Array(64))), 'a kind of key that is not accepted'],
    ['an unknown curve', ecSpki(oid('1.2.3'), point), 'a kind of key that is not accepted'],
    ['an unknown algorithm', seq(seq(oid('1.2.3.4')), bits(hex('00'))), 'a kind of key that is not accepted'],
    ['an empty key', seq(seq(oid('1.3.101.112')), bits(hex(''))), 'a kind of key that is not accepted'],
    ['a modulus of zero', rsaSpki(0n, 0n), 'an RSA modulus with a small factor'],
    ['no key at all', seq(), 'a kind of key that is not accepted'],
  ])('%s is refused', (_, spki, problem) => {
    expect(keyProblem(keyFacts(spki))).toContain(problem)
  })

  test('the same modulus with exponent 65537 is accepted', () => {
    expect(keyProblem(keyFacts(rsaSpki(modulus)))).toBeUndefined()
  })

  test('ML-DSA is refused, and does no harm', () => {
    expect(keyProblem(keyFacts(Uint8Array.from(generateKeyPairSync('ml-dsa-44').publicKey.export({ type: 'spki', format: 'der' }))))).toBe('a kind of key that is not accepted')
  })

  test('a compressed point is the same kind of key, with a hash of its own', () => {
    const compressed = ecSpki(oid(P256), join(Uint8Array.of(2 + (point[64]! & 1)), point.subarray(1, 33)))
    expect(keyFacts(compressed)).toMatchObject({ algorithm: 'ec', curve: 'P-256' })
    expect(keyFacts(compressed).spkiSha256).not.toBe(keyFacts(ecSpki(oid(P256), point)).spkiSha256)
  })

  test('what OpenSSL cannot open is no key', () => {
    expect(openPublicKey(hex('3000'))).toBeUndefined()
    expect(openPublicKey(spkiOf(generateKey('P-256')))?.type).toBe('public')
  })
})
