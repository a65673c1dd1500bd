// The last day in buckets of a quarter of an hour, and the refusals of an hour to the minute.

import { expect, test } from 'vitest'
import { openDayStrip } from '../../src/observe/day-strip.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const NOW = Date.parse('2027-01-15T08:07:30Z')

test('there are 96 buckets, whatever happened, and the last one is that of now', () => {
  const buckets = openDayStrip().buckets(NOW)
  expect([buckets.length, new Date(buckets[0]!.at).toISOString(), new Date(buckets.at(-1)!.at).toISOString()]).toEqual([96, '2027-01-14T08:15:00.000Z', '2027-01-15T08:00:00.000Z'])
  expect(buckets.every(({ connections, refusals }) => connections === 0 && Object.keys(refusals).length === 0)).toBe(true)
})

test('connections and refusals stand in their bucket, by reason; what is older than the first is not shown', () => {
  const strip = openDayStrip()
  strip.connected(NOW)
  strip.refused(NOW, 'certificate-expired', 1)
  strip.refused(NOW - MINUTE, 'certificate-expired', 9)
  strip.refused(NOW, 'publish-denied', 2)
  strip.connected(NOW - 15 * MINUTE)
  strip.connected(NOW - 25 * HOUR)
  const buckets = strip.buckets(NOW)
  expect(buckets.at(-1)).toMatchObject({ connections: 1, refusals: { 'certificate-expired': 10, 'publish-denied': 2 } })
  expect(buckets.at(-2)).toMatchObject({ connections: 1, refusals: {} })
  expect(buckets.reduce((sum, { connections }) => sum + connections, 0)).toBe(2)
})

test('an hour ends to the minute', () => {
  const strip = openDayStrip()
  strip.refused(NOW - HOUR, 'device-unknown', 1)
  strip.refused(NOW - HOUR - MINUTE, 'device-unknown', 1)
  expect(strip.refusedSince(NOW - HOUR, NOW).get('device-unknown')).toBe(1)
  expect(strip.refusedSince(NOW - 24 * HOUR, NOW).get('device-unknown')).toBe(2)
})

test('a clock that was years ahead for a while is forgotten, and takes no memory', () => {
  const strip = openDayStrip()
  for (let minute = 0; minute < 10_000; minute++) strip.connected(NOW + 1e11 + minute * MINUTE)
  for (let minute = 0; minute < 60; minute++) strip.connected(NOW - minute * MINUTE)
  expect(strip.buckets(NOW).reduce((sum, { connections }) => sum + connections, 0)).toBe(60)
})
