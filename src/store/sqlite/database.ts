// One SQLite file: how it is opened, checked and guarded, and which sentence its failures become. It knows nothing of
// what is stored. node:sqlite's types stay in this folder.

import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { SallyportError } from '../../core/errors.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'

/** Primary result codes. https://www.sqlite.org/rescode.html */
const SQLITE = { error: 1, busy: 5, readOnly: 8, ioError: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 } as const

/** "SALY", in the header of every registry file: another program's database is not taken for an empty registry. */
const APPLICATION_ID = 0x53414c59

function primaryCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined
  return typeof code === 'number' ? code & 0xff : undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function isBusy(error: unknown): boolean {
  return primaryCode(error) === SQLITE.busy
}

function corrupt(file: string, what: string, cause?: unknown): SallyportError {
  return new SallyportError('database-corrupt', `The registry ${file} is damaged: ${what}.`, {
    fix: 'Restore it from a backup. Do not delete it: it is the record of every certificate this CA has issued.',
    cause,
  })
}

/** Whatever SQLite or the file system threw, as the failure that an operator reads. */
export function databaseFailure(file: string, error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  // The file system's own errors have no result code of SQLite; here they all mean that the file cannot be opened.
  const code = error instanceof Error && 'syscall' in error ? SQLITE.cantOpen : (primaryCode(error) ?? SQLITE.error)
  switch (code) {
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return corrupt(file, messageOf(error), error)
    case SQLITE.readOnly:
    case SQLITE.cantOpen:
      return new SallyportError('home-not-writable', `The file ${file} cannot be opened for writing (${messageOf(error)}).`, {
        fix: 'Make the directory and its files writable for the user that runs Sallyport, or choose another --home.',
        cause: error,
      })
    case SQLITE.busy:
      return new SallyportError('internal', `Another process holds ${file}.`, { fix: 'Find out which other program has it open; Sallyport needs it alone.', cause: error })
    case SQLITE.full:
    case SQLITE.ioError:
      return new SallyportError('internal', `The file ${file} could not be written (${messageOf(error)}).`, {
        fix: 'Look for a full or failing disk. Nothing was acknowledged that is not stored.',
        cause: error,
      })
    default:
      return new SallyportError('internal', `The registry ${file} failed (${messageOf(error)}).`, { cause: error })
  }
}

function numberOf(db: DatabaseSync, pragma: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0])
}

/**
 * Reads every page of the tables by which a decision is made: devices, certificates, CAs. Bodies and feed are many times
 * larger and are met as they are read; so the start of 100,000 devices stays within a second. A file beyond
 * `checkedAtOpenBytesMax` is not read through at every start.
 */
function checkPages(db: DatabaseSync, file: string): void {
  if (numberOf(db, 'page_count') * numberOf(db, 'page_size') > REGISTRY_LIMITS.checkedAtOpenBytesMax) return
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('devices', 'device_groups', 'cas', 'certificates', 'audit_head')").all()
  for (const { name } of tables) {
    const verdict = Object.values(db.prepare(`PRAGMA quick_check('${String(name)}')`).get() ?? {})[0]
    if (verdict !== 'ok') throw corrupt(file, String(verdict))
  }
}

function judgeHeader(db: DatabaseSync, file: string): void {
  const application = numberOf(db, 'application_id')
  if (application === APPLICATION_ID) return
  const empty = numberOf(db, 'page_count') === 0 || db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
  if (!empty) throw corrupt(file, 'it is a database of another program')
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
}

/**
 * Opens `file`, made with mode 0600 when it is not there, for durable writing: what COMMIT acknowledged survives power loss.
 * Throws 'database-corrupt', 'home-not-writable' or 'internal'.
 */
export function openDatabase(file: string): DatabaseSync {
  let db: DatabaseSync | undefined
  try {
    // Only a file that is not there is opened here: closing any descriptor of an open database drops its POSIX locks.
    if (!existsSync(file)) closeSync(openSync(file, 'wx', 0o600))
    else if (!statSync(file).isFile()) throw corrupt(file, 'it is not a file')
    // SQLite would take an emptied file for a new one and throw its log away; a new one never has a log.
    else if (statSync(file).size === 0 && (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) throw corrupt(file, 'it was emptied')
    db = new DatabaseSync(file, { enableForeignKeyConstraints: true, timeout: REGISTRY_LIMITS.databaseBusyMs, defensive: true })
    db.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON')
    judgeHeader(db, file)
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    checkPages(db, file)
    return db
  } catch (error) {
    db?.close()
    throw databaseFailure(file, error)
  }
}

/**
 * A guard against a file that is deleted or replaced while it is open: SQLite would go on writing, and acknowledging, into
 * a file that no longer has a name. The returned function throws 'database-corrupt' once that has happened.
 */
export function guardFile(file: string): () => void {
  const { ino, dev } = statSync(file)
  return () => {
    const now = statSync(file, { throwIfNoEntry: false })
    if (now?.ino !== ino || now.dev !== dev) throw corrupt(file, 'it was deleted or replaced while it was open')
  }
}
