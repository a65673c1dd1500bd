// One webhook: reads the audit log from its own place on, and tells its receiver one record after the other, each until it has been
// taken or is given up. It waits for nobody else, and nobody waits for it.

import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { WEBHOOK_LIMITS } from '../feed-limits.ts'
import type { AuditRecord } from '../core/desk.ts'
import type { EpochMs } from '../core/ids.ts'
import { nextAttempt, type DeadLetter, type LogPlace, type WebhookRecord } from '../core/webhook.ts'
import type { WebhookShown } from '../core/webhook-desk.ts'
import type { Attempts } from './attempts.ts'
import { headingOf, recordMessage } from './message.ts'

/** The audit log, as far as it is on disk: what a power cut may take back is told to nobody. */
export interface SavedLog {
  readonly saved: LogPlace
  onSaved(listener: () => void): () => void
  /** Undefined where the log does not go on there. */
  readOn(place: LogPlace): readonly { readonly record: AuditRecord; readonly line: string; readonly place: LogPlace }[] | undefined
}

/** What is remembered over a restart. */
export interface DeliveryMemory {
  place(webhook: string): LogPlace | undefined
  move(webhook: string, place: LogPlace): void
  bury(webhook: string, letter: Omit<DeadLetter, 'id'>, place: LogPlace): void
}

export interface HookPorts {
  readonly webhook: WebhookRecord
  readonly attempts: Attempts
  readonly log: SavedLog
  readonly memory: DeliveryMemory
  readonly clock: () => EpochMs
  readonly chance: () => number
  readonly warn: (facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface Hook extends AsyncDisposable {
  readonly place: LogPlace
  readonly failing: WebhookShown['failing']
}

export function openHook(ports: HookPorts): Hook {
  const { webhook, log, memory, clock } = ports
  const stopping = new AbortController()
  const { signal } = stopping
  let place = memory.place(webhook.name) ?? webhook.from
  let saved = place
  let savedAt = clock()
  let failing: WebhookShown['failing']
  const running = run()

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        // What is not for this receiver costs no time of its own: without this a long log would be read without a turn for anybody else.
        await nextTurn()
        const page = log.readOn(place)
        if (page === undefined) startAnew()
        else if (page.length === 0) await more()
        else for (const each of page) {
          if (signal.aborted) break
          await tell(each)
        }
      } catch (cause) {
        // The registry or the disk: it is looked at again in a while, from the same place.
        ports.warn({ webhook: webhook.name, error: cause instanceof Error ? cause.message : 'unknown' }, 'a webhook could not go on')
        await pause(WEBHOOK_LIMITS.retryFirstMs)
      }
    }
  }

  /** Somebody has put another log in the place of this one. What is in it before now was told, or never was for this one. */
  function startAnew(): void {
    ports.warn({ webhook: webhook.name, told: place.number, log: log.saved.number }, 'the place of a webhook in the audit log is gone: it goes on with what happens from now on')
    place = log.saved
    save()
  }

  async function tell({ record, line, place: behind }: NonNullable<ReturnType<SavedLog['readOn']>>[number]): Promise<void> {
    const { kind, at } = headingOf(record)
    if (webhook.kinds.length > 0 && !webhook.kinds.includes(kind)) return moveTo(behind)
    const message = recordMessage(webhook.name, behind.number, line)
    for (let attempts = 1, refused = 0; !signal.aborted; attempts++) {
      const { outcome } = await ports.attempts.send(message, attempts, signal)
      if (signal.aborted) return undefined
      if (outcome.kind === 'delivered') {
        failing = undefined
        return moveTo(behind)
      }
      if (outcome.kind === 'refused') refused += 1
      const next = nextAttempt(outcome, { made: attempts, refused }, clock() - at, ports.chance())
      if (next === 'give-up') {
        memory.bury(webhook.name, { number: behind.number, line, at: clock(), attempts, because: outcome.because }, behind)
        ports.warn({ webhook: webhook.name, record: behind.number, because: outcome.because }, 'a message of a webhook was given up: sallyport webhook deliveries')
        place = saved = behind
        // It is not tried again: what is said of it now stands with the letter.
        failing = undefined
        return undefined
      }
      failing = { since: failing?.since ?? clock(), attempts, because: outcome.because, nextAt: clock() + next.inMs }
      await pause(next.inMs)
    }
    return undefined
  }

  function moveTo(behind: LogPlace): void {
    place = behind
    const since = clock() - savedAt
    // A clock that was set back must not keep the place from being written down.
    if (since >= WEBHOOK_LIMITS.saveMs || since < 0) save()
  }

  function save(): void {
    if (saved.number !== place.number || saved.offset !== place.offset) memory.move(webhook.name, place)
    saved = place
    savedAt = clock()
  }

  async function pause(ms: number): Promise<void> {
    try {
      await wait(ms, undefined, { signal, ref: false })
    } catch {
      // It is to stop: the loop sees that.
    }
  }

  /** Resolves when the log has grown, or it is to stop. */
  async function more(): Promise<void> {
    save()
    const { promise, resolve } = Promise.withResolvers<void>()
    const stop = log.onSaved(resolve)
    const onAbort = (): void => resolve()
    signal.addEventListener('abort', onAbort)
    if (log.saved.number > place.number || signal.aborted) resolve()
    await promise
    signal.removeEventListener('abort', onAbort)
    stop()
  }

  return {
    get place() {
      return place
    },
    get failing() {
      return failing
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running
      try {
        save()
      } catch {
        // What was told since is told again.
      }
    },
  }
}
