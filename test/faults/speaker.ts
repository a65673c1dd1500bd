// A publisher with a session of its own, by the book: what was under way when the connection broke is said again in order,
// with the same packet identifier and DUP, and an exchange of QoS 2 goes on where it stood. MQTT 5 §4.3, §4.4.

import type { Packet } from 'mqtt-packet'
import type { Identity } from '../../device-sim/identities.ts'
import type { Target } from '../../device-sim/target.ts'
import type { Account } from './account.ts'
import { openLine, type Line, type Version } from './line.ts'

interface UnderWay {
  readonly id: number
  readonly stream: string
  readonly number: number
  stage: 'publish' | 'pubrel'
}

export interface SpeakerOptions {
  readonly identity: Identity
  readonly clientId: string
  readonly version: Version
  readonly qos: 1 | 2
  readonly topics: readonly string[]
  /** Exchanges that may be under way at the same time. */
  readonly windowMax: number
  readonly payloadBytes: number
  readonly account: Account
}

/** Failure codes of PUBACK and PUBREC. MQTT 5 §3.4.2.1. */
const FAILURE = 0x80
const PACKET_IDS = 0xffff

export class Speaker {
  readonly name: string
  readonly #options: SpeakerOptions
  readonly #underWay = new Map<number, UnderWay>()
  #line: Line | undefined
  #lastId = 0
  #turn = 0
  /** Something was acknowledged to this session: from now on it must be there. */
  #kept = false
  #acknowledged = 0
  readonly #listeners = new Set<() => void>()

  constructor(options: SpeakerOptions) {
    this.#options = options
    this.name = options.clientId
  }

  /** Exchanges that are not over. */
  get underWay(): number {
    return this.#underWay.size
  }

  /** How many PUBACK and PUBREC have come. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  get open(): boolean {
    return this.#line?.open === true
  }

  /** Connects, and says again what was under way. */
  async connect(target: Target): Promise<void> {
    const { identity, clientId, version, account } = this.#options
    const line = await openLine({ target, credentials: identity, clientId, version, clean: false, onPacket: (packet, on) => this.#onPacket(packet, on) })
    this.#line = line
    if (line.connack.sessionPresent) this.#resume(line)
    else {
      if (this.#kept) account.fault(`the kept session of ${clientId} is gone: messages were acknowledged to it`)
      // Without a session on the other side the exchanges are over [MQTT-3.2.2-5]: nobody was promised anything.
      this.#underWay.clear()
    }
  }

  /** Says up to `count` new messages, as many as the window allows. */
  speak(count: number): void {
    const line = this.#line
    if (line?.open !== true) return
    const { topics, windowMax, account } = this.#options
    const packets: Packet[] = []
    for (let i = 0; i < count && this.#underWay.size < windowMax; i++) {
      const stream = topics[this.#turn++ % topics.length] ?? ''
      const message: UnderWay = { id: this.#freeId(), stream, number: account.said(stream), stage: 'publish' }
      this.#underWay.set(message.id, message)
      packets.push(this.#packetOf(message, false))
    }
    if (packets.length > 0) line.send(...packets)
  }

  /** Resolves when everything that was said has been acknowledged to the end. */
  settled(): Promise<void> {
    return this.until(() => this.#underWay.size === 0)
  }

  /** Resolves when this holds; it is looked at whenever an answer comes. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
      look()
    })
  }

  cut(): void {
    this.#line?.cut()
  }

  end(): Promise<void> {
    return this.#line?.end() ?? Promise.resolve()
  }

  #resume(line: Line): void {
    for (const message of this.#underWay.values()) {
      if (message.stage === 'publish') this.#options.account.saidAgain(message.stream, message.number)
      line.send(message.stage === 'publish' ? this.#packetOf(message, true) : { cmd: 'pubrel', messageId: message.id })
    }
  }

  #onPacket(packet: Packet, line: Line): void {
    const message = this.#underWay.get(packet.messageId ?? 0)
    if (packet.cmd === 'puback' || packet.cmd === 'pubrec') {
      if (message === undefined) return
      const failed = (packet.reasonCode ?? 0) >= FAILURE
      if (failed) this.#options.account.fault(`${this.name} was answered 0x${packet.reasonCode?.toString(16)} to ${message.stream} ${message.number}`)
      else if (message.stage === 'publish') this.#onAcknowledged(message)
      if (failed || packet.cmd === 'puback') this.#underWay.delete(message.id)
      else {
        message.stage = 'pubrel'
        line.send({ cmd: 'pubrel', messageId: message.id })
      }
    } else if (packet.cmd === 'pubcomp' && message !== undefined) {
      if (message.stage === 'publish') this.#options.account.fault(`${this.name} got PUBCOMP for ${message.stream} ${message.number}, which it has not released`)
      this.#underWay.delete(message.id)
    }
    for (const listener of this.#listeners) listener()
  }

  #onAcknowledged(message: UnderWay): void {
    this.#acknowledged += 1
    this.#kept = true
    this.#options.account.acknowledged(message.stream, message.number)
  }

  #packetOf({ id, stream, number }: UnderWay, dup: boolean): Packet {
    const { qos, payloadBytes } = this.#options
    return { cmd: 'publish', topic: stream, payload: payloadOf(number, payloadBytes), qos, dup, retain: false, messageId: id }
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % PACKET_IDS) + 1
    while (this.#underWay.has(this.#lastId))
    return this.#lastId
  }
}

/** The number, and filling that depends on it: bytes that were exchanged for others are seen. */
export function payloadOf(number: number, bytes: number): string {
  return `${number} `.repeat(Math.ceil(bytes / 2)).slice(0, Math.max(bytes, `${number} `.length))
}

/** The number of a payload; undefined when its bytes are not those that were said. */
export function numberOf(payload: string): number | undefined {
  const number = Number(payload.slice(0, payload.indexOf(' ')))
  return Number.isInteger(number) && payloadOf(number, payload.length) === payload ? number : undefined
}
