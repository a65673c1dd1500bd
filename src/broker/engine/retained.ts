// What is retained, shown to whoever subscribes: read from the store by pages, as fast as the client takes it, and judged
// again for each message, because its publisher may be in force no longer. policy.md R6, R7.

import type { Message, Publisher, Qos } from '../../core/message.ts'
import type { SessionStore } from '../../core/session-store.ts'
import type { BrokerPorts } from '../ports.ts'
import type { ConnectJudge } from './connect.ts'
import type { Outbound } from './outbound.ts'
import type { Publishing } from './publishing.ts'

export interface RetainedPorts {
  readonly broker: BrokerPorts
  readonly store: SessionStore
  readonly connect: ConnectJudge
  readonly publishing: Publishing
  onStoreFault(cause: unknown): void
}

export interface RetainedRequest {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly identifier: number | undefined
}

type Page = Awaited<ReturnType<SessionStore['retained']>>

const PAGE_MESSAGES = 100

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
  const { broker, store, connect, publishing } = ports
  /** May this be shown? Its publisher must still be in force and still be granted the topic. R7. */
  function mayShow(publisher: Publisher, { topic, qos, payload }: Message): boolean {
    const device = broker.view.device(publisher.device)
    if (device === undefined || device.state !== 'active') return false
    // What was said with a certificate that is revoked is hidden with it, whatever the device has been given since: its key
    // may have been a thief's. One that expired, or was superseded, takes nothing back.
    const record = broker.view.certificate(publisher.issuer, publisher.serial)
    if (record === undefined || record.state === 'revoked') return false
    const grants = connect.grants(device, publisher, publisher.clientId)
    return grants.publish(topic, qos, true, payload.length).effect === 'allow' || grants.will(topic, qos, true, payload.length).effect === 'allow'
  }

  async function showPages(outbound: Outbound, { filter, qos, noLocal, identifier }: RetainedRequest, first: Page, isOld: (topic: string) => boolean, onFirst: () => void): Promise<void> {
    const { session } = outbound
    const identifiers = identifier === undefined ? [] : [identifier]
    for (let page = first; ; ) {
      const shown = page.items.filter(({ message, publisher }) =>
        !(noLocal && message.publisher === session.key) && session.grants.mayReceive(message.topic) && !isOld(message.topic) && mayShow(publisher, message))
      await Promise.all(shown.map(({ message }) => publishing.hand(outbound, message, qos < message.qos ? qos : message.qos, true, identifiers)))
      onFirst()
      const after = page.next
      if (after === undefined) return
      await outbound.drained()
      if (session.ending !== undefined) return
      page = await store.retained(filter, after, PAGE_MESSAGES)
    }
  }

  return (outbound, request, onFirst) => {
    let start: (() => void) | undefined
    const started = new Promise<void>((resolve) => {
      start = resolve
    })
    const first = store.retained(request.filter, undefined, PAGE_MESSAGES)
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
