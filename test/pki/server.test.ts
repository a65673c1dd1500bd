// The public door, asked by strangers: what it gives, what it refuses, and that nothing a stranger sends does more than that.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PKI_LIMITS } from '../../src/pki-limits.ts'
import { readDer, TAG, tlv, encodeExtension, encodeOid } from '../../src/x509/der.ts'
import { issuerHashes } from '../../src/x509/ocsp.ts'
import { device } from '../http/house.ts'
import { openDoor, type Door } from './door.ts'

let door: Door
let serial: Uint8Array
beforeAll(async () => {
  door = await openDoor()
  serial = Buffer.from((await door.device('asked')).serial, 'hex')
}, 60_000)
afterAll(() => door[Symbol.asyncDispose]())

interface Wanted {
  readonly issuer?: Uint8Array
  readonly oid?: string
  readonly extensions?: readonly Uint8Array[]
  readonly count?: number
  readonly serial?: Uint8Array
}

function request({ issuer = door.house.organisation.issuing.der, oid = '2.16.840.1.101.3.4.2.1', extensions = [], count = 1, serial: of = serial }: Wanted = {}): Uint8Array {
  const { name, key } = issuerHashes(issuer).sha256
  const id = tlv(TAG.sequence, tlv(TAG.sequence, encodeOid(oid)), tlv(TAG.octetString, Buffer.from(name, 'hex')), tlv(TAG.octetString, Buffer.from(key, 'hex')), tlv(TAG.integer, of))
  const list = tlv(TAG.sequence, ...Array.from({ length: count }, () => tlv(TAG.sequence, id)))
  return tlv(TAG.sequence, tlv(TAG.sequence, list, ...(extensions.length === 0 ? [] : [tlv(0xa2, tlv(TAG.sequence, ...extensions))])))
}
const nonce = (bytes: number, critical = false): Uint8Array => encodeExtension('1.3.6.1.5.5.7.48.1.2', critical, tlv(TAG.octetString, new Uint8Array(bytes).fill(7)))

const post = (body: Uint8Array): ReturnType<Door['get']> => door.get('/ocsp', { method: 'POST', headers: { 'content-type': 'application/ocsp-request' }, body })

/** 0 successful, 1 malformedRequest, 3 tryLater, 6 unauthorized. */
async function statusOf(body: Uint8Array): Promise<number | undefined> {
  const answer = await post(body)
  expect(answer.status).toBe(200)
  const der = readDer(answer.body)
  return der.allow ? der.value.children[0]?.contents[0] : undefined
}

describe('OCSP', () => {
  // What is sent, OCSPResponseStatus
  test.each<readonly [string, () => Uint8Array, number]>([
    ['a good request', () => request(), 0],
    ['as many certificates as allowed', () => request({ count: PKI_LIMITS.ocspCertificatesMax }), 0],
    ['one more', () => request({ count: PKI_LIMITS.ocspCertificatesMax + 1 }), 1],
    ['none', () => request({ count: 0 }), 1],
    ['a nonce of 1 byte', () => request({ extensions: [nonce(1)] }), 0],
    ['a nonce of 128 bytes, critical', () => request({ extensions: [nonce(128, true)] }), 0],
    ['an empty nonce', () => request({ extensions: [nonce(0)] }), 1],
    ['a nonce of 129 bytes', () => request({ extensions: [nonce(129)] }), 1],
    ['two nonces', () => request({ extensions: [nonce(16), nonce(16)] }), 1],
    ['an extension that nobody knows', () => request({ extensions: [encodeExtension('1.2.3.4', false, tlv(TAG.null))] }), 0],
    ['the same, critical', () => request({ extensions: [encodeExtension('1.2.3.4', true, tlv(TAG.null))] }), 1],
    ['an issuer that is not ours', () => request({ issuer: door.house.organisation.root.der }), 6],
    ['a hash that is not served', () => request({ oid: '1.2.840.113549.2.5' }), 6],
    ['nothing', () => new Uint8Array(), 1],
    ['garbage', () => randomBytes(300), 1],
    ['a certificate', () => door.house.organisation.issuing.der, 1],
    ['bytes behind the end', () => Buffer.concat([request(), Buffer.from([0])]), 1],
    ['a nest of a thousand sequences', () => Buffer.from('3080'.repeat(1_000), 'hex'), 1],
  ])('%s', async (_, bytes, status) => {
    expect(await statusOf(bytes())).toBe(status)
  })

  test('a nonce comes back, and an answer without one is given again until the registry changes', async () => {
    expect((await post(request({ extensions: [nonce(32)] }))).body.includes(Buffer.alloc(32, 7))).toBe(true)
    const { serial: other } = await door.device('changing')
    const asked = request({ serial: Buffer.from(other, 'hex') })
    const first = (await post(asked)).body
    expect((await post(asked)).body).toEqual(first)
    await door.house.desk().revoke({ device: device('changing') }, 'keyCompromise')
    expect((await post(asked)).body).not.toEqual(first)
  })

  test('it never hurts: 64 KiB in a path, a large body, another media type, broken base64', async () => {
    // The connection is cut while the client still sends: whether it sees the answer is a matter of luck.
    const long = await door.get(`/ocsp/${'A'.repeat(64 * 1024)}`).then(({ status }) => String(status), (error: NodeJS.ErrnoException) => error.code)
    expect(['431', 'ECONNRESET']).toContain(long)
    expect((await post(new Uint8Array(PKI_LIMITS.ocspRequestBytesMax + 1))).status).toBe(413)
    expect((await door.get('/ocsp', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: request() })).status).toBe(415)
    for (const path of ['/ocsp/%', '/ocsp/!!!!', '/ocsp/MEM']) expect(readDer((await door.get(path)).body)).toMatchObject({ value: { children: [{ contents: Buffer.from([1]) }] } })
  })
})

describe('files', () => {
  test('CRL, CA certificates and chain, each as what it is', async () => {
    const crl = await door.get('/crl/issuing-1.crl')
    expect(crl.headers).toMatchObject({ 'content-type': 'application/pkix-crl', 'content-length': String(crl.body.length) })
    expect((await door.get('/ca/issuing-1.cer')).body).toEqual(Buffer.from(door.house.organisation.issuing.der))
    expect((await door.get('/chain.pem')).body.toString().match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
    const { etag = '', 'last-modified': modified = '' } = crl.headers
    for (const headers of [{ 'if-none-match': String(etag) }, { 'if-modified-since': String(modified) }] as Readonly<Record<string, string>>[]) expect((await door.get('/crl/issuing-1.crl', { headers })).status).toBe(304)
    expect((await door.get('/crl/issuing-1.crl', { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
    expect((await door.get('/crl/issuing-1.crl', { method: 'HEAD' })).body).toHaveLength(0)
  })

  test.each(['/', '/crl/', '/crl/../registry.db', '/crl/%2e%2e%2fregistry.db', '/crl/other.crl', '/ca/root.key', '/ca/passphrase.pem', '/ca/../local/root.key', '/chain.pem/', '/v1/status'])('there is no %s', async (path) => {
    expect((await door.get(path)).status).toBe(404)
  })

  test.each([['/crl/issuing-1.crl', 'POST'], ['/chain.pem', 'DELETE'], ['/ocsp', 'GET'], ['/ocsp', 'PUT']])('%s does not take %s', async (path, method) => {
    expect((await door.get(path, { method })).status).toBe(405)
  })
})

test('a source that floods is told to wait, and may come back', async () => {
  const now = Date.now() + 3_600_000
  door.at(now)
  const statuses: number[] = []
  for (let i = 0; i < PKI_LIMITS.sourceBurst + 1; i += 50) statuses.push(...(await Promise.all(Array.from({ length: 50 }, () => door.get('/chain.pem')))).map(({ status }) => status))
  expect(statuses.filter((status) => status === 200)).toHaveLength(PKI_LIMITS.sourceBurst)
  expect(statuses.at(-1)).toBe(429)
  door.at(now + 1_000)
  expect((await door.get('/chain.pem')).status).toBe(200)
  door.at(undefined)
})
