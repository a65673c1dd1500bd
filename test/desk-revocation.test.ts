// E29: what an operator asks to have revoked and should not, has asked for before, or does not know.

import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Authority } from '../src/ca/issue.ts'
import { SallyportError } from '../src/core/errors.ts'
import { parseCertificate } from '../src/x509/certificate.ts'
import type { SerialNumber } from '../src/core/ids.ts'
import { openDesk } from '../src/desk.ts'
import { openAdminClient } from '../src/http/admin-client.ts'
import type { Desk, Revocation } from '../src/core/desk.ts'
import { DEFAULT_RENEWAL } from '../src/core/renewal.ts'
import { openRenewal } from '../src/renewal.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { ask, device, newKey, openHouse, type House } from './http/house.ts'

let house: House
beforeEach(async () => {
  house = await openHouse()
})
afterEach(() => house[Symbol.asyncDispose]())

async function overApi(): Promise<Desk> {
  const { url } = await house.openAdmin()
  return openAdminClient({ url, cert: house.operator.cert, key: house.operator.key, ca: house.root })
}

async function refusal(work: Promise<unknown>): Promise<Pick<SallyportError, 'code' | 'reason' | 'message'>> {
  const error: unknown = await work.then(() => new Error('it was done'), (e: unknown) => e)
  if (error instanceof SallyportError) return error
  throw error as Error
}

const serialOf = (der: Uint8Array): SerialNumber => {
  const parsed = parseCertificate(der)
  if (!parsed.allow) throw new Error(parsed.detail)
  return parsed.value.serial as SerialNumber
}

describe.each(['at the desk', 'over the admin API'])('E29, %s', (where) => {
  const desk = (): Promise<Desk> => (where === 'at the desk' ? Promise.resolve(house.desk()) : overApi())

  test('a serial number that nobody has is not found', async () => {
    await using open = await desk()
    expect(await refusal(open.revoke({ serial: '4dff' as SerialNumber }, 'unspecified'))).toMatchObject({ code: 'not-found', reason: 'certificate-not-found' })
  })

  test('the certificates of root and issuing CA are not revoked through this door, and say whose they are', async () => {
    await using open = await desk()
    for (const [name, { der }] of Object.entries({ 'root': house.organisation.root, 'issuing-1': house.organisation.issuing })) {
      const refused = await refusal(open.revoke({ serial: serialOf(der) }, 'cACompromise'))
      expect(refused).toMatchObject({ code: 'refused', reason: 'certificate-purpose' })
      expect(refused.message).toContain(`the certificate of the CA ${name}; rotate the CA instead`)
    }
  })

  test('revoked before: the answer says so, and the first reason and time stay, also when the key turns out to be stolen', async () => {
    await using open = await desk()
    const { serial } = await house.device('d-1')
    expect(await open.revoke({ serial }, 'superseded')).not.toHaveProperty('before')
    const first = await open.certificate(serial)
    expect(await open.revoke({ serial }, 'keyCompromise')).toMatchObject({ revoked: [serial], before: [serial] })
    expect(await open.certificate(serial)).toEqual(first)
    expect(first).toMatchObject({ state: 'revoked', revocationReason: 'superseded' })
  })

  test('the last operator\'s own is refused; beside another operator it goes', async () => {
    await using open = await desk()
    const refused = await refusal(open.revoke({ serial: house.operator.serial }, 'keyCompromise'))
    expect(refused).toMatchObject({ code: 'refused', reason: 'last-admin' })
    expect(refused.message).toContain('Nobody would be left')
    await house.issue('operator', 'second')
    expect((await open.revoke({ serial: house.operator.serial }, 'keyCompromise')).revoked).toEqual([house.operator.serial])
  })
})

test('after its own certificate an operator is out at once', async () => {
  const second = await house.issue('operator', 'second')
  const { url } = await house.openAdmin()
  expect((await ask(url, house.root, { credential: second })).status).toBe(200)
  await house.desk().revoke({ serial: second.serial }, 'keyCompromise')
  expect((await ask(url, house.root, { credential: second })).status).toBe(403)
  expect((await ask(url, house.root, { credential: house.operator })).status).toBe(200)
})

test('that of the server is replaced with its revocation, by one of another key; of a device nothing follows', async () => {
  let followed = 0
  const ca = { genesis: (...of: Parameters<typeof house.home.genesis>) => house.home.genesis(...of), alone: house.home.alone, changed: async () => {
    followed += 1
    await house.home.followCas()
  } }
  const desk = openDesk({ registry: house.home.registry, view: house.home.view, audit: house.home.audit, authority: house.organisation.authority, policies: house.policies, ca, clock: Date.now }, { kind: 'local' })
  const servers = () => house.home.registry.certificates({ limit: 100 }).items.filter(({ profile }) => profile === 'server')
  const { serial } = servers()[0]!
  await house.device('d-1')
  await desk.revoke({ device: device('d-1') }, 'keyCompromise')
  expect(followed).toBe(0)
  await desk.revoke({ serial }, 'keyCompromise')
  expect(followed).toBe(1)
  const [revoked, fresh] = servers().toSorted((a, b) => a.createdAt - b.createdAt || Number(a.state === 'active') - Number(b.state === 'active'))
  expect([revoked?.serial, revoked?.state, fresh?.state]).toEqual([serial, 'revoked', 'active'])
  expect(fresh?.spkiSha256).not.toBe(revoked?.spkiSha256)
  // Asked again it is the same: nothing is issued twice.
  await desk.revoke({ serial }, 'keyCompromise')
  expect([followed, servers().length]).toEqual([1, 2])
})

test('of a device goes what it is being given at that very moment, too: a plan on its way to the registry is seen by nobody yet', async () => {
  const desk = house.desk()
  const { cert } = await house.device('d-1')
  const { authority } = house.organisation
  let revoked: Promise<Revocation> | undefined
  const meanwhile: Authority = {
    ...authority,
    async issue(request, actor) {
      const issuing = authority.issue(request, actor)
      // As far as the queue of commits, which are written when this turn of the event loop is over.
      for (let i = 0; i < 50; i++) await Promise.resolve()
      revoked = desk.revoke({ device: device('d-1') }, 'keyCompromise')
      return issuing
    },
  }
  const renewal = openRenewal({ registry: house.home.registry, view: house.home.view, authority: meanwhile, clock: Date.now, rules: () => DEFAULT_RENEWAL, log: () => {} })
  const answer = await renewal.renew({ presented: new X509Certificate(cert).raw, csr: makeCsr(newKey(), 'd-1'), mayBeLate: false }).then((it) => it.allow)
  const { revoked: serials } = await revoked!
  expect(answer).toBe(false)
  expect(serials).toHaveLength(2)
  expect(house.home.registry.certificates({ device: device('d-1') }).items.map(({ state }) => state)).toEqual(['revoked', 'revoked'])
})
