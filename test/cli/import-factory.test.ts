// What a factory reports in the columns spki and password: judged row by row, and then in force at the enrollment door of a running
// server, where no other key, no other password and no other device opens anything.

import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { makeCsr } from '../../src/x509/csr.ts'
import { generateKey, keyHash, spkiOf } from '../../src/x509/keys.ts'
import { decodePem, encodePem } from '../../src/x509/pem.ts'
import { LAUNCH, Program, type Answer, type Endpoints } from '../e2e/program.ts'
import { ask } from '../http/house.ts'
import { sallyport } from './shell.ts'

type Key = ReturnType<typeof generateKey>
let program: Program
const at = (name: string): string => path.join(program.home, name)
const cli = (...args: string[]): Promise<Answer> => sallyport(args, { home: program.home, cwd: program.home })
const key = (): Key => generateKey('P-256')
const base64 = (of: Key): string => Buffer.from(spkiOf(of)).toString('base64')
let count = 0
/** Of 16 letters and digits. */
const password = (): string => createHash('sha256').update(`password ${count++}`).digest('base64url').replaceAll(/[-_]/g, 'x').slice(0, 16)

beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(() => program[Symbol.asyncDispose]())

interface Result { readonly line: number; readonly id: string; readonly ok: boolean; readonly code?: string; readonly message?: string }
const resultsOf = (name: string): readonly Result[] => readFileSync(at(`${name}.results.ndjson`), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Result).filter((r) => 'line' in r)

async function imported(name: string, text: string, ...args: string[]): Promise<readonly string[]> {
  writeFileSync(at(name), text)
  const { status, stderr } = await cli('device', 'import', name, ...args)
  const results = resultsOf(name)
  expect([status, stderr]).toEqual([results.every(({ ok }) => ok) ? 0 : EXIT.refused, ''])
  return results.map(({ code }) => code ?? 'ok')
}

/** Enrolls as a device would; status and reason. */
async function enroll(user: string, secret: string, of: Key, cn = user): Promise<string> {
  const csr = decodePem(makeCsr(of, cn), 'CERTIFICATE REQUEST')
  const { port } = (program.endpoints as Endpoints & { readonly enroll: Endpoints['mqtt'] }).enroll
  const { status, headers } = await ask(`https://localhost:${port}`, readFileSync(at('certs/local/root.pem'), 'utf8'), {
    method: 'POST', path: '/.well-known/est/simpleenroll', body: Buffer.from(csr.allow ? csr.value[0] ?? '' : '').toString('base64'),
    headers: { authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}` },
  })
  return `${status} ${String(headers['sallyport-reason'] ?? 'certificate')}`
}
const CERTIFIED = '200 certificate'

describe('a reported key', () => {
  test('is the only one for which its device gets a certificate, by a token and by an operator; another key costs the token nothing', async () => {
    const [reported, other] = [key(), key()]
    expect(await imported('k1.csv', `id,spki\nk-1,${base64(reported)}\n`)).toEqual(['ok'])
    const token = (await cli('token', 'create', '--id', 'k-1')).stdout.split('\n')[0] ?? ''
    expect(await enroll('k-1', token, other)).toBe('403 key-not-reported')
    writeFileSync(at('other.csr'), makeCsr(other, 'k-1'))
    expect((await cli('device', 'enroll', 'k-1', '--csr', 'other.csr', '--out', 'other.pem')).stderr).toContain('registered with another key')
    expect((await cli('device', 'bundle', 'k-1', '--out', 'k-1')).stderr).toContain('registered with another key')
    expect(await enroll('k-1', token, reported)).toBe(CERTIFIED)
    expect((await cli('device', 'show', 'k-1')).stdout).toContain(`reported key ${keyHash(spkiOf(reported)).slice(0, 12)}…`)
  })

  test('does not open for another device, whoever holds it', async () => {
    const reported = key()
    expect(await imported('k2.csv', `id,spki\nk-2,${base64(reported)}\nk-3,\n`)).toEqual(['ok', 'ok'])
    const token = (await cli('token', 'create', '--id', 'k-3')).stdout.split('\n')[0] ?? ''
    expect(await enroll('k-3', token, reported)).toBe('409 key-in-use')
    expect(await enroll('k-3', token, key())).toBe(CERTIFIED)
  })

  test('that is malformed, weak, in the file twice or of another device is refused in its row; as PEM in quotes, and beside a request of the same key, it is taken', async () => {
    const [one, two, three] = [key(), key(), key()]
    const weak = spawnSync('openssl', ['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'], { encoding: 'utf8' }).stdout
    const weakPublic = spawnSync('openssl', ['pkey', '-pubout'], { input: weak, encoding: 'utf8' }).stdout
    const rows = [
      ['m-1', base64(one), ''], ['m-2', base64(one), ''], ['m-3', 'AAAA', ''], ['m-4', `"${weakPublic}"`, ''], ['m-5', `"${encodePem('PUBLIC KEY', spkiOf(two))}"`, ''],
      ['m-6', base64(three), `"${makeCsr(three, 'm-6')}"`], ['m-7', base64(key()), `"${makeCsr(key(), 'm-7')}"`], ['m-8', base64(three), ''], ['m-9', '', `"${makeCsr(two, 'm-9')}"`],
    ]
    const text = `id,spki,csr\n${rows.map((row) => row.join(',')).join('\n')}\n`
    expect(await imported('m.csv', text, '--out', 'm')).toEqual(['ok', 'key-in-use', 'request-invalid', 'key-weak', 'ok', 'ok', 'key-not-reported', 'key-in-use', 'key-in-use'])
    expect(readdirSync(at('m'))).toEqual(['m-6.pem'])
    expect(keyHash(new Uint8Array(new X509Certificate(readFileSync(at('m/m-6.pem'))).publicKey.export({ type: 'spki', format: 'der' })))).toBe(keyHash(spkiOf(three)))
    // The keys of the file are those of the registry now.
    expect(await imported('again.csv', `id,spki\nm-10,${base64(one)}\nm-11,${base64(three)}\n`)).toEqual(['key-in-use', 'key-in-use'])
    expect((await cli('device', 'show', 'm-10')).status).toBe(EXIT.notFound)
  })

  test('and a bundle, which would make a key, exclude each other; a sheet of passwords does not', async () => {
    writeFileSync(at('b.csv'), `id,spki\nb-1,${base64(key())}\n`)
    expect((await cli('device', 'import', 'b.csv', '--bundle', 'p12', '--out', 'b')).stderr).toContain('Line 2 brings a key of its own')
    expect((await cli('device', 'import', 'b.csv', '--bundle', 'sheet', '--out', 'b.html')).status).toBe(0)
  })
})

describe('a password', () => {
  test('opens for its device once, for the key that came with it; asked for again it is the same certificate', async () => {
    const [mine, secret] = [key(), password()]
    expect(await imported('p1.csv', `id,password\np-1,${secret}\np-2,${password()}\n`)).toEqual(['ok', 'ok'])
    expect(await enroll('p-1', secret, mine)).toBe(CERTIFIED)
    expect(await enroll('p-1', secret, mine)).toBe(CERTIFIED)
    expect(await enroll('p-1', secret, key())).toBe('403 token-used-up')
    expect((JSON.parse((await cli('cert', 'list', '--device', 'p-1', '--json')).stdout) as { items: unknown[] }).items).toHaveLength(1)
  })

  test('of another device, in another case, cut, empty, without a user, or with a name before it is no password', async () => {
    const [secret, other] = [password(), password()]
    expect(await imported('p3.csv', `id,password\np-3,${secret}\np-4,${other}\n`)).toEqual(['ok', 'ok'])
    const { items } = JSON.parse((await cli('token', 'list', '--json', '--limit', '200')).stdout) as { items: { name: string; target: { device?: string } }[] }
    const name = items.find(({ target }) => target.device === 'p-3')?.name ?? ''
    // Four of them: after five an address waits.
    for (const [user, said] of [['p-3', other], ['p-4', secret], ['p-3', secret.toUpperCase()]] as const) expect(await enroll(user, said, key())).toBe('401 token-unknown')
    expect(await enroll('', `${name}-${secret}`, key(), 'p-3')).toBe('401 token-unknown')
    expect(await enroll('p-3', secret, key())).toBe(CERTIFIED)
    expect(await enroll('p-4', other, key(), 'p-3')).toBe('403 csr-name-mismatch')
    expect(await enroll('p-4', other, key())).toBe(CERTIFIED)
  })

  test('that is raced for by 50 keys makes one certificate', async () => {
    const secret = password()
    expect(await imported('race.csv', `id,password\nrace-1,${secret}\n`)).toEqual(['ok'])
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => enroll('race-1', secret, key())))
    expect(outcomes.toSorted()).toEqual([CERTIFIED, ...Array.from({ length: 49 }, () => '403 token-used-up')])
  })

  test('beside a reported key opens with that key alone', async () => {
    const [reported, secret] = [key(), password()]
    expect(await imported('both.csv', `id,spki,password\nboth-1,${base64(reported)},${secret}\n`)).toEqual(['ok'])
    expect(await enroll('both-1', secret, key())).toBe('403 key-not-reported')
    expect(await enroll('both-1', secret, reported)).toBe(CERTIFIED)
  })

  test('that is over, or was revoked by its name, opens nothing; five wrong ones of an address are free, then it waits', async () => {
    const [revoked, over] = [password(), password()]
    expect(await imported('p5.csv', `id,password\np-5,${revoked}\n`)).toEqual(['ok'])
    expect(await imported('p6.csv', `id,password\np-6,${over}\n`, '--expires', '1s')).toEqual(['ok'])
    const { items } = JSON.parse((await cli('token', 'list', '--json', '--limit', '200')).stdout) as { items: { name: string; target: { device?: string }; expiresAt: number }[] }
    expect((await cli('token', 'revoke', items.find(({ target }) => target.device === 'p-5')?.name ?? '')).status).toBe(0)
    const until = items.find(({ target }) => target.device === 'p-6')?.expiresAt ?? 0
    await expect.poll(() => Date.now() > until, { timeout: 5_000 }).toBe(true)
    expect(await enroll('p-6', over, key())).toBe('403 token-expired')
    // The four above were wrong, too.
    expect(await enroll('p-5', revoked, key())).toBe('401 token-unknown')
    expect(await enroll('p-5', revoked, key())).toBe('429 token-locked')
  })

  test('that is weak, or in the file twice, is refused in its row, which does not say it; nor do results, logs and registry say one that is good', async () => {
    const [good, twice] = [password(), password()]
    const rows = [['w-1', good], ['w-2', 'Kq7x2'], ['w-3', 'aaaaaaaaaaaaaaaaaaaa'], ['w-4', twice], ['w-5', twice], ['w-6-id', 'xxw-6-idK7Qm2Rv9xLpW'], ['w-7', 'k7Qm2Rv9 xLpWb']]
    expect(await imported('w.csv', `id,password\n${rows.map((row) => row.join(',')).join('\n')}\n`)).toEqual(['ok', 'password-weak', 'password-weak', 'ok', ...Array.from({ length: 3 }, () => 'password-weak')])
    expect(resultsOf('w.csv').map(({ message }) => message).join(' ')).toContain('the password of line 5, too')
    const written = [`w.csv.results.ndjson`, ...readdirSync(at('data'), { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [`data/${entry.name}`] : []))].map((name) => readFileSync(at(name), 'latin1')).join('') + program.output
    expect(rows.map(([, text = '']) => written.includes(text))).toEqual(rows.map(() => false))
  })

  test('and a sheet, which would make one, exclude each other', async () => {
    writeFileSync(at('s.ndjson'), `${JSON.stringify({ id: 's-1', password: password() })}\n`)
    expect((await cli('device', 'import', 's.ndjson', '--bundle', 'sheet', '--out', 's.html')).stderr).toContain('Line 1 brings a password of its own')
    expect((await cli('device', 'import', 's.ndjson')).status).toBe(0)
  })
})

test('a row of either column may be anything: formulas, NULs, a field as long as a row may be, JSON that is no text; each is refused by itself', async () => {
  const lines = [
    JSON.stringify({ id: 'any-1', password: '=cmd|\' /C calc\'!A0' }), JSON.stringify({ id: 'any-2', spki: '=HYPERLINK("http://x")' }), JSON.stringify({ id: 'any-3', password: 'k7Qm2Rv9\0xLpW' }), JSON.stringify({ id: 'any-4', spki: '\0' }),
    JSON.stringify({ id: 'any-5', spki: 'A'.repeat(60_000) }), JSON.stringify({ id: 'any-6', password: 'k7Qm2Rv9xLpW'.repeat(5_000) }), JSON.stringify({ id: 'any-7', password: 'x'.repeat(1_000_000) }), JSON.stringify({ id: 'any-8', password: 7 }), JSON.stringify({ id: 'any-9', spki: {} }), JSON.stringify({ id: 'any-10', spki: base64(key()), password: password() }),
  ]
  expect(await imported('any.ndjson', `${lines.join('\n')}\n`)).toEqual(['password-weak', 'request-invalid', 'password-weak', 'request-invalid', 'request-invalid', 'password-weak', 'request-invalid', 'request-invalid', 'request-invalid', 'ok'])
  expect(resultsOf('any.ndjson').every(({ message = '' }) => message.length < 400)).toBe(true)
})

test('an import with both columns that is killed again and again is resumed: every device has its key and its password, once', { timeout: 120_000 }, async () => {
  const ROWS = 1_500
  const secrets = Array.from({ length: ROWS }, password)
  const keys = Array.from({ length: 3 }, key)
  writeFileSync(at('killed.csv'), `id,spki,password\n${secrets.map((secret, i) => `cut-${i},${i % 500 === 7 ? base64(keys[i % 3] as Key) : ''},${secret}`).join('\n')}\n`)
  let kills = 0
  for (let size = 0; kills < 5; ) {
    const child = spawn(process.execPath, [LAUNCH, 'device', 'import', 'killed.csv', '--expires', '9d', ...(kills === 0 ? [] : ['--resume'])], { cwd: program.home, env: { ...process.env, SALLYPORT_HOME: program.home }, stdio: 'ignore' })
    const now = (): number => readdirSync(program.home).includes('killed.csv.results.ndjson') ? readFileSync(at('killed.csv.results.ndjson')).length : 0
    const watch = setInterval(() => now() - size > 3_000 && child.kill('SIGKILL'), 1)
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
    clearInterval(watch)
    expect(signal).toBe('SIGKILL')
    kills++
    size = now()
  }
  expect((await cli('device', 'import', 'killed.csv', '--expires', '8d', '--resume')).stderr).toContain('other options')
  expect((await cli('device', 'import', 'killed.csv', '--expires', '9d', '--resume')).stdout).toContain(`${ROWS} registered, 0 refused`)
  expect(resultsOf('killed.csv').map(({ id }) => id)).toEqual(secrets.map((_, i) => `cut-${i}`))
  // The log is written behind the registry, which remembers what it has still to be told.
  await expect.poll(() => readFileSync(at('data/audit.ndjson'), 'utf8').split('\n').filter((line) => line.includes('"cut-') && line.includes('device-added')).length, { timeout: 30_000 }).toBe(ROWS)
  const first = keys[7 % 3] as Key
  expect(await enroll('cut-7', secrets[7] ?? '', key())).toBe('403 key-not-reported')
  expect(await enroll('cut-7', secrets[7] ?? '', first)).toBe(CERTIFIED)
  expect(await enroll(`cut-${ROWS - 1}`, secrets[ROWS - 1] ?? '', key())).toBe(CERTIFIED)
})
