import { copyFileSync, readFileSync, renameSync, rmSync, statSync, writeFileSync, openSync, writeSync, closeSync } from 'node:fs'
import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import type { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { SallyportError } from '../../../src/core/errors.ts'
import type { SessionChange, SessionStore, StoreHealth } from '../../../src/core/session-store.ts'
import { BROKER_LIMITS, SESSION_LIMITS } from '../../../src/limits.ts'
import { openRegistry } from '../../../src/store/sqlite/registry.ts'
import { openSqliteSessions } from '../../../src/store/sessions/sqlite.ts'
import { attached, cleared, detached, HOUR, keyOf, message, NOTHING, plain, published, publisher, retained, scheduled, START, subscribed, target, textsOf, willSet } from '../../contract/session-records.ts'
import { tempDir, type TempDir } from '../temp.ts'

const EVERYTHING = { messagesMax: 100_000, bytesMax: 1e9 }
const failure = (code: string): unknown => expect.objectContaining({ code, fix: expect.any(String) })
const open = (file: string): Promise<SessionStore> => openSqliteSessions({ file, clock: () => START, log: () => {} })

/** The next health that fits. */
function healthOf(store: SessionStore, fits: (health: StoreHealth) => boolean): Promise<StoreHealth> {
  return new Promise((resolve) => {
    const stop = store.onHealth((health) => {
      if (!fits(health)) return
      stop()
      resolve(health)
    })
  })
}

async function fill(store: SessionStore, clients: number): Promise<void> {
  for (let i = 0; i < clients; i++) {
    await store.commit([
      attached(`c${i}`), subscribed(`c${i}`, `t/${i}/#`), detached(`c${i}`, START + HOUR), published(message('t', `text ${i}`.padEnd(300)), target(`c${i}`), target(`c${i + 1}`)),
      retained(message(`r/${i}`, 'x'.repeat(300))), willSet(`c${i}`), scheduled(`c${i}`, START + HOUR),
    ])
  }
}

async function contents(store: SessionStore, clients: number): Promise<unknown> {
  const seen: unknown[] = [await store.retained('#', undefined, 1_000), await store.due(START + HOUR, 1_000), await store.sessions(undefined, 1_000)]
  for (let i = 0; i < clients; i++) seen.push(await store.session(keyOf(`c${i}`)), await store.queue(keyOf(`c${i}`), 0, EVERYTHING), await store.holders(`t/${i}/x`))
  return plain(seen)
}

test('the file of a new store is for its owner alone', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  for (const end of ['', '-wal', '-shm']) expect(statSync(dir.file(`sessions.db${end}`)).mode & 0o777).toBe(0o600)
  await store.close()
})

test('the file of the registry, of another program, or a text is not taken for a session store; an empty file is', async () => {
  using dir = tempDir()
  openRegistry(dir.file('registry.db'), { clock: () => START }).close()
  await expect(open(dir.file('registry.db'))).rejects.toEqual(failure('database-corrupt'))
  writeFileSync(dir.file('text.db'), '{"sessions": []}\n'.repeat(100))
  await expect(open(dir.file('text.db'))).rejects.toMatchObject({ code: 'database-corrupt', message: expect.stringContaining(dir.file('text.db')) as string })
  writeFileSync(dir.file('empty.db'), '')
  await (await open(dir.file('empty.db'))).close()
})

test('a session whose key is changed in its table and not in the index, by which it is found, is no session that is gone: the start is refused', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  await fill(store, 2)
  await store.close()
  const bytes = readFileSync(dir.file('sessions.db'))
  const key = Buffer.from(keyOf('c1'))
  const at = [bytes.indexOf(key), bytes.indexOf(key, bytes.indexOf(key) + 1)]
  for (const place of at) {
    expect(place).toBeGreaterThan(0)
    writeFileSync(dir.file('hurt.db'), Buffer.from(bytes).fill('?', place + key.length - 1, place + key.length))
    const hurt = open(dir.file('hurt.db'))
    await expect(hurt).rejects.toEqual(failure('database-corrupt'))
  }
})

test('a newer schema is refused before anything is written, and a home that is not there is named', async () => {
  using dir = tempDir()
  await (await open(dir.file('sessions.db'))).close()
  const newer = new DatabaseSync(dir.file('sessions.db'))
  newer.exec('PRAGMA user_version = 999')
  newer.close()
  const before = readFileSync(dir.file('sessions.db'))
  await expect(open(dir.file('sessions.db'))).rejects.toMatchObject({ code: 'database-newer', message: expect.stringContaining('The session store') as string })
  expect(readFileSync(dir.file('sessions.db')).equals(before)).toBe(true)
  await expect(open(dir.file('missing/sessions.db'))).rejects.toEqual(failure('home-not-writable'))
})

test('whichever page is zeroed: refused, or everything is answered as it was, or the answer is that it is damaged', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  await fill(store, 12)
  const truth = await contents(store, 12)
  await store.close()
  const bytes = readFileSync(dir.file('sessions.db'))
  let refused = 0
  for (let page = 0; page < bytes.length; page += 4_096) {
    writeFileSync(dir.file('hurt.db'), Buffer.from(bytes).fill(0, page, page + 4_096))
    try {
      const hurt = await open(dir.file('hurt.db'))
      try {
        expect(await contents(hurt, 12)).toEqual(truth)
      } finally {
        await hurt.close()
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error
      expect(error.code).toBe('database-corrupt')
      refused++
    }
    for (const end of ['-wal', '-shm']) rmSync(dir.file(`hurt.db${end}`), { force: true })
  }
  expect(refused).toBeGreaterThan(10)
})

const changeOneBody = (table: string): string => `UPDATE ${table} SET body = CAST(substr(body, 1, length(body) - 1) || x'00' AS BLOB) WHERE rowid = (SELECT min(rowid) FROM ${table})`

/** What a disk does to a file, by another program's hand. */
function change(dir: TempDir, sql: string): void {
  const hand = new DatabaseSync(dir.file('sessions.db'))
  hand.exec(sql)
  hand.close()
}

/** It is changed while the store is open: a start would have found it. */
async function withOneBodyChanged(dir: TempDir, table: string): Promise<SessionStore> {
  const store = await open(dir.file('sessions.db'))
  await fill(store, 2)
  change(dir, changeOneBody(table))
  return store
}

test.each([['messages', changeOneBody('messages')], ['retained', changeOneBody('retained')], ['wills', changeOneBody('wills')], ['publishers', "UPDATE publishers SET leaf = x'00'"]])('a change in %s that SQLite does not see is found at the start, which is refused', async (_, sql) => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  await fill(store, 2)
  await store.close()
  await (await open(dir.file('sessions.db'))).close()
  change(dir, sql)
  await expect(open(dir.file('sessions.db'))).rejects.toMatchObject({ code: 'database-corrupt', message: expect.stringContaining(dir.file('sessions.db')) as string, fix: expect.any(String) as string })
})

test('a body that the disk changed is not delivered: the read says so, and what is whole is served', async () => {
  using dir = tempDir()
  const store = await withOneBodyChanged(dir, 'messages')
  const ill = healthOf(store, ({ ok }) => !ok)
  await expect(store.queue(keyOf('c0'), 0, EVERYTHING)).rejects.toEqual(failure('database-corrupt'))
  expect((await ill).problem).toMatch(/not what was stored/)
  await store.commit([published(message('t', 'new'), target('c1'))])
  expect(textsOf((await store.queue(keyOf('c1'), 1, EVERYTHING)).items)).toEqual(['new'])
  await store.close()
})

test.each(['retained', 'wills'])('a changed body in %s is not delivered either', async (table) => {
  using dir = tempDir()
  const store = await withOneBodyChanged(dir, table)
  await expect(table === 'retained' ? store.retained('#', undefined, 10) : store.due(START + HOUR, 10)).rejects.toEqual(failure('database-corrupt'))
  await store.close()
})

test('a publisher whose certificate was changed is not believed', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  await store.commit([retained(message('t'))])
  change(dir, "UPDATE publishers SET leaf = x'00'")
  await expect(store.retained('t', undefined, 1)).rejects.toEqual(failure('database-corrupt'))
  await store.close()
})

test('nothing is acknowledged once the file was replaced under the open store, and nothing new is begun in its place', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  await store.commit([attached('a')])
  const ill = healthOf(store, ({ ok }) => !ok)
  renameSync(dir.file('sessions.db'), dir.file('away.db'))
  await expect(store.commit([attached('b')])).rejects.toEqual(failure('database-corrupt'))
  expect(await ill).toMatchObject({ ok: false, problem: expect.stringContaining('deleted or replaced') as string })
  await expect(store.commit([attached('c')])).rejects.toEqual(failure('database-corrupt'))
  await expect(store.session(keyOf('a'))).rejects.toEqual(failure('database-corrupt'))
  await store.close()
  expect(() => statSync(dir.file('sessions.db'))).toThrow(/ENOENT/)
})

test('another process that holds the database: commits wait, the backlog is bounded, and all of it is stored once when the lock is gone', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  await store.commit([attached('a')])
  const other = new DatabaseSync(dir.file('sessions.db'))
  other.exec('BEGIN IMMEDIATE')
  const ill = healthOf(store, ({ ok }) => !ok)
  const first = store.commit([published(message('t', 'first'), target('a', { attached: true }))])
  expect((await ill).problem).toContain('Another process holds')
  const large = message('t', 'x'.repeat(200_000))
  const size = Math.ceil(SESSION_LIMITS.changesWaitingBytesMax / 200_000)
  const backlog = Array.from({ length: size }, () => store.commit([published(large, target('nobody'))]))
  const results = Promise.allSettled(backlog)
  await expect(backlog.at(-1)).rejects.toEqual(failure('store-overloaded'))
  const second = store.commit([published(message('t', 'second'), target('a', { attached: true }))])
  const well = healthOf(store, ({ ok }) => ok)
  other.exec('ROLLBACK')
  other.close()
  await well
  expect((await first).placed).toEqual([{ sequences: [1] }])
  expect((await second).placed).toHaveLength(1)
  expect((await results).filter(({ status }) => status === 'rejected').length).toBeLessThan(3)
  expect(textsOf((await store.queue(keyOf('a'), 0, EVERYTHING)).items)).toEqual(['first', 'second'])
  expect(store.health).toEqual({ ok: true })
  await store.close()
})

test('a commit that cannot be made takes nothing with it but itself: what a device has left retained is counted once', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  const from = publisher('p')
  const many = (count: number): SessionChange[] => Array.from({ length: count }, (_, i) => retained(message(`t/${i}`), from))
  const [good, bad, alsoGood] = await Promise.allSettled([
    store.commit(many(BROKER_LIMITS.retainedMessagesPerDeviceMax - 2)),
    store.commit([retained(message('lost'), from), cleared('t/0'), detached('a'), willSet('a'), scheduled('a', START + 0.5)]),
    store.commit([retained(message('one'), from), retained(message('two'), from), retained(message('three'), from)]),
  ])
  expect(good).toEqual({ status: 'fulfilled', value: NOTHING })
  expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'internal' } })
  expect(alsoGood).toEqual({ status: 'fulfilled', value: { ...NOTHING, unretained: ['three'] } })
  expect((await store.retained('lost', undefined, 1)).items).toEqual([])
  expect((await store.retained('t/0', undefined, 1)).items).toHaveLength(1)
  expect(await store.commit([cleared('one'), retained(message('four'), from), retained(message('five'), from)])).toEqual({ ...NOTHING, unretained: ['five'] })
  expect(await store.due(START + HOUR, 10)).toEqual({ wills: [], sessions: [], next: undefined })
  await store.close()
})

test('closing does not wait for ever for storage that fails: what could not be stored is said to be lost', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  const other = new DatabaseSync(dir.file('sessions.db'))
  other.exec('BEGIN IMMEDIATE')
  const [lost] = await Promise.allSettled([store.commit([attached('a')]), store.close()])
  expect(lost).toMatchObject({ status: 'rejected', reason: { code: 'internal' } })
  other.close()
})

test('a thread that dies is a failure of the store: nobody hangs', async () => {
  using dir = tempDir()
  const started = once(process, 'worker') as Promise<[Worker]>
  const store = await open(dir.file('sessions.db'))
  const [worker] = await started
  await store.commit([attached('a')])
  const ill = healthOf(store, ({ ok }) => !ok)
  const pending = [store.commit([attached('b')]), store.session(keyOf('a'))]
  await worker.terminate()
  for (const result of await Promise.allSettled(pending)) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'internal' } })
  expect((await ill).ok).toBe(false)
  await expect(store.commit([attached('c')])).rejects.toMatchObject({ code: 'internal' })
  await store.close()
})

test('a message that the thread cannot handle ends it, and is a failure of the store', async () => {
  using dir = tempDir()
  const started = once(process, 'worker') as Promise<[Worker]>
  const store = await open(dir.file('sessions.db'))
  const [worker] = await started
  const pending = store.commit([attached('a')])
  worker.postMessage({ kind: 'batch', now: START, commits: 0, items: [], bodies: new Uint8Array(), reads: 7 }, [])
  await expect(pending).rejects.toMatchObject({ code: 'internal' })
  await store.close()
})

test('a file too large to be checked at its start is read through afterwards, and damage in it is found', async () => {
  using dir = tempDir()
  const store = await open(dir.file('sessions.db'))
  const text = 'x'.repeat(250_000)
  for (let i = 0; i * 250_000 <= SESSION_LIMITS.checkedAtOpenBytesMax; i += 20) await store.commit(Array.from({ length: 20 }, (_, j) => retained(message(`t/${i + j}`, text), publisher(`p${i}`))))
  await store.close()
  const size = statSync(dir.file('sessions.db')).size
  expect(size).toBeGreaterThan(SESSION_LIMITS.checkedAtOpenBytesMax)
  copyFileSync(dir.file('sessions.db'), dir.file('hurt.db'))
  const whole = await open(dir.file('sessions.db'))
  await whole.commit([attached('a')])
  const file = openSync(dir.file('hurt.db'), 'r+')
  writeSync(file, Buffer.alloc(100), 0, 100, Math.floor(size / 2 / 4_096) * 4_096 + 1_000)
  closeSync(file)
  const hurt = await open(dir.file('hurt.db'))
  const { problem } = hurt.health.ok ? await healthOf(hurt, ({ ok }) => !ok) : hurt.health
  expect(problem).toMatch(/not what was stored/)
  await expect(hurt.commit([])).rejects.toEqual(failure('database-corrupt'))
  await hurt.close()
  expect(whole.health).toEqual({ ok: true })
  await whole.close()
})
