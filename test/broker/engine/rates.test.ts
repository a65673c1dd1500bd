// How often a device may publish by a rule that says so: one account for all its sessions, whatever becomes of them.

import { beforeEach, describe, expect, test } from 'vitest'
import { openRates, type Rates } from '../../../src/broker/engine/rates.ts'
import type { Rate } from '../../../src/core/policy/document.ts'
import type { DeviceId } from '../../../src/core/ids.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

const RATE: Rate = { perSecond: 2, burst: 3 }
let now: number
let connected: Set<string>
let rates: Rates
beforeEach(() => {
  now = 1_800_000_000_000
  connected = new Set()
  rates = openRates({ clock: () => now, isConnected: (device) => connected.has(device) })
})

/** How many of `tries` are let through. */
function through(device: string, key = 'k', rate = RATE, tries = 10): number {
  const meter = rates.of(device as DeviceId)
  return Array.from({ length: tries }, () => meter.take(key, rate)).filter(Boolean).length
}

describe('a rate', () => {
  test('lets the burst through at once, and then what the time gives', () => {
    expect(through('d')).toBe(3)
    now += 499
    expect(through('d')).toBe(0)
    now += 2
    expect(through('d')).toBe(1)
    now += 60_000
    expect(through('d')).toBe(3)
  })

  test('is one for all meters of a device, and another for each device and each rule', () => {
    expect([through('d'), through('d'), through('d', 'other'), through('e')]).toEqual([3, 0, 3, 3])
  })

  test('that a new policy changes keeps what was used of it, as far as it fits', () => {
    expect(through('d', 'k', { perSecond: 1, burst: 10 }, 2)).toBe(2)
    expect(through('d', 'k', { perSecond: 1, burst: 3 })).toBe(3)
    expect(through('d', 'k', { perSecond: 1, burst: 10 })).toBe(0)
  })

  test('is given nothing by a clock that is set back, and is not stopped by it', () => {
    through('d')
    now -= 3_600_000
    expect(through('d')).toBe(0)
    now += 1_000
    expect(through('d')).toBe(2)
  })
})

describe('an account', () => {
  test('is forgotten when all of it is full again, and not before', () => {
    through('d', 'slow', { perSecond: 0.1, burst: 1 })
    through('d')
    now += 2_000
    rates.sweep()
    expect(rates.size).toBe(1)
    now += 8_000
    rates.sweep()
    expect([rates.size, through('d', 'slow', { perSecond: 0.1, burst: 1 })]).toEqual([0, 1])
  })

  test('is looked at in its turn, however many there are', () => {
    const many = BROKER_LIMITS.rateAccountsPerSweep * 2
    for (let i = 0; i < many; i++) through(`d${i}`, 'k', RATE, 1)
    now += 60_000
    rates.sweep()
    expect(rates.size).toBe(many / 2)
    rates.sweep()
    expect(rates.size).toBe(0)
  })

  test('has an end, and so has the number of accounts: who is not connected goes first', () => {
    const rate: Rate = { perSecond: 1e-9, burst: 1 }
    for (let i = 0; i <= BROKER_LIMITS.ratesPerDeviceMax; i++) through('d', `k${i}`, rate, 1)
    expect([through('d', 'k1', rate), through('d', 'k0', rate)]).toEqual([0, 1])
    connected.add('d')
    for (let i = 0; i < BROKER_LIMITS.rateAccountsMax; i++) through(`e${i}`, 'k', rate, 1)
    expect(rates.size).toBe(BROKER_LIMITS.rateAccountsMax)
    expect([through('d', 'k5', rate), through('e0', 'k', rate)]).toEqual([0, 1])
  })
})
