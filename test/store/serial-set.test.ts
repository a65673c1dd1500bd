// The table of ended certificates beside a Map: that it says the same, what it takes, and that it grows without a pause.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CertificateState } from '../../src/core/registry.ts'
import { openSerialSet } from '../../src/store/serial-set.ts'

test('after any entries it says what a Map says, of what is there and of what is not', () => {
  const serial = fc.oneof(fc.constantFrom('01', '010', '00', 'ff', 'ffff'), fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex')))
  const name = fc.tuple(fc.constantFrom('issuing-1', 'issuing-10', 'root'), serial)
  const entry = fc.tuple(name, fc.constantFrom<CertificateState>('planned', 'issued', 'active', 'superseded', 'revoked'))
  fc.assert(fc.property(fc.array(entry, { maxLength: 400 }), fc.array(name, { maxLength: 50 }), (entries, others) => {
    const [set, map] = [openSerialSet(), new Map<string, CertificateState>()]
    for (const [[issuer, number], state] of entries) {
      set.set(issuer, number, state)
      map.set(`${issuer}/${number}`, state)
    }
    expect(set.size).toBe(map.size)
    for (const [issuer, number] of [...entries.map(([each]) => each), ...others]) expect(set.get(issuer, number)).toBe(map.get(`${issuer}/${number}`))
  }))
})

const numbered = (i: number): string => (BigInt(i) * 0x9e3779b97f4a7c15f39cc0605cedc835n & 0xffffffffffffffffffffffffffffffffn).toString(16).padStart(32, '0')

test('a hundred thousand numbers in order take less than 20 bytes each, and none is taken for another', () => {
  const set = openSerialSet()
  const COUNT = 100_000
  for (let i = 0; i < COUNT; i++) set.set('issuing-1', i.toString(16).padStart(32, '0'), 'revoked')
  expect(set.size).toBe(COUNT)
  expect(set.bytes / COUNT).toBeLessThan(20)
  const wrong = Array.from({ length: COUNT }, (_, i) => numbered(i + 1)).filter((serial) => set.get('issuing-1', serial) !== undefined)
  expect(wrong).toEqual([])
  expect(set.get('issuing-2', '0'.repeat(32))).toBeUndefined()
})

test('with room made at once, no table grows; with more than was expected it goes on', () => {
  const set = openSerialSet()
  const COUNT = 200_000
  set.expect(COUNT)
  for (let i = 0; i < SAMPLE; i++) set.set('issuing-1', numbered(i + 1), 'revoked')
  const first = set.bytes
  for (let i = SAMPLE; i < COUNT; i++) set.set('issuing-1', numbered(i + 1), 'revoked')
  // Some of a thousand segments get more than their share.
  expect(set.bytes / first).toBeLessThan(1.01)
  expect(set.bytes / COUNT).toBeLessThan(20)
  for (let i = COUNT; i < 2 * COUNT; i++) set.set('issuing-1', numbered(i + 1), 'superseded')
  expect([set.size, set.get('issuing-1', numbered(1)), set.get('issuing-1', numbered(2 * COUNT))]).toEqual([2 * COUNT, 'revoked', 'superseded'])
})
/** Enough that every segment has one. */
const SAMPLE = 20_000
