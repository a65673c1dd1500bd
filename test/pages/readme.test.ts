// What the README shows of a first hour, beside a server that runs, and the tasks of a certificate's life up to the day on which the disk is lost.

import { symlinkSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['mosquitto_pub', 'openssl', 'bash', 'curl', 'pki'].every((tool) => has(tool))

describe.skipIf(!TOOLS)('the README (needs mosquitto-clients, openssl, curl, strongswan-pki and bash)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
    symlinkSync(program.home, path.join(program.home, 'acme'))
  })
  afterAll(() => program[Symbol.asyncDispose]())

  test.each(['What it looks like', 'Tasks'])('%s', async (heading) => {
    const steps = readPage('README.md', heading)
    expect(difference(steps, await runPage(steps, { folder: program.home, environment: { SALLYPORT_HOME: './acme' } }))).toBeUndefined()
  })
})
