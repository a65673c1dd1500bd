// Chapter 4.3, what the engine room must still learn of deliveries: what has been sent once does not expire.

import { describe, expect, test } from 'vitest'
import { subscribe } from '../wire.ts'
import { kept, openStage, pass, publishAll, rawConnected } from './raw.ts'

const at = openStage()

describe('MQTT 5, the server sends', () => {
  test.each([1, 2] as const)('[MQTT-4.3.3-7] a message of QoS %s that has been sent does not expire any more: it is sent again', async (qos) => {
    const identity = await at.fresh()
    await pass(0)
    const first = await rawConnected(at.house, identity, { ...kept(5, false, 6_000), acknowledge: false })
    await subscribe(first, { topic: `t/${identity.id}/#`, qos: 2 })
    const sender = await at.another({ version: 5 })
    await publishAll(sender, `t/${identity.id}/x`, ['sent'], { qos, properties: { messageExpiryInterval: 10 } })
    const { messageId } = await first.take('publish')
    await at.left(first)
    await publishAll(sender, `t/${identity.id}/x`, ['never sent'], { qos, properties: { messageExpiryInterval: 10 } })
    await pass(60_000)
    const second = await rawConnected(at.house, identity, kept(5))
    await second.ping()
    expect(second.published().map((p) => [p.payload.toString(), p.messageId])).toEqual([['sent', messageId]])
    second.end()
    sender.end()
  })
})
