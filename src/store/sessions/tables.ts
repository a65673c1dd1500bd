// Changes become rows, and rows answers: every statement of the session store that queue-tables, kept-tables and topic-index do
// not own. It knows neither transactions nor files.

import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { unreachable } from '../../core/decision.ts'
import type { SallyportError } from '../../core/errors.ts'
import type { EpochMs, SessionKey } from '../../core/ids.ts'
import type { Qos } from '../../core/message.ts'
import type { Holder, SessionsCommitted, StoredSubscription } from '../../core/session-store.ts'
import { prepareTuples, type Tuple } from '../sqlite/rows.ts'
import { prepareCounters, type Counters } from './counters.ts'
import { lostTopics } from './filter.ts'
import { prepareKeptTables, type KeptTables } from './kept-tables.ts'
import { ownerOf } from './placing.ts'
import { prepareQueueTables, type Losses, type QueueTables, type Verified } from './queue-tables.ts'
import { prepareTopicIndex, type TopicIndex } from './topic-index.ts'
import type { ReadAnswers, ReadRequest, StoredChange } from './wire.ts'

export interface Tables {
  readonly counters: Counters
  /** Makes the changes that `changes` hands over, within a transaction of the caller. */
  commit(changes: (take: (change: StoredChange) => void) => void, now: EpochMs): SessionsCommitted
  /** `writing` is called before anything is deleted because it has expired. */
  read(request: ReadRequest, now: EpochMs, writing: () => void): ReadAnswers[ReadRequest['kind']]
  anySubscription(): boolean
  /** What was connected when the program ended is not connected now. Within a transaction. */
  recover(now: EpochMs): void
  /** After a rollback nothing that is held in memory is true any longer. */
  reset(): void
}

const SUBSCRIPTION_COLUMNS = 'filter, qos, no_local, retain_as_published, retain_handling, identifier'

function subscriptionOf([filter, qos, noLocal, retainAsPublished, retainHandling, identifier]: Tuple): StoredSubscription {
  return {
    filter: String(filter), qos: Number(qos) as Qos, noLocal: noLocal === 1, retainAsPublished: retainAsPublished === 1, retainHandling: Number(retainHandling) as 0 | 1 | 2,
    identifier: typeof identifier === 'number' ? identifier : undefined,
  }
}

/** `damaged` makes the failure of a body that is not what was stored. */
export function prepareTables(db: DatabaseSync, damaged: (what: string) => SallyportError): Tables {
  const broken = (what: string): never => {
    throw damaged(`${what} is not what was stored`)
  }
  const verified: Verified = (body, crc, what) => (body instanceof Uint8Array && crc32(body) === crc ? body : broken(`a ${what}`))
  const counters = prepareCounters(db)
  const queue = prepareQueueTables(db, counters, verified)
  const kept = prepareKeptTables(db, verified, broken)
  const topics = prepareTopicIndex(db)
  const anySubscription = prepareTuples(db, 'SELECT EXISTS (SELECT 1 FROM subscriptions)')
  const apply = prepareApply(db, { counters, queue, kept, topics })

  return {
    counters,
    commit(changes, now) {
      const placed: { sequences: number[] }[] = []
      const losses: Losses = { full: undefined, dropped: undefined }
      const unretained: string[] = []
      changes((change) => {
        if (change.kind === 'retained') {
          if (!kept.retain(change.topic, ownerOf(change.publisherKey), change.body, change.publisher, now)) unretained.push(change.topic)
          return
        }
        if (change.kind !== 'published') return apply(change, now)
        placed.push({ sequences: queue.publish(change.body, change.targets, now, losses) })
        if (change.received !== undefined) apply({ kind: 'received', ...change.received }, now)
      })
      return { placed, full: [...(losses.full ?? [])], dropped: [...(losses.dropped ?? [])].map(([key, messages]) => ({ key, messages })), unretained }
    },
    read: prepareRead(db, { counters, queue, kept, topics }),
    reset() {
      counters.reset()
      kept.reset()
    },
    anySubscription: () => anySubscription.get()?.[0] === 1,
    recover(now) {
      // All that waits for it may have been sent: how far it came was not written down.
      db.prepare('UPDATE sessions SET expires_at = ? + 1000 * expiry_seconds, sent_through = next_sequence - 1 WHERE expires_at IS NULL').run(now)
      db.prepare('UPDATE wills SET due_at = ? + 1000 * delay_seconds WHERE due_at IS NULL').run(now)
    },
  }
}

interface Parts {
  readonly counters: Counters
  readonly queue: QueueTables
  readonly kept: KeptTables
  readonly topics: TopicIndex
}

type Applied = Exclude<StoredChange, { readonly kind: 'published' | 'retained' }> | { readonly kind: 'received'; readonly key: SessionKey; readonly packetId: number }

function prepareApply(db: DatabaseSync, { counters, queue, kept, topics }: Parts): (change: Applied, now: EpochMs) => void {
  const attach = db.prepare('UPDATE sessions SET expiry_seconds = ?, expires_at = NULL WHERE key = ?')
  const insert = db.prepare('INSERT INTO sessions (key, owner, expiry_seconds) VALUES (?, ?, ?)')
  const detach = db.prepare('UPDATE sessions SET expires_at = ?, sent_through = ? WHERE key = ?')
  const drop = db.prepare('DELETE FROM sessions WHERE id = ?')
  const receive = db.prepare('INSERT OR IGNORE INTO receiving (session, packet_id) VALUES (?, ?)')
  const release = db.prepare('DELETE FROM receiving WHERE session = ? AND packet_id = ?')
  const releaseAll = db.prepare('DELETE FROM receiving WHERE session = ?')
  const sent = prepareTuples(db, 'SELECT sent_through FROM sessions WHERE id = ?')
  const subscriptions = prepareSubscriptions(db, topics)

  const end = (key: SessionKey, now: EpochMs): void => {
    // It was to be published at the latest when its session ends. MQTT 5 §3.1.3.2.2.
    kept.hastenWill(key, now)
    const counted = counters.find(key)
    if (counted === undefined) return
    subscriptions.clear(counted.id)
    queue.clear(counted)
    releaseAll.run(counted.id)
    drop.run(counted.id)
    counters.forget(counted)
  }
  const narrow = ({ key, lost, lowered, sentThrough }: Extract<Applied, { readonly kind: 'session-narrowed' }>): void => {
    const counted = counters.find(key)
    if (counted === undefined) return
    for (const { filter, qos } of lowered) subscriptions.lower(counted.id, filter, qos)
    if (lost.length === 0) return
    for (const filter of lost) subscriptions.remove(counted.id, filter)
    queue.withdraw(counted, Math.max(sentThrough, Number(sent.get(counted.id)?.[0])), lostTopics(lost, subscriptions.filters(counted.id)))
  }
  const ofSession = (key: SessionKey, work: (id: number) => void): void => {
    const counted = counters.find(key)
    if (counted !== undefined) work(counted.id)
  }

  return (change, now) => {
    switch (change.kind) {
      case 'session-attached':
        if (change.fresh) end(change.key, now)
        else kept.cancelWill(change.key, now) // [MQTT-3.1.3-9]
        if (attach.run(change.expirySeconds, change.key).changes === 0) insert.run(change.key, ownerOf(change.key), change.expirySeconds)
        return
      case 'session-detached':
        return void detach.run(change.expiresAt, change.sentThrough, change.key)
      case 'session-ended':
        return end(change.key, now)
      case 'subscribed':
        return ofSession(change.key, (id) => subscriptions.set(id, change.subscription))
      case 'unsubscribed':
        return ofSession(change.key, (id) => subscriptions.remove(id, change.filter))
      case 'session-narrowed':
        return narrow(change)
      case 'queue-released':
        return queue.release(change.key, change.sequence)
      case 'queue-completed':
        return queue.complete(change.key, change.sequence)
      case 'received':
        return ofSession(change.key, (id) => receive.run(id, change.packetId))
      case 'received-released':
        return ofSession(change.key, (id) => release.run(id, change.packetId))
      case 'retained-cleared':
        return kept.clear(change.topic)
      case 'will-set':
        return kept.setWill(change.key, change.delaySeconds, change.body, change.publisher)
      case 'will-scheduled':
        return kept.scheduleWill(change.key, change.at)
      case 'will-cleared':
        return kept.clearWill(change.key, change.id)
      default:
        unreachable(change)
    }
  }
}

interface Subscriptions {
  set(session: number, subscription: StoredSubscription): void
  remove(session: number, filter: string): void
  lower(session: number, filter: string, qos: Qos): void
  filters(session: number): readonly string[]
  clear(session: number): void
}

function prepareSubscriptions(db: DatabaseSync, topics: TopicIndex): Subscriptions {
  const update = db.prepare('UPDATE subscriptions SET qos = ?, no_local = ?, retain_as_published = ?, retain_handling = ?, identifier = ? WHERE session = ? AND filter = ?')
  const insert = db.prepare('INSERT INTO subscriptions (qos, no_local, retain_as_published, retain_handling, identifier, session, filter, node) VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  const remove = prepareTuples(db, 'DELETE FROM subscriptions WHERE session = ? AND filter = ? RETURNING node')
  const all = prepareTuples(db, 'SELECT node FROM subscriptions WHERE session = ?')
  const removeAll = db.prepare('DELETE FROM subscriptions WHERE session = ?')
  const lower = db.prepare('UPDATE subscriptions SET qos = ? WHERE session = ? AND filter = ? AND qos > ?')
  const filters = prepareTuples(db, 'SELECT filter FROM subscriptions WHERE session = ?')
  return {
    set(session, { filter, qos, noLocal, retainAsPublished, retainHandling, identifier }) {
      const values = [qos, Number(noLocal), Number(retainAsPublished), retainHandling, identifier ?? null, session, filter] as const
      if (update.run(...values).changes === 0) insert.run(...values, topics.add(filter))
    },
    remove(session, filter) {
      const row = remove.get(session, filter)
      if (row !== undefined) topics.remove(Number(row[0]))
    },
    lower: (session, filter, qos) => void lower.run(qos, session, filter, qos),
    filters: (session) => filters.all(session).map(([filter]) => String(filter)),
    clear(session) {
      const nodes = all.all(session)
      if (nodes.length === 0) return
      removeAll.run(session)
      for (const [node] of nodes) topics.remove(Number(node))
    },
  }
}

function prepareRead(db: DatabaseSync, { counters, queue, kept, topics }: Parts): Tables['read'] {
  const session = prepareTuples(db, 'SELECT expiry_seconds, sent_through, expires_at FROM sessions WHERE id = ?')
  const subscriptions = prepareTuples(db, `SELECT ${SUBSCRIPTION_COLUMNS} FROM subscriptions WHERE session = ?`)
  const receiving = prepareTuples(db, 'SELECT packet_id FROM receiving WHERE session = ? ORDER BY packet_id')
  const siblings = prepareTuples(db, 'SELECT key, (SELECT count(*) FROM subscriptions WHERE session = sessions.id) FROM sessions WHERE owner = ?')
  const holders = prepareTuples(db, `SELECT key, session, ${SUBSCRIPTION_COLUMNS} FROM subscriptions JOIN sessions ON sessions.id = session WHERE node = ?`)
  const dueSessions = prepareTuples(db, 'SELECT key FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?')
  const nextDue = prepareTuples(db, 'SELECT min(expires_at) FROM sessions WHERE expires_at > ?')
  const keys = prepareTuples(db, 'SELECT key FROM sessions WHERE key > ? ORDER BY key LIMIT ?')
  const keyOf = ([key]: Tuple): SessionKey => key as SessionKey

  return (request, now, writing) => {
    switch (request.kind) {
      case 'session': {
        const counted = counters.find(request.key)
        const row = counted === undefined ? undefined : session.get(counted.id)
        if (counted === undefined || row === undefined) return undefined
        return {
          key: request.key, expirySeconds: Number(row[0]), expiresAt: typeof row[2] === 'number' ? row[2] : undefined, subscriptions: subscriptions.all(counted.id).map(subscriptionOf),
          receiving: receiving.all(counted.id).map(([id]) => Number(id)), sentThrough: Number(row[1]), queued: counted.messages,
        }
      }
      case 'siblings':
        return siblings.all(request.owner).map(([key, count]) => ({ key: key as SessionKey, subscriptions: Number(count) }))
      case 'queue': {
        const counted = counters.find(request.key)
        return counted === undefined ? { items: [], complete: true } : queue.read(counted, Number(session.get(counted.id)?.[1]), request, now, writing)
      }
      case 'holders':
        return topics.matching(request.topic).flatMap((node) => holders.all(node).map(([key, session, ...columns]): Holder => ({ key: key as SessionKey, session: Number(session), subscription: subscriptionOf(columns) })))
      case 'retained':
        return kept.retained(request.filter, request.after, request.limit, now, writing)
      case 'due': {
        const { wills, next } = kept.dueWills(request.now, request.limit)
        const first = Math.min(next, Number(nextDue.get(request.now)?.[0] ?? Infinity))
        return { wills, sessions: dueSessions.all(request.now, request.limit).map(keyOf), next: first === Infinity ? undefined : first }
      }
      case 'sessions':
        return keys.all(request.after ?? '', request.limit).map(keyOf)
      default:
        return unreachable(request)
    }
  }
}
