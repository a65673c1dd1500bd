// The admin API over real sockets: who gets in, who does not, and what hostile requests do. Every refusal stands beside the
// nearest request that is served.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import net from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { AdminServer } from '../../src/http/admin.ts'
import { openConsole } from '../../src/console-desk.ts'
import { openAdminServer } from '../../src/http/admin.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { ask, device, newKey, openHouse, type Answered, type Asked, type Credential, type House } from './house.ts'

let house: House
let admin: AdminServer
let sensor: Credential
beforeAll(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
  sensor = await house.device('sensor-1')
})
afterAll(() => house[Symbol.asyncDispose]())
afterEach(() => house.clockAt(undefined))

const asked = (request: Asked): Promise<Answered> => ask(admin.url, house.root, { credential: house.operator, ...request })
const post = (at: string, body: unknown, more: Asked = {}): Promise<Answered> => asked({ method: 'POST', path: at, body: typeof body === 'string' ? body : JSON.stringify(body), ...more })
const port = (): number => Number(new URL(admin.url).port)

/** A problem as RFC 9457 has it, with nothing of the inside in it. */
function expectProblem(answer: Answered, status: number, code: string): void {
  expect({ status: answer.status, code: answer.json()['code'] }).toEqual({ status, code })
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(answer.json()).toMatchObject({ status, hint: expect.any(String), title: expect.any(String) })
  expect(answer.text).not.toMatch(/\bat .*\.ts|node_modules|FST_ERR/)
  expect(answer.text).not.toContain(house.folder)
}

describe('A01: who gets in', () => {
  test('the operator of the first start', async () => {
    expect((await asked({})).status).toBe(200)
  })

  test('nobody without a certificate, and the audit log has seen it', async () => {
    expectProblem(await ask(admin.url, house.root, {}), 403, 'operator-required')
    expect((await house.refusals()).at(-1)).toBe('operator-required')
  })

  test('no device, however good its certificate', async () => {
    expectProblem(await asked({ credential: sensor }), 403, 'operator-required')
    expect((await house.home.audit.tail(1))[0]).toMatchObject({ event: { reason: 'operator-required' }, detail: { step: 'api', text: 'GET /v1/status: profile device of sensor-1' } })
  })

  test('no claim certificate, no server certificate, no certificate of another CA', async () => {
    expectProblem(await asked({ credential: await house.issue('claim', 'claim-1') }), 403, 'operator-required')
    expectProblem(await asked({ credential: await house.issue('server', 'other server') }), 403, 'operator-required')
    await using stranger = await openHouse()
    expectProblem(await asked({ credential: stranger.operator }), 403, 'operator-required')
    expect((await house.home.audit.tail(1))[0]).toMatchObject({ detail: { text: expect.stringMatching(/^GET \/v1\/status: TLS: [A-Z_]+$/) } })
  })

  test('an operator who is revoked is out at the next request of the same connection', async () => {
    const second = await house.issue('operator', 'second')
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: house.root, cert: second.cert, key: second.key })
    const once = (): Promise<{ status: number; port: number | undefined }> =>
      new Promise((resolve, reject) => {
        request({ host: '127.0.0.1', port: port(), path: '/v1/status', agent }, (response) => {
          const { localPort } = response.socket
          response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, port: localPort }))
        }).on('error', reject).end()
      })
    const before = await once()
    await house.desk().revoke({ serial: second.serial }, 'keyCompromise')
    const after = await once()
    agent.destroy()
    expect([before.status, after.status]).toEqual([200, 403])
    expect(after.port).toBe(before.port)
    expectProblem(await asked({ credential: second }), 403, 'certificate-revoked')
  })

  test('an operator is expired at the very millisecond of notAfter', async () => {
    const record = await house.desk().certificate(house.operator.serial)
    house.clockAt(record.notAfter - 1)
    expect((await asked({})).status).toBe(200)
    house.clockAt(record.notAfter)
    expectProblem(await asked({}), 403, 'certificate-expired')
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('no session is resumed here in %s: neither our own nor that of another listener', async (version) => {
    const { cert, key } = sensor
    const file = (name: string): string => readFileSync(path.join(house.folder, 'certs/local/server', name), 'utf8')
    const other = tls.createServer({ key: file('key.pem'), cert: file('cert.pem'), ca: house.root, requestCert: true, rejectUnauthorized: true, ticketKeys: Buffer.alloc(48, 1) }, (socket) => socket.end('x'))
    await once(other.listen(0, '127.0.0.1'), 'listening')
    const connect = async (to: number, session: Buffer | undefined): Promise<{ session: Buffer | undefined; reused: boolean }> => {
      const socket = tls.connect({ host: '127.0.0.1', port: to, ca: house.root, cert, key, minVersion: version, maxVersion: version, ...(session === undefined ? {} : { session }) })
      let saved: Buffer | undefined
      socket.on('session', (s: Buffer) => {
        saved = s
      })
      await once(socket, 'secureConnect')
      const reused = socket.isSessionReused()
      socket.write('GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
      socket.resume()
      await once(socket, 'close')
      return { session: saved, reused }
    }
    try {
      const foreign = await connect((other.address() as { port: number }).port, undefined)
      // The control: where it comes from, the session is resumed.
      expect((await connect((other.address() as { port: number }).port, foreign.session)).reused).toBe(true)
      expect((await connect(port(), foreign.session)).reused).toBe(false)
      const own = await connect(port(), undefined)
      expect((await connect(port(), own.session)).reused).toBe(false)
    } finally {
      other.close()
    }
  })

  test('TLS 1.1 is not spoken', async () => {
    const socket = tls.connect({ host: '127.0.0.1', port: port(), ca: house.root, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' })
    await expect(once(socket, 'secureConnect')).rejects.toThrow()
  })

  test('plain HTTP and a handshake that never ends are cut off, without an answer, and recorded once each', async () => {
    const before = (await house.refusals()).length
    const answerTo = (text: string): Promise<string> => new Promise((resolve) => {
      const socket = net.connect({ host: '127.0.0.1', port: port() }, () => socket.write(text))
      let got = ''
      socket.on('data', (chunk: Buffer) => {
        got += chunk.toString('latin1')
      })
      socket.on('error', () => {})
      socket.on('close', () => resolve(got))
    })
    // The silent one first: when it is cut off, the refusals of the tests before are too long ago to make a flood with these.
    const answers = [await answerTo(''), await answerTo('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')]
    for (const answer of answers) expect(answer).not.toContain('HTTP')
    expect((await house.refusals()).slice(before)).toEqual(['operator-required', 'operator-required'])
  })
})

describe('A03, A04, A15: web pages', () => {
  test.each(['evil.example', 'evil.example:9443', 'localhost.evil.example', '127.0.0.1.evil.example:9443', '[::1].evil.example', 'localhost@evil.example'])('the host %j is not ours', async (host) => {
    expectProblem(await asked({ headers: { host } }), 421, 'host-not-allowed')
  })

  test.each(['localhost', 'LOCALHOST:9443', '127.0.0.1:1', '[::1]:9443'])('the host %j is', async (host) => {
    expect((await asked({ headers: { host } })).status).toBe(200)
  })

  test.each([{ origin: 'https://evil.example' }, { origin: 'null' }, { origin: 'https://localhost:9443' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }])('a request with %j comes from a page', async (headers) => {
    expectProblem(await asked({ headers }), 403, 'operator-required')
  })

  test('a request that a person typed is none of a page', async () => {
    expect((await asked({ headers: { 'sec-fetch-site': 'none' } })).status).toBe(200)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/json'])('a body of the type %s is refused', async (type) => {
    expectProblem(await post('/v1/devices', { id: 'typed' }, { headers: { 'content-type': type } }), 415, 'request-invalid')
  })

  test('the type of a body that is not there asks for none', async () => {
    const headers = { 'content-type': 'application/json' }
    expect((await asked({ method: 'POST', path: '/v1/audit/verify', headers })).status).toBe(200)
    expectProblem(await asked({ method: 'POST', path: '/v1/devices', headers }), 400, 'request-invalid')
  })

  test('JSON with a character set is JSON', async () => {
    expect((await post('/v1/policy/explain', { device: 'sensor-1', publish: 'a' }, { headers: { 'content-type': 'application/json; charset=utf-8' } })).status).toBe(200)
  })

  test('answers of every kind forbid framing, sniffing and caching, and allow no other origin', async () => {
    for (const answer of [await asked({}), await asked({ path: '/nowhere' }), await asked({ credential: sensor }), await asked({ path: '/v1/devices/%zz' })]) {
      expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'content-security-policy': expect.stringContaining("frame-ancestors 'none'") })
      expect(Object.keys(answer.headers).filter((h) => h.startsWith('access-control'))).toEqual([])
    }
  })
})

describe('A06, A10, A11: hostile requests', () => {
  test.each([
    ['GET', '/v1'], ['GET', '/v1/devices/'], ['GET', '/v2/devices'], ['DELETE', '/v1/devices/sensor-1'], ['PUT', '/v1/devices'], ['HEAD', '/v1/status'], ['OPTIONS', '/v1/status'],
    ['GET', '/v1/devices/sensor-1%2f..%2f..'], ['POST', '/v1/status'], ['GET', `/v1/devices/${'x'.repeat(200)}`],
  ])('%s %s is no operation', async (method, at) => {
    const answer = await asked({ method, path: at })
    expect([400, 404]).toContain(answer.status)
    if (method !== 'HEAD') expect(['route-unknown', 'device-id-invalid', 'request-invalid']).toContain(answer.json()['code'])
  })

  test.each(['/v1/devices/%zz', '/v1/devices/%', '/v1/devices/%c0%af'])('the path %s does not decode', async (at) => {
    expectProblem(await asked({ path: at }), 400, 'request-invalid')
  })

  test.each(['..', '%2e%2e%2fx', '__proto__', 'a%00b', 'a+b', 'a%2Fb', '%D0%B0dmin', 'a%0d%0ab', '-a', 'a%20b', 'x'.repeat(65)])('no device is called %s', async (id) => {
    const answer = await asked({ path: `/v1/devices/${id}` })
    expect([400, 404]).toContain(answer.status)
    expect(['device-id-invalid', 'route-unknown']).toContain(answer.json()['code'])
  })

  test.each(['', '../x', '__proto__', 'a\0b', 'a+b', '#', 'a/b', 'аdmin', 'a\u200bb', 'a b', 'a\nb', 'x'.repeat(65), 'x'.repeat(60_000)])('no device is registered as %j', async (id) => {
    expectProblem(await post('/v1/devices', { id }), 400, 'device-id-invalid')
  })

  test('constructor is a name like any other', async () => {
    expect((await post('/v1/devices', { id: 'constructor', attributes: { constructor: 'toString' } })).status).toBe(201)
    expect((await asked({ path: '/v1/devices/constructor' })).json()).toMatchObject({ id: 'constructor', attributes: { constructor: 'toString' } })
    expectProblem(await asked({ path: '/v1/devices/toString' }), 404, 'device-not-found')
  })

  test.each([
    ['{"__proto__":{"polluted":1},"id":"p-1"}', '__proto__'],
    ['{"id":"p-1","attributes":{"__proto__":{"polluted":1}}}', '__proto__ inside'],
    ['{"id":"p-1","\\u005f_proto__":{"polluted":1}}', '__proto__ in escapes'],
    ['{"id":"p-1","constructor":{"prototype":{"polluted":1}}}', 'constructor.prototype'],
  ])('%s is refused, and nothing is polluted', async (body) => {
    expectProblem(await post('/v1/devices', body), 400, 'request-invalid')
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    expect(house.home.view.device(device('p-1'))).toBeUndefined()
  })

  test.each(['/v1/devices?__proto__=x', '/v1/devices?limit=1&limit=2', '/v1/devices?limit=1e6', '/v1/devices?limit=0', '/v1/devices?limit=-1', '/v1/devices?limit=1.5', '/v1/devices?state=bad', '/v1/devices?sort=id', `/v1/devices?after=${'x'.repeat(300)}`, '/v1/audit?count=1001', "/v1/certificates?device=a'--"])('the query of %s is refused', async (at) => {
    expect((await asked({ path: at })).status).toBe(400)
  })

  test.each(["' OR 1=1 --", '%', '_', '\\'])('the cursor %j is only a place in a list', async (after) => {
    const answer = await asked({ path: `/v1/devices?after=${encodeURIComponent(after)}` })
    expect(answer.status).toBe(200)
    expect((await house.desk().devices({})).items.length).toBeGreaterThan(0)
  })

  test('PATCH describes a device: what it does not name stays, null takes away, and an old revision is a conflict', async () => {
    await post('/v1/devices', { id: 'patched', groups: ['a'], attributes: { model: 'k1', site: 'n' }, tenant: 'acme' })
    const patch = (body: unknown, of = 'patched'): Promise<Answered> => post(`/v1/devices/${of}`, body, { method: 'PATCH' })
    expect((await patch({ attributes: { site: null, line: '2' } })).json()).toMatchObject({ groups: ['a'], attributes: { model: 'k1', line: '2' }, tenant: 'acme', revision: 2 })
    expect((await patch({ groups: [] })).json()).toMatchObject({ groups: [], revision: 3 })
    expectProblem(await patch({ groups: ['b'], revision: 2 }), 409, 'revision-conflict')
    expectProblem(await patch({ attributes: { model: 'a/b' } }), 400, 'attribute-invalid')
    expectProblem(await patch({ attributes: { ['a b']: 'x' } }), 400, 'attribute-invalid')
    expectProblem(await patch({ groups: ['a/b'] }), 400, 'group-invalid')
    for (const body of [{ state: 'active' }, { groups: 'a' }, { attributes: { model: 5 } }, { revision: 0 }, { revision: '3' }, '[]', '{"attributes":{"__proto__":"x"}}']) expectProblem(await patch(body), 400, 'request-invalid')
    expectProblem(await patch({ groups: [] }, 'nobody'), 404, 'device-not-found')
    expect(await house.desk().device(device('patched'))).toMatchObject({ groups: [], attributes: { model: 'k1', line: '2' }, revision: 3 })
  })

  test('an unknown field is named', async () => {
    const answer = await post('/v1/devices', { id: 'field-1', grops: ['sensors'] })
    expectProblem(answer, 400, 'request-invalid')
    expect(answer.text).toContain('grops')
  })

  test.each(['', '{', '[]', 'null', '"x"', '5', '{"id":5}', '{"id":["a"]}', '{"id":"a","groups":"b"}', '{"id":"a","groups":["a/b"]}', '{"id":"a","attributes":{"x":1}}', '{"id":"a","attributes":{"x":"a/b"}}', 'NaN'])('the body %j is refused', async (body) => {
    expect((await post('/v1/devices', body)).status).toBe(400)
  })

  test.each(['00zz', '0', '-1', '1e5', 'x'.repeat(41)])('%s is no serial number', async (serial) => {
    expectProblem(await asked({ path: `/v1/certificates/${serial}` }), 400, 'request-invalid')
  })

  test('JSON that is nested 100,000 deep is refused, and overflows no stack', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    expectProblem(await post('/v1/devices', deep), 400, 'request-invalid')
    expectProblem(await post('/v1/devices', `{"devices":[${deep}]}`), 400, 'request-invalid')
  })

  test('a body as large as allowed is read, one byte more is not', async () => {
    const enroll = (bytes: number): Promise<Answered> => post('/v1/devices/sensor-1/enroll', `{"csr":"${'x'.repeat(bytes - 10)}"}`)
    expectProblem(await enroll(64 * 1024), 400, 'request-invalid')
    expectProblem(await enroll(64 * 1024 + 1), 413, 'request-invalid')
  })

  test('what is no HTTP is answered with 400 and the connection ends', async () => {
    const raw = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = tls.connect({ host: '127.0.0.1', port: port(), ca: house.root, cert: house.operator.cert, key: house.operator.key }, () => socket.write(text))
        let got = ''
        socket.on('data', (chunk: Buffer) => {
          got += chunk.toString('latin1')
        })
        socket.on('error', reject)
        socket.on('close', () => resolve(got))
      })
    const head = 'POST /v1/devices HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n'
    for (const text of [
      'hello\r\n\r\n',
      `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n`,
      `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n{    }`,
      `${head}transfer-encoding: chunked\r\n\r\nzz\r\n`,
      'GET /v1/status HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n',
      `GET /v1/status HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
    ]) {
      const got = await raw(text)
      expect(got, text.slice(0, 60)).toMatch(/^HTTP\/1\.1 4(00|31) /)
      expect(got.match(/HTTP\/1\.1 /g), text.slice(0, 60)).toHaveLength(1)
    }
    // Another device's bytes are not this one's: the server goes on serving.
    expect((await asked({})).status).toBe(200)
  })
})

describe('what is asked for', () => {
  test('many devices at once, each with a result of its own, in their order', async () => {
    const answer = await post('/v1/devices', { devices: [{ id: 'bulk-1', groups: ['sensors'] }, { id: '../x' }, { id: 'bulk-1' }, 5, { id: 'bulk-2', extra: 1 }, { id: 'bulk-3' }] })
    expect(answer.status).toBe(200)
    expect((answer.json()['results'] as { ok: boolean; code?: string }[]).map((r) => r.code ?? r.ok)).toEqual([true, 'device-id-invalid', 'device-exists', 'request-invalid', 'request-invalid', true])
  })

  test('1,000 devices are a page, 1,001 are too many, and none are a mistake', async () => {
    const page = (count: number, prefix: string): Promise<Answered> => post('/v1/devices', { devices: Array.from({ length: count }, (_, i) => ({ id: `${prefix}-${i}` })) })
    expect((await page(1_000, 'page')).status).toBe(200)
    expectProblem(await page(1_001, 'more'), 400, 'request-invalid')
    expectProblem(await page(0, 'none'), 400, 'request-invalid')
    expect(house.home.view.device(device('more-0'))).toBeUndefined()
  })

  test('a request for a certificate, and the same again', async () => {
    const csr = makeCsr(newKey(), 'bulk-1')
    const first = await post('/v1/devices/bulk-1/enroll', { csr })
    expect(first.status).toBe(200)
    expect((await post('/v1/devices/bulk-1/enroll', { csr })).json()).toEqual(first.json())
    expectProblem(await post('/v1/devices/bulk-3/enroll', { csr }), 403, 'csr-name-mismatch')
    expectProblem(await post('/v1/devices/bulk-3/enroll', { csr: 'x' }), 400, 'csr-malformed')
    expectProblem(await post('/v1/devices/nobody/enroll', { csr }), 404, 'device-not-found')
  })

  test('a revocation names a device or a serial, not both and not neither', async () => {
    expectProblem(await post('/v1/revocations', { reason: 'keyCompromise' }), 400, 'request-invalid')
    expectProblem(await post('/v1/revocations', { device: 'bulk-1', serial: '00', reason: 'keyCompromise' }), 400, 'request-invalid')
    expectProblem(await post('/v1/revocations', { device: 'bulk-1', reason: 'because' }), 400, 'request-invalid')
    expect((await post('/v1/revocations', { device: 'bulk-1', reason: 'keyCompromise' })).json()).toMatchObject({ revoked: [expect.stringMatching(/^[0-9a-f]{32}$/)], sessionsClosed: 0 })
  })

  test('who did it stands in the audit log', async () => {
    await post('/v1/devices', { id: 'acted-1' })
    await house.home.audit.flush()
    expect(await house.home.audit.tail(5)).toContainEqual(expect.objectContaining({ device: { id: 'acted-1' }, event: expect.objectContaining({ action: 'device-added' }), user: { name: `operator:${house.operator.serial}`, full_name: 'operator' } }))
  })

  test('every refusal is in the audit log, with its source and what was asked; what is merely not there is not', async () => {
    await using quiet = await openHouse()
    const { url } = await quiet.openAdmin()
    await ask(url, quiet.root, { credential: quiet.operator, path: '/v1/devices/nobody' })
    await ask(url, quiet.root, { credential: quiet.operator, path: '/nowhere?a=%1b' })
    expect(await quiet.refusals()).toEqual(['route-unknown'])
    expect((await quiet.home.audit.tail(1))[0]).toMatchObject({ source: { ip: '127.0.0.1' }, detail: { text: 'GET /nowhere?a=%1b', step: 'api' } })
  })
})

describe('the server itself', () => {
  test('a port that is taken is a sentence', async () => {
    const file = (name: string): string => readFileSync(path.join(house.folder, 'certs/local/server', name), 'utf8')
    const ports = { hosts: [], view: house.home.view, audit: house.home.audit, clock: Date.now, tls: { key: file('key.pem'), cert: file('cert.pem'), anchors: [house.root] }, deskFor: () => house.desk(), version: '0.0.0', status: () => ({}), console: openConsole({ audit: house.home.audit, view: house.home.view, clock: Date.now }), events: { head: { id: 0 }, after: () => [], follow: () => () => {} }, log: () => {} }
    await expect(openAdminServer({ ...ports, listen: { host: '127.0.0.1', port: port() } })).rejects.toMatchObject({ code: 'port-in-use', fix: expect.stringContaining('--ports auto') })
  })

  test('a new server certificate is shown from the next connection on; one that does not fit its key changes nothing', async () => {
    const own = await house.openAdmin()
    const fresh = await house.issue('server', 'fresh')
    const shown = async (): Promise<string> => {
      const socket = tls.connect({ host: '127.0.0.1', port: Number(new URL(own.url).port), ca: house.root, cert: house.operator.cert, key: house.operator.key, checkServerIdentity: () => undefined })
      await once(socket, 'secureConnect')
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber.toLowerCase()
    }
    const before = await shown()
    expect(() => own.prepare({ key: house.operator.key, cert: fresh.cert, anchors: [house.root] }, [])).toThrow()
    expect(await shown()).toBe(before)
    const replace = own.prepare({ key: fresh.key, cert: fresh.cert, anchors: [house.root] }, [])
    expect(await shown()).toBe(before)
    replace()
    expect(await shown()).toBe(fresh.serial)
  })

  test('the names of this server are those of the last reload', async () => {
    const own = await house.openAdmin()
    const file = (name: string): string => readFileSync(path.join(house.folder, 'certs/local/server', name), 'utf8')
    const called = async (host: string): Promise<number> => (await ask(own.url, house.root, { credential: house.operator, headers: { host } })).status
    const reload = (...hosts: readonly string[]): void => own.prepare({ key: file('key.pem'), cert: file('cert.pem'), anchors: [house.root] }, hosts)()
    expect(await called('mqtt.example.org')).toBe(421)
    reload('MQTT.example.org')
    expect([await called('mqtt.example.org:9443'), await called('localhost'), await called('127.0.0.1')]).toEqual([200, 200, 200])
    reload('other.example.org')
    expect([await called('mqtt.example.org'), await called('other.example.org')]).toEqual([421, 200])
  })
})
