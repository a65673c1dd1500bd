// The file is read through: before the first device is served, or, where it is too large for that, afterwards, a slice at a
// time. It finds what SQLite itself finds damaged on the way, and bodies that are not what was stored.

import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { SESSION_LIMITS } from '../../limits.ts'
import { prepareTuples } from '../sqlite/rows.ts'
import { publisherHash } from './wire.ts'

const ROWID_TABLES = ['sessions', 'topic_nodes', 'messages', 'publishers', 'retained', 'wills'] as const
const KEYED_TABLES = [['receiving', 'session, packet_id'], ['subscriptions', 'session, filter'], ['queue', 'session, sequence']] as const
const PUBLISHER = 'publishers' satisfies (typeof ROWID_TABLES)[number]
const WITH_BODIES: readonly string[] = ['messages', 'retained', 'wills']

/** Yields between slices; throws when something is damaged. The database may be opened again in between. */
export function* checkSlices(store: { readonly db: DatabaseSync; damaged(what: string): Error }): Generator<void> {
  for (const table of ROWID_TABLES) {
    for (let after = -1, more = true; more; ) {
      const rows = prepareTuples(store.db, `SELECT rowid, * FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ?`).all(after, SESSION_LIMITS.checkedRowsPerSlice)
      if (WITH_BODIES.includes(table)) {
        for (const row of rows) {
          const body = row.at(-1)
          if (!(body instanceof Uint8Array) || crc32(body) !== row.at(-2)) throw store.damaged(`a body in ${table} is not what was stored`)
        }
      }
      if (table === PUBLISHER) {
        for (const [, , hash, facts, leaf] of rows) if (!(leaf instanceof Uint8Array) || publisherHash(String(facts), leaf) !== hash) throw store.damaged('a publisher is not what was stored')
      }
      more = rows.length === SESSION_LIMITS.checkedRowsPerSlice
      after = Number(rows.at(-1)?.[0])
      yield
    }
  }
  for (const [table, key] of KEYED_TABLES) {
    for (let after = [-1, ''] as readonly (string | number)[], more = true; more; ) {
      const rows = prepareTuples(store.db, `SELECT ${key}, * FROM ${table} WHERE (${key}) > (?, ?) ORDER BY ${key} LIMIT ?`).all(after[0] ?? 0, after[1] ?? 0, SESSION_LIMITS.checkedRowsPerSlice)
      more = rows.length === SESSION_LIMITS.checkedRowsPerSlice
      after = rows.at(-1)?.slice(0, 2).map((value) => (typeof value === 'string' ? value : Number(value))) ?? []
      yield
    }
  }
}
