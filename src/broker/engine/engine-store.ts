// The store as the engine asks for it on behalf of one client, answered from the session store and from what is in flight.
// The engine runs the exchanges of QoS 1 and 2; that their steps are durable before they are answered is done here.

import { Readable } from 'node:stream'
import type { StoredSession, StoredSubscription } from '../../core/session-store.ts'
import type { Decision } from '../../core/decision.ts'
import { toEngineFilter } from './filters.ts'
import type { Keeping } from './keeping.ts'
import type { Link } from './link.ts'
import type { EngineStore, EngineSubscription, EngineWill } from './surface.ts'

export interface EngineStorePorts {
  readonly keeping: Keeping
  /** The session that is resumed, judged: what it may no longer hold is gone. `refuse` has answered where it is denied. */
  resume(link: Link, cleanStart: boolean): Promise<Decision<StoredSession | undefined>>
  /** What is retained under these filters is to be shown to the client, behind its SUBACK. */
  showRetained(link: Link, filters: readonly string[]): void
  setWill(link: Link, will: EngineWill): void
  clearWill(link: Link): void
}

/**
 * Stands for a session that has no subscriptions: without one the engine takes a session for new [MQTT-3.2.2-2]. No grant
 * reaches below "$", so it is never subscribed to.
 */
export const SESSION_MARK: EngineSubscription = { topic: '$session', qos: 0 }

/** Asked for at every PUBACK. */
const DONE = Promise.resolve()

/** Almost every connect asks for a queue that is empty: an iterator around nothing cost it a tenth of its CPU. */
function nothing(): Readable {
  return new Readable({ objectMode: true, read() {
    this.push(null)
  } })
}

function toEngine({ qos, noLocal, retainAsPublished, retainHandling, identifier }: StoredSubscription, engineFilter: string): EngineSubscription {
  return { topic: engineFilter, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling, ...(identifier === undefined ? {} : { subscriptionIdentifier: identifier }) }
}

export function openEngineStore(link: Link, ports: EngineStorePorts): EngineStore {
  const { keeping } = ports
  /** Of a CONNECT that was refused nothing is waited for: its client is closed. */
  const never = new Promise<never>(() => {})

  return {
    async cleanSubscriptions() {
      const opened = await ports.resume(link, true)
      return opened.allow ? undefined : never
    },
    async subscriptionsByClient() {
      const opened = await ports.resume(link, false)
      if (!opened.allow) return never
      if (opened.value === undefined) return []
      const { subscriptions } = opened.value
      return subscriptions.length === 0 ? [SESSION_MARK] : subscriptions.map((s) => toEngine(s, toEngineFilter(s.filter)))
    },
    // The packet gate has written them: it hands the engine a filter when no crash can undo it.
    async addSubscriptions() {},
    async removeSubscriptions() {},
    createRetainedStreamCombi(filters) {
      ports.showRetained(link, filters)
      return nothing()
    },

    async outgoingUpdate(_client, { messageId }) {
      const { outbound, session } = link
      const sequence = outbound?.release(messageId)
      // PUBREL leaves when a crash can no longer make it a PUBLISH again, which the receiver would take for a new message. A PUBREC
      // that comes twice waits for the first one's commit.
      if (session !== undefined && outbound?.kept === true) await link.commit(sequence === undefined ? [] : [{ kind: 'queue-released', key: session.key, sequence }])
    },
    outgoingClearMessageId(_client, { messageId }) {
      const { outbound, session } = link
      const sequence = outbound?.complete(messageId)
      if (sequence !== undefined && session !== undefined) keeping.keep({ kind: 'queue-completed', key: session.key, sequence })
      return DONE
    },
    outgoingStream: nothing,

    async incomingGetPacket(_client, { cmd, messageId }) {
      // What comes twice the packet gate has answered: a PUBLISH that reaches the engine is new.
      if (cmd === 'publish' || link.gate?.releases(messageId) !== true) throw new Error('no such exchange')
      return {}
    },
    async incomingStorePacket() {},
    async incomingDelPacket(_client, { messageId }) {
      const { session } = link
      // PUBCOMP leaves when a crash can no longer take the next message with this packet id for a repetition.
      if (session !== undefined && link.outbound?.kept === true) await link.commit([{ kind: 'received-released', key: session.key, packetId: messageId }])
      link.gate?.released(messageId)
    },

    async putWill(_client, will) {
      ports.setWill(link, will)
    },
    async delWill() {
      ports.clearWill(link)
    },
  }
}
