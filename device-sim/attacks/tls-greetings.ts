// Family T: ClientHellos that are not as servers like them, and what is sent before one. A first answer is all that is waited
// for; nobody finishes a handshake here.

import { randomBytes } from 'node:crypto'
import mqttPacket from 'mqtt-packet'
import { ALERT_RECORD, clientHello, extension, HANDSHAKE, record, TLS_VERSION, uint16, vector16, type ClientHelloWishes } from '../forge/client-hello.ts'
import { inRecords, openWire, type Wire } from '../forge/wire.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { AuditSelector, Observed } from '../oracle.ts'
import { connectPacket } from '../raw-peer.ts'
import { exchange, type Exchange } from '../raw-socket.ts'
import { within } from '../within.ts'
import { auditOf, MQTT_VERSIONS, TLS_VERSIONS, type Arena, type Bench, type Runner } from './arena.ts'
import { connectByHand, handWorks, rawOf } from './handmade.ts'

/** A TLS alert, or nothing at all, and then the end of the connection: the peer was not spoken to. */
function refusedRaw(seen: Exchange): Observed {
  const alert = seen.answer[0] === HANDSHAKE.alert
  if (seen.answer.length > 0 && !alert) return { kind: 'disturbed', how: `answered ${seen.answer.subarray(0, 8).toString('hex')}` }
  if (!seen.closed) return { kind: 'open', afterMs: seen.afterMs }
  return { kind: 'refused-in-tls', how: alert ? `alert ${seen.answer[ALERT_RECORD.description] ?? 0}` : 'closed' }
}

const SERVER_HELLO = 2
const isServerHello = (answer: Buffer): boolean => answer[0] === HANDSHAKE.record && answer[5] === SERVER_HELLO

const greeting = (wishes: Partial<ClientHelloWishes> = {}): Buffer => inRecords(clientHello({ version: TLS_VERSION['TLS 1.2'], ...wishes }), TLS_VERSION['TLS 1.0'])

async function greetingWorks(arena: Arena, bench: Bench, label = 'a TLS 1.2 ClientHello', wishes: Partial<ClientHelloWishes> = {}): Promise<void> {
  const answer = await exchange(arena.target, greeting(wishes), arena.sources.next(), isServerHello)
  bench.control(label, isServerHello(answer.answer), answer.answer.subarray(0, 8).toString('hex'))
}

/** Each is sent from an address of its own, and must not be spoken to. */
function unanswered(bytes: () => Readonly<Record<string, Buffer>>): Runner {
  return async (arena, bench) => {
    await greetingWorks(arena, bench)
    for (const [label, data] of Object.entries(bytes())) {
      const seen = await exchange(arena.target, data, arena.sources.next())
      bench.attack('attack', label, refusedRaw(seen), auditOf(seen))
    }
  }
}

function oldVersions(): Readonly<Record<string, Buffer>> {
  const old = Object.entries(TLS_VERSION).filter(([, version]) => version !== TLS_VERSION['TLS 1.2'])
  return Object.fromEntries(old.map(([label, version]) => [label, record(HANDSHAKE.record, version, clientHello({ version }))]))
}

function otherProtocols(): Readonly<Record<string, Buffer>> {
  return {
    'HTTP': Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'SSH': Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
    'plain MQTT 3.1.1': mqttPacket.generate(connectPacket('sensor', 4)),
    'plain MQTT 5': mqttPacket.generate(connectPacket('sensor', 5)),
    'noise': Buffer.concat([Buffer.from([0xff]), randomBytes(1_023)]),
  }
}

/** Suites that TLS 1.2 still has numbers for. */
const WEAK_SUITES = {
  'RC4': 0x0005,
  'triple DES': 0x000a,
  'CBC with SHA-1': 0xc009,
  'CBC with SHA-256': 0xc023,
  'no encryption': 0xc006,
  'export strength': 0x0003,
  'nobody authenticated': 0xc018,
  'RSA key transport': 0x009c,
  'a tag of eight octets': 0xc0ae,
} as const

const weakSuites = (): Readonly<Record<string, Buffer>> => Object.fromEntries(Object.entries(WEAK_SUITES).map(([label, suite]) => [label, greeting({ suites: [suite] })]))

const ALPN = 16
const protocols = (...names: readonly string[]): Buffer => extension(ALPN, vector16(...names.map((text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]))))

async function strangeProtocols(arena: Arena, bench: Bench): Promise<void> {
  await greetingWorks(arena, bench, 'ALPN mqtt', { more: [protocols('mqtt')] })
  const offers: Readonly<Record<string, Buffer>> = {
    'another protocol': protocols('h2'),
    'an empty list': extension(ALPN, vector16()),
    'an empty name': protocols(''),
    'a list longer than itself': extension(ALPN, Buffer.concat([uint16(500), Buffer.from('\u0004mqtt')])),
    '60 kB of names': protocols(...Array.from({ length: 240 }, (_, i) => String(i).padEnd(249, 'x'))),
  }
  await unanswered(() => Object.fromEntries(Object.entries(offers).map(([label, offer]) => [label, greeting({ more: [offer] })])))(arena, bench)
}

/** The first thing that a server says. */
async function firstAnswer(wire: Wire): Promise<Observed> {
  const first = await within(wire.next().then((found) => found ?? 'over' as const), SIM_LIMITS.verdictMs)
  wire.destroy()
  if (first === undefined) return { kind: 'open', afterMs: SIM_LIMITS.verdictMs }
  if (first === 'over') return { kind: 'refused-in-tls', how: 'closed' }
  if (first.type === HANDSHAKE.alert) return { kind: 'refused-in-tls', how: `alert ${first.body[1] ?? 0}` }
  return first.type === HANDSHAKE.record && first.body[0] === SERVER_HELLO ? { kind: 'withstood', how: 'ServerHello' } : { kind: 'disturbed', how: `record of type ${first.type}` }
}

/** Writes these pieces, each in a segment of its own as far as TCP lets it, and waits for the first answer. */
async function inPieces(arena: Arena, written: readonly Buffer[]): Promise<{ readonly seen: Observed; readonly audit: AuditSelector }> {
  const source = arena.sources.next()
  const wire = await openWire({ host: arena.target.host, port: arena.target.port, localAddress: source })
  for (const piece of written) {
    wire.write(piece)
    await new Promise((resolve) => void setImmediate(resolve))
  }
  return { seen: await firstAnswer(wire), audit: { address: source, port: wire.localPort } }
}

const SNI = 0
/** Names that a server may look up somewhere. T45. */
const SERVER_NAMES: Readonly<Record<string, Partial<ClientHelloWishes>>> = {
  'no name': { serverName: null },
  'an unknown name': { serverName: 'elsewhere.example' },
  'a name of 255 octets': { serverName: `${'a'.repeat(63)}.`.repeat(4).slice(0, 255) },
  'a name of 60,000 octets': { serverName: 'a'.repeat(60_000) },
  'a NUL in it': { serverName: 'localhost\0.example' },
  'a way out of a folder': { serverName: '../../etc/passwd' },
  'an empty name': { serverName: '' },
  '__proto__': { serverName: '__proto__' },
  'two names': { serverName: null, more: [extension(SNI, vector16(...['localhost', 'other.example'].map((text) => Buffer.concat([Buffer.from([0]), vector16(Buffer.from(text))]))))] },
}

async function serverNames(arena: Arena, bench: Bench): Promise<void> {
  await greetingWorks(arena, bench)
  for (const [label, wishes] of Object.entries(SERVER_NAMES)) {
    const { seen, audit } = await inPieces(arena, [greeting(wishes)])
    bench.attack('attack', label, seen, audit)
  }
}

const PADDING = 21
const EMPTY_RECORD = record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], Buffer.alloc(0))
const bytesOf = (bytes: Buffer): readonly Buffer[] => Array.from(bytes, (byte) => Buffer.from([byte]))

async function fragments(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t49')
  await handWorks(arena, bench, device)
  const hello = clientHello({ version: TLS_VERSION['TLS 1.2'] })
  const ways: Readonly<Record<string, readonly Buffer[]>> = {
    'records of one byte': [inRecords(hello, TLS_VERSION['TLS 1.0'], 1)],
    'segments of one byte': bytesOf(greeting()),
    '40 kB in records of 16 kB': [greeting({ more: [extension(PADDING, Buffer.alloc(40_000))] })],
    'an empty record before it': [EMPTY_RECORD, greeting()],
    'ten thousand empty records': [Buffer.concat(Array.from({ length: 10_000 }, () => EMPTY_RECORD)), greeting()],
    'a record of more than 16 kB': [record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], Buffer.concat([hello, Buffer.alloc(20_000)]))],
    'a message longer than its records': [record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], Buffer.from('01ffffff', 'hex'))],
  }
  for (const [label, written] of Object.entries(ways)) {
    const { seen, audit } = await inPieces(arena, written)
    bench.attack('attack', label, seen, audit)
  }
  const [tls] = TLS_VERSIONS
  const { seen, connection } = await connectByHand(arena, tls, rawOf(device), device.id, MQTT_VERSIONS[0], 1)
  connection?.end()
  bench.attack('whole', 'a whole handshake in records of one byte', seen.kind === 'admitted' ? { kind: 'withstood', how: 'admitted' } : seen)
}

/** What a load balancer puts before a connection, to say from where it came. */
function proxyHeaders(): Readonly<Record<string, Buffer>> {
  const v2 = Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a', 'hex'), Buffer.from([0x21, 0x11, 0, 12]), Buffer.from([10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0x22, 0xb3])])
  return {
    'version 1': Buffer.concat([Buffer.from('PROXY TCP4 10.0.0.1 10.0.0.2 12345 8883\r\n'), greeting()]),
    'version 1, unknown': Buffer.concat([Buffer.from('PROXY UNKNOWN\r\n'), greeting()]),
    'version 2': Buffer.concat([v2, greeting()]),
  }
}

export const TLS_GREETING_CASES = {
  T39: unanswered(oldVersions),
  T40: unanswered(weakSuites),
  T44: strangeProtocols,
  T45: serverNames,
  T48: unanswered(otherProtocols),
  T49: fragments,
  T55: unanswered(proxyHeaders),
} as const satisfies Record<string, Runner>
