// sallyport operator, beside a running server: the folder that it writes is all that an operator needs, and nothing is written over.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { ask } from '../http/house.ts'
import { has, Program } from '../e2e/program.ts'

let program: Program
beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(() => program[Symbol.asyncDispose]())

const at = (...names: string[]): string => path.join(program.home, 'operators', ...names)
const read = (name: string, file: string): string => readFileSync(at(name, file), 'utf8')
/** What the admin API answers to whoever has this folder. */
const statusFor = async (name: string, asked: { method?: string; path: string; body?: string }): Promise<number> =>
  (await ask(program.endpoints.admin.url, read(name, 'ca.pem'), { ...asked, credential: { cert: read(name, 'cert.pem'), key: read(name, 'key.pem') } })).status

test('a viewer looks, and changes nothing; given another role it does; revoked it does neither', async () => {
  const { stdout } = program.run('operator', 'add', 'vera', '--role', 'viewer')
  expect(stdout).toMatch(/^.*operators\/vera: key\.pem, cert\.pem, ca\.pem, browser\.p12\nvera is viewer; the certificate ends .*Z\. The key was made here and is nowhere else\.\nThe password of browser\.p12, shown now and never again: [0-9A-HJKMNP-TV-Z]{26}\n$/)
  expect(['key.pem', 'browser.p12', 'cert.pem', 'ca.pem'].map((file) => statSync(at('vera', file)).mode & 0o777)).toEqual([0o600, 0o600, 0o644, 0o644])
  const adding = (id: string): Promise<number> => statusFor('vera', { method: 'POST', path: '/v1/devices', body: JSON.stringify({ id }) })
  expect([await statusFor('vera', { path: '/v1/devices' }), await adding('v-1')]).toEqual([200, 403])
  expect(program.run('operator', 'role', 'vera', 'operator').stdout).toBe('vera is operator from now on.\n')
  expect(await adding('v-1')).toBe(201)
  expect(program.run('operator', 'revoke', 'vera', '--yes').stdout).toBe('vera is out, with all certificates.\n')
  expect([await statusFor('vera', { path: '/v1/devices' }), await adding('v-2')]).toEqual([403, 403])
  expect(program.run('operator', 'list').stdout).toMatch(/vera +operator +\(all\) +revoked .*Z +-/)
})

test('a further certificate goes beside the first one, and both are in force', async () => {
  program.run('operator', 'add', 'otto', '--role', 'viewer')
  const again = program.run('operator', 'renew', 'otto')
  expect([again.status, again.stderr]).toEqual([EXIT.refused, expect.stringContaining('a key is not overwritten')])
  expect(program.run('operator', 'renew', 'otto', '--out', at('otto-2')).status).toBe(EXIT.ok)
  expect([await statusFor('otto', { path: '/v1/status' }), await statusFor('otto-2', { path: '/v1/status' })]).toEqual([200, 200])
})

test('a tenant sees its own', async () => {
  program.run('device', 'add', 't-1', '--tenant', 'acme')
  program.run('device', 'add', 't-2')
  program.run('operator', 'add', 'tina', '--role', 'operator', '--tenant', 'acme')
  expect([await statusFor('tina', { path: '/v1/devices/t-1' }), await statusFor('tina', { path: '/v1/devices/t-2' }), await statusFor('tina', { path: '/v1/ca' })]).toEqual([200, 404, 403])
  const { stdout } = program.runWith({ SALLYPORT_OPERATOR: at('tina') }, 'device', 'list')
  expect([stdout.includes('t-1'), stdout.includes('t-2')]).toEqual([true, false])
})

describe('refused', () => {
  test.each<[string, readonly string[], number, string]>([
    ['without a role', ['add', 'x'], EXIT.usage, '--role'],
    ['with a role that is none', ['add', 'x', '--role', 'root'], EXIT.usage, 'viewer, operator, admin'],
    ['under a name that is none', ['add', '../x', '--role', 'viewer'], EXIT.refused, 'operator name'],
    ['under the name of the first', ['add', 'operator', '--role', 'viewer'], EXIT.refused, 'There is, or was, an operator of this name'],
    ['another role for nobody', ['role', 'nobody', 'viewer'], EXIT.notFound, 'There is no operator of this name'],
    ['a role that is none', ['role', 'operator', 'king'], EXIT.usage, 'viewer, operator, admin'],
    ['the end of the last admin', ['revoke', 'operator', '--yes'], EXIT.refused, 'Nobody would be left'],
    ['a smaller role for the last admin', ['role', 'operator', 'viewer'], EXIT.refused, 'Nobody would be left'],
  ])('%s', (_, args, status, sentence) => {
    const answer = program.run('operator', ...args)
    expect([answer.status, answer.stderr]).toEqual([status, expect.stringContaining(sentence)])
    expect(existsSync(at('operator', 'key.pem')) || existsSync(at('x', 'key.pem'))).toBe(false)
  })
})

describe.skipIf(!has('openssl'))('browser.p12 (needs openssl)', () => {
  test('opens with its password alone, and holds key, certificate and chain', () => {
    const { password } = program.json('operator', 'add', 'paula', '--role', 'viewer') as { password: string }
    const opened = (word: string): string => {
      const file = at('paula', 'word')
      writeFileSync(file, word)
      return spawnSync('openssl', ['pkcs12', '-in', at('paula', 'browser.p12'), '-passin', `file:${file}`, '-nodes'], { encoding: 'utf8' }).stdout
    }
    expect(opened('wrong')).toBe('')
    expect([...opened(password).matchAll(/-----BEGIN ([A-Z ]+)-----/g)].map((m) => m[1] ?? '').toSorted((a, b) => a.localeCompare(b))).toEqual(['CERTIFICATE', 'CERTIFICATE', 'CERTIFICATE', 'PRIVATE KEY'])
  })

  test('a password that was chosen is shown to nobody', () => {
    const file = path.join(program.home, 'chosen')
    writeFileSync(file, 'correct horse battery staple\n', { mode: 0o600 })
    const { stdout } = program.run('operator', 'add', 'carl', '--role', 'viewer', '--password-file', file)
    expect(stdout).not.toContain('password')
    const found = spawnSync('openssl', ['pkcs12', '-in', at('carl', 'browser.p12'), '-passin', `file:${file}`, '-noout'])
    expect(found.status).toBe(0)
  })
})

test('devices are found at the shell as over the API', () => {
  program.run('device', 'add', 'Find-1', '--attr', 'site=north')
  const found = (...args: string[]): readonly string[] => (program.json('device', 'list', ...args) as { items: readonly { id: string }[] }).items.map(({ id }) => id)
  expect([found('--find', 'find'), found('--find', '%'), found('--attr', 'site=north'), found('--tenant', 'nobody'), found('--expiring', '1s')]).toEqual([['Find-1'], [], ['Find-1'], [], []])
  expect(program.run('device', 'list', '--expiring', 'soon').status).toBe(EXIT.usage)
})

test('no key and no password is in the audit log', () => {
  const log = readFileSync(path.join(program.home, 'data/audit.ndjson'), 'utf8')
  expect(log).toContain('"action":"operator-added"')
  expect(log).not.toContain('PRIVATE KEY')
})
