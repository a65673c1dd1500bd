// A TLS 1.3 client written by hand: its certificates, its CertificateVerify, its early data and every later record can be
// anything. One group (X25519), one suite (AES-128-GCM with SHA-256), session tickets. RFC 8446. It does not verify the
// server: it is an attacker.

import { diffieHellman, generateKeyPairSync, randomBytes } from 'node:crypto'
import { clientHello, extension, GROUP, HANDSHAKE, handshakeMessage, record, TLS_VERSION, uint16, uint24, vector16 } from './client-hello.ts'
import { derived, expandLabel, finishedKey, hmac, keyOfShare, NOTHING, protection, sha256, shareOf, vector8, type Protection } from './tls13-keys.ts'
import { failure, openWire, pieces, underDeadline, type HandmadeConnection, type HandmadeResult, type TlsRecord, type Wire, type WireOptions } from './wire.ts'

const SUITE = 0x1301
const EXTENSION = { preSharedKey: 41, earlyData: 42, supportedVersions: 43, pskModes: 45, keyShare: 51 } as const
const MESSAGE = { serverHello: 2, newSessionTicket: 4, certificate: 11, certificateRequest: 13, certificateVerify: 15, finished: 20, keyUpdate: 24 } as const

/** What a server gives for the next time. RFC 8446 §4.6.1. */
export interface Ticket {
  readonly identity: Buffer
  readonly key: Buffer
  readonly ageAdd: number
}

export interface Tls13Options extends WireOptions {
  /** DER, leaf first. */
  readonly chain: readonly Buffer[]
  /** The body of the CertificateVerify message for this content, which is what has to be signed. */
  certificateVerify(content: Buffer): Buffer
  /** In place of the Certificate message: a whole handshake message. */
  readonly certificateMessage?: Buffer
  readonly ticket?: Ticket
  /** Sent behind the ClientHello, under the key of the ticket. */
  readonly earlyData?: Buffer
  /** Whole records, sent behind the ClientHello. */
  readonly meanwhile?: Buffer
}

export interface Tls13Connection extends HandmadeConnection {
  /** Whether the server took the ticket that was offered. */
  readonly resumed: boolean
  /** What the server has given by now. */
  readonly tickets: readonly Ticket[]
  /** A KeyUpdate message and, from there on, the next keys; `asked` asks the server for the same. RFC 8446 §4.6.3. */
  updateKeys(asked: boolean): void
}

/** The ClientHello of TLS 1.3, with this key share or none, and whole extensions behind it. */
export function clientHello13(share: Buffer | undefined, more: readonly Buffer[] = [], random: Buffer = randomBytes(32)): Buffer {
  return clientHello({
    version: TLS_VERSION['TLS 1.2'],
    random,
    suites: [SUITE],
    groups: [GROUP.x25519, GROUP.p256],
    schemes: [0x0403, 0x0503, 0x0804, 0x0807],
    more: [
      extension(EXTENSION.supportedVersions, vector8(uint16(0x0304))),
      extension(EXTENSION.keyShare, share === undefined ? vector16() : vector16(uint16(GROUP.x25519), vector16(share))),
      ...more,
    ],
  })
}

/** With the ticket, whose binder must be the last thing in it and covers all before. RFC 8446 §4.2.11.2. */
function helloWithTicket(share: Buffer, ticket: Ticket, early: boolean): Buffer {
  const random = randomBytes(32)
  const age = Buffer.alloc(4)
  age.writeUInt32BE(ticket.ageAdd)
  const binders = (binder: Buffer): Buffer => vector16(vector8(binder))
  const build = (binder: Buffer): Buffer => clientHello13(share, [
    extension(EXTENSION.pskModes, Buffer.from([1, 1])),
    ...(early ? [extension(EXTENSION.earlyData, Buffer.alloc(0))] : []),
    extension(EXTENSION.preSharedKey, Buffer.concat([vector16(vector16(ticket.identity), age), binders(binder)])),
  ], random)
  const draft = build(NOTHING)
  const binderKey = expandLabel(hmac(NOTHING, ticket.key), 'res binder', sha256())
  return build(hmac(finishedKey(binderKey), sha256(draft.subarray(0, draft.length - binders(NOTHING).length))))
}

interface ServerHello {
  /** Undefined when it asks for another one. */
  readonly share: Buffer | undefined
  readonly resumed: boolean
}

/** RFC 8446 §4.1.3. */
function readServerHello(message: Buffer): ServerHello {
  // Type, length, version, random, session id, suite, compression.
  const extensionsAt = 4 + 2 + 32 + 1 + (message[38] ?? 0) + 2 + 1
  let share: Buffer | undefined
  let resumed = false
  for (let at = extensionsAt + 2; at + 4 <= message.length; at += 4 + message.readUInt16BE(at + 2)) {
    const [type, length] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)]
    if (type === EXTENSION.preSharedKey) resumed = true
    if (type === EXTENSION.keyShare && length > 4) share = message.subarray(at + 8, at + 4 + length)
  }
  return { share, resumed }
}

type Flight = { readonly messages: readonly Buffer[] } | { readonly broken: TlsRecord | undefined }

/** Reads handshake messages out of records until one of this type has come. */
async function untilMessage(next: () => Promise<TlsRecord | undefined>, type: number): Promise<Flight> {
  const messages: Buffer[] = []
  let buffered: Buffer = Buffer.alloc(0)
  for (;;) {
    const found = await next()
    if (found?.type === HANDSHAKE.changeCipherSpec) continue
    if (found === undefined || found.type !== HANDSHAKE.record) return { broken: found }
    buffered = Buffer.concat([buffered, found.body])
    while (buffered.length >= 4 && buffered.length >= 4 + buffered.readUIntBE(1, 3)) {
      const message = buffered.subarray(0, 4 + buffered.readUIntBE(1, 3))
      buffered = buffered.subarray(message.length)
      messages.push(message)
      if (message[0] === type) return { messages }
    }
  }
}

/** Runs the handshake as told. A server that neither answers nor closes within `verdictMs` is 'silent'. */
export async function openTls13(options: Tls13Options): Promise<HandmadeResult<Tls13Connection>> {
  const wire = await openWire(options)
  return underDeadline(wire, handshake(wire, options))
}

async function handshake(wire: Wire, options: Tls13Options): Promise<HandmadeResult<Tls13Connection>> {
  const { ticket, earlyData, meanwhile } = options
  const own = generateKeyPairSync('x25519').privateKey
  const hello = ticket === undefined ? clientHello13(shareOf(own)) : helloWithTicket(shareOf(own), ticket, earlyData !== undefined)
  wire.write(record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], hello))
  if (earlyData !== undefined) wire.write(protection(expandLabel(hmac(NOTHING, ticket?.key ?? NOTHING), 'c e traffic', sha256(hello))).seal(HANDSHAKE.applicationData, earlyData))
  if (meanwhile !== undefined) wire.write(meanwhile)
  const first = await untilMessage(() => wire.next(), MESSAGE.serverHello)
  if ('broken' in first) return failure(wire, first.broken)
  const serverHello = first.messages.at(-1) ?? Buffer.alloc(0)
  const { share, resumed } = readServerHello(serverHello)
  if (share === undefined) return failure(wire, undefined)

  const secret = hmac(derived(hmac(NOTHING, resumed ? (ticket?.key ?? NOTHING) : NOTHING)), diffieHellman({ privateKey: own, publicKey: keyOfShare(share) }))
  const greeted = sha256(hello, serverHello)
  const clientSecret = expandLabel(secret, 'c hs traffic', greeted)
  const read = protection(expandLabel(secret, 's hs traffic', greeted))
  const second = await untilMessage(() => opened(wire, read), MESSAGE.finished)
  if ('broken' in second) return failure(wire, second.broken)

  const transcript = [hello, serverHello, ...second.messages]
  const master = hmac(derived(secret), NOTHING)
  const [clientNext, serverNext] = ['c ap traffic', 's ap traffic'].map((label) => expandLabel(master, label, sha256(...transcript)))
  const asked = second.messages.some((message) => message[0] === MESSAGE.certificateRequest)
  const flight = asked ? credentials(options, transcript) : []
  flight.push(handshakeMessage(MESSAGE.finished, hmac(finishedKey(clientSecret), sha256(...transcript, ...flight))))
  const write = protection(clientSecret)
  for (const message of flight) {
    for (const piece of pieces(message)) wire.write(write.seal(HANDSHAKE.record, piece))
  }
  const resumption = expandLabel(master, 'res master', sha256(...transcript, ...flight))
  return { kind: 'established', localPort: wire.localPort, connection: connectionOver({ wire, client: clientNext ?? NOTHING, server: serverNext ?? NOTHING, resumption, resumed }) }
}

/** Certificate and CertificateVerify; without a certificate there is nothing to prove. RFC 8446 §4.4.2, §4.4.3. */
function credentials(options: Tls13Options, transcript: readonly Buffer[]): Buffer[] {
  const list = Buffer.concat(options.chain.map((certificate) => Buffer.concat([uint24(certificate.length), certificate, uint16(0)])))
  const certificate = options.certificateMessage ?? handshakeMessage(MESSAGE.certificate, Buffer.concat([Buffer.from([0]), uint24(list.length), list]))
  if (options.chain.length === 0) return [certificate]
  const content = Buffer.concat([Buffer.alloc(64, 0x20), Buffer.from('TLS 1.3, client CertificateVerify\0'), sha256(...transcript, certificate)])
  return [certificate, handshakeMessage(MESSAGE.certificateVerify, options.certificateVerify(content))]
}

async function opened(wire: Wire, read: Protection): Promise<TlsRecord | undefined> {
  const found = await wire.next()
  return found?.type === HANDSHAKE.applicationData ? read.open(found.body) : found
}

interface Established {
  readonly wire: Wire
  readonly client: Buffer
  readonly server: Buffer
  readonly resumption: Buffer
  readonly resumed: boolean
}

function connectionOver({ wire, client, server, resumption, resumed }: Established): Tls13Connection {
  let secret = client
  let write = protection(secret)
  const read = protection(server)
  const tickets: Ticket[] = []
  const next = async (): Promise<TlsRecord | undefined> => {
    const found = await opened(wire, read)
    if (found?.type === HANDSHAKE.record && found.body[0] === MESSAGE.newSessionTicket) tickets.push(readTicket(found.body, resumption))
    return found
  }
  const sendRecord = (type: number, plain: Buffer): void => wire.write(write.seal(type, plain))
  return {
    wire,
    resumed,
    tickets,
    next,
    sendRecord,
    send: (data) => sendRecord(HANDSHAKE.applicationData, data),
    async receive() {
      let found = await next()
      // Tickets come when the server likes.
      while (found?.type === HANDSHAKE.record) found = await next()
      return found?.type === HANDSHAKE.applicationData ? found.body : undefined
    },
    updateKeys(asked) {
      sendRecord(HANDSHAKE.record, handshakeMessage(MESSAGE.keyUpdate, Buffer.from([asked ? 1 : 0])))
      secret = expandLabel(secret, 'traffic upd')
      write = protection(secret)
    },
    end: () => wire.destroy(),
  }
}

/** Type and length, lifetime, age_add, nonce, ticket. */
function readTicket(message: Buffer, resumption: Buffer): Ticket {
  const nonceBytes = message[12] ?? 0
  const at = 13 + nonceBytes
  const identity = message.subarray(at + 2, at + 2 + message.readUInt16BE(at))
  return { identity, ageAdd: message.readUInt32BE(8), key: expandLabel(resumption, 'resumption', message.subarray(13, at)) }
}
