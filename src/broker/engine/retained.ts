// What is retained, shown to whoever subscribes: read from the store by pages, as fast as the client takes it, and judged
// again for each message, because its publisher may be in force no longer. policy.md R6, R7.

import type { Qos } from '../../core/message.ts'
import type { RetainedMessage, SessionStore } from '../../core/session-store.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import type { Outbound } from './outbound.ts'
import type { Publishing } from './publishing.ts'

export interface RetainedPorts {
  readonly store: SessionStore
  readonly publishing: Publishing
  /** Its publisher may still say it. */
  mayShow(retained: RetainedMessage): boolean
  onStoreFault(cause: unknown): void
}

export interface RetainedRequest {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly identifier: number | undefined
  /** The session holds the filter still. */
  isHeld(): boolean
}

type Page = Awaited<ReturnType<SessionStore['retained']>>

/** What is retained under one filter, on its way to one session. */
export interface RetainedShow {
  /** The store has answered: `show` begins at once. */
  readonly found: Promise<void>
  show(): void
}

/**
 * Begins to look for what is retained under a filter. `onFirst` is called when the first page of it is on its way to the
 * session, or nothing will be.
 */
export type FindRetained = (outbound: Outbound, request: RetainedRequest, onFirst: () => void) => RetainedShow

export function openRetained(ports: RetainedPorts): FindRetained {
  const { store, publishing } = ports

  async function showPages(outbound: Outbound, request: RetainedRequest, first: Page, isOld: (topic: string) => boolean, onFirst: () => void): Promise<void> {
    const { session } = outbound
    const { filter, qos, noLocal, identifier } = request
    const identifiers = identifier === undefined ? [] : [identifier]
    for (let page = first; ; ) {
      const shown = page.items.filter((item) => {
        const { topic, publisher } = item.message
        // Of one that is at its end the grants are those of before; its queue may be another connection's by now.
        return session.ending === undefined && !(noLocal && publisher === session.key) && session.grants.mayReceive(topic) && request.isHeld() && !isOld(topic) && ports.mayShow(item)
      })
      await Promise.all(shown.map(({ message }) => publishing.hand(outbound, message, qos < message.qos ? qos : message.qos, true, identifiers)))
      onFirst()
      const after = page.next
      if (after === undefined) return
      await outbound.drained()
      if (session.ending !== undefined || !request.isHeld()) return
      page = await store.retained(filter, after, BROKER_LIMITS.retainedPageMessages)
    }
  }

  return (outbound, request, onFirst) => {
    let start: (() => void) | undefined
    const started = new Promise<void>((resolve) => {
      start = resolve
    })
    const first = store.retained(request.filter, undefined, BROKER_LIMITS.retainedPageMessages)
    outbound
      .showing(async (isOld) => {
        const page = await first
        await started
        await showPages(outbound, request, page, isOld, onFirst)
      })
      .catch((cause: unknown) => ports.onStoreFault(cause))
      .finally(onFirst)
    return { found: first.then(() => undefined, () => undefined), show: () => start?.() }
  }
}
