// The device as devices are: what it is refused it says, and it waits for nothing that cannot come.

import { describe, expect, test } from 'vitest'
import { connectDevice } from '../../device-sim/device.ts'
import { openRelay } from '../../device-sim/relay.ts'
import { within } from '../../device-sim/within.ts'
import { tinyBroker, type TinyBroker, type TinyRules } from './tiny-broker.ts'

const connect = (broker: TinyBroker, version: 4 | 5 = 5) => connectDevice({ target: broker.target, id: 'd', credentials: broker.identity('d'), version })

describe('a device', () => {
  test.each([4, 5] as const)('hears what it says on its own topic (protocol version %i)', async (version) => {
    await using broker = await tinyBroker()
    const device = await connect(broker, version)
    await device.subscribe('t/d/#', 'cmd/d/+')
    const heard = new Promise((resolve) => device.onMessage(({ topic, payload }) => resolve(`${topic} ${payload.toString()}`)))
    await device.publish('t/d/x', 'hello')
    expect(await heard).toBe('t/d/x hello')
    expect(broker.sessions[0]?.version).toBe(version)
    await device.close()
  })

  test('rejects with the code when a publish is refused, and when one of its filters is', async () => {
    await using broker = await tinyBroker({
      answer: () => 0x87,
      instead(packet, from) {
        if (packet.cmd !== 'subscribe') return false
        from.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [0, 0x87] })
        return true
      },
    })
    const device = await connect(broker)
    await expect(device.publish('t/x', 'x')).rejects.toMatchObject({ code: 0x87 })
    await expect(device.subscribe('t/d/#', '#')).rejects.toThrow('Not authorized')
    await device.close()
  })

  test('rejects a publish that its connection does not outlive, and says that it ended', async () => {
    const cut: TinyRules['instead'] = (packet, from) => packet.cmd === 'publish' && (from.socket.destroy(), true)
    await using broker = await tinyBroker({ instead: cut })
    const device = await connect(broker)
    const ended = new Promise<void>((resolve) => device.onEnd(resolve))
    await expect(device.publish('t/d/x', 'x')).rejects.toThrow('Connection closed')
    await ended
  })

  test('whose connection was tampered with is at its end, also where nobody closes it', async () => {
    await using broker = await tinyBroker()
    await using relay = await openRelay(broker.target, undefined)
    const device = await connectDevice({ target: { ...broker.target, port: relay.port }, id: 'd', credentials: broker.identity('d'), version: 5 })
    const ended = new Promise<void>((resolve) => device.onEnd(resolve))
    let answered = false
    relay.alter((direction, passing) => {
      // The server is kept from hearing that anything is wrong.
      if (direction === 'up') return answered ? [] : [passing]
      answered = true
      const spoilt = Buffer.from(passing)
      spoilt[spoilt.length - 1]! ^= 1
      return [spoilt]
    })
    await expect(device.publish('t/d/x', 'x')).rejects.toThrow()
    await ended
  })

  test('is not admitted by a server of another CA or name', async () => {
    await using broker = await tinyBroker()
    await using other = await tinyBroker()
    const options = { id: 'd', credentials: broker.identity('d'), version: 5 } as const
    await expect(connectDevice({ ...options, target: { ...broker.target, ca: other.target.ca } })).rejects.toThrow(/certificate/)
    await expect(connectDevice({ ...options, target: { ...broker.target, serverName: 'other' } })).rejects.toThrow(/Hostname/)
    expect(broker.sessions).toEqual([])
  })
})

describe('patience', () => {
  test('ends with what the work comes to, with the deadline, or with the signal', async () => {
    const never = new Promise<string>(() => {})
    expect(await within(Promise.resolve('done'), 60_000)).toBe('done')
    expect(await within(never, 1)).toBeUndefined()
    expect(await within(never, 60_000, AbortSignal.abort())).toBeUndefined()
    await expect(within(Promise.reject(new Error('failed')), 60_000)).rejects.toThrow('failed')
  })
})
