// Family D: somebody on the path between device and broker, who ends TLS on both sides, passes it on and changes it, or talks
// both into something older. He holds no key of either. Beside each stands the same path with nobody on it but a wire.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { connectDevice } from '../device.ts'
import { forgeIssuing, forgeLeaf, forgeRoot, forgeServer, lookalikeOf } from '../forge/authority.ts'
import { HANDSHAKE } from '../forge/client-hello.ts'
import { keyPem, mismatchedKey, privateKey } from '../forge/keys.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import { attemptConnect } from '../raw-peer.ts'
import { openRelay, type Alter, type Relay } from '../relay.ts'
import type { Target } from '../target.ts'
import { within } from '../within.ts'
import { TLS_VERSIONS, tryOnBothVersions, type Arena, type Bench, type Runner } from './arena.ts'
import { issuingOf, presenting } from './impostors.ts'
import { clientsOf, openTrap, type Client } from './server-side.ts'
import { openWatcher, type Watcher } from './watcher.ts'

const via = (arena: Arena, port: number): Target => ({ ...arena.target, host: '127.0.0.1', port })

/** Whoever is to be deceived comes in when there is nothing between but a wire. */
async function throughWire(arena: Arena, bench: Bench, label: string, client: Client, device: Identity): Promise<void> {
  await using wire = await openRelay(arena.target, arena.sources.next())
  const complaint = await client(via(arena, wire.port), device)
  bench.control(`${label} through a wire`, complaint === undefined, complaint ?? 'connected')
}

/** D06: to the device he is a server, to the broker a device. */
async function bothEnds(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('d06')
  const { serverName } = arena.target
  const root = lookalikeOf(arena.root)
  const [stranger, lookalike] = [forgeIssuing(forgeRoot('On the path'), 'On the path'), lookalikeOf(arena.issuing, root)]
  const faces = { 'of his own CA': presenting(forgeServer(stranger, [serverName]), stranger.certificate), 'of a look-alike CA': presenting(forgeServer(lookalike, [serverName]), lookalike.certificate, root.certificate) }
  for (const [label, client] of clientsOf(arena, bench)) {
    await throughWire(arena, bench, label, client, device)
    for (const [face, credentials] of Object.entries(faces)) {
      await using trap = await openTrap(credentials)
      const complaint = await client(via(arena, trap.port), device)
      bench.attack('device', `${label}: relay with a certificate ${face}`, { kind: 'trap', bytes: trap.bytes(), complaint })
    }
  }
  const masks = {
    'no certificate': undefined,
    'one of his own CA': presenting(forgeLeaf(stranger, device.id), stranger.certificate),
    'one of a look-alike CA': presenting(forgeLeaf(lookalike, device.id), lookalike.certificate),
    'that of the device, which he has seen pass': { cert: device.cert, key: keyPem(mismatchedKey(privateKey(), device.keyObject)) },
  }
  for (const [mask, credentials] of Object.entries(masks)) await tryOnBothVersions(arena, bench, 'broker', `relay to broker with ${mask}`, credentials, device.id)
}

const isData = (record: Buffer): boolean => record[0] === HANDSHAKE.applicationData

/** One bit of the first record of data in this direction, counted from when it is put to work. */
function flipOnce(direction: 'up' | 'down'): Alter {
  let done = false
  return (passing, record) => {
    if (done || passing !== direction || !isData(record)) return [record]
    done = true
    const copy = Buffer.from(record)
    copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1
    return [copy]
  }
}

function onceUp(how: (record: Buffer) => readonly Buffer[]): Alter {
  let done = false
  return (passing, record) => {
    if (done || passing !== 'up' || !isData(record)) return [record]
    done = true
    return how(record)
  }
}

/** What is done to the record that holds a message, and how often the message may be heard then. */
const MISCHIEF: Readonly<Record<string, { readonly make: () => Alter; readonly heardMax: number }>> = {
  'a bit flipped': { make: () => flipOnce('up'), heardMax: 0 },
  'a record twice': { make: () => onceUp((record) => [record, record]), heardMax: 1 },
  'a record left out': { make: () => onceUp(() => []), heardMax: 0 },
}

/** D07. */
async function passedOn(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  for (const tlsVersion of TLS_VERSIONS) await nothingReadable(arena, bench, watcher, tlsVersion)
  for (const [label, { make, heardMax }] of Object.entries(MISCHIEF)) {
    const identity = await arena.identities.fresh('d07')
    await using relay = await openRelay(arena.target, arena.sources.next())
    const device = await connectDevice({ target: via(arena, relay.port), id: identity.id, credentials: identity, version: 5 })
    const [before, token] = [randomUUID(), randomUUID()]
    await device.publish(`t/${identity.id}/before`, before)
    bench.control(`the device through the relay, before ${label}`, (await watcher.heard(before)).length === 1, 'published')
    const ended = new Promise<true>((resolve) => device.onEnd(() => resolve(true)))
    relay.alter(make())
    await device.publish(`t/${identity.id}/after`, token, { qos: 0 })
    await watcher.witness()
    // What was left out is missed by the record behind it. Who has lost its connection never says that it has published.
    await within(Promise.race([ended, device.publish(`t/${identity.id}/behind`, 'x', { qos: 0 })]), SIM_LIMITS.verdictMs)
    const over = (await within(ended, SIM_LIMITS.verdictMs)) === true
    await watcher.witness()
    const heard = watcher.receiversOf(token).length
    bench.attack('altered', label, !over ? { kind: 'disturbed', how: 'the session goes on' } : heard > heardMax ? { kind: 'disturbed', how: `heard ${heard} times` } : { kind: 'withstood', how: 'the session ended' })
    await within(device.close(), SIM_LIMITS.closeMs)
  }
  await downstream(arena, bench)
}

/** A whole conversation, recorded: its certificate is in the clear in TLS 1.2, what is said never. */
async function nothingReadable(arena: Arena, bench: Bench, watcher: Watcher, tlsVersion: (typeof TLS_VERSIONS)[number]): Promise<void> {
  const identity = await arena.identities.fresh('d07')
  await using relay = await openRelay(arena.target, arena.sources.next())
  const [clientId, secret] = [`${identity.id}:${randomUUID()}`, `secret-${randomUUID()}`]
  const { seen, peer } = await attemptConnect({ target: via(arena, relay.port), credentials: identity, version: 5, tlsVersion }, clientId, { username: 'reader', password: Buffer.from(secret) })
  bench.control(`through the relay, ${tlsVersion}`, seen.kind === 'admitted', seen.kind)
  const token = watcher.publish(peer, `t/${identity.id}/${secret}`, 1)
  bench.control(`heard through the relay, ${tlsVersion}`, (await watcher.heard(token)).length > 0, 'published')
  peer.end()
  const record = relay.recorded()
  const found = [clientId, secret, token, ...(tlsVersion === 'TLSv1.3' ? [identity.id] : [])].filter((text) => record.includes(text))
  bench.attack('readable', `the record of it, ${tlsVersion}`, found.length === 0 ? { kind: 'withstood', how: 'nothing readable' } : { kind: 'disturbed', how: `readable: ${found.join(', ')}` })
}

/** Devices of every kind, when a bit is flipped in what they are told, from the handshake on. */
async function downstream(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('d07')
  for (const [label, client] of clientsOf(arena, bench)) {
    await throughWire(arena, bench, label, client, device)
    await using relay: Relay = await openRelay(arena.target, arena.sources.next(), flipOnce('down'))
    const complaint = await client(via(arena, relay.port), device)
    bench.attack('altered', `${label}: a bit flipped in what it is told`, complaint === undefined ? { kind: 'disturbed', how: 'it did not mind' } : { kind: 'withstood', how: 'the session ended' })
  }
}

/** The ClientHello without its TLS 1.3: the place of it in supported_versions says 1.2 once more. RFC 8446 §4.2.1. */
function withoutTls13(record: Buffer): Buffer {
  const copy = Buffer.from(record)
  const at = copy.indexOf(Buffer.from('002b', 'hex'), 44)
  if (record[0] !== HANDSHAKE.record || at < 0) return copy
  const end = at + 4 + copy.readUInt16BE(at + 2)
  for (let place = at + 5; place + 1 < end; place += 2) if (copy.readUInt16BE(place) === 0x0304) copy.writeUInt16BE(0x0303, place)
  return copy
}

/** D08: each device is offered less than it can, and must not take it. */
async function downgrades(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('d08')
  for (const [label, client] of clientsOf(arena, bench)) {
    await throughWire(arena, bench, label, client, device)
    await stripped(arena, bench, label, client, device)
    await plain(arena, bench, label, client, device)
    if (arena.issuingAuthority === undefined) {
      bench.skip(`${label}: TLS 1.1 only`, 'the issuing CA\'s key is not at hand')
      continue
    }
    const issuing = issuingOf(arena)
    const real = presenting(forgeServer(issuing, [arena.target.serverName]), issuing.certificate)
    // He has a certificate that the device trusts, and may still not choose the version.
    await using modern = await openTrap(real)
    await client(via(arena, modern.port), device)
    bench.control(`${label}: the same server with TLS 1.2 and 1.3`, modern.bytes() > 0, `${modern.bytes()} bytes`)
    await using old = await openTrap(real, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
    const complaint = await client(via(arena, old.port), device)
    bench.attack('attack', `${label}: TLS 1.1 only`, { kind: 'trap', bytes: old.bytes(), complaint })
  }
}

async function stripped(arena: Arena, bench: Bench, label: string, client: Client, device: Identity): Promise<void> {
  let bytes = 0
  await using relay = await openRelay(arena.target, arena.sources.next(), (direction, record) => {
    if (direction === 'up' && isData(record)) bytes += record.length
    return [direction === 'up' ? withoutTls13(record) : record]
  })
  const complaint = await client(via(arena, relay.port), device)
  bench.attack('attack', `${label}: TLS 1.3 taken out of its ClientHello`, { kind: 'trap', bytes, complaint })
}

/** CONNACK and PINGRESP: as long as the head of a TLS record, which is what a device takes it for. */
const YES = Buffer.from([0x20, 0x02, 0x00, 0x00, 0xd0, 0x00])

/** A server that says yes in the clear, before it is asked. */
async function plain(arena: Arena, bench: Bench, label: string, client: Client, device: Identity): Promise<void> {
  let said: Buffer = Buffer.alloc(0)
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      said = Buffer.concat([said, chunk])
    })
    socket.write(YES)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const complaint = await client(via(arena, (server.address() as AddressInfo).port), device)
  // A ClientHello and an alert are no CONNECT.
  const bytes = said.includes(device.id) ? said.length : 0
  bench.attack('attack', `${label}: plain MQTT in place of TLS`, { kind: 'trap', bytes, complaint })
  await new Promise<void>((resolve) => void server.close(() => resolve()))
}

export const ON_PATH_CASES = {
  D06: bothEnds,
  D07: passedOn,
  D08: downgrades,
} as const satisfies Record<string, Runner>
