// A claim against the program as it is started: it opens the enrollment door and not the MQTT port, and what came through it is gone within
// a second of one command, sessions and CRL included.

import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect as dial, connectAsync, type IClientOptions } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forgeLeaf, forgeRoot } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import { client, has, Program, type Endpoints } from './program.ts'

const READY = ['curl', 'openssl'].every((tool) => has(tool))

describe.skipIf(!READY)('a claim at the running program (needs curl and openssl)', () => {
  let program: Program
  beforeAll(async () => {
    program = new Program()
    await program.serve()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  const at = (file: string): string => path.join(program.home, file)
  const est = (): string => `https://localhost:${(program.endpoints as Endpoints & { readonly enroll: Endpoints['mqtt'] }).enroll.port}/.well-known/est`
  function made(folder: string, ...more: readonly string[]): { readonly name: string; readonly serial: string } {
    return program.json('token', 'create', '--claim', at(folder), '--register', '--group', 'sensors', ...more) as { readonly name: string; readonly serial: string }
  }
  function openssl(args: readonly string[], input?: Buffer): Buffer {
    const { status, stdout, stderr } = spawnSync('openssl', args, input === undefined ? {} : { input })
    if (status !== 0) throw new Error(stderr.toString())
    return stdout
  }
  function request(id: string, key = `${id}.key`): string {
    writeFileSync(at(`${id}.der`), openssl(['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at(key), '-subj', `/CN=${id}`, '-outform', 'DER']))
    return at(`${id}.der`)
  }
  const curl = (folder: string, body: string): readonly string[] => ['-sS', '--cacert', at('certs/local/root.pem'), '--cert', at(`${folder}/claim.pem`), '--key', at(`${folder}/claim.key`), '--data-binary', `@${body}`, `${est()}/simpleenroll`]
  /** Enrolls with the claim in this folder; the credential for MQTT. */
  function enroll(folder: string, id: string): Pick<IClientOptions, 'cert' | 'key'> {
    const { stdout } = spawnSync('curl', curl(folder, request(id)), { encoding: 'utf8' })
    const leaf = openssl(['pkcs7', '-inform', 'DER', '-print_certs'], Buffer.from(stdout, 'base64')).toString()
    return { cert: leaf + readFileSync(at('certs/local/issuing.pem'), 'utf8'), key: readFileSync(at(`${id}.key`)) }
  }
  const optionsOf = (id: string, who: Pick<IClientOptions, 'cert' | 'key'>): IClientOptions => ({ ca: readFileSync(at('certs/local/root.pem')), clientId: id, protocolVersion: 5, reconnectPeriod: 0, ...who })
  const url = (): string => `mqtts://localhost:${program.endpoints.mqtt.port}`
  const outcome = (id: string, who: Pick<IClientOptions, 'cert' | 'key'>): Promise<'in' | 'out'> =>
    new Promise((resolve) => {
      const mqtt = dial(url(), optionsOf(id, who))
      const end = (seen: 'in' | 'out'): void => {
        mqtt.end(true)
        resolve(seen)
      }
      mqtt.once('connect', () => end('in')).once('close', () => end('out')).on('error', () => {})
    })

  test('it opens no MQTT session, and the audit log says why; its device has one (E06)', async () => {
    const { name, serial } = made('line-1', '--pattern', 'line-1-*', '--uses', '9')
    const who = enroll('line-1', 'line-1-1')
    const claim = { cert: readFileSync(at('line-1/claim.pem')), key: readFileSync(at('line-1/claim.key')) }
    expect(await outcome('line-1-1', claim)).toBe('out')
    const tail = JSON.stringify(program.json('audit', 'tail', '--count', '20'))
    expect(tail).toContain('certificate-purpose')
    expect(tail).toContain(serial)
    expect(spawnSync('curl', curl('line-1', request('other-1')), { encoding: 'utf8' }).stdout).toContain('The token is for another device')
    expect(program.json('why', 'other-1')).toMatchObject({ refusals: [{ reason: 'token-device', claimed: true }] })
    const [refusal] = (program.json('audit', 'tail', '--count', '1') as { readonly items?: readonly unknown[] }).items ?? []
    expect(refusal).toMatchObject({ event: { reason: 'token-device' }, x509: { serial_number: serial }, tls: { client: { subject: `CN=claim ${name}` } } })
    expect(await outcome('line-1-1', who)).toBe('in')
    expect(program.json('token', 'list')).toMatchObject({ items: [{ name, uses: 1, proof: { kind: 'claim' } }] })
    expect(readFileSync(at('data/audit.ndjson'), 'utf8')).not.toContain('PRIVATE KEY')
  })

  test('what came through it is revoked with it, sessions within a second, and the CRL says so', async () => {
    const { name, serial } = made('line-2', '--pattern', 'line-2-*', '--uses', '9')
    const other = made('line-3', '--pattern', 'line-3-*')
    const [who, beside] = [enroll('line-2', 'line-2-1'), enroll('line-3', 'line-3-1')]
    const [mqtt, staying] = [await connectAsync(url(), optionsOf('line-2-1', who)), await connectAsync(url(), optionsOf('line-3-1', beside))]
    const closed = new Promise<void>((resolve) => mqtt.once('close', () => resolve()))
    // A dry run ends nothing.
    expect(program.json('cert', 'revoke', '--claim', name, '--dry-run')).toMatchObject({ certificates: 2, devices: 1, sessions: 1, dryRun: true })
    expect(mqtt.connected).toBe(true)
    const answer = program.json('cert', 'revoke', '--claim', name, '--reason', 'keyCompromise', '--yes') as { readonly closedMs: number }
    expect(answer).toMatchObject({ certificates: 2, devices: 1, sessions: 1 })
    expect(answer.closedMs).toBeLessThan(1_000)
    await closed
    expect(staying.connected).toBe(true)
    staying.end(true)
    expect(await outcome('line-2-1', who)).toBe('out')
    expect(spawnSync('curl', curl('line-2', request('line-2-2')), { encoding: 'utf8' }).stdout).toContain('The certificate is revoked')
    const serials = (program.json('cert', 'list', '--token', name) as { readonly items: readonly { readonly serial: string }[] }).items.map((c) => c.serial)
    expect(serials).toContain(serial)
    expect(program.run('cert', 'show', serial).stdout).toContain('claim certificate, issued by issuing-1, revoked')
    expect(program.run('cert', 'show', serial).stdout).toContain(`came through the token ${name}`)
    const crl = async (): Promise<string> => openssl(['crl', '-inform', 'DER', '-noout', '-text'], Buffer.from(await (await fetch(`http://localhost:${program.endpoints.pki.port}/crl/issuing-1.crl`)).arrayBuffer())).toString().toLowerCase()
    const listed = (text: string): boolean => serials.every((each) => text.includes(each))
    await expect.poll(async () => listed(await crl()), { timeout: 15_000, interval: 200 }).toBe(true)
    expect(await crl()).not.toContain(other.serial)
  })

  test('suspended in one process it is refused in the other at once, and resumed it is not', () => {
    const { name } = made('line-4', '--pattern', 'line-4-*', '--uses', '9')
    const ask = (): string => spawnSync('curl', curl('line-4', request('line-4-1')), { encoding: 'utf8' }).stdout
    expect(program.run('token', 'suspend', name).stdout).toContain('is suspended')
    expect(ask()).toContain('The token is suspended')
    expect(program.run('token', 'list').stdout).toMatch(new RegExp(`${name}.*its claim.*suspended`))
    expect(program.run('token', 'resume', name).status).toBe(0)
    expect(ask()).not.toContain('The token')
  })

  test('killed while four devices ask for its last use, it gives one of them a certificate in the end, and no second', async () => {
    const { name } = made('line-5', '--pattern', 'line-5-*', '--uses', '2')
    enroll('line-5', 'line-5-1')
    const bodies = [2, 3, 4, 5].map((n) => request(`line-5-${n}`))
    const asking = bodies.map((body) => client('curl', [...curl('line-5', body)]))
    await Promise.race(asking.map(({ ended }) => ended))
    await program.stop('SIGKILL')
    await Promise.all(asking.map(({ ended }) => ended))
    await program.serve()
    const answers = bodies.map((body) => spawnSync('curl', [...curl('line-5', body)], { encoding: 'utf8' }).stdout)
    expect(answers.filter((text) => text.startsWith('MII'))).toHaveLength(1)
    expect(answers.filter((text) => text.includes('used as often as it may be'))).toHaveLength(3)
    expect((program.json('token', 'list') as { readonly items: readonly { readonly name: string; readonly uses: number }[] }).items.find((t) => t.name === name)?.uses).toBe(2)
  }, 60_000)

  test('a manufacturer that only enrolls opens no MQTT port, whatever the policy says; enrolled, its device does', { timeout: 60_000 }, async () => {
    const factory = forgeRoot('Factory')
    const leaf = forgeLeaf(factory, 'F-1')
    const who = { cert: pem('CERTIFICATE', leaf.certificate), key: keyPem(leaf.key) }
    writeFileSync(at('factory.pem'), pem('CERTIFICATE', factory.certificate))
    writeFileSync(at('f.pem'), who.cert)
    writeFileSync(at('f.key'), who.key)
    appendFileSync(at('policy.yaml'), 'identity:\n  - { ca: factory, device: "${cert.subject.CN}", groups: ["sensors"], register: auto }\n')
    const reload = async (text: string): Promise<void> => {
      writeFileSync(at('sallyport.yaml'), text)
      const before = program.output.length
      process.kill(program.endpoints.pid, 'SIGHUP')
      await expect.poll(() => program.output.slice(before).includes('reloaded: configuration, policy, trust'), { timeout: 20_000, interval: 50 }).toBe(true)
    }
    await reload('trust: [{ name: factory, file: factory.pem, only: enrollment }]\n')
    expect(await outcome('F-1', who)).toBe('out')
    const enrolling = (): string => spawnSync('curl', ['-sS', '--cacert', at('certs/local/root.pem'), '--cert', at('f.pem'), '--key', at('f.key'), '--data-binary', `@${at('F-1.der')}`, `${est()}/simpleenroll`], { encoding: 'utf8' }).stdout
    request('F-1')
    expect(enrolling()).toContain('No rule lets certificates of this CA enroll devices')
    const { name } = program.json('token', 'create', '--manufacturer', 'factory', '--pattern', 'F-*', '--register', '--group', 'sensors') as { readonly name: string }
    const own = openssl(['pkcs7', '-inform', 'DER', '-print_certs'], Buffer.from(enrolling(), 'base64')).toString() + readFileSync(at('certs/local/issuing.pem'), 'utf8')
    expect(await outcome('F-1', { cert: own, key: readFileSync(at('F-1.key')) })).toBe('in')
    expect(await outcome('F-1', who)).toBe('out')
    // The same CA with all doors: its own certificate is for a device that has ours already.
    await reload('trust: [{ name: factory, file: factory.pem }]\n')
    const other = forgeLeaf(factory, 'G-1')
    expect(await outcome('G-1', { cert: pem('CERTIFICATE', other.certificate), key: keyPem(other.key) })).toBe('in')
    // Taken out of trust it enrolls nobody either.
    await reload('# nobody\n')
    expect(enrolling()).toContain('not issued by a CA that this organisation trusts')
    expect(program.json('cert', 'revoke', '--token', name, '--yes')).toMatchObject({ certificates: 1, devices: 1 })
    expect(await outcome('F-1', { cert: own, key: readFileSync(at('F-1.key')) })).toBe('out')
  })

  test('what a person gets wrong on the command line is said, and makes nothing', () => {
    const before = JSON.stringify(program.json('token', 'list'))
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [['--claim', at('x'), '--manufacturer', 'f', '--id', 'a'], 'are two tokens'],
      [['--csr', at('x.csr'), '--id', 'a'], '--csr is for the certificate of a claim'],
      [['--prefix', 'a-', '--id', 'a'], 'are for the certificates of a manufacturer'],
      [['--manufacturer', 'nobody', '--id', 'a'], 'there is no trusted CA nobody'],
      [['--manufacturer', 'nobody', '--prefix', '*', '--id', 'a'], 'a prefix is the beginning of a device id'],
      [['--claim', at('line-1'), '--id', 'a'], 'a claim is not overwritten'],
      [['--claim', at('y'), '--id', 'a', '--expires', '31d'], 'lives 30 days'],
    ]
    for (const [args, message] of wrong) {
      const { status, stderr } = program.run('token', 'create', ...args)
      expect(stderr).toContain(message)
      expect(status).not.toBe(0)
    }
    // The folder can be used for the next try.
    expect(existsSync(at('y/claim.key'))).toBe(false)
    expect(program.run('cert', 'revoke', '--claim', 'ABCDEFGH', '--token', 'ABCDEFGH').stderr).toContain('name the same thing')
    expect(program.run('cert', 'revoke', '--claim', 'ABCDEFGH', '--yes').stderr).toContain('There is no token of this name')
    expect(program.run('cert', 'journal', '--by', 'friend').stderr).toContain('--by takes one of')
    expect(JSON.stringify(program.json('token', 'list'))).toBe(before)
  })
})
