// E30: the public door and those who want to hurt it. Answers stay right, what they cost stays bounded, and everybody else is served.

import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PKI_LIMITS } from '../../src/pki-limits.ts'
import { encodeExtension, encodeOid, readDer, TAG, tlv } from '../../src/x509/der.ts'
import { issuerHashes } from '../../src/x509/ocsp.ts'
import { openDoor, type Door } from './door.ts'

let door: Door
let serial: Uint8Array
beforeAll(async () => {
  door = await openDoor()
  serial = Buffer.from((await door.device('asked')).serial, 'hex')
}, 60_000)
afterAll(() => door[Symbol.asyncDispose]())

function request(extensions: readonly Uint8Array[] = []): Buffer {
  const { name, key } = issuerHashes(door.house.organisation.issuing.der).sha1
  const id = tlv(TAG.sequence, tlv(TAG.sequence, encodeOid('1.3.14.3.2.26'), tlv(TAG.null)), tlv(TAG.octetString, Buffer.from(name, 'hex')), tlv(TAG.octetString, Buffer.from(key, 'hex')), tlv(TAG.integer, serial))
  return Buffer.from(tlv(TAG.sequence, tlv(TAG.sequence, tlv(TAG.sequence, tlv(TAG.sequence, id)), ...(extensions.length === 0 ? [] : [tlv(0xa2, tlv(TAG.sequence, ...extensions))]))))
}

/** OCSPResponseStatus: 0 successful, 1 malformedRequest. */
function statusOf(body: Uint8Array): number | undefined {
  const der = readDer(body)
  return der.allow ? der.value.children[0]?.contents[0] : undefined
}

interface Raw {
  readonly socket: Socket
  /** Everything that came until the other side closed. */
  readonly ended: Promise<string>
}

/** A connection of this address, on which these bytes are written and nothing else. */
async function raw(from: string, bytes: string | Buffer): Promise<Raw> {
  const { port } = new URL(door.url)
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: from })
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  const ended = new Promise<string>((resolve) => void socket.once('close', () => resolve(text)))
  await new Promise<void>((resolve) => void socket.once('connect', () => resolve()).once('close', () => resolve()))
  socket.write(bytes)
  return { socket, ended }
}

describe('base64 in a path', () => {
  const path = (text: string): ReturnType<Door['get']> => door.get(`/ocsp/${text}`)
  /** A request whose base64 has all three characters that a URL may not have as they are. */
  function awkward(): string {
    for (let i = 0; i < 1_000; i++) {
      const text = request([encodeExtension('1.2.3.4', false, tlv(TAG.octetString, randomBytes(60 + (i % 3))))]).toString('base64')
      if (text.includes('+') && text.includes('/') && text.includes('=')) return text
    }
    throw new Error('none')
  }

  test('is taken as clients write it: encoded whole, in small letters, in part, or not at all', async () => {
    const text = awkward()
    const encoded = encodeURIComponent(text)
    for (const each of [text, encoded, encoded.replaceAll(/%../g, (hex) => hex.toLowerCase()), text.replaceAll('+', '%2B'), text.replaceAll('=', ''), Buffer.from(text).toString('hex').replaceAll(/../g, '%$&')]) {
      const { status, body, headers } = await path(each)
      expect([status, statusOf(body), headers['content-type']], each.slice(0, 40)).toEqual([200, 0, 'application/ocsp-response'])
    }
  })

  test.each<[string, (text: string) => string]>([
    ['encoded twice', (text) => encodeURIComponent(encodeURIComponent(text))],
    ['the alphabet of URLs', (text) => text.replaceAll('+', '-').replaceAll('/', '_')],
    ['a NUL within', (text) => `${text.slice(0, 8)}%00${text.slice(8)}`],
    ['a line end within', (text) => `${text.slice(0, 8)}%0a${text.slice(8)}`],
    ['a space for the plus', (text) => text.replaceAll('+', '%20')],
    ['a slash in two bytes', (text) => text.replaceAll('/', '%c0%af')],
    ['a percent sign that encodes nothing', (text) => `${text}%`],
    ['a percent sign and no hex', (text) => `${text.slice(0, 4)}%zz${text.slice(4)}`],
    ['a letter more', (text) => `${text.replaceAll('=', '')}AAAA`],
    ['a letter less', (text) => text.replaceAll('=', '').slice(0, -1)],
    ['dots that go up', (text) => `..%2f..%2focsp/${text}`],
  ])('%s is a malformed request, and nothing else', async (_, bend) => {
    const { status, body } = await path(bend(awkward()))
    expect([status, statusOf(body)]).toEqual([200, 1])
  })

  test('HEAD says how long the answer is, and no more', async () => {
    const { status, headers, body } = await door.get(`/ocsp/${encodeURIComponent(request().toString('base64'))}`, { method: 'HEAD' })
    expect([status, body.length, Number(headers['content-length']) > 500]).toEqual([200, 0, true])
  })

  test.each([[64 * 1024, 431], [PKI_LIMITS.pathBytesMax + 1, 431]])('%d characters are refused as a header that is too long', async (length, status) => {
    const { ended } = await raw('127.0.0.9', `GET /ocsp/${'A'.repeat(length)} HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(await ended).toContain(`HTTP/1.1 ${status} `)
  })

  test('what fits into a header and is larger than any request is malformed, and read no further', async () => {
    expect(statusOf((await path('A'.repeat(PKI_LIMITS.ocspRequestBytesMax + 4_000 - ((PKI_LIMITS.ocspRequestBytesMax + 4_000) % 4) - 1_000))).body)).toBe(1)
  })
})

describe('bodies', () => {
  const head = (more: string): string => `POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: application/ocsp-request\r\n${more}\r\n`

  test.each<[string, string, RegExp]>([
    ['of another type', 'POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b', /^HTTP\/1\.1 415 /],
    ['of no type', 'POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc', /^HTTP\/1\.1 415 /],
    ['that say they are longer than any request', `${head('Content-Length: 9000\r\n')}${'A'.repeat(9_000)}`, /^HTTP\/1\.1 413 /],
    ['in chunks, without an end', `${head('Transfer-Encoding: chunked\r\n')}${`1000\r\n${'A'.repeat(4_096)}\r\n`.repeat(3)}`, /^HTTP\/1\.1 413 /],
    ['with two lengths', `${head('Content-Length: 3\r\nContent-Length: 4\r\n')}abcd`, /^HTTP\/1\.1 400 /],
    ['with a length and in chunks', `${head('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n')}0\r\n\r\n`, /^HTTP\/1\.1 400 /],
  ])('%s', async (_, bytes, said) => {
    const { ended } = await raw('127.0.0.8', bytes)
    expect(await ended).toMatch(said)
  })
})

test('a thousand half-open connections of one address: it holds its share of them, and others are served meanwhile; none outlives its time', async () => {
  const half = await Promise.all(Array.from({ length: 1_000 }, (_, i) => raw('127.0.0.2', i % 2 === 0 ? '' : 'POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: application/ocsp-request\r\nContent-Length: 90\r\n\r\n0')))
  const answers = await Promise.all(Array.from({ length: 100 }, () => door.get('/ocsp', { method: 'POST', headers: { 'content-type': 'application/ocsp-request' }, body: request() })))
  expect(answers.map(({ status, body }) => [status, statusOf(body)])).toEqual(Array.from({ length: 100 }, () => [200, 0]))
  expect(half.filter(({ socket }) => !socket.destroyed && !socket.readableEnded).length).toBeLessThanOrEqual(PKI_LIMITS.sourceConnectionsMax)
  const ended = await Promise.all(half.map(({ ended: end }) => end))
  // Who said something is told; who said nothing, or was one too many, is not.
  expect(ended.filter((text) => text !== '').every((text) => text.startsWith('HTTP/1.1 408 '))).toBe(true)
}, 40_000)

test('an address that was at its share may come again when a connection of it has ended', async () => {
  const from = '127.0.0.3'
  const all = await Promise.all(Array.from({ length: PKI_LIMITS.sourceConnectionsMax }, () => raw(from, '')))
  const ask = async (): Promise<string> => (await raw(from, 'GET /chain.pem HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).ended
  expect(await ask()).toBe('')
  all[0]?.socket.destroy()
  await all[0]?.ended
  await expect.poll(ask).toContain('HTTP/1.1 200 ')
  for (const { socket } of all) socket.destroy()
})

test('a request that is filled up with what nobody reads is answered, and not remembered; one as clients send it is', async () => {
  const padded = (bytes: number): Buffer => request([encodeExtension('1.2.3.4', false, tlv(TAG.octetString, Buffer.alloc(bytes)))])
  const post = async (body: Buffer): Promise<string> => (await door.get('/ocsp', { method: 'POST', headers: { 'content-type': 'application/ocsp-request' }, body })).body.toString('hex')
  // What is remembered has the same signature the second time.
  expect(await post(request())).toBe(await post(request()))
  for (const bytes of [PKI_LIMITS.ocspRememberedBytesMax, 6_000]) expect(await post(padded(bytes))).not.toBe(await post(padded(bytes)))
})
