// docs/simulator.md, run as it is written, in a folder where `npm run sim` is this simulator.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const SIM = path.resolve(import.meta.dirname, '../../device-sim/launch.cjs')

describe.skipIf(!['openssl', 'mosquitto', 'bash'].every((tool) => has(tool)))('docs/simulator.md (needs openssl, mosquitto and bash)', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-page-'))
    mkdirSync(path.join(folder, '.tools'))
    const npm = path.join(folder, '.tools/npm')
    // npm run sim -- attack …: what stands behind the dashes.
    writeFileSync(npm, `#!/bin/sh\nshift 2\n[ "$1" = -- ] && shift\nexec '${process.execPath}' '${SIM}' "$@"\n`)
    chmodSync(npm, 0o755)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  // It starts two brokers, again and again, and asks them some hundred things.
  test('every command does what the page shows', { timeout: 240_000 }, async () => {
    const steps = readPage('docs/simulator.md')
    expect(difference(steps, await runPage(steps, { folder }))).toBeUndefined()
  })
})
