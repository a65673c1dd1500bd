// Sessions beyond their connections: what is resumed at CONNECT, what is kept when the connection is gone and for how long,
// and for whom no longer. The store holds it; deadlines are rows there, and are looked after here.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { deny, type Decision, allow } from '../../core/decision.ts'
import type { Device } from '../../core/device.ts'
import type { DeviceId, SessionKey } from '../../core/ids.ts'
import type { Narrowing } from '../../core/policy/narrowing.ts'
import type { SessionChange, SessionStore, Sibling, StoredSession } from '../../core/session-store.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session, SessionTable } from '../sessions.ts'
import type { Opening } from './connect.ts'
import type { Holders } from './holders.ts'
import type { Link } from './link.ts'
import type { EngineClient } from './surface.ts'

/**
 * How long a session outlives its connection: as the policy grants. A session of 3.1.1 that is not clean asks for ever, and
 * is given the longest.
 */
export function boundExpiry(client: EngineClient, opening: Opening): void {
  const expiryMax = opening.grants.sessionExpirySecondsMax
  if (expiryMax !== undefined && client.sessionExpiryInterval > expiryMax) {
    client.sessionExpiryInterval = expiryMax
    client._sessionExpiryClamped = opening.protocol === 5
  }
}

export interface Keeping {
  /** The session that is resumed, its receiving half included; undefined: it begins anew. Reason: sessions-limit. */
  open(link: Link, cleanStart: boolean): Promise<Decision<StoredSession | undefined>>
  subscribed(session: Session, change: SessionChange & { readonly kind: 'subscribed' | 'unsubscribed' }): Promise<void>
  /** It loses what it was granted: resolves when nothing more can come into its queue by what is lost. */
  narrow(key: SessionKey, narrowing: Narrowing, sentThrough: number): Promise<void>
  /** Its connection is gone, and no other has taken it over. */
  leave(link: Link): void
  /** This device cannot come back: what is kept for it goes, and what is connected leaves nothing when it ends. */
  forget(device: Device, reason: DenyReason): void
  /** Writes without waiting. A failure is the store's to report. */
  keep(...changes: readonly SessionChange[]): void
}

export interface KeepingPorts {
  readonly broker: BrokerPorts
  readonly store: SessionStore
  readonly sessions: SessionTable
  readonly holders: Holders
  linkOf(session: Session): Link | undefined
  /** How many messages have gone to the store. */
  storedSoFar(): number
  /** Messages are on their way to the queues whose sessions were asked for before. */
  isAsking(): boolean
  /** A deadline was written. */
  onDeadline(at: number): void
  onStoreFault(cause: unknown): void
}

export function openKeeping(ports: KeepingPorts): Keeping {
  const { broker, store, sessions, holders } = ports

  /** Keys under which nothing is kept for certain: those who always start clean ask nothing of the store. */
  const nothingKept = new Set<SessionKey>()
  /** Devices whose kept sessions are being ended: who comes with a new certificate meanwhile waits, and begins anew. */
  const forgetting = new Map<DeviceId, Promise<void>>()

  /** Kept sessions that lose filters while messages are on their way by these: who comes back to one waits until they are taken out again. */
  const slipping = new Map<SessionKey, Promise<void>>()

  function endKept(key: SessionKey): void {
    keep({ kind: 'session-ended', key })
    holders.changed()
    if (nothingKept.size >= BROKER_LIMITS.nothingKeptMax) nothingKept.clear()
    nothingKept.add(key)
  }

  function keep(...changes: readonly SessionChange[]): void {
    store.commit(changes).catch((cause: unknown) => ports.onStoreFault(cause))
  }

  /** Sessions of the device, connected and kept, this one not counted: is there room for one more? Takes note of the filters of those that are away. */
  function isRoomFor(session: Session, kept: readonly Sibling[], link: Link): boolean {
    const connected = new Set(sessions.ofDevice(session.device).map(({ key }) => key))
    const away = kept.filter(({ key }) => !connected.has(key))
    link.absent = new Map(away.map(({ key, subscriptions }) => [key, subscriptions]))
    connected.delete(session.key)
    return connected.size + away.length < BROKER_LIMITS.sessionsPerDeviceMax
  }

  async function open(link: Link, cleanStart: boolean): Promise<Decision<StoredSession | undefined>> {
    const { session, client, outbound } = link
    if (session === undefined || outbound === undefined) return deny('server-shutting-down')
    const { key } = session
    const expirySeconds = client.sessionExpiryInterval
    if (cleanStart && expirySeconds === 0) {
      // Whatever there was ends here [MQTT-3.1.2-4].
      if (!nothingKept.has(key)) endKept(key)
      return allow(undefined)
    }
    const ending = forgetting.get(session.device)
    if (ending !== undefined) await ending
    const slipped = slipping.get(key)
    if (slipped !== undefined) await slipped
    const [found, siblings] = await Promise.all([cleanStart ? undefined : store.session(key), store.siblings(`${session.tenant}/${session.device}`)])
    // Its time is over, and nobody has looked yet.
    const isOver = found?.expiresAt !== undefined && found.expiresAt <= broker.clock()
    const stored = isOver ? undefined : found
    if (isOver) endKept(key)
    if (stored === undefined && expirySeconds === 0) return allow(undefined)
    if (!isRoomFor(session, siblings, link) && stored === undefined) return deny('sessions-limit', `${BROKER_LIMITS.sessionsPerDeviceMax} connected or kept`)
    if (client.closed || sessions.get(key) !== session) return deny('server-shutting-down')
    // Trap 15: the engine takes "does not outlive the connection" for "has nothing to resume". A session that is resumed for one
    // connection only is in the store until then.
    client.clean = false
    nothingKept.delete(key)
    outbound.keep(stored, link.incumbent?.outbound?.sentThrough ?? 0, ports.storedSoFar())
    keep({ kind: 'session-attached', key, expirySeconds, fresh: cleanStart })
    if (cleanStart) holders.changed()
    return allow(stored)
  }

  return {
    open, keep,
    async subscribed(session, change) {
      if (ports.linkOf(session)?.outbound?.kept !== true) return
      const written = store.commit([change])
      holders.changed()
      await written
    },
    narrow(key, { lost, lowered }, sentThrough) {
      const change = { kind: 'session-narrowed', key, lost: lost.map(({ filter }) => filter), lowered, sentThrough } as const
      const slips = lost.length > 0 && ports.isAsking()
      const written = store.commit([change])
      holders.changed()
      const narrowed = narrowTwice(change, written, slips).catch((cause: unknown) => ports.onStoreFault(cause)).finally(() => {
        if (slipping.get(key) === narrowed) slipping.delete(key)
      })
      if (slips) slipping.set(key, narrowed)
      return narrowed
    },
    leave({ session, client, outbound }) {
      if (session === undefined || outbound?.kept !== true) return
      const { key } = session
      if (client.sessionExpiryInterval === 0) {
        endKept(key)
        return
      }
      const expiresAt = broker.clock() + client.sessionExpiryInterval * 1_000
      keep({ kind: 'session-detached', key, expiresAt, sentThrough: outbound.sentThrough })
      ports.onDeadline(expiresAt)
    },
    forget(device, reason) {
      for (const session of sessions.ofDevice(device.id)) {
        const client = ports.linkOf(session)?.client
        if (client !== undefined) client.sessionExpiryInterval = 0
      }
      const done = forgetKept(device, reason)
        .catch((cause: unknown) => ports.onStoreFault(cause))
        .finally(() => {
          if (forgetting.get(device.id) === done) forgetting.delete(device.id)
        })
      forgetting.set(device.id, done)
    },
  }

  async function narrowTwice(change: SessionChange, written: Promise<unknown>, slips: boolean): Promise<void> {
    await written
    if (!slips) return
    // The store has answered what it was asked before this, and whoever asked has gone on by the next turn.
    await nextTurn()
    await store.commit([change])
  }

  async function forgetKept(device: Device, reason: DenyReason): Promise<void> {
    // Those that are connected now leave nothing when they end; those that come while the store is asked wait for this.
    const connected = new Set(sessions.ofDevice(device.id).map(({ key }) => key))
    const kept = (await store.siblings(`${device.tenant}/${device.id}`)).filter(({ key }) => !connected.has(key))
    if (kept.length === 0) return
    holders.changed()
    await store.commit(kept.map(({ key }) => ({ kind: 'session-ended', key })))
    // Its scheduled Wills are due with that; whether they may be published is judged when they fire.
    ports.onDeadline(broker.clock())
    broker.log('info', { device: device.id, sessions: kept.length, reason }, 'what was kept for a device that cannot come back is gone')
  }
}

export interface DeadlinePorts {
  readonly store: SessionStore
  readonly clock: () => number
  /** Publishes the Will if it may be, and takes it out of the store. */
  fireWill(will: Awaited<ReturnType<SessionStore['due']>>['wills'][number]): Promise<void>
  endSessions(keys: readonly SessionKey[]): Promise<void>
  onStoreFault(cause: unknown): void
}

export interface Deadlines {
  /** Something is due at this time, perhaps before all that is known. */
  hint(at: number): void
  /** Looks whether something is due now; to be called every second. */
  sweep(): void
}

/** The store is asked only when something is due: an idle server asks nothing. */
export function openDeadlines(ports: DeadlinePorts): Deadlines {
  let next = 0
  let running = false

  async function run(): Promise<void> {
    for (;;) {
      const now = ports.clock()
      const due = await ports.store.due(now, DUE_PAGE)
      for (const will of due.wills) await ports.fireWill(will)
      if (due.sessions.length > 0) await ports.endSessions(due.sessions)
      if (due.wills.length === 0 && due.sessions.length === 0) {
        next = Math.min(next, due.next ?? Number.POSITIVE_INFINITY)
        return
      }
    }
  }

  return {
    hint(at) {
      next = Math.min(next, at)
    },
    sweep() {
      if (running || ports.clock() < next) return
      running = true
      next = Number.POSITIVE_INFINITY
      run()
        .catch((cause: unknown) => {
          next = 0
          ports.onStoreFault(cause)
        })
        .finally(() => {
          running = false
        })
    },
  }
}

const DUE_PAGE = 100
