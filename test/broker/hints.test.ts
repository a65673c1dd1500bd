// The hint over the wire, in both versions: who has subscribed to it is told that it is time to renew, when the time comes or as soon as
// the subscription is there, once in a while and at a bounded pace; nobody else hears it, and nobody can say it.

import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { GroupName } from '../../src/core/ids.ts'
import type { Change } from '../../src/core/registry.ts'
import { LIFE } from '../../src/limits.ts'
import { RENEWAL_LIMITS } from '../../src/renewal-limits.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { client, connected, kept, message, publishPacket, subscribe, versions, type Wire } from './wire.ts'

let house: House
let number = 0
beforeAll(async () => {
  house = await openHouse()
})
afterEach(() => house.forget())
afterAll(() => house[Symbol.asyncDispose]())

const fresh = (group?: string): Promise<Identity> => house.device(`h${(number += 1)}`, group)
const hintTopic = (id: string): string => `$device/${id}/certificate/renew/hint`
/** Of a year of 365 days, all that was issued by now is due in the last quarter. */
const DUE_DAYS = 280

/** A sweep has ended, and what it said has come: whoever was due has been told. */
async function swept(...wires: readonly Wire[]): Promise<void> {
  await house.looked()
  await Promise.all(wires.map((wire) => wire.ping()))
}
const hints = (wire: Wire): readonly Record<string, string>[] => wire.published().filter(({ topic }) => topic.endsWith('/hint')).map(({ payload }) => JSON.parse(payload.toString()) as Record<string, string>)
/** The next one, which may have come already. */
async function hinted(wire: Wire): Promise<Record<string, string>> {
  const { payload } = await wire.take('publish', ({ topic }) => topic.endsWith('/hint'))
  return JSON.parse(payload.toString()) as Record<string, string>
}
const order = async (id: string, choice: { group?: GroupName; issuedBefore?: number }, overMs = 0): Promise<void> => {
  const change: Change = { kind: 'renewal-ordered', order: { id, choice, at: house.clock(), overMs, devices: 1 } }
  await house.home.registry.commit([change], [], [])
}

describe.each(versions)('MQTT %s, before the time has come', (version) => {
  test('nobody is told; an order tells whom it means, and nobody else', async () => {
    const group = `ordered-${version}`
    const [meant, other] = await Promise.all([fresh(group), fresh()])
    house.policy(`version: 1\ngrants:\n  - { id: all, to: any, publish: ["t/#"], subscribe: ["t/#"] }\n`)
    const wires = await Promise.all([meant, other].map((identity) => connected(house, identity, { version })))
    for (const [i, wire] of wires.entries()) expect(await subscribe(wire, hintTopic([meant, other][i]!.id))).toEqual([1])
    await swept(...wires)
    expect(wires.map(hints)).toEqual([[], []])
    await order(`0000000${version}`, { group: group as GroupName })
    expect(await hinted(wires[0]!)).toMatchObject({ serial: meant.serial, reason: 'ordered' })
    await swept(...wires)
    expect(wires.map((wire) => hints(wire).length)).toEqual([1, 0])
    for (const wire of wires) wire.end()
  })

  test('an order is kept for a device that is away, also through a start of the server', async () => {
    const group = `away-${version}`
    const device = await fresh(group)
    house.policy(`version: 1\ngrants:\n  - { id: all, to: any, publish: ["t/#"], subscribe: ["t/#"] }\n`)
    await order(`1000000${version}`, { group: group as GroupName })
    await house.restart()
    const wire = await connected(house, device, { version })
    expect(await subscribe(wire, hintTopic(device.id))).toEqual([1])
    expect(await hinted(wire)).toMatchObject({ serial: device.serial, reason: 'ordered' })
    wire.end()
  })

  test('the hint is of the device alone: nobody publishes it, and nobody subscribes to that of another', async () => {
    const [device, other] = await Promise.all([fresh(), fresh()])
    const [hears, says] = await Promise.all([device, other].map((identity) => connected(house, identity, { version })))
    await subscribe(hears!, hintTopic(device.id))
    const [refused] = await subscribe(says!, hintTopic(device.id))
    expect(refused).toBe(version === 5 ? 0x87 : 0x80)
    for (const [wire, id] of [[says!, device.id], [says!, other.id], [hears!, device.id]] as const) {
      wire.send(publishPacket(hintTopic(id), '{"reason":"expiring"}', { qos: 1 }))
      const { reasonCode } = await wire.take('puback')
      expect(reasonCode ?? 0).toBe(version === 5 ? 0x87 : 0)
    }
    expect(house.refusals().filter((reason) => reason === 'topic-reserved')).toHaveLength(3)
    await hears!.ping()
    expect(hints(hears!)).toEqual([])
    for (const wire of [hears!, says!]) wire.end()
  })
})

describe('a policy', () => {
  const NO_HASH = 'version: 1\ngrants:\n  - { id: some, to: any, publish: ["t/#"], subscribe: ["t/#"] }\ndeny:\n  - { id: nothing, to: any, publish: ["#"], subscribe: ["#"], receive: ["#"] }\n'

  test('that denies everything to everybody takes these topics from nobody', async () => {
    const device = await fresh('denied')
    house.policy(NO_HASH)
    const wire = await connected(house, device, { version: 5 })
    expect(await subscribe(wire, `t/${device.id}`, `$device/${device.id}/#`)).toEqual([0x87, 1])
    await order('20000001', { group: 'denied' as GroupName })
    await hinted(wire)
    wire.send(publishPacket(`$device/${device.id}/certificate/renew`, makeCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, device.id), { qos: 1 }))
    expect((await wire.take('publish', ({ topic }) => topic.endsWith('/accepted'))).payload.toString()).toContain('BEGIN CERTIFICATE')
    wire.end()
  })

  test.each(['grants:\n  - { id: x, to: any, subscribe: ["$device/+/certificate/renew/hint"] }', 'deny:\n  - { id: x, to: any, publish: ["$device/#"] }'])('cannot name them: %s', (rule) => {
    expect(() => house.policy(`version: 1\n${rule}\n`)).toThrow(/reserved|\$/)
  })
})

describe('when two thirds of its life are over', () => {
  let waiting: readonly { readonly identity: Identity; readonly wire: Wire }[]
  beforeAll(async () => {
    const identities = await Promise.all(versions.map(() => fresh()))
    waiting = await Promise.all(identities.map(async (identity, i) => ({ identity, wire: await connected(house, identity, { version: versions[i]!, keepalive: 60_000 }) })))
    for (const { identity, wire } of waiting) await subscribe(wire, `$device/${identity.id}/certificate/#`)
    await swept(...waiting.map(({ wire }) => wire))
    expect(waiting.flatMap(({ wire }) => hints(wire))).toEqual([])
    house.rest(DUE_DAYS * LIFE.day)
  })

  test('a device that has been connected since long is told', async () => {
    for (const { identity, wire } of waiting) {
      const hint = await hinted(wire)
      expect(hint).toEqual({ serial: identity.serial, notAfter: expect.any(String), renewBefore: expect.any(String), reason: 'expiring' })
      const [now, by, end] = [house.clock(), Date.parse(hint['renewBefore']!), Date.parse(hint['notAfter']!)]
      expect(by).toBeGreaterThan(now)
      expect(end).toBeGreaterThan(by)
    }
  })

  test('it is told once, and again when half a day is over', async () => {
    const { wire } = waiting[0]!
    await swept(wire)
    expect(hints(wire)).toHaveLength(1)
    house.rest(RENEWAL_LIMITS.hintEveryMs)
    await hinted(wire)
    await swept(wire)
    expect(hints(wire)).toHaveLength(2)
  })

  test.each(versions)('one that subscribes later is told just after its SUBACK, with the QoS of its subscription (MQTT %s)', async (version) => {
    for (const qos of [0, 1, 2] as const) {
      const device = await fresh()
      const wire = await connected(house, device, { version })
      expect(await subscribe(wire, { topic: hintTopic(device.id), qos })).toEqual([Math.min(qos, 1)])
      const { qos: heard, retain, properties } = await wire.take('publish')
      expect([heard, retain]).toEqual([Math.min(qos, 1), false])
      if (version === 5) expect(properties).toMatchObject({ contentType: 'application/json', messageExpiryInterval: RENEWAL_LIMITS.hintEveryMs / 1_000 })
      wire.end()
    }
  })

  test('who has not subscribed to it is not told, and is when it has', async () => {
    const device = await fresh()
    const wire = await connected(house, device, { version: 5 })
    await subscribe(wire, `t/${device.id}/#`, `$device/${device.id}/certificate/renew/accepted`)
    await swept(wire)
    expect(wire.published()).toEqual([])
    await subscribe(wire, `$device/${device.id}/certificate/renew/+`)
    await hinted(wire)
    wire.end()
  })

  test.each(versions)('a session that comes back to its subscription is told once more when the pause is over, and nothing waited for it (MQTT %s)', async (version) => {
    const device = await fresh()
    const options = kept(version, false, 7 * 86_400)
    const wire = await connected(house, device, options)
    await subscribe(wire, hintTopic(device.id))
    await hinted(wire)
    wire.send({ cmd: 'disconnect' })
    await wire.ended
    house.rest(RENEWAL_LIMITS.hintEveryMs)
    await swept()
    const back = await connected(house, device, options)
    expect(back.connack.sessionPresent).toBe(true)
    await hinted(back)
    await swept(back)
    expect(hints(back)).toHaveLength(1)
    back.end()
  })

  test('two sessions of one device hear one hint each, together', async () => {
    const device = await fresh()
    house.policy(`version: 1\ngrants:\n  - { id: all, to: any, publish: ["t/#"], subscribe: ["t/#"] }\n`)
    const wires = await Promise.all(['', ':b'].map((suffix) => connected(house, device, { version: 5, clientId: `${device.id}${suffix}` })))
    await Promise.all(wires.map((wire) => subscribe(wire, hintTopic(device.id))))
    await swept(...wires)
    expect(wires.map((wire) => hints(wire).length)).toEqual([1, 1])
    for (const wire of wires) wire.end()
  })

  test('a quarantined device is not told, and is when it may renew again', async () => {
    const quarantined = await fresh()
    house.policy(`version: 1\ngrants:\n  - { id: all, to: any, publish: ["t/#"], subscribe: ["t/#"] }\nquarantine: { publish: ["q/#"] }\n`)
    const wire = await connected(house, quarantined, { version: 5 })
    await house.state(quarantined.id, 'quarantined')
    await subscribe(wire, hintTopic(quarantined.id))
    await swept(wire)
    expect(hints(wire)).toEqual([])
    await house.state(quarantined.id, 'active')
    await hinted(wire)
    wire.end()
  })

  test('MQTT.js hears it as any message', async () => {
    const device = await fresh()
    const connection = await client(house, device, { protocolVersion: 5 })
    const heard = message(connection)
    await connection.subscribeAsync(hintTopic(device.id), { qos: 1 })
    expect(JSON.parse((await heard).payload)).toMatchObject({ serial: device.serial, reason: 'expiring' })
    await connection.endAsync()
  })

  test('sixty that come back at once are told over three seconds, and not at once', async () => {
    const count = 3 * RENEWAL_LIMITS.hintsPerSweepMax
    const wires: Wire[] = []
    for (let i = 0; i < count; i++) {
      const device = await fresh()
      const wire = await connected(house, device, { version: 4 })
      wires.push(wire)
      wire.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `t/${device.id}/x`, qos: 0 }] })
      await wire.take('suback')
    }
    await house.looked()
    for (const [i, wire] of wires.entries()) wire.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: hintTopic(`h${number - count + 1 + i}`), qos: 0 }] })
    await Promise.all(wires.map((wire) => wire.take('suback', ({ messageId }) => messageId === 2)))
    const told = (): number => wires.filter((wire) => hints(wire).length > 0).length
    for (let sweep = 1, before = told(); told() < count; sweep++) {
      expect(sweep).toBeLessThan(8)
      await house.looked()
      await wires[0]!.ping()
      expect(told() - before).toBeLessThanOrEqual(2 * RENEWAL_LIMITS.hintsPerSweepMax)
      before = told()
    }
    for (const wire of wires) wire.end()
  }, 60_000)
})
