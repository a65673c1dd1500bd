// docs/attacks.md, run as it is written, in a folder where `npm run sim` is this simulator.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has } from '../e2e/program.ts'
import { difference, readPage, runPage } from './page.ts'

const SIM = path.resolve(import.meta.dirname, '../../device-sim/launch.cjs')

describe.skipIf(!['mosquitto_sub', 'bash'].every((tool) => has(tool)))('docs/attacks.md (needs mosquitto-clients and bash)', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-page-'))
    mkdirSync(path.join(folder, '.tools'))
    const npm = path.join(folder, '.tools/npm')
    writeFileSync(npm, `#!/bin/sh\nshift 2\n[ "$1" = -- ] && shift\nexec '${process.execPath}' '${SIM}' "$@"\n`)
    chmodSync(npm, 0o755)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('every command does what the page shows', async () => {
    const steps = readPage('docs/attacks.md')
    expect(difference(steps, await runPage(steps, { folder }))).toBeUndefined()
  })
})
