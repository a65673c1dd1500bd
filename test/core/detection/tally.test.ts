// Counts over a window against the list of everything that was ever counted.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Tally, Variety } from '../../../src/core/detection/tally.ts'
import { DETECTION_LIMITS } from '../../../src/detection-limits.ts'

const WINDOW = 1_000
const PIECE = WINDOW / DETECTION_LIMITS.pieces
/** Times that only go on, some of them by a whole window and more. */
const times = fc.array(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 3 * WINDOW })), { maxLength: 60 }).map((gaps) => {
  let at = 0
  return gaps.map((gap) => (at += gap))
})

describe('a tally', () => {
  test('counts nothing that is older than its window, and all that is younger than nine tenths of it', () => {
    fc.assert(fc.property(times, fc.integer({ min: 0, max: 2 * WINDOW }), (at, later) => {
      const tally = new Tally(WINDOW)
      for (const time of at) tally.add(time)
      const now = (at.at(-1) ?? 0) + later
      const within = (ms: number): number => at.filter((time) => now - time < ms).length
      expect(tally.total(now)).toBeGreaterThanOrEqual(within(WINDOW - PIECE))
      expect(tally.total(now)).toBeLessThanOrEqual(within(WINDOW))
    }))
  })

  test('of fewer is never more', () => {
    fc.assert(fc.property(times, fc.func(fc.boolean()), (at, keep) => {
      const [all, some] = [new Tally(WINDOW), new Tally(WINDOW)]
      for (const [i, time] of at.entries()) {
        all.add(time)
        if (keep(i)) some.add(time)
        expect(some.total(time)).toBeLessThanOrEqual(all.total(time))
      }
    }))
  })

  test('forgets everything when a whole window was quiet, and not a millisecond before its last piece is over', () => {
    const tally = new Tally(WINDOW)
    tally.add(0)
    expect([WINDOW - 1, WINDOW].map((at) => tally.total(at))).toEqual([1, 0])
  })
})

describe('a variety', () => {
  test('counts what comes again once', () => {
    const variety = new Variety(WINDOW)
    for (let i = 0; i < 100; i++) variety.add(i, 7 + (i % 3))
    expect(variety.total(99)).toBe(3)
  })

  test('remembers each from when it was last seen', () => {
    const variety = new Variety(WINDOW)
    variety.add(0, 1)
    variety.add(0, 2)
    variety.add(WINDOW / 2, 1)
    expect([WINDOW - 1, WINDOW, 1.5 * WINDOW - 1, 1.5 * WINDOW].map((at) => variety.total(at))).toEqual([2, 1, 1, 0])
  })

  test('agrees with a list of what was seen, in whatever order and with whatever gaps', () => {
    fc.assert(fc.property(times, fc.func(fc.integer({ min: 0, max: 9 })), (at, what) => {
      const variety = new Variety(WINDOW)
      const seen: (readonly [number, number])[] = []
      for (const time of at) {
        // Beginnings of pieces: neither the window nor the list rounds.
        const piece = Math.floor(time / PIECE) * PIECE
        const hash = what(seen.length)
        variety.add(piece, hash)
        seen.push([piece, hash])
        expect(variety.total(piece)).toBe(new Set(seen.filter(([then]) => piece - then < WINDOW).map(([, h]) => h)).size)
      }
    }))
  })

  test.each([10, 100, 1_000, 2_000, DETECTION_LIMITS.varietyMax])('of %i different ones tells within 5 %% how many there were', (count) => {
    const variety = new Variety(WINDOW)
    // A generator of 32-bit numbers stands for the hash.
    let hash = 12_345
    for (let i = 0; i < count; i++) variety.add(0, (hash = (Math.imul(hash, 1_664_525) + 1_013_904_223) >>> 0) >>> 8)
    expect(Math.abs(variety.total(0) - count) / count).toBeLessThan(0.05)
  })

  test('that is full says a number, and empties again', () => {
    const variety = new Variety(WINDOW)
    for (let hash = 0; hash < DETECTION_LIMITS.varietyPlaces; hash++) variety.add(0, hash)
    expect(variety.total(0)).toBeGreaterThan(DETECTION_LIMITS.varietyMax)
    expect(variety.total(0)).toBeLessThan(Infinity)
    expect(variety.total(WINDOW)).toBe(0)
  })
})
