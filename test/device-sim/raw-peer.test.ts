// The raw clients, against a broker of a few lines: what they send and hear, and how they tell the ways in which a
// connection ends.

import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { SIM_LIMITS } from '../../device-sim/limits.ts'
import { attemptConnect, connectPacket, howSessionEnded, openPeer } from '../../device-sim/raw-peer.ts'
import { exchange } from '../../device-sim/raw-socket.ts'
import { tinyBroker, type TinyRules } from './tiny-broker.ts'

/** What attemptConnect sees when the broker takes the CONNECT in this way. */
async function seen(version: 4 | 5, instead: TinyRules['instead']) {
  await using broker = await tinyBroker(instead === undefined ? {} : { instead })
  const attempt = await attemptConnect({ target: broker.target, credentials: broker.identity('d'), version }, 'd')
  attempt.peer.end()
  return attempt.seen
}

describe('how a CONNECT ended', () => {
  test('CONNACK 0 is admitted', async () => {
    expect(await seen(4, undefined)).toEqual({ kind: 'admitted' })
    expect(await seen(5, undefined)).toEqual({ kind: 'admitted' })
  })

  test('another CONNACK and the end is a refusal by CONNACK, with the code of its version', async () => {
    const refuse = (version: 4 | 5): TinyRules['instead'] => (_, from) => {
      from.socket.end(version === 5 ? Buffer.from([0x20, 3, 0, 0x87, 0]) : Buffer.from([0x20, 2, 0, 5]))
      return true
    }
    expect(await seen(4, refuse(4))).toEqual({ kind: 'refused-by-connack', version: 4, code: 5 })
    expect(await seen(5, refuse(5))).toEqual({ kind: 'refused-by-connack', version: 5, code: 0x87 })
  })

  test('the end without a byte is a refusal in TLS', async () => {
    expect(await seen(4, (_, from) => (from.socket.destroy(), true))).toMatchObject({ kind: 'refused-in-tls' })
  })

  test('a DISCONNECT in the place of a CONNACK is a cut, with its code', async () => {
    const disconnect: TinyRules['instead'] = (_, from) => (from.socket.end(Buffer.from([0xe0, 2, 0x81, 0])), true)
    expect(await seen(5, disconnect)).toMatchObject({ kind: 'cut', code: 0x81 })
  })

  test('a server of another CA is refused by the client, and no CONNECT leaves it', async () => {
    await using broker = await tinyBroker()
    await using other = await tinyBroker()
    const { seen } = await attemptConnect({ target: { ...broker.target, ca: other.target.ca } }, 'd')
    expect(seen).toMatchObject({ kind: 'refused-in-tls' })
    expect(broker.sessions).toEqual([])
  })
})

describe('a peer', () => {
  test('hears each packet once, in order, also what came before it was asked for', async () => {
    await using broker = await tinyBroker()
    const { peer } = await attemptConnect({ target: broker.target }, 'd')
    peer.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't/d/#', qos: 0 }] })
    expect(await peer.take((packet) => packet.cmd === 'suback')).toMatchObject({ messageId: 1 })
    for (const payload of ['1', '2', '3']) peer.send({ cmd: 'publish', topic: 't/d/x', payload, qos: 0, dup: false, retain: false })
    const payloads = []
    for (let i = 0; i < 3; i++) payloads.push(String((await peer.take((packet) => packet.cmd === 'publish') as { payload: Buffer }).payload))
    expect(payloads).toEqual(['1', '2', '3'])
    expect(await peer.take((packet) => packet.cmd === 'publish', 20)).toBeUndefined()
    peer.end()
  })

  test('acknowledges what QoS 1 and 2 ask of it', async () => {
    const acks: string[] = []
    const enough = Promise.withResolvers<void>()
    await using broker = await tinyBroker({
      instead(packet) {
        if (packet.cmd === 'puback' || packet.cmd === 'pubrec' || packet.cmd === 'pubcomp') acks.push(`${packet.cmd} ${packet.messageId}`)
        if (acks.length === 3) enough.resolve()
        return false
      },
    })
    const { peer } = await attemptConnect({ target: broker.target }, 'd')
    for (const qos of [1, 2] as const) broker.sessions[0]?.send({ cmd: 'publish', topic: 'x', payload: '', qos, messageId: qos, dup: false, retain: false })
    await enough.promise
    expect(acks).toEqual(['puback 1', 'pubrec 2', 'pubcomp 2'])
    peer.end()
  })

  test('ends for who waits when the connection ends, and tells how a session ended', async () => {
    await using broker = await tinyBroker()
    const { peer } = await attemptConnect({ target: broker.target, version: 5 }, 'd')
    const waiting = peer.take((packet) => packet.cmd === 'publish', SIM_LIMITS.connectMs)
    const since = performance.now()
    broker.sessions[0]?.socket.end(Buffer.from([0xe0, 2, 0x98, 0]))
    expect(await waiting).toBeUndefined()
    const ended = await howSessionEnded(peer, since)
    expect(ended).toMatchObject({ kind: 'cut', version: 5, code: 0x98 })
    // What had come before the end can still be had after it.
    expect(await peer.take(() => true)).toMatchObject({ cmd: 'disconnect' })
    expect(await peer.take(() => true)).toBeUndefined()
  })

  test('a session that does not end is open', async () => {
    await using broker = await tinyBroker()
    const { peer } = await attemptConnect({ target: broker.target }, 'd')
    expect(await howSessionEnded(peer, performance.now(), 10)).toMatchObject({ kind: 'open' })
    peer.end()
  })

  test('sends bytes as they are told', async () => {
    const got = Promise.withResolvers<number>()
    await using broker = await tinyBroker({ instead: (packet) => (got.resolve(packet.cmd === 'connect' ? packet.keepalive ?? 0 : -1), false) })
    const peer = await openPeer({ target: broker.target, version: 5 })
    peer.sendBytes(Buffer.from([0x10, 0x0e, 0, 4, 77, 81, 84, 84, 5, 2, 0x12, 0x34, 0, 0, 1, 100]))
    expect(await got.promise).toBe(0x1234)
    expect(connectPacket('d', 5)).toMatchObject({ protocolVersion: 5, clean: true, clientId: 'd' })
    peer.end()
  })
})

describe('a raw socket', () => {
  async function listening(answer: (socket: net.Socket) => void): Promise<AsyncDisposable & { readonly target: Parameters<typeof exchange>[0] }> {
    const sockets = new Set<net.Socket>()
    const server = net.createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      answer(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, serverName: 'localhost', ca: '' },
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy()
        await new Promise<void>((resolve) => void server.close(() => resolve()))
      },
    }
  }

  test('gives back what was answered until the end', async () => {
    await using server = await listening((socket) => void socket.once('data', (bytes) => socket.end(Buffer.concat([Buffer.from('re: '), bytes]))))
    const result = await exchange(server.target, Buffer.from('hello'), undefined)
    expect(result).toMatchObject({ closed: true, address: '127.0.0.1', port: expect.any(Number) })
    expect(result.answer.toString()).toBe('re: hello')
  })

  test('stops when the answer is enough, though the server stays', async () => {
    await using server = await listening((socket) => void socket.write('alert'))
    expect(await exchange(server.target, Buffer.from('x'), undefined, (answer) => answer.length === 5)).toMatchObject({ closed: false })
  })

  test.runIf(process.platform === 'linux')('comes from the address that it is told (Linux)', async () => {
    const from = Promise.withResolvers<string | undefined>()
    await using server = await listening((socket) => {
      from.resolve(socket.remoteAddress)
      socket.destroy()
    })
    expect(await exchange(server.target, Buffer.from('x'), '127.77.0.1')).toMatchObject({ closed: true, address: '127.77.0.1' })
    expect(await from.promise).toBe('127.77.0.1')
  })
})
