// sallyport cert journal, over a home in which a crash cut an issuance off.

import path from 'node:path'
import { expect, test } from 'vitest'
import { ISSUING } from '../../src/ca/genesis.ts'
import { openRegistry } from '../../src/store/sqlite/registry.ts'
import { Program } from '../e2e/program.ts'
import { added, planned, serialOf } from '../contract/records.ts'

test('an orphan is listed and revoked; a plan under way and what was issued are left alone', async () => {
  await using program = new Program()
  expect(program.run('ca', 'init').status).toBe(0)
  const registry = openRegistry(path.join(program.home, 'data/registry.db'), { clock: Date.now })
  const made = await registry.commit([
    added('old'), added('new'),
    { kind: 'certificate-planned', certificate: planned('x', 'old', { issuer: ISSUING, createdAt: Date.now() - 3_600_000 }) },
    { kind: 'certificate-planned', certificate: planned('y', 'new', { issuer: ISSUING, createdAt: Date.now() + 3_600_000 }) },
  ], [], [])
  registry.close()
  expect(made.allow).toBe(true)
  expect(program.json('cert', 'journal', '--state', 'orphaned')).toMatchObject({ entries: [{ serial: serialOf('x'), device: 'old', journal: 'orphaned', state: 'planned' }] })
  expect(program.run('cert', 'journal').stdout).toContain('1 orphaned: sallyport cert journal --clear revokes it.')
  expect(program.run('doctor').stdout).toContain('BAD  issuance journal: 1 plan was never issued')
  expect(program.run('cert', 'journal', '--clear', '--state', 'issued').status).not.toBe(0)
  expect(program.json('cert', 'journal', '--clear')).toEqual({ cleared: [serialOf('x')] })
  expect(program.json('cert', 'journal', '--clear')).toEqual({ cleared: [] })
  expect(program.run('doctor').stdout).toContain('ok   issuance journal: no plan is left without its certificate')
  expect(program.json('cert', 'list', '--state', 'revoked')).toMatchObject({ items: [{ serial: serialOf('x') }] })
  expect(program.json('cert', 'list', '--state', 'planned')).toMatchObject({ items: [{ serial: serialOf('y') }] })
}, 60_000)
