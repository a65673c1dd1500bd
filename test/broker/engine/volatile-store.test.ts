// The ends of queues in bytes, over the store that the engine really has: for a session, for all sessions of a device, and
// how the room comes back.

import { Aedes } from 'aedes'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openRetainedLedger } from '../../../src/broker/engine/ledger.ts'
import type { EngineCore, EnginePacket, StoredSubscription } from '../../../src/broker/engine/surface.ts'
import { hardenStore, type HardenedStore } from '../../../src/broker/engine/volatile-store.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

const { queueBytesPerSessionMax, queueBytesPerDeviceMax } = BROKER_LIMITS
let aedes: Aedes
let store: HardenedStore
let full: string[]
let counter = 0

beforeEach(async () => {
  aedes = new Aedes()
  await aedes.listen()
  full = []
  store = hardenStore((aedes as unknown as EngineCore).persistence, {
    mayHold: () => true, mayWait: () => true, mayShow: () => true,
    onQueueFull: (key) => void full.push(key), onRetainedFull: () => undefined, onKept: () => undefined,
  }, openRetainedLedger())
})
afterEach(() => new Promise<void>((resolve) => {
  aedes.close(resolve)
}))

const key = (n: number, device = 'd'): string => `default/${device}/${n}`
/** A message that costs exactly so many bytes. */
const message = (bytes: number, qos: 1 | 2 = 1): EnginePacket => ({ cmd: 'publish', topic: 't', payload: Buffer.alloc(bytes - 1), qos, retain: false, brokerId: 'b', brokerCounter: ++counter })
const enqueue = (to: string, packet: EnginePacket): Promise<void> => store.outgoingEnqueueCombi([{ clientId: to, topic: 't', qos: 2 } satisfies StoredSubscription], packet)
const waiting = async (of: string): Promise<EnginePacket[]> => (await store.outgoingStream({ id: of }).toArray()) as EnginePacket[]
/** The engine sends it: it has a packet id now. */
async function send(to: string, packet: EnginePacket, messageId: number): Promise<EnginePacket> {
  const sent = { ...packet, messageId }
  await store.outgoingUpdate({ id: to }, sent)
  return sent
}

describe('a queue', () => {
  test('ends at its bytes, to the byte, and says so', async () => {
    await enqueue(key(1), message(queueBytesPerSessionMax - 10))
    await enqueue(key(1), message(11))
    expect(full).toEqual([key(1)])
    await enqueue(key(1), message(10))
    expect(await waiting(key(1))).toHaveLength(2)
    expect(full).toHaveLength(1)
  })

  test('ends at its bytes for messages that the engine enqueues one by one, too', async () => {
    await store.outgoingEnqueue({ clientId: key(1) }, message(queueBytesPerSessionMax))
    await store.outgoingEnqueue({ clientId: key(1) }, message(2))
    expect(full).toEqual([key(1)])
  })

  test('has room again when a message is acknowledged', async () => {
    const first = message(queueBytesPerSessionMax)
    await enqueue(key(1), first)
    await store.outgoingClearMessageId({ id: key(1) }, await send(key(1), first, 7))
    await enqueue(key(1), message(queueBytesPerSessionMax))
    expect(full).toEqual([])
    expect(await waiting(key(1))).toHaveLength(1)
  })

  test('has all of its room again when a QoS 2 message is complete, beside one that still waits', async () => {
    await enqueue(key(1), message(2))
    const first = message(queueBytesPerSessionMax - 2, 2)
    await enqueue(key(1), first)
    await send(key(1), first, 7)
    // PUBREC: the PUBREL takes the place of the message.
    await store.outgoingUpdate({ id: key(1) }, { cmd: 'pubrel', messageId: 7 } as EnginePacket)
    await store.outgoingClearMessageId({ id: key(1) }, { cmd: 'pubcomp', messageId: 7 } as EnginePacket)
    await enqueue(key(1), message(queueBytesPerSessionMax - 2))
    expect(full).toEqual([])
    await enqueue(key(1), message(2))
    expect(full).toEqual([key(1)])
  })
})

describe('the queues of one device', () => {
  const sessions = queueBytesPerDeviceMax / queueBytesPerSessionMax

  test('end together; those of another device do not notice', async () => {
    for (let i = 0; i < sessions; i++) await enqueue(key(i), message(queueBytesPerSessionMax))
    expect(full).toEqual([])
    await enqueue(key(99), message(2))
    expect(full).toEqual([key(99)])
    await enqueue(key(1, 'other'), message(queueBytesPerSessionMax))
    expect(full).toHaveLength(1)
  })

  test('have room again when a session is cleaned or expires', async () => {
    for (let i = 0; i < sessions; i++) await enqueue(key(i), message(queueBytesPerSessionMax))
    await store.cleanSubscriptions({ id: key(0) })
    expect(await waiting(key(0))).toEqual([])
    await enqueue(key(99), message(queueBytesPerSessionMax))
    expect(full).toEqual([])
    await enqueue(key(98), message(2))
    expect(full).toEqual([key(98)])
  })
})

test('filters are counted once each, until they are given up', async () => {
  await store.addSubscriptions({ id: key(1) }, [{ topic: 'a', qos: 1 }, { topic: 'b', qos: 0 }])
  await store.addSubscriptions({ id: key(1) }, [{ topic: 'a', qos: 2 }])
  expect(store.filterCount(key(1))).toBe(2)
  await store.removeSubscriptions({ id: key(1) }, ['a', 'never'])
  expect(store.filterCount(key(1))).toBe(1)
  await store.cleanSubscriptions({ id: key(1) })
  expect(store.filterCount(key(1))).toBe(0)
})
