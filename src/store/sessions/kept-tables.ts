// Messages that are kept by topic or by session and not in a queue: retained ones and Wills, with who published them. It owns
// their tables and that a publisher is stored once.

import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import type { EpochMs, SessionKey } from '../../core/ids.ts'
import { matches, type Levels } from '../../core/topic.ts'
import { BROKER_LIMITS, SESSION_LIMITS } from '../../limits.ts'
import { prepareTuples, type Tuple } from '../sqlite/rows.ts'
import { filterLevels } from './filter.ts'
import type { Verified } from './queue-tables.ts'
import { publisherHash, type Body, type PublisherBytes, type ReadAnswers } from './wire.ts'

type Kept = ReadAnswers['retained']['items'][number]

export interface KeptTables {
  /** False: the owner (tenant/device) has left as many as it may, and nothing was changed. */
  retain(topic: string, owner: string, body: Body, publisher: PublisherBytes, now: EpochMs): boolean
  clear(topic: string): void
  /** `writing` is called before an expired one is deleted. */
  retained(filter: string, after: string | undefined, limit: number, now: EpochMs, writing: () => void): ReadAnswers['retained']
  setWill(key: SessionKey, delaySeconds: number, body: Body, publisher: PublisherBytes): void
  scheduleWill(key: SessionKey, at: EpochMs): void
  /** That of the connected session, or the one with this id. */
  clearWill(key: SessionKey, id: number | undefined): void
  /** The session goes on: what was scheduled is not published. */
  cancelWill(key: SessionKey, now: EpochMs): void
  /** The session ends: what was scheduled is due. */
  hastenWill(key: SessionKey, now: EpochMs): void
  /** After a rollback nothing that was counted is true any longer. */
  reset(): void
  dueWills(now: EpochMs, limit: number): { readonly wills: ReadAnswers['due']['wills']; readonly next: EpochMs }
}

/** Reads a body and its publisher from the columns body, crc, hash, facts, leaf. */
function prepareReading(verified: Verified, broken: (what: string) => never): (row: Tuple, what: string) => Kept {
  return ([body, crc, hash, facts, leaf], what) => {
    if (typeof hash !== 'string' || typeof facts !== 'string' || !(leaf instanceof Uint8Array) || publisherHash(facts, leaf) !== hash) return broken(`the publisher of the ${what}`)
    return { body: verified(body, crc, what), publisher: { hash, facts, leaf } }
  }
}

export function prepareKeptTables(db: DatabaseSync, verified: Verified, broken: (what: string) => never): KeptTables {
  const findPublisher = prepareTuples(db, 'SELECT id FROM publishers WHERE hash = ?')
  const insertPublisher = db.prepare('INSERT INTO publishers (hash, facts, leaf) VALUES (?, ?, ?)')
  const retain = db.prepare(
    `INSERT INTO retained (topic, owner, expires_at, publisher, crc, body) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (topic) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at, publisher = excluded.publisher, crc = excluded.crc, body = excluded.body`,
  )
  const clear = prepareTuples(db, 'DELETE FROM retained WHERE topic = ? RETURNING owner, length(body)')
  const sizeOf = prepareTuples(db, 'SELECT owner, length(body) FROM retained WHERE topic = ?')
  const expiredOf = prepareTuples(db, 'SELECT topic FROM retained WHERE owner = ? AND expires_at <= ?')
  const leftBy = prepareTuples(db, 'SELECT count(*), coalesce(sum(length(body)), 0) FROM retained WHERE owner = ?')
  /** What devices have left retained: the least recently used first. */
  const counted = new Map<string, { messages: number; bytes: number }>()
  const row = prepareTuples(db, 'SELECT body, crc, hash, facts, leaf, expires_at FROM retained LEFT JOIN publishers ON publishers.id = publisher WHERE topic = ?')
  const topics = db.prepare('SELECT topic FROM retained WHERE topic >= max(?, ?) AND topic < ? ORDER BY topic', { returnArrays: true })
  const setWill = db.prepare(
    `INSERT INTO wills (key, due_at, delay_seconds, publisher, crc, body) VALUES (?, NULL, ?, ?, ?, ?)
     ON CONFLICT (key) WHERE due_at IS NULL DO UPDATE SET delay_seconds = excluded.delay_seconds, publisher = excluded.publisher, crc = excluded.crc, body = excluded.body`,
  )
  const scheduleWill = db.prepare('UPDATE wills SET due_at = ? WHERE key = ? AND due_at IS NULL')
  const clearWill = db.prepare('DELETE FROM wills WHERE key = ? AND due_at IS NULL')
  const clearWillById = db.prepare('DELETE FROM wills WHERE id = ?')
  const cancelWill = db.prepare('DELETE FROM wills WHERE key = ? AND due_at > ?')
  const hastenWill = db.prepare('UPDATE wills SET due_at = ? WHERE key = ? AND due_at > ?')
  const due = prepareTuples(db, 'SELECT body, crc, hash, facts, leaf, delay_seconds, wills.id FROM wills LEFT JOIN publishers ON publishers.id = publisher WHERE due_at <= ? ORDER BY due_at LIMIT ?')
  const nextDue = prepareTuples(db, 'SELECT min(due_at) FROM wills WHERE due_at > ?')
  const reading = prepareReading(verified, broken)

  const publisherId = ({ hash, facts, leaf }: PublisherBytes): number | bigint => {
    const found = findPublisher.get(hash)
    return found === undefined ? insertPublisher.run(hash, facts, leaf).lastInsertRowid : Number(found[0])
  }
  const count = (owner: string): { messages: number; bytes: number } => {
    const known = counted.get(owner)
    counted.delete(owner)
    const [messages, bytes] = known === undefined ? (leftBy.get(owner) ?? []) : []
    const left = known ?? { messages: Number(messages), bytes: Number(bytes) }
    counted.set(owner, left)
    const oldest = counted.keys().next()
    if (counted.size > SESSION_LIMITS.countersCachedMax && oldest.done !== true) counted.delete(oldest.value)
    return left
  }
  const take = (owner: string, bytes: number): void => {
    const left = counted.get(owner)
    if (left !== undefined) Object.assign(left, { messages: left.messages - 1, bytes: left.bytes - bytes })
  }
  const hasRoom = (topic: string, owner: string, body: Body): boolean => {
    const [before, size] = sizeOf.get(topic) ?? []
    const left = count(owner)
    return left.messages + (before === owner ? 0 : 1) <= BROKER_LIMITS.retainedMessagesPerDeviceMax
      && left.bytes - (before === owner ? Number(size) : 0) + body.bytes.length <= BROKER_LIMITS.retainedBytesPerDeviceMax
  }
  const clearTopic = (topic: string): void => {
    const gone = clear.get(topic)
    if (gone !== undefined) take(String(gone[0]), Number(gone[1]))
  }
  /** The topics from which those that match are chosen, in order, and never more than one read may look at. */
  function* candidates(levels: Levels, after: string): Generator<string> {
    const wild = levels.findIndex((level) => level === '+' || level === '#')
    if (wild === -1) return yield* between(levels.join('/'), after, `${levels.join('/')}\0`)
    const prefix = levels.slice(0, wild).map((level) => `${level}/`).join('')
    // a/# matches a, too, and between a and a/ lies a!, which it does not match.
    if (levels[wild] === '#' && wild > 0) yield* between(prefix.slice(0, -1), after, `${prefix.slice(0, -1)}\0`)
    yield* between(prefix, after, prefix === '' ? BEYOND_ALL : `${prefix.slice(0, -1)}0`)
  }
  function* between(from: string, after: string, before: string): Generator<string> {
    for (const [topic] of topics.iterate(from, after, before) as unknown as Iterable<Tuple>) if (topic !== after) yield String(topic)
  }

  return {
    retain(topic, owner, body, publisher, now) {
      // What has expired is in nobody's way; it is looked for where that matters.
      if (!hasRoom(topic, owner, body)) for (const [gone] of expiredOf.all(owner, now)) clearTopic(String(gone))
      if (!hasRoom(topic, owner, body)) return false
      const [before, size] = sizeOf.get(topic) ?? []
      const left = count(owner)
      const messages = left.messages + (before === owner ? 0 : 1)
      const bytes = left.bytes - (before === owner ? Number(size) : 0) + body.bytes.length
      if (before !== undefined && before !== owner) take(String(before), Number(size))
      retain.run(topic, owner, body.expiresAt ?? null, publisherId(publisher), crc32(body.bytes), body.bytes)
      Object.assign(left, { messages, bytes })
      return true
    },
    clear: clearTopic,
    retained(filter, after, limit, now, writing) {
      const levels = filterLevels(filter)
      const items: Kept[] = []
      const expired: string[] = []
      let scanned = 0
      let last: string | undefined
      let next: string | undefined
      for (const topic of candidates(levels, after ?? '')) {
        if (++scanned > SESSION_LIMITS.retainedScannedMax) {
          next = last
          break
        }
        const found = matches(levels, topic.split('/')) ? row.get(topic) : undefined
        const isExpired = typeof found?.[5] === 'number' && found[5] <= now
        if (isExpired) expired.push(topic)
        if (found !== undefined && !isExpired) {
          if (items.length >= limit) {
            next = last
            break
          }
          items.push(reading(found, `retained message of ${topic}`))
        }
        last = topic
      }
      if (expired.length > 0) writing()
      for (const topic of expired) clearTopic(topic)
      return { items, next }
    },
    setWill: (key, delaySeconds, body, publisher) => void setWill.run(key, delaySeconds, publisherId(publisher), crc32(body.bytes), body.bytes),
    scheduleWill: (key, at) => void scheduleWill.run(at, key),
    clearWill: (key, id) => void (id === undefined ? clearWill.run(key) : clearWillById.run(id)),
    cancelWill: (key, now) => void cancelWill.run(key, now),
    hastenWill: (key, now) => void hastenWill.run(now, key, now),
    reset: () => counted.clear(),
    dueWills: (now, limit) => ({
      wills: due.all(now, limit).map((found) => ({ ...reading(found, 'a Will'), delaySeconds: Number(found[5]), id: Number(found[6]) })),
      next: Number(nextDue.get(now)?.[0] ?? Infinity),
    }),
  }
}

/** After every topic: the last of all characters. */
const BEYOND_ALL = '\u{10FFFF}'
