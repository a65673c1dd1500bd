// Crowds at the admin port over real TLS: neither strangers nor one operator keep another operator out, and who does not read costs itself (A14).

import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AdminServer } from '../../src/http/admin.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { STREAM_LIMITS } from '../../src/feed-limits.ts'
import { HTTP_LIMITS } from '../../src/http-limits.ts'
import { ask, openHouse, type Credential, type House } from './house.ts'

let house: House
let admin: AdminServer
let open: net.Socket[]
beforeEach(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
  open = []
})
afterEach(async () => {
  for (const socket of open) socket.destroy()
  await house[Symbol.asyncDispose]()
})

const port = (): number => Number(new URL(admin.url).port)
const isServed = (credential: Credential): Promise<number> => ask(admin.url, house.root, { credential }).then(({ status }) => status, () => 0)

/** A connection that has asked for this, and keeps itself open. */
async function holding(credential: Omit<Credential, 'serial'> | undefined, request: string): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', port: port(), ca: house.root, servername: 'localhost', ...(credential === undefined ? {} : { cert: credential.cert, key: credential.key }) })
  open.push(socket)
  socket.on('error', () => {})
  const ended = once(socket, 'close')
  await Promise.race([once(socket, 'secureConnect'), ended])
  if (!socket.destroyed) socket.write(`GET ${request} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
  return socket
}
/** Reads on, until the stream says why it is over or the connection ends. */
function endOf(socket: tls.TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('close', () => resolve()).on('data', (chunk: Buffer) => {
      text = text.slice(-200) + chunk.toString('latin1')
      if (text.includes('the events were read too slowly')) resolve()
    })
    socket.resume()
  })
}
async function answered(socket: tls.TLSSocket): Promise<string> {
  if (socket.destroyed) return ''
  const [first] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [Buffer | boolean]
  return typeof first === 'boolean' ? '' : first.toString('latin1')
}

describe('A14: strangers', () => {
  test('hold as many connections as they like, in the handshake, silent or answered: an operator is served, and so is a browser that comes to sign in', async () => {
    const device = await house.device('sensor-1')
    for (let i = 0; i < HTTP_LIMITS.connectionsMax; i++) {
      const silent = net.connect(port(), '127.0.0.1').on('error', () => {})
      open.push(silent)
    }
    await Promise.all(Array.from({ length: 300 }, () => holding(undefined, '/console/').then(answered)))
    await Promise.all(Array.from({ length: 60 }, () => holding(device, '/v1/status').then(answered)))
    expect(await isServed(house.operator)).toBe(200)
    expect((await ask(admin.url, house.root, { path: '/console/' })).status).toBeLessThan(500)
  }, 60_000)
})

describe('A14: one operator', () => {
  test('asks for a thousand streams: it has those that one may have, and another operator is served and listens', async () => {
    const [crowd, other] = [await house.operatorAs('viewer'), await house.operatorAs('viewer')]
    const heads: string[] = []
    // In turns: a thousand handshakes at once are another attack.
    for (let turn = 0; turn < 20; turn++) heads.push(...await Promise.all(Array.from({ length: 50 }, () => holding(crowd, '/v1/events').then(answered))))
    expect(heads.filter((head) => head.startsWith('HTTP/1.1 200')).length).toBe(STREAM_LIMITS.listenersPerOperatorMax)
    expect(heads.filter((head) => head === '' || head.startsWith('HTTP/1.1 429')).length).toBe(1_000 - STREAM_LIMITS.listenersPerOperatorMax)
    expect(await isServed(other)).toBe(200)
    expect(await answered(await holding(other, '/v1/events'))).toMatch(/^HTTP\/1.1 200/)
    // And is itself served again when it lets go.
    for (const socket of open.splice(0)) socket.destroy()
    await expect.poll(() => isServed(crowd), { timeout: 10_000 }).toBe(200)
  }, 120_000)

  test('reads none of its streams: it costs what is stated, loses them, and may listen again; who reads hears everything', async () => {
    const [slow, quick] = [await house.operatorAs('viewer'), await house.operatorAs('viewer')]
    const stuck = await Promise.all(Array.from({ length: 5 }, () => holding(slow, '/v1/events')))
    for (const socket of stuck) {
      await once(socket, 'data')
      socket.pause()
    }
    const ear = await holding(quick, '/v1/events')
    let heard = ''
    ear.on('data', (chunk: Buffer) => {
      heard = (heard + chunk.toString('latin1')).slice(-200_000)
    })
    const before = process.memoryUsage().rss
    const EVENTS = 60_000
    for (let i = 0; i < EVENTS; i++) {
      house.home.audit.record({ kind: 'device-changed', at: Date.now(), device: `slow-${i}` as DeviceId, action: 'describe', state: 'active', actor: { kind: 'local' } })
      // The quick one has its turn.
      if (i % 100 === 0) await new Promise(setImmediate)
    }
    await expect.poll(() => heard.includes(`slow-${EVENTS - 1}`), { timeout: 60_000 }).toBe(true)
    // 5 × 64 KiB, the memory that all share, and what the two ends of this process hold of their sockets.
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024)
    // More than the network and the memory that all share hold: whoever reads on now is told that it was too slow.
    await Promise.all(stuck.map((socket) => endOf(socket)))
    expect(await answered(await holding(slow, '/v1/events'))).toMatch(/^HTTP\/1.1 200/)
  }, 90_000)
})
