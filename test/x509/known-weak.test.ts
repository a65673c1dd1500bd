// Keys whose private half is known: made here from the mathematics, not copied from the table that they test.

import { createECDH, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { keyFacts, spkiOf } from '../../src/x509/keys.ts'
import { bits, hex, oid, seq, toHex, type Bytes } from './asn1.ts'
import { modulusOf, PRIMES, rsaSpki, withoutSmallFactor } from './rsa.ts'

const weaknessOf = (spki: Bytes): string | undefined => keyFacts(spki).weakness

function point(curve: 'prime256v1' | 'secp384r1', secret: bigint): Bytes {
  const ecdh = createECDH(curve)
  ecdh.setPrivateKey(Buffer.from(secret.toString(16).padStart(curve === 'prime256v1' ? 64 : 96, '0'), 'hex'))
  return Uint8Array.from(ecdh.getPublicKey())
}
const ecSpki = (curve: 'prime256v1' | 'secp384r1', secret: bigint): Bytes => seq(seq(oid('1.2.840.10045.2.1'), oid(curve === 'prime256v1' ? '1.2.840.10045.3.1.7' : '1.3.132.0.34')), bits(point(curve, secret)))
const ORDER = {
  prime256v1: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  secp384r1: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
} as const

describe.each(['prime256v1', 'secp384r1'] as const)('%s', (curve) => {
  test('the private keys 1 and n-1 are known', () => {
    for (const secret of [1n, ORDER[curve] - 1n]) expect(weaknessOf(ecSpki(curve, secret))).toBe('the private key of this EC key is 1 or its negative')
  })

  test('the private key 1 is known in compressed form, too', () => {
    const full = point(curve, 1n)
    const half = (full.length - 1) / 2
    const compressed = Uint8Array.of(2 + (full.at(-1)! & 1), ...full.subarray(1, 1 + half))
    expect(weaknessOf(seq(seq(oid('1.2.840.10045.2.1'), oid(curve === 'prime256v1' ? '1.2.840.10045.3.1.7' : '1.3.132.0.34')), bits(compressed)))).toBeDefined()
  })

  test('any other private key is not', () => {
    for (const secret of [2n, ORDER[curve] - 2n, 0xdeadbeefn]) expect(weaknessOf(ecSpki(curve, secret))).toBeUndefined()
  })
})

describe('Ed25519', () => {
  const spki = (y: string): Bytes => seq(seq(oid('1.3.101.112')), bits(hex(y)))
  const P = 2n ** 255n - 19n
  const D = (P - 121_665n) * power(121_666n, P - 2n) % P

  function power(base: bigint, exponent: bigint): bigint {
    let [result, b] = [1n, base % P]
    for (let e = exponent; e > 0n; e >>= 1n) {
      if (e & 1n) result = result * b % P
      b = b * b % P
    }
    return result
  }
  const little = (y: bigint): string => toHex(hex(y.toString(16).padStart(64, '0')).toReversed())

  /** The y coordinates whose point, eight times added to itself, is the neutral one: computed, not copied. */
  function smallOrders(): bigint[] {
    // Order 1, 2 and 4: y = 1, -1, 0. Order 8: d·y⁴ + 2·y² - 1 = 0, because there x² = y² (twice such a point has y = 0).
    const found = [1n, P - 1n, 0n]
    // y² = (-1 ± sqrt(1 + d)) / d
    const root = squareRoot((1n + D) % P)!
    for (const sign of [root, P - root]) {
      const y = squareRoot((P - 1n + sign) * power(D, P - 2n) % P)
      if (y !== undefined) found.push(y, P - y)
    }
    return found
  }
  function squareRoot(a: bigint): bigint | undefined {
    const candidate = power(a, (P + 3n) / 8n)
    for (const r of [candidate, candidate * power(2n, (P - 1n) / 4n) % P]) if (r * r % P === a % P) return r
    return undefined
  }

  test('every point of small order is known, with either sign, and also when it is not written canonically', () => {
    const orders = smallOrders()
    expect(orders).toHaveLength(5)
    const written = [...orders, P, P + 1n].flatMap((y) => [y, y | (1n << 255n)])
    for (const y of written) expect([little(y), weaknessOf(spki(little(y)))]).toEqual([little(y), 'an Ed25519 point of small order'])
  })

  test('a random key is not', () => {
    for (let i = 0; i < 20; i++) expect(weaknessOf(spkiOf(generateKeyPairSync('ed25519').publicKey))).toBeUndefined()
  })
})

describe('RSA', () => {
  const good = modulusOf(generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey)

  test('a modulus with any prime factor below 752 is known', () => {
    for (const prime of PRIMES.filter((p) => p < 752)) {
      const n = good - good % BigInt(prime)
      expect([prime, weaknessOf(rsaSpki(n))]).toEqual([prime, 'an RSA modulus with a small factor'])
    }
  })

  test('a modulus whose least factor is 757 is not', () => {
    const n = withoutSmallFactor(good - good % 757n, 757n)
    expect(n % 757n).toBe(0n)
    expect(weaknessOf(rsaSpki(n))).toBeUndefined()
  })

  // The generator of the chips in question: p = k·M + (65537^a mod M), M the product of the first primes. Nemec et al., 2017, §2.1.
  const M = PRIMES.slice(0, 39).reduce((product, p) => product * BigInt(p), 1n)
  const powerOf = (a: number): bigint => {
    let result = 1n
    for (let i = 0; i < a; i++) result = result * 65_537n % M
    return result
  }

  test('a modulus of the ROCA kind is known', () => {
    for (const [a, b] of [[1, 1], [17, 4_711], [2_000, 3]] as const) {
      const factor = (k: bigint, exponent: number): bigint => withoutSmallFactor(k * M + powerOf(exponent), M)
      const k = 1n << 1_023n
      const n = factor(k / M + 1n, a) * factor((k + (k >> 1n)) / M, b)
      expect(weaknessOf(rsaSpki(n))).toBe('an RSA modulus of the ROCA kind (CVE-2017-15361)')
    }
  })

  test('the next modulus without small factors is not', () => {
    const n = powerOf(1) + M * ((1n << 2_047n) / M + 1n)
    expect(weaknessOf(rsaSpki(withoutSmallFactor(n + 2n, 2n)))).toBeUndefined()
  })

  test('good keys are not', () => {
    for (let i = 0; i < 3; i++) expect(weaknessOf(Uint8Array.from(createPublicKey(generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey).export({ type: 'spki', format: 'der' })))).toBeUndefined()
  })
})
