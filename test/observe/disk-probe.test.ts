import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { OBSERVE_LIMITS } from '../../src/observe-limits.ts'
import { openDiskProbe } from '../../src/observe/disk-probe.ts'
import { temporary } from '../cli/shell.ts'

test('writes, and says that the disk has it', async () => {
  using folder = temporary()
  expect(await openDiskProbe(folder.at('probe'), () => 0)()).toEqual({ ok: true })
  expect(readFileSync(folder.at('probe'), 'utf8')).toBe('.')
})

test('says what the disk said, and asks again only when its answer is old', async () => {
  using folder = temporary()
  let now = 0
  const home = folder.at('home')
  const probe = openDiskProbe(path.join(home, 'probe'), () => now)
  expect(await probe()).toEqual({ ok: false, problem: 'ENOENT' })
  mkdirSync(home)
  now = OBSERVE_LIMITS.diskProbeMs - 1
  expect(await probe()).toEqual({ ok: false, problem: 'ENOENT' })
  now = OBSERVE_LIMITS.diskProbeMs
  expect(await probe()).toEqual({ ok: true })
  rmSync(home, { recursive: true })
  // A clock that was set back makes no answer last for ever.
  now = 0
  expect(await probe()).toEqual({ ok: false, problem: 'ENOENT' })
})

test('fifty who ask at once cost one write', async () => {
  using folder = temporary()
  const probe = openDiskProbe(folder.at('probe'), () => 0)
  expect(new Set(await Promise.all(Array.from({ length: 50 }, async () => (await probe()).ok)))).toEqual(new Set([true]))
})
