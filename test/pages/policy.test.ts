// docs/policy.md: a policy of another broker, translated and tested, without a server.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

describe.skipIf(!['bash', 'sed'].every((tool) => has(tool)))('docs/policy.md (needs bash and sed)', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-policy-page-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('its commands do what it says', async () => {
    const steps = readPage('docs/policy.md')
    expect(difference(steps, await runPage(steps, { folder }))).toBeUndefined()
  })
})
