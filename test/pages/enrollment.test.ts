// docs/enrollment.md, as it is written: curl, openssl and strongSwan at the enrollment door.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['curl', 'openssl', 'mosquitto_pub', 'pki'].every((tool) => has(tool))

describe.skipIf(!TOOLS)('docs/enrollment.md (needs curl, openssl, mosquitto-clients and strongswan-pki)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('is what happens', async () => {
    const steps = readPage('docs/enrollment.md')
    expect(difference(steps, await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home } }))).toBeUndefined()
  })
})
