// PEM armour, strictly: RFC 7468. It knows labels and base64, and nothing of what is inside.

import { X509_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'

const LINE_CHARS = 64
/** A file of this many blocks is not a chain, a key or a request. */
const BLOCKS_MAX = 16

export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'PRIVATE KEY' | 'PUBLIC KEY'

/** One block, 64 columns, ending in a newline. */
export function encodePem(label: PemLabel, der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').match(new RegExp(`.{1,${LINE_CHARS}}`, 'g')) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/**
 * The DER of every block with this label, in order; at least one. Text around the blocks is ignored, as tools write
 * explanations there; what stands inside must be base64 and nothing else. Reason: certificate-malformed, with a detail.
 */
export function decodePem(text: string, label: PemLabel): Decision<readonly Uint8Array[]> {
  if (text.length > 2 * BLOCKS_MAX * X509_LIMITS.certificateBytesMax) return deny('certificate-malformed', 'the PEM text is too large')
  const begun = text.split(`-----BEGIN ${label}-----`).length - 1
  const blocks: Uint8Array[] = []
  for (const match of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END ([A-Z0-9 ]+)-----/g)) {
    if (match[1] !== match[3]) return deny('certificate-malformed', 'a PEM block begins and ends with different labels')
    if (match[1] !== label) continue
    const base64 = (match[2] ?? '').replaceAll(/[ \t\r\n]/g, '')
    const bytes = Buffer.from(base64, 'base64')
    // Written again it must be the same: stray characters, missing padding and leftover bits are all refused.
    if (base64 === '' || bytes.toString('base64') !== base64) return deny('certificate-malformed', 'a PEM block is not base64')
    blocks.push(bytes)
    if (blocks.length > BLOCKS_MAX) return deny('certificate-malformed', `more than ${BLOCKS_MAX} PEM blocks`)
  }
  if (blocks.length !== begun) return deny('certificate-malformed', 'a PEM block does not end')
  return blocks.length === 0 ? deny('certificate-malformed', `there is no ${label} block`) : allow(blocks)
}
