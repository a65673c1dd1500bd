// docs/watching.md: connections, refusals, events and webhooks, as the page shows them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['mosquitto_sub', 'curl', 'openssl', 'bash'].every((tool) => has(tool))

describe.skipIf(!TOOLS)('docs/watching.md (needs mosquitto-clients, curl, openssl and bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('its commands do what it says', async () => {
    const steps = readPage('docs/watching.md')
    const ran = await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home } })
    expect(difference(steps, ran)).toBeUndefined()
  })
})
