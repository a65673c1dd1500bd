// What stays behind of devices that are quarantined, suspended, revoked or no longer granted what they said: their sessions, their
// retained messages, their Wills. policy.md R7, R8, and the state `quarantined`.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DeviceState } from '../../src/core/device.ts'
import { openGate, type StoreGate } from './gated-store.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, kept, payloads, publishPacket, subscribe, tryConnect, versions, type Version, type Wire } from './wire.ts'

let house: House
let gate: StoreGate
let watcher: Identity
let count = 0
const fresh = (): Promise<Identity> => house.device(`device-${++count}`)
const policyOf = (top = '', quarantine = ''): string => `version: 1
${top}grants:
  - { id: sensor, to: { group: sensors }, publish: [ { topic: "m/\${device.id}", retain: true }, "q/\${device.id}" ], subscribe: [ "c/#", "q/#" ], will: [ "w/\${device.id}" ] }
  - { id: watcher, to: { group: watchers }, subscribe: [ "#" ], publish: [ { topic: "#", retain: true } ] }
${quarantine === '' ? '' : `quarantine: { ${quarantine} }\n`}`
const IN_QUARANTINE = 'publish: [ { topic: "q/${device.id}", retain: true } ], subscribe: [ "q/#" ]'

beforeAll(async () => {
  gate = openGate()
  house = await openHouse({ policy: policyOf(), wrapStore: gate.wrap })
  watcher = await house.device('watcher', 'watchers')
})
afterEach(() => {
  house.policy(policyOf())
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const watching = async (version: Version, ...topics: readonly string[]): Promise<Wire> => {
  const wire = await connected(house, watcher, { version, clientId: `watcher:${++count}` })
  await subscribe(wire, ...topics.map((topic) => ({ topic, qos: 1 as const })))
  return wire
}

async function broken(wire: Wire): Promise<void> {
  const before = house.broker.sessionCount
  wire.end()
  while (house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
}

/** What is shown of these topics to somebody who subscribes now. */
async function shown(...topics: readonly string[]): Promise<readonly string[]> {
  const wire = await connected(house, watcher, { version: 5, clientId: `watcher:${++count}` })
  await subscribe(wire, ...topics)
  await wire.ping()
  wire.end()
  return payloads(wire).toSorted()
}

async function leave(identity: Identity, topic = `m/${identity.id}`): Promise<void> {
  const wire = await connected(house, identity, { version: 5 })
  wire.send(publishPacket(topic, identity.id, { qos: 1, retain: true }))
  expect((await wire.take('puback')).reasonCode).toBe(0)
  wire.end()
}

describe.each(versions)('MQTT %s, quarantine', (version) => {
  test('without anything granted there, a device is ended and refused with that reason', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    await house.state(identity.id, 'quarantined')
    if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
    await wire.ended
    expect(house.events.filter((e) => e.kind === 'session-closed')).toMatchObject([{ device: identity.id, reason: 'device-quarantined' }])
    expect(await tryConnect(house, identity, connectPacket(identity.id, version), { version })).toBe(version === 5 ? 0x87 : 5)
    await house.refused('device-quarantined')
  })

  test('exchanges what a connected device may for what is granted there, and resuming gives it back, both at once and without a reconnect', async () => {
    house.policy(policyOf('', IN_QUARANTINE))
    const identity = await fresh()
    const [wire, heard] = [await connected(house, identity, { version }), await watching(version, `m/${identity.id}`, `q/${identity.id}`)]
    await subscribe(wire, 'c/#', 'q/#')
    const say = async (payload: string): Promise<readonly (number | undefined)[]> => {
      wire.send(publishPacket(`m/${identity.id}`, `m ${payload}`, { qos: 1 }), publishPacket(`q/${identity.id}`, `q ${payload}`, { qos: 1 }))
      return [(await wire.take('puback')).reasonCode, (await wire.take('puback')).reasonCode]
    }
    const [yes, no] = version === 5 ? [0, 0x87] : [undefined, undefined]
    expect(await say('before')).toEqual([yes, yes])
    await house.state(identity.id, 'quarantined')
    expect(await say('in')).toEqual([no, yes])
    heard.send(publishPacket('c/x', 'to everybody', { qos: 1 }), publishPacket('q/x', 'to the quarantined', { qos: 1 }))
    await wire.take('publish', (p) => p.topic === 'q/x')
    expect(house.events.filter((e) => e.kind === 'subscription-lost' && e.device === identity.id)).toMatchObject([{ filter: 'c/#' }])
    await house.state(identity.id, 'active')
    expect(await say('after')).toEqual([yes, yes])
    expect(await subscribe(wire, 'c/#')).toEqual([1])
    await heard.ping()
    expect(payloads(heard)).toEqual(['m before', 'q before', 'q in', 'm after', 'q after'])
    expect(payloads(wire).filter((p) => p.startsWith('to'))).toEqual(['to the quarantined'])
    wire.end()
    heard.end()
  })

  test('lets a device connect to what is granted there, and to nothing else', async () => {
    house.policy(policyOf('', IN_QUARANTINE))
    const identity = await fresh()
    await house.state(identity.id, 'quarantined')
    const wire = await connected(house, identity, { version })
    expect(await subscribe(wire, 'q/#', 'c/#')).toEqual([1, version === 5 ? 0x87 : 0x80])
    const will = { topic: `w/${identity.id}`, payload: Buffer.from('w'), qos: 0 as const, retain: false }
    expect(await tryConnect(house, identity, connectPacket(identity.id, version, { will }), { version })).toBe(version === 5 ? 0x87 : 5)
    // What is granted there goes: so does the session.
    house.policy(policyOf())
    await wire.ended
    expect(house.events.filter((e) => e.kind === 'session-closed')).toMatchObject([{ device: identity.id, reason: 'device-quarantined' }])
  })

  test('a session that is away keeps what its device may come back to: all of it where it may not connect meanwhile', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, { topic: 'c/#', qos: 1 }, { topic: 'q/#', qos: 1 })
    await broken(wire)
    await house.state(identity.id, 'quarantined')
    const sender = await watching(version, 'nothing')
    sender.send(publishPacket('c/x', 'c', { qos: 1 }))
    await sender.take('puback')
    house.policy(policyOf('', IN_QUARANTINE))
    await house.heard((e) => e.kind === 'subscription-lost' && e.device === identity.id && e.filter === 'c/#')
    sender.send(publishPacket('q/x', 'q', { qos: 1 }))
    await sender.take('puback')
    const again = await connected(house, identity, kept(version))
    expect(again.connack.sessionPresent).toBe(true)
    await again.take('publish')
    await again.ping()
    expect(payloads(again)).toEqual(['q'])
    again.end()
    sender.end()
  })
})

test('a device in quarantine shows what it may say there, and not what it left before; resumed, it shows both', async () => {
  house.policy(policyOf('', IN_QUARANTINE))
  const identity = await fresh()
  await leave(identity)
  await house.state(identity.id, 'quarantined')
  await leave(identity, `q/${identity.id}`)
  expect(await shown(`m/${identity.id}`, `q/${identity.id}`)).toEqual([identity.id])
  await house.state(identity.id, 'active')
  // "q/…" is granted without retain when it is not in quarantine.
  expect(await shown(`m/${identity.id}`)).toEqual([identity.id])
})

describe('retained messages', () => {
  /** Devices whose state or grant changes after they have left a message. */
  async function four(): Promise<{ readonly revoked: Identity; readonly suspended: Identity; readonly retired: Identity; readonly regrouped: Identity; readonly good: Identity; readonly topics: readonly string[] }> {
    const [revoked, suspended, retired, regrouped, good] = [await fresh(), await fresh(), await fresh(), await fresh(), await fresh()]
    const all = [revoked, suspended, retired, regrouped, good]
    for (const identity of all) await leave(identity)
    await house.revoke(revoked)
    await house.state(suspended.id, 'suspended')
    await house.state(retired.id, 'retired')
    await house.regroup(regrouped.id, ['strangers'])
    return { revoked, suspended, retired, regrouped, good, topics: all.map(({ id }) => `m/${id}`) }
  }
  const cleared = (identity: Identity) => gate.asked((change) => change.kind === 'retained-cleared' && change.topic === `m/${identity.id}`)

  test('hide: only what is in force is shown, and everything is there again when it is', async () => {
    const { suspended, regrouped, good, topics } = await four()
    expect(await shown(...topics)).toEqual([good.id].toSorted())
    await house.state(suspended.id, 'active')
    await house.regroup(regrouped.id, ['sensors'])
    expect(await shown(...topics)).toEqual([suspended.id, regrouped.id, good.id].toSorted())
  })

  test('keep: everything is shown whatever became of who said it, but not to whom a rule forbids it', async () => {
    house.policy(policyOf('retained: keep\n'))
    const { revoked, suspended, retired, regrouped, good, topics } = await four()
    expect(await shown(...topics)).toEqual([revoked, suspended, retired, regrouped, good].map(({ id }) => id).toSorted())
    house.policy(`${policyOf('retained: keep\n')}deny: [ { id: d, to: any, receive: [ "m/${good.id}" ] } ]\n`)
    expect(await shown(...topics)).toEqual([revoked, suspended, retired, regrouped].map(({ id }) => id).toSorted())
  })

  test('purge: what can come back is hidden, the rest is taken out of the store when that happens', async () => {
    house.policy(policyOf('retained: purge\n'))
    const { revoked, suspended, retired, regrouped, good, topics } = await four()
    for (const gone of [revoked, retired, regrouped]) await cleared(gone)
    expect(await shown(...topics)).toEqual([good.id])
    await house.state(suspended.id, 'active')
    // Nothing that was purged is there, whatever the policy says later.
    house.policy(policyOf('retained: keep\n'))
    expect(await shown(...topics)).toEqual([suspended.id, good.id].toSorted())
  })

  test('purge: comes into force with a policy, and with a start, for what was there before', async () => {
    const { revoked, retired, regrouped, suspended, good, topics } = await four()
    house.policy(policyOf('retained: purge\n'))
    for (const gone of [revoked, retired, regrouped]) await cleared(gone)
    const again = await fresh()
    await leave(again)
    await house.restart(policyOf('retained: purge\n').replace('"m/${device.id}"', `"m/${good.id}"`).replace('to: { group: sensors }', `to: { device: ${good.id} }`))
    await cleared(again)
    await cleared(suspended)
    house.policy(policyOf('retained: keep\n'))
    expect(await shown(...topics, `m/${again.id}`)).toEqual([good.id])
  })

  test('purge: what is said anew while the old is looked at stays', async () => {
    const identity = await fresh()
    await leave(identity)
    const [page, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    gate.onRetained = async () => {
      gate.onRetained = undefined
      page.resolve()
      await go.promise
    }
    house.policy(policyOf('retained: purge\n').replace('group: sensors', 'group: nobodies'))
    await page.promise
    const other = await connected(house, watcher, { version: 5, clientId: `watcher:${++count}` })
    other.send(publishPacket(`m/${identity.id}`, 'new', { qos: 1, retain: true }))
    await other.take('puback')
    go.resolve()
    expect(await shown(`m/${identity.id}`)).toEqual(['new'])
    other.end()
  })

  test('purge: a reload that fails purges nothing, and one that grants again in time neither', async () => {
    const identity = await fresh()
    await leave(identity)
    expect(() => house.policy('version: 1\nretained: purge\ngrants: nonsense\n')).toThrow()
    expect(await shown(`m/${identity.id}`)).toEqual([identity.id])
  })
})

describe.each(versions)('MQTT %s, Wills', (version) => {
  const willOf = (identity: Identity) => ({ topic: `w/${identity.id}`, payload: Buffer.from(identity.id), qos: 1 as const, retain: false })
  const PUBLISH = 'willOnKick: publish\n'

  const kicks: readonly (readonly [string, (identity: Identity, top: string) => Promise<void>])[] = [
    ['revoked', (identity) => house.revoke(identity)],
    ...(['suspended', 'retired', 'quarantined'] as const satisfies readonly DeviceState[]).map((state) => [state, (identity: Identity) => house.state(identity.id, state)] as const),
    ['refused its client id', async (_, top) => house.policy(policyOf(top).replace('id: sensor,', 'id: sensor, connect: { clientId: [ "other" ] },'))],
  ]
  test.each(kicks)('of a device that is %s it is published where the policy wants that, and is not where it does not say so', async (_, kick) => {
    for (const top of ['', PUBLISH]) {
      house.policy(policyOf(top))
      const identity = await fresh()
      const heard = await watching(version, `w/${identity.id}`)
      const wire = await connected(house, identity, { version, will: willOf(identity) })
      await kick(identity, top)
      await wire.ended
      if (top === PUBLISH) await heard.take('publish')
      await heard.ping()
      expect(payloads(heard)).toEqual(top === PUBLISH ? [identity.id] : [])
      heard.end()
    }
  })

  test('that is granted no longer is not published, whatever the policy wants', async () => {
    house.policy(policyOf(PUBLISH))
    const identity = await fresh()
    const heard = await watching(version, `w/${identity.id}`)
    const wire = await connected(house, identity, { version, will: willOf(identity) })
    house.policy(policyOf(PUBLISH).replace('group: sensors', 'group: nobodies'))
    await wire.ended
    await house.refused('will-not-granted', (e) => e.device === identity.id)
    await heard.ping()
    expect(payloads(heard)).toEqual([])
    heard.end()
  })
})

test.each([['', []], ['willOnKick: publish\n', ['published']]] as const)('a Will that waits for its delay, of a device that is revoked meanwhile (%j)', async (top, expected) => {
  house.policy(policyOf(top))
  const identity = await fresh()
  const heard = await watching(5, `w/${identity.id}`)
  const wire = await connected(house, identity, { version: 5, properties: { sessionExpiryInterval: 600 }, will: { topic: `w/${identity.id}`, payload: Buffer.from('published'), qos: 1, retain: false, properties: { willDelayInterval: 300 } } })
  await broken(wire)
  await house.revoke(identity)
  if (expected.length > 0) await heard.take('publish')
  else await house.refused('certificate-revoked', (e) => e.detail === 'the Will was not published')
  await heard.ping()
  expect(payloads(heard)).toEqual(expected)
  heard.end()
})
