// The schema's versions: numbered SQL files, forward only. Each runs in one transaction with the number that says it ran,
// so a program killed at any step finds either the old schema or the new one. It knows no table.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { SallyportError } from '../../core/errors.ts'

/** The registry's migrations. */
const MIGRATIONS_DIR = fileURLToPath(new URL('migrations/', import.meta.url))

export type MigrationStep = 'begun' | 'changed' | 'numbered' | 'committed'

interface Migration {
  readonly version: number
  readonly sql: string
}

const FILE_NAME = /^(\d{4})-[a-z0-9-]+\.sql$/

function readMigrations(directory: string): readonly Migration[] {
  const migrations = readdirSync(directory)
    .flatMap((name) => {
      const version = FILE_NAME.exec(name)?.[1]
      return version === undefined ? [] : [{ version: Number(version), sql: readFileSync(join(directory, name), 'utf8') }]
    })
    .toSorted((a, b) => a.version - b.version)
  if (migrations.some((m, i) => m.version !== i + 1)) throw new SallyportError('internal', `The migrations in ${directory} are not numbered 0001, 0002, … without gaps.`)
  return migrations
}

function schemaVersion(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
}

/**
 * Brings the schema to the newest version of `directory`. Throws 'database-newer' for a schema that this program does not
 * know, before anything is written. `name` is what a person calls the file. `atStep` is told where it is; tests end the process there.
 */
export function migrate(db: DatabaseSync, file: string, directory: string = MIGRATIONS_DIR, atStep: (version: number, step: MigrationStep) => void = () => {}, name = 'The registry'): void {
  const migrations = readMigrations(directory)
  const present = schemaVersion(db)
  if (present > migrations.length) {
    throw new SallyportError('database-newer', `${name} ${file} has schema ${present}; this program knows up to ${migrations.length}.`, {
      fix: 'Run the newer Sallyport that wrote it, or restore a backup from before the upgrade.',
    })
  }
  for (const { version, sql } of migrations.slice(present)) {
    db.exec('BEGIN IMMEDIATE')
    try {
      // Another process may have been quicker between the look and the lock.
      if (schemaVersion(db) < version) {
        atStep(version, 'begun')
        db.exec(sql)
        atStep(version, 'changed')
        db.exec(`PRAGMA user_version = ${version}`)
        atStep(version, 'numbered')
      }
      db.exec('COMMIT')
      atStep(version, 'committed')
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }
}
