// What an operator says of a CA's names when it is made: taken over from the one before, changed, taken away, or refused.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Desk } from '../src/core/desk.ts'
import type { RotateRequest } from '../src/core/ca-desk.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { openAdminClient } from '../src/http/admin-client.ts'
import { permittedBase } from '../src/x509/permitted-names.ts'
import { device, group, newKey, openHouse, type House } from './http/house.ts'

vi.mock(import('../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

let house: House
beforeEach(async () => {
  house = await openHouse()
  for (const id of ['plant-7-a', 'plant-8-a', 'plant-8-b']) await house.desk().addDevice({ id: device(id), groups: [group('sensors')], attributes: {} })
})
afterEach(() => house[Symbol.asyncDispose]())

/** Over the admin API, as the command does it. */
async function remote(): Promise<Desk> {
  const { url } = await house.openAdmin()
  return openAdminClient({ url, cert: house.operator.cert, key: house.operator.key, ca: house.root })
}
const start = (more: Partial<RotateRequest> = {}, desk = house.desk()): ReturnType<Desk['rotateCa']> => desk.rotateCa({ step: 'start', ...more })
const through = async (more: Partial<RotateRequest>): Promise<void> => {
  await start(more)
  for (const step of ['trust', 'switch'] as const) await house.desk().rotateCa({ step })
}
const limits = (name: string): readonly [readonly string[] | undefined, boolean] => {
  const ca = house.home.registry.cas().find((each) => each.name === name)!
  return [ca.ids, permittedBase(ca.der) !== undefined]
}

describe('a CA that is made with limits', () => {
  test('is told of with the devices that are outside, also over the API, and a dry run makes none', async () => {
    await using desk = await remote()
    const would = await start({ ids: ['plant-7-*'], unit: 'plant-7', dryRun: true }, desk)
    expect(would.told.slice(-2)).toEqual(['It may name devices of plant-7-* and no others.', '2 devices have other ids: they keep what they have, and get no certificate from it: plant-8-a, plant-8-b'])
    expect(house.home.registry.cas()).toHaveLength(2)
    expect((await start({ ids: ['plant-*'], unit: 'plants' }, desk)).told).toEqual(['issuing-2 is created.', 'It may name devices of plant-* and no others.'])
    expect(limits('issuing-2')).toEqual([['plant-*'], true])
    expect((await desk.cas()).find(({ name }) => name === 'issuing-2')?.ids).toEqual(['plant-*'])
  })

  test('hands them on to the next, until they are taken away', async () => {
    await through({ ids: ['plant-7-*'], unit: 'plant-7' })
    await through({})
    expect(limits('issuing-3')).toEqual([['plant-7-*'], true])
    await through({ unit: '*' })
    expect(limits('issuing-4')).toEqual([['plant-7-*'], false])
    await through({ ids: ['*'] })
    expect(limits('issuing-5')).toEqual([undefined, false])
  })

  test('asked for again it is there; asked for with others it is refused', async () => {
    await start({ ids: ['plant-7-*'], unit: 'plant-7' })
    for (const same of [{}, { ids: ['plant-7-*'] }, { unit: 'plant-7' }, { ids: ['plant-7-*'], unit: 'plant-7' }]) expect(await start(same)).toMatchObject({ outcome: 'done' })
    for (const other of [{ ids: ['plant-8-*'] }, { ids: ['*'] }, { unit: 'plant-8' }, { unit: '*' }]) await expect(start(other)).rejects.toMatchObject({ reason: 'ca-step' })
    expect(house.home.registry.cas()).toHaveLength(3)
  })

  test.each([{ ids: [] }, { ids: ['a b'] }, { ids: ['**'] }, { ids: ['*', 'a'] }, { unit: '' }, { unit: 'a/b' }, { unit: 'x'.repeat(65) }])('%j is refused, and nothing is made', async (wrong) => {
    await using desk = await remote()
    await expect(start(wrong, desk)).rejects.toMatchObject({ reason: 'request-invalid' })
    await expect(start(wrong)).rejects.toMatchObject({ reason: 'request-invalid' })
    expect(house.home.registry.cas()).toHaveLength(2)
  })

  test('issues from the switch on for whom it may, at the desk, and renews the server and the operator', async () => {
    const enroll = (id: string): ReturnType<Desk['enroll']> => house.desk().enroll(device(id), makeCsr(newKey(), id))
    await enroll('plant-8-a')
    await through({ ids: ['plant-7-*'], unit: 'plant-7' })
    await house.home.followCas()
    await expect(enroll('plant-8-b')).rejects.toMatchObject({ code: 'refused', reason: 'ca-name-outside' })
    expect((await enroll('plant-7-a')).certificate).toContain('BEGIN CERTIFICATE')
    const profiles = house.home.registry.certificates({ limit: 100 }).items.filter(({ issuer, state }) => issuer === 'issuing-2' && state === 'active').map(({ profile }) => profile)
    expect(profiles.toSorted()).toEqual(['device', 'operator', 'server'])
  })
})
