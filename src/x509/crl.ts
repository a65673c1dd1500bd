// CRLs, version 2 (RFC 5280 §5), written by hand: pkijs needs seconds for 20,000 entries and reads none above 10,000. Entries
// go one after the other into one growing buffer, so that a million of them can be written in slices; what is listed, and
// why, is for core/standing.ts to say.

import { PUBLISHED_REASONS, type PublishedReason } from '../vocabulary.ts'
import type { EpochMs } from '../core/ids.ts'
import { encodeExtension, encodeInteger, encodeTime, TAG, tlv } from './der.ts'
import { OID } from './extensions.ts'
import { distributionPointName } from './pointers.ts'

export interface CrlFacts {
  /** The issuer's subject, as it stands in its certificate. */
  readonly issuerDer: Uint8Array
  readonly authorityKeyId: Uint8Array
  /** AlgorithmIdentifier of the signature, DER. */
  readonly signatureIdentifier: Uint8Array
  /** From 1, higher than that of every CRL before it of the same issuer and scope. */
  readonly number: number
  readonly thisUpdate: EpochMs
  readonly nextUpdate: EpochMs
  /** The URI under which a part of the certificates points to this CRL: it lists revocations of that part only. */
  readonly distributionPoint?: string
}

export interface CrlEntries {
  /** `serial`: lower-case hex without a leading zero octet. */
  add(serial: string, at: EpochMs, reason: PublishedReason): void
  readonly count: number
  /** What they take, also where they are not kept. */
  readonly bytes: number
  /** They take more than they may: none of them is kept, and nothing is wrapped. */
  readonly isTooLarge: boolean
  /**
   * A SEQUENCE of `before`, the list of entries where there are any, and `after`. It is made around the entries where they
   * lie: copying them would hold the event loop. A view; nothing is added afterwards.
   */
  wrap(before: Uint8Array, after: Uint8Array): Uint8Array
}

const FIRST_BYTES = 64 * 1024
/** Room for what stands before the entries: more than the name in any certificate that is read here. */
const HEAD_BYTES = 20 * 1024
/** Header, 21 octets of serial, a GeneralizedTime and a reason: more than any entry takes. */
const ENTRY_BYTES_MAX = 64
const DAY_MS = 86_400_000
const SECOND_MS = 1_000

/** crlEntryExtensions with nothing but a reason code. */
const REASONS = Object.fromEntries(Object.entries(PUBLISHED_REASONS).map(([name, code]) => [name, tlv(TAG.sequence, encodeExtension(OID.reasonCode, false, tlv(TAG.enumerated, Uint8Array.of(code))))])) as Record<PublishedReason, Uint8Array>

/** Starts a list of revoked certificates, of which at most `bytesMax` are kept. */
export function openCrlEntries(bytesMax = Number.POSITIVE_INFINITY): CrlEntries {
  let buffer = Buffer.allocUnsafe(FIRST_BYTES)
  let at = HEAD_BYTES
  let count = 0
  let dropped = 0
  /** The DER of midnight, by day: of each time only six digits are left to write. */
  const days = new Map<number, Uint8Array>()

  function midnight(day: number): Uint8Array {
    const known = days.get(day)
    if (known !== undefined) return known
    const made = encodeTime(day * DAY_MS)
    days.set(day, made)
    return made
  }

  return {
    get count() {
      return count
    },
    get bytes() {
      return dropped + at - HEAD_BYTES
    },
    get isTooLarge() {
      return dropped > 0 || at - HEAD_BYTES > bytesMax
    },
    add(serial, revokedAt, reason) {
      if (at - HEAD_BYTES > bytesMax || (dropped > 0 && buffer.length - at < ENTRY_BYTES_MAX)) {
        dropped += at - HEAD_BYTES
        at = HEAD_BYTES
        buffer = Buffer.allocUnsafe(FIRST_BYTES)
      }
      if (buffer.length - at < ENTRY_BYTES_MAX) buffer = Buffer.concat([buffer], buffer.length * 2)
      const start = at
      at += 2
      const isHigh = Number.parseInt(serial.slice(0, 2), 16) >= 0x80
      buffer[at++] = TAG.integer
      buffer[at++] = serial.length / 2 + (isHigh ? 1 : 0)
      if (isHigh) buffer[at++] = 0
      at += buffer.write(serial, at, 'hex')
      const day = Math.floor(revokedAt / DAY_MS)
      const date = midnight(day)
      buffer.set(date, at)
      at += date.length
      const seconds = Math.floor((revokedAt - day * DAY_MS) / SECOND_MS)
      // The last seven octets are HHMMSSZ.
      twoDigits(buffer, at - 7, Math.floor(seconds / 3_600))
      twoDigits(buffer, at - 5, Math.floor(seconds / 60) % 60)
      twoDigits(buffer, at - 3, seconds % 60)
      // An unspecified reason is left out rather than written. RFC 5280 §5.3.1.
      if (reason !== 'unspecified') {
        buffer.set(REASONS[reason], at)
        at += REASONS[reason].length
      }
      buffer[start] = TAG.sequence
      buffer[start + 1] = at - start - 2
      count += 1
    },
    wrap(before, after) {
      if (dropped > 0) throw new TypeError('a list that is too large is not there to be wrapped')
      if (buffer.length - at < after.length) buffer = Buffer.concat([buffer], at + after.length)
      // An empty list is absent. RFC 5280 §5.1.2.6.
      const list = count === 0 ? NOTHING : headerOf(at - HEAD_BYTES)
      const inner = Buffer.concat([before, list])
      const outer = Buffer.concat([headerOf(inner.length + at - HEAD_BYTES + after.length), inner])
      if (outer.length > HEAD_BYTES) throw new TypeError('the name of the issuer is too long for a CRL')
      buffer.set(after, at)
      buffer.set(outer, HEAD_BYTES - outer.length)
      return buffer.subarray(HEAD_BYTES - outer.length, at + after.length)
    },
  }
}

function twoDigits(buffer: Buffer, at: number, value: number): void {
  buffer[at] = 0x30 + Math.floor(value / 10)
  buffer[at + 1] = 0x30 + (value % 10)
}

const NOTHING = new Uint8Array()
const VERSION_2 = tlv(TAG.integer, Uint8Array.of(1))
const TAG_EXTENSIONS = 0xa0
const TAG_KEY_IDENTIFIER = 0x80

/** TBSCertList: what is signed. */
export function encodeTbsCrl(facts: CrlFacts, entries: CrlEntries): Uint8Array {
  const extensions = [
    encodeExtension(OID.authorityKeyIdentifier, false, tlv(TAG.sequence, tlv(TAG_KEY_IDENTIFIER, facts.authorityKeyId))),
    encodeExtension(OID.cRLNumber, false, encodeInteger(facts.number)),
    ...(facts.distributionPoint === undefined ? [] : [encodeExtension(OID.issuingDistributionPoint, true, tlv(TAG.sequence, distributionPointName(facts.distributionPoint)))]),
  ]
  return entries.wrap(
    Buffer.concat([VERSION_2, facts.signatureIdentifier, facts.issuerDer, encodeTime(facts.thisUpdate), encodeTime(facts.nextUpdate)]),
    tlv(TAG_EXTENSIONS, tlv(TAG.sequence, ...extensions)),
  )
}

/** What stands before and behind the signed part of a CertificateList: a large one is written in pieces, not joined. */
export function crlAround(tbs: Uint8Array, signatureIdentifier: Uint8Array, signature: Uint8Array): { readonly before: Uint8Array; readonly after: Uint8Array } {
  const after = Buffer.concat([signatureIdentifier, tlv(TAG.bitString, Uint8Array.of(0), signature)])
  return { before: headerOf(tbs.length + after.length), after }
}

/** Tag and length of a SEQUENCE whose contents are written elsewhere. */
function headerOf(length: number): Uint8Array {
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return length < 0x80 ? Uint8Array.of(TAG.sequence, length) : Uint8Array.of(TAG.sequence, 0x80 | octets.length, ...octets)
}
