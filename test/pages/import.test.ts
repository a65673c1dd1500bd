// docs/import.md, as it is written.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['bash', 'curl', 'openssl'].every((tool) => has(tool))

describe.skipIf(!TOOLS)('docs/import.md (needs bash, curl and openssl)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('is what happens', async () => {
    const steps = readPage('docs/import.md')
    expect(difference(steps, await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home } }))).toBeUndefined()
  })
})
