import { describe, expect, test } from 'vitest'
import { ago, agoShort, bytes, count, duration, exact, expiry, grouped, toneOfExpiry } from '../../src/console/words.ts'

const T = Date.parse('2026-11-28T02:10:00Z')
const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000]

describe('words for times', () => {
  test.each([
    [0, 'just now'], [4_999, 'just now'], [-4_999, 'just now'], [5_000, '5 seconds ago'], [MINUTE, '1 minute ago'], [90 * MINUTE, '90 minutes ago'], [2 * HOUR, '2 hours ago'], [47 * HOUR, '47 hours ago'],
    [2 * DAY, '2 days ago'], [59 * DAY, '59 days ago'], [60 * DAY, '2 months ago'], [3 * 365 * DAY, '3 years ago'], [-30 * DAY, 'in 30 days'], [-MINUTE, 'in 1 minute'],
  ])('%d milliseconds past are "%s"', (past, words) => {
    expect(ago(T, T + past)).toBe(words)
  })

  test('a certificate has expired at the very millisecond of its end', () => {
    expect(expiry(T, T)).toBe('expired just now')
    expect(expiry(T, T + 3 * HOUR)).toBe('expired 3 hours ago')
    expect(expiry(T, T - 30 * DAY)).toBe('expires in 30 days')
    expect([toneOfExpiry(T, T), toneOfExpiry(T, T - 1), toneOfExpiry(T, T - 31 * DAY)]).toEqual(['bad', 'soon', 'good'])
  })

  test('the exact time is in UTC, and a time that is none says so', () => {
    expect(exact(T)).toBe('2026-11-28 02:10:00 UTC')
    expect(exact(Number.NaN)).toBe('unknown')
    expect(exact(1e20)).toBe('unknown')
  })
})

describe('words for numbers', () => {
  test('one is singular, none and many are plural, thousands are set apart', () => {
    expect([count(1, 'device'), count(0, 'device'), count(4_182, 'device')]).toEqual(['1 device', '0 devices', '4,182 devices'])
    expect(duration(1_000)).toBe('1 second')
  })

  test('in a column a time is short', () => {
    expect([24_000, 3 * 60_000, 4 * 3_600_000, 1_000, -30 * 86_400_000, 5_000 * 86_400_000].map((past) => agoShort(T, T + past))).toEqual(['24 s ago', '3 min ago', '4 h ago', 'just now', 'in 30 d', '13 y ago'])
  })

  test('bytes have the unit that reads well', () => {
    expect([bytes(1), bytes(1023), bytes(1024), bytes(1_572_864), bytes(2 ** 45)]).toEqual(['1 byte', '1,023 bytes', '1.0 KiB', '1.5 MiB', '32.0 TiB'])
  })

  test('a fingerprint stands in groups of four', () => {
    expect(grouped('4925e6ef21')).toBe('4925 e6ef 21')
    expect(grouped('')).toBe('')
  })
})
