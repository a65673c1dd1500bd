// What a device that publishes over HTTPS is told: that it is done, or a problem of RFC 9457 with the reason code. Of what decided it hears as
// much as MQTT would tell it; the rest is in the audit log.

import { PUBLISH_LIMITS } from '../../publish-limits.ts'
import type { Denied } from '../../core/decision.ts'
import { PROBLEM_MEDIA_TYPE, REASONS, type DenyReason } from '../../vocabulary.ts'

export interface PublishAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** AWS IoT Core's answer begins in the same way, also for QoS 0: its clients look for 200. */
export const DONE: PublishAnswer = { status: 200, headers: { 'Content-Type': 'application/json' }, body: '{"message":"OK"}\n' }

/** How long who is refused for this waits before it asks again. */
const RETRY_SECONDS: Partial<Readonly<Record<DenyReason, number>>> = {
  'connect-rate': PUBLISH_LIMITS.rateRetrySeconds,
  'enrollment-rate': PUBLISH_LIMITS.rateRetrySeconds,
  'publish-busy': PUBLISH_LIMITS.busyRetrySeconds,
  'publish-rate': PUBLISH_LIMITS.rateRetrySeconds,
  'publish-throttled': PUBLISH_LIMITS.rateRetrySeconds,
  'quota-exceeded': PUBLISH_LIMITS.rateRetrySeconds,
  'registry-unavailable': PUBLISH_LIMITS.storeRetrySeconds,
  'store-unavailable': PUBLISH_LIMITS.storeRetrySeconds,
}

/** What is wrong with the form of a request its sender may be told in full: it is about nothing but what it sent. */
const TOLD: ReadonlySet<DenyReason> = new Set(['publish-request'])

export function problem({ reason, detail }: Denied, more: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {}): PublishAnswer {
  const { sentence, fix, http } = REASONS[reason]
  const status = more.status ?? http
  const retry = RETRY_SECONDS[reason]
  return {
    status,
    headers: {
      'Content-Type': PROBLEM_MEDIA_TYPE, 'Sallyport-Reason': reason,
      // RFC 9110 §15.5.2 wants a challenge; for the certificate of a TLS client there is no registered one.
      ...(status === 401 ? { 'WWW-Authenticate': 'ClientCertificate realm="devices"' } : {}),
      ...(retry === undefined ? {} : { 'Retry-After': String(retry) }),
      ...more.headers,
    },
    body: `${JSON.stringify({ type: `urn:sallyport:reason:${reason}`, title: sentence, status, code: reason, ...(detail !== undefined && TOLD.has(reason) ? { detail } : {}), hint: fix })}\n`,
  }
}
