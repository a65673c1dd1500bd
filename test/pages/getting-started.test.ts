// docs/getting-started.md: the first hour, with a server that the page itself starts.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const TOOLS = ['mosquitto_pub', 'openssl', 'curl', 'bash'].every((tool) => has(tool))

/** Dozens of programs are started one after the other, on a machine that may have other work. */
const PAGE_MS = 300_000

describe.skipIf(!TOOLS)('docs/getting-started.md (needs mosquitto-clients, openssl, curl and bash)', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-first-hour-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('its commands do what it says', async () => {
    const steps = readPage('docs/getting-started.md')
    expect(difference(steps, await runPage(steps, { folder }))).toBeUndefined()
  }, PAGE_MS)
})
