// A subscriber with a kept session: it answers deliveries as QoS 1 and 2 ask, keeps its own half of QoS 2 over connections,
// and enters what reaches its application into the account.

import type { IPublishPacket, Packet } from 'mqtt-packet'
import type { Identity } from '../../device-sim/identities.ts'
import type { Target } from '../../device-sim/target.ts'
import type { Account } from './account.ts'
import { openLine, type Line, type Version } from './line.ts'
import { numberOf } from './speaker.ts'

export interface HearerOptions {
  readonly identity: Identity
  readonly clientId: string
  readonly version: Version
  readonly filters: readonly string[]
  readonly account: Account
}

export class Hearer {
  readonly name: string
  readonly #options: HearerOptions
  /** Packet identifiers of QoS 2 that were received and not yet released: what comes again under one is not delivered again. */
  readonly #receiving = new Set<number>()
  #line: Line | undefined
  #kept = false
  #onSuback: ((granted: readonly number[]) => void) | undefined
  readonly #listeners = new Set<() => void>()

  constructor(options: HearerOptions) {
    this.#options = options
    this.name = options.clientId
  }

  get open(): boolean {
    return this.#line?.open === true
  }

  /** Connects; subscribes where there is no session yet. */
  async connect(target: Target): Promise<void> {
    const { identity, clientId, version, account } = this.#options
    const line = await openLine({ target, credentials: identity, clientId, version, clean: false, onPacket: (packet, on) => this.#onPacket(packet, on) })
    this.#line = line
    if (!line.connack.sessionPresent) {
      if (this.#kept) account.fault(`the kept session of ${clientId} is gone, with its subscription`)
      this.#receiving.clear()
    } else if (this.#kept) return
    await this.#subscribe(line)
    this.#kept = true
  }

  async #subscribe(line: Line): Promise<void> {
    const granted = await new Promise<readonly number[]>((resolve, reject) => {
      this.#onSuback = resolve
      void line.closed.then(() => reject(new Error(`${this.name}: closed before SUBACK`)))
      line.send({ cmd: 'subscribe', messageId: 1, subscriptions: this.#options.filters.map((topic) => ({ topic, qos: 2 as const })) })
    })
    if (granted.some((qos) => qos !== 2)) throw new Error(`${this.name} was granted ${granted.join(', ')}, not QoS 2`)
  }

  /** Resolves when this holds; it is looked at whenever a message comes. */
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

  #onPacket(packet: Packet, line: Line): void {
    if (packet.cmd === 'suback') this.#onSuback?.(packet.granted.map(Number))
    else if (packet.cmd === 'publish') this.#onPublish(packet, line)
    else if (packet.cmd === 'pubrel' && packet.messageId !== undefined) {
      this.#receiving.delete(packet.messageId)
      line.send({ cmd: 'pubcomp', messageId: packet.messageId })
    }
    for (const listener of this.#listeners) listener()
  }

  #onPublish(packet: IPublishPacket, line: Line): void {
    const { account } = this.#options
    const number = numberOf(packet.payload.toString())
    if (number === undefined) return account.fault(`${this.name} heard on ${packet.topic} what nobody has said: ${packet.payload.toString().slice(0, 40)}`)
    if (packet.qos === 0 || packet.messageId === undefined) return account.fault(`${this.name} heard ${packet.topic} ${number} with QoS 0`)
    const isKnown = packet.qos === 2 && this.#receiving.has(packet.messageId)
    if (packet.qos === 2) this.#receiving.add(packet.messageId)
    if (!isKnown) account.heard(this.name, { stream: packet.topic, number, qos: packet.qos, dup: packet.dup })
    line.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId })
  }
}
