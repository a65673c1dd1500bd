// docs/backup.md: a backup, a lost disk and what comes back, in one session that ends the server.

import { symlinkSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

describe.skipIf(!has('bash'))('docs/backup.md (needs bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
    symlinkSync(program.home, path.join(program.home, 'acme'))
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('its commands do what it says', async () => {
    const steps = readPage('docs/backup.md')
    expect(difference(steps, await runPage(steps, { folder: program.home }))).toBeUndefined()
  })
})
