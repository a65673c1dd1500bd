// Public keys whose private half is known or can be computed: recognised by their shape. What cannot be recognised without
// a database is not covered here: the 2008 Debian keys, and RSA keys that share a prime with another key.

import type { KeyObject } from 'node:crypto'

/** The generator of P-256, x coordinate: the public keys of the private keys 1 and n-1. */
const P256_GENERATOR_X = '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'

/**
 * Points of edwards25519 whose order divides 8, sign bit cleared, also those that are not written canonically. Under such a
 * key anybody can make signatures that verify, and OpenSSL opens it like any other.
 */
const SMALL_ORDER_POINTS: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
])

/**
 * ROCA (CVE-2017-15361): moduli of a widespread chip library are powers of 65537 modulo every small prime. A modulus that
 * is one modulo all of these is one of them; a good one passes for bad about once in 2^27.
 */
const ROCA_PRIMES = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157] as const
const RSA_F4 = 65_537

/** The residues that powers of 65537 leave, for each of the primes. */
const ROCA_RESIDUES: readonly (readonly [bigint, ReadonlySet<number>])[] = ROCA_PRIMES.map((prime) => {
  const residues = new Set<number>()
  for (let power = 1; !residues.has(power); power = (power * RSA_F4) % prime) residues.add(power)
  return [BigInt(prime), residues]
})

/** What is known of this key's private half, as words for an operator; undefined when nothing is. */
export function knownWeakness(key: KeyObject, spki: Uint8Array): string | undefined {
  switch (key.asymmetricKeyType) {
    case 'ec':
      return Buffer.from(spki).toString('hex').includes(P256_GENERATOR_X) ? 'the private key of this P-256 key is 1' : undefined
    case 'ed25519': {
      const point = Buffer.from(spki.subarray(-32))
      point[31] = (point[31] ?? 0) & 0x7f
      return SMALL_ORDER_POINTS.has(point.toString('hex')) ? 'an Ed25519 point of small order' : undefined
    }
    case 'rsa':
      return weakModulus(key)
    default:
      return undefined
  }
}

function weakModulus(key: KeyObject): string | undefined {
  const { n } = key.export({ format: 'jwk' })
  if (typeof n !== 'string') return 'an RSA key without a modulus'
  const modulus = BigInt(`0x0${Buffer.from(n, 'base64url').toString('hex')}`)
  if (modulus % 2n === 0n || ROCA_RESIDUES.some(([prime]) => modulus % prime === 0n)) return 'an RSA modulus with a small factor'
  return ROCA_RESIDUES.every(([prime, residues]) => residues.has(Number(modulus % prime))) ? 'an RSA modulus of the ROCA kind (CVE-2017-15361)' : undefined
}
