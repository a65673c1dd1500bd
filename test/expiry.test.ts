// What is told of what expires: once a day for each, also over starts; devices as one line for each group and never as a line for each
// of them; and what is looked at.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../src/core/audit.ts'
import { crlName } from '../src/core/crl-scope.ts'
import type { OwnExpiry } from '../src/core/expiry.ts'
import type { CaName, DeviceId, GroupName, SerialNumber } from '../src/core/ids.ts'
import type { CertificateRecord, Registry } from '../src/core/registry.ts'
import { openExpiryWatch, ownExpiries, type ExpiryWatch } from '../src/expiry.ts'
import { LIFE } from '../src/limits.ts'
import { EXPIRY_LIMITS } from '../src/renewal-limits.ts'
import { openView, type OpenView } from '../src/store/view.ts'
import { openPlace, withCommits, type Place } from './ca/organisation.ts'
import { added, CA, issued, NOW, plan, serialOf, superseded } from './contract/records.ts'
import { openHouse } from './http/house.ts'
import { listOf } from './x509/lists.ts'

const { day } = LIFE
let place: Place
let view: OpenView
let own: readonly OwnExpiry[]
let logged: (readonly [Readonly<Record<string, unknown>>, string])[]
beforeEach(() => {
  place = openPlace()
  place.now = NOW
  view = openView(place.registry)
  own = []
  logged = []
})
afterEach(() => {
  view[Symbol.dispose]()
  place[Symbol.dispose]()
})

const open = (registry: Registry = place.registry): ExpiryWatch => openExpiryWatch({ registry, view, own: () => own, clock: place.clock, log: (_, facts, message) => void logged.push([facts, message]) })
const audited = (): readonly AuditEvent[] => place.registry.audit.waiting(0, 1_000).map(({ event }) => event)
const root: OwnExpiry = { kind: 'root', name: 'root', notBefore: NOW - 100 * day, notAfter: NOW + 20 * day }
const list: OwnExpiry = { kind: 'crl', name: 'crl issuing-1', notBefore: NOW - day, notAfter: NOW - 1 }
/** A device with a certificate of a year, of which so many days are left. */
async function devices(names: readonly string[], leftDays: number, groups: readonly string[] = ['sensors'], facts: Partial<CertificateRecord> = {}): Promise<void> {
  await place.make(...names.flatMap((name) => [added(name, { groups: groups as readonly GroupName[] }), plan(name, name, { notBefore: NOW + (leftDays - 360) * day, notAfter: NOW + leftDays * day, ...facts }), issued(name)]))
}

describe('of the organisation\'s own', () => {
  test('what is near is in the log and in the audit log, once a day, also over starts of the server', async () => {
    own = [root, { ...root, name: 'far', notAfter: NOW + 31 * day }]
    const watch = open()
    await watch.look('certificates')
    expect(watch.near).toEqual([{ certificate: 'root', notAfter: NOW + 20 * day }])
    expect(logged).toEqual([[{ certificate: 'root', notAfter: new Date(NOW + 20 * day).toISOString() }, 'a certificate expires within 30 days']])
    expect(audited()).toEqual([{ kind: 'expiry-near', at: NOW, certificate: 'root', notAfter: NOW + 20 * day }])
    view[Symbol.dispose]()
    place.reopen()
    view = openView(place.registry)
    const again = open()
    place.now += EXPIRY_LIMITS.tellEveryMs - 1
    await again.look('all')
    expect([logged.length, audited().length]).toEqual([1, 1])
    // It is still so, for whoever asks.
    expect(again.near).toHaveLength(1)
    place.now += 1
    await again.look('all')
    expect([logged.length, audited().length]).toEqual([2, 2])
  })

  test('of CRLs it is told where they are looked at, and of a credential that should have renewed itself in these words', async () => {
    own = [list, { kind: 'ocsp-responder', name: 'ocsp-responder issuing-1', notBefore: NOW - 23 * day, notAfter: NOW + 7 * day }]
    await open().look('certificates')
    expect(logged.map(([, message]) => message)).toEqual(['a certificate expires that should have renewed itself by now'])
    await open().look('all')
    expect(logged.at(-1)).toEqual([{ certificate: 'crl issuing-1', notAfter: expect.any(String) }, 'a CRL ends that should have been published anew by now'])
  })

  test('a clock that was set back by a year silences nothing', async () => {
    own = [root]
    await open().look('all')
    place.now -= 360 * day
    own = [{ ...root, notAfter: place.now + day }]
    await open().look('all')
    expect(logged).toHaveLength(2)
  })

  test('a registry that cannot record it keeps nobody from reading it', async () => {
    own = [root]
    await open(withCommits(place.registry, () => Promise.reject(new Error('the disk is full')))).look('all')
    expect(logged.map(([, message]) => message)).toEqual(['a certificate expires within 30 days', 'that it was told of what expires could not be recorded: it is told again'])
  })
})

describe('of devices', () => {
  test('one line for each group, with how many and the first end; a device in two groups counts in both, one in none apart', async () => {
    await devices(['a', 'b', 'c'], 10)
    await devices(['d'], 5, ['sensors', 'line'])
    await devices(['e'], 7, [])
    await open().look('all')
    expect(logged.map(([facts]) => facts)).toEqual([
      { group: 'sensors', devices: 4, notAfter: new Date(NOW + 5 * day).toISOString() },
      { group: 'line', devices: 1, notAfter: new Date(NOW + 5 * day).toISOString() },
      { devices: 1, notAfter: new Date(NOW + 7 * day).toISOString() },
    ])
    expect(audited().map((event) => event.kind === 'devices-expiring' && [event.group, event.count])).toEqual([['sensors', 4], ['line', 1], [undefined, 1]])
    await open().look('all')
    expect(logged).toHaveLength(3)
  })

  test('who has renewed, is retired, or has time left is not told of', async () => {
    await devices(['renewed', 'retired', 'fetched'], 10)
    await devices(['time'], 31)
    await place.make(
      { kind: 'device-state', id: 'retired' as DeviceId, state: 'retired' },
      plan('next', 'renewed', { notAfter: NOW + 360 * day, createdAt: NOW + 1 }), issued('next'), superseded('renewed'),
      plan('waits', 'fetched', { notAfter: NOW + 360 * day, createdAt: NOW + 1 }), issued('waits', 'issued'),
    )
    await open().look('all')
    // It has fetched its next one, and never used it.
    expect(logged.map(([facts]) => facts)).toMatchObject([{ group: 'sensors', devices: 1 }])
  })

  test('of a short life, the last quarter is what counts', async () => {
    await devices(['short'], 1, ['sensors'], { notBefore: NOW - 3 * day, notAfter: NOW + day })
    await open().look('all')
    expect(logged).toEqual([])
    place.now += 1
    await open().look('all')
    expect(logged).toHaveLength(1)
  })

  test('of a thousand groups fifty are told of, those with most devices first, and the rest as a number', async () => {
    for (let i = 0; i < 60; i++) await devices(i === 59 ? ['g59-1', 'g59-2'] : [`g${i}-1`], 10, [`group-${i}`])
    await open().look('all')
    expect(logged).toHaveLength(EXPIRY_LIMITS.groupsToldMax + 1)
    expect(logged[0]?.[0]).toMatchObject({ group: 'group-59', devices: 2 })
    expect(logged.at(-1)?.[0]).toEqual({ groups: 10 })
  })
})

describe('what is looked at in a home', () => {
  test('server, operator, the responder of each issuing CA, all CAs that are not retired, CRLs, and CAs of others', async () => {
    await using house = await openHouse()
    const { home } = house
    const names = (): readonly string[] => ownExpiries({ home, foreign: [] }).map(({ kind, name }) => `${kind}: ${name}`)
    expect(names()).toEqual(['server: server', 'operator: operator', 'root: root', 'issuing: issuing-1'])
    const lists = { '': 2, '3of4': 1, '3of8': 3 }
    const numbered = (scope: string, days: number) => ({ kind: 'crl-numbered', crl: { issuer: 'issuing-1' as CaName, scope, number: 1, thisUpdate: NOW, nextUpdate: NOW + days * day } }) as const
    await home.registry.commit(Object.entries(lists).map(([scope, days]) => numbered(scope, days)), [], [])
    // A number is no list: what was never signed is not published.
    expect(names()).toHaveLength(4)
    mkdirSync(home.paths.pki, { recursive: true })
    for (const [scope, days] of Object.entries(lists)) writeFileSync(path.join(home.paths.pki, crlName('issuing-1', scope)), listOf(NOW + days * day))
    // Of all lists of one CA the one that ends first, be it a shard that was cut long ago: certificates point to it.
    expect(ownExpiries({ home, foreign: [] }).slice(4)).toEqual([{ kind: 'crl', name: 'crl issuing-1', notBefore: NOW, notAfter: NOW + day }])
    writeFileSync(path.join(home.paths.pki, 'issuing-1-3of4.crl'), 'not a list')
    expect(ownExpiries({ home, foreign: [] }).slice(4)).toMatchObject([{ notAfter: NOW + 2 * day }])
    rmSync(path.join(home.paths.local, 'server'), { recursive: true })
    expect(names()[0]).toBe('operator: operator')
    const foreign = [{ name: 'factory' as CaName, role: 'trusted' as const, tenant: home.registry.cas()[0]!.tenant, der: house.organisation.root.der, spkiSha256: house.organisation.root.spkiSha256, enrollsOnly: false }]
    expect(ownExpiries({ home, foreign }).filter(({ kind }) => kind === 'trusted')).toMatchObject([{ name: 'factory', serial: expect.stringMatching(/^[0-9a-f]+$/) as SerialNumber }])
  })
})

test('the certificate of another is not taken for a longer one of this device', async () => {
  await devices(['a'], 10)
  await devices(['b'], 300)
  await open().look('all')
  expect(view.certificate(CA, serialOf('a'))?.device).toBe('a')
  expect(logged.map(([facts]) => facts)).toMatchObject([{ devices: 1 }])
})
