import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { lockHome } from '../../../src/store/sqlite/lock.ts'
import { startChild } from '../children.ts'
import { tempDir } from '../temp.ts'

const SCRIPT = new URL('child.ts', import.meta.url)
const failure = (code: string): unknown => expect.objectContaining({ code, fix: expect.any(String) })

test('the second to ask for a lock is refused; once the first gives it up it is free', () => {
  using dir = tempDir()
  const first = lockHome(dir.file('lock.db'))
  expect(() => lockHome(dir.file('lock.db'))).toThrow(failure('home-in-use'))
  expect(() => lockHome(dir.file('lock.db'))).toThrow(failure('home-in-use'))
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  lockHome(dir.file('lock.db'))[Symbol.dispose]()
})

test('another process holds the lock until it is killed, and not longer', async () => {
  using dir = tempDir()
  await using child = startChild(SCRIPT, ['lock', dir.file('lock.db')])
  await child.until((line) => line === 'locked')
  expect(() => lockHome(dir.file('lock.db'))).toThrow(failure('home-in-use'))
  await child.kill()
  lockHome(dir.file('lock.db'))[Symbol.dispose]()
})

test('two homes have two locks', () => {
  using dir = tempDir()
  using _a = lockHome(dir.file('a.db'))
  using _b = lockHome(dir.file('b.db'))
  expect(() => lockHome(dir.file('a.db'))).toThrow(failure('home-in-use'))
})

test('a lock file that cannot be made, and one that is something else', () => {
  using dir = tempDir()
  expect(() => lockHome(dir.file('missing/lock.db'))).toThrow(failure('home-not-writable'))
  writeFileSync(dir.file('lock.db'), 'no database at all, but long enough to be read as a header of one '.repeat(4))
  expect(() => lockHome(dir.file('lock.db'))).toThrow(failure('database-corrupt'))
})
