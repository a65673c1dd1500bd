// What a running server remembers and sees of itself, opened once for all desks: the read models over the audit log, and the
// connections of its broker.

import type { Broker } from './broker/broker.ts'
import { openConnections } from './connections.ts'
import type { EpochMs } from './core/ids.ts'
import type { RegistryView } from './core/registry.ts'
import type { SessionStore } from './core/session-store.ts'
import { openFeed, type Feed } from './feed.ts'
import type { LivePorts } from './feed-desk.ts'
import type { AuditLog } from './observe/audit-log.ts'

export interface LiveSources {
  readonly audit: AuditLog
  readonly broker: Broker
  readonly store: SessionStore
  readonly view: RegistryView
  readonly clock: () => EpochMs
  readonly log: (level: 'warn', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface Live extends Disposable {
  readonly feed: Feed
  readonly desk: LivePorts
}

export function openLive({ audit, broker, store, view, clock, log }: LiveSources): Live {
  const feed = openFeed({ audit, clock, log })
  return {
    feed,
    desk: { feed: () => Promise.resolve(feed), running: { connections: openConnections({ broker, view, audit, clock }), store }, memory: {} },
    [Symbol.dispose]: () => feed[Symbol.dispose](),
  }
}
