// A home that was restored makes nobody an admin who is none any more: what was given and taken since the backup is given and taken again,
// from the registry that is there and from its audit log alone.

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createBackup } from '../src/backup.ts'
import { loadConfig } from '../src/config.ts'
import type { OperatorName, TenantId } from '../src/core/ids.ts'
import { openHome } from '../src/home.ts'
import { restoreBackup } from '../src/restore.ts'
import { makeCsr } from '../src/x509/csr.ts'
import { newKey, openHouse, type House } from './http/house.ts'

const place = mkdtempSync(path.join(tmpdir(), 'sallyport-restore-operators-'))
const at = (name: string): string => path.join(place, name)
const name = (text: string): OperatorName => text as OperatorName
let house: House

beforeAll(async () => {
  house = await openHouse()
  const desk = house.desk()
  for (const [who, role] of [['demoted', 'admin'], ['promoted', 'viewer'], ['gone', 'admin'], ['same', 'operator']] as const) await desk.addOperator({ name: name(who), role, csr: makeCsr(newKey(), who) })
  await house.home.audit.verify()
  createBackup({ home: house.folder, config: loadConfig(house.folder, {}), out: at('a.backup'), sessions: false, passphrase: false, program: '0.0.0', clock: Date.now })
  await desk.changeOperatorRole(name('demoted'), 'viewer')
  await desk.changeOperatorRole(name('promoted'), 'operator')
  await desk.revokeOperator(name('gone'))
  await desk.addOperator({ name: name('new'), role: 'operator', tenant: 'acme' as TenantId, csr: makeCsr(newKey(), 'new') })
  await desk.addOperator({ name: name('brief'), role: 'admin', csr: makeCsr(newKey(), 'brief') })
  await desk.revokeOperator(name('brief'))
  await house.home[Symbol.asyncDispose]()
})
afterAll(() => {
  rmSync(house.folder, { recursive: true, force: true })
  rmSync(place, { recursive: true, force: true })
})

async function look(home: string): Promise<readonly string[]> {
  await using opened = await openHome(home, loadConfig(home, {}))
  return opened.registry.operators({}).items.map(({ name, role, tenant, revokedAt }) => `${name} ${role}${tenant === undefined ? '' : ` of ${tenant}`}${revokedAt === undefined ? '' : ' revoked'}`)
}
const NOW = ['brief admin revoked', 'demoted viewer', 'gone admin revoked', 'new operator of acme', 'operator admin', 'promoted operator', 'same operator']
const THEN = ['demoted admin', 'gone admin', 'operator admin', 'promoted viewer', 'same operator']
const restore = (home: string, more: { readonly reimport?: boolean; readonly audit?: string }) => restoreBackup({ file: at('a.backup'), home, reimport: false, acceptLoss: false, passphrase: undefined, clock: Date.now, ...more })

test('the backup alone is as it was', async () => {
  await restore(at('alone'), {})
  expect(await look(at('alone'))).toEqual(THEN)
})

test('with the newer registry they are as they are', async () => {
  cpSync(house.folder, at('registry'), { recursive: true })
  rmSync(path.join(at('registry'), 'certs/local/passphrase'))
  await restore(at('registry'), { reimport: true })
  expect(await look(at('registry'))).toEqual(NOW)
})

test('with the newer audit log alone, too', async () => {
  await restore(at('audit'), { audit: path.join(house.folder, 'data/audit.ndjson') })
  expect(await look(at('audit'))).toEqual(NOW)
})
