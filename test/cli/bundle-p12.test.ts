// PKCS#12 bundles, read by the programs that people have, and used: with curl and with Java at the enrollment door of a running server.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { has, LAUNCH, Program, type Answer, type Endpoints } from '../e2e/program.ts'
import { sallyport } from './shell.ts'

let program: Program
const at = (name: string): string => path.join(program.home, name)
const cli = (...args: string[]): Promise<Answer> => sallyport(args, { home: program.home, cwd: program.home })

beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(() => program[Symbol.asyncDispose]())

interface Made {
  readonly file: string
  readonly password: string
}

/** Of a new device. */
async function bundle(id: string): Promise<Made> {
  await cli('device', 'add', id)
  const { stdout } = await cli('device', 'bundle', id, '--format', 'p12', '--out', `${id}.p12`, '--json')
  return { file: at(`${id}.p12`), password: (JSON.parse(stdout) as { readonly password: string }).password }
}

/** Runs a tool; what it says on both streams, and its exit code. */
async function tool(command: string, ...args: string[]): Promise<{ readonly status: number; readonly said: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { cwd: program.home })
    return { status: 0, said: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { readonly code: number; readonly stdout: string; readonly stderr: string }
    return { status: code, said: stdout + stderr }
  }
}

function auditText(): string {
  return readFileSync(at('data/audit.ndjson'), 'utf8') + program.output
}

describe('the password', () => {
  test('is shown once, 130 bits of it, and stands in no log; the file is private, and its working folder gone', async () => {
    await cli('device', 'add', 'shown')
    const { stdout } = await cli('device', 'bundle', 'shown', '--format', 'p12', '--out', 'shown.p12')
    const [, password = ''] = /Its password is ([0-9A-HJKMNP-TV-Z]{26})\. It is shown now and never again\./.exec(stdout) ?? []
    expect(password).not.toBe('')
    expect([statSync(at('shown.p12')).mode & 0o777, existsSync(at('shown.p12.making'))]).toEqual([0o600, false])
    expect(auditText()).toContain('shown')
    expect(auditText()).not.toContain(password)
    expect((await bundle('other')).password).not.toBe(password)
  })

  test('is that of a file, which nobody else may read, and is then not shown', async () => {
    await cli('device', 'add', 'chosen')
    writeFileSync(at('chosen'), 'correct horse: battery\n', { mode: 0o600 })
    const made = await cli('device', 'bundle', 'chosen', '--format', 'p12', '--out', 'chosen.p12', '--password-file', 'chosen')
    expect([made.status, made.stdout.includes('horse'), made.stdout.includes('password')]).toEqual([0, false, false])
    writeFileSync(at('open'), 'correct horse: battery\n', { mode: 0o644 })
    expect((await cli('device', 'bundle', 'chosen', '--format', 'p12', '--out', 'x.p12', '--password-file', 'open')).stderr).toContain('can be read by others than its owner')
    expect(existsSync(at('x.p12'))).toBe(false)
    expect((await cli('device', 'bundle', 'chosen', '--out', 'x', '--password-file', 'chosen')).status).toBe(EXIT.usage)
    expect((await cli('device', 'bundle', 'chosen', '--format', 'p12', '--out', 'chosen.p12')).stderr).toContain('a key is not overwritten')
  })

  test.each([['empty', ''], ['a line break alone', '\n'], ['too short', 'sevenxx\n'], ['too long', `${'x'.repeat(129)}\n`], ['with an umlaut', 'päßwörter für alle\n'], ['with a NUL', 'password\0more\n'], ['of two lines', 'password one\npassword two\n']])('that is %s is refused, before there is a key', async (_, text) => {
    writeFileSync(at('bad'), text, { mode: 0o600 })
    await cli('device', 'add', 'bad')
    const before = readdirSync(program.home)
    const { status, stderr } = await cli('device', 'bundle', 'bad', '--format', 'p12', '--out', 'bad.p12', '--password-file', 'bad')
    expect([status, stderr.includes('not one line of 8 to 128 letters of ASCII')]).toEqual([EXIT.refused, true])
    expect(readdirSync(program.home)).toEqual(before)
  })

  test('of eight letters is long enough, and one of 128 not too long', async () => {
    for (const length of [8, 128]) {
      await cli('device', 'add', `long-${length}`)
      writeFileSync(at('long'), 'x'.repeat(length), { mode: 0o600 })
      expect((await cli('device', 'bundle', `long-${length}`, '--format', 'p12', '--out', `long-${length}.p12`, '--password-file', 'long')).status).toBe(0)
    }
  })
})

test.skipIf(!has('openssl'))('openssl reads key, certificate and chain, and takes no other password (needs openssl)', async () => {
  const { file, password } = await bundle('one')
  const { status, said } = await tool('openssl', 'pkcs12', '-info', '-in', file, '-passin', `pass:${password}`, '-nodes')
  expect(status).toBe(0)
  for (const line of ['MAC: sha256, Iteration 10000', 'PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256', 'friendlyName: one', 'subject=CN = one', 'BEGIN PRIVATE KEY']) expect(said).toContain(line)
  expect(said.match(/BEGIN CERTIFICATE/g)).toHaveLength(3)
  writeFileSync(at('openssl.pem'), said)
  expect((await tool('openssl', 'verify', '-CAfile', 'certs/local/root.pem', '-untrusted', 'openssl.pem', 'openssl.pem')).said).toContain('OK')
  for (const wrong of ['', 'wrong', password.toLowerCase()]) expect((await tool('openssl', 'pkcs12', '-in', file, '-passin', `pass:${wrong}`, '-nokeys')).said).toContain('invalid password')
})

test.skipIf(!has('certtool'))('GnuTLS reads it, and takes no other password (needs gnutls-bin)', async () => {
  const { file, password } = await bundle('gnutls')
  const { status, said } = await tool('certtool', '--p12-info', '--inder', '--infile', file, '--password', password)
  expect([status, said.match(/Type: Certificate/g)?.length]).toEqual([0, 3])
  for (const line of ['MAC: SHA256', 'Cipher: AES-256-CBC', 'Friendly name: gnutls']) expect(said).toContain(line)
  const wrong = await tool('certtool', '--p12-info', '--inder', '--infile', file, '--password', 'wrong')
  expect([wrong.status === 0, wrong.said.includes('verification failed')]).toEqual([false, true])
})

const JAVA = `
import java.io.*; import java.net.URI; import java.net.http.*; import java.security.*; import javax.net.ssl.*;
class Door {
  public static void main(String[] a) throws Exception {
    char[] password = a[1].toCharArray();
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream in = new FileInputStream(a[0])) { store.load(in, password); }
    KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX"); keys.init(store, password);
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX"); trust.init(store);
    SSLContext tls = SSLContext.getInstance("TLS"); tls.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    HttpRequest request = HttpRequest.newBuilder(URI.create(a[2])).header("Content-Type", "application/pkcs10").POST(HttpRequest.BodyPublishers.ofFile(java.nio.file.Path.of(a[3]))).build();
    HttpResponse<String> answer = HttpClient.newBuilder().sslContext(tls).build().send(request, HttpResponse.BodyHandlers.ofString());
    System.out.println(answer.statusCode() + " " + answer.headers().firstValue("Content-Type").orElse(""));
  }
}`

const est = (operation: string): string => `https://localhost:${(program.endpoints as Endpoints & { readonly enroll: Endpoints['mqtt'] }).enroll.port}/.well-known/est/${operation}`

async function request(id: string): Promise<string> {
  const name = `${id}.${readdirSync(program.home).length}.csr`
  expect((await tool('openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-subj', `/CN=${id}`, '-outform', 'DER', '-out', name)).status).toBe(0)
  writeFileSync(at(`${name}.b64`), readFileSync(at(name)).toString('base64'))
  return `${name}.b64`
}

test.skipIf(!has('keytool') || !has('java') || !has('openssl'))('keytool lists the key and the root, takes no other password, and converts it; a Java client proves itself with it and trusts the server by it (needs a JDK and openssl)', async () => {
  const { file, password } = await bundle('three')
  const { said } = await tool('keytool', '-list', '-keystore', file, '-storepass', password)
  expect(said).toContain('three')
  expect(said.match(/PrivateKeyEntry|trustedCertEntry/g)?.toSorted()).toEqual(['PrivateKeyEntry', 'trustedCertEntry'])
  expect((await tool('keytool', '-list', '-keystore', file, '-storepass', 'wrongwrong')).said).toContain('password was incorrect')
  expect((await tool('keytool', '-importkeystore', '-noprompt', '-srckeystore', file, '-srcstorepass', password, '-destkeystore', at('java.jks'), '-deststoretype', 'JKS', '-deststorepass', password)).said).toContain('2 entries successfully imported')
  writeFileSync(at('Door.java'), JAVA)
  expect(await tool('java', 'Door.java', file, password, est('simplereenroll'), await request('three'))).toEqual({ status: 0, said: '200 application/pkcs7-mime; smime-type=certs-only\n' })
  expect((await tool('java', 'Door.java', file, 'wrongwrong', est('simplereenroll'), await request('three'))).said).toContain('password was incorrect')
})

test.skipIf(!has('curl') || !has('openssl'))('curl renews with it, is not let in with another password, and is refused for another device (needs curl and openssl)', async () => {
  const { file, password } = await bundle('two')
  const renew = async (id: string, secret: string): ReturnType<typeof tool> =>
    tool('curl', '-sS', '--cacert', at('certs/local/root.pem'), '--cert-type', 'P12', '--cert', `${file}:${secret}`, '-H', 'Content-Type: application/pkcs10', '--data-binary', `@${await request(id)}`, '-o', at('answer'), '-w', '%{http_code}', est('simplereenroll'))
  expect(await renew('two', password)).toEqual({ status: 0, said: '200' })
  writeFileSync(at('answer.der'), Buffer.from(readFileSync(at('answer'), 'utf8'), 'base64'))
  expect((await tool('openssl', 'pkcs7', '-inform', 'DER', '-in', 'answer.der', '-print_certs', '-noout')).said).toContain('subject=CN = two')
  expect((await renew('one', password)).said).toBe('400')
  expect((await renew('two', 'wrongwrong')).said).toContain('could not parse PKCS12 file')
})

describe('an import', () => {
  interface Result { readonly line: number; readonly id: string; readonly ok: boolean; readonly password?: string }
  const results = (name: string): readonly Result[] => readFileSync(at(`${name}.results.ndjson`), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Result).filter((r) => 'line' in r)
  const file = (name: string, ...ids: string[]): string => {
    writeFileSync(at(name), `id\n${ids.join('\n')}\n`)
    return name
  }

  test.skipIf(!has('openssl'))('makes one for each device, each with a password of its own, which stand in the results alone; after an interruption the passwords are the same (needs openssl)', async () => {
    const name = file('many.csv', 'many-1', 'bad id', 'many-2', 'many-3')
    const args = ['device', 'import', name, '--bundle', 'p12', '--out', 'many']
    expect((await cli(...args)).status).toBe(EXIT.refused)
    const made = results(name).filter(({ ok }) => ok)
    expect(new Set(made.map(({ password }) => password)).size).toBe(3)
    for (const { id, password = '' } of made) expect((await tool('openssl', 'pkcs12', '-in', `many/${id}.p12`, '-passin', `pass:${password}`, '-nodes')).said).toContain(`CN = ${id}`)
    expect([statSync(at(`${name}.results.ndjson`)).mode & 0o777, statSync(at('many/many-1.p12')).mode & 0o777, readdirSync(at('many'))]).toEqual([0o600, 0o600, ['many-1.p12', 'many-2.p12', 'many-3.p12']])
    expect(made.some(({ password = '' }) => auditText().includes(password))).toBe(false)
    // As if it had been killed between the last bundle and what became of the rows.
    const lines = readFileSync(at(`${name}.results.ndjson`), 'utf8').split('\n')
    writeFileSync(at(`${name}.results.ndjson`), lines.slice(0, 2).map((line) => `${line}\n`).join(''))
    const before = readFileSync(at('many/many-1.p12'))
    expect((await cli(...args, '--resume')).status).toBe(EXIT.refused)
    expect(results(name).map(({ id, password }) => [id, password])).toEqual(['many-1', 'bad id', 'many-2', 'many-3'].map((id) => [id, made.find((m) => m.id === id)?.password]))
    expect(readFileSync(at('many/many-1.p12'))).toEqual(before)
  })

  test.skipIf(!has('openssl'))('that is killed among its bundles is gone on with: every file opens with the password of its row, and every device has one certificate (needs openssl)', { timeout: 90_000 }, async () => {
    const ids = Array.from({ length: 200 }, (_, i) => `cut-${i}`)
    const name = file('cut.csv', ...ids)
    const args = ['device', 'import', name, '--bundle', 'p12', '--out', 'cut']
    const made = (): number => (existsSync(at('cut')) ? readdirSync(at('cut')).filter((entry) => entry.endsWith('.p12')).length : 0)
    for (const until of [3, 60, 140]) {
      const child = spawn(process.execPath, [LAUNCH, ...args, ...(until === 3 ? [] : ['--resume'])], { cwd: program.home, env: { ...process.env, SALLYPORT_HOME: program.home }, stdio: 'ignore' })
      const watch = setInterval(() => made() >= until && child.kill('SIGKILL'), 1)
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
      clearInterval(watch)
      expect(signal).toBe('SIGKILL')
    }
    expect((await cli(...args, '--resume')).stdout).toContain('200 registered, 0 refused')
    expect(readdirSync(at('cut')).toSorted()).toEqual(ids.map((id) => `${id}.p12`).toSorted())
    const rows = results(name)
    expect(rows.map(({ id }) => id)).toEqual(ids)
    for (const { id, password = '' } of rows.filter((_, i) => i % 7 === 0)) expect((await tool('openssl', 'pkcs12', '-in', `cut/${id}.p12`, '-passin', `pass:${password}`, '-nodes')).said).toContain(`CN = ${id}`)
    for (const id of ids.slice(0, 150).filter((_, i) => i % 10 === 0)) expect((JSON.parse((await cli('cert', 'list', '--device', id, '--json')).stdout) as { items: unknown[] }).items).toHaveLength(1)
  })

  test.skipIf(!has('openssl'))('with a password file has one password, and no other when it is resumed (needs openssl)', async () => {
    writeFileSync(at('fleet.pass'), 'of the whole fleet\n', { mode: 0o600 })
    const args = ['device', 'import', file('fleet.csv', 'fleet-1'), '--bundle', 'p12', '--out', 'fleet']
    expect((await cli(...args, '--password-file', 'fleet.pass')).status).toBe(0)
    expect(results('fleet.csv').map((r) => 'password' in r)).toEqual([false])
    expect((await tool('openssl', 'pkcs12', '-in', 'fleet/fleet-1.p12', '-passin', 'pass:of the whole fleet', '-nokeys')).status).toBe(0)
    expect((await cli(...args, '--resume')).stderr).toContain('other options')
    expect((await cli('device', 'import', file('zip.csv', 'zip-1'), '--bundle', 'zip', '--out', 'zips', '--password-file', 'fleet.pass')).status).toBe(EXIT.usage)
  })

  test('with a bad password file changes nothing', async () => {
    mkdirSync(at('empty'))
    writeFileSync(at('empty/pass'), '', { mode: 0o600 })
    expect((await cli('device', 'import', file('none.csv', 'none-1'), '--bundle', 'p12', '--out', 'empty/none', '--password-file', 'empty/pass')).status).toBe(EXIT.refused)
    expect([existsSync(at('none.csv.results.ndjson')), readdirSync(at('empty')), (await cli('device', 'show', 'none-1')).status]).toEqual([false, ['pass'], EXIT.notFound])
  })
})
