// The scenarios of Eclipse Paho's client_test.py, the interoperability suite of MQTT 3.1.1, told anew: the same packets in the
// same order, judged at least as strictly, with the name of its test in brackets. Where it waits for seconds, the clock is
// moved, or a round trip says that all has come.

import { describe, expect, test, vi } from 'vitest'
import { field, frame, rawWire } from '../conformance/raw.ts'
import { connectPacket } from '../wire.ts'
import { all, namesUnder, NO_SUBSCRIBE, openInteropStage, payloadsOf, PREFIXES, publishThree, qosOf } from './stage.ts'

describe.each(PREFIXES)('MQTT 3.1.1, topics under %j', (prefix) => {
  const at = openInteropStage(4)
  const names = namesUnder(prefix)
  const { topics, filters } = names

  test('a client comes, goes and comes again, and hears each of its own messages once [testBasic]', async () => {
    await (await at.a()).disconnect()
    const peer = await at.a()
    expect(peer.connack.sessionPresent).toBe(false)
    expect(await peer.subscribe([topics.a])).toEqual([2])
    peer.publish(topics.a, 'qos 0')
    peer.publish(topics.a, 'qos 1', { qos: 1 })
    peer.publish(topics.a, 'qos 2', { qos: 2 })
    await all(peer)
    expect(peer.messages.map((m) => [m.topic, m.payload, m.qos])).toEqual([[topics.a, 'qos 0', 0], [topics.a, 'qos 1', 1], [topics.a, 'qos 2', 2]])
    await peer.disconnect()
  })

  test('a second CONNECT on one connection, and a protocol of another name, are answered by no CONNACK that admits [testBasic]', async () => {
    const twice = await at.a()
    twice.raw.send(connectPacket('myclientid', 4))
    await twice.raw.ended
    expect(twice.packets.map((p) => p.type)).toEqual(['connack'])
    const other = await rawWire(at.house, at.identity, { version: 4 })
    other.bytes(frame(0x10, field('hj'), [4, 2, 0, 0], field('myclientid')))
    await other.ended
    expect(other.frames.filter((f) => f.first === 0x20 && f.body[1] === 0)).toEqual([])
  })

  test('what is retained with any QoS comes to a later subscription; what is cleared does not [test_retained_messages]', async () => {
    const first = await at.a({ clean: true })
    expect(first.connack.sessionPresent).toBe(false)
    publishThree(first, names, { retain: true })
    await all(first)
    await first.subscribe([filters.twoLevels])
    await all(first)
    expect(qosOf(first.messages)).toEqual([0, 1, 2])
    expect(first.messages.every((m) => m.retain)).toBe(true)
    await first.disconnect()

    const second = await at.a({ clean: true })
    second.publish(topics.aB, '', { retain: true })
    second.publish(topics.c, '', { qos: 1, retain: true })
    second.publish(topics.aC, '', { qos: 2, retain: true })
    await all(second)
    await second.subscribe([filters.twoLevels])
    await all(second)
    expect(second.messages).toEqual([])
    await second.disconnect()
  })

  test('the Will of a client whose connection breaks is heard once [will_message_test]', async () => {
    const breaks = await at.a({ clean: true, keepalive: 2, will: { topic: topics.c, payload: Buffer.from('client not disconnected'), qos: 2, retain: false } })
    const peer = await at.b({ clean: false })
    await peer.subscribe([topics.c])
    await breaks.terminate()
    await peer.until(() => peer.messages.length > 0)
    await all(peer)
    expect(peer.messages.map((m) => [m.topic, m.payload, m.qos])).toEqual([[topics.c, 'client not disconnected', 2]])
    await peer.disconnect()
  })

  test('a client that says goodbye has no Will, the nearest that is not heard [will_message_test]', async () => {
    const leaves = await at.a({ clean: true, will: { topic: topics.c, payload: Buffer.from('client not disconnected'), qos: 2, retain: false } })
    const peer = await at.b({ clean: false })
    await peer.subscribe([topics.c])
    await leaves.disconnect()
    await all(peer)
    expect(peer.messages).toEqual([])
    await peer.disconnect()
  })

  test('an empty client id is refused with a session to keep, and taken with a clean one [test_zero_length_clientid]', async () => {
    const refused = await rawWire(at.house, at.identity, { version: 4 })
    // By hand: the library refuses to write this.
    refused.bytes(frame(0x10, field('MQTT'), [4, 0, 0, 0], field('')))
    expect((await refused.next('connack')).hex).toBe('20020002')
    await refused.ended
    await (await at.a({ clientId: '', clean: true })).disconnect()
  })

  test('messages of QoS 1 and 2 wait for a session whose client is away, and come when it is back [test_offline_message_queueing]', async () => {
    const away = await at.a({ clean: false })
    await away.subscribe([filters.twoLevels])
    await away.disconnect()
    const sender = await at.b({ clean: true })
    expect(sender.connack.sessionPresent).toBe(false)
    publishThree(sender, names)
    await all(sender)
    await sender.disconnect()
    const back = await at.a({ clean: false })
    expect(back.connack.sessionPresent).toBe(true)
    await all(back)
    expect(back.messages.map((m) => [m.payload, m.qos])).toEqual([['qos 1', 1], ['qos 2', 2]])
    await back.disconnect()
  })

  test('two filters that overlap bring a message once, with the higher QoS [test_overlapping_subscriptions]', async () => {
    const peer = await at.a()
    expect(await peer.subscribe([{ topic: filters.allOfA, qos: 2 }, { topic: filters.belowA, qos: 1 }])).toEqual([2, 1])
    peer.publish(topics.aC, 'overlapping topic filters', { qos: 2 })
    await all(peer)
    expect(peer.messages.map((m) => [m.payload, m.qos])).toEqual([['overlapping topic filters', 2]])
    await peer.disconnect()
  })

  test('without packets and pings the server ends the connection, and the Will is heard once [test_keepalive]', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
    const silent = await at.a({ clean: true, keepalive: 5, will: { topic: topics.slashA, payload: Buffer.from('keepalive expiry'), qos: 2, retain: false } })
    const peer = await at.b({ clean: true, keepalive: 0 })
    await peer.subscribe([topics.slashA])
    await vi.advanceTimersByTimeAsync(7_400)
    expect(silent.raw.open).toBe(true)
    await vi.advanceTimersByTimeAsync(200)
    await silent.raw.ended
    await peer.until(() => peer.messages.length > 0)
    await vi.advanceTimersByTimeAsync(7_400)
    await all(peer)
    expect(payloadsOf(peer)).toEqual(['keepalive expiry'])
    await peer.disconnect()
  })

  test('what a client has not acknowledged is sent again when it is back, marked as a repetition [test_redelivery_on_reconnect]', async () => {
    const peer = await at.b({ clean: false })
    await peer.subscribe([filters.allOfA])
    peer.pause()
    peer.publish(topics.aB, '', { qos: 1 })
    peer.publish(topics.aC, '', { qos: 2 })
    await peer.settled()
    await peer.disconnect()
    expect(peer.messages).toEqual([])
    expect(peer.packets.filter((p) => p.type === 'publish').map((p) => [p.topic, p.qos, p.dup])).toEqual([[topics.aB, 1, false], [topics.aC, 2, false]])
    const back = await at.b({ clean: false })
    expect(back.connack.sessionPresent).toBe(true)
    await all(back)
    expect(back.messages.map((m) => [m.topic, m.qos, m.dup])).toEqual([[topics.aB, 1, true], [topics.aC, 2, true]])
    await back.disconnect()
  })

  test('a filter that is not granted is refused in its place, its neighbour is not [test_subscribe_failure]', async () => {
    const peer = await at.a()
    expect(await peer.subscribe([NO_SUBSCRIBE, topics.a])).toEqual([0x80, 2])
    await peer.disconnect()
  })

  test('a topic that begins with $ reaches no filter that begins with a wildcard [test_dollar_topics]', async () => {
    const peer = await at.b({ clean: true, keepalive: 0 })
    expect(await peer.subscribe(['+/+', '#', filters.twoLevels])).toEqual([2, 2, 2])
    peer.publish(`$${topics.aB}`, '', { qos: 1 })
    await all(peer)
    expect(peer.messages).toEqual([])
    await peer.disconnect()
  })

  test('what a client unsubscribes from it hears no more, what else it subscribed to it does [test_unsubscribe]', async () => {
    const peer = await at.b({ clean: true })
    for (const topic of [topics.a, topics.aB, topics.c]) expect(await peer.subscribe([topic])).toEqual([2])
    await peer.unsubscribe(topics.a)
    const sender = await at.a({ clean: true })
    for (const topic of [topics.a, topics.aB, topics.c]) sender.publish(topic, topic, { qos: 1 })
    await all(sender, peer)
    expect(payloadsOf(peer)).toEqual([topics.aB, topics.c])
    await peer.disconnect()
    await sender.disconnect()
  })
})
