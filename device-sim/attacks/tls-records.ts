// Family T: what TLS carries that is not data: second handshakes, new keys, early data, packed certificates.

import { randomBytes } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import mqttPacket from 'mqtt-packet'
import { HANDSHAKE, handshakeMessage, record, TLS_VERSION, uint16, uint24 } from '../forge/client-hello.ts'
import { openTls12 } from '../forge/tls12.ts'
import { clientHello13, openTls13, type Ticket, type Tls13Options } from '../forge/tls13.ts'
import { inRecords, openWire, type HandmadeConnection, type TlsRecord, type Wire } from '../forge/wire.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { AuditSelector, Observed } from '../oracle.ts'
import { connectPacket } from '../raw-peer.ts'
import { resourcesOf } from '../resources.ts'
import { within } from '../within.ts'
import type { Arena, Bench, Runner } from './arena.ts'
import { brokenOff, handWorks, rawOf, sayConnect } from './handmade.ts'

const PINGREQ = Buffer.from([0xc0, 0])
const PINGRESP = 0xd0

/** Does it still answer? What is no application data is passed over, up to the answer. */
async function pings(connection: HandmadeConnection): Promise<boolean> {
  connection.send(PINGREQ)
  const answer = await within(connection.receive().then((data) => data ?? Buffer.alloc(0)), SIM_LIMITS.verdictMs)
  return answer?.[0] === PINGRESP
}

/** T41. A server says no with a warning and goes on, or hangs up. */
async function renegotiation(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t41')
  for (const [label, times] of [['once', 1], [`${SIM_LIMITS.renegotiations} times`, SIM_LIMITS.renegotiations]] as const) {
    const { chain, proof } = rawOf(device)
    const result = await openTls12({ host: arena.target.host, port: arena.target.port, localAddress: arena.sources.next(), chain, certificateVerify: (content) => proof(content, 'TLSv1.2') })
    if (result.kind !== 'established') throw new Error(`${device.id} was not let in: ${result.kind}`)
    const { connection } = result
    const seen = await sayConnect(connection, device.id, 4)
    bench.control(`connected before, ${label}`, seen.kind === 'admitted', seen.kind)
    for (let i = 0; i < times; i++) connection.greetAgain()
    bench.attack('attack', label, await secondHandshake(connection))
    connection.end()
  }
}

async function secondHandshake(connection: HandmadeConnection): Promise<Observed> {
  const first = await within(connection.next().then((found) => found ?? 'over' as const), SIM_LIMITS.verdictMs)
  if (first === undefined) return { kind: 'withstood', how: 'not answered' }
  if (first === 'over') return { kind: 'refused-in-tls', how: 'closed' }
  if (first.type === HANDSHAKE.alert) return { kind: 'withstood', how: `alert ${first.body[1] ?? 0}` }
  return { kind: 'disturbed', how: `a second handshake began (record of type ${first.type})` }
}

const times = (count: number, bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => bytes))

/** Small records that a server passes over in a handshake, if they are few. */
const CRUMBS: Readonly<Record<string, Buffer>> = {
  'ChangeCipherSpec, a thousand': times(1_000, record(HANDSHAKE.changeCipherSpec, TLS_VERSION['TLS 1.2'], Buffer.from([1]))),
  'warnings, a thousand': times(1_000, record(HANDSHAKE.alert, TLS_VERSION['TLS 1.2'], Buffer.from([1, 90]))),
}

/** T42: each is as legal as the one before, and none of them is needed. */
async function floods(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t42')
  await handWorks(arena, bench, device)
  bench.attack('keys', 'new keys, each with new keys asked for', await keyUpdates(arena, device))
  for (const [label, meanwhile] of Object.entries(CRUMBS)) {
    const source = arena.sources.next()
    const result = await openTls13({ ...optionsOf(arena, device, source), meanwhile })
    const seen = result.kind === 'established' ? await sayConnect(result.connection, device.id, 5) : brokenOff(result)
    bench.attack('attack', label, seen, { address: source, port: result.localPort })
    if (result.kind === 'established') result.connection.end()
  }
  const { seen, audit } = await helloAgain(arena)
  bench.attack('attack', 'asked for a key share, and none sent again', seen, audit)
}

/** A ClientHello without a key share is asked for one, once. RFC 8446 §4.1.4. */
async function helloAgain(arena: Arena): Promise<{ readonly seen: Observed; readonly audit: AuditSelector }> {
  const source = arena.sources.next()
  const wire = await openWire({ host: arena.target.host, port: arena.target.port, localAddress: source })
  const hello = inRecords(clientHello13(undefined), TLS_VERSION['TLS 1.0'])
  let asked = 0
  let last: TlsRecord | undefined
  do {
    wire.write(hello)
    last = await within(wire.next(), SIM_LIMITS.verdictMs)
    // Behind the first answer a server may say ChangeCipherSpec, for boxes in the middle.
    if (last?.type === HANDSHAKE.changeCipherSpec) last = await within(wire.next(), SIM_LIMITS.verdictMs)
    if (last?.type === HANDSHAKE.record) asked += 1
  } while (last?.type === HANDSHAKE.record && asked < 3)
  const seen: Observed = asked > 1 ? { kind: 'disturbed', how: `asked ${asked} times` } : last?.type === HANDSHAKE.alert ? { kind: 'refused-in-tls', how: `alert ${last.body[1] ?? 0}` } : { kind: 'refused-in-tls', how: 'closed' }
  wire.destroy()
  return { seen, audit: { address: source, port: wire.localPort } }
}

function optionsOf(arena: Arena, device: Identity, source: string | undefined): Tls13Options {
  const { chain, proof } = rawOf(device)
  return { host: arena.target.host, port: arena.target.port, localAddress: source, chain, certificateVerify: (content) => proof(content, 'TLSv1.3') }
}

/** The server's answers are not read: they must not pile up. */
async function keyUpdates(arena: Arena, device: Identity): Promise<Observed> {
  const source = arena.sources.next()
  const result = await openTls13(optionsOf(arena, device, source))
  if (result.kind !== 'established') return brokenOff(result)
  const { connection } = result
  const seen = await sayConnect(connection, device.id, 5)
  if (seen.kind !== 'admitted') return seen
  const before = await resourcesOf(await arena.pid())
  const { socket } = connection.wire
  for (let i = 0; i < SIM_LIMITS.keyUpdates && !socket.destroyed; i++) {
    connection.updateKeys(true)
    if (i % 1_000 === 0) await drained(connection.wire)
  }
  await drained(connection.wire)
  const after = await resourcesOf(await arena.pid())
  const grown = before === undefined || after === undefined ? 0 : after.residentBytes - before.residentBytes
  const how = socket.closed ? 'closed' : 'passed over'
  connection.end()
  return grown > SIM_LIMITS.floodGrowthBytesMax ? { kind: 'disturbed', how: `the server grew by ${Math.round(grown / 1_048_576)} MiB` } : { kind: 'withstood', how }
}

async function drained({ socket }: Wire): Promise<void> {
  if (socket.destroyed || !socket.writableNeedDrain) return
  await within(new Promise<void>((resolve) => {
    socket.once('drain', resolve)
    socket.once('close', () => resolve())
  }), SIM_LIMITS.verdictMs)
}

/** A ticket that no server has given. */
const madeUp = (): Ticket => ({ identity: randomBytes(200), key: randomBytes(32), ageAdd: 0 })

/** T43: a CONNECT in early data comes before anybody is known, and can be sent again by whoever has recorded it. */
async function earlyConnects(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t43')
  const first = await openTls13(optionsOf(arena, device, arena.sources.next()))
  if (first.kind !== 'established') throw new Error(`${device.id} was not let in: ${first.kind}`)
  const seen = await sayConnect(first.connection, device.id, 5)
  bench.control('without early data', seen.kind === 'admitted', seen.kind)
  first.connection.end()
  // Where tickets are given, they have come before the answer.
  const given = first.connection.tickets.at(-1)
  if (given === undefined) bench.skip('early data with a ticket of the server', 'this server gives none')
  for (const [label, ticket] of [['with a made-up ticket', madeUp()], ['with a ticket of the server', given]] as const) {
    if (ticket !== undefined) bench.attack('attack', label, await earlyConnect(arena, device, ticket))
  }
}

async function earlyConnect(arena: Arena, device: Identity, ticket: Ticket): Promise<Observed> {
  const connect = mqttPacket.generate(connectPacket(device.id, 5), { protocolVersion: 5 })
  const result = await openTls13({ ...optionsOf(arena, device, arena.sources.next()), ticket, earlyData: connect })
  if (result.kind !== 'established') return brokenOff(result)
  const { connection } = result
  // Had the first CONNECT been read, this would be the second of the connection, and its end.
  const seen = await sayConnect(connection, device.id, 5)
  const alive = seen.kind === 'admitted' && (await pings(connection))
  connection.end()
  if (seen.kind !== 'admitted') return seen
  return alive ? { kind: 'withstood', how: connection.resumed ? 'resumed, early data ignored' : 'early data ignored' } : { kind: 'disturbed', how: 'the early CONNECT was read' }
}

const COMPRESSED_CERTIFICATE = 25

/** T53: some kilobytes that claim to be sixteen megabytes of certificate. RFC 8879. */
async function compressed(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('t53')
  await handWorks(arena, bench, device)
  const claimed = 0xffffff
  const packed = deflateSync(Buffer.alloc(claimed))
  const source = arena.sources.next()
  const certificateMessage = handshakeMessage(COMPRESSED_CERTIFICATE, Buffer.concat([uint16(1), uint24(claimed), uint24(packed.length), packed]))
  const result = await openTls13({ ...optionsOf(arena, device, source), certificateMessage })
  const seen = result.kind === 'established' ? await sayConnect(result.connection, device.id, 5) : brokenOff(result)
  bench.attack('attack', 'a compressed certificate', seen, { address: source, port: result.localPort })
  if (result.kind === 'established') result.connection.end()
}

export const TLS_RECORD_CASES = {
  T41: renegotiation,
  T42: floods,
  T43: earlyConnects,
  T53: compressed,
} as const satisfies Record<string, Runner>
