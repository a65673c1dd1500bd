// Family Q: client ids and the sessions behind them: who gets one, who keeps one, how long a connection that says nothing is borne,
// and what is left of a session when its device is no longer the same.

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { connectBytes, publishBytes } from '../forge/mqtt-bytes.ts'
import { forgeRequest } from '../forge/request.ts'
import { keyPem, privateKey } from '../forge/keys.ts'
import { unpem } from '../forge/certificate.ts'
import type { Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import { MQTT_LIMITS } from '../mqtt-limits.ts'
import type { MqttVersion, Observed } from '../oracle.ts'
import { howConnectEnded, howSessionEnded, openPeer, type ConnectFields, type Peer } from '../raw-peer.ts'
import { within } from '../within.ts'
import { admittedControl, auditOf, connectFrom, type Arena, type Bench, type Runner } from './arena.ts'
import { strayAcknowledgements } from './mqtt-packets.ts'
import { acknowledgement, admitted, answersPing, breakConnects, onBothVersions, speakerTo, turnedAway, undisturbed, type Breakage } from './sessions.ts'
import { openWatcher, subscribe } from './watcher.ts'

const keptFor = (version: MqttVersion, seconds = 300): ConnectFields => (version === 5 ? { clean: false, properties: { sessionExpiryInterval: seconds } } : { clean: false })

function connackOf(peer: Peer): { readonly sessionPresent: boolean; readonly properties: Readonly<Record<string, unknown>> } | undefined {
  const found = peer.received.find((packet) => packet.cmd === 'connack')
  return found?.cmd === 'connack' ? { sessionPresent: found.sessionPresent, properties: { ...found.properties } } : undefined
}

/** Q03: what may be, done in the worst moment: messages are on their way while the session changes hands. */
async function ownTakeOver(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const device = await arena.identities.fresh('q03')
  const { speaker, topic, filter } = await speakerTo(arena, device, version)
  const old = await admitted(arena, device, version, device.id, keptFor(version))
  for (const each of new Set([filter, `t/${device.id}/#`])) await subscribe(old, each, 1)
  const heard = new Set<string>()
  const listen = (peer: Peer): void => peer.onPacket((packet) => void (packet.cmd === 'publish' && heard.add(packet.payload.toString())))
  listen(old)
  const tokens = Array.from({ length: MQTT_LIMITS.takeOverMessages }, () => randomUUID())
  const say = async (some: readonly string[]): Promise<void> => {
    for (const [i, payload] of some.entries()) {
      speaker.send({ cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false, messageId: i + 1 })
      await acknowledgement(speaker, 1)
    }
  }
  const half = Math.floor(tokens.length / 2)
  await say(tokens.slice(0, half))
  const saying = say(tokens.slice(half))
  const since = performance.now()
  const successor = await openPeer({ target: arena.target, source: arena.sources.next(), credentials: device, version })
  listen(successor)
  successor.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, keepalive: 60, clientId: device.id, clean: false, ...keptFor(version) })
  const connack = await successor.take((packet) => packet.cmd === 'connack')
  bench.control(`its own session is taken over, MQTT ${version}`, connack?.cmd === 'connack' && connack.sessionPresent, 'session present')
  bench.attack('older', `the older connection, MQTT ${version}`, await howSessionEnded(old, since))
  await saying
  await answersPing(successor)
  await within((async () => {
    while (heard.size < tokens.length) await delay(SIM_LIMITS.readyPollMs)
  })(), SIM_LIMITS.verdictMs)
  bench.attack('messages', `messages meanwhile, MQTT ${version}`, heard.size === tokens.length ? { kind: 'undisturbed' } : { kind: 'disturbed', how: `${tokens.length - heard.size} of ${tokens.length} were lost` })
  bench.attack('messages', `the younger connection, MQTT ${version}`, await undisturbed(successor, arena.acl, device.id))
  for (const peer of [speaker, successor]) peer.end()
}

/** Q04. */
async function emptyClientId(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const device = await arena.identities.fresh('q04')
  // Elsewhere nobody need be let in without a name [MQTT-3.1.3-6], and whoever is may be called by his certificate: it is another's session that must stay.
  const ours = arena.offers('letter')
  const first = await admittedControl(arena, bench, `${ours ? 'no client id and nothing to keep' : 'its own client id'}, MQTT ${version}`, { credentials: device, version }, ours ? '' : device.id)
  const assigned = connackOf(first)?.properties['assignedClientIdentifier']
  if (version === 5 && ours) bench.control('it is told which one it has', typeof assigned === 'string' && assigned.startsWith(device.id), String(assigned))
  first.end()
  await first.closed
  const incumbent = await admitted(arena, device, version)
  await subscribe(incumbent, `t/${device.id}/#`)
  const asking = ours ? device : await arena.identities.fresh('q04')
  const nameless = await connectFrom(arena, { credentials: asking, version }, '')
  bench.attack('incumbent', `the session under the device's own id, MQTT ${version}`, await undisturbed(incumbent, arena.acl, device.id))
  nameless.peer.end()
  if (version === 4) {
    const peer = await openPeer({ target: arena.target, source: arena.sources.next(), credentials: asking, version })
    peer.sendBytes(connectBytes({ version, clientId: '', flags: 0 }))
    bench.attack('attack', 'no client id and a session to keep, MQTT 4', await howConnectEnded(peer), auditOf(peer))
    peer.end()
  }
  incumbent.end()
}

/** Q05. */
const STRANGE_CLIENT_IDS: Readonly<Record<string, (own: string) => string | Buffer>> = {
  '60 kB': () => 'x'.repeat(60_000),
  '65,535 bytes': () => 'x'.repeat(65_535),
  'NUL': (own) => `${own}:\0`,
  '#': () => '#',
  '+': () => '+',
  'a wildcard behind its own id': (own) => `${own}:#`,
  '../': (own) => `../${own}`,
  'a path behind its own id': (own) => `${own}:../../x`,
  'a line break': (own) => `${own}:\nx`,
  'an escape sequence': (own) => `${own}:\u001B[2J`,
  'HTML': () => '<img src=x onerror=alert(1)>',
  'letters that turn around': (own) => `${own}:\u202Ex`,
  'its own id with a space': (own) => `${own} `,
  'bytes that are not UTF-8': (own) => Buffer.concat([Buffer.from(`${own}:`), Buffer.from([0xc0, 0xaf])]),
  '__proto__': () => '__proto__',
}

async function strangeClientIds(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const harmless: Breakage = arena.offers('several-sessions') ? { label: 'its own id and a suffix', bytes: (own) => connectBytes({ version, clientId: `${own}:tool` }) } : { label: 'its own id', bytes: (own) => connectBytes({ version, clientId: own }) }
  await breakConnects(arena, bench, version, harmless, Object.entries(STRANGE_CLIENT_IDS).map(([label, idOf]) => ({ label, bytes: (own) => connectBytes({ version, clientId: idOf(own) }) })))
}

/** Q28. */
async function repeatedExchanges(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const device = await arena.identities.fresh('q28')
  await using watcher = await openWatcher(arena)
  const peer = await admitted(arena, device, version)
  const [repeated, next] = [randomUUID(), randomUUID()]
  const send = (payload: string, dup: boolean): void => peer.sendBytes(publishBytes({ version, topic: `t/${device.id}/x`, qos: 2, messageId: 7, dup, payload }))
  for (const dup of [false, true, true, false]) send(repeated, dup)
  await peer.take((packet) => packet.cmd === 'pubrec')
  send(repeated, true)
  for (let i = 0; i < 3; i++) peer.send({ cmd: 'pubrel', messageId: 7 })
  await peer.take((packet) => packet.cmd === 'pubcomp')
  await answersPing(peer)
  // A server that is not ours may end the connection of who repeats himself so often.
  const ended = peer.socket.destroyed && !arena.offers('letter')
  const honest = ended ? await admitted(arena, device, version) : peer
  honest.sendBytes(publishBytes({ version, topic: `t/${device.id}/x`, qos: 2, messageId: 7, payload: next }))
  await honest.take((packet) => packet.cmd === 'pubrec' && packet.messageId === 7)
  honest.send({ cmd: 'pubrel', messageId: 7 })
  bench.control(`the packet id is free again, MQTT ${version}`, (await watcher.heard(next)).length === 1, 'heard once')
  await watcher.witness()
  const times = watcher.receiversOf(repeated).length
  bench.attack('attack', `sent five times, released three times, MQTT ${version}`, times === 1 || (times === 0 && ended) ? { kind: 'withstood', how: ended ? 'closed' : 'delivered once' } : { kind: 'disturbed', how: `delivered ${times} times` })
  honest.end()
  peer.end()
  await strayAcknowledgements(arena, bench, version)
}

/** Bytes of a PUBLISH, one at a time, that never becomes whole; the connection is not silent. */
async function drip(peer: Peer): Promise<void> {
  for (const byte of publishBytes({ version: peer.version, topic: 't/x', payload: 'x'.repeat(500) })) {
    if (peer.socket.destroyed) return
    peer.sendBytes(Buffer.from([byte]))
    await delay(MQTT_LIMITS.dripMs)
  }
}

/** Q29: SlowITe. A connection costs a place; who holds one and says nothing must lose it. */
async function silence(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  const device = await arena.identities.fresh('q29')
  for (const keepalive of [0, 65_535]) {
    const { seen, peer } = await connectFrom(arena, { credentials: device, version }, device.id, { keepalive })
    // A server that is not ours may refuse such a wish.
    if (arena.offers('letter')) bench.control(`keep-alive ${keepalive}, MQTT ${version}`, seen.kind === 'admitted', seen.kind)
    const told = connackOf(peer)?.properties['serverKeepAlive']
    if (seen.kind !== 'admitted') bench.attack('bound', `keep-alive ${keepalive}`, seen)
    else if (version === 5) bench.attack('bound', `keep-alive ${keepalive}`, typeof told === 'number' && told > 0 && told <= MQTT_LIMITS.keepAliveSecondsMax ? { kind: 'withstood', how: 'the server sets its own' } : { kind: 'disturbed', how: `the server says ${String(told)}` })
    peer.end()
  }
  const [honest, silent, slow] = await Promise.all((await arena.identities.batch('q29', 3)).map((each) => admitted(arena, each, version, each.id, { keepalive: MQTT_LIMITS.keepAliveSeconds })))
  if (honest === undefined || silent === undefined || slow === undefined) throw new Error('three connections are needed')
  const since = performance.now()
  void drip(slow)
  const pinging = setInterval(() => honest.send({ cmd: 'pingreq' }), (MQTT_LIMITS.keepAliveSeconds * 1_000) / 2)
  const ended = await Promise.all([silent, slow].map((peer) => within(peer.closed, MQTT_LIMITS.keepAliveEndMs)))
  clearInterval(pinging)
  const times = ended.flatMap((end) => (end === undefined ? [] : [end.at - since]))
  bench.attack('attack', `silent, and a byte every ${MQTT_LIMITS.dripMs} ms, MQTT ${version}`, { kind: 'flood', tried: ended.length, refused: times.length, slowestMs: Math.max(0, ...times) })
  bench.control(`who sends PINGREQ stays, MQTT ${version}`, !honest.socket.destroyed, 'still connected')
  for (const peer of [honest, silent, slow]) peer.end()
}

/** Q30. */
async function halfConnect(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('q30')
  const control = await admittedControl(arena, bench, 'a whole CONNECT', { credentials: device, version: 5 }, device.id)
  control.end()
  const whole = connectBytes({ version: 5, clientId: device.id })
  const source = arena.sources.next()
  const ends = await Promise.all(Array.from({ length: MQTT_LIMITS.halfConnects }, async (_, i) => {
    const peer = await openPeer({ target: arena.target, source, credentials: device, version: 5 })
    const since = performance.now()
    // Nothing, half of it, and all but the last byte.
    if (i % 3 > 0) peer.sendBytes(whole.subarray(0, i % 3 === 1 ? whole.length / 2 : whole.length - 1))
    const ended = await within(peer.closed, MQTT_LIMITS.connectMs + SIM_LIMITS.verdictMs)
    peer.end()
    return ended === undefined ? undefined : ended.at - since
  }))
  const times = ends.filter((ms) => ms !== undefined)
  bench.attack('attack', 'half a CONNECT, and then nothing', { kind: 'flood', tried: ends.length, refused: times.length, slowestMs: Math.max(0, ...times) }, { address: source })
}

/** Q36. */
async function sessionsWithoutEnd(arena: Arena, bench: Bench): Promise<void> {
  const device = await arena.identities.fresh('q36')
  const forEver = { clean: false, properties: { sessionExpiryInterval: 0xffff_ffff } } as const
  const first = await admittedControl(arena, bench, 'a session for ever', { credentials: device, version: 5 }, device.id, forEver)
  const told = connackOf(first)?.properties['sessionExpiryInterval']
  bench.attack('bound', 'a session for ever', typeof told === 'number' && told <= MQTT_LIMITS.sessionSecondsMax ? { kind: 'withstood', how: 'the server sets an end' } : { kind: 'disturbed', how: `the server says ${String(told)}` })
  first.end()
  const source = arena.sources.next()
  let kept = 0
  let refused = 0
  for (let i = 0; i < MQTT_LIMITS.cycledSessions; i++) {
    const { seen, peer } = await connectFrom(arena, { credentials: device, version: 5, source }, `${device.id}:${i}`, forEver)
    if (seen.kind === 'admitted') kept += 1
    else refused += 1
    // Without a word: as a connection that broke off it leaves its session behind.
    peer.socket.destroy()
    await peer.closed
  }
  bench.attack('attack', `${MQTT_LIMITS.cycledSessions} kept sessions of one device`, kept <= MQTT_LIMITS.keptSessionsMax && refused > 0 ? turnedAway(MQTT_LIMITS.cycledSessions, refused) : { kind: 'disturbed', how: `${kept} are kept` }, { address: source })
  await arena.admin.changeState(device.id, 'retire')
}

/** Another certificate for the same id: the board was replaced. */
async function anew(arena: Arena, id: string): Promise<Identity> {
  const keyObject = privateKey()
  const enrolled = await arena.admin.enroll(id, forgeRequest(keyObject, id))
  const cert = [enrolled.certificate, ...enrolled.chain].join('')
  return { id, serial: enrolled.serial, cert, key: keyPem(keyObject), keyObject, chain: unpem(cert) }
}

/** Q40: what was meant for the old board is not for the one that gets its name. */
async function inheritance(arena: Arena, bench: Bench, version: MqttVersion): Promise<void> {
  for (const revoking of [false, true]) {
    const old = await arena.identities.fresh('q40')
    const speaker = await admitted(arena, old, version, `${old.id}:speaker`)
    const listener = await admitted(arena, old, version, old.id, keptFor(version))
    await subscribe(listener, `t/${old.id}/#`, 1)
    listener.end()
    await listener.closed
    const secret = randomUUID()
    speaker.send({ cmd: 'publish', topic: `t/${old.id}/x`, payload: secret, qos: 1, retain: false, dup: false, messageId: 1 })
    await acknowledgement(speaker, 1)
    speaker.end()
    await speaker.closed
    if (revoking) await arena.admin.revoke({ device: old.id }, 'keyCompromise')
    const heir = revoking ? await anew(arena, old.id) : old
    const { seen, peer } = await connectFrom(arena, { credentials: heir, version }, heir.id, keptFor(version))
    const waiting = await peer.take((packet) => packet.cmd === 'publish' && packet.payload.toString() === secret, SIM_LIMITS.kickMs)
    const present = connackOf(peer)?.sessionPresent === true
    if (revoking) bench.attack('attack', `after a revocation and a new certificate, MQTT ${version}`, inherited(seen, present, waiting !== undefined))
    else bench.control(`the device itself gets what waited, MQTT ${version}`, present && waiting !== undefined, `session ${present ? '' : 'not '}present`)
    peer.end()
  }
}

function inherited(seen: Observed, present: boolean, heard: boolean): Observed {
  if (seen.kind !== 'admitted') return { kind: 'disturbed', how: `the new certificate was not admitted: ${seen.kind}` }
  if (present || heard) return { kind: 'disturbed', how: heard ? 'it got what waited for the old one' : 'it got the session of the old one' }
  return { kind: 'withstood', how: 'a new session, and nothing in it' }
}

export const MQTT_SESSION_CASES = {
  Q03: onBothVersions(ownTakeOver),
  Q04: onBothVersions(emptyClientId),
  Q05: onBothVersions(strangeClientIds),
  Q28: onBothVersions(repeatedExchanges),
  Q29: onBothVersions(silence),
  Q30: halfConnect,
  Q36: sessionsWithoutEnd,
  Q40: onBothVersions(inheritance),
} as const satisfies Record<string, Runner>
