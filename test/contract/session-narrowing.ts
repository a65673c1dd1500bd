// What every session store is held to when a session loses what it was granted: a part of session-store.ts. A lost filter goes
// with what waits for it alone, in one commit; whatever another filter of the session holds stays, and so does all that others have.

import { describe, expect, test } from 'vitest'
import { packetIdOf, type SessionChange } from '../../src/core/session-store.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { attached, completed, detached, keyOf, message, narrowed, NOTHING, published, START, subscribed, subscription, target, textsOf } from './session-records.ts'
import type { Bench } from './session-store.ts'

const EVERYTHING = { messagesMax: 100_000, bytesMax: 1e9 }

export function narrowingOfSessions(bench: Bench, { durable }: { readonly durable: boolean }): void {
  const waiting = async (client: string): Promise<readonly string[]> => textsOf((await bench.store.queue(keyOf(client), 0, EVERYTHING)).items)
  const filtersOf = async (client: string): Promise<readonly string[]> => ((await bench.store.session(keyOf(client)))?.subscriptions ?? []).map(({ filter, qos }) => `${filter} ${qos}`).toSorted()
  const to = (topic: string, client: string, qos: 1 | 2 = 1): SessionChange => published(message(topic, topic), target(client, { qos }))
  const absent = (client: string, ...filters: readonly string[]) => bench.commit(attached(client), ...filters.map((f) => subscribed(client, f, { qos: 2 })), detached(client))

  describe('a session that is narrowed', () => {
    test('loses the filters that are named, and what waits for them alone; what another of its filters holds stays', async () => {
      await absent('a', 'x/#', 'x/kept', '+/both', 'y', '$share/g/z/#')
      await absent('b', 'x/#')
      await bench.commit(...['x', 'x/1', 'x/kept', 'x/both', 'y', 'z/1'].map((t) => to(t, 'a')), to('x/1', 'b'))
      expect(await bench.commit(narrowed('a', ['x/#', '$share/g/z/#', 'never']))).toEqual(NOTHING)
      expect([await filtersOf('a'), await waiting('a')]).toEqual([['+/both 2', 'x/kept 2', 'y 2'], ['x/kept', 'x/both', 'y']])
      expect([await filtersOf('b'), await waiting('b')]).toEqual([['x/# 2'], ['x/1']])
      expect((await bench.store.holders('x/1')).map(({ key }) => key)).toEqual([keyOf('b')])
      expect(await bench.store.session(keyOf('a'))).toMatchObject({ queued: 3 })
    })

    test('keeps what it was sent of a filter that it gave up itself: that is not lost', async () => {
      await absent('a', 'x')
      await bench.commit(to('x', 'a'), { kind: 'unsubscribed', key: keyOf('a'), filter: 'x' })
      await bench.commit(narrowed('a', ['y']))
      expect(await waiting('a')).toEqual(['x'])
      await bench.commit(narrowed('a', ['x']))
      expect(await waiting('a')).toEqual([])
    })

    test('may be told twice: what had slipped into its queue meanwhile goes, too', async () => {
      await absent('a', 'x')
      await bench.commit(narrowed('a', ['x']))
      await bench.commit(to('x', 'a'), to('y', 'a'))
      await bench.commit(narrowed('a', ['x']))
      expect(await waiting('a')).toEqual(['y'])
    })

    test.each([
      ['by what its connection has sent', 0, 2],
      ['by what is stored', 2, 0],
    ])('keeps the packet id of a message of QoS 2 that may have been sent, %s, and of no other', async (_, stored, told) => {
      await bench.commit(attached('a'), subscribed('a', 'x'), to('x', 'a', 2), to('x', 'a', 1), to('x', 'a', 2), detached('a', START + 1e6, stored))
      await bench.commit(narrowed('a', ['x'], [], told))
      const { items } = await bench.store.queue(keyOf('a'), 0, EVERYTHING)
      expect(items).toMatchObject([{ sequence: 1, qos: 2, stage: { kind: 'pubrel' } }])
      await bench.commit(completed('a', 1))
      expect(await bench.store.session(keyOf('a'))).toMatchObject({ queued: 0 })
    })

    test('a PUBREL that is left to be sent stays: it has no topic', async () => {
      await bench.commit(attached('a'), subscribed('a', 'x'), to('x', 'a', 2), { kind: 'queue-released', key: keyOf('a'), sequence: 1 })
      await bench.commit(narrowed('a', ['x']))
      expect(await waiting('a')).toEqual(['pubrel'])
    })

    test('has its QoS lowered, never raised, with everything else of the subscription as it was', async () => {
      await bench.commit(attached('a'), subscribed('a', 'low', { qos: 1, noLocal: true, identifier: 7 }), subscribed('a', 'high', { qos: 2, retainAsPublished: true }))
      await bench.commit(narrowed('a', [], ['low 2', 'high 1', 'never 0']))
      const found = (await bench.store.session(keyOf('a')))?.subscriptions ?? []
      expect(found.toSorted((x, y) => (x.filter < y.filter ? -1 : 1))).toEqual([subscription('high', { qos: 1, retainAsPublished: true }), subscription('low', { qos: 1, noLocal: true, identifier: 7 })])
    })

    test('has room again for what its queue had no room for', async () => {
      const most = BROKER_LIMITS.queueMessagesMax
      await absent('a', 'x', 'y')
      await bench.commit({ kind: 'published', message: message('x', 'x', { qos: 2 }), targets: Array.from({ length: most }, () => target('a', { qos: 2 })) })
      expect((await bench.commit(to('y', 'a', 2))).dropped).toEqual([{ key: keyOf('a'), messages: 1 }])
      await bench.commit(narrowed('a', ['x']))
      const { placed, dropped } = await bench.commit(to('y', 'a', 2))
      expect([placed[0]?.sequences.map(packetIdOf), dropped]).toEqual([[most + 1], []])
      expect(await waiting('a')).toEqual(['y'])
    })

    test('that is not there is no fault', async () => {
      expect(await bench.commit(narrowed('nobody', ['x'], ['y 0'], 3))).toEqual(NOTHING)
      expect(await bench.store.session(keyOf('nobody'))).toBeUndefined()
    })
  })

  describe.each(durable ? [durable] : [])('a session that was narrowed, after a restart, where the store is durable', () => {
    test('is narrowed still', async () => {
      await absent('a', 'x', 'y')
      await bench.commit(to('x', 'a'), to('y', 'a'))
      await bench.commit(narrowed('a', ['x'], ['y 1']))
      await bench.reopen()
      expect([await filtersOf('a'), await waiting('a')]).toEqual([['y 1'], ['y']])
    })
  })
}
