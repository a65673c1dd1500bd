// Rates over the wire: how many messages of a device are taken, over all its sessions, its reconnects and the policies that come; and
// that what is refused for another reason costs nothing.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openHouse, type House, type Identity } from './house.ts'
import { connected, publishPacket, subscribe, versions, type Version, type Wire } from './wire.ts'

let house: House
let listener: Identity
let count = 0
const fresh = (): Promise<Identity> => house.device(`device-${++count}`)
const policyOf = (terms = 'rate: 3/h', top = ''): string => `version: 1\n${top}grants:
  - { id: sensor, to: { group: sensors }, publish: [ { topic: "m/\${device.id}", qos: 1, maxBytes: 10, ${terms} }, free ] }
  - { id: listener, to: { group: listeners }, subscribe: [ "#" ] }
deny: [ { id: no, to: any, publish: [ forbidden ] } ]
`

beforeAll(async () => {
  house = await openHouse({ policy: policyOf() })
  listener = await house.device('listener', 'listeners')
})
afterEach(() => {
  house.policy(policyOf())
  house.forget()
  house.rest()
})
afterAll(() => house[Symbol.asyncDispose]())

const accepted = (version: Version): number | undefined => (version === 5 ? 0 : undefined)
const refused = (version: Version): number | undefined => (version === 5 ? 0x97 : undefined)

/** The codes of the acknowledgements of so many messages, one after the other. */
async function say(wire: Wire, topic: string, times: number, payload = 'x'): Promise<readonly (number | undefined)[]> {
  const codes: (number | undefined)[] = []
  for (let i = 0; i < times; i++) {
    wire.send(publishPacket(topic, payload, { qos: 1 }))
    codes.push((await wire.take('puback')).reasonCode)
  }
  return codes
}
async function listening(version: Version, topic: string): Promise<Wire> {
  const wire = await connected(house, listener, { version, clientId: `listener:${++count}` })
  await subscribe(wire, { topic, qos: 0 })
  return wire
}

describe.each(versions)('MQTT %s', (version) => {
  test('beyond its rate a message is acknowledged as refused and goes nowhere, and the refusal is in the audit log', async () => {
    const identity = await fresh()
    const [wire, heard] = [await connected(house, identity, { version }), await listening(version, `m/${identity.id}`)]
    const [yes, no] = [accepted(version), refused(version)]
    expect(await say(wire, `m/${identity.id}`, 5)).toEqual([yes, yes, yes, no, no])
    expect(await say(wire, 'free', 1)).toEqual([yes])
    await heard.ping()
    expect(heard.published()).toHaveLength(3)
    expect(await house.refused('publish-rate', (e) => e.device === identity.id)).toMatchObject({ topic: `m/${identity.id}`, rule: 'sensor', ruleAt: expect.stringMatching(/^policy\.yaml:\d+$/) })
    wire.end()
    heard.end()
  })

  test('QoS 0 beyond it is dropped, and counts like any other', async () => {
    const identity = await fresh()
    const [wire, heard] = [await connected(house, identity, { version }), await listening(version, `m/${identity.id}`)]
    wire.send(...Array.from({ length: 5 }, (_, i) => publishPacket(`m/${identity.id}`, `${i}`)))
    await wire.ping()
    expect(await say(wire, `m/${identity.id}`, 1)).toEqual([refused(version)])
    await heard.ping()
    expect(heard.published().map((p) => p.payload.toString())).toEqual(['0', '1', '2'])
    wire.end()
    heard.end()
  })

  test('all sessions of a device have one rate; another device has its own', async () => {
    const [identity, other] = [await fresh(), await fresh()]
    const wires = [await connected(house, identity, { version }), await connected(house, identity, { version, clientId: `${identity.id}:2` }), await connected(house, other, { version })] as const
    const [yes, no] = [accepted(version), refused(version)]
    expect(await say(wires[0], `m/${identity.id}`, 2)).toEqual([yes, yes])
    expect(await say(wires[1], `m/${identity.id}`, 2)).toEqual([yes, no])
    expect(await say(wires[2], `m/${other.id}`, 3)).toEqual([yes, yes, yes])
    for (const wire of wires) wire.end()
  })

  test('neither a reconnect nor a reload gives it back; time does', async () => {
    const identity = await fresh()
    const first = await connected(house, identity, { version })
    await say(first, `m/${identity.id}`, 3)
    first.end()
    await first.ended
    const wire = await connected(house, identity, { version })
    const [yes, no] = [accepted(version), refused(version)]
    expect(await say(wire, `m/${identity.id}`, 1)).toEqual([no])
    house.policy(policyOf())
    expect(await say(wire, `m/${identity.id}`, 1)).toEqual([no])
    house.rest(1_200_000)
    expect(await say(wire, `m/${identity.id}`, 2)).toEqual([yes, no])
    wire.end()
  })

  test('a message that is refused for another reason uses nothing up', async () => {
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    await say(wire, `m/${identity.id}`, 5, 'too long a payload')
    wire.send(publishPacket(`m/${identity.id}`, 'x', { qos: 1, retain: true }))
    await wire.take('puback')
    await say(wire, 'forbidden', 5)
    const yes = accepted(version)
    expect(await say(wire, `m/${identity.id}`, 3)).toEqual([yes, yes, yes])
    wire.end()
  })

  test('where the policy ends sessions for what they are denied, it ends this one', async () => {
    house.policy(policyOf('rate: 3/h', 'onDeny: disconnect\n'))
    const identity = await fresh()
    const wire = await connected(house, identity, { version })
    await say(wire, `m/${identity.id}`, 3)
    wire.send(publishPacket(`m/${identity.id}`, 'x', { qos: 1 }))
    if (version === 5) expect((await wire.take('disconnect')).reasonCode).toBe(0x97)
    await wire.ended
    expect(house.events.filter((e) => e.kind === 'session-closed')).toMatchObject([{ device: identity.id, reason: 'publish-rate' }])
  })
})

test('MQTT 5, QoS 2: PUBREC refuses, and the packet id is free again; sent again with DUP, it is a message like any other', async () => {
  house.policy(policyOf().replace('qos: 1', 'qos: 2'))
  const identity = await fresh()
  const wire = await connected(house, identity, { version: 5 })
  await say(wire, `m/${identity.id}`, 2)
  const send = async (dup: boolean, qos: 1 | 2): Promise<number | undefined> => {
    wire.send(publishPacket(`m/${identity.id}`, 'x', { qos, dup, messageId: 7 }))
    return (await wire.take(qos === 2 ? 'pubrec' : 'puback')).reasonCode
  }
  expect(await send(true, 1)).toBe(0)
  expect(await send(false, 2)).toBe(0x97)
  expect(await send(true, 2)).toBe(0x97)
  wire.end()
})
