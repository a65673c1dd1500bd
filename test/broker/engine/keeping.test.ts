// What is kept of a session, over the store that forgets: what CONNECT finds, what stays when the connection is gone, and when
// it is looked after. That it survives a restart is traps.test.ts's to show.

import { beforeEach, describe, expect, test } from 'vitest'
import { boundExpiry, openDeadlines, openKeeping, type Keeping } from '../../../src/broker/engine/keeping.ts'
import type { Link } from '../../../src/broker/engine/link.ts'
import type { Opening } from '../../../src/broker/engine/connect.ts'
import type { EngineClient } from '../../../src/broker/engine/surface.ts'
import type { BrokerPorts } from '../../../src/broker/ports.ts'
import { openSessionTable, type Session, type SessionTable } from '../../../src/broker/sessions.ts'
import type { Device } from '../../../src/core/device.ts'
import { DEFAULT_TENANT, type DeviceId, type SessionKey } from '../../../src/core/ids.ts'
import type { SessionStore, StoredSubscription } from '../../../src/core/session-store.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import { openMemorySessions } from '../../../src/store/sessions/memory.ts'
import { openGate, type StoreGate } from '../gated-store.ts'

const START = 1_700_000_000_000
const SUBSCRIPTION: StoredSubscription = { filter: 'a/#', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: undefined }

let now = START
let gate: StoreGate
let store: SessionStore
let sessions: SessionTable
let keeping: Keeping
let links: Map<Session, Link>
let changes = 0
let deadlines: number[]
let asking = false
beforeEach(() => {
  now = START
  asking = false
  gate = openGate()
  store = gate.wrap(openMemorySessions({ clock: () => now }))
  sessions = openSessionTable()
  links = new Map()
  changes = 0
  deadlines = []
  keeping = openKeeping({
    broker: { clock: () => now, log() {} } as unknown as BrokerPorts, store, sessions,
    holders: { of: () => [], changed: () => void changes++ },
    linkOf: (session) => links.get(session),
    storedSoFar: () => 7,
    isAsking: () => asking,
    onDeadline: (at) => void deadlines.push(at),
    onStoreFault: (cause) => { throw cause },
  })
})

interface Connection {
  readonly link: Link
  readonly keptWith: unknown[]
  readonly gone: () => void
}

/** A connection of a client id of the device d. */
function connection(clientId: string, expirySeconds: number): Connection {
  const session = { key: `${DEFAULT_TENANT}/d/${clientId}` as SessionKey, tenant: DEFAULT_TENANT, device: 'd' as DeviceId, clientId } as Session
  const keptWith: unknown[] = []
  const outbound = { kept: false, sentThrough: 3, keep(...facts: unknown[]) { keptWith.push(facts); outbound.kept = true } }
  const client = { sessionExpiryInterval: expirySeconds, closed: false, clean: true }
  const link = { session, client, outbound, incumbent: undefined, absent: new Map() } as unknown as Link
  sessions.add(session)
  links.set(session, link)
  return {
    link, keptWith,
    gone() {
      sessions.remove(session)
      keeping.leave(link)
    },
  }
}
const kinds = (): readonly string[] => gate.commits.flat().map(({ kind }) => kind)
const device: Device = { id: 'd' as DeviceId, tenant: DEFAULT_TENANT, groups: [], attributes: {}, state: 'active', createdAt: START, revision: 1 }

/** A session that is kept and not connected. */
async function away(clientId: string, expirySeconds: number): Promise<void> {
  const { link, gone } = connection(clientId, expirySeconds)
  await keeping.open(link, true)
  if (link.session !== undefined) await keeping.subscribed(link.session, { kind: 'subscribed', key: link.session.key, subscription: SUBSCRIPTION })
  gone()
}

describe('a device that cannot come back, and does with a new certificate', () => {
  test('finds nothing of what was kept, however quickly it is there', async () => {
    await away('x', 60)
    keeping.forget(device, 'certificate-revoked')
    const heir = connection('x', 60)
    expect(await keeping.open(heir.link, false)).toEqual({ allow: true, value: undefined })
    expect(await store.session(`${DEFAULT_TENANT}/d/x` as SessionKey)).toMatchObject({ subscriptions: [] })
  })

  test('keeps what it makes after that', async () => {
    await away('x', 60)
    keeping.forget(device, 'certificate-revoked')
    await away('x', 60)
    expect(await keeping.open(connection('x', 60).link, false)).toMatchObject({ allow: true, value: { subscriptions: [SUBSCRIPTION] } })
  })
})

describe('at CONNECT', () => {
  test('a session that is kept is found again, with its subscriptions; with a clean start it is not', async () => {
    await away('x', 60)
    const again = connection('x', 60)
    expect(await keeping.open(again.link, false)).toMatchObject({ allow: true, value: { subscriptions: [SUBSCRIPTION] } })
    again.gone()
    expect(await keeping.open(connection('x', 60).link, true)).toEqual({ allow: true, value: undefined })
    expect(await store.session(`${DEFAULT_TENANT}/d/x` as SessionKey)).toMatchObject({ subscriptions: [] })
  })

  test('who comes back while messages are on their way by what is lost waits until they are taken out', async () => {
    await away('x', 60)
    asking = true
    const key = `${DEFAULT_TENANT}/d/x` as SessionKey
    const narrowed = keeping.narrow(key, { lost: [{ filter: SUBSCRIPTION.filter, verdict: {} as never }], lowered: [] }, 0)
    const again = connection('x', 60)
    expect(await keeping.open(again.link, false)).toMatchObject({ value: { subscriptions: [] } })
    expect(kinds().filter((kind) => kind === 'session-narrowed')).toHaveLength(2)
    await narrowed
  })

  test('one whose time is over is not found, though nobody has looked; a millisecond before it is', async () => {
    await away('x', 60)
    await away('y', 60)
    now = START + 59_999
    expect(await keeping.open(connection('x', 60).link, false)).toMatchObject({ value: { key: `${DEFAULT_TENANT}/d/x` } })
    now = START + 60_000
    expect(await keeping.open(connection('y', 60).link, false)).toEqual({ allow: true, value: undefined })
  })

  test('a session that does not outlive its connection and begins anew is not kept; one that is resumed for one connection is, until then', async () => {
    const plain = connection('plain', 0)
    await keeping.open(plain.link, false)
    expect([plain.keptWith, plain.link.client.clean]).toEqual([[], true])
    await away('x', 60)
    const last = connection('x', 0)
    expect(await keeping.open(last.link, false)).toMatchObject({ value: { subscriptions: [SUBSCRIPTION] } })
    expect([last.keptWith.length, last.link.client.clean]).toEqual([1, false])
    last.gone()
    expect(await store.session(`${DEFAULT_TENANT}/d/x` as SessionKey)).toBeUndefined()
  })

  test('a clean start without expiry asks the store once to forget, and not again as long as nothing is kept', async () => {
    for (let i = 0; i < 3; i++) await keeping.open(connection('x', 0).link, true)
    expect(kinds()).toEqual(['session-ended'])
    await away('x', 60)
    await keeping.open(connection('x', 0).link, true)
    expect(kinds().filter((kind) => kind === 'session-ended')).toHaveLength(2)
    expect(await store.session(`${DEFAULT_TENANT}/d/x` as SessionKey)).toBeUndefined()
  })

  test('kept sessions count with the connected ones: one more than a device may have is refused, one that is there already is not', async () => {
    for (let i = 0; i < BROKER_LIMITS.sessionsPerDeviceMax; i++) await away(`c${i}`, 60)
    const more = connection('more', 60)
    expect(await keeping.open(more.link, false)).toMatchObject({ allow: false, reason: 'sessions-limit' })
    expect(await keeping.open(connection('c0', 60).link, false)).toMatchObject({ allow: true })
  })
})

describe('when the connection is gone', () => {
  test('the session stays until its expiry, and that is told; one without is gone at once', async () => {
    await away('x', 60)
    expect(await store.session(`${DEFAULT_TENANT}/d/x` as SessionKey)).toMatchObject({ expiresAt: START + 60_000, sentThrough: 3 })
    expect(deadlines).toEqual([START + 60_000])
    const plain = connection('plain', 0)
    await keeping.open(plain.link, true)
    const before = gate.commits.length
    plain.gone()
    expect(gate.commits).toHaveLength(before)
  })

  test('what is remembered of kept subscriptions is asked anew after each change of them', async () => {
    const { link, gone } = connection('x', 60)
    await keeping.open(link, true)
    const before = changes
    if (link.session !== undefined) await keeping.subscribed(link.session, { kind: 'subscribed', key: link.session.key, subscription: SUBSCRIPTION })
    expect(changes).toBe(before + 1)
    gone()
    expect(changes).toBe(before + 1)
  })
})

test('a device that cannot come back leaves nothing: what is kept goes at once, what is connected when it ends; others stay', async () => {
  await away('x', 60)
  await store.commit([{ kind: 'session-attached', key: `${DEFAULT_TENANT}/e/e` as SessionKey, expirySeconds: 60, fresh: true }])
  const live = connection('live', 60)
  await keeping.open(live.link, true)
  keeping.forget(device, 'device-retired')
  await gate.asked((change) => change.kind === 'session-ended' && change.key.endsWith('/x'))
  live.gone()
  expect(await store.sessions(undefined, 10)).toEqual([`${DEFAULT_TENANT}/e/e`])
})

test.each([[60, 100, 60, false], [100, 60, 60, true], [100, undefined, 100, false], [0, 60, 0, false]])('of %s seconds asked for and %s granted it is kept for %s', (asked, granted, kept, told) => {
  const client = { sessionExpiryInterval: asked, _sessionExpiryClamped: false } as EngineClient
  boundExpiry(client, { protocol: 5, grants: { sessionExpirySecondsMax: granted } } as unknown as Opening)
  expect([client.sessionExpiryInterval, client._sessionExpiryClamped]).toEqual([kept, told])
})

describe('deadlines', () => {
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  test('at the first look the store is asked, whatever was said; then only when something is due', async () => {
    const ended: SessionKey[][] = []
    let asked = 0
    const due = openDeadlines({
      store: { ...store, due: async (at, limit) => { asked += 1; return store.due(at, limit) } },
      clock: () => now, fireWill: async () => {}, onStoreFault: (cause) => { throw cause },
      async endSessions(keys) {
        ended.push([...keys])
        await store.commit(keys.map((key) => ({ kind: 'session-ended', key })))
      },
    })
    await away('x', 60)
    due.sweep()
    await settled()
    expect([asked, ended]).toEqual([1, []])
    now = START + 59_999
    due.sweep()
    await settled()
    expect(asked).toBe(1)
    now = START + 60_000
    due.sweep()
    await settled()
    expect(ended).toEqual([[`${DEFAULT_TENANT}/d/x`]])
    const before = asked
    now += 1e9
    due.sweep()
    await settled()
    expect(asked).toBe(before)
    due.hint(now)
    due.sweep()
    await settled()
    expect(asked).toBe(before + 1)
  })

  test('a store that fails is asked again at the next look', async () => {
    let asked = 0
    const faults: unknown[] = []
    const due = openDeadlines({
      store: { due: async () => { asked += 1; throw new Error('disk') } } as unknown as SessionStore,
      clock: () => now, fireWill: async () => {}, endSessions: async () => {}, onStoreFault: (cause) => void faults.push(cause),
    })
    for (let i = 0; i < 2; i++) {
      due.sweep()
      await settled()
    }
    expect([asked, faults.length]).toEqual([2, 2])
  })
})
