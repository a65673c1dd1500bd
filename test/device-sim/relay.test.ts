// The relay between device and server: what it is not told to change passes as it came, in both directions, and what it is told
// is what the other side gets.

import net, { type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { HANDSHAKE, record } from '../../device-sim/forge/client-hello.ts'
import { openRelay, type Alter } from '../../device-sim/relay.ts'

const open: net.Server[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

/** A server that says back what it hears. */
async function echoServer(): Promise<number> {
  const server = net.createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket))
  open.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function connect(port: number): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

async function hears(socket: Socket, bytes: number): Promise<Buffer> {
  let heard = Buffer.alloc(0)
  while (heard.length < bytes) heard = Buffer.concat([heard, (await once(socket, 'data'))[0] as Buffer])
  return heard
}

const data = (text: string): Buffer => record(HANDSHAKE.applicationData, 0x0303, Buffer.from(text))

test('passes records on and keeps a copy, however they are cut', async () => {
  await using relay = await openRelay({ host: '127.0.0.1', port: await echoServer() }, undefined)
  const socket = await connect(relay.port)
  const sent = Buffer.concat([data('one'), data('two')])
  for (const byte of sent) socket.write(Buffer.from([byte]))
  expect(await hears(socket, sent.length)).toEqual(sent)
  expect(relay.recorded().includes('two')).toBe(true)
  socket.destroy()
})

test.each<[string, Alter, string]>([
  ['changed', (direction, given) => [direction === 'up' ? data('other') : given], 'other'],
  ['repeated', (direction, given) => (direction === 'up' ? [given, given] : [given]), 'oneone'],
  ['left out', (direction, given) => (direction === 'up' && given.includes('one') ? [] : [given]), 'two'],
])('a record is %s, from when it is told', async (_, alter, expected) => {
  await using relay = await openRelay({ host: '127.0.0.1', port: await echoServer() }, undefined)
  const socket = await connect(relay.port)
  socket.write(data('before'))
  expect((await hears(socket, 11)).toString()).toContain('before')
  relay.alter(alter)
  socket.write(data('one'))
  if (expected === 'two') socket.write(data('two'))
  const answer = await hears(socket, expected === 'oneone' ? 16 : 5 + expected.length)
  expect(answer.toString('latin1').replaceAll(/[^a-z]/g, '')).toBe(expected)
  socket.destroy()
})

test('when the server ends, so does the connection of the device', async () => {
  await using relay = await openRelay({ host: '127.0.0.1', port: await echoServer() }, undefined)
  const arrived = once(open[0]!, 'connection')
  const socket = await connect(relay.port)
  ;((await arrived)[0] as Socket).destroy()
  socket.resume()
  await once(socket, 'close')
  expect(socket.destroyed).toBe(true)
})
