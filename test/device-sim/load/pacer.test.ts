// The open loop on a clock of its own: what is due is sent when it is due, and what could not be is charged with the wait.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { SIM_LIMITS } from '../../../device-sim/limits.ts'
import { keepPace } from '../../../device-sim/load/pacer.ts'

interface Sent {
  readonly index: number
  readonly dueAt: number
  readonly at: number
}

/** Runs the pacer; `rested` may hold the clock up longer than it was asked. */
async function paced(ratePerSecond: number, total: number, rested: (ms: number, now: number) => number = (ms) => ms) {
  let now = 1_000
  const sent: Sent[] = []
  const rests: number[] = []
  const signal = new AbortController()
  const due = await keepPace({
    ratePerSecond, total, signal: signal.signal,
    clock: () => now,
    send: (index, dueAt) => void sent.push({ index, dueAt, at: now }),
    rest(ms) {
      rests.push(ms)
      now += rested(ms, now)
      return Promise.resolve()
    },
  })
  return { sent, due, rests }
}

test('every message is sent once, in order, at its time', async () => {
  const { sent, due } = await paced(10, 5)
  expect(due).toBe(5)
  expect(sent.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4])
  expect(sent.map(({ dueAt }) => dueAt)).toEqual([1_000, 1_100, 1_200, 1_300, 1_400])
  expect(sent.every(({ at, dueAt }) => at === dueAt)).toBe(true)
})

test('after a standstill all that became due is sent at once, each with the time at which it was due', async () => {
  let stalled = false
  const { sent } = await paced(100, 50, (ms, now) => {
    if (stalled || now < 1_100) return ms
    stalled = true
    return 300
  })
  const late = sent.filter(({ at, dueAt }) => at > dueAt)
  expect(late.length).toBeGreaterThan(25)
  expect(Math.max(...late.map(({ at, dueAt }) => at - dueAt))).toBeGreaterThan(285)
  // Not one message of the standstill has moved: the schedule is as if nothing had happened.
  expect(sent.map(({ dueAt }) => dueAt)).toEqual(Array.from({ length: 50 }, (_, i) => 1_000 + i * 10))
})

test('far behind it lets others run in between', async () => {
  const { sent, rests } = await paced(1_000_000, 3 * SIM_LIMITS.loadBurstMax, (ms, now) => (now === 1_000 ? 10_000 : ms))
  expect(sent).toHaveLength(3 * SIM_LIMITS.loadBurstMax)
  expect(rests.filter((ms) => ms === 0).length).toBeGreaterThanOrEqual(2)
})

test('it never rests for so long that an interruption is not heard', async () => {
  const { rests } = await paced(1, 3)
  expect(Math.max(...rests)).toBeLessThanOrEqual(SIM_LIMITS.progressMs)
})

test('the signal ends it', async () => {
  const ending = new AbortController()
  let now = 0
  const due = await keepPace({
    ratePerSecond: 10, total: 100, signal: ending.signal, clock: () => now,
    send: (index) => void (index === 4 && ending.abort()),
    rest: (ms) => Promise.resolve(void (now += ms)),
  })
  expect(due).toBe(5)
})

test('at any rate, with any standstills: all are sent, none before its time', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 1, max: 300 }), fc.array(fc.nat({ max: 500 })), async (rate, total, stalls) => {
    const { sent, due } = await paced(rate, total, (ms) => ms + (stalls.pop() ?? 0))
    expect(due).toBe(total)
    expect(sent.map(({ index }) => index)).toEqual(Array.from({ length: total }, (_, i) => i))
    expect(sent.every(({ at, dueAt }) => at >= dueAt)).toBe(true)
  }), { numRuns: 50 })
})

test('a rate that goes up and down has its messages where it is high, and none is late', async () => {
  let now = 0
  const sent: number[] = []
  const due = await keepPace({
    ratePerSecond: (elapsedMs) => (elapsedMs < 1_000 ? 10 : 100), total: Infinity, forMs: 2_000, signal: new AbortController().signal, clock: () => now,
    send: (_, dueAt) => void sent.push(dueAt),
    rest: (ms) => Promise.resolve(void (now += ms)),
  })
  expect(due).toBe(sent.length)
  expect(sent.filter((at) => at < 1_000)).toHaveLength(10)
  expect(sent.filter((at) => at >= 1_000)).toHaveLength(100)
  expect(sent.every((at) => at < 2_000)).toBe(true)
})
