// Which kept sessions a topic concerns: asked of the store once, then remembered until some kept subscription changes. The
// store has no tree of all filters in memory, so that neither start-up time nor memory grow with the sessions that are away.

import { BROKER_LIMITS } from '../../limits.ts'
import type { Holder, SessionStore } from '../../core/session-store.ts'

export interface Holders {
  /** A list where it is known; a promise of it where the store must be asked. Requests for one topic are answered in their order. */
  of(topic: string): readonly Holder[] | Promise<readonly Holder[]>
  /** Some kept subscription came or went. To be called when the change is committed to the store, not when it is durable. */
  changed(): void
}

const NOBODY: readonly Holder[] = []

export function openHolders(store: Pick<SessionStore, 'holders' | 'anySubscription'>): Holders {
  let known = new Map<string, readonly Holder[] | Promise<readonly Holder[]>>()

  function ask(topic: string): Promise<readonly Holder[]> {
    const asked = known
    const answer = store.holders(topic).then(
      (holders) => {
        // What was asked before a change may not know of it: it holds for those who asked then.
        if (asked === known) known.set(topic, holders)
        return holders
      },
      (cause: unknown) => {
        asked.delete(topic)
        throw cause
      },
    )
    known.set(topic, answer)
    const oldest = known.keys().next()
    if (known.size > BROKER_LIMITS.holdersRememberedMax && oldest.done !== true) known.delete(oldest.value)
    return answer
  }

  return {
    of: (topic) => (store.anySubscription ? (known.get(topic) ?? ask(topic)) : NOBODY),
    changed() {
      if (known.size > 0) known = new Map()
    },
  }
}
