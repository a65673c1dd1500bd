// What every session store is held to about Wills and deadlines: a part of session-store.ts. A session has at most one Will
// that is not scheduled; what is scheduled is taken back by a session that goes on, and due at once for one that ends.

import { describe, expect, test } from 'vitest'
import type { Will } from '../../src/core/session-store.ts'
import { attached, detached, ended, HOUR, keyOf, message, plain, scheduled, START, will, willCleared, willSet } from './session-records.ts'
import type { Bench } from './session-store.ts'

export function willsAndDeadlines(bench: Bench, { durable }: { readonly durable: boolean }): void {
  const named = (client: string, text: string, over: Partial<Will> = {}) => willSet(client, { message: message(`gone/${client}`, text, { publisher: keyOf(client) }), ...over })
  const dueAt = async (now: number): Promise<readonly Will[]> => (await bench.store.due(now, 100)).wills
  const textsAt = async (now: number): Promise<string[]> => (await dueAt(now)).map(({ message: { payload } }) => new TextDecoder().decode(payload)).toSorted()
  const idOf = async (now: number): Promise<number | undefined> => (await dueAt(now))[0]?.id

  describe('Wills and deadlines', () => {
    test('a Will is due at its time, as it was set, and stays until it is cleared', async () => {
      const what = will('a', { message: message('gone', 'two', { qos: 2, retain: true, properties: { responseTopic: 'r', userProperties: [['b', '1'], ['a', '2'], ['b', '3']] } }), delaySeconds: 0 })
      await bench.commit({ kind: 'will-set', will: what })
      expect(await bench.store.due(START + HOUR, 10)).toEqual({ wills: [], sessions: [], next: undefined })
      await bench.commit(scheduled('a', START + 100))
      expect(await bench.store.due(START + 99, 10)).toEqual({ wills: [], sessions: [], next: START + 100 })
      for (let i = 0; i < 2; i++) {
        const due = await bench.store.due(START + 100, 10)
        expect(due).toMatchObject({ sessions: [], next: undefined })
        expect(plain(due.wills)).toEqual([{ ...(plain(what) as object), id: expect.any(Number) as number }])
      }
      await bench.commit(willCleared('a', await idOf(START + 100)))
      expect(await bench.store.due(START + 100, 10)).toEqual({ wills: [], sessions: [], next: undefined })
    })

    test('of those that are not scheduled the latest one counts, and takes no other session with it', async () => {
      await bench.commit(named('a', 'one'), named('b', 'other'), named('a', 'two'), scheduled('a', START), scheduled('b', START))
      expect(await textsAt(START)).toEqual(['other', 'two'])
    })

    test('a Will that is set beside a scheduled one replaces nothing: each has its time', async () => {
      await bench.commit(named('a', 'old'), scheduled('a', START + 1), named('a', 'replaced'), named('a', 'new'))
      expect(await textsAt(START + HOUR)).toEqual(['old'])
      await bench.commit(scheduled('a', START + 5))
      expect([await textsAt(START + 4), await textsAt(START + 5)]).toEqual([['old'], ['new', 'old']])
    })

    test('what is scheduled is not scheduled again, and another session is not meant', async () => {
      await bench.commit(named('a', 'a'), named('b', 'b'), scheduled('a', START + 1), scheduled('a', START + 9), scheduled('c', START))
      expect(await bench.store.due(START, 10)).toEqual({ wills: [], sessions: [], next: START + 1 })
      expect(await textsAt(START + HOUR)).toEqual(['a'])
    })

    test('the id is of the store, whatever the Will says; no two have the same, and none is given again', async () => {
      await bench.commit(willSet('a', { id: 77 }), scheduled('a', START), willSet('a', { id: 77 }), scheduled('a', START), willSet('b', { id: 77 }), scheduled('b', START))
      const ids = (await dueAt(START)).map(({ id }) => id)
      expect(new Set(ids).size).toBe(3)
      expect(ids).not.toContain(undefined)
      const last = Math.max(...ids.map(Number))
      await bench.commit(willCleared('b', last), willSet('b'), scheduled('b', START))
      expect(ids).not.toContain((await dueAt(START)).find(({ publisher }) => publisher.key === keyOf('b'))?.id)
    })

    describe('cleared', () => {
      test('without an id it is the one that is not scheduled', async () => {
        await bench.commit(named('a', 'old'), scheduled('a', START), named('a', 'new'), named('b', 'other'), willCleared('a'))
        await bench.commit(scheduled('a', START), scheduled('b', START))
        expect(await textsAt(START)).toEqual(['old', 'other'])
        await bench.commit(willCleared('a'))
        expect(await textsAt(START)).toEqual(['old', 'other'])
      })

      test('with an id it is exactly that one, also of several of the same session', async () => {
        await bench.commit(named('a', 'first'), scheduled('a', START), named('a', 'second'), scheduled('a', START + 1), named('a', 'third'))
        const id = await idOf(START)
        await bench.commit(willCleared('a', id))
        expect(await textsAt(START + 1)).toEqual(['second'])
        await bench.commit(willCleared('a', id), willCleared('a', 1_000_000))
        expect(await textsAt(START + 1)).toEqual(['second'])
        await bench.commit(scheduled('a', START + 2))
        expect(await textsAt(START + 2)).toEqual(['second', 'third'])
      })
    })

    describe('the session goes on', () => {
      test('a scheduled Will is not published [MQTT-3.1.3-9]', async () => {
        await bench.commit(attached('a'), named('a', 'gone'), detached('a'), scheduled('a', START + 10))
        await bench.commit(attached('a'))
        expect(await bench.store.due(START + HOUR, 10)).toEqual({ wills: [], sessions: [], next: undefined })
      })

      test('also where nothing was kept but the Will', async () => {
        await bench.commit(named('a', 'gone'), scheduled('a', START + 10), attached('a'))
        expect(await textsAt(START + HOUR)).toEqual([])
      })

      test('that of another session, and the one of its own that is not scheduled, stay', async () => {
        await bench.commit(named('a:1', 'sibling'), named('b', 'other'), scheduled('a:1', START + 10), scheduled('b', START + 10), named('a', 'mine'))
        await bench.commit(attached('a'))
        expect(await textsAt(START + 10)).toEqual(['other', 'sibling'])
        await bench.commit(scheduled('a', START + 10))
        expect(await textsAt(START + 10)).toEqual(['mine', 'other', 'sibling'])
      })
    })

    describe.each([['it ends', ended('a')], ['another one begins under its key', attached('a', true)]] as const)('%s', (_, change) => {
      test('its scheduled Will is due now, and not before', async () => {
        await bench.commit(attached('a'), named('a', 'gone'), detached('a'), scheduled('a', START + HOUR))
        bench.now = START + 1_000
        await bench.commit(change)
        expect([await textsAt(START + 999), await textsAt(START + 1_000)]).toEqual([[], ['gone']])
      })

      test('also where nothing was kept but the Will', async () => {
        await bench.commit(named('a', 'gone'), scheduled('a', START + HOUR), change)
        expect(await textsAt(START)).toEqual(['gone'])
      })

      test('one whose time had come keeps it', async () => {
        await bench.commit(named('a', 'first'), scheduled('a', START + 1))
        bench.now = START + 1_000
        await bench.commit(change)
        expect([await textsAt(START), await textsAt(START + 1)]).toEqual([[], ['first']])
      })

      test('that of another session waits for its time, and what is not scheduled is not due', async () => {
        await bench.commit(named('a', 'mine'), named('a:1', 'sibling'), named('b', 'other'), scheduled('a:1', START + 5), scheduled('b', START + 5))
        await bench.commit(change)
        expect(await bench.store.due(START + 4, 10)).toMatchObject({ wills: [], next: START + 5 })
        expect(await textsAt(START + HOUR)).toEqual(['other', 'sibling'])
        await bench.commit(scheduled('a', START + 6))
        expect(await textsAt(START + 6)).toEqual(['mine', 'other', 'sibling'])
      })

      test('the Will of the session after it is another one, with a time of its own', async () => {
        await bench.commit(attached('a'), named('a', 'old'), detached('a'), scheduled('a', START + HOUR), change, named('a', 'new'))
        const id = await idOf(START)
        expect(await textsAt(START + 2 * HOUR)).toEqual(['old'])
        await bench.commit(scheduled('a', START + HOUR), willCleared('a', id))
        expect([await textsAt(START + HOUR - 1), await textsAt(START + HOUR)]).toEqual([[], ['new']])
      })
    })

    test('a session ends at its time, unless it is back', async () => {
      await bench.commit(attached('a'), attached('b'), attached('c'), detached('a', START + 1), detached('b', START + 2))
      expect(await bench.store.due(START, 10)).toEqual({ wills: [], sessions: [], next: START + 1 })
      expect(await bench.store.due(START + 1, 10)).toEqual({ wills: [], sessions: [keyOf('a')], next: START + 2 })
      expect(await bench.store.due(START + 2, 1)).toMatchObject({ sessions: [keyOf('a')] })
      await bench.commit(attached('a'), ended('b'))
      expect(await bench.store.due(START + HOUR, 10)).toEqual({ wills: [], sessions: [], next: undefined })
    })

    test('the earliest are due first, and what is next is the next of both', async () => {
      await bench.commit(...[3, 1, 2].flatMap((n) => [attached(`s${n}`), detached(`s${n}`, START + n)]), willSet('w'), scheduled('w', START + 5))
      expect(await bench.store.due(START + 2, 10)).toEqual({ wills: [], sessions: [keyOf('s1'), keyOf('s2')], next: START + 3 })
      await bench.commit(ended('s3'))
      expect(await bench.store.due(START + 2, 10)).toMatchObject({ next: START + 5 })
      await bench.commit(named('v', 'earlier'), scheduled('v', START + 4))
      expect((await bench.store.due(START + 5, 1)).wills).toMatchObject([{ publisher: { key: keyOf('v') } }])
    })
  })

  describe.each(durable ? [durable] : [])('Wills after a restart, where the store is durable', () => {
    test('one that was not scheduled has its delay from now on; one that was has its time', async () => {
      await bench.commit(named('a', 'old', { delaySeconds: 1 }), scheduled('a', START + 7), named('a', 'connected', { delaySeconds: 30 }))
      bench.now = START + 1_000
      await bench.reopen()
      expect([await textsAt(START + 6), await textsAt(START + 7), await textsAt(START + 30_999), await textsAt(START + 31_000)]).toEqual([[], ['old'], ['old'], ['connected', 'old']])
    })

    test('it is taken back by its session, and due at once when that ends, as any other', async () => {
      await bench.commit(attached('a'), attached('b'), attached('c'), named('a', 'a'), named('b', 'b'), named('c', 'c'))
      await bench.reopen()
      await bench.commit(attached('a'), attached('b', true))
      expect([await textsAt(START), await textsAt(START + HOUR)]).toEqual([['b'], ['b', 'c']])
    })

    test('an id means the same one, and is not given again', async () => {
      await bench.commit(named('a', 'first'), scheduled('a', START), named('b', 'second'), scheduled('b', START + 1))
      const id = await idOf(START)
      const last = Math.max(...(await dueAt(START + 1)).map((one) => Number(one.id)))
      await bench.commit(willCleared('b', last))
      await bench.reopen()
      await bench.commit(named('b', 'third'), scheduled('b', START))
      expect((await dueAt(START)).map((one) => one.id)).toHaveLength(2)
      expect((await dueAt(START)).map((one) => one.id)).not.toContain(last)
      await bench.commit(willCleared('a', id), willCleared('b', last))
      expect(await textsAt(START)).toEqual(['third'])
    })
  })
}
