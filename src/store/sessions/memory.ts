// The session store that forgets: the contract of core/session-store.ts in plain maps, as the reference that the others are
// compared with, and for tests and set-ups that want nothing on disk. It is written to be read, not to be fast at `holders`.

import { unreachable } from '../../core/decision.ts'
import { SallyportError } from '../../core/errors.ts'
import type { EpochMs, SessionKey } from '../../core/ids.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import type { Message, Publisher } from '../../core/message.ts'
import {
  packetIdOf, type QueuedMessage, type RetainedMessage, type SessionChange, type SessionsCommitted, type SessionStore, type StoredSubscription, type Target, type Will,
} from '../../core/session-store.ts'
import { matches } from '../../core/topic.ts'
import { filterLevels, lostTopics } from './filter.ts'
import { messageBytes } from './message-bytes.ts'
import { ownerOf, place } from './placing.ts'

interface Entry {
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly identifiers: readonly number[]
  /** Undefined: only PUBREL is left to be sent. */
  message: Message | undefined
  readonly queuedAt: EpochMs
}

interface Kept {
  readonly key: SessionKey
  readonly id: number
  expirySeconds: number
  /** Undefined while it is connected. */
  expiresAt: EpochMs | undefined
  sentThrough: number
  readonly subscriptions: Map<string, StoredSubscription>
  readonly receiving: Set<number>
  /** By sequence number, in order. */
  readonly queue: Map<number, Entry>
  readonly packetIds: Set<number>
  next: number
  bytes: number
}

interface Tables {
  readonly sessions: Map<SessionKey, Kept>
  readonly bytesOfOwner: Map<string, number>
  readonly retained: Map<string, RetainedMessage>
  /** By their ids. Of one session there is at most one that is not scheduled. */
  readonly wills: Map<number, { readonly will: Will; at: EpochMs | undefined }>
  nextWill: number
  nextSession: number
  /** What a device has left retained: messages and bytes, by the owner of the session. */
  readonly retainedOf: Map<string, { messages: number; bytes: number }>
  readonly clock: () => EpochMs
}

/** `clock` says when messages are expired, and is the system's unless a test brings its own. */
export function openMemorySessions({ clock = Date.now }: { readonly clock?: () => EpochMs } = {}): SessionStore {
  const tables: Tables = { sessions: new Map(), bytesOfOwner: new Map(), retained: new Map(), wills: new Map(), nextWill: 1, nextSession: 1, retainedOf: new Map(), clock }
  let open = true
  const answer = async <T>(work: () => T): Promise<T> => {
    if (!open) throw new SallyportError('internal', 'The session store is closed.')
    return work()
  }
  return {
    commit: (changes) => answer(() => commit(tables, changes)),
    session: (key) => answer(() => {
      const kept = tables.sessions.get(key)
      if (kept === undefined) return undefined
      const { expirySeconds, expiresAt, sentThrough, queue } = kept
      return { key, expirySeconds, expiresAt, subscriptions: [...kept.subscriptions.values()], receiving: [...kept.receiving].toSorted((a, b) => a - b), sentThrough, queued: queue.size }
    }),
    siblings: (owner) => answer(() => [...tables.sessions.values()].filter(({ key }) => ownerOf(key) === owner).map(({ key, subscriptions }) => ({ key, subscriptions: subscriptions.size }))),
    queue: (key, after, page) => answer(() => readQueue(tables, key, after, page)),
    holders: (topic) => answer(() => {
      const levels = topic.split('/')
      return [...tables.sessions.values()].flatMap(({ key, id, subscriptions }) =>
        [...subscriptions.values()].filter(({ filter }) => matches(filterLevels(filter), levels)).map((subscription) => ({ key, session: id, subscription })))
    }),
    get anySubscription() {
      return [...tables.sessions.values()].some(({ subscriptions }) => subscriptions.size > 0)
    },
    retained: (filter, after, limit) => answer(() => readRetained(tables, filter, after, limit)),
    due: (now, limit) => answer(() => {
      const wills = [...tables.wills.values()].flatMap(({ will, at }) => (at === undefined ? [] : [{ will, at }])).toSorted((a, b) => a.at - b.at)
      const sessions = [...tables.sessions.values()].flatMap(({ key, expiresAt: at }) => (at === undefined ? [] : [{ key, at }])).toSorted((a, b) => a.at - b.at)
      const later = [...wills, ...sessions].map(({ at }) => at).filter((at) => at > now)
      return {
        wills: wills.filter(({ at }) => at <= now).slice(0, limit).map(({ will }) => will),
        sessions: sessions.filter(({ at }) => at <= now).slice(0, limit).map(({ key }) => key),
        next: later.length === 0 ? undefined : Math.min(...later),
      }
    }),
    sessions: (after, limit) => answer(() => [...tables.sessions.keys()].filter((key) => after === undefined || inUtf8(after, key) < 0).toSorted(inUtf8).slice(0, limit)),
    health: { ok: true },
    onHealth: () => () => {},
    close: async () => {
      open = false
    },
  }
}

/** In the order of the bytes: JavaScript's own comparison puts characters beyond U+FFFF elsewhere. */
function inUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function isOver(message: Message, now: EpochMs): boolean {
  return message.expiresAt !== undefined && message.expiresAt <= now
}

function commit(tables: Tables, changes: readonly SessionChange[]): SessionsCommitted {
  // All or nothing: what could fail is asked before anything is changed.
  for (const change of changes) if (change.kind === 'subscribed') filterLevels(change.subscription.filter)
  const placed: { sequences: number[] }[] = []
  const full = new Set<SessionKey>()
  const dropped = new Map<SessionKey, number>()
  const unretained: string[] = []
  for (const change of changes) {
    if (change.kind === 'retained') {
      if (!retain(tables, change.message, change.publisher)) unretained.push(change.message.topic)
      continue
    }
    if (change.kind !== 'published') {
      apply(tables, change)
      continue
    }
    const bytes = messageBytes(change.message)
    const sequences = change.targets.map((target) => {
      const kept = tables.sessions.get(target.key)
      if (kept === undefined || (target.session !== undefined && target.session !== kept.id)) return 0
      const found = place(boundedQueue(tables, kept, target, change.message, bytes), bytes, target.attached, tables.clock())
      if (found.full) full.add(target.key)
      if (found.dropped > 0) dropped.set(target.key, (dropped.get(target.key) ?? 0) + found.dropped)
      return found.sequence
    })
    placed.push({ sequences })
    if (change.received !== undefined) tables.sessions.get(change.received.key)?.receiving.add(change.received.packetId)
  }
  return { unretained, placed, full: [...full], dropped: [...dropped].map(([key, messages]) => ({ key, messages })) }
}

function apply(tables: Tables, change: Exclude<SessionChange, { readonly kind: 'published' | 'retained' }>): void {
  const { sessions, wills } = tables
  switch (change.kind) {
    case 'session-attached': {
      if (change.fresh) end(tables, change.key)
      // The session goes on: its Will has nothing to tell [MQTT-3.1.3-9].
      else for (const [id, { will, at }] of wills) if (at !== undefined && at > tables.clock() && will.publisher.key === change.key) wills.delete(id)
      const kept = sessions.get(change.key) ?? emptySession(change.key, tables.nextSession)
      if (!sessions.has(change.key)) tables.nextSession += 1
      sessions.set(change.key, kept)
      kept.expirySeconds = change.expirySeconds
      kept.expiresAt = undefined
      return
    }
    case 'session-detached': {
      const kept = sessions.get(change.key)
      if (kept === undefined) return
      kept.expiresAt = change.expiresAt
      kept.sentThrough = change.sentThrough
      return
    }
    case 'session-ended':
      return end(tables, change.key)
    case 'subscribed':
      return void sessions.get(change.key)?.subscriptions.set(change.subscription.filter, change.subscription)
    case 'unsubscribed':
      return void sessions.get(change.key)?.subscriptions.delete(change.filter)
    case 'session-narrowed':
      return narrow(tables, change)
    case 'queue-released':
    case 'queue-completed': {
      const kept = sessions.get(change.key)
      if (kept !== undefined) leave(tables, kept, change.sequence, change.kind === 'queue-released')
      return
    }
    case 'received-released':
      return void sessions.get(change.key)?.receiving.delete(change.packetId)
    case 'retained-cleared':
      return clearRetained(tables, change.topic)
    case 'will-set': {
      const { key } = change.will.publisher
      for (const [id, set] of wills) if (set.at === undefined && set.will.publisher.key === key) wills.delete(id)
      const id = tables.nextWill++
      return void wills.set(id, { will: { ...change.will, id }, at: undefined })
    }
    case 'will-scheduled': {
      for (const set of wills.values()) if (set.at === undefined && set.will.publisher.key === change.key) set.at = change.at
      return
    }
    case 'will-cleared': {
      for (const [id, set] of wills) if (change.id === undefined ? set.at === undefined && set.will.publisher.key === change.key : id === change.id) wills.delete(id)
      return
    }
    default:
      unreachable(change)
  }
}

function emptySession(key: SessionKey, id: number): Kept {
  return { key, id, expirySeconds: 0, expiresAt: undefined, sentThrough: 0, subscriptions: new Map(), receiving: new Set(), queue: new Map(), packetIds: new Set(), next: 1, bytes: 0 }
}

function hasRoom(tables: Tables, message: Message, publisher: Publisher): boolean {
  const owner = ownerOf(publisher.key)
  const before = tables.retained.get(message.topic)
  const own = before !== undefined && ownerOf(before.publisher.key) === owner ? before : undefined
  const left = tables.retainedOf.get(owner) ?? { messages: 0, bytes: 0 }
  return left.messages + (own === undefined ? 1 : 0) <= BROKER_LIMITS.retainedMessagesPerDeviceMax
    && left.bytes - (own === undefined ? 0 : messageBytes(own.message)) + messageBytes(message) <= BROKER_LIMITS.retainedBytesPerDeviceMax
}

/** Keeps a message as the last of its topic, unless its device has left as many as it may: then nothing changes. */
function retain(tables: Tables, message: Message, publisher: Publisher): boolean {
  if (!hasRoom(tables, message, publisher)) {
    for (const [topic, kept] of tables.retained) if (ownerOf(kept.publisher.key) === ownerOf(publisher.key) && isOver(kept.message, tables.clock())) clearRetained(tables, topic)
  }
  if (!hasRoom(tables, message, publisher)) return false
  const owner = ownerOf(publisher.key)
  const before = tables.retained.get(message.topic)
  const own = before !== undefined && ownerOf(before.publisher.key) === owner ? before : undefined
  const left = tables.retainedOf.get(owner) ?? { messages: 0, bytes: 0 }
  const messages = left.messages + (own === undefined ? 1 : 0)
  const bytes = left.bytes - (own === undefined ? 0 : messageBytes(own.message)) + messageBytes(message)
  clearRetained(tables, message.topic)
  tables.retained.set(message.topic, { message, publisher })
  tables.retainedOf.set(owner, { messages, bytes })
  return true
}

function clearRetained({ retained, retainedOf }: Tables, topic: string): void {
  const gone = retained.get(topic)
  if (gone === undefined) return
  retained.delete(topic)
  const owner = ownerOf(gone.publisher.key)
  const left = retainedOf.get(owner)
  if (left === undefined) return
  left.messages -= 1
  left.bytes -= messageBytes(gone.message)
  if (left.messages === 0) retainedOf.delete(owner)
}

function end(tables: Tables, key: SessionKey): void {
  const now = tables.clock()
  // It was to be published at the latest when its session ends. MQTT 5 §3.1.3.2.2.
  for (const set of tables.wills.values()) if (set.at !== undefined && set.at > now && set.will.publisher.key === key) set.at = now
  const kept = tables.sessions.get(key)
  if (kept === undefined) return
  account(tables, kept, -kept.bytes)
  tables.sessions.delete(key)
}

function account(tables: Tables, kept: Kept, bytes: number): void {
  const owner = ownerOf(kept.key)
  kept.bytes += bytes
  const left = (tables.bytesOfOwner.get(owner) ?? 0) + bytes
  if (left === 0) tables.bytesOfOwner.delete(owner)
  else tables.bytesOfOwner.set(owner, left)
}

/** An entry loses its message, and, unless its packet id is still in use, its place. */
function leave(tables: Tables, kept: Kept, sequence: number, keepsPlace: boolean): void {
  const entry = kept.queue.get(sequence)
  if (entry === undefined) return
  if (entry.message !== undefined) account(tables, kept, -messageBytes(entry.message))
  entry.message = undefined
  if (keepsPlace) return
  kept.queue.delete(sequence)
  kept.packetIds.delete(packetIdOf(sequence))
}

function narrow(tables: Tables, { key, lost, lowered, sentThrough }: Extract<SessionChange, { readonly kind: 'session-narrowed' }>): void {
  const kept = tables.sessions.get(key)
  if (kept === undefined) return
  const { subscriptions, queue } = kept
  for (const { filter, qos } of lowered) {
    const held = subscriptions.get(filter)
    if (held !== undefined && held.qos > qos) subscriptions.set(filter, { ...held, qos })
  }
  for (const filter of lost) subscriptions.delete(filter)
  const goes = lostTopics(lost, [...subscriptions.keys()])
  for (const [sequence, { message, qos }] of queue) {
    if (message !== undefined && goes(message.topic)) leave(tables, kept, sequence, qos === 2 && sequence <= Math.max(sentThrough, kept.sentThrough))
  }
}

function boundedQueue(tables: Tables, kept: Kept, target: Target, message: Message, bytes: number): Parameters<typeof place>[0] {
  return {
    get messages() {
      return kept.queue.size
    },
    get bytes() {
      return kept.bytes
    },
    ownerBytes: () => tables.bytesOfOwner.get(ownerOf(kept.key)) ?? 0,
    dropOldest(before) {
      for (const [sequence, entry] of kept.queue) {
        if (entry.qos !== 1 || entry.message === undefined) continue
        if (entry.queuedAt >= before) return false
        leave(tables, kept, sequence, false)
        return true
      }
      return false
    },
    append() {
      while (kept.packetIds.has(packetIdOf(kept.next))) kept.next++
      const sequence = kept.next++
      kept.packetIds.add(packetIdOf(sequence))
      kept.queue.set(sequence, { qos: target.qos, retain: target.retain, identifiers: target.identifiers, message, queuedAt: tables.clock() })
      account(tables, kept, bytes)
      return sequence
    },
  }
}

function readQueue(tables: Tables, key: SessionKey, after: number, page: { readonly messagesMax: number; readonly bytesMax: number }): Awaited<ReturnType<SessionStore['queue']>> {
  const kept = tables.sessions.get(key)
  const items: QueuedMessage[] = []
  let bytes = 0
  for (const [sequence, entry] of kept?.queue ?? []) {
    if (kept === undefined || sequence <= after) continue
    const { qos, retain, identifiers, message } = entry
    if (message !== undefined && sequence > kept.sentThrough && isOver(message, tables.clock())) {
      leave(tables, kept, sequence, false)
      continue
    }
    bytes += message === undefined ? 0 : messageBytes(message)
    if (items.length >= page.messagesMax || (items.length > 0 && bytes > page.bytesMax)) return { items, complete: false }
    items.push({ sequence, qos, retain, identifiers, stage: message === undefined ? { kind: 'pubrel' } : { kind: 'publish', message } })
  }
  return { items, complete: true }
}

function readRetained(tables: Tables, filter: string, after: string | undefined, limit: number): Awaited<ReturnType<SessionStore['retained']>> {
  const { retained, clock } = tables
  const levels = filterLevels(filter)
  for (const [topic, { message }] of retained) if (isOver(message, clock())) clearRetained(tables, topic)
  const topics = [...retained.keys()].filter((topic) => (after === undefined || inUtf8(after, topic) < 0) && matches(levels, topic.split('/'))).toSorted(inUtf8)
  const items = topics.slice(0, limit).flatMap((topic) => retained.get(topic) ?? [])
  return { items, next: topics.length > limit ? items.at(-1)?.message.topic : undefined }
}
