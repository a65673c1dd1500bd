// A WebSocket as a stream, without a broker around it: who waits for whom, and how either end of it ends the other.

import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { openWebSocketStream } from '../../src/broker/websocket-stream.ts'
import type { Denied } from '../../src/core/decision.ts'

let http: Server
let server: WebSocketServer
beforeEach(async () => {
  http = createServer()
  server = new WebSocketServer({ noServer: true, autoPong: false })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
})
afterEach(() => {
  http.closeAllConnections()
  http.close()
})

interface Pair {
  readonly client: WebSocket
  readonly webSocket: WebSocket
  readonly stream: Duplex
  readonly faults: readonly Denied[]
}

/** Without TLS: what the stream asks of its socket any socket has. */
async function openPair(): Promise<Pair> {
  const faults: Denied[] = []
  const opened = new Promise<Omit<Pair, 'client'>>((resolve) => {
    http.once('upgrade', (request, socket, head) => {
      server.handleUpgrade(request, socket, head, (webSocket) => {
        const stream = openWebSocketStream(webSocket, socket as TLSSocket, { isAdmitted: () => true, onFault: (fault) => void faults.push(fault) })
        resolve({ webSocket, stream, faults })
      })
    })
  })
  const client = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
  client.on('error', () => {})
  await once(client, 'open')
  return { client, ...(await opened) }
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => void setImmediate(resolve))
}

test('who does not read makes the peer wait, holds little, and loses nothing', async () => {
  const { client, webSocket, stream } = await openPair()
  const message = Buffer.alloc(16_384, 'm')
  const count = 512
  for (let i = 0; i < count; i++) client.send(message)
  stream.on('readable', () => {})
  await until(() => webSocket.isPaused)
  // One more read of the socket may have been on its way.
  expect(stream.readableLength).toBeLessThan(stream.readableHighWaterMark + 4 * 65_536)
  let taken = 0
  stream.removeAllListeners('readable')
  stream.on('data', (chunk: Buffer) => {
    taken += chunk.length
  })
  await until(() => taken === count * message.length)
  expect(webSocket.isPaused).toBe(false)
  client.terminate()
})

test('a peer that does not read is seen in what waits to be written, and heard when it does', async () => {
  const { client, stream } = await openPair()
  client.pause()
  const chunk = Buffer.alloc(1 << 20, 'w')
  let written = 0
  while (stream.write(chunk)) written += 1
  for (let i = 0; i < 16; i++) stream.write(chunk)
  await until(() => stream.writableLength < (written + 17) * chunk.length)
  expect(stream.writableLength).toBeGreaterThan(0)
  const drained = once(stream, 'drain')
  client.resume()
  await drained
  expect(stream.writableLength).toBe(0)
  client.terminate()
})

test('a Close of the peer is the end of what can be read, behind the last message; then the stream closes', async () => {
  const { client, stream } = await openPair()
  client.send(Buffer.from('lastlastlast'))
  client.close()
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => void chunks.push(chunk))
  await once(stream, 'end')
  expect(Buffer.concat(chunks).toString()).toBe('lastlastlast')
  if (!stream.closed) await once(stream, 'close')
})

test('destroying the stream sends a Close, ends the socket, and closes when that has', async () => {
  const { client, webSocket, stream } = await openPair()
  const closed = once(client, 'close')
  stream.destroy()
  await once(stream, 'close')
  expect(webSocket.readyState).not.toBe(WebSocket.OPEN)
  expect((await closed)[0]).toBe(1000)
})

test('ending the stream sends what was written, then a Close', async () => {
  const { client, stream } = await openPair()
  const heard = once(client, 'message')
  const closed = once(client, 'close')
  stream.end(Buffer.from('bye'))
  expect(String((await heard)[0])).toBe('bye')
  expect((await closed)[0]).toBe(1000)
  stream.resume()
  if (!stream.closed) await once(stream, 'close')
})

test('a fault is told once, and nothing behind it is read', async () => {
  const { client, stream, faults } = await openPair()
  const read: string[] = []
  stream.on('data', (chunk: Buffer) => void read.push(chunk.toString()))
  client.send(Buffer.from('before'))
  client.send('text')
  client.send('text')
  client.send(Buffer.from('behind'))
  await until(() => faults.length > 0)
  const closed = once(client, 'close')
  stream.destroy()
  expect((await closed)[0]).toBe(1003)
  expect(faults.map(({ reason }) => reason)).toEqual(['protocol-error'])
  expect(read).toEqual(['before'])
})

test('a connection that breaks is the end, too', async () => {
  const { client, stream } = await openPair()
  stream.resume()
  client.terminate()
  await once(stream, 'close')
})
