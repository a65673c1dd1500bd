// The console in Chromium: what it loads first and how soon it shows something, how long a filter of the list of 100,000 devices takes from the
// key to the rows on the screen, and what scrolling through all of them costs the browser.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { spawnSync } from 'node:child_process'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { percentile } from '../process-cpu.ts'
import { openServers } from '../servers.ts'
import { openHouse, operatorOf } from '../api/house.ts'
import { partFlags, three } from '../api/part.ts'
import { seededId } from '../api/seed.ts'

const CHROMIUM = '/usr/bin/chromium'
const LAUNCH = path.resolve(import.meta.dirname, '../../src/launch.cjs')
const flags = partFlags()
const SIZE = flags.quick ? { connected: 10, registered: 2_000, loads: 2, keys: 2 } : { connected: 10, registered: 100_000, loads: Number(flags.rounds ?? 15), keys: Number(flags.rounds ?? 15) }
const [BYTES_GOAL, FILTER_GOAL_MS] = [150_000, 200]
const DAY = 86_400_000
const SCROLLS_MAX = 3_000

interface Loaded {
  readonly bytes: number
  readonly requests: number
  readonly paintMs: number
  readonly dataMs: number
}

/** With an empty cache and the cookie of a session. Interactive: the overview shows its figures. */
async function load(browser: Browser, url: string, storageState: Awaited<ReturnType<BrowserContext['storageState']>>): Promise<Loaded> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, storageState })
  const page = await context.newPage()
  const wire = await context.newCDPSession(page)
  await wire.send('Network.enable')
  let [bytes, requests] = [0, 0]
  wire.on('Network.requestWillBeSent', () => (requests += 1))
  wire.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength))
  await page.goto(`${url}/console/`)
  const found = await page.evaluate(async () => {
    while (document.querySelector('.truth') === null) await new Promise(requestAnimationFrame)
    await new Promise(requestAnimationFrame)
    const dataMs = performance.now()
    return { dataMs, paintMs: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN }
  })
  await context.close()
  return { ...found, bytes, requests }
}

interface Filter {
  readonly name: string
  /** The field by its label, what stands in it already, and the key that is pressed; or the value that is chosen. */
  readonly label: string
  readonly before?: string
  readonly key?: string
  readonly chosen?: string
  /** The first two rows when it is done; the very first may be that of the whole list. */
  readonly first: readonly string[]
}

const ids = [...Array.from({ length: SIZE.registered - SIZE.connected }, (_, i) => ({ id: seededId(i), i })), ...Array.from({ length: SIZE.connected - 1 }, (_, i) => ({ id: `speaker-${i}`, i: -1 }))].toSorted((a, b) => (a.id < b.id ? -1 : 1))
const firstOf = (fits: (device: { readonly id: string; readonly i: number }) => boolean): readonly string[] => {
  const found: string[] = []
  for (const device of ids) if (found.length < 2 && fits(device)) found.push(device.id)
  return found
}

const FILTERS: readonly Filter[] = [
  { name: 'a part of the id', label: 'Search', before: 'sensor-7', key: '7', first: firstOf(({ id }) => id.includes('sensor-77')) },
  { name: 'the beginning of an id', label: 'Search', before: 'line-9-sensor-', key: '9', first: firstOf(({ id }) => id.includes('line-9-sensor-9')) },
  { name: 'a part that no id has', label: 'Search', before: 'sensor-99', key: 'x', first: [] },
  { name: 'a group', label: 'Group', before: 'line-', key: '3', first: firstOf(({ i }) => i % 10 === 3) },
  { name: 'an attribute', label: 'Attribute, as site=north', before: 'rack=7', key: '7', first: firstOf(({ i }) => i % 1_000 === 77) },
  { name: 'a state', label: 'State', chosen: 'suspended', first: firstOf(({ i }) => i >= 0 && i % 500 === 0) },
  { name: 'ending within 7 days', label: 'Certificate', chosen: String(7 * DAY), first: firstOf(({ i }) => i >= 0 && i % 365 < 6) },
]

/** From the event of the key, as the browser stamped it, to the frame in which the right rows are. */
async function keyToRows(page: Page, url: string, { label, before, key, chosen, first }: Filter): Promise<number> {
  await page.goto(`${url}/console/devices`)
  await page.locator('.rows .body [role=row]').first().waitFor()
  const field = page.locator('.filters label', { hasText: label }).locator('input, select').first()
  if (before !== undefined) {
    await field.fill(before)
    await page.waitForURL((at) => at.search.includes(encodeURIComponent(before)))
    await page.waitForLoadState('networkidle')
    await field.press('End')
  }
  const painted = page.evaluate(async (wanted) => {
    const begun = await new Promise<number>((resolve) => {
      for (const kind of ['keydown', 'change']) addEventListener(kind, (event) => resolve(event.timeStamp), { capture: true, once: true })
    })
    const isThere = (): boolean => {
      const rows = [...document.querySelectorAll('.rows .body [role=row] a')].slice(0, 2).map((row) => row.textContent)
      return wanted.length === 0 ? rows.length === 0 && (document.querySelector('#content')?.textContent ?? '').includes('No device fits') : rows.join(' ') === wanted.join(' ')
    }
    while (!isThere()) await new Promise(requestAnimationFrame)
    await new Promise(requestAnimationFrame)
    return performance.now() - begun
  }, first)
  // The page listens before the key comes.
  await page.evaluate(() => new Promise(requestAnimationFrame))
  if (key === undefined) await field.selectOption(chosen ?? '')
  else await field.press(key)
  return await painted
}

/** Down to the last row, a window or more at a time, as fast as they come. */
async function scrollThrough(page: Page, url: string): Promise<{ readonly rows: number; readonly seconds: number; readonly nodesMax: number; readonly rowsMax: number; readonly longTasks: readonly number[] }> {
  await page.goto(`${url}/console/devices`)
  await page.locator('.rows .body [role=row]').first().waitFor()
  return await page.evaluate(async ({ all, scrollsMax }) => {
    const longTasks: number[] = []
    new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => longTasks.push(duration))).observe({ entryTypes: ['longtask'] })
    const frame = () => new Promise(requestAnimationFrame)
    const begun = performance.now()
    let [nodesMax, rowsMax, rows] = [0, 0, 0]
    for (let scrolls = 0; scrolls < scrollsMax && rows < all; scrolls++) {
      scrollTo(0, document.body.scrollHeight)
      await frame()
      await frame()
      nodesMax = Math.max(nodesMax, document.querySelectorAll('*').length)
      rowsMax = Math.max(rowsMax, document.querySelectorAll('.rows .body [role=row]').length)
      rows = Math.max(rows, ...[...document.querySelectorAll('.rows .body [role=row]')].map((row) => Number(row.getAttribute('aria-rowindex')) - 1))
    }
    return { rows, seconds: (performance.now() - begun) / 1_000, nodesMax, rowsMax, longTasks }
  }, { all: SIZE.registered, scrollsMax: SCROLLS_MAX })
}

async function measure(): Promise<void> {
  using house = await openHouse({ ...SIZE, kept: flags.kept })
  const servers = openServers()
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
  try {
    const served = await servers.serve(house.home)
    const { url } = operatorOf(house.home)
    const said = spawnSync(process.execPath, [LAUNCH, 'console'], { encoding: 'utf8', env: { ...process.env, SALLYPORT_HOME: house.home, NO_COLOR: '1' } }).stdout
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 } })
    const page = await context.newPage()
    await page.goto(/https:\S+#link=\S+/.exec(said)?.[0] ?? '')
    await page.getByRole('navigation', { name: 'Pages' }).waitFor()
    const state = await context.storageState()
    const loads: Loaded[] = []
    for (let n = 0; n < SIZE.loads; n++) loads.push(await load(browser, url, state))
    console.log(`first load, cold cache, ${SIZE.loads} times: ${three(loads.map(({ bytes }) => bytes / 1_000), 1)} kB with headers in ${three(loads.map(({ requests }) => requests), 0)} requests (wanted: ≤ ${BYTES_GOAL / 1_000} kB); first paint after ${three(loads.map(({ paintMs }) => paintMs), 0)} ms, the overview's figures after ${three(loads.map(({ dataMs }) => dataMs), 0)} ms`)
    console.log(`from key to rows, ${SIZE.registered} devices, ${SIZE.keys} times each (wanted: ≤ ${FILTER_GOAL_MS} ms)`)
    for (const filter of FILTERS) {
      const times: number[] = []
      for (let n = 0; n < SIZE.keys; n++) times.push(await keyToRows(page, url, filter))
      console.log(`  ${filter.name.padEnd(30)} p50 ${percentile(times, 50).toFixed(0)}, p95 ${percentile(times, 95).toFixed(0)}, worst ${percentile(times, 100).toFixed(0)} ms`)
    }
    const { rows, seconds, nodesMax, rowsMax, longTasks } = await scrollThrough(page, url)
    console.log(`scrolled through ${rows} rows in ${seconds.toFixed(1)} s: at most ${rowsMax} rows and ${nodesMax} elements in the page; ${longTasks.length} tasks beyond 50 ms${longTasks.length === 0 ? '' : `, the longest ${Math.max(...longTasks).toFixed(0)} ms`}`)
    await context.close()
    await served.stop()
  } finally {
    await browser.close()
    servers.killAll()
  }
}

if (existsSync(CHROMIUM)) await measure()
else console.log(`${CHROMIUM} is not here: nothing is measured in a browser`)
