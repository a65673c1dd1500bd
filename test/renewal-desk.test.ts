// Orders to renew and what expires, over a real registry: whom an order means, how far it has come, when it is over, and what a person is
// shown of the ends of certificates; at hand, and over the admin API.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../src/core/audit.ts'
import type { OwnExpiry } from '../src/core/expiry.ts'
import type { CaName, DeviceId, GroupName } from '../src/core/ids.ts'
import type { CertificateRecord, Change } from '../src/core/registry.ts'
import type { RenewalDesk } from '../src/core/renewal-desk.ts'
import type { RenewalChoice } from '../src/core/renewal-orders.ts'
import { endFinishedOrders, openRenewalDesk, type RenewalDeskPorts } from '../src/renewal-desk.ts'
import { openHints } from '../src/renewal-hints.ts'
import { RENEWAL_LIMITS } from '../src/renewal-limits.ts'
import { LIFE } from '../src/limits.ts'
import { openView, type OpenView } from '../src/store/view.ts'
import { openAdminClient } from '../src/http/admin-client.ts'
import { openPlace, type Place } from './ca/organisation.ts'
import { added, ca, CA, derOf, issued, NOW, plan, printOf, revoked, serialOf, superseded } from './contract/records.ts'
import { ask, device as idOf, group as groupOf, openHouse } from './http/house.ts'

const YEAR = 360 * LIFE.day
let place: Place
let view: OpenView
let connected: ReadonlySet<string>
let own: readonly OwnExpiry[]
let desk: RenewalDesk
const ports = (): RenewalDeskPorts => ({ registry: place.registry, view, clock: place.clock, sessions: { connected: ({ serial }) => (connected.has(serial) ? 1 : 0) }, own: { expiries: () => own, renew: () => Promise.resolve() } })
beforeEach(async () => {
  place = openPlace()
  place.now = NOW
  view = openView(place.registry)
  connected = new Set()
  own = []
  desk = openRenewalDesk(ports(), { kind: 'local' })
  await place.make({ kind: 'ca-added', ca: ca(CA, 'ca', { state: 'current' }) })
})
afterEach(() => {
  view[Symbol.dispose]()
  place[Symbol.dispose]()
})

const id = (text: string): DeviceId => text as DeviceId
const group = (text: string): GroupName => text as GroupName
/** A device of this group with one certificate, which has the name of the device. */
async function fleet(names: readonly string[], of = 'sensors', facts: Partial<CertificateRecord> = {}): Promise<void> {
  const changes: Change[] = names.flatMap((name) => [added(name, { groups: [group(of)] }), plan(name, name, { notAfter: NOW + YEAR, ...facts }), issued(name)])
  await place.make(...changes)
}
/** The device has its next certificate, and perhaps uses it. */
async function next(of: string, state: 'issued' | 'active'): Promise<void> {
  place.now += 1
  await place.make(plan(`${of}-next`, of, { notAfter: place.now + YEAR, createdAt: place.now }), issued(`${of}-next`, state), ...(state === 'active' ? [superseded(of)] : []))
}
const ordered = async (choice: RenewalChoice, dryRun = false) => {
  place.now += 1
  return desk.orderRenewal({ choice, overMs: 0, dryRun })
}
const progress = async () => (await desk.renewalOrders()).map(({ devices, done, fetched, connected: here, away }) => [devices, done, fetched, here, away])
const audited = (): readonly AuditEvent[] => place.registry.audit.waiting(0, 100).map(({ event }) => event)

describe('an order', () => {
  test('says how many devices it means and how many of them are connected; a dry run asks nobody', async () => {
    await fleet(['a', 'b', 'c'])
    await fleet(['x'], 'others')
    connected = new Set([serialOf('b')])
    expect(await ordered({ group: group('sensors') }, true)).toEqual({ dryRun: true, devices: 3, first: ['a', 'b', 'c'], connected: 1 })
    expect([await desk.renewalOrders(), audited()]).toEqual([[], []])
    const { id: order, ...said } = await ordered({ group: group('sensors') })
    expect(said).toEqual({ dryRun: false, devices: 3, first: ['a', 'b', 'c'], connected: 1 })
    expect(audited()).toEqual([{ kind: 'renewal-ordered', at: place.now, order, count: 3, message: 'group sensors', actor: { kind: 'local' } }])
  })

  test('is done for whoever has connected with a newer certificate, and tells fetched, connected and away of the rest', async () => {
    await fleet(['a', 'b', 'c', 'd', 'e'])
    await ordered({ ca: CA })
    connected = new Set([serialOf('c')])
    expect(await progress()).toEqual([[5, 0, 0, 1, 4]])
    await next('a', 'issued')
    await next('b', 'active')
    await place.make(revoked('d'))
    expect(await progress()).toEqual([[5, 2, 1, 1, 1]])
  })

  test('ends by itself when nobody is left, and not before', async () => {
    await fleet(['a', 'b'])
    await ordered({ device: id('a') })
    await ordered({ group: group('sensors') })
    await next('a', 'active')
    await endFinishedOrders(ports(), { kind: 'system' })
    expect((await desk.renewalOrders()).map(({ choice }) => choice)).toEqual([{ group: 'sensors' }])
    expect(audited().filter(({ kind }) => kind === 'renewal-order-ended')).toHaveLength(1)
    place.now = NOW + YEAR
    await endFinishedOrders(ports(), { kind: 'system' })
    expect(await desk.renewalOrders()).toEqual([])
  })

  test('is ended by hand once, and then by nobody', async () => {
    await fleet(['a'])
    const { id: order = '' } = await ordered({ device: id('a') })
    await desk.endRenewalOrder(order)
    expect(await desk.renewalOrders()).toEqual([])
    await expect(desk.endRenewalOrder(order)).rejects.toMatchObject({ code: 'not-found', reason: 'renewal-order-not-found' })
  })

  test('means nobody without being recorded: of an empty group, or of certificates that are newer', async () => {
    await fleet(['a'])
    expect(await ordered({ group: group('nobody') })).toEqual({ dryRun: false, devices: 0, first: [], connected: 0 })
    expect(await ordered({ issuedBefore: NOW })).toMatchObject({ devices: 0 })
    expect(await ordered({ issuedBefore: NOW + 1 })).toMatchObject({ devices: 1 })
    expect(await desk.renewalOrders()).toHaveLength(1)
  })

  test('leaves out devices that are retired or have a longer certificate in force, and certificates of other people\'s CAs', async () => {
    await fleet(['a', 'gone', 'two'])
    const { certificate } = plan('theirs', 'theirs', { issuer: 'factory' as CaName, state: 'active', sha256: printOf('theirs') }) as Extract<Change, { kind: 'certificate-planned' }>
    await place.make({ kind: 'ca-added', ca: ca('factory', 'factory', { role: 'trusted' }) }, added('theirs'), { kind: 'certificate-observed', certificate, der: derOf('theirs') })
    await place.make({ kind: 'device-state', id: id('gone'), state: 'retired' }, plan('two-more', 'two', { notAfter: NOW + 2 * YEAR }), issued('two-more'))
    place.now += 1
    // Of the two of one device the longer one is meant, and the device counts once.
    expect(await ordered({ group: group('sensors') })).toMatchObject({ devices: 2, first: ['a', 'two'] })
    await expect(ordered({ ca: 'factory' as CaName })).rejects.toMatchObject({ reason: 'request-invalid' })
  })

  test('is refused for a device that is not there, a CA that is not there, and for everybody', async () => {
    await expect(ordered({ device: id('x') })).rejects.toMatchObject({ reason: 'device-not-found' })
    await expect(ordered({ ca: 'x' as CaName })).rejects.toMatchObject({ reason: 'request-invalid' })
    await expect(ordered({})).rejects.toMatchObject({ reason: 'request-invalid' })
  })

  test('only so many are open, also when they are given at the same time', async () => {
    await fleet(['a'])
    const given = await Promise.allSettled(Array.from({ length: RENEWAL_LIMITS.ordersMax + 5 }, () => ordered({ device: id('a') })))
    expect(given.filter(({ status }) => status === 'rejected')).toHaveLength(5)
    expect(place.registry.renewalOrders()).toHaveLength(RENEWAL_LIMITS.ordersMax)
  })

  test('is one of so many: the next is refused until one is over, and one that is over makes room by itself', async () => {
    await fleet(['a', 'b'])
    for (let i = 0; i < RENEWAL_LIMITS.ordersMax; i++) await ordered({ device: id(i === 0 ? 'b' : 'a') })
    await expect(ordered({ device: id('a') })).rejects.toMatchObject({ reason: 'renewal-orders-limit' })
    await next('b', 'active')
    expect(await ordered({ device: id('a') })).toMatchObject({ devices: 1 })
  })

  test('fifty at once are fifty orders, each told of its own', async () => {
    await fleet(['a'])
    place.now += 1
    const all = await Promise.all(Array.from({ length: 50 }, () => desk.orderRenewal({ choice: { device: id('a') }, overMs: 0, dryRun: false })))
    expect(new Set(all.map((each) => each.id)).size).toBe(50)
    expect(await desk.renewalOrders()).toHaveLength(50)
  })

  test('of ten thousand devices leaves turns to everybody else while it is counted', async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `n${i}`)
    for (let i = 0; i < names.length; i += 1_000) await fleet(names.slice(i, i + 1_000))
    let [turns, counting] = [0, true]
    const turn = (): void => {
      turns += 1
      if (counting) setImmediate(turn)
    }
    setImmediate(turn)
    expect(await ordered({ ca: CA })).toMatchObject({ devices: 10_000 })
    expect(await progress()).toEqual([[10_000, 0, 0, 0, 10_000]])
    counting = false
    expect(turns).toBeGreaterThan(30)
  }, 60_000)
})

describe('the broker is told by it', () => {
  test('from the moment of the order, until it is ended or the device has renewed', async () => {
    await fleet(['a', 'b'])
    using hints = openHints({ registry: place.registry, view, clock: place.clock })
    const due = (name: string): boolean => hints.due({ issuer: CA, serial: serialOf(name) }) !== undefined
    expect(due('a')).toBe(false)
    const { id: order = '' } = await ordered({ group: group('sensors') })
    expect([due('a'), due('b')]).toEqual([true, true])
    hints.told(id('a'))
    expect([due('a'), due('b')]).toEqual([false, true])
    place.now += RENEWAL_LIMITS.hintEveryMs
    expect(due('a')).toBe(true)
    await next('a', 'active')
    expect([due('a'), due('a-next'), due('b')]).toEqual([false, false, true])
    await desk.endRenewalOrder(order)
    expect(due('b')).toBe(false)
  })

})

test('a device that never answers is told twice a day until its certificate ends, and not once more', async () => {
  await fleet(['deaf'], 'sensors', { notAfter: NOW + YEAR })
  using hints = openHints({ registry: place.registry, view, clock: place.clock })
  let told = 0
  for (place.now = NOW; place.now < NOW + YEAR + LIFE.day; place.now += LIFE.day / 24) {
    if (hints.due({ issuer: CA, serial: serialOf('deaf') }) === undefined) continue
    hints.told(id('deaf'))
    told += 1
  }
  // From two thirds, or three quarters, to the end: 90 to 120 days.
  expect(told).toBeGreaterThanOrEqual(2 * 90)
  expect(told).toBeLessThanOrEqual(2 * 120 + 1)
})

describe('what expires', () => {
  const shown = async (withinMs: number, more: { readonly group?: GroupName; readonly after?: string; readonly limit?: number } = {}) => desk.expiring({ withinMs, ...more })
  beforeEach(async () => {
    await fleet(['late'], 'line', { notAfter: NOW + 20 * LIFE.day })
    await fleet(['soon'], 'sensors', { notAfter: NOW + 10 * LIFE.day })
    await fleet(['never'], 'sensors')
    own = [
      { kind: 'root', name: 'root', notBefore: NOW - YEAR, notAfter: NOW + 5 * LIFE.day },
      { kind: 'server', name: 'server', notBefore: NOW - YEAR, notAfter: NOW - 1 },
      { kind: 'operator', name: 'operator', notBefore: NOW, notAfter: NOW + YEAR },
    ]
  })

  test('is shown soonest first, the organisation\'s own before the devices, also what has ended', async () => {
    const page = await shown(15 * LIFE.day)
    expect(page.items.map(({ name }) => name)).toEqual(['server', 'root', 'soon'])
    expect(page.counted).toEqual({ devices: 1, own: 2 })
  })

  test('of one group: its devices, and nothing of the organisation\'s own', async () => {
    expect((await shown(30 * LIFE.day, { group: group('line') })).items.map(({ name }) => name)).toEqual(['late'])
    expect(await shown(30 * LIFE.day, { group: group('nobody') })).toEqual({ items: [], counted: { devices: 0, own: 0 } })
  })

  test('in pages, of which only the first counts', async () => {
    const first = await shown(30 * LIFE.day, { limit: 1 })
    expect([first.items.map(({ name }) => name), first.counted]).toEqual([['server', 'root', 'soon'], { devices: 2, own: 2 }])
    const second = await shown(30 * LIFE.day, { limit: 1, after: first.next! })
    expect([second.items.map(({ name }) => name), second.counted, second.next]).toEqual([['late'], undefined, undefined])
  })

  test('a device that has fetched its next one is shown so; one that uses it is not shown', async () => {
    await next('soon', 'issued')
    expect((await shown(15 * LIFE.day)).items.at(-1)).toMatchObject({ name: 'soon', nextWaits: true })
    await next('late', 'active')
    await place.make({ kind: 'certificate-state', issuer: CA, serial: serialOf('soon-next'), state: 'active' })
    expect(await shown(30 * LIFE.day)).toMatchObject({ counted: { devices: 0, own: 2 } })
  })
})

describe('over the admin API', () => {
  test('both desks say the same, and what is no order is refused before anything is read', async () => {
    await using house = await openHouse()
    await house.device('r-1')
    const { url } = await house.openAdmin()
    await using remote = openAdminClient({ url, ...house.operator, ca: house.root })
    const local = house.desk()
    house.clockAt(Date.now() + 1_000)
    const order = await remote.orderRenewal({ choice: { group: groupOf('sensors') }, overMs: 60_000, dryRun: false })
    expect(order).toMatchObject({ devices: 1, first: ['r-1'], connected: 0 })
    expect(await remote.renewalOrders()).toEqual(await local.renewalOrders())
    const query = { withinMs: 400 * LIFE.day, limit: 5 }
    expect(await remote.expiring(query)).toEqual(await local.expiring(query))
    await remote.endRenewalOrder(order.id ?? '')
    expect(await local.renewalOrders()).toEqual([])
    await expect(remote.endRenewalOrder(order.id ?? '')).rejects.toMatchObject({ code: 'not-found', reason: 'renewal-order-not-found' })
    await expect(remote.orderRenewal({ choice: { device: idOf('nobody') }, overMs: 0, dryRun: true })).rejects.toMatchObject({ reason: 'device-not-found' })
    const post = async (path: string, body: unknown): Promise<number> => (await ask(url, house.root, { method: 'POST', path, body: JSON.stringify(body), headers: { 'content-type': 'application/json' }, credential: house.operator })).status
    for (const body of [{}, { choice: {}, overMs: 0, dryRun: true }, { choice: { group: 'sensors' }, overMs: -1, dryRun: true }, { choice: { group: 'sensors' }, overMs: RENEWAL_LIMITS.orderOverMsMax + 1, dryRun: true }, { choice: { group: 'a b' }, overMs: 0, dryRun: true }, { choice: { group: 'sensors', all: true }, overMs: 0, dryRun: true }]) {
      expect(await post('/v1/renewals', body)).toBe(400)
    }
    expect(await post('/v1/renewals/own', { credential: 'root' })).toBe(400)
    expect((await ask(url, house.root, { path: '/v1/expiring', credential: house.operator })).status).toBe(400)
  })
})
