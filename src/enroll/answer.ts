// What EST answers look like: certificates, a key beside its certificate, and a refusal in words. RFC 7030 §4, RFC 8951.

import { REASONS, type DenyReason } from '../vocabulary.ts'
import type { Denied } from '../core/decision.ts'
import { DOOR_LIMITS, ENROLL_LIMITS } from '../enrollment-limits.ts'
import { certsOnly } from '../x509/pkcs7.ts'

export interface EstAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Why it is no certificate. */
  readonly denied?: Denied
  /** What failed in here, in the words of the log. */
  readonly failure?: string
  /** The device that the request says it is of. */
  readonly claimed?: string
}

/** Who asks, as far as the form of the answer depends on it. */
export interface Reader {
  readonly userAgent: string | undefined
}

const LINE_CHARS = 64
const CERTS_ONLY = 'application/pkcs7-mime; smime-type=certs-only'
/** No base64 has a hyphen: it occurs in no part. */
const BOUNDARY = 'sallyport-key-and-certificate'

/** strongSwan fails on line breaks within base64, libest on a line that is longer than 64. */
function base64For({ userAgent = '' }: Reader, der: Uint8Array): string {
  const text = Buffer.from(der).toString('base64')
  return /libest/i.test(userAgent) ? `${text.match(new RegExp(`.{1,${LINE_CHARS}}`, 'g'))?.join('\n') ?? ''}\n` : text
}

export function encoded(reader: Reader, type: string, der: Uint8Array): EstAnswer {
  return { status: 200, headers: { 'Content-Type': type, 'Content-Transfer-Encoding': 'base64' }, body: base64For(reader, der) }
}

export function certificateAnswer(reader: Reader, certificate: Uint8Array): EstAnswer {
  return encoded(reader, CERTS_ONLY, certsOnly([certificate]))
}

/** The key first, as PKCS#8, and then what simpleenroll would have answered. RFC 7030 §4.4.2. */
export function keyAnswer(reader: Reader, key: Uint8Array, certificate: Uint8Array): EstAnswer {
  const part = (type: string, der: Uint8Array): string => `--${BOUNDARY}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64For(reader, der).trimEnd()}\r\n`
  return { status: 200, headers: { 'Content-Type': `multipart/mixed; boundary=${BOUNDARY}` }, body: `${part('application/pkcs8', key)}${part(CERTS_ONLY, certsOnly([certificate]))}--${BOUNDARY}--\r\n` }
}

/** How long who is refused for this waits before it asks again. */
const RETRY_SECONDS: Partial<Readonly<Record<DenyReason, number>>> = {
  'enrollment-busy': DOOR_LIMITS.busyRetrySeconds,
  'enrollment-pending': ENROLL_LIMITS.approvalRetrySeconds,
  'enrollment-rate': ENROLL_LIMITS.rateRetrySeconds,
  'issuance-unavailable': ENROLL_LIMITS.issuanceRetrySeconds,
  'renewal-rate': ENROLL_LIMITS.renewalRetrySeconds,
  'token-rate': ENROLL_LIMITS.rateRetrySeconds,
}

/** In words, for a person who reads what curl prints; the code for programs stands in a header. */
export function refusal(denied: Denied, more: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {}): EstAnswer {
  const { sentence, fix, http } = REASONS[denied.reason]
  const status = more.status ?? http
  const detail = denied.detail === undefined ? '' : ` (${denied.detail})`
  const retry = RETRY_SECONDS[denied.reason]
  return {
    status,
    headers: {
      'Content-Type': 'text/plain; charset=utf-8', 'Sallyport-Reason': denied.reason,
      ...(status === 401 ? { 'WWW-Authenticate': 'Basic realm="enrollment"' } : {}),
      ...(retry === undefined ? {} : { 'Retry-After': String(retry) }),
      ...more.headers,
    },
    body: `${sentence.replace(/\.$/, '')}${detail}.\nfix: ${fix}\n`,
    denied,
  }
}
