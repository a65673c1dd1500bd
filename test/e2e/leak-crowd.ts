// The crowd of the leak test: sessions of real devices over TLS that tell the oracle of all they do and hear. Some come and go, some do
// not acknowledge, some share; none knows what it may.

import tls from 'node:tls'
import mqttPacket, { type IPublishPacket, type ISubackPacket, type Packet } from 'mqtt-packet'
import type { Receiver } from '../../device-sim/policy-oracle.ts'
import type { House, Identity } from '../broker/house.ts'

export interface MemberOptions {
  readonly version: 4 | 5
  /** Its session outlives its connections. */
  readonly kept: boolean
  /** Is this delivery acknowledged? */
  acknowledges(): boolean
}

export class Member {
  readonly identity: Identity
  readonly options: MemberOptions
  readonly #house: Pick<House, 'port' | 'root'>
  readonly #receiver: Receiver
  #socket: tls.TLSSocket | undefined
  #closed: Promise<void> = Promise.resolve()
  #isConnected = false
  #lastId = 0
  #questions: (() => void)[] = []
  readonly #acknowledgements = new Map<number, (packet: Packet) => void>()
  /** Topics of what it was delivered since this was last emptied. */
  heard: string[] = []

  constructor(house: Pick<House, 'port' | 'root'>, identity: Identity, receiver: Receiver, options: MemberOptions) {
    this.#house = house
    this.identity = identity
    this.#receiver = receiver
    this.options = options
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  /** False: the server did not admit it. */
  async connect(fresh = !this.options.kept): Promise<boolean> {
    const { identity: { cert, key, id }, options: { version, kept } } = this
    const socket = tls.connect({ host: '127.0.0.1', port: this.#house.port, servername: 'localhost', ca: this.#house.root, cert, key })
    socket.setNoDelay(true)
    const admitted = Promise.withResolvers<boolean>()
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', (packet) => {
      if (packet.cmd === 'connack') admitted.resolve((version === 5 ? packet.reasonCode : packet.returnCode) === 0)
      else if (this.#socket === socket) this.#take(packet)
    })
    parser.on('error', (error) => socket.destroy(error))
    socket.on('data', (chunk: Buffer) => void parser.parse(chunk))
    socket.on('error', () => {})
    socket.once('close', () => {
      admitted.resolve(false)
      if (this.#socket === socket) this.#isConnected = false
    })
    const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
    await Promise.race([new Promise<void>((resolve) => void socket.once('secureConnect', resolve)), closed])
    this.#socket = socket
    this.#closed = closed
    this.#questions = []
    this.#acknowledgements.clear()
    this.#receiver.connecting(fresh)
    this.#send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: fresh, keepalive: 60, clientId: id, ...(version === 5 && kept ? { properties: { sessionExpiryInterval: 600 } } : {}) })
    this.#isConnected = await admitted.promise
    return this.#isConnected
  }

  /** Resolves when its side of the connection is closed. */
  async disconnect(): Promise<void> {
    const socket = this.#socket
    this.#isConnected = false
    if (socket === undefined || socket.destroyed) return
    socket.destroy()
    await this.#closed
  }

  /** Resolves when the server has answered, or the connection is gone. */
  ask(): Promise<void> {
    if (!this.#isConnected) return Promise.resolve()
    const answered = this.#receiver.ask()
    this.#send({ cmd: 'pingreq' })
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#questions.push(() => {
      answered()
      resolve()
    })
    return Promise.race([promise, this.#closed])
  }

  /** The codes of SUBACK. */
  subscribe(...subscriptions: readonly { readonly topic: string; readonly qos: 0 | 1 | 2 }[]): Promise<readonly number[]> {
    const asked = subscriptions.map(({ topic }) => this.#receiver.subscribing(topic))
    const messageId = this.#nextId()
    this.#send({ cmd: 'subscribe', messageId, subscriptions: [...subscriptions] })
    const { promise, resolve } = Promise.withResolvers<readonly number[]>()
    this.#acknowledgements.set(messageId, (packet) => {
      const codes = (packet as ISubackPacket).granted.map(Number)
      asked.forEach((one, i) => ((codes[i] ?? 0x80) >= 0x80 ? one.refused() : one.granted()))
      resolve(codes)
    })
    return Promise.race([promise, this.#closed.then(() => [])])
  }

  publish(topic: string, qos: 0 | 1 | 2, retain: boolean): void {
    const { payload, taken } = this.#receiver.say({ topic, qos, retain })
    const messageId = qos === 0 ? undefined : this.#nextId()
    this.#send({ cmd: 'publish', topic, payload, qos, retain, dup: false, ...(messageId === undefined ? {} : { messageId }) })
    // Of QoS 0 nobody hears that it was taken: it has been when a later question is answered.
    if (messageId !== undefined) this.#acknowledgements.set(messageId, taken)
    else if (this.#isConnected) {
      this.#send({ cmd: 'pingreq' })
      this.#questions.push(taken)
    }
  }

  #take(packet: Packet): void {
    switch (packet.cmd) {
      case 'pingresp':
        return this.#questions.shift()?.()
      case 'publish':
        return this.#hear(packet)
      case 'pubrec':
        this.#acknowledgements.get(packet.messageId ?? 0)?.(packet)
        if ((packet.reasonCode ?? 0) < 0x80) this.#send({ cmd: 'pubrel', messageId: packet.messageId! })
        return
      case 'pubrel':
        return this.#send({ cmd: 'pubcomp', messageId: packet.messageId! })
      case 'puback':
      case 'suback':
        return this.#acknowledgements.get(packet.messageId ?? 0)?.(packet)
      default:
    }
  }

  #hear({ topic, payload, retain, dup, qos, messageId }: IPublishPacket): void {
    this.heard.push(topic)
    this.#receiver.received({ topic, payload: payload.toString(), retain, dup })
    if (qos > 0 && this.options.acknowledges()) this.#send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: messageId! })
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 60_000) + 1
    return this.#lastId
  }

  #send(packet: Packet): void {
    if (this.#socket?.destroyed === false) this.#socket.write(mqttPacket.generate(packet, { protocolVersion: this.options.version }))
  }
}
