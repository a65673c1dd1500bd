// Attempts to tell one receiver something: each is signed anew, and the last of them are remembered for whoever looks after it.

import { WEBHOOK_LIMITS } from '../feed-limits.ts'
import type { EpochMs } from '../core/ids.ts'
import type { Outcome } from '../core/webhook.ts'
import type { Attempt } from '../core/webhook-desk.ts'
import { headersOf, type Message } from './message.ts'
import type { Sender } from './send.ts'

export interface Attempts {
  /** Newest first. */
  readonly recent: readonly Attempt[]
  send(message: Message, attempt: number, signal: AbortSignal): Promise<{ readonly outcome: Outcome; readonly seen: Attempt }>
}

export function openAttempts({ url, secret, sender, clock }: { readonly url: string; readonly secret: Uint8Array; readonly sender: Sender; readonly clock: () => EpochMs }): Attempts {
  const recent: Attempt[] = []
  return {
    recent,
    async send(message, attempt, signal) {
      const began = performance.now()
      const at = clock()
      const outcome = await sender.send(url, headersOf(message, secret, at), message.body, signal)
      const seen: Attempt = {
        at, attempt, outcome: outcome.kind, ms: Math.round(performance.now() - began), ...(message.number === undefined ? {} : { number: message.number }),
        ...(outcome.status === undefined ? {} : { status: outcome.status }), ...(outcome.kind === 'delivered' ? {} : { because: outcome.because }),
      }
      recent.unshift(seen)
      recent.length = Math.min(recent.length, WEBHOOK_LIMITS.recentMax)
      return { outcome, seen }
    },
  }
}
