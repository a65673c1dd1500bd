// Public and private keys: made, described and checked. node:crypto does the mathematics; this file knows the encodings.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { KeyFacts } from '../core/certificate.ts'
import type { KeyHash } from '../core/ids.ts'

export const KEY_KINDS = ['P-256', 'P-384', 'Ed25519', 'RSA-2048', 'RSA-3072', 'RSA-4096'] as const
export type KeyKind = (typeof KEY_KINDS)[number]

/** A new private key. */
export function generateKey(kind: KeyKind): KeyObject {
  switch (kind) {
    case 'P-256':
    case 'P-384':
      return generateKeyPairSync('ec', { namedCurve: kind }).privateKey
    case 'Ed25519':
      return generateKeyPairSync('ed25519').privateKey
    case 'RSA-2048':
    case 'RSA-3072':
    case 'RSA-4096':
      return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(4)) }).privateKey
  }
}

/** PKCS#8, unencrypted. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** SubjectPublicKeyInfo, DER, of a private or public key. */
export function spkiOf(key: KeyObject): Uint8Array {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ type: 'spki', format: 'der' })
}

/** Does this PEM private key belong to this SubjectPublicKeyInfo? */
export function isKeyOf(keyPem: string | Buffer, spkiSha256: string): boolean {
  try {
    return keyHash(spkiOf(createPrivateKey(keyPem))) === spkiSha256
  } catch {
    return false // Not a private key.
  }
}

const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }

export function keyHash(spki: Uint8Array): KeyHash {
  return createHash('sha256').update(spki).digest('hex') as KeyHash
}

/** Opens a SubjectPublicKeyInfo; undefined when it is no key that OpenSSL accepts, e.g. a point that is not on its curve. */
export function openPublicKey(spki: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

// The generator of P-256: the public key of the private key 1, which everybody knows.
const P256_GENERATOR_X = '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'

/** What the key policy asks of a key. Keys that cannot be opened, and those whose private key is public, are 'other'. */
export function keyFacts(spki: Uint8Array): KeyFacts {
  const spkiSha256 = keyHash(spki)
  const key = openPublicKey(spki)
  const details = key?.asymmetricKeyDetails
  switch (key?.asymmetricKeyType) {
    case 'ec': {
      if (Buffer.from(spki).toString('hex').includes(P256_GENERATOR_X)) return { algorithm: 'other', spkiSha256 }
      const curve = details?.namedCurve
      return curve === undefined ? { algorithm: 'ec', spkiSha256 } : { algorithm: 'ec', curve: CURVES[curve] ?? curve, spkiSha256 }
    }
    case 'rsa':
      if (hasInfineonFingerprint(key)) return { algorithm: 'other', spkiSha256 }
      return { algorithm: 'rsa', bits: details?.modulusLength ?? 0, exponent: String(details?.publicExponent ?? 0n), spkiSha256 }
    case 'ed25519':
      return { algorithm: 'ed25519', spkiSha256 }
    case 'ed448':
      return { algorithm: 'ed448', spkiSha256 }
    default:
      return { algorithm: 'other', spkiSha256 }
  }
}

/**
 * ROCA (CVE-2017-15361): moduli of a widespread chip library are powers of 65537 modulo every small prime. A modulus that
 * is one modulo all of these is one of them; a good one passes for bad about once in 2^27.
 */
const ROCA_PRIMES = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157] as const
const RSA_F4 = 65_537

function hasInfineonFingerprint(key: KeyObject): boolean {
  const { n } = key.export({ format: 'jwk' })
  if (typeof n !== 'string') return false
  const modulus = BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)
  return ROCA_PRIMES.every((prime) => {
    const residue = Number(modulus % BigInt(prime))
    for (let power = 1, i = 0; i < prime; i++, power = (power * RSA_F4) % prime) if (power === residue) return true
    return false
  })
}
