// The broker: the TLS doors and the engine room joined, and the change feed turned into closed sessions. What main.ts
// sees of this room is this file.

import { REASONS } from '../vocabulary.ts'
import { BROKER_LIMITS } from '../limits.ts'
import type { Source } from '../core/audit.ts'
import type { Decision, Denied } from '../core/decision.ts'
import type { PublishDesk } from '../core/https-publish.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Change } from '../core/registry.ts'
import { openEngine } from './engine/engine.ts'
import { openListener, type Listener, type SecureConnection, type Service, type TlsMaterial } from './listener.ts'
import { presentedFacts } from '../x509/presented.ts'
import { judgeFailedHandshake, judgePeer, judgeTrust, peerRefusal, type Peer } from './peer.ts'
import type { BrokerPorts } from './ports.ts'
import { openSessionTable, type Session, type SessionMatch } from './sessions.ts'
import { openSourceGate } from './source-gate.ts'
import { openUpgrader } from './websocket.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Broker {
  readonly address: Address
  /** Of the WebSocket door, where there is one. */
  readonly websocket: Address | undefined
  readonly sessionCount: number
  /** Publishes for devices that post their messages over HTTPS. */
  readonly desk: PublishDesk
  /**
   * How many sessions a committed change of this certificate or device has closed, once their sockets are closed. The
   * closing itself begins with the change feed, before anybody asks.
   */
  closed(match: SessionMatch): Promise<number>
  /**
   * Gets a new server certificate and trust ready, and returns the way to put them in force for new handshakes; no session
   * is dropped. Failure: 'certificate-unusable', and the old ones stay.
   */
  prepareTls(material: TlsMaterial): () => void
  /** Policy or trust changed: from here on everybody is judged by it, connected or not. Who loses nothing notices nothing. */
  regrant(): void
  /** Connected sessions, of one device or of all, with what they are subscribed to. */
  live(device?: DeviceId): Iterable<LiveSession>
  /** Stops accepting, ends all sessions, and resolves when their sockets are closed or the drain time is over. */
  close(): Promise<void>
}

/** A connected session, for whoever asks what a policy would mean to it. Thousands are walked through for one page: it is the session itself, of which no more than this is seen. */
export type LiveSession = Pick<Session, 'key' | 'tenant' | 'device' | 'clientId' | 'issuer' | 'serial' | 'notAfter' | 'leaf' | 'protocol' | 'number' | 'since' | 'listener' | 'source' | 'connection' | 'held' | 'detail' | 'end'>

const MS_A_SECOND = 1_000

export async function openBroker(ports: BrokerPorts): Promise<Broker> {
  const sessions = openSessionTable()
  const engine = await openEngine({ ...ports, observe }, sessions)
  const gate = openSourceGate(ports.sourceRate)
  const closures = openClosures()

  function attach(connection: SecureConnection, peer: Peer): (fault: Denied) => void {
    ports.traffic.opened += 1
    connection.stream.once('close', () => void (ports.traffic.closed += 1))
    return engine.attach(connection, peer)
  }

  /** Both doors have the same source gate, the same trust and the same judge. */
  const openDoor = (service: Service, { host, port }: Address, onPeer: (connection: SecureConnection, peer: Peer) => void): Promise<Listener> =>
    openListener({
      service, host, port, gate,
      material: ports.tls,
      clock: ports.clock,
      onRefused: (source, denied, chain) => auditStranger(source, judgeFailedHandshake(denied, chain, ports), chain[0]),
      onSecure(connection) {
        const peer = judgePeer(connection.socket, ports)
        if (peer.allow) return onPeer(connection, peer.value)
        // Refused before one byte is read or written: a stranger gets nothing to talk to.
        const leaf = connection.socket.getPeerX509Certificate()?.raw
        connection.socket.destroy()
        auditStranger(connection.source, peer, leaf)
      },
    })
  const upgrader = ports.websocket && openUpgrader({
    ...ports.websocket,
    bounds: ports.bounds,
    onOpen: attach,
    onRefused: ({ source }, peer, denied) => ports.audit.record(peerRefusal(peer, source, denied, ports.clock())),
  })
  const listener = await openDoor('mqtt', ports, (connection, peer) => void attach(connection, peer))
  const websocket = ports.websocket && upgrader && (await openDoor('websocket', ports.websocket, (connection, peer) => upgrader.receive(connection, peer)).catch(async (failure: unknown) => {
    listener.close()
    await engine.close()
    throw failure
  }))
  const stopFollowing = ports.view.onChange(follow)

  /** The CA may have gone out of trust between handshake and CONNECT: nothing is recorded for it then. */
  async function observe(peer: Peer): Promise<Decision<void>> {
    const trusted = judgeTrust(peer, ports)
    return trusted.allow ? ports.observe(peer) : trusted
  }

  function auditStranger(source: Source, { reason, detail }: Denied, leaf: Uint8Array | undefined): void {
    const facts = presentedFacts(leaf)
    const known = facts.presented?.sha256 === undefined ? undefined : ports.view.certificateBySha256(facts.presented.sha256)
    ports.audit.record({
      kind: 'refusal', at: ports.clock(), step: REASONS[reason].step, reason, source,
      ...(detail === undefined ? {} : { detail }),
      // A recorded certificate names its device; any other only claims to.
      ...(known?.device === undefined ? facts : { device: known.device, ...(facts.presented === undefined ? {} : { presented: facts.presented }) }),
    })
  }

  /** The view has taken the change in already: whoever reconnects from here on is judged by it. */
  function follow(change: Change): void {
    const match = concerned(change)
    if (match === undefined) return
    const owner = 'device' in match ? match.device : ports.view.certificate(match.issuer, match.serial)?.device
    const ended = sessions.matching(match, owner).flatMap((session) => engine.renew(session) ?? [])
    if (ended.length > 0) {
      closures.add(match, ended)
      void timed(ended)
    }
    if (owner !== undefined) engine.review(owner)
  }

  /** From the change to the last socket closed. */
  async function timed(ended: readonly Promise<void>[]): Promise<void> {
    const begun = performance.now()
    await Promise.all(ended)
    ports.timing('revocation-closed', (performance.now() - begun) / MS_A_SECOND)
  }

  return {
    address: listener.address,
    websocket: websocket?.address,
    desk: engine.desk,
    get sessionCount() {
      return sessions.size
    },
    closed: (match) => closures.take(match),
    prepareTls(material) {
      const replace = [listener, websocket].map((door) => door?.prepare(material))
      return () => replace.forEach((each) => each?.())
    },
    regrant: () => engine.renewAll(),
    *live(device) {
      for (const session of device === undefined ? sessions.all() : sessions.ofDevice(device)) {
        if (session.ending === undefined) yield session
      }
    },
    async close() {
      listener.close()
      websocket?.close()
      upgrader?.close()
      stopFollowing()
      await engine.close()
    },
  }
}

/** Whose sessions a change concerns. */
function concerned(change: Change): SessionMatch | undefined {
  if (change.kind === 'certificate-revoked' || change.kind === 'certificate-state') return { issuer: change.issuer, serial: change.serial }
  if (change.kind === 'device-state' || change.kind === 'device-described') return { device: change.id }
  return undefined
}

interface Closures {
  add(match: SessionMatch, ended: readonly Promise<void>[]): void
  take(match: SessionMatch): Promise<number>
}

/** Remembers, for a short while, which sessions a change has closed, for the operator who made that change. */
function openClosures(): Closures {
  const pending = new Map<string, { readonly ended: readonly Promise<void>[]; readonly forgotten: NodeJS.Timeout }>()
  const keyOf = (match: SessionMatch): string => ('device' in match ? `device/${match.device}` : `certificate/${match.issuer}/${match.serial}`)
  return {
    add(match, ended) {
      const key = keyOf(match)
      const before = pending.get(key)
      // The timer of an earlier change must not take what this one adds.
      clearTimeout(before?.forgotten)
      const forgotten = setTimeout(() => pending.delete(key), BROKER_LIMITS.drainMs).unref()
      pending.set(key, { ended: [...(before?.ended ?? []), ...ended], forgotten })
    },
    async take(match) {
      const key = keyOf(match)
      const closed = pending.get(key)
      if (closed === undefined) return 0
      clearTimeout(closed.forgotten)
      pending.delete(key)
      await Promise.all(closed.ended)
      return closed.ended.length
    },
  }
}
