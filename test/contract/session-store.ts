// What every session store is held to, whatever it is built on: core/session-store.ts as a suite. An adapter calls
// sessionStoreContract with a way to open an empty store and, where it is durable, the same one again.
//
// What aedes-persistence/abstract.js 10 asks, in our terms (its test → ours; what is left out, and why):
//   store and look up retained messages, with #, +, +/#, prefix/#, + and # with levels between → 'retained messages' (a table of filters)
//   look up with multiple patterns → one read for each filter: merging is the business of whoever subscribes
//   store multiple retained messages in order; twice keeps the last; remove; a new packet is stored → 'retained messages'
//     (an empty payload is the broker's 'retained-cleared'; a brokerCounter does not exist)
//   subscriptions by client, with subscription identifier, removed, replaced, replaced in one call, duplicates, same topic with
//     different QoS, clean, clean with none → 'subscriptions'
//   subscriptions by topic, after an unsubscribe, client list by topic, topic list after concurrent subscriptions → 'holders'
//   QoS 0 subscriptions restored but not matched → 'holders' has them too: who queues nothing for QoS 0 is the broker
//   store and count subscriptions, of two clients → siblings() and sessions()
//   outgoing: add and stream, for several subscribers, as a string, twice, update and clear a messageId, many, update to publish with
//     the same messageId, update to pubrel, an unknown messageId → 'the queue' (a messageId is packetIdOf(sequence), and is never updated)
//   incoming packet: add, get, clear → 'received' (the id is kept, the message is not: it was queued with it)
//   wills: store, fetch, delete, stream all, of unknown brokers, of dead brokers → session-wills.ts (whose broker is gone: a deadline row)
//   setup() is async → open() is

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { EpochMs, SessionKey } from '../../src/core/ids.ts'
import type { Message, MessageProperties } from '../../src/core/message.ts'
import { packetIdOf, type Holder, type QueuedMessage, type SessionChange, type SessionsCommitted, type SessionStore } from '../../src/core/session-store.ts'
import { BROKER_LIMITS } from '../../src/limits.ts'
import { boundsOfRetained } from './retained-bounds.ts'
import { narrowingOfSessions } from './session-narrowing.ts'
import { attached, completed, detached, ended, HOUR, keyOf, message, NOTHING, plain, published, publisher, released, retained, scheduled, START, subscribed, subscription, target, textsOf, unsubscribed, will, willSet } from './session-records.ts'
import { willsAndDeadlines } from './session-wills.ts'

/** What the parts of this suite in files of their own work with. */
export interface Bench {
  readonly store: SessionStore
  now: EpochMs
  commit(...changes: readonly SessionChange[]): Promise<SessionsCommitted>
  /** Closes the store and opens it again: for those that are durable. */
  reopen(): Promise<void>
}

export interface SessionStoreUnderTest {
  /** The same store again, when one was open before and it is durable. */
  open(clock: () => EpochMs): Promise<SessionStore>
  remove(): Promise<void>
}

const EVERYTHING = { messagesMax: 100_000, bytesMax: 1e9 }

export function sessionStoreContract(name: string, { durable }: { readonly durable: boolean }, make: () => Promise<SessionStoreUnderTest>): void {
  describe(`${name} as a session store`, () => {
    let home: SessionStoreUnderTest
    let store: SessionStore
    let now: EpochMs

    beforeEach(async () => {
      now = START
      home = await make()
      store = await home.open(() => now)
    })
    afterEach(async () => {
      await store.close()
      await home.remove()
    })

    const commit = (...changes: readonly SessionChange[]): Promise<SessionsCommitted> => store.commit(changes)
    const reopen = async (): Promise<void> => {
      await store.close()
      store = await home.open(() => now)
    }
    const bench: Bench = {
      get store() {
        return store
      },
      get now() {
        return now
      },
      set now(time) {
        now = time
      },
      commit,
      reopen,
    }
    const queueOf = async (client: string, after = 0): Promise<readonly QueuedMessage[]> => (await store.queue(keyOf(client), after, EVERYTHING)).items
    const waiting = async (client: string): Promise<string[]> => textsOf(await queueOf(client))
    const numbersOf = async (client: string): Promise<number[]> => (await store.holders('t')).filter(({ key }) => key === keyOf(client)).map(({ session }) => session)
    const holdersOf = async (topic: string): Promise<string[]> => (await store.holders(topic)).map(({ key, subscription: s }) => `${key.split('/')[2]} ${s.filter}`).toSorted()
    const topicsOf = async (filter: string, after?: string, limit = 1_000): Promise<string[]> => {
      const topics: string[] = []
      for (let from = after, left = limit; left > 0; ) {
        const page = await store.retained(filter, from, left)
        topics.push(...page.items.map((item) => item.message.topic))
        if (page.next === undefined) break
        from = page.next
        left -= page.items.length
      }
      return topics
    }
    /** Attached once and gone, so that they are there and absent. */
    const absent = (...clients: readonly string[]): Promise<SessionsCommitted> => commit(...clients.flatMap((c) => [attached(c), detached(c)]))

    describe('sessions', () => {
      test('a session is made when it attaches, and is there until it ends', async () => {
        expect(await store.session(keyOf('a'))).toBeUndefined()
        expect(await commit(attached('a'))).toEqual(NOTHING)
        expect(await store.session(keyOf('a'))).toEqual({ key: keyOf('a'), expirySeconds: 3_600, subscriptions: [], receiving: [], sentThrough: 0, queued: 0 })
        await commit(detached('a', START + HOUR, 7))
        expect(await store.session(keyOf('a'))).toMatchObject({ sentThrough: 7, expiresAt: START + HOUR })
        await commit(attached('a', false, 60))
        expect(await store.session(keyOf('a'))).toMatchObject({ sentThrough: 7, expirySeconds: 60 })
        await commit(ended('a'))
        expect(await store.session(keyOf('a'))).toBeUndefined()
      })

      test('when it ends is known while it is not connected, also when that time is over', async () => {
        const endOf = async (client: string): Promise<EpochMs | undefined> => (await store.session(keyOf(client)))?.expiresAt
        await commit(attached('a'), attached('b'))
        expect(await endOf('a')).toBeUndefined()
        await commit(detached('a', START + 5))
        expect([await endOf('a'), await endOf('b')]).toEqual([START + 5, undefined])
        await commit(detached('a', START + 3))
        now = START + 10
        expect(await endOf('a')).toBe(START + 3)
        await commit(attached('a'))
        expect(await endOf('a')).toBeUndefined()
      })

      test('fresh means that nothing of before is left, but the Will', async () => {
        await commit(attached('a'), subscribed('a', 't'), published(message('t'), target('a')), { kind: 'published', message: message('t'), targets: [], received: { key: keyOf('a'), packetId: 5 } }, willSet('a'))
        await commit(detached('a', START, 1))
        await commit(attached('a', true, 60))
        expect(await store.session(keyOf('a'))).toEqual({ key: keyOf('a'), expirySeconds: 60, subscriptions: [], receiving: [], sentThrough: 0, queued: 0 })
        expect(await queueOf('a')).toEqual([])
        expect(await holdersOf('t')).toEqual([])
        await commit({ kind: 'will-scheduled', key: keyOf('a'), at: START })
        expect(plain((await store.due(START, 10)).wills)).toMatchObject(plain([will('a')]) as object[])
        expect((await commit(published(message('t'), target('a')))).placed).toEqual([{ sequences: [1] }])
      })

      test('what happens to a session that is not there is no fault, and makes none', async () => {
        const committed = await commit(
          detached('a'), ended('a'), subscribed('a', 't'), unsubscribed('a', 't'), released('a', 1), completed('a', 1), { kind: 'received-released', key: keyOf('a'), packetId: 1 },
          scheduled('a', START), { kind: 'will-cleared', key: keyOf('a') }, { kind: 'will-cleared', key: keyOf('a'), id: 1 }, { kind: 'retained-cleared', topic: 't' },
          { kind: 'published', message: message('t'), targets: [target('a')], received: { key: keyOf('a'), packetId: 9 } },
        )
        expect(committed).toEqual({ ...NOTHING, placed: [{ sequences: [0] }] })
        expect(await store.sessions(undefined, 10)).toEqual([])
        expect(await store.due(START, 10)).toEqual({ wills: [], sessions: [], next: undefined })
        expect(store.anySubscription).toBe(false)
      })

      test('siblings are the sessions of one device, with the number of their subscriptions', async () => {
        await commit(attached('a'), attached('a:1'), attached('ab'), attached('a:2'), subscribed('a:1', 'x'), subscribed('a:1', 'y'), subscribed('ab', 'x'), ended('a:2'))
        const siblings = (await store.siblings('default/a')).toSorted((x, y) => (x.key < y.key ? -1 : 1))
        expect(siblings).toEqual([{ key: keyOf('a'), subscriptions: 0 }, { key: keyOf('a:1'), subscriptions: 2 }])
        expect(await store.siblings('default/nobody')).toEqual([])
      })

      test('all keys, page by page, in the order of their bytes', async () => {
        const clients = ['b', 'a', 'a:\u{1F600}', 'a:\uFF01', 'c', 'a:é']
        await commit(...clients.map((c) => attached(c)))
        const inOrder = ['a', 'a:é', 'a:\uFF01', 'a:\u{1F600}', 'b', 'c'].map(keyOf)
        const seen: SessionKey[] = []
        for (let page = await store.sessions(undefined, 2); page.length > 0; page = await store.sessions(page.at(-1), 2)) seen.push(...page)
        expect(seen).toEqual(inOrder)
      })

      test('names that mean something to an object are names', async () => {
        for (const client of ['constructor', '__proto__', 'toString']) {
          expect(await store.session(keyOf(client))).toBeUndefined()
          await commit(attached(client), subscribed(client, `${client}/#`), retained(message(client, client)), published(message(client, client), target(client)))
          expect(await waiting(client)).toEqual([client])
          expect(await holdersOf(client)).toEqual([`${client} ${client}/#`])
          expect(await topicsOf(client)).toEqual([client])
        }
      })
    })

    describe('subscriptions', () => {
      test('come back as they were', async () => {
        const all = [subscription('a', { qos: 0 }), subscription('b/+', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2, identifier: 268_435_455 }), subscription('$share/g/b/#', { retainHandling: 1, identifier: 1 })]
        await commit(attached('a'), ...all.map((s): SessionChange => ({ kind: 'subscribed', key: keyOf('a'), subscription: s })))
        const found = (await store.session(keyOf('a')))?.subscriptions ?? []
        expect(found.toSorted((x, y) => (x.filter < y.filter ? -1 : 1))).toEqual(all.toSorted((x, y) => (x.filter < y.filter ? -1 : 1)))
      })

      test('the same filter again replaces, in one commit or in two', async () => {
        await commit(attached('a'), subscribed('a', 't', { qos: 0 }), subscribed('a', 't', { qos: 2 }))
        expect((await store.session(keyOf('a')))?.subscriptions).toEqual([subscription('t', { qos: 2 })])
        await commit(subscribed('a', 't', { qos: 1, identifier: 3 }))
        expect((await store.session(keyOf('a')))?.subscriptions).toEqual([subscription('t', { identifier: 3 })])
        expect(await store.holders('t')).toMatchObject([{ key: keyOf('a'), subscription: subscription('t', { identifier: 3 }) }])
      })

      test('a shared one and a plain one with the same filter are two', async () => {
        await commit(attached('a'), subscribed('a', 't'), subscribed('a', '$share/g/t'), subscribed('a', '$share/h/t'))
        expect(await holdersOf('t')).toEqual(['a $share/g/t', 'a $share/h/t', 'a t'])
        await commit(unsubscribed('a', '$share/g/t'))
        expect(await holdersOf('t')).toEqual(['a $share/h/t', 'a t'])
      })

      test('one that is taken back is gone, and only that one', async () => {
        await commit(attached('a'), attached('b'), subscribed('a', 't'), subscribed('a', 'u'), subscribed('b', 't'))
        await commit(unsubscribed('a', 't'), unsubscribed('a', 'never'))
        expect((await store.session(keyOf('a')))?.subscriptions).toEqual([subscription('u')])
        expect(await holdersOf('t')).toEqual(['b t'])
        await commit(ended('b'))
        expect(await holdersOf('t')).toEqual([])
        expect(await holdersOf('u')).toEqual(['a u'])
      })

      test('whether there is any is known from the moment of the commit', async () => {
        expect(store.anySubscription).toBe(false)
        await commit(attached('a'))
        expect(store.anySubscription).toBe(false)
        const committing = commit(subscribed('a', 't'))
        expect(store.anySubscription).toBe(true)
        await committing
        expect(store.anySubscription).toBe(true)
        await commit(attached('b'), subscribed('b', 't'), ended('a'))
        expect(store.anySubscription).toBe(true)
        await commit(unsubscribed('b', 't'))
        expect(store.anySubscription).toBe(false)
      })
    })

    describe('holders', () => {
      test.each<readonly [topic: string, matching: readonly string[], not: readonly string[]]>([
        ['a', ['a', '+', '#', 'a/#', '+/#', '$share/g/a', '$share/g/#'], ['A', 'b', 'a/+', '+/+', 'a/', '/a', '/#', '$share/g/b']],
        ['a/b', ['a/b', 'a/+', '+/b', '+/+', '#', 'a/#', '+/#', 'a/b/#', '$share/g/a/+'], ['a', '+', 'a/b/c', '/a/b', 'a/+/#/x'.slice(0, 4) + 'c', 'a/b/']],
        ['a//b', ['a//b', 'a/+/b', 'a/#', '+/+/+'], ['a/b', 'a/+', 'a/+/']],
        ['/', ['/', '+/+', '/+', '+/', '#', '/#'], ['+', '//']],
        ['$SYS/x', ['$SYS/x', '$SYS/#', '$SYS/+', '$share/g/$SYS/+'], ['#', '+/x', '+/+', '+/#', '$share/g/#']],
        ['a/$b', ['a/$b', 'a/+', '#'], ['a/b']],
        ['é/\u{1F600}', ['é/+', '+/\u{1F600}', 'é/\u{1F600}'], ['e/\u{1F600}']],
      ])('%s', async (topic, matching, not) => {
        await commit(attached('a'), ...[...matching, ...not].map((filter) => subscribed('a', filter)))
        expect(await holdersOf(topic)).toEqual(matching.map((filter) => `a ${filter}`).toSorted())
      })

      test('come with their session, connected or not, and with their options', async () => {
        await commit(attached('a'), attached('b'), detached('b'), subscribed('a', 't/+', { qos: 0, noLocal: true }), subscribed('b', 't/#', { identifier: 4 }))
        const found = (await store.holders('t/1')).toSorted((x, y) => (x.key < y.key ? -1 : 1))
        expect(found).toEqual([
          { key: keyOf('a'), session: expect.any(Number) as number, subscription: subscription('t/+', { qos: 0, noLocal: true }) },
          { key: keyOf('b'), session: expect.any(Number) as number, subscription: subscription('t/#', { identifier: 4 }) },
        ] satisfies Holder[])
        expect(found[0]?.session).not.toBe(found[1]?.session)
      })

      test('a session keeps its number as long as it lives, over all its subscriptions; the next one of the same key has another', async () => {
        await commit(attached('a'), subscribed('a', 't'), subscribed('a', '#'))
        const [first, ...others] = await numbersOf('a')
        expect(others).toEqual([first])
        await commit(detached('a'), attached('a'), detached('a'))
        expect(await numbersOf('a')).toEqual([first, first])
        await commit(attached('a', true), subscribed('a', 't'))
        const [second] = await numbersOf('a')
        await commit(ended('a'), attached('a'), subscribed('a', 't'))
        const [third] = await numbersOf('a')
        expect(new Set([first, second, third]).size).toBe(3)
      })

      test('a message for the session that a holder named reaches it, and passes over the one that began anew', async () => {
        await absent('a', 'b')
        await commit(subscribed('a', 't'), subscribed('b', 't'))
        const [ofA = 0] = await numbersOf('a')
        const [ofB = 0] = await numbersOf('b')
        await commit(detached('a'), attached('a'), detached('a'))
        const named = (text: string): SessionChange => published(message('t', text), target('a', { session: ofA }), target('b', { session: ofB }))
        expect((await commit(named('1'))).placed).toEqual([{ sequences: [1, 1] }])
        expect((await commit(published(message('t', 'x'), target('a', { session: ofB })))).placed).toEqual([{ sequences: [0] }])
        // In the very commit in which it begins anew, too.
        expect((await commit(attached('a', true), named('2'))).placed).toEqual([{ sequences: [0, 2] }])
        await commit(ended('a'))
        expect(await commit(named('3'), attached('a'), detached('a'), named('4'))).toEqual({ ...NOTHING, placed: [{ sequences: [0, 3] }, { sequences: [0, 4] }] })
        expect(await waiting('a')).toEqual([])
        expect((await commit(published(message('t', 'whichever'), target('a', { session: undefined })))).placed).toEqual([{ sequences: [1] }])
        expect([await waiting('a'), await waiting('b')]).toEqual([['whichever'], ['1', '2', '3', '4']])
      })

      test('a branch that lost one filter keeps the others', async () => {
        await commit(attached('a'), subscribed('a', 'x/y/z'), subscribed('a', 'x/y'), subscribed('a', 'x/y/#'), subscribed('a', 'x/+/z'))
        await commit(unsubscribed('a', 'x/y'))
        expect(await holdersOf('x/y')).toEqual(['a x/y/#'])
        await commit(unsubscribed('a', 'x/y/z'), unsubscribed('a', 'x/y/#'))
        expect(await holdersOf('x/y/z')).toEqual(['a x/+/z'])
        await commit(subscribed('a', 'x/y/z'))
        expect(await holdersOf('x/y/z')).toEqual(['a x/+/z', 'a x/y/z'])
      })
    })

    describe('the queue', () => {
      test('a message is placed in the queue of every session that is there, and comes back as it was', async () => {
        await absent('a', 'b')
        const what = message('t/ü', 'hello', {
          qos: 2, retain: true, expiresAt: START + 5_000, publisher: keyOf('p'),
          properties: { payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'r', correlationData: new Uint8Array([0, 255]), userProperties: [['k', '1'], ['10', 'x'], ['', 'ü'], ['k', ''], ['2', 'y'], ['k', '1'], ['__proto__', 'p']] },
        })
        const { placed, full, dropped } = await commit(published(what, target('a', { qos: 2, retain: true, identifiers: [1, 268_435_455] }), target('nobody'), target('b')))
        expect({ placed, full, dropped }).toEqual({ placed: [{ sequences: [1, 0, 1] }], full: [], dropped: [] })
        expect(plain(await queueOf('a'))).toEqual(plain([{ sequence: 1, qos: 2, retain: true, identifiers: [1, 268_435_455], stage: { kind: 'publish', message: what } }]))
        expect(plain(await queueOf('b'))).toEqual(plain([{ sequence: 1, qos: 1, retain: false, identifiers: [], stage: { kind: 'publish', message: what } }]))
      })

      test('no properties, empty properties, an empty payload, an empty correlation and no pairs are different things', async () => {
        await absent('a')
        const kinds = [message('t'), message('t', '', { properties: {} }), message('t', 'x', { properties: { correlationData: new Uint8Array() } }), message('t', 'x', { properties: { payloadFormatIndicator: false } }), message('t', 'x', { properties: { userProperties: [] } })]
        await commit(...kinds.map((what) => published(what, target('a'))))
        const found = (await queueOf('a')).map(({ stage }) => (stage.kind === 'publish' ? stage.message : undefined))
        expect(found.map((m) => (m?.properties === undefined ? 'none' : Object.keys(m.properties).join()))).toEqual(['none', '', 'correlationData', 'payloadFormatIndicator', 'userProperties'])
        expect(found.map((m) => m?.payload.length)).toEqual([1, 0, 1, 1, 1])
      })

      test('sequence numbers count up in the order of the commits, and one commit may hold many', async () => {
        await absent('a')
        const commits = await Promise.all([1, 2, 3].map((n) => commit(published(message('t', `${n}.1`), target('a')), published(message('t', `${n}.2`), target('a'), target('a')))))
        expect(commits.map(({ placed }) => placed.flatMap(({ sequences }) => sequences))).toEqual([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
        expect(await waiting('a')).toEqual(['1.1', '1.2', '1.2', '2.1', '2.2', '2.2', '3.1', '3.2', '3.2'])
        expect(await store.session(keyOf('a'))).toMatchObject({ queued: 9 })
      })

      test('it is read twice alike, in pages by count and by bytes, and one entry always fits', async () => {
        await absent('a')
        await commit(...Array.from({ length: 10 }, (_, i) => published(message('t', `${i}`.padEnd(1_000)), target('a'))))
        const first = await store.queue(keyOf('a'), 0, { messagesMax: 4, bytesMax: 1e9 })
        expect([first.items.map(({ sequence }) => sequence), first.complete]).toEqual([[1, 2, 3, 4], false])
        expect(await store.queue(keyOf('a'), 0, { messagesMax: 4, bytesMax: 1e9 })).toEqual(first)
        const byBytes = await store.queue(keyOf('a'), 4, { messagesMax: 100, bytesMax: 2_500 })
        expect([byBytes.items.map(({ sequence }) => sequence), byBytes.complete]).toEqual([[5, 6], false])
        expect((await store.queue(keyOf('a'), 8, { messagesMax: 100, bytesMax: 1 })).items).toHaveLength(1)
        const last = await store.queue(keyOf('a'), 6, { messagesMax: 4, bytesMax: 1e9 })
        expect([last.items.map(({ sequence }) => sequence), last.complete]).toEqual([[7, 8, 9, 10], true])
        expect(await store.queue(keyOf('nobody'), 0, EVERYTHING)).toEqual({ items: [], complete: true })
      })

      test('what is completed is gone, in any order, twice or never there', async () => {
        await absent('a', 'b')
        await commit(published(message('t', '1'), target('a'), target('b')), published(message('t', '2'), target('a')), published(message('t', '3'), target('a')))
        await commit(completed('a', 3), completed('a', 1), completed('a', 1), completed('a', 99))
        expect(await waiting('a')).toEqual(['2'])
        expect(await waiting('b')).toEqual(['1'])
        expect(await store.session(keyOf('a'))).toMatchObject({ queued: 1 })
        expect((await commit(published(message('t', '4'), target('a')))).placed).toEqual([{ sequences: [4] }])
      })

      test('a released entry keeps its place and its packet id, and its message is gone', async () => {
        await absent('a')
        await commit(published(message('t', '1'), target('a', { qos: 2 })), published(message('t', '2'), target('a', { qos: 2, identifiers: [7] })))
        await commit(released('a', 2), released('a', 2))
        expect(await waiting('a')).toEqual(['1', 'pubrel'])
        expect((await queueOf('a'))[1]).toEqual({ sequence: 2, qos: 2, retain: false, identifiers: [7], stage: { kind: 'pubrel' } })
        expect(await store.session(keyOf('a'))).toMatchObject({ queued: 2 })
        await commit(completed('a', 2))
        expect(await waiting('a')).toEqual(['1'])
      })

      test('an expired message that was never sent goes when the queue is read; one that may have been sent stays, and so does a pubrel', async () => {
        await absent('a')
        const soon = (text: string): Message => message('t', text, { expiresAt: START + 1_000 })
        await commit(published(soon('sent'), target('a')), published(soon('released'), target('a', { qos: 2 })), published(message('t', 'lasting'), target('a')), published(soon('late'), target('a')), published(soon('later'), target('a', { qos: 2 })))
        await commit(released('a', 2), detached('a', START + HOUR, 1))
        now = START + 999
        expect(await waiting('a')).toEqual(['sent', 'pubrel', 'lasting', 'late', 'later'])
        now = START + 1_000
        expect(await waiting('a')).toEqual(['sent', 'pubrel', 'lasting'])
        expect(await store.session(keyOf('a'))).toMatchObject({ queued: 3 })
        now = START
        expect(await waiting('a')).toEqual(['sent', 'pubrel', 'lasting'])
      })

      test('no two waiting messages have the same packet id, when the numbers come round', async () => {
        await commit(attached('a'))
        await commit(published(message('t', 'first'), target('a', { qos: 2 })), published(message('t', 'second'), target('a', { qos: 2 })))
        await commit(completed('a', 1))
        let sequence = 2
        while (sequence < 65_535 + 1) {
          const size = Math.min(2_000, 65_536 - sequence)
          const from = sequence
          await commit(...Array.from({ length: size }, () => published(message('t'), target('a'))), ...Array.from({ length: size }, (_, i) => completed('a', from + 1 + i)))
          sequence += size
        }
        // Packet id 1 is free, 2 is taken, 3 is free.
        expect((await commit(published(message('t', 'third'), target('a')), published(message('t', 'fourth'), target('a')))).placed).toEqual([{ sequences: [65_538] }, { sequences: [65_539] }])
        expect((await queueOf('a')).map((item) => packetIdOf(item.sequence))).toEqual([2, 3, 4])
      })
    })

    describe('the bounds of a queue', () => {
      const big = (text: string): Message => message('t', text.padEnd(BROKER_LIMITS.packetBytesMax - 1_024))
      const BIG_PER_SESSION = Math.floor(BROKER_LIMITS.queueBytesPerSessionMax / (BROKER_LIMITS.packetBytesMax - 1_024 + 64))
      const fill = async (client: string, count: number, over: Parameters<typeof target>[1] = {}): Promise<SessionsCommitted> =>
        commit(...Array.from({ length: count }, (_, i) => published(message('t', `${i + 1}`), target(client, over))))

      test('by count: an absent session loses its oldest QoS 1 message for a new one', async () => {
        await absent('a')
        await commit(published(message('t', 'exact'), target('a', { qos: 2 })))
        expect(await fill('a', BROKER_LIMITS.queueMessagesMax - 1)).toMatchObject({ full: [], dropped: [] })
        const { placed, full, dropped } = await commit(published(message('t', 'new'), target('a')), published(message('t', 'newer'), target('a', { qos: 2 })))
        expect({ placed, full, dropped }).toEqual({ placed: [{ sequences: [10_001] }, { sequences: [10_002] }], full: [], dropped: [{ key: keyOf('a'), messages: 2 }] })
        const left = await waiting('a')
        expect([left.length, left[0], left[1], left.at(-2), left.at(-1)]).toEqual([BROKER_LIMITS.queueMessagesMax, 'exact', '3', 'new', 'newer'])
      })

      test('QoS 2 messages are never dropped: where there is nothing else, the new one is not queued', async () => {
        await absent('a')
        await fill('a', BROKER_LIMITS.queueMessagesMax, { qos: 2 })
        expect(await commit(published(message('t', 'new'), target('a')))).toEqual({ ...NOTHING, placed: [{ sequences: [0] }], dropped: [{ key: keyOf('a'), messages: 1 }] })
        await commit(completed('a', 5))
        expect(await commit(published(message('t', 'fits'), target('a')))).toMatchObject({ placed: [{ sequences: [10_001] }], dropped: [] })
      })

      test('by bytes of the session', async () => {
        await absent('a')
        await commit(...Array.from({ length: BIG_PER_SESSION }, (_, i) => published(big(`${i + 1} `), target('a'))))
        const { dropped } = await commit(published(big('new '), target('a')))
        expect(dropped).toEqual([{ key: keyOf('a'), messages: 1 }])
        expect((await waiting('a')).map((text) => text.trim())).toEqual([...Array.from({ length: BIG_PER_SESSION - 1 }, (_, i) => `${i + 2}`), 'new'])
        // Released messages do not weigh any longer.
        await commit(released('a', 2), released('a', 3))
        expect((await commit(published(big('one more'), target('a')))).dropped).toEqual([])
      })

      test('by bytes of the device, over all of its sessions', async () => {
        const clients = ['a', 'a:1', 'a:2', 'a:3']
        await absent(...clients, 'a:4', 'b')
        for (const client of clients) await commit(...Array.from({ length: BIG_PER_SESSION }, () => published(big('x'), target(client))))
        const room = Math.floor((BROKER_LIMITS.queueBytesPerDeviceMax - 4 * BIG_PER_SESSION * (BROKER_LIMITS.packetBytesMax - 1_024 + 50)) / (BROKER_LIMITS.packetBytesMax - 1_024 + 64))
        for (let i = 0; i < room; i++) expect(await commit(published(big('x'), target('a:4')))).toMatchObject({ dropped: [] })
        const { dropped, placed } = await commit(published(big('x'), target('a:4'), target('b')), published(big('x'), target('a:3')))
        expect(dropped).toContainEqual({ key: keyOf('a:3'), messages: 1 })
        expect(dropped).toContainEqual({ key: keyOf('a:4'), messages: 1 })
        expect(placed[0]?.sequences[1]).toBe(1)
        await commit(ended('a'))
        expect(await commit(published(big('x'), target('a:4')))).toMatchObject({ dropped: [] })
      })

      test('by age: what waited longer than that goes when the next one comes, QoS 2 excepted', async () => {
        await absent('a')
        await commit(published(message('t', 'old 2'), target('a', { qos: 2 })), published(message('t', 'old 1'), target('a')))
        now = START + 1_000
        await commit(published(message('t', 'younger'), target('a')))
        now = START + 1_000 * BROKER_LIMITS.queueAgeSecondsMax
        expect((await commit(published(message('t', 'new'), target('a')))).dropped).toEqual([])
        now += 1
        expect((await commit(published(message('t', 'newer'), target('a')))).dropped).toEqual([{ key: keyOf('a'), messages: 1 }])
        expect(await waiting('a')).toEqual(['old 2', 'younger', 'new', 'newer'])
      })

      test('a connected session loses nothing and is reported; twice the bound is the end of that', async () => {
        await commit(attached('a'))
        const connected = { attached: true } as const
        expect(await fill('a', BROKER_LIMITS.queueMessagesMax, connected)).toMatchObject({ full: [] })
        const { placed, full, dropped } = await commit(published(message('t', 'over'), target('a', connected)), published(message('t', 'over'), target('a', connected)))
        expect({ placed, full, dropped }).toEqual({ placed: [{ sequences: [10_001] }, { sequences: [10_002] }], full: [keyOf('a')], dropped: [] })
        await fill('a', BROKER_LIMITS.queueMessagesMax - 2, connected)
        expect(await commit(published(message('t', 'too much'), target('a', connected)))).toEqual({ ...NOTHING, placed: [{ sequences: [0] }], full: [keyOf('a')], dropped: [{ key: keyOf('a'), messages: 1 }] })
        expect(await store.session(keyOf('a'))).toMatchObject({ queued: 2 * BROKER_LIMITS.queueMessagesMax })
        // Gone, it is an absent one with too much: back within the bounds with the next message.
        await commit(detached('a'))
        expect(await commit(published(message('t', 'last'), target('a')))).toMatchObject({ full: [], dropped: [{ key: keyOf('a'), messages: 10_001 }] })
        expect(await store.session(keyOf('a'))).toMatchObject({ queued: BROKER_LIMITS.queueMessagesMax })
      })
    })

    describe('received', () => {
      test('the packet id of a QoS 2 message is kept with the message, until it is released', async () => {
        await absent('a', 'b')
        await commit({ kind: 'published', message: message('t', 'one'), targets: [target('b')], received: { key: keyOf('a'), packetId: 65_535 } })
        await commit({ kind: 'published', message: message('t', 'two'), targets: [], received: { key: keyOf('a'), packetId: 1 } }, { kind: 'published', message: message('t'), targets: [], received: { key: keyOf('a'), packetId: 1 } })
        expect((await store.session(keyOf('a')))?.receiving).toEqual([1, 65_535])
        expect(await waiting('b')).toEqual(['one'])
        await commit({ kind: 'received-released', key: keyOf('a'), packetId: 1 }, { kind: 'received-released', key: keyOf('a'), packetId: 2 })
        expect((await store.session(keyOf('a')))?.receiving).toEqual([65_535])
      })
    })

    describe('retained messages', () => {
      test('the last one of a topic is kept, with who published it', async () => {
        const properties: MessageProperties = { contentType: 'x', userProperties: [['b', '1'], ['a', '2'], ['b', '3']] }
        await commit(retained(message('t', 'one'), publisher('p')), retained(message('t', 'two', { qos: 2, properties }), publisher('q', '02')))
        const what = message('t', 'two', { qos: 2, retain: true, properties })
        expect(plain(await store.retained('t', undefined, 10))).toEqual(plain({ items: [{ message: what, publisher: publisher('q', '02') }], next: undefined }))
        await commit({ kind: 'retained-cleared', topic: 't' })
        expect(await topicsOf('#')).toEqual([])
      })

      test.each<readonly [filter: string, topics: readonly string[]]>([
        ['hello/world', ['hello/world']],
        ['#', ['/', 'a', 'a!b', 'a/', 'a/b', 'a/b/c', 'a0', 'hello/there/world/creatures', 'hello/world', 'é/x']],
        ['+', ['a', 'a!b', 'a0']],
        ['+/#', ['/', 'a', 'a!b', 'a/', 'a/b', 'a/b/c', 'a0', 'hello/there/world/creatures', 'hello/world', 'é/x']],
        ['a/#', ['a', 'a/', 'a/b', 'a/b/c']],
        ['a/+', ['a/', 'a/b']],
        ['+/world', ['hello/world']],
        ['hello/+/world/#', ['hello/there/world/creatures']],
        ['$SYS/#', ['$SYS/up']],
        ['$SYS/up', ['$SYS/up']],
        ['+/up', []],
        ['/#', ['/']],
        ['é/+', ['é/x']],
        ['$share/g/a/b', ['a/b']],
        ['a/b/#', ['a/b', 'a/b/c']],
        ['nothing/#', []],
      ])('%s', async (filter, topics) => {
        const all = ['hello/world', 'hello/there/world/creatures', 'a', 'a!b', 'a0', 'a/', 'a/b', 'a/b/c', '/', '$SYS/up', 'é/x']
        await commit(...all.map((topic) => retained(message(topic))))
        expect(await topicsOf(filter)).toEqual(topics)
      })

      test('come in pages, in the order of their bytes, after a topic that need not be there', async () => {
        const topics = ['t/1', 't/2', 't/3', 't/é', 't/\uFF01', 't/\u{1F600}']
        await commit(...topics.toReversed().map((topic) => retained(message(topic))))
        expect(await topicsOf('t/+')).toEqual(topics)
        const first = await store.retained('t/+', undefined, 4)
        expect([first.items.map((item) => item.message.topic), first.next]).toEqual([topics.slice(0, 4), 't/é'])
        expect(await topicsOf('t/+', first.next)).toEqual(topics.slice(4))
        expect(await topicsOf('t/+', 't/2x')).toEqual(topics.slice(2))
        expect(await topicsOf('#', 't/3')).toEqual(topics.slice(3))
        expect(await topicsOf('t/+', 'z')).toEqual([])
      })

      test('expired ones are left out, and go', async () => {
        await commit(retained(message('t/1', 'x', { expiresAt: START + 10 })), retained(message('t/2')))
        now = START + 9
        expect(await topicsOf('t/+')).toEqual(['t/1', 't/2'])
        now = START + 10
        expect(await topicsOf('t/+')).toEqual(['t/2'])
        now = START
        expect(await topicsOf('t/+')).toEqual(['t/2'])
        await commit(retained(message('t/1')))
        expect(await topicsOf('t/+')).toEqual(['t/1', 't/2'])
      })
    })

    narrowingOfSessions(bench, { durable })
    boundsOfRetained(bench, { durable })
    willsAndDeadlines(bench, { durable })

    describe('the life of the store', () => {
      test('a read sees every commit that was called before it', async () => {
        const results = await Promise.all([commit(attached('a')), store.session(keyOf('a')), commit(published(message('t'), target('a'))), store.queue(keyOf('a'), 0, EVERYTHING)])
        expect(results[1]).toMatchObject({ key: keyOf('a') })
        expect(results[3].items).toHaveLength(1)
      })

      test('an empty commit is one', async () => {
        expect(await commit()).toEqual(NOTHING)
      })

      test('what no filter is fails alone, and nothing of its commit is made', async () => {
        const [good, bad, alsoGood] = await Promise.allSettled([commit(attached('a')), commit(attached('b'), subscribed('b', 'a/#/b')), commit(subscribed('a', 'fine'))])
        expect([good.status, bad.status, alsoGood.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
        expect((bad as PromiseRejectedResult).reason).toMatchObject({ code: 'internal' })
        expect(await store.sessions(undefined, 10)).toEqual([keyOf('a')])
        expect(await holdersOf('fine')).toEqual(['a fine'])
      })

      test('it is well until something is wrong', () => {
        expect(store.health).toEqual({ ok: true })
        const stop = store.onHealth(() => {})
        stop()
      })

      test('closing waits for what was committed; afterwards everything fails, and closing again does not', async () => {
        const last = commit(attached('a'))
        await store.close()
        await expect(last).resolves.toEqual(NOTHING)
        await expect(commit(attached('b'))).rejects.toMatchObject({ code: 'internal' })
        await expect(store.session(keyOf('a'))).rejects.toMatchObject({ code: 'internal' })
        await store.close()
      })
    })

    describe.each(durable ? [durable] : [])('after a restart, where the store is durable', () => {
      test('everything is as it was', async () => {
        await absent('a', 'b')
        await commit(subscribed('a', 't/+', { identifier: 9 }), published(message('t', '1'), target('a'), target('b')), published(message('t', '2'), target('a', { qos: 2 })), released('a', 2), retained(message('r')), willSet('a'), scheduled('a', START + 3))
        await commit(completed('b', 1), { kind: 'published', message: message('t'), targets: [], received: { key: keyOf('a'), packetId: 3 } }, detached('a', START + 4, 2))
        await reopen()
        expect(store.anySubscription).toBe(true)
        expect(await store.session(keyOf('a'))).toEqual({ key: keyOf('a'), expirySeconds: 3_600, expiresAt: START + 4, subscriptions: [subscription('t/+', { identifier: 9 })], receiving: [3], sentThrough: 2, queued: 2 })
        expect(await waiting('a')).toEqual(['1', 'pubrel'])
        expect(await holdersOf('t/1')).toEqual(['a t/+'])
        expect(await topicsOf('#')).toEqual(['r'])
        expect(await store.due(START + 4, 10)).toMatchObject({ wills: [{ publisher: { key: keyOf('a') } }], sessions: [keyOf('a')] })
      })

      test('a sequence number that was given is not given again', async () => {
        await absent('a')
        await commit(published(message('t', '1'), target('a')), published(message('t', '2'), target('a')), completed('a', 2))
        await reopen()
        expect((await commit(published(message('t', '3'), target('a')))).placed).toEqual([{ sequences: [3] }])
      })

      test('nor is the number of a session', async () => {
        await commit(attached('a'), subscribed('a', 't'), attached('b'), subscribed('b', 't'))
        const before = [...await numbersOf('a'), ...await numbersOf('b')]
        await commit(ended('b'))
        await reopen()
        expect(await numbersOf('a')).toEqual(before.slice(0, 1))
        await commit(attached('b'), subscribed('b', 't'))
        expect(before).not.toContain((await numbersOf('b'))[0])
      })

      test('what was connected when the program ended is absent now: its deadlines run, and what it was sent may have arrived', async () => {
        await commit(attached('a', false, 60), attached('b', false, 60), detached('b', START + 5, 0), published(message('t', '1'), target('a'), target('b')), willSet('a', { delaySeconds: 30 }))
        now = START + 1_000
        await reopen()
        expect(await store.due(START, 10)).toEqual({ wills: [], sessions: [], next: START + 5 })
        expect(await store.due(START + 31_000, 10)).toMatchObject({ wills: [{ delaySeconds: 30 }], sessions: [keyOf('b')], next: START + 61_000 })
        expect(await store.session(keyOf('a'))).toMatchObject({ sentThrough: 1, expiresAt: START + 61_000 })
        expect(await store.session(keyOf('b'))).toMatchObject({ sentThrough: 0, expiresAt: START + 5 })
      })
    })
  })
}
