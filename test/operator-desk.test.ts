// Operators over an open home: what is committed together, what is told of in time, and who wins a race.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Desk } from '../src/core/desk.ts'
import type { OperatorName } from '../src/core/ids.ts'
import { isNear } from '../src/core/expiry.ts'
import { ownExpiries } from '../src/expiry.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { newKey, openHouse, type House } from './http/house.ts'

let house: House
let desk: Desk
beforeAll(async () => {
  house = await openHouse()
  desk = house.desk()
})
afterAll(() => house[Symbol.asyncDispose]())

const name = (text: string): OperatorName => text as OperatorName
const reasonOf = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => 'done', (error: { reason?: string }) => error.reason)
const add = (of: string, csr = makeCsr(newKey(), of)) => desk.addOperator({ name: name(of), role: 'viewer', csr })

describe('an operator comes with a certificate, or not at all', () => {
  test.each([
    ['what is no request', 'x', 'csr-malformed'],
    ['a request that its key has not signed', makeCsr(newKey(), 'x').replace(/.(?=[^\n]{0,3}\n-----END)/, (letter) => (letter === 'A' ? 'B' : 'A')), expect.stringMatching(/^csr-/)],
  ])('%s', async (_, csr, reason) => {
    expect(await reasonOf(add('nobody', csr))).toEqual(reason)
    expect(await reasonOf(desk.certifyOperator(name('nobody'), makeCsr(newKey(), 'x')))).toBe('operator-not-found')
  })

  test('the key of a device', async () => {
    const key = newKey()
    await desk.addDevice({ id: 'keyed' as never, groups: [], attributes: {} })
    await desk.enroll('keyed' as never, makeCsr(key, 'keyed'))
    expect(await reasonOf(add('thief', makeCsr(key, 'thief')))).toBe('key-in-use')
    expect(house.home.registry.operator(name('thief'))).toBeUndefined()
  })

  test('of 20 who make one of a name at once, one does, and there is one certificate of that name', async () => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => reasonOf(add('racer'))))
    expect(outcomes.filter((o) => o === 'done')).toHaveLength(1)
    expect(new Set(outcomes)).toEqual(new Set(['done', 'operator-exists']))
    expect(house.home.registry.certificatesOfOperator(name('racer'))).toHaveLength(1)
  })
})

test('of a certificate that is made while its operator is revoked nothing is left in force', async () => {
  await add('leaver')
  await Promise.allSettled([...Array.from({ length: 10 }, () => desk.certifyOperator(name('leaver'), makeCsr(newKey(), 'leaver'))), desk.revokeOperator(name('leaver'))])
  expect(house.home.registry.operator(name('leaver'))?.revokedAt).toBeGreaterThan(0)
  // Signed or not: whoever shows one of them is an operator who is revoked.
  for (const certificate of house.home.registry.certificatesOfOperator(name('leaver'))) expect(house.home.view.operatorOf(certificate)?.revokedAt).toBeGreaterThan(0)
})

test('the certificate of an operator who was made is told of 30 days before its end, once, and not when nobody may use it', async () => {
  await add('olaf')
  const own = (): readonly string[] => ownExpiries({ home: house.home, foreign: [] }).filter((e) => isNear(e, Date.now() + 340 * 86_400_000)).map((e) => e.name)
  expect(own()).toContain('operator olaf')
  await desk.certifyOperator(name('olaf'), makeCsr(newKey(), 'olaf'))
  expect(own().filter((each) => each === 'operator olaf')).toHaveLength(1)
  await desk.revokeOperator(name('olaf'))
  expect(own()).not.toContain('operator olaf')
})
