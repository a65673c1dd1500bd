// docs/tasks.md: the tasks of a fleet's life in one session, up to the day on which the disk is lost.

import { symlinkSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['mosquitto_pub', 'openssl', 'bash', 'curl', 'pki'].every((tool) => has(tool))

/** Dozens of programs are started one after the other, on a machine that may have other work. */
const PAGE_MS = 300_000

describe.skipIf(!TOOLS)('docs/tasks.md (needs mosquitto-clients, openssl, curl, strongswan-pki and bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
    symlinkSync(program.home, path.join(program.home, 'acme'))
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test('its commands do what it says', async () => {
    const steps = readPage('docs/tasks.md')
    expect(difference(steps, await runPage(steps, { folder: program.home }))).toBeUndefined()
  }, PAGE_MS)
})
