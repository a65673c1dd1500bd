// The engine's store in memory, held to our rules. aedes' own memory persistence keeps what it is told; this wrapper
// decides what it is told: no denied filter is ever stored (trap 4), a repeated PUBREL is no fault (trap 2), an inbound
// QoS 2 exchange costs its packet id and no more (trap 13), a retained message is shown only while its publisher may
// publish it (policy.md R7), and every queue has an end, in messages and in bytes, for a session and for all sessions of a
// device. The durable store will take its place.

import { Readable } from 'node:stream'
import { BROKER_LIMITS } from '../../limits.ts'
import { messageBytes, openLedger, ownerOf, type RetainedLedger } from './ledger.ts'
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
  /** A message was not retained: its device has left as many as it may. */
  onRetainedFull(publisherKey: string | undefined, packet: EnginePacket): void
  /** A session kept beyond its connection came into being or ended. */
  onKept(sessionKey: string, kept: boolean): void
}

export interface HardenedStore extends EngineStore {
  /** How many filters are stored for this session. */
  filterCount(sessionKey: string): number
}

/** Almost every connect asks for a queue that is empty: an iterator and an operator around nothing cost it a tenth of its CPU. */
function emptyQueue(): Readable {
  return new Readable({ objectMode: true, read() {
    this.push(null)
  } })
}

export function hardenStore(inner: EngineStore, rules: StoreRules, retained: RetainedLedger): HardenedStore {
  /** Open QoS 2 exchanges of kept sessions by their key, and of all others by their connection, with which they end. */
  const receiving = new Map<string, Set<number>>()
  const receivingNow = new WeakMap<object, Set<number>>()
  /** What waits, by session and by device. */
  const queued = openLedger()
  const queuedOfDevice = openLedger()
  /** Bytes of QoS 2 messages that were sent, by session and packet id: PUBREL takes the place of its message, and the size is gone with it. */
  const inFlight = new Map<string, Map<number, number>>()
  const filters = new Map<string, Set<string>>()

  const hasRoom = (key: string, packet: EnginePacket): boolean => {
    const owner = ownerOf(key)
    const bytes = messageBytes(packet)
    if (queued.messages(key) >= BROKER_LIMITS.queueMessagesMax || queued.bytes(key) + bytes > BROKER_LIMITS.queueBytesPerSessionMax || queuedOfDevice.bytes(owner) + bytes > BROKER_LIMITS.queueBytesPerDeviceMax) {
      rules.onQueueFull(key)
      return false
    }
    queued.add(key, bytes)
    queuedOfDevice.add(owner, bytes)
    return true
  }
  /** A message left the queue. */
  const giveBack = (key: string, packet: EnginePacket): void => {
    const sent = packet.messageId === undefined ? undefined : inFlight.get(key)
    const bytes = sent?.get(packet.messageId ?? 0) ?? messageBytes(packet)
    sent?.delete(packet.messageId ?? 0)
    queued.remove(key, bytes)
    queuedOfDevice.remove(ownerOf(key), bytes)
    if (queued.messages(key) === 0) inFlight.delete(key)
  }
  const dropFilters = (key: string, topics: readonly string[]): void => {
    const held = filters.get(key)
    for (const topic of topics) held?.delete(topic)
    if (held?.size === 0) filters.delete(key)
  }
  const shown = (stream: Readable): Readable =>
    stream.filter((packet: EnginePacket) => rules.mayShow(packet.clientId, packet))
  const exchanges = (client: StoreClient): Set<number> | undefined => (client.clean === true ? receivingNow.get(client) : receiving.get(client.id))

  return {
    setup: (broker) => inner.setup(broker),
    filterCount: (key) => filters.get(key)?.size ?? 0,
    async storeRetained(packet) {
      // Asked for at the publish already; but several of one device may be on their way at once.
      if (retained.enter(packet)) await inner.storeRetained(packet)
      else rules.onRetainedFull(packet.clientId, packet)
    },
    createRetainedStream: (pattern) => shown(inner.createRetainedStream(pattern)),
    createRetainedStreamCombi: (patterns) => shown(inner.createRetainedStreamCombi(patterns)),

    async addSubscriptions(client, subscriptions) {
      const held = subscriptions.filter((s) => rules.mayHold(client.id, s))
      if (held.length === 0) return
      rules.onKept(client.id, true)
      const known = filters.get(client.id) ?? new Set()
      filters.set(client.id, known)
      for (const { topic } of held) known.add(topic)
      await inner.addSubscriptions(client, held)
    },
    async removeSubscriptions(client, topics) {
      dropFilters(client.id, topics)
      await inner.removeSubscriptions(client, topics)
    },
    async subscriptionsByClient(client) {
      const stored = await inner.subscriptionsByClient(client)
      const lost = stored.filter((s) => !rules.mayHold(client.id, s))
      dropFilters(client.id, lost.map((s) => s.topic))
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
      filters.delete(client.id)
      rules.onKept(client.id, false)
      await inner.cleanSubscriptions(client)
      // Its messages, too, and here: the engine empties a queue into a stream that nobody reads, and stalls (trap 20).
      if (queued.messages(client.id) === 0) return
      for await (const packet of inner.outgoingStream(client)) {
        const cleared = await inner.outgoingClearMessageId(client, packet as EnginePacket)
        if (cleared !== undefined) giveBack(client.id, cleared)
      }
    },

    async outgoingEnqueue(subscription, packet) {
      if (hasRoom(subscription.clientId, packet)) await inner.outgoingEnqueue(subscription, packet)
    },
    async outgoingEnqueueCombi(subscriptions, packet) {
      const waiting = subscriptions.filter((s) => !(s.nl === true && packet.clientId === s.clientId) && rules.mayWait(s.clientId, packet))
      await inner.outgoingEnqueueCombi(waiting.filter((s) => hasRoom(s.clientId, packet)), packet)
    },
    async outgoingUpdate(client, packet) {
      // What does not wait (its queue is full, or it was acknowledged already) is sent all the same: to the engine a
      // missing message is a fault of the client, and it would be disconnected.
      const waits = await inner.outgoingUpdate(client, packet).then(() => true, () => false)
      if (!waits || packet.qos !== 2 || packet.cmd !== 'publish' || packet.messageId === undefined) return
      const sent = inFlight.get(client.id) ?? new Map<number, number>()
      inFlight.set(client.id, sent)
      sent.set(packet.messageId, messageBytes(packet))
    },
    async outgoingClearMessageId(client, packet) {
      // The engine also asks this for a delivery that it suppressed, which has no packet id: it would clear the first
      // waiting message that has none either, whichever that is (trap 19).
      if (packet.messageId === undefined) return undefined
      const cleared = await inner.outgoingClearMessageId(client, packet)
      if (cleared !== undefined) giveBack(client.id, cleared)
      return cleared
    },
    // What was sent before and is sent again says so [MQTT-3.3.1-1]: a packet id is given at the first sending.
    outgoingStream: (client) =>
      queued.messages(client.id) === 0 ? emptyQueue() : inner.outgoingStream(client).map((packet: EnginePacket) => (packet.cmd === 'publish' && packet.messageId !== undefined ? { ...packet, dup: true } : packet)),

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
