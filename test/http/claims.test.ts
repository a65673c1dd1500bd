// Tokens that a certificate proves, and the journal, through the admin API: the client and the server agree, and nothing is taken that has a
// field too many.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Desk } from '../../src/core/desk.ts'
import { DEFAULT_TENANT, type CaName } from '../../src/core/ids.ts'
import type { NewToken } from '../../src/core/enrollment-desk.ts'
import { recordForeignCas } from '../../src/foreign.ts'
import { openAdminClient } from '../../src/http/admin-client.ts'
import type { AdminServer } from '../../src/http/admin.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { keyHash } from '../../src/x509/keys.ts'
import { makeCa, spkiOf } from '../x509/forge.ts'
import { ask, newKey, openHouse, type House } from './house.ts'

const TOKEN: NewToken = { target: { pattern: 'line-*' }, register: true, groups: [], networks: ['10.0.0.0/8'], approve: 'operator', uses: 3, lifeMs: 60_000 }
let house: House
let admin: AdminServer
let desk: Desk
beforeAll(async () => {
  house = await openHouse()
  const factory = makeCa({ name: 'Factory' })
  await recordForeignCas(house.home, [{ name: 'factory' as CaName, role: 'trusted', tenant: DEFAULT_TENANT, der: factory.der, spkiSha256: keyHash(spkiOf(factory.key)), enrollsOnly: false }])
  admin = await house.openAdmin()
  desk = openAdminClient({ url: admin.url, key: house.operator.key, cert: house.operator.cert, ca: house.root })
})
afterAll(async () => {
  await desk[Symbol.asyncDispose]()
  await house[Symbol.asyncDispose]()
})

test('a claim and a manufacturer are admitted, listed without a secret, suspended, resumed and revoked', async () => {
  const claim = await desk.createClaim(TOKEN, makeCsr(newKey(), 'claim'))
  expect(claim.certificate).toContain('BEGIN CERTIFICATE')
  const rule = await desk.admitManufacturer(TOKEN, { ca: 'factory' as CaName, nameFrom: 'serialNumber', prefix: 'f-' })
  const [secret] = await desk.createTokens([TOKEN])
  const listed = (await desk.tokens({})).items
  expect(Object.fromEntries(listed.map(({ name, proof }) => [name, proof]))).toEqual({
    [claim.name]: { kind: 'claim', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    [rule.name]: { kind: 'manufacturer', ca: 'factory', nameFrom: 'serialNumber', prefix: 'f-', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    [secret!.name]: { kind: 'secret' },
  })
  expect(listed.find((t) => t.name === claim.name)).toMatchObject({ networks: TOKEN.networks, approve: 'operator', usesMax: 3, register: true })
  for (const { name } of listed) {
    expect((await desk.suspendToken(name, true)).suspendedAt).toBeDefined()
    expect(await desk.suspendToken(name, true)).toEqual(await desk.suspendToken(name, true))
    expect((await desk.suspendToken(name, false)).suspendedAt).toBeUndefined()
    expect((await desk.revokeToken(name)).revokedAt).toBeDefined()
  }
  expect((await desk.certificate(claim.serial)).state).toBe('revoked')
  await expect(desk.suspendToken('ZZZZZZZZ' as never, true)).rejects.toMatchObject({ reason: 'token-not-found' })
})

test('the journal names the operator who asked, and chooses', async () => {
  const claim = await desk.createClaim(TOKEN, makeCsr(newKey(), 'claim'))
  const by = { kind: 'operator', name: house.operator.serial }
  const found = await desk.journal({ through: claim.name })
  expect(found.items).toMatchObject([{ serial: claim.serial, profile: 'claim', state: 'active', by }])
  expect((await desk.journal({ by: 'operator', name: house.operator.serial, limit: 100 })).items.map((e) => e.serial)).toContain(claim.serial)
  expect((await desk.journal({ by: 'operator', name: 'nobody' })).items).toEqual([])
  // The program made its own before anybody could ask.
  const own = await desk.journal({ by: 'system', limit: 1 })
  expect(own.items).toHaveLength(1)
  expect((await desk.journal({ by: 'system', limit: 1, after: own.next })).items[0]?.serial).not.toBe(own.items[0]!.serial)
  expect((await desk.certificates({ through: claim.name, profile: 'claim' })).items.map((c) => c.serial)).toEqual([claim.serial])
})

test.each([
  ['POST', '/v1/tokens/claim', { token: TOKEN }],
  ['POST', '/v1/tokens/claim', { token: { ...TOKEN, secret: 'x' }, csr: '' }],
  ['POST', '/v1/tokens/claim', { token: TOKEN, csr: 'x'.repeat(60_000) }],
  ['POST', '/v1/tokens/manufacturer', { token: TOKEN, rule: { ca: 'factory', nameFrom: 'OU', prefix: '' } }],
  ['POST', '/v1/tokens/manufacturer', { token: TOKEN, rule: { ca: 'factory', nameFrom: 'CN', prefix: '../' } }],
  ['POST', '/v1/tokens/AAAAAAAA/suspension', { suspended: 'yes' }],
  ['POST', '/v1/tokens/aaaaaaaa/suspension', { suspended: true }],
  ['GET', '/v1/journal?by=friend', undefined],
  ['GET', `/v1/journal?name=${'x'.repeat(300)}`, undefined],
] as const)('%s %s refuses what it does not know', async (method, path, body) => {
  const tokens = house.home.registry.tokens({ limit: 500 }).items.length
  const answer = await ask(admin.url, house.root, { method, path, credential: house.operator, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  expect(answer.status).toBe(400)
  expect(house.home.registry.tokens({ limit: 500 }).items).toHaveLength(tokens)
})

test.each([1, 999, 1_000])('a claim of %i ms would be over before its certificate is: it is refused as a request, and nothing is made; one of three seconds is made', async (lifeMs) => {
  const tokens = house.home.registry.tokens({ limit: 500 }).items.length
  await expect(desk.createClaim({ ...TOKEN, lifeMs }, makeCsr(newKey(), 'claim'))).rejects.toMatchObject({ code: 'refused', reason: 'request-invalid' })
  expect(house.home.registry.tokens({ limit: 500 }).items).toHaveLength(tokens)
  expect((await desk.createClaim({ ...TOKEN, lifeMs: 3_000 }, makeCsr(newKey(), 'claim'))).certificate).toContain('BEGIN CERTIFICATE')
})

test('who is no operator is told nothing', async () => {
  const device = await house.device('nosy-1')
  for (const path of ['/v1/journal', '/v1/tokens']) expect((await ask(admin.url, house.root, { path, credential: device })).status).toBe(403)
})
