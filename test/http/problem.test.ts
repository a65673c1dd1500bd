// What a failure says to the outside: what can be done, and nothing of the inside.

import { expect, test } from 'vitest'
import { problemOfError } from '../../src/http/problem.ts'
import { databaseFailure } from '../../src/store/sqlite/database.ts'

test('a disk that is full is named, by whomever it was noticed, and no folder of the machine is', () => {
  const bySystem = problemOfError(Object.assign(new Error("ENOSPC: no space left on device, open '/srv/home/certs/x'"), { code: 'ENOSPC' }))
  const bySqlite = problemOfError(databaseFailure('/srv/home/data/registry.db', Object.assign(new Error('database or disk is full'), { errcode: 13 })))
  for (const problem of [bySystem, bySqlite]) {
    expect(problem).toMatchObject({ status: 500, code: 'internal', hint: expect.stringContaining('full or failing disk') })
    expect(JSON.stringify(problem)).not.toContain('/srv')
  }
  expect(bySqlite.title).toContain('registry.db')
})

test('what failed for another reason is said to be in the log, and nothing more', () => {
  expect(problemOfError(new Error("EACCES: permission denied, open '/srv/home/key'"))).toMatchObject({ status: 500, code: 'internal', title: 'The server failed to do this; its log says why.' })
})
