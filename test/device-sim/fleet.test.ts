// The honest fleet, against a broker of a few lines that leaks, loses and repeats on demand, and against the real server.

import { describe, expect, test } from 'vitest'
import { runFleet, type FleetPlan, type FleetResult } from '../../device-sim/fleet.ts'
import { openIdentities, type Identities } from '../../device-sim/identities.ts'
import { SIM_LIMITS } from '../../device-sim/limits.ts'
import { startOwnServer } from '../../device-sim/server-process.ts'
import { ownTopicsOnly, subscribers, tinyBroker, type TinyRules, type TinySession } from './tiny-broker.ts'
import type { IPublishPacket } from 'mqtt-packet'

const calm = { signal: new AbortController().signal, arriveMs: SIM_LIMITS.fleetMs, onPhase: () => {} }

/** As the starter policy would have it: what is out of place is dropped, and in MQTT 5 refused. */
const HONEST: TinyRules = {
  route: (message, from, sessions) => (allowed(message, from) ? subscribers(message, sessions) : []),
  answer: (message, from) => (allowed(message, from) ? 0 : 0x87),
}
const allowed = (message: IPublishPacket, from: TinySession): boolean => ownTopicsOnly(message, from)

async function fleet(rules: TinyRules, changes: Partial<FleetPlan> = {}): Promise<FleetResult> {
  await using broker = await tinyBroker(rules)
  return await runFleet({ home: broker, identities: broker.identities, devices: 6, messagesPerDevice: 2, ...calm, arriveMs: 300, ...changes })
}

describe('on a broker that does its work', () => {
  test('half enroll by a request and half by a bundle, both versions are mixed, and every message arrives once', async () => {
    const result = await fleet(HONEST)
    expect(result.faults).toEqual([])
    expect(result).toMatchObject({
      ok: true, interrupted: false, devices: 6, enrolled: { ownRequest: 3, bundle: 3 }, connected: { 'MQTT 3.1.1': 3, 'MQTT 5': 3 },
      // Six devices with two messages, each heard by itself and the backend, and two commands to each of six.
      messages: { expected: 36, received: 36, lost: 0, duplicates: 0, misordered: 0, leaks: 0 },
      strays: { sent: 6, refused: 3 },
    })
  })

  test('a fleet of one has no neighbour', async () => {
    expect(await fleet(HONEST, { devices: 1 })).toMatchObject({ ok: true, strays: { sent: 0 }, messages: { expected: 6, received: 6 } })
  })
})

describe('on a broker that does not', () => {
  test('a message that everybody hears is a leak, told with who heard what of whom', async () => {
    const result = await fleet({ ...HONEST, route: (message, from, sessions) => (allowed(message, from) ? [...sessions] : []) })
    expect(result.ok).toBe(false)
    expect(result.messages.leaks).toBeGreaterThan(0)
    expect(result.faults.join('\n')).toMatch(/tiny-\w+-\d+ may not hear t\/tiny-\w+-\d+\/reading, but was given a message on it/)
  })

  test('a publish out of place that is let through is a leak to its neighbour, and a wrong answer', async () => {
    const result = await fleet({})
    expect(result.ok).toBe(false)
    expect(result.faults.join('\n')).toMatch(/tiny-\w+-\d+ was given a message of tiny-\w+-\d+ on t\/tiny-\w+-\d+\/stray that was not for it/)
    expect(result.faults.join('\n')).toMatch(/\(MQTT 5\) published to t\/tiny-\w+-\d+\/stray: expected the answer 0x87, seen: 0x00/)
  })

  test('a command that comes twice is a duplicate', async () => {
    const result = await fleet({ ...HONEST, route: (message, from, sessions) => (message.topic.startsWith('cmd/') ? [...subscribers(message, sessions), ...subscribers(message, sessions)] : HONEST.route?.(message, from, sessions, 0) ?? []) })
    expect(result).toMatchObject({ ok: false, messages: { duplicates: 12, leaks: 0, lost: 0 } })
  })

  test('a device that is cut off is named', async () => {
    let cut = false
    const result = await fleet({
      ...HONEST,
      instead(packet, from) {
        if (cut || packet.cmd !== 'publish' || !packet.topic.endsWith('/reading')) return false
        cut = true
        from.socket.destroy()
        return true
      },
    }, { messagesPerDevice: 1 })
    expect(result.ok).toBe(false)
    expect(result.faults.join('\n')).toMatch(/expected to stay connected, seen: its connection ended/)
  })

  test('a certificate that is not to be had is told, with its device and the others go on', async () => {
    await using broker = await tinyBroker(HONEST)
    let count = 0
    const identities: Identities = { ...broker.identities, fresh: (label) => (label === 'own' && (count += 1) === 2 ? Promise.reject(new Error('answered 409 (key-in-use)')) : broker.identities.fresh(label)) }
    const result = await runFleet({ home: broker, identities, devices: 6, messagesPerDevice: 1, ...calm })
    expect(result).toMatchObject({ ok: false, enrolled: { ownRequest: 2, bundle: 3 }, messages: { lost: 0 } })
    expect(result.faults).toEqual(['device 2 of 3 that enroll with a request of their own: expected a certificate, seen: answered 409 (key-in-use)'])
  })
})

test('an interrupted fleet says what it has, and calls nothing a fault', async () => {
  const ending = new AbortController()
  const result = await fleet(HONEST, { signal: ending.signal, onPhase: (phase) => void (phase === 'speaking' && ending.abort()) })
  expect(result).toMatchObject({ interrupted: true, ok: false, faults: [], connected: { 'MQTT 3.1.1': 3, 'MQTT 5': 3 } })
})

describe('on the real server', () => {
  test('a small fleet is ok, and one with a device in the wrong group is not', async () => {
    await using server = await startOwnServer(calm.signal)
    const { home } = server
    const identities = openIdentities(home.admin, 'sim-test')
    const plan = { home, identities, devices: 4, messagesPerDevice: 2, ...calm }
    const honest = await runFleet(plan)
    expect(honest.faults).toEqual([])
    expect(honest).toMatchObject({ ok: true, enrolled: { ownRequest: 2, bundle: 2 }, messages: { expected: 24, received: 24 }, strays: { sent: 4, refused: 2 } })

    const misplaced: Identities = { ...identities, registered: (label) => identities.registered(label, 'backend') }
    const wrong = await runFleet({ ...plan, identities: misplaced })
    expect(wrong).toMatchObject({ ok: false, connected: { 'MQTT 3.1.1': 1, 'MQTT 5': 1 } })
    expect(wrong.faults.filter((fault) => /^sim-test-bundle-\d+ \(MQTT [\d.]+\): expected to be admitted and to subscribe to t\/sim-test-bundle-\d+\/# and cmd\/sim-test-bundle-\d+\/\+, seen: Subscribe error/.test(fault))).toHaveLength(2)
  })
})
