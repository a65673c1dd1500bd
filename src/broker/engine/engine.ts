// The engine room: aedes, hardened. It makes sessions of connections; every judgement it needs comes from connect.ts,
// messages.ts and packet-gate.ts, every ending from endings.ts. What aedes does wrong is corrected here and in
// volatile-store.ts, each correction with its number from docs/engine-hardening.md. No aedes type leaves this folder.

import { Aedes, type AedesOptions } from 'aedes'
import type { DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS, LIFE } from '../../limits.ts'
import { deny } from '../../core/decision.ts'
import type { Device } from '../../core/device.ts'
import type { SessionKey } from '../../core/ids.ts'
import type { SecureConnection } from '../listener.ts'
import type { Peer } from '../peer.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session, SessionTable } from '../sessions.ts'
import { openConnectJudge, type Opening } from './connect.ts'
import { openEndings } from './endings.ts'
import { openGapReport } from './gaps.ts'
import { boundExpiry, expireAllVersions, openForgetting } from './keeping.ts'
import { openRetainedLedger, ownerOf } from './ledger.ts'
import { boundOutput, guardInput, openLink, type Link } from './link.ts'
import { isRefusal, openMessageHooks } from './messages.ts'
import { installPacketGate } from './packet-gate.ts'
import type { EngineClient, EngineCore, WirePacket } from './surface.ts'
import { hardenStore } from './volatile-store.ts'

export interface Engine {
  /** Takes over a connection whose peer is known. From here on the engine owns the socket. */
  attach(connection: SecureConnection, peer: Peer): void
  /** The policy or a device changed: this session gets the grants that it has now, or is ended. */
  regrant(session: Session): void
  /** This device cannot come back, and why: what is kept for it goes, and nothing more is kept. */
  forget(device: Device, reason: DenyReason): void
  /** Ends all sessions (MQTT 5: 0x8B) and the engine; resolves when every socket is closed, at the latest after `drainMs`. */
  close(): Promise<void>
}

type Done = (error: Error | null, go: boolean) => void

export async function openEngine(ports: BrokerPorts, sessions: SessionTable): Promise<Engine> {
  const links = new WeakMap<EngineClient, Link>()
  const linkOf = new WeakMap<Session, Link>()
  /** Connections with a socket that is not closed yet, admitted or not. */
  const open = new Set<Link>()
  const judge = openConnectJudge(ports, sessions)
  const tellGaps = openGapReport(ports)
  const retained = openRetainedLedger()
  const hooks = openMessageHooks({
    broker: ports,
    connect: judge,
    sessionOf: (client) => links.get(client)?.session,
    willOf: (client) => links.get(client)?.connect?.will,
    forget: (client, packetId) => links.get(client)?.gate?.forget(packetId),
    send: (client, bytes) => links.get(client)?.gate?.send(bytes),
    hasRetainedRoom: (publisherKey, packet) => retained.hasRoom(publisherKey, packet),
    onRefusal: (session, refusal) => endings.refusal(session, refusal),
  })
  const aedes = new Aedes({ ...ENGINE_OPTIONS, maximumPacketSize: ports.packetBytesMax, ...adapt({ preConnect, authenticate, ...hooks }) })
  const core = aedes as unknown as EngineCore
  const endings = openEndings(ports, core)
  await aedes.listen()
  // Trap 1: `constructor` and `__proto__` are names like any other.
  core.clients = Object.create(null)
  core.brokers = Object.create(null)
  const store = hardenStore(core.persistence, {
    mayHold: (key, subscription) => sessions.get(key as SessionKey)?.grants.subscribe(subscription.topic, subscription.qos).effect === 'allow',
    mayWait: (key, packet) => sessions.get(key as SessionKey)?.grants.mayReceive(packet.topic) ?? true,
    mayShow: (key, packet) => hooks.mayShow(key, packet),
    onQueueFull: (key) => ports.log('warn', { session: key, messagesMax: BROKER_LIMITS.queueMessagesMax, bytesMax: BROKER_LIMITS.queueBytesPerSessionMax, deviceBytesMax: BROKER_LIMITS.queueBytesPerDeviceMax }, 'a message was dropped: the queue of its session is full'),
    onRetainedFull: (key) => ports.log('warn', { session: key, messagesMax: BROKER_LIMITS.retainedMessagesPerDeviceMax, bytesMax: BROKER_LIMITS.retainedBytesPerDeviceMax }, 'a message was not retained: its device has left as many as it may'),
    onKept: (key, kept) => judge.keep(key as SessionKey, kept),
  }, retained)
  core.persistence = store
  expireAllVersions(core)
  const forget = openForgetting({ broker: ports, core, judge, sessions, clientOf: (session) => linkOf.get(session)?.client })
  core.on('client', forgetGhost)
  core.on('connackSent', onConnack)
  core.on('clientError', onEngineError)
  core.on('connectionError', onEngineError)
  core.on('sessionLimitReached', (client: EngineClient, facts: object) => ports.log('warn', { session: client.id, ...facts }, 'the server keeps as many sessions as it may: this one ended with its connection'))
  core.on('error', (error: Error) => ports.log('error', { error: error.message }, 'the engine reported a fault'))
  const sweep = setInterval(endExpired, LIFE.expirySweepMs)
  sweep.unref()

  function attach(connection: SecureConnection, peer: Peer): void {
    const { socket } = connection
    const client = core.handle(socket)
    const link = openLink(connection, peer, client)
    links.set(client, link)
    open.add(link)
    client.subscriptions = Object.create(null) // trap 1
    client.duplicates = Object.create(null)
    boundOutput(client, socket, (fault) => endings.fault(link, fault))
    guardInput(client, socket, ports.packetBytesMax, (fault) => endings.fault(link, fault))
    link.gate = installPacketGate(client, {
      session: () => link.session,
      filtersHeld,
      onRefusal: (session, refusal) => endings.refusal(session, refusal),
      onFault: (fault) => endings.fault(link, fault),
      onThrow(error) {
        ports.log('error', { device: peer.device, error: error instanceof Error ? error.message : 'unknown' }, 'the engine failed on a packet: its connection is closed')
        endings.fault(link, deny('malformed-packet', 'a packet that the engine cannot handle'))
      },
    })
    client._parser.prependListener('error', (error: Error) => endings.malformed(link, error))
    link.deadline = setTimeout(() => endings.fault(link, deny('connect-timeout')), BROKER_LIMITS.connectMs)
    socket.once('close', () => {
      clearTimeout(link.deadline)
      open.delete(link)
      if (link.session !== undefined) sessions.remove(link.session)
      client.close()
    })
  }

  /** The store knows a filter of a kept session before the engine does: a chunk full of SUBSCRIBEs must not pass a bound at once. */
  function filtersHeld({ key, device }: Session): { readonly ofSession: number; readonly ofDevice: number } {
    const held = new Map<SessionKey, number>(judge.kept(ownerOf(key)).map((kept) => [kept, store.filterCount(kept)]))
    for (const session of sessions.ofDevice(device)) {
      const connected = Object.keys(linkOf.get(session)?.client.subscriptions ?? {}).length
      held.set(session.key, Math.max(held.get(session.key) ?? 0, connected))
    }
    return { ofSession: held.get(key) ?? 0, ofDevice: [...held.values()].reduce((sum, n) => sum + n, 0) }
  }

  function preConnect(client: EngineClient, packet: WirePacket, done: Done): void {
    const link = links.get(client)
    if (link === undefined) return done(new Error('a connection without a peer'), false)
    link.connect = packet
    if (link.peer.firstSight === undefined) return admit(link, packet, done)
    ports.observe(link.peer).then(
      (observed) => (observed.allow ? admit(link, packet, done) : endings.refuseConnect(link, packet, observed)),
      (cause: unknown) => {
        ports.log('error', { error: cause instanceof Error ? cause.message : 'unknown' }, 'a certificate seen for the first time could not be recorded')
        endings.refuseConnect(link, packet, deny('registry-unavailable'))
      },
    )
  }

  /** Judges and, when admitted, opens the session. The engine is not told of a refusal: it would add a CONNACK of its own. */
  function admit(link: Link, packet: WirePacket, done: Done): void {
    if (link.client.closed) return
    const judged = judge.judge(packet, link.peer)
    if (!judged.allow) return endings.refuseConnect(link, packet, judged)
    const opening = judged.value
    const incumbent = sessions.get(opening.key)
    if (incumbent !== undefined) incumbent.ending ??= 'session-taken-over'
    link.opening = opening
    link.session = openSession(link, opening)
    linkOf.set(link.session, link)
    sessions.add(link.session)
    auditAdmission(link.session, packet.username !== undefined)
    // The engine knows the session by its key; what the client calls itself stays with the session. Traps 1 and 6.
    packet.clientId = opening.key
    if (opening.protocol === 4) packet.keepalive = boundedKeepAlive(packet.keepalive)
    done(null, true)
  }

  function openSession(link: Link, opening: Opening): Session {
    const { peer, connection } = link
    tellGaps(opening.device.id, opening.grants)
    const session: Session = {
      key: opening.key, tenant: opening.device.tenant, device: opening.device.id, clientId: opening.clientId,
      issuer: peer.issuer, serial: peer.serial, sha256: peer.sha256, leaf: peer.leaf, notAfter: peer.notAfter,
      protocol: opening.protocol, source: connection.source, grants: opening.grants, ending: undefined,
      end: (reason, will) => endings.end(link, session, reason, will),
    }
    return session
  }

  function auditAdmission(session: Session, usernameGiven: boolean): void {
    ports.audit.record({
      kind: 'admission', at: ports.clock(), device: session.device, clientId: session.clientId, serial: session.serial,
      issuer: session.issuer, source: session.source, protocol: session.protocol, ...(usernameGiven ? { usernameIgnored: true as const } : {}),
    })
  }

  /** The engine has read the CONNECT into its client by now: what it read wrongly is put right before CONNACK. */
  function authenticate(client: EngineClient, _username: unknown, _password: unknown, done: Done): void {
    const link = links.get(client)
    if (link?.opening === undefined || link.session?.ending !== undefined) return done(new Error('not admitted'), false)
    if (link.opening.protocol === 5) tuneVersion5(client, link.opening, link.connect?.keepalive)
    boundExpiry(client, link.opening, link.connect?.clean === true)
    done(null, true)
  }

  function onConnack(_connack: unknown, client: EngineClient): void {
    const link = links.get(client)
    clearTimeout(link?.deadline)
    link?.connection.settled()
    // Also without a subscription: a session that stays takes its place among those of its device.
    if (link?.session !== undefined && !client.clean) judge.keep(link.session.key, true)
    // The engine takes note of its CONNACK just after it has told us.
    queueMicrotask(() => link?.gate?.release())
  }

  /** Closed while its CONNECT was in flight: the engine would list it for ever. */
  function forgetGhost(client: EngineClient): void {
    if (!client.closed || core.clients[client.id] !== client) return
    delete core.clients[client.id]
    core.connectedClients -= 1
  }

  function onEngineError(client: EngineClient, error: NodeJS.ErrnoException): void {
    const link = links.get(client)
    // What has a code is the network's; what we refused is recorded already.
    if (link === undefined || link.refused || error.code !== undefined || isRefusal(error)) return
    link.refused = true
    const { session } = link
    if (session === undefined || session.ending !== undefined || SILENCE.has(error.message)) return
    endings.refusal(session, { reason: 'protocol-error', detail: error.message })
  }

  function endExpired(): void {
    const now = ports.clock()
    for (const session of sessions.all()) if (session.notAfter <= now) void session.end('certificate-expired', 'fire')
  }

  return {
    attach,
    regrant(session) {
      const device = ports.view.device(session.device)
      if (device === undefined) {
        void session.end('device-unknown', 'suppress')
        return
      }
      const grants = judge.grants(device, session, session.clientId)
      session.grants = grants
      tellGaps(session.device, grants)
      const connect = grants.connect(session.clientId)
      if (grants.empty) void session.end('no-grant', 'fire')
      else if (connect.effect === 'deny' && connect.reason !== 'granted') void session.end(connect.reason, 'fire')
    },
    forget,
    async close() {
      clearInterval(sweep)
      for (const session of sessions.all()) session.ending ??= 'server-shutting-down'
      // Who is not a session yet is told nothing.
      for (const link of open) if (link.session === undefined) link.connection.socket.destroy()
      const late = setTimeout(() => {
        for (const link of open) link.connection.socket.destroy()
      }, BROKER_LIMITS.drainMs)
      await new Promise<void>((resolve) => core.close(resolve))
      // A connection that was between CONNECT and CONNACK is forgotten by the engine.
      for (const link of open) link.connection.socket.destroy()
      await Promise.all([...open].map((link) => link.closed))
      clearTimeout(late)
    },
  }
}

/** What a client may leave unsaid or overstate: silence is bounded for everybody. */
function boundedKeepAlive(asked: number | undefined): number {
  return asked === undefined || asked === 0 ? BROKER_LIMITS.keepAliveSecondsMax : Math.min(asked, BROKER_LIMITS.keepAliveSecondsMax)
}

function tuneVersion5(client: EngineClient, opening: Opening, keepAlive: number | undefined): void {
  if (opening.clientIdAssigned) client._assignedClientId = opening.clientId
  if (boundedKeepAlive(keepAlive) !== keepAlive) client._serverKeepAlive = BROKER_LIMITS.keepAliveSecondsMax
}

const ENGINE_OPTIONS = {
  // mqemitter's queue recurses when queued messages have no listener, and its slots fill behind one stalled reader
  // (traps 3 and 12): no queue. Every connection has its own bound instead.
  concurrency: 0,
  queueLimit: BROKER_LIMITS.packetsBeforeConnackMax, // trap 16
  // The engine sees session keys; the length of what a client sends is judged at CONNECT.
  maxClientsIdLength: Number.MAX_SAFE_INTEGER,
  maxTopicLevels: BROKER_LIMITS.topicLevelsMax,
  topicAliasMaximum: BROKER_LIMITS.topicAliasMaximum,
  receiveMaximum: BROKER_LIMITS.receiveMaximum,
  sessionExpiryIntervalLimit: BROKER_LIMITS.sessionExpirySecondsMax,
  pendingSessionsLimit: BROKER_LIMITS.detachedSessionsMax,
  // Our deadline comes first and says why; this one is a second net.
  connectTimeout: 2 * BROKER_LIMITS.connectMs,
} as const

/** Ordinary ends of a connection that the engine reports as errors. */
const SILENCE: ReadonlySet<string> = new Set(['keep alive timeout', 'connection closed', 'connect did not arrive in time'])

/** Our hooks speak of the surface that we declared; the engine's declarations know less of it. */
function adapt(hooks: object): AedesOptions {
  return hooks
}

