// One SQLite file: how it is opened, checked and guarded, and which sentence its failures become. It knows nothing of
// what is stored. node:sqlite's types stay in this folder.

import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SallyportError } from '../../core/errors.ts'
import { REGISTRY_LIMITS } from '../../limits.ts'

/** Primary result codes. https://www.sqlite.org/rescode.html */
const SQLITE = { error: 1, busy: 5, noMemory: 7, readOnly: 8, ioError: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 } as const

/** What a file is, to the person who reads of its failure, and how it is told from the file of another program. */
export interface DatabaseKind {
  /** "The registry". */
  readonly name: string
  /** What to do when it is damaged. */
  readonly damagedFix: string
  /** In the header of every file of this kind: another program's database is not taken for an empty one. */
  readonly applicationId: number
  /** These tables are read through when the file is opened, all of them where there is no list, unless the file is larger than that. */
  readonly checkedTables: readonly string[] | undefined
  /** `integrity_check` also compares the indexes with their tables, which costs more. https://www.sqlite.org/pragma.html#pragma_quick_check */
  readonly check: 'quick_check' | 'integrity_check'
  readonly checkedAtOpenBytesMax: number
  readonly busyMs: number
}

/**
 * The tables by which a decision is made are checked at every start: devices, certificates, CAs. Bodies and feed are many times
 * larger and are met as they are read; so the start of 100,000 devices stays within a second.
 */
const REGISTRY: DatabaseKind = {
  name: 'The registry',
  damagedFix: 'Restore it from a backup. Do not delete it: it is the record of every certificate this CA has issued.',
  applicationId: 0x53414c59, // "SALY"
  checkedTables: ['devices', 'device_groups', 'cas', 'certificates', 'audit_head'],
  check: 'quick_check',
  checkedAtOpenBytesMax: REGISTRY_LIMITS.checkedAtOpenBytesMax,
  busyMs: REGISTRY_LIMITS.databaseBusyMs,
}

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

/** What is stored may pass: a full disk, a failing one, another process. What is damaged does not heal. */
export function mayPass(error: unknown): boolean {
  if (error instanceof SallyportError) return error.code === 'home-not-writable' || (error.cause !== undefined && mayPass(error.cause))
  const code = primaryCode(error)
  return isSystemError(error) || code === SQLITE.busy || code === SQLITE.noMemory || code === SQLITE.readOnly || code === SQLITE.ioError || code === SQLITE.full || code === SQLITE.cantOpen
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

export function corrupt(file: string, what: string, cause?: unknown, kind: DatabaseKind = REGISTRY): SallyportError {
  return new SallyportError('database-corrupt', `${kind.name} ${file} is damaged: ${what}.`, { fix: kind.damagedFix, cause })
}

/** Whatever SQLite or the file system threw, as the failure that an operator reads: of what fails while the server runs, without the folder, since it is told to whoever asked. */
export function databaseFailure(file: string, error: unknown, kind: DatabaseKind = REGISTRY): SallyportError {
  if (error instanceof SallyportError) return error
  // The file system's own errors have no result code of SQLite; here they all mean that the file cannot be opened.
  const code = isSystemError(error) ? SQLITE.cantOpen : (primaryCode(error) ?? SQLITE.error)
  switch (code) {
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return corrupt(file, messageOf(error), error, kind)
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
      return new SallyportError('internal', `The file ${path.basename(file)} could not be written (${messageOf(error)}).`, {
        fix: 'Look for a full or failing disk. Nothing was acknowledged that is not stored.',
        cause: error,
      })
    default:
      return new SallyportError('internal', `${kind.name} ${path.basename(file)} failed (${messageOf(error)}).`, { cause: error })
  }
}

/** The same where the file is being opened: a disk that is full or fails then has to be set right before the start. */
export function openingFailure(file: string, error: unknown, kind: DatabaseKind = REGISTRY): SallyportError {
  const failure = databaseFailure(file, error, kind)
  if (failure.code !== 'internal' || !mayPass(failure)) return failure
  return new SallyportError('home-not-writable', failure.message, { ...(failure.fix === undefined ? {} : { fix: failure.fix }), cause: failure.cause })
}

function numberOf(db: DatabaseSync, pragma: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0])
}

/** A file beyond `checkedAtOpenBytesMax` is not read through at every start. */
function checkPages(db: DatabaseSync, file: string, kind: DatabaseKind): void {
  if (isLarge(db, kind)) return
  const present = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().map(({ name }) => String(name))
  for (const name of kind.checkedTables === undefined ? present : present.filter((table) => kind.checkedTables?.includes(table) === true)) {
    const verdict = Object.values(db.prepare(`PRAGMA ${kind.check}('${name}')`).get() ?? {})[0]
    if (verdict !== 'ok') throw corrupt(file, String(verdict), undefined, kind)
  }
}

/** Is it too large to be read through when it is opened? */
export function isLarge(db: DatabaseSync, kind: DatabaseKind): boolean {
  return numberOf(db, 'page_count') * numberOf(db, 'page_size') > kind.checkedAtOpenBytesMax
}

function judgeHeader(db: DatabaseSync, file: string, kind: DatabaseKind): void {
  const application = numberOf(db, 'application_id')
  if (application === kind.applicationId) return
  const empty = numberOf(db, 'page_count') === 0 || db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
  if (!empty) throw corrupt(file, 'it is a database of another program', undefined, kind)
  db.exec(`PRAGMA application_id = ${kind.applicationId}`)
}

/**
 * Opens `file`, made with mode 0600 when it is not there, for durable writing: what COMMIT acknowledged survives power loss.
 * Throws 'database-corrupt', 'home-not-writable' or 'internal'.
 */
export function openDatabase(file: string, kind: DatabaseKind = REGISTRY): DatabaseSync {
  let db: DatabaseSync | undefined
  try {
    // Only a file that is not there is opened here: closing any descriptor of an open database drops its POSIX locks.
    if (!existsSync(file)) closeSync(openSync(file, 'wx', 0o600))
    else if (!statSync(file).isFile()) throw corrupt(file, 'it is not a file', undefined, kind)
    // SQLite would take an emptied file for a new one and throw its log away; a new one never has a log.
    else if (statSync(file).size === 0 && (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) throw corrupt(file, 'it was emptied', undefined, kind)
    db = new DatabaseSync(file, { enableForeignKeyConstraints: true, timeout: kind.busyMs, defensive: true })
    db.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON')
    judgeHeader(db, file, kind)
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    checkPages(db, file, kind)
    return db
  } catch (error) {
    db?.close()
    throw openingFailure(file, error, kind)
  }
}

/**
 * Sets `bytes` aside in the database and in its write-ahead log, so that what is committed when the disk is full still finds
 * room: pages that are written and freed stay in the file, and a log that is begun anew is written over. Throws what SQLite throws.
 */
export function reserveRoom(db: DatabaseSync, bytes: number): void {
  // Two transactions: pages that one transaction takes and frees are never written.
  db.exec(`BEGIN IMMEDIATE; DROP TABLE IF EXISTS reserve; CREATE TABLE reserve (room BLOB); INSERT INTO reserve VALUES (zeroblob(${bytes})); COMMIT`)
  db.exec('DROP TABLE reserve')
  db.exec('PRAGMA wal_checkpoint(RESTART)')
}

/**
 * A guard against a file that is deleted or replaced while it is open: SQLite would go on writing, and acknowledging, into
 * a file that no longer has a name. The returned function throws 'database-corrupt' once that has happened.
 */
export function guardFile(file: string, kind: DatabaseKind = REGISTRY): () => void {
  const { ino, dev } = statSync(file)
  return () => {
    const now = statSync(file, { throwIfNoEntry: false })
    if (now?.ino !== ino || now.dev !== dev) throw corrupt(file, 'it was deleted or replaced while it was open', undefined, kind)
  }
}
