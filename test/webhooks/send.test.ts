// One attempt against real HTTPS servers, friendly, broken and hostile: what came of it, and that nothing inside was ever reached (A05).

import { once } from 'node:events'
import net from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Outcome } from '../../src/core/webhook.ts'
import { openAddresses } from '../../src/webhooks/address.ts'
import { fewAtOnce, type Resolve } from '../../src/webhooks/names.ts'
import { openSender, type SenderPorts } from '../../src/webhooks/send.ts'
import { answering, openReceiver, type Receiver } from './receiver.ts'

let receiver: Receiver
const open: Disposable[] = []
beforeAll(async () => {
  receiver = await openReceiver()
})
afterEach(() => {
  for (const each of open.splice(0)) each[Symbol.dispose]()
  receiver.behave(answering(204))
})
afterAll(() => receiver[Symbol.asyncDispose]())

const LOOPBACK = ['127.0.0.0/8']
const HEADERS = { 'content-type': 'application/json', 'content-length': '2', 'webhook-id': 'a', 'webhook-timestamp': '1', 'webhook-signature': 'v1,x' }
function sender(more: Partial<Omit<SenderPorts, 'addresses'>> & { readonly allowed?: readonly string[] } = {}) {
  const { allowed = LOOPBACK, ...ports } = more
  const made = openSender({ addresses: () => openAddresses(allowed), ca: [receiver.ca], ...ports })
  open.push(made)
  return made
}
const send = (url: string, more: Parameters<typeof sender>[0] = {}, signal = new AbortController().signal): Promise<Outcome> => sender(more).send(url, HEADERS, '{}', signal)
const leadsTo = (...addresses: readonly string[]): Resolve => (_, done) => done(null, addresses.map((address) => ({ address, family: net.isIP(address) })))

describe('what came of it', () => {
  test('is the status, and one connection serves many', async () => {
    const before = receiver.connections()
    const one = sender()
    for (let i = 0; i < 5; i++) expect(await one.send(receiver.url, HEADERS, '{}', new AbortController().signal)).toEqual({ kind: 'delivered', status: 204 })
    expect(receiver.connections() - before).toBe(1)
  })
  test('a server of a CA that nobody trusts is not told a word', async () => {
    const before = receiver.received.length
    const made = openSender({ addresses: () => openAddresses(LOOPBACK) })
    open.push(made)
    expect(await made.send(receiver.url, HEADERS, '{}', new AbortController().signal)).toMatchObject({ kind: 'unavailable', because: expect.stringMatching(/certificate/) })
    expect(receiver.received.length).toBe(before)
  })
  test('nor is one with the certificate of another name', async () => {
    expect(await send(`https://other.test:${receiver.port}/`, { resolve: leadsTo('127.0.0.1') })).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('altnames') })
    expect(await send(`https://hooks.test:${receiver.port}/`, { resolve: leadsTo('127.0.0.1') })).toEqual({ kind: 'delivered', status: 204 })
  })
  test('nobody there is a word, and no exception', async () => {
    const closed = net.createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as net.AddressInfo
    closed.close()
    expect(await send(`https://127.0.0.1:${port}/`)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('ECONNREFUSED') })
    expect(await send('https://nowhere.invalid/', { resolve: (_, done) => done(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), []) })).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('ENOTFOUND') })
  })
})

describe('A05: an address that is internal', () => {
  test.each(['https://127.0.0.1:1/', 'https://2130706433:1/', 'https://0x7f.1:1/', 'https://017700000001:1/', 'https://127.1:1/', 'https://[::1]:1/', 'https://[::ffff:127.0.0.1]:1/', 'https://[::ffff:7f00:1]:1/', 'https://169.254.169.254/latest/meta-data/', 'https://10.0.0.1/', 'https://[fe80::1]/', 'https://[64:ff9b::7f00:1]/', 'https://[2002:7f00:1::]/', 'https://0/', 'https://100.64.0.1/'])('%s is not connected to', async (url) => {
    expect(await send(url, { allowed: [] })).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('internal') })
  })
  test('is none that a name leads to, and nobody connects', async () => {
    const before = receiver.connections()
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
      expect(await send(`https://hooks.test:${receiver.port}/`, { allowed: [], resolve: leadsTo(address) })).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('internal') })
    }
    expect(receiver.connections()).toBe(before)
  })
  test('among public ones is passed over', async () => {
    const before = receiver.connections()
    const outcome = await send(`https://hooks.test:${receiver.port}/`, { allowed: ['127.0.0.2'], resolve: leadsTo('127.0.0.1', '127.0.0.2') })
    // Only .2 was tried, where nobody listens.
    expect(outcome).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('127.0.0.2') })
    expect(receiver.connections()).toBe(before)
  })
  test('that a name leads to only the second time is refused the second time', async () => {
    let asked = 0
    // Rebinding: the first look-up is for whoever checks, the second for whoever connects.
    const rebinding: Resolve = (_, done) => leadsTo(asked++ === 0 ? '127.0.0.1' : '127.0.0.3')('', done)
    receiver.behave(answering(200, { connection: 'close' }))
    const one = sender({ allowed: ['127.0.0.1'], resolve: rebinding })
    const url = `https://hooks.test:${receiver.port}/`
    expect(await one.send(url, HEADERS, '{}', new AbortController().signal)).toEqual({ kind: 'delivered', status: 200 })
    expect(await one.send(url, HEADERS, '{}', new AbortController().signal)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('127.0.0.3') })
    expect(asked).toBe(2)
  })
  test('that was allowed is not written to any longer over a connection that stands', async () => {
    const rules = [...LOOPBACK]
    const one = openSender({ addresses: () => openAddresses(rules), ca: [receiver.ca], resolve: leadsTo('127.0.0.1') })
    open.push(one)
    const url = `https://hooks.test:${receiver.port}/`
    const before = receiver.received.length
    expect(await one.send(url, HEADERS, '{}', new AbortController().signal)).toEqual({ kind: 'delivered', status: 204 })
    rules.length = 0
    expect(await one.send(url, HEADERS, '{}', new AbortController().signal)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('internal') })
    expect(receiver.received.length).toBe(before + 1)
  })
  test('is not reached by a redirect: it is not followed', async () => {
    await using inside = await openReceiver()
    for (const status of [301, 302, 303, 307, 308]) {
      receiver.behave(answering(status, { location: inside.url }))
      expect(await send(receiver.url)).toMatchObject({ kind: 'unavailable', status, because: expect.stringContaining('not followed') })
    }
    expect(inside.connections()).toBe(0)
  })
})

describe('a receiver that is slow or does not end', () => {
  test('says nothing: it is left alone after its time', async () => {
    receiver.behave(() => {})
    const began = performance.now()
    expect(await send(receiver.url, { answerMs: 200 })).toMatchObject({ kind: 'unavailable', because: 'it did not answer in time' })
    expect(performance.now() - began).toBeLessThan(5_000)
  })
  test('takes the connection and never shakes hands', async () => {
    const sockets: net.Socket[] = []
    const mute = net.createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    expect(await send(`https://127.0.0.1:${(mute.address() as net.AddressInfo).port}/`, { answerMs: 200 })).toMatchObject({ kind: 'unavailable', because: 'it did not answer in time' })
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
  test('answers without end: its status counts, and it is cut off', async () => {
    const cut = Promise.withResolvers<void>()
    receiver.behave((_, response) => {
      response.writeHead(200)
      const pour = (): void => {
        while (!response.destroyed && response.write('x'.repeat(64 * 1024)));
      }
      response.on('drain', pour)
      response.on('close', () => cut.resolve())
      pour()
    })
    expect(await send(receiver.url)).toEqual({ kind: 'delivered', status: 200 })
    await cut.promise
  })
  test('answers one byte at a time: it is cut off after its time, too', async () => {
    const cut = Promise.withResolvers<void>()
    receiver.behave((_, response) => {
      response.writeHead(500)
      response.write('x')
      response.on('close', () => cut.resolve())
    })
    expect(await send(receiver.url, { answerMs: 200 })).toMatchObject({ kind: 'unavailable', status: 500 })
    await cut.promise
  })
  test('sends headers without end', async () => {
    receiver.behave((_, response) => void response.writeHead(200, { 'x-large': 'x'.repeat(64 * 1024) }).end())
    expect(await send(receiver.url)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('HPE_HEADER_OVERFLOW') })
  })
  test('hangs up before it answers', async () => {
    receiver.behave((_, response) => void response.socket?.destroy())
    expect(await send(receiver.url)).toMatchObject({ kind: 'unavailable' })
  })
  test('is waited for no longer when the server stops', async () => {
    receiver.behave(() => {})
    const stopping = new AbortController()
    const sent = send(receiver.url, {}, stopping.signal)
    stopping.abort()
    expect(await sent).toMatchObject({ kind: 'unavailable', because: 'the server stopped' })
  })
})

describe('names', () => {
  test('are looked up two at once; one that never ends leaves the other place to everybody else', () => {
    const begun: string[] = []
    const ends = new Map<string, () => void>()
    const names = fewAtOnce((name, done) => {
      begun.push(name)
      ends.set(name, () => done(null, []))
    }, 2, 2)
    const told: string[] = []
    for (const name of ['stuck', 'a', 'b', 'c']) names(name, () => void told.push(name))
    expect(begun).toEqual(['stuck', 'a'])
    let refused: string | undefined
    names('one too many', (failure) => {
      refused = failure?.message
    })
    expect(refused).toContain('too many names wait')
    for (const name of ['a', 'b', 'c']) ends.get(name)!()
    expect([begun, told]).toEqual([['stuck', 'a', 'b', 'c'], ['a', 'b', 'c']])
    ends.get('stuck')!()
    expect(told).toEqual(['a', 'b', 'c', 'stuck'])
  })
})
