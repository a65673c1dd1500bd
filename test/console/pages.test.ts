// Every page of the console in a real browser: whether everybody can read it (WCAG AA), in light and in dark, wide and narrow; the
// keys; the filters; the files; and a hundred thousand devices.
//
// With TEST_PICTURES=FOLDER the pictures of all pages are written there; `npm run pictures` makes those of docs/console.md anew.

import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import axe from 'axe-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { hasChromium, openDesk, settled, type Desk } from './browser.ts'
import { openFleet } from './fleet.ts'

const PICTURES = process.env['TEST_PICTURES']
/** Those of the documents have the plain name. */
const pictureOf = (folder: string, name: string, scheme: string, width: number): string => path.join(folder, scheme === 'light' && width === 1280 ? `${name}.png` : `${name}-${scheme}-${width}.png`)
const AA = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

const PAGES = [
  ['overview', '/'], ['devices', '/devices'], ['device', '/devices/pump-7'], ['connections', '/connections'], ['refusals', '/refusals'], ['enrollment', '/enrollment'], ['policy', '/policy?at=policy.yaml:12'],
  ['certificates', '/certificates'], ['detection', '/devices?view=detection'], ['reports', '/reports'], ['report', '/reports?report=storm.json'], ['audit', '/audit'], ['settings', '/settings'],
] as const

interface AxeViolation {
  readonly id: string
  readonly nodes: readonly { readonly html: string }[]
}

/** axe runs beside the page and not in it: the page's own policy lets no script in. */
async function violations(page: Page): Promise<readonly string[]> {
  const session = await page.context().newCDPSession(page)
  await session.send('Page.setBypassCSP', { enabled: true })
  await page.evaluate(axe.source)
  const found = await page.evaluate(async (tags) => {
    const { axe: there } = window as unknown as { axe: { run: (root: Document, options: object) => Promise<{ violations: AxeViolation[] }> } }
    return (await there.run(document, { runOnly: tags })).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`)
  }, AA)
  await session.detach()
  return found
}

describe.skipIf(!hasChromium)('with Chromium', () => {
  let desk: Desk
  let fleet: AsyncDisposable
  beforeAll(async () => {
    desk = await openDesk()
    fleet = await openFleet(desk.program)
  }, 120_000)
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]()
    await desk[Symbol.asyncDispose]()
  })

  test.each([['light', 1280], ['dark', 1280], ['light', 390], ['dark', 390]] as const)('every page can be read by everybody, %s, %d px wide, and none is wider than its window', { timeout: 180_000 }, async (scheme, width) => {
    await using visit = await desk.signedIn({ scheme, width })
    const { page } = visit
    const wrong: unknown[] = []
    const look = async (name: string): Promise<void> => {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      const found = await violations(page)
      if (wide > 0 || found.length > 0) wrong.push({ name, wide, found })
      if (PICTURES !== undefined) {
        mkdirSync(PICTURES, { recursive: true })
        await page.screenshot({ path: pictureOf(PICTURES, name, scheme, width), fullPage: width < 500 })
      }
    }
    for (const [name, at] of PAGES) {
      await visit.visit(at)
      await look(name)
    }
    await visit.visit('/refusals?step=policy')
    await page.locator('.rows .body a[href*="/refusals/"]').first().click()
    await page.getByRole('heading', { name: 'The way it took' }).waitFor()
    await look('refusal')
    await visit.visit('/devices/pump-7')
    await page.getByRole('button', { name: 'Suspend…' }).click()
    await page.getByRole('dialog').waitFor()
    await look('dialog')
    const context = await desk.context({ scheme, width })
    const out = await context.newPage()
    await out.goto(`${desk.url}/console/`)
    await out.getByRole('heading', { name: 'Sign in to Sallyport' }).waitFor()
    expect(await violations(out)).toEqual([])
    if (PICTURES !== undefined) await out.screenshot({ path: pictureOf(PICTURES, 'login', scheme, width) })
    await context.close()
    expect(wrong).toEqual([])
    expect(visit.complaints).toEqual([])
  })

  test('everything is done with the keys', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.textContent ?? '')
    for (const [letter, heading] of [['d', 'Devices'], ['r', 'Refusals'], ['p', 'Policy'], ['a', 'Audit'], ['o', 'Overview'], ['d', 'Devices']] as const) {
      await page.keyboard.press('g')
      await page.keyboard.press(letter)
      await page.getByRole('heading', { name: heading, level: 1 }).waitFor()
    }
    await page.getByRole('link', { name: 'pump-7' }).waitFor()
    await page.keyboard.press('j')
    const first = await focused()
    await page.keyboard.press('j')
    const second = await focused()
    expect(second).not.toBe(first)
    await page.keyboard.press('k')
    expect(await focused()).toBe(first)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: first, level: 1 }).waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('pump-8')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'pump-8', level: 1 }).waitFor()
    await page.keyboard.press('/')
    // Letters that are typed are no keys.
    await page.keyboard.type('gr?')
    await page.keyboard.press('Escape')
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('pump-8')
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })

  test('filters live in the address, and back works', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/devices?state=suspended')
    await page.getByRole('link', { name: 'meter-12' }).waitFor()
    expect(await page.getByRole('link', { name: 'pump-7' }).count()).toBe(0)
    await page.getByLabel('State').selectOption('active')
    await page.getByRole('link', { name: 'pump-7' }).click()
    await page.getByRole('heading', { name: 'pump-7', level: 1 }).waitFor()
    await page.goBack()
    await page.getByRole('link', { name: 'pump-7' }).waitFor()
    expect(new URL(page.url()).search).toBe('?state=active')
    expect(await page.getByLabel('State').inputValue()).toBe('active')
    await page.getByLabel('Search').fill('PUMP-8')
    await page.getByRole('link', { name: 'pump-7' }).waitFor({ state: 'detached' })
    expect(await page.getByRole('link', { name: 'pump-8' }).count()).toBe(1)
  })

  test('a file has everything that the filters leave', async () => {
    await using visit = await desk.signedIn()
    await visit.visit('/devices?group=sensors')
    for (const kind of ['CSV', 'JSON'] as const) {
      const [download] = await Promise.all([visit.page.waitForEvent('download'), visit.page.getByRole('button', { name: `Export ${kind}` }).click()])
      expect(download.suggestedFilename()).toBe(`devices.${kind.toLowerCase()}`)
      const text = readFileSync(await download.path(), 'utf8')
      expect(text).toContain('pump-7')
      expect(text).not.toContain('demo-backend')
    }
    expect(visit.complaints).toEqual([])
  })

  test('the policy is tried, compared and put in force, and a mistake is marked at its line', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/policy?device=pump-7')
    const tryIt = page.getByRole('region', { name: /^Try it/ })
    await tryIt.getByLabel('Topic').fill('t/pump-7/a')
    await tryIt.getByRole('button', { name: 'Ask' }).click()
    await tryIt.getByText('Allowed').waitFor()
    expect(await tryIt.getByRole('status').textContent()).toMatch(/by sensor at policy\.yaml:\d+/)
    const text = page.getByLabel('Text of policy.yaml')
    const before = await text.inputValue()
    await text.fill(before.replace('    publish:', '    publsh:'))
    await page.getByRole('button', { name: 'What would it change?' }).click()
    await page.getByRole('list', { name: 'Findings' }).getByText('publsh').first().waitFor()
    await text.fill(before.replace('- "state/${device.id}"', '- "status/${device.id}"'))
    await page.getByRole('button', { name: 'What would it change?' }).click()
    await page.getByText('status/${device.id}').last().waitFor()
    await page.getByRole('button', { name: 'Put it in force…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Put it in force' }).click()
    await page.getByText('Generation 2 is in force', { exact: false }).waitFor()
    expect(readFileSync(path.join(desk.program.home, 'policy.yaml'), 'utf8')).toContain('status/${device.id}')
    await page.getByRole('button', { name: 'Take back to it…' }).first().click()
    await page.getByRole('dialog').getByRole('button', { name: 'Take it back' }).click()
    await page.getByText('Generation 3 is in force', { exact: false }).waitFor()
    expect(visit.complaints).toEqual([])
  })

  test('who waits for a person is let in by one', async () => {
    await using visit = await desk.signedIn()
    await visit.visit('/enrollment')
    await visit.page.getByText('asks for a certificate').waitFor()
    await visit.page.getByRole('button', { name: 'Approve line-3' }).click()
    await visit.page.getByText('Nobody waits.', { exact: false }).waitFor()
    expect(desk.program.run('enrollment', 'list', '--state', 'approved').stdout).toContain('line-3')
  })

  test('a token is shown once', async () => {
    await using visit = await desk.signedIn()
    await visit.visit('/enrollment')
    await visit.page.getByRole('button', { name: 'Make a token…' }).click()
    await visit.page.getByLabel('For this device id', { exact: false }).fill('field-*')
    await visit.page.getByRole('button', { name: 'Make it' }).click()
    const dialog = visit.page.getByRole('dialog', { name: 'The token' })
    await dialog.waitFor()
    const token = await dialog.locator('code').textContent()
    await dialog.getByRole('button', { name: 'Close' }).click()
    expect(token?.length).toBeGreaterThan(20)
    await visit.page.reload()
    await settled(visit.page)
    expect(await visit.page.content()).not.toContain(token)
  })

  test('a hundred thousand devices are scrolled to the last, and the page holds only those that are seen', { timeout: 120_000 }, async () => {
    const COUNT = 100_000
    await using visit = await desk.signedIn()
    const { page } = visit
    const id = (index: number): string => `d-${String(index).padStart(6, '0')}`
    let longest = 0
    await page.route('**/v1/devices?*', async (route) => {
      const query = new URL(route.request().url()).searchParams
      const from = Number(query.get('after')?.slice(2) ?? -1) + 1
      const size = Math.min(Number(query.get('limit')), COUNT - from)
      const items = Array.from({ length: size }, (_, index) => ({ id: id(from + index), tenant: 'default', groups: ['sensors'], attributes: { site: 'north' }, state: 'active', createdAt: 0, revision: 1 }))
      await route.fulfill({ json: { items, ...(from + size < COUNT ? { next: id(from + size - 1) } : {}) } })
    })
    await visit.visit('/devices')
    await page.getByRole('link', { name: id(0) }).waitFor()
    for (;;) {
      longest = Math.max(longest, await page.locator('.rows .row').count())
      await page.keyboard.press('End')
      if ((await page.getByRole('link', { name: id(COUNT - 1) }).count()) > 0) break
    }
    expect(longest).toBeLessThan(100)
    // A key that comes while the page still grows is lost to the browser: a person presses it again, too.
    for (;;) {
      await page.keyboard.press('Home')
      if ((await page.getByRole('link', { name: id(0) }).count()) > 0) break
    }
    const scrolled = await page.evaluate(async () => {
      const frames: number[] = []
      for (let step = 0; step < 60; step++) {
        const before = performance.now()
        scrollBy(0, 40_000)
        await new Promise((resolve) => requestAnimationFrame(() => resolve(undefined)))
        frames.push(performance.now() - before)
      }
      return frames.toSorted((a, b) => a - b)[30]
    })
    // A frame of a busy machine is not one of a quiet one; a table that makes all of its rows takes seconds for each.
    expect(scrolled).toBeLessThan(200)
  })
})
