// docs/production.md: changing the configuration of a running server, as the page shows it.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['bash', 'sed'].every((tool) => has(tool))

describe.skipIf(!TOOLS)('docs/production.md (needs bash and sed)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('its commands do what it says', async () => {
    const steps = readPage('docs/production.md')
    const ran = await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home } })
    expect(difference(steps, ran)).toBeUndefined()
  })
})
