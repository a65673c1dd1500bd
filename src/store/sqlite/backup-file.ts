// A backup as one file: a SQLite database that holds every saved file in pieces, the hash of each, and a manifest. It knows
// nothing of what the files mean. Written under a temporary name, synced and renamed: a backup is whole or not there.

import { createHash, randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SallyportError } from '../../core/errors.ts'
import { BACKUP_LIMITS } from '../../backup-limits.ts'

const APPLICATION_ID = 0x53414c42 // "SALB"
const TABLES = `
  CREATE TABLE manifest (text TEXT NOT NULL) STRICT;
  CREATE TABLE parts (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, mode INTEGER NOT NULL) STRICT;
  CREATE TABLE chunks (number INTEGER PRIMARY KEY, part INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
  CREATE INDEX chunks_by_part ON chunks (part, number);`

/** A file in a backup; `name` is its path in the home. */
export interface BackupPart {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
  readonly mode: number
}

export interface BackupWriter extends Disposable {
  /** Takes the first `bytesMax` bytes of `file` in. */
  add(name: string, file: string, mode: number, bytesMax?: number): BackupPart
  /** The backup is on the disk, under its name, when it returns. */
  finish(manifest: string): void
}

export interface BackupReader extends Disposable {
  readonly manifest: string
  readonly parts: readonly BackupPart[]
  /** Writes a part to `file`, synced. Throws 'backup-unusable' when it is not what was saved; without `file` it only looks. */
  extract(part: BackupPart, file?: string): void
}

/** Begins a backup. What is not finished leaves nothing under its name. */
export function writeBackup(file: string): BackupWriter {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  closeSync(openSync(temporary, 'wx', 0o600))
  const db = new DatabaseSync(temporary)
  // A crash leaves a file that has no name yet: it needs no journal.
  db.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA application_id = ${APPLICATION_ID}; ${TABLES}`)
  const chunk = db.prepare('INSERT INTO chunks (part, data) VALUES (?, ?)')
  const entry = db.prepare('INSERT INTO parts (number, name, bytes, sha256, mode) VALUES (?, ?, ?, ?, ?)')
  let count = 0
  return {
    add(name, source, mode, bytesMax = Number.MAX_SAFE_INTEGER) {
      const number = (count += 1)
      const hash = createHash('sha256')
      let bytes = 0
      db.exec('BEGIN')
      for (const piece of pieces(source, bytesMax)) {
        hash.update(piece)
        bytes += piece.length
        chunk.run(number, piece)
      }
      const sha256 = hash.digest('hex')
      entry.run(number, name, bytes, sha256, mode)
      db.exec('COMMIT')
      return { name, bytes, sha256, mode }
    },
    finish(manifest) {
      db.prepare('INSERT INTO manifest VALUES (?)').run(manifest)
      db.close()
      syncPath(temporary)
      renameSync(temporary, file)
      syncPath(path.dirname(path.resolve(file)))
    },
    [Symbol.dispose]() {
      if (db.isOpen) db.close()
      rmSync(temporary, { force: true })
    },
  }
}

function* pieces(file: string, bytesMax: number): Generator<Buffer> {
  const descriptor = openSync(file, 'r')
  try {
    for (let left = bytesMax; left > 0; ) {
      const buffer = Buffer.alloc(Math.min(BACKUP_LIMITS.chunkBytes, left))
      const got = readSync(descriptor, buffer, 0, buffer.length, null)
      if (got === 0) return
      left -= got
      yield buffer.subarray(0, got)
    }
  } finally {
    closeSync(descriptor)
  }
}

/** A file or a folder is on the disk when it returns. */
export function syncPath(name: string): void {
  const descriptor = openSync(name, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

export function unusable(file: string, what: string, cause?: unknown): SallyportError {
  return new SallyportError('backup-unusable', `${file} cannot be used as a backup: ${what}.`, { fix: 'Use another copy or an older backup. Nothing was changed.', cause })
}

/** Opens a backup. Throws 'not-found', 'backup-unusable'. */
export function readBackup(file: string): BackupReader {
  if (!existsSync(file)) throw new SallyportError('not-found', `There is no file ${file}.`)
  const guarded = <T>(work: () => T): T => {
    try {
      return work()
    } catch (cause) {
      throw cause instanceof SallyportError ? cause : unusable(file, cause instanceof Error ? cause.message : 'unknown', cause)
    }
  }
  const db = guarded(() => new DatabaseSync(file, { readOnly: true }))
  try {
    return guarded(() => {
      db.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON')
      if (Number(db.prepare('PRAGMA application_id').get()?.['application_id']) !== APPLICATION_ID) throw unusable(file, 'it is no backup of Sallyport')
      const manifest = db.prepare('SELECT text FROM manifest').get()?.['text']
      if (typeof manifest !== 'string') throw unusable(file, 'it was never finished')
      const rows = db.prepare('SELECT number, name, bytes, sha256, mode FROM parts ORDER BY number').all()
      const numbers = new Map(rows.map((row) => [String(row['name']), Number(row['number'])]))
      const parts = rows.map((row) => ({ name: String(row['name']), bytes: Number(row['bytes']), sha256: String(row['sha256']), mode: Number(row['mode']) }))
      const chunks = db.prepare('SELECT data FROM chunks WHERE part = ? ORDER BY number')
      return {
        manifest, parts,
        extract: (part, target) => guarded(() => copyOut(file, part, chunks.iterate(numbers.get(part.name) ?? 0), target)),
        [Symbol.dispose]: () => db.close(),
      }
    })
  } catch (error) {
    db.close()
    throw error
  }
}

function copyOut(file: string, part: BackupPart, rows: Iterable<Record<string, unknown>>, target: string | undefined): void {
  if (target !== undefined) mkdirSync(path.dirname(target), { recursive: true, mode: 0o700 })
  const descriptor = target === undefined ? undefined : openSync(target, 'wx', part.mode & 0o777)
  try {
    const hash = createHash('sha256')
    let bytes = 0
    for (const { data } of rows) {
      if (!(data instanceof Uint8Array)) throw unusable(file, `${part.name} is damaged`)
      hash.update(data)
      bytes += data.length
      if (descriptor !== undefined) writeWhole(descriptor, data)
    }
    if (bytes !== part.bytes || hash.digest('hex') !== part.sha256) throw unusable(file, `${part.name} is damaged`)
    if (descriptor !== undefined) fsyncSync(descriptor)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function writeWhole(descriptor: number, data: Uint8Array): void {
  for (let done = 0; done < data.length; ) done += writeSync(descriptor, data, done)
}
