// Public and private keys: made, described and checked. node:crypto does the mathematics; this file knows the encodings.

import { createHash, createPrivateKey, createPublicKey, generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { KeyFacts } from '../core/certificate.ts'
import type { KeyHash } from '../core/ids.ts'
import { oidText, readDer, TAG } from './der.ts'
import { knownWeakness } from './known-weak.ts'

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

const generateAside = promisify(generateKeyPair)

/** The same on a thread of its own where it takes long: RSA of 4096 bits takes a second. */
export async function generateKeyAside(kind: KeyKind): Promise<KeyObject> {
  if (!kind.startsWith('RSA-')) return generateKey(kind)
  const { privateKey } = await generateAside('rsa', { modulusLength: Number(kind.slice(4)) })
  return privateKey
}

/** PKCS#8, unencrypted, DER. */
export function privateKeyDer(key: KeyObject): Uint8Array {
  return key.export({ type: 'pkcs8', format: 'der' })
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

const CURVES: Readonly<Record<string, string>> = { '1.2.840.10045.3.1.7': 'P-256', '1.3.132.0.34': 'P-384', '1.3.132.0.35': 'P-521' }

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

/** What the key policy asks of a key. A key that OpenSSL cannot open is 'other'. `key`: what `openPublicKey` says, where that was asked before. */
export function keyFacts(spki: Uint8Array, key: KeyObject | undefined = openPublicKey(spki)): KeyFacts {
  const spkiSha256 = keyHash(spki)
  if (key === undefined) return { algorithm: 'other', spkiSha256 }
  const weakness = knownWeakness(key, spki)
  const base = weakness === undefined ? { spkiSha256 } : { spkiSha256, weakness }
  switch (key.asymmetricKeyType) {
    case 'ec': {
      const curve = namedCurve(spki)
      // To ask OpenSSL costs more than the rest: it is asked for the names of curves that are refused.
      return curve === undefined ? { algorithm: 'ec', ...base } : { algorithm: 'ec', curve: CURVES[curve] ?? key.asymmetricKeyDetails?.namedCurve ?? curve, ...base }
    }
    case 'rsa': {
      const details = key.asymmetricKeyDetails
      return { algorithm: 'rsa', bits: details?.modulusLength ?? 0, exponent: String(details?.publicExponent ?? 0n), ...base }
    }
    case 'ed25519':
      return { algorithm: 'ed25519', ...base }
    case 'ed448':
      return { algorithm: 'ed448', ...base }
    default:
      return { algorithm: 'other', ...base }
  }
}

/**
 * The name of the curve of this EC key, dotted; undefined where its parameters are something else. OpenSSL gives explicit parameters that
 * equal a known curve the name of that curve, and others may read them differently. RFC 5480 §2.1.1 forbids them.
 */
function namedCurve(spki: Uint8Array): string | undefined {
  const root = readDer(spki)
  const parameters = root.allow ? root.value.children[0]?.children[1] : undefined
  return parameters?.tag === TAG.oid ? oidText(parameters.contents) : undefined
}
