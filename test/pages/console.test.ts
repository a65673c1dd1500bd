// docs/console.md, as it is written.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

describe.skipIf(!has('openssl'))('docs/console.md (needs openssl)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('is what happens', async () => {
    const steps = readPage('docs/console.md')
    expect(difference(steps, await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home } }))).toBeUndefined()
  })
})
