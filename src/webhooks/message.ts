// A message as a receiver gets it: a body, and headers that say which message it is, when it was sent, and by whom (Standard Webhooks
// 1.0: webhook-id, webhook-timestamp, webhook-signature). Sent again, it has the same id: a receiver knows what it has seen. There is no dot
// in it: one stands between id, time and body where they are signed.

import { createHmac } from 'node:crypto'
import type { AuditRecord } from '../core/desk.ts'
import { kindOf, type FeedKind } from '../core/feed.ts'
import type { EpochMs } from '../core/ids.ts'

export interface Message {
  readonly id: string
  /** Of the record; absent for a test. */
  readonly number?: number
  readonly body: string
}

/** How a secret is written, as the libraries of receivers take it. */
const PREFIX = 'whsec_'
export const secretText = (secret: Uint8Array): string => `${PREFIX}${Buffer.from(secret).toString('base64')}`
export const parseSecret = (text: string): Buffer => Buffer.from(text.trim().slice(PREFIX.length), 'base64')

/** What a record of the audit log says it is, and when it was. */
export function headingOf(record: AuditRecord): { readonly kind: FeedKind; readonly action: string; readonly at: EpochMs } {
  const action = (record['event'] as { readonly action?: unknown } | undefined)?.action
  const at = Date.parse(String(record['@timestamp']))
  const name = typeof action === 'string' ? action : 'unknown'
  return { kind: kindOf(name) ?? 'server', action: name, at: Number.isNaN(at) ? 0 : at }
}

/** A record of the audit log as a message. Its line is JSON and stays as it is. */
export function recordMessage(webhook: string, number: number, line: string): Message {
  const { kind, action, at } = headingOf(JSON.parse(line) as AuditRecord)
  return { id: `${webhook}_${number}`, number, body: `{"type":${JSON.stringify(`${kind}.${action}`)},"timestamp":${JSON.stringify(new Date(at).toISOString())},"data":${line}}` }
}

export function testMessage(webhook: string, at: EpochMs): Message {
  return { id: `${webhook}_test_${at}`, body: JSON.stringify({ type: 'test', timestamp: new Date(at).toISOString(), data: { webhook, message: 'Somebody has asked for this message, to see whether it arrives.' } }) }
}

export function headersOf({ id, body }: Message, secret: Uint8Array, now: EpochMs): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(now / 1_000))
  const signature = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')
  return {
    'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)), 'user-agent': 'sallyport-webhook',
    'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}`,
  }
}
