// Signature algorithms by OID: which hash belongs to which, and how an algorithm identifier is written. Which of them are
// accepted is for core/certificate-rules.ts to say.

import { X509Certificate, type KeyObject } from 'node:crypto'
import * as asn1js from 'asn1js'
import { encode, TAG, tlv } from './der.ts'

/** `name` as node:crypto takes it; null where the algorithm hashes by itself. */
export interface SignatureHash {
  readonly name: string | null
  /** The kind of key that makes these signatures, as node:crypto calls it. */
  readonly keyType: 'ec' | 'rsa' | 'ed25519'
}

const HASHES: Readonly<Record<string, SignatureHash>> = {
  '1.2.840.10045.4.3.2': { name: 'sha256', keyType: 'ec' },
  '1.2.840.10045.4.3.3': { name: 'sha384', keyType: 'ec' },
  '1.2.840.10045.4.3.4': { name: 'sha512', keyType: 'ec' },
  '1.2.840.113549.1.1.11': { name: 'sha256', keyType: 'rsa' },
  '1.2.840.113549.1.1.12': { name: 'sha384', keyType: 'rsa' },
  '1.2.840.113549.1.1.13': { name: 'sha512', keyType: 'rsa' },
  '1.3.101.112': { name: null, keyType: 'ed25519' },
}

/** Undefined for what is unknown or no longer safe: it verifies nothing. */
export function hashOfSignature(oid: string): SignatureHash | undefined {
  return Object.hasOwn(HASHES, oid) ? HASHES[oid] : undefined
}

export interface SigningAlgorithm extends SignatureHash {
  readonly oid: string
  /** AlgorithmIdentifier, DER: RSA has a NULL as parameters, ECDSA and Ed25519 nothing. RFC 3279, 5758, 8410. */
  readonly identifier: Uint8Array
}

/** How a key of ours signs. P-384 signs with SHA-384; undefined for keys that sign nothing here. */
export function signingAlgorithm(key: KeyObject): SigningAlgorithm | undefined {
  const oid = oidFor(key)
  const hash = oid === undefined ? undefined : hashOfSignature(oid)
  if (oid === undefined || hash === undefined) return undefined
  const parameters = key.asymmetricKeyType === 'rsa' ? [tlv(TAG.null)] : []
  return { ...hash, oid, identifier: tlv(TAG.sequence, encode(new asn1js.ObjectIdentifier({ value: oid })), ...parameters) }
}

function oidFor(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType === 'ec') return key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? '1.2.840.10045.4.3.3' : '1.2.840.10045.4.3.2'
  if (key.asymmetricKeyType === 'rsa') return '1.2.840.113549.1.1.11'
  return key.asymmetricKeyType === 'ed25519' ? '1.3.101.112' : undefined
}

/** Does this key verify the signature of this certificate? Never throws. */
export function isCertificateSignedBy(der: Uint8Array, key: KeyObject): boolean {
  try {
    return new X509Certificate(der).verify(key)
  } catch {
    return false // Not a certificate, or a signature that does not fit the key.
  }
}
