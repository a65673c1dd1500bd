// The session store's file on the thread that has it: how it is opened, trusted again after a failure, and how a batch becomes
// one transaction that is in once, whatever COMMIT said. It knows nothing of threads and of when to try again.

import type { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { SallyportError } from '../../core/errors.ts'
import type { EpochMs } from '../../core/ids.ts'
import { SESSION_LIMITS } from '../../limits.ts'
import { corrupt, databaseFailure, guardFile, isLarge, mayPass, openDatabase, openingFailure, type DatabaseKind } from '../sqlite/database.ts'
import { migrate } from '../sqlite/migrate.ts'
import { checkSlices } from './check.ts'
import { requireRoom } from './room.ts'
import { prepareTables, type Tables } from './tables.ts'
import { unpackCommit, type Unpacking } from './unpack.ts'
import { packCommitted, type Failure, type FromWorker, type Item, type Outcome, type ToWorker } from './wire.ts'

const SESSIONS: DatabaseKind = {
  name: 'The session store',
  damagedFix: 'Restore it from a backup, or move it away: devices then begin new sessions, and messages that waited for them and retained messages are lost.',
  applicationId: 0x53414c53, // "SALS"
  checkedTables: undefined,
  // A session is found by an index of its key: one that is in its table and not there is a session that is gone.
  check: 'integrity_check',
  checkedAtOpenBytesMax: SESSION_LIMITS.checkedAtOpenBytesMax,
  busyMs: SESSION_LIMITS.databaseBusyMs,
}
/** Opened again after a failure it is as good as it was: it need not be read through each time. */
const AGAIN: DatabaseKind = { ...SESSIONS, checkedAtOpenBytesMax: 0 }

const MIGRATIONS_DIR = fileURLToPath(new URL('migrations/', import.meta.url))

export type Batch = Extract<ToWorker, { readonly kind: 'batch' }>
export type Answer = Extract<FromWorker, { readonly kind: 'answer' }>

export interface OpenSessions {
  readonly db: DatabaseSync
  readonly anySubscription: boolean
  /** It was too large to be read through when it was opened. */
  readonly unchecked: boolean
  /** Throws whatever storage throws: what mayPass may be tried again, with the same batch, after `reopen`. */
  run(batch: Batch): Answer
  /** Closes it, opens it again, and makes sure that what it finds is on the disk. */
  reopen(): void
  close(): void
  failure(error: unknown): SallyportError
  damaged(what: string): SallyportError
}

export function toFailure({ code, message, fix }: SallyportError): Failure {
  return { code, message, fix }
}

interface Committed {
  readonly items: readonly Item[]
  readonly failures: readonly (Failure | undefined)[]
}

/** Throws 'database-corrupt', 'database-newer', 'home-not-writable' or 'internal'. */
export function openSessions(file: string, now: EpochMs): OpenSessions {
  const damaged = (what: string): SallyportError => corrupt(file, what, undefined, SESSIONS)
  const failure = (error: unknown): SallyportError => databaseFailure(file, error, SESSIONS)
  let db = openDatabase(file, SESSIONS)
  let tables: Tables
  let statements: Statements
  let sameFile: () => void
  /** The number of the last transaction that is in. */
  let last = 0
  /** The batch whose COMMIT was last asked for: if it turns out to be in, this is its answer. */
  let asked: { readonly batch: Batch; readonly number: number; readonly committed: Committed } | undefined

  const prepare = (): void => {
    db.exec(`PRAGMA cache_size = -${SESSION_LIMITS.pageCacheKiB}; PRAGMA wal_autocheckpoint = ${SESSION_LIMITS.logPagesMax}`)
    tables = prepareTables(db, damaged)
    statements = prepareStatements(db)
    sameFile = guardFile(file, SESSIONS)
    last = Number(db.prepare('SELECT last FROM batches').get()?.['last'])
  }
  const rollback = (): void => {
    if (db.isTransaction) db.exec('ROLLBACK')
    tables.reset()
  }
  const inTransaction = (work: () => void): void => {
    statements.begin.run()
    try {
      work()
      sameFile()
      statements.commit.run()
    } catch (error) {
      rollback()
      throw error
    }
  }
  const write = (batch: Batch): Committed => {
    if (asked?.batch === batch && asked.number === last) return asked.committed
    let committed: Committed = { items: [], failures: [] }
    const number = last + 1
    let isChanged = false
    const all = (each: (tables: Tables, statements: Statements, batch: Batch, failure: (error: unknown) => SallyportError) => Committed): void => {
      const before = statements.changes()
      isChanged = false
      committed = each(tables, statements, batch, failure)
      tables.counters.flush()
      // What changed nothing (the end of a session that is not there, at almost every clean start) needs no fsync.
      if (statements.changes() === before) return
      statements.setLast.run(number)
      isChanged = true
      asked = { batch, number, committed }
    }
    try {
      inTransaction(() => all(together))
    } catch (error) {
      if (mayPass(error) || failure(error).code !== 'internal') throw error
      // One of its commits cannot be made, whatever the storage does: found again, and left out alone.
      inTransaction(() => all(oneByOne))
    }
    if (isChanged) last = number
    return committed
  }
  const read = (batch: Batch): Outcome<unknown>[] => {
    // What has expired is deleted as it is met, in a transaction of its own. Lost, it is met again.
    const writing = (): void => {
      if (!db.isTransaction) statements.begin.run()
    }
    try {
      const answers = batch.reads.map((request): Outcome<unknown> => {
        try {
          return { value: tables.read(request, batch.now, writing) }
        } catch (error) {
          if (mayPass(error)) throw error
          return { failure: toFailure(failure(error)) }
        }
      })
      if (db.isTransaction) statements.commit.run()
      return answers
    } catch (error) {
      rollback()
      throw error
    }
  }

  try {
    const unchecked = isLarge(db, SESSIONS)
    migrate(db, file, MIGRATIONS_DIR, undefined, SESSIONS.name)
    prepare()
    inTransaction(() => tables.recover(now))
    // What is stored is either what was stored, or nobody is served: as long as that is quickly known.
    if (!unchecked) for (const _ of checkSlices({ db, damaged }));
    return {
      get db() {
        return db
      },
      get anySubscription() {
        return tables.anySubscription()
      },
      unchecked,
      failure,
      damaged,
      run(batch) {
        if (batch.commits > 0) requireRoom(file)
        const { items, failures } = batch.commits === 0 ? { items: [], failures: [] } : write(batch)
        const reads = read(batch)
        return { kind: 'answer', committed: items, failures, reads, anySubscription: tables.anySubscription() }
      },
      reopen() {
        if (db.isOpen) db.close()
        // Where there is no file one would be made: what is gone must not look like new.
        sameFile()
        db = openDatabase(file, AGAIN)
        // After an fsync that failed, a COMMIT may be in the page cache and not on the disk. Copied into the database and
        // synced there it is, or this fails too. https://www.sqlite.org/wal.html#checkpointing
        const checkpoint = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
        if (checkpoint?.['busy'] !== 0) throw new SallyportError('home-not-writable', `Another process holds ${file}.`)
        prepare()
      },
      close() {
        if (!db.isOpen) return
        try {
          inTransaction(() => tables.counters.settle())
        } finally {
          db.close()
        }
      },
    }
  } catch (error) {
    db.close()
    throw openingFailure(file, error, SESSIONS)
  }
}

interface Statements {
  readonly begin: { run(): unknown }
  readonly commit: { run(): unknown }
  readonly savepoint: { run(): unknown }
  readonly keep: { run(): unknown }
  readonly undo: { run(): unknown }
  readonly setLast: { run(number: number): unknown }
  /** Rows that were changed since the database was opened. */
  changes(): number
}

/** Parsed once: it is what is said most often. */
function prepareStatements(db: DatabaseSync): Statements {
  const changes = db.prepare('SELECT total_changes() AS count')
  return {
    changes: () => Number(changes.get()?.['count']),
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    savepoint: db.prepare('SAVEPOINT one'),
    keep: db.prepare('RELEASE one'),
    undo: db.prepare('ROLLBACK TO one'),
    setLast: db.prepare('UPDATE batches SET last = ?'),
  }
}

/** All commits of the batch; one that cannot be made takes the others with it. */
function together(tables: Tables, _statements: Statements, batch: Batch): Committed {
  const from: Unpacking = { items: batch.items, bodies: batch.bodies, at: 0, bodiesAt: 0 }
  const items: Item[] = []
  for (let i = 0; i < batch.commits; i++) packCommitted(tables.commit((take) => unpackCommit(from, take), batch.now), items)
  return { items, failures: [] }
}

/** Each commit in a savepoint of its own: slower, and the fault of one is not that of the others. */
function oneByOne(tables: Tables, statements: Statements, batch: Batch, failure: (error: unknown) => SallyportError): Committed {
  const from: Unpacking = { items: batch.items, bodies: batch.bodies, at: 0, bodiesAt: 0 }
  const items: Item[] = []
  const failures = Array.from({ length: batch.commits }, (): Failure | undefined => {
    statements.savepoint.run()
    try {
      const committed = tables.commit((take) => unpackCommit(from, take), batch.now)
      tables.counters.flush()
      statements.keep.run()
      packCommitted(committed, items)
      return undefined
    } catch (error) {
      if (mayPass(error) || failure(error).code !== 'internal') throw error
      statements.undo.run()
      statements.keep.run()
      tables.reset()
      return toFailure(failure(error))
    }
  })
  return { items, failures }
}
