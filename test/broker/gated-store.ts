// A session store whose answers can be held back, and whose commits are counted: what the broker does while its storage does
// not answer. What it is asked goes to the real store at once and in order; only the answers wait.

import { setTimeout as delay } from 'node:timers/promises'
import type { SessionChange, SessionStore } from '../../src/core/session-store.ts'

export interface StoreGate {
  /** To be put between the broker and its store: an option of `openHouse`. */
  readonly wrap: (store: SessionStore) => SessionStore
  /** From here on nothing is answered. */
  close(): void
  /** What waits is answered, in order. */
  open(): void
  /** Every answer comes so much later than it could. */
  delayMs: number
  /** The answer to the next question for what is retained waits for this. */
  onRetained: (() => Promise<void>) | undefined
  readonly commits: readonly (readonly SessionChange[])[]
  /** The first change, past or future, that fits and was asked to be stored. */
  asked(fits: (change: SessionChange) => boolean): Promise<SessionChange>
}

export function openGate(): StoreGate {
  const commits: (readonly SessionChange[])[] = []
  const waiting = new Set<() => void>()
  let shut: PromiseWithResolvers<void> | undefined

  async function answer<T>(asked: Promise<T>): Promise<T> {
    const value = await asked
    if (gate.delayMs > 0) await delay(gate.delayMs)
    if (shut !== undefined) await shut.promise
    return value
  }

  const gate: StoreGate = {
    delayMs: 0, commits, onRetained: undefined,
    wrap: (store) => ({
      commit(changes) {
        commits.push(changes)
        for (const check of waiting) check()
        return answer(store.commit(changes))
      },
      session: (key) => answer(store.session(key)),
      siblings: (owner) => answer(store.siblings(owner)),
      queue: (key, after, page) => answer(store.queue(key, after, page)),
      holders: (topic) => answer(store.holders(topic)),
      async retained(filter, after, limit) {
        const found = await answer(store.retained(filter, after, limit))
        await gate.onRetained?.()
        return found
      },
      due: (now, limit) => answer(store.due(now, limit)),
      sessions: (after, limit) => answer(store.sessions(after, limit)),
      get anySubscription() {
        return store.anySubscription
      },
      get health() {
        return store.health
      },
      onHealth: (listener) => store.onHealth(listener),
      close: () => store.close(),
    }),
    asked: (fits) =>
      new Promise((resolve) => {
        const check = (): void => {
          const found = commits.flat().find(fits)
          if (found === undefined) return
          waiting.delete(check)
          resolve(found)
        }
        waiting.add(check)
        check()
      }),
    close() {
      shut ??= Promise.withResolvers()
    },
    open() {
      shut?.resolve()
      shut = undefined
    },
  }
  return gate
}
