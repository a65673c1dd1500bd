// A WebSocket as the engine reads and writes any connection: what arrives in binary messages is one stream of bytes, and
// what is written in one turn is one message. It knows frames and no packets, and owns the end of both: once the stream is
// destroyed the socket is, whatever the peer thinks of closing handshakes.

import { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { WebSocket } from 'ws'
import { BROKER_LIMITS } from '../limits.ts'
import { deny, type Denied } from '../core/decision.ts'
import type { DenyReason } from '../vocabulary.ts'

/** RFC 6455 §7.4.1 */
const CLOSE = { normal: 1_000, unsupportedData: 1_003, tooBig: 1_009 } as const

/** What `ws` finds wrong with frames; it has answered with a Close of its own by then. */
const FRAME_FAULTS: Readonly<Record<string, DenyReason>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'packet-too-large',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'packet-too-large',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'quota-exceeded',
}

export interface WebSocketStreamPorts {
  /** Has the CONNECT been answered with yes? Until then less is buffered. */
  isAdmitted(): boolean
  /** The peer broke the rules of WebSocket, or of MQTT for it; nothing of it is read any more. Told once. */
  onFault(fault: Denied): void
}

/** `webSocket` is open, on `socket`, and answers no pings by itself. */
export function openWebSocketStream(webSocket: WebSocket, socket: TLSSocket, ports: WebSocketStreamPorts): Duplex {
  let closeCode: number = CLOSE.normal
  let broken = false

  const stream = new Duplex({
    // Who has said its last word gets none any more, as on a socket.
    allowHalfOpen: false,
    read() {
      if (webSocket.isPaused && !broken) webSocket.resume()
    },
    write(chunk: Uint8Array, _encoding, done) {
      webSocket.send(chunk, done)
    },
    final(done) {
      webSocket.close(closeCode)
      done()
    },
    destroy(error, done) {
      // The Close goes out if the network takes it at once. Nobody waits for its answer: revoked means gone.
      webSocket.close(closeCode)
      socket.destroy()
      if (socket.closed) done(error)
      else socket.once('close', () => done(error))
    },
  })

  function fail(fault: Denied, code: number): void {
    if (broken) return
    broken = true
    closeCode = code
    webSocket.pause()
    ports.onFault(fault)
  }

  let unparsed = 0
  webSocket.on('message', (data, isBinary) => {
    unparsed = 0
    if (broken) return
    // [MQTT-6.0.0-1]
    if (!isBinary || !Buffer.isBuffer(data)) return fail(deny('protocol-error', 'a WebSocket text message'), CLOSE.unsupportedData)
    // Packets are not aligned to messages [MQTT-6.0.0-2].
    if (!stream.push(data)) webSocket.pause()
  })
  webSocket.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    // What has no such code is the network's.
    if (code?.startsWith('WS_ERR_') === true) fail(deny(FRAME_FAULTS[code] ?? 'malformed-packet', message), closeCode)
  })
  webSocket.once('close', () => {
    if (socket.errored === null) stream.push(null)
    else stream.destroy()
  })
  boundBeforeConnack()
  answerPings(webSocket)

  /** A whole message is buffered before the frame guard sees its first packet: no more of it than a CONNECT may have. */
  function boundBeforeConnack(): void {
    const onData = (chunk: Uint8Array): void => {
      if (ports.isAdmitted()) return void socket.off('data', onData)
      unparsed += chunk.length
      if (unparsed > UNPARSED_BEFORE_CONNACK) fail(deny('packet-too-large', 'a WebSocket message before CONNACK'), CLOSE.tooBig)
    }
    socket.on('data', onData)
  }

  return stream
}

/** One CONNECT in one message, and what the same read brought along. */
const UNPARSED_BEFORE_CONNACK = 2 * BROKER_LIMITS.connectPacketBytesMax

/** One Pong is on its way, and one waits: the newest Ping is answered, as RFC 6455 §5.5.3 allows. A flood of Pings heaps up nothing. */
function answerPings(webSocket: WebSocket): void {
  let newest: Buffer | undefined
  let answering = false
  function answer(): void {
    if (newest === undefined) return
    const data = newest
    newest = undefined
    answering = true
    webSocket.pong(data, false, () => {
      answering = false
      answer()
    })
  }
  webSocket.on('ping', (data: Buffer) => {
    newest = data
    if (!answering) answer()
  })
}
