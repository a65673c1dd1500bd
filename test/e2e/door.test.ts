// The door as its users meet it: real mosquitto clients and openssl against the program, started as the README says.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { client, has, Program, type Client } from './program.ts'

const MOSQUITTO = has('mosquitto_pub') && has('mosquitto_sub')
const OPENSSL = has('openssl')

let program: Program
beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(async () => {
  await program[Symbol.asyncDispose]()
})

function mosquitto(tool: 'pub' | 'sub', bundle: string, ...args: string[]): Client {
  const id = path.basename(bundle)
  return client(`mosquitto_${tool}`, [
    '-h', 'localhost', '-p', String(program.endpoints.mqtt.port), '--cafile', `${bundle}/ca.pem`, '--cert', `${bundle}/device.pem`, '--key', `${bundle}/device.key`,
    ...(args.includes('-i') ? [] : ['-i', id]), ...args,
  ])
}

/** A subscriber that has its SUBACK. */
async function subscriber(bundle: string, ...args: string[]): Promise<Client> {
  const sub = mosquitto('sub', bundle, '-d', ...args)
  await sub.saw('SUBACK')
  return sub
}

describe.skipIf(!MOSQUITTO)('with mosquitto clients (needs mosquitto-clients)', () => {
  test('the two lines that the first start prints work when they are pasted', async () => {
    const lines = program.output.split('\n').map((l) => l.trim())
    const sub = lines.find((l) => l.startsWith('mosquitto_sub'))
    const pub = lines.find((l) => l.startsWith('mosquitto_pub'))
    expect(sub).toBeDefined()
    expect(pub).toBeDefined()
    for (const version of ['', ' -V 5']) {
      const listening = client('sh', ['-c', `exec ${sub}${version} -d -C 1`])
      await listening.saw('SUBACK')
      expect(spawnSync('sh', ['-c', `${pub}${version}`], { timeout: 20_000 }).status).toBe(0)
      expect(await listening.ended).toBe(0)
    }
  })

  test('a publish to another device\'s topic is answered 135 in MQTT 5, and acknowledged and dropped in 3.1.1', async () => {
    const own = program.device('own-1')
    const other = program.device('other-1')
    const witness = await subscriber(other, '-t', 't/other-1/#', '-V', '5')
    const v5 = mosquitto('pub', own, '-V', '5', '-q', '1', '-d', '-t', 't/other-1/a', '-m', 'forged')
    await v5.saw('135')
    const v3 = mosquitto('pub', own, '-V', '311', '-q', '1', '-d', '-t', 't/other-1/a', '-m', 'forged')
    await v3.saw('PUBACK')
    expect(await v3.ended).toBe(0)
    // The nearest allow: the owner's own message arrives, and is the only one that does.
    const owner = mosquitto('pub', other, '-i', 'other-1:pub', '-q', '1', '-t', 't/other-1/a', '-m', 'genuine')
    expect(await owner.ended).toBe(0)
    await witness.saw('genuine')
    expect(witness.output()).not.toContain('forged')
    witness.process.kill()
  })

  test('a subscription beyond the grant is refused, one within it is granted', async () => {
    const bundle = program.device('reader-1')
    const denied = mosquitto('sub', bundle, '-V', '5', '-t', 't/#', '-W', '5', '-d')
    await denied.saw('135')
    await subscriber(bundle, '-V', '5', '-t', 't/reader-1/#').then((s) => s.process.kill())
  })

  test('another client id than the device\'s is refused, a suffixed one is not', async () => {
    const bundle = program.device('named-1')
    expect(await mosquitto('pub', bundle, '-i', 'somebody-else', '-t', 't/named-1/a', '-m', 'x').ended).not.toBe(0)
    expect(await mosquitto('pub', bundle, '-i', 'named-1:tool', '-t', 't/named-1/a', '-m', 'x').ended).toBe(0)
  })

  test('revoking cuts the live subscriber at once, refuses its return, and why says so', async () => {
    const bundle = program.device('sensor-7')
    const live = await subscriber(bundle, '-V', '5', '-t', 't/sensor-7/#')
    const answer = program.json('cert', 'revoke', '--device', 'sensor-7', '--reason', 'keyCompromise') as { revoked: string[]; sessionsClosed: number; closedMs: number }
    expect(answer.revoked).toHaveLength(1)
    expect(answer.sessionsClosed).toBe(1)
    expect(answer.closedMs).toBeGreaterThanOrEqual(0)
    await live.saw('152') // 0x98, administrative action
    live.process.kill()
    expect(await mosquitto('pub', bundle, '-t', 't/sensor-7/a', '-m', 'x').ended).not.toBe(0)
    expect(program.run('why', 'sensor-7').stdout).toMatch(/revoked/)
    const why = program.json('why', 'sensor-7') as { refusals: { reason: string; sentence: string; fix: string }[] }
    expect(why.refusals[0]?.reason).toBe('certificate-revoked')
  })

  test('suspending cuts the session and refuses the return; resuming lets it back', async () => {
    const bundle = program.device('sleepy-1')
    const live = await subscriber(bundle, '-V', '5', '-t', 't/sleepy-1/#')
    expect(program.run('device', 'suspend', 'sleepy-1').status).toBe(0)
    await live.saw('152')
    live.process.kill()
    expect(await mosquitto('pub', bundle, '-t', 't/sleepy-1/a', '-m', 'x').ended).not.toBe(0)
    expect(program.run('device', 'resume', 'sleepy-1').status).toBe(0)
    expect(await mosquitto('pub', bundle, '-t', 't/sleepy-1/a', '-m', 'x').ended).toBe(0)
  })
})

describe.skipIf(!OPENSSL)('with openssl (needs openssl)', () => {
  // MQTT 3.1.1 CONNECT, clean session, client id "tls-1".
  const CONNECT = Buffer.from([0x10, 0x11, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 0x04, 0x02, 0x00, 0x3c, 0x00, 0x05, 0x74, 0x6c, 0x73, 0x2d, 0x31])
  const CONNACK_ACCEPTED = '20020000'

  async function connack(bundle: string, ...args: string[]): Promise<string> {
    const s = client('sh', ['-c', `(printf '${[...CONNECT].map((b) => `\\${b.toString(8).padStart(3, '0')}`).join('')}'; sleep 1) | openssl s_client -connect localhost:${program.endpoints.mqtt.port} -CAfile ${bundle}/ca.pem -cert ${bundle}/device.pem -cert_chain ${bundle}/chain.pem -key ${bundle}/device.key -quiet -no_ign_eof ${args.join(' ')} 2>/dev/null | od -An -tx1 | tr -d ' \\n'`])
    await s.ended
    return s.output()
  }

  test.each(['1_2', '1_3'])('a saved TLS %s session opens nothing after the revocation', async (version) => {
    const id = 'tls-1'
    const bundle = existsSync(path.join(program.home, 'bundles', id)) ? path.join(program.home, 'bundles', id) : program.device(id)
    const session = path.join(bundle, `session-${version}`)
    if (version === '1_2') {
      // Both sessions are saved while the device is in force; the second test finds it revoked.
      expect(await connack(bundle, '-tls1_2', '-sess_out', path.join(bundle, 'session-1_2'))).toContain(CONNACK_ACCEPTED)
      expect(await connack(bundle, '-tls1_3', '-sess_out', path.join(bundle, 'session-1_3'))).toContain(CONNACK_ACCEPTED)
      expect(program.run('cert', 'revoke', '--device', id, '--reason', 'keyCompromise').status).toBe(0)
    }
    const again = await connack(bundle, `-tls${version}`, ...(existsSync(session) ? ['-sess_in', session] : []))
    expect(again).not.toContain(CONNACK_ACCEPTED)
  })

  test('no certificate at all is answered with alert 116 in TLS 1.3', () => {
    const { stdout, stderr } = spawnSync('sh', ['-c', `printf x | openssl s_client -connect localhost:${program.endpoints.mqtt.port} -CAfile ${program.home}/certs/local/root.pem -tls1_3 -ign_eof`], { encoding: 'utf8', timeout: 20_000 })
    expect(stdout + stderr).toMatch(/alert number 116/)
  })

  test.each(['localhost', '127.0.0.1'])('the server certificate is good for %s', (host) => {
    const option = /^[\d.]+$/.test(host) ? '-verify_ip' : '-verify_hostname'
    const { stdout } = spawnSync('sh', ['-c', `openssl s_client -connect ${host}:${program.endpoints.mqtt.port} -CAfile ${program.home}/certs/local/root.pem ${option} ${host} </dev/null`], { encoding: 'utf8', timeout: 20_000 })
    expect(stdout).toMatch(/Verify return code: 0/)
  })
})

describe('the home', () => {
  test('holds keys that only their owner can read', () => {
    for (const file of ['certs/local/root.key', 'certs/local/issuing.key', 'certs/local/passphrase', 'certs/local/server/key.pem', 'certs/local/operator/key.pem']) {
      expect((statSync(path.join(program.home, file)).mode & 0o777).toString(8), file).toBe('600')
    }
  })

  test('is locked against a second server', () => {
    const second = program.run('serve', '--ports', 'auto', '--home', program.home)
    expect(second.status).toBe(78)
    expect(second.stderr).toMatch(/Another Sallyport works in this home/)
  })
})

describe('the end', () => {
  test('SIGTERM drains and exits 0, the endpoints file is gone, the audit log is intact, and the next start finds everything', async () => {
    const fingerprint = readFileSync(path.join(program.home, 'certs/local/root.pem'), 'utf8')
    expect(await program.stop('SIGTERM')).toBe(0)
    expect(existsSync(path.join(program.home, 'data/endpoints.json'))).toBe(false)
    expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
    const offline = program.json('device', 'list') as { items: { id: string }[] }
    await program.serve()
    expect(readFileSync(path.join(program.home, 'certs/local/root.pem'), 'utf8')).toBe(fingerprint)
    expect(program.json('device', 'list')).toEqual(offline)
    expect(await program.stop('SIGINT')).toBe(0)
  })
})
