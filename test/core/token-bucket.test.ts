// The bucket against the sum that it promises: never more than the burst at once, never more than burst and rate together.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fullBucket, takeToken } from '../../src/core/token-bucket.ts'

const RATE = { perSecond: 10, burst: 3 }

describe('a token bucket', () => {
  test('gives its burst at once, and not one more', () => {
    const bucket = fullBucket(RATE, 0)
    expect([1, 2, 3, 4].map(() => takeToken(bucket, RATE, 0))).toEqual([true, true, true, false])
  })

  test('gives the next token at the very millisecond at which it is whole', () => {
    const bucket = fullBucket(RATE, 0)
    for (let i = 0; i < 3; i++) takeToken(bucket, RATE, 0)
    expect(takeToken(bucket, RATE, 99)).toBe(false)
    expect(takeToken(bucket, RATE, 100)).toBe(true)
    expect(takeToken(bucket, RATE, 100)).toBe(false)
  })

  test('does not fill beyond its burst, however long nobody came', () => {
    const bucket = fullBucket(RATE, 0)
    expect([1, 2, 3, 4].map(() => takeToken(bucket, RATE, 1e12))).toEqual([true, true, true, false])
  })

  test('a clock that is set back refills nothing and does not freeze it', () => {
    const bucket = fullBucket(RATE, 1_000_000)
    for (let i = 0; i < 3; i++) takeToken(bucket, RATE, 1_000_000)
    expect(takeToken(bucket, RATE, 0)).toBe(false)
    expect(takeToken(bucket, RATE, 100)).toBe(true)
  })

  test('in any time that runs forward it gives at most burst + rate × time', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 }), fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 20 }), (steps, perSecond, burst) => {
      const rate = { perSecond, burst }
      const bucket = fullBucket(rate, 0)
      let now = 0
      let given = 0
      for (const step of steps) {
        now += step
        if (takeToken(bucket, rate, now)) given++
        expect(given).toBeLessThanOrEqual(burst + (now / 1_000) * perSecond + 1e-6)
      }
    }))
  })
})
