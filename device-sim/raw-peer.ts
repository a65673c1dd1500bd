// A raw MQTT client over TLS: sends packets or bytes as told and keeps what comes back. It is for attacks and load, where
// a real client library would be too polite. It judges nothing, but it can tell how a CONNECT ended.

import { isIP } from 'node:net'
import tls from 'node:tls'
import mqttPacket, { type IConnackPacket, type IConnectPacket, type IDisconnectPacket, type Packet } from 'mqtt-packet'
import { SIM_LIMITS } from './limits.ts'
import type { MqttVersion, Observed } from './oracle.ts'
import type { Target } from './target.ts'
import { within } from './within.ts'

/** What a client presents, PEM: its certificate chain, leaf first, and a key. */
export interface Credentials {
  readonly cert: string
  readonly key: string
}

export interface PeerOptions {
  readonly target: Target
  /** Undefined: no certificate at all. */
  readonly credentials?: Credentials | undefined
  readonly version?: MqttVersion
  readonly source?: string | undefined
  readonly tlsVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** A saved TLS session. */
  readonly session?: Buffer | undefined
}

export interface Ended {
  /** performance.now() at the end. */
  readonly at: number
  readonly error: string | undefined
  /** Decrypted bytes that had come from the server. */
  readonly bytes: number
}

export interface Peer {
  readonly version: MqttVersion
  readonly address: string | undefined
  readonly port: number | undefined
  readonly socket: tls.TLSSocket
  /** Everything that has come, in order. */
  readonly received: readonly Packet[]
  readonly closed: Promise<Ended>
  send(packet: Packet): void
  sendBytes(bytes: Uint8Array): void
  /** The next packet, received already or still to come, that matches and was not taken yet; undefined at the deadline or end. */
  take(match: (packet: Packet) => boolean, ms?: number): Promise<Packet | undefined>
  /** Called for every packet from now on. */
  onPacket(listener: (packet: Packet) => void): void
  end(): void
}

interface Waiter {
  readonly match: (packet: Packet) => boolean
  readonly resolve: (packet: Packet | undefined) => void
  readonly timer: NodeJS.Timeout
}

/** Acknowledges what a QoS 1 or 2 delivery asks for, as any client must. */
function acknowledgement(packet: Packet): Packet | undefined {
  if (packet.cmd === 'publish' && packet.messageId !== undefined) {
    if (packet.qos === 1) return { cmd: 'puback', messageId: packet.messageId }
    if (packet.qos === 2) return { cmd: 'pubrec', messageId: packet.messageId }
  }
  if (packet.cmd === 'pubrel' && packet.messageId !== undefined) return { cmd: 'pubcomp', messageId: packet.messageId }
  return undefined
}

function errorName(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message
}

/** Opens the connection; resolves when the handshake is done on this side or the connection has ended, never rejects. */
export async function openPeer(options: PeerOptions): Promise<Peer> {
  const version = options.version ?? 4
  const { target, credentials } = options
  await target.turn?.()
  const socket = tls.connect({
    host: target.host,
    port: target.port,
    // An address is no server name [RFC 6066 §3]; the certificate is held to the host, then.
    servername: isIP(target.serverName) === 0 ? target.serverName : '',
    ca: target.ca,
    ...(credentials === undefined ? {} : { cert: credentials.cert, key: credentials.key }),
    ...(options.source === undefined ? {} : { localAddress: options.source }),
    ...(options.tlsVersion === undefined ? {} : { minVersion: options.tlsVersion, maxVersion: options.tlsVersion }),
    ...(options.session === undefined ? {} : { session: options.session }),
  })
  socket.setNoDelay(true)
  const peer = peerOver(socket, version)
  await Promise.race([
    new Promise<void>((resolve) => void socket.once('secureConnect', resolve)),
    peer.closed,
  ])
  return peer
}

function peerOver(socket: tls.TLSSocket, version: MqttVersion): Peer {
  const parser = mqttPacket.parser({ protocolVersion: version })
  const received: Packet[] = []
  const taken = new Set<Packet>()
  const waiters = new Set<Waiter>()
  const listeners: ((packet: Packet) => void)[] = []
  let bytes = 0
  let error: string | undefined
  let address: string | undefined
  let port: number | undefined

  socket.once('connect', () => {
    address = socket.localAddress
    port = socket.localPort
  })
  const send = (packet: Packet): void => {
    if (!socket.destroyed) socket.write(mqttPacket.generate(packet, { protocolVersion: version }))
  }
  parser.on('packet', (packet) => {
    received.push(packet)
    const reply = acknowledgement(packet)
    if (reply !== undefined) send(reply)
    for (const listener of listeners) listener(packet)
    for (const waiter of waiters) {
      if (!waiter.match(packet)) continue
      taken.add(packet)
      settle(waiter, packet)
      break
    }
  })
  // What the server sends must parse; when it does not, the connection is as good as closed.
  parser.on('error', (fault) => socket.destroy(fault))
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > SIM_LIMITS.heardBytesMax) socket.destroy(new Error('said too much'))
    else parser.parse(chunk)
  })
  socket.on('error', (fault: NodeJS.ErrnoException) => {
    error ??= errorName(fault)
  })
  const settle = (waiter: Waiter, packet: Packet | undefined): void => {
    clearTimeout(waiter.timer)
    waiters.delete(waiter)
    waiter.resolve(packet)
  }
  const closed = new Promise<Ended>((resolve) => {
    socket.once('close', () => {
      for (const waiter of waiters) settle(waiter, undefined)
      resolve({ at: performance.now(), error, bytes })
    })
    // The server's FIN is its decision; waiting for ours to be answered would only measure ourselves.
    socket.once('end', () => socket.destroy())
  })

  return {
    version,
    socket,
    received,
    closed,
    get address() {
      return address
    },
    get port() {
      return port
    },
    send,
    sendBytes(data) {
      if (!socket.destroyed) socket.write(data)
    },
    take(match, ms = SIM_LIMITS.verdictMs) {
      const there = received.find((packet) => !taken.has(packet) && match(packet))
      if (there !== undefined) {
        taken.add(there)
        return Promise.resolve(there)
      }
      if (socket.destroyed) return Promise.resolve(undefined)
      return new Promise((resolve) => {
        const waiter: Waiter = { match, resolve, timer: setTimeout(() => settle(waiter, undefined), ms) }
        waiters.add(waiter)
      })
    },
    onPacket: (listener) => void listeners.push(listener),
    end() {
      send({ cmd: 'disconnect' })
      socket.end()
      // A server that never closes must not keep the simulator.
      setTimeout(() => socket.destroy(), 500).unref()
    },
  }
}

export type ConnectFields = Partial<Pick<IConnectPacket, 'clean' | 'keepalive' | 'username' | 'password' | 'will' | 'properties'>>

export function connectPacket(clientId: string, version: MqttVersion, fields: ConnectFields = {}): IConnectPacket {
  return { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: true, keepalive: 60, clientId, ...fields }
}

function isConnack(packet: Packet): packet is IConnackPacket {
  return packet.cmd === 'connack'
}

function isDisconnect(packet: Packet): packet is IDisconnectPacket {
  return packet.cmd === 'disconnect'
}

function connackCode(packet: IConnackPacket, version: MqttVersion): number {
  return (version === 5 ? packet.reasonCode : packet.returnCode) ?? 0
}

export interface ConnectAttempt {
  readonly seen: Observed
  readonly peer: Peer
}

/** Opens a connection, sends one CONNECT, and says how it ended. An admitted peer stays open: the caller ends it. */
export async function attemptConnect(options: PeerOptions, clientId: string, fields: ConnectFields = {}): Promise<ConnectAttempt> {
  const peer = await openPeer(options)
  peer.send(connectPacket(clientId, peer.version, fields))
  return { peer, seen: await howConnectEnded(peer) }
}

/** How the CONNECT that was sent ended: by CONNACK and close, by close alone, or not at all. */
export async function howConnectEnded(peer: Peer): Promise<Observed> {
  const started = performance.now()
  const connack = await peer.take((packet) => packet.cmd === 'connack' || packet.cmd === 'disconnect')
  if (connack !== undefined && isConnack(connack)) {
    const code = connackCode(connack, peer.version)
    if (code === 0) return { kind: 'admitted' }
    // A refusal is a CONNACK and then the end [MQTT-3.2.2-5].
    const ended = await within(peer.closed, SIM_LIMITS.verdictMs)
    return ended === undefined ? stillOpen(peer, started) : { kind: 'refused-by-connack', version: peer.version, code }
  }
  const ended = await within(peer.closed, SIM_LIMITS.verdictMs)
  if (ended === undefined) return stillOpen(peer, started)
  if (ended.bytes > 0) return { kind: 'cut', version: peer.version, code: connack !== undefined && isDisconnect(connack) ? connack.reasonCode : undefined, afterMs: ended.at - started }
  return { kind: 'refused-in-tls', how: ended.error ?? 'closed' }
}

function stillOpen(peer: Peer, started: number): Observed {
  peer.socket.destroy()
  return { kind: 'open', afterMs: performance.now() - started }
}

/** Waits for the end of a live session. `since` is the performance.now() at which it should have begun to end. */
export async function howSessionEnded(peer: Peer, since: number, ms: number = SIM_LIMITS.verdictMs): Promise<Observed> {
  const ended = await within(peer.closed, ms)
  if (ended === undefined) return { kind: 'open', afterMs: performance.now() - since }
  const disconnect = peer.received.findLast(isDisconnect)
  return { kind: 'cut', version: peer.version, code: disconnect?.reasonCode, afterMs: Math.max(0, ended.at - since) }
}
