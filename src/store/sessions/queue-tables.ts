// The queues in the tables: a message once, an entry for each session that waits for it. What may be queued is decided in
// placing.ts, what is counted in counters.ts.

import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import type { EpochMs, SessionKey } from '../../core/ids.ts'
import { prepareTuples, type Tuple } from '../sqlite/rows.ts'
import type { Counted, Counters } from './counters.ts'
import { encodedTopic } from './message-bytes.ts'
import { place, type BoundedQueue } from './placing.ts'
import type { Body, QueueRow, ReadAnswers, TargetRow } from './wire.ts'

/** Made when there is something to report: there seldom is. */
export interface Losses {
  full: Set<SessionKey> | undefined
  dropped: Map<SessionKey, number> | undefined
}

export interface QueueTables {
  /** Returns the sequence numbers, by target. */
  publish(body: Body, targets: readonly TargetRow[], now: EpochMs, losses: Losses): number[]
  release(key: SessionKey, sequence: number): void
  complete(key: SessionKey, sequence: number): void
  /** Completes what has one of these topics; of QoS 2 up to `sentThrough` it is released. */
  withdraw(counted: Counted, sentThrough: number, goes: (topic: string) => boolean): void
  /** All of a session. */
  clear(counted: Counted): void
  /** `writing` is called before an expired entry is deleted. */
  read(counted: Counted, sentThrough: number, page: { readonly after: number; readonly messagesMax: number; readonly bytesMax: number }, now: EpochMs, writing: () => void): ReadAnswers['queue']
}

/** The body, if it is what was stored. */
export type Verified = (body: unknown, crc: unknown, what: string) => Uint8Array

export function prepareQueueTables(db: DatabaseSync, counters: Counters, verified: Verified): QueueTables {
  const insertMessage = db.prepare('INSERT INTO messages (refs, expires_at, crc, body) VALUES (?, ?, ?, ?)')
  const insertEntry = db.prepare('INSERT INTO queue (session, sequence, qos, retain, identifiers, message, bytes, queued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  const deleteEntry = prepareTuples(db, 'DELETE FROM queue WHERE session = ? AND sequence = ? RETURNING bytes')
  const bytesOf = prepareTuples(db, 'SELECT bytes FROM queue WHERE session = ? AND sequence = ? AND message IS NOT NULL')
  const releaseEntry = db.prepare('UPDATE queue SET message = NULL, bytes = 0 WHERE session = ? AND sequence = ?')
  const withBodies = db.prepare('SELECT sequence, qos, crc, body FROM queue JOIN messages ON messages.id = queue.message WHERE session = ?', { returnArrays: true })
  const deleteAll = db.prepare('DELETE FROM queue WHERE session = ?')
  const oldest = prepareTuples(db, 'SELECT sequence, queued_at FROM queue WHERE session = ? AND sequence >= ? AND qos = 1 AND message IS NOT NULL ORDER BY sequence LIMIT 1')
  const after = db.prepare(
    `SELECT sequence, qos, retain, identifiers, message, bytes, expires_at, crc, body FROM queue LEFT JOIN messages ON messages.id = queue.message
     WHERE session = ? AND sequence > ? ORDER BY sequence`,
    { returnArrays: true },
  )

  const remove = (counted: Counted, sequence: number): void => {
    const row = deleteEntry.get(counted.id, sequence)
    if (row !== undefined) counters.count(counted, -1, -Number(row[0]))
  }
  const release = (counted: Counted, sequence: number): void => {
    const row = bytesOf.get(counted.id, sequence)
    if (row === undefined) return
    releaseEntry.run(counted.id, sequence)
    counters.count(counted, 0, -Number(row[0]))
  }
  const dropOldest = (counted: Counted, before: EpochMs, now: EpochMs): boolean => {
    if (before <= counted.oldestAt) return false
    const row = oldest.get(counted.id, counted.droppableFrom)
    if (row === undefined) {
      counted.droppableFrom = counted.next
      counted.oldestAt = now
      return false
    }
    counted.droppableFrom = Number(row[0])
    counted.oldestAt = Number(row[1])
    if (counted.oldestAt >= before) return false
    remove(counted, counted.droppableFrom)
    counted.oldestAt = -Infinity
    return true
  }
  /** Entries of one message are written when it is known how many there are. */
  const boundedQueue = (counted: Counted, bytes: number, now: EpochMs): BoundedQueue => ({
    get messages() {
      return counted.messages
    },
    get bytes() {
      return counted.bytes
    },
    ownerBytes: () => counters.ownerBytes(counted),
    dropOldest: (before) => dropOldest(counted, before, now),
    append() {
      const sequence = counters.nextSequence(counted)
      counters.count(counted, 1, bytes)
      return sequence
    },
  })

  return {
    publish(body, targets, now, losses) {
      const bytes = body.bytes.length
      const entries: { readonly counted: Counted; readonly sequence: number; readonly target: TargetRow }[] = []
      const sequences = targets.map((target) => {
        const counted = counters.find(target.key)
        if (counted === undefined || (target.session !== 0 && target.session !== counted.id)) return 0
        const { sequence, full, dropped } = place(boundedQueue(counted, bytes, now), bytes, target.attached, now)
        if (full) (losses.full ??= new Set()).add(target.key)
        if (dropped > 0) (losses.dropped ??= new Map()).set(target.key, (losses.dropped.get(target.key) ?? 0) + dropped)
        if (sequence > 0) entries.push({ counted, sequence, target })
        return sequence
      })
      if (entries.length === 0) return sequences
      const { lastInsertRowid: message } = insertMessage.run(entries.length, body.expiresAt ?? null, crc32(body.bytes), body.bytes)
      for (const { counted, sequence, target } of entries) insertEntry.run(counted.id, sequence, target.qos, Number(target.retain), target.identifiers, message, bytes, now)
      return sequences
    },
    release(key, sequence) {
      const counted = counters.find(key)
      if (counted !== undefined) release(counted, sequence)
    },
    complete(key, sequence) {
      const counted = counters.find(key)
      if (counted !== undefined) remove(counted, sequence)
    },
    withdraw(counted, sentThrough, goes) {
      if (counted.messages === 0) return
      const gone: { readonly sequence: number; readonly mayBeHeld: boolean }[] = []
      for (const [sequence, qos, crc, body] of withBodies.iterate(counted.id) as unknown as Iterable<Tuple>) {
        if (goes(encodedTopic(verified(body, crc, `message of ${counted.key}`)))) gone.push({ sequence: Number(sequence), mayBeHeld: qos === 2 && Number(sequence) <= sentThrough })
      }
      for (const { sequence, mayBeHeld } of gone) {
        if (mayBeHeld) release(counted, sequence)
        else remove(counted, sequence)
      }
    },
    clear(counted) {
      deleteAll.run(counted.id)
    },
    read(counted, sentThrough, page, now, writing) {
      const items: QueueRow[] = []
      const expired: number[] = []
      let bytes = 0
      let complete = true
      for (const row of after.iterate(counted.id, page.after) as unknown as Iterable<Tuple>) {
        const entry = rowOf(row, verified, `message of ${counted.key}`)
        if (entry.body !== undefined && entry.sequence > sentThrough && entry.expiresAt <= now) {
          expired.push(entry.sequence)
          continue
        }
        bytes += entry.body?.length ?? 0
        if (items.length >= page.messagesMax || (items.length > 0 && bytes > page.bytesMax)) {
          complete = false
          break
        }
        items.push({ sequence: entry.sequence, qos: entry.qos, retain: entry.retain, identifiers: entry.identifiers, body: entry.body })
      }
      if (expired.length > 0) writing()
      for (const sequence of expired) remove(counted, sequence)
      return { items, complete }
    },
  }
}

function rowOf([sequence, qos, retain, identifiers, message, , expiresAt, crc, body]: Tuple, verified: Verified, what: string): QueueRow & { readonly expiresAt: number } {
  return {
    sequence: Number(sequence), qos: qos === 2 ? 2 : 1, retain: retain === 1, identifiers: String(identifiers),
    body: message === null ? undefined : verified(body, crc, what), expiresAt: typeof expiresAt === 'number' ? expiresAt : Infinity,
  }
}
