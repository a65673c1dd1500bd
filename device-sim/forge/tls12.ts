// A TLS 1.2 client written by hand, so that its CertificateVerify can be anything: node:tls cannot send a malformed one.
// In TLS 1.2 that message is still in the clear and is judged before Finished. One suite family (ECDHE with AES-128-GCM
// and SHA-256), one group (P-256). RFC 5246, RFC 5288, RFC 8422. It does not verify the server: it is an attacker.

import { createCipheriv, createDecipheriv, createECDH, createHash, createHmac, randomBytes } from 'node:crypto'
import net from 'node:net'
import { SIM_LIMITS } from '../limits.ts'
import { clientHello, HANDSHAKE, handshakeMessage, record, TLS_VERSION, uint16, uint24, vector16 } from './client-hello.ts'

const VERSION = TLS_VERSION['TLS 1.2']
const GCM_SUITES = [0xc02b, 0xc02f]
const MESSAGE = { serverHello: 2, certificate: 11, serverKeyExchange: 12, serverHelloDone: 14, certificateVerify: 15, clientKeyExchange: 16, finished: 20 } as const
const TAG_BYTES = 16

export interface Tls12Options {
  readonly host: string
  readonly port: number
  readonly localAddress?: string
  /** DER, leaf first. */
  readonly chain: readonly Buffer[]
  /** The body of the CertificateVerify message for this transcript of the handshake. */
  certificateVerify(transcript: Buffer): Buffer
  /** Every message of the handshake that is in the clear, in its order. */
  onMessage?(from: 'client' | 'server', message: Buffer): void
}

export type Tls12Result =
  | { readonly kind: 'established'; readonly localPort: number; readonly connection: Tls12Connection }
  | { readonly kind: 'alert'; readonly localPort: number; readonly description: number }
  | { readonly kind: 'closed'; readonly localPort: number }
  | { readonly kind: 'silent'; readonly localPort: number }

export interface Tls12Connection {
  send(data: Buffer): void
  /** The next application data; undefined when the peer closed or sent an alert. */
  receive(): Promise<Buffer | undefined>
  end(): void
}

/** signature algorithm and signature, as a CertificateVerify has them. RFC 5246 §7.4.8. */
export function certificateVerifyBody(scheme: number, signature: Buffer): Buffer {
  return Buffer.concat([uint16(scheme), vector16(signature)])
}

interface TlsRecord {
  readonly type: number
  readonly body: Buffer
}

interface Wire {
  write(bytes: Buffer): void
  /** The next record; undefined when the connection is over. */
  next(): Promise<TlsRecord | undefined>
  readonly localPort: number
  destroy(): void
}

async function openWire(options: Tls12Options): Promise<Wire> {
  const socket = net.connect({ host: options.host, port: options.port, ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }) })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  const localPort = socket.localPort ?? 0
  // A reset after the alert is no news.
  socket.on('error', () => {})
  const chunks = socket[Symbol.asyncIterator]()
  let buffered: Buffer = Buffer.alloc(0)
  return {
    localPort,
    write: (bytes) => void socket.write(bytes),
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

/** P_SHA256. RFC 5246 §5. */
function prf(secret: Buffer, label: string, seed: Buffer, length: number): Buffer {
  const hmac = (data: Buffer): Buffer => createHmac('sha256', secret).update(data).digest()
  const labelled = Buffer.concat([Buffer.from(label), seed])
  let a: Buffer = labelled
  let out: Buffer = Buffer.alloc(0)
  while (out.length < length) {
    a = hmac(a)
    out = Buffer.concat([out, hmac(Buffer.concat([a, labelled]))])
  }
  return out.subarray(0, length)
}

interface Sealer {
  seal(type: number, plain: Buffer): Buffer
}
interface Opener {
  open(type: number, sealed: Buffer): Buffer
}

function associated(sequenceNumber: bigint, type: number, length: number): Buffer {
  const head = Buffer.alloc(8)
  head.writeBigUInt64BE(sequenceNumber)
  return Buffer.concat([head, Buffer.from([type]), uint16(VERSION), uint16(length)])
}

function sealer(key: Buffer, salt: Buffer): Sealer {
  let count = 0n
  return {
    seal(type, plain) {
      const explicit = Buffer.alloc(8)
      explicit.writeBigUInt64BE(count)
      const cipher = createCipheriv('aes-128-gcm', key, Buffer.concat([salt, explicit]))
      cipher.setAAD(associated(count, type, plain.length))
      count += 1n
      return Buffer.concat([explicit, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
  }
}

function opener(key: Buffer, salt: Buffer): Opener {
  let count = 0n
  return {
    open(type, sealed) {
      const decipher = createDecipheriv('aes-128-gcm', key, Buffer.concat([salt, sealed.subarray(0, 8)]))
      const body = sealed.subarray(8, sealed.length - TAG_BYTES)
      decipher.setAAD(associated(count, type, body.length))
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
      count += 1n
      return Buffer.concat([decipher.update(body), decipher.final()])
    },
  }
}

interface ServerFlight {
  readonly serverRandom: Buffer
  readonly serverPoint: Buffer
  readonly messages: readonly Buffer[]
}

/** Reads to ServerHelloDone. An alert or the end of the connection is returned as it came. */
async function readServerFlight(wire: Wire): Promise<ServerFlight | TlsRecord | undefined> {
  const messages: Buffer[] = []
  let serverRandom: Buffer = Buffer.alloc(0)
  let serverPoint: Buffer = Buffer.alloc(0)
  let buffered: Buffer = Buffer.alloc(0)
  for (;;) {
    const next = await wire.next()
    if (next === undefined || next.type !== HANDSHAKE.record) return next
    buffered = Buffer.concat([buffered, next.body])
    while (buffered.length >= 4 && buffered.length >= 4 + buffered.readUIntBE(1, 3)) {
      const message = buffered.subarray(0, 4 + buffered.readUIntBE(1, 3))
      buffered = buffered.subarray(message.length)
      messages.push(message)
      if (message[0] === MESSAGE.serverHello) serverRandom = message.subarray(6, 38)
      // curve type, named curve, then the point with a length of one octet. RFC 8422 §5.4.
      if (message[0] === MESSAGE.serverKeyExchange) serverPoint = message.subarray(8, 8 + (message[7] ?? 0))
      if (message[0] === MESSAGE.serverHelloDone) return { serverRandom, serverPoint, messages }
    }
  }
}

function failure(wire: Wire, last: TlsRecord | undefined): Tls12Result {
  wire.destroy()
  const { localPort } = wire
  return last?.type === HANDSHAKE.alert ? { kind: 'alert', localPort, description: last.body[1] ?? 0 } : { kind: 'closed', localPort }
}

/** Runs the handshake as told. A server that neither answers nor closes within `verdictMs` is 'silent'. */
export async function openTls12(options: Tls12Options): Promise<Tls12Result> {
  const wire = await openWire(options)
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<Tls12Result>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: 'silent', localPort: wire.localPort })
      wire.destroy()
    }, SIM_LIMITS.verdictMs)
  })
  try {
    return await Promise.race([handshake(wire, options), deadline])
  } finally {
    clearTimeout(timer)
  }
}

async function handshake(wire: Wire, options: Tls12Options): Promise<Tls12Result> {
  const random = randomBytes(32)
  const hello = clientHello({ version: VERSION, random, suites: GCM_SUITES })
  wire.write(record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], hello))
  const flight = await readServerFlight(wire)
  if (flight === undefined || 'type' in flight) return failure(wire, flight)

  const ecdh = createECDH('prime256v1')
  const point = ecdh.generateKeys()
  const certificates = options.chain.map((certificate) => Buffer.concat([uint24(certificate.length), certificate]))
  const list = Buffer.concat(certificates)
  const messages = [
    hello,
    ...flight.messages,
    handshakeMessage(MESSAGE.certificate, Buffer.concat([uint24(list.length), list])),
    handshakeMessage(MESSAGE.clientKeyExchange, Buffer.concat([Buffer.from([point.length]), point])),
  ]
  messages.push(handshakeMessage(MESSAGE.certificateVerify, options.certificateVerify(Buffer.concat(messages))))
  const transcript = Buffer.concat(messages)
  for (const message of messages) options.onMessage?.(flight.messages.includes(message) ? 'server' : 'client', message)

  const master = prf(ecdh.computeSecret(flight.serverPoint), 'master secret', Buffer.concat([random, flight.serverRandom]), 48)
  const keys = prf(master, 'key expansion', Buffer.concat([flight.serverRandom, random]), 40)
  const write = sealer(keys.subarray(0, 16), keys.subarray(32, 36))
  const read = opener(keys.subarray(16, 32), keys.subarray(36, 40))
  const verifyData = prf(master, 'client finished', createHash('sha256').update(transcript).digest(), 12)
  wire.write(Buffer.concat([
    ...messages.slice(-3).map((message) => record(HANDSHAKE.record, VERSION, message)),
    record(HANDSHAKE.changeCipherSpec, VERSION, Buffer.from([1])),
    record(HANDSHAKE.record, VERSION, write.seal(HANDSHAKE.record, handshakeMessage(MESSAGE.finished, verifyData))),
  ]))

  // A NewSessionTicket may come in the clear before ChangeCipherSpec; what follows it is the server's Finished.
  for (;;) {
    const next = await wire.next()
    if (next === undefined || next.type === HANDSHAKE.alert) return failure(wire, next)
    if (next.type === HANDSHAKE.changeCipherSpec) break
  }
  const finished = await wire.next()
  if (finished === undefined || finished.type !== HANDSHAKE.record) return failure(wire, finished)
  read.open(HANDSHAKE.record, finished.body)
  return { kind: 'established', localPort: wire.localPort, connection: connectionOver(wire, write, read) }
}

function connectionOver(wire: Wire, write: Sealer, read: Opener): Tls12Connection {
  return {
    send: (data) => wire.write(record(HANDSHAKE.applicationData, VERSION, write.seal(HANDSHAKE.applicationData, data))),
    async receive() {
      const next = await wire.next()
      if (next === undefined || next.type !== HANDSHAKE.applicationData) return undefined
      return read.open(HANDSHAKE.applicationData, next.body)
    },
    end: () => wire.destroy(),
  }
}
