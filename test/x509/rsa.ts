// RSA public keys out of chosen numbers, for the tests of keys: OpenSSL opens whatever it is given.

import type { KeyObject } from 'node:crypto'
import { big, bits, nothing, oid, seq, type Bytes } from './asn1.ts'

const ALGORITHM = seq(oid('1.2.840.113549.1.1.1'), nothing)

export const rsaSpki = (modulus: bigint, exponent = 65_537n): Bytes => seq(ALGORITHM, bits(seq(big(modulus), big(exponent))))
export const modulusOf = (key: KeyObject): bigint => BigInt(`0x${Buffer.from(key.export({ format: 'jwk' }).n!, 'base64url').toString('hex')}`)

export const PRIMES = [...Array(1_000).keys()].filter((n) => n > 1 && [...Array(n).keys()].every((d) => d < 2 || n % d !== 0))
const hasFactorBelow = (bound: number, n: bigint): boolean => PRIMES.some((p) => p < bound && n % BigInt(p) === 0n)

/** The first of n, n + step, n + 2·step … that no prime below 752 divides. */
export function withoutSmallFactor(n: bigint, step = 1n): bigint {
  let found = n
  while (hasFactorBelow(752, found)) found += step
  return found
}
