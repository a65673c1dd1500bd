// Who of a shared subscription a message goes to, where not everybody may hear it. What MQTT says of shares is in
// conformance/shared.test.ts.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { HOUSE_POLICY, openHouse, type House } from './house.ts'
import { connected, publishPacket, subscribe, type Wire } from './wire.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house[Symbol.asyncDispose]())

const heard = (wire: Wire): readonly string[] => wire.published().map((p) => p.payload.toString()).toSorted()

test.each([0, 1] as const)('a message of QoS %s goes to a member that may hear its topic, and never to one that a rule forbids it; of what both may hear both get some', async (qos) => {
  const [free, bound, speaker] = [await house.device(`free-${qos}`, 'backend'), await house.device(`bound-${qos}`, 'backend'), await house.device(`speaker-${qos}`, 'backend')]
  house.policy(`${HOUSE_POLICY}  - { id: deaf, to: { device: bound-${qos} }, receive: ["share/closed"] }\n`)
  const members = [await connected(house, free, { version: 5 }), await connected(house, bound, { version: 5 })] as const
  for (const member of members) await subscribe(member, { topic: '$share/g/share/+', qos })
  const other = await connected(house, speaker, { version: 5 })
  const closed = Array.from({ length: 10 }, (_, i) => `closed-${i}`)
  const open = Array.from({ length: 10 }, (_, i) => `open-${i}`)
  other.send(...closed.map((payload) => publishPacket('share/closed', payload, { qos })), ...open.map((payload) => publishPacket('share/open', payload, { qos })))
  await other.ping()
  for (const member of members) await member.ping()
  const [atFree, atBound] = members.map(heard)
  expect(atFree?.filter((p) => p.startsWith('closed'))).toEqual(closed)
  expect(atBound?.filter((p) => p.startsWith('closed'))).toEqual([])
  expect([...(atFree ?? []), ...(atBound ?? [])].filter((p) => p.startsWith('open')).toSorted()).toEqual(open)
  for (const of of [atFree, atBound]) expect(of?.some((p) => p.startsWith('open'))).toBe(true)
  for (const wire of [...members, other]) wire.end()
})
