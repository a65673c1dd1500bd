// A session at the console, and what comes between: the server restarts, the stream breaks, the clock of the browser is wrong, somebody
// signs out and presses "back", the page is zoomed.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, openDesk, settled, type Desk } from './browser.ts'

describe.skipIf(!hasChromium)('with Chromium', () => {
  let desk: Desk
  let port: string
  beforeAll(async () => {
    desk = await openDesk()
    port = new URL(desk.url).port
    for (const id of ['pump-7', 'pump-8']) desk.program.run('device', 'add', id, '--group', 'sensors')
  })
  afterAll(() => desk[Symbol.asyncDispose]())
  /** Where it was: a browser looks for it there. */
  const startAgain = (): Promise<void> => desk.program.serve('--ports', 'configured', ...['mqtt', 'websocket', 'enroll', 'pki', 'metrics'].flatMap((name) => ['--set', `listen.${name}.port=0`]), '--set', `listen.admin.port=${port}`)

  test('a page that has lost the server says so, keeps what it shows, and goes on by itself when the server is back', { timeout: 60_000 }, async () => {
    await using visit = await desk.signedIn({ certificate: true })
    const { page } = visit
    await visit.visit('/devices')
    await page.getByRole('link', { name: 'pump-7' }).waitFor()
    await desk.program.stop()
    await page.getByText('The connection to the server is broken.', { exact: false }).waitFor()
    expect(await page.getByRole('link', { name: 'pump-7' }).count()).toBe(1)
    await startAgain()
    await page.getByText('The connection to the server is broken.', { exact: false }).waitFor({ state: 'detached', timeout: 30_000 })
    // Live again, and nobody has loaded the page anew.
    expect(desk.program.run('device', 'add', 'pump-9').status).toBe(0)
    await page.getByRole('link', { name: 'pump-9' }).waitFor()
    expect(await page.getByRole('link', { name: 'pump-9' }).count()).toBe(1)
  })

  test('a session that was opened by a link ends with the server: the page says so when it is back, and a fresh link goes on where it was', { timeout: 60_000 }, async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/devices?group=sensors')
    await desk.program.stop()
    await startAgain()
    await page.getByText('Your session has ended.', { exact: false }).waitFor({ timeout: 45_000 })
    expect(await page.getByText('pump-7').count()).toBe(0)
    await page.getByLabel('Or paste the link here').fill(desk.link())
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('link', { name: 'pump-7' }).waitFor()
    expect(new URL(page.url()).search).toBe('?group=sensors')
  })

  test('what happens while the stream is broken is on the page afterwards, once', { timeout: 60_000 }, async () => {
    await using visit = await desk.signedIn({ certificate: true })
    const { page } = visit
    await visit.visit('/devices')
    await page.getByRole('link', { name: 'pump-7' }).waitFor()
    await desk.program.stop()
    await page.getByText('The connection to the server is broken.', { exact: false }).waitFor()
    // Without a server the commands work on the home itself.
    for (const id of ['gap-1', 'gap-2']) expect(desk.program.run('device', 'add', id).status).toBe(0)
    await startAgain()
    for (const id of ['gap-1', 'gap-2']) await page.getByRole('link', { name: id }).waitFor({ timeout: 30_000 })
    expect(await page.getByRole('link', { name: /^gap-/ }).count()).toBe(2)
  })

  test('an operator who ends a session elsewhere ends it here, too', async () => {
    await using visit = await desk.signedIn()
    await using admin = await desk.signedIn({ certificate: true })
    const id = await visit.page.evaluate(async () => ((await (await fetch('/console/session')).json()) as { name: string }).name.replace('console-', ''))
    await admin.visit('/settings')
    await admin.page.getByRole('listitem').filter({ hasText: id }).getByRole('button', { name: 'End…' }).click()
    await admin.page.getByRole('dialog').getByRole('button', { name: 'End it' }).click()
    await admin.page.getByRole('dialog').waitFor({ state: 'detached' })
    await visit.page.getByRole('link', { name: 'Devices', exact: true }).click()
    await visit.page.getByRole('heading', { name: 'Sign in to Sallyport' }).waitFor()
    expect(await visit.page.getByText('Your session has ended.', { exact: false }).count()).toBe(1)
  })

  test('after signing out, "back" shows nothing of the fleet, and no answer of it lies in a cache', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    const cacheable: string[] = []
    page.on('response', (response) => {
      if (/\/v1\/|\/console\/session/.test(response.url()) && response.headers()['cache-control'] !== 'no-store') cacheable.push(response.url())
    })
    await visit.visit('/devices')
    await page.getByRole('link', { name: 'pump-7' }).click()
    await page.getByRole('heading', { name: 'pump-7', level: 1 }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in to Sallyport' }).waitFor()
    for (let times = 0; times < 2; times++) {
      await page.goBack()
      await page.getByRole('heading', { name: 'Sign in to Sallyport' }).waitFor()
      expect(await page.content()).not.toContain('pump-')
    }
    expect(cacheable).toEqual([])
  })

  test.each([3, -3])('a browser whose clock is wrong by %d hours shows the times of the server, and says that it is wrong', async (hours) => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await page.clock.install({ time: Date.now() + hours * 3_600_000 })
    expect(desk.program.run('device', 'add', `late${hours}`).status).toBe(0)
    await visit.visit(`/devices/late${hours}`)
    await page.getByText(hours > 0 ? 'ahead of the server' : 'behind the server', { exact: false }).waitFor()
    expect(await page.locator('.facts time').first().textContent()).toMatch(/^(?:just now|\d+ seconds? ago|\d minutes? ago)$/)
  })

  test('zoomed to 200 % and on the narrowest screen nothing runs out of the page', async () => {
    const context = await desk.browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 })
    const page = await context.newPage()
    await page.goto(desk.link())
    await page.getByRole('navigation', { name: 'Pages' }).waitFor()
    for (const width of [640, 320]) {
      await page.setViewportSize({ width, height: 400 })
      for (const at of ['/', '/devices', '/devices/pump-7', '/connections', '/refusals', '/enrollment', '/policy', '/certificates', '/audit', '/settings']) {
        await page.goto(`${desk.url}/console${at}`)
        await settled(page)
        expect({ at, width, over: await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth) }).toEqual({ at, width, over: false })
      }
    }
    await context.close()
  })

  test('who reads with keys goes on at the page that was opened, and keeps a place that changes under it', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/devices')
    await page.getByRole('link', { name: 'pump-8' }).focus()
    expect(desk.program.run('device', 'add', 'a-first-1').status).toBe(0)
    await page.getByRole('link', { name: 'a-first-1' }).waitFor()
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('pump-8')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'pump-8', level: 1 }).waitFor()
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('content')
  })
})
