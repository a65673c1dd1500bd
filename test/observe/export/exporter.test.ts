// The audit log on its way to somebody else: real sockets, real TLS, real files; receivers that are away, slow, broken, or lie.

import { appendFileSync, closeSync, existsSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openExporter, type Exporter } from '../../../src/observe/export/exporter.ts'
import { openHttps } from '../../../src/observe/export/https.ts'
import { readBatch, readPosition } from '../../../src/observe/export/position.ts'
import type { Receiver } from '../../../src/observe/export/receiver.ts'
import { openSyslog, syslogFrame } from '../../../src/observe/export/syslog.ts'
import { chainLine, EMPTY_HEAD, type ChainHead } from '../../../src/observe/chain.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { temporary } from '../../cli/shell.ts'
import { altNames, cn, dns, EKU, extKeyUsage, makeCa, makeLeaf, name } from '../../x509/forge.ts'
import { newKey } from '../../http/house.ts'
import { time } from '../../x509/asn1.ts'

let folder: ReturnType<typeof temporary>
let head: ChainHead
let log: string
const said: string[] = []
beforeEach(() => {
  folder = temporary()
  head = EMPTY_HEAD
  log = folder.at('audit.ndjson')
  writeFileSync(log, '')
  said.length = 0
})
afterEach(() => folder[Symbol.dispose]())

/** Writes so many records, and says what they are. */
function written(count: number): readonly string[] {
  return Array.from({ length: count }, () => {
    const { line, head: next } = chainLine({ '@timestamp': '2026-11-28T12:00:00.000Z', event: { action: 'refusal', outcome: 'failure' }, n: head.records + 1 }, head, undefined)
    head = next
    appendFileSync(log, `${line}\n`)
    return line
  })
}

const start = (receiver: Receiver): Exporter => openExporter({ log, positionFile: folder.at('position.json'), receiver, name: 'siem', clock: Date.now, chance: () => 0, say: (level, facts, message) => void said.push(`${level} ${message} ${JSON.stringify(facts)}`) })

/** A receiver in this process: it fails when it is told to, and counts. */
function played({ fails = () => false }: { readonly fails?: (delivery: number) => boolean } = {}): Receiver & { readonly lines: string[]; until(count: number): Promise<void> } {
  const lines: string[] = []
  const waiting = new Set<() => void>()
  let delivery = 0
  return {
    lines,
    deliver(batch) {
      delivery += 1
      if (fails(delivery)) return Promise.reject(new Error('not now'))
      lines.push(...batch.lines)
      for (const look of waiting) look()
      return Promise.resolve()
    },
    until: (count) => new Promise((resolve) => {
      const look = (): void => void (lines.length >= count && resolve())
      waiting.add(look)
      look()
    }),
    [Symbol.dispose]: () => {},
  }
}

describe('a receiver gets every record, in order', () => {
  test('what was there, and what comes while it listens', async () => {
    const first = written(3)
    const receiver = played()
    await using exporter = start(receiver)
    await receiver.until(3)
    const more = written(5)
    await receiver.until(8)
    expect(receiver.lines).toEqual([...first, ...more])
    while (exporter.sent < readFileSync(log).length) await new Promise((resolve) => setImmediate(resolve))
    expect(exporter.away).toBe(false)
  })

  test('after a restart what is new, and nothing else', async () => {
    written(4)
    const before = played()
    const exporter = start(before)
    await before.until(4)
    await exporter[Symbol.asyncDispose]()
    const more = written(2)
    const after = played()
    await using _ = start(after)
    await after.until(2)
    expect(after.lines).toEqual(more)
  })

  test('one that was not taken is sent again, and again after a kill between taking and remembering', async () => {
    const all = written(2)
    const receiver = played({ fails: (delivery) => delivery === 1 })
    const exporter = start(receiver)
    await receiver.until(2)
    await exporter[Symbol.asyncDispose]()
    expect(receiver.lines).toEqual(all)
    expect(said).toEqual([expect.stringMatching(/^warn the audit log cannot be sent.*not now/), expect.stringMatching(/^info the audit log is taken again/)])
    rmSync(folder.at('position.json'))
    const again = played()
    await using _ = start(again)
    await again.until(2)
    expect(again.lines).toEqual(all)
  })

  test('a log that somebody has emptied while it is written (copytruncate) has a hole, and what comes behind it is sent', { timeout: 30_000 }, async () => {
    const receiver = played()
    await using exporter = start(receiver)
    written(3)
    await receiver.until(3)
    while (exporter.sent === 0) await new Promise((resolve) => setImmediate(resolve))
    truncateSync(log, 0)
    const { line, head: next } = chainLine({ '@timestamp': '2026-11-28T12:00:00.000Z', n: 4 }, head, undefined)
    head = next
    // Whoever writes goes on at its place: here after half a gigabyte, of which the disk has nothing.
    const descriptor = openSync(log, 'r+')
    writeSync(descriptor, `${line}\n`, 2 ** 29)
    closeSync(descriptor)
    const [last] = written(1)
    await receiver.until(5)
    expect(receiver.lines.slice(3)).toEqual([line, last])
  })
  test('a line that is being written waits until it is whole', async () => {
    const [line] = written(1)
    appendFileSync(log, line!.slice(0, 40))
    const batch = await readBatch(log, { bytes: 0, hash: '' }, 1_000_000)
    expect(batch?.lines).toEqual([line])
    expect(await readBatch(log, batch!.next, 1_000_000)).toBeUndefined()
  })

  test('a record that is longer than a batch is one', async () => {
    const [line] = written(1)
    expect((await readBatch(log, { bytes: 0, hash: '' }, 10))?.lines).toEqual([line])
  })

  test('a home that was restored has another log: it is begun at its first record, whether it is shorter or longer', async () => {
    written(6)
    const receiver = played()
    const exporter = start(receiver)
    await receiver.until(6)
    await exporter[Symbol.asyncDispose]()
    for (const count of [2, 40]) {
      writeFileSync(log, '')
      head = { records: 0, hash: count.toString().padStart(64, '0') }
      const all = written(count)
      const after = played()
      const next = start(after)
      await after.until(count)
      await next[Symbol.asyncDispose]()
      expect(after.lines).toEqual(all)
    }
  })

  test.each(['', '{', 'null', '{"bytes":-1,"hash":""}', '{"bytes":"0","hash":""}', '{"bytes":1e300,"hash":""}'])('a position that is none (%j) is the beginning', (text) => {
    writeFileSync(folder.at('position.json'), text)
    expect(readPosition(folder.at('position.json'))).toEqual({ bytes: 0, hash: '' })
  })
})

const IN_FORCE = { notBefore: time(Date.now() - 86_400_000), notAfter: time(Date.now() + 86_400_000) }
const ca = makeCa({ name: 'receivers' }, IN_FORCE)
const key = newKey()
const leaf = makeLeaf({ under: ca, key, subject: name(cn('localhost')), eku: extKeyUsage(EKU.server), more: [altNames(dns('localhost'))] }, IN_FORCE)
const TLS = { key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), cert: encodePem('CERTIFICATE', leaf) }
const CA = encodePem('CERTIFICATE', ca.der)

describe('over HTTPS', () => {
  /** A real receiver that answers as it is told. */
  async function siem(answer: (delivery: number) => number): Promise<AsyncDisposable & { readonly url: string; readonly got: { readonly body: string; readonly authorization: string | undefined }[]; until(count: number): Promise<void> }> {
    const got: { body: string; authorization: string | undefined }[] = []
    const waiting = new Set<() => void>()
    const server = createHttpsServer(TLS, (request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        got.push({ body, authorization: request.headers.authorization })
        response.writeHead(answer(got.length), { location: 'https://localhost:1/' }).end()
        for (const look of waiting) look()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      url: `https://localhost:${(server.address() as AddressInfo).port}/in`, got,
      until: (count) => new Promise((resolve) => {
        const look = (): void => void (got.length >= count && resolve())
        waiting.add(look)
        look()
      }),
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  test.each([301, 401, 500])('lines of JSON, with the token; what was answered %i is sent again', { timeout: 20_000 }, async (status) => {
    await using receiver = await siem((delivery) => (delivery === 1 ? status : 204))
    const all = written(3)
    await using exporter = start(openHttps({ url: receiver.url, ca: CA, token: 'secret-token' }))
    await receiver.until(2)
    expect(receiver.got).toEqual([0, 1].map(() => ({ body: `${all.join('\n')}\n`, authorization: 'Bearer secret-token' })))
    while (exporter.sent === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(said.join('\n')).not.toContain('secret-token')
    expect(said[0]).toContain(`it answered ${status}`)
  })

  test('nothing is said to somebody who is not the receiver', async () => {
    await using receiver = await siem(() => 204)
    written(1)
    await using exporter = start(openHttps({ url: receiver.url, ca: encodePem('CERTIFICATE', makeCa({ name: 'others' }, IN_FORCE).der), token: 'secret-token' }))
    while (!exporter.away) await new Promise((resolve) => setImmediate(resolve))
    expect(receiver.got).toEqual([])
  })
})

describe('over syslog', () => {
  test('a frame is a message of RFC 5424, counted in octets', () => {
    const [line] = written(1)
    const frame = syslogFrame(line!).toString()
    const [, length, message] = /^(\d+) (.*)$/s.exec(frame)!
    expect(Buffer.byteLength(message!)).toBe(Number(length))
    expect(message).toMatch(new RegExp(`^<108>1 2026-11-28T12:00:00\\.000Z \\S+ sallyport ${process.pid} refusal - \\{`))
    expect(syslogFrame('{"event":{"outcome":"success"},"x":"é"}').toString()).toMatch(/^\d+ <110>1 - /)
  })

  async function collector(tls: boolean): Promise<AsyncDisposable & { readonly port: number; readonly messages: () => readonly string[]; readonly sockets: Set<Socket>; until(count: number): Promise<void> }> {
    const texts: Buffer[] = []
    const sockets = new Set<Socket>()
    const waiting = new Set<() => void>()
    const messages = (): readonly string[] => {
      const found: string[] = []
      for (let rest = Buffer.concat(texts); ; ) {
        const space = rest.indexOf(0x20)
        const length = Number(rest.subarray(0, space).toString())
        if (space < 0 || rest.length < space + 1 + length) return found
        found.push(rest.subarray(space + 1, space + 1 + length).toString())
        rest = rest.subarray(space + 1 + length)
      }
    }
    const take = (socket: Socket): void => {
      sockets.add(socket)
      socket.on('error', () => {}).on('data', (chunk) => {
        texts.push(chunk)
        for (const look of waiting) look()
      })
    }
    const server = tls ? createTlsServer(TLS, take) : createTcpServer(take)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      port: (server.address() as AddressInfo).port, messages, sockets,
      until: (count) => new Promise((resolve) => {
        const look = (): void => void (messages().length >= count && resolve())
        waiting.add(look)
        look()
      }),
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }
  const recordsOf = (messages: readonly string[]): readonly string[] => messages.map((message) => message.slice(message.indexOf('{')))

  test.each([true, false])('every record, in order (TLS: %s)', async (tls) => {
    await using receiver = await collector(tls)
    const all = written(50)
    await using _ = start(openSyslog({ host: tls ? 'localhost' : '127.0.0.1', port: receiver.port, tls: tls ? { ca: CA } : undefined }))
    await receiver.until(50)
    expect(recordsOf(receiver.messages())).toEqual(all)
  })

  test('what was written into a connection that then broke is sent again', { timeout: 20_000 }, async () => {
    await using receiver = await collector(false)
    const all = written(5)
    await using exporter = start(openSyslog({ host: '127.0.0.1', port: receiver.port, tls: undefined }))
    await receiver.until(5)
    // It has read them, and is gone before anybody can know whether it kept them.
    for (const socket of receiver.sockets) socket.destroy()
    await receiver.until(10)
    expect(recordsOf(receiver.messages())).toEqual([...all, ...all])
    while (exporter.sent === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(existsSync(folder.at('position.json'))).toBe(true)
  })
})

describe('the end of the server', () => {
  /** Takes connections, and says nothing. */
  async function mute(): Promise<AsyncDisposable & { readonly port: number; readonly connected: Promise<void> }> {
    const sockets: Socket[] = []
    const { promise: connected, resolve } = Promise.withResolvers<void>()
    const server = createTcpServer((socket) => {
      sockets.push(socket.on('error', () => {}))
      resolve()
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    return {
      port: (server.address() as AddressInfo).port, connected,
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy()
        await new Promise((closed) => server.close(closed))
      },
    }
  }

  test.each<[string, (port: number) => Receiver]>([
    ['HTTPS', (port) => openHttps({ url: `https://127.0.0.1:${port}/`, ca: undefined, token: undefined })],
    ['syslog over TLS', (port) => openSyslog({ host: '127.0.0.1', port, tls: {} })],
  ])('does not wait for a receiver that never shakes hands (%s)', async (_, open) => {
    await using receiver = await mute()
    written(1)
    const exporter = start(open(receiver.port))
    await receiver.connected
    const began = performance.now()
    await exporter[Symbol.asyncDispose]()
    expect(performance.now() - began).toBeLessThan(2_000)
    expect([exporter.sent, said]).toEqual([0, []])
  })

  test('begins no connection that nobody would end any more', async () => {
    await using receiver = await mute()
    written(1)
    const exporter = start(openHttps({ url: `https://127.0.0.1:${receiver.port}/`, ca: undefined, token: undefined }))
    const began = performance.now()
    await exporter[Symbol.asyncDispose]()
    expect(performance.now() - began).toBeLessThan(2_000)
  })

  test('does not wait for a name that is being looked up', async () => {
    written(1)
    const exporter = start(openSyslog({ host: 'nowhere.invalid', port: 1, tls: undefined }))
    await exporter[Symbol.asyncDispose]()
    expect(exporter.sent).toBe(0)
  })
})
