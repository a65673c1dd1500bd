// Revoking by group, CA and window over a real registry: who is meant and nobody else, what a dry run tells, and the number
// that must not have grown.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { X509Certificate } from 'node:crypto'
import { openHouse, device, group, newKey, type House } from './http/house.ts'
import type { Desk } from '../src/core/desk.ts'
import type { NewToken } from '../src/core/enrollment-desk.ts'
import type { CaName, SerialNumber, TokenName } from '../src/core/ids.ts'
import type { RevocationChoice } from '../src/core/mass-revocation.ts'
import { DEFAULT_RENEWAL } from '../src/core/renewal.ts'
import type { Authority } from '../src/ca/issue.ts'
import { plan } from './contract/records.ts'
import { openEnrollmentDoor, type EnrollmentDoor } from '../src/enrollment-desk.ts'
import { revokeMany } from '../src/mass-revocation.ts'
import { openRenewal, type Renewal } from '../src/renewal.ts'
import { openView } from '../src/store/view.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { spkiOf } from '../src/x509/keys.ts'

let house: House
let desk: Desk
beforeEach(async () => {
  house = await openHouse()
  desk = house.desk({ closed: () => Promise.resolve(1), connected: () => 1 })
})
afterEach(() => house[Symbol.asyncDispose]())

const states = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await desk.certificates({ limit: 100 })).items.map((c) => [c.device ?? c.profile, c.state]))
const revoke = (choice: RevocationChoice, more: { readonly dryRun?: boolean; readonly atMost?: number } = {}): ReturnType<Desk['revokeMany']> => desk.revokeMany({ choice, reason: 'keyCompromise', dryRun: false, ...more })

async function inLab(id: string): Promise<void> {
  await house.device(id)
  await desk.describeDevice(device(id), { groups: [group('lab')] })
}

describe('revoking many', () => {
  test('a dry run counts, names the first devices, and changes nothing', async () => {
    for (let i = 0; i < 12; i++) await house.device(`d-${String(i).padStart(2, '0')}`)
    const before = await states()
    expect(await revoke({ group: group('sensors') }, { dryRun: true })).toEqual({ dryRun: true, certificates: 12, devices: 12, sessions: 12, closedMs: 0, first: Array.from({ length: 10 }, (_, i) => `d-${String(i).padStart(2, '0')}`) })
    expect(await states()).toEqual(before)
  })

  test('a group is revoked with its sessions, and nobody else is', async () => {
    await house.device('s-1')
    await inLab('l-1')
    expect(await revoke({ group: group('lab') })).toMatchObject({ certificates: 1, devices: 1, sessions: 1 })
    expect(await states()).toMatchObject({ 's-1': 'active', 'l-1': 'revoked' })
    expect(await revoke({ group: group('lab') })).toMatchObject({ certificates: 0 })
  })

  test('a group: what counted as ended long ago, by a clock that was ahead when the server started, is revoked when the clock is right again', async () => {
    await inLab('l-1')
    const soon = Date.now() + 3_600_000
    const issued = await house.organisation.authority.issue({ profile: 'device', commonName: 'l-1', device: device('l-1'), spki: spkiOf(newKey()), until: soon }, { kind: 'system' })
    if (!issued.allow) throw new Error(issued.reason)
    const { serial, createdAt } = issued.value.record
    using view = openView(house.home.registry, soon + 1)
    expect(view.certificatesOf(device('l-1'))).toHaveLength(1)
    const ports = { registry: house.home.registry, view, sessions: undefined, decrees: undefined, clock: Date.now, actor: { kind: 'local' } } as const
    expect(await revokeMany(ports, { choice: { group: group('lab') }, reason: 'keyCompromise', dryRun: true })).toMatchObject({ certificates: 2 })
    expect(await revokeMany(ports, { choice: { group: group('lab'), issuedAfter: createdAt }, reason: 'keyCompromise', dryRun: false })).toMatchObject({ certificates: 1 })
    expect((await desk.certificate(serial)).state).toBe('revoked')
  })

  test('a CA: its devices, and not the operator or the server, who would be locked out', async () => {
    await house.device('s-1')
    const claim = await house.issue('claim', 'line-1')
    expect(await revoke({ ca: 'issuing-1' as CaName })).toMatchObject({ certificates: 2, devices: 1 })
    expect(await states()).toMatchObject({ 's-1': 'revoked', operator: 'active', server: 'active' })
    expect((await desk.certificate(claim.serial)).state).toBe('revoked')
    await expect(revoke({ ca: 'elsewhere' as CaName })).rejects.toMatchObject({ reason: 'request-invalid' })
  })

  test('a window takes its first millisecond and not its last', async () => {
    const { serial } = await house.device('s-1')
    const { createdAt } = await desk.certificate(serial)
    for (const [issuedAfter, issuedBefore, certificates] of [[createdAt + 1, createdAt + 9, 0], [createdAt - 9, createdAt, 0], [createdAt, createdAt + 1, 1]] as const) {
      expect(await revoke({ issuedAfter, issuedBefore })).toMatchObject({ certificates })
    }
  })

  test('all that is said must hold', async () => {
    await inLab('l-1')
    expect(await revoke({ group: group('lab'), issuedBefore: 1 })).toMatchObject({ certificates: 0 })
    expect(await revoke({ group: group('lab'), issuedAfter: 1 })).toMatchObject({ certificates: 1 })
  })

  test('more than was counted is refused, and nothing is revoked', async () => {
    await house.device('s-1')
    await house.device('s-2')
    await expect(revoke({ group: group('sensors') }, { atMost: 1 })).rejects.toMatchObject({ reason: 'revision-conflict' })
    expect(await states()).toMatchObject({ 's-1': 'active', 's-2': 'active' })
    expect(await revoke({ group: group('sensors') }, { atMost: 2 })).toMatchObject({ certificates: 2 })
  })

  test('twenty at once revoke each certificate once', async () => {
    for (let i = 0; i < 5; i++) await house.device(`d-${i}`)
    const answers = await Promise.all(Array.from({ length: 20 }, () => revoke({ group: group('sensors') })))
    expect(answers.reduce((sum, { certificates }) => sum + certificates, 0)).toBe(5)
  })

  describe('through a token', () => {
    const tokenFor = (more: Partial<NewToken> = {}): NewToken => ({ target: { pattern: 's-*' }, register: true, groups: [], networks: [], approve: 'auto', uses: 9, lifeMs: 3_600_000, ...more })
    const derOf = (csr: string): Uint8Array => Buffer.from(csr.split('\n').slice(1, -2).join(''), 'base64')
    const sourceOfAll = { address: '127.0.0.1', port: 1 }
    interface Enrolled { readonly der: Uint8Array; readonly serial: string }
    async function came(token: string, id: string): Promise<Enrolled> {
      const answer = await doorOf().withToken({ token, csr: derOf(makeCsr(newKey(), id)), source: sourceOfAll })
      if (!answer.allow) throw new Error(answer.reason)
      const der = answer.value.certificate
      return { der, serial: new X509Certificate(der).serialNumber.toLowerCase() }
    }
    const doorOf = (authority = house.organisation.authority): EnrollmentDoor => openEnrollmentDoor({ registry: house.home.registry, authority, clock: Date.now })
    const renewalOf = (authority = house.organisation.authority): Renewal => openRenewal({ registry: house.home.registry, view: house.home.view, authority, clock: Date.now, rules: () => DEFAULT_RENEWAL, log: () => {} })
    async function renewed(presented: Uint8Array, id: string): Promise<Enrolled> {
      const answer = await renewalOf().renew({ presented, csr: makeCsr(newKey(), id), mayBeLate: true })
      if (!answer.allow) throw new Error(answer.reason)
      return { der: answer.value.der, serial: answer.value.record.serial }
    }
    const stateOf = async (serial: string): Promise<string> => (await desk.certificate(serial as SerialNumber)).state

    test('goes what it gave, what was renewed from that, and what was renewed from that; nothing else, and the token is shut', async () => {
      const [one, other] = await desk.createTokens([tokenFor(), tokenFor()])
      const first = await came(one!.token, 's-1')
      const second = await renewed(first.der, 's-1')
      const third = await renewed(second.der, 's-1')
      const beside = await came(other!.token, 's-2')
      const byHand = await house.device('s-3')
      expect(await revoke({ token: one!.name }, { dryRun: true })).toMatchObject({ devices: 1, first: ['s-1'] })
      expect([await stateOf(second.serial), house.home.registry.token(one!.name)?.revokedAt]).toEqual(['active', undefined])
      await revoke({ token: one!.name })
      expect(await Promise.all([first, second, third, beside, byHand].map(({ serial }) => stateOf(serial)))).toEqual(['revoked', 'revoked', 'revoked', 'active', 'active'])
      await expect(came(one!.token, 's-9')).rejects.toThrow('token-revoked')
      await expect(came(other!.token, 's-8')).resolves.toBeDefined()
      await expect(renewed(third.der, 's-1')).rejects.toThrow('certificate-revoked')
    })

    test('its own certificate goes with a claim, and a claim that nobody used is shut all the same', async () => {
      const claim = await desk.createClaim(tokenFor(), makeCsr(newKey(), 'claim'))
      expect(await revoke({ token: claim.name }, { dryRun: true })).toMatchObject({ certificates: 1, devices: 0 })
      expect(await revoke({ token: claim.name })).toMatchObject({ certificates: 1, devices: 0 })
      expect(await desk.certificate(claim.serial)).toMatchObject({ state: 'revoked', revocationReason: 'keyCompromise' })
      const [unused] = await desk.createTokens([tokenFor()])
      expect(await revoke({ token: unused!.name })).toMatchObject({ certificates: 0 })
      expect(house.home.registry.token(unused!.name)?.revokedAt).toBeDefined()
      await expect(revoke({ token: 'ZZZZZZZZ' as TokenName })).rejects.toMatchObject({ reason: 'token-not-found' })
    })

    /** Everything through this token is revoked after the request was judged, and before its plan is committed. */
    const revokingFirst = (name: TokenName): Authority => {
      const { authority } = house.organisation
      return { ...authority, issue: async (request, actor) => {
        await revoke({ token: name })
        return authority.issue(request, actor)
      } }
    }
    const leftOf = async (name: TokenName): Promise<readonly unknown[]> => (await desk.certificates({ through: name, limit: 500 })).items.filter((c) => c.state !== 'revoked')

    test('who is being enrolled at that moment gets nothing, be the device known or new', async () => {
      for (const id of ['s-known', 's-new']) {
        const [one] = await desk.createTokens([tokenFor()])
        if (id === 's-known') await desk.addDevice({ id: device(id), groups: [], attributes: {} })
        const answer = await doorOf(revokingFirst(one!.name)).withToken({ token: one!.token, csr: derOf(makeCsr(newKey(), id)), source: sourceOfAll })
        expect(answer).toMatchObject({ allow: false, reason: 'token-revoked' })
        expect(await leftOf(one!.name)).toEqual([])
      }
    })

    test('and who is being renewed', async () => {
      const [one] = await desk.createTokens([tokenFor()])
      const { der } = await came(one!.token, 's-1')
      expect(await renewalOf(revokingFirst(one!.name)).renew({ presented: der, csr: makeCsr(newKey(), 's-1'), mayBeLate: true })).toMatchObject({ allow: false })
      expect(await leftOf(one!.name)).toEqual([])
    })

    test('what was renewed before its turn came, and stands before the page that is read, goes too', async () => {
      const [one] = await desk.createTokens([tokenFor()])
      await came(one!.token, 's-1')
      let once = true
      // The session of the first is being closed: that of the second page has just been renewed.
      const sweeping = house.desk({
        closed: async () => {
          if (once) await house.home.registry.commit([plan('late', 's-1', { serial: '01' as SerialNumber, issuer: 'issuing-1' as CaName, through: one!.name, notAfter: Date.now() + 3_600_000 })], [], [])
          once = false
          return 0
        },
      })
      await sweeping.revokeMany({ choice: { token: one!.name }, reason: 'keyCompromise', dryRun: false })
      expect(await leftOf(one!.name)).toEqual([])
    })

    test('fifty that enroll and fifty that renew meanwhile leave nothing', async () => {
      const [one] = await desk.createTokens([tokenFor({ uses: 500 })])
      const before = await Promise.all(Array.from({ length: 50 }, (_, i) => came(one!.token, `s-${i}`)))
      const renewing = before.map(({ der }, i) => renewed(der, `s-${i}`).catch(() => undefined))
      const coming = Array.from({ length: 50 }, (_, i) => came(one!.token, `s-n${i}`).catch(() => undefined))
      await Promise.all([...renewing, ...coming, revoke({ token: one!.name })])
      expect(await leftOf(one!.name)).toEqual([])
    })
  })
})
