import { expect, test } from 'vitest'
import { openRates } from '../../src/core/rates.ts'

const NOW = 1_800_000_000_000

test('each has its burst and its rate, and none pays for another', () => {
  const within = openRates({ perSecond: 2, burst: 2 }, 10)
  expect(['a', 'a', 'a', 'b'].map((key) => within(key, NOW))).toEqual([true, true, false, true])
  expect([within('a', NOW + 499), within('a', NOW + 999)]).toEqual([false, true])
})

test('a clock that is set back refills nothing', () => {
  const within = openRates({ perSecond: 1, burst: 1 }, 10)
  expect([within('a', NOW), within('a', NOW - 3_600_000), within('a', NOW - 3_599_000)]).toEqual([true, false, true])
})

test('of too many the one unseen for longest is forgotten', () => {
  const within = openRates({ perSecond: 1, burst: 1 }, 2)
  expect(['a', 'b', 'a', 'c', 'a', 'b'].map((key) => within(key, NOW))).toEqual([true, true, false, true, false, true])
})
