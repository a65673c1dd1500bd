// A subscription that is lost while something of it is on its way to a kept session: what waits behind a full window, what is being
// shown of what is retained, what is asked for again meanwhile. The client may hear the topic all the same, by a filter that it does
// not hold: that what is granted would allow it must not bring back what it has lost. policy.md R10.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openGate, type StoreGate } from './gated-store.ts'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, kept, nextId, payloads, publishPacket, subscribe, type ConnectFields, type Version, type Wire, type WireOptions } from './wire.ts'

let house: House
let gate: StoreGate
let speaker: Identity
let count = 0

/** What a listener may hear below t/ does not change with `wildcard: forbid`; what it may hold does. */
const policyOf = (terms = ''): string => `version: 1
grants:
  - { id: listener, to: { group: sensors }, subscribe: [ { topic: "t/#"${terms} }, "first/#" ] }
  - { id: speaker, to: { group: speakers }, publish: [ { topic: "#", retain: true } ], subscribe: [ "own" ] }
`
const lose = (): void => house.policy(policyOf(', wildcard: forbid'))

beforeAll(async () => {
  gate = openGate()
  house = await openHouse({ policy: policyOf(), wrapStore: gate.wrap })
  speaker = await house.device('speaker', 'speakers')
})
afterEach(() => {
  gate.open()
  gate.onRetained = undefined
  house.policy(policyOf())
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const fresh = (): Promise<Identity> => house.device(`listener-${++count}`)

async function say(...packets: readonly (readonly [topic: string, qos: 1 | 2, retain?: boolean])[]): Promise<void> {
  const wire = await connected(house, speaker, { version: 5, clientId: `speaker:${++count}` })
  wire.send(...packets.map(([topic, qos, retain = false]) => publishPacket(topic, topic, { qos, retain })))
  for (const [, qos] of packets) await wire.take(qos === 1 ? 'puback' : 'pubrec')
  wire.end()
}

async function broken(wire: Wire): Promise<void> {
  const before = house.broker.sessionCount
  wire.end()
  while (house.broker.sessionCount >= before) await new Promise((resolve) => void setImmediate(resolve))
}

/** A kept connection of MQTT 5 that takes one message at a time and answers for itself. */
const oneByOne = (): WireOptions & ConnectFields & { readonly version: Version } => ({ ...kept(5), properties: { sessionExpiryInterval: 600, receiveMaximum: 1 }, acknowledge: false })

/** The store has taken the loss, and the broker has its answer. */
async function narrowed(identity: Identity, wire: Wire): Promise<void> {
  await gate.asked((change) => change.kind === 'session-narrowed' && change.key.includes(`/${identity.id}/`))
  // Stored and answered behind it.
  expect(await subscribe(wire, 'first/2')).toEqual([1])
}

test('what was sent before and waits to be sent again goes with its filter, though its topic may be heard; of QoS 2 the packet id is let go of', async () => {
  const identity = await fresh()
  const before = await connected(house, identity, { ...kept(5), acknowledge: false })
  await subscribe(before, { topic: 'first/1', qos: 1 }, { topic: 't/+', qos: 2 })
  await say(['first/1', 1], ['t/x', 1], ['t/y', 2])
  const second = await before.take('publish', (p) => p.topic === 't/y')
  await broken(before)
  const wire = await connected(house, identity, oneByOne())
  const first = await wire.take('publish')
  expect([first.topic, first.dup]).toEqual(['first/1', true])
  lose()
  await narrowed(identity, wire)
  wire.send({ cmd: 'puback', messageId: first.messageId! })
  await wire.ping()
  expect(payloads(wire)).toEqual(['first/1'])
  expect((await wire.take('pubrel')).messageId).toBe(second.messageId)
  wire.send({ cmd: 'pubcomp', messageId: second.messageId! })
  await say(['first/1', 1])
  await wire.take('publish', (p) => !p.dup)
  expect(payloads(wire)).toEqual(['first/1', 'first/1'])
  wire.end()
})

test('what is retained and was being put into its queue is not sent, now or later', async () => {
  const identity = await fresh()
  await say(['t/r', 1, true])
  const wire = await connected(house, identity, oneByOne())
  await subscribe(wire, 'first/1')
  await say(['first/1', 1])
  const first = await wire.take('publish')
  const [read, shown] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  gate.onRetained = () => {
    read.resolve()
    return shown.promise
  }
  wire.send({ cmd: 'subscribe', messageId: nextId(), subscriptions: [{ topic: 't/+', qos: 1 }] })
  await read.promise
  gate.close()
  shown.resolve()
  await gate.asked((change) => change.kind === 'published' && change.message.topic === 't/r' && change.targets.length > 0)
  lose()
  await gate.asked((change) => change.kind === 'session-narrowed' && change.key.includes(`/${identity.id}/`))
  gate.open()
  gate.onRetained = undefined
  await narrowed(identity, wire)
  wire.send({ cmd: 'puback', messageId: first.messageId! })
  await wire.ping()
  expect(payloads(wire)).toEqual(['first/1'])
  await broken(wire)
  const again = await connected(house, identity, kept(5))
  await again.ping()
  expect(payloads(again)).toEqual([])
  again.end()
  await say(['t/r', 1, true])
})

test.each([['$share/g/t/x', ['t/x']], ['$share/g/first/x', []]] as const)('what was shown of what is retained by a filter that is lost comes again where a share covers its topic: %s', async (share, again) => {
  const shared = (topic: string): void => house.policy(policyOf().replace('{ topic: "t/#" }, "first/#"', `{ topic: "${topic}", share: [ g ] }, { topic: "first/#", share: [ g ] }`))
  await say(['t/x', 1, true])
  const listener = await fresh()
  shared('t/#')
  const first = await connected(house, listener, { ...kept(5), acknowledge: false })
  expect(await subscribe(first, share, 't/#')).toEqual([1, 1])
  await first.take('publish')
  await broken(first)
  // It may hear the topic as before, and hold "t/#" no longer.
  shared('t/x')
  const second = await connected(house, listener, { ...kept(5), acknowledge: false })
  await second.ping()
  expect([payloads(second), second.published().map(({ dup, retain }) => [dup, retain])]).toEqual([again, again.map(() => [true, true])])
  second.end()
})
