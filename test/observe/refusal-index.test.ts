// The newest refusals in memory: found by what is asked for, bounded by count and by weight, and honest about what is gone.

import { describe, expect, test } from 'vitest'
import type { RefusalShown } from '../../src/core/feed-desk.ts'
import { openRefusalIndex, type RefusalIndex } from '../../src/observe/refusal-index.ts'
import { REASONS, type DenyReason } from '../../src/vocabulary.ts'

const refusal = (id: number, more: Partial<RefusalShown> = {}): RefusalShown => {
  const reason: DenyReason = more.reason ?? 'certificate-expired'
  return { id, at: id * 1_000, step: REASONS[reason].step, reason, sentence: REASONS[reason].sentence, fix: REASONS[reason].fix, count: 1, ...more }
}
const filled = (refusals: readonly RefusalShown[], bounds?: Parameters<typeof openRefusalIndex>[0]): RefusalIndex => {
  const index = openRefusalIndex(bounds)
  index.restored(true)
  for (const each of refusals) index.add(each, 100)
  return index
}
const ids = (items: readonly { readonly id: number }[]): readonly number[] => items.map(({ id }) => id)
const numbers = (count: number): readonly RefusalShown[] => Array.from({ length: count }, (_, i) => refusal(i + 1))

describe('pages', () => {
  test('go from the newest to the oldest, each refusal once, though new ones come in between', () => {
    const index = filled(numbers(5))
    const first = index.page({ limit: 2 })
    index.add(refusal(6), 100)
    const second = index.page({ limit: 2, after: first.next })
    const third = index.page({ limit: 2, after: second.next })
    expect([ids(first.items), ids(second.items), ids(third.items), third.next]).toEqual([[5, 4], [3, 2], [1], undefined])
  })
  test('the last page has no next, though it is full', () => {
    expect(filled(numbers(4)).page({ limit: 4 }).next).toBeUndefined()
    expect(filled(numbers(5)).page({ limit: 4 }).next).toBe('2')
  })
})

describe('filters', () => {
  const index = filled([
    refusal(1, { device: 'a', address: '192.0.2.1' }),
    refusal(2, { claimed: 'a', reason: 'tls-untrusted-issuer', address: '192.0.2.2', presented: { subject: 'CN=Pump', serial: '40aa' } }),
    refusal(3, { device: 'ab', topic: '50%_off/x', reason: 'publish-denied', rule: 'no-sale' }),
  ])
  const found = (query: Parameters<RefusalIndex['page']>[0]): readonly number[] => ids(index.page(query).items)
  test('a device is found by itself and by who claimed its name, and no other that begins like it', () => {
    expect(found({ device: 'a' })).toEqual([2, 1])
    expect(found({ device: 'b' })).toEqual([])
  })
  test('step, reason and address are equal or not', () => {
    expect(found({ step: 'tls' })).toEqual([2])
    expect(found({ reason: 'publish-denied' })).toEqual([3])
    expect(found({ address: '192.0.2.1' })).toEqual([1])
    expect(found({ address: '192.0.2' })).toEqual([])
  })
  test('since includes its instant, until does not', () => {
    expect(found({ since: 2_000 })).toEqual([3, 2])
    expect(found({ until: 2_000 })).toEqual([1])
    expect(found({ since: 2_000, until: 2_001 })).toEqual([2])
  })
  test('a text is found in any of the texts, in any case, and is no pattern', () => {
    expect(found({ q: 'cn=pump' })).toEqual([2])
    expect(found({ q: '40AA' })).toEqual([2])
    expect(found({ q: '50%_OFF' })).toEqual([3])
    expect(found({ q: 'no-sale' })).toEqual([3])
    for (const pattern of ['%', '.*', '50_', '(a+)+$']) expect(found({ q: pattern })).toEqual(pattern === '%' ? [3] : [])
  })
})

describe('groups', () => {
  test('are of one reason and one peer, and count what was only counted', () => {
    const index = filled([refusal(1, { device: 'a' }), refusal(2, { device: 'a', count: 40 }), refusal(3, { device: 'a', reason: 'publish-denied' }), refusal(4, { claimed: 'a' }), refusal(5, { address: '192.0.2.9' }), refusal(6, { address: '192.0.2.9' })])
    expect(index.groups({}).items).toMatchObject([
      { device: 'a', reason: 'certificate-expired', count: 41, first: 1_000, last: 2_000, id: 2 },
      { address: '192.0.2.9', count: 2, id: 6 },
      { claimed: 'a', count: 1, id: 4 },
      { device: 'a', reason: 'publish-denied', count: 1, id: 3 },
    ])
    expect(ids(index.similar(refusal(2, { device: 'a' })))).toEqual([2, 1])
    expect(index.groups({ device: 'a' }).items).toHaveLength(3)
  })
  test('more than are listed are counted', () => {
    const index = filled(numbers(250).map((each) => ({ ...each, device: `d${each.id}` })))
    expect([index.groups({}).items.length, index.groups({}).more]).toEqual([200, 50])
  })
})

describe('bounds', () => {
  test('by count: the oldest goes, and the reach says so', () => {
    const index = filled(numbers(3), { countMax: 3, bytesMax: 1e6 })
    expect(index.reach).toEqual({ since: 1_000, complete: true, reading: false })
    index.add(refusal(4), 100)
    expect([ids(index.page({}).items), index.reach]).toEqual([[4, 3, 2], { since: 2_000, complete: false, reading: false }])
    expect([index.get(1), index.get(2)?.id, index.get(5)]).toEqual([undefined, 2, undefined])
  })
  test('by weight: a few heavy ones push out many', () => {
    const index = filled(numbers(10), { countMax: 100, bytesMax: 1_000 })
    expect(index.reach.complete).toBe(true)
    index.add(refusal(11), 950)
    expect(ids(index.page({}).items)).toEqual([11])
  })
  test('after a long flood it holds the newest of them and nothing is out of order', () => {
    const index = filled(numbers(1_000), { countMax: 7, bytesMax: 1e6 })
    expect(ids(index.page({}).items)).toEqual([1000, 999, 998, 997, 996, 995, 994])
    expect(ids(index.newest(3))).toEqual([1000, 999, 998])
  })
})

describe('what the log said before', () => {
  test('comes before what came meanwhile, and until it is read the reach says so', () => {
    const index = openRefusalIndex()
    index.add(refusal(10), 100)
    expect(index.reach.reading).toBe(true)
    expect(index.addOlder(refusal(9), 100)).toBe(true)
    index.add(refusal(11), 100)
    expect(index.addOlder(refusal(8), 100)).toBe(true)
    expect(ids(index.page({}).items)).toEqual([11, 10, 9, 8])
    index.restored(true)
    expect(ids(index.page({}).items)).toEqual([11, 10, 9, 8])
    expect(index.reach).toEqual({ since: 8_000, complete: true, reading: false })
  })
  test('has only the room that is left', () => {
    const index = openRefusalIndex({ countMax: 3, bytesMax: 1e6 })
    for (const id of [10, 11]) index.add(refusal(id), 100)
    expect([index.addOlder(refusal(9), 100), index.addOlder(refusal(8), 100)]).toEqual([true, false])
    // What comes meanwhile goes before what is old.
    index.add(refusal(12), 100)
    index.restored(false)
    expect([ids(index.page({}).items), index.reach.complete]).toEqual([[12, 11, 10], false])
  })
})
