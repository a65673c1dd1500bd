// One page that says how things stand: what is counted, what waits for a person, and that many who look cost as much as one.

import { describe, expect, test } from 'vitest'
import type { OwnExpiry } from '../src/core/expiry.ts'
import type { OnRung } from '../src/core/detection/ladder.ts'
import type { CaName, DeviceId } from '../src/core/ids.ts'
import type { CaRecord } from '../src/core/registry.ts'
import type { EnrollmentRecord } from '../src/core/token.ts'
import { openFeed } from '../src/feed.ts'
import { FEED_LIMITS } from '../src/feed-limits.ts'
import { LIFE } from '../src/limits.ts'
import { openOverview, type OverviewPorts } from '../src/overview.ts'

const NOW = 1_800_000_000_000
const { day } = LIFE
const feed = openFeed({ audit: { follow: () => () => {}, walkBack: () => Promise.resolve() }, clock: () => NOW, log: () => {} })
let asked = 0

/** Nothing waits, unless a test says otherwise. */
function ports(more: Partial<OverviewPorts> & { readonly cas?: readonly CaRecord[]; readonly pending?: readonly EnrollmentRecord[] } = {}): OverviewPorts {
  const { cas = [], pending = [], ...rest } = more
  return {
    lists: {
      devicesByState: () => {
        asked += 1
        return Promise.resolve({ pending: 1, active: 5, suspended: 2, quarantined: 0, retired: 1 })
      },
    },
    registry: {
      enrollments: () => ({ items: pending }), cas: () => cas, expiringCertificates: () => ({ items: [] }),
    },
    view: { device: () => undefined, certificatesOf: () => [] },
    audit: { degraded: false }, running: undefined, own: undefined, detections: () => Promise.resolve([]), memory: {}, clock: () => NOW, ...rest,
  }
}
const waiting = async (more: Parameters<typeof ports>[0]): Promise<readonly unknown[]> => (await openOverview(ports(more))(feed)).attention
const own = (facts: Partial<OwnExpiry>): OverviewPorts['own'] => ({ expiries: () => [{ kind: 'issuing', name: 'issuing-1', notBefore: NOW - 100 * day, notAfter: NOW + 29 * day, ...facts }], renew: () => Promise.resolve() })
const ca = (facts: Partial<CaRecord>): CaRecord => ({ name: 'issuing-2' as CaName, role: 'issuing', state: 'trusted', since: NOW - FEED_LIMITS.rotationWaitsMs - 1, ...facts } as CaRecord)

test('devices are counted by state, and where nothing waits nothing is said', async () => {
  const overview = await openOverview(ports())(feed)
  expect(overview).toMatchObject({ at: NOW, devices: { total: 9, byState: { active: 5, suspended: 2 } }, connected: { devices: 0, sessions: 0 }, refused: { hour: 0, day: 0, byReason: [] }, attention: [], newest: [] })
  expect(overview.strip.buckets).toHaveLength(96)
})

describe('what waits for a person', () => {
  test('a CA that ends within 30 days, and not one that ends later', async () => {
    expect(await waiting({ own: own({}) })).toMatchObject([{ kind: 'expiring', count: 1, sentence: expect.stringMatching(/^issuing-1 ends at 2027-/), command: 'sallyport cert expiring' }])
    expect(await waiting({ own: own({ notAfter: NOW - 1 }) })).toMatchObject([{ sentence: expect.stringContaining('has ended') }])
    expect(await waiting({ own: own({ notAfter: NOW + 31 * day }) })).toEqual([])
  })
  test('a rotation that stands still for a week, and not one of yesterday, nor a CA that is current', async () => {
    expect(await waiting({ cas: [ca({})] })).toMatchObject([{ kind: 'rotation', sentence: expect.stringContaining('issuing-2 is trusted since') }])
    expect(await waiting({ cas: [ca({ since: NOW - day }), ca({ state: 'current' }), ca({ role: 'trusted' }), ca({ state: 'retired' })] })).toEqual([])
  })
  test('enrollments that wait, and devices on the ladder', async () => {
    expect(await waiting({ pending: [{ createdAt: 5 } as EnrollmentRecord, {} as EnrollmentRecord] })).toMatchObject([{ kind: 'approvals', count: 2, sentence: '2 enrollments wait for an operator.', at: 5 }])
    expect(await waiting({ detections: () => Promise.resolve([{ device: 'pump' as DeviceId } as OnRung]) })).toMatchObject([{ kind: 'detection', sentence: 'pump is on the detection ladder.' }])
  })
  test('a store or a log that cannot be written', async () => {
    const connections = { page: () => Promise.resolve({ items: [], matched: 0 }), of: () => [], end: () => Promise.reject(new Error('no')), counted: () => ({ devices: 0, sessions: 0 }) }
    const store = (ok: boolean): OverviewPorts['running'] => ({ connections, store: { siblings: () => Promise.resolve([]), session: () => Promise.resolve(undefined), health: ok ? { ok } : { ok, problem: 'disk full' } } })
    expect(await waiting({ running: store(false) })).toMatchObject([{ kind: 'session-store', sentence: 'The session store cannot be written: disk full.' }])
    expect(await waiting({ running: store(true) })).toEqual([])
    expect(await waiting({ audit: { degraded: true } })).toMatchObject([{ kind: 'audit-log' }])
  })
  test('what other parts say', async () => {
    expect(await waiting({ waiting: () => [{ kind: 'webhooks', count: 1, sentence: 'x', command: 'y' }] })).toEqual([{ kind: 'webhooks', count: 1, sentence: 'x', command: 'y' }])
  })
})

test('fifty who look at once cost as much as one, and a second later it is looked at anew', async () => {
  asked = 0
  let now = NOW
  const shared = ports({ clock: () => now })
  const all = await Promise.all(Array.from({ length: 50 }, () => openOverview(shared)(feed)))
  expect([asked, new Set(all).size]).toEqual([1, 1])
  now += FEED_LIMITS.overviewMs + 1
  expect((await openOverview(shared)(feed)).at).toBe(now)
  expect(asked).toBe(2)
})
