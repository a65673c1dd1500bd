// The work at the desk in a real browser: what a role is offered and what the server refuses it all the same, the policy while it is
// written, operators and webhooks, requests decided together, and the whole audit log.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answering, openReceiver, type Receiver } from '../webhooks/receiver.ts'
import { hasChromium, openDesk, type Desk } from './browser.ts'
import { openFleet } from './fleet.ts'

describe.skipIf(!hasChromium)('with Chromium', () => {
  let desk: Desk
  let fleet: AsyncDisposable
  let receiver: Receiver
  beforeAll(async () => {
    receiver = await openReceiver()
    desk = await openDesk({ 'receivers.pem': receiver.ca, 'sallyport.yaml': 'webhooks: { allow: [127.0.0.1, "::1"], ca: receivers.pem }\n' })
    fleet = await openFleet(desk.program)
    for (const [name, ...more] of [['vera', '--role', 'viewer'], ['otto', '--role', 'operator'], ['tina', '--role', 'operator', '--tenant', 'acme']] as const) expect(desk.program.run('operator', 'add', name, ...more).status).toBe(0)
  }, 120_000)
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]()
    await desk[Symbol.asyncDispose]()
    await receiver[Symbol.asyncDispose]()
  })

  const OFFERS = /^(?:Register a device|Edit|Suspend|Revoke|Retire|Quarantine|Renew|End|Approve|Reject|Make|Take|Role|Certificate|Remove|Add a webhook|Put it in force|Test)/
  test.each([['a viewer', 'vera', 0, /./], ['an operator', 'otto', 8, /webhook|operator|Role|Certificate|Take the step|Put it/], ['an admin', true, 14, /^$/]] as const)('what %s may not do is not offered', async (_, certificate, least, never) => {
    await using visit = await desk.signedIn({ certificate })
    const seen: string[] = []
    for (const at of ['/devices', '/devices/pump-7', '/connections', '/enrollment', '/certificates', '/policy', '/settings', '/devices?view=detection']) {
      await visit.visit(at)
      const buttons = (await visit.page.getByRole('main').getByRole('button').allTextContents()).filter((words) => OFFERS.test(words))
      seen.push(...buttons)
    }
    expect(seen.filter((words) => never.test(words))).toEqual([])
    expect(seen.length).toBeGreaterThanOrEqual(least)
    expect(visit.complaints).toEqual([])
  })

  test('and refused by the server all the same', async () => {
    await using visit = await desk.signedIn({ certificate: 'vera' })
    const answers = await visit.page.evaluate(() => Promise.all(([['/v1/devices/pump-7/state', { action: 'suspend' }], ['/v1/policy', { rollback: 1 }], ['/v1/operators/vera/role', { role: 'admin' }]] as const).map(async ([at, body]) => {
      const answer = await fetch(at, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      return `${answer.status} ${((await answer.json()) as { code: string }).code}`
    })))
    expect(answers).toEqual(['403 role-insufficient', '403 role-insufficient', '403 role-insufficient'])
  })

  test('an operator of a tenant sees the pages of the tenant, and no trouble', async () => {
    await using visit = await desk.signedIn({ certificate: 'tina' })
    const { page } = visit
    await page.getByRole('heading', { name: 'Devices', level: 1 }).waitFor()
    expect(await page.getByRole('navigation').getByRole('link').allTextContents()).toEqual(['Devices', 'Connections', 'Refusals', 'Enrollment', 'Certificates'])
    for (const at of ['/', '/connections', '/refusals', '/enrollment', '/certificates']) {
      await visit.visit(at)
      expect({ at, trouble: await page.getByRole('alert').count(), of: await page.getByText('pump-7').count() }).toEqual({ at, trouble: 0, of: 0 })
    }
    await visit.visit('/policy')
    await page.getByText('This page is about the whole organisation', { exact: false }).waitFor()
  })

  test('a role that is taken away while a page is open takes what it offered off the page', async () => {
    await using visit = await desk.signedIn({ certificate: 'otto' })
    await visit.visit('/devices/pump-8')
    await visit.page.getByRole('button', { name: 'Suspend…' }).waitFor()
    expect(desk.program.run('operator', 'role', 'otto', 'viewer').status).toBe(0)
    await visit.page.getByRole('button', { name: 'Suspend…' }).waitFor({ state: 'detached' })
    expect(desk.program.run('operator', 'role', 'otto', 'operator').status).toBe(0)
    await visit.page.getByRole('button', { name: 'Suspend…' }).waitFor()
    // Out altogether, and told so.
    expect(desk.program.run('operator', 'revoke', 'otto', '--yes').status).toBe(0)
    await visit.page.getByRole('heading', { name: 'Sign in to Sallyport' }).waitFor()
  })

  test('mistakes are marked at their lines while the text is written, and so is what is hardly ever meant', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/policy')
    await page.getByText('Nothing is wrong with the text.').waitFor()
    const text = page.getByLabel('Text of policy.yaml')
    const before = await text.inputValue()
    await text.fill(before.replace('    publish:', '    publsh:'))
    const findings = page.getByRole('list', { name: 'Findings' })
    await findings.getByText('publsh').first().waitFor()
    expect(await findings.getByRole('button', { name: `Line ${before.split('\n').findIndex((line) => line === '    publish:') + 1}` }).count()).toBe(1)
    await page.getByText('This is no policy: 1 mistake.').waitFor()
    await text.fill(`${before.trimEnd()}\n  - { id: everything, to: any, publish: ["#"] }\n`.replace(/\n# A deny[\s\S]*?(?=\n {2}- \{ id: everything)/, ''))
    await findings.getByText('everything', { exact: false }).first().waitFor()
    await page.getByText('It is a policy all the same.', { exact: false }).waitFor()
    await page.getByRole('button', { name: 'Discard the edit' }).click()
    await page.getByText('Nothing is wrong with the text.').waitFor()
    expect(visit.complaints).toEqual([])
  })

  test('two generations are compared, and a refusal leads to the question that it raises', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    const file = path.join(desk.program.home, 'policy.yaml')
    const newer = path.join(desk.program.home, 'newer.yaml')
    execFileSync('cp', [file, newer])
    execFileSync('sed', ['-i', 's#"state/${device.id}"#"status/${device.id}"#', newer])
    expect(desk.program.run('policy', 'apply', newer, '--yes').status).toBe(0)
    await visit.visit('/policy')
    await page.getByRole('button', { name: 'Compare generation 2' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Compare', exact: true }).click()
    await page.getByRole('dialog').getByText('From generation 1 to 2:').waitFor()
    expect(await page.getByRole('dialog').getByRole('list', { name: 'Changes' }).textContent()).toMatch(/- .*state\/[\s\S]*\+ .*status\//)
    await page.keyboard.press('Escape')
    await visit.visit('/refusals?reason=publish-not-granted')
    await page.locator('.rows .body a[href*="/refusals/"]').first().click()
    await page.getByRole('link', { name: 'Ask the policy', exact: false }).click()
    const tryIt = page.getByRole('region', { name: /^Try it/ })
    await tryIt.getByText('Refused').waitFor()
    expect([await tryIt.getByLabel('Device').inputValue(), await tryIt.getByLabel('Topic').inputValue()]).toEqual(['pump-7', 't/other/x'])
    expect(visit.complaints).toEqual([])
  })

  test('an operator is made for the key of a request, and the certificate opens the API', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    const folder = desk.program.home
    execFileSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'anna.key', '-subj', '/CN=operator', '-out', 'anna.csr'], { cwd: folder, stdio: 'ignore' })
    await visit.visit('/settings')
    await page.getByRole('button', { name: 'Make an operator…' }).click()
    await page.getByRole('dialog').getByLabel('Name').fill('anna')
    await page.getByRole('dialog').getByLabel('Role').selectOption('operator')
    await page.getByLabel('Request of the operator', { exact: false }).fill('garbage')
    await page.getByRole('button', { name: 'Issue the certificate' }).click()
    await page.getByRole('dialog').getByRole('alert').waitFor()
    await page.getByLabel('Request of the operator', { exact: false }).fill(readFileSync(path.join(folder, 'anna.csr'), 'utf8'))
    await page.getByRole('button', { name: 'Issue the certificate' }).click()
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save the certificate' }).click()])
    expect(download.suggestedFilename()).toBe('anna.pem')
    const answer = execFileSync('curl', ['-sS', '--cacert', 'certs/local/root.pem', '--cert', await download.path(), '--key', 'anna.key', `${desk.url}/v1/devices?limit=1`], { cwd: folder, encoding: 'utf8' })
    expect(JSON.parse(answer)).toMatchObject({ items: [{}] })
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Change the role of anna' }).waitFor()
    expect(visit.complaints).toEqual([])
  })

  test('a webhook is added, tested, its dead letters are seen and sent again; its secret is shown once', { timeout: 180_000 }, async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/settings')
    await page.getByRole('button', { name: 'Add a webhook…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('URL').fill('https://169.254.169.254/latest')
    await dialog.getByLabel('Name', { exact: false }).fill('pager')
    await dialog.getByLabel('registry').check()
    await dialog.getByRole('button', { name: 'Add it' }).click()
    await dialog.getByRole('alert').waitFor()
    await dialog.getByLabel('URL').fill(receiver.url)
    expect(await dialog.locator('.cli code').textContent()).toBe(`sallyport webhook add ${receiver.url} --events registry --name pager`)
    await dialog.getByRole('button', { name: 'Add it' }).click()
    await page.getByRole('dialog', { name: 'The secret of pager' }).waitFor()
    const secret = await page.getByRole('dialog').locator('code').textContent()
    expect(secret).toMatch(/^whsec_/)
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    expect(await page.content()).not.toContain(secret)
    receiver.behave(answering(410))
    await page.getByRole('button', { name: 'Test webhook pager' }).click()
    await page.getByText('status 410', { exact: false }).waitFor()

    // What is refused five times is given up, and kept until somebody sends it again.
    receiver.behave(answering(400))
    expect(desk.program.run('device', 'add', 'told-1').status).toBe(0)
    await expect.poll(() => desk.program.run('webhook', 'list').stdout, { timeout: 90_000, interval: 1_000 }).toMatch(/pager +registry +0 +1 +well/)
    await visit.visit('/settings')
    await page.getByText('1 message given up').waitFor()
    await page.getByRole('button', { name: 'Deliveries of webhook pager' }).click()
    receiver.behave(answering(204))
    await page.getByRole('dialog').getByRole('button', { name: /^Send record [\d,]+ again$/ }).click()
    await page.getByText('1 message taken, 0 left.').waitFor()
    expect(receiver.received.at(-1)?.body).toContain('told-1')
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.getByText('takes what it is told').waitFor()
    expect(visit.complaints).toEqual([])
  })

  test('requests of one token are decided together, and only after its name was typed', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    const { token } = desk.program.json('token', 'create', '--pattern', 'many-*', '--register', '--approve', 'operator', '--uses', '50') as { readonly token: string }
    const { enroll } = desk.program.endpoints
    for (const id of ['many-1', 'many-2', 'many-3']) execFileSync('sh', ['-c', `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=${id} -outform DER -out m.der 2>/dev/null && curl -s --cacert certs/local/root.pem -u "${id}:${token}" -H 'Content-Type: application/pkcs10' --data-binary @m.der https://localhost:${enroll.port}/.well-known/est/simpleenroll`], { cwd: desk.program.home })
    await visit.visit('/enrollment')
    await page.getByRole('button', { name: 'Approve all 3…' }).click()
    const approve = page.getByRole('dialog').getByRole('button', { name: 'Approve', exact: true })
    expect(await approve.isDisabled()).toBe(true)
    const field = page.getByRole('dialog').getByLabel('Type', { exact: false })
    await field.fill(/Type (\S+) to/.exec(await page.getByRole('dialog').textContent() ?? '')?.[1] ?? '')
    await approve.click()
    await page.getByRole('button', { name: 'Approve many-3' }).waitFor({ state: 'detached' })
    expect((desk.program.json('enrollment', 'list', '--state', 'approved') as { items: readonly { device: string }[] }).items.map(({ device }) => device).filter((id) => id.startsWith('many-')).toSorted()).toEqual(['many-1', 'many-2', 'many-3'])
    expect(visit.complaints).toEqual([])
  })

  test('groups and attributes are edited, and a change of somebody else in between is not written over', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/devices/spare-1')
    await page.getByRole('button', { name: 'Edit…' }).click()
    await page.getByRole('dialog').getByLabel('Attributes,', { exact: false }).fill('site=south\nrack = 7')
    await page.getByRole('button', { name: 'Change them' }).click()
    await page.getByRole('dialog').getByRole('alert').getByText('name=value', { exact: false }).waitFor()
    expect(desk.program.run('device', 'set', 'spare-1', '--attr', 'by=other').status).toBe(0)
    await page.getByRole('dialog').getByLabel('Attributes,', { exact: false }).fill('site=south')
    await page.getByRole('button', { name: 'Change them' }).click()
    await page.getByRole('dialog').getByRole('alert').getByText('changed', { exact: false }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByText('by=other').waitFor()
    await page.getByRole('button', { name: 'Edit…' }).click()
    await page.getByRole('dialog').getByLabel('Attributes,', { exact: false }).fill('site=south')
    await page.getByRole('button', { name: 'Change them' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByText('site=south').waitFor()
    expect(desk.program.json('device', 'show', 'spare-1')).toMatchObject({ attributes: { site: 'south' } })
    expect(visit.complaints).toEqual([])
  })

  test('the audit log is there to its first record, its filters live in the address, and a file of it has all', async () => {
    await using visit = await desk.signedIn()
    const { page } = visit
    await visit.visit('/audit?action=device-added')
    const rows = page.getByRole('table', { name: /Audit records/ })
    await rows.getByText('pump-7').first().waitFor()
    expect(await rows.getByText('refusal', { exact: true }).count()).toBe(0)
    await visit.visit('/audit')
    await rows.waitFor()
    const records = readFileSync(path.join(desk.program.home, 'data/audit.ndjson'), 'utf8').trimEnd().split('\n').length
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export JSON' }).click()])
    const exported = JSON.parse(readFileSync(await download.path(), 'utf8')) as readonly { readonly sallyport: { readonly seq: number } }[]
    expect(exported.at(-1)?.sallyport.seq).toBe(1)
    expect(exported.length).toBeGreaterThanOrEqual(records)
    expect(new Set(exported.map(({ sallyport }) => sallyport.seq)).size).toBe(exported.length)
    await page.getByRole('button', { name: 'Verify the chain' }).click()
    await page.getByText('The chain is whole', { exact: false }).waitFor()
    expect(desk.program.run('audit', 'list', '--action=device-added', '--device=pump-7').stdout).toContain('pump-7')
    expect(visit.complaints).toEqual([])
  })
})
