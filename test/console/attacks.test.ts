// Attacks on the console in a real browser: other sites that use its cookie or its operator's certificate, names that lead here, frames,
// and everything that a device can write into a page.

import { spawnSync } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { hasChromium, openDesk, settled, type Desk } from './browser.ts'
import { closing, connectDevice, readBundle } from './device.ts'
import { openReceiver, type Receiver } from '../webhooks/receiver.ts'

const MARKUP = '<img src=x onerror="window.owned=1">'

describe.skipIf(!hasChromium)('with Chromium', () => {
  let desk: Desk
  let evil: Server
  let evilUrl: string
  let receiver: Receiver
  beforeAll(async () => {
    receiver = await openReceiver((_, response) => void response.writeHead(400, MARKUP.replaceAll('"', ''), { 'content-type': 'text/html', 'x-why': encodeURIComponent(MARKUP) }).end(MARKUP))
    desk = await openDesk({ 'receivers.pem': receiver.ca, 'factory.pem': authority(MARKUP), 'sallyport.yaml': 'webhooks: { allow: [127.0.0.1, "::1"], ca: receivers.pem }\ntrust: [{ name: factory, file: factory.pem, only: enrollment }]\n' })
    // Another site, with a page that tries whatever it is told to.
    evil = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>evil</title><body></body>'))
    await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
    evilUrl = `http://localhost:${(evil.address() as AddressInfo).port}`
  })
  afterAll(async () => {
    evil.close()
    await receiver[Symbol.asyncDispose]()
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

  test.each([['by a session', false], ['by certificate', true]])('a page without an origin changes nothing, whoever is signed in %s: a sandboxed frame, and a document of data', async (_, certificate) => {
    await using visit = await desk.signedIn({ certificate })
    const page = await visit.context.newPage()
    await page.goto(evilUrl)
    const tried = await page.evaluate((url) => new Promise<readonly string[]>((resolve) => {
      const script = `const tries = [{ method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"id":"forged"}', headers: { 'content-type': 'text/plain' } }, { method: 'POST', credentials: 'include', body: '{"id":"forged"}', headers: { 'content-type': 'application/json' } }, { credentials: 'include' }]
        Promise.all(tries.map((init) => fetch('${url}/v1/devices', init).then((answer) => answer.type, () => 'refused'))).then((outcomes) => parent.postMessage([origin, ...outcomes], '*'))`
      addEventListener('message', ({ data }) => resolve(data as readonly string[]), { once: true })
      const frame = document.createElement('iframe')
      frame.setAttribute('sandbox', 'allow-scripts allow-forms')
      frame.srcdoc = ['<script>', script, '</', 'script>'].join('')
      document.body.append(frame)
    }), desk.url)
    // The answer of the first is opaque where the browser let it out at all: what counts is that nothing came of it.
    expect(tried[0]).toBe('null')
    expect(tried.slice(2)).toEqual(['refused', 'refused'])
    expect(registered('forged')).toBe(false)
    const log = (desk.program.json('audit', 'list', '--action=refusal', '--find=a request from a web page') as { readonly items: readonly unknown[] }).items
    expect(log.length).toBeGreaterThan(0)
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
    // As a Will, as user properties, as a message that is kept for it, as the name that TLS asks for, as the name of a request to enroll.
    for (const options of [{ will: { topic: `state/${MARKUP}`, payload: Buffer.from(MARKUP), qos: 1 as const, retain: false } }, { properties: { userProperties: { [MARKUP]: MARKUP } } }, { username: MARKUP, password: Buffer.from(MARKUP) }, { servername: 'a<img src=x>.example' }]) {
      await connectDevice(port, 'xss-1', bundle, options).then((more) => more.publishAsync('t/xss-1/a', MARKUP, { qos: 1, properties: { userProperties: { [MARKUP]: MARKUP }, contentType: MARKUP, responseTopic: 't/xss-1/r' } }).then(() => more.endAsync(true), () => more.endAsync(true)), () => undefined)
    }
    const { enroll } = program.endpoints
    spawnSync('curl', ['-s', '--cacert', `${program.home}/certs/local/root.pem`, '-A', MARKUP, '-u', `${MARKUP}:${MARKUP}`, '-H', 'content-type: application/pkcs10', '--data-binary', MARKUP, `https://localhost:${enroll.port}/.well-known/est/simpleenroll`])
    spawnSync('curl', ['-s', '-k', '--path-as-is', '-A', MARKUP, '-H', `Host: ${MARKUP}`, `${desk.url}/v1/${encodeURIComponent(MARKUP)}`])
    spawnSync('curl', ['-s', '-k', '-A', MARKUP, `${desk.url}/v1/devices?q=<img>`])
    // As what a receiver answers, as the address of it, as the text of a policy and the names in it.
    program.run('webhook', 'add', `${receiver.url}/<svg/onload=window.owned=1>`, '--name', 'xss')
    program.run('webhook', 'test', 'xss')
    const { appendFileSync } = await import('node:fs')
    appendFileSync(`${program.home}/policy.yaml`, `# ${MARKUP}\ndeny:\n  - { id: "xss", to: any, publish: ["x/<img src=x onerror=window.owned=1>/#"] }\n`)
    program.run('policy', 'apply', '--yes')
    // As the subject of a certificate that nobody vouches for.
    await connectDevice(port, 'stranger', { ...(await selfSigned(MARKUP)), ca: bundle.ca }).catch(() => undefined)
    const { mkdirSync, writeFileSync } = await import('node:fs')
    mkdirSync(`${program.home}/reports`, { recursive: true })
    writeFileSync(`${program.home}/reports/run.json`, JSON.stringify({ startedAt: MARKUP, durationMs: 1, ok: false, target: { name: MARKUP, host: MARKUP, port: 1 }, cases: [{ case: MARKUP, title: MARKUP, verdict: MARKUP, seen: MARKUP }] }))

    await using visit = await desk.signedIn({ agent: MARKUP })
    const { page } = visit
    for (const at of ['/', '/devices', '/devices?q=%3Cimg', '/certificates', '/certificates?serial=%3Cimg%20src=x%3E', '/enrollment', '/policy', `/policy?${new URLSearchParams({ device: MARKUP, does: MARKUP, topic: MARKUP }).toString()}`, `/audit?q=${encodeURIComponent(MARKUP)}`, '/devices/xss-1', '/connections', '/refusals', '/audit', '/settings', '/reports?report=run.json', `/devices/${encodeURIComponent(MARKUP)}`, `/refusals?q=${encodeURIComponent(MARKUP)}`, `/policy?at=${encodeURIComponent(MARKUP)}`]) {
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
    // They are there, as text: else nothing was tried.
    await visit.visit('/settings')
    const settings = await page.getByRole('main').textContent()
    expect(settings).toContain(MARKUP)
    expect(settings).toContain('svg/onload=window.owned=1')
    await page.getByRole('button', { name: 'Deliveries of webhook xss' }).click()
    await page.getByRole('dialog').getByText('400', { exact: false }).first().waitFor()
    await page.keyboard.press('Escape')
    await visit.visit('/certificates')
    expect(await page.getByRole('main').textContent()).toContain('factory')
    await visit.visit('/audit')
    const rows = Number(await page.getByRole('table').getAttribute('aria-rowcount'))
    const last = rows === -1 ? 41 : Math.min(41, rows)
    expect(last).toBeGreaterThan(20)
    // By their place in the list: of a long one only those in sight are in the page.
    for (let place = 2; place <= last; place++) {
      await page.locator(`.rows [aria-rowindex="${place}"] .plain-link`).click()
      await page.getByRole('dialog').waitFor()
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
    }
    expect(await page.evaluate(() => 'owned' in window)).toBe(false)
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

/** The certificate of a CA of somebody else's, with this as its name. */
function authority(name: string): string {
  return /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n/.exec(spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '-', '-subj', `/CN=${name.replaceAll('/', String.raw`\/`)}`, '-days', '9', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'], { encoding: 'utf8' }).stdout)?.[0] ?? ''
}

/** A certificate that nobody but itself vouches for, with this as its name. */
async function selfSigned(name: string): Promise<{ readonly cert: string; readonly key: string }> {
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '-', '-subj', `/CN=${name.replaceAll('/', String.raw`\/`)}`, '-days', '1', '-addext', `subjectAltName=URI:urn:x:${name.replaceAll(/[ ",]/g, '')},DNS:a.example`], { encoding: 'utf8' })
  const key = /-----BEGIN PRIVATE KEY-----[\s\S]+?-----END PRIVATE KEY-----\n/.exec(made.stdout)?.[0] ?? ''
  const cert = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n/.exec(made.stdout)?.[0] ?? ''
  return { cert, key }
}
