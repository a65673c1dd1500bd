// Conditions over the wire: the address and TLS version of the connection, the time, also while a session goes on; and what counts of
// them for those who are not connected. policy.md, `when`.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, payloads, publishPacket, subscribe, tryConnect, versions, type Version, type Wire } from './wire.ts'

let house: House
let speaker: Identity
let count = 0
let ahead = 0
const fresh = (): Promise<Identity> => house.device(`device-${++count}`)
const SPEAKER = '  - { id: speaker, to: { group: speakers }, publish: [ { topic: "#", retain: true } ], subscribe: [ "#" ] }\n'
/** `always` and, under the condition, `sometimes`. */
const policyOf = (when: string, rest = ''): string => `version: 1
grants:
  - { id: always, to: { group: sensors }, subscribe: [ always ], publish: [ always ] }
  - { id: sometimes, to: { group: sensors }, when: { ${when} }, subscribe: [ sometimes ], publish: [ { topic: sometimes, retain: true } ], will: [ will ] }
${SPEAKER}${rest}`

beforeAll(async () => {
  house = await openHouse({ policy: policyOf('tls: "1.2"') })
  speaker = await house.device('speaker', 'speakers')
})
afterEach(() => {
  house.rest(-ahead)
  ahead = 0
  house.policy(policyOf('tls: "1.2"'))
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const refusedFilter = (version: Version): number => (version === 5 ? 0x87 : 0x80)
/** Moves the clock of the house for this test alone. */
function later(ms: number): void {
  house.rest(ms)
  ahead += ms
}
const iso = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
const lossOf = (identity: Identity) => (event: AuditEvent): boolean => event.kind === 'subscription-lost' && event.device === identity.id

async function broken(wire: Wire): Promise<void> {
  const before = house.broker.sessionCount
  wire.end()
  while (house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
}

describe.each(versions)('MQTT %s', (version) => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('a grant for TLS 1.2 is one for %s connections, or is not', async (tls) => {
    const wire = await connected(house, await fresh(), { version, tls: { minVersion: tls, maxVersion: tls } })
    expect(await subscribe(wire, 'always', 'sometimes')).toEqual([1, tls === 'TLSv1.2' ? 1 : refusedFilter(version)])
    house.policy(policyOf('tls: ">=1.2"'))
    expect(await subscribe(wire, 'sometimes')).toEqual([1])
    house.policy(policyOf('tls: ">=1.3"'))
    expect(await subscribe(wire, 'sometimes')).toEqual([tls === 'TLSv1.3' ? 1 : refusedFilter(version)])
    wire.end()
  })

  test('a grant for another network is none, and one for this network is one, for a session that stays connected, too', async () => {
    house.policy(policyOf('source: [ 10.0.0.0/8 ]'))
    const wire = await connected(house, await fresh(), { version })
    expect(await subscribe(wire, 'sometimes')).toEqual([refusedFilter(version)])
    house.policy(policyOf('source: [ 127.0.0.0/8 ]'))
    expect(await subscribe(wire, 'sometimes')).toEqual([1])
    wire.end()
  })

  test('a device that is granted something in one network alone does not come in from another', async () => {
    const [identity, other] = [await fresh(), await house.device(`other-${version}`, 'others')]
    house.policy(policyOf('tls: "1.2"').replace('to: { group: sensors }, when: { tls: "1.2" }', 'to: { group: others }, when: { source: [ 192.0.2.0/24 ] }'))
    expect(await tryConnect(house, other, connectPacket(other.id, version), { version })).toBe(version === 5 ? 0x87 : 5)
    await house.refused('no-grant')
    expect(await tryConnect(house, identity, connectPacket(identity.id, version), { version })).toBe(0)
  })

  test('a right that ends at an instant ends within a second of it, in a session that stays connected', async () => {
    const identity = await fresh()
    house.policy(policyOf(`notAfter: "${iso(house.clock() + 3_600_000)}"`))
    const wire = await connected(house, identity, { version })
    const sender = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
    await subscribe(wire, { topic: 'sometimes', qos: 1 }, { topic: 'always', qos: 1 })
    sender.send(publishPacket('sometimes', 'in time', { qos: 1 }))
    await wire.take('publish')
    later(3_600_000)
    await house.heard(lossOf(identity))
    sender.send(publishPacket('sometimes', 'too late', { qos: 1 }), publishPacket('always', 'always', { qos: 1 }))
    await wire.take('publish')
    expect(payloads(wire)).toEqual(['in time', 'always'])
    expect(await subscribe(wire, 'sometimes')).toEqual([refusedFilter(version)])
    // Set back, the clock gives again what it took.
    later(-3_600_000)
    while ((await subscribe(wire, 'sometimes'))[0] !== 1) await new Promise((resolve) => void setImmediate(resolve))
    wire.end()
    sender.end()
  })

  test('a right that begins at an instant begins without a reconnect', async () => {
    house.policy(policyOf(`notBefore: "${iso(house.clock() + 3_600_000)}"`))
    const wire = await connected(house, await fresh(), { version })
    expect(await subscribe(wire, 'sometimes')).toEqual([refusedFilter(version)])
    later(3_600_000)
    while ((await subscribe(wire, 'sometimes'))[0] !== 1) await new Promise((resolve) => void setImmediate(resolve))
    wire.end()
  })

  test('the session of a device that is granted nothing at this hour ends with the hour', async () => {
    const other = await house.device(`hourly-${version}`, 'others')
    house.policy(policyOf('tls: "1.2"').replace('to: { group: sensors }, when: { tls: "1.2" }', `to: { group: others }, when: { notAfter: "${iso(house.clock() + 3_600_000)}" }`))
    const wire = await connected(house, other, { version })
    later(3_600_000)
    if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x87)
    await wire.ended
    expect(house.events.some((e) => e.kind === 'session-closed' && e.device === other.id && e.reason === 'no-grant')).toBe(true)
  })

  test('a retained message is shown though its time and its network are over', async () => {
    const identity = await fresh()
    house.policy(policyOf(`source: [ 127.0.0.1 ], notAfter: "${iso(house.clock() + 3_600_000)}"`))
    const wire = await connected(house, identity, { version })
    wire.send(publishPacket('sometimes', 'said in time', { qos: 1, retain: true }))
    await wire.take('puback')
    later(3_600_000)
    const watcher = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
    await subscribe(watcher, 'sometimes')
    expect((await watcher.take('publish')).payload.toString()).toBe('said in time')
    watcher.send(publishPacket('sometimes', '', { qos: 1, retain: true }))
    await watcher.take('puback')
    watcher.end()
    wire.end()
  })

  test('a Will is judged by the time at which it fires, and whatever its network was', async () => {
    const watcher = await connected(house, speaker, { version, clientId: `speaker:${++count}` })
    await subscribe(watcher, 'will')
    const will = (payload: string) => ({ topic: 'will', payload: Buffer.from(payload), qos: 1 as const, retain: false })
    house.policy(policyOf('source: [ 127.0.0.1 ]'))
    await broken(await connected(house, await fresh(), { version, will: will('of this network') }))
    await watcher.take('publish')
    house.policy(policyOf(`notAfter: "${iso(house.clock() + 3_600_000)}"`))
    const late = await fresh()
    const wire = await connected(house, late, { version, will: will('too late') })
    later(3_600_000)
    await broken(wire)
    await house.refused('will-not-granted', (e) => e.device === late.id)
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['of this network'])
    watcher.end()
  })
})

test('a session that is away keeps what it is granted in some network, and loses it when it comes back from another', async () => {
  const identity = await fresh()
  const options = { version: 5, clean: false, properties: { sessionExpiryInterval: 600 } } as const
  house.policy(policyOf('source: [ 127.0.0.0/8 ]'))
  const wire = await connected(house, identity, options)
  await subscribe(wire, { topic: 'sometimes', qos: 1 }, { topic: 'always', qos: 1 })
  await broken(wire)
  house.policy(policyOf('source: [ 192.0.2.0/24 ]'))
  const sender = await connected(house, speaker, { version: 5, clientId: `speaker:${++count}` })
  sender.send(publishPacket('sometimes', 'not here', { qos: 1 }), publishPacket('always', 'here', { qos: 1 }))
  await sender.take('puback')
  await sender.take('puback')
  expect(house.events.filter(lossOf(identity))).toEqual([])
  const again = await connected(house, identity, options)
  expect((await again.take('publish')).payload.toString()).toBe('here')
  await again.ping()
  expect(payloads(again)).toEqual(['here'])
  expect(house.events.filter(lossOf(identity))).toMatchObject([{ filter: 'sometimes' }])
  again.end()
  sender.end()
})
