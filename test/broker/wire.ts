// The two kinds of client that the tests of the broker have: MQTT.js for honest ones, and packets or bytes of the test's own
// over node:tls for all others. Waiting is for packets and for the end of the connection, never for time.

import tls from 'node:tls'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import mqttPacket, { type IConnackPacket, type IConnectPacket, type IPublishPacket, type ISubackPacket, type Packet } from 'mqtt-packet'
import type { House, Identity } from './house.ts'

export type Version = 4 | 5
export const versions: readonly Version[] = [4, 5]

export interface WireOptions {
  readonly version?: Version
  readonly tls?: tls.ConnectionOptions
  /** Answers QoS 1 and 2 deliveries, as a client must; on by default. */
  readonly acknowledge?: boolean
}

export interface Wire {
  readonly version: Version
  readonly socket: tls.TLSSocket
  readonly received: readonly Packet[]
  readonly ended: Promise<{ readonly error: string | undefined }>
  readonly open: boolean
  send(...packets: Packet[]): void
  bytes(...chunks: readonly (Uint8Array | readonly number[])[]): void
  /** The next packet of this kind, received already or still to come, that was not taken yet; fails when the connection ends first. */
  take<Cmd extends Packet['cmd']>(cmd: Cmd, fits?: (packet: Extract<Packet, { cmd: Cmd }>) => boolean): Promise<Extract<Packet, { cmd: Cmd }>>
  /** A round trip through the broker: what was sent before has been handled, and what it caused here has come. */
  ping(): Promise<void>
  published(): readonly IPublishPacket[]
  end(): void
}

/** Opens a TLS connection; resolves when the handshake is done on this side or the connection has ended. */
export async function openWire(house: Pick<House, 'port' | 'root'>, identity: Pick<Identity, 'cert' | 'key'> | undefined, options: WireOptions = {}): Promise<Wire> {
  const version = options.version ?? 4
  const socket = tls.connect({
    host: '127.0.0.1', port: house.port, servername: 'localhost', ca: house.root,
    ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }), ...options.tls,
  })
  socket.setNoDelay(true)
  const parser = mqttPacket.parser({ protocolVersion: version })
  const received: Packet[] = []
  const taken = new Set<Packet>()
  const waiting = new Set<() => void>()
  let error: string | undefined
  let isOpen = true
  const wake = (): void => {
    for (const check of waiting) check()
  }
  const send = (...packets: Packet[]): void => {
    if (!socket.destroyed) socket.write(Buffer.concat(packets.map((packet) => mqttPacket.generate(packet, { protocolVersion: version }))))
  }
  parser.on('packet', (packet) => {
    received.push(packet)
    if (options.acknowledge !== false) {
      if (packet.cmd === 'publish' && packet.qos === 1) send({ cmd: 'puback', messageId: packet.messageId! })
      if (packet.cmd === 'publish' && packet.qos === 2) send({ cmd: 'pubrec', messageId: packet.messageId! })
      if (packet.cmd === 'pubrel') send({ cmd: 'pubcomp', messageId: packet.messageId! })
    }
  })
  // What the broker sends must parse.
  parser.on('error', (fault) => socket.destroy(fault))
  socket.on('data', (chunk: Buffer) => {
    parser.parse(chunk)
    wake()
  })
  socket.on('error', (fault: NodeJS.ErrnoException) => {
    error ??= fault.code ?? fault.message
  })
  const ended = new Promise<{ readonly error: string | undefined }>((resolve) => {
    socket.once('end', () => socket.destroy())
    socket.once('close', () => {
      isOpen = false
      wake()
      resolve({ error })
    })
  })
  await Promise.race([new Promise<void>((resolve) => void socket.once('secureConnect', resolve)), ended])

  const wire: Wire = {
    version, socket, received, ended, send,
    get open() {
      return isOpen
    },
    bytes(...chunks) {
      if (!socket.destroyed) socket.write(Buffer.concat(chunks.map((chunk) => Uint8Array.from(chunk))))
    },
    take: (cmd, fits = () => true) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const packet = received.find((p): p is Extract<Packet, { cmd: typeof cmd }> => p.cmd === cmd && !taken.has(p) && fits(p as never))
          if (packet === undefined && isOpen) return
          waiting.delete(check)
          if (packet === undefined) return reject(new Error(`the connection ended (${error ?? 'closed'}) before a ${cmd} came; it had sent ${received.map((p) => p.cmd).join(', ')}`))
          taken.add(packet)
          resolve(packet)
        }
        waiting.add(check)
        check()
      }),
    async ping() {
      send({ cmd: 'pingreq' })
      await wire.take('pingresp')
    },
    published: () => received.filter((packet) => packet.cmd === 'publish'),
    end: () => socket.destroy(),
  }
  return wire
}

export type ConnectFields = Partial<Pick<IConnectPacket, 'clean' | 'keepalive' | 'username' | 'password' | 'will' | 'properties' | 'clientId' | 'protocolId'>>

export function connectPacket(clientId: string, version: Version, fields: ConnectFields = {}): IConnectPacket {
  return { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: true, keepalive: 60, clientId, ...fields }
}

/** A connection whose CONNECT is admitted. */
export async function connected(house: House, identity: Identity, options: WireOptions & ConnectFields = {}): Promise<Wire & { readonly connack: IConnackPacket }> {
  const { version, tls: tlsOptions, acknowledge, ...fields } = options
  const wire = await openWire(house, identity, { ...(version === undefined ? {} : { version }), ...(tlsOptions === undefined ? {} : { tls: tlsOptions }), ...(acknowledge === undefined ? {} : { acknowledge }) })
  wire.send(connectPacket(identity.id, wire.version, fields))
  const connack = await wire.take('connack')
  const code = codeOf(connack, wire.version)
  if (code !== 0) throw new Error(`CONNACK ${code}`)
  return Object.defineProperty(wire as Wire & { connack: IConnackPacket }, 'connack', { value: connack })
}

export function codeOf(connack: IConnackPacket, version: Version): number | undefined {
  return version === 5 ? connack.reasonCode : connack.returnCode
}

/** How one CONNECT ends: its CONNACK code, and 'closed' when the connection ended without one. */
export async function tryConnect(house: House, identity: Identity | undefined, packet: IConnectPacket | Uint8Array, options: WireOptions = {}): Promise<number | 'closed'> {
  const wire = await openWire(house, identity, options)
  if (packet instanceof Uint8Array) wire.bytes(packet)
  else wire.send(packet)
  const connack = await wire.take('connack').catch(() => undefined)
  if (connack === undefined) return 'closed'
  const code = codeOf(connack, wire.version) ?? -1
  // A refusal is a CONNACK and then the end [MQTT-3.2.2-5].
  if (code === 0) wire.end()
  await wire.ended
  return code
}

export async function subscribe(wire: Wire, ...filters: readonly (string | { readonly topic: string; readonly qos: 0 | 1 | 2 })[]): Promise<ISubackPacket['granted']> {
  const messageId = nextId()
  wire.send({ cmd: 'subscribe', messageId, subscriptions: filters.map((f) => (typeof f === 'string' ? { topic: f, qos: 1 as const } : f)) })
  return (await wire.take('suback', (p) => p.messageId === messageId)).granted
}

export function publishPacket(topic: string, payload: string | Buffer, fields: Partial<IPublishPacket> = {}): IPublishPacket {
  const qos = fields.qos ?? 0
  return { cmd: 'publish', topic, payload, qos, dup: false, retain: false, ...(qos === 0 ? {} : { messageId: nextId() }), ...fields }
}

let lastId = 0
/** A packet id that no other test uses at the moment. */
export function nextId(): number {
  lastId = (lastId % 60_000) + 1
  return lastId
}

/** MQTT.js, connected. It does not reconnect by itself. */
export async function client(house: House, identity: Identity, options: IClientOptions = {}): Promise<MqttClient> {
  return mqtt.connectAsync(`mqtts://127.0.0.1:${house.port}`, {
    ca: house.root, cert: identity.cert, key: identity.key, servername: 'localhost', clientId: identity.id, reconnectPeriod: 0, protocolVersion: 4, ...options,
  })
}

export interface Heard {
  readonly topic: string
  readonly payload: string
  readonly packet: IPublishPacket
}

/** The next message that fits. */
export function message(of: MqttClient, fits: (topic: string, payload: string) => boolean = () => true): Promise<Heard> {
  return new Promise((resolve) => {
    const onMessage = (topic: string, payload: Buffer, packet: IPublishPacket): void => {
      if (!fits(topic, payload.toString())) return
      of.off('message', onMessage)
      resolve({ topic, payload: payload.toString(), packet })
    }
    of.on('message', onMessage)
  })
}

/** What has been published to it, in order. */
export const payloads = (wire: Wire): readonly string[] => wire.published().map((p) => p.payload.toString())

/** The terms of a CONNECT whose session outlives its connection: in MQTT 5 for so many seconds. */
export function kept(version: Version, clean = false, seconds = 600) {
  return version === 5 ? { version, clean, properties: { sessionExpiryInterval: seconds } } : { version, clean }
}
