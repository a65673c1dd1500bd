// Hostile requests as bytes over real TLS: two hosts and targets of other hosts (A04), keys that change prototypes (A10), bodies that do not end
// or cost more than they say (A11), searches that should be slow (A12), orders for everything at once (A13), pages of others (A15); and what an
// operator of one tenant tries to reach of another beyond the table of roles (A02). Each beside the nearest that is served.

import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AdminServer } from '../../src/http/admin.ts'
import { ROUTES } from '../../src/http/routes.ts'
import type { AnyRoute } from '../../src/http/route.ts'
import { HTTP_LIMITS } from '../../src/http-limits.ts'
import type { OperatorName, TenantId } from '../../src/core/ids.ts'
import { ROLES } from '../../src/core/operator.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { ask, device, newKey, openHouse, type Answered, type Asked, type Credential, type House } from './house.ts'

let house: House
let admin: AdminServer
beforeAll(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
  await house.desk().addDevice({ id: device('plain'), groups: [], attributes: {} })
})
afterAll(() => house[Symbol.asyncDispose]())

const asked = (request: Asked): Promise<Answered> => ask(admin.url, house.root, { credential: house.operator, ...request })
const post = (path: string, body: unknown, more: Asked = {}): Promise<Answered> => asked({ method: 'POST', path, body: typeof body === 'string' ? body : JSON.stringify(body), ...more })
const outcome = ({ status, text }: Answered): string => (status < 400 ? String(status) : `${status} ${/"code":"([a-z-]+)"/.exec(text)?.[1] ?? ''}`)

interface Raw {
  readonly text: string
  /** Bytes of the request that were taken before the connection ended. */
  readonly written: number
}

/** The bytes as they are, then, again and again, `more`; resolves when the server has ended the connection. */
function raw(bytes: string, more?: string, credential: Omit<Credential, 'serial'> = house.operator): Promise<Raw> {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: '127.0.0.1', port: Number(new URL(admin.url).port), ca: house.root, servername: 'localhost', cert: credential.cert, key: credential.key })
    let text = ''
    const pour = (): void => {
      if (more === undefined) return
      while (socket.writable && socket.write(more, 'latin1'));
    }
    socket.on('secureConnect', () => {
      socket.write(bytes, 'latin1')
      pour()
    })
    socket.on('drain', pour)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve({ text, written: socket.bytesWritten }))
  })
}
const statusOf = ({ text }: Raw): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)
const get = (lines: readonly string[], target = '/v1/status', version = 'HTTP/1.1'): Promise<Raw> => raw(`GET ${target} ${version}\r\n${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`)

describe('A04: whose name a request says', () => {
  test('ours is served', async () => {
    expect(statusOf(await get(['Host: localhost']))).toBe(200)
  })

  test.each([
    ['no host', []],
    ['another host', ['Host: evil.example']],
    ['two hosts, ours first', ['Host: localhost', 'Host: evil.example']],
    ['two hosts, ours last', ['Host: evil.example', 'Host: localhost']],
    ['two hosts in one', ['Host: localhost, evil.example']],
    ['a host with a path', ['Host: localhost/evil.example']],
    ['a host behind a name and an @', ['Host: evil.example@localhost']],
    ['a host on a folded line', ['Host: localhost', ' .evil.example']],
    ['a host with a space before the colon', ['Host : localhost']],
    ['ours with a dot behind it', ['Host: localhost.']],
    ['ours as a proxy is told it', ['Host: evil.example', 'X-Forwarded-Host: localhost', 'Forwarded: host=localhost']],
  ])('%s is not', async (_, lines) => {
    expect([400, 403, 421]).toContain(statusOf(await get(lines)))
  })

  test('what proxies are told by others changes nothing', async () => {
    expect(statusOf(await get(['Host: localhost', 'X-Forwarded-Host: evil.example', 'X-Forwarded-For: 203.0.113.9', 'X-Original-URL: /v1/devices', 'X-Rewrite-URL: /v1/devices']))).toBe(200)
  })

  test.each(['https://evil.example/v1/status', 'http://localhost/v1/status', '//evil.example/v1/status', '*', 'evil.example:443', '/v1/status#x', '/v1/status HTTP/1.1 x'])('the target %s is no path of ours', async (target) => {
    expect([400, 404]).toContain(statusOf(await get(['Host: localhost'], target)))
  })

  test('nor is a tunnel opened, an upgrade made, or another protocol begun', async () => {
    expect([400, 404, 0]).toContain(statusOf(await raw('CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')))
    expect(statusOf(await get(['Host: localhost', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13']))).not.toBe(101)
    expect(statusOf(await raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))).not.toBe(200)
  })
})

describe('A10: prototypes', () => {
  const names = (): string => JSON.stringify([Object, Array, Function, String, Map, Promise].map(({ prototype }) => Object.getOwnPropertyNames(prototype)))
  const BODIES = ['{"__proto__":{"x":1}}', '{"constructor":{"prototype":{"x":1}}}', '{"id":"a","attributes":{"__proto__":"x"}}', '{"id":"a","attributes":{"constructor":{"prototype":"x"}}}', '{"id":"a","groups":["__proto__"]}', '{"id":"a","__proto__":{"role":"admin"}}', '[{"__proto__":[]}]', '{"devices":[{"id":"a","__proto__":{}}]}', String.raw`{"id":"a","\u005f\u005fproto__":{}}`]

  test('every operation that takes a body refuses each of these, and no prototype is another one afterwards', async () => {
    const before = names()
    const rows = Object.values<AnyRoute>(ROUTES).filter((row) => 'body' in row && row.body !== undefined)
    expect(rows.length).toBeGreaterThan(15)
    for (const { method, path } of rows) {
      for (const body of BODIES) expect([path, body, (await asked({ method, path: path.replaceAll(/:\w+/g, 'plain'), body })).status]).toEqual([path, body, 400])
    }
    expect(names()).toBe(before)
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })

  test('in a query, a header, a cookie or a key they are no names, or names like any other', async () => {
    const before = names()
    for (const query of ['__proto__=1', '__proto__[x]=1', 'constructor[prototype][x]=1', 'constructor.prototype.x=1', 'limit=1&__proto__=1']) expect([query, (await asked({ path: `/v1/devices?${query}` })).status]).toEqual([query, 400])
    expect((await asked({ headers: { __proto__x: '1', constructor: '1', cookie: '__proto__=1; constructor=2; __Host-sallyport=__proto__' } })).status).toBe(200)
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) expect([key, outcome(await post('/v1/policy/explain', { device: 'plain', publish: 'a' }, { headers: { 'idempotency-key': `"${key}"` } }))]).toEqual([key, '200'])
    expect(outcome(await post('/v1/devices', { id: 'constructor', attributes: { constructor: 'x', prototype: 'y' } }))).toBe('201')
    expect((await asked({ path: '/v1/devices/constructor' })).json()['attributes']).toEqual({ constructor: 'x', prototype: 'y' })
    for (const name of ['toString', 'valueOf', 'hasOwnProperty']) expect([name, outcome(await asked({ path: `/v1/devices/${name}` }))]).toEqual([name, '404 device-not-found'])
    expect(names()).toBe(before)
  })
})

describe('A11: bodies', () => {
  const head = (lines: readonly string[]): string => `POST /v1/devices HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${lines.join('\r\n')}\r\n\r\n`

  test('one in chunks is read; one without an end is cut off when it has brought more than is read', async () => {
    expect(statusOf(await raw(`${head(['Transfer-Encoding: chunked', 'Connection: close'])}e\r\n{"id":"chunk"}\r\n0\r\n\r\n`))).toBe(201)
    const endless = await raw(head(['Transfer-Encoding: chunked']), `1000\r\n${' '.repeat(0x1000)}\r\n`)
    expect([0, 413]).toContain(statusOf(endless))
    // What the network had taken before is all that came.
    expect(endless.written).toBeLessThan(64 * 1024 * 1024)
  })

  test('one that says that it is larger than is read is refused before it comes', async () => {
    expect(statusOf(await raw(head([`Content-Length: ${HTTP_LIMITS.bulkBodyBytesMax + 1}`])))).toBe(413)
    expect(statusOf(await raw(head(['Content-Length: 99999999999999999999'])))).toBe(400)
  })

  test.each([
    ['two lengths', ['Content-Length: 2', 'Content-Length: 3']], ['a length and chunks', ['Content-Length: 2', 'Transfer-Encoding: chunked']], ['a negative length', ['Content-Length: -1']], ['a length in hex', ['Content-Length: 0x2']], ['a length with a plus', ['Content-Length: +2']],
    ['another transfer encoding', ['Transfer-Encoding: gzip']], ['chunks that are not the last', ['Transfer-Encoding: chunked, identity']], ['a folded header', ['Content-Length: 2', ' 3']], ['a bare LF', ['Content-Length: 2\nX: 1']], ['a NUL in a header', ['X: a\0b', 'Content-Length: 2']],
  ])('%s is no request', async (_, lines) => {
    expect([400, 0]).toContain(statusOf(await raw(`${head(lines)}{}`)))
  })

  test('a header of a megabyte, and a thousand headers, are refused; the next request is served', async () => {
    expect([431, 0]).toContain(statusOf(await raw(`GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(1024 * 1024)}\r\n\r\n`)))
    expect([431, 0]).toContain(statusOf(await raw(`GET /v1/status HTTP/1.1\r\nHost: localhost\r\n${Array.from({ length: 1_000 }, (__, i) => `X-${i}: ${'x'.repeat(30)}`).join('\r\n')}\r\n\r\n`)))
    expect(statusOf(await raw(`GET /v1/${'x'.repeat(1024 * 1024)} HTTP/1.1\r\nHost: localhost\r\n\r\n`))).not.toBe(200)
    expect((await asked({})).status).toBe(200)
  })

  test.each(['limit', 'expiringWithinMs'])('a number that is none, or too large to be one, is no %s', async (name) => {
    for (const number of ['NaN', 'Infinity', '-1', '1e999', '9'.repeat(200), '1.5', '1_000', '%D9%A1', '1%00', '[1]', '1,2', 'null', 'true']) expect([number, (await asked({ path: `/v1/devices?${name}=${number}` })).status]).toEqual([number, 400])
    expect((await asked({ path: `/v1/devices?${name}=1` })).status).toBe(200)
  })
})

describe('A02: another tenant, beyond the table of roles', () => {
  const ACME = 'acme' as TenantId
  let ours: Credential
  beforeAll(async () => {
    ours = await house.operatorAs('admin', ACME)
    for (const [id, tenant] of [['acme-1', ACME], ['acme-2', ACME], ['other-1', undefined]] as const) await house.desk().addDevice({ id: device(id), groups: [], attributes: {}, ...(tenant === undefined ? {} : { tenant }) })
  })
  const as = (request: Asked): Promise<Answered> => asked({ credential: ours, ...request })

  test('a row of another tenant in a batch is refused, and the others are of the own tenant', async () => {
    const batch = await as({ method: 'POST', path: '/v1/devices', body: JSON.stringify({ devices: [{ id: 'acme-3' }, { id: 'stolen', tenant: 'default' }, { id: 'acme-4', tenant: 'acme' }, { id: 'other-1' }] }) })
    expect(batch.json()['results']).toMatchObject([{ id: 'acme-3', ok: true }, { id: 'stolen', ok: false, code: 'tenant-insufficient' }, { id: 'acme-4', ok: true }, { id: 'other-1', ok: false }])
    expect((await asked({ path: '/v1/devices/stolen' })).status).toBe(404)
    expect((await asked({ path: '/v1/devices/acme-3' })).json()['tenant']).toBe('acme')
  })

  test('nobody names a tenant for a token, and a device of another tenant is enrolled by nobody', async () => {
    const token = (body: object): Promise<string> => as({ method: 'POST', path: '/v1/tokens', body: JSON.stringify({ tokens: [{ lifeMs: 60_000, ...body }] }) }).then(outcome)
    expect(await token({ target: { device: 'acme-1' } })).toBe('200')
    expect(await token({ target: { device: 'acme-1' }, tenant: 'default' })).toBe('400 request-invalid')
    // A token of a tenant is of no use for a device of another one: that is judged when it is used (test/enrollment-desk.test.ts).
    expect((await as({ path: '/v1/devices/other-1' })).status).toBe(404)
    expect(outcome(await as({ method: 'POST', path: '/v1/devices/other-1/enroll', body: JSON.stringify({ csr: makeCsr(newKey(), 'other-1') }) }))).toBe('404 device-not-found')
  })

  test('a cursor of another list is a place, and shows nothing of others', async () => {
    const all = (await asked({ path: '/v1/devices?limit=1' })).json()
    for (const after of [String(all['next']), 'other-0', 'a', '', '\u0000']) {
      const { items } = (await as({ path: `/v1/devices?limit=100&after=${encodeURIComponent(after)}` })).json() as { readonly items: readonly { readonly tenant: string }[] }
      expect(items.filter(({ tenant }) => tenant !== 'acme')).toEqual([])
    }
    expect(outcome(await as({ path: '/v1/devices?tenant=default' }))).toBe('403 tenant-insufficient')
    const { items } = (await as({ path: '/v1/certificates?device=other-1' })).json() as { readonly items: readonly unknown[] }
    expect(items).toEqual([])
  })

  test.each(['HEAD', 'OPTIONS', 'TRACE'])('%s of any path answers nothing, to any role, and says no method', async (method) => {
    const people = await Promise.all(ROLES.map((role) => house.operatorAs(role)))
    for (const path of new Set(Object.values(ROUTES).map((row) => row.path.replaceAll(/:\w+/g, 'other-1')))) {
      const { status, text, headers } = await asked({ method, path, credential: people[path.length % people.length] ?? ours })
      expect([path, status, headers['allow'], headers['access-control-allow-methods'], method === 'HEAD' ? '' : text.includes('other-1')]).toEqual([path, 404, undefined, undefined, method === 'HEAD' ? '' : false])
    }
  })
})

describe('A12: searches', () => {
  const DEVICES = 2_000
  beforeAll(async () => {
    for (let page = 0; page < DEVICES / 500; page++) await house.desk().addDevices(Array.from({ length: 500 }, (_, i) => ({ id: device(`${'a'.repeat(50)}-${page}-${i}`), groups: [], attributes: { note: 'a'.repeat(60) } })))
  }, 60_000)

  /** Processor time of a number of requests, of the server and of whoever asks. */
  async function work(path: string): Promise<number> {
    for (let i = 0; i < 3; i++) await asked({ path })
    const before = process.cpuUsage()
    for (let i = 0; i < 20; i++) expect((await asked({ path })).status).toBeLessThan(500)
    const { user, system } = process.cpuUsage(before)
    return user + system
  }

  test('what would be slow to a matcher of patterns is no more work than what is nowhere', async () => {
    const plain = await work('/v1/devices?limit=1000&q=zzzz')
    for (const q of [`${'a'.repeat(63)}b`, '%25'.repeat(21), '_'.repeat(64), 'a%25'.repeat(16), '%5C'.repeat(64), '(a%2B)%2B'.repeat(8), `'${'a'.repeat(62)}`]) expect([q, (await work(`/v1/devices?limit=1000&q=${q}`)) / plain]).toEqual([q, expect.toSatisfy((times: number) => times < 5)])
    for (const attribute of [`note=${'a'.repeat(59)}b`, `note=${'%25'.repeat(50)}`]) expect([attribute, (await work(`/v1/devices?limit=1000&attribute=${attribute}`)) / plain]).toEqual([attribute, expect.toSatisfy((times: number) => times < 5)])
  }, 60_000)

  test('a wildcard of SQL is a letter: a search for one finds what has it, and a sort or a field that nobody offers is refused', async () => {
    const found = async (query: string): Promise<number> => ((await asked({ path: `/v1/devices?limit=1000&${query}` })).json()['items'] as readonly unknown[]).length
    expect([await found('q=aaaa'), await found('q=a%25a'), await found('q=a_a'), await found('q=%25')]).toEqual([1_000, 0, 0, 0])
    for (const query of ['sort=id', 'order=desc', 'orderBy=1', 'fields=*', 'where=1', 'after[]=a', 'q=a&q=b']) expect([query, (await asked({ path: `/v1/devices?${query}` })).status]).toEqual([query, 400])
  })
})

describe('A13: everything at once', () => {
  test('a page is a page, a batch is a batch, whatever is asked for', async () => {
    for (const limit of ['1001', '1000000', '4294967296', '9007199254740993']) expect([limit, (await asked({ path: `/v1/devices?limit=${limit}` })).status]).toEqual([limit, 400])
    expect(((await asked({ path: '/v1/devices?limit=1000' })).json()['items'] as readonly unknown[]).length).toBeLessThanOrEqual(1_000)
    expect((await post('/v1/devices', { devices: Array.from({ length: 1_001 }, (_, i) => ({ id: `b-${i}` })) })).status).toBe(400)
    expect((await post('/v1/tokens', { tokens: Array.from({ length: 1_001 }, () => ({ target: { device: 'plain' }, lifeMs: 1_000 })) })).status).toBe(400)
  })

  test('all are revoked only by who says how many they are, and only as many', async () => {
    const ids = ['many-1', 'many-2']
    for (const id of ids) await house.device(id)
    const revoke = (body: object): Promise<string> => post('/v1/revocations/many', { choice: { ca: 'issuing-1' }, reason: 'superseded', ...body }).then(outcome)
    expect([await revoke({}), await revoke({ dryRun: false }), await revoke({ dryRun: false, atMost: 1 })]).toEqual(['400 request-invalid', '400 request-invalid', '409 revision-conflict'])
    for (const id of ids) expect((await house.desk().device(device(id))).certificates[0]?.state).toBe('active')
    expect(await revoke({ dryRun: true })).toBe('200')
    expect(await revoke({ dryRun: false, atMost: 100 })).toBe('200')
    for (const id of ids) expect((await house.desk().device(device(id))).certificates[0]?.state).toBe('revoked')
    // Who asked is no device, and is still an operator.
    expect((await asked({})).status).toBe(200)
  })
})

describe('A15: pages of others', () => {
  test('no answer of any operation may be framed, sniffed, kept or read by another origin, and none sets a cookie', async () => {
    for (const row of Object.values<AnyRoute>(ROUTES)) {
      if ('open' in row) continue
      const { headers } = await asked({ method: row.method, path: row.path.replaceAll(/:\w+/g, 'nobody'), body: row.method === 'GET' || row.method === 'DELETE' ? '' : '[]' })
      expect([row.path, headers]).toEqual([row.path, expect.objectContaining({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-resource-policy': 'same-origin', 'content-security-policy': expect.stringContaining("frame-ancestors 'none'") as string })])
      expect([row.path, Object.keys(headers).filter((name) => name.startsWith('access-control') || name === 'set-cookie')]).toEqual([row.path, []])
    }
  }, 60_000)

  test('a preflight of any origin, `null` too, is answered with no permission', async () => {
    for (const origin of ['null', 'https://evil.example', 'https://localhost', admin.url]) {
      const { status, headers } = await asked({ method: 'OPTIONS', path: '/v1/devices', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type', 'access-control-request-private-network': 'true' } })
      expect([origin, status >= 400, Object.keys(headers).filter((name) => name.startsWith('access-control'))]).toEqual([origin, true, []])
    }
  })
})

test('A17: of two admins who take each other\'s role at the same moment, fifty times, one is always left', async () => {
  await using alone = await openHouse()
  const desk = alone.desk()
  const first = 'operator' as OperatorName
  await alone.operatorAs('admin')
  const second = (await desk.operators({})).items.find(({ name }) => name !== first)?.name ?? first
  for (let round = 0; round < 50; round++) {
    await Promise.allSettled([desk.changeOperatorRole(first, 'viewer'), desk.changeOperatorRole(second, 'viewer')])
    const admins = (await desk.operators({})).items.filter(({ role }) => role === 'admin').map(({ name }) => name)
    expect(admins).toHaveLength(1)
    for (const name of [first, second]) if (!admins.includes(name)) await desk.changeOperatorRole(name, 'admin')
  }
  await expect(desk.changeOperatorRole(first, 'viewer')).resolves.toBeDefined()
  await expect(desk.changeOperatorRole(second, 'viewer')).rejects.toMatchObject({ reason: 'last-admin' })
})
