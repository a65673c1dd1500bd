// Where the simulator may aim.

import { describe, expect, test } from 'vitest'
import { SimError } from '../../device-sim/failure.ts'
import { isLoopback, openSources, openTurns, parseAddress, refuseForeignTarget } from '../../device-sim/target.ts'

describe('what counts as this machine', () => {
  test.each(['127.0.0.1', '127.255.255.254', '127.64.0.9', '::1', '[::1]', 'localhost', 'LOCALHOST'])('%s is loopback', (host) => {
    expect(isLoopback(host)).toBe(true)
  })

  test.each(['128.0.0.1', '126.255.255.255', '10.0.0.1', '0.0.0.0', '::', '::2', '::ffff:127.0.0.1', '127.0.0.1.example.org', 'localhost.example.org', '127.1', '127.0.0.256', ''])('%s is not', (host) => {
    expect(isLoopback(host)).toBe(false)
  })

  test('a stranger is refused, and what its owner calls his own is not', () => {
    expect(() => refuseForeignTarget('broker.example.org', false)).toThrow(/broker\.example\.org is not this machine.*--i-own-this-target/)
    expect(() => refuseForeignTarget('broker.example.org', true)).not.toThrow()
    expect(() => refuseForeignTarget('127.0.0.1', false)).not.toThrow()
  })
})

describe('an address', () => {
  test.each([
    ['mqtts://127.0.0.1:8883', { host: '127.0.0.1', port: 8883 }],
    ['mqtts://localhost', { host: 'localhost', port: 8883 }],
    ['mqtts://[::1]:1883', { host: '::1', port: 1883 }],
    ['MQTTS://broker.example.org:1', { host: 'broker.example.org', port: 1 }],
  ])('%s is read', (text, expected) => {
    expect(parseAddress(text)).toEqual(expected)
  })

  test.each(['mqtt://127.0.0.1:1883', 'https://127.0.0.1', 'ssl://127.0.0.1', '127.0.0.1:8883', 'localhost', 'mqtts://', 'mqtts://:8883', 'mqtts://127.0.0.1:65536', ''])('%s is a usage error', (text) => {
    expect(() => parseAddress(text)).toThrow(expect.toSatisfy((error: unknown) => error instanceof SimError && error.code === 'usage' && error.message.includes('mqtts://host:port')))
  })
})

describe('source addresses', () => {
  test.runIf(process.platform === 'linux')('of an IPv4 loopback target are many, each one once, and none that people use (Linux)', () => {
    const sources = openSources({ host: '127.0.0.1' })
    const given = Array.from({ length: 70_000 }, () => sources.next())
    expect(new Set(given).size).toBe(70_000)
    expect(given.every((address) => address !== undefined && isLoopback(address) && !address.startsWith('127.0.'))).toBe(true)
  })

  test.each(['::1', '192.0.2.7', 'localhost'])('of %s there is the default one only', (host) => {
    expect(openSources({ host }).next()).toBeUndefined()
  })
})

describe('turns', () => {
  test('of this machine there is nothing to wait for', () => expect(openTurns('127.0.0.1')).toEqual({}))

  test('elsewhere fifty that come at once are let go one after the other, not faster than the rate', async () => {
    const { turn } = openTurns('192.0.2.1', 500)
    const started = performance.now()
    const at = await Promise.all(Array.from({ length: 50 }, async () => {
      await turn?.()
      return performance.now() - started
    }))
    expect(at).toEqual(at.toSorted((a, b) => a - b))
    // The last of fifty, at 500 a second, comes after 98 ms; timers count whole milliseconds.
    expect(at.at(-1)).toBeGreaterThan(90)
  })
})
