// Rows of the hostile cases that are about a request as a whole (A04, A06, A10 to A13, A16): methods, paths, filters and cursors that
// are none. Each beside the nearest that is served; and at the end nothing of this program was changed by any of them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AdminServer } from '../../src/http/admin.ts'
import { ROUTES } from '../../src/http/routes.ts'
import { ask, device, openHouse, type Answered, type Asked, type House } from './house.ts'

let house: House
let admin: AdminServer
const prototype = JSON.stringify([Object.getOwnPropertyNames(Object.prototype), Object.getOwnPropertyNames(Array.prototype)])
beforeAll(async () => {
  house = await openHouse()
  admin = await house.openAdmin()
  for (const id of ['a%b', 'plain', 'under_score', 'Pump-1'].map((text) => text.replace('%', '.'))) await house.desk().addDevice({ id: device(id), groups: [], attributes: { site: 'north', "odd": `"site":"south"` } })
})
afterAll(async () => {
  expect(JSON.stringify([Object.getOwnPropertyNames(Object.prototype), Object.getOwnPropertyNames(Array.prototype)])).toBe(prototype)
  await house[Symbol.asyncDispose]()
})

const asked = (request: Asked): Promise<Answered> => ask(admin.url, house.root, { credential: house.operator, ...request })
const outcome = async (request: Asked): Promise<string> => {
  const answer = await asked(request)
  return answer.status < 400 ? String(answer.status) : `${answer.status} ${answer.text === '' ? '' : String(answer.json()['code'])}`
}

test('the server serves the rows of the table and nothing else', () => {
  // The console's own door: test/http/console.test.ts.
  const console = ['GET /', 'GET /console', 'GET /console/', 'GET /console/*', 'GET /console/session', 'POST /console/session', 'POST /console/session/end']
  expect([...admin.served].toSorted()).toEqual([...console, ...Object.values(ROUTES).map(({ method, path }) => `${method} ${path}`)].toSorted())
})

describe('methods', () => {
  test.each(['HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE', 'PROPFIND', 'SEARCH'])('%s is no operation', async (method) => {
    const answer = await asked({ method, path: '/v1/devices' })
    expect(answer.status).toBe(404)
    expect(answer.text).not.toContain('operator')
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  test('a method in a header or a query is none', async () => {
    expect(await outcome({ path: '/v1/devices/plain', headers: { 'x-http-method-override': 'DELETE' } })).toBe('200')
    expect(await outcome({ path: '/v1/devices/plain?_method=DELETE' })).toBe('400 request-invalid')
  })
})

describe('A06: paths', () => {
  test.each(['//v1/status', '/v1//status', '/v1/status/', '/V1/status', '/v1/devices/../status', '/v1/%2e%2e/status', '/v1/devices/%2e%2e/status', '/v1/status%00', '/v1/status;x=1', '/v1/status/..;/status', '/./v1/status', '/v1/status%2f', '/%2fv1/status', '\\v1\\status', '/v1/devices/plain/../../status'])('%s is no route', async (path) => {
    expect(['404 route-unknown', '400 request-invalid', '400 device-id-invalid']).toContain(await outcome({ path }))
  })

  test('the path itself is one', async () => {
    expect(await outcome({ path: '/v1/status' })).toBe('200')
  })

  test('a route that nobody has is not told apart for whoever may not come in', async () => {
    const sensor = await house.device('sensor-9')
    expect(await outcome({ path: '/nowhere', credential: sensor })).toBe(await outcome({ path: '/v1/status', credential: sensor }))
  })
})

describe('A12: filters', () => {
  const found = async (query: string): Promise<readonly string[]> => ((await asked({ path: `/v1/devices?${query}` })).json()['items'] as readonly { readonly id: string }[]).map(({ id }) => id)

  test('a part of an id is found in whatever case; a wildcard is a letter like any other', async () => {
    expect(await found('q=PUMP')).toEqual(['Pump-1'])
    expect(await found('q=under_')).toEqual(['under_score'])
    for (const q of ['%25', '_%25', 'pl%25', '*', '%5c', "'", '%22%20OR%201=1%20--', 'p_ain']) expect(await found(`q=${q}`), q).toEqual([])
  })

  test('an attribute is what it is, not what stands in another one', async () => {
    expect((await found('attribute=site=north')).length).toBe(4)
    for (const attribute of ['site=south', 'site=nort', 'site=', 'odd=', 'ite=north', 'site="north"']) expect(await found(`attribute=${encodeURIComponent(attribute)}`), attribute).toEqual([])
  })

  test.each(['q=', `q=${'x'.repeat(65)}`, 'attribute=site', 'attribute==north', 'attribute=a%20b=c', 'attribute=a"=c', 'expiringWithinMs=-1', 'expiringWithinMs=1e99', 'limit=1000000', 'limit=', 'q=a&q=b', 'q[]=a', 'q[$ne]=a', '__proto__[x]=1', 'constructor.prototype.x=1', 'sort=id;DROP%20TABLE%20devices'])('%s is refused', async (query) => {
    expect((await asked({ path: `/v1/devices?${query}` })).status).toBe(400)
  })

  test.each(['q=%00', 'after=%00', 'after=%f0%9f%98%80', 'after=~'])('%s is a place or a text that nothing has', async (query) => {
    expect((await asked({ path: `/v1/devices?${query}` })).status).toBe(200)
  })
})

describe('A12: cursors of every list', () => {
  const lists = Object.values(ROUTES).filter(({ method, query }) => method === 'GET' && query !== undefined && 'shape' in query && 'after' in (query.shape as object))

  test.each(lists.map(({ path }) => path))('%s takes any text for a cursor, and answers a page', async (path) => {
    const more = path === '/v1/expiring' ? '&withinMs=1' : ''
    for (const after of ["' OR 1=1 --", '../', '%', '9'.repeat(200), '-1', 'a/b/c', '\u0000', '__proto__', 'NaN']) {
      const answer = await asked({ path: `${path}?limit=2&after=${encodeURIComponent(after)}${more}` })
      expect([200, 400], `${path} ${after}`).toContain(answer.status)
      expect(answer.text).not.toMatch(/SQLITE|syntax error|at .*\.ts/)
    }
  })
})

describe('A11: numbers', () => {
  const patch = (body: string): Promise<string> => outcome({ method: 'PATCH', path: '/v1/devices/plain', body })

  test.each(['1e400', '-1', '0', '1.5', '12345678901234567890', '9007199254740993', '"1"', 'true', '[1]', 'null'])('the revision %s is none', async (revision) => {
    expect(await patch(`{"groups":[],"revision":${revision}}`)).toBe('400 request-invalid')
  })

  test('a serial number is text: as a number it would be another one', async () => {
    expect(await outcome({ method: 'POST', path: '/v1/revocations', body: '{"serial":1234567890123456789012345678901234567890,"reason":"keyCompromise"}' })).toBe('400 request-invalid')
    expect(await outcome({ method: 'POST', path: '/v1/revocations', body: '{"serial":"1234567890123456789012345678901234567890","reason":"keyCompromise"}' })).toBe('404 certificate-not-found')
  })
})

test('A13: many are revoked at once only when it is said how many, or that it is a dry run', async () => {
  const many = (body: object): Promise<string> => outcome({ method: 'POST', path: '/v1/revocations/many', body: JSON.stringify({ choice: { group: 'nobody' }, reason: 'keyCompromise', ...body }) })
  expect([await many({}), await many({ dryRun: true }), await many({ choice: {}, dryRun: true })]).toEqual(['400 request-invalid', '200', '400 request-invalid'])
})

test('A16: no answer to anything of this holds a stack, a path of this machine, or a name of what it is made of', async () => {
  for (const request of [{ path: '/v1/devices/%00' }, { method: 'POST', path: '/v1/devices', body: '{' }, { method: 'POST', path: '/v1/policy', body: '{"files":[{"name":"x","text":": : :"}]}' }, { path: '/v1/certificates/00' }] satisfies Asked[]) {
    const { text, headers } = await asked(request)
    expect(text).not.toMatch(/node_modules|\.ts:\d|fastify|zod|FST_|sqlite/i)
    expect(text).not.toContain(house.folder)
    expect([headers['server'], headers['x-powered-by']]).toEqual([undefined, undefined])
  }
})
