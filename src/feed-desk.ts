// The part of the desk that shows what is and what was: connections, refusals, the overview, and what belongs on the page of a device.
// It reads, gathers and counts; the one thing that it does is to end a connection.

import type { Actor } from './core/audit.ts'
import { deny } from './core/decision.ts'
import type { Device } from './core/device.ts'
import { failureOf } from './core/errors.ts'
import type { CertificateLife, DeviceSessions, FeedDesk, KeptSession, RefusalDetail } from './core/feed-desk.ts'
import { pathOf } from './core/handshake-path.ts'
import type { DeviceId, EpochMs, TenantId } from './core/ids.ts'
import { effectiveTopics } from './core/policy/effective-topics.ts'
import type { CertificateRecord, Registry, RegistryView } from './core/registry.ts'
import type { SessionStore } from './core/session-store.ts'
import type { Connections } from './connections.ts'
import { openFeed, type Feed, type FeedPorts } from './feed.ts'
import { FEED_LIMITS } from './feed-limits.ts'
import { once, principalOf, type FleetPorts } from './fleet.ts'
import { clientIdOf } from './held-sessions.ts'
import type { AuditLog } from './observe/audit-log.ts'
import { certificateEventOf } from './observe/ecs.ts'
import type { IsOf } from './observe/refusal-index.ts'
import { openOverview, type OverviewPorts } from './overview.ts'
import type { PolicyInForce } from './policy-apply.ts'

/** What a running server knows beyond its files. Without one nobody is connected. */
export interface RunningPorts {
  readonly connections: Connections
  readonly store: Pick<SessionStore, 'siblings' | 'session' | 'health'>
}

/** What is opened once for all desks of a home. */
export interface LivePorts extends Pick<OverviewPorts, 'memory' | 'waiting'> {
  /** Opened when it is asked for the first time, where no server has one. */
  readonly feed: () => Promise<Feed>
  readonly running: RunningPorts | undefined
}

/** For a command without a server. */
export function openedLater(audit: FeedPorts['audit'], clock: () => EpochMs): LivePorts {
  const read = once(async () => {
    const feed = openFeed({ audit, clock, log: () => {} })
    await feed.restored
    return feed
  })
  return { feed: read, running: undefined, memory: {} }
}

export interface FeedDeskPorts extends FleetPorts, OverviewPorts, LivePorts {
  readonly registry: Pick<Registry, 'devices' | 'certificateDer'> & OverviewPorts['registry']
  readonly view: Pick<RegistryView, 'certificatesOf' | 'device'>
  readonly audit: Pick<AuditLog, 'walkBack' | 'degraded'>
  readonly policy: () => PolicyInForce['policy']
  readonly device: (id: DeviceId) => Device
  readonly certificatesOf: (id: DeviceId) => readonly CertificateRecord[]
  readonly clock: () => EpochMs
}

export function openFeedDesk(ports: FeedDeskPorts, actor: Actor): FeedDesk {
  const { running, clock } = ports
  const overview = openOverview(ports)

  const isOf: IsOf = (device, tenant) => ports.view.device(device as DeviceId)?.tenant === tenant

  async function refusal(id: number, tenant?: TenantId): Promise<RefusalDetail> {
    const { refusals } = await ports.feed()
    const shown = refusals.get(id)
    if (shown === undefined || (tenant !== undefined && !isOf(shown.device ?? shown.claimed ?? '', tenant))) throw failureOf(deny('refusal-not-found', String(id)))
    const similar = refusals.similar(shown)
    return {
      ...shown,
      path: pathOf({ step: shown.step, reason: shown.reason, presented: shown.presented !== undefined, door: shown.door }),
      similar: {
        count: similar.reduce((sum, { count }) => sum + count, 0), first: similar.at(-1)?.at ?? shown.at, last: similar[0]?.at ?? shown.at,
        newest: similar.filter((each) => each.id !== id).slice(0, FEED_LIMITS.similarMax).map(({ id: number, at }) => ({ id: number, at })),
      },
    }
  }

  async function deviceSessions(id: DeviceId): Promise<DeviceSessions> {
    const device = ports.device(id)
    if (running === undefined) return { device: id, connected: [], kept: [] }
    const connected = running.connections.of(id)
    const here = new Set(connected.map(({ clientId }) => clientId))
    const away = (await running.store.siblings(`${device.tenant}/${device.id}`)).filter(({ key }) => !here.has(clientIdOf(key)))
    const kept = await Promise.all(away.map(async ({ key }): Promise<readonly KeptSession[]> => {
      const session = await running.store.session(key)
      if (session === undefined || (session.expiresAt ?? Number.POSITIVE_INFINITY) <= clock()) return []
      return [{ clientId: clientIdOf(key), ...(session.expiresAt === undefined ? {} : { expiresAt: session.expiresAt }), queued: session.queued, subscriptions: session.subscriptions.map(({ filter }) => filter) }]
    }))
    return { device: id, connected, kept: kept.flat() }
  }

  return {
    connections: async (query) => (await running?.connections.page(query)) ?? { items: [], matched: 0 },
    async endConnection(id, tenant) {
      if (running === undefined) throw failureOf(deny('connection-not-found', id))
      return running.connections.end(id, actor, tenant)
    },
    refusals: async (query) => (await ports.feed()).refusals.page(query, isOf),
    refusalGroups: async (filter) => (await ports.feed()).refusals.groups(filter, isOf),
    refusal,
    overview: async () => overview(await ports.feed()),
    deviceSessions,
    deviceTopics: async (id) => ({ device: id, ...effectiveTopics(ports.policy(), principalOf(ports, ports.device(id), { now: clock() })) }),
    deviceTimeline: async (id) => timelineOf(ports.certificatesOf(ports.device(id).id), ports.audit),
  }
}

/** When what happened to each; the registry knows how it stands, the audit log when it came to that. */
async function timelineOf(records: readonly CertificateRecord[], audit: Pick<AuditLog, 'walkBack'>): Promise<readonly CertificateLife[]> {
  type Times = { issuedAt?: EpochMs; firstUsedAt?: EpochMs; supersededAt?: EpochMs; because?: string }
  const times = new Map(records.map(({ issuer, serial }): [string, Times] => [`${issuer}/${serial}`, {}]))
  const oldest = Math.min(...records.map(({ createdAt }) => createdAt))
  if (records.length > 0) {
    await audit.walkBack(({ record }) => {
      const event = certificateEventOf(record)
      const found = event === undefined ? undefined : times.get(`${event.issuer}/${event.serial}`)
      if (event !== undefined && found !== undefined) {
        if (event.action === 'certificate-issued') found.issuedAt = event.at
        // Read backwards: what stands is the first time.
        if (event.action === 'admission' || event.action === 'certificate-observed') found.firstUsedAt = event.at
        if (event.action === 'certificate-superseded') Object.assign(found, { supersededAt: event.at, ...(event.because === undefined ? {} : { because: event.because }) })
      }
      return Date.parse(String(record['@timestamp'])) < oldest - FEED_LIMITS.clockSlackMs ? 'enough' : 'on'
    })
  }
  return records.toSorted((a, b) => b.createdAt - a.createdAt).map((record, index, all): CertificateLife => {
    const { issuer, serial, state, createdAt, notBefore, notAfter, revokedAt, revocationReason } = record
    const before = all[index + 1]
    return {
      issuer, serial, state, plannedAt: createdAt, notBefore, notAfter, ...times.get(`${issuer}/${serial}`),
      ...(revokedAt === undefined ? {} : { revokedAt }), ...(revocationReason === undefined ? {} : { revocationReason }),
      ...(before === undefined ? {} : { renews: before.serial }),
    }
  })
}
