// TLS records on a TCP connection: what the handshakes that are written by hand stand on. It cuts bytes into records and puts
// handshake messages into as many as they need; it understands none of them.

import { once } from 'node:events'
import net from 'node:net'
import { SIM_LIMITS } from '../limits.ts'
import { HANDSHAKE, record } from './client-hello.ts'

export interface TlsRecord {
  readonly type: number
  readonly body: Buffer
}

export interface Wire {
  write(bytes: Buffer): void
  /** The next record; undefined when the connection is over. */
  next(): Promise<TlsRecord | undefined>
  readonly localAddress: string | undefined
  readonly localPort: number
  readonly socket: net.Socket
  /** Ends it with a FIN, which tells TLS nothing. */
  destroy(): void
}

export interface WireOptions {
  readonly host: string
  readonly port: number
  readonly localAddress?: string | undefined
}

export async function openWire(options: WireOptions): Promise<Wire> {
  const socket = net.connect({ host: options.host, port: options.port, noDelay: true, ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }) })
  await once(socket, 'connect')
  const { localAddress, localPort = 0 } = socket
  // A reset after the alert is no news.
  socket.on('error', () => {})
  const chunks = socket[Symbol.asyncIterator]()
  let buffered: Buffer = Buffer.alloc(0)
  return {
    localAddress,
    localPort,
    socket,
    write: (bytes) => void (socket.writable && socket.write(bytes)),
    destroy: () => void socket.destroy(),
    async next() {
      for (;;) {
        if (buffered.length >= 5 && buffered.length >= 5 + buffered.readUInt16BE(3)) {
          const end = 5 + buffered.readUInt16BE(3)
          const found = { type: buffered[0] ?? 0, body: buffered.subarray(5, end) }
          buffered = buffered.subarray(end)
          return found
        }
        const chunk = await chunks.next().catch(() => ({ done: true, value: undefined }) as const)
        if (chunk.done === true || !Buffer.isBuffer(chunk.value)) return undefined
        buffered = Buffer.concat([buffered, chunk.value])
      }
    },
  }
}

/** The most that one record may hold. RFC 8446 §5.1. */
const RECORD_BYTES_MAX = 16_384

/** Cuts a message into pieces that each fit a record. */
export function pieces(message: Buffer, bytes: number = RECORD_BYTES_MAX): readonly Buffer[] {
  return Array.from({ length: Math.ceil(message.length / bytes) }, (_, i) => message.subarray(i * bytes, (i + 1) * bytes))
}

/** A handshake message in records of at most so many bytes. */
export function inRecords(message: Buffer, version: number, bytes?: number): Buffer {
  return Buffer.concat(pieces(message, bytes).map((piece) => record(HANDSHAKE.record, version, piece)))
}

/** How a handshake ended that did not come to its end. */
export type BrokenHandshake =
  | { readonly kind: 'alert'; readonly localPort: number; readonly description: number }
  | { readonly kind: 'closed'; readonly localPort: number }
  | { readonly kind: 'silent'; readonly localPort: number }

/** What a handshake by hand came to. */
export type HandmadeResult<Connection extends HandmadeConnection = HandmadeConnection> =
  | { readonly kind: 'established'; readonly localPort: number; readonly connection: Connection }
  | BrokenHandshake

export interface HandmadeConnection {
  send(data: Buffer): void
  /** A record of any type, sealed. */
  sendRecord(type: number, plain: Buffer): void
  /** The next application data; undefined when the peer closed or sent an alert. */
  receive(): Promise<Buffer | undefined>
  /** The next record of any type, opened. */
  next(): Promise<TlsRecord | undefined>
  readonly wire: Wire
  /** TCP's end without TLS's. */
  end(): void
}

export function failure(wire: Wire, last: TlsRecord | undefined): BrokenHandshake {
  wire.destroy()
  const { localPort } = wire
  return last?.type === HANDSHAKE.alert ? { kind: 'alert', localPort, description: last.body[1] ?? 0 } : { kind: 'closed', localPort }
}

/** Runs a handshake. A server that neither answers nor closes within `verdictMs` is 'silent'. */
export async function underDeadline<T>(wire: Wire, handshake: Promise<T>): Promise<T | BrokenHandshake> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<BrokenHandshake>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: 'silent', localPort: wire.localPort })
      wire.destroy()
    }, SIM_LIMITS.verdictMs)
  })
  try {
    return await Promise.race([handshake, deadline])
  } finally {
    clearTimeout(timer)
  }
}
