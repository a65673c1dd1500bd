// Keys of the forge: honest ones, weak ones, and ones that claim a public key which is not theirs. It knows no
// certificates.

import { createECDH, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'

export function privateKey(curve: 'P-256' | 'P-384' = 'P-256'): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: curve }).privateKey
}

export function spki(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ format: 'der', type: 'spki' })
}

export function keyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}

/** Length of an uncompressed P-256 point. */
const POINT_BYTES = 65

function pointOf(key: KeyObject): Buffer {
  return spki(key).subarray(-POINT_BYTES)
}

/**
 * A P-256 private key file that holds the scalar of `own` beside the public key of `victim`. OpenSSL compares only the
 * public halves of certificate and key, so a client loads it with the victim's certificate and signs its
 * CertificateVerify with the wrong scalar: what somebody looks like who stole a certificate without its key.
 */
export function mismatchedKey(own: KeyObject, victim: KeyObject): KeyObject {
  const sec1 = own.export({ format: 'der', type: 'sec1' })
  const at = sec1.indexOf(pointOf(own))
  const mixed = Buffer.concat([sec1.subarray(0, at), pointOf(victim), sec1.subarray(at + POINT_BYTES)])
  return createPrivateKey({ key: mixed, format: 'der', type: 'sec1' })
}

/** The P-256 key whose scalar is 1: its public key is the generator, and everybody knows its private key. */
function scalarOne(): KeyObject {
  const ecdh = createECDH('prime256v1')
  const d = Buffer.alloc(32)
  d[31] = 1
  ecdh.setPrivateKey(d)
  const point = ecdh.getPublicKey()
  const jwk = { kty: 'EC', crv: 'P-256', d: d.toString('base64url'), x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') }
  return createPrivateKey({ key: jwk, format: 'jwk' })
}

/** Keys that no CA may certify, by what is wrong with them. E10. */
export const WEAK_KEYS: Readonly<Record<string, () => KeyObject>> = {
  'RSA-1024': () => generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey,
  'RSA-2048 with exponent 3': () => generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey,
  'P-192': () => generateKeyPairSync('ec', { namedCurve: 'prime192v1' }).privateKey,
  'secp256k1': () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey,
  'P-256 with d = 1': scalarOne,
}
