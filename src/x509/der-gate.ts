// The gate in front of every ASN.1 parser: is this one well-formed DER element, of a size, depth and number of nodes that
// a certificate can have? One pass, no recursion, no allocation that grows with hostile input. The parsers behind it are
// lenient (they read BER) and slow on some inputs; what passes here they read as it was written.

import { X509_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'

const CONSTRUCTED = 0x20
const TAG_NUMBER = 0x1f
const TAG_INTEGER = 0x02
const TAG_BOOLEAN = 0x01
const TAG_OID = 0x06
const TAG_NULL = 0x05
const TAG_BIT_STRING = 0x03
/** Universal types that DER writes primitive, and those that are always constructed. */
const ALWAYS_CONSTRUCTED = new Set([0x10, 0x11])

/** Reason: certificate-malformed. `bytesMax` bounds the whole element. */
export function gateDer(bytes: Uint8Array, bytesMax: number): Decision<void> {
  const bad = (what: string, at: number): Decision<void> => deny('certificate-malformed', `${what} at byte ${at}`)
  if (bytes.length > bytesMax) return deny('certificate-malformed', `more than ${bytesMax} bytes`)
  /** Ends of the constructed elements that are open. */
  const ends: number[] = []
  let at = 0
  let nodes = 0
  do {
    const limit = ends.at(-1) ?? bytes.length
    const start = at
    if (++nodes > X509_LIMITS.derNodesMax) return bad('too many elements', start)
    const tag = bytes[at++]
    if (tag === undefined || at > limit) return bad('an element is cut off', start)
    if ((tag & TAG_NUMBER) === TAG_NUMBER) return bad('a tag of several bytes', start)
    if (tag === 0) return bad('an end-of-contents marker', start)
    const first = bytes[at++]
    if (first === undefined || at > limit) return bad('an element is cut off', start)
    let length = first
    if (first >= 0x80) {
      const count = first & 0x7f
      if (count === 0) return bad('an indefinite length', start)
      if (count > 3) return bad('a length of more than three bytes', start)
      if (at + count > limit) return bad('an element is cut off', start)
      length = 0
      for (let i = 0; i < count; i++) length = length * 256 + (bytes[at++] ?? 0)
      if (length < 0x80 || (count > 1 && length < 2 ** (8 * (count - 1)))) return bad('a length that is not minimal', start)
    }
    const end = at + length
    if (end > limit) return bad('an element reaches beyond its container', start)
    const universal = tag < 0x40
    const constructed = (tag & CONSTRUCTED) !== 0
    if (universal && constructed !== ALWAYS_CONSTRUCTED.has(tag & TAG_NUMBER)) return bad('a type in the wrong form', start)
    if (universal && !constructed) {
      const problem = primitiveProblem(tag, bytes, at, length)
      if (problem !== undefined) return bad(problem, start)
    }
    if (constructed) {
      if (ends.length >= X509_LIMITS.derDepthMax) return bad('nested too deep', start)
      ends.push(end)
    } else at = end
    while (ends.length > 0 && at === ends.at(-1)) ends.pop()
  } while (ends.length > 0)
  return at === bytes.length ? allow(undefined) : bad('bytes after the end', at)
}

/** What DER demands of the few primitive types whose contents have a form. X.690 §8, §11. */
function primitiveProblem(tag: number, bytes: Uint8Array, at: number, length: number): string | undefined {
  const first = bytes[at] ?? 0
  const second = bytes[at + 1] ?? 0
  switch (tag) {
    case TAG_BOOLEAN:
      return length === 1 && (first === 0 || first === 0xff) ? undefined : 'a BOOLEAN that is neither 00 nor FF'
    case TAG_INTEGER:
      if (length === 0) return 'an empty INTEGER'
      return length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)) ? 'an INTEGER that is not minimal' : undefined
    case TAG_BIT_STRING:
      if (length === 0 || first > 7 || (first > 0 && length === 1)) return 'a malformed BIT STRING'
      return ((bytes[at + length - 1] ?? 0) & ((1 << first) - 1)) !== 0 && length > 1 ? 'a BIT STRING whose unused bits are set' : undefined
    case TAG_NULL:
      return length === 0 ? undefined : 'a NULL with contents'
    case TAG_OID:
      if (length === 0 || length > X509_LIMITS.oidBytesMax) return 'an OBJECT IDENTIFIER of an impossible length'
      if ((bytes[at + length - 1] ?? 0) >= 0x80) return 'a cut-off OBJECT IDENTIFIER'
      for (let i = 0; i < length; i++) if (bytes[at + i] === 0x80 && (i === 0 || (bytes[at + i - 1] ?? 0) < 0x80)) return 'an OBJECT IDENTIFIER that is not minimal'
      return undefined
    default:
      return undefined
  }
}
