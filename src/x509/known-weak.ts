// Public keys whose private half is known or can be computed: recognised by their shape. What cannot be recognised without
// a database is not covered here: the 2008 Debian keys, and RSA keys that share a prime with another key.

import type { KeyObject } from 'node:crypto'
import { readDer } from './der.ts'

/** The x coordinates of the generators of P-256 and P-384: the public keys of the private keys 1 and n-1. SP 800-186 §3.2.1. */
const GENERATORS_X: readonly string[] = [
  '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296',
  'aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7',
]
/** The point is the last thing in a SubjectPublicKeyInfo: 04, x and y of 48 octets each at most. */
const POINT_BYTES_MAX = 97

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

/** Factors that a few divisions find. The CA/Browser Forum has the same bound (Baseline Requirements §6.1.6). */
const SMALL_FACTOR_MAX = 752

/** Odd primes below the bound, in groups whose products a number holds exactly: one long division for each group. */
const SMALL_PRIME_GROUPS: readonly (readonly [bigint, readonly number[]])[] = groupsOf(primesBelow(SMALL_FACTOR_MAX).slice(1))

function primesBelow(bound: number): number[] {
  const primes: number[] = []
  for (let n = 2; n < bound; n++) if (primes.every((p) => n % p !== 0)) primes.push(n)
  return primes
}

function groupsOf(primes: readonly number[]): [bigint, number[]][] {
  const groups: [bigint, number[]][] = []
  let product = Number.POSITIVE_INFINITY
  for (const prime of primes) {
    product *= prime
    if (product > Number.MAX_SAFE_INTEGER) {
      product = prime
      groups.push([1n, []])
    }
    const group = groups.at(-1)
    group?.[1].push(prime)
    if (group !== undefined) group[0] = BigInt(product)
  }
  return groups
}

/** What is known of this key's private half, as words for an operator; undefined when nothing is. */
export function knownWeakness(key: KeyObject, spki: Uint8Array): string | undefined {
  switch (key.asymmetricKeyType) {
    case 'ec':
      if (isInfinity(spki)) return 'an EC key that is the point at infinity: anybody can sign for it'
      return isGenerator(spki) ? 'the private key of this EC key is 1 or its negative' : undefined
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

/** The single octet 00. OpenSSL opens it, and verifies signatures that need no secret. SEC 1 §2.3.4, §3.2.2.1. */
function isInfinity(spki: Uint8Array): boolean {
  const root = readDer(spki)
  const point = root.allow ? root.value.children[1]?.contents : undefined
  return point === undefined || point.length <= 2
}

function isGenerator(spki: Uint8Array): boolean {
  const point = Buffer.from(spki.subarray(-POINT_BYTES_MAX)).toString('hex')
  return GENERATORS_X.some((x) => point.includes(x))
}

function hasSmallFactor(modulus: bigint): boolean {
  if (modulus % 2n === 0n) return true
  return SMALL_PRIME_GROUPS.some(([product, primes]) => {
    const rest = Number(modulus % product)
    return primes.some((prime) => rest % prime === 0)
  })
}

function weakModulus(key: KeyObject): string | undefined {
  const { n } = key.export({ format: 'jwk' })
  if (typeof n !== 'string') return 'an RSA key without a modulus'
  const modulus = BigInt(`0x0${Buffer.from(n, 'base64url').toString('hex')}`)
  if (hasSmallFactor(modulus)) return 'an RSA modulus with a small factor'
  return ROCA_RESIDUES.every(([prime, residues]) => residues.has(Number(modulus % prime))) ? 'an RSA modulus of the ROCA kind (CVE-2017-15361)' : undefined
}
