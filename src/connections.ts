// Who is connected, as an operator asks for it: pages over the sessions of the running broker, and the way to end one. A walk through
// all of them looks at names only; what costs something is read of those that are shown.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Broker, LiveSession } from './broker/broker.ts'
import type { Actor } from './core/audit.ts'
import { deny } from './core/decision.ts'
import { failureOf } from './core/errors.ts'
import type { ConnectionEnded, ConnectionPage, ConnectionQuery, ConnectionShown } from './core/feed-desk.ts'
import type { DeviceId, EpochMs, TenantId } from './core/ids.ts'
import type { AuditSink, RegistryView } from './core/registry.ts'
import { FEED_LIMITS } from './feed-limits.ts'

export interface ConnectionsPorts {
  readonly broker: Pick<Broker, 'live'>
  readonly view: Pick<RegistryView, 'device'>
  readonly audit: AuditSink
  readonly clock: () => EpochMs
}

export interface Connections {
  page(query: ConnectionQuery): Promise<ConnectionPage>
  of(device: DeviceId): readonly (ConnectionShown & { readonly filters: readonly string[] })[]
  /** Reason: connection-not-found. */
  end(id: string, actor: Actor, tenant?: TenantId): Promise<ConnectionEnded>
  /** How many sessions there are, and of how many devices. */
  counted(): { readonly devices: number; readonly sessions: number }
}

export function openConnections({ broker, view, audit, clock }: ConnectionsPorts): Connections {
  async function page(query: ConnectionQuery): Promise<ConnectionPage> {
    const limit = query.limit ?? FEED_LIMITS.pageDefault
    const fits = fitting(query, view)
    let first: LiveSession[] = []
    let [matched, walked] = [0, 0]
    let horizon: string | undefined
    for (const session of broker.live(query.device)) {
      // Between some hundreds of them messages have their turn. Who comes or goes meanwhile is on this page, or on the next look.
      if (++walked % FEED_LIMITS.walkedAtOnceMax === 0) await nextTurn()
      if (!fits(session)) continue
      matched += 1
      if (query.after !== undefined && session.key <= query.after) continue
      // Behind everything that this page can show.
      if (horizon !== undefined && session.key > horizon) continue
      first.push(session)
      // Of the first page and one more, whatever there are: so a walk through many sorts few, and fewer the longer it goes on.
      if (first.length < 4 * (limit + 1)) continue
      first = first.toSorted(byKey).slice(0, limit + 1)
      horizon = first.at(-1)?.key
    }
    const sorted = first.toSorted(byKey)
    const items = sorted.slice(0, limit)
    const last = items.at(-1)
    return { items: items.map(shown), matched, ...(sorted.length > limit && last !== undefined ? { next: last.key } : {}) }
  }

  return {
    page,
    of: (device) => [...broker.live(device)].toSorted(byKey).map((session) => ({ ...shown(session), filters: session.held().map(({ filter }) => filter) })),
    async end(id, actor, tenant) {
      for (const session of broker.live()) {
        if (String(session.number) !== id || (tenant !== undefined && session.tenant !== tenant)) continue
        const { device, clientId } = session
        audit.record({ kind: 'connection-ended', at: clock(), device, clientId, actor })
        await session.end('ended-by-operator', 'operator')
        return { id, device, clientId }
      }
      throw failureOf(deny('connection-not-found', id))
    },
    counted() {
      const devices = new Set<DeviceId>()
      let sessions = 0
      for (const { device } of broker.live()) {
        devices.add(device)
        sessions += 1
      }
      return { devices: devices.size, sessions }
    },
  }
}

const byKey = (a: LiveSession, b: LiveSession): number => (a.key < b.key ? -1 : Number(a.key > b.key))

function fitting({ group, q, address, listener, tenant }: ConnectionQuery, view: Pick<RegistryView, 'device'>): (session: LiveSession) => boolean {
  const text = q?.toLowerCase()
  return (session) =>
    (tenant === undefined || session.tenant === tenant) &&
    (address === undefined || session.source.address === address) &&
    (listener === undefined || session.listener === listener) &&
    (text === undefined || session.device.toLowerCase().includes(text) || session.clientId.toLowerCase().includes(text) || session.source.address.includes(text)) &&
    (group === undefined || view.device(session.device)?.groups.includes(group) === true)
}

function shown(session: LiveSession): ConnectionShown {
  const { device, clientId, source, connection, protocol, issuer, serial, notAfter, number, since, listener } = session
  const { cipher, keepAliveSeconds, kept, queued, inFlight, bytesIn, bytesOut, packetsIn } = session.detail()
  return {
    id: String(number), device, clientId, address: source.address, port: source.port, listener, since, protocol, tls: connection.tls, cipher, keepAliveSeconds, kept,
    subscriptions: session.held().length, queued, inFlight, issuer, serial, notAfter, bytesIn, bytesOut, packetsIn,
  }
}
