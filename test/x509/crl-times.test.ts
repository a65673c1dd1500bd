// The times of a CRL, from its first bytes: of those that we write, however long they are, and of nothing else.

import { expect, test } from 'vitest'
import { EXPIRY_LIMITS } from '../../src/renewal-limits.ts'
import { crlTimesOf } from '../../src/x509/crl-times.ts'
import { NOW } from '../contract/records.ts'
import { listOf } from './lists.ts'

const DAY = 86_400_000
const head = (list: Buffer): Buffer => list.subarray(0, EXPIRY_LIMITS.crlHeadBytes)

test.each([0, 1, 1_000, 50_000])('of a list with %s entries', (entries) => {
  expect(crlTimesOf(head(listOf(NOW + DAY, { entries })))).toEqual({ thisUpdate: NOW, nextUpdate: NOW + DAY })
})

test('of a list behind the year 2050, and of an issuer with a name that takes long lengths', () => {
  const far = Date.UTC(2060, 0, 1)
  expect(crlTimesOf(head(listOf(far, { issuer: 'x'.repeat(9_000) })))).toEqual({ thisUpdate: NOW, nextUpdate: far })
})

test('cut off at any byte before its times end, it has none; from there on it has', () => {
  const list = listOf(NOW + DAY)
  const found = Array.from(list, (_, i) => crlTimesOf(list.subarray(0, i)) !== undefined)
  const first = found.indexOf(true)
  expect(first).toBeGreaterThan(30)
  expect(found.slice(first)).not.toContain(false)
})

test.each<[string, Buffer]>([
  ['nothing', Buffer.alloc(0)], ['text', Buffer.from('-----BEGIN X509 CRL-----')], ['zeroes', Buffer.alloc(4_096)], ['an indefinite length', Buffer.from('3080308002010130', 'hex')],
  ['a length of eight octets', Buffer.from('3088ffffffffffffffff30', 'hex')], ['sequences in sequences', Buffer.alloc(4_096, 0x30)], ['a length of 4 GiB', Buffer.from('3084ffffffff3084ffffffff0201013000300017', 'hex')],
])('of %s there are none', (_, bytes) => {
  expect(crlTimesOf(bytes)).toBeUndefined()
})
