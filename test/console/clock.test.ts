// The time of the server, in a browser whose clock is another one.

import { beforeEach, expect, test } from 'vitest'
import { clockBehind, noteServerTime, serverNow } from '../../src/console/clock.ts'

const NOW = Date.parse('2026-11-28T02:10:00.000Z')
const date = (at: number): string => new Date(at).toUTCString()
beforeEach(() => clockBehind.set(0))

test('a clock that is right within the whole seconds of HTTP is left alone', () => {
  noteServerTime(date(NOW - 999), NOW)
  expect(clockBehind.get()).toBe(0)
  noteServerTime(date(NOW + 2_000), NOW)
  expect(clockBehind.get()).toBe(0)
})

test.each([3 * 3_600_000, -3 * 3_600_000, 365 * 86_400_000])('one that is %d ms behind is put right, and does not swing with each answer', (behind) => {
  noteServerTime(date(NOW + behind), NOW)
  expect(clockBehind.get()).toBe(behind)
  noteServerTime(date(NOW + behind - 1_000), NOW)
  expect(clockBehind.get()).toBe(behind)
  expect(Math.abs(serverNow() - Date.now() - behind)).toBeLessThan(1_000)
  noteServerTime(date(NOW), NOW)
  expect(clockBehind.get()).toBe(0)
})

test.each([null, '', 'yesterday'])('an answer without a time (%s) changes nothing', (header) => {
  noteServerTime(header, NOW)
  expect(clockBehind.get()).toBe(0)
})
