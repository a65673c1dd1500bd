// The key schedule of TLS 1.3 for one suite, AES-128-GCM with SHA-256, and one group, X25519: secrets in, records out. RFC 8446
// §5.2, §7. It sends nothing.

import { createCipheriv, createDecipheriv, createHash, createHmac, createPublicKey, type KeyObject } from 'node:crypto'
import { HANDSHAKE, record, TLS_VERSION, uint16 } from './client-hello.ts'
import type { TlsRecord } from './wire.ts'

const HASH_BYTES = 32
const TAG_BYTES = 16
/** A secret that nobody has agreed upon. */
export const NOTHING = Buffer.alloc(HASH_BYTES)
const EMPTY = Buffer.alloc(0)

export const sha256 = (...data: readonly Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(data)).digest()
/** HKDF-Extract, and what a Finished message holds. */
export const hmac = (key: Buffer, data: Buffer): Buffer => createHmac('sha256', key).update(data).digest()
export const vector8 = (body: Buffer): Buffer => Buffer.concat([Buffer.from([body.length]), body])

/** HKDF-Expand-Label; no longer than one block. */
export function expandLabel(secret: Buffer, label: string, context: Buffer = EMPTY, length = HASH_BYTES): Buffer {
  const info = Buffer.concat([uint16(length), vector8(Buffer.from(`tls13 ${label}`)), vector8(context)])
  return hmac(secret, Buffer.concat([info, Buffer.from([1])])).subarray(0, length)
}

/** The salt of the next stage. */
export const derived = (secret: Buffer): Buffer => expandLabel(secret, 'derived', sha256())

export const finishedKey = (secret: Buffer): Buffer => expandLabel(secret, 'finished')

export interface Protection {
  /** A whole record. */
  seal(type: number, plain: Buffer): Buffer
  open(sealed: Buffer): TlsRecord
}

/** The records of one direction under one traffic secret. */
export function protection(secret: Buffer): Protection {
  const [key, iv] = [expandLabel(secret, 'key', EMPTY, 16), expandLabel(secret, 'iv', EMPTY, 12)]
  let count = 0n
  const nonce = (): Buffer => {
    const mixed = Buffer.from(iv)
    mixed.writeBigUInt64BE(mixed.readBigUInt64BE(4) ^ count, 4)
    count += 1n
    return mixed
  }
  const head = (length: number): Buffer => Buffer.concat([Buffer.from([HANDSHAKE.applicationData]), uint16(TLS_VERSION['TLS 1.2']), uint16(length)])
  return {
    seal(type, plain) {
      const cipher = createCipheriv('aes-128-gcm', key, nonce())
      cipher.setAAD(head(plain.length + 1 + TAG_BYTES))
      const body = Buffer.concat([cipher.update(plain), cipher.update(Buffer.from([type])), cipher.final(), cipher.getAuthTag()])
      return record(HANDSHAKE.applicationData, TLS_VERSION['TLS 1.2'], body)
    },
    open(sealed) {
      const decipher = createDecipheriv('aes-128-gcm', key, nonce())
      decipher.setAAD(head(sealed.length))
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
      const inner = Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()])
      // The type stands behind the content, and zeros for padding behind the type.
      let end = inner.length - 1
      while (inner[end] === 0) end -= 1
      return { type: inner[end] ?? 0, body: inner.subarray(0, end) }
    },
  }
}

/** The public key as it goes into a key share. */
export function shareOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
}

export function keyOfShare(share: Buffer): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: share.toString('base64url') }, format: 'jwk' })
}
