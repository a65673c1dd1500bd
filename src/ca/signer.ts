// The one who signs: a key that is opened once and answers with signatures. Signing runs in the thread pool, so that many
// requests use many cores and the event loop stays free.

import { sign, type KeyObject } from 'node:crypto'
import { SallyportError } from '../core/errors.ts'
import { spkiOf } from '../x509/keys.ts'
import { signingAlgorithm } from '../x509/signatures.ts'

export interface Signer {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  /** AlgorithmIdentifier of its signatures, DER. */
  readonly signatureIdentifier: Uint8Array
  sign(tbs: Uint8Array): Promise<Uint8Array>
}

/** A signer over a private key in this process. Failure: 'key-unreadable' for a kind of key that signs nothing here. */
export function openSigner(key: KeyObject): Signer {
  const algorithm = signingAlgorithm(key)
  if (algorithm === undefined) throw new SallyportError('key-unreadable', `A CA key of type ${key.asymmetricKeyType ?? 'unknown'} is not supported.`, { fix: 'Use ECDSA P-256 or P-384, Ed25519, or RSA.' })
  return {
    spki: spkiOf(key),
    signatureIdentifier: algorithm.identifier,
    sign: (tbs) =>
      new Promise((resolve, reject) => {
        sign(algorithm.name, tbs, key, (error, signature) => (error === null ? resolve(signature) : reject(error)))
      }),
  }
}
