// Webhooks: what is told to programs elsewhere, by HTTPS, one after the other, until they have taken it. What a receiver's answer means
// and how long to wait is decided here; sending and remembering is the business of others.

import { WEBHOOK_LIMITS } from '../feed-limits.ts'
import { allow, deny, type Decision } from './decision.ts'
import type { FeedKind } from './feed.ts'
import { printable, type EpochMs } from './ids.ts'

/** A place in the audit log: behind this record, which ends at this byte. */
export interface LogPlace {
  readonly number: number
  readonly offset: number
}

export interface WebhookRecord {
  readonly name: string
  readonly url: string
  /** All, where none are named. */
  readonly kinds: readonly FeedKind[]
  readonly createdAt: EpochMs
  /** It is told what comes behind this. */
  readonly from: LogPlace
}

/** What was given up, and waits for a person. */
export interface DeadLetter {
  readonly id: number
  /** Of the record in the audit log. */
  readonly number: number
  readonly line: string
  readonly at: EpochMs
  readonly attempts: number
  readonly because: string
}

/** `refused`: the receiver is there and does not want it. `unavailable`: it is not there, or cannot. */
export type Outcome =
  | { readonly kind: 'delivered'; readonly status: number }
  | { readonly kind: 'refused'; readonly status: number; readonly because: string }
  /** `againMs`: it is not to be asked before. */
  | { readonly kind: 'unavailable'; readonly status?: number; readonly because: string; readonly againMs?: number }

/** Answers that say "later", though their number says "never". */
const LATER: readonly number[] = [408, 425, 429]

const GONE = 410
const SECOND_MS = 1_000

/** What an answer of this status means, and of its Retry-After. A redirect is followed nowhere: it could lead inside. */
export function outcomeOf(status: number, retryAfter?: string): Outcome {
  if (status >= 200 && status < 300) return { kind: 'delivered', status }
  if (status >= 300 && status < 400) return { kind: 'unavailable', status, because: `it answered ${status}: redirects are not followed` }
  // Standard Webhooks: it wants nothing more. Whether that is so is for a person to say: what happens meanwhile is kept as for any that is away.
  if (status === GONE) return { kind: 'unavailable', status, because: 'it answered 410: it wants no more messages', againMs: WEBHOOK_LIMITS.goneMs }
  if (status >= 400 && status < 500 && !LATER.includes(status)) return { kind: 'refused', status, because: `it answered ${status}` }
  const againMs = retryAfter !== undefined && /^[0-9]{1,6}$/.test(retryAfter) ? Math.min(WEBHOOK_LIMITS.goneMs, Number(retryAfter) * SECOND_MS) : undefined
  return { kind: 'unavailable', status, because: `it answered ${status}`, ...(againMs === undefined ? {} : { againMs }) }
}

/** Of one message: how many there were, and how many of them were refused. */
export interface Made {
  readonly made: number
  readonly refused: number
}

/**
 * What to do after these attempts at an event of this age: again in so long, or never. `chance`: from 0 to below 1, so that many do not come
 * at once. Who was away and refuses the first thing that it is offered has not refused it often: a proxy is back before what is behind it.
 */
export function nextAttempt(outcome: Exclude<Outcome, { kind: 'delivered' }>, { made, refused }: Made, ageMs: number, chance: number): { readonly inMs: number } | 'give-up' {
  const isRefused = outcome.kind === 'refused'
  if (isRefused ? refused >= WEBHOOK_LIMITS.refusedAttemptsMax : ageMs > WEBHOOK_LIMITS.keptMs) return 'give-up'
  const whole = Math.min(WEBHOOK_LIMITS.retryMaxMs, WEBHOOK_LIMITS.retryFirstMs * 2 ** ((isRefused ? refused : made) - 1))
  return { inMs: Math.max(isRefused ? 0 : outcome.againMs ?? 0, Math.round(whole / 2 + (whole / 2) * chance)) }
}

/** Reason: webhook-url-invalid, without the URL: what is refused is recorded, and URLs of receivers hold passwords and tokens. */
export function parseWebhookUrl(text: string): Decision<string> {
  // What the parser of URLs would drop or turn round, another reader would not: a line break, a backslash, a slash more.
  const isPlain = !/[\s\p{Cc}\\]/u.test(text) && /^[a-z]+:\/{2}[^/]/i.test(text)
  if (text.length > WEBHOOK_LIMITS.urlCharsMax || !isPlain || !URL.canParse(text)) return deny('webhook-url-invalid', 'not a URL')
  const url = new URL(text)
  // A password, a path and a query may be secrets of the receiver: the answer is shown, and stands in the audit log.
  const bad = (why: string): Decision<string> => deny('webhook-url-invalid', `${printable(`${url.protocol}//${url.host}`)}: ${why}`)
  if (url.protocol !== 'https:') return bad('only https')
  if (url.username !== '' || url.password !== '') return bad('a user name or a password stands in it, and would stand in every log')
  if (url.hash !== '') return bad('a fragment goes nowhere')
  return allow(url.href)
}

export interface WebhookRules {
  /** Networks, as 10.20.0.0/16 or a single address, to which webhooks may go though they are internal. */
  readonly allow: readonly string[]
  /** A PEM file with CAs that receivers' certificates may be of, besides those that everybody trusts. */
  readonly caFile: string | undefined
}

/** The version of an IP address; 0: it is none. */
export type VersionOf = (address: string) => number

export interface Network {
  readonly address: string
  readonly prefix: number
  readonly version: 4 | 6
}

/** An address, or one with the length of its prefix. A zone (fe80::1%eth0) means something on one machine only. */
export function parseNetwork(text: string, versionOf: VersionOf): Network | undefined {
  const [address = '', prefix, ...more] = text.split('/')
  const version = versionOf(address)
  if ((version !== 4 && version !== 6) || more.length > 0 || address.includes('%')) return undefined
  const bits = BITS[version]
  const length = prefix === undefined ? bits : /^(?:0|[1-9]\d{0,2})$/.test(prefix) ? Number(prefix) : Number.NaN
  return length <= bits ? { address, prefix: length, version } : undefined
}

const BITS = { 4: 32, 6: 128 } as const
