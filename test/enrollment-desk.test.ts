// Tokens over a real home: made by an operator, shown by strangers. Every way in beside the nearest way that is shut.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NewToken } from '../src/core/enrollment-desk.ts'
import type { Desk } from '../src/core/desk.ts'
import type { DeviceId, TokenName } from '../src/core/ids.ts'
import { openEnrollmentDoor, type EnrollmentDoor } from '../src/enrollment-desk.ts'
import { TOKEN_LIMITS } from '../src/enrollment-limits.ts'
import { parseCertificate } from '../src/x509/certificate.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { keyHash, spkiOf } from '../src/x509/keys.ts'
import { device, group, newKey, openHouse, type House } from './http/house.ts'

const HOUR = 3_600_000
let house: House
let desk: Desk
let door: EnrollmentDoor
let now = Date.now()
let count = 0
beforeAll(async () => {
  house = await openHouse()
  desk = house.desk()
  door = openEnrollmentDoor({ registry: house.home.registry, authority: house.organisation.authority, clock: () => now })
})
afterAll(() => house[Symbol.asyncDispose]())

type Key = ReturnType<typeof newKey>
const keyHashOf = (key: Key): string => keyHash(spkiOf(key)).slice(0, 12)
const derOf = (key: Key, name: string): Uint8Array => Buffer.from(makeCsr(key, name).split('\n').slice(1, -2).join(''), 'base64')

async function fresh(): Promise<DeviceId> {
  const id = device(`t-${++count}`)
  await desk.addDevice({ id, groups: [], attributes: {} })
  return id
}
async function tokenFor(facts: Partial<NewToken> & Pick<NewToken, 'target'>): Promise<string> {
  const [made] = await desk.createTokens([{ register: false, groups: [], networks: [], approve: 'auto', uses: 1, lifeMs: HOUR, ...facts }])
  return made!.token
}
const nameOf = (token: string): TokenName => token.slice(0, 8) as TokenName
/** The subject of the certificate, or why there is none. */
async function show(token: string, id: string, key: Key = newKey(), facts: { readonly said?: string; readonly from?: string } = {}): Promise<string> {
  const answer = await door.withToken({ token, device: facts.said, csr: derOf(key, id), source: { address: facts.from ?? '127.0.0.1', port: 1 } })
  if (!answer.allow) return answer.reason
  const certificate = parseCertificate(answer.value.certificate)
  return certificate.allow ? `${certificate.value.subject[0]?.[0]?.value} ${certificate.value.serial}` : 'not a certificate'
}
const usesOf = (token: string): number | undefined => house.home.registry.token(nameOf(token))?.uses

describe('a token of a device', () => {
  test('is good for one certificate, and for the same one again when the answer was lost (E03, E22)', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id } })
    const key = newKey()
    const first = await show(token, id, key)
    expect(first).toMatch(new RegExp(`^${id} [0-9a-f]{32}$`))
    expect(await show(token, id, key)).toBe(first)
    expect(await show(token, id)).toBe('token-used-up')
    expect(usesOf(token)).toBe(1)
  })

  test('may be typed in groups, as a sheet shows it', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id } })
    expect(await show(token.replaceAll('-', '').replaceAll(/.{5}/g, '$& '), id)).toContain(id)
  })

  test('is no token with another case, cut off, longer, with the secret of another, or under another name (E05)', async () => {
    const id = await fresh()
    const [token, other] = [await tokenFor({ target: { device: id } }), await tokenFor({ target: { device: id } })]
    for (const wrong of [token.toLowerCase(), token.slice(0, -1), `${token}0`, `${token.slice(0, 9)}${other.slice(9)}`, `ZZZZZZZZ${token.slice(8)}`, '', '-', token.slice(0, 8), token.slice(9)]) expect(await show(wrong, id), wrong).toBe('token-unknown')
    expect(await show(token, id)).toContain(id)
  })

  test('says nothing of the device to who has not its secret', async () => {
    expect(await show('ABCDEFGH-00000000000000000000000000', 'nobody-here')).toBe('token-unknown')
  })

  test('is for that device, whatever the request says besides (E02)', async () => {
    const [id, other] = [await fresh(), await fresh()]
    const token = await tokenFor({ target: { device: id } })
    expect(await show(token, other)).toBe('token-device')
    expect(await show(token, other, newKey(), { said: id })).toBe('csr-name-mismatch')
    expect(await show(token, id, newKey(), { said: other })).toBe('token-device')
    expect(await show(token, '../x', newKey(), {})).toBe('device-id-invalid')
    expect(usesOf(token)).toBe(0)
    expect(await show(token, id, newKey(), { said: id })).toContain(id)
  })

  test('expires, is revoked, and is bound to networks (E05)', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id }, networks: ['10.0.0.0/8', '2001:db8::/32'] })
    expect(await show(token, id, newKey(), { from: '11.0.0.1' })).toBe('token-source')
    const before = now
    now = house.home.registry.token(nameOf(token))!.expiresAt
    expect(await show(token, id, newKey(), { from: '10.1.2.3' })).toBe('token-expired')
    now -= 1
    expect(await show(token, id, newKey(), { from: '10.1.2.3' })).toContain(id)
    now = before
    const another = await tokenFor({ target: { device: id } })
    await desk.revokeToken(nameOf(another))
    expect(await show(another, id)).toBe('token-revoked')
  })

  test('gives a device that is out none, and is not used up by asking', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id } })
    await desk.changeDevice(id, 'suspend')
    expect(await show(token, id)).toBe('device-suspended')
    await desk.changeDevice(id, 'resume')
    expect(usesOf(token)).toBe(0)
    expect(await show(token, id)).toContain(id)
  })

  test('is not used up by a key that another device has, and does not bring back one that was revoked (E11)', async () => {
    const [id, other] = [await fresh(), await fresh()]
    const [key, shared] = [newKey(), newKey()]
    await desk.enroll(other, makeCsr(shared, other))
    const token = await tokenFor({ target: { device: id } })
    expect(await show(token, id, shared)).toBe('key-in-use')
    expect(usesOf(token)).toBe(0)
    expect(await show(token, id, key)).toContain(id)
    await desk.revoke({ device: id }, 'keyCompromise')
    expect(await show(token, id, key)).toBe('token-used-up')
    expect(await show(await tokenFor({ target: { device: id } }), id, key)).toBe('key-in-use')
  })

  test('fifty that race with keys of their own get one certificate between them (E04)', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id } })
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => show(token, id)))
    expect(outcomes.filter((o) => o.startsWith(id))).toHaveLength(1)
    expect(outcomes.filter((o) => o === 'token-used-up')).toHaveLength(49)
    expect(house.home.view.certificatesOf(id)).toHaveLength(1)
  })

  test('fifty that race with one key get the same certificate', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id } })
    const key = newKey()
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => show(token, id, key)))).size).toBe(1)
    expect([usesOf(token), house.home.view.certificatesOf(id).length]).toEqual([1, 1])
  })
})

describe('a token of a pattern', () => {
  test('is for the devices that fit, as often as it says', async () => {
    const [a, b, c] = [await fresh(), await fresh(), await fresh()]
    const token = await tokenFor({ target: { pattern: 't-*' }, uses: 2 })
    expect(await show(token, 'u-1')).toBe('token-device')
    expect([await show(token, a), await show(token, b), await show(token, c)]).toEqual([expect.stringContaining(a), expect.stringContaining(b), 'token-used-up'])
  })

  test('registers who is not registered only where it says so, in its groups', async () => {
    const closed = await tokenFor({ target: { pattern: 'new-*' } })
    expect(await show(closed, 'new-1')).toBe('device-unknown')
    const open = await tokenFor({ target: { pattern: 'new-*' }, register: true, groups: [group('sensors')], uses: 2 })
    const key = newKey()
    const first = await show(open, 'new-1', key)
    expect(first).toContain('new-1')
    expect(await desk.device(device('new-1'))).toMatchObject({ groups: ['sensors'], state: 'active' })
    expect(await show(open, 'new-1', key)).toBe(first)
    expect(await show(open, 'new-2')).toContain('new-2')
    expect(await show(open, 'new-3')).toBe('token-used-up')
    expect(house.home.registry.device(device('new-3'))).toBeUndefined()
  })

  test('of fifty strangers that race to be registered as many come in as it says', async () => {
    const token = await tokenFor({ target: { pattern: 'race-*' }, register: true, uses: 7 })
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, i) => show(token, `race-${i}`)))
    expect(outcomes.filter((o) => o.startsWith('race-'))).toHaveLength(7)
    expect(Array.from({ length: 50 }, (_, i) => house.home.registry.device(device(`race-${i}`))).filter((d) => d !== undefined)).toHaveLength(7)
  })

  test('fifty that race to be one new device make it once, and no certificate beyond what it may have', async () => {
    const token = await tokenFor({ target: { pattern: 'one-*' }, register: true, uses: 50 })
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => show(token, 'one-1')))
    expect(new Set(outcomes.map((o) => (o.startsWith('one-1') ? 'certificate' : o)))).toEqual(new Set(['certificate', 'certificates-limit']))
    expect(house.home.view.certificatesOf(device('one-1')).filter((c) => c.state === 'active')).toHaveLength(2)
  })
})

describe('a token that asks for an operator', () => {
  test('has its device wait until one approves, and is not used meanwhile', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id }, approve: 'operator' })
    const key = newKey()
    expect([await show(token, id, key), await show(token, id, key)]).toEqual(['enrollment-pending', 'enrollment-pending'])
    expect(usesOf(token)).toBe(0)
    const waiting = (await desk.enrollments({})).items.find((e) => e.device === id)
    await desk.decideEnrollment(waiting!.id, 'approved')
    expect(await show(token, id, key)).toContain(id)
    expect(usesOf(token)).toBe(1)
  })

  test('an approval is for that key and no other, and a rejection stands', async () => {
    const id = await fresh()
    const token = await tokenFor({ target: { device: id }, approve: 'operator', uses: 5 })
    const [good, bad] = [newKey(), newKey()]
    await show(token, id, good)
    await show(token, id, bad)
    const of = async (key: Key): Promise<string> => (await desk.enrollments({})).items.find((e) => e.device === id && e.id.endsWith(keyHashOf(key)))!.id
    await desk.decideEnrollment(await of(good), 'approved')
    expect(await show(token, id, bad)).toBe('enrollment-pending')
    await desk.decideEnrollment(await of(bad), 'rejected')
    expect([await show(token, id, bad), await show(token, id, good)]).toEqual(['enrollment-rejected', expect.stringContaining(id)])
  })

  test('fills no operator\'s list by itself: one that is good once has so many keys waiting, and others wait beside it', async () => {
    const [id, other] = [await fresh(), await fresh()]
    const token = await tokenFor({ target: { device: id }, approve: 'operator' })
    const key = newKey()
    expect(await show(token, id, key)).toBe('enrollment-pending')
    const outcomes: string[] = []
    for (let i = 0; i < TOKEN_LIMITS.waitingBeyondUsesMax + 5; i++) outcomes.push(await show(token, id))
    expect(outcomes.filter((o) => o === 'enrollment-pending')).toHaveLength(TOKEN_LIMITS.waitingBeyondUsesMax)
    expect(outcomes.at(-1)).toBe('enrollment-rate')
    expect([await show(token, id, key), await show(await tokenFor({ target: { device: other }, approve: 'operator' }), other)]).toEqual(['enrollment-pending', 'enrollment-pending'])
  })

  test('an unknown device is registered when it is approved, not before', async () => {
    const token = await tokenFor({ target: { pattern: 'wait-*' }, approve: 'operator', register: true })
    const key = newKey()
    expect(await show(token, 'wait-1', key)).toBe('enrollment-pending')
    expect(house.home.registry.device(device('wait-1'))).toBeUndefined()
    await desk.decideEnrollment((await desk.enrollments({})).items.find((e) => e.device === 'wait-1')!.id, 'approved')
    expect(await show(token, 'wait-1', key)).toContain('wait-1')
  })
})

describe('an operator', () => {
  test('sees tokens without what would let anybody guess them, in the list and in the audit log', async () => {
    const token = await tokenFor({ target: { device: device('seen') } })
    const hash = house.home.registry.token(nameOf(token))!.proof.sha256
    const listed = JSON.stringify([await desk.tokens({ limit: 1_000 }), await desk.auditTail(1_000)])
    expect(listed).toContain(nameOf(token))
    expect(listed.includes(token.slice(9)) || listed.includes(hash)).toBe(false)
  })

  test('makes a sheet of tokens in one go, each another, or none', async () => {
    const made = await desk.createTokens(Array.from({ length: 500 }, () => ({ target: { device: device('s') }, register: false, groups: [], networks: [], approve: 'auto', uses: 1, lifeMs: 1 }) as const))
    expect(new Set(made.map((t) => t.token)).size).toBe(500)
  })

  test('is told of a token and a request that are not there', async () => {
    await expect(desk.revokeToken('ZZZZZZZZ' as TokenName)).rejects.toMatchObject({ reason: 'token-not-found' })
    await expect(desk.decideEnrollment('nobody', 'approved')).rejects.toMatchObject({ reason: 'enrollment-not-found' })
  })
})
