import { describe, expect, test } from 'vitest'
import { openGuesses } from '../../src/enroll/guesses.ts'
import { ENROLL_LIMITS } from '../../src/enrollment-limits.ts'

const NOW = 1_800_000_000_000

describe('whoever guesses', () => {
  test('has some tries, and then waits twice as long each time, up to an hour', () => {
    const guesses = openGuesses()
    const waits: number[] = []
    for (let i = 0; i < ENROLL_LIMITS.guessesFree + 14; i++) {
      guesses.wrong('192.0.2.1', NOW)
      waits.push(guesses.waits('192.0.2.1', NOW) / 1_000)
    }
    expect(waits.slice(0, ENROLL_LIMITS.guessesFree + 2)).toEqual([0, 0, 0, 0, 1, 2, 4])
    expect(waits.at(-1)).toBe(3_600)
    expect(guesses.waits('192.0.2.1', NOW + 3_600_000 - 1)).toBe(1)
    expect(guesses.waits('192.0.2.1', NOW + 3_600_000)).toBe(0)
  })

  test('keeps nobody else waiting, whatever name it guessed for', () => {
    const guesses = openGuesses()
    for (let i = 0; i < 20; i++) guesses.wrong('192.0.2.1', NOW)
    expect(guesses.waits('192.0.2.2', NOW)).toBe(0)
  })

  test('has one account for a whole network of IPv6', () => {
    const guesses = openGuesses()
    for (let i = 0; i < 20; i++) guesses.wrong(`2001:db8:0:1::${i}`, NOW)
    expect(guesses.waits('2001:db8:0:1:ffff::1', NOW)).toBeGreaterThan(0)
    expect(guesses.waits('2001:db8:0:2::1', NOW)).toBe(0)
  })

  test('begins anew after an hour of quiet, and not because a clock was set back', () => {
    const guesses = openGuesses()
    for (let i = 0; i < ENROLL_LIMITS.guessesFree; i++) guesses.wrong('192.0.2.1', NOW)
    guesses.wrong('192.0.2.1', NOW - 86_400_000)
    expect(guesses.waits('192.0.2.1', NOW - 86_400_000)).toBe(2_000)
    guesses.wrong('192.0.2.1', NOW + 3_600_001)
    expect(guesses.waits('192.0.2.1', NOW + 3_600_001)).toBe(0)
  })

  test('waits as long as it was told, also when the clock is set back a year meanwhile', () => {
    const guesses = openGuesses()
    const back = NOW - 365 * 86_400_000
    for (let i = 0; i < ENROLL_LIMITS.guessesFree + 2; i++) guesses.wrong('192.0.2.1', NOW)
    expect([guesses.waits('192.0.2.1', back), guesses.waits('192.0.2.1', back + 4_000)]).toEqual([4_000, 0])
  })

  test('from many addresses is forgotten from the oldest on, not without end', () => {
    const guesses = openGuesses()
    for (let i = 0; i < ENROLL_LIMITS.guessesFree; i++) guesses.wrong('192.0.2.1', NOW)
    for (let i = 0; i < ENROLL_LIMITS.sourcesRememberedMax; i++) guesses.wrong(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, NOW)
    expect(guesses.waits('192.0.2.1', NOW)).toBe(0)
  })
})
