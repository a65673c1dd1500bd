// What is held in memory for whom: messages and their bytes, by session or by device. A count alone bounds nothing that may
// be as large as a packet, and a bound on one session nothing where a device may have many. It knows no rules: who asks
// compares with limits.ts.

import { BROKER_LIMITS } from '../../limits.ts'
import type { EnginePacket } from './surface.ts'

export interface Ledger {
  messages(holder: string): number
  bytes(holder: string): number
  add(holder: string, bytes: number): void
  remove(holder: string, bytes: number): void
}

export function openLedger(): Ledger {
  const held = new Map<string, { messages: number; bytes: number }>()
  return {
    messages: (holder) => held.get(holder)?.messages ?? 0,
    bytes: (holder) => held.get(holder)?.bytes ?? 0,
    add(holder, bytes) {
      const entry = held.get(holder)
      if (entry === undefined) held.set(holder, { messages: 1, bytes })
      else {
        entry.messages += 1
        entry.bytes += bytes
      }
    },
    remove(holder, bytes) {
      const entry = held.get(holder)
      if (entry === undefined) return
      entry.messages -= 1
      entry.bytes -= bytes
      // Who holds nothing has no row: the ledger must not grow with everybody who ever held something.
      if (entry.messages <= 0) held.delete(holder)
    },
  }
}

/** tenant/device of a session key: neither contains a slash. */
export function ownerOf(key: string): string {
  return key.slice(0, key.indexOf('/', key.indexOf('/') + 1))
}

/** What a message costs: topic, payload, and the properties of MQTT 5, which may be as large as a payload. */
export function messageBytes({ topic, payload, properties }: Pick<EnginePacket, 'topic' | 'payload' | 'properties'>): number {
  return topic.length + payload.length + (properties === undefined ? 0 : valueBytes(properties))
}

function valueBytes(value: unknown): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length
  if (typeof value !== 'object' || value === null) return 0
  return Object.entries(value).reduce((sum, [name, inner]) => sum + name.length + valueBytes(inner), 0)
}

/** The retained messages, by the device that left them: a flood of distinct topics costs its own device's room only. */
export interface RetainedLedger {
  /** Is there room for this message of this publisher? One that clears a topic always has room, one that replaces its own needs only the difference. */
  hasRoom(publisherKey: string, packet: EnginePacket): boolean
  /** Enters what the store is about to keep or clear. False: there is no room, and nothing was entered. */
  enter(packet: EnginePacket): boolean
}

export function openRetainedLedger(): RetainedLedger {
  const devices = openLedger()
  const topics = new Map<string, { readonly owner: string; readonly bytes: number }>()

  function hasRoom(publisherKey: string, packet: EnginePacket): boolean {
    if (packet.payload.length === 0) return true
    const owner = ownerOf(publisherKey)
    const replaced = topics.get(packet.topic)
    const own = replaced?.owner === owner ? replaced : undefined
    return devices.messages(owner) + (own === undefined ? 1 : 0) <= BROKER_LIMITS.retainedMessagesPerDeviceMax
      && devices.bytes(owner) - (own?.bytes ?? 0) + messageBytes(packet) <= BROKER_LIMITS.retainedBytesPerDeviceMax
  }

  return {
    hasRoom,
    enter(packet) {
      const publisher = packet.clientId ?? ''
      if (!hasRoom(publisher, packet)) return false
      const { topic } = packet
      const replaced = topics.get(topic)
      if (replaced !== undefined) devices.remove(replaced.owner, replaced.bytes)
      topics.delete(topic)
      if (packet.payload.length === 0) return true
      const entry = { owner: ownerOf(publisher), bytes: messageBytes(packet) }
      topics.set(topic, entry)
      devices.add(entry.owner, entry.bytes)
      return true
    },
  }
}
