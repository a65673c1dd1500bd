// What a run of cases did to everybody else: who lost the canary has failed, who slowed it is only told, and what the server
// still holds is counted.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, expect, test } from 'vitest'
import { watch, type Aftermath } from '../../device-sim/attacks/aftermath.ts'
import type { CaseResult } from '../../device-sim/attacks/run.ts'
import type { Canary } from '../../device-sim/canary.ts'
import { aftermathText } from '../../device-sim/report/aftermath-text.ts'
import { resourcesOf } from '../../device-sim/resources.ts'

const result = (id: CaseResult['case'], verdict: CaseResult['verdict'] = 'ok'): CaseResult => ({ case: id, title: '', expected: '', seen: '', reasons: [], verdict, notes: ['its own'], durationMs: 1_000 })

/** A canary that comes back as told; `heard` resolves when it was asked once more. */
function canaryThat(says: { ms: number | undefined }): Canary & { heard(): Promise<void> } {
  const waiting: (() => void)[] = []
  return {
    roundTrip: () => {
      for (const wake of waiting.splice(0)) wake()
      return Promise.resolve(says.ms)
    },
    heard: () => new Promise((resolve) => void waiting.push(resolve)),
    close: () => {},
  }
}

// A process of its own, so that nobody else opens anything in it.
const process_ = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] })
const spawned = once(process_, 'spawn')
afterAll(() => void process_.kill())

test('a canary that comes back fails nobody; one that is lost fails who ran meanwhile, and who was not run has done nothing', async () => {
  const says: { ms: number | undefined } = { ms: 2 }
  const canary = canaryThat(says)
  const watching = await watch({ canary, lost: 'FAILED', pid: () => Promise.resolve(undefined), sessions: () => Promise.resolve(0) })
  expect(watching.judge(result('T01'))).toEqual(result('T01'))
  says.ms = undefined
  await canary.heard()
  await canary.heard()
  const lost = watching.judge(result('T02'))
  expect(lost.verdict).toBe('FAILED')
  expect(lost.notes).toEqual([expect.stringMatching(/^the canary device did not hear itself within 5000 ms, \d+ times$/), 'its own'])
  expect(watching.judge(result('T03', 'not run'))).toEqual(result('T03', 'not run'))
  const { canary: { calm, slowed }, server, faults } = await watching.end()
  expect({ calm, slowed, server, faults }).toEqual({ calm: { count: 100, p99Ms: 2, maxMs: 2 }, slowed: [], server: undefined, faults: [] })
})

test('who slows the canary is told, and has not failed', async () => {
  const says: { ms: number | undefined } = { ms: 2 }
  const canary = canaryThat(says)
  const watching = await watch({ canary, lost: 'FAILED', pid: () => Promise.resolve(undefined), sessions: () => Promise.resolve(0) })
  says.ms = 5
  for (let i = 0; i < 3; i++) await canary.heard()
  expect(watching.judge(result('T01')).verdict).toBe('ok')
  expect((await watching.end()).canary.slowed).toEqual([{ case: 'T01', p99Ms: 5 }])
})

test('sessions that the server keeps are a fault; those that it gives back while it is waited for are none', async () => {
  await spawned
  let sessions = 10
  const pid = (): Promise<number | undefined> => Promise.resolve(process_.pid)
  const watching = await watch({ canary: canaryThat({ ms: 1 }), lost: 'FAILED', pid, sessions: () => Promise.resolve(sessions) }, 500)
  let asked = 0
  sessions = 12
  const slow = await watch({ canary: canaryThat({ ms: 1 }), lost: 'FAILED', pid, sessions: () => Promise.resolve((asked += 1) < 4 ? asked * 10 : 10) })
  expect((await slow.end()).faults).toEqual([])
  const { server, faults } = await watching.end()
  expect(server).toMatchObject({ before: { sessions: 10 }, after: { sessions: 12 } })
  expect(faults).toEqual([expect.stringMatching(/^after 0\.5 s the server still holds \d+ descriptors and 12 sessions; before it were \d+ and 10$/)])
})

test('a server that is gone is said to be', async () => {
  await spawned
  let pid: number | undefined = process_.pid
  const watching = await watch({ canary: canaryThat({ ms: 1 }), lost: 'FAILED', pid: () => Promise.resolve(pid), sessions: () => Promise.resolve(1) })
  pid = undefined
  expect((await watching.end()).faults).toEqual(['the server is gone'])
})

test('what a process holds is what the system says of it; of no process nothing is said', async () => {
  await spawned
  const held = await resourcesOf(process_.pid)
  expect(held?.descriptors).toBeGreaterThan(3)
  expect(held?.residentBytes).toBeGreaterThan(1_000_000)
  expect(await resourcesOf(undefined)).toBeUndefined()
  expect(await resourcesOf(2 ** 30)).toBeUndefined()
})

test('it is told in a few lines', () => {
  const holding = (sessions: number) => ({ descriptors: 44, residentBytes: 200 * 1_048_576, sessions })
  const calm: Aftermath = { canary: { calm: { count: 100, p99Ms: 1.25, maxMs: 2 }, during: { count: 9, p99Ms: 2, maxMs: 3 }, slowed: [] }, faults: [] }
  const paper = { columns: 200, colour: (style: string, text: string) => (style === 'red' ? `!${text}` : text) }
  expect(aftermathText(calm, paper)).toBe('canary  p99 1.3 ms before, 2.0 ms meanwhile, the slowest 3.0 ms\n')
  const left: Aftermath = { canary: { ...calm.canary, slowed: [{ case: 'T01', p99Ms: 9 }, { case: 'T47', p99Ms: 30 }] }, server: { before: holding(1), after: holding(7) }, faults: ['left'] }
  expect(aftermathText(left, paper)).toBe(
    'canary  p99 1.3 ms before, 2.0 ms meanwhile, the slowest 3.0 ms; above twice the calm during 2 cases, most of all during T47 (30.0 ms)\n' +
    'server  descriptors 44 → 44, sessions 1 → 7, memory 200 MiB → 200 MiB\n!left\n',
  )
})
