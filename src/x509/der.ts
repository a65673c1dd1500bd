// Gated bytes in, a tree with raw views out, and the handful of elements that a filled-in template needs. The gate has read
// every tag and length already; walking them again costs 10 µs where asn1js costs 290 (docs/decisions/0005).

import * as asn1js from 'asn1js'
import { X509_LIMITS } from '../limits.ts'
import { allow, type Decision } from '../core/decision.ts'
import { gateDer } from './der-gate.ts'

/** One element: its tag byte, its whole encoding, its contents, and its children when it is constructed. */
export interface DerNode {
  readonly tag: number
  readonly raw: Uint8Array
  readonly contents: Uint8Array
  readonly children: readonly DerNode[]
}

const CONSTRUCTED = 0x20

/** Decodes one DER element of at most `bytesMax` bytes. Reason: certificate-malformed. */
export function readDer(bytes: Uint8Array, bytesMax: number = X509_LIMITS.certificateBytesMax): Decision<DerNode> {
  const gated = gateDer(bytes, bytesMax)
  if (!gated.allow) return gated
  return allow(nodeOf(bytes, 0))
}

/** The gate has checked every length: this only walks. */
function nodeOf(bytes: Uint8Array, start: number): DerNode {
  const tag = bytes[start] ?? 0
  const first = bytes[start + 1] ?? 0
  let at = start + 2
  let length = first
  if (first >= 0x80) {
    length = 0
    for (let i = 0; i < (first & 0x7f); i++) length = length * 256 + (bytes[at++] ?? 0)
  }
  const end = at + length
  const children: DerNode[] = []
  if ((tag & CONSTRUCTED) !== 0) {
    for (let next = at; next < end; ) {
      const child = nodeOf(bytes, next)
      children.push(child)
      next += child.raw.length
    }
  }
  return { tag, raw: bytes.subarray(start, end), contents: bytes.subarray(at, end), children }
}

export const TAG = {
  boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, null: 0x05, oid: 0x06, utf8: 0x0c, printable: 0x13, teletex: 0x14,
  enumerated: 0x0a, ia5: 0x16, utcTime: 0x17, generalizedTime: 0x18, universal: 0x1c, bmp: 0x1e, numeric: 0x12, sequence: 0x30, set: 0x31,
} as const

/** The dotted form of an OBJECT IDENTIFIER's contents. */
export function oidText(contents: Uint8Array): string {
  const arcs: bigint[] = []
  let arc = 0n
  for (const byte of contents) {
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    if (byte < 0x80) {
      arcs.push(arc)
      arc = 0n
    }
  }
  const [head = 0n, ...rest] = arcs
  const root = head < 80n ? head / 40n : 2n
  return [root, head - root * 40n, ...rest].join('.')
}

/** tag, length, contents. */
export function tlv(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, c) => sum + c.length, 0)
  const header = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : length < 0x10000 ? [tag, 0x82, length >> 8, length & 0xff] : length < 0x1000000 ? [tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff] : [tag, 0x84, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff]
  return Buffer.concat([Uint8Array.from(header), ...contents])
}

/** The encoding of an asn1js element. */
export function encode(element: { toBER(): ArrayBuffer }): Uint8Array {
  return new Uint8Array(element.toBER())
}

/** A time as RFC 5280 §4.1.2.5 wants it: UTCTime through 2049, GeneralizedTime from 2050, whole seconds, Z. */
export function encodeTime(ms: number): Uint8Array {
  const iso = new Date(ms).toISOString()
  const digits = iso.slice(0, 19).replaceAll(/[-:T]/g, '')
  const text = `${digits}Z`
  return Number(iso.slice(0, 4)) < 2050 ? tlv(TAG.utcTime, Buffer.from(text.slice(2))) : tlv(TAG.generalizedTime, Buffer.from(text))
}

/** GeneralizedTime in whole seconds, whatever the year. RFC 6960 §4.2.2.1. */
export function encodeGeneralizedTime(ms: number): Uint8Array {
  return tlv(TAG.generalizedTime, Buffer.from(`${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`))
}

/** OBJECT IDENTIFIER from its dotted form. */
export function encodeOid(oid: string): Uint8Array {
  return encode(new asn1js.ObjectIdentifier({ value: oid }))
}

/** INTEGER of a number that is not negative. */
export function encodeInteger(value: number): Uint8Array {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return tlv(TAG.integer, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Uint8Array.of(0), bytes]) : bytes)
}

/** One extension; DER leaves the default of `critical` out. RFC 5280 §4.1. */
export function encodeExtension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  return tlv(TAG.sequence, encodeOid(oid), ...(critical ? [tlv(TAG.boolean, Uint8Array.of(0xff))] : []), tlv(TAG.octetString, value))
}

/**
 * The reverse; undefined when the form is not that of RFC 5280 §4.1.2.5: whole seconds and Z. Which of the two types a date
 * belongs to is asked of those who write; readers take both.
 */
export function decodeTime(node: DerNode): number | undefined {
  const text = Buffer.from(node.contents).toString('latin1')
  const match = node.tag === TAG.utcTime ? /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text) : node.tag === TAG.generalizedTime ? /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text) : null
  if (match === null) return undefined
  const [, y = '', month = '', day = '', h = '', m = '', s = ''] = match
  const year = y.length === 2 ? (Number(y) < 50 ? 2000 : 1900) + Number(y) : Number(y)
  const ms = Date.UTC(year, Number(month) - 1, Number(day), Number(h), Number(m), Number(s))
  // Date.UTC carries over: the 31st of February must not become March.
  const said = `${String(year).padStart(4, '0')}${month}${day}${h}${m}${s}`
  return Number.isFinite(ms) && new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '') === said ? ms : undefined
}
