// A SQLite file of a home as of one moment, and what a registry that nobody has open says of itself. It reads beside a running
// server: in WAL mode a reader keeps no writer waiting. It changes nothing of what it reads.

import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Change } from '../../core/registry.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'
import { parseChange } from '../change-json.ts'
import { corrupt, databaseFailure } from './database.ts'

/** What belongs together in a registry: its place in the feed, the head of its audit log, and whose it is. */
export interface RegistryFacts {
  readonly schema: number
  readonly sequence: number
  readonly audit: { readonly records: number; readonly hash: string; readonly bytes: number }
  /** Hashes of the public keys of its root CAs: the organisation. */
  readonly roots: readonly string[]
  readonly counts: { readonly devices: number; readonly certificates: number; readonly revoked: number }
}

/** Writes a copy of `from`, as of one moment, to `to`, which must not be there. Throws 'database-corrupt', 'internal'. */
export function snapshotDatabase(from: string, to: string): void {
  closeSync(openSync(to, 'wx', 0o600))
  reading(from, (db) => db.prepare('VACUUM INTO ?').run(to))
}

/** Reads the whole file through. Throws 'database-corrupt'. */
export function checkDatabase(file: string): void {
  reading(file, (db) => {
    const verdict = Object.values(db.prepare('PRAGMA quick_check(1)').get() ?? {})[0]
    if (verdict !== 'ok') throw corrupt(file, String(verdict))
  })
}

/** Throws 'database-corrupt' when it cannot be read, also when it is not a registry. */
export function registryFacts(file: string): RegistryFacts {
  return reading(file, (db) => {
    // One transaction: what is read belongs together.
    db.exec('BEGIN')
    const number = (sql: string): number => Number(Object.values(db.prepare(sql).get() ?? {})[0] ?? 0)
    const head = db.prepare('SELECT records, hash, bytes FROM audit_head').get()
    return {
      schema: number('PRAGMA user_version'),
      sequence: number('SELECT max(sequence) FROM feed'),
      audit: { records: Number(head?.['records'] ?? 0), hash: String(head?.['hash'] ?? ''), bytes: Number(head?.['bytes'] ?? 0) },
      roots: db.prepare("SELECT spki_sha256 FROM cas WHERE role = 'root' ORDER BY spki_sha256").all().map((row) => String(row['spki_sha256'])),
      counts: { devices: number('SELECT count(*) FROM devices'), certificates: number('SELECT count(*) FROM certificates'), revoked: number("SELECT count(*) FROM certificates WHERE state = 'revoked'") },
    }
  })
}

/**
 * Does what the tables say of revocation agree with the feed? Every revocation that the feed has must be in the tables, and
 * the reverse: a table that forgot one would let somebody in. Returns what disagrees.
 */
export function revocationsAgainstFeed(file: string): readonly string[] {
  return reading(file, (db) =>
    db.prepare(`
      WITH told AS (SELECT change ->> 'issuer' AS issuer, change ->> 'serial' AS serial FROM feed WHERE change ->> 'kind' = 'certificate-revoked'),
           kept AS (SELECT issuer, serial FROM certificates WHERE state = 'revoked')
      SELECT issuer, serial FROM (SELECT * FROM told EXCEPT SELECT * FROM kept) UNION SELECT issuer, serial FROM (SELECT * FROM kept EXCEPT SELECT * FROM told)
      LIMIT ${REGISTRY_LIMITS.pageSizeDefault}`).all().map((row) => `${String(row['issuer'])}/${String(row['serial'])}`))
}

/** How far two feeds are the same: the last place that both have with the same change at the same time. */
export function commonSequence(one: string, other: string): number {
  return reading(one, (a) => reading(other, (b) => {
    const last = 'SELECT coalesce(max(sequence), 0) AS last FROM feed'
    const sql = 'SELECT committed_at, change FROM feed WHERE sequence = ?'
    const [inA, inB] = [a.prepare(sql), b.prepare(sql)]
    const same = (sequence: number): boolean => JSON.stringify(inA.get(sequence)) === JSON.stringify(inB.get(sequence))
    // Two feeds that have parted never meet again: the last common place is found by halving.
    let low = 0
    let high = Math.min(Number(a.prepare(last).get()?.['last']), Number(b.prepare(last).get()?.['last']))
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (same(middle)) low = middle
      else high = middle - 1
    }
    return low
  }))
}

/** The changes of the feed after `sequence`, in order, page by page. */
export function* changesOf(file: string, sequence: number): Generator<readonly Change[]> {
  for (let after = sequence; ; ) {
    const from = after
    const rows = reading(file, (db) => db.prepare('SELECT sequence, change FROM feed WHERE sequence > ? ORDER BY sequence LIMIT ?').all(from, REGISTRY_LIMITS.feedPageMax))
    if (rows.length > 0) yield rows.map((row) => parseChange(String(row['change'])))
    if (rows.length < REGISTRY_LIMITS.feedPageMax) return
    after = Number(rows.at(-1)?.['sequence'])
  }
}

function reading<T>(file: string, work: (db: DatabaseSync) => T): T {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: REGISTRY_LIMITS.databaseBusyMs })
    return work(db)
  } catch (error) {
    const failure = databaseFailure(file, error)
    // A file without these tables is not a registry, whatever else it is.
    throw failure.code === 'internal' && /no such (table|column)/.test(failure.message) ? corrupt(file, 'it is not a registry', error) : failure
  } finally {
    db?.close()
  }
}
