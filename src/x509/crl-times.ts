// From when and until when a CRL holds, read from its first bytes: a list may have fifty megabytes. It verifies nothing: who asks has
// written it.

import type { EpochMs } from '../core/ids.ts'
import { decodeTime, TAG } from './der.ts'

export interface CrlTimes {
  readonly thisUpdate: EpochMs
  readonly nextUpdate: EpochMs
}

interface Element {
  readonly tag: number
  readonly begin: number
  /** Behind its contents. */
  readonly end: number
}

const LONG_FORM = 0x80
/** Four octets say four gigabytes. */
const LENGTH_OCTETS_MAX = 4

/** The head of one element, the contents of which may go on behind `bytes`. */
function elementAt(bytes: Uint8Array, at: number): Element | undefined {
  const [tag, first] = [bytes[at], bytes[at + 1]]
  if (tag === undefined || first === undefined) return undefined
  if (first < LONG_FORM) return { tag, begin: at + 2, end: at + 2 + first }
  const octets = first - LONG_FORM
  if (octets === 0 || octets > LENGTH_OCTETS_MAX || at + 2 + octets > bytes.length) return undefined
  const length = bytes.subarray(at + 2, at + 2 + octets).reduce((sum, octet) => sum * 256 + octet, 0)
  return { tag, begin: at + 2 + octets, end: at + 2 + octets + length }
}

/**
 * `head`: the first bytes of the DER of a CRL, as far as its times. RFC 5280 §5.1: CertificateList is a SEQUENCE that begins with TBSCertList, and
 * that with version, signature, issuer, thisUpdate and nextUpdate. Undefined: these are none.
 */
export function crlTimesOf(head: Uint8Array): CrlTimes | undefined {
  const list = elementAt(head, 0)
  const tbs = list && elementAt(head, list.begin)
  if (list?.tag !== TAG.sequence || tbs?.tag !== TAG.sequence) return undefined
  const fields: Element[] = []
  for (let at = tbs.begin; fields.length < TIMES_END; ) {
    const field = elementAt(head, at)
    if (field === undefined || field.end > head.length) return undefined
    fields.push(field)
    at = field.end
  }
  const [thisUpdate, nextUpdate] = fields.slice(-2).map(({ tag, begin, end }) => decodeTime({ tag, raw: head, contents: head.subarray(begin, end), children: [] }))
  return thisUpdate === undefined || nextUpdate === undefined ? undefined : { thisUpdate, nextUpdate }
}

/** Version, signature, issuer and the two times. */
const TIMES_END = 5
