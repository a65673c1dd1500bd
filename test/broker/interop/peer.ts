// A client as a small honest library has it: it answers QoS 1 and 2, hands a message of QoS 2 on when it is released, keeps
// account of what it has open, reads every frame strictly, and takes nothing that it did not ask for. It can be told to stop
// answering, to answer by hand, to leave without a word. It never waits for time.

import type { IPublishPacket, ISubscription } from 'mqtt-packet'
import type { House, Identity } from '../house.ts'
import { connectPacket, type ConnectFields, type Version } from '../wire.ts'
import { rawWire, type Raw, type RawFrame } from '../conformance/raw.ts'
import { readStrictly, type Packet, type Properties } from './strict.ts'

export interface Arrived {
  /** As it stands in the packet: empty where an alias stands for it. */
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  readonly properties: Properties
}

export interface PublishOptions {
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly properties?: NonNullable<IPublishPacket['properties']>
}

export interface PeerOptions extends Omit<ConnectFields, 'clientId'> {
  readonly version: Version
  readonly clientId: string
  /** Nothing is answered but by the test itself. */
  readonly byHand?: boolean
}

export interface Peer {
  readonly raw: Raw
  readonly connack: Packet
  readonly messages: readonly Arrived[]
  /** Every packet that came, in order. */
  readonly packets: readonly Packet[]
  /** One for each filter. */
  subscribe(filters: readonly (string | ISubscription)[], identifier?: number): Promise<readonly number[]>
  unsubscribe(...filters: readonly string[]): Promise<readonly number[]>
  /** Sends; returns the packet id, 0 for QoS 0. */
  publish(topic: string, payload: string, options?: PublishOptions): number
  /** Resolves when this holds; looked at whenever a packet has come. Fails when the connection ends before, or broke a rule. */
  until(holds: () => boolean): Promise<void>
  /** Every exchange that this client began is over, and what was sent to it before now has come. */
  settled(): Promise<void>
  /** Deliveries are no longer answered, nor counted. */
  pause(): void
  /** Says goodbye when nothing is open, and resolves when the connection is closed and the broker knows it. */
  disconnect(sessionExpiryInterval?: number): Promise<void>
  /** Gone without a word; the broker knows it. */
  terminate(): Promise<void>
}

export async function openPeer(house: House, identity: Identity, options: PeerOptions): Promise<Peer> {
  const { version, byHand = false, ...fields } = options
  const raw = await rawWire(house, identity, { version, acknowledge: false })
  const packets: Packet[] = []
  const messages: Arrived[] = []
  const waiting = new Set<() => void>()
  /** What this client has sent and what is open of it: the answer that is due next. */
  const sent = new Map<number, 'puback' | 'pubrec' | 'pubcomp' | 'suback' | 'unsuback'>()
  /** Deliveries of QoS 2 that are not released yet. */
  const received = new Map<number, Arrived>()
  let fault: Error | undefined
  let isPaused = false
  let lastId = 1
  let seen = 0

  function expectAnswer({ type, packetId }: Packet): void {
    if (sent.get(packetId) !== type) throw new Error(`${type} for the packet id ${packetId}, which waits for ${sent.get(packetId) ?? 'nothing'}`)
    sent.delete(packetId)
  }

  function take(packet: Packet): void {
    const { type, packetId, topic, payload, qos, retain, dup, properties, codes } = packet
    if (packets.length > 0 && type === 'connack') throw new Error('a second CONNACK')
    packets.push(packet)
    if (byHand) return
    if (type === 'publish' && !isPaused) {
      const message = { topic, payload, qos, retain, dup, properties }
      if (qos === 2) received.set(packetId, message)
      else messages.push(message)
      if (qos === 1) raw.send({ cmd: 'puback', messageId: packetId })
      if (qos === 2) raw.send({ cmd: 'pubrec', messageId: packetId })
    } else if (type === 'pubrel') {
      const message = received.get(packetId)
      if (message !== undefined) messages.push(message)
      received.delete(packetId)
      raw.send({ cmd: 'pubcomp', messageId: packetId })
    } else if (type === 'puback' || type === 'pubcomp' || type === 'suback' || type === 'unsuback') expectAnswer(packet)
    else if (type === 'pubrec') {
      expectAnswer(packet)
      if ((codes[0] ?? 0) >= 0x80) return
      sent.set(packetId, 'pubcomp')
      raw.send({ cmd: 'pubrel', messageId: packetId })
    }
  }

  function look(frames: readonly RawFrame[]): void {
    for (; seen < frames.length && fault === undefined; seen++) {
      try {
        take(readStrictly(frames[seen]!, version))
      } catch (error) {
        fault = error instanceof Error ? error : new Error(String(error))
        raw.socket.destroy()
      }
    }
    for (const check of waiting) check()
  }
  // rawWire listened first: the frames of this chunk are there already.
  raw.socket.on('data', () => look(raw.frames))
  void raw.ended.then(() => look(raw.frames))

  const until: Peer['until'] = (holds) =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const held = fault === undefined && holds()
        if (!held && fault === undefined && raw.open) return
        waiting.delete(check)
        if (held) resolve()
        else reject(fault ?? new Error(`the connection ended; it had brought ${packets.map((p) => p.type).join(', ')}`))
      }
      waiting.add(check)
      check()
    })
  const answerTo = async (packetId: number, type: 'suback' | 'unsuback'): Promise<readonly number[]> => {
    const fits = (p: Packet): boolean => p.type === type && p.packetId === packetId
    await until(() => packets.some(fits))
    return packets.find(fits)!.codes
  }
  const nextId = (): number => {
    lastId += 1
    return lastId
  }
  const round = async (): Promise<void> => {
    const before = packets.filter((p) => p.type === 'pingresp').length
    raw.send({ cmd: 'pingreq' })
    await until(() => packets.filter((p) => p.type === 'pingresp').length > before)
  }
  const gone = async (leave: () => void): Promise<void> => {
    const before = house.broker.sessionCount
    const wasOpen = raw.open
    leave()
    await raw.ended
    if (fault !== undefined) throw fault
    if (!wasOpen) return
    while (house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
  }

  raw.send(connectPacket(fields.clientId, version, { keepalive: 0, ...fields }))
  await until(() => packets.length > 0)
  const connack = packets[0]!
  if (connack.type !== 'connack' || connack.codes[0] !== 0) throw new Error(`the CONNECT was answered with ${connack.type} ${connack.codes[0]}`)
  return {
    raw, connack, messages, packets, until,
    subscribe(filters, identifier) {
      const messageId = nextId()
      sent.set(messageId, 'suback')
      raw.send({
        cmd: 'subscribe', messageId, subscriptions: filters.map((f) => (typeof f === 'string' ? { topic: f, qos: 2 as const } : f)),
        ...(identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } }),
      })
      return answerTo(messageId, 'suback')
    },
    unsubscribe(...filters) {
      const messageId = nextId()
      sent.set(messageId, 'unsuback')
      raw.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [...filters] })
      return version === 4 ? answerTo(messageId, 'unsuback').then(() => []) : answerTo(messageId, 'unsuback')
    },
    publish(topic, payload, { qos = 0, retain = false, properties } = {}) {
      const messageId = qos === 0 ? 0 : nextId()
      if (qos > 0) sent.set(messageId, qos === 1 ? 'puback' : 'pubrec')
      raw.send({ cmd: 'publish', topic, payload, qos, retain, dup: false, ...(qos === 0 ? {} : { messageId }), ...(properties === undefined ? {} : { properties }) })
      return messageId
    },
    async settled() {
      await until(() => sent.size === 0)
      // Once so that all of it has been handled and answered, once so that the answers to those answers have been, too.
      await round()
      await until(() => received.size === 0)
      await round()
    },
    pause() {
      isPaused = true
    },
    async disconnect(sessionExpiryInterval) {
      if (!byHand && !isPaused) await until(() => sent.size === 0 && received.size === 0)
      await gone(() => raw.send({ cmd: 'disconnect', reasonCode: 0, ...(sessionExpiryInterval === undefined ? {} : { properties: { sessionExpiryInterval } }) }))
    },
    terminate: () => gone(() => raw.end()),
  }
}
