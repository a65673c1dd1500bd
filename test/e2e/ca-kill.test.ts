// A rotation of a server that is killed after every step: the next start is where the last one was, and the steps go on.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodePem } from '../../src/x509/pem.ts'
import { time } from '../x509/asn1.ts'
import { makeCa } from '../x509/forge.ts'
import { client, has, Program } from './program.ts'

let program: Program
beforeEach(() => {
  program = new Program()
})
afterEach(() => program[Symbol.asyncDispose]())

const states = (): string => {
  const { cas } = program.json('ca', 'rotate', 'status') as { cas: readonly { name: string; state: string }[] }
  return cas.map(({ name, state }) => `${name} ${state}`).toSorted().join(', ')
}
const file = (name: string): string => path.join(program.home, name)
const run = (...args: readonly string[]): void => {
  const { status, stderr } = program.run(...args)
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`)
}

describe.skipIf(!has('mosquitto_pub'))('with a mosquitto client (needs mosquitto-clients)', () => {
  const publishes = async (id: string): Promise<boolean> => {
    const bundle = file(`bundles/${id}`)
    const publishing = client('mosquitto_pub', ['-h', 'localhost', '-p', String(program.endpoints.mqtt.port), '--cafile', `${bundle}/ca.pem`, '--cert', `${bundle}/device.pem`, '--key', `${bundle}/device.key`, '-i', id, '-q', '1', '-t', `t/${id}/a`, '-m', 'x'])
    return (await publishing.ended) === 0
  }

  test('every step of a root rotation outlives kill -9, and so do the device that knows the old root only and the one that knows the new', async () => {
    await program.serve()
    program.device('s-old')
    const wanted = {
      'start --root': 'issuing-1 current, issuing-2 created, root current, root-2 created',
      'trust': 'issuing-1 current, issuing-2 trusted, root current, root-2 trusted',
      'cross-sign': 'issuing-1 current, issuing-2 trusted, root current, root-2 trusted',
      'switch': 'issuing-1 replaced, issuing-2 current, root replaced, root-2 current',
    }
    for (const [step, after] of Object.entries(wanted)) {
      run('ca', 'rotate', ...step.split(' '))
      await program.stop('SIGKILL')
      await program.serve()
      expect(states()).toBe(after)
      expect(await publishes('s-old')).toBe(true)
      // To do it again changes nothing.
      run('ca', 'rotate', ...step.split(' '))
      expect(states()).toBe(after)
    }
    program.device('s-new')
    writeFileSync(file('bundles/s-new/ca.pem'), readFileSync(file('certs/local/root.pem'), 'utf8').split(/(?=-----BEGIN)/)[0]!)
    expect(await publishes('s-new')).toBe(true)
    run('ca', 'rotate', 'retire', '--force', '--yes')
    await program.stop('SIGKILL')
    await program.serve()
    expect(states()).toBe('issuing-1 retired, issuing-2 current, root retired, root-2 current')
    expect([await publishes('s-old'), await publishes('s-new')]).toEqual([false, true])
    expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
    expect(program.json('doctor')).toMatchObject({ ok: true })
  }, 120_000)
})

describe('what expires soon', () => {
  test('of CAs of others: doctor, the log, the audit log and the status tell of it, and of what does not they do not', async () => {
    run('ca', 'init')
    const checks = (days: number): readonly { check: string; ok: boolean; message: string }[] => {
      const ca = makeCa({ name: 'Factory' }, { notBefore: time(Date.now() - 86_400_000), notAfter: time(Math.floor(Date.now() / 1_000) * 1_000 + days * 86_400_000) })
      writeFileSync(file('factory.pem'), encodePem('CERTIFICATE', ca.der))
      writeFileSync(file('sallyport.yaml'), 'trust:\n  - { name: factory, file: factory.pem }\n')
      return (JSON.parse(program.run('doctor', '--json').stdout) as { findings: { check: string; ok: boolean; message: string }[] }).findings.filter(({ check }) => check === 'trusted CA factory')
    }
    expect(checks(31)).toMatchObject([{ ok: true }])
    expect(checks(29)).toMatchObject([{ ok: false, message: expect.stringContaining('It expires') }])
    await program.serve()
    expect(program.output).toContain('"certificate":"factory"')
    const read = (name: string): Buffer => readFileSync(file(`certs/local/operator/${name}.pem`))
    const status = await new Promise<string>((resolve, reject) => {
      const asked = get(new URL('/v1/status', program.endpoints.admin.url), { key: read('key'), cert: read('cert'), ca: read('ca') }, (response) => void response.setEncoding('utf8').once('data', resolve))
      asked.once('error', reject)
    })
    expect(JSON.parse(status)).toMatchObject({ expiring: [{ certificate: 'factory' }] })
    await program.stop()
    const told = readFileSync(file('data/audit.ndjson'), 'utf8').split('\n').filter((line) => line.includes('"expiry-near"'))
    expect(told).toHaveLength(1)
    expect(told[0]).toContain('"certificate":"factory"')
  }, 60_000)
})

describe('the key of the root', () => {
  test('is exported, verified and taken out, and refused to be taken out otherwise; a server starts, issues, revokes and rotates without it', async () => {
    run('ca', 'init')
    writeFileSync(file('pass'), 'of the ceremony\n', { mode: 0o600 })
    const key = file('certs/local/root.key')
    const refused = (...args: readonly string[]): string => {
      const { status, stderr } = program.run(...args)
      expect(status).not.toBe(0)
      return stderr
    }
    // The key itself is no export, and neither is the key of another CA.
    expect(refused('ca', 'remove-root-key', '--exported', key, '--yes')).toContain('not an export')
    expect(refused('ca', 'remove-root-key', '--exported', file('certs/local/issuing.key'), '--yes')).toContain('does not hold the key')
    expect(refused('ca', 'export-root-key', '--out', file('pass'))).toContain('not overwritten')
    expect(refused('ca', 'export-root-key', '--out', file('clear.pem'), '--pem')).toContain('no key is written in the clear')
    run('ca', 'export-root-key', '--out', file('root.pk8'), '--passphrase-file', file('pass'), '--pem')
    expect(refused('ca', 'remove-root-key', '--exported', file('root.pk8'), '--yes')).toContain('passphrase')
    expect(existsSync(key)).toBe(true)
    run('ca', 'remove-root-key', '--exported', file('root.pk8'), '--passphrase-file', file('pass'), '--yes')
    expect(existsSync(key)).toBe(false)

    await program.serve()
    program.device('s-1')
    run('cert', 'revoke', '--device', 's-1', '--yes')
    expect(refused('ca', 'rotate', 'start')).toContain('--root-key')
    run('ca', 'rotate', 'start', '--root-key', file('root.pk8'), '--root-key-passphrase-file', file('pass'))
    for (const step of ['trust', 'switch']) run('ca', 'rotate', step)
    expect(existsSync(key)).toBe(false)
    await program.stop('SIGKILL')
    await program.serve()
    program.device('s-2')
    expect(states()).toBe('issuing-1 replaced, issuing-2 current, root current')
    const log = readFileSync(file('data/audit.ndjson'), 'utf8')
    expect(['exported', 'removed', 'lent'].map((action) => log.includes(`"action":"${action}"`))).toEqual([true, true, true])
    expect(log).not.toContain('of the ceremony')
    rmSync(file('root.pk8'))
  }, 120_000)
})
