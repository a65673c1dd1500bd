// How often opening an organisation stretches its passphrase: each time costs half a second and 128 MiB, on purpose, and a
// start that does it twice for one key makes everybody wait for nothing.

import { chmodSync } from 'node:fs'
import path from 'node:path'
import type * as Crypto from 'node:crypto'
import { beforeEach, expect, test, vi } from 'vitest'
import { openOrganisation } from '../../src/ca/genesis.ts'
import { genesisPorts, openPlace } from './organisation.ts'

const stretched = vi.hoisted(() => ({ times: 0 }))

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof Crypto>()
  const scrypt = (...args: Parameters<typeof real.scrypt>): void => {
    stretched.times += 1
    real.scrypt(...args)
  }
  return { ...real, scrypt }
})

beforeEach(() => {
  stretched.times = 0
})

test('a first start stretches the passphrase once for each key that it seals, and a later start once for the key that signs', async () => {
  using place = openPlace()
  await openOrganisation(genesisPorts(place))
  expect(stretched.times).toBe(2)
  stretched.times = 0
  await openOrganisation(genesisPorts(place))
  expect(stretched.times).toBe(1)
})

test('a key file that others may read is refused at the next start', async () => {
  using place = openPlace()
  const ports = genesisPorts(place)
  await openOrganisation(ports)
  chmodSync(path.join(ports.paths.local, 'issuing.key'), 0o640)
  await expect(openOrganisation(ports)).rejects.toMatchObject({ code: 'key-permissions' })
})
