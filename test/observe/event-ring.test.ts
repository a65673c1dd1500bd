// The newest events, for whoever was away for a moment: all that came since, or an honest "not all".

import { describe, expect, test } from 'vitest'
import type { FeedEvent } from '../../src/core/feed.ts'
import { openEventRing } from '../../src/observe/event-ring.ts'

const event = (id: number, line = '{}'): FeedEvent => ({ id, mark: undefined, kind: 'registry', device: undefined, line })
const ids = (events: readonly FeedEvent[] | undefined): readonly number[] | undefined => events?.map(({ id }) => id)

describe('what came after a number', () => {
  test('is all of it, or undefined where one is gone', () => {
    const ring = openEventRing({ countMax: 3, bytesMax: 1e6 })
    ring.restored()
    for (const id of [5, 6, 7, 8]) ring.add(event(id))
    expect([ids(ring.after({ id: 8 })), ids(ring.after({ id: 7 })), ids(ring.after({ id: 5 })), ids(ring.after({ id: 4 }))]).toEqual([[], [8], [6, 7, 8], undefined])
  })
  test('a number of the future is of another life of this home: nothing can be promised', () => {
    const ring = openEventRing()
    ring.restored()
    ring.add(event(1))
    expect(ring.after({ id: 2 })).toBeUndefined()
    expect(ring.after({ id: 0 })).toHaveLength(1)
  })
  test('a number of which there is another record now is none of ours', () => {
    const ring = openEventRing()
    ring.restored()
    for (const id of [1, 2, 3]) ring.add({ ...event(id), mark: `mark-${id}` })
    expect([ids(ring.after({ id: 1, mark: 'mark-1' })), ids(ring.after({ id: 3, mark: 'mark-3' })), ring.after({ id: 1, mark: 'x' }), ring.after({ id: 3, mark: 'x' }), ring.after({ id: 0, mark: 'x' })]).toEqual([[2, 3], [], undefined, undefined, undefined])
  })
  test('across a gap in the numbers nothing is remembered', () => {
    const ring = openEventRing()
    for (const id of [5, 6, 9]) ring.add(event(id))
    expect([ring.addOlder(event(7)), ring.addOlder(event(9)), ring.addOlder(event(8))]).toEqual([false, false, true])
    ring.restored()
    expect([ids(ring.after({ id: 7 })), ring.after({ id: 6 }), ring.head.id]).toEqual([[8, 9], undefined, 9])
  })
  test('of an empty log nothing is missed', () => {
    const ring = openEventRing()
    ring.restored()
    expect([ring.head, ring.after({ id: 0 })]).toEqual([{ id: 0 }, []])
  })
  test('is bounded by weight, too', () => {
    const ring = openEventRing({ countMax: 100, bytesMax: 25 })
    ring.restored()
    for (const id of [1, 2, 3]) ring.add(event(id, 'x'.repeat(10)))
    expect([ids(ring.after({ id: 1 })), ids(ring.after({ id: 0 }))]).toEqual([[2, 3], undefined])
    ring.add(event(4, 'x'.repeat(100)))
    expect([ids(ring.after({ id: 4 })), ids(ring.after({ id: 3 }))]).toEqual([[], undefined])
  })
  test('includes what the log said before, once it was read; until then nobody is told a part', () => {
    const ring = openEventRing()
    ring.add(event(4))
    expect([ring.addOlder(event(3)), ring.addOlder(event(2))]).toEqual([true, true])
    expect(ring.after({ id: 2 })).toBeUndefined()
    ring.restored()
    expect([ids(ring.after({ id: 1 })), ids(ring.after({ id: 0 }))]).toEqual([[2, 3, 4], undefined])
  })
  test('after a thousand events the ring is the ring still', () => {
    const ring = openEventRing({ countMax: 5, bytesMax: 1e6 })
    ring.restored()
    for (let id = 1; id <= 1_000; id++) ring.add(event(id))
    expect([ids(ring.after({ id: 995 })), ring.after({ id: 994 }), ring.head.id]).toEqual([[996, 997, 998, 999, 1000], undefined, 1000])
  })
})

test('whoever follows hears each event once, until it stops', () => {
  const ring = openEventRing()
  const heard: number[] = []
  const stop = ring.follow(({ id }) => heard.push(id))
  ring.add(event(1))
  ring.add(event(2))
  stop()
  ring.add(event(3))
  expect(heard).toEqual([1, 2])
})
