// May this CRL be signed? The signer's judgement of a TBSCertList: it is a list and nothing else, of this issuer, with a number that
// only grows. What is on the list is not its business: a list can refuse, and never admit. RFC 5280 §5.1.

import type { EpochMs } from '../core/ids.ts'
import { SIGNER_LIMITS } from '../signer-limits.ts'
import { decodeTime, oidText, readDer, TAG, type DerNode } from '../x509/der.ts'
import type { SignerRefusal } from './plan-rules.ts'

export interface CrlPorts {
  readonly issuerDer: Uint8Array
  readonly signatureIdentifier: Uint8Array
  readonly clock: () => EpochMs
}

const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35'
const CRL_NUMBER = '2.5.29.20'
const ISSUING_DISTRIBUTION_POINT = '2.5.29.28'
const TAG_EXTENSIONS = 0xa0

const no = (why: string): SignerRefusal => ({ allow: false, why })

/** One element that is not looked into: its tag, and where it begins and ends. */
interface Span {
  readonly tag: number
  readonly start: number
  readonly contents: number
  readonly end: number
}

function spanAt(bytes: Uint8Array, start: number, limit: number): Span | undefined {
  const tag = bytes[start] ?? 0
  const first = bytes[start + 1] ?? 0
  let contents = start + 2
  let length = first
  if (first >= 0x80) {
    const octets = first & 0x7f
    if (octets === 0 || octets > LENGTH_OCTETS_MAX) return undefined
    length = bytes.subarray(contents, contents + octets).reduce((sum, octet) => sum * 256 + octet, 0)
    contents += octets
    // DER: the shortest form. X.690 §10.1.
    if (length < 0x80 || (octets > 1 && length < 256 ** (octets - 1))) return undefined
  }
  const end = contents + length
  return end > limit ? undefined : { tag, start, contents, end }
}
const LENGTH_OCTETS_MAX = 4

/** All elements between two places, at most `max`; undefined where something is no DER. */
function spans(bytes: Uint8Array, from: number, to: number, max: number): readonly Span[] | undefined {
  const found: Span[] = []
  for (let at = from; at < to; ) {
    const span = spanAt(bytes, at, to)
    if (span === undefined || found.length === max) return undefined
    found.push(span)
    at = span.end
  }
  return found
}

/** One at a time: a million of them held at once would not fit into the signer's heap. */
function areSequences(bytes: Uint8Array, { contents, end }: Span): boolean {
  for (let at = contents; at < end; ) {
    const span = spanAt(bytes, at, end)
    if (span?.tag !== TAG.sequence) return false
    at = span.end
  }
  return true
}

/** Remembers the numbers that it has allowed, list by list, for as long as the process lives. */
export function openCrlRules({ issuerDer, signatureIdentifier, clock }: CrlPorts): (tbs: Uint8Array) => { readonly allow: true } | SignerRefusal {
  const numbers = new Map<string, bigint>()
  const same = (bytes: Uint8Array, span: Span, expected: Uint8Array): boolean => Buffer.from(bytes.subarray(span.start, span.end)).equals(expected)

  return (tbs) => {
    const whole = spanAt(tbs, 0, tbs.length)
    const parts = whole?.tag === TAG.sequence && whole.end === tbs.length ? spans(tbs, whole.contents, whole.end, PARTS_MAX) : undefined
    const [version, algorithm, issuer, thisUpdate, nextUpdate, ...rest] = parts ?? []
    if (version === undefined || algorithm === undefined || issuer === undefined || thisUpdate === undefined || nextUpdate === undefined) return no('these bytes are no CRL to be signed')
    if (!same(tbs, version, VERSION_2)) return no('the CRL is not of version 2')
    if (!same(tbs, algorithm, signatureIdentifier) || !same(tbs, issuer, issuerDer)) return no('the CRL is of another issuer')
    // Here a certificate has its validity, which is a sequence: so nothing that is signed as a list is ever a certificate.
    const [from, to] = [timeOf(tbs, thisUpdate), timeOf(tbs, nextUpdate)]
    if (from === undefined || to === undefined) return no('the CRL has no times')
    if (from > clock() + SIGNER_LIMITS.crlAheadMs || to <= from || to - from > SIGNER_LIMITS.crlLifeMsMax) return no('the CRL is for another time')
    const extensions = rest.at(-1)
    const entries = rest.length === 2 ? rest[0] : undefined
    if (rest.length > 2 || extensions?.tag !== TAG_EXTENSIONS || (rest.length === 2 && entries?.tag !== TAG.sequence)) return no('the CRL has fields that are not known')
    if (entries !== undefined && !areSequences(tbs, entries)) return no('the CRL has entries that are none')
    return judgeExtensions(tbs.subarray(extensions.start, extensions.end), numbers)
  }
}
/** One more than a list has, so that a field that is too much is called that. */
const PARTS_MAX = 8
const VERSION_2 = Uint8Array.of(TAG.integer, 1, 1)

function timeOf(tbs: Uint8Array, { start, end }: Span): EpochMs | undefined {
  const node = readDer(tbs.subarray(start, end))
  return node.allow ? decodeTime(node.value) : undefined
}

function judgeExtensions(bytes: Uint8Array, numbers: Map<string, bigint>): { readonly allow: true } | SignerRefusal {
  const read = readDer(bytes)
  const list = read.allow ? (read.value.children[0]?.children ?? []) : []
  const byOid = new Map(list.map((extension) => [oidOf(extension), extension.children.at(-1)?.contents]))
  const number = byOid.get(CRL_NUMBER)
  if (byOid.size !== list.length || number === undefined || !byOid.has(AUTHORITY_KEY_IDENTIFIER)) return no('the CRL lacks an extension, or has one twice')
  if (list.some((extension) => !KNOWN.has(oidOf(extension)))) return no('the CRL has an extension that is not known')
  const value = numberOf(number)
  // Each shard counts for itself.
  const shard = Buffer.from(byOid.get(ISSUING_DISTRIBUTION_POINT) ?? []).toString('hex')
  const last = numbers.get(shard)
  if (value === undefined || (last !== undefined && value <= last)) return no('the number of the CRL does not grow')
  if (last === undefined && numbers.size >= SIGNER_LIMITS.crlShardsMax) return no('there are too many CRLs')
  numbers.set(shard, value)
  return { allow: true }
}
const KNOWN: ReadonlySet<string> = new Set([AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, ISSUING_DISTRIBUTION_POINT])

function oidOf({ children }: DerNode): string {
  const [oid] = children
  return oid?.tag === TAG.oid ? oidText(oid.contents) : ''
}

/** A positive INTEGER of at most 20 octets. RFC 5280 §5.2.3. */
function numberOf(contents: Uint8Array): bigint | undefined {
  const read = readDer(contents)
  if (!read.allow || read.value.tag !== TAG.integer) return undefined
  const { contents: octets } = read.value
  return octets.length === 0 || octets.length > NUMBER_OCTETS_MAX || (octets[0] ?? 0) >= 0x80 ? undefined : BigInt(`0x${Buffer.from(octets).toString('hex')}`)
}
const NUMBER_OCTETS_MAX = 20
