// The engine's store in memory, held to our rules. aedes' own memory persistence keeps what it is told; this wrapper
// decides what it is told: no denied filter is ever stored (trap 4), a repeated PUBREL is no fault (trap 2), an inbound
// QoS 2 exchange costs its packet id and no more (trap 13), a retained message is shown only while its publisher may
// publish it (policy.md R7), and every queue has an end. The durable store will take its place.

import type { Readable } from 'node:stream'
import { BROKER_LIMITS } from '../../limits.ts'
import type { EnginePacket, EngineStore, EngineSubscription } from './surface.ts'

export interface StoreRules {
  /** May this session hold this filter now? Judged at every store and at every resume. */
  mayHold(sessionKey: string, subscription: EngineSubscription): boolean
  /** May this retained message, left by that session, be shown? */
  mayShow(publisherKey: string | undefined, packet: EnginePacket): boolean
  /** A message for an absent session was dropped because its queue is full. */
  onQueueFull(sessionKey: string): void
  /** A session kept beyond its connection came into being or ended. */
  onKept(sessionKey: string, kept: boolean): void
}

export function hardenStore(inner: EngineStore, rules: StoreRules): EngineStore {
  const receiving = new Map<string, Set<number>>()
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
    subscriptionsByTopic: (topic) => inner.subscriptionsByTopic(topic),
    async cleanSubscriptions(client) {
      // A clean start forgets the whole session, its half-finished QoS 2 exchanges included: otherwise a packet id
      // that is used again would be acknowledged and lost.
      receiving.delete(client.id)
      rules.onKept(client.id, false)
      await inner.cleanSubscriptions(client)
    },

    async outgoingEnqueue(subscription, packet) {
      if (hasRoom(subscription.clientId)) await inner.outgoingEnqueue(subscription, packet)
    },
    async outgoingEnqueueCombi(subscriptions, packet) {
      await inner.outgoingEnqueueCombi(subscriptions.filter((s) => hasRoom(s.clientId)), packet)
    },
    outgoingUpdate: (client, packet) => inner.outgoingUpdate(client, packet),
    async outgoingClearMessageId(client, packet) {
      const cleared = await inner.outgoingClearMessageId(client, packet)
      const left = (queued.get(client.id) ?? 0) - (cleared === undefined ? 0 : 1)
      if (left > 0) queued.set(client.id, left)
      else queued.delete(client.id)
      return cleared
    },
    outgoingStream: (client) => inner.outgoingStream(client),

    async incomingStorePacket(client, packet) {
      const ids = receiving.get(client.id)
      if (packet.messageId === undefined) return
      if (ids === undefined) receiving.set(client.id, new Set([packet.messageId]))
      else ids.add(packet.messageId)
    },
    async incomingGetPacket(client, packet) {
      if (packet.messageId === undefined || receiving.get(client.id)?.has(packet.messageId) !== true) throw new Error('no such packet')
      return { cmd: 'publish', topic: '', payload: '', qos: 2, retain: false, messageId: packet.messageId }
    },
    async incomingDelPacket(client, packet) {
      const ids = receiving.get(client.id)
      if (packet.messageId !== undefined) ids?.delete(packet.messageId)
      if (ids?.size === 0) receiving.delete(client.id)
    },

    putWill: (client, packet) => inner.putWill(client, packet),
    getWill: (client) => inner.getWill(client),
    delWill: (client) => inner.delWill(client),
    streamWill: (brokers) => inner.streamWill(brokers),
  }
}
