// One session, several connections that want it at nearly the same time: the last has it, the others are closed, and what the session
// may hear is what it holds on the last, whatever the others held. The store is made to answer late, so that they meet.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { SessionStore } from '../../src/core/session-store.ts'
import { openGate, type StoreGate } from './gated-store.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, connectPacket, kept, nextId, openWire, payloads, publishPacket, subscribe, versions, type Version, type Wire } from './wire.ts'

let house: House
let gate: StoreGate
let speaker: Identity
let count = 0
let asked = Promise.withResolvers<void>()

/** What a listener may hear does not change with `wildcard: forbid`; what it may hold does. */
const policyOf = (terms = ''): string => `version: 1
grants:
  - { id: listener, to: { group: sensors }, subscribe: [ { topic: "t/#"${terms} } ] }
  - { id: speaker, to: { group: speakers }, publish: [ { topic: "t/#", retain: true } ] }
`

beforeAll(async () => {
  gate = openGate()
  house = await openHouse({ policy: policyOf(), wrapStore: (store) => noting(gate.wrap(store)) })
  speaker = await house.device('speaker', 'speakers')
})
afterEach(() => {
  gate.open()
  house.policy(policyOf())
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

/** Tells when the store is asked for a session: its CONNECT has been judged then. */
function noting(store: SessionStore): SessionStore {
  const session: SessionStore['session'] = (key) => {
    asked.resolve()
    asked = Promise.withResolvers()
    return store.session(key)
  }
  return Object.create(store, { session: { value: session } }) as SessionStore
}

/** A kept session that holds t/# and is away. */
async function away(version: Version): Promise<Identity> {
  const identity = await house.device(`listener-${++count}`)
  const wire = await connected(house, identity, kept(version))
  expect(await subscribe(wire, 't/#')).toEqual([1])
  wire.end()
  while ([...house.broker.live(identity.id as never)].length > 0) await new Promise((resolve) => void setImmediate(resolve))
  return identity
}

/** A connection whose CONNECT has been judged, and waits for the store. */
async function coming(identity: Identity, version: Version): Promise<Wire> {
  const { version: _, ...fields } = kept(version)
  const wire = await openWire(house, identity, { version })
  const judged = asked.promise
  wire.send(connectPacket(identity.id, version, fields))
  await judged
  return wire
}

async function say(topic: string, payload: string, retain = false): Promise<void> {
  const wire = await connected(house, speaker, { version: 5 })
  wire.send(publishPacket(topic, payload, { qos: 1, retain }))
  expect((await wire.take('puback')).reasonCode).toBe(0)
  wire.end()
}

describe.each(versions)('MQTT %s, trap 34', (version) => {
  test('of three connections that follow one another closely the last is left, and hears by nothing that it has lost', async () => {
    const identity = await away(version)
    gate.close()
    const first = await coming(identity, version)
    const second = await coming(identity, version)
    gate.open()
    await second.take('connack')
    await first.ended
    const third = await connected(house, identity, kept(version))
    await third.ping()
    house.policy(policyOf(', wildcard: forbid'))
    await say('t/x', 'lost')
    await third.ping()
    expect(payloads(third)).toEqual([])
    await second.ended
    // It may hear the topic, if it asks for it as it is granted.
    expect(await subscribe(third, 't/#', 't/x')).toEqual([version === 5 ? 0x87 : 0x80, 1])
    await say('t/x', 'held')
    await third.ping()
    expect(payloads(third)).toEqual(['held'])
    third.end()
  })

  test('from the moment of a take-over nothing comes by what the other connection holds: neither what is said nor what is retained', async () => {
    await say('t/r', 'retained', true)
    const identity = await away(version)
    const before = house.routed
    const live = await connected(house, identity, kept(version))
    expect(house.routed).toBe(before + 1)
    const [read, shown] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    gate.onRetained = () => {
      read.resolve()
      return shown.promise
    }
    live.send({ cmd: 'subscribe', messageId: nextId(), subscriptions: [{ topic: 't/+', qos: 1 }, { topic: 't/r', qos: 1 }] })
    await read.promise
    house.forget()
    const commits = gate.commits.length
    const { version: _, ...fields } = kept(version)
    const taking = await openWire(house, identity, { version })
    taking.send(connectPacket(identity.id, version, fields))
    await house.heard((event) => event.kind === 'admission' && event.device === identity.id)
    // Its connection may be open still: it is told why it is closed.
    expect(house.routed).toBe(before)
    gate.onRetained = undefined
    shown.resolve()
    await live.ended
    await taking.take('connack')
    await taking.ping()
    expect(gate.commits.slice(commits).flat().filter(({ kind }) => kind === 'published')).toEqual([])
    expect(payloads(taking)).toEqual([])
    taking.end()
    await say('t/r', '', true)
  })

  test('who is taken over is closed also when the connection that took over goes before it is answered', async () => {
    const identity = await away(version)
    const live = await connected(house, identity, kept(version))
    gate.close()
    const taking = await coming(identity, version)
    taking.end()
    await live.ended
    gate.open()
    await say('t/y', 'queued')
    const last = await connected(house, identity, kept(version))
    await last.take('publish')
    await last.ping()
    expect(payloads(last)).toEqual(['queued'])
    last.end()
  })
})
