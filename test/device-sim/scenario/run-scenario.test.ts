// A scenario against a broker of a few lines that loses, repeats, mixes up, leaks and refuses on demand: each must be caught. Against
// a real server in main.test.ts.

import { afterEach, describe, expect, test } from 'vitest'
import { connectLight } from '../../../device-sim/load/light-peer.ts'
import type { ScenarioResult } from '../../../device-sim/scenario/outcome.ts'
import { readScenario } from '../../../device-sim/scenario/read-scenario.ts'
import { loadScenario } from '../../../device-sim/scenario/ready-made.ts'
import { runScenario } from '../../../device-sim/scenario/run-scenario.ts'
import type { Scenario } from '../../../device-sim/scenario/scenario.ts'
import type { Admin } from '../../../device-sim/admin.ts'
import type { OpenedHome } from '../../../device-sim/server-process.ts'
import { subscribers, tinyBroker, type TinyBroker, type TinyRules } from '../tiny-broker.ts'

const ending = { signal: new AbortController() }
afterEach(() => {
  ending.signal = new AbortController()
})

async function played(scenario: Scenario | string, rules: TinyRules = {}, home?: (broker: TinyBroker) => OpenedHome): Promise<ScenarioResult> {
  await using broker = await tinyBroker(rules)
  return await runScenario({
    scenario: typeof scenario === 'string' ? readScenario('s.yaml', scenario) : scenario, target: broker.target, identities: broker.identities, home: home?.(broker), pid: () => Promise.resolve(undefined),
    sources: { next: () => undefined }, prefix: 'tiny', signal: ending.signal.signal, onPhase: () => {}, onProgress: (text) => void text(),
  })
}

const LOAD = loadScenario({ devices: 5, rate: 200, seconds: 1, qos: 1 })
const TELEMETRY = `version: 1
name: telemetry
groups:
  backend: { count: 1, role: backend }
  sensors: { count: 4 }
phases:
  - name: arrive
    do: [ { connect: { group: [backend, sensors] } } ]
  - name: speak
    for: 1s
    do: [ { publish: { group: sensors, rate: 100 } } ]
`

describe('a broker that does its work', () => {
  test.each([0, 1, 2] as const)('loses nothing with QoS %i', async (qos) => {
    const result = await played({ ...LOAD, ...loadScenario({ devices: 5, rate: 200, seconds: 1, qos }) })
    expect(result.failures.shown).toEqual([])
    expect(result).toMatchObject({ devices: 5, refused: {}, leaks: { count: 0 }, interrupted: false, ok: true })
    expect(result.messages).toEqual({ sent: 200, unsent: 0, due: 200, received: 200, lost: 0, duplicates: 0, misordered: 0, unjudged: 0 })
    expect(result.timings).toMatchObject({ connect: { count: 5 }, delivery: { count: 200 }, generator: { count: 200 } })
    expect(result.timeline.reduce((sum, { received }) => sum + received, 0)).toBe(200)
  })

  test('delivers to a backend, each message once', async () => {
    expect((await played(TELEMETRY)).messages).toMatchObject({ sent: 100, due: 100, received: 100, lost: 0 })
  })

  test('brings commands and their answers', async () => {
    const result = await played(TELEMETRY.replace('count: 4 }', 'count: 4, answers: true }').replace('publish: { group: sensors, rate: 100 }', 'command: { from: backend, group: sensors, rate: 40 }'))
    expect(result).toMatchObject({ ok: true, messages: { sent: 80, due: 80, lost: 0 }, timings: { command: { count: 40 } } })
  })
})

describe('a broker that does not is found out', () => {
  test.each<[string, TinyRules, Partial<ScenarioResult['messages']>]>([
    ['losses', { route: (message, _, sessions, n) => (n % 10 === 3 ? [] : subscribers(message, sessions)) }, { lost: 20, received: 180, duplicates: 0 }],
    ['repetitions', { route: (message, _, sessions, n) => (n === 50 ? [...subscribers(message, sessions), ...subscribers(message, sessions)] : subscribers(message, sessions)) }, { lost: 0, received: 200, duplicates: 1 }],
  ])('%s are counted, and the run fails', async (_, rules, messages) => {
    const result = await played(LOAD, rules)
    expect(result.messages).toMatchObject(messages)
    expect(result.ok).toBe(false)
  })

  test('messages out of order', async () => {
    let held: Parameters<NonNullable<TinyRules['instead']>>[0] | undefined
    const result = await played(loadScenario({ devices: 1, rate: 100, seconds: 1, qos: 0 }), {
      instead(packet, from) {
        if (packet.cmd !== 'publish') return false
        if (held === undefined) held = packet
        else {
          from.send(packet)
          if (packet !== held) from.send(held)
          held = undefined
        }
        return true
      },
    })
    expect(result.messages).toMatchObject({ received: 100, lost: 0, misordered: 50 })
    expect(result.ok).toBe(false)
  })

  test('a message that somebody may not hear is a leak, with who and what', async () => {
    const result = await played(TELEMETRY, { route: (_message, _from, sessions, n) => (n === 0 ? sessions : sessions.filter(({ id }) => id.includes('backend'))) })
    expect(result.leaks.count).toBe(3)
    expect(result.leaks.shown[0]).toMatch(/^tiny-sensors-\d: it may not hear t\/tiny-sensors-\d\/reading, and was given a message on it$/)
    expect(result.ok).toBe(false)
  })

  test('so is what a device says on a topic that is not its own', async () => {
    const result = await played(TELEMETRY.replace('rate: 100 }', 'rate: 40, topic: "t/${neighbour}/reading", expect: { refused: any } }'), { answer: () => 0x87 })
    expect(result.leaks.count).toBe(40)
    expect(result.leaks.shown[0]).toMatch(/it was given on t\/tiny-sensors-\d\/reading what tiny-sensors-\d may not publish there/)
  })

  test('a refusal that was expected and did not come is a failure with device, step, expected and seen', async () => {
    const result = await played(TELEMETRY.replace('rate: 100 }', 'rate: 40, topic: "t/${neighbour}/reading", expect: { refused: any } }'), { route: () => [] })
    // Of MQTT 3.1.1 there is no word for it.
    expect(result.failures.count).toBe(20)
    expect(result.failures.shown[0]).toEqual({ step: 'publish (line 11)', device: expect.stringMatching(/^tiny-sensors-[24]$/), expected: expect.stringMatching(/^its publish to t\/tiny-sensors-[13]\/reading is refused$/), seen: 'acknowledged with 0x00' })
    expect(result.leaks.count).toBe(0)
    expect(result.ok).toBe(false)
  })

  test('a publish that is refused and should not be', async () => {
    const result = await played(TELEMETRY, { answer: (_message, { id }) => (id === 'tiny-sensors-2' ? 0x87 : 0) })
    expect(result.failures.shown[0]).toEqual({ step: 'publish (line 11)', device: 'tiny-sensors-2', expected: 'its publish to t/tiny-sensors-2/reading is acknowledged', seen: '0x87' })
    expect(result.failures.count).toBe(25)
  })

  test('a device that is not admitted, and the others go on', async () => {
    const result = await played(TELEMETRY, {
      instead(packet, from) {
        if (packet.cmd !== 'connect' || packet.clientId !== 'tiny-sensors-3') return false
        from.socket.end(Buffer.from([0x20, 2, 0, 5]))
        return true
      },
    })
    expect(result.failures.shown).toEqual([{ step: 'connect (line 8)', device: 'tiny-sensors-3', expected: 'accepted', seen: 'CONNACK 0x05' }])
    expect(result).toMatchObject({ refused: { 'CONNACK 0x05': 1 }, messages: { sent: 75, unsent: 25, lost: 0 }, ok: false })
  })

  test('one that is admitted and should not be', async () => {
    const result = await played(TELEMETRY.replace('connect: { group: [backend, sensors] }', 'connect: { group: backend, expect: { refused: any } }'))
    expect(result.failures.shown[0]).toEqual({ step: 'connect (line 8)', device: 'tiny-backend-1', expected: 'refused', seen: 'accepted' })
  })

  test('one that may not subscribe', async () => {
    const result = await played(TELEMETRY, { instead: (packet, from) => packet.cmd === 'subscribe' && (from.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [0x80] }), true) })
    expect(result.failures.shown.find(({ device }) => device === 'tiny-backend-1')).toMatchObject({ step: 'connect (line 8)', seen: 'SUBACK 0x80 for t/#' })
  })

  test('one that is cut off', async () => {
    let published = 0
    const result = await played(TELEMETRY, {
      instead(packet, from) {
        if (packet.cmd !== 'publish' || (published += 1) !== 20) return false
        from.socket.destroy()
        return true
      },
    })
    expect(result.failures).toEqual({ count: 1, shown: [{ step: 'connection', device: expect.stringMatching(/^tiny-sensors-/), expected: 'it stays connected', seen: expect.stringMatching(/closed|ECONNRESET/) }] })
    expect(result.messages.unsent).toBeGreaterThan(0)
    expect(result.messages.lost).toBe(0)
  })

  test('a command that nobody answers', async () => {
    const result = await played(TELEMETRY.replace('publish: { group: sensors, rate: 100 }', 'command: { from: backend, group: sensors, rate: 4, within: 300ms }'))
    expect(result.failures.shown[0]).toEqual({ step: 'command (line 11)', device: expect.stringMatching(/^tiny-sensors-/), expected: 'an answer within 300 ms', seen: 'none' })
    expect(result.failures.count).toBe(4)
  })

  test('misbehaviour that is let through', async () => {
    const result = await played(TELEMETRY.replace('publish: { group: sensors, rate: 100 }', 'misbehave: { group: sensors, rate: 24 }'))
    const expected = [...new Set(result.failures.shown.map((failure) => failure.expected.replaceAll(/tiny-sensors-\d/g, 'ID')))]
    expect(expected.toSorted()).toEqual(['a CONNECT in the name of ID is refused', 'its publish to t/ID/reading is refused', 'its subscription to # is refused'])
    expect(result.leaks.count).toBeGreaterThan(0)
  })
})

describe('an operator who revokes', () => {
  const REVOKE = TELEMETRY.replace('publish: { group: sensors, rate: 100 }', 'publish: { group: sensors, rate: 200 } }, { revoke: { group: sensors, share: 25%, within: 300ms }')
  const homeOf = (admin: Partial<Admin>): OpenedHome => ({ admin: { refusalsAfter: () => Promise.resolve({ newest: 0, refusals: [] }), ...admin } }) as unknown as OpenedHome
  const answer = { revoked: ['1'], sessionsClosed: 1, closedMs: 1 }

  test('of a broker that does it: the device speaks until it is cut off, and is not heard from then on', async () => {
    const result = await played(REVOKE, {}, (broker) => homeOf({
      revoke(target) {
        for (const session of broker.sessions) if ('device' in target && session.id === target.device) session.socket.destroy()
        return Promise.resolve(answer)
      },
    }))
    expect(result).toMatchObject({ ok: true, leaks: { count: 0 }, timings: { revoke: { count: 1 } }, messages: { lost: 0 } })
  })

  test('of a broker that only says so: the session is still open, and what the device says is heard', async () => {
    const result = await played(REVOKE, {}, () => homeOf({ revoke: () => Promise.resolve(answer) }))
    expect(result.failures.shown).toEqual([{ step: 'revoke (line 11)', device: expect.stringMatching(/^tiny-sensors-/), expected: 'its session is closed within 300 ms', seen: 'still open' }])
    expect(result.leaks.count).toBeGreaterThan(10)
    expect(result.leaks.shown[0]).toMatch(/^tiny-backend-1: it heard what tiny-sensors-\d said \d+ ms after it had been taken out$/)
  })

  test('a refusal for another reason than the expected one, and one that left no trace, are failures', async () => {
    const again = TELEMETRY.replace('connect: { group: [backend, sensors] }', 'connect: { group: backend, expect: { refused: certificate-revoked } }')
    const refusing: TinyRules = { instead: (packet, from) => packet.cmd === 'connect' && (from.socket.end(Buffer.from([0x20, 2, 0, 5])), true) }
    const noted = (reason: string) => homeOf({ refusalsAfter: (after) => Promise.resolve({ newest: 1, refusals: after === 0 ? [] : [{ sequence: 2, reason, count: 1, device: 'tiny-backend-1' }] }) })
    expect((await played(again, refusing, () => noted('device-suspended'))).failures.shown[0]).toMatchObject({ device: 'tiny-backend-1', expected: 'refused (certificate-revoked)', seen: 'refused (device-suspended)' })
    expect((await played(again, refusing, () => noted('certificate-revoked'))).failures.shown.filter(({ step }) => step.startsWith('connect'))).toEqual([])
    expect((await played(again, refusing, () => homeOf({}))).failures.shown[0]).toMatchObject({ seen: 'no refusal in the audit log' })
  })
})

test('a server that is down has refused nobody', async () => {
  const file = TELEMETRY.replace('connect: { group: [backend, sensors] }', 'connect: { group: backend, expect: { refused: any } }')
  await using broker = await tinyBroker()
  const result = await runScenario({
    scenario: readScenario('s.yaml', file), target: { ...broker.target, port: 1 }, identities: broker.identities, home: undefined, pid: () => Promise.resolve(undefined),
    sources: { next: () => undefined }, prefix: 'tiny', signal: ending.signal.signal, onPhase: () => {}, onProgress: () => {},
  })
  expect(result.failures.shown[0]).toMatchObject({ step: 'connect (line 8)', device: 'tiny-backend-1', expected: 'refused', seen: expect.stringContaining('ECONNREFUSED') })
})

describe('thresholds', () => {
  test('a bound that is not kept fails the run, and one on what never happened, too', async () => {
    const result = await played(`${TELEMETRY}thresholds: { delivery.max: 0ms, renew.p99: 10s }\n`)
    expect(result.thresholds.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(['delivery.max', 'renew.p99'])
    expect(result.ok).toBe(false)
  })
  test('a bound that allows losses is kept', async () => {
    const result = await played(`${TELEMETRY}thresholds: { lost: 10 }\n`, { route: (message, _, sessions, n) => (n % 10 === 3 ? [] : subscribers(message, sessions)) })
    expect(result).toMatchObject({ messages: { lost: 10 }, ok: true })
  })
})

test('a step that needs an operator fails where there is none', async () => {
  const result = await played(TELEMETRY.replace('publish: { group: sensors, rate: 100 }', 'revoke: { group: sensors }'))
  expect(result.failures.shown[0]).toMatchObject({ step: 'revoke (line 11)', seen: 'This step needs an operator of the target, and the target is no home of Sallyport.' })
})

test('a storm: kept sessions come back, and what was said meanwhile by those who were away is not sent', async () => {
  const result = await played(`${TELEMETRY.replace('count: 4 }', 'count: 4, session: kept }').replace('for: 1s', 'for: 2s')}  - name: storm\n    for: 2s\n    do: [ { publish: { group: sensors, rate: 100 } }, { storm: { group: sensors, backoff: 500ms } } ]\n`)
  expect(result.failures.shown).toEqual([])
  expect(result).toMatchObject({ ok: true, timings: { connect: { count: 9 } }, messages: { lost: 0 } })
  expect(result.messages.unsent).toBeGreaterThan(0)
})

test('an interruption ends it early, with what there is, and calls nothing lost', async () => {
  const result = await played(loadScenario({ devices: 5, rate: 200, seconds: 3_600, qos: 1 }), { route: (message, _, sessions, n) => (n === 30 && ending.signal.abort(), subscribers(message, sessions)) })
  expect(result).toMatchObject({ interrupted: true, ok: false })
  expect(result.thresholds.every(({ ok }) => ok)).toBe(true)
  expect(result.messages.received).toBeGreaterThan(0)
})

describe('the light client', () => {
  test('says why it was not admitted', async () => {
    await using broker = await tinyBroker({ instead: (_, from) => (from.socket.destroy(), true) })
    const options = { target: broker.target, id: 'd', credentials: broker.identity('d'), source: undefined, onMessage: () => {}, onEnd: () => expect.unreachable() }
    await expect(connectLight(options)).rejects.toThrow(/closed before CONNACK|ECONNRESET/)
    await expect(connectLight({ ...options, target: { ...broker.target, port: 1 } })).rejects.toThrow('ECONNREFUSED')
    await expect(connectLight({ ...options, target: { ...broker.target, serverName: 'other' } })).rejects.toThrow('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test('uses no packet identifier twice while it is in use', async () => {
    const open = new Set<number>()
    let clash = false
    const all = Promise.withResolvers<void>()
    await using broker = await tinyBroker({
      instead(packet) {
        if (packet.cmd !== 'publish') return false
        clash ||= open.has(packet.messageId ?? 0)
        open.add(packet.messageId ?? 0)
        if (open.size === 1_000) all.resolve()
        return true
      },
    })
    const peer = await connectLight({ target: broker.target, id: 'd', credentials: broker.identity('d'), source: undefined, onMessage: () => {}, onEnd: () => {} })
    for (let i = 0; i < 1_000; i++) peer.publish('x', Buffer.alloc(1), 1)
    await all.promise
    expect(clash).toBe(false)
    expect(peer.underWay).toBe(1_000)
    peer.end()
  })
})
