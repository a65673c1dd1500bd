// docs/ca-names.md: an issuing CA is bound to a part of the fleet, as the page shows it.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

describe.skipIf(!has('openssl') || !has('bash'))('docs/ca-names.md (needs openssl and bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('its commands do what it says', async () => {
    const steps = readPage('docs/ca-names.md')
    const ran = await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: program.home, HOME_OF_IT: program.home } })
    expect(difference(steps, ran)).toBeUndefined()
  })
})
