import { expect, test } from 'vitest'
import { openSourceRates } from '../../src/core/source-rates.ts'

const NOW = 1_800_000_000_000
const RATE = { perSecond: 1, burst: 2 }

test('an address has its burst, and then its rate; another address has its own', () => {
  const within = openSourceRates(RATE, 10)
  expect([within('192.0.2.1', NOW), within('192.0.2.1', NOW), within('192.0.2.1', NOW), within('192.0.2.2', NOW)]).toEqual([true, true, false, true])
  expect([within('192.0.2.1', NOW + 999), within('192.0.2.1', NOW + 1_999)]).toEqual([false, true])
})

test('a network of 64 bits of IPv6 is one address, and the next one is another', () => {
  const within = openSourceRates(RATE, 10)
  expect(['2001:db8::1', '2001:db8::2', '2001:db8::3', '2001:db8:0:1::1'].map((address) => within(address, NOW))).toEqual([true, true, false, true])
})

test('of too many the one unseen for longest is forgotten, and nobody else', () => {
  const within = openSourceRates({ perSecond: 1, burst: 1 }, 2)
  expect(['a', 'b'].map((address) => within(address, NOW))).toEqual([true, true])
  // Seen again, though refused: now b is the one unseen for longest.
  expect([within('a', NOW), within('c', NOW)]).toEqual([false, true])
  expect([within('a', NOW), within('b', NOW)]).toEqual([false, true])
})
