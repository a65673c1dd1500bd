// A public key that somebody reports: PEM, or the base64 of its DER. What is kept of it is its hash, so it is taken in no other encoding
// than the one that a certificate request will have.

import type { KeyFacts } from '../core/certificate.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import { X509_LIMITS } from '../limits.ts'
import { readDer } from './der.ts'
import { keyFacts, openPublicKey } from './keys.ts'
import { decodePem } from './pem.ts'

/** SEC 1 §2.3.3. */
const UNCOMPRESSED = 0x04

/** Reads a SubjectPublicKeyInfo. Whether the key is a good one, the key policy says. Never throws. Reason: request-invalid. */
export function parsePublicKey(text: string): Decision<KeyFacts> {
  const der = derOf(text.trim())
  if (der === undefined) return deny('request-invalid', 'the public key is neither PEM nor base64')
  const root = readDer(der, X509_LIMITS.csrBytesMax)
  const key = root.allow ? openPublicKey(der) : undefined
  if (!root.allow || key === undefined) return deny('request-invalid', 'this is no public key (SubjectPublicKeyInfo)')
  // [0] is the count of unused bits.
  if (key.asymmetricKeyType === 'ec' && root.value.children[1]?.contents[1] !== UNCOMPRESSED) return deny('request-invalid', 'the point of the public key is compressed, which it is not in a certificate request')
  return allow(keyFacts(der, key))
}

function derOf(text: string): Buffer | undefined {
  if (text.startsWith('-----')) {
    const blocks = decodePem(text, 'PUBLIC KEY')
    return blocks.allow && blocks.value.length === 1 && blocks.value[0] !== undefined ? Buffer.from(blocks.value[0]) : undefined
  }
  const base64 = text.replaceAll(/[ \t\r\n]/g, '')
  const bytes = Buffer.from(base64, 'base64')
  return base64 !== '' && bytes.toString('base64') === base64 ? bytes : undefined
}
