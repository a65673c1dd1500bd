// A TLS 1.2 client written by hand, so that its CertificateVerify can be anything: node:tls cannot send a malformed one.
// In TLS 1.2 that message is still in the clear and is judged before Finished. One suite family (ECDHE with AES-128-GCM
// and SHA-256), one group (P-256). RFC 5246, RFC 5288, RFC 8422. It does not verify the server: it is an attacker.

import { createCipheriv, createDecipheriv, createECDH, createHash, createHmac, randomBytes } from 'node:crypto'
import { clientHello, extension, HANDSHAKE, handshakeMessage, record, TLS_VERSION, uint16, uint24, vector16 } from './client-hello.ts'
import { failure, inRecords, openWire, underDeadline, type HandmadeConnection, type HandmadeResult, type TlsRecord, type Wire, type WireOptions } from './wire.ts'

const VERSION = TLS_VERSION['TLS 1.2']
const GCM_SUITES = [0xc02b, 0xc02f]
const MESSAGE = { serverHello: 2, certificate: 11, serverKeyExchange: 12, serverHelloDone: 14, certificateVerify: 15, clientKeyExchange: 16, finished: 20 } as const
const TAG_BYTES = 16

export interface Tls12Options extends WireOptions {
  /** DER, leaf first. */
  readonly chain: readonly Buffer[]
  /** The body of the CertificateVerify message for this transcript of the handshake. */
  certificateVerify(transcript: Buffer): Buffer
  /** How many bytes of a handshake message go into one record; as many as fit when absent. */
  readonly recordBytes?: number | undefined
  /** Called before each message is sent; true ends the handshake there, and the connection is the caller's to end. */
  stopBefore?(message: Tls12Step, wire: Wire): boolean | Promise<boolean>
  /** Every message of the handshake that is in the clear, in its order. */
  onMessage?(from: 'client' | 'server', message: Buffer): void
}

export interface Tls12Connection extends HandmadeConnection {
  /** A ClientHello within the connection, as one that renegotiates securely sends it. */
  greetAgain(): void
}

/** The messages of the client, in their order. */
export const TLS12_STEPS = ['client-hello', 'certificate', 'client-key-exchange', 'certificate-verify', 'finished', 'established'] as const
export type Tls12Step = (typeof TLS12_STEPS)[number]

/** signature algorithm and signature, as a CertificateVerify has them. RFC 5246 §7.4.8. */
export function certificateVerifyBody(scheme: number, signature: Buffer): Buffer {
  return Buffer.concat([uint16(scheme), vector16(signature)])
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

/** Runs the handshake as told. A server that neither answers nor closes within `verdictMs` is 'silent'. */
export async function openTls12(options: Tls12Options): Promise<HandmadeResult<Tls12Connection>> {
  const wire = await openWire(options)
  return underDeadline(wire, handshake(wire, options))
}

const RENEGOTIATION_INFO = 0xff01

/** `finished` is what this client's last Finished held: nothing for the first handshake of a connection. RFC 5746 §3.5. */
function greeting(random: Buffer, finished: Buffer): Buffer {
  return clientHello({ version: VERSION, random, suites: GCM_SUITES, more: [extension(RENEGOTIATION_INFO, Buffer.concat([Buffer.from([finished.length]), finished]))] })
}

async function handshake(wire: Wire, options: Tls12Options): Promise<HandmadeResult<Tls12Connection>> {
  const stopped = async (step: Tls12Step): Promise<boolean> => (await options.stopBefore?.(step, wire)) === true
  const over = { kind: 'closed', localPort: wire.localPort } as const
  const random = randomBytes(32)
  const hello = greeting(random, Buffer.alloc(0))
  if (await stopped('client-hello')) return over
  wire.write(inRecords(hello, TLS_VERSION['TLS 1.0'], options.recordBytes))
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
  const { write, read, verifyData } = keysOf(ecdh.computeSecret(flight.serverPoint), random, flight.serverRandom, transcript)
  for (const [i, message] of messages.slice(-3).entries()) {
    if (await stopped(TLS12_STEPS[i + 1] ?? 'finished')) return over
    wire.write(inRecords(message, VERSION, options.recordBytes))
  }
  if (await stopped('finished')) return over
  wire.write(Buffer.concat([
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
  if (await stopped('established')) return over
  return { kind: 'established', localPort: wire.localPort, connection: connectionOver(wire, write, read, verifyData) }
}

interface Keys {
  readonly write: Sealer
  readonly read: Opener
  readonly verifyData: Buffer
}

function keysOf(shared: Buffer, clientRandom: Buffer, serverRandom: Buffer, transcript: Buffer): Keys {
  const master = prf(shared, 'master secret', Buffer.concat([clientRandom, serverRandom]), 48)
  const keys = prf(master, 'key expansion', Buffer.concat([serverRandom, clientRandom]), 40)
  return {
    write: sealer(keys.subarray(0, 16), keys.subarray(32, 36)),
    read: opener(keys.subarray(16, 32), keys.subarray(36, 40)),
    verifyData: prf(master, 'client finished', createHash('sha256').update(transcript).digest(), 12),
  }
}

function connectionOver(wire: Wire, write: Sealer, read: Opener, finished: Buffer): Tls12Connection {
  const next = async (): Promise<TlsRecord | undefined> => {
    const sealed = await wire.next()
    return sealed === undefined ? undefined : { type: sealed.type, body: read.open(sealed.type, sealed.body) }
  }
  const sendRecord = (type: number, plain: Buffer): void => wire.write(record(type, VERSION, write.seal(type, plain)))
  return {
    wire,
    sendRecord,
    greetAgain: () => sendRecord(HANDSHAKE.record, greeting(randomBytes(32), finished)),
    send: (data) => sendRecord(HANDSHAKE.applicationData, data),
    next,
    async receive() {
      const found = await next()
      return found?.type === HANDSHAKE.applicationData ? found.body : undefined
    },
    end: () => wire.destroy(),
  }
}
