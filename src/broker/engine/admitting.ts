// From CONNECT to CONNACK: the connection is judged, becomes a session, takes over or resumes what is kept for it, and is told
// that it is admitted. Everything that says no here answers by itself; the engine is told of no refusal.

import { REASONS } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { allow, deny, type Decision } from '../../core/decision.ts'
import type { SessionKey } from '../../core/ids.ts'
import type { ConnectionFacts } from '../../core/policy/conditions.ts'
import type { Grants } from '../../core/policy/grants.ts'
import type { StoredSession } from '../../core/session-store.ts'
import type { BrokerPorts } from '../ports.ts'
import { connackPacket } from '../replies.ts'
import type { Session, SessionDetail, SessionTable } from '../sessions.ts'
import { tlsVersion } from '../tls-peer.ts'
import type { ConnectJudge, Opening } from './connect.ts'
import type { Endings } from './endings.ts'
import { boundExpiry, type Keeping } from './keeping.ts'
import { heldFilters } from './filters.ts'
import type { Link } from './link.ts'
import { Outbound } from './outbound.ts'
import type { Publishing } from './publishing.ts'
import type { Rights } from './rights.ts'
import type { EngineClient, EngineConnack, WirePacket } from './surface.ts'
import type { Watching } from './watching.ts'

type Done = (error: Error | null, go: boolean) => void

export interface AdmittingPorts {
  readonly broker: BrokerPorts
  readonly sessions: SessionTable
  readonly judge: ConnectJudge
  readonly keeping: Keeping
  readonly publishing: Publishing
  readonly rights: Rights
  readonly endings: Endings
  readonly watching: Watching
  readonly linkOf: (client: EngineClient) => Link | undefined
  linkOfKey(key: SessionKey): Link | undefined
  tellGaps(session: Session, grants: Grants): void
  /** The connection has become this session. */
  onSession(session: Session, link: Link): void
  /** Nothing is routed to this connection any longer: what its session holds is asked of the store until another connection has it. */
  unroute(link: Link): void
}

export interface Admitting {
  readonly preConnect: (client: EngineClient, packet: WirePacket, done: Done) => void
  readonly authenticate: (client: EngineClient, username: unknown, password: unknown, done: Done) => void
  /** What is kept for the session, judged. A refusal was answered. */
  readonly resume: (link: Link, cleanStart: boolean) => Promise<Decision<StoredSession | undefined>>
  /** The engine has worded its CONNACK. */
  readonly onConnack: (connack: EngineConnack, client: EngineClient) => void
}

export function openAdmitting(ports: AdmittingPorts): Admitting {
  const { broker, sessions, judge, keeping, publishing, rights, endings, watching, linkOf } = ports
  let admitted = 0

  function preConnect(client: EngineClient, packet: WirePacket, done: Done): void {
    const link = linkOf(client)
    if (link === undefined) return done(new Error('a connection without a peer'), false)
    link.connect = packet
    if (link.peer.firstSight === undefined) return nameAndAdmit(link, packet, done)
    broker.observe(link.peer).then(
      (observed) => (observed.allow ? nameAndAdmit(link, packet, done) : endings.refuseConnect(link, packet, observed)),
      (cause: unknown) => {
        broker.log('error', { error: cause instanceof Error ? cause.message : 'unknown' }, 'a certificate seen for the first time could not be recorded')
        endings.refuseConnect(link, packet, deny('registry-unavailable'))
      },
    )
  }

  function nameAndAdmit(link: Link, packet: WirePacket, done: Done): void {
    const taken = judge.isDeviceIdTaken(packet, link.peer)
    if (typeof taken === 'boolean') admit(link, packet, taken, done)
    else void taken.then((isTaken) => admit(link, packet, isTaken, done))
  }

  /** Judges and, when admitted, opens the session. The engine is not told of a refusal: it would add a CONNACK of its own. */
  function admit(link: Link, packet: WirePacket, deviceIdTaken: boolean, done: Done): void {
    if (link.client.closed) return
    const judged = judge.judge(packet, link.peer, connectionOf(link), deviceIdTaken)
    if (!judged.allow) {
      watching.refusedConnect(link, packet.clientId, judged.reason)
      return endings.refuseConnect(link, packet, judged)
    }
    const opening = judged.value
    if (!broker.store.health.ok && asksToBeKept(packet)) return endings.refuseConnect(link, packet, deny('store-unavailable', broker.store.health.problem))
    const incumbent = ports.linkOfKey(opening.key)
    link.incumbent = incumbent
    if (incumbent?.session !== undefined) incumbent.session.ending ??= 'session-taken-over'
    link.opening = opening
    link.session = openSession(link, opening)
    ports.onSession(link.session, link)
    link.outbound = openOutbound(link, link.session, packet)
    sessions.add(link.session)
    // Its rights are judged no longer: what it still holds must bring nothing into a queue that is another's by now. The engine would close
    // it when this CONNECT is answered, unless it has lost sight of it, or this connection ends before that. Trap 34.
    if (incumbent !== undefined) {
      ports.unroute(incumbent)
      endings.takeOver(incumbent)
    }
    auditAdmission(link.session, packet.username !== undefined)
    void auditEnd(link, link.session)
    watching.admitted(link.session)
    // The engine knows the session by its key; what the client calls itself stays with the session. Traps 1 and 6.
    packet.clientId = opening.key
    if (opening.protocol === 4) packet.keepalive = boundedKeepAlive(packet.keepalive, link.bounds.keepAliveSecondsMax)
    done(null, true)
  }

  function openSession(link: Link, opening: Opening): Session {
    const { peer, connection } = link
    const session: Session = rights.adopt({
      key: opening.key, tenant: opening.device.tenant, device: opening.device.id, clientId: opening.clientId,
      issuer: peer.issuer, serial: peer.serial, sha256: peer.sha256, leaf: peer.leaf, notAfter: peer.notAfter,
      protocol: opening.protocol, number: ++admitted, since: broker.clock(), listener: connection.stream === connection.socket ? 'mqtt' : 'websocket',
      source: connection.source, connection: connectionOf(link), ending: undefined,
      held: () => heldFilters(link.client),
      detail: () => detailOf(link, opening),
      end: (reason, by) => endings.end(link, session, reason, by),
    }, opening.grants)
    ports.tellGaps(session, opening.grants)
    return session
  }

  function openOutbound(link: Link, session: Session, { properties }: WirePacket): Outbound {
    const said = (name: string): number | undefined => {
      const value = properties?.[name]
      return typeof value === 'number' ? value : undefined
    }
    return new Outbound({
      session, output: link.output, clock: broker.clock, traffic: broker.traffic,
      bounds: { receiveMaximum: said('receiveMaximum') ?? RECEIVE_MAXIMUM_DEFAULT, packetBytesMax: said('maximumPacketSize'), topicAliasMaximum: said('topicAliasMaximum') ?? 0 },
      keep: (change) => keeping.keep(change),
      read: (after) => broker.store.queue(session.key, after, { messagesMax: BROKER_LIMITS.queuePageMessages, bytesMax: BROKER_LIMITS.queuePageBytes }),
      onFault: (fault) => endings.fault(link, fault),
      onWithheld: (topic, reason) => endings.refusal(session, { reason, topic, detail: 'it waited, and may not be delivered any longer' }),
    })
  }

  function auditAdmission(session: Session, usernameGiven: boolean): void {
    broker.audit.record({
      kind: 'admission', at: broker.clock(), device: session.device, clientId: session.clientId, serial: session.serial,
      issuer: session.issuer, source: session.source, protocol: session.protocol, ...(usernameGiven ? { usernameIgnored: true as const } : {}),
    })
  }

  /** Whoever came is told of when it goes: the log says how long it was here, and those who watch see that it is gone. */
  async function auditEnd({ client, closed }: Link, session: Session): Promise<void> {
    await closed
    const { device, clientId, source, since, ending } = session
    const because = ending === undefined ? (client._disconnected ? 'the client disconnected' : 'the connection was lost') : ending === 'session-taken-over' ? TAKEN_OVER : REASONS[ending].sentence
    broker.audit.record({ kind: 'connection-closed', at: broker.clock(), device, clientId, because, source, connectedMs: Math.max(0, broker.clock() - since) })
  }

  /** The engine has read the CONNECT into its client by now: what it read wrongly is put right before CONNACK. */
  function authenticate(client: EngineClient, _username: unknown, _password: unknown, done: Done): void {
    const link = linkOf(client)
    if (link?.opening === undefined || link.session?.ending !== undefined) return done(new Error('not admitted'), false)
    if (link.opening.protocol === 5) tuneVersion5(client, link.opening, link.connect?.keepalive, link.bounds.keepAliveSecondsMax)
    boundExpiry(client, link.opening)
    done(null, true)
  }

  /** The session that is resumed, without what it may no longer hold (policy.md R9). A refusal is answered here. */
  async function resume(link: Link, cleanStart: boolean): Promise<Decision<StoredSession | undefined>> {
    const opened = await keeping.open(link, cleanStart)
    const { session, connect } = link
    if (!opened.allow) {
      if (connect !== undefined && !link.client.closed) endings.refuseConnect(link, connect, opened)
      return opened
    }
    if (opened.value === undefined || session === undefined) return opened
    const { subscriptions, receiving } = opened.value
    link.gate?.resume(receiving)
    return allow({ ...opened.value, subscriptions: rights.admit(link, session, subscriptions) })
  }

  function onConnack({ sessionPresent, properties, reasonCode, returnCode }: EngineConnack, client: EngineClient): void {
    const link = linkOf(client)
    if (link?.session === undefined || (reasonCode ?? returnCode ?? 0) !== 0) return
    clearTimeout(link.deadline)
    link.connection.settled()
    // The engine says that shared subscriptions are not available; they are, and that need not be said [MQTT-3.2.2-13].
    const { sharedSubscriptionAvailable: _, ...said } = properties ?? {}
    // What this connection may send: the engine knows the most that any may.
    const properly = 'maximumPacketSize' in said ? { ...said, maximumPacketSize: link.bounds.packetBytesMax } : said
    const connack = connackPacket(sessionPresent, properly, link.session.protocol, client.maximumPacketSize)
    // [MQTT-3.1.2-24]: whom one may not even tell that it is admitted one cannot serve.
    if (connack === undefined) return endings.fault(link, deny('packet-too-large', `CONNACK, of which the client takes ${client.maximumPacketSize} bytes`))
    link.routedAt = publishing.count
    link.output.write(connack)
    broker.trace({ name: 'connect', begunAt: link.connection.acceptedAt, endedAt: broker.clock(), attributes: { 'sallyport.device': link.session.device, 'network.protocol.name': 'mqtt', 'network.protocol.version': link.session.protocol === 5 ? '5' : '3.1.1', 'client.address': link.session.source.address } })
    // It answers at once wherever the certificate does not wait for its first use.
    void broker.renewal.used(link.session)
    // The engine takes note of its CONNACK just after it has told us.
    queueMicrotask(() => {
      const resumed = link.outbound?.start()
      const release = resumed === undefined ? undefined : link.reading?.hold()
      void resumed?.then(release)
      link.gate?.release()
    })
  }

  return { preConnect, authenticate, resume, onConnack }
}

const TAKEN_OVER = 'another connection has taken its session over'

function detailOf({ connection: { socket }, client, connect, output, outbound, reading, bounds }: Link, { protocol }: Opening): SessionDetail {
  const load = outbound?.load ?? { queued: 0, inFlight: 0 }
  return {
    cipher: socket.getCipher()?.standardName ?? '',
    // Of MQTT 3.1.1 the CONNECT was lowered to what it is given; of MQTT 5 it keeps what it asked for, and is told.
    keepAliveSeconds: protocol === 4 ? (connect?.keepalive ?? 0) : boundedKeepAlive(connect?.keepalive, bounds.keepAliveSecondsMax),
    kept: outbound?.kept === true && client.sessionExpiryInterval > 0,
    queued: load.queued, inFlight: load.inFlight,
    bytesIn: reading?.counted.bytes ?? 0, bytesOut: output.taken, packetsIn: reading?.counted.packets ?? 0,
  }
}

function connectionOf({ connection: { socket, source } }: Link): ConnectionFacts {
  return { source: source.address, tls: tlsVersion(socket) }
}

/** What a client may leave unsaid or overstate: silence is bounded for everybody. */
function boundedKeepAlive(asked: number | undefined, max: number): number {
  return asked === undefined || asked === 0 ? max : Math.min(asked, max)
}

function asksToBeKept({ clean, protocolVersion, properties }: WirePacket): boolean {
  return protocolVersion === 5 ? clean !== true || (properties?.sessionExpiryInterval ?? 0) > 0 : clean !== true
}

function tuneVersion5(client: EngineClient, opening: Opening, keepAlive: number | undefined, keepAliveMax: number): void {
  if (opening.clientIdAssigned) client._assignedClientId = opening.clientId
  if (boundedKeepAlive(keepAlive, keepAliveMax) !== keepAlive) client._serverKeepAlive = keepAliveMax
}

/** MQTT 5 §3.1.2.11.3: where CONNECT says nothing. */
const RECEIVE_MAXIMUM_DEFAULT = 65_535
