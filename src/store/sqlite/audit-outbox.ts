// The registry's side of the audit log: events that were committed with a change and wait for the log, and the head that
// the log had when it was last on disk. It knows nothing of the log's file or format.

import type { DatabaseSync } from 'node:sqlite'
import type { AuditEvent } from '../../core/audit.ts'
import { parseAuditEvent } from '../change-json.ts'

/** Where the audit log stands: what the registry remembers of it, so that a cut-off tail is noticed. */
export interface AuditHead {
  readonly records: number
  /** Of the last record, 64 lower-case hex characters. */
  readonly hash: string
  /** Length of the file up to and with that record. */
  readonly bytes: number
  /** The last waiting event that the log has taken over; 0 before the first. */
  readonly position: number
}

/** Throws SallyportError as the registry does. */
export interface AuditOutbox {
  head(): AuditHead
  /** Durably remembers the head and forgets the waiting events up to its position, in one transaction. */
  saveHead(head: AuditHead): void
  /** Waiting events after `position`, in the order of their commits, at most `limit`. */
  waiting(position: number, limit: number): readonly { readonly position: number; readonly event: AuditEvent }[]
  /** Called right after a COMMIT that brought events. Returns the way to stop. */
  onWaiting(listener: () => void): () => void
}

export type OutboxTables = Omit<AuditOutbox, 'onWaiting'> & { add(event: AuditEvent): void }

export function prepareOutbox(db: DatabaseSync): OutboxTables {
  const insert = db.prepare('INSERT INTO audit_waiting (event) VALUES (?)')
  const after = db.prepare('SELECT position, event FROM audit_waiting WHERE position > ? ORDER BY position LIMIT ?')
  const head = db.prepare('SELECT records, hash, bytes, position FROM audit_head')
  const setHead = db.prepare('UPDATE audit_head SET records = ?, hash = ?, bytes = ?, position = ?')
  const forget = db.prepare('DELETE FROM audit_waiting WHERE position <= ?')
  return {
    add(event) {
      insert.run(JSON.stringify(event))
    },
    head() {
      const row = head.get()
      return { records: Number(row?.['records'] ?? 0), hash: String(row?.['hash'] ?? ''), bytes: Number(row?.['bytes'] ?? 0), position: Number(row?.['position'] ?? 0) }
    },
    saveHead(now) {
      db.exec('BEGIN IMMEDIATE')
      try {
        setHead.run(now.records, now.hash, now.bytes, now.position)
        forget.run(now.position)
        db.exec('COMMIT')
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
    waiting(position, limit) {
      return after.all(position, limit).map((row) => ({ position: Number(row['position']), event: parseAuditEvent(String(row['event'])) }))
    },
  }
}
