// Family T: impostors that the TLS door must turn away, and revoked devices that come back through it. The floods of the
// family are in floods.ts.

import { randomUUID, sign } from 'node:crypto'
import { ALERT_RECORD, clientHello, HANDSHAKE, record, SIGNATURE_SCHEMES, TLS_VERSION } from '../forge/client-hello.ts'
import { forgeIssuing, forgeLeaf, forgeRoot, lookalikeOf, type ForgedAuthority, type ForgedLeaf, type LeafWishes } from '../forge/authority.ts'
import { basicConstraints, keyUsage, pem } from '../forge/certificate.ts'
import { OID } from '../forge/der.ts'
import { keyPem, mismatchedKey, privateKey } from '../forge/keys.ts'
import { certificateVerifyBody, openTls12, type Tls12Result } from '../forge/tls12.ts'
import type { Identity } from '../identities.ts'
import { FACTORY_ID_PREFIX } from '../server-process.ts'
import type { Observed } from '../oracle.ts'
import { exchange, type Exchange } from '../raw-socket.ts'
import { connectPacket, howSessionEnded, type Credentials, type Peer } from '../raw-peer.ts'
import mqttPacket from 'mqtt-packet'
import { admittedControl, auditOf, connectFrom, MQTT_VERSIONS, ownCertificateWorks, TLS_VERSIONS, tryOnBothVersions, type Arena, type Bench, type Runner } from './arena.ts'
import { openWatcher, type Watcher } from './watcher.ts'

/** What a client presents: the leaf, then the CA certificates that it wants to be believed with. */
export function presenting(leaf: ForgedLeaf, ...chain: readonly Buffer[]): Credentials {
  return { cert: [leaf.certificate, ...chain].map((der) => pem('CERTIFICATE', der)).join(''), key: keyPem(leaf.key) }
}

/** The real issuing CA. Cases that use it name the need 'ca-key' in the catalogue. */
export function issuingOf(arena: Arena): ForgedAuthority {
  if (arena.issuingAuthority === undefined) throw new Error('this case needs the issuing key')
  return arena.issuingAuthority
}

/**
 * The same flaws in certificates of a CA that this home trusts, and of which it knows no certificate before it comes. The
 * control is the same certificate without the flaw: it is admitted, so that it is the flaw and nothing else that is refused.
 */
export async function flawedOfFactory(arena: Arena, bench: Bench, flaws: Readonly<Record<string, LeafWishes>>): Promise<void> {
  const { factoryAuthority: factory } = arena
  if (factory === undefined) return bench.skip('the same of a trusted CA', 'its key is not at hand')
  for (const [label, flaw] of Object.entries(flaws)) {
    const id = `${FACTORY_ID_PREFIX}${randomUUID()}`
    const clean = await admittedControl(arena, bench, `of a trusted CA, without this flaw: ${label}`, { credentials: presenting(forgeLeaf(factory, id)) }, id)
    clean.end()
    await tryOnBothVersions(arena, bench, 'trusted', `${label}, of a trusted CA`, presenting(forgeLeaf(factory, id, flaw)), id)
  }
}

/** Leaves of the real CA with these flaws, and of the trusted one. */
function flawed(flaws: () => Readonly<Record<string, LeafWishes>>): Runner {
  return async (arena, bench) => {
    const issuing = issuingOf(arena)
    await impostors((_arena, device) => Object.fromEntries(Object.entries(flaws()).map(([label, flaw]) => [label, presenting(forgeLeaf(issuing, device.id, flaw), issuing.certificate)])))(arena, bench)
    await flawedOfFactory(arena, bench, flaws())
  }
}

/** Forged leaves against the device's own certificate as the control. */
function impostors(forge: (arena: Arena, device: Identity) => Readonly<Record<string, Credentials | undefined>>): Runner {
  return async (arena, bench) => {
    const device = await arena.identities.fresh('imp')
    await ownCertificateWorks(arena, bench, device)
    for (const [label, credentials] of Object.entries(forge(arena, device))) {
      await tryOnBothVersions(arena, bench, 'attack', label, credentials, device.id)
    }
  }
}

function strangers(device: Identity): Readonly<Record<string, Credentials>> {
  const root = forgeRoot('Another organisation')
  const issuing = forgeIssuing(root, 'Another organisation')
  return { 'unknown CA': presenting(forgeLeaf(issuing, device.id), issuing.certificate, root.certificate) }
}

function lookalikes(arena: Arena, device: Identity): Readonly<Record<string, Credentials>> {
  const issuing = lookalikeOf(arena.issuing)
  const root = lookalikeOf(arena.root)
  return {
    'look-alike of the issuing CA': presenting(forgeLeaf(issuing, device.id), issuing.certificate),
    'look-alike of the issuing CA, real one presented': presenting(forgeLeaf(issuing, device.id), arena.issuing),
    'look-alike of the root': presenting(forgeLeaf(root, device.id), root.certificate),
  }
}

function lookalikeIntermediates(arena: Arena, device: Identity): Readonly<Record<string, Credentials>> {
  const root = lookalikeOf(arena.root)
  const issuing = lookalikeOf(arena.issuing, root)
  return { 'look-alike intermediate below a look-alike root': presenting(forgeLeaf(issuing, device.id), issuing.certificate, root.certificate) }
}

const SECOND = 1_000
const YEAR = 365 * 24 * 3_600 * SECOND

const expired = (ago: number): LeafWishes => ({ notBefore: Date.now() - 2 * YEAR, notAfter: Date.now() - ago })

const CA_LEAF: LeafWishes = { basicConstraints: basicConstraints(true), keyUsage: keyUsage('digitalSignature', 'keyCertSign') }

async function authoritiesAsClients(arena: Arena, bench: Bench): Promise<void> {
  await impostors(() => ({ 'the issuing CA itself': presenting(issuingOf(arena)), ...(arena.factoryAuthority === undefined ? {} : { 'the trusted CA itself': presenting(arena.factoryAuthority) }) }))(arena, bench)
  await flawed(() => ({ 'a leaf that is a CA': CA_LEAF }))(arena, bench)
}

/** T36: OpenSSL loads the stolen certificate only with a key that claims its public half. */
function stolen(_arena: Arena, victim: Identity): Readonly<Record<string, Credentials>> {
  return { 'stolen certificate': { cert: victim.cert, key: keyPem(mismatchedKey(privateKey(), victim.keyObject)) } }
}

/** T37: the message is still in the clear in TLS 1.2, so a handshake written by hand can say anything in it. */
const VERIFICATIONS: Readonly<Record<string, (transcript: Buffer, own: Identity) => Buffer>> = {
  'signed over another transcript': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript.subarray(1), own.keyObject)),
  'signed with another key': (transcript) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, privateKey())),
  'another hash than stated': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha384', transcript, own.keyObject)),
  'a scheme that was not offered': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha1, sign('sha1', transcript, own.keyObject)),
  'a scheme of another key type': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.rsaSha256, sign('sha256', transcript, own.keyObject)),
  'truncated': (transcript, own) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject).subarray(0, 20)),
  'extended': (transcript, own) => Buffer.concat([certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject)), Buffer.from([0])]),
  'signature of no length': () => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, Buffer.alloc(0)),
  'empty': () => Buffer.alloc(0),
}

async function handmade(arena: Arena, own: Identity, verification: (transcript: Buffer) => Buffer): Promise<{ readonly source: string | undefined; readonly result: Tls12Result }> {
  const source = arena.sources.next()
  const result = await openTls12({
    host: arena.target.host,
    port: arena.target.port,
    ...(source === undefined ? {} : { localAddress: source }),
    chain: own.chain,
    certificateVerify: verification,
  })
  return { source, result }
}

function observedOf(result: Tls12Result): Observed {
  switch (result.kind) {
    case 'alert': return { kind: 'refused-in-tls', how: `alert ${result.description}` }
    case 'closed': return { kind: 'refused-in-tls', how: 'closed' }
    case 'silent': return { kind: 'open', afterMs: 0 }
    case 'established': return { kind: 'disturbed', how: 'the handshake was completed' }
  }
}

async function malformedVerifications(arena: Arena, bench: Bench): Promise<void> {
  const own = await arena.identities.fresh('t37')
  const honest = await handmade(arena, own, (transcript) => certificateVerifyBody(SIGNATURE_SCHEMES.ecdsaSha256, sign('sha256', transcript, own.keyObject)))
  if (honest.result.kind === 'established') {
    const { connection } = honest.result
    connection.send(mqttPacket.generate(connectPacket(own.id, 4)))
    const answer = await connection.receive()
    bench.control('the same handshake, signed properly', answer?.[0] === 0x20 && answer[3] === 0, `answered ${answer?.toString('hex') ?? 'nothing'}`)
    connection.end()
  } else bench.control('the same handshake, signed properly', false, honest.result.kind)
  for (const [label, verification] of Object.entries(VERIFICATIONS)) {
    const { source, result } = await handmade(arena, own, (transcript) => verification(transcript, own))
    bench.attack('attack', label, observedOf(result), { address: source, port: result.localPort })
    if (result.kind === 'established') result.connection.end()
  }
}

/** A TLS alert, or nothing at all, and then the end of the connection: the peer was not spoken to. */
function refusedRaw(seen: Exchange): Observed {
  const alert = seen.answer[0] === HANDSHAKE.alert
  if (seen.answer.length > 0 && !alert) return { kind: 'disturbed', how: `answered ${seen.answer.subarray(0, 8).toString('hex')}` }
  if (!seen.closed) return { kind: 'open', afterMs: seen.afterMs }
  return { kind: 'refused-in-tls', how: alert ? `alert ${seen.answer[ALERT_RECORD.description] ?? 0}` : 'closed' }
}

const isServerHello = (answer: Buffer): boolean => answer[0] === HANDSHAKE.record && answer[5] === 2

async function modernHelloWorks(arena: Arena, bench: Bench): Promise<void> {
  const hello = record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], clientHello({ version: TLS_VERSION['TLS 1.2'] }))
  const answer = await exchange(arena.target, hello, arena.sources.next(), isServerHello)
  bench.control('a TLS 1.2 ClientHello', isServerHello(answer.answer), answer.answer.subarray(0, 8).toString('hex'))
}

async function oldVersions(arena: Arena, bench: Bench): Promise<void> {
  await modernHelloWorks(arena, bench)
  for (const [label, version] of Object.entries(TLS_VERSION)) {
    if (version === TLS_VERSION['TLS 1.2']) continue
    const seen = await exchange(arena.target, record(HANDSHAKE.record, version, clientHello({ version })), arena.sources.next())
    bench.attack('attack', label, refusedRaw(seen), auditOf(seen))
  }
}

async function otherProtocols(arena: Arena, bench: Bench): Promise<void> {
  await modernHelloWorks(arena, bench)
  const bytes: Readonly<Record<string, Buffer>> = {
    'HTTP': Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'SSH': Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
    'plain MQTT 3.1.1': mqttPacket.generate(connectPacket('sensor', 4)),
    'plain MQTT 5': mqttPacket.generate(connectPacket('sensor', 5)),
  }
  for (const [label, data] of Object.entries(bytes)) {
    const seen = await exchange(arena.target, data, arena.sources.next())
    bench.attack('attack', label, refusedRaw(seen), auditOf(seen))
  }
}

/** T10: one session each of 3.1.1 and 5, both talking when the revocation is answered. */
async function revokedAlive(arena: Arena, bench: Bench): Promise<void> {
  await using watcher = await openWatcher(arena)
  for (const version of MQTT_VERSIONS) {
    const device = await arena.identities.fresh('t10')
    const peer = await admittedControl(arena, bench, `connected before, MQTT ${version}`, { credentials: device, version }, device.id)
    const before = watcher.publish(peer, `t/${device.id}/before`, 1)
    bench.control(`heard before, MQTT ${version}`, (await watcher.heard(before)).length > 0, 'published before the revocation')
    const revoked = await arena.admin.revoke({ device: device.id }, 'keyCompromise')
    const since = performance.now()
    const after = watcher.publish(peer, `t/${device.id}/after`, 0)
    bench.control(`the session was counted, MQTT ${version}`, revoked.sessionsClosed === 1, `${revoked.sessionsClosed} sessions closed`)
    bench.attack('kick', `live session, MQTT ${version}`, await howSessionEnded(peer, since), auditOf(peer))
    bench.attack('silence', `publish after revocation, MQTT ${version}`, { kind: 'published', version: 4, qos: 0, acknowledged: undefined, receivers: await silence(watcher, after) })
    const again = await connectFrom(arena, { credentials: device, version }, device.id)
    bench.attack('again', `reconnect, MQTT ${version}`, again.seen, auditOf(again.peer))
    again.peer.end()
  }
}

/** Who heard a message that nobody may hear, after a witness has gone the same way. */
async function silence(watcher: Watcher, token: string): Promise<readonly string[]> {
  await watcher.witness()
  return watcher.receiversOf(token)
}

/** The newest session that the server has handed out; in TLS 1.3 it comes after the handshake. */
async function savedSession(peer: Peer, sessions: readonly Buffer[]): Promise<Buffer | undefined> {
  // A message there and back: a ticket that was sent after the handshake has come by then.
  peer.send({ cmd: 'pingreq' })
  await peer.take((packet) => packet.cmd === 'pingresp')
  return sessions.at(-1) ?? peer.socket.getSession()
}

async function resumedAfterRevocation(arena: Arena, bench: Bench): Promise<void> {
  for (const tlsVersion of TLS_VERSIONS) {
    const device = await arena.identities.fresh('t11')
    const { seen, peer } = await connectFrom(arena, { credentials: device, tlsVersion }, device.id)
    const sessions: Buffer[] = []
    peer.socket.on('session', (session: Buffer) => void sessions.push(session))
    bench.control(`first connection, ${tlsVersion}`, seen.kind === 'admitted', seen.kind)
    const session = await savedSession(peer, sessions)
    peer.end()
    const resumed = await connectFrom(arena, { credentials: device, tlsVersion, session }, device.id)
    bench.control(`saved session before revocation, ${tlsVersion}`, resumed.seen.kind === 'admitted', resumed.seen.kind)
    if (!resumed.peer.socket.isSessionReused()) bench.skip(`resumption, ${tlsVersion}`, 'this server resumes no sessions; the handshake was a full one')
    const newest = (await savedSession(resumed.peer, [])) ?? session
    resumed.peer.end()
    await arena.admin.revoke({ device: device.id }, 'keyCompromise')
    for (const [label, credentials] of [['with its certificate', device], ['the session alone', undefined]] as const) {
      const attempt = await connectFrom(arena, { credentials, tlsVersion, session: newest }, device.id)
      bench.attack('attack', `${tlsVersion}, ${label}`, attempt.seen, auditOf(attempt.peer))
      attempt.peer.end()
    }
  }
}

export const TLS_CASES = {
  T01: impostors(() => ({ 'no certificate': undefined })),
  T02: impostors((arena, device) => ({ 'self-signed': presenting(forgeLeaf({ certificate: arena.issuing, key: privateKey() }, device.id, { selfSigned: true })) })),
  T03: impostors((_arena, device) => strangers(device)),
  T04: impostors(lookalikes),
  T05: impostors(lookalikeIntermediates),
  T06: flawed(() => ({ 'expired 1 s ago': expired(SECOND), 'expired 1 y ago': expired(YEAR) })),
  T10: revokedAlive,
  T11: resumedAfterRevocation,
  T16: flawed(() => ({ serverAuth: { extendedKeyUsage: [OID.serverAuth] } })),
  T17: flawed(() => ({ 'no usage': { extendedKeyUsage: null } })),
  T21: authoritiesAsClients,
  T36: impostors(stolen),
  T37: malformedVerifications,
  T39: oldVersions,
  T48: otherProtocols,
} as const satisfies Record<string, Runner>
