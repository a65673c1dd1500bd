// A reload of the policy in a running server: from all of its files, while messages flow; and whatever goes wrong, what was
// in force stays in force.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { serve } from '../src/main.ts'
import type { Ready } from '../src/ready.ts'
import type { LoadedPolicy } from '../src/policy-file.ts'
import { loadPolicyInBackground } from '../src/policy-file/background.ts'

vi.mock(import('../src/policy-file/background.ts'), async (original) => {
  const real = await original()
  return { ...real, loadPolicyInBackground: vi.fn<typeof loadPolicyInBackground>(real.loadPolicyInBackground) }
})

const loading = vi.mocked(loadPolicyInBackground)
let home: string
let ending: AbortController
let served: Promise<void>
let reload: () => Promise<void>

beforeEach(async () => {
  loading.mockClear()
  home = mkdtempSync(path.join(tmpdir(), 'sallyport-reload-'))
  ending = new AbortController()
  const ready = Promise.withResolvers<Ready>()
  served = serve({ home, config: () => loadConfig(home, { SALLYPORT_LOG_LEVEL: 'error' }, { portsAuto: true }), signal: ending.signal, onReady: ready.resolve, onReload: (again) => { reload = again }, version: '0.0.0' })
  await Promise.race([ready.promise, served.then(() => Promise.reject(new Error('it ended')))])
})
afterEach(async () => {
  ending.abort()
  await served
  rmSync(home, { recursive: true, force: true })
})

function put(name: string, text: string): void {
  mkdirSync(path.dirname(path.join(home, name)), { recursive: true })
  writeFileSync(path.join(home, name), text)
}
/** What the audit log says of policies, when the server has ended. */
async function told(): Promise<readonly { readonly action: string; readonly message: string | undefined; readonly generation: number | undefined }[]> {
  ending.abort()
  await served
  const records = readFileSync(path.join(home, 'data/audit.ndjson'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { event: { action: string }; message?: string; detail?: { generation?: number } })
  return records.filter(({ event }) => event.action.startsWith('policy-')).map(({ event, message, detail }) => ({ action: event.action, message, generation: detail?.generation }))
}
/** The policy that was loaded by the reload with this number, from 0. */
async function loaded(which: number): Promise<LoadedPolicy> {
  const result = loading.mock.results.at(which)
  return result?.type === 'return' ? result.value : expect.fail('it was not loaded')
}

test('takes the main file and all of policy.d', async () => {
  put('policy.d/a.policy', 'group extra\n  pub x\n')
  await reload()
  const { policy, texts } = await loaded(0)
  expect([texts.map(({ name }) => name), policy.document.grants.map(({ id }) => id)]).toEqual([['policy.yaml', 'policy.d/a.policy'], ['sensor', 'backend', 'group.extra']])
  expect((await told()).map(({ action, generation }) => [action, generation])).toEqual([['policy-loaded', 1], ['policy-loaded', 2]])
})

test('refuses one mistake in one of the files, and names it', async () => {
  put('policy.d/a.policy', 'group extra\n  pbu x\n')
  await reload()
  rmSync(path.join(home, 'policy.d/a.policy'))
  await reload()
  put('policy.d/a.policy', 'group extra\n  pub x\n')
  await reload()
  const events = await told()
  // What is in force is not another one for being read again; and the number of the one that was refused was not taken.
  expect(events.map(({ action, generation }) => [action, generation])).toEqual([['policy-loaded', 1], ['policy-rejected', undefined], ['policy-loaded', 1], ['policy-loaded', 2]])
  expect(JSON.stringify(events[1])).toContain('policy.d/a.policy:2:3')
})

test('of three that are asked for at once, one is done; one that is asked for while it is done comes after it', async () => {
  await Promise.all([reload(), reload(), reload()])
  expect(loading).toHaveBeenCalledTimes(1)
  const first = reload()
  await vi.waitFor(() => expect(loading).toHaveBeenCalledTimes(2))
  put('policy.d/late.policy', 'group late\n  pub x\n')
  const [second, third] = [reload(), reload()]
  await Promise.all([first, second, third])
  expect(loading).toHaveBeenCalledTimes(3)
  expect((await loaded(2)).texts).toHaveLength(2)
  expect((await told()).at(-1)?.generation).toBe(2)
})

test('survives a thread that dies, and the next one is as good as ever', async () => {
  loading.mockRejectedValueOnce(new Error('the thread that parses has ended'))
  await reload()
  await reload()
  expect((await told()).map(({ action }) => action)).toEqual(['policy-loaded', 'policy-rejected', 'policy-loaded'])
})

test('keeps nobody from ending the server, and is no refusal then', async () => {
  put('policy.yaml', `version: 1\ngrants:\n${Array.from({ length: 20_000 }, (_, i) => `  - { id: r${i}, to: any, publish: ["a/${i}"] }`).join('\n')}\n`)
  const reloading = reload()
  await vi.waitFor(() => expect(loading).toHaveBeenCalled())
  const events = await told()
  await reloading
  expect(events.map(({ action }) => action)).toEqual(['policy-loaded'])
})
