// What is counted for each session: its next sequence number, how many messages wait, and their bytes. It owns the numbers at
// hand, a bounded number of them, and reads the others from the tables; it does not know what a message is.

import type { DatabaseSync } from 'node:sqlite'
import type { EpochMs, SessionKey } from '../../core/ids.ts'
import { packetIdOf } from '../../core/session-store.ts'
import { SESSION_LIMITS } from '../../limits.ts'
import { prepareTuples } from '../sqlite/rows.ts'

const PACKET_IDS = 65_535

export interface Counted {
  readonly id: number
  readonly key: SessionKey
  readonly owner: string
  next: number
  /** `next_sequence` of its row, never behind `next`. */
  setAside: number
  messages: number
  bytes: number
  /** No entry before this one may be dropped. */
  droppableFrom: number
  /** No entry that may be dropped was queued before this. */
  oldestAt: EpochMs
  /** How often the packet ids have come round, and the entries that still waited when they last did, by packet id. */
  round: number
  taken: Map<number, number>
}

export interface Counters {
  /** Undefined: there is no such session. */
  find(key: SessionKey): Counted | undefined
  ownerBytes(counted: Counted): number
  /** The next sequence number, the packet id of which no waiting entry has. */
  nextSequence(counted: Counted): number
  /** Counts messages, or, where they are negative, takes them off the count. */
  count(counted: Counted, messages: number, bytes: number): void
  /** The session is gone. */
  forget(counted: Counted): void
  /** Writes what a commit of now needs, and lets go of what was not used for long. Within a transaction. */
  flush(): void
  /** Writes the next sequence numbers as they are. Within a transaction. */
  settle(): void
  /** After a rollback nothing of it is true any longer. */
  reset(): void
}

export function prepareCounters(db: DatabaseSync): Counters {
  const session = prepareTuples(db, 'SELECT id, owner, next_sequence FROM sessions WHERE key = ?')
  const waiting = prepareTuples(db, 'SELECT count(*), coalesce(sum(bytes), 0) FROM queue WHERE session = ?')
  const ofOwner = prepareTuples(db, 'SELECT coalesce(sum(bytes), 0) FROM sessions JOIN queue ON session = id WHERE owner = ?')
  const upTo = prepareTuples(db, 'SELECT sequence FROM queue WHERE session = ? AND sequence <= ?')
  const stillWaits = prepareTuples(db, 'SELECT 1 FROM queue WHERE session = ? AND sequence = ?')
  const setNext = db.prepare('UPDATE sessions SET next_sequence = ? WHERE id = ?')
  /** The least recently used first. */
  const cached = new Map<SessionKey, Counted>()
  const owners = new Map<string, number>()
  const behind = new Set<Counted>()

  const write = (counted: Counted, next: number): void => {
    counted.setAside = next
    setNext.run(next, counted.id)
  }
  const load = (key: SessionKey): Counted | undefined => {
    const row = session.get(key)
    if (row === undefined) return undefined
    const [messages, bytes] = waiting.get(Number(row[0])) ?? []
    const next = Number(row[2])
    const counted: Counted = { id: Number(row[0]), key, owner: String(row[1]), next, setAside: next, messages: Number(messages), bytes: Number(bytes), droppableFrom: 0, oldestAt: -Infinity, round: 0, taken: new Map() }
    cached.set(key, counted)
    return counted
  }
  /** Does a waiting entry have the packet id of `next`? */
  const isTaken = (counted: Counted): boolean => {
    if (counted.next <= PACKET_IDS) return false
    const round = Math.floor((counted.next - 1) / PACKET_IDS)
    if (round !== counted.round) {
      counted.round = round
      counted.taken = new Map(upTo.all(counted.id, round * PACKET_IDS).map(([sequence]) => [packetIdOf(Number(sequence)), Number(sequence)]))
    }
    const packetId = packetIdOf(counted.next)
    const holder = counted.taken.get(packetId)
    if (holder === undefined) return false
    if (stillWaits.get(counted.id, holder) !== undefined) return true
    counted.taken.delete(packetId)
    return false
  }

  return {
    find(key) {
      const counted = cached.get(key)
      if (counted === undefined) return load(key)
      if (cached.size > SESSION_LIMITS.countersCachedMax / 2) {
        cached.delete(key)
        cached.set(key, counted)
      }
      return counted
    },
    ownerBytes({ owner }) {
      const known = owners.get(owner) ?? Number(ofOwner.get(owner)?.[0])
      owners.set(owner, known)
      return known
    },
    nextSequence(counted) {
      while (isTaken(counted)) counted.next++
      const sequence = counted.next++
      if (counted.next > counted.setAside) behind.add(counted)
      return sequence
    },
    count(counted, messages, bytes) {
      counted.messages += messages
      counted.bytes += bytes
      const owned = owners.get(counted.owner)
      if (owned !== undefined) owners.set(counted.owner, owned + bytes)
    },
    forget(counted) {
      cached.delete(counted.key)
      behind.delete(counted)
      owners.delete(counted.owner)
    },
    flush() {
      for (const counted of behind) write(counted, counted.next + SESSION_LIMITS.sequencesAhead)
      behind.clear()
      for (const [key, counted] of cached) {
        if (cached.size <= SESSION_LIMITS.countersCachedMax) break
        if (counted.next !== counted.setAside) write(counted, counted.next)
        cached.delete(key)
      }
      if (owners.size > SESSION_LIMITS.countersCachedMax) owners.clear()
    },
    settle() {
      for (const counted of cached.values()) if (counted.next !== counted.setAside) write(counted, counted.next)
      behind.clear()
    },
    reset() {
      cached.clear()
      owners.clear()
      behind.clear()
    },
  }
}
