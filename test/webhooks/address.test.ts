// Where a webhook may go: the public Internet. Every way of writing an internal address stands beside the nearest public one (A05).

import { isIP } from 'node:net'
import { ipV4, ipV6, sample } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseNetwork } from '../../src/core/webhook.ts'
import { openAddresses } from '../../src/webhooks/address.ts'

const may = (address: string, ...allowed: readonly string[]): boolean => openAddresses(allowed).judge(address).allow

describe('A05: internal', () => {
  test.each([
    ['0.0.0.0', '1.0.0.0'], ['10.0.0.0', '9.255.255.255'], ['10.255.255.255', '11.0.0.0'], ['100.64.0.0', '100.63.255.255'], ['100.127.255.255', '100.128.0.0'], ['127.0.0.1', '128.0.0.1'], ['127.255.255.254', '126.255.255.255'],
    ['169.254.169.254', '169.253.255.255'], ['172.16.0.1', '172.15.255.255'], ['172.31.255.255', '172.32.0.0'], ['192.168.0.1', '192.167.255.255'], ['192.0.0.8', '192.0.1.1'], ['192.0.2.1', '192.0.3.1'], ['198.18.0.1', '198.17.255.255'],
    ['198.19.255.255', '198.20.0.0'], ['198.51.100.7', '198.51.101.7'], ['203.0.113.7', '203.0.114.7'], ['192.88.99.1', '192.88.98.1'], ['224.0.0.1', '223.255.255.255'], ['255.255.255.255', '8.8.8.8'], ['240.0.0.1', '1.1.1.1'],
  ])('%s is, and %s is not', (inside, outside) => {
    expect([may(inside), may(outside)]).toEqual([false, true])
    // Wrapped into IPv6 it leads to the same place.
    expect([may(`::ffff:${inside}`), may(`::ffff:${outside}`)]).toEqual([false, true])
  })
  test.each(['::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd12:3456::1', 'ff02::1', '2001:db8::1', '3fff::1', '64:ff9b::7f00:1', '64:ff9b::8.8.8.8', '64:ff9b:1::1', '2002:7f00:1::', '2002:a00:1::1', '2001::1', '2001:0:4136:e378:8000:63bf:3fff:fdd2', '100::1', '::7f00:1', '::127.0.0.1', '::ffff:0:127.0.0.1', '0:0:0:0:0:ffff:7f00:1', '5f00::1'])('%s of IPv6 is', (inside) => {
    expect(may(inside)).toBe(false)
  })
  test.each(['2606:4700:4700::1111', '2a00:1450:4001:830::200e', '2001:200::1', '2001:4860:4860::8888', '2400:cb00:2048:1::c629:d7a2'])('%s of IPv6 is not', (outside) => {
    expect(may(outside)).toBe(true)
  })
  test.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '0x7f000001', '2130706433', 'constructor'])('%j is no address, and leads nowhere', (text) => {
    expect(may(text)).toBe(false)
  })
  test('an address wrapped into IPv6 is judged as itself, whichever it is', () => {
    for (const address of sample(ipV4(), 300)) expect([address, may(`::ffff:${address}`)]).toEqual([address, may(address)])
  })
  test('an address of IPv6 that is allowed lies in 2000::/3, or in a network that is listed', () => {
    for (const address of sample(ipV6(), 300)) {
      if (may(address)) expect(new URL(`http://[${address}]`).hostname).toMatch(/^\[[23][0-9a-f]{3}:/)
      expect(may(address, '::/0')).toBe(true)
    }
  })
})

describe('what the configuration lists', () => {
  test('is allowed, and its neighbour is not', () => {
    expect([may('10.20.1.1', '10.20.0.0/16'), may('10.21.0.1', '10.20.0.0/16'), may('127.0.0.1', '127.0.0.1'), may('127.0.0.2', '127.0.0.1')]).toEqual([true, false, true, false])
    expect([may('fd00:1::9', 'fd00:1::/64'), may('fd00:2::9', 'fd00:1::/64'), may('::1', '::1')]).toEqual([true, false, true])
    expect(may('::ffff:10.20.1.1', '10.20.0.0/16')).toBe(true)
  })
  test.each(['10.0.0.0/8', '10.0.0.0/0', '::1', 'fd00::/8', '1.2.3.4/32', '::/128'])('%s is a network', (text) => {
    expect(parseNetwork(text, isIP)).toBeDefined()
  })
  test.each(['10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/', '10.0.0.0/8/8', '::/129', 'fe80::1%eth0/64', 'localhost', '', '/8', '10.0.0/8', '10.0.0.0/1e1'])('%j is none', (text) => {
    expect(parseNetwork(text, isIP)).toBeUndefined()
  })
})
