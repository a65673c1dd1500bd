// Live sessions and what ends them: revocation, suspension, expiry, a policy that changed, shutdown. What the peer hears,
// what becomes of its Will and of what it left behind, and how many sessions the operator is told of.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { forgeLeaf } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { openSessionTable, type Session } from '../../src/broker/sessions.ts'
import { HOUSE_POLICY, openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, openWire, payloads, publishPacket, subscribe, tryConnect, versions, type Wire } from './wire.ts'

let house: House
let backend: Identity
let count = 0
const fresh = (group?: string): Promise<Identity> => house.device(`device-${++count}`, group)

beforeAll(async () => {
  house = await openHouse()
  backend = await house.device('backend', 'backend')
})
afterEach(() => {
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

/** Breaks the connection and waits until the broker has noticed. */
async function broken(wire: Wire): Promise<void> {
  const before = house.broker.sessionCount
  wire.end()
  while (house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
}

const willOf = (identity: Identity, fields: { readonly retain?: boolean; readonly delay?: number } = {}) =>
  ({ topic: `state/${identity.id}`, payload: Buffer.from(`will of ${identity.id}`), qos: 1 as const, retain: fields.retain ?? false, ...(fields.delay === undefined ? {} : { properties: { willDelayInterval: fields.delay } }) })

describe.each(versions)('MQTT %s, ended by an operator', (version) => {
  test('revoking a certificate ends the sessions of that certificate and no other, without their Wills', async () => {
    const watcher = await connected(house, backend, { version })
    const identity = await fresh()
    await subscribe(watcher, `state/${identity.id}`, `t/${identity.id}/#`)
    const second = await house.certify(identity.id)
    const sessions = [await connected(house, identity, { version, will: willOf(identity) }), await connected(house, identity, { version, clientId: `${identity.id}:2`, will: willOf(identity) })]
    const spared = await connected(house, second, { version, clientId: `${identity.id}:3` })
    await house.revoke(identity)
    for (const wire of sessions) {
      wire.send(publishPacket(`t/${identity.id}/x`, 'too late', { qos: 0 }))
      if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
      await wire.ended
    }
    expect(await house.broker.closed({ issuer: house.organisation.issuing.name, serial: identity.serial })).toBe(2)
    expect(await house.broker.closed({ issuer: house.organisation.issuing.name, serial: identity.serial })).toBe(0)
    expect(house.events.filter((e) => e.kind === 'session-closed' && e.reason === 'certificate-revoked')).toHaveLength(2)
    await spared.ping()
    expect(await tryConnect(house, identity, connectPacket(identity.id, version), { version })).toBe(version === 5 ? 0x87 : 5)
    await house.refused('certificate-revoked')
    await watcher.ping()
    expect(payloads(watcher)).toEqual([])
    spared.end()
    watcher.end()
  })

  test('suspending a device ends all its sessions; resumed, it comes back to what it had', async () => {
    const identity = await fresh()
    const keptOptions = version === 5 ? { version, clean: false, properties: { sessionExpiryInterval: 600 } } : { version, clean: false }
    const wire = await connected(house, identity, keptOptions)
    await subscribe(wire, `t/${identity.id}/#`)
    await house.state(identity.id, 'suspended')
    if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x98)
    await wire.ended
    expect(await house.broker.closed({ device: identity.id as DeviceId })).toBe(1)
    expect(await tryConnect(house, identity, connectPacket(identity.id, version), { version })).toBe(version === 5 ? 0x87 : 5)
    await house.refused('device-suspended')
    await house.state(identity.id, 'active')
    const again = await connected(house, identity, keptOptions)
    expect(again.connack.sessionPresent).toBe(true)
    again.end()
  })

  test('a message to a device that is being cut off waits for it, and is not lost', async () => {
    const identity = await fresh()
    const keptOptions = version === 5 ? { version, clean: false, properties: { sessionExpiryInterval: 600 } } : { version, clean: false }
    const wire = await connected(house, identity, keptOptions)
    await subscribe(wire, `t/${identity.id}/#`)
    const sender = await connected(house, backend, { version })
    const suspended = house.state(identity.id, 'suspended')
    for (let i = 0; i < 5; i++) sender.send(publishPacket(`t/${identity.id}/x`, `m${i}`, { qos: 1 }))
    await Promise.all([suspended, wire.ended])
    await sender.ping()
    const before = payloads(wire)
    await house.state(identity.id, 'active')
    const again = await connected(house, identity, keptOptions)
    await again.take('publish', (p) => p.payload.toString() === 'm4')
    expect(new Set([...before, ...payloads(again)])).toEqual(new Set(['m0', 'm1', 'm2', 'm3', 'm4']))
    again.end()
    sender.end()
  })
})

describe('Wills', () => {
  test.each(versions)('MQTT %s: fires when the connection breaks, retained if it asked for it, and not after a DISCONNECT', async (version) => {
    const watcher = await connected(house, backend, { version })
    const identity = await fresh()
    await subscribe(watcher, `state/${identity.id}`)
    const polite = await connected(house, identity, { version, will: willOf(identity) })
    polite.send({ cmd: 'disconnect' })
    await polite.ended
    const rude = await connected(house, identity, { version, will: willOf(identity, { retain: true }) })
    rude.end()
    await watcher.take('publish')
    const late = await connected(house, backend, { version, clientId: 'backend:late' })
    await subscribe(late, `state/${identity.id}`)
    expect(await late.take('publish')).toMatchObject({ retain: true, topic: `state/${identity.id}` })
    await watcher.ping()
    expect(watcher.published()).toHaveLength(1)
    late.end()
    watcher.end()
  })

  test('DISCONNECT with Will (0x04) publishes it', async () => {
    const watcher = await connected(house, backend, { version: 5 })
    const identity = await fresh()
    await subscribe(watcher, `state/${identity.id}`)
    const wire = await connected(house, identity, { version: 5, will: willOf(identity) })
    wire.send({ cmd: 'disconnect', reasonCode: 4 })
    await watcher.take('publish')
    watcher.end()
  })

  test('a Will that waits for its delay is not published when its device is revoked meanwhile', async () => {
    const watcher = await connected(house, backend, { version: 5 })
    const identity = await fresh()
    await subscribe(watcher, `state/${identity.id}`)
    const wire = await connected(house, identity, { version: 5, properties: { sessionExpiryInterval: 60 }, will: willOf(identity, { delay: 1 }) })
    await broken(wire)
    await house.revoke(identity)
    await house.refused('certificate-revoked', (e) => e.detail === 'the Will was not published')
    await watcher.ping()
    expect(payloads(watcher)).toEqual([])
    watcher.end()
  })

  test('a Will that waits for its delay is published when nothing happens, and not when its device comes back', async () => {
    const watcher = await connected(house, backend, { version: 5 })
    const [gone, back] = [await fresh(), await fresh()]
    await subscribe(watcher, `state/${gone.id}`, `state/${back.id}`)
    for (const identity of [back, gone]) {
      const wire = await connected(house, identity, { version: 5, properties: { sessionExpiryInterval: 60 }, will: willOf(identity, { delay: 1 }) })
      await broken(wire)
    }
    const returned = await connected(house, back, { version: 5, clean: false, properties: { sessionExpiryInterval: 60 } })
    await watcher.take('publish', (p) => p.topic === `state/${gone.id}`)
    expect(payloads(watcher)).toEqual([`will of ${gone.id}`])
    returned.end()
    watcher.end()
  })
})

describe.each(versions)('MQTT %s, ended by time', (version) => {
  test('the session of a certificate that expires ends, its Will is published, and it does not come back', async () => {
    const issuing = await house.issuing()
    const watcher = await connected(house, backend, { version })
    const identity = await fresh()
    await subscribe(watcher, `state/${identity.id}`)
    const leaf = forgeLeaf(issuing, identity.id, { notBefore: Date.now() - 60_000, notAfter: Date.now() + 20 * 86_400_000 })
    await house.recordAs(leaf.certificate, identity.id)
    const shortLived = { ...identity, cert: pem('CERTIFICATE', leaf.certificate) + pem('CERTIFICATE', issuing.certificate), key: keyPem(leaf.key) }
    const wire = await connected(house, shortLived, { version, will: willOf(identity) })
    const spared = await connected(house, identity, { version, clientId: `${identity.id}:spared` })
    house.rest(20 * 86_400_000)
    if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x87)
    await wire.ended
    await watcher.take('publish')
    await spared.ping()
    expect(house.events.some((e) => e.kind === 'session-closed' && e.reason === 'certificate-expired')).toBe(true)
    const refused = await openWire(house, shortLived, { version })
    await refused.ended
    await house.refused('certificate-expired')
    house.rest(-20 * 86_400_000)
    spared.end()
    watcher.end()
  })
})

describe('a policy that changes', () => {
  test('takes what it takes from live sessions at once, also from what they subscribed, and gives what it gives', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version: 5 })
    const sender = await connected(house, backend, { version: 5 })
    await subscribe(wire, 'open/#', `t/${identity.id}/#`)
    house.policy(HOUSE_POLICY.replace('{ topic: "open/#", qos: 2, share: ["*"] }, { topic: "one/#"', '{ topic: "new/#", qos: 2 }, { topic: "one/#"'))
    sender.send(publishPacket('open/x', 'taken'), publishPacket(`t/${identity.id}/x`, 'left'))
    await wire.take('publish', (p) => p.payload.toString() === 'left')
    expect(await subscribe(wire, 'open/#', 'new/#')).toEqual([0x87, 1])
    expect(payloads(wire)).toEqual(['left'])
    house.policy(HOUSE_POLICY)
    wire.end()
    sender.end()
  })

  test('ends the sessions to which it grants nothing any more', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version: 5 })
    const spared = await connected(house, backend, { version: 5 })
    house.policy('version: 1\ngrants:\n  - { id: b, to: { group: backend }, publish: ["#"], subscribe: ["#"] }\n')
    expect((await wire.take('disconnect')).reasonCode).toBe(0x87)
    await wire.ended
    await spared.ping()
    house.policy(HOUSE_POLICY)
    spared.end()
  })

  test('a device whose groups change has its new grants at once', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version: 5 })
    expect(await subscribe(wire, 'elsewhere/#')).toEqual([0x87])
    await house.regroup(identity.id, ['backend'])
    expect(await subscribe(wire, 'elsewhere/#')).toEqual([1])
    await house.regroup(identity.id, [])
    await wire.ended
  })
})

describe('retained messages', () => {
  test('of a device that is revoked, suspended or lost its grant are hidden; those of others are shown', async () => {
    const [revoked, suspended, regrouped, good] = [await fresh(), await fresh(), await fresh(), await fresh()]
    for (const identity of [revoked, suspended, regrouped, good]) {
      const wire = await connected(house, identity, { version: 5 })
      wire.send(publishPacket(`open/${identity.id}`, identity.id, { qos: 1, retain: true }))
      await wire.take('puback')
      wire.end()
    }
    const shownTo = async (): Promise<readonly string[]> => {
      const wire = await connected(house, backend, { version: 5, clientId: `backend:${++count}` })
      await subscribe(wire, 'open/#')
      await wire.take('publish', (p) => p.payload.toString() === good.id)
      await wire.ping()
      wire.end()
      return payloads(wire).toSorted()
    }
    expect(await shownTo()).toEqual([revoked, suspended, regrouped, good].map((d) => d.id).toSorted())
    await house.revoke(revoked)
    await house.state(suspended.id, 'suspended')
    await house.regroup(regrouped.id, ['strangers'])
    expect(await shownTo()).toEqual([good.id])
    await house.state(suspended.id, 'active')
    expect(await shownTo()).toEqual([suspended.id, good.id].toSorted())
  })

  test('that were left with a certificate that is revoked stay hidden when the device has a new one, and speaks again', async () => {
    const identity = await fresh()
    const leave = async (as: Identity, topic: string, payload: string): Promise<void> => {
      const wire = await connected(house, as, { version: 5 })
      wire.send(publishPacket(topic, payload, { qos: 1, retain: true }))
      expect((await wire.take('puback')).reasonCode).toBe(0)
      wire.end()
    }
    await leave(identity, `open/${identity.id}/left`, 'by a thief')
    const renewed = await house.certify(identity.id)
    await house.revoke(identity)
    await leave(renewed, `open/${identity.id}/end`, 'by the device')
    const wire = await connected(house, backend, { version: 5, clientId: `backend:${++count}` })
    await subscribe(wire, `open/${identity.id}/#`)
    await wire.take('publish', (p) => p.payload.toString() === 'by the device')
    await wire.ping()
    wire.end()
    expect(payloads(wire)).toEqual(['by the device'])
  })

  test('of a device whose grant speaks of its certificate are shown', async () => {
    house.policy(HOUSE_POLICY.replace('publish: [{ topic: "t/${device.id}/#"', 'publish: [{ topic: "c/${cert.subject.CN}/#", qos: 2, retain: true }, { topic: "t/${device.id}/#"'))
    const identity = await fresh()
    const wire = await connected(house, identity, { version: 5 })
    wire.send(publishPacket(`c/${identity.id}/x`, 'by certificate', { qos: 1, retain: true }))
    expect((await wire.take('puback')).reasonCode).toBe(0)
    wire.end()
    const watcher = await connected(house, backend, { version: 5 })
    await subscribe(watcher, `c/${identity.id}/#`)
    await watcher.take('publish')
    watcher.end()
    house.policy(HOUSE_POLICY)
  })
})

describe('shutdown', () => {
  test('MQTT 5 hears 0x8B; every socket is closed, admitted or not, and nobody new is let in', async () => {
    await using closing = await openHouse()
    const identity = await closing.device('device')
    const five = await connected(closing, identity, { version: 5, clientId: 'device:5' })
    const four = await connected(closing, identity, { version: 4, clientId: 'device:4' })
    const mute = await openWire(closing, identity, { version: 5 })
    const half = await openWire(closing, identity, { version: 5 })
    half.bytes([0x10, 60])
    await five.ping()
    const resolved = closing.broker.close()
    expect((await five.take('disconnect')).reasonCode).toBe(0x8b)
    await Promise.all([five.ended, four.ended, mute.ended, half.ended, resolved])
    expect(closing.broker.sessionCount).toBe(0)
    const late = await openWire(closing, identity)
    await late.ended
    expect(late.received).toEqual([])
  })

  test('leaves no timer and no socket of its own behind', async () => {
    const closing = await openHouse()
    const before = (): readonly string[] => process.getActiveResourcesInfo().filter((r) => r === 'TCPSocketWrap' || r === 'TCPServerWrap' || r === 'Timeout')
    const identity = await closing.device('device')
    const wire = await connected(closing, identity, { version: 5, keepalive: 0, properties: { sessionExpiryInterval: 600 }, will: willOf(identity, { delay: 60 }) })
    await subscribe(wire, 't/device/#')
    const during = before().length
    await closing[Symbol.asyncDispose]()
    await wire.ended
    // Sockets close in the turn after they are destroyed.
    while (before().filter((r) => r !== 'Timeout').length > 0 && before().length >= during) await new Promise((resolve) => void setImmediate(resolve))
    expect(before().length).toBeLessThan(during)
  })
})

describe('the session table', () => {
  const session = (key: string, device: string, serial: string): Session => ({ key, device, serial, issuer: 'issuing-1' }) as unknown as Session

  test('finds sessions by key, device and certificate', () => {
    const table = openSessionTable()
    const [a, b, c] = [session('t/d/1', 'd', '01'), session('t/d/2', 'd', '02'), session('t/e/1', 'e', '03')]
    for (const s of [a, b, c]) table.add(s)
    expect(table.size).toBe(3)
    expect(table.get('t/d/1' as never)).toBe(a)
    expect(table.matching({ device: 'd' as never })).toEqual([a, b])
    expect(table.matching({ issuer: 'issuing-1' as never, serial: '02' as never })).toEqual([b])
    expect(table.matching({ issuer: 'another' as never, serial: '02' as never })).toEqual([])
    expect(table.ofDevice('nobody' as never)).toEqual([])
  })
  test('finds the sessions of a certificate among those of its device, taken-over ones included', () => {
    const table = openSessionTable()
    const [older, newer, stranger] = [session('t/d/1', 'd', '01'), session('t/d/1', 'd', '01'), session('t/e/1', 'e', '01')]
    for (const s of [older, newer, stranger]) table.add(s)
    const match = { issuer: 'issuing-1' as never, serial: '01' as never }
    expect(table.matching(match, 'd' as never)).toEqual([older, newer])
    expect(table.matching(match)).toEqual([older, newer, stranger])
  })
  test('keeps the newer one when the older one of the same key goes', () => {
    const table = openSessionTable()
    const [older, newer] = [session('t/d/1', 'd', '01'), session('t/d/1', 'd', '01')]
    table.add(older)
    table.add(newer)
    expect(table.ofDevice('d' as never)).toHaveLength(2)
    table.remove(older)
    expect(table.get('t/d/1' as never)).toBe(newer)
    table.remove(newer)
    expect(table.size).toBe(0)
    expect([...table.all()]).toEqual([])
  })
})
