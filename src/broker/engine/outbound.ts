// What one session is still to be sent: messages of QoS 0 as far as its connection takes them, messages of QoS 1 and 2 within
// the window of its Receive Maximum, in order, the rest waiting in memory or, for a kept session, in the store, from where
// it is read by pages. A slow reader costs itself only. It judges nothing: what may be received is asked of the grants.

import { BROKER_LIMITS } from '../../limits.ts'
import { deny } from '../../core/decision.ts'
import type { SessionKey } from '../../core/ids.ts'
import type { Subscriber } from '../../core/router.ts'
import { packetIdOf, type StoredSession } from '../../core/session-store.ts'
import { countByQos } from '../../core/traffic.ts'
import { pubrelPacket } from '../replies.ts'
import type { Session } from '../sessions.ts'
import { openAliases, type Aliases } from './aliases.ts'
import type { Handing, OutboundPorts } from './outbound-ports.ts'
import { Parcel } from './parcel.ts'
import { WaitingLine } from './waiting-line.ts'

const NONE: readonly never[] = []

interface Waiting extends Handing {
  readonly sequence: number
  readonly qos: 1 | 2
  /** Undefined: only its PUBREL is to be sent. */
  readonly parcel: Parcel | undefined
  readonly bytes: number
}

interface InFlight {
  readonly sequence: number
  readonly qos: 1 | 2
  released: boolean
}

export class Outbound implements Subscriber {
  readonly session: Session
  readonly #ports: OutboundPorts
  readonly #aliases: Aliases
  readonly #windowMax: number
  readonly #inFlight = new Map<number, InFlight>()
  readonly #waiting = new WaitingLine<Waiting>()
  #open = false
  #stopped = false
  #kept = false
  /** The store has entries beyond those that wait here. */
  #more = false
  #reading = false
  #lastSequence = 0
  #sentThrough = 0
  #begunAt = 0
  #offeredEarly = false
  #dropped = 0
  #roomListeners: (() => void)[] = []
  #showing = 0
  readonly #heardMeanwhile = new Set<string>()
  #losses: readonly ((topic: string) => boolean)[] = NONE

  constructor(ports: OutboundPorts) {
    this.#ports = ports
    this.session = ports.session
    this.#windowMax = Math.min(ports.bounds.receiveMaximum, BROKER_LIMITS.inFlightMax)
    this.#aliases = openAliases(ports.bounds.topicAliasMaximum)
  }

  get key(): SessionKey {
    return this.session.key
  }

  /** What is queued for it is in the store. */
  get kept(): boolean {
    return this.#kept
  }

  /** Entries of the queue up to this one have been sent. */
  get sentThrough(): number {
    return this.#sentThrough
  }

  /** Messages of QoS 0 that it did not get because it reads too slowly. */
  get dropped(): number {
    return this.#dropped
  }

  /** Messages that wait in memory, and those that wait for an acknowledgement. */
  get load(): { readonly queued: number; readonly inFlight: number } {
    return { queued: this.#waiting.length, inFlight: this.#inFlight.size }
  }

  isWilling(topic: string): boolean {
    const { session } = this
    return this.#open && session.ending === undefined && this.#waiting.length < BROKER_LIMITS.willingQueueMax
      && this.#ports.output.waiting < BROKER_LIMITS.outboundHighBytes && this.#mayReceive(topic)
  }

  /**
   * From here on the store has its queue. `sentThrough`: what a connection before this one has sent already. `begunAt`: how many
   * messages had gone to the store when it began.
   */
  keep(stored: StoredSession | undefined, sentThrough: number, begunAt: number): void {
    this.#kept = true
    // What went to the store before a session began was for the one before it, under the same key.
    this.#begunAt = stored === undefined ? begunAt : 0
    this.#more = stored !== undefined && (stored.queued > 0 || this.#offeredEarly)
    this.#sentThrough = Math.max(stored?.sentThrough ?? 0, sentThrough)
  }

  /** CONNACK is sent: deliveries may follow. Where something waits in the store: resolves when the first of it is sent. */
  start(): Promise<void> | undefined {
    if (this.#stopped) return undefined
    this.#open = true
    if (this.#more) return this.#readOn()
    this.pump()
    return undefined
  }

  /** QoS 0, or any QoS for a session whose queue is in memory. */
  deliver(parcel: Parcel, handing: Handing): void {
    if (this.#showing > 0 && !handing.retain) this.#heardMeanwhile.add(parcel.message.topic)
    if (handing.qos === 0) return this.#deliver0(parcel, handing)
    if (this.session.ending !== undefined || !this.#mayReceive(parcel.message.topic)) return
    this.#enqueue(this.#nextSequence(), parcel, handing, handing.qos)
    if (this.#waiting.length > BROKER_LIMITS.queueMessagesMax || this.#waiting.bytes > BROKER_LIMITS.queueBytesPerSessionMax) this.#ports.onFault(deny('quota-exceeded', 'the client reads too slowly'))
  }

  /** The store has put this message into the session's queue. `place`: which of the messages that went to the store it is. */
  offer(sequence: number, place: number, parcel: Parcel, handing: Handing & { readonly qos: 1 | 2 }): void {
    if (!this.#kept) {
      // It is not known yet whether this session is the one that the message is for: the store will tell.
      this.#offeredEarly = true
      return
    }
    if (place <= this.#begunAt) return
    if (this.#showing > 0 && !handing.retain) this.#heardMeanwhile.add(parcel.message.topic)
    if (sequence <= this.#lastSequence || this.#more || this.#stopped || this.session.ending !== undefined) return
    if (this.#waiting.length >= BROKER_LIMITS.queuePageMessages || this.#waiting.bytes > BROKER_LIMITS.queuePageBytes) {
      this.#more = true
      return
    }
    this.#enqueue(sequence, parcel, handing, handing.qos)
  }

  /** Sends what the window and the connection have room for. */
  pump(): void {
    if (!this.#open) return
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      const next = this.#waiting.shift()
      if (next !== undefined) this.#send(next)
    }
    if (this.#more && !this.#reading && this.#waiting.length < BROKER_LIMITS.queuePageMessages / 2) void this.#readOn()
    else if (this.#roomListeners.length > 0 && this.#isIdle()) this.#tellRoom()
  }

  /** PUBACK or PUBCOMP, or a PUBREC that refuses: the exchange is over. Returns the entry that the store may forget. */
  complete(packetId: number): number | undefined {
    const entry = this.#inFlight.get(packetId)
    if (entry === undefined) return undefined
    this.#inFlight.delete(packetId)
    this.pump()
    return this.#kept ? entry.sequence : undefined
  }

  /** PUBREC: PUBREL follows. Returns the entry whose message the store may forget. */
  release(packetId: number): number | undefined {
    const entry = this.#inFlight.get(packetId)
    if (entry === undefined || entry.qos !== 2 || entry.released) return undefined
    entry.released = true
    return this.#kept ? entry.sequence : undefined
  }

  /** The QoS of the exchange that this packet id stands for. */
  exchange(packetId: number): 1 | 2 | undefined {
    return this.#inFlight.get(packetId)?.qos
  }

  /** Resolves when nothing waits in the queue and little in the connection, or the session ends. */
  async drained(): Promise<void> {
    if (this.#isIdle() || !this.#open) return
    await new Promise<void>((resolve) => void this.#roomListeners.push(resolve))
  }

  /**
   * While `show` runs, retained messages are being looked up for it. What it is sent of a topic meanwhile is newer than what was
   * retained there: `isOld` says of which topics.
   */
  async showing(show: (isOld: (topic: string) => boolean) => Promise<void>): Promise<void> {
    this.#showing += 1
    try {
      await show((topic) => this.#heardMeanwhile.has(topic))
    } finally {
      this.#showing -= 1
      if (this.#showing === 0) this.#heardMeanwhile.clear()
    }
  }

  /**
   * Subscriptions are lost: what is there for them alone is not sent, neither what waits nor what is still on its way here. Until
   * what this returns is called.
   */
  lose(isLost: (topic: string) => boolean): () => void {
    this.#losses = [...this.#losses, isLost]
    this.#waiting.remove((entry) => this.#isLost(entry))
    return () => {
      this.#losses = this.#losses.filter((one) => one !== isLost)
    }
  }

  /** Asked last of all before a message is sent: what is granted may turn out to be another thing than it was, or nothing. R6. */
  #mayReceive(topic: string): boolean {
    return this.session.grants.mayReceive(topic) && !this.#losses.some((isLost) => isLost(topic))
  }

  /** What may have been sent before is another matter: its packet id is in use. */
  #isLost({ parcel, sequence }: Waiting): boolean {
    return this.#losses.length > 0 && parcel !== undefined && sequence > this.#sentThrough && this.#losses.some((isLost) => isLost(parcel.message.topic))
  }

  /** A receiver that may have a message of QoS 2 already is told to let go of its packet id. */
  #withhold(entry: Waiting, topic: string): void {
    // The session was found to be at its end: what waits for it stays.
    if (this.session.ending !== undefined) return
    // What a lost subscription takes along is told with its loss.
    if (!this.session.grants.mayReceive(topic)) this.#ports.onWithheld(topic, 'receive-denied')
    if (entry.qos === 1 || entry.sequence > this.#sentThrough) return this.#forget(entry)
    if (this.#kept) this.#ports.keep({ kind: 'queue-released', key: this.key, sequence: entry.sequence })
    this.#sendRelease(entry)
  }

  #sendRelease({ sequence }: Waiting): void {
    const packetId = packetIdOf(sequence)
    this.#inFlight.set(packetId, { sequence, qos: 2, released: true })
    this.#ports.output.write(pubrelPacket(packetId, this.session.protocol))
  }

  #isIdle(): boolean {
    return !this.#more && this.#waiting.length === 0 && this.#ports.output.waiting < BROKER_LIMITS.outboundHighBytes / 2
  }

  stop(): void {
    this.#open = false
    this.#stopped = true
    this.#waiting.clear()
    this.#tellRoom()
  }

  #tellRoom(): void {
    if (this.#roomListeners.length === 0) return
    const listeners = this.#roomListeners
    this.#roomListeners = []
    for (const tell of listeners) tell()
  }

  #hasRoom(): boolean {
    return this.#inFlight.size < this.#windowMax && this.#ports.output.waiting < BROKER_LIMITS.outboundHighBytes
  }

  #deliver0(parcel: Parcel, { retain, identifiers }: Handing): void {
    const { session } = this
    const { topic } = parcel.message
    if (session.ending !== undefined || !this.#mayReceive(topic)) return
    const { output } = this.#ports
    // A message that is dropped is dropped whole; what is in front of it goes on.
    if (!this.#open || !output.hasRoomForQos0) {
      this.#dropped += 1
      this.#ports.traffic.droppedQos0 += 1
      return
    }
    const now = this.#ports.clock()
    const alias = session.protocol === 5 ? this.#aliases.of(topic) : undefined
    const bytes = alias === undefined
      ? parcel.bytes.qos0(session.protocol, retain, identifiers, now)
      : parcel.bytes.aliased({ qos: 0, retain, dup: false, identifiers, packetId: 0 }, alias.alias, alias.isNew, now)
    if (this.#fits(bytes)) {
      if (alias !== undefined) this.#aliases.sent(topic)
      countByQos(this.#ports.traffic.sent, 0)
      output.write(bytes)
    }
  }

  /** The places of a queue in memory: a packet id that is still in flight is passed over. */
  #nextSequence(): number {
    let sequence = this.#lastSequence + 1
    while (this.#inFlight.has(packetIdOf(sequence))) sequence += 1
    return sequence
  }

  #enqueue(sequence: number, parcel: Parcel | undefined, { retain, identifiers }: Handing, qos: 1 | 2): void {
    this.#lastSequence = sequence
    const bytes = parcel === undefined ? 0 : parcel.message.payload.length + parcel.message.topic.length
    const entry: Waiting = { sequence, qos, retain, identifiers, parcel, bytes }
    if (this.#isLost(entry)) return this.#forget(entry)
    if (this.#open && this.#waiting.length === 0 && this.#hasRoom()) return this.#send(entry)
    parcel?.pin()
    this.#waiting.push(entry)
  }

  #send(entry: Waiting): void {
    const { session } = this
    const packetId = packetIdOf(entry.sequence)
    if (entry.parcel === undefined) return this.#sendRelease(entry)
    const { message } = entry.parcel
    const dup = entry.sequence <= this.#sentThrough
    const now = this.#ports.clock()
    // [MQTT-3.3.2-5]: what has expired before its delivery began is not delivered.
    if (!dup && message.expiresAt !== undefined && message.expiresAt <= now) return this.#forget(entry)
    if (!this.#mayReceive(message.topic)) return this.#withhold(entry, message.topic)
    const alias = session.protocol === 5 ? this.#aliases.of(message.topic) : undefined
    const { qos, retain, identifiers } = entry
    const bytes = alias === undefined
      ? entry.parcel.bytes.withPacketId(session.protocol, qos, retain, dup, identifiers, packetId, now)
      : entry.parcel.bytes.aliased({ qos, retain, dup, identifiers, packetId }, alias.alias, alias.isNew, now)
    // [MQTT-3.1.2-25]: what is larger than the client takes counts as delivered.
    if (!this.#fits(bytes)) return this.#forget(entry)
    if (alias !== undefined) this.#aliases.sent(message.topic)
    this.#inFlight.set(packetId, { sequence: entry.sequence, qos, released: false })
    this.#sentThrough = Math.max(this.#sentThrough, entry.sequence)
    countByQos(this.#ports.traffic.sent, qos)
    this.#ports.output.write(bytes)
  }

  #fits(bytes: Uint8Array): boolean {
    const { packetBytesMax } = this.#ports.bounds
    return packetBytesMax === undefined || bytes.length <= packetBytesMax
  }

  #forget({ sequence }: Waiting): void {
    if (this.#kept) this.#ports.keep({ kind: 'queue-completed', key: this.key, sequence })
  }

  async #readOn(): Promise<void> {
    this.#reading = true
    try {
      const page = await this.#ports.read(this.#lastSequence)
      if (!this.#open || this.session.ending !== undefined) return
      for (const { sequence, qos, retain, identifiers, stage } of page.items) {
        this.#enqueue(sequence, stage.kind === 'publish' ? new Parcel(stage.message) : undefined, { qos, retain, identifiers }, qos)
      }
      this.#more = !page.complete
    } catch {
      // The store says so in the log; what it keeps is read again when the client comes back.
      this.#ports.onFault(deny('store-unavailable'))
      return
    } finally {
      this.#reading = false
    }
    this.pump()
  }
}
