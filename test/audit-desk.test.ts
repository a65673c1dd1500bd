// The audit log as an operator asks for it: all of it, page by page, and those records that fit; at hand and through the admin API.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditQuery } from '../src/core/audit-desk.ts'
import type { AuditRecord, Desk } from '../src/core/desk.ts'
import { SallyportError } from '../src/core/errors.ts'
import { openAdminClient } from '../src/http/admin-client.ts'
import { device, openHouse, type House } from './http/house.ts'

let house: House
let desk: Desk
let remote: Desk
beforeAll(async () => {
  house = await openHouse()
  desk = house.desk()
  remote = openAdminClient({ url: (await house.openAdmin()).url, ...house.operator, ca: house.root })
  for (let index = 0; index < 40; index++) {
    await desk.addDevice({ id: device(`a-${String(index).padStart(2, '0')}`), groups: [], attributes: { note: index === 3 ? 'Südhang "x"' : 'none' } })
    house.home.audit.record({ kind: 'refusal', at: Date.now(), step: 'policy', reason: 'publish-not-granted', device: device(`a-${String(index).padStart(2, '0')}`), topic: `t/${index}` })
  }
})
afterAll(async () => {
  await remote[Symbol.asyncDispose]()
  await house[Symbol.asyncDispose]()
})

const seqOf = (record: AuditRecord): number => (record['sallyport'] as { readonly seq: number }).seq
async function all(through: Desk, query: AuditQuery): Promise<readonly AuditRecord[]> {
  const found: AuditRecord[] = []
  let after: string | undefined
  do {
    const page = await through.auditRecords({ ...query, after })
    found.push(...page.items)
    after = page.next
  } while (after !== undefined)
  return found
}

test.each([1, 7, 1_000])('the pages of %d are the whole log, newest first, each record once, down to the first', async (limit) => {
  for (const through of [desk, remote]) {
    const numbers = (await all(through, { limit })).map(seqOf)
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => numbers.length - index))
    expect(numbers.length).toBeGreaterThan(80)
  }
})

test('what is written meanwhile moves no page: the next one goes on where the one before has ended', async () => {
  const first = await desk.auditRecords({ limit: 10 })
  await desk.addDevice({ id: device('meanwhile'), groups: [], attributes: {} })
  const second = await desk.auditRecords({ limit: 10, after: first.next })
  expect(second.items.map(seqOf)).toEqual(Array.from({ length: 10 }, (_, index) => seqOf(first.items.at(-1)!) - 1 - index))
})

test('only what fits comes', async () => {
  for (const through of [desk, remote]) {
    expect((await all(through, { device: 'a-07', limit: 1_000 })).map((record) => (record['event'] as { action: string }).action)).toEqual(['refusal', 'device-added'])
    expect(await all(through, { device: 'a-07', action: 'refusal', limit: 1_000 })).toHaveLength(1)
    expect(await all(through, { q: 'T/39', limit: 1_000 })).toHaveLength(1)
    expect(await all(through, { action: 'device', limit: 1_000 })).toHaveLength(0)
  }
})

describe('a cursor', () => {
  test.each(['0x10', '-1', '1.5', '1e3', '7', '999999999999999', '9'.repeat(16), ' 1', '__proto__'])('that is no place of this log is refused: %s', async (after) => {
    for (const through of [desk, remote]) await expect(through.auditRecords({ after })).rejects.toThrow(SallyportError)
  })

  test('at the very beginning is the end of the list', async () => {
    expect(await desk.auditRecords({ after: '0' })).toEqual({ items: [] })
  })
})

test('fifty who read at once are each answered', async () => {
  const pages = await Promise.all(Array.from({ length: 50 }, () => desk.auditRecords({ limit: 20 })))
  expect(new Set(pages.map((page) => page.items.map(seqOf).join())).size).toBe(1)
})
