// What a running server remembers and sees of itself, opened once for all desks: the read models over the audit log, and the
// connections of its broker.

import path from 'node:path'
import type { Broker } from './broker/broker.ts'
import { openConnections } from './connections.ts'
import type { EpochMs } from './core/ids.ts'
import type { RegistryView } from './core/registry.ts'
import type { SessionStore } from './core/session-store.ts'
import { openFeed, type Feed } from './feed.ts'
import type { LivePorts } from './feed-desk.ts'
import type { OpenHome } from './home.ts'
import type { WebhookRules } from './core/webhook.ts'
import { openWebhooks, type Webhooks, type WebhooksPorts } from './webhook-desk.ts'

export interface LiveSources {
  readonly home: Pick<OpenHome, 'registry' | 'audit' | 'paths'>
  readonly broker: Broker
  readonly store: SessionStore
  readonly view: RegistryView
  readonly webhooks: () => WebhookRules
  readonly clock: () => EpochMs
  readonly log: (level: 'warn', facts: Readonly<Record<string, unknown>>, message: string) => void
}

export interface Live extends AsyncDisposable {
  readonly webhooks: Webhooks
  readonly feed: Feed
  readonly desk: LivePorts
}

export function openLive({ home, broker, store, view, webhooks: rules, clock, log }: LiveSources): Live {
  const { audit } = home
  const feed = openFeed({ audit, clock, log })
  const webhooks = openWebhooksOf(home, { tells: true, rules, warn: (facts, message) => log('warn', facts, message) })
  return {
    feed, webhooks,
    desk: { feed: () => Promise.resolve(feed), running: { connections: openConnections({ broker, view, audit, clock }), store }, waiting: () => webhooks.attention(), memory: {} },
    async [Symbol.asyncDispose]() {
      feed[Symbol.dispose]()
      await webhooks[Symbol.asyncDispose]()
    },
  }
}

/** Those of a home; a command, which tells nobody, looks after the same. */
export function openWebhooksOf({ registry, audit, paths }: Pick<OpenHome, 'registry' | 'audit' | 'paths'>, how: Pick<WebhooksPorts, 'tells' | 'rules' | 'warn'>): Webhooks {
  return openWebhooks({ registry, audit, folder: path.join(paths.local, 'webhooks'), clock: Date.now, ...how })
}
