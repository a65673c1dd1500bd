// The engine's store in memory, held to our rules. aedes' own memory persistence keeps what it is told; this wrapper
// decides what it is told: no denied filter is ever stored (trap 4), a repeated PUBREL is no fault (trap 2), an inbound
// QoS 2 exchange costs its packet id and no more (trap 13), a retained message is shown only while its publisher may
// publish it (policy.md R7), and every queue has an end. The durable store will take its place.

import { Readable } from 'node:stream'
import { BROKER_LIMITS } from '../../limits.ts'
import type { EnginePacket, EngineStore, EngineSubscription, StoreClient, StoredSubscription } from './surface.ts'

export interface StoreRules {
  /** May this session hold this filter now? Judged at every store and at every resume. */
  mayHold(sessionKey: string, subscription: EngineSubscription): boolean
  /** May this message wait for this session? An absent session is judged when it comes back. */
  mayWait(sessionKey: string, packet: EnginePacket): boolean
  /** May this retained message, left by that session, be shown? */
  mayShow(publisherKey: string | undefined, packet: EnginePacket): boolean
  /** A message for an absent session was dropped because its queue is full. */
  onQueueFull(sessionKey: string): void
  /** A session kept beyond its connection came into being or ended. */
  onKept(sessionKey: string, kept: boolean): void
}

/** Almost every connect asks for a queue that is empty: an iterator and an operator around nothing cost it a tenth of its CPU. */
function emptyQueue(): Readable {
  return new Readable({ objectMode: true, read() {
    this.push(null)
  } })
}

export function hardenStore(inner: EngineStore, rules: StoreRules): EngineStore {
  /** Open QoS 2 exchanges of kept sessions by their key, and of all others by their connection, with which they end. */
  const receiving = new Map<string, Set<number>>()
  const receivingNow = new WeakMap<object, Set<number>>()
  const queued = new Map<string, number>()

  const hasRoom = (key: string): boolean => {
    const count = queued.get(key) ?? 0
    if (count >= BROKER_LIMITS.queueMessagesMax) {
      rules.onQueueFull(key)
      return false
    }
    queued.set(key, count + 1)
    return true
  }
  const shown = (stream: Readable): Readable =>
    stream.filter((packet: EnginePacket) => rules.mayShow(packet.clientId, packet))
  const exchanges = (client: StoreClient): Set<number> | undefined => (client.clean === true ? receivingNow.get(client) : receiving.get(client.id))

  return {
    setup: (broker) => inner.setup(broker),
    storeRetained: (packet) => inner.storeRetained(packet),
    createRetainedStream: (pattern) => shown(inner.createRetainedStream(pattern)),
    createRetainedStreamCombi: (patterns) => shown(inner.createRetainedStreamCombi(patterns)),

    async addSubscriptions(client, subscriptions) {
      const held = subscriptions.filter((s) => rules.mayHold(client.id, s))
      if (held.length === 0) return
      await inner.addSubscriptions(client, held)
      rules.onKept(client.id, true)
    },
    removeSubscriptions: (client, topics) => inner.removeSubscriptions(client, topics),
    async subscriptionsByClient(client) {
      const stored = await inner.subscriptionsByClient(client)
      const lost = stored.filter((s) => !rules.mayHold(client.id, s))
      if (lost.length > 0) await inner.removeSubscriptions(client, lost.map((s) => s.topic))
      return stored.filter((s) => !lost.includes(s))
    },
    async subscriptionsByTopic(topic) {
      // A message waits once for a session, however many of its filters match (trap 19): the highest QoS counts.
      const best = new Map<string, StoredSubscription>()
      for (const subscription of await inner.subscriptionsByTopic(topic)) {
        const before = best.get(subscription.clientId)
        if (before === undefined || before.qos < subscription.qos) best.set(subscription.clientId, subscription)
      }
      return [...best.values()]
    },
    async cleanSubscriptions(client) {
      // A clean start forgets the whole session, its half-finished QoS 2 exchanges included: otherwise a packet id
      // that is used again would be acknowledged and lost.
      receiving.delete(client.id)
      rules.onKept(client.id, false)
      await inner.cleanSubscriptions(client)
      // Its messages, too, and here: the engine empties a queue into a stream that nobody reads, and stalls (trap 20).
      if (!queued.delete(client.id)) return
      for await (const packet of inner.outgoingStream(client)) await inner.outgoingClearMessageId(client, packet as EnginePacket)
    },

    async outgoingEnqueue(subscription, packet) {
      if (hasRoom(subscription.clientId)) await inner.outgoingEnqueue(subscription, packet)
    },
    async outgoingEnqueueCombi(subscriptions, packet) {
      const waiting = subscriptions.filter((s) => !(s.nl === true && packet.clientId === s.clientId) && rules.mayWait(s.clientId, packet))
      await inner.outgoingEnqueueCombi(waiting.filter((s) => hasRoom(s.clientId)), packet)
    },
    async outgoingUpdate(client, packet) {
      // What does not wait (its queue is full, or it was acknowledged already) is sent all the same: to the engine a
      // missing message is a fault of the client, and it would be disconnected.
      await inner.outgoingUpdate(client, packet).catch(() => undefined)
    },
    async outgoingClearMessageId(client, packet) {
      // The engine also asks this for a delivery that it suppressed, which has no packet id: it would clear the first
      // waiting message that has none either, whichever that is (trap 19).
      if (packet.messageId === undefined) return undefined
      const cleared = await inner.outgoingClearMessageId(client, packet)
      const left = (queued.get(client.id) ?? 0) - (cleared === undefined ? 0 : 1)
      if (left > 0) queued.set(client.id, left)
      else queued.delete(client.id)
      return cleared
    },
    // What was sent before and is sent again says so [MQTT-3.3.1-1]: a packet id is given at the first sending.
    outgoingStream: (client) =>
      !queued.has(client.id) ? emptyQueue() : inner.outgoingStream(client).map((packet: EnginePacket) => (packet.cmd === 'publish' && packet.messageId !== undefined ? { ...packet, dup: true } : packet)),

    async incomingStorePacket(client, packet) {
      if (packet.messageId === undefined) return
      const ids = exchanges(client)
      if (ids !== undefined) ids.add(packet.messageId)
      else if (client.clean === true) receivingNow.set(client, new Set([packet.messageId]))
      else receiving.set(client.id, new Set([packet.messageId]))
    },
    async incomingGetPacket(client, packet) {
      if (packet.messageId === undefined || exchanges(client)?.has(packet.messageId) !== true) throw new Error('no such packet')
      return { cmd: 'publish', topic: '', payload: '', qos: 2, retain: false, messageId: packet.messageId }
    },
    async incomingDelPacket(client, packet) {
      const ids = exchanges(client)
      if (packet.messageId !== undefined) ids?.delete(packet.messageId)
      if (ids?.size === 0 && client.clean !== true) receiving.delete(client.id)
    },

    putWill: (client, packet) => inner.putWill(client, packet),
    getWill: (client) => inner.getWill(client),
    delWill: (client) => inner.delWill(client),
    streamWill: (brokers) => inner.streamWill(brokers),
  }
}
