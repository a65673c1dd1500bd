import { execFileSync } from 'node:child_process'
import { constants, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
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

test('a disk that hangs is no disk, is asked once, and is one again when it answers', { timeout: 20_000 }, async () => {
  using folder = temporary()
  const file = folder.at('probe')
  // Whoever opens a pipe for writing waits until somebody reads, as long as that may take: nothing else hangs so on demand.
  execFileSync('mkfifo', [file])
  let now = 0
  const probe = openDiskProbe(file, () => now)
  const hung = { ok: false, problem: `no answer within ${OBSERVE_LIMITS.diskAnswerMs} ms` }
  expect(await Promise.all([probe(), probe(), probe()])).toEqual([hung, hung, hung])
  now = OBSERVE_LIMITS.diskProbeMs
  expect(await probe()).toEqual(hung)
  // One reader lets go whoever waits: had each question begun a write of its own, they would all read as one here.
  {
    await using reader = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const heard = Buffer.alloc(8)
    await expect.poll(async () => (await reader.read(heard, 0, 8)).bytesRead).toBe(1)
  }
  rmSync(file)
  // The write that hung may be the one that answers first; the next is another.
  await expect.poll(() => {
    now += OBSERVE_LIMITS.diskProbeMs
    return probe()
  }).toEqual({ ok: true })
})
