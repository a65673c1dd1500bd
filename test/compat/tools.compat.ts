// Tools that speak HTTPS to the door of enrollment: curl posts messages and enrolls, strongSwan's pki enrolls. Each gets what it asks for, and is
// refused in words of which the person who runs it sees at least the status.

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { has, type Endpoints, type Program } from '../e2e/program.ts'
import { debianVersion, lastReason, nextMessage, openBackend, openCompatProgram, ran, register, succeed } from './stage.ts'

const CURL = has('curl') && has('openssl')
const PKI = has('pki') && has('openssl')

let program: Program
let folderOf: (id: string) => string
beforeAll(async () => {
  program = await openCompatProgram()
  folderOf = register(program, ['meter-1', 'meter-revoked'].map((id) => ({ id, group: 'sensors' })))
  succeed(program, 'cert', 'revoke', '--device', 'meter-revoked', '--reason', 'keyCompromise', '--yes')
  for (const id of ['est-curl', 'est-pki']) succeed(program, 'device', 'add', id, '--group', 'sensors')
})
afterAll(() => program[Symbol.asyncDispose]())

const door = (): string => `https://localhost:${(program.endpoints as Endpoints & { readonly enroll: Endpoints['mqtt'] }).enroll.port}`
const tokenOf = (id: string): string => program.run('token', 'create', '--id', id).stdout.split('\n')[0] ?? ''
const file = (name: string): string => path.join(program.home, name)
function request(id: string): string {
  execFileSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(`${id}.key`), '-subj', `/CN=${id}`, '-outform', 'DER', '-out', file(`${id}.der`)], { stdio: 'ignore' })
  return file(`${id}.der`)
}
const plain = (text: string): string => text.replaceAll(new URL(door()).port, 'PORT').replaceAll(program.home, 'HOME').trim()

describe.skipIf(!CURL)('curl (needs curl and openssl)', () => {
  const curl = (id: string, topic: string, ...more: readonly string[]): ReturnType<typeof ran> =>
    ran('curl', ['-sS', '--fail-with-body', '--cacert', path.join(folderOf(id), 'ca.pem'), ...(more.includes('--no-cert') ? [] : ['--cert', path.join(folderOf(id), 'device.pem'), '--key', path.join(folderOf(id), 'device.key')]), '-d', '21.5', `${door()}/topics/${topic}?qos=1`])

  test('posts a message, which a subscriber hears, and is refused in words', async () => {
    const backend = await openBackend({ home: program.home, port: program.endpoints.mqtt.port })
    onTestFinished(() => backend.endAsync(true))
    await backend.subscribeAsync('t/#', { qos: 1 })
    const heard = nextMessage(backend)
    expect(await curl('meter-1', 't/meter-1/kwh')).toEqual({ status: 0, output: '{"message":"OK"}\n' })
    expect(await heard).toEqual(['t/meter-1/kwh', '21.5'])

    const seen: Record<string, string> = {}
    for (const [label, id, topic, reason, more] of [
      ['HTTPS no certificate', 'meter-1', 't/meter-1/kwh', 'tls-no-certificate', ['--no-cert']],
      ['HTTPS a revoked certificate', 'meter-revoked', 't/meter-revoked/kwh', 'certificate-revoked', []],
      ['HTTPS a topic without grant', 'meter-1', 't/somebody-else/kwh', 'publish-not-granted', []],
    ] as const) {
      const shown = await curl(id, topic, ...more)
      expect(shown, label).toMatchObject({ status: 22, output: expect.stringContaining(`"code":"${reason}"`) })
      expect({ label, reason: lastReason(program, more.length > 0 ? undefined : id) }).toEqual({ label, reason })
      seen[label] = `${/"title":"([^"]*)"/.exec(shown.output)?.[1]} (${/"status":(\d+)/.exec(shown.output)?.[1]} ${reason})\n${/curl: .*/.exec(shown.output)?.[0]}\n[exit ${shown.status}]`
    }
    const der = request('est-curl')
    writeFileSync(file('est-curl.b64'), readFileSync(der).toString('base64'))
    const enroll = (password: string): ReturnType<typeof ran> => ran('curl', ['-sS', '--fail-with-body', '--cacert', file('certs/local/root.pem'), '-u', `est-curl:${password}`, '-H', 'Content-Type: application/pkcs10', '--data-binary', `@${file('est-curl.b64')}`, `${door()}/.well-known/est/simpleenroll`])
    const refused = await enroll('not-the-token')
    expect(refused.status).toBe(22)
    seen['EST a wrong token'] = `${plain(refused.output)}\n[exit ${refused.status}]`
    const enrolled = await enroll(tokenOf('est-curl'))
    expect(enrolled.status).toBe(0)
    const { stdout } = spawnSync('openssl', ['pkcs7', '-inform', 'DER', '-print_certs', '-noout'], { input: Buffer.from(enrolled.output, 'base64'), encoding: 'utf8' })
    expect(stdout).toContain('subject=CN = est-curl')
    const version = /^curl ([\d.]+)/.exec(spawnSync('curl', ['--version'], { encoding: 'utf8' }).stdout)?.[1] ?? ''
    await expect(`${JSON.stringify({ client: 'curl', version, seen }, null, 2)}\n`).toMatchFileSnapshot('./seen/curl.json')
  })
})

describe.skipIf(!PKI)('strongSwan pki (needs strongswan-pki and openssl)', () => {
  test('enrolls, its certificate connects, and it is refused in words', async () => {
    execFileSync('pki', ['--estca', '--url', door(), '--cacert', file('certs/local/root.pem'), '--caout', file('estca.pem'), '--outform', 'pem'], { stdio: 'ignore' })
    const der = request('est-pki')
    const enroll = (password: string): ReturnType<typeof ran> => ran('pki', ['--est', '--url', door(), '--in', der, '--cacert', file('estca.pem'), '--cacert', file('estca-1.pem'), '--userpass', `est-pki:${password}`, '--outform', 'pem'])
    const refused = await enroll('not-the-token')
    expect(refused.status).not.toBe(0)
    expect(program.run('refusal', 'list').stdout).toMatch(/token/)
    const seen = { 'EST a wrong token': `${/^EST .*/m.exec(refused.output)?.[0]}\n[exit ${refused.status}]` }
    const enrolled = await enroll(tokenOf('est-pki'))
    expect(enrolled.status, enrolled.output).toBe(0)
    writeFileSync(file('est-pki.crt'), enrolled.output.slice(enrolled.output.indexOf('-----BEGIN CERTIFICATE-----')) + readFileSync(file('estca-1.pem'), 'utf8'))
    const doctor = program.run('doctor', 'connect', '--cert', file('est-pki.crt'), '--key', file('est-pki.key'))
    expect(doctor.stdout, doctor.stderr).toMatch(/^ok +connect: accepted$/m)
    await expect(`${JSON.stringify({ client: 'strongSwan pki', version: debianVersion('strongswan-pki'), seen }, null, 2)}\n`).toMatchFileSnapshot('./seen/strongswan.json')
  })
})
