// Whatever happens, in whatever order, memory and SQLite give the same answers: also when the store is closed and opened in between.

import { copyFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SessionKey } from '../../../src/core/ids.ts'
import type { SessionChange, SessionStore, Will } from '../../../src/core/session-store.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import { openMemorySessions } from '../../../src/store/sessions/memory.ts'
import { openSqliteSessions } from '../../../src/store/sessions/sqlite.ts'
import { attached, completed, detached, ended, HOUR, keyOf, message, narrowed, plain, published, publisher, released, retained, scheduled, START, subscribed, target, unsubscribed, willCleared, willSet } from '../../contract/session-records.ts'
import { tempDir } from '../temp.ts'

const CLIENTS = ['a', 'a:1', 'b', 'b:\u{1F600}'] as const
const TOPICS = ['t', 't/x', 't/y', 't/x/z', '$SYS/t', '/', 'é'] as const
/** Device a has nearly all left retained that it may: a few small ones fit. No filter of this test matches its topic. */
const LARGE = retained(message('$full', 'x'.repeat(BROKER_LIMITS.retainedBytesPerDeviceMax - 400)), publisher('a'))
/** For the session that holders() named last under this key. */
const NAMED = -1
const FILTERS = ['t', 't/x', 't/+', 't/#', '+/x', '#', '+', '+/+', '$SYS/#', '$share/g/t/#', '$share/g/t/x', '/#', 'é'] as const

const client = fc.constantFrom(...CLIENTS)
const topic = fc.constantFrom(...TOPICS)
const filter = fc.constantFrom(...FILTERS)
const sequence = fc.integer({ min: 1, max: 9 })
const expiresAt = fc.option(fc.integer({ min: 0, max: 30 }).map((s) => START + 1_000 * s), { nil: undefined })
const properties = fc.option(
  fc.record({ contentType: fc.string(), correlationData: fc.uint8Array({ maxLength: 4 }), userProperties: fc.array(fc.tuple(fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 })), { maxLength: 4 }) }, { requiredKeys: [] }),
  { nil: undefined },
)
const messages = fc.record({ topic, text: fc.string({ maxLength: 8 }), over: fc.record({ expiresAt, properties, qos: fc.constantFrom(0, 1, 2), retain: fc.boolean() }) }).map(({ topic: on, text, over }) => message(on, text, over))
const targets = fc.array(
  fc.record({ to: client, qos: fc.constantFrom(1, 2), retain: fc.boolean(), identifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 2 }), attached: fc.boolean(), session: fc.constantFrom(undefined, undefined, NAMED) }).map(({ to, ...over }) => target(to, over)),
  { maxLength: 3 },
)
const received = fc.option(fc.record({ key: client.map(keyOf), packetId: fc.integer({ min: 1, max: 3 }) }), { nil: undefined })

const change: fc.Arbitrary<SessionChange> = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(client, fc.boolean(), fc.integer({ min: 1, max: 100 })).map(([c, fresh, expiry]) => attached(c, fresh && expiry > 60, expiry)) },
  { weight: 2, arbitrary: fc.tuple(client, fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 9 })).map(([c, s, sent]) => detached(c, START + 1_000 * s, sent)) },
  client.map(ended),
  { weight: 3, arbitrary: fc.tuple(client, filter, fc.record({ qos: fc.constantFrom(0, 1, 2), noLocal: fc.boolean(), retainAsPublished: fc.boolean(), retainHandling: fc.constantFrom(0, 1, 2), identifier: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }) })).map(([c, f, over]) => subscribed(c, f, over)) },
  fc.tuple(client, filter).map(([c, f]) => unsubscribed(c, f)),
  { weight: 2, arbitrary: fc.tuple(client, fc.array(filter, { maxLength: 3 }), fc.array(fc.tuple(filter, fc.constantFrom(0, 1, 2)).map(([f, qos]) => `${f} ${qos}`), { maxLength: 2 }), fc.integer({ min: 0, max: 9 })).map(([c, lost, lowered, sent]) => narrowed(c, lost, lowered, sent)) },
  { weight: 6, arbitrary: fc.tuple(messages, targets, received).map(([what, to, from]): SessionChange => (from === undefined ? { kind: 'published', message: what, targets: to } : { kind: 'published', message: what, targets: to, received: from })) },
  fc.tuple(client, sequence).map(([c, s]) => released(c, s)),
  { weight: 2, arbitrary: fc.tuple(client, sequence).map(([c, s]) => completed(c, s)) },
  fc.tuple(client, fc.integer({ min: 1, max: 3 })).map(([c, packetId]): SessionChange => ({ kind: 'received-released', key: keyOf(c), packetId })),
  { weight: 4, arbitrary: fc.tuple(messages, client, fc.constantFrom('01', '0202')).map(([what, c, serial]) => retained(what, publisher(c, serial))) },
  topic.map((on): SessionChange => ({ kind: 'retained-cleared', topic: on })),
  { weight: 3, arbitrary: fc.tuple(client, messages, fc.integer({ min: 0, max: 20 })).map(([c, what, delaySeconds]) => willSet(c, { message: what, delaySeconds })) },
  { weight: 3, arbitrary: fc.tuple(client, fc.integer({ min: 0, max: 30 })).map(([c, s]) => scheduled(c, START + 1_000 * s)) },
  client.map((c) => willCleared(c)),
)
type Step =
  | { readonly kind: 'commits'; readonly commits: readonly (readonly SessionChange[])[] }
  /** One of the Wills that are due is published: cleared by the id that its store gave it. */
  | { readonly kind: 'will-published'; readonly which: number }
  | { readonly kind: 'later'; readonly seconds: number }
  | { readonly kind: 'reopened' }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.array(fc.array(change, { maxLength: 6, size: 'max' }), { minLength: 1, maxLength: 4 }).map((commits) => ({ kind: 'commits' as const, commits })) },
  { weight: 2, arbitrary: fc.nat(5).map((which) => ({ kind: 'will-published' as const, which })) },
  fc.integer({ min: 1, max: 10 }).map((seconds) => ({ kind: 'later' as const, seconds })),
  fc.constant({ kind: 'reopened' as const }),
)

/** One history in which all of it happens. */
const TOLD: Step[] = [
  { kind: 'commits', commits: [[attached('a'), subscribed('a', 't'), attached('b'), subscribed('b', 't')], [willSet('a'), willSet('b'), ...TOPICS.map((on) => retained(message(on, 'x'.repeat(50)), publisher('a:1')))]] },
  { kind: 'commits', commits: [[detached('a'), scheduled('a', START + 5_000), detached('b'), scheduled('b', START + 5_000)], [attached('a', true), willSet('a'), scheduled('a', START + 6_000)]] },
  { kind: 'commits', commits: [[published(message('t'), target('a', { session: NAMED }), target('b', { session: NAMED }))], [attached('b')]] },
  { kind: 'will-published', which: 1 },
  { kind: 'reopened' },
  { kind: 'later', seconds: 6 },
  { kind: 'commits', commits: [[retained(message('t', 'by b'), publisher('b')), retained(message('t/x', 'y'.repeat(50)), publisher('a')), ended('a'), ended('b')]] },
  { kind: 'will-published', which: 0 },
  { kind: 'commits', commits: [[attached('b:\u{1F600}'), subscribed('b:\u{1F600}', 't/#', { qos: 2 }), subscribed('b:\u{1F600}', 't/x', { qos: 2 })], TOPICS.map((on) => published(message(on), target('b:\u{1F600}', { qos: 2 })))] },
  { kind: 'commits', commits: [[narrowed('b:\u{1F600}', ['t/#', '+'], ['t/x 1'], 1)]] },
  { kind: 'reopened' },
]

function sorted(items: readonly unknown[]): readonly string[] {
  return items.map((item) => JSON.stringify(plain(item), (_, value: unknown) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value))).toSorted()
}

/** The numbers of sessions are the store's own. */
type Numbers = Map<SessionKey, number>

/** Ids are the store's own, too: the same Wills without them. */
const withoutIds = (wills: readonly Will[]): readonly object[] => wills.map(({ publisher: by, message: what, delaySeconds }) => ({ by, what, delaySeconds }))

/** The change as this store is told it. */
function told(change: SessionChange, numbers: Numbers): SessionChange {
  if (change.kind !== 'published') return change
  return { ...change, targets: change.targets.map((to) => ({ ...to, session: to.session === NAMED ? numbers.get(to.key) : to.session })) }
}

/** Clears a Will that is due, twice: an id means nothing when it was cleared. Returns how many were due. */
async function publishWill(store: SessionStore, now: number, which: number): Promise<number> {
  // Of two that are alike in everything the earlier one comes first, whatever its id.
  const wills = (await store.due(now, 100)).wills.map((one) => ({ one, text: sorted(withoutIds([one])).join('') })).toSorted((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
  const { one } = wills[which % wills.length] ?? {}
  if (one === undefined) return 0
  expect(one.id).toEqual(expect.any(Number))
  await store.commit([willCleared('nobody', one.id), willCleared('nobody', one.id)])
  return wills.length
}

/** Everything that can be asked, in a form that does not depend on an order that nobody promised. Notes the numbers of sessions in `numbers`. */
async function everything(store: SessionStore, now: number, numbers: Numbers): Promise<unknown> {
  const seen: Record<string, unknown> = { any: store.anySubscription, keys: await store.sessions(undefined, 100) }
  for (const c of CLIENTS) {
    const session = await store.session(keyOf(c))
    seen[`session ${c}`] = session === undefined ? undefined : { ...session, subscriptions: sorted(session.subscriptions) }
    const pages: unknown[] = []
    for (let after = 0, complete = false; !complete; ) {
      const page = await store.queue(keyOf(c), after, { messagesMax: 3, bytesMax: 200 })
      pages.push(plain(page))
      after = page.items.at(-1)?.sequence ?? after
      complete = page.complete
    }
    seen[`queue ${c}`] = pages
    seen[`after ${c}`] = (await store.session(keyOf(c)))?.queued
  }
  for (const owner of ['default/a', 'default/b']) seen[`siblings ${owner}`] = sorted(await store.siblings(owner))
  for (const on of [...TOPICS, 't/x/y/z']) {
    const holders = await store.holders(on)
    for (const { key, session } of holders) numbers.set(key, session)
    seen[`holders ${on}`] = sorted(holders.map(({ key, subscription }) => ({ key, subscription })))
  }
  for (const f of FILTERS) {
    const pages: unknown[] = []
    for (let after: string | undefined, more = true; more; ) {
      const page = await store.retained(f, after, 2)
      pages.push(...page.items.map(plain))
      after = page.next
      more = after !== undefined
    }
    seen[`retained ${f}`] = pages
  }
  const due = await store.due(now, 100)
  seen['due'] = { wills: sorted(withoutIds(due.wills)), sessions: sorted(due.sessions), next: due.next }
  return seen
}

test('memory and SQLite give the same answers to the same history', async () => {
  using seed = tempDir()
  const seeded = await openSqliteSessions({ file: seed.file('sessions.db'), clock: () => START, log: () => {} })
  await seeded.commit([LARGE])
  await seeded.close()
  /** Did the histories say what they are for? */
  const met = { kept: 0, unretained: 0, passedOver: 0, willsPublished: 0 }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      using dir = tempDir()
      let now = START
      const clock = (): number => now
      const open = (): Promise<SessionStore> => openSqliteSessions({ file: dir.file('sessions.db'), clock, log: () => {} })
      copyFileSync(seed.file('sessions.db'), dir.file('sessions.db'))
      const memory = openMemorySessions({ clock })
      await memory.commit([LARGE])
      const numbers = { memory: new Map() as Numbers, sqlite: new Map() as Numbers }
      let sqlite = await open()
      try {
        for (const what of steps) {
          if (what.kind === 'commits') {
            const [a, b] = await Promise.all(([[memory, numbers.memory], [sqlite, numbers.sqlite]] as const).map(([store, known]) => Promise.all(what.commits.map((changes) => store.commit(changes.map((one) => told(one, known)))))))
            expect(b).toEqual(a)
            const unretained = a?.flatMap((committed) => committed.unretained).length ?? 0
            met.unretained += unretained
            met.kept += what.commits.flat().filter(({ kind }) => kind === 'retained').length - unretained
            met.passedOver += what.commits.flatMap((changes, i) => changes.filter(({ kind }) => kind === 'published').flatMap((one, j) => (one.kind === 'published' ? one.targets.filter((to, k) => to.session === NAMED && numbers.memory.has(to.key) && a?.[i]?.placed[j]?.sequences[k] === 0) : []))).length
          } else if (what.kind === 'will-published') {
            const due = await publishWill(memory, now, what.which)
            expect(await publishWill(sqlite, now, what.which)).toBe(due)
            met.willsPublished += Math.min(due, 1)
          } else if (what.kind === 'later') {
            now += 1_000 * what.seconds
          } else {
            // Orderly, nobody is connected any longer when the program ends.
            const leaving = CLIENTS.flatMap((c) => [detached(c, START + HOUR, 2), scheduled(c, START + HOUR)])
            await Promise.all([memory.commit(leaving), sqlite.commit(leaving)])
            await sqlite.close()
            sqlite = await open()
          }
          expect(await everything(sqlite, now, numbers.sqlite)).toEqual(await everything(memory, now, numbers.memory))
        }
      } finally {
        await sqlite.close()
      }
    }),
    { numRuns: 25, examples: [[TOLD]] },
  )
  for (const [what, times] of Object.entries(met)) expect(times, what).toBeGreaterThan(0)
})
