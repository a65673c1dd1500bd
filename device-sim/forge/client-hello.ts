// A TLS ClientHello written by hand: any version, any offer. RFC 5246 §7.4.1.2. It sends nothing.

import { randomBytes } from 'node:crypto'

export const TLS_VERSION = { 'SSL 3.0': 0x0300, 'TLS 1.0': 0x0301, 'TLS 1.1': 0x0302, 'TLS 1.2': 0x0303 } as const

/** TLS_ECDHE_{ECDSA,RSA}_WITH_AES_128_GCM_SHA256, and for the old versions their CBC predecessors. */
const SUITES = [0xc02b, 0xc02f, 0xc009, 0xc013, 0x002f, 0x000a]

export const SIGNATURE_SCHEMES = { ecdsaSha256: 0x0403, ecdsaSha1: 0x0203, rsaSha256: 0x0401, rsaPssSha256: 0x0804 } as const

export const HANDSHAKE = { record: 22, alert: 21, changeCipherSpec: 20, applicationData: 23 } as const

export interface ClientHelloWishes {
  readonly version: number
  readonly random?: Buffer
  readonly suites?: readonly number[]
  /** Any bytes; null: the extension is left out. */
  readonly serverName?: string | Buffer | null
  readonly groups?: readonly number[]
  readonly schemes?: readonly number[]
  /** Extensions behind the others, whole. */
  readonly more?: readonly Buffer[]
}

export const GROUP = { p256: 23, p384: 24, x25519: 29 } as const

export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function uint24(value: number): Buffer {
  const bytes = Buffer.alloc(3)
  bytes.writeUIntBE(value, 0, 3)
  return bytes
}

/** A vector with a length of two octets before it. */
export function vector16(...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([uint16(body.length), body])
}

export function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([uint16(type), vector16(body)])
}

export function handshakeMessage(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), uint24(body.length), body])
}

export function record(type: number, version: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), uint16(version), vector16(body)])
}

/** The handshake message; wrap it with `record`. */
export function clientHello(wishes: ClientHelloWishes): Buffer {
  const serverName = wishes.serverName === undefined ? 'localhost' : wishes.serverName
  const schemes = wishes.schemes ?? Object.values(SIGNATURE_SCHEMES).filter((scheme) => scheme !== SIGNATURE_SCHEMES.ecdsaSha1)
  const extensions = [
    ...(serverName === null ? [] : [extension(0, vector16(Buffer.from([0]), vector16(Buffer.from(serverName))))]),
    extension(10, vector16(...(wishes.groups ?? [GROUP.p256]).map(uint16))),
    extension(11, Buffer.from([1, 0])),
    // Older versions had no such extension and would not know it.
    ...(wishes.version >= TLS_VERSION['TLS 1.2'] ? [extension(13, vector16(...schemes.map(uint16)))] : []),
    ...(wishes.more ?? []),
  ]
  const body = Buffer.concat([
    uint16(wishes.version),
    wishes.random ?? randomBytes(32),
    Buffer.from([0]),
    vector16(...(wishes.suites ?? SUITES).map(uint16)),
    Buffer.from([1, 0]),
    vector16(...extensions),
  ])
  return handshakeMessage(1, body)
}

/** Where the description stands in a record that holds an alert. RFC 5246 §7.2. */
export const ALERT_RECORD = { description: 6 } as const
