// docs/https-publish.md, as it is written: curl at the door where messages are posted, and a subscriber who was away.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['curl', 'mosquitto_sub', 'base64'].every((tool) => has(tool))

describe.skipIf(!TOOLS)('docs/https-publish.md (needs curl and mosquitto-clients)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('is what happens', async () => {
    const steps = readPage('docs/https-publish.md')
    expect(difference(steps, await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home } }))).toBeUndefined()
  })
})
