// The engine room: aedes, hardened. It makes sessions of connections and joins what the rest of the folder does; every
// judgement it needs comes from connect.ts, messages.ts and packet-gate.ts, every ending from endings.ts. aedes runs CONNECT,
// SUBSCRIBE and the exchanges of QoS 1 and 2; routing, storing and sending are ours. What aedes does wrong is corrected here,
// each correction with its number from docs/engine-hardening.md. No aedes type leaves this folder.

import { Aedes } from 'aedes'
import { BROKER_LIMITS, LIFE } from '../../limits.ts'
import { deny, type Denied } from '../../core/decision.ts'
import type { DeviceId } from '../../core/ids.ts'
import { parseTopicFilter } from '../../core/topic.ts'
import type { SecureConnection } from '../listener.ts'
import type { Peer } from '../peer.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session, SessionTable } from '../sessions.ts'
import { openAbsent } from './absent.ts'
import { openAdmitting } from './admitting.ts'
import { engineOptions } from './aedes-options.ts'
import { openConnectJudge } from './connect.ts'
import { openDeviceTopics } from './device-topics.ts'
import { openEndings, type SessionRefusal } from './endings.ts'
import { openEngineStore, SESSION_MARK } from './engine-store.ts'
import { filtersHeld } from './filters-held.ts'
import { toWireFilter } from './filters.ts'
import { openGapReport } from './gaps.ts'
import { openGranting } from './granting.ts'
import { openHolders } from './holders.ts'
import { openDeadlines, openKeeping } from './keeping.ts'
import { guardInput, openLink, type Link, type Reading } from './link.ts'
import { openLosses } from './losses.ts'
import { openLostReport } from './lost-report.ts'
import { isRefusal, openMessageHooks } from './messages.ts'
import { openAnswerOrder } from './order.ts'
import { openOutputs } from './output.ts'
import { installPacketGate } from './packet-gate.ts'
import { openPosting, type Posting } from './posting.ts'
import { openPublishing } from './publishing.ts'
import { openPurge } from './purge.ts'
import { openRates } from './rates.ts'
import { openRetained } from './retained.ts'
import { openRights } from './rights.ts'
import { takeSeat } from './seat.ts'
import { openStalls } from './stalls.ts'
import { FIRST_FAILURE_CODE, ORDINARY_ENDS, type EngineClient, type EngineCore, type EngineWill, type HeldSubscription } from './surface.ts'
import { noteUserProperties } from './user-properties.ts'
import { openWalk } from './walk.ts'
import { openWatching } from './watching.ts'
import { openWills } from './wills.ts'

export interface Engine {
  /** For messages that come without a session. */
  readonly desk: Posting
  /**
   * Takes over a connection whose peer is known. From here on the engine owns its stream. Returns the way to end the
   * connection for what is wrong with it below MQTT.
   */
  attach(connection: SecureConnection, peer: Peer): (fault: Denied) => void
  /** Policy or trust changed: no session decides by what it had before. What is lost is taken away at once, but for a moment that grows with the sessions. */
  renewAll(): void
  /** The device or certificate of this session changed. Where that ends it: resolves when its socket is closed. */
  renew(session: Session): Promise<void> | undefined
  /** This device, or one of its certificates, changed: what is kept for it, and what it has left retained, is judged again. */
  review(device: DeviceId): void
  /** Ends all sessions (MQTT 5: 0x8B) and the engine; resolves when every socket is closed, at the latest after `drainMs`. */
  close(): Promise<void>
}

export async function openEngine(ports: BrokerPorts, sessions: SessionTable): Promise<Engine> {
  const { router, store } = ports
  const links = new WeakMap<EngineClient, Link>()
  const linkOfSession = new WeakMap<Session, Link>()
  /** Connections with a socket that is not closed yet, admitted or not. */
  const open = new Set<Link>()
  const linkOf = (session: Session): Link | undefined => linkOfSession.get(session)
  const linkOfKey = (key: Session['key']): Link | undefined => {
    const session = sessions.get(key)
    return session === undefined ? undefined : linkOf(session)
  }
  const rates = openRates({ clock: ports.clock, isConnected: (device) => sessions.ofDevice(device).length > 0 })
  const granting = openGranting(ports, rates)
  const judge = openConnectJudge(ports, sessions, granting)
  const gaps = openGapReport(ports)
  const tellGaps = (session: Session, grants: Session['grants']): void => gaps(session.device, grants)
  const lostReport = openLostReport(ports)
  const holders = openHolders(store)
  const outputs = openOutputs(ports.traffic)
  const onStoreFault = (cause: unknown): void => ports.log('error', { error: cause instanceof Error ? cause.message : 'unknown' }, 'the session store refused a change')
  const deadlines = openDeadlines({
    store, clock: ports.clock, onStoreFault,
    fireWill: (will) => wills.fire(will),
    async endSessions(keys) {
      const gone = keys.filter((key) => sessions.get(key) === undefined)
      if (gone.length === 0) return
      holders.changed()
      await store.commit(gone.map((key) => ({ kind: 'session-ended', key })))
    },
  })
  const onDeadline = (at: number): void => deadlines.hint(at)
  const keeping = openKeeping({ broker: ports, store, sessions, holders, linkOf, storedSoFar: () => publishing.stored, isAsking: () => publishing.asking > 0, onDeadline, onStoreFault })
  const purge = openPurge({ broker: ports, store, granting, onStoreFault })
  const absent = openAbsent({ broker: ports, store, sessions, granting, keeping, lostReport, linkOf })
  const rights = openRights({ broker: ports, sessions, granting, keeping, lostReport, linkOf, tellGaps, subscribed })
  const losses = openLosses(ports)
  const publishing = openPublishing({
    router, store, holders, onStoreFault,
    outboundOf: (key) => linkOfKey(key)?.outbound,
    routedAt: (key) => linkOfKey(key)?.routedAt,
    goesOn(outbound) {
      const link = linkOfKey(outbound.key)
      return link === undefined || link.outbound === outbound || link.connect?.clean !== true
    },
    onFull(key) {
      const link = linkOfKey(key)
      if (link !== undefined) endings.fault(link, deny('quota-exceeded', 'the client reads too slowly: its queue is full'))
    },
    onDropped: (key, messages) => losses.add(key, messages),
    onRetaining: (topic) => purge.retaining(topic),
  })
  const wills = openWills({ broker: ports, granting, publishing, keeping, sessions, linkOf, onDeadline })
  const watching = openWatching(ports, sessions)
  const posting = openPosting({ broker: ports, granting, publishing, watching, withinRate: judge.withinRate })
  const endings = openEndings(ports, (link) => wills.clear(link))
  const admitting = openAdmitting({
    broker: ports, sessions, judge, keeping, publishing, rights, endings, watching, linkOfKey, tellGaps,
    linkOf: (client) => links.get(client), unroute: ({ outbound }) => outbound && router.remove(outbound),
    onSession: (session, link) => void linkOfSession.set(session, link),
  })
  const findRetained = openRetained({ store, publishing, mayShow: (retained) => purge.mayShow(retained), onStoreFault })
  const deviceTopics = openDeviceTopics({ broker: ports, sessions, publishing, linkOf, onRefusal: refused })
  const hooks = openMessageHooks({
    broker: ports, publishing,
    linkOf: (client) => links.get(client),
    answerRequest: deviceTopics.answerRequest,
    onRefusal: refused,
    onUnavailable: (link) => endings.fault(link, deny('store-unavailable')),
    stillGranted(session, held) {
      const link = linkOf(session)
      return link === undefined || held.filter === SESSION_MARK.topic ? undefined : rights.admit(link, session, [held])[0]?.qos
    },
  })
  const aedes = new Aedes(engineOptions({ preConnect: admitting.preConnect, authenticate: admitting.authenticate, ...hooks }))
  const core = aedes as unknown as EngineCore
  await aedes.listen()
  // Trap 1: `constructor` and `__proto__` are names like any other.
  core.clients = Object.create(null)
  core.brokers = Object.create(null)
  core.on('client', forgetGhost)
  core.on('connackSent', admitting.onConnack)
  core.on('clientError', onEngineError)
  core.on('connectionError', onEngineError)
  core.on('error', (error: Error) => ports.log('error', { error: error.message }, 'the engine reported a fault'))
  const stalls = openStalls({ clock: ports.clock, onStalled: (link) => endings.fault(link, deny('quota-exceeded', 'the client reads nothing')), weigh: (waiting) => outputs.weigh(waiting) })
  const walk = openWalk(open, [{ look: endExpired }, stalls, watching.looker])
  const sweep = setInterval(() => {
    posting.sweep()
    rights.sweep(ports.clock())
    rates.sweep()
    deadlines.sweep()
    deviceTopics.sweep()
    walk.begin()
  }, LIFE.expirySweepMs).unref()

  function attach(connection: SecureConnection, peer: Peer): (fault: Denied) => void {
    const { stream } = connection
    const client = core.handle(stream)
    const output = outputs.of(stream, {
      // The engine's CONNACK is worded anew: what it writes before is that.
      mayEngineWrite: () => client.connackSent,
      onDrained: () => link.outbound?.pump(),
    })
    const answers = openAnswerOrder(() => link.reading?.resume())
    const link: Link = openLink({ connection, peer, client, bounds: ports.bounds(), output, answers, userProperties: noteUserProperties(client._parser), commit: (changes) => stored(link, () => store.commit(changes)) })
    links.set(client, link)
    open.add(link)
    takeSeat(client, core, {
      store: openEngineStore(link, { keeping, resume: admitting.resume, showRetained: retainedFor, setWill: (to, will) => wills.set(to, will), clearWill: (to) => wills.clear(to) }),
      subscribed: (filter, held) => subscribed(link, filter, held),
      unsubscribed: (filter) => unsubscribed(link, filter),
      willDue: (will: EngineWill, delaySeconds) => wills.due(link, will, delaySeconds),
    })
    client.subscriptions = Object.create(null) // trap 1
    client.duplicates = Object.create(null)
    const reading = guardInput(client, stream, link.bounds.packetBytesMax, {
      mayRead: () => answers.open() + (link.gate?.waiting() ?? 0) < BROKER_LIMITS.unansweredMax,
      pace: () => link.pace, traffic: ports.traffic,
      onFault: (fault) => endings.fault(link, fault),
    })
    watching.attached(link)
    link.reading = reading
    link.gate = gateOf(link, reading)
    // The engine would destroy the stream, and the words to the client with it.
    client._parser.removeAllListeners('error')
    client._parser.on('error', (error: Error) => endings.malformed(link, error))
    link.deadline = setTimeout(() => endings.fault(link, deny('connect-timeout')), BROKER_LIMITS.connectMs)
    stream.once('close', () => closed(link))
    return (fault) => endings.fault(link, fault)
  }

  function gateOf(link: Link, reading: Reading): NonNullable<Link['gate']> {
    return installPacketGate(link.client, {
      session: () => link.session,
      filtersHeld: (session) => filtersHeld({ sessions, linkOf }, session),
      keep: (session, changes) => (link.outbound?.kept === true ? stored(link, () => Promise.all(changes.map((change) => keeping.subscribed(session, change)))) : undefined),
      onAnswered: () => reading.resume(),
      exchange: (packetId) => link.outbound?.exchange(packetId),
      // Of a session that is not kept the engine asks no store at this step.
      onPubrec({ messageId = 0, reasonCode = 0 }) {
        if (link.outbound?.kept !== false) return
        if (reasonCode >= FIRST_FAILURE_CODE) link.outbound.complete(messageId)
        else link.outbound.release(messageId)
      },
      takeRetained: () => link.retained.splice(0),
      parsing: (parse) => reading.parsing(parse),
      outputWaiting: () => link.output.waiting,
      onRefusal: refused,
      onFault: (fault) => endings.fault(link, fault),
      onThrow(error) {
        ports.log('error', { device: link.peer.device, error: error instanceof Error ? error.message : 'unknown' }, 'the engine failed on a packet: its connection is closed')
        endings.fault(link, deny('malformed-packet', 'a packet that the engine cannot handle'))
      },
      send: (bytes) => link.output.write(bytes),
    })
  }

  /** The client asked for it, on a connection of its own. */
  function refused(session: Session, refusal: SessionRefusal): void {
    watching.refused(session, refusal)
    endings.refusal(session, refusal)
  }

  function closed(link: Link): void {
    clearTimeout(link.deadline)
    open.delete(link)
    const { session, outbound } = link
    outbound?.stop()
    const isLast = session !== undefined && sessions.get(session.key) === session
    // The Will is dealt with while the session still stands in its place.
    link.client.close()
    if (session === undefined) return
    sessions.remove(session)
    if (outbound === undefined) return
    router.remove(outbound)
    const filters = Object.keys(link.client.subscriptions).length
    if (isLast) keeping.leave(link)
    // What is kept was passed over with those who are away, because it was not; and was not judged here either.
    if (isLast && (rights.isBehind(session) || !link.client.connackSent)) absent.review(session.device)
    const stays = outbound.kept && link.client.sessionExpiryInterval > 0
    for (const sibling of sessions.ofDevice(session.device)) {
      if (stays) linkOf(sibling)?.absent.set(session.key, filters)
      else linkOf(sibling)?.absent.delete(session.key)
    }
    if (outbound.dropped > 0) ports.log('warn', { session: session.key, messages: outbound.dropped }, 'messages of QoS 0 were dropped: the client read too slowly')
  }

  /** Where the store fails the connection ends, and this never resolves. */
  async function stored(link: Link, write: () => Promise<unknown>): Promise<void> {
    try {
      await write()
    } catch (cause) {
      onStoreFault(cause)
      endings.fault(link, deny('store-unavailable'))
      await new Promise<never>(() => {})
    }
  }

  function subscribed({ outbound, session }: Link, filter: string, held: HeldSubscription): void {
    const parsed = parseTopicFilter(toWireFilter(filter))
    if (outbound === undefined || session?.ending !== undefined || !parsed.allow) return
    deviceTopics.subscribed(session, filter)
    router.subscribe(outbound, parsed.value, { qos: held.qos, noLocal: held.nl === true, retainAsPublished: held.rap === true, identifier: held.si })
  }

  function unsubscribed(link: Link, filter: string): void {
    const { outbound } = link
    const parsed = parseTopicFilter(toWireFilter(filter))
    if (outbound !== undefined && parsed.allow) router.unsubscribe(outbound, parsed.value)
    // The engine takes a client's filters back when its connection ends: from here on the session is one that is away.
    if (link.client.closed) link.routedAt = undefined
  }

  /** The first of it is on its way before anything else of the client is read: so a PINGRESP says that it has come. */
  function retainedFor({ outbound, client, reading, retained }: Link, filters: readonly string[]): void {
    for (const filter of filters) {
      const held = client.subscriptions[filter]
      // Of a shared subscription nothing is retained. MQTT 5 §4.8.2.
      if (outbound === undefined || held === undefined || toWireFilter(filter) !== filter) continue
      const release = reading?.hold()
      retained.push(findRetained(outbound, { filter, qos: held.qos, noLocal: held.nl === true, identifier: held.si, isHeld: () => client.subscriptions[filter] !== undefined }, () => release?.()))
    }
  }

  /** Closed while its CONNECT was in flight: the engine would list it for ever. */
  function forgetGhost(client: EngineClient): void {
    if (client.closed && core.clients[client.id] === client) delete core.clients[client.id]
  }

  function onEngineError(client: EngineClient, error: NodeJS.ErrnoException): void {
    const link = links.get(client)
    // What has a code is the network's; what we refused is recorded already.
    if (link === undefined || link.refused || error.code !== undefined || isRefusal(error)) return
    link.refused = true
    const { session } = link
    if (session === undefined || session.ending !== undefined || ORDINARY_ENDS.has(error.message)) return
    endings.refusal(session, { reason: 'protocol-error', detail: error.message })
  }

  function endExpired({ session }: Link): void {
    if (session !== undefined && session.notAfter <= ports.clock()) void session.end('certificate-expired', 'itself')
  }

  // While nobody followed, devices and policy may have changed. It delays no start.
  absent.reviewAll()
  purge.look()

  return {
    attach, desk: posting,
    renewAll() {
      posting.review()
      rights.renewAll()
      absent.reviewAll()
      purge.look()
    },
    renew: (session) => rights.renew(session),
    review(device) {
      posting.review(device)
      absent.review(device)
      purge.look()
    },
    async close() {
      clearInterval(sweep)
      walk.stop()
      rights.stop()
      const idle = Promise.all([absent.stop(), purge.stop()])
      for (const session of sessions.all()) session.ending ??= 'server-shutting-down'
      // Who is not a session yet is told nothing.
      for (const link of open) if (link.session === undefined) link.connection.stream.destroy()
      const late = setTimeout(() => {
        for (const link of open) link.connection.stream.destroy()
      }, BROKER_LIMITS.drainMs)
      await new Promise<void>((resolve) => core.close(resolve))
      // A connection that was between CONNECT and CONNACK is forgotten by the engine.
      for (const link of open) link.connection.stream.destroy()
      await Promise.all([...open].map((link) => link.closed))
      clearTimeout(late)
      await idle
      losses.close()
      lostReport.close()
    },
  }
}
