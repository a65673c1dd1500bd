// Load, against a broker of a few lines that loses, repeats and refuses on demand; against a real server in main.test.ts.

import { describe, expect, test } from 'vitest'
import { SIM_LIMITS } from '../../../device-sim/limits.ts'
import { connectLight, type Qos } from '../../../device-sim/load/light-peer.ts'
import { runLoad, type LoadPlan, type LoadResult } from '../../../device-sim/load/load.ts'
import { subscribers, tinyBroker, type TinyRules } from '../tiny-broker.ts'

async function loaded(rules: TinyRules, changes: Partial<LoadPlan> = {}): Promise<LoadResult> {
  await using broker = await tinyBroker(rules)
  return await runLoad({
    target: broker.target, identities: broker.identities, sources: { next: () => undefined }, devices: 5, ratePerSecond: 200, seconds: 0.5, qos: 1, drainMs: 300,
    signal: new AbortController().signal, onProgress: (text) => void text(), ...changes,
  })
}

describe('a broker that does its work', () => {
  test.each<Qos>([0, 1, 2])('loses nothing with QoS %i', async (qos) => {
    const result = await loaded({}, { qos })
    expect(result).toMatchObject({ devices: 5, connected: 5, refused: {}, dropped: {}, interrupted: false, ok: true })
    expect(result.messages).toEqual({ due: 100, unsent: 0, received: 100, lost: 0, duplicates: 0, misordered: 0 })
    expect(result.roundTrip.count).toBe(100)
    expect(result.connect.count).toBe(5)
    expect(result.connect.perSecond).toBeGreaterThan(0)
    expect(result.rate.achieved).toBeGreaterThan(0)
    expect(result.generator.cpuShare).toBeGreaterThan(0)
  })
})

describe('a broker that does not', () => {
  test('losses are counted, and the run fails', async () => {
    const result = await loaded({ route: (message, _, sessions, n) => (n % 10 === 3 ? [] : subscribers(message, sessions)) })
    expect(result.messages).toMatchObject({ due: 100, received: 90, lost: 10, duplicates: 0 })
    expect(result.ok).toBe(false)
  })

  test('so are messages that come twice', async () => {
    const result = await loaded({ route: (message, _, sessions, n) => (n === 50 ? [...subscribers(message, sessions), ...subscribers(message, sessions)] : subscribers(message, sessions)) })
    expect(result.messages).toMatchObject({ received: 100, lost: 0, duplicates: 1 })
    expect(result.ok).toBe(false)
  })

  test('a device that is refused is named with how, and the others go on', async () => {
    let connects = 0
    const result = await loaded({
      instead(packet, from) {
        if (packet.cmd !== 'connect' || (connects += 1) !== 2) return false
        from.socket.end(Buffer.from([0x20, 2, 0, 5]))
        return true
      },
    })
    expect(result).toMatchObject({ connected: 4, refused: { 'CONNACK 0x05': 1 }, ok: false })
    expect(result.messages).toMatchObject({ due: 100, received: 100, lost: 0 })
  })

  test('a device that may not hear itself is not part of it', async () => {
    const result = await loaded({
      instead(packet, from) {
        if (packet.cmd !== 'subscribe') return false
        from.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [0x80] })
        return true
      },
    })
    expect(result).toMatchObject({ connected: 0, ok: false })
    expect(Object.entries(result.refused)[0]).toEqual([expect.stringMatching(/^SUBACK 0x80 for t\/tiny-load-\d+\/load$/), 1])
    expect(result.messages.due).toBe(0)
  })

  test('a device that is cut off is counted, what it had under way is lost, and what it was to send is not sent', async () => {
    let published = 0
    const result = await loaded({
      instead(packet, from) {
        if (packet.cmd !== 'publish' || (published += 1) !== 20) return false
        from.socket.destroy()
        return true
      },
    })
    expect(Object.values(result.dropped)).toEqual([1])
    expect(result.messages.lost).toBeGreaterThanOrEqual(1)
    expect(result.messages.unsent).toBeGreaterThan(0)
    expect(result.messages.received + result.messages.lost + result.messages.unsent).toBe(result.messages.due)
    expect(result.ok).toBe(false)
  })
})

test('an interruption ends it early, with what there is, and calls nothing lost', async () => {
  const ending = new AbortController()
  const result = await loaded({ route: (message, _, sessions, n) => (n === 30 && ending.abort(), subscribers(message, sessions)) }, { seconds: SIM_LIMITS.loadSecondsMax, signal: ending.signal })
  expect(result).toMatchObject({ interrupted: true, ok: false })
  expect(result.messages.due).toBeGreaterThan(30)
  expect(result.messages.received).toBeGreaterThan(0)
  expect(result.messages.lost).toBe(0)
})

describe('the light client', () => {
  test('says why it was not admitted', async () => {
    await using broker = await tinyBroker({ instead: (_, from) => (from.socket.destroy(), true) })
    const options = { target: broker.target, id: 'd', credentials: broker.identity('d'), source: undefined, onMessage: () => {}, onEnd: () => expect.unreachable() }
    await expect(connectLight(options)).rejects.toThrow(/closed before CONNACK|ECONNRESET/)
    await expect(connectLight({ ...options, target: { ...broker.target, port: 1 } })).rejects.toThrow('ECONNREFUSED')
    await expect(connectLight({ ...options, target: { ...broker.target, serverName: 'other' } })).rejects.toThrow('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test('uses no packet identifier twice while it is in use', async () => {
    const open = new Set<number>()
    let clash = false
    const all = Promise.withResolvers<void>()
    await using broker = await tinyBroker({
      instead(packet) {
        if (packet.cmd !== 'publish') return false
        clash ||= open.has(packet.messageId ?? 0)
        open.add(packet.messageId ?? 0)
        if (open.size === 1_000) all.resolve()
        return true
      },
    })
    const peer = await connectLight({ target: broker.target, id: 'd', credentials: broker.identity('d'), source: undefined, onMessage: () => {}, onEnd: () => {} })
    for (let i = 0; i < 1_000; i++) peer.publish('x', Buffer.alloc(1), 1)
    await all.promise
    expect(clash).toBe(false)
    expect(peer.underWay).toBe(1_000)
    peer.end()
  })
})
