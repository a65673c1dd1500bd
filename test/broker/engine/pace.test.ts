// The pace of a device that is slowed down, on a clock that is turned by hand: how much is read in all, that everybody has a
// turn, and that nobody is forgotten.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openPace, type Pace, type Waiter } from '../../../src/broker/engine/pace.ts'
import { DETECTION_LIMITS } from '../../../src/detection-limits.ts'

const { throttledPerSecond: PER_SECOND, throttledBurst: BURST } = DETECTION_LIMITS

beforeEach(() => vi.useFakeTimers({ now: 1_800_000_000_000 }))
afterEach(() => vi.useRealTimers())

interface Reader extends Waiter {
  read: number
  waited: number
  start(): void
}

/** A connection with so much to read; `asking` of it asks for something. */
function reader(pace: Pace, packets: number, asking = true): Reader {
  const self: Reader = {
    read: 0, waited: 0,
    start() {
      while (self.read < packets && pace.enter(self)) {
        self.read += 1
        if (asking) pace.spend()
      }
    },
    resume: () => self.start(),
    onWaiting() {
      self.waited += 1
    },
  }
  return self
}
const open = (): Pace => openPace(() => Date.now())

test('the burst is read at once, and then so many a second, no more and no less', () => {
  const one = reader(open(), 1_000)
  one.start()
  expect(one.read).toBe(BURST)
  vi.advanceTimersByTime(5_000)
  expect(one.read).toBe(BURST + 5 * PER_SECOND)
  expect(one.waited).toBe(5 * PER_SECOND)
})

test('of all connections together no more is read than of one, and all have their turns', () => {
  const pace = open()
  const all = Array.from({ length: 8 }, () => reader(pace, 1_000))
  for (const one of all) one.start()
  vi.advanceTimersByTime(16_000)
  expect(all.reduce((sum, one) => sum + one.read, 0)).toBe(BURST + 16 * PER_SECOND)
  const later = all.slice(1).map((one) => one.read)
  expect(Math.max(...later) - Math.min(...later)).toBeLessThanOrEqual(1)
  expect(Math.min(...later)).toBeGreaterThanOrEqual(19)
})

test('who asks for nothing spends nothing: acknowledgements do not use up what messages may', () => {
  const pace = open()
  const [asks, answers] = [reader(pace, 1_000), reader(pace, 1_000, false)]
  asks.start()
  answers.start()
  vi.advanceTimersByTime(10_000)
  expect(answers.read).toBe(1_000)
  expect(asks.read).toBeGreaterThanOrEqual(BURST + 10 * PER_SECOND - 1)
})

test('who has no more to read is asked no more', () => {
  const one = reader(open(), BURST + 3)
  one.start()
  vi.advanceTimersByTime(10_000)
  expect([one.read, vi.getTimerCount()]).toEqual([BURST + 3, 0])
})

test('when it is over, who waits is read on at once, and nobody waits again', () => {
  const pace = open()
  const all = Array.from({ length: 3 }, () => reader(pace, 1_000))
  for (const one of all) one.start()
  pace.close()
  expect(all.map((one) => one.read)).toEqual([1_000, 1_000, 1_000])
  expect(vi.getTimerCount()).toBe(0)
})

test('a connection that is gone holds up nobody', () => {
  const pace = open()
  const gone: Waiter = { resume: () => {}, onWaiting: () => {} }
  const one = reader(pace, 1_000)
  one.start()
  expect(pace.enter(gone)).toBe(false)
  vi.advanceTimersByTime(1_000)
  expect(one.read).toBe(BURST + PER_SECOND)
})

test('a clock that is set back stops nobody for longer than it takes to go on', () => {
  const one = reader(open(), 1_000)
  one.start()
  vi.setSystemTime(Date.now() - 24 * 3_600_000)
  vi.advanceTimersByTime(2_000)
  expect(one.read).toBeGreaterThanOrEqual(BURST + 2 * PER_SECOND - 2)
})
