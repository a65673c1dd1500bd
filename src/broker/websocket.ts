// From a finished handshake to an open WebSocket: one HTTP request under a deadline, answered with 101 or with a short
// refusal and the end. It owns connections in between; TLS and the peer were judged before, MQTT is the engine's.

import { createServer, STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { BROKER_LIMITS } from '../limits.ts'
import { deny, type Denied } from '../core/decision.ts'
import { REASONS } from '../vocabulary.ts'
import { farewell } from './engine/link.ts'
import type { SecureConnection } from './listener.ts'
import type { Peer } from './peer.ts'
import type { ConnectionBounds } from './ports.ts'
import { judgeUpgrade, SUBPROTOCOL, type UpgradeRules } from './upgrade.ts'
import { openWebSocketStream } from './websocket-stream.ts'

export interface UpgraderPorts extends UpgradeRules {
  readonly bounds: () => Pick<ConnectionBounds, 'packetBytesMax'>
  /** From here on `connection.stream` speaks MQTT. Returns the way to end the connection for what is wrong with its frames. */
  onOpen(connection: SecureConnection, peer: Peer): (fault: Denied) => void
  /** The request was refused and is answered. */
  onRefused(connection: SecureConnection, peer: Peer, denied: Denied): void
}

export interface Upgrader {
  /** Takes over a connection that has nothing read from it yet. */
  receive(connection: SecureConnection, peer: Peer): void
  /** Ends connections that are not WebSockets yet. */
  close(): void
}

interface Waiting {
  readonly connection: SecureConnection
  readonly peer: Peer
  readonly deadline: NodeJS.Timeout
}

export function openUpgrader(ports: UpgraderPorts): Upgrader {
  const waiting = new Map<Duplex, Waiting>()
  // It listens nowhere: connections are given to it. What it would answer by itself is answered here.
  const http = createServer({ maxHeaderSize: BROKER_LIMITS.upgradeHeaderBytesMax, requireHostHeader: false })
  const webSockets = new WebSocketServer({
    ...BOUNDS, noServer: true, clientTracking: false, autoPong: false, handleProtocols: () => SUBPROTOCOL, // [MQTT-6.0.0-4]
    // Compressed, a few bytes could stand for megabytes.
    perMessageDeflate: false,
  })

  /** One connection has one verdict. */
  function take(socket: Duplex): Waiting | undefined {
    const found = waiting.get(socket)
    clearTimeout(found?.deadline)
    waiting.delete(socket)
    return found
  }

  function refuse(socket: Duplex, status: number, denied: Denied): void {
    const found = take(socket)
    if (found === undefined) return
    ports.onRefused(found.connection, found.peer, denied)
    farewell(socket, refusalAnswer(status, denied))
  }

  function onRequest(request: IncomingMessage): void {
    const { status, denied } = judgeUpgrade(request, ports) ?? NOT_AN_UPGRADE
    refuse(request.socket, status, denied)
  }

  function open(webSocket: WebSocket, socket: Duplex): void {
    const found = take(socket)
    if (found === undefined) return webSocket.terminate()
    const { connection, peer } = found
    let admitted = false
    let end = (_fault: Denied): void => void socket.destroy()
    const stream = openWebSocketStream(webSocket, connection.socket, { isAdmitted: () => admitted, onFault: (fault) => end(fault) })
    const settled = (): void => {
      admitted = true
      connection.settled()
    }
    end = ports.onOpen({ ...connection, stream, settled }, peer)
  }

  http.on('upgrade', (request, socket, head) => {
    const refusal = judgeUpgrade(request, ports)
    if (refusal !== undefined) return refuse(socket, refusal.status, refusal.denied)
    // Each WebSocket takes its bound from here when it is made.
    webSockets.options.maxPayload = ports.bounds().packetBytesMax + BROKER_LIMITS.messageSlackBytes
    webSockets.handleUpgrade(request, socket, head, (webSocket) => open(webSocket, socket))
  })
  webSockets.on('wsClientError', (error, socket) => refuse(socket, 400, deny('websocket-upgrade', error.message)))
  http.on('request', onRequest)
  http.on('checkContinue', onRequest)
  http.on('checkExpectation', onRequest)
  http.on('connect', onRequest)
  http.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => {
    if (code === 'HPE_HEADER_OVERFLOW') refuse(socket, 431, deny('websocket-upgrade', 'the header of the request is too large'))
    else if (code?.startsWith('HPE_') === true) refuse(socket, 400, deny('websocket-upgrade', 'not a request of HTTP'))
    else socket.destroy()
  })

  return {
    receive(connection, peer) {
      const { socket } = connection
      const deadline = setTimeout(() => refuse(socket, 408, deny('connect-timeout', 'no complete WebSocket upgrade')), BROKER_LIMITS.upgradeMs)
      waiting.set(socket, { connection, peer, deadline })
      socket.once('close', () => take(socket))
      http.emit('connection', socket)
    },
    close() {
      for (const socket of waiting.keys()) socket.destroy()
    },
  }
}

/** Options of `ws` that its declarations do not know yet. */
const BOUNDS = {
  maxFragments: BROKER_LIMITS.messageFragmentsMax,
  maxBufferedChunks: BROKER_LIMITS.messagePiecesMax,
  // Text is refused, whatever it says.
  skipUTF8Validation: true,
  // A peer that answers no Close, as one that does not end its side of a connection.
  closeTimeout: BROKER_LIMITS.lingerMs,
}

/** As it would be an upgrade in every way, but for `Connection: Upgrade`. */
const NOT_AN_UPGRADE = { status: 426, denied: deny('websocket-upgrade', 'no upgrade to a WebSocket') }

/** Headers that HTTP asks for: RFC 9110 §15.5.6 and §15.5.22, RFC 6455 §4.4. */
const ANSWER_HEADERS: Readonly<Record<number, readonly string[]>> = {
  405: ['Allow: GET'],
  426: ['Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
}

/** Nothing of what the peer said is said again. */
function refusalAnswer(status: number, { reason }: Denied): Buffer {
  const body = `${REASONS[reason].sentence}\n`
  return Buffer.from([
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...(ANSWER_HEADERS[status] ?? []), 'Connection: close',
    'Content-Type: text/plain; charset=utf-8', `Content-Length: ${Buffer.byteLength(body)}`, '', body,
  ].join('\r\n'))
}
