// The console's door over real sockets: who is let in by a link, which pages may ask, what the browser is told, and what becomes of
// paths that try to leave the table of files.

import { once } from 'node:events'
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CONSOLE_LIMITS } from '../../src/console-limits.ts'
import type { AdminServer } from '../../src/http/admin.ts'
import { readConsoleFiles } from '../../src/http/console-files.ts'
import { ask, openHouse, type Answered, type Asked, type House } from './house.ts'

let house: House
let admin: AdminServer
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house[Symbol.asyncDispose]())
beforeEach(async () => {
  admin = await house.openAdmin()
})
afterEach(() => house.clockAt(undefined))

const host = (): string => new URL(admin.url).host
/** What a page of our own sends. */
const ours = (): Record<string, string> => ({ 'sec-fetch-site': 'same-origin', origin: `https://${host()}` })
const asked = (request: Asked): Promise<Answered> => ask(admin.url, house.root, { ...request, headers: { host: host(), ...request.headers } })

/** A fresh link's secret, as an operator with a certificate gets one. */
async function secret(): Promise<string> {
  const made = await asked({ method: 'POST', path: '/v1/console/links', body: '{}', credential: house.operator })
  expect(made.status).toBe(200)
  return String(made.json()['url']).split('#link=')[1] ?? ''
}
const open = (link: string, headers: Record<string, string> = ours()): Promise<Answered> => asked({ method: 'POST', path: '/console/session', body: JSON.stringify({ link }), headers })

async function signIn(): Promise<string> {
  const answer = await open(await secret())
  expect(answer.status).toBe(200)
  return String(answer.headers['set-cookie']).split(';')[0] ?? ''
}
const withCookie = (cookie: string, request: Asked = {}): Promise<Answered> => asked({ ...request, headers: { ...ours(), cookie, ...request.headers } })
const codeOf = (answer: Answered): unknown => answer.json()['code']

describe('the link', () => {
  test('opens one session, once', async () => {
    const link = await secret()
    const first = await open(link)
    expect(first.status).toBe(200)
    expect(first.json()).toMatchObject({ signedIn: true, via: 'link' })
    const second = await open(link)
    expect([second.status, codeOf(second)]).toEqual([401, 'console-link-invalid'])
  })

  test('A15: gives a cookie that no script reads, no other site sends, and no other host sets', async () => {
    const answer = await open(await secret())
    expect(String(answer.headers['set-cookie'])).toMatch(/^__Host-sallyport-\d+=[A-Za-z0-9_-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict$/)
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  test('opened fifty times at once opens one session', async () => {
    const link = await secret()
    const answers = await Promise.all(Array.from({ length: 50 }, () => open(link)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  test('is over after ten minutes', async () => {
    const link = await secret()
    house.clockAt(Date.now() + CONSOLE_LIMITS.linkMs)
    expect(codeOf(await open(link))).toBe('console-link-invalid')
  })

  test('is not guessed: after some tries the server no longer says more than that, and a good one still opens', async () => {
    const link = await secret()
    const tries = await Promise.all(Array.from({ length: 60 }, (_, index) => open(`${'A'.repeat(40)}${String(index).padStart(3, '0')}`)))
    expect(tries.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(60 - CONSOLE_LIMITS.linkTriesBurst - 5)
    expect((await open(link)).status).toBe(200)
  })

  test('through a proxy opens nothing, and is still good afterwards for who is here', async () => {
    const link = await secret()
    expect(codeOf(await open(link, { ...ours(), 'x-forwarded-for': '203.0.113.9' }))).toBe('console-link-remote')
    expect((await open(link)).status).toBe(200)
  })

  test('waits with a few others at most: the oldest goes', async () => {
    const links: string[] = []
    for (let index = 0; index <= CONSOLE_LIMITS.linksMax; index++) links.push(await secret())
    expect((await open(links[0] ?? '')).status).toBe(401)
    expect((await open(links.at(-1) ?? '')).status).toBe(200)
  })

  test.each([['no link', {}], ['a number', { link: 1 }], ['a megabyte', { link: 'x'.repeat(60_000) }], ['a field more', { link: 'a', more: 1 }], ['a list', []]])('%s is a request that is refused', async (_, body) => {
    const answer = await asked({ method: 'POST', path: '/console/session', body: JSON.stringify(body), headers: ours() })
    expect(answer.status).toBe(400)
  })

  test('is made for operators alone', async () => {
    const answer = await asked({ method: 'POST', path: '/v1/console/links', body: '{}' })
    expect([answer.status, codeOf(answer)]).toEqual([403, 'operator-required'])
  })

  test('and the sessions stand in the audit log, without a secret', async () => {
    const link = await secret()
    const cookie = (await open(link)).headers['set-cookie']
    await house.home.audit.flush()
    const log = JSON.stringify(await house.home.audit.tail(1_000))
    expect(log).toContain('console-link-made')
    expect(log).toContain('console-session-opened')
    expect(log).not.toContain(link)
    expect(log).not.toContain(/=([\w-]{43});/.exec(String(cookie))?.[1])
  })
})

describe('a session', () => {
  test('acts as an operator, who is named in the audit log', async () => {
    const cookie = await signIn()
    const added = await withCookie(cookie, { method: 'POST', path: '/v1/devices', body: JSON.stringify({ id: `by-console-${host().split(':')[1]}` }) })
    expect(added.status).toBe(201)
    await house.home.audit.flush()
    expect(JSON.stringify(await house.home.audit.tail(20))).toMatch(/"name":"operator:console-[0-9a-f]{8}"/)
  })

  test('ends when nobody does anything, and what a page refreshes by itself is nothing', async () => {
    const [idle, busy] = [await signIn(), await signIn()]
    const start = Date.now()
    house.clockAt(start + CONSOLE_LIMITS.sessionIdleMs - 60_000)
    expect((await withCookie(idle, { headers: { 'sallyport-refresh': '1' } })).status).toBe(200)
    expect((await withCookie(busy)).status).toBe(200)
    house.clockAt(start + CONSOLE_LIMITS.sessionIdleMs + 60_000)
    expect(codeOf(await withCookie(idle))).toBe('console-session-ended')
    expect((await withCookie(busy)).status).toBe(200)
  })

  test('ends when its operator signs out, and the cookie is taken back', async () => {
    const cookie = await signIn()
    const ended = await withCookie(cookie, { method: 'POST', path: '/console/session/end', body: '{}' })
    expect(String(ended.headers['set-cookie'])).toMatch(/^__Host-sallyport-\d+=; Max-Age=0; Path=\/; Secure; HttpOnly; SameSite=Strict$/)
    expect(codeOf(await withCookie(cookie))).toBe('console-session-ended')
  })

  test('is listed, and ended by another operator at the next request', async () => {
    const [mine, other] = [await signIn(), await signIn()]
    const { items } = (await asked({ path: '/v1/console/sessions', credential: house.operator })).json() as { items: { id: string; agent: string }[] }
    expect(items).toHaveLength(2)
    expect(JSON.stringify(items)).not.toContain(mine.split('=')[1])
    const theirs = (await withCookie(other, { path: '/console/session' })).json()['name']
    expect((await withCookie(mine, { method: 'POST', path: `/v1/console/sessions/${String(theirs)}/end`, body: '{}' })).status).toBe(200)
    expect(codeOf(await withCookie(other))).toBe('console-session-ended')
    expect((await withCookie(mine)).status).toBe(200)
  })

  test('that is not there cannot be ended', async () => {
    const answer = await asked({ method: 'POST', path: '/v1/console/sessions/00000000/end', body: '{}', credential: house.operator })
    expect([answer.status, codeOf(answer)]).toEqual([404, 'console-session-unknown'])
  })

  test('does not outlive the operator who had its link made', async () => {
    const second = await house.issue('operator', 'second')
    const made = await asked({ method: 'POST', path: '/v1/console/links', body: '{}', credential: second })
    const [used, unused] = [await open(String(made.json()['url']).split('#link=')[1] ?? ''), await asked({ method: 'POST', path: '/v1/console/links', body: '{}', credential: second })]
    const cookie = String(used.headers['set-cookie']).split(';')[0] ?? ''
    const mine = await signIn()
    expect((await withCookie(cookie)).status).toBe(200)
    await house.desk().revoke({ serial: second.serial }, 'keyCompromise')
    expect(codeOf(await withCookie(cookie))).toBe('console-session-ended')
    expect(codeOf(await open(String(unused.json()['url']).split('#link=')[1] ?? ''))).toBe('console-link-invalid')
    expect((await withCookie(mine)).status).toBe(200)
  })

  test('does not outlive the server', async () => {
    const cookie = await signIn()
    const { port } = new URL(admin.url)
    admin = await house.openAdmin()
    expect(codeOf(await withCookie(cookie.replace(port, new URL(admin.url).port)))).toBe('console-session-ended')
  })

  test('makes room when there are too many: the one that was idle longest ends', async () => {
    const cookies: string[] = []
    const start = Date.now()
    for (let index = 0; index <= CONSOLE_LIMITS.sessionsMax; index++) {
      house.clockAt(start + index)
      cookies.push(await signIn())
    }
    expect(codeOf(await withCookie(cookies[0] ?? ''))).toBe('console-session-ended')
    expect((await withCookie(cookies[1] ?? '')).status).toBe(200)
  })

  test.each(['__Host-sallyport-PORT=', '__Host-sallyport-PORT=x', 'sallyport-PORT=x', '__Host-sallyport=x', `__Host-sallyport-PORT=${'x'.repeat(5_000)}`])('a cookie that is none of ours opens nothing: %s', async (cookie) => {
    expect([401, 403]).toContain((await withCookie(cookie.replace('PORT', new URL(admin.url).port))).status)
  })

  test('does not end when its user signs in to another server of this machine, whose cookies the browser sends here, too', async () => {
    const mine = await signIn()
    const first = admin
    admin = await house.openAdmin()
    const other = await signIn()
    // A browser keeps one of each name, and sends all of a host to each of its ports; also those of programs that have nothing to do with us.
    const jar = new Map([mine, other, `big=${'x'.repeat(6_000)}`].map((pair) => pair.split('=') as [string, string]))
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
    expect((await withCookie(cookie)).status).toBe(200)
    admin = first
    expect((await withCookie(cookie)).status).toBe(200)
  })

  test('that an operator ends takes along what was opened from it; who signs out ends alone', async () => {
    const linkOf = async (cookie: string): Promise<string> => String((await withCookie(cookie, { method: 'POST', path: '/v1/console/links', body: '{}' })).json()['url']).split('#link=')[1] ?? ''
    const sessionOf = async (link: string): Promise<string> => String((await open(link)).headers['set-cookie']).split(';')[0] ?? ''
    const stolen = await signIn()
    const second = await sessionOf(await linkOf(stolen))
    const third = await sessionOf(await linkOf(second))
    const waiting = await linkOf(stolen)
    const id = String((await withCookie(stolen, { path: '/console/session' })).json()['name'])
    const [bystander, leaving] = [await signIn(), await signIn()]
    const stays = await sessionOf(await linkOf(leaving))
    await withCookie(leaving, { method: 'POST', path: '/console/session/end', body: '{}' })
    expect((await asked({ method: 'POST', path: `/v1/console/sessions/${id}/end`, body: '{}', credential: house.operator })).status).toBe(200)
    for (const ended of [stolen, second, third, leaving]) expect(codeOf(await withCookie(ended))).toBe('console-session-ended')
    expect(codeOf(await open(waiting))).toBe('console-link-invalid')
    for (const kept of [bystander, stays]) expect((await withCookie(kept)).status).toBe(200)
  })
})

describe('which page may ask (A03)', () => {
  test.each([
    ['no word of where it comes from', { origin: '', 'sec-fetch-site': '' }],
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a neighbour of this site', { 'sec-fetch-site': 'same-site' }],
    ['an address typed by hand', { 'sec-fetch-site': 'none' }],
    ['no origin at all', { origin: 'null' }],
    ['another port of this machine', { origin: 'https://127.0.0.1:1' }],
    ['the same host without TLS', { origin: 'http://HOST' }],
    ['a foreign origin', { origin: 'https://evil.example' }],
  ])('a change from %s is refused, cookie or not', async (_, change) => {
    const cookie = await signIn()
    const headers = Object.fromEntries(Object.entries({ ...ours(), cookie, ...change }).filter(([, value]) => value !== '').map(([name, value]) => [name, value.replace('HOST', host())]))
    const answer = await asked({ method: 'POST', path: '/v1/devices', body: JSON.stringify({ id: 'forged' }), headers })
    expect([answer.status, codeOf(answer)]).toEqual([403, 'operator-required'])
    expect((await asked({ path: '/v1/devices/forged', credential: house.operator })).status).toBe(404)
  })

  test('the same change from a page of our own is made', async () => {
    const cookie = await signIn()
    expect((await withCookie(cookie, { method: 'POST', path: '/v1/policy/explain', body: JSON.stringify({ device: 'demo', publish: 'a' }) })).status).not.toBe(403)
  })

  test('a change needs an origin, even with a certificate; who only reads needs none', async () => {
    const page = { 'sec-fetch-site': 'same-origin' }
    expect((await asked({ credential: house.operator, headers: page })).status).toBe(200)
    expect((await asked({ credential: house.operator, headers: page, method: 'POST', path: '/v1/audit/verify', body: '{}' })).status).toBe(403)
    expect((await asked({ credential: house.operator, headers: ours(), method: 'POST', path: '/v1/audit/verify', body: '{}' })).status).toBe(200)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])('what a form can send (%s) is not read, from our own page either', async (type) => {
    const cookie = await signIn()
    expect((await withCookie(cookie, { method: 'POST', path: '/v1/devices', body: '{"id":"formed"}', headers: { 'content-type': type } })).status).toBe(415)
  })

  test('nobody else can sign somebody in: a link is taken from our own page alone', async () => {
    const link = await secret()
    for (const headers of [{}, { ...ours(), origin: 'https://evil.example' }, { ...ours(), 'sec-fetch-site': 'cross-site' }]) expect((await open(link, headers)).status).toBe(403)
    expect((await open(link)).status).toBe(200)
  })
})

describe('pages and files', () => {
  test('a browser without a certificate gets the page to sign in, and nothing of the fleet', async () => {
    const page = await asked({ path: '/console/' })
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect((await asked({ path: '/console/session' })).json()).toEqual({ signedIn: false, ended: false })
    expect((await asked({ path: '/v1/devices' })).status).toBe(403)
  })

  test('who came with a certificate is told so', async () => {
    expect((await asked({ path: '/console/session', credential: house.operator })).json()).toMatchObject({ signedIn: true, via: 'certificate', name: 'operator', role: 'admin' })
  })

  test('the page may run our own files alone, and be framed by nobody (A15)', async () => {
    const { headers } = await asked({ path: '/console/devices/pump-1' })
    expect(headers['content-security-policy']).toBe("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin' })
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  test('files that are named by their hash are kept for ever, in the smallest form that the reader takes', async () => {
    const page = await asked({ path: '/console/' })
    const script = /src="([^"]+\.js)"/.exec(page.text)?.[1] ?? ''
    const plain = await asked({ path: script })
    expect(plain.headers).toMatchObject({ 'cache-control': 'public, max-age=31536000, immutable', 'content-type': 'text/javascript; charset=utf-8', vary: 'accept-encoding' })
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect((await asked({ path: script, headers: { 'accept-encoding': 'gzip, br' } })).headers['content-encoding']).toBe('br')
    expect((await asked({ path: script, headers: { 'accept-encoding': 'gzip, br;q=0' } })).headers['content-encoding']).toBe('gzip')
  })

  test.each([
    '/console/assets/../../package.json', '/console/assets/..%2f..%2fpackage.json', '/console/assets/%2e%2e/%2e%2e/package.json', '/console/assets/..\\..\\package.json',
    '/console/assets//etc/passwd', '/console/assets/%00', '/console/assets/index.html%00.js', '/console/assets/', '/console/assets/index.html', '/console/assets/__proto__', '/console/assets/constructor',
  ])('a path that leaves the table finds nothing: %s (A06)', async (at) => {
    const answer = await asked({ path: at })
    expect([400, 404]).toContain(answer.status)
    expect(answer.text).not.toMatch(/root:|"name": "sallyport"/)
  })

  test('a request for another host gets no page and no session (A04)', async () => {
    for (const at of ['/', '/console/', '/console/devices', '/console/session', '/console/assets/x.js']) {
      const answer = await asked({ path: at, headers: { host: 'evil.example' } })
      expect([answer.status, codeOf(answer)]).toEqual([421, 'host-not-allowed'])
    }
    const link = await secret()
    expect((await open(link, { ...ours(), host: 'evil.example', origin: 'https://evil.example' })).status).toBe(421)
  })

  test('a browser that does not know our CA is no refusal of ours; bytes that are no handshake are', async () => {
    // Of one that has refused nothing yet: beyond ten a second they are counted together.
    await using alone = await openHouse()
    const { url } = await alone.openAdmin()
    await expect(ask(url, '', { path: '/console/' })).rejects.toThrow()
    expect(await alone.refusals()).toEqual([])
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.end('GET / HTTP/1.1\r\n\r\n')
    await once(socket.resume(), 'close')
    await expect.poll(() => alone.refusals()).toEqual(['operator-required'])
  })

  test('the root leads to the console', async () => {
    expect(await asked({ path: '/' })).toMatchObject({ status: 302, headers: { location: '/console/' } })
  })
})

describe('the files of a build', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-console-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  test('a console that was not built is no reason not to serve', () => {
    expect(readConsoleFiles(folder)).toEqual({ page: undefined, assets: new Map() })
    expect(readConsoleFiles(path.join(folder, 'nowhere')).page).toBeUndefined()
  })

  test('only what a build makes is served: no folder, no map, nothing too large', () => {
    mkdirSync(path.join(folder, 'assets/deep'), { recursive: true })
    writeFileSync(path.join(folder, 'index.html'), '<p>')
    for (const name of ['a.js', 'a.js.map', 'a.js.br', 'key.pem', '.env']) writeFileSync(path.join(folder, 'assets', name), name)
    writeFileSync(path.join(folder, 'assets/large.js'), Buffer.alloc(CONSOLE_LIMITS.fileBytesMax + 1))
    symlinkSync('/', path.join(folder, 'assets/link.js'))
    expect([...readConsoleFiles(folder).assets.keys()]).toEqual(['/console/assets/a.js'])
  })
})
