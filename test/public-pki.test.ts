// The public door's own certificate: one who looks for it twice at the same time.

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { REGISTRY_LIMITS } from '../src/limits.ts'
import { openDoor } from './pki/door.ts'

test('a responder certificate that is missing is issued once, by however many it is missed at the same time', async () => {
  await using door = await openDoor()
  const issued = (): number => door.house.home.registry.certificates({ limit: REGISTRY_LIMITS.pageSizeMax }).items.filter(({ profile }) => profile === 'ocsp-responder').length
  expect(issued()).toBe(1)
  rmSync(door.file('certs/local/ocsp-responder'), { recursive: true })
  await Promise.all([door.pki.renew(), door.pki.renew(), door.pki.renew()])
  expect(issued()).toBe(2)
  await door.pki.renew()
  expect(issued()).toBe(2)
})

test('one that could not be had is had by the next who looks', async () => {
  await using door = await openDoor()
  const folder = door.file('certs/local/ocsp-responder')
  renameSync(folder, `${folder}.away`)
  writeFileSync(folder, 'no folder')
  await expect(door.pki.renew()).rejects.toThrow()
  rmSync(folder)
  mkdirSync(folder)
  await expect(door.pki.renew()).resolves.toBeUndefined()
})
