// Second by second: sums of all threads, percentiles that outlast their second, and what comes late.

import { createHistogram } from 'node:perf_hooks'
import { expect, test } from 'vitest'
import { SCENARIO_LIMITS } from '../../../device-sim/scenario-limits.ts'
import type { Sample } from '../../../device-sim/scenario/orders.ts'
import { openTimeline } from '../../../device-sim/scenario/timeline.ts'

const START = 1_000_000

function sample(second: number, facts: Partial<Sample> & { readonly deliveryMs?: number } = {}): Sample {
  const histogram = createHistogram()
  if (facts.deliveryMs !== undefined) histogram.record(facts.deliveryMs * 1_000)
  return { at: START + second * 1_000 + 500, connected: 1, sent: 2, received: 3, unsent: 0, refused: {}, cpuMs: 100, spentMs: 1_000, timings: facts.deliveryMs === undefined ? {} : { delivery: histogram }, ...facts }
}

test('threads are added up, and one whose sample fell into the next second is counted as before', () => {
  const timeline = openTimeline(START)
  timeline.add(0, sample(0, { connected: 5 }))
  timeline.add(1, sample(0, { connected: 7, refused: { closed: 2 } }))
  timeline.add(0, sample(1, { connected: 6 }))
  expect(timeline.points()).toMatchObject([{ second: 0, connected: 12, sent: 4, received: 6, refused: { closed: 2 } }, { second: 1, connected: 13, sent: 2 }])
  expect([timeline.received, ...timeline.refusals.values()]).toEqual([9, 2])
})

test('the percentiles of a second stay when it is long over, and nothing is counted twice or lost', () => {
  const timeline = openTimeline(START)
  const seconds = 20 * SCENARIO_LIMITS.openSeconds
  for (let second = 0; second < seconds; second++) timeline.add(0, sample(second, { deliveryMs: second + 1, connected: second }))
  const points = timeline.points()
  expect(points).toHaveLength(seconds)
  expect(points.every(({ connected, second, timings }) => connected === second && timings.delivery?.count === 1 && Math.abs(timings.delivery.maxMs - second - 1) < 0.2)).toBe(true)
  expect(timeline.totals().get('delivery')?.count).toBe(seconds)
  expect(timeline.points(3).map(({ second }) => second)).toEqual([seconds - 3, seconds - 2, seconds - 1])
})

test('what comes for a second that is over is counted, with the oldest that is not', () => {
  const timeline = openTimeline(START)
  timeline.add(0, sample(30))
  timeline.add(1, sample(2))
  expect(timeline.points().reduce((sum, { sent }) => sum + sent, 0)).toBe(4)
  expect(timeline.points()[2]?.sent).toBe(0)
})
