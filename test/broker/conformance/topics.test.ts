// Chapter 4.7: topic names and filters on the wire. The arithmetic itself is proven in test/core/topic.test.ts; here it is
// what a client sees of it.

import { describe, expect, test } from 'vitest'
import { publishPacket, subscribe, versions } from '../wire.ts'
import { field, frame, openStage, properties, rawConnected, u16 } from './raw.ts'

const at = openStage()

/** MQTT 5 §4.7.1: a filter, and of these topics the ones that it matches. */
const TOPICS = ['sport', 'sport/', '/sport', 'sport/tennis', 'sport/tennis/player1', 'sport/tennis/player1/ranking', 'sport//player1', '/', '//', 'finance', 'Sport', 'sport/ä', 'sport/a\u0308', 'spor', 'sports']
const MATCHES: readonly (readonly [string, readonly string[]])[] = [
  ['sport/tennis/player1/#', ['sport/tennis/player1', 'sport/tennis/player1/ranking']],
  ['sport/#', ['sport', 'sport/', 'sport/tennis', 'sport/tennis/player1', 'sport/tennis/player1/ranking', 'sport//player1', 'sport/ä', 'sport/a\u0308']],
  ['#', TOPICS],
  ['+', ['sport', 'finance', 'Sport', 'spor', 'sports']],
  ['sport/+', ['sport/', 'sport/tennis', 'sport/ä', 'sport/a\u0308']],
  ['sport/+/player1', ['sport/tennis/player1', 'sport//player1']],
  ['+/+', ['sport/', '/sport', 'sport/tennis', '/', 'sport/ä', 'sport/a\u0308']],
  ['/+', ['/sport', '/']],
  ['+/tennis/#', ['sport/tennis', 'sport/tennis/player1', 'sport/tennis/player1/ranking']],
  ['sport', ['sport']],
  ['/', ['/']],
  ['sport/ä', ['sport/ä']],
]

describe.each(versions)('MQTT %s', (version) => {
  test.each(MATCHES)('[MQTT-3.3.2-3] [MQTT-4.7.1-2] [MQTT-4.7.1-3 in 3.1.1] [MQTT-4.7.3-4] %s matches what it must, without normalising a character, and nothing else', async (filter, expected) => {
    const [watcher, sender] = [await at.another({ version }), await at.another({ version })]
    expect(await subscribe(watcher, { topic: filter, qos: 0 })).toEqual([0])
    for (const topic of TOPICS) sender.send(publishPacket(topic, 'x'))
    await sender.ping()
    await watcher.ping()
    expect(watcher.published().map((p) => p.topic)).toEqual(expected)
    watcher.end()
    sender.end()
  })

  test.each(['a/#/b', 'a#', '#/a', 'a/b#', 'a/#b', '##', 'a+', '+a', 'a/b+/c', '++', 'a/+#'])('[MQTT-4.7.1-1 in 5] [MQTT-4.7.1-2] [MQTT-4.7.1-3 in 3.1.1] %j is no filter: it is answered so and delivers nothing', async (filter) => {
    const [watcher, sender] = [await at.another({ version }), await at.another({ version })]
    expect(await subscribe(watcher, filter)).toEqual([version === 5 ? 0x8f : 0x80])
    for (const topic of ['a/b', 'a/x/b', 'ab', 'a', 'xa']) sender.send(publishPacket(topic, 'x'))
    await sender.ping()
    await watcher.ping()
    expect(watcher.published()).toEqual([])
    watcher.end()
    sender.end()
  })

  test.each(['a/+', '+', 'a/#', '#', 'a+b', 'a#'])('[MQTT-3.3.2-2] [MQTT-4.7.0-1 in 5] [MQTT-4.7.1-1 in 3.1.1] a message to %j ends the session, and is not delivered', async (topic) => {
    const [watcher, sender] = [await at.another({ version }), await at.another({ version })]
    await subscribe(watcher, { topic: '#', qos: 0 })
    sender.bytes(frame(0x30, field(topic), properties(version), Buffer.from('x')))
    await sender.ended
    await watcher.ping()
    expect(watcher.published()).toEqual([])
    watcher.end()
  })

  test('[MQTT-4.7.2-1] a filter that begins with a wildcard does not match a topic that begins with $, of the server or of a client', async () => {
    const [watcher, sender] = [await at.another({ version }), await at.another({ version })]
    await subscribe(watcher, '#', '+/x', '+/#')
    for (const topic of ['$SYS/x', '$x/x', '$/x', '$share/x']) sender.send(publishPacket(topic, 'x', { qos: 1 }))
    for (let i = 0; i < 4; i++) await sender.take('puback')
    await watcher.ping()
    expect(watcher.published()).toEqual([])
    watcher.end()
    sender.end()
  })

  test('[MQTT-4.7.3-3] a filter of 65,535 bytes is answered, and costs nobody anything', async () => {
    const wire = await rawConnected(at.house, at.backend, { version })
    wire.bytes(frame(0x82, u16(5), properties(version), field('x'.repeat(60_000)), [0]))
    expect((await wire.next('suback')).body.at(-1)).toBe(version === 5 ? 0x8f : 0x80)
    await wire.ping()
    wire.end()
  })
})
