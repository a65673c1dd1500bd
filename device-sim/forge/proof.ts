// How a client proves in TLS that it holds a key: the scheme that goes with the key, and the signature. RFC 5246 §7.4.8, RFC
// 8446 §4.4.3.

import { constants, sign, type KeyObject } from 'node:crypto'
import { certificateVerifyBody } from './tls12.ts'

export type HandmadeTls = 'TLSv1.2' | 'TLSv1.3'
/** The body of a CertificateVerify for what has to be signed. */
export type Proof = (content: Buffer, tls: HandmadeTls) => Buffer

const ECDSA: Readonly<Record<string, { readonly scheme: number; readonly hash: string }>> = {
  secp384r1: { scheme: 0x0503, hash: 'sha384' },
  secp521r1: { scheme: 0x0603, hash: 'sha512' },
}
const PURE: Readonly<Record<string, number>> = { 'ed25519': 0x0807, 'ed448': 0x0808, 'ml-dsa-44': 0x0904, 'ml-dsa-65': 0x0905, 'ml-dsa-87': 0x0906 }

/** With the key itself. TLS 1.2 has the old padding of RSA, TLS 1.3 the new one only. */
export function proofWith(key: KeyObject): Proof {
  const type = key.asymmetricKeyType ?? ''
  return (content, tls) => {
    if (type === 'rsa' && tls === 'TLSv1.2') return certificateVerifyBody(0x0401, sign('sha256', content, key))
    if (type === 'rsa') return certificateVerifyBody(0x0804, sign('sha256', content, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }))
    const pure = PURE[type]
    if (pure !== undefined) return certificateVerifyBody(pure, sign(null, content, key))
    const { scheme, hash } = ECDSA[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? { scheme: 0x0403, hash: 'sha256' }
    return certificateVerifyBody(scheme, sign(hash, content, key))
  }
}
