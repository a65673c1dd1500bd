// docs/upgrade.md: the looks before and after an upgrade, beside a server that runs.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

describe.skipIf(!has('bash'))('docs/upgrade.md (needs bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('its commands do what it says', async () => {
    const steps = readPage('docs/upgrade.md')
    expect(difference(steps, await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home } }))).toBeUndefined()
  })
})
