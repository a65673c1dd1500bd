// HTTP by hand over TLS: bytes as they are told, at the speed that they are told, and what comes back. It is for requests that an HTTP
// library would not send, and judges nothing.

import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'
import type { EstDoor } from './est.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Credentials } from './raw-peer.ts'
import { within } from './within.ts'

export interface HttpAnswer {
  /** Of the first answer; 0 when there was none. */
  readonly status: number
  /** Why it is no certificate, as the server names it. */
  readonly reason: string | undefined
  readonly body: string
  /** How many answers came: to one request there is one. */
  readonly answers: number
  /** The server ended the connection. */
  readonly closed: boolean
  readonly afterMs: number
}

type Pieces = readonly (string | Buffer)[]

export interface HttpAttempt {
  readonly door: EstDoor
  readonly source?: string | undefined
  readonly credentials?: Credentials | undefined
  /** Sent one after the other, with a pause between them where there is one. */
  readonly pieces: Pieces | ((socket: tls.TLSSocket) => Pieces)
  readonly pauseMs?: number
  /** How long an answer is waited for; `untilClosed` waits for the end of the connection. */
  readonly waitMs?: number
  readonly untilClosed?: true
}

export async function exchangeHttp({ door, source, credentials, pieces, pauseMs = 0, waitMs = SIM_LIMITS.verdictMs, untilClosed }: HttpAttempt): Promise<HttpAnswer> {
  const socket = tls.connect({
    host: door.host, port: door.port, ca: door.ca, servername: 'localhost', ...(credentials === undefined ? {} : { cert: credentials.cert, key: credentials.key }),
    ...(source === undefined ? {} : { localAddress: source }),
  })
  const since = performance.now()
  let text = ''
  let told = (): void => {}
  socket.on('data', (chunk: Buffer) => {
    if (text.length < SIM_LIMITS.estAnswerCharsMax) text += chunk.toString('latin1')
    told()
  })
  socket.on('error', () => {})
  socket.once('end', () => socket.destroy())
  const closed = new Promise<true>((resolve) => void socket.once('close', () => resolve(true)))
  const answered = new Promise<void>((resolve) => {
    told = () => void (untilClosed !== true && isWhole(text) && resolve())
  })
  const over = within(Promise.race([answered.then(() => false), closed]), waitMs)
  await Promise.race([new Promise<void>((resolve) => void socket.once('secureConnect', () => resolve())), closed])
  // What depends on the connection is made when it is there; where there is none, nothing is sent.
  for (const piece of socket.destroyed ? [] : typeof pieces === 'function' ? pieces(socket) : pieces) {
    if (socket.destroyed) break
    socket.write(piece)
    if (pauseMs > 0) await Promise.race([delay(pauseMs), over])
  }
  const ended = await over
  const afterMs = performance.now() - since
  socket.destroy()
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? body.length)
  return {
    status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? '0'), reason: /\r\nsallyport-reason: ([\w-]+)/i.exec(head)?.[1], body: body.slice(0, length),
    answers: text.split('HTTP/1.1 ').length - 1, closed: ended === true, afterMs,
  }
}

/** The head has come, and the body that it announces. */
function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 'NaN')
  return Number.isNaN(length) || text.length >= end + 4 + length
}

export interface EstFields {
  readonly path?: string
  readonly method?: string
  readonly authorization?: string
  /** In place of the headers that tell how long the body is. */
  readonly framing?: readonly string[]
  readonly headers?: readonly string[]
}

const SIMPLE_ENROLL = '/.well-known/est/simpleenroll'

/** The head of a request, with its body's length unless the framing says otherwise. */
export function estHead(bodyLength: number, { path = SIMPLE_ENROLL, method = 'POST', authorization, framing, headers = [] }: EstFields = {}): string {
  return [
    `${method} ${path} HTTP/1.1`, 'Host: localhost', 'Content-Type: application/pkcs10', ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
    ...(framing ?? [`Content-Length: ${bodyLength}`]), ...headers, '', '',
  ].join('\r\n')
}

export function basic(id: string, token: string): string {
  return `Basic ${Buffer.from(`${id}:${token}`).toString('base64')}`
}

/** A request in base64 on one line, without the armour. RFC 8951 §3.1. */
export function base64Of(csr: string): string {
  return csr.replaceAll(/-----[^-]+-----|\s/g, '')
}
