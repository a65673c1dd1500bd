// The traps of docs/engine-hardening.md, by their numbers. Each test sends over the wire what ends the process, leaks a
// message or loses one when the correction is taken away.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openGate } from '../gated-store.ts'
import { HOUSE_POLICY, openHouse, type House, type Identity } from '../house.ts'
import { codeOf, connected, connectPacket, kept, nextId, openWire, payloads, publishPacket, subscribe, tryConnect, versions, type Version, type Wire } from '../wire.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

let house: House
let sensor: Identity
let backend: Identity
const uncaught: unknown[] = []
const onUncaught = (error: unknown): void => void uncaught.push(error)

beforeAll(async () => {
  process.on('unhandledRejection', onUncaught)
  process.on('uncaughtException', onUncaught)
  house = await openHouse()
  sensor = await house.device('sensor')
  backend = await house.device('backend', 'backend')
})
afterEach(() => {
  expect(uncaught).toEqual([])
  house.rest()
})
afterAll(async () => {
  process.off('unhandledRejection', onUncaught)
  process.off('uncaughtException', onUncaught)
  await house[Symbol.asyncDispose]()
})

/** A session that goes on without its connection, in the words of the version. */

const OBJECT_NAMES = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']

describe.each(versions)('trap 1, MQTT %s: names that every object has are names like any other', (version) => {
  test('as client ids they are refused, and nobody else is disturbed', async () => {
    for (const name of OBJECT_NAMES) expect(await tryConnect(house, sensor, connectPacket(name, version), { version })).toBe(version === 5 ? 0x85 : 2)
    ;(await connected(house, sensor, { version })).end()
  })

  test('as filters they are subscribed and unsubscribed, and deliver', async () => {
    const wire = await connected(house, backend, { version })
    expect(await subscribe(wire, ...OBJECT_NAMES)).toEqual(OBJECT_NAMES.map(() => 1))
    for (const topic of OBJECT_NAMES) wire.send(publishPacket(topic, topic))
    for (const topic of OBJECT_NAMES) await wire.take('publish', (p) => p.topic === topic)
    wire.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: [...OBJECT_NAMES, '__defineGetter__'] })
    await wire.take('unsuback')
    wire.send(publishPacket('__proto__', 'gone'), publishPacket('constructor', 'gone'))
    await wire.ping()
    expect(payloads(wire)).not.toContain('gone')
    wire.end()
  })

  test('as filters that are denied they are answered as denied', async () => {
    const wire = await connected(house, sensor, { version })
    expect(await subscribe(wire, ...OBJECT_NAMES)).toEqual(OBJECT_NAMES.map(() => (version === 5 ? 0x87 : 0x80)))
    wire.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: OBJECT_NAMES })
    await wire.take('unsuback')
    wire.end()
  })
})

describe.each(versions)('trap 2, MQTT %s', (version) => {
  test('three identical PUBRELs in one chunk are answered three times', async () => {
    const wire = await connected(house, sensor, { version })
    wire.send(publishPacket('t/sensor/2', 'once', { qos: 2, messageId: 77 }))
    await wire.take('pubrec')
    wire.send({ cmd: 'pubrel', messageId: 77 }, { cmd: 'pubrel', messageId: 77 }, { cmd: 'pubrel', messageId: 77 })
    for (let i = 0; i < 3; i++) await wire.take('pubcomp')
    await wire.ping()
    wire.end()
  })
})

test('trap 3: thousands of messages that nobody listens to, behind many that are being delivered, overflow no stack', async () => {
  const listener = await connected(house, backend, { version: 4 })
  await subscribe(listener, { topic: 'y', qos: 0 })
  const wire = await connected(house, backend, { version: 4, clientId: 'backend:3' })
  // As small as a message can be, so that as many as possible are parsed in one turn.
  const burst = Buffer.concat([...Array.from({ length: 120 }, () => Buffer.from([0x30, 3, 0, 1, 0x79])), ...Array.from({ length: 40_000 }, () => Buffer.from([0x30, 3, 0, 1, 0x7a]))])
  wire.bytes(burst)
  await wire.ping()
  await listener.ping()
  expect(listener.published()).toHaveLength(120)
  wire.end()
  listener.end()
})

describe.each(versions)('trap 4, MQTT %s', (version) => {
  test('of [allowed, denied] on a kept session the denied one delivers neither now nor after a resume', async () => {
    const identity = await house.device(`four-${version}`)
    const first = await connected(house, identity, kept(version))
    expect(await subscribe(first, `t/four-${version}/#`, 'secret/#', '#')).toEqual(version === 5 ? [1, 0x87, 0x87] : [1, 0x80, 0x80])
    first.end()
    await first.ended
    const other = await connected(house, backend, { version })
    other.send(publishPacket('elsewhere/x', 'denied', { qos: 1 }), publishPacket(`t/four-${version}/x`, 'allowed', { qos: 1 }))
    await other.ping()
    const second = await connected(house, identity, kept(version))
    expect(second.connack.sessionPresent).toBe(true)
    await second.take('publish', (p) => p.payload.toString() === 'allowed')
    other.send(publishPacket('elsewhere/x', 'denied', { qos: 1 }))
    await other.ping()
    await second.ping()
    expect(payloads(second)).toEqual(['allowed'])
    second.end()
    other.end()
  })

  test('a filter whose grant is gone when its session comes back is gone, with what waited for it; the others stay', async () => {
    const identity = await house.device(`regrouped-${version}`, 'backend')
    const first = await connected(house, identity, kept(version))
    await subscribe(first, 'elsewhere/#', `t/regrouped-${version}/#`)
    first.end()
    await first.ended
    const other = await connected(house, backend, { version })
    other.send(publishPacket('elsewhere/x', 'lost', { qos: 1 }), publishPacket(`t/regrouped-${version}/x`, 'kept', { qos: 1 }))
    await other.ping()
    await house.regroup(`regrouped-${version}`, ['sensors'])
    const second = await connected(house, identity, kept(version))
    await second.take('publish', (p) => p.payload.toString() === 'kept')
    other.send(publishPacket('elsewhere/x', 'lost', { qos: 1 }))
    await other.ping()
    await second.ping()
    expect(payloads(second)).toEqual(['kept'])
    second.end()
    other.end()
  })
})

describe.each(versions)('trap 5, MQTT %s', (version) => {
  const refusal = (will: { topic: string }) => tryConnect(house, sensor, connectPacket('sensor', version, { will: { payload: Buffer.from('w'), qos: 1, retain: false, ...will } }), { version })

  test('a Will is judged at CONNECT: a granted one is admitted, a foreign, a wildcard and a $ topic are not', async () => {
    expect(await refusal({ topic: 'state/sensor' })).toBe(0)
    for (const topic of ['state/other', 'secret/x', 'state/+', '#', 'state/sensor/#', '$SYS/x', 'state/sensor/']) {
      expect(await refusal({ topic }), topic).toBe(version === 4 ? 5 : /[+#$]/.test(topic) ? 0x90 : 0x87)
    }
  })

  test('a Will that was granted at CONNECT and is not when it fires, is not published; one that still is, is', async () => {
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, 'state/#')
    const identity = await house.device(`five-${version}`)
    const will = { topic: `state/five-${version}`, payload: Buffer.from('was granted'), qos: 1, retain: false } as const
    const wire = await connected(house, identity, { version, will })
    await house.regroup(`five-${version}`, ['backend']) // whose Will grant covers it, too
    wire.end()
    await watcher.take('publish', (p) => p.topic === `state/five-${version}`)

    const again = await connected(house, identity, { version, will: { ...will, payload: Buffer.from('lost its grant') } })
    house.policy(`version: 1\ngrants:\n  - { id: b, to: any, publish: ["#"], subscribe: ["#"], will: ["other/#"] }\n`)
    again.end()
    await house.refused('will-not-granted', (e) => e.device === identity.id)
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['was granted'])
    house.policy(HOUSE_POLICY)
    watcher.end()
  })
})

describe.each(versions)('trap 6, MQTT %s: a session belongs to its device', (version) => {
  test('another device neither takes it over nor wipes it; its own device does', async () => {
    const owner = await house.device(`owner-${version}`)
    const thief = await house.device(`thief-${version}`)
    const live = await connected(house, owner, kept(version))
    await subscribe(live, `t/owner-${version}/#`)
    for (const clean of [true, false]) expect(await tryConnect(house, thief, connectPacket(owner.id, version, { clean }), { version })).toBe(version === 5 ? 0x85 : 2)
    await live.ping()
    live.end()
    await live.ended
    expect(await tryConnect(house, thief, connectPacket(owner.id, version, { clean: true }), { version })).toBe(version === 5 ? 0x85 : 2)
    const resumed = await connected(house, owner, kept(version))
    expect(resumed.connack.sessionPresent).toBe(true)
    const taking = await connected(house, owner, kept(version))
    expect(taking.connack.sessionPresent).toBe(true)
    if (version === 5) expect((await resumed.take('disconnect')).reasonCode).toBe(0x8e)
    await resumed.ended
    await taking.ping()
    taking.end()
  })

  test('two devices may have the same suffix, and do not meet', async () => {
    const [one, two] = [await house.device(`one-${version}`), await house.device(`two-${version}`)]
    const a = await connected(house, one, { version, clientId: `one-${version}:x` })
    const b = await connected(house, two, { version, clientId: `two-${version}:x` })
    await a.ping()
    await b.ping()
    a.end()
    b.end()
  })
})

describe.each(versions)('trap 7, MQTT %s: a lowered QoS', (version) => {
  test('stands in SUBACK, and holds for wildcard filters and plain ones', async () => {
    const wire = await connected(house, sensor, { version })
    expect(await subscribe(wire, { topic: 'one/#', qos: 2 }, { topic: 'one/plain', qos: 2 }, { topic: 'zero/+', qos: 2 }, { topic: 'open/+', qos: 2 }, { topic: 'open/low/+', qos: 0 })).toEqual([1, 1, 0, 2, 0])
    const other = await connected(house, backend, { version })
    for (const topic of ['one/a', 'one/plain', 'zero/a', 'open/a', 'open/low/a']) other.send(publishPacket(topic, topic, { qos: 2 }))
    const seen = new Map<string, number>()
    for (let i = 0; i < 5; i++) {
      const { topic, qos } = await wire.take('publish')
      seen.set(topic, qos)
    }
    expect(Object.fromEntries(seen)).toEqual({ 'one/a': 1, 'one/plain': 1, 'zero/a': 0, 'open/a': 2, 'open/low/a': 0 })
    wire.end()
    other.end()
  })

  test('holds for retained messages and for what waited for a resumed session', async () => {
    const identity = await house.device(`seven-${version}`)
    const first = await connected(house, identity, kept(version))
    await subscribe(first, { topic: 'one/#', qos: 2 })
    first.end()
    await first.ended
    const other = await connected(house, backend, { version })
    other.send(publishPacket(`one/seven-${version}`, 'waited', { qos: 2, retain: true }))
    other.send({ cmd: 'pubrel', messageId: (await other.take('pubrec')).messageId! })
    await other.take('pubcomp')
    const second = await connected(house, identity, kept(version))
    expect((await second.take('publish', (p) => p.payload.toString() === 'waited')).qos).toBe(1)
    await subscribe(second, { topic: `one/seven-${version}`, qos: 2 })
    expect(await second.take('publish', (p) => p.retain)).toMatchObject({ qos: 1 })
    second.end()
    other.send(publishPacket(`one/seven-${version}`, '', { retain: true }))
    await other.ping()
    other.end()
  })
})

describe.each(versions)('trap 8, MQTT %s: $ is closed', (version) => {
  test('to subscribers, whatever they are granted, and to publishers', async () => {
    const wire = await connected(house, backend, { version })
    expect(await subscribe(wire, '$SYS/#', '$SYS/+/new/clients', '$refused/publish', '+/+/new/clients', '#')).toEqual(version === 5 ? [0x87, 0x87, 0x87, 1, 1] : [0x80, 0x80, 0x80, 1, 1])
    const other = await connected(house, sensor, { version })
    other.send(publishPacket('$SYS/x', 'no', { qos: 1 }))
    const ack = await other.take('puback')
    expect(version === 5 ? ack.reasonCode : undefined).toBe(version === 5 ? 0x87 : undefined)
    await subscribe(other, 't/sensor/#')
    other.end()
    await other.ended
    await wire.ping()
    expect(wire.published().filter((p) => p.topic.startsWith('$'))).toEqual([])
    wire.end()
  })
})

describe.each(versions)('trap 9, MQTT %s', (version) => {
  test.each([0, 1, 2] as const)('a denied publish of QoS %s is not delivered and not retained, and the connection lives', async (qos) => {
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, '#')
    const wire = await connected(house, sensor, { version })
    for (const retain of [false, true]) {
      wire.send(publishPacket('t/another/x', 'denied', { qos, retain }))
      if (qos === 1) expect((await wire.take('puback')).reasonCode).toBe(version === 5 ? 0x87 : undefined)
      if (qos === 2) {
        const { reasonCode, messageId } = await wire.take('pubrec')
        expect(reasonCode).toBe(version === 5 ? 0x87 : undefined)
        if (version === 4) {
          wire.send({ cmd: 'pubrel', messageId: messageId! })
          await wire.take('pubcomp')
        }
      }
    }
    wire.send(publishPacket('t/sensor/9', 'allowed', { qos }))
    await watcher.take('publish', (p) => p.payload.toString() === 'allowed')
    const late = await connected(house, backend, { version, clientId: 'backend:late' })
    await subscribe(late, 't/another/#')
    await late.ping()
    expect(payloads(late)).toEqual([])
    expect(payloads(watcher)).not.toContain('denied')
    expect(watcher.published().filter((p) => p.topic.includes('refused'))).toEqual([])
    await house.refused('publish-not-granted', (e) => e.topic === 't/another/x' && e.device === 'sensor')
    wire.end()
    late.end()
    watcher.end()
  })

  test('a refused QoS 2 message frees its packet id', async () => {
    const wire = await connected(house, sensor, { version })
    wire.send(publishPacket('t/another/x', 'denied', { qos: 2, messageId: 9 }))
    await wire.take('pubrec')
    if (version === 4) {
      wire.send({ cmd: 'pubrel', messageId: 9 })
      await wire.take('pubcomp')
    }
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, 't/sensor/#')
    wire.send(publishPacket('t/sensor/x', 'next', { qos: 2, messageId: 9 }))
    await watcher.take('publish', (p) => p.payload.toString() === 'next')
    wire.end()
    watcher.end()
  })
})

describe('with a store that can be slow or silent', () => {
  const gate = openGate()
  let own: House
  beforeAll(async () => {
    own = await openHouse({ wrapStore: (store) => gate.wrap(store) })
  })
  afterEach(() => {
    gate.open()
    gate.delayMs = 0
    own.rest()
  })
  afterAll(() => own[Symbol.asyncDispose]())

  /** A kept session that holds this filter and is not connected. */
  async function away(id: string, version: Version, filter: string): Promise<Identity> {
    const identity = await own.device(id, 'backend')
    const wire = await connected(own, identity, kept(version))
    await subscribe(wire, { topic: filter, qos: 2 })
    wire.end()
    await wire.ended
    return identity
  }
  const acknowledgements = (wire: Wire): readonly (number | undefined)[] => wire.received.flatMap((p) => (p.cmd === 'puback' || p.cmd === 'pubrec' ? [p.messageId] : []))

  describe.each(versions)('trap 10, MQTT %s: acknowledged means stored', (version) => {
    test('while the store does not answer nothing that it must keep is acknowledged, all else goes on, and then all is, in order', async () => {
      const top = `ten-${version}`
      const absent = await away(`${top}-absent`, version, `${top}/absent`)
      const present = await connected(own, await own.device(`${top}-present`, 'backend'), kept(version))
      await subscribe(present, { topic: `${top}/present`, qos: 2 }, { topic: `${top}/zero`, qos: 0 })
      const clean = await connected(own, await own.device(`${top}-clean`, 'backend'), { version })
      await subscribe(clean, { topic: `${top}/#`, qos: 2 })
      const [one, two, three, all] = [
        await connected(own, await own.device(`${top}-one`, 'backend'), { version }), await connected(own, await own.device(`${top}-two`, 'backend'), { version }),
        await connected(own, await own.device(`${top}-three`, 'backend'), { version }), await connected(own, await own.device(`${top}-all`, 'backend'), { version }),
      ]
      // Whom a topic concerns is asked once: without an answer to that nothing could be told apart below.
      for (const topic of ['absent', 'present', 'nobody']) all.send(publishPacket(`${top}/${topic}`, 'before', { qos: 1, messageId: 99 }))
      for (let i = 0; i < 3; i++) await all.take('puback')
      await present.take('publish')

      gate.close()
      one.send(publishPacket(`${top}/absent`, 'one', { qos: 1, messageId: 1 }))
      two.send(publishPacket(`${top}/present`, 'two', { qos: 2, messageId: 1 }))
      three.send(publishPacket(`${top}/nobody`, 'three', { qos: 1, messageId: 1, retain: true }))
      all.send(
        publishPacket(`${top}/absent`, 'a', { qos: 1, messageId: 1 }), publishPacket(`${top}/nobody`, 'b', { qos: 1, messageId: 2 }), publishPacket('secret/x', 'denied', { qos: 1, messageId: 3 }),
        publishPacket(`${top}/present`, 'c', { qos: 2, messageId: 4 }), publishPacket(`${top}/nobody`, 'd', { qos: 2, messageId: 5 }), publishPacket(`${top}/zero`, 'zero'),
      )
      await clean.take('publish', (p) => p.payload.toString() === 'zero')
      // Who waits is alive: it is heard and answered behind all that is not acknowledged.
      await all.ping()
      await present.take('publish', (p) => p.payload.toString() === 'zero')
      for (const wire of [one, two, three, clean, present]) await wire.ping()
      expect([one, two, three].map(acknowledgements)).toEqual([[], [], []])
      expect(acknowledgements(all)).toEqual([99, 99, 99])
      expect(payloads(clean)).toEqual(expect.arrayContaining(['one', 'two', 'three', 'a', 'b', 'c', 'd']))
      expect(payloads(present)).toEqual(['before', 'zero'])
      // Who needs no store is acknowledged.
      clean.send(publishPacket(`${top}/nobody`, 'e', { qos: 1, messageId: 7 }))
      await clean.take('puback')

      gate.open()
      await one.take('puback')
      await two.take('pubrec')
      await three.take('puback')
      await all.take('pubrec', (p) => p.messageId === 5)
      expect(acknowledgements(all)).toEqual([99, 99, 99, 1, 2, 3, 4, 5]) // [MQTT-4.6.0-2]
      await present.take('publish', (p) => p.payload.toString() === 'c')
      expect(payloads(present)).toEqual(['before', 'zero', 'two', 'c'])
      const back = await connected(own, absent, kept(version))
      await back.take('publish', (p) => p.payload.toString() === 'a')
      expect(payloads(back)).toEqual(['before', 'one', 'a'])
      for (const wire of [one, two, three, all, clean, present, back]) wire.end()
    })

    test('where nobody is to be queued for, nothing is written; where somebody is, one commit is', async () => {
      const top = `none-${version}`
      await away(`${top}-away`, version, `${top}/kept`)
      const clean = await connected(own, await own.device(`${top}-clean`, 'backend'), { version })
      await subscribe(clean, { topic: `${top}/#`, qos: 2 })
      const speaker = await connected(own, await own.device(`${top}-speaker`, 'backend'), { version })
      const say = async (topic: string): Promise<void> => {
        speaker.send(publishPacket(topic, 'x'), publishPacket(topic, 'x', { qos: 1, messageId: 1 }), publishPacket(topic, 'x', { qos: 2, messageId: 2 }))
        await speaker.take('puback')
        await speaker.take('pubrec')
        speaker.send({ cmd: 'pubrel', messageId: 2 })
        await speaker.take('pubcomp')
      }
      const before = gate.commits.length
      await say(`${top}/plain`)
      await say('nobody/at/all')
      expect(gate.commits.slice(before)).toEqual([])
      await say(`${top}/kept`)
      expect(gate.commits.slice(before).flat().map(({ kind }) => kind)).toEqual(['published', 'published'])
      clean.end()
      speaker.end()
    })
  })

  test.each(versions)('trap 11, MQTT %s: a QoS 1 message that is overtaken by one of QoS 0 is delivered, 50 of 50', async (version) => {
    const top = `eleven-${version}`
    const present = await connected(own, await own.device(`${top}-present`, 'backend'), kept(version))
    await subscribe(present, { topic: `${top}/#`, qos: 1 })
    const absent = await away(`${top}-absent`, version, `${top}/#`)
    const speaker = await connected(own, await own.device(`${top}-speaker`, 'backend'), { version })
    gate.delayMs = 5
    const stored = Array.from({ length: 50 }, (_, i) => `stored-${i}`)
    stored.forEach((payload, i) => speaker.send(publishPacket(`${top}/x`, payload, { qos: 1, messageId: i + 1 }), publishPacket(`${top}/x`, `quick-${i}`)))
    await speaker.take('puback', (p) => p.messageId === 50)
    await present.take('publish', (p) => p.payload.toString() === 'stored-49')
    await present.ping()
    expect(payloads(present).filter((p) => p.startsWith('stored'))).toEqual(stored)
    expect(payloads(present).filter((p) => p.startsWith('quick'))).toEqual(stored.map((_, i) => `quick-${i}`))
    expect(payloads(present).indexOf('quick-0')).toBeLessThan(payloads(present).indexOf('stored-0'))
    const back = await connected(own, absent, kept(version))
    await back.take('publish', (p) => p.payload.toString() === 'stored-49')
    expect(payloads(back)).toEqual(stored)
    for (const wire of [present, speaker, back]) wire.end()
  })

  test.each(versions)('trap 14, MQTT %s: 5,000 messages that waited all come, in order, and what is published meanwhile comes behind them', async (version) => {
    const top = `fourteen-${version}`
    const absent = await away(`${top}-absent`, version, `${top}/#`)
    const speaker = await connected(own, await own.device(`${top}-speaker`, 'backend'), { version })
    const say = async (payloads: readonly string[], firstId: number): Promise<void> => {
      speaker.send(...payloads.map((payload, i) => publishPacket(`${top}/x`, payload, { qos: 1, messageId: firstId + i })))
      await speaker.take('puback', (p) => p.messageId === firstId + payloads.length - 1)
    }
    const waited = Array.from({ length: 5_000 }, (_, i) => `waited-${i}`)
    const live = Array.from({ length: 200 }, (_, i) => `live-${i}`)
    await say(waited, 1)
    const back = await connected(own, absent, kept(version))
    await back.take('publish')
    await say(live.slice(0, 100), 10_001)
    await say(live.slice(100), 20_001)
    await back.take('publish', (p) => p.payload.toString() === 'live-199')
    expect(payloads(back)).toEqual([...waited, ...live])
    back.end()
    speaker.end()
  })

  test('trap 15: deadlines outlive the server: a Will Delay and a Session Expiry are over at their time, and not before', async () => {
    const session = (expiry: number, delay: number, id: string) => ({
      version: 5 as const, clean: false, properties: { sessionExpiryInterval: expiry },
      will: { topic: `state/${id}`, payload: Buffer.from('gone'), qos: 1 as const, retain: false, properties: { willDelayInterval: delay } },
    })
    const [early, late] = [await own.device('early'), await own.device('late')]
    const first = await connected(own, early, session(600, 300, 'early'))
    await subscribe(first, 't/early/#')
    first.end()
    await first.ended
    // This one is connected when the server ends.
    const second = await connected(own, late, session(900, 400, 'late'))
    await subscribe(second, 't/late/#')
    await own.restart()
    await second.ended
    const other = await connected(own, await own.device('fifteen-backend', 'backend'), { version: 5 })
    await subscribe(other, 'state/#')
    own.rest(310_000)
    await other.take('publish')
    expect(other.published().map((p) => p.topic)).toEqual(['state/early'])
    own.rest(100_000)
    expect((await other.take('publish')).topic).toBe('state/late')
    for (const id of ['early', 'late']) other.send(publishPacket(`t/${id}/x`, 'waited', { qos: 1, messageId: 1 }))
    for (let i = 0; i < 2; i++) await other.take('puback')
    own.rest(200_000)
    await gate.asked((change) => change.kind === 'session-ended' && change.key.endsWith('/early'))
    const forgotten = await connected(own, early, session(600, 300, 'early'))
    expect(forgotten.connack.sessionPresent).toBe(false)
    const resumed = await connected(own, late, session(900, 400, 'late'))
    expect(resumed.connack.sessionPresent).toBe(true)
    await resumed.take('publish')
    expect([payloads(forgotten), payloads(resumed)]).toEqual([[], ['waited']])
    for (const wire of [forgotten, resumed, other]) {
      wire.send({ cmd: 'disconnect', reasonCode: 0 })
      await wire.ended
    }
  })
})

test('trap 12: a reader that stalls costs itself only', async () => {
  const stalled = await connected(house, await house.device('stalled', 'backend'), { version: 5, acknowledge: false })
  await subscribe(stalled, { topic: 'big/#', qos: 0 })
  stalled.socket.pause()
  const [publisher, reader] = [await connected(house, backend, { version: 5, clientId: 'backend:p' }), await connected(house, backend, { version: 5, clientId: 'backend:r' })]
  await subscribe(reader, { topic: 'other/#', qos: 1 }, { topic: 'big/end', qos: 1 })
  const chunk = Buffer.alloc(128 * 1024)
  let sent = 0
  // Enough for the kernel's buffers and ours: what comes then is dropped, and nobody else waits for it.
  for (; sent < 400; sent += 8) {
    publisher.send(...Array.from({ length: 8 }, () => publishPacket('big/x', chunk)), publishPacket('other/x', String(sent), { qos: 1 }))
    await reader.take('publish', (p) => p.payload.toString() === String(sent))
  }
  expect(house.refusals()).not.toContain('quota-exceeded')
  // It takes nothing at all for too long.
  const refused = house.refused('quota-exceeded', (e) => e.device === 'stalled')
  const moving = setInterval(() => house.rest(BROKER_LIMITS.stalledMs), 500)
  expect((await refused).detail).toContain('reads nothing')
  clearInterval(moving)
  publisher.end()
  reader.end()
  stalled.socket.resume()
  await stalled.ended
})

test('trap 12: of twenty subscribers to one topic one stalls: the others get everything, and so does it when it reads on', async () => {
  const wires = await Promise.all(Array.from({ length: 20 }, (_, i) => connected(house, backend, { version: 5, clientId: `backend:${i}` })))
  await Promise.all(wires.map((wire) => subscribe(wire, { topic: 'twelve/x', qos: 1 })))
  const [stalled, ...others] = wires
  if (stalled === undefined) throw new Error('nobody')
  await subscribe(stalled, { topic: 'twelve/fill', qos: 0 })
  stalled.socket.pause()
  const publisher = await connected(house, backend, { version: 5, clientId: 'backend:twelve' })
  // More than the kernel's buffers and ours take.
  const chunk = Buffer.alloc(128 * 1024)
  for (let i = 0; i < 16; i++) {
    publisher.send(...Array.from({ length: 8 }, () => publishPacket('twelve/fill', chunk)))
    await publisher.ping()
  }
  const sent = Array.from({ length: 100 }, (_, i) => `m${i}`)
  publisher.send(...sent.map((payload, i) => publishPacket('twelve/x', payload, { qos: 1, messageId: i + 1 })))
  await publisher.take('puback', (p) => p.messageId === sent.length)
  for (const wire of others) {
    await wire.take('publish', (p) => p.payload.toString() === 'm99')
    expect(payloads(wire)).toEqual(sent)
  }
  stalled.socket.resume()
  await stalled.take('publish', (p) => p.topic === 'twelve/x' && p.payload.toString() === 'm99')
  expect(stalled.published().flatMap((p) => (p.topic === 'twelve/x' ? [p.payload.toString()] : []))).toEqual(sent)
  // What it did not read of QoS 0 was not kept for it.
  expect(stalled.published().filter((p) => p.topic === 'twelve/fill').length).toBeLessThan(128)
  for (const wire of [...wires, publisher]) wire.end()
})

describe.each(versions)('trap 13, MQTT %s: QoS 2 from a client', (version) => {
  const halfOpen = async (identity: Identity, options: Parameters<typeof connected>[2], payload: string): Promise<Wire> => {
    const wire = await connected(house, identity, options)
    wire.send(publishPacket('t/sensor/13', payload, { qos: 2, messageId: 13 }))
    await wire.take('pubrec')
    return wire
  }

  test.each([
    ['a clean start after a kept session', kept(version), kept(version, true)],
    ['a kept session after a clean one', { version, clean: true }, kept(version)],
    ['a clean session after a clean one', { version, clean: true }, { version, clean: true }],
  ])('a packet id that is used again by %s is a new message', async (_, before, after) => {
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, 't/sensor/13')
    const first = await halfOpen(sensor, before, 'first')
    first.end()
    await first.ended
    const second = await halfOpen(sensor, after, 'second')
    await watcher.take('publish', (p) => p.payload.toString() === 'second')
    second.end()
    watcher.end()
  })

  test('a packet id that is sent again by the same session is the same message, acknowledged again', async () => {
    const watcher = await connected(house, backend, { version })
    await subscribe(watcher, 't/sensor/13')
    const clean = await connected(house, sensor, kept(version, true))
    clean.end()
    await clean.ended
    const first = await halfOpen(sensor, kept(version), 'once')
    first.send(publishPacket('t/sensor/13', 'once', { qos: 2, messageId: 13, dup: true }))
    await first.take('pubrec') // [MQTT-4.3.3-10]
    first.end()
    await first.ended
    const second = await halfOpen(sensor, kept(version), 'once')
    second.send({ cmd: 'pubrel', messageId: 13 })
    await second.take('pubcomp')
    await watcher.ping()
    expect(payloads(watcher)).toEqual(['once'])
    second.end()
    watcher.end()
  })

  test('as many exchanges may be open as Receive Maximum says, and no more; finished ones make room', async () => {
    const wire = await connected(house, sensor, { version })
    const max = version === 5 ? BROKER_LIMITS.receiveMaximum : BROKER_LIMITS.receivingMax
    if (version === 5) expect(wire.connack.properties?.receiveMaximum).toBe(BROKER_LIMITS.receiveMaximum)
    const open = (from: number, count: number): void => wire.send(...Array.from({ length: count }, (_, i) => publishPacket('t/sensor/13', 'x', { qos: 2, messageId: from + i })))
    open(1_000, max)
    for (let i = 0; i < max; i++) await wire.take('pubrec')
    wire.send({ cmd: 'pubrel', messageId: 1_000 })
    await wire.take('pubcomp')
    open(2_000, 1)
    await wire.take('pubrec')
    open(3_000, 1)
    if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x93)
    await wire.ended
    await house.refused('receive-maximum')
    house.forget()
  })
})

describe('trap 15', () => {
  test('Clean Start 0 without a Session Expiry resumes what waited, and the session ends with this connection', async () => {
    const identity = await house.device('fifteen')
    const first = await connected(house, identity, kept(5))
    await subscribe(first, 't/fifteen/#')
    first.end()
    await first.ended
    const other = await connected(house, backend, { version: 5 })
    other.send(publishPacket('t/fifteen/x', 'waited', { qos: 1 }))
    await other.ping()
    const second = await connected(house, identity, { version: 5, clean: false })
    expect(second.connack.sessionPresent).toBe(true)
    await second.take('publish', (p) => p.payload.toString() === 'waited')
    second.end()
    await second.ended
    const third = await connected(house, identity, { version: 5, clean: false })
    expect(third.connack.sessionPresent).toBe(false)
    third.end()
    other.end()
  })

  test('a Will Delay stays with the server; the other properties of the Will travel', async () => {
    const watcher = await connected(house, backend, { version: 5 })
    await subscribe(watcher, 'state/#')
    const properties = { willDelayInterval: 1, contentType: 'text/plain', userProperties: { a: 'b' } }
    const wire = await connected(house, sensor, { version: 5, properties: { sessionExpiryInterval: 0 }, will: { topic: 'state/sensor', payload: Buffer.from('gone'), qos: 1, retain: false, properties } })
    wire.end()
    const will = await watcher.take('publish')
    expect(will.properties).toEqual({ contentType: 'text/plain', userProperties: { a: 'b' } })
    watcher.end()
  })
})

describe.each(versions)('trap 16, MQTT %s: packets behind a CONNECT', (version) => {
  test('in one chunk with it are handled in order', async () => {
    const wire = await openWire(house, backend, { version })
    wire.send(connectPacket('backend', version), { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'early/#', qos: 1 }] }, ...Array.from({ length: 500 }, (_, i) => publishPacket('early/x', String(i))))
    expect(codeOf(await wire.take('connack'), version)).toBe(0)
    await wire.take('suback')
    await wire.take('publish', (p) => p.payload.toString() === '499')
    expect(payloads(wire)).toEqual(Array.from({ length: 500 }, (_, i) => String(i)))
    wire.end()
  })

  test('have an end', async () => {
    const wire = await openWire(house, backend, { version })
    wire.send(connectPacket('backend', version), ...Array.from({ length: BROKER_LIMITS.packetsBeforeConnackMax + 1 }, () => publishPacket('early/x', 'x')))
    await wire.ended
    await house.refused('quota-exceeded', (e) => e.detail === 'packets before CONNACK')
    house.forget()
  })
})

describe('trap 17: properties that cannot be read', () => {
  const topic = (text: string): Buffer => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)])
  const publish = (properties: readonly number[], payload = ''): Buffer => {
    const body = Buffer.concat([topic('t/sensor/17'), Buffer.from([properties.length, ...properties]), Buffer.from(payload)])
    return Buffer.concat([Buffer.from([0x30, body.length]), body])
  }

  test.each<[string, readonly number[], number]>([
    ['a Response Topic that is cut off', [0x08, 0xff, 0xff], 0x81],
    ['two Response Topics', [0x08, 0, 1, 0x61, 0x08, 0, 1, 0x62], 0x82],
    ['two Content Types', [0x03, 0, 1, 0x61, 0x03, 0, 1, 0x62], 0x82],
    ['a Message Expiry that is cut off', [0x02, 0, 0], 0x81],
    ['a user property without its value', [0x26, 0, 1, 0x61], 0x81],
    ['a Session Expiry in a PUBLISH', [0x11, 0, 0, 0, 9], 0x82],
    ['a Subscription Identifier in a PUBLISH', [0x0b, 9], 0x82],
    ['a Reason String in a PUBLISH', [0x1f, 0, 1, 0x61], 0x82],
    ['a wildcard in the Response Topic', [0x08, 0, 1, 0x23], 0x82],
    ['text that is not UTF-8', [0x03, 0, 2, 0xc0, 0xaf], 0x81],
    ['an unknown property', [0x77, 0], 0x81],
  ])('%s ends its own session and disturbs no subscriber', async (_, properties, code) => {
    const watcher = await connected(house, backend, { version: 5 })
    await subscribe(watcher, 't/sensor/#')
    const wire = await connected(house, sensor, { version: 5 })
    wire.bytes(publish(properties))
    expect((await wire.take('disconnect')).reasonCode).toBe(code)
    await wire.ended
    const again = await connected(house, sensor, { version: 5 })
    again.bytes(publish([0x08, 0, 1, 0x61, 0x03, 0, 1, 0x62, 0x26, 0, 1, 0x61, 0, 1, 0x62], 'good'))
    expect((await watcher.take('publish', (p) => p.payload.toString() === 'good')).properties).toEqual({ responseTopic: 'a', contentType: 'b', userProperties: { a: 'b' } })
    expect(payloads(watcher)).toEqual(['good'])
    again.end()
    watcher.end()
  })

  test.each<[string, Parameters<typeof connectPacket>[2], number]>([
    ['a Receive Maximum of 0', { properties: { receiveMaximum: 0 } }, 0x82],
    ['a Maximum Packet Size of 0', { properties: { maximumPacketSize: 0 } }, 0x82],
    ['authentication data without a method', { properties: { authenticationData: Buffer.from('x') } }, 0x82],
    ['a wildcard in the Response Topic of a Will', { will: { topic: 'state/sensor', payload: Buffer.from('w'), qos: 0, retain: false, properties: { responseTopic: 'a/#' } } }, 0x82],
  ])('a CONNECT with %s is refused', async (_, fields, code) => {
    expect(await tryConnect(house, sensor, connectPacket('sensor', 5, fields), { version: 5 })).toBe(code)
  })

  test('two Session Expiry Intervals in a CONNECT are refused, and the process lives', async () => {
    const id = topic('sensor')
    const properties = Buffer.from([0x11, 0, 0, 0, 9, 0x11, 0, 0, 0, 8])
    const body = Buffer.concat([topic('MQTT'), Buffer.from([5, 0, 0, 60, properties.length]), properties, id])
    expect(await tryConnect(house, sensor, Buffer.concat([Buffer.from([0x10, body.length]), body]), { version: 5 })).toBe(0x82)
    const wire = await connected(house, sensor, { version: 5 })
    await wire.ping()
    wire.end()
  })

  test('properties that reach beyond their packet are malformed', async () => {
    const wire = await connected(house, sensor, { version: 5 })
    const body = Buffer.concat([topic('t/sensor/17'), Buffer.from([20])])
    wire.bytes([0x30, body.length], body, [0xc0, 0, 0xc0, 0, 0xc0, 0, 0xc0, 0, 0xc0, 0, 0xc0, 0, 0xc0, 0, 0xc0, 0, 0xc0, 0, 0xc0, 0])
    await wire.ended
    await house.refused('malformed-packet')
  })
})

describe.each(versions)('trap 18, MQTT %s: SUBACK', (version) => {
  test('has a code for every filter in its place, also for numeric names and repeated filters', async () => {
    const wire = await connected(house, sensor, { version })
    const no = version === 5 ? 0x87 : 0x80
    house.policy(HOUSE_POLICY.replace('topic: "zero/#"', 'topic: "5"'))
    expect(await subscribe(wire, 'elsewhere', '5', { topic: 'open/a', qos: 0 }, { topic: 'open/a', qos: 2 }, '10', 'open/#')).toEqual([no, 0, 0, 2, no, 1])
    house.policy(HOUSE_POLICY)
    wire.end()
  })
})

describe.each(versions)('trap 19, MQTT %s: filters that overlap', (version) => {
  test('give a kept session each message once, cost it no connection, and lose nothing', async () => {
    const identity = await house.device(`overlap-${version}`, 'backend')
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, 'o/#', 'o/+', '#', 'o/x')
    const other = await connected(house, backend, { version })
    const sent = Array.from({ length: 20 }, (_, i) => `m${i}`)
    for (const payload of sent) other.send(publishPacket('o/x', payload, { qos: 1 }))
    await wire.take('publish', (p) => p.payload.toString() === 'm19')
    await wire.ping()
    expect(payloads(wire)).toEqual(sent)
    wire.end()
    await wire.ended
    const again = await connected(house, identity, kept(version))
    await again.ping()
    expect(payloads(again)).toEqual([])
    again.end()
    await again.ended
    // What was not acknowledged comes again.
    const deaf = await connected(house, identity, { ...kept(version), acknowledge: false })
    other.send(publishPacket('o/x', 'unacknowledged', { qos: 1 }))
    await deaf.take('publish')
    await deaf.ping()
    deaf.end()
    await deaf.ended
    const last = await connected(house, identity, kept(version))
    expect(await last.take('publish')).toMatchObject({ dup: true })
    last.end()
    other.end()
  })
})

describe.each(versions)('trap 20, MQTT %s: a queue that is thrown away', (version) => {
  const fill = async (identity: Identity, topic: string): Promise<void> => {
    const wire = await connected(house, identity, kept(version))
    await subscribe(wire, `${topic}/#`, `t/${identity.id}/last`)
    wire.end()
    await wire.ended
    const other = await connected(house, backend, { version })
    for (let i = 0; i < 100; i++) other.send(publishPacket(`${topic}/x`, `m${i}`, { qos: 1 }))
    other.send(publishPacket(`t/${identity.id}/last`, 'last', { qos: 1 }))
    await other.ping()
    other.end()
  }

  test('by a clean start, is gone, and the client is served', async () => {
    const identity = await house.device(`twenty-${version}`)
    await fill(identity, `t/twenty-${version}`)
    const clean = await connected(house, identity, kept(version, true))
    await subscribe(clean, 'open/#')
    clean.send(publishPacket('open/x', 'served', { qos: 1 }))
    await clean.take('publish', (p) => p.payload.toString() === 'served')
    clean.end()
    await clean.ended
    const later = await connected(house, identity, kept(version))
    await later.ping()
    expect(payloads(later)).toEqual([])
    later.end()
  })

  test('because its grant is gone, does not keep the client from being served', async () => {
    const identity = await house.device(`lost-${version}`, 'backend')
    await fill(identity, 'elsewhere')
    await house.regroup(`lost-${version}`, ['sensors'])
    const wire = await connected(house, identity, kept(version))
    await wire.take('publish', (p) => p.payload.toString() === 'last')
    expect(payloads(wire)).toEqual(['last'])
    wire.end()
  })
})

test('trap 20: a queue whose session expired does not come back with the next one, nor with the one after it', async () => {
  const version = 5
  const identity = await house.device('expired')
  const wire = await connected(house, identity, { version, clean: false, properties: { sessionExpiryInterval: 1 } })
  await subscribe(wire, 't/expired/#')
  wire.end()
  await wire.ended
  const other = await connected(house, backend, { version })
  for (let i = 0; i < 100; i++) other.send(publishPacket('t/expired/x', `m${i}`, { qos: 1 }))
  await other.ping()
  // The engine reads the machine's clock for this.
  await new Promise((resolve) => void setTimeout(resolve, 2_500))
  const next = await connected(house, identity, kept(version))
  expect(next.connack.sessionPresent).toBe(false)
  // A queue is sent beside what else goes on: many turns, so that its first message would be here.
  for (let i = 0; i < 20; i++) await next.ping()
  expect(payloads(next)).toEqual([])
  await subscribe(next, 't/expired/#')
  next.end()
  await next.ended
  other.send(publishPacket('t/expired/x', 'fresh', { qos: 1 }))
  await other.ping()
  const last = await connected(house, identity, kept(version))
  await last.take('publish', (p) => p.payload.toString() === 'fresh')
  for (let i = 0; i < 20; i++) await last.ping()
  expect(payloads(last)).toEqual(['fresh'])
  last.end()
  other.end()
})
