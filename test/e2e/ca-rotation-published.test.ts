// What is published of two CAs that issue for one fleet: each has its list and its responder, and openssl takes both from the one root.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { has, Program } from './program.ts'

describe.skipIf(!has('openssl'))('a rotation, as others see it (needs openssl)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  const at = (name: string): string => path.join(program.home, name)
  const url = (): string => `http://localhost:${program.endpoints.pki.port}`
  function openssl(...args: readonly string[]): string {
    const { stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
    return stdout + stderr
  }
  async function fetched(name: string, from: string): Promise<string> {
    const answer = await fetch(`${url()}${from}`)
    expect(answer.status, from).toBe(200)
    writeFileSync(at(name), Buffer.from(await answer.arrayBuffer()))
    return at(name)
  }
  function must(...args: string[]): void {
    const answer = program.run(...args)
    expect(answer.status, `${args.join(' ')}: ${answer.stderr}`).toBe(0)
  }
  const standing = (issuer: string, device: string): string => openssl('ocsp', '-issuer', issuer, '-cert', at(`bundles/${device}/device.pem`), '-url', `${url()}/ocsp`, '-CAfile', at('certs/local/root.pem'))

  test('certificates of the old and of the new CA are answered for by their own CA, and revoked in their own list', async () => {
    program.device('old-1')
    for (const step of ['start', 'trust', 'switch']) must('ca', 'rotate', step)
    program.device('new-1')
    program.device('new-2')
    const issuers = [await fetched('i1.pem', '/ca/issuing-1.pem'), await fetched('i2.pem', '/ca/issuing-2.pem')] as const
    await expect.poll(() => standing(issuers[1], 'new-1'), { timeout: 20_000 }).toContain('new-1/device.pem: good')
    expect(standing(issuers[0], 'old-1')).toContain('old-1/device.pem: good')
    // Asked for with the wrong issuer it is nobody's certificate.
    expect(standing(issuers[1], 'old-1')).not.toContain('old-1/device.pem: good')
    for (const device of ['old-1', 'new-2']) must('cert', 'revoke', '--device', device, '--yes')
    expect(standing(issuers[0], 'old-1')).toContain('old-1/device.pem: revoked')
    expect(standing(issuers[1], 'new-2')).toContain('new-2/device.pem: revoked')
    const listed = async (name: string): Promise<string> => openssl('crl', '-inform', 'DER', '-noout', '-text', '-in', await fetched(`${name}.crl`, `/crl/${name}.crl`), '-CAfile', at(name === 'issuing-1' ? 'i1.pem' : 'i2.pem'))
    const serialOf = (device: string): string => openssl('x509', '-noout', '-serial', '-in', at(`bundles/${device}/device.pem`)).trim().replace('serial=', '')
    await expect.poll(() => listed('issuing-1'), { timeout: 20_000 }).toContain(serialOf('old-1'))
    await expect.poll(() => listed('issuing-2'), { timeout: 20_000 }).toContain(serialOf('new-2'))
    for (const [name, others] of [['issuing-1', ['new-1', 'new-2']], ['issuing-2', ['old-1', 'new-1']]] as const) {
      const text = await listed(name)
      expect(text).toContain('verify OK')
      for (const other of others) expect(text).not.toContain(serialOf(other))
    }
  })
})
