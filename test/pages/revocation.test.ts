// docs/revocation.md, run as it is written.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

describe.skipIf(!['openssl', 'curl', 'bash'].every((tool) => has(tool)))('docs/revocation.md (needs openssl, curl and bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('every command does what the page shows', async () => {
    const steps = readPage('docs/revocation.md')
    const { port } = program.endpoints.pki
    expect(difference(steps, await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: '.', PKI: `http://localhost:${port}` } }))).toBeUndefined()
  })
})
