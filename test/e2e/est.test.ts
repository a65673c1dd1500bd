// The enrollment door as strongSwan's `pki --est` uses it where an operator approves: it polls, and gets its certificate when
// somebody has said yes; and it is told no.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { client, has, Program, type Client, type Endpoints } from './program.ts'

const READY = ['pki', 'openssl'].every((tool) => has(tool))

describe.skipIf(!READY)('strongSwan at the enrollment door (needs strongswan-pki and openssl)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
    const { status, stderr } = spawnSync('pki', ['--estca', '--url', url(), '--cacert', at('certs/local/root.pem'), '--caout', at('estca.pem'), '--outform', 'pem'], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  })
  afterAll(() => program[Symbol.asyncDispose]())

  const at = (file: string): string => path.join(program.home, file)
  const url = (): string => `https://localhost:${(program.endpoints as Endpoints & { readonly enroll: Endpoints['mqtt'] }).enroll.port}`
  const certificatesOf = (id: string): number => (program.json('cert', 'list', '--device', id) as { readonly items: readonly unknown[] }).items.length
  function openssl(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    return stdout
  }

  /** Asks with a new key, with a token that wants an operator, and polls. */
  function poll(id: string): Client {
    program.run('device', 'add', id)
    const token = program.run('token', 'create', '--id', id, '--approve', 'operator').stdout.split('\n')[0] ?? ''
    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at(`${id}.key`), '-subj', `/CN=${id}`, '-outform', 'DER', '-out', at(`${id}.der`))
    return client('pki', ['--est', '--url', url(), '--in', at(`${id}.der`), '--cacert', at('estca.pem'), '--cacert', at('estca-1.pem'), '--userpass', `${id}:${token}`, '--interval', '1', '--maxpolltime', '120', '--outform', 'pem'])
  }
  async function waiting(id: string): Promise<string> {
    const found = (): string | undefined => (program.json('enrollment', 'list') as { readonly items: readonly { readonly id: string; readonly device: string }[] }).items.find((e) => e.device === id)?.id
    await expect.poll(found, { timeout: 20_000, interval: 100 }).toBeDefined()
    return found() ?? ''
  }

  // strongSwan keeps to the Retry-After of a minute whatever --interval says, so that both wait at the same time.
  test('an enrollment that waits is polled: approved it is a certificate, rejected it is none', { timeout: 150_000 }, async () => {
    const [approved, rejected] = [poll('gateway-1'), poll('gateway-2')]
    const answers = [program.run('enrollment', 'approve', await waiting('gateway-1')), program.run('enrollment', 'reject', await waiting('gateway-2'))]
    expect(answers.map((a) => a.status)).toEqual([0, 0])
    await rejected.ended
    expect(await approved.ended).toBe(0)
    const pem = approved.output().slice(approved.output().indexOf('-----BEGIN CERTIFICATE-----'))
    writeFileSync(at('gateway-1.crt'), pem)
    expect(openssl('verify', '-CAfile', at('certs/local/root.pem'), '-untrusted', at('estca-1.pem'), at('gateway-1.crt'))).toContain('OK')
    expect(rejected.output()).not.toContain('-----BEGIN CERTIFICATE-----')
    expect(certificatesOf('gateway-1')).toBe(1)
    expect(certificatesOf('gateway-2')).toBe(0)
  })
})
