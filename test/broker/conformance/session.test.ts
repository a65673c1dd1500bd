// Chapters 3.1.2 and 4.1: what a session is and when it ends, clean and kept, and the Will that belongs to it.

import { describe, expect, test } from 'vitest'
import { connected, payloads, publishPacket, subscribe, versions, type Version } from '../wire.ts'
import { kept, openStage, pass, publishAll } from './raw.ts'

const at = openStage()
const willOf = (id: string, fields: { readonly qos?: 0 | 1 | 2; readonly retain?: boolean } = {}) => ({ topic: `state/${id}`, payload: Buffer.from(`will of ${id}`), qos: fields.qos ?? 1, retain: fields.retain ?? false })

describe.each(versions)('MQTT %s, sessions', (version) => {
  test('[MQTT-3.1.2-4 in 5] [MQTT-3.1.2-6 in 3.1.1] [MQTT-3.1.4-3 in 3.1.1] [MQTT-3.1.4-4 in 5] a clean start discards subscriptions and what waited; nothing of it is seen in a later session', async () => {
    const identity = await at.fresh()
    const topic = `t/${identity.id}/x`
    const first = await connected(at.house, identity, kept(version))
    await subscribe(first, topic)
    await at.left(first)
    const sender = await at.another({ version })
    await publishAll(sender, topic, ['waited'])
    const clean = await connected(at.house, identity, kept(version, true))
    expect(clean.connack.sessionPresent).toBe(false)
    await publishAll(sender, topic, ['no subscription'])
    await clean.ping()
    await at.left(clean)
    const later = await connected(at.house, identity, kept(version))
    await later.ping()
    expect([...payloads(clean), ...payloads(later)]).toEqual([])
    later.end()
    sender.end()
  })

  test('[MQTT-3.1.2-6 in 3.1.1] [MQTT-4.1.0-2 in 5] a session that is to end with its connection leaves nothing to the next one', async () => {
    const identity = await at.fresh()
    const first = await connected(at.house, identity, { version, clean: true })
    await subscribe(first, `t/${identity.id}/#`)
    await at.left(first)
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/x`, ['nobody is there'])
    const second = await connected(at.house, identity, kept(version))
    expect(second.connack.sessionPresent).toBe(false)
    await publishAll(sender, `t/${identity.id}/x`, ['no subscription'])
    await second.ping()
    expect(payloads(second)).toEqual([])
    second.end()
    sender.end()
  })

  test('[MQTT-3.1.2-4 in 3.1.1] [MQTT-3.1.2-6 in 5] [MQTT-3.2.2-3] [MQTT-4.1.0-1] where there is no session, one is made, and lasts as long as the connection and longer', async () => {
    const identity = await at.fresh()
    const first = await connected(at.house, identity, kept(version))
    expect(first.connack.sessionPresent).toBe(false)
    await subscribe(first, `t/${identity.id}/#`)
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/x`, ['live'])
    expect((await first.take('publish')).payload.toString()).toBe('live')
    await at.left(first)
    await publishAll(sender, `t/${identity.id}/x`, ['waits'])
    const second = await connected(at.house, identity, kept(version))
    expect(second.connack.sessionPresent).toBe(true)
    expect((await second.take('publish')).payload.toString()).toBe('waits')
    await publishAll(sender, `t/${identity.id}/x`, ['live again'])
    await second.take('publish', (p) => p.payload.toString() === 'live again')
    second.end()
    sender.end()
  })

  test('[MQTT-3.1.2-4 in 3.1.1] [MQTT-3.1.2-5] [MQTT-4.5.0-1] messages of QoS 1 and 2 that match what an absent session is subscribed to wait for it, others do not', async () => {
    const identity = await at.fresh()
    const first = await connected(at.house, identity, kept(version))
    await subscribe(first, { topic: `t/${identity.id}/one`, qos: 1 }, { topic: `t/${identity.id}/two`, qos: 2 })
    await at.left(first)
    const sender = await at.another({ version })
    await publishAll(sender, `t/${identity.id}/two`, ['2'], { qos: 2 })
    await publishAll(sender, `t/${identity.id}/other`, ['not subscribed'])
    await publishAll(sender, `t/${identity.id}/one`, ['1'])
    const second = await connected(at.house, identity, kept(version))
    expect([await second.take('publish'), await second.take('publish')].map((p) => [p.payload.toString(), p.qos])).toEqual([['2', 2], ['1', 1]])
    await second.ping()
    expect(second.published()).toHaveLength(2)
    second.end()
    sender.end()
  })

  test('[MQTT-3.1.2-7 in 3.1.1] retained messages are no part of a session: they stay when it ends, clean or not', async () => {
    const identity = await at.fresh()
    const wire = await connected(at.house, identity, { version, clean: true })
    await publishAll(wire, `t/${identity.id}/state`, ['stays'], { retain: true })
    await at.left(wire)
    ;(await connected(at.house, identity, { version, clean: true })).end()
    const late = await at.another({ version })
    await subscribe(late, `t/${identity.id}/#`)
    expect(await late.take('publish')).toMatchObject({ retain: true })
    late.end()
  })

  test('[MQTT-3.1.3-2] state belongs to the client id: another client of the same device has none of it', async () => {
    const identity = await at.fresh()
    const first = await connected(at.house, identity, { ...kept(version), clientId: `${identity.id}:1` })
    await subscribe(first, `t/${identity.id}/#`)
    await at.left(first)
    const second = await connected(at.house, identity, { ...kept(version), clientId: `${identity.id}:2` })
    expect(second.connack.sessionPresent).toBe(false)
    const again = await connected(at.house, identity, { ...kept(version), clientId: `${identity.id}:1` })
    expect(again.connack.sessionPresent).toBe(true)
    second.end()
    again.end()
  })
})

describe('MQTT 5, sessions', () => {
  test('[MQTT-3.1.2-23] [MQTT-4.1.0-2 in 5] the state is kept until the Session Expiry Interval has passed, and not longer', async () => {
    for (const [seconds, present] of [[59, true], [61, false]] as const) {
      const identity = await at.fresh()
      await pass(0)
      const first = await connected(at.house, identity, { version: 5, clean: true, properties: { sessionExpiryInterval: 60 } })
      await subscribe(first, `t/${identity.id}/#`)
      await at.left(first)
      await pass(seconds * 1_000)
      const second = await connected(at.house, identity, { version: 5, clean: false })
      expect(second.connack.sessionPresent, `${seconds} s`).toBe(present)
      second.end()
    }
  })
})

describe.each(versions)('MQTT %s, Wills', (version) => {
  const watch = async (id: string) => {
    const watcher = await at.another({ version })
    await subscribe(watcher, { topic: `state/${id}`, qos: 2 })
    return watcher
  }

  test('[MQTT-3.1.2-7 in 5] [MQTT-3.1.2-8] [MQTT-3.1.2-9] a Will is published with the QoS that it asked for when the connection breaks', async () => {
    for (const qos of [0, 1, 2] as const) {
      const identity = await at.fresh()
      const watcher = await watch(identity.id)
      await at.left(await connected(at.house, identity, { version, will: willOf(identity.id, { qos }) }))
      expect(await watcher.take('publish')).toMatchObject({ qos, retain: false, payload: Buffer.from(`will of ${identity.id}`) })
      watcher.end()
    }
  })

  test('[MQTT-3.1.2-10] a Will is published once: the next connection of the session, without one, publishes none', async () => {
    const identity = await at.fresh()
    const watcher = await watch(identity.id)
    await at.left(await connected(at.house, identity, { ...kept(version), will: willOf(identity.id) }))
    await watcher.take('publish')
    await at.left(await connected(at.house, identity, kept(version)))
    await watcher.ping()
    expect(watcher.published()).toHaveLength(1)
    watcher.end()
  })

  test('[MQTT-3.1.2-10] [MQTT-3.14.4-3] a Will is gone with DISCONNECT, also for the next connection of the session', async () => {
    const identity = await at.fresh()
    const watcher = await watch(identity.id)
    const wire = await connected(at.house, identity, { ...kept(version), will: willOf(identity.id) })
    wire.send({ cmd: 'disconnect' })
    await wire.ended
    await at.left(await connected(at.house, identity, kept(version)))
    await watcher.ping()
    expect(watcher.published()).toEqual([])
    watcher.end()
  })

  test('[MQTT-3.1.2-12 in 3.1.1] without a Will nothing is published when the connection breaks', async () => {
    const identity = await at.fresh()
    const watcher = await at.another({ version })
    await subscribe(watcher, '#')
    await at.left(await connected(at.house, identity, { version }))
    await watcher.ping()
    // What others have left comes with the subscription.
    expect(watcher.published().filter((p) => !p.retain)).toEqual([])
    watcher.end()
  })

  test('[MQTT-3.1.2-14 in 5] [MQTT-3.1.2-15 in 5] [MQTT-3.1.2-16 in 3.1.1] [MQTT-3.1.2-17 in 3.1.1] a Will is retained where it asked for it, and nowhere else', async () => {
    for (const retain of [false, true]) {
      const identity = await at.fresh()
      const watcher = await watch(identity.id)
      await at.left(await connected(at.house, identity, { version, will: willOf(identity.id, { retain }) }))
      await watcher.take('publish')
      const late = await watch(identity.id)
      await late.ping()
      expect(late.published().map((p) => p.retain)).toEqual(retain ? [true] : [])
      late.end()
      watcher.end()
    }
  })

  test('[MQTT-3.1.2-8] a Will is published when the client breaks the protocol, and when another connection takes its session over', async () => {
    const identity = await at.fresh()
    const watcher = await watch(identity.id)
    const rude = await connected(at.house, identity, { version, will: willOf(identity.id) })
    rude.bytes([0x00, 0x00])
    await rude.ended
    await watcher.take('publish')
    const first = await connected(at.house, identity, { version, will: willOf(identity.id) })
    const second = await connected(at.house, identity, { version })
    await first.ended
    await watcher.take('publish')
    second.end()
    watcher.end()
  })
})

describe('MQTT 5, Wills with a delay', () => {
  const delayed = (id: string, seconds: number) => ({ ...willOf(id), properties: { willDelayInterval: seconds } })
  const watch = async (id: string) => {
    const watcher = await at.another({ version: 5 })
    await subscribe(watcher, `state/${id}`)
    return watcher
  }

  test('[MQTT-3.1.2-8 in 5] a Will waits for its delay after the connection is gone, and no longer', async () => {
    const identity = await at.fresh()
    await pass(0)
    const watcher = await watch(identity.id)
    await at.left(await connected(at.house, identity, { ...kept(5), will: delayed(identity.id, 60) }))
    await pass(59_000)
    await watcher.ping()
    expect(watcher.published()).toEqual([])
    await pass(2_000)
    await watcher.take('publish')
    watcher.end()
  })

  test('[MQTT-3.1.2-8 in 5] a Will whose delay is longer than its session is published when the session ends', async () => {
    for (const seconds of [0, 60]) {
      const identity = await at.fresh()
      await pass(0)
      const watcher = await watch(identity.id)
      await at.left(await connected(at.house, identity, { version: 5, clean: true, properties: { sessionExpiryInterval: seconds }, will: delayed(identity.id, 6_000) }))
      if (seconds > 0) await watcher.ping()
      expect(watcher.published().length).toBeLessThanOrEqual(seconds === 0 ? 1 : 0)
      await pass(seconds * 1_000 + 1_000)
      await watcher.take('publish')
      watcher.end()
    }
  })

  test('[MQTT-3.1.3-9 in 5] a Will is not sent when its session is resumed within the delay, also not when the delay is over', async () => {
    const identity = await at.fresh()
    await pass(0)
    const watcher = await watch(identity.id)
    await at.left(await connected(at.house, identity, { ...kept(5), will: delayed(identity.id, 60) }))
    await pass(30_000)
    const again = await connected(at.house, identity, kept(5))
    await pass(40_000)
    await again.ping()
    await watcher.ping()
    expect(watcher.published()).toEqual([])
    again.end()
    watcher.end()
  })
})

test.each<[Version, string]>([[4, 'in 3.1.1'], [5, 'in 5']])('[MQTT-3.1.4-2 in 3.1.1] [MQTT-3.1.4-3 in 5] MQTT %s: the older connection of a client id is closed, %s it is told why where it can be', async (version) => {
  const identity = await at.fresh()
  const first = await connected(at.house, identity, { version })
  const second = await connected(at.house, identity, { version })
  if (version === 5) expect((await first.take('disconnect')).reasonCode).toBe(0x8e)
  await first.ended
  second.send(publishPacket(`t/${identity.id}/x`, 'x', { qos: 1 }))
  await second.take('puback')
  second.end()
})
