// What one session is sent, without a connection and without a store: both are played here.

import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { Outbound } from '../../../src/broker/engine/outbound.ts'
import type { ClientBounds, Handing } from '../../../src/broker/engine/outbound-ports.ts'
import { Parcel } from '../../../src/broker/engine/parcel.ts'
import type { Session } from '../../../src/broker/sessions.ts'
import type { Denied } from '../../../src/core/decision.ts'
import type { SessionKey } from '../../../src/core/ids.ts'
import type { Message } from '../../../src/core/message.ts'
import { packetIdOf, type QueuedMessage, type SessionChange, type StoredSession } from '../../../src/core/session-store.ts'
import { newTraffic } from '../../../src/core/traffic.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import { NOW, PLAIN } from './outgoing.ts'

const KEY = 'default/d/d' as SessionKey

function stored(fields: Partial<StoredSession> = {}): StoredSession {
  return { key: KEY, expirySeconds: 600, expiresAt: undefined, subscriptions: [], receiving: [], sentThrough: 0, queued: 0, ...fields }
}

const message = (payload: string, fields: Partial<Message> = {}): Message => ({ ...PLAIN, payload: Buffer.from(payload), ...fields })
const parcel = (payload: string, fields: Partial<Message> = {}): Parcel => new Parcel(message(payload, fields))
const queued = (sequence: number, fields: Partial<QueuedMessage> = {}): QueuedMessage => ({ sequence, qos: 1, retain: false, identifiers: [], stage: { kind: 'publish', message: message(`m${sequence}`) }, ...fields })
const q1: Handing & { readonly qos: 1 } = { qos: 1, retain: false, identifiers: [] }
const q2: Handing & { readonly qos: 2 } = { ...q1, qos: 2 }
const q0: Handing = { ...q1, qos: 0 }

/** `queue`: what the store would give, page by page, at most `page` entries. */
function setUp({ bounds, protocol = 5, queue = [], page = 500, fails = false }: { readonly bounds?: Partial<ClientBounds>; readonly protocol?: 4 | 5; readonly queue?: QueuedMessage[]; readonly page?: number; readonly fails?: boolean } = {}) {
  const parser = mqttPacket.parser({ protocolVersion: protocol })
  const packets: Packet[] = []
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', (error) => { throw error })
  const output = { waiting: 0, taken: 0, hasRoomForQos0: true, write: (bytes: Uint8Array) => void parser.parse(Buffer.from(bytes)), finish: () => {} }
  const muted = new Set<string>()
  const session = { key: KEY, protocol, ending: undefined, grants: { mayReceive: (topic: string) => !muted.has(topic) } } as unknown as Session
  const kept: SessionChange[] = []
  const faults: Denied[] = []
  const withheld: string[] = []
  const reads: number[] = []
  let now = NOW
  const outbound = new Outbound({
    session, output,
    bounds: { receiveMaximum: 65_535, packetBytesMax: undefined, topicAliasMaximum: 0, ...bounds },
    clock: () => now, traffic: newTraffic(),
    keep: (change) => void kept.push(change),
    async read(after) {
      reads.push(after)
      if (fails) throw new Error('disk')
      const rest = queue.filter(({ sequence }) => sequence > after)
      return { items: rest.slice(0, page), complete: rest.length <= page }
    },
    onFault: (fault) => void faults.push(fault),
    onWithheld: (topic) => void withheld.push(topic),
  })
  return {
    outbound, packets, output, muted, session, kept, faults, withheld, reads,
    later: (ms: number) => void (now += ms),
    published: () => packets.flatMap((p) => (p.cmd === 'publish' ? [p.payload.toString()] : [])),
  }
}

describe('messages of QoS 0', () => {
  test('go out at once; before CONNACK, beyond the bound of the connection and after its end they are dropped, and counted', () => {
    const { outbound, output, published } = setUp()
    outbound.deliver(parcel('early'), q0)
    void outbound.start()
    outbound.deliver(parcel('one'), q0)
    output.hasRoomForQos0 = false
    outbound.deliver(parcel('over'), q0)
    output.hasRoomForQos0 = true
    outbound.deliver(parcel('two'), q0)
    expect(published()).toEqual(['one', 'two'])
    expect(outbound.dropped).toBe(2)
    outbound.stop()
    outbound.deliver(parcel('late'), q0)
    expect(published()).toHaveLength(2)
  })

  test('of a topic that may not be heard do not, and do when they may', () => {
    const { outbound, muted, published } = setUp()
    void outbound.start()
    muted.add(PLAIN.topic)
    outbound.deliver(parcel('no'), q0)
    muted.clear()
    outbound.deliver(parcel('yes'), q0)
    expect([published(), outbound.dropped]).toEqual([['yes'], 0])
  })
})

describe('the window', () => {
  test('is the Receive Maximum of the client: the next one goes when one is acknowledged, in order [MQTT-3.3.4-9]', () => {
    const { outbound, published } = setUp({ bounds: { receiveMaximum: 2 } })
    void outbound.start()
    for (const payload of ['a', 'b', 'c', 'd']) outbound.deliver(parcel(payload), q1)
    expect(published()).toEqual(['a', 'b'])
    outbound.complete(2)
    expect(published()).toEqual(['a', 'b', 'c'])
    expect(outbound.complete(2)).toBeUndefined()
    expect(published()).toHaveLength(3)
    outbound.complete(1)
    expect(published()).toEqual(['a', 'b', 'c', 'd'])
  })

  test('has an end of ours where the client sets none', () => {
    const { outbound, published } = setUp()
    void outbound.start()
    for (let i = 0; i <= BROKER_LIMITS.inFlightMax; i++) outbound.deliver(parcel(String(i)), q1)
    expect(published()).toHaveLength(BROKER_LIMITS.inFlightMax)
  })

  test('is held by an exchange of QoS 2 until PUBCOMP, not until PUBREC; messages of QoS 0 pass it', () => {
    const { outbound, published } = setUp({ bounds: { receiveMaximum: 1 } })
    void outbound.start()
    outbound.deliver(parcel('a'), q2)
    outbound.deliver(parcel('b'), q2)
    outbound.deliver(parcel('zero'), q0)
    outbound.release(1)
    expect(published()).toEqual(['a', 'zero'])
    expect([outbound.exchange(1), outbound.exchange(2)]).toEqual([2, undefined])
    outbound.complete(1)
    expect(published()).toEqual(['a', 'zero', 'b'])
  })

  test('does not open for a reader that is slow: what waits goes when the connection has room', () => {
    const { outbound, output, published } = setUp()
    void outbound.start()
    output.waiting = BROKER_LIMITS.outboundHighBytes
    outbound.deliver(parcel('a'), q1)
    expect(published()).toEqual([])
    output.waiting -= 1
    outbound.pump()
    expect(published()).toEqual(['a'])
  })
})

describe('a queue in memory', () => {
  test('has an end: the session is at fault when one more waits than may', () => {
    const { outbound, faults } = setUp({ bounds: { receiveMaximum: 1 } })
    void outbound.start()
    for (let i = 0; i <= BROKER_LIMITS.queueMessagesMax; i++) outbound.deliver(parcel('x'), q1)
    expect(faults).toEqual([])
    outbound.deliver(parcel('x'), q1)
    expect(faults.map(({ reason }) => reason)).toEqual(['quota-exceeded'])
  })

  test('gives no packet id that is in flight: ids come round, and one that is not acknowledged is passed over', () => {
    const { outbound, packets } = setUp()
    void outbound.start()
    outbound.deliver(parcel('never acknowledged'), q1)
    for (let i = 2; i <= 65_535; i++) {
      outbound.deliver(parcel('x'), q1)
      outbound.complete(i)
    }
    packets.length = 0
    outbound.deliver(parcel('next'), q1)
    expect(packets.map((p) => p.messageId)).toEqual([2])
  })

  test('keeps nothing in the store', () => {
    const { outbound, kept } = setUp()
    void outbound.start()
    outbound.deliver(parcel('a'), q1)
    expect(outbound.complete(1)).toBeUndefined()
    expect(kept).toEqual([])
  })
})

describe('a kept queue', () => {
  test('is read by pages, in order; what is offered meanwhile is not sent before it, and comes once', async () => {
    const queue = Array.from({ length: 5 }, (_, i) => queued(i + 1))
    const { outbound, published, reads } = setUp({ queue, page: 2 })
    outbound.keep(stored({ queued: 5 }), 0, 0)
    const started = outbound.start()
    queue.push(queued(6))
    outbound.offer(6, 1, parcel('m6'), q1)
    await started
    while (published().length < 6) await new Promise(setImmediate)
    outbound.offer(6, 1, parcel('m6'), q1)
    outbound.offer(7, 2, parcel('m7'), q1)
    expect(published()).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7'])
    expect(reads).toEqual([0, 2, 4])
  })

  test('that is empty is not read: what is offered goes at once, under the packet id of its place', () => {
    const { outbound, packets, reads } = setUp()
    outbound.keep(stored(), 0, 0)
    expect(outbound.start()).toBeUndefined()
    outbound.offer(70_000, 1, parcel('a'), q1)
    expect(packets.map((p) => p.messageId)).toEqual([packetIdOf(70_000)])
    expect(reads).toEqual([])
    expect(outbound.complete(packetIdOf(70_000))).toBe(70_000)
  })

  test('what was offered before it was known that the session is kept, is read from the store', async () => {
    const { outbound, published } = setUp({ queue: [queued(1)] })
    outbound.offer(1, 1, parcel('m1'), q1)
    outbound.keep(stored(), 0, 1)
    await outbound.start()
    expect(published()).toEqual(['m1'])
  })

  test('of a session that begins anew: what went to the store before it began is not its own, what went after it is', () => {
    const { outbound, published } = setUp()
    outbound.keep(undefined, 0, 5)
    void outbound.start()
    outbound.offer(1, 5, parcel('of the one before'), q1)
    outbound.offer(1, 6, parcel('own'), q1)
    expect(published()).toEqual(['own'])
  })

  test('more than a page waiting is left in the store, and read when there is room', async () => {
    const queue = Array.from({ length: BROKER_LIMITS.queuePageMessages + 3 }, (_, i) => queued(i + 1))
    const { outbound, published, reads } = setUp({ bounds: { receiveMaximum: 1 }, queue })
    outbound.keep(stored(), 0, 0)
    void outbound.start()
    for (const { sequence } of queue) outbound.offer(sequence, sequence, parcel(`m${sequence}`), q1)
    expect(reads).toEqual([])
    for (const { sequence } of queue) {
      outbound.complete(packetIdOf(sequence))
      await new Promise(setImmediate)
    }
    expect(reads).toEqual([BROKER_LIMITS.queuePageMessages + 1])
    expect(published()).toEqual(queue.map(({ sequence }) => `m${sequence}`))
  })

  test('DUP is set on what may have been sent before, and on nothing else; a PUBREL that is due is sent alone', async () => {
    const { outbound, packets } = setUp({ queue: [queued(1), queued(2, { qos: 2, stage: { kind: 'pubrel' } }), queued(3)] })
    outbound.keep(stored({ queued: 3, sentThrough: 1 }), 2, 0)
    await outbound.start()
    expect(packets.map((p) => (p.cmd === 'publish' ? [p.messageId, p.dup] : [p.messageId, p.cmd]))).toEqual([[1, true], [2, 'pubrel'], [3, false]])
    expect(outbound.sentThrough).toBe(3)
    expect([outbound.release(2), outbound.complete(2)]).toEqual([undefined, 2])
  })

  test('a store that cannot be read ends the connection', async () => {
    const { outbound, faults, published } = setUp({ queue: [queued(1)], fails: true })
    outbound.keep(stored({ queued: 1 }), 0, 0)
    await outbound.start()
    expect([faults.map(({ reason }) => reason), published()]).toEqual([['store-unavailable'], []])
  })
})

describe('what may not or need not be sent any longer is forgotten in the store, and what follows it goes', () => {
  const forgets = (sequence: number) => ({ kind: 'queue-completed', key: KEY, sequence })

  test('a topic that may be heard no longer: and the audit hears of it', () => {
    const { outbound, muted, kept, withheld, published } = setUp()
    outbound.keep(stored(), 0, 0)
    void outbound.start()
    muted.add('no')
    outbound.offer(1, 1, parcel('a', { topic: 'no' }), q1)
    outbound.offer(2, 2, parcel('b', { topic: 'yes' }), q1)
    expect([published(), kept, withheld]).toEqual([['b'], [forgets(1)], ['no']])
  })

  test('a message that has expired at the very millisecond; one that has a millisecond left goes, and so does one that was sent before', () => {
    const { outbound, kept, published } = setUp()
    outbound.keep(stored({ sentThrough: 1 }), 0, 0)
    void outbound.start()
    outbound.offer(1, 1, parcel('sent before', { expiresAt: NOW - 1 }), q1)
    outbound.offer(2, 2, parcel('expired', { expiresAt: NOW }), q1)
    outbound.offer(3, 3, parcel('lives', { expiresAt: NOW + 1 }), q1)
    expect([published(), kept]).toEqual([['sent before', 'lives'], [forgets(2)]])
  })

  test('a packet that is a byte larger than the client takes; one that is as large goes [MQTT-3.1.2-24], [MQTT-3.1.2-25]', () => {
    const fits = new Parcel(message('12345')).bytes.wireBytes(5, 1, [])
    const { outbound, kept, published } = setUp({ bounds: { packetBytesMax: fits } })
    outbound.keep(stored(), 0, 0)
    void outbound.start()
    outbound.offer(1, 1, parcel('123456'), q1)
    outbound.offer(2, 2, parcel('12345'), q1)
    outbound.deliver(parcel('1234567'), q0) // one byte more, without a packet id two less
    outbound.deliver(parcel('12345678'), q0)
    expect([published(), kept]).toEqual([['12345', '1234567'], [forgets(1)]])
  })
})

test('a topic alias is told once, and used from then on; a packet that was too large has told nothing', () => {
  const { outbound, packets } = setUp({ bounds: { topicAliasMaximum: 1, packetBytesMax: 100 } })
  void outbound.start()
  outbound.deliver(parcel('x'.repeat(100)), q0)
  outbound.deliver(parcel('a'), q0)
  outbound.deliver(parcel('b'), q1)
  outbound.deliver(parcel('c', { topic: 'another' }), q0)
  expect(packets.map((p) => p.cmd === 'publish' && [p.topic, p.properties?.topicAlias])).toEqual([[PLAIN.topic, 1], ['', 1], ['another', undefined]])
})

describe('a member of a shared subscription is willing', () => {
  test('when it is connected, may hear the topic, and reads; otherwise it is passed over', () => {
    const { outbound, output, muted, session } = setUp({ bounds: { receiveMaximum: 1 } })
    expect(outbound.isWilling('a')).toBe(false)
    void outbound.start()
    expect(outbound.isWilling('a')).toBe(true)
    muted.add('a')
    expect([outbound.isWilling('a'), outbound.isWilling('b')]).toEqual([false, true])
    output.waiting = BROKER_LIMITS.outboundHighBytes
    expect(outbound.isWilling('b')).toBe(false)
    output.waiting = 0
    for (let i = 0; i < BROKER_LIMITS.willingQueueMax; i++) outbound.deliver(parcel('x'), q1)
    expect(outbound.isWilling('b')).toBe(true)
    outbound.deliver(parcel('x'), q1)
    expect(outbound.isWilling('b')).toBe(false)
    outbound.complete(1)
    expect(outbound.isWilling('b')).toBe(true)
    session.ending = 'server-shutting-down'
    expect(outbound.isWilling('b')).toBe(false)
  })
})

describe('while what is retained is looked up', () => {
  test('what is sent of a topic meanwhile is newer than what was retained there; of other topics nothing is said', async () => {
    const { outbound } = setUp()
    void outbound.start()
    outbound.deliver(parcel('before', { topic: 'before' }), q0)
    await outbound.showing(async (isOld) => {
      outbound.deliver(parcel('live', { topic: 'a' }), q0)
      outbound.deliver(parcel('shown', { topic: 'b' }), { ...q0, retain: true })
      expect(['a', 'b', 'before'].map(isOld)).toEqual([true, false, false])
    })
    await outbound.showing(async (isOld) => expect(isOld('a')).toBe(false))
  })

  test('it waits until the client has taken what was shown, or is gone', async () => {
    const { outbound, published } = setUp({ bounds: { receiveMaximum: 1 } })
    void outbound.start()
    for (const payload of ['a', 'b']) outbound.deliver(parcel(payload), q1)
    let isDrained = false
    const drained = outbound.drained().then(() => void (isDrained = true))
    await Promise.resolve()
    expect(isDrained).toBe(false)
    outbound.complete(1)
    await drained
    expect(published()).toEqual(['a', 'b'])
    for (const payload of ['c', 'd']) outbound.deliver(parcel(payload), q1)
    const ended = outbound.drained()
    outbound.stop()
    await ended
  })
})

describe('a subscription that is lost', () => {
  const other = (payload: string): Parcel => parcel(payload, { topic: 'other' })

  test('takes what waits for it along, and nothing else; until it is over nothing more of it comes in', () => {
    const { outbound, published } = setUp({ bounds: { receiveMaximum: 1 } })
    void outbound.start()
    for (const one of [parcel('sent'), parcel('lost'), other('left')]) outbound.deliver(one, q1)
    const release = outbound.lose((topic) => topic === PLAIN.topic)
    outbound.deliver(parcel('late'), q1)
    outbound.deliver(parcel('zero'), q0)
    outbound.deliver(other('zero too'), q0)
    outbound.complete(1)
    expect(published()).toEqual(['sent', 'zero too', 'left'])
    release()
    outbound.complete(3)
    outbound.deliver(parcel('again'), q1)
    expect(published()).toEqual(['sent', 'zero too', 'left', 'again'])
  })

  test('two that are lost at once are over one by one', () => {
    const { outbound, published } = setUp()
    void outbound.start()
    const [first, second] = [outbound.lose((topic) => topic === PLAIN.topic), outbound.lose((topic) => topic === 'other')]
    first()
    outbound.deliver(parcel('one'), q0)
    outbound.deliver(other('two'), q0)
    second()
    outbound.deliver(other('three'), q0)
    expect(published()).toEqual(['one', 'three'])
  })

  test('is willing to take nothing of it from a share', () => {
    const { outbound } = setUp()
    void outbound.start()
    const release = outbound.lose((topic) => topic === PLAIN.topic)
    expect([outbound.isWilling(PLAIN.topic), outbound.isWilling('other')]).toEqual([false, true])
    release()
    expect(outbound.isWilling(PLAIN.topic)).toBe(true)
  })

  test('of a kept queue: what comes from the store all the same is forgotten there, and no refusal is told', async () => {
    const { outbound, published, kept, withheld } = setUp({ queue: [queued(1), queued(2, { stage: { kind: 'publish', message: message('left', { topic: 'other' }) } })] })
    outbound.keep(stored({ queued: 2 }), 0, 0)
    outbound.lose((topic) => topic === PLAIN.topic)
    await outbound.start()
    expect([published(), kept, withheld]).toEqual([['left'], [{ kind: 'queue-completed', key: KEY, sequence: 1 }], []])
  })
})

describe('what may be received no longer, of a kept queue', () => {
  test('is withheld; where its receiver may have it with QoS 2, it is told to let go of the packet id instead', async () => {
    const { outbound, muted, packets, kept, withheld } = setUp({ queue: [queued(1, { qos: 2 }), queued(2, { qos: 1 }), queued(3, { qos: 2 })] })
    muted.add(PLAIN.topic)
    outbound.keep(stored({ queued: 3, sentThrough: 2 }), 0, 0)
    await outbound.start()
    expect(packets.map(({ cmd, messageId }) => `${cmd} ${messageId}`)).toEqual(['pubrel 1'])
    expect(kept).toEqual([{ kind: 'queue-released', key: KEY, sequence: 1 }, { kind: 'queue-completed', key: KEY, sequence: 2 }, { kind: 'queue-completed', key: KEY, sequence: 3 }])
    expect(withheld).toHaveLength(3)
    expect([outbound.exchange(1), outbound.complete(1)]).toEqual([2, 1])
  })

  test('stays where asking for it has ended the session', async () => {
    const { outbound, packets, kept, session } = setUp({ queue: [queued(1)] })
    Object.assign(session, { grants: { mayReceive: () => { Object.assign(session, { ending: 'no-grant' }); return false } } })
    outbound.keep(stored({ queued: 1 }), 0, 0)
    await outbound.start()
    expect([packets, kept]).toEqual([[], []])
  })
})
