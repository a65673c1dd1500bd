// Attacks on the console in a real browser: other sites that use its cookie or its operator's certificate, names that lead here, frames,
// and everything that a device can write into a page.

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { hasChromium, openDesk, settled, type Desk } from './browser.ts'
import { closing, connectDevice, readBundle } from './device.ts'

const MARKUP = '<img src=x onerror="window.owned=1">'

describe.skipIf(!hasChromium)('with Chromium', () => {
  let desk: Desk
  let evil: Server
  let evilUrl: string
  beforeAll(async () => {
    desk = await openDesk()
    // Another site, with a page that tries whatever it is told to.
    evil = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>evil</title><body></body>'))
    await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
    evilUrl = `http://localhost:${(evil.address() as AddressInfo).port}`
  })
  afterAll(async () => {
    evil.close()
    await desk[Symbol.asyncDispose]()
  })

  const registered = (id: string): boolean => desk.program.run('device', 'show', id).status === 0

  async function formPost(page: Page, action: string, type: string): Promise<void> {
    const arrived = page.waitForURL(action)
    await page.evaluate(([to, encoding]) => {
      const form = document.createElement('form')
      form.method = 'POST'
      form.action = to ?? ''
      form.enctype = encoding ?? ''
      const field = document.createElement('input')
      field.name = '{"id":"forged","x":"'
      field.value = '"}'
      form.append(field)
      document.body.append(form)
      // The answer to this comes before the page goes.
      setTimeout(() => form.submit(), 0)
    }, [action, type])
    await arrived
  }

  test.each([['by a session', false], ['by certificate', true]])('no other site changes anything for who is signed in %s (A03)', async (_, certificate) => {
    await using visit = await desk.signedIn({ certificate })
    const page = await visit.context.newPage()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      await page.goto(evilUrl)
      await formPost(page, `${desk.url}/v1/devices`, type)
    }
    await page.goto(evilUrl)
    const outcomes = await page.evaluate(async (url) => {
      const body = JSON.stringify({ id: 'forged' })
      const tries: RequestInit[] = [
        { method: 'POST', body, credentials: 'include', mode: 'no-cors', headers: { 'content-type': 'text/plain' } },
        { method: 'POST', body, credentials: 'include', headers: { 'content-type': 'application/json' } },
        { method: 'GET', credentials: 'include' },
      ]
      return Promise.all(tries.map((init) => fetch(`${url}/v1/devices`, init).then((answer) => answer.type, () => 'refused')))
    }, desk.url)
    expect(outcomes).toEqual(['refused', 'refused', 'refused'])
    expect(registered('forged')).toBe(false)
    // The nearest that is allowed: the same from our own page.
    expect(await visit.page.evaluate(() => fetch('/v1/status').then(({ status }) => status))).toBe(200)
  })

  test('a page of another port of the same machine is another site, too', async () => {
    await using visit = await desk.signedIn()
    const page = await visit.context.newPage()
    const neighbour = evilUrl.replace('localhost', new URL(desk.url).hostname)
    await page.goto(neighbour)
    await formPost(page, `${desk.url}/v1/devices`, 'text/plain')
    await page.goto(neighbour)
    expect(await page.evaluate((url) => fetch(`${url}/v1/devices`, { credentials: 'include' }).then(() => 'read', () => 'refused'), desk.url)).toBe('refused')
    expect(registered('forged')).toBe(false)
  })

  test('no other site signs anybody in with a link of its own', async () => {
    const link = desk.link().split('#link=')[1] ?? ''
    const context = await desk.context()
    const page = await context.newPage()
    await page.goto(evilUrl)
    await page.evaluate(([url, secret]) => fetch(`${url ?? ''}/console/session`, { method: 'POST', credentials: 'include', mode: 'no-cors', body: JSON.stringify({ link: secret }), headers: { 'content-type': 'text/plain' } }).then(() => undefined, () => undefined), [desk.url, link])
    expect(await context.cookies(desk.url)).toEqual([])
    await page.goto(`${desk.url}/console/#link=${link}`)
    await page.getByRole('navigation', { name: 'Pages' }).waitFor()
    await context.close()
  })

  test('a name of somebody else that leads to this server gets nothing of it (A04)', async () => {
    const port = new URL(desk.url).port
    // What a rebinding attack comes to: the browser believes that evil.example is this address.
    const { chromium } = await import('playwright-core')
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP evil.example 127.0.0.1'] })
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true })
      const page = await context.newPage()
      const answer = await page.goto(`https://evil.example:${port}/console/`)
      expect(answer?.status()).toBe(421)
      expect(await page.textContent('body')).toContain('host-not-allowed')
    } finally {
      await browser.close()
    }
  })

  test('no other site frames it (A15)', async () => {
    await using visit = await desk.signedIn()
    const page = await visit.context.newPage()
    await page.goto(evilUrl)
    await page.evaluate((url) => new Promise<void>((resolve) => {
      const frame = document.createElement('iframe')
      frame.src = `${url}/console/`
      frame.addEventListener('load', () => resolve())
      document.body.append(frame)
    }), desk.url)
    const framed = page.frames().find((frame) => frame !== page.mainFrame())
    expect(framed?.url()).not.toContain('/console/')
  })

  test('whatever a device writes stays text: certificate, client id, topic, attributes, reports, user agents (A07)', { timeout: 180_000 }, async () => {
    const { program } = desk
    program.run('device', 'add', 'xss-1', '--group', 'sensors', '--attr', `note=${MARKUP.replaceAll('/', '')}`)
    const folder = `${program.home}/xss-1`
    program.run('device', 'bundle', 'xss-1', '--out', folder)
    const bundle = readBundle(folder)
    const { port } = program.endpoints.mqtt
    // As a client id, and as a topic that is refused.
    await connectDevice(port, MARKUP, bundle).then((client) => client.endAsync(), () => undefined)
    const client = await connectDevice(port, 'xss-1', bundle)
    const told = closing(client)
    await Promise.race([told, client.publishAsync(`t/other/${MARKUP}`, 'x', { qos: 1 }).catch(() => undefined)])
    await client.endAsync(true)
    // As the subject of a certificate that nobody vouches for.
    await connectDevice(port, 'stranger', { ...(await selfSigned(MARKUP)), ca: bundle.ca }).catch(() => undefined)
    const { mkdirSync, writeFileSync } = await import('node:fs')
    mkdirSync(`${program.home}/reports`, { recursive: true })
    writeFileSync(`${program.home}/reports/run.json`, JSON.stringify({ startedAt: MARKUP, durationMs: 1, ok: false, target: { name: MARKUP, host: MARKUP, port: 1 }, cases: [{ case: MARKUP, title: MARKUP, verdict: MARKUP, seen: MARKUP }] }))

    await using visit = await desk.signedIn()
    await visit.context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => console.error(`violation: ${event.violatedDirective} ${event.blockedURI}`))
    })
    const { page } = visit
    for (const at of ['/', '/devices', '/devices?q=%3Cimg', '/devices/xss-1', '/connections', '/refusals', '/audit', '/settings', '/reports?report=run.json', `/devices/${encodeURIComponent(MARKUP)}`, `/refusals?q=${encodeURIComponent(MARKUP)}`, `/policy?at=${encodeURIComponent(MARKUP)}`]) {
      await visit.visit(at)
      expect(await page.evaluate(() => [document.querySelectorAll('#content img, #content script, #content iframe').length, 'owned' in window])).toEqual([0, false])
    }
    await visit.visit('/refusals')
    const shown = await page.getByRole('main').textContent()
    expect(shown).toContain('xss-1')
    for (const id of await page.locator('.rows .body a[href*="/refusals/"]').evaluateAll((links) => [...new Set(links.map((link) => link.getAttribute('href') ?? ''))])) {
      await page.goto(`${desk.url}${id}`)
      await settled(page)
      expect(await page.evaluate(() => 'owned' in window)).toBe(false)
    }
    await visit.visit('/devices/xss-1')
    expect(await page.getByRole('main').textContent()).toContain(MARKUP.replaceAll('/', ''))
    expect(visit.complaints).toEqual([])
  })

  test('a script that got into the page all the same would not run', async () => {
    await using visit = await desk.signedIn()
    const outcome = await visit.page.evaluate(() => {
      const tries: string[] = []
      const attempt = (name: string, work: () => void): void => {
        try {
          work()
          tries.push(name)
        } catch (error) {
          tries.push(`${name}: ${error instanceof Error ? error.name : 'refused'}`)
        }
      }
      attempt('innerHTML', () => void (document.body.innerHTML = '<p>'))
      attempt('script', () => {
        const script = document.createElement('script')
        script.textContent = 'window.owned = 1'
        document.body.append(script)
      })
      attempt('policy', () => void (window as unknown as { trustedTypes: { createPolicy: (name: string, rules: object) => unknown } }).trustedTypes.createPolicy('own', {}))
      return [...tries, String('owned' in window)]
    })
    expect(outcome).toEqual(['innerHTML: TypeError', 'script: TypeError', 'policy: TypeError', 'false'])
  })
})

/** A certificate that nobody but itself vouches for, with this as its name. */
async function selfSigned(name: string): Promise<{ readonly cert: string; readonly key: string }> {
  const { spawnSync } = await import('node:child_process')
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '-', '-subj', `/CN=${name.replaceAll('/', String.raw`\/`)}`, '-days', '1'], { encoding: 'utf8' })
  const key = /-----BEGIN PRIVATE KEY-----[\s\S]+?-----END PRIVATE KEY-----\n/.exec(made.stdout)?.[0] ?? ''
  const cert = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n/.exec(made.stdout)?.[0] ?? ''
  return { cert, key }
}
