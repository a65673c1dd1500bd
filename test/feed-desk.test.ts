// The desk's part about what is and what was, over an open home: a refusal with its way, the page of a device, and what an operator of a
// tenant sees of it.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Connections } from '../src/connections.ts'
import type { Desk } from '../src/core/desk.ts'
import { sessionKey, type DeviceId, type TenantId } from '../src/core/ids.ts'
import { limitToTenant } from '../src/core/tenant-desk.ts'
import { openDesk } from '../src/desk.ts'
import { openFeed, type Feed } from '../src/feed.ts'
import { openMemorySessions } from '../src/store/sessions/memory.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { device, newKey, openHouse, type House } from './http/house.ts'

let house: House
let desk: Desk
let feed: Feed
const store = openMemorySessions()
const ACME = 'acme' as TenantId
const nobodyConnected: Connections = { page: () => Promise.resolve({ items: [], matched: 0 }), of: () => [], end: () => Promise.reject(new Error('nobody')), counted: () => ({ devices: 0, sessions: 0 }) }

beforeAll(async () => {
  house = await openHouse()
  const { home, organisation, policies } = house
  feed = openFeed({ audit: home.audit, clock: Date.now, log: () => {} })
  desk = openDesk({
    registry: home.registry, view: home.view, audit: home.audit, authority: organisation.authority, policies, ca: home, clock: Date.now,
    live: { feed: () => Promise.resolve(feed), running: { connections: nobodyConnected, store }, memory: {} },
  }, { kind: 'local' })
  await desk.addDevice({ id: device('ours'), groups: [], attributes: {} })
  await desk.addDevice({ id: device('theirs'), groups: [], attributes: {}, tenant: ACME })
})
afterAll(async () => {
  feed[Symbol.dispose]()
  await store.close()
  await house[Symbol.asyncDispose]()
})

const refuse = (facts: { readonly device?: DeviceId; readonly claimed?: string }): number => {
  house.home.audit.record({ kind: 'refusal', at: Date.now(), step: 'registry', reason: 'device-suspended', ...facts, presented: { subject: 'CN=x', serial: '40aa', notAfter: 1 } })
  return feed.events.head.id
}

describe('a refusal', () => {
  test('is shown with all that is known, the way it took, and those like it', async () => {
    const first = refuse({ device: device('ours') })
    refuse({ device: device('theirs') })
    const second = refuse({ device: device('ours') })
    const shown = await desk.refusal(second)
    expect(shown).toMatchObject({ id: second, device: 'ours', reason: 'device-suspended', presented: { subject: 'CN=x', serial: '40aa', notAfter: 1 }, count: 1, similar: { count: 2, newest: [{ id: first }] } })
    expect(shown.path.find(({ state }) => state === 'stopped')?.name).toBe('registry')
    expect(shown.path.filter(({ state }) => state === 'passed')).toHaveLength(9)
  })
  test('that is not there is not found: another event of that number, or none', async () => {
    await house.device('noise')
    await expect(desk.refusal(feed.events.head.id)).rejects.toMatchObject({ reason: 'refusal-not-found', code: 'not-found' })
    await expect(desk.refusal(10_000_000)).rejects.toMatchObject({ reason: 'refusal-not-found' })
  })
})

describe('an operator of a tenant', () => {
  test('sees refusals of its devices and of who claimed their names, as why does, and of no others', async () => {
    const theirs = refuse({ device: device('theirs') })
    const ours = refuse({ device: device('ours') })
    const [claimed, stranger] = [refuse({ claimed: 'theirs' }), refuse({ claimed: 'ours' })]
    const limited = limitToTenant(desk, ACME)
    expect(new Set((await limited.refusals({})).items.map((refusal) => refusal.device ?? refusal.claimed))).toEqual(new Set(['theirs']))
    expect((await limited.refusalGroups({})).items.map((group) => [group.device, group.claimed])).toEqual([['theirs', undefined], [undefined, 'theirs']])
    for (const id of [theirs, claimed]) expect(await limited.refusal(id)).toMatchObject({ id })
    for (const id of [ours, stranger, refuse({})]) await expect(limited.refusal(id)).rejects.toMatchObject({ reason: 'refusal-not-found' })
  })
  test('sees the pages of its devices, and of the whole organisation nothing', async () => {
    const limited = limitToTenant(desk, ACME)
    expect(await limited.deviceTopics(device('theirs'))).toMatchObject({ device: 'theirs' })
    for (const asked of [limited.deviceTopics(device('ours')), limited.deviceSessions(device('ours')), limited.deviceTimeline(device('ours'))]) await expect(asked).rejects.toMatchObject({ reason: 'device-not-found' })
    for (const asked of [limited.overview(), limited.webhooks(), limited.addWebhook({ url: 'https://example.org/', kinds: [] })]) await expect(asked).rejects.toMatchObject({ reason: 'tenant-insufficient' })
  })
})

describe('the page of a device', () => {
  test('has the life of its certificates, newest first: issued, used, superseded, revoked, and which one it renews', async () => {
    const id = device('lived')
    await desk.addDevice({ id, groups: [], attributes: {} })
    const first = await desk.enroll(id, makeCsr(newKey(), 'lived'))
    const issuer = house.organisation.authority.issuer
    house.home.audit.record({ kind: 'admission', at: Date.now(), device: id, clientId: 'lived', serial: first.serial, issuer, source: { address: '::1', port: 1 }, protocol: 5 })
    const [used] = await desk.deviceTimeline(id)
    expect(used).toMatchObject({ serial: first.serial, state: 'active', notAfter: first.notAfter, issuedAt: expect.any(Number), firstUsedAt: expect.any(Number) })
    house.home.audit.record({ kind: 'admission', at: Date.now() + 60_000, device: id, clientId: 'lived', serial: first.serial, issuer, source: { address: '::1', port: 1 }, protocol: 5 })
    await desk.revoke({ device: id }, 'keyCompromise')
    const second = await desk.enroll(id, makeCsr(newKey(), 'lived'))
    const lives = await desk.deviceTimeline(id)
    expect(lives).toMatchObject([
      { serial: second.serial, state: 'active', renews: first.serial },
      { serial: first.serial, state: 'revoked', revocationReason: 'keyCompromise', revokedAt: expect.any(Number), firstUsedAt: used!.firstUsedAt },
    ])
    expect(lives[0]!.firstUsedAt).toBeUndefined()
    expect(await desk.deviceTimeline(device('ours'))).toEqual([])
  })
  test('has the sessions that wait for it, and not those that are over, nor of a neighbour whose name begins like its own', async () => {
    const soon = Date.now() + 60_000
    for (const [id, clientId, expiresAt] of [['ours', 'ours:a', soon], ['ours', 'ours:over', Date.now() - 1], ['oursx', 'oursx', soon]] as const) {
      const key = sessionKey('default' as TenantId, device(id), clientId)
      await store.commit([{ kind: 'session-attached', key, expirySeconds: 60, fresh: true }])
      await store.commit([{ kind: 'subscribed', key, subscription: { filter: `cmd/${id}/+`, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: undefined } }, { kind: 'session-detached', key, expiresAt, sentThrough: 0 }])
    }
    expect(await desk.deviceSessions(device('ours'))).toEqual({ device: 'ours', connected: [], kept: [{ clientId: 'ours:a', expiresAt: soon, queued: 0, subscriptions: ['cmd/ours/+'] }] })
  })
  test('of a device that is not there is not found', async () => {
    for (const asked of [desk.deviceSessions(device('nobody')), desk.deviceTopics(device('nobody')), desk.deviceTimeline(device('nobody'))]) await expect(asked).rejects.toMatchObject({ reason: 'device-not-found' })
  })
})

test('without a server nobody is connected, and what was refused is read from the log', async () => {
  await house.home.audit.flush()
  const { home, organisation, policies } = house
  const alone = openDesk({ registry: home.registry, view: home.view, audit: home.audit, authority: organisation.authority, policies, ca: home, clock: Date.now }, { kind: 'local' })
  expect(await alone.connections({})).toEqual({ items: [], matched: 0 })
  await expect(alone.endConnection('1')).rejects.toMatchObject({ reason: 'connection-not-found' })
  expect((await alone.refusals({})).items).toEqual((await desk.refusals({})).items)
  expect(await alone.webhooks()).toEqual([])
})
