// What the README shows, beside a server that runs.

import { symlinkSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['mosquitto_pub', 'bash'].every((tool) => has(tool))

describe.skipIf(!TOOLS)('the README (needs mosquitto-clients and bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
    symlinkSync(program.home, path.join(program.home, 'acme'))
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('its commands do what it says', async () => {
    const steps = readPage('README.md')
    expect(difference(steps, await runPage(steps, { folder: program.home }))).toBeUndefined()
  })
})
