// A real browser at the console of a real server: Debian's Chromium, a home of its own, and whatever the page complains about.

import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { Program } from '../e2e/program.ts'

const CHROMIUM = '/usr/bin/chromium'
export const hasChromium = existsSync(CHROMIUM)

export interface Desk extends AsyncDisposable {
  readonly program: Program
  readonly browser: Browser
  /** Of the admin server. */
  readonly url: string
  /** A fresh link, as the command prints it. */
  link(): string
  /** A context of its own: no cookie, no history. */
  context(options?: ContextOptions): Promise<BrowserContext>
  /** Signed in by a link. What the page complains about is collected. */
  signedIn(options?: ContextOptions): Promise<Visit>
}

export interface ContextOptions {
  readonly width?: number
  readonly scheme?: 'light' | 'dark'
  /** Shows the operator certificate of this home; a name: that of this folder in `operators`. */
  readonly certificate?: boolean | string
  readonly agent?: string
}

export interface Visit extends AsyncDisposable {
  readonly page: Page
  readonly context: BrowserContext
  /** What the browser has complained about: errors of scripts, violations of the policy for content, requests to anybody else. */
  readonly complaints: readonly string[]
  /** Goes there by the address, and waits until the page has what it asks for. */
  visit(at: string): Promise<void>
}

const HEIGHT = 800

/** `files`: what lies in the home before the first start. */
export async function openDesk(files: Readonly<Record<string, string>> = {}): Promise<Desk> {
  const program = new Program()
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(program.home, name), text)
  await program.serve()
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
  const { url } = program.endpoints.admin
  const link = (): string => /https:\S+#link=\S+/.exec(program.run('console').stdout)?.[0] ?? ''

  async function context({ width = 1280, scheme = 'light', certificate = false, agent }: ContextOptions = {}): Promise<BrowserContext> {
    const operator = path.join(program.home, typeof certificate === 'string' ? `operators/${certificate}` : 'certs/local/operator')
    const opened = await browser.newContext({
      ...(agent === undefined ? {} : { userAgent: agent }),
      ignoreHTTPSErrors: true, viewport: { width, height: HEIGHT }, colorScheme: scheme, reducedMotion: 'reduce', locale: 'en-GB',
      ...(certificate !== false ? { clientCertificates: [{ origin: url, certPath: path.join(operator, 'cert.pem'), keyPath: path.join(operator, 'key.pem') }] } : {}),
    })
    await opened.addInitScript(() => addEventListener('securitypolicyviolation', (event) => console.error(`violation: ${event.violatedDirective} ${event.blockedURI}`)))
    return opened
  }

  return {
    program, browser, url, link, context,
    async signedIn(options) {
      const opened = await context(options)
      const page = await opened.newPage()
      const complaints: string[] = []
      // Nothing that the console shows or does asks anybody but its own server.
      opened.on('request', (request) => {
        if (!/^(?:blob|data):/.test(request.url()) && new URL(request.url()).origin !== url) complaints.push(`asked somebody else: ${request.url()}`)
      })
      page.on('pageerror', (error) => complaints.push(`script: ${error.message}`))
      page.on('console', (message) => {
        // That a request was refused is an answer, and the page shows it.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(`console: ${message.text()}`)
      })
      await page.goto(options?.certificate !== undefined && options.certificate !== false ? `${url}/console/` : link())
      await page.getByRole('navigation', { name: 'Pages' }).waitFor()
      return {
        page, context: opened, complaints,
        async visit(at) {
          await page.goto(`${url}/console${at}`)
          await settled(page)
        },
        [Symbol.asyncDispose]: () => opened.close(),
      }
    },
    async [Symbol.asyncDispose]() {
      await browser.close()
      await program[Symbol.asyncDispose]()
    },
  }
}

/** Nothing says that it is loading. */
export async function settled(page: Page): Promise<void> {
  await page.getByRole('heading', { level: 1 }).waitFor()
  await page.waitForFunction(() => !(document.querySelector('#content')?.textContent ?? '').includes('Loading…'))
}
