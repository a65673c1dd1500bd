import { mkdirSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { migrate, type MigrationStep } from '../../../src/store/sqlite/migrate.ts'
import { startChild } from '../children.ts'
import { tempDir, type TempDir } from '../temp.ts'

const SCRIPT = new URL('child.ts', import.meta.url)
const STEPS = ['begun', 'changed', 'numbered', 'committed'] as const satisfies readonly MigrationStep[]

function writeMigrations(dir: TempDir, count: number): string {
  mkdirSync(dir.file('migrations'), { recursive: true })
  for (let n = 1; n <= count; n++) {
    writeFileSync(dir.file(`migrations/000${n}-step.sql`), n === 1 ? 'CREATE TABLE done (version INTEGER); INSERT INTO done VALUES (1);' : `ALTER TABLE done ADD COLUMN c${n}; INSERT INTO done (version) VALUES (${n});`)
  }
  return dir.file('migrations')
}

function stateOf(db: DatabaseSync): unknown {
  return { version: db.prepare('PRAGMA user_version').get()?.['user_version'], done: db.prepare('SELECT version FROM done').all().map((row) => row['version']) }
}

test('killed at every step of every migration, each migration runs exactly once', async () => {
  using dir = tempDir()
  const directory = writeMigrations(dir, 3)
  for (const version of [1, 2, 3]) {
    for (const step of STEPS) {
      const file = dir.file(`killed-${version}-${step}.db`)
      await using child = startChild(SCRIPT, ['migrate', file, directory, String(version), step])
      expect((await child.exited()).signal, `${version} ${step}`).toBe('SIGKILL')
      const db = new DatabaseSync(file)
      expect(db.prepare('PRAGMA user_version').get()?.['user_version']).toBe(step === 'committed' ? version : version - 1)
      migrate(db, file, directory)
      expect(stateOf(db)).toEqual({ version: 3, done: [1, 2, 3] })
      db.close()
    }
  }
})

test('a migration that fails leaves the schema before it', () => {
  using dir = tempDir()
  const directory = writeMigrations(dir, 2)
  writeFileSync(dir.file('migrations/0003-bad.sql'), 'INSERT INTO done (version) VALUES (3); CREATE TABLE done (again);')
  using db = new DatabaseSync(dir.file('a.db'))
  expect(() => migrate(db, dir.file('a.db'), directory)).toThrow(/already exists/)
  expect(stateOf(db)).toEqual({ version: 2, done: [1, 2] })
})

test('an older program refuses a newer schema, and the program that wrote it does not', () => {
  using dir = tempDir()
  using db = new DatabaseSync(dir.file('a.db'))
  migrate(db, dir.file('a.db'), writeMigrations(dir, 2))
  using older = tempDir()
  expect(() => migrate(db, dir.file('a.db'), writeMigrations(older, 1))).toThrow(expect.objectContaining({ code: 'database-newer' }))
  migrate(db, dir.file('a.db'), writeMigrations(dir, 2))
  expect(stateOf(db)).toEqual({ version: 2, done: [1, 2] })
})

test('a missing migration is noticed', () => {
  using dir = tempDir()
  const directory = writeMigrations(dir, 1)
  writeFileSync(dir.file('migrations/0003-later.sql'), '')
  using db = new DatabaseSync(dir.file('a.db'))
  expect(() => migrate(db, dir.file('a.db'), directory)).toThrow(/without gaps/)
})
