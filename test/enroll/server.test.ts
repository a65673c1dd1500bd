// The enrollment door over real TLS: what HTTP can be bent to, bodies that never end, and answers that clients of all kinds read.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { connect as connectTcp } from 'node:net'
import path from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import { deny } from '../../src/core/decision.ts'
import { SallyportError } from '../../src/core/errors.ts'
import { DEFAULT_ENROLL } from '../../src/core/enroll-rules.ts'
import type { Enrollments } from '../../src/enroll/est.ts'
import { openEnrollServer, type EnrollServer } from '../../src/enroll/server.ts'
import { ENROLL_LIMITS } from '../../src/enrollment-limits.ts'
import { makeCsr, parseCsr } from '../../src/x509/csr.ts'
import { generateKey } from '../../src/x509/keys.ts'
import { openHouse, type House } from '../http/house.ts'

let house: House
let server: EnrollServer
const events: AuditEvent[] = []
const logged: string[] = []
/** Where the clock of the door stands still. */
let stopped: number | undefined
/** Accepts every token but 'wrong', and answers with the root in place of a certificate. */
const enrollments: Enrollments = {
  withToken({ token, csr }) {
    if (token === 'wrong') return Promise.resolve(deny('token-unknown'))
    if (token === 'wait') return Promise.resolve(deny('enrollment-pending'))
    if (token === 'broken') return Promise.reject(new TypeError('a fault of ours'))
    if (token === 'full') return Promise.reject(new SallyportError('internal', 'The file /home/registry.db could not be written (disk I/O error).'))
    const parsed = parseCsr(csr)
    return Promise.resolve(parsed.allow ? { allow: true, value: { certificate: house.organisation.root.der } } : parsed)
  },
  withCertificate: () => Promise.resolve(deny('certificate-purpose')),
  renew: () => Promise.resolve(deny('certificate-superseded')),
  caCertificates: () => [house.organisation.issuing.der, house.organisation.root.der],
  labels: () => ['issuing-1'],
  rules: () => DEFAULT_ENROLL,
}
beforeAll(async () => {
  house = await openHouse()
  const file = (name: string): string => readFileSync(path.join(house.folder, 'certs/local/server', name), 'utf8')
  server = await openEnrollServer({ listen: { host: '127.0.0.1', port: 0 }, tls: { key: file('key.pem'), cert: file('cert.pem'), anchors: [house.root] }, enrollments, audit: { record: (event) => void events.push(event) }, clock: () => stopped ?? Date.now(), log: (level, { error }) => void logged.push(`${level}: ${String(error)}`) })
})
afterAll(async () => {
  await server.close()
  await house[Symbol.asyncDispose]()
})

const csr = makeCsr(generateKey('P-256'), 'sensor-1')
const base64 = csr.split('\n').slice(1, -2).join('')
const basic = (token: string): string => `Basic ${Buffer.from(`sensor-1:${token}`).toString('base64')}`

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}
async function ask(path: string, { method = 'GET', body, headers = {}, localAddress }: { readonly method?: string; readonly body?: string | Buffer; readonly headers?: Readonly<Record<string, string>>; readonly localAddress?: string } = {}): Promise<Answer> {
  const sent = request({ host: '127.0.0.1', port: server.address.port, ca: house.root, path, method, headers, agent: false, ...(localAddress === undefined ? {} : { localAddress }) })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString()
  return { status: response.statusCode ?? 0, headers: response.headers, body: text }
}
const enroll = (token = 'good', more: { readonly body?: string | Buffer; readonly headers?: Readonly<Record<string, string>>; readonly localAddress?: string } = {}): Promise<Answer> =>
  ask('/.well-known/est/simpleenroll', { method: 'POST', body: base64, ...more, headers: { authorization: basic(token), ...more.headers } })

/** Bytes as they are, and what comes back until the connection ends. */
async function raw(...parts: readonly (string | Buffer)[]): Promise<string> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', port: server.address.port, ca: house.root })
  await once(socket, 'secureConnect')
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  for (const part of parts) socket.write(part)
  await once(socket, 'close')
  return text
}

describe('an answer', () => {
  test('has its length, is on one line, and in lines of 64 for libest', async () => {
    const plain = await enroll()
    expect(plain).toMatchObject({ status: 200, headers: { 'content-type': 'application/pkcs7-mime; smime-type=certs-only', 'content-transfer-encoding': 'base64', 'content-length': String(plain.body.length) } })
    expect(plain.body).toMatch(/^[A-Za-z0-9+/]+={0,2}$/)
    const lines = (await enroll('good', { headers: { 'user-agent': 'libest/3.2' } })).body
    expect(lines.trimEnd().split('\n').map((line) => line.length).slice(0, -1).every((length) => length === 64)).toBe(true)
    expect(lines.replaceAll('\n', '')).toBe(plain.body)
  })

  test('of the CA has all of its certificates, with its label or without; another label is nothing', async () => {
    const [bare, labelled] = [await ask('/.well-known/est/cacerts'), await ask('/.well-known/est/issuing-1/cacerts')]
    expect(Buffer.from(bare.body, 'base64').includes(Buffer.from(house.organisation.root.der))).toBe(true)
    expect(labelled.body).toBe(bare.body)
    expect((await ask('/.well-known/est/issuing-2/cacerts')).status).toBe(404)
  })

  test('comes for a target in absolute form, too (RFC 9112 §3.2.2), of https alone', async () => {
    expect((await ask('https://localhost:8443/.well-known/est/cacerts')).status).toBe(200)
    expect((await ask('ftp://localhost/.well-known/est/cacerts')).status).toBe(404)
  })

  test('that is none tells a person why, and a program by its code; the audit log has it with the name that was claimed', async () => {
    const answer = await enroll('wrong', { localAddress: '127.0.0.9' })
    expect(answer).toMatchObject({ status: 401, headers: { 'sallyport-reason': 'token-unknown', 'www-authenticate': 'Basic realm="enrollment"' } })
    expect(answer.body).toContain('fix: ')
    expect(events.at(-1)).toMatchObject({ kind: 'refusal', reason: 'token-unknown', claimed: 'sensor-1', source: { address: '127.0.0.9' } })
    expect(JSON.stringify(events)).not.toContain('wrong')
  })

  test('about what waits for an operator says when to ask again, and is no refusal', async () => {
    const before = events.length
    expect(await enroll('wait')).toMatchObject({ status: 202, headers: { 'retry-after': '60' } })
    expect(events.length).toBe(before)
  })

  test('about a fault of ours says nothing of it', async () => {
    const answer = await enroll('broken')
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '10', 'sallyport-reason': 'issuance-unavailable' } })
    expect(answer.body).not.toContain('fault')
  })

  test('about a disk that fails says nothing of it either, and the log does', async () => {
    const answer = await enroll('full')
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '10', 'sallyport-reason': 'issuance-unavailable' } })
    expect(answer.body).not.toContain('/home')
    expect(logged).toContain('error: The file /home/registry.db could not be written (disk I/O error).')
  })
})

describe('no credential', () => {
  test('is 401; one that cannot be read, too', async () => {
    for (const headers of [{}, { authorization: 'Digest x' }, { authorization: 'Basic ' }]) expect((await ask('/.well-known/est/simpleenroll', { method: 'POST', body: base64, headers })).status).toBe(401)
  })

  test('is guessed: after some tries the address waits, and another one does not', async () => {
    for (let i = 0; i < ENROLL_LIMITS.guessesFree; i++) expect((await enroll('wrong', { localAddress: '127.0.0.7' })).status).toBe(401)
    const locked = await enroll('good', { localAddress: '127.0.0.7' })
    expect(locked).toMatchObject({ status: 429, headers: { 'sallyport-reason': 'token-locked' } })
    expect(Number(locked.headers['retry-after'])).toBeGreaterThan(0)
    expect((await enroll('good', { localAddress: '127.0.0.8' })).status).toBe(200)
  })
})

describe('what is not served (E16, E31)', () => {
  test.each(['/.well-known/est/fullcmc', '/.well-known/est/', '/.well-known/est', '/', '/.well-known/est/a/b/cacerts', '/.well-known/est/cacerts?x=1', '/.well-known/est/CACERTS', '/.well-known/est/__proto__', '/.well-known/est/constructor', '/.well-known/est/%63acerts', '/.well-known/est/../est/cacerts', `/${'x'.repeat(8_000)}`])('%s', async (path) => {
    expect(await ask(path)).toMatchObject({ status: 404, headers: { 'sallyport-reason': 'enrollment-operation' } })
  })

  test('a method that an operation has not', async () => {
    expect(await ask('/.well-known/est/simpleenroll')).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) expect((await ask('/.well-known/est/cacerts', { method })).status).toBe(405)
  })
})

describe('a body', () => {
  test('larger than any request is not read to its end (E12)', async () => {
    expect((await enroll('good', { body: 'A'.repeat(ENROLL_LIMITS.bodyBytesMax) })).status).toBe(400)
    const head = `POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('good')}\r\n`
    expect(await raw(`${head}Content-Length: 10000000\r\n\r\n`, Buffer.alloc(ENROLL_LIMITS.bodyBytesMax + 1, 0x41))).toMatch(/^HTTP\/1\.1 413 /)
    const chunk = Buffer.concat([Buffer.from('8000\r\n'), Buffer.alloc(0x8000, 0x41), Buffer.from('\r\n')])
    expect(await raw(`${head}Transfer-Encoding: chunked\r\n\r\n`, chunk, chunk, chunk)).toMatch(/^HTTP\/1\.1 413 /)
  })

  test('is not even looked for where nothing is served', async () => {
    expect(await raw('POST /.well-known/est/fullcmc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n')).toMatch(/^HTTP\/1\.1 404 /)
  })

  test('that is no request is 400, whatever it is (E14, E15)', async () => {
    const nested = Buffer.concat([...Array.from({ length: 5_000 }, () => Buffer.from([0x30, 0x80])), Buffer.alloc(100)])
    const deep = Buffer.from(`308203e8${'30'.repeat(1_000)}`, 'hex')
    const long = Buffer.from('3084ffffffff', 'hex')
    const integer = Buffer.concat([Buffer.from('3082400402824000', 'hex'), Buffer.alloc(0x4000, 1)])
    for (const body of [nested, deep, long, integer, Buffer.alloc(0), Buffer.from('<xml/>'), Buffer.from(csr + csr), Buffer.from(' '.repeat(60_000)), Buffer.from(`${base64}${base64}`), Buffer.from('{"a":'.repeat(5_000))]) {
      expect(await enroll('good', { body }), body.subarray(0, 20).toString('hex')).toMatchObject({ status: 400, headers: { 'sallyport-reason': 'csr-malformed' } })
    }
  })
})

describe('HTTP that two readers read differently is refused (E13)', () => {
  const line = 'POST /.well-known/est/simpleenroll HTTP/1.1\r\n'
  test.each([
    ['two lengths', `${line}Host: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nAAAAAA`],
    ['a length beside chunks', `${line}Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a folded header', `${line}Host: x\r\nX: a\r\n b\r\n\r\n`],
    ['a blank before the colon', `${line}Host : x\r\n\r\n`],
    ['a bare CR', `${line}Host: x\rX: y\r\n\r\n`],
    ['a chunk size that is none', `${line}Host: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`],
    ['no host', 'GET /.well-known/est/cacerts HTTP/1.1\r\n\r\n'],
    ['no HTTP', '\x16\x03\x01\x00\x05hello\r\n\r\n'],
  ])('%s', async (_, bytes) => {
    expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 400 /)
  })

  test('headers without end', async () => {
    expect(await raw(`${line}Host: x\r\nX: ${'a'.repeat(ENROLL_LIMITS.headerBytesMax)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
  })
})

test('a flood of one address is told to wait, and others are served', async () => {
  stopped = Date.now()
  const answers = await Promise.all(Array.from({ length: ENROLL_LIMITS.sourceBurst + 100 }, () => ask('/.well-known/est/csrattrs', { localAddress: '127.0.0.11' })))
  expect(answers.filter((a) => a.status === 200)).toHaveLength(ENROLL_LIMITS.sourceBurst)
  // Who goes on over the same connection would be answered for less than what a new one costs.
  for (const { status, headers } of answers.filter((a) => a.status !== 200)) expect([status, headers['retry-after'], headers['connection']]).toEqual([429, '1', 'close'])
  expect((await ask('/.well-known/est/csrattrs', { localAddress: '127.0.0.12' })).status).toBe(200)
  stopped = undefined
})

test('who sends one request after the other without waiting for an answer is cut off; who waits is not', async () => {
  const one = `POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('good')}\r\nContent-Length: ${base64.length}\r\n\r\n${base64}`
  const answers = (await raw(one.repeat(20))).match(/HTTP\/1\.1 \d{3}/g) ?? []
  expect(answers.length).toBeLessThan(2)
  expect(events.at(-1)).toMatchObject({ kind: 'refusal', reason: 'enrollment-rate' })
  const socket = connect({ host: '127.0.0.1', port: server.address.port, ca: house.root })
  await once(socket, 'secureConnect')
  for (let i = 0; i < 3; i++) {
    const answered = once(socket, 'data')
    socket.write(one)
    expect(String(await answered)).toMatch(/^HTTP\/1\.1 200 /)
  }
  socket.destroy()
})

test('who begins connection after connection is refused before TLS, without a word; from elsewhere one is served', async () => {
  stopped = Date.now()
  await Promise.all(Array.from({ length: ENROLL_LIMITS.connectionsBurst + 1 }, async () => {
    const socket = connectTcp({ host: '127.0.0.1', port: server.address.port, localAddress: '127.0.0.21' })
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('close', resolve).once('connect', () => socket.destroy()))
  }))
  await expect(ask('/.well-known/est/csrattrs', { localAddress: '127.0.0.21' })).rejects.toThrow(/ECONNRESET|hang up|disconnected|EPIPE/)
  expect(events.some((event) => event.kind === 'refusal' && event.reason === 'source-rate' && event.source?.address === '127.0.0.21')).toBe(true)
  expect((await ask('/.well-known/est/csrattrs', { localAddress: '127.0.0.22' })).status).toBe(200)
  stopped += 1_000
  expect((await ask('/.well-known/est/csrattrs', { localAddress: '127.0.0.21' })).status).toBe(200)
  stopped = undefined
})

test('a client that goes away in the middle of its body costs nobody anything', async () => {
  const socket = connect({ host: '127.0.0.1', port: server.address.port, ca: house.root })
  await once(socket, 'secureConnect')
  socket.write(`POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('good')}\r\nContent-Length: 1000\r\n\r\nAAAA`)
  socket.destroy()
  await once(socket, 'close')
  expect((await enroll('good', { localAddress: '127.0.0.13' })).status).toBe(200)
})
