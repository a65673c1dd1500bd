// What is sent twice is done once: under one key, by one operator, for one request; and what is kept for that is bounded.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AdminServer } from '../../src/http/admin.ts'
import { HTTP_ANSWER_LIMITS } from '../../src/http-limits.ts'
import { openIdempotency, parseIdempotencyKey, type KeptAnswer, type RequestUnderKey } from '../../src/http/idempotency.ts'
import { ask, openHouse, type Answered, type Credential, type House } from './house.ts'

describe('the memory of answers', () => {
  const asked = (facts: Partial<RequestUnderKey> = {}): RequestUnderKey => ({ operator: 'anna', key: 'k', request: 'POST /x {}', ...facts })
  const counter = (): { work: () => Promise<KeptAnswer>; readonly done: number } => {
    let done = 0
    return { work: () => Promise.resolve({ status: 200, body: ++done }), get done() { return done } }
  }

  test('one key, one request: one answer, also for 50 at once; another request under it is refused; another operator has keys of its own', async () => {
    const answers = openIdempotency(() => 0)
    const work = counter()
    const all = await Promise.all(Array.from({ length: 50 }, () => answers.once(asked(), work.work)))
    expect([work.done, new Set(all.map((a) => JSON.stringify(a))).size]).toEqual([1, 1])
    expect(await answers.once(asked({ request: 'POST /x {"a":1}' }), work.work)).toEqual({ allow: false, reason: 'idempotency-reused' })
    expect(await answers.once(asked({ operator: 'bob' }), work.work)).toEqual({ allow: true, value: { status: 200, body: 2 } })
  })

  test('what fails is told to everybody who waits, and done anew by who comes after', async () => {
    const answers = openIdempotency(() => 0)
    let tries = 0
    const failing = (): Promise<KeptAnswer> => Promise.reject(new Error(`try ${++tries}`))
    const both = await Promise.allSettled([answers.once(asked(), failing), answers.once(asked(), failing)])
    expect(both.map((b) => b.status === 'rejected' && (b.reason as Error).message)).toEqual(['try 1', 'try 1'])
    expect(answers.size).toBe(0)
    await expect(answers.once(asked(), failing)).rejects.toThrow('try 2')
  })

  test('an answer is kept for an hour less a millisecond, and not when the clock goes back', async () => {
    let now = 1_000
    const answers = openIdempotency(() => now)
    const work = counter()
    await answers.once(asked(), work.work)
    now += HTTP_ANSWER_LIMITS.keptMs - 1
    await answers.once(asked(), work.work)
    expect(work.done).toBe(1)
    now += 1
    await answers.once(asked(), work.work)
    expect(work.done).toBe(2)
    now -= 1
    await answers.once(asked(), work.work)
    expect(work.done).toBe(3)
  })

  test('who sends a new key each time forgets its own oldest, and nobody else\'s', async () => {
    const answers = openIdempotency(() => 0)
    const work = counter()
    await answers.once(asked({ operator: 'bob' }), work.work)
    for (let i = 0; i <= HTTP_ANSWER_LIMITS.keysPerOperatorMax; i++) await answers.once(asked({ key: `k${i}` }), work.work)
    expect(answers.size).toBe(HTTP_ANSWER_LIMITS.keysPerOperatorMax + 1)
    const before = work.done
    await answers.once(asked({ operator: 'bob' }), work.work)
    await answers.once(asked({ key: `k${HTTP_ANSWER_LIMITS.keysPerOperatorMax}` }), work.work)
    expect(work.done).toBe(before)
    await answers.once(asked({ key: 'k0' }), work.work)
    expect(work.done).toBe(before + 1)
  })

  test('all answers together are bounded in bytes', async () => {
    const answers = openIdempotency(() => 0)
    const large = 'x'.repeat(HTTP_ANSWER_LIMITS.bytesMax / 8)
    for (let i = 0; i < 40; i++) await answers.once(asked({ key: `k${i}` }), () => Promise.resolve({ status: 200, body: large }))
    expect(answers.size).toBeLessThanOrEqual(9)
  })

  test('whoever has the largest answers forgets its own, and not those of others', async () => {
    const answers = openIdempotency(() => 0)
    const work = counter()
    await answers.once(asked({ operator: 'bob' }), work.work)
    const large = 'x'.repeat(HTTP_ANSWER_LIMITS.bytesMax / 8)
    for (let i = 0; i < 40; i++) await answers.once(asked({ key: `k${i}` }), () => Promise.resolve({ status: 200, body: large }))
    await answers.once(asked({ operator: 'bob' }), work.work)
    expect(work.done).toBe(1)
  })

  test('what is under way is done once, whatever its operator sends meanwhile, and when the clock goes back', async () => {
    let now = 1
    const answers = openIdempotency(() => now)
    const gate = Promise.withResolvers<void>()
    let done = 0
    const slow = async (): Promise<KeptAnswer> => {
      done += 1
      await gate.promise
      return { status: 200, body: done }
    }
    const first = answers.once(asked(), slow)
    for (let i = 0; i <= HTTP_ANSWER_LIMITS.keysPerOperatorMax; i++) await answers.once(asked({ key: `k${i}` }), () => Promise.resolve({ status: 200, body: '' }))
    now = 0
    const second = answers.once(asked(), slow)
    gate.resolve()
    expect(await Promise.all([first, second])).toMatchObject([{ value: { body: 1 } }, { value: { body: 1 } }])
    expect(answers.size).toBeLessThanOrEqual(HTTP_ANSWER_LIMITS.keysPerOperatorMax)
  })

  test.each([['a key', 'abc-123', true], ['one in quotes', '"abc"', true], ['255 characters', 'x'.repeat(255), true], ['256', 'x'.repeat(256), false], ['nothing', '', false], ['quotes around nothing', '""', false], ['a space', 'a b', false], ['two headers', 'a, b', false]])('%s', (_, header, isOne) => {
    expect(parseIdempotencyKey(header).allow).toBe(isOne)
  })
})

describe('over the wire', () => {
  let house: House
  let admin: AdminServer
  beforeAll(async () => {
    house = await openHouse()
    admin = await house.openAdmin()
  })
  afterAll(() => house[Symbol.asyncDispose]())
  const post = (path: string, body: unknown, headers: Record<string, string> = {}, credential: Credential = house.operator, method = 'POST'): Promise<Answered> => ask(admin.url, house.root, { method, path, credential, headers, body: JSON.stringify(body) })

  test('20 who register one device under one key at once all hear that it is registered; without a key one does', async () => {
    const under = await Promise.all(Array.from({ length: 20 }, () => post('/v1/devices', { id: 'once' }, { 'idempotency-key': '"reg-1"' })))
    expect(new Set(under.map((a) => `${a.status} ${a.text}`)).size).toBe(1)
    expect(under[0]?.status).toBe(201)
    const without = await Promise.all(Array.from({ length: 20 }, () => post('/v1/devices', { id: 'twice' })))
    expect(without.map((a) => a.status).toSorted((a, b) => a - b)).toEqual([201, ...Array.from({ length: 19 }, () => 409)])
  })

  test('the same key for another body is 422, for another operator another key; tokens are made once', async () => {
    const token = { tokens: [{ target: { device: 'once' }, lifeMs: 1_000_000 }] }
    const [first, again] = [await post('/v1/tokens', token, { 'idempotency-key': 'tok' }), await post('/v1/tokens', token, { 'idempotency-key': 'tok' })]
    expect([again.status, again.text]).toEqual([200, first.text])
    const other = await post('/v1/tokens', { tokens: [...token.tokens, ...token.tokens] }, { 'idempotency-key': 'tok' })
    expect([other.status, other.json()['code']]).toEqual([422, 'idempotency-reused'])
    const bob = await post('/v1/tokens', token, { 'idempotency-key': 'tok' }, await house.operatorAs('operator'))
    expect([bob.status, bob.text === first.text]).toEqual([200, false])
  })

  test('a viewer does not read what an operator was answered', async () => {
    expect((await post('/v1/devices', { id: 'once' }, { 'idempotency-key': 'reg-1' }, await house.operatorAs('viewer'))).status).toBe(403)
  })

  test('what is changed under an ETag is changed only if it is that still: of 20 at once one', async () => {
    const shown = await ask(admin.url, house.root, { credential: house.operator, path: '/v1/devices/once' })
    expect(shown.headers['etag']).toBe('"1"')
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => post('/v1/devices/once', { attributes: { by: String(i) } }, { 'if-match': '"1"' }, house.operator, 'PATCH')))
    expect(all.map((a) => a.status).toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 19 }, () => 412)])
    expect(all.find((a) => a.status === 412)?.json()).toMatchObject({ code: 'precondition-failed', hint: expect.any(String) })
    expect(all.find((a) => a.status === 200)?.headers['etag']).toBe('"2"')
    expect((await post('/v1/devices/once/state', { action: 'suspend' }, { 'if-match': '"1"' })).status).toBe(412)
    expect((await post('/v1/devices/once/state', { action: 'suspend' }, { 'if-match': '"2"' })).status).toBe(200)
    expect((await post('/v1/devices/once/state', { action: 'resume' }, { 'if-match': '*' })).status).toBe(200)
  })

  test('an ETag that none of ours could be matches nothing, and an operation that takes none does nothing under one', async () => {
    for (const etag of ['W/"4"', '4', '"4", "5"', '"x"', '']) expect((await post('/v1/devices/once', { groups: ['x'] }, { 'if-match': etag }, house.operator, 'PATCH')).status, etag).toBe(412)
    expect((await post('/v1/devices', { id: 'unconditional' }, { 'if-match': '"1"' })).status).toBe(400)
    expect((await ask(admin.url, house.root, { credential: house.operator, path: '/v1/devices/unconditional' })).status).toBe(404)
  })

  test('a policy is put in force only over the one that was looked at', async () => {
    const { headers } = await ask(admin.url, house.root, { credential: house.operator, path: '/v1/policy' })
    const etag = String(headers['etag'])
    expect((await post('/v1/policy', { dryRun: true }, { 'if-match': etag })).status).toBe(200)
    expect((await post('/v1/policy', { dryRun: true }, { 'if-match': '"999"' })).status).toBe(412)
  })
})
