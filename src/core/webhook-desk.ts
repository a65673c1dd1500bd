// What an operator does about webhooks: tells whom what, and looks after what did not arrive.

import type { FeedKind } from './feed.ts'
import type { EpochMs } from './ids.ts'
import type { DeadLetter, Outcome, WebhookRecord } from './webhook.ts'

export interface NewWebhook {
  readonly name?: string | undefined
  readonly url: string
  readonly kinds: readonly FeedKind[]
}

export interface WebhookMade {
  readonly webhook: WebhookShown
  /** What its messages are signed with: shown now, and never again. */
  readonly secret: string
}

export interface WebhookShown extends Omit<WebhookRecord, 'from'> {
  /** The last record of the audit log that it was told, or that was not for it. */
  readonly told: number
  /** How many records it is behind, of all kinds. */
  readonly behind: number
  /** Messages that were given up. */
  readonly dead: number
  /** It does not take what it is told. Without `nextAt` it is told nothing before the next start. */
  readonly failing?: { readonly since: EpochMs; readonly attempts: number; readonly because: string; readonly nextAt?: EpochMs }
}

/** One attempt. */
export interface Attempt {
  readonly at: EpochMs
  /** Of the record; absent for a test. */
  readonly number?: number
  readonly attempt: number
  readonly outcome: Outcome['kind']
  readonly status?: number
  readonly because?: string
  readonly ms: number
}

export interface WebhookDeliveries {
  /** Since this server runs, newest first. */
  readonly recent: readonly Attempt[]
  /** Oldest first. */
  readonly dead: readonly Omit<DeadLetter, 'line'>[]
}

export interface WebhookRetried {
  readonly delivered: number
  readonly left: number
  /** Why it was stopped before the end. */
  readonly because?: string
}

export interface WebhookDesk {
  webhooks(): Promise<readonly WebhookShown[]>
  /** Reasons: webhook-url-invalid, webhook-address-internal, webhook-exists, webhooks-limit. */
  addWebhook(webhook: NewWebhook): Promise<WebhookMade>
  /** Reason, here and below: webhook-not-found. */
  removeWebhook(name: string): Promise<void>
  /** Sends a message that says it is a test, now. */
  testWebhook(name: string): Promise<Attempt>
  webhookDeliveries(name: string): Promise<WebhookDeliveries>
  /** Sends what was given up once more: this letter, or all, oldest first, until one does not arrive. */
  retryWebhook(name: string, letter?: number): Promise<WebhookRetried>
}
