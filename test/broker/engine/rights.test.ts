// What live sessions may do when policy, device or time change: who is judged when, and what is taken from whom. Registry, trust and
// connections are played here; what it comes to over the wire is in ../policy-live.test.ts.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Granting } from '../../../src/broker/engine/granting.ts'
import type { Link } from '../../../src/broker/engine/link.ts'
import { openRights, type Rights } from '../../../src/broker/engine/rights.ts'
import type { HeldSubscription } from '../../../src/broker/engine/surface.ts'
import type { BrokerPorts } from '../../../src/broker/ports.ts'
import { openSessionTable, type Session, type SessionTable } from '../../../src/broker/sessions.ts'
import { allow } from '../../../src/core/decision.ts'
import type { Device } from '../../../src/core/device.ts'
import type { CaName, DeviceId, SessionKey } from '../../../src/core/ids.ts'
import { grantsFor } from '../../../src/core/policy/grants.ts'
import type { Narrowing } from '../../../src/core/policy/narrowing.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'
import { readPolicy } from '../../../src/policy-file.ts'
import { device as deviceOf, NOW, planned } from '../../core/facts.ts'

let now = NOW
let yaml = ''
let judged: string[]
let devices: Map<string, Device>
let ended: string[]
let narrowed: (readonly [SessionKey, Narrowing])[]
let stored: PromiseWithResolvers<void>
let lossesActive: number
let routed: string[]
let sessions: SessionTable
let links: Map<Session, Link>
let rights: Rights

const HEARS = (...filters: readonly string[]): string => `version: 1\ngrants:\n  - { id: g, to: any, subscribe: [ ${filters.join(', ')} ], publish: [ p ] }\n`
const compiled = () => {
  const read = readPolicy('policy.yaml', yaml, 1)
  if (!('policy' in read)) throw new Error(JSON.stringify(read.problems))
  return read.policy
}

beforeEach(() => {
  now = NOW
  yaml = HEARS('a', 'b')
  judged = []
  devices = new Map()
  ended = []
  narrowed = []
  stored = Promise.withResolvers()
  lossesActive = 0
  routed = []
  sessions = openSessionTable()
  links = new Map()
  const granting: Granting = {
    connected(device, { issuer }, clientId, connection) {
      judged.push(clientId)
      return grantsFor(compiled(), { device, ca: issuer, clientId, connection, now })
    },
    absent: () => { throw new Error('nobody is away') },
    earlier: () => { throw new Error('nothing was said earlier') },
  }
  rights = openRights({
    broker: {
      clock: () => now, log() {}, policy: compiled, trust: () => ({ roleOf: () => 'issuing', judgeId: () => allow(undefined) }),
      view: { device: (id: DeviceId) => devices.get(id), certificate: (_: CaName, serial: string) => planned(serial, 'd', { state: 'active', notBefore: 0, notAfter: NOW * 2, device: serial as DeviceId }) },
    } as unknown as BrokerPorts,
    sessions, granting,
    keeping: { narrow: (key, narrowing) => { narrowed.push([key, narrowing]); return stored.promise } },
    lostReport: { add() {} },
    linkOf: (session) => links.get(session),
    tellGaps() {},
    subscribed: (_link, filter, held) => void routed.push(`${filter} ${held.qos}`),
  })
})
afterEach(() => {
  rights.stop()
  vi.restoreAllMocks()
})

/** A connected session of a device of its own, that holds these filters. */
function connect(id: string, held: Readonly<Record<string, 0 | 1 | 2>> = { a: 1, b: 1 }, kept = true): Session {
  devices.set(id, deviceOf(id))
  const connection = { source: '192.0.2.1', tls: '1.3' } as const
  const session = rights.adopt({
    key: `default/${id}/${id}` as SessionKey, tenant: 'default', device: id as DeviceId, clientId: id, issuer: 'ca' as CaName, serial: id, connection, ending: undefined,
    async end(reason: string, by: string) {
      ended.push(`${id} ${reason} ${by}`)
      session.ending = 'no-grant'
    },
  } as unknown as Omit<Session, 'grants'>, grantsFor(compiled(), { device: deviceOf(id), ca: 'ca' as CaName, clientId: id, connection, now }))
  const client = {
    closed: false, sessionExpiryInterval: 600, subscriptions: Object.fromEntries(Object.entries(held).map(([filter, qos]): [string, HeldSubscription] => [filter, { qos }])),
    unsubscribe({ unsubscriptions }: { unsubscriptions: readonly string[] }) {
      for (const filter of unsubscriptions) delete client.subscriptions[filter]
    },
  }
  const outbound = {
    kept, sentThrough: 3,
    lose() {
      lossesActive += 1
      return () => void (lossesActive -= 1)
    },
  }
  links.set(session, { client, outbound } as unknown as Link)
  sessions.add(session)
  return session
}
const heldBy = (session: Session): readonly string[] => Object.entries(links.get(session)?.client.subscriptions ?? {}).map(([filter, { qos }]) => `${filter} ${qos}`)

/** The clock by which a slice of work is measured moves a millisecond each time it is asked. */
function slowly(): void {
  let ms = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (ms += 1))
}
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

describe('a policy that changes', () => {
  test('is applied to all in portions, in the order in which they connected; each is judged once', async () => {
    const all = Array.from({ length: 100 }, (_, i) => connect(`d${i}`))
    slowly()
    yaml = HEARS('b')
    rights.renewAll()
    const first = judged.length
    expect(first).toBeLessThanOrEqual(BROKER_LIMITS.renewSliceMs + 1)
    expect(first).toBeGreaterThan(0)
    while (judged.length < all.length) await turn()
    await turn()
    expect(judged).toEqual(all.map(({ clientId }) => clientId))
    for (const session of all) expect(heldBy(session)).toEqual(['b 1'])
  })

  test('a session is judged by what is in force when it is used before its turn, and is then not judged again', async () => {
    const all = Array.from({ length: 100 }, (_, i) => connect(`d${i}`))
    const last = all[99]!
    slowly()
    yaml = HEARS('b')
    rights.renewAll()
    expect(judged).not.toContain('d99')
    expect([last.grants.mayReceive('a'), last.grants.mayReceive('b'), heldBy(last)]).toEqual([false, true, ['b 1']])
    while (judged.length < all.length) await turn()
    await turn()
    expect(judged.filter((id) => id === 'd99')).toHaveLength(1)
  })

  test('again and again, faster than it can be applied, lets everybody have a turn', async () => {
    const all = Array.from({ length: 100 }, (_, i) => connect(`d${i}`))
    slowly()
    for (let i = 0; i < 40; i++) {
      yaml = HEARS(i % 2 === 0 ? 'b' : 'a', 'b')
      rights.renewAll()
      await turn()
    }
    expect(new Set(judged).size).toBe(all.length)
  })

  test('that takes nothing from a session writes nothing and routes nothing anew', () => {
    const session = connect('d', { a: 1, b: 2 })
    yaml = HEARS('a', 'b', 'c')
    rights.renewAll()
    expect([heldBy(session), narrowed, routed, lossesActive]).toEqual([['a 1', 'b 2'], [], [], 0])
  })

  test('lowers a QoS in the engine, the router and the store', () => {
    const session = connect('d', { a: 2, b: 2 })
    yaml = HEARS('{ topic: a, qos: 1 }', 'b')
    rights.renewAll()
    expect([heldBy(session), routed]).toEqual([['a 1', 'b 2'], ['a 1']])
    expect(narrowed).toMatchObject([[session.key, { lost: [], lowered: [{ filter: 'a', qos: 1 }] }]])
  })

  test('keeps what is lost from being sent until the store has it', async () => {
    connect('d')
    yaml = HEARS('b')
    rights.renewAll()
    await turn()
    expect(lossesActive).toBe(1)
    stored.resolve()
    // What was read of the store before this answer is handed out in the same turn: the loss holds until the next one.
    await turn()
    expect(lossesActive).toBe(1)
    await turn()
    expect(lossesActive).toBe(0)
  })

  test('of a session that is not kept nothing is stored, and nothing lasts longer than until the next turn', async () => {
    connect('d', { a: 1 }, false)
    yaml = HEARS('b')
    rights.renewAll()
    expect([narrowed, lossesActive]).toEqual([[], 1])
    await turn()
    await turn()
    expect(lossesActive).toBe(0)
  })

  test('that grants nothing ends the session, which from then on may nothing, whoever asks first', () => {
    const session = connect('d')
    yaml = 'version: 1\ngrants:\n  - { id: g, to: { device: other }, subscribe: [ a ], publish: [ p ] }\n'
    rights.renewAll()
    expect(ended).toEqual(['d no-grant policy'])
    const { grants } = session
    expect([grants.mayReceive('a'), grants.publish('p', 0, false, 0).effect, grants.subscribe('a', 0).effect]).toEqual([false, 'deny', 'deny'])
    expect(ended).toHaveLength(1)
    expect(heldBy(session)).toEqual(['a 1', 'b 1'])
  })

  test('bounds how long the session is kept, and does not lengthen it', () => {
    const session = connect('d')
    yaml = HEARS('a', 'b').replace('publish', 'connect: { sessionExpiryMax: 60s }, publish')
    rights.renewAll()
    expect(links.get(session)?.client.sessionExpiryInterval).toBe(60)
    yaml = HEARS('a', 'b')
    rights.renewAll()
    expect(links.get(session)?.client.sessionExpiryInterval).toBe(60)
  })

  test('knows who has gone before its turn came', async () => {
    const [one, two] = [connect('one'), connect('two')]
    for (let i = 0; i < 100; i++) connect(`d${i}`)
    slowly()
    rights.renewAll()
    const last = connect('last')
    expect([one, two, last].map((session) => rights.isBehind(session))).toEqual([false, false, false])
    expect(sessions.get('default/d99/d99' as SessionKey)).toSatisfy((session: Session) => rights.isBehind(session))
    while (judged.length < 102) await turn()
    expect(sessions.get('default/d99/d99' as SessionKey)).toSatisfy((session: Session) => !rights.isBehind(session))
  })

  test('asks nothing of a session that is gone', () => {
    const session = connect('d')
    yaml = HEARS('b')
    sessions.remove(session)
    rights.renewAll()
    expect(judged).toEqual([])
  })
})

describe('a device that changes', () => {
  test('is judged at once, and nobody else; what ends a session by order is no doing of the policy', async () => {
    const [one] = [connect('one'), connect('two')]
    devices.set('one', deviceOf('one', { state: 'suspended' }))
    await rights.renew(one)
    expect([ended, judged]).toEqual([['one device-suspended operator'], []])
  })

  test('stays while it is granted anything in quarantine, and has that alone', () => {
    const session = connect('d')
    yaml = `${HEARS('a', 'b')}quarantine: { subscribe: [ a ] }\n`
    devices.set('d', deviceOf('d', { state: 'quarantined' }))
    expect(rights.renew(session)).toBeUndefined()
    expect([ended, heldBy(session), session.grants.publish('p', 0, false, 0).effect]).toEqual([[], ['a 1'], 'deny'])
    devices.set('d', deviceOf('d'))
    void rights.renew(session)
    expect(session.grants.publish('p', 0, false, 0).effect).toBe('allow')
  })

  test('ends when it is granted nothing there', async () => {
    const session = connect('d')
    devices.set('d', deviceOf('d', { state: 'quarantined' }))
    await rights.renew(session)
    expect(ended).toEqual(['d device-quarantined operator'])
  })
})

describe('time', () => {
  const at = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
  const START = Math.ceil(NOW / 1_000) * 1_000
  const until = (ms: number): string => `${HEARS('b')}  - { id: t, to: any, when: { notAfter: "${at(ms)}" }, subscribe: [ a ] }\n`

  beforeEach(() => {
    now = START
  })

  test('takes a right away when it is over, at the next look, and nobody is judged before', () => {
    yaml = until(START + 5_000)
    const session = connect('d')
    for (now = START; now < START + 5_000; now += 1_000) rights.sweep(now)
    expect([judged, session.grants.mayReceive('a')]).toEqual([[], true])
    rights.sweep(now)
    expect([judged, session.grants.mayReceive('a'), heldBy(session)]).toEqual([['d'], false, ['b 1']])
    now += 3_600_000
    rights.sweep(now)
    expect(judged).toHaveLength(1)
  })

  test('gives a right when it begins', () => {
    yaml = until(0).replace('notAfter', 'notBefore').replace(at(0), at(START + 2_000))
    const session = connect('d', { b: 1 })
    rights.sweep(now)
    expect(session.grants.subscribe('a', 1).effect).toBe('deny')
    now += 2_000
    rights.sweep(now)
    expect(session.grants.subscribe('a', 1).effect).toBe('allow')
  })

  test('that was slept through is noticed at the next look', () => {
    yaml = until(START + 5_000)
    const session = connect('d')
    now += 86_400_000
    rights.sweep(now)
    expect(session.grants.mayReceive('a')).toBe(false)
  })

  test('that is set back makes everybody be judged again; a slip of less than a second does not', () => {
    yaml = until(START + 5_000)
    now = START + 10_000
    const session = connect('d', { b: 1 })
    rights.sweep(now)
    now -= 1_000
    rights.sweep(now)
    expect(judged).toEqual([])
    now = START
    rights.sweep(now)
    expect([judged, session.grants.mayReceive('a')]).toEqual([['d'], true])
  })
})

describe('filters that are kept for a session that comes back', () => {
  test('are what it may hold; the rest is taken from it, and of that nothing is sent that another one does not hold', () => {
    const session = connect('d', {})
    yaml = HEARS('{ topic: a, qos: 1 }')
    rights.renewAll()
    const kept = [{ filter: 'a', qos: 2 as const, identifier: 7 }, { filter: 'b', qos: 1 as const, identifier: 8 }]
    expect(rights.admit(links.get(session)!, session, kept)).toEqual([{ filter: 'a', qos: 1, identifier: 7 }])
    expect(narrowed).toMatchObject([[session.key, { lost: [{ filter: 'b', verdict: { reason: 'subscribe-not-granted' } }], lowered: [{ filter: 'a', qos: 1 }] }]])
  })
})
