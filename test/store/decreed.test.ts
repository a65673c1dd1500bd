// What an operator ordered and the registry could not record: that it is in force at once, for as long as it should be, and
// that what is recorded is still told apart from it.

import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../src/core/ids.ts'
import type { Change } from '../../src/core/registry.ts'
import { openRegistry } from '../../src/store/sqlite/registry.ts'
import { openDecreedView, type Decree } from '../../src/store/decreed.ts'
import { openView } from '../../src/store/view.ts'
import { added, CA, issued, NOW, plan, printOf, revoked, serialOf } from '../contract/records.ts'
import { tempDir } from './temp.ts'

const id = (text: string): DeviceId => text as DeviceId
const REVOKED = revoked('x') as Decree
const SUSPENDED: Decree = { kind: 'device-state', id: id('a'), state: 'suspended' }
const RETIRED: Decree = { kind: 'device-state', id: id('a'), state: 'retired' }

async function openStanding() {
  const dir = tempDir()
  const registry = openRegistry(dir.file('registry.db'), { clock: () => NOW })
  await registry.commit([added('a'), plan('x', 'a'), issued('x'), added('b'), plan('y', 'b'), issued('y')], [], [])
  const view = openView(registry)
  const standing = openDecreedView(view)
  return {
    standing, commit: (...changes: Change[]) => registry.commit(changes, [], []),
    certificate: (name: string) => [standing.certificate(CA, serialOf(name))?.state, standing.certificateBySha256(printOf(name))?.state],
    [Symbol.dispose]() {
      standing[Symbol.dispose]()
      view[Symbol.dispose]()
      registry.close()
      dir[Symbol.dispose]()
    },
  }
}

describe('what is decreed', () => {
  test('a revocation is in force before anybody hears of it, for this certificate and no other, and is not taken for recorded', async () => {
    using house = await openStanding()
    const heard: unknown[] = []
    house.standing.onChange((change) => heard.push([change.kind, house.certificate('x')]))
    house.standing.decree([REVOKED])
    expect(heard).toEqual([['certificate-revoked', ['revoked', 'revoked']]])
    expect(house.standing.certificate(CA, serialOf('x'))).toMatchObject({ revocationReason: (REVOKED as { reason: string }).reason })
    expect(house.certificate('y')).toEqual(['active', 'active'])
    expect(house.standing.certificatesOf(id('a')).map(({ state }) => state)).toEqual(['active'])
  })

  test('once it is recorded the registry speaks, and the follower hears of it a second time', async () => {
    using house = await openStanding()
    const heard: string[] = []
    house.standing.onChange((change) => heard.push(change.kind))
    house.standing.decree([REVOKED])
    expect((await house.commit(REVOKED)).allow).toBe(true)
    expect(heard).toEqual(['certificate-revoked', 'certificate-revoked'])
    expect(house.certificate('x')).toEqual(['revoked', 'revoked'])
    expect(house.standing.certificatesOf(id('a')).map(({ state }) => state)).toEqual(['revoked'])
  })

  test('a suspension holds through changes of others, and ends when it is taken back or another state is recorded', async () => {
    using house = await openStanding()
    const state = (): string | undefined => house.standing.device(id('a'))?.state
    house.standing.decree([SUSPENDED])
    await house.commit({ kind: 'device-state', id: id('b'), state: 'quarantined' })
    expect([state(), house.standing.device(id('b'))?.state]).toEqual(['suspended', 'quarantined'])
    house.standing.lift(id('a'))
    expect(state()).toBe('active')
    house.standing.decree([SUSPENDED])
    await house.commit({ kind: 'device-state', id: id('a'), state: 'quarantined' })
    expect(state()).toBe('quarantined')
  })

  test('a retirement that is not recorded keeps the device out, and does not make it look gone for ever', async () => {
    using house = await openStanding()
    house.standing.decree([RETIRED])
    expect(house.standing.device(id('a'))?.state).toBe('suspended')
  })

  test('who is not registered is not made up', async () => {
    using house = await openStanding()
    house.standing.decree([{ kind: 'device-state', id: id('nobody'), state: 'suspended' }])
    expect(house.standing.device(id('nobody'))).toBeUndefined()
  })
})
