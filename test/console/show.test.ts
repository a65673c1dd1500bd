// The whole way of a new user, in a browser: open the printed link, provision a device, connect it, break its certificate, find the
// refusal in words, suspend, resume, revoke.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, openDesk, type Desk } from './browser.ts'
import { broken, closing, connectDevice, readBundle } from './device.ts'

describe.skipIf(!hasChromium)('with Chromium', () => {
  let desk: Desk
  beforeAll(async () => {
    desk = await openDesk()
  })
  afterAll(() => desk[Symbol.asyncDispose]())

  test('the link that the start prints signs in, once, and is gone from the address', async () => {
    const printed = /https:\S+#link=\S+/.exec(desk.program.output)?.[0] ?? ''
    const context = await desk.context()
    const page = await context.newPage()
    await page.goto(printed)
    await page.getByRole('navigation', { name: 'Pages' }).waitFor()
    expect(page.url()).toBe(`${desk.url}/console/`)
    const [cookie, ...more] = await context.cookies()
    expect(more).toEqual([])
    expect(cookie).toMatchObject({ name: `__Host-sallyport-${new URL(desk.url).port}`, httpOnly: true, secure: true, sameSite: 'Strict', path: '/', expires: -1 })
    const other = await desk.context()
    const late = await other.newPage()
    await late.goto(printed)
    await late.getByRole('alert').waitFor()
    expect(await late.getByRole('alert').textContent()).toContain('sallyport console')
    await Promise.all([context.close(), other.close()])
  })

  test('an operator certificate in the browser signs in without a link', async () => {
    await using visit = await desk.signedIn({ certificate: true })
    expect(await visit.page.getByTitle('Signed in by certificate').getByText('operator, admin').count()).toBe(1)
    expect(await visit.context.cookies()).toEqual([])
  })

  test('from registering to revoking, and the refusal in between in words', { timeout: 180_000 }, async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    const port = desk.program.endpoints.mqtt.port
    await visit.visit('/devices')
    await page.getByRole('button', { name: 'Register a device…' }).click()
    await page.getByLabel('Device id').fill('pump-7')
    await page.getByLabel('Groups, separated by spaces').fill('sensors')
    await page.getByRole('button', { name: 'Register', exact: true }).click()
    await page.getByRole('heading', { name: 'pump-7', level: 1 }).waitFor()
    // The key never passes through a browser: the page says which command makes it.
    await page.getByText('sallyport device bundle pump-7 --out ./pump-7').waitFor()

    const folder = path.join(desk.program.home, 'pump-7')
    expect(desk.program.run('device', 'bundle', 'pump-7', '--out', folder).status).toBe(0)
    const bundle = readBundle(folder)
    await page.getByText('Revoke this one…').waitFor()
    const client = await connectDevice(port, 'pump-7', bundle)
    // Live: nobody loads the page again.
    await page.getByRole('region', { name: 'Sessions' }).getByText('TLS_', { exact: false }).waitFor()
    await page.getByText('First used').waitFor()
    await client.endAsync()

    await connectDevice(port, 'pump-7', broken(bundle)).catch(() => undefined)
    await page.getByRole('link', { name: 'Refusals', exact: true }).click()
    await page.getByRole('table', { name: /Refusals/ }).getByText('A signature in the certificate chain does not verify.').first().click()
    await page.getByRole('heading', { name: 'The way it took' }).waitFor()
    expect(await page.locator('.path .stopped').textContent()).toContain('The device shows its certificate')
    expect(await page.locator('.path .passed').count()).toBeGreaterThan(2)
    expect(await page.getByRole('main').textContent()).toContain('The certificate was altered or forged; provision the device again.')

    await visit.visit('/devices/pump-7')
    const again = await connectDevice(port, 'pump-7', bundle)
    const closed = closing(again)
    await page.getByRole('region', { name: 'Sessions' }).getByText('TLS_', { exact: false }).waitFor()
    await page.getByRole('button', { name: 'Suspend…' }).click()
    await page.getByRole('dialog').getByText('Disconnects 1 session now.', { exact: false }).waitFor()
    await page.getByRole('button', { name: 'Suspend', exact: true }).click()
    await closed
    await page.locator('dd .state', { hasText: 'suspended' }).waitFor()
    await expect(connectDevice(port, 'pump-7', bundle)).rejects.toThrow()
    await page.getByText('The device is suspended.', { exact: false }).first().waitFor()

    await page.getByRole('button', { name: 'Resume…' }).click()
    await page.getByRole('button', { name: 'Resume', exact: true }).click()
    await page.locator('dd .state', { hasText: 'active' }).waitFor()
    await (await connectDevice(port, 'pump-7', bundle)).endAsync()

    await page.getByRole('button', { name: 'Revoke…', exact: true }).click()
    // The habit of saying yes is not enough.
    expect(await page.getByRole('button', { name: 'Revoke', exact: true }).isDisabled()).toBe(true)
    await page.getByLabel('Type pump-7 to go on').fill('pump-7')
    await page.getByRole('dialog').getByLabel('Reason').selectOption('keyCompromise')
    expect(await page.getByRole('dialog').getByText('sallyport cert revoke --device pump-7 --reason keyCompromise').count()).toBe(1)
    await page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await page.getByText('Revoked (keyCompromise)').waitFor()
    await expect(connectDevice(port, 'pump-7', bundle)).rejects.toThrow()
    expect(desk.program.run('cert', 'list', '--device', 'pump-7').stdout).toContain('revoked')
    expect(visit.complaints).toEqual([])
  })

  test('who did it stands in the audit log', () => {
    const log = readFileSync(path.join(desk.program.home, 'data/audit.ndjson'), 'utf8')
    expect(log).toMatch(/"action":"certificate-revoked".*"name":"operator:console-[0-9a-f]{8}"/)
    expect(log).not.toMatch(/#link=|__Host-sallyport/)
  })

  test('signing out ends the session, here and in every other tab', async () => {
    await using visit = await desk.signedIn()
    const tab = await visit.context.newPage()
    await tab.goto(`${desk.url}/console/devices`)
    await tab.getByRole('heading', { name: 'Devices' }).waitFor()
    await visit.page.getByRole('button', { name: 'Sign out' }).click()
    await visit.page.getByRole('heading', { name: 'Sign in to Sallyport' }).waitFor()
    await tab.reload()
    await tab.getByRole('heading', { name: 'Sign in to Sallyport' }).waitFor()
    expect(await visit.context.cookies()).toEqual([])
  })
})
