// What the benchmarks may say about two brokers, and what they refuse to say.

import { array, assert, double, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GENERATOR_BOUND, GENERATOR_LATE, ratioOf, TIMER_COARSE, tailOf, type Measured } from '../../bench/mqtt/verdict.ts'

const measured = (value: number, broker = 1, generator = 0.5): Measured => ({ value, wanted: { broker, generator } })

describe('a ratio', () => {
  test('is taken round by round, and shows minimum, median and maximum', () => {
    const ratio = ratioOf([measured(10), measured(30), measured(20)], [measured(5), measured(10), measured(5)], GENERATOR_BOUND)
    expect(ratio).toEqual({ stated: true, spread: { min: 2, median: 3, max: 4 } })
  })

  test('is refused when the generator was the bottleneck in one round of one side', () => {
    const ratio = ratioOf([measured(10), measured(10)], [measured(5), measured(5, 0.8, 0.95)], GENERATOR_BOUND)
    expect(ratio).toEqual({ stated: false, why: 'the generator was the bottleneck in 1 of 4 measurements' })
  })

  test('is refused when one side was not measured, or less often', () => {
    expect(ratioOf([], [], GENERATOR_BOUND).stated).toBe(false)
    expect(ratioOf([measured(1)], [], GENERATOR_BOUND).stated).toBe(false)
    expect(ratioOf([measured(1)], [measured(1), measured(1)], GENERATOR_BOUND).stated).toBe(false)
  })

  test('is refused when a figure is none', () => {
    expect(ratioOf([measured(Number.NaN)], [measured(1)], GENERATOR_BOUND).stated).toBe(false)
    expect(ratioOf([measured(1)], [measured(0)], GENERATOR_BOUND).stated).toBe(false)
  })
})

describe('the generator is the bottleneck', () => {
  test('when it wants nearly its whole core and the broker has some of its own to spare', () => {
    expect(GENERATOR_BOUND.holds({ broker: 0.94, generator: 0.9 })).toBe(true)
  })

  test('not when the broker wants its whole core, too', () => {
    expect(GENERATOR_BOUND.holds({ broker: 0.95, generator: 0.99 })).toBe(false)
  })

  test('not when both had time: then something else is waited for, such as a disk', () => {
    expect(GENERATOR_BOUND.holds({ broker: 0.3, generator: 0.89 })).toBe(false)
  })

  test('at a set rate as soon as it has no time to be punctual, however busy the broker is', () => {
    expect(GENERATOR_LATE.holds({ broker: 1, generator: 0.71 })).toBe(true)
    expect(GENERATOR_LATE.holds({ broker: 1, generator: 0.7 })).toBe(false)
  })
})

test('with a coarse timer no ratio is stated, however much time there was', () => {
  expect(ratioOf([measured(10, 0.1, 0.1)], [measured(5, 0.1, 0.1)], TIMER_COARSE).stated).toBe(false)
})

describe('the tail of latencies', () => {
  test('of a thousand samples in any order is the 500th, the 990th, the 999th and the last', () => {
    const samples = Float64Array.from({ length: 1_000 }, (_, i) => ((i * 7) % 1_000) + 1)
    expect(tailOf(samples)).toEqual({ p50: 500, p99: 990, p999: 999, max: 1_000, count: 1_000 })
  })

  test('of nothing is no number, and not zero', () => {
    expect(tailOf(new Float64Array(0))).toEqual({ p50: Number.NaN, p99: Number.NaN, p999: Number.NaN, max: Number.NaN, count: 0 })
  })

  test('is made of samples, in order, and leaves the samples as they were', () => {
    assert(
      property(array(double({ noNaN: true, noDefaultInfinity: true, min: 0 }), { minLength: 1 }), (values) => {
        const samples = Float64Array.from(values)
        const { p50, p99, p999, max } = tailOf(samples)
        expect([...samples]).toEqual(values)
        expect(max).toBe(Math.max(...values))
        for (const p of [p50, p99, p999]) expect(values).toContain(p)
        expect([p50, p99, p999, max]).toEqual([p50, p99, p999, max].toSorted((a, b) => a - b))
        // The definition: at least half of the samples are not greater, and fewer than half are smaller.
        expect(values.filter((v) => v <= p50).length * 2).toBeGreaterThanOrEqual(values.length)
        expect(values.filter((v) => v < p50).length * 2).toBeLessThan(values.length)
      }),
    )
  })
})
