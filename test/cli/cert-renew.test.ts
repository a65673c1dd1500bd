// sallyport cert renew and cert expiring, beside a running server and without one: orders, the program's own credentials, what ends and the
// exit codes by which a script knows.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Program } from '../e2e/program.ts'

let program: Program
beforeAll(async () => {
  program = new Program()
  await program.serve()
  program.device('s-1')
  program.device('s-2')
})
afterAll(() => program[Symbol.asyncDispose]())

const file = (name: string): string => readFileSync(path.join(program.home, 'certs/local', name), 'utf8')
const serialOf = (name: string): string => new X509Certificate(file(`${name}/cert.pem`)).serialNumber.toLowerCase()
/** A connection to the MQTT door, and the certificate that is shown there. */
function shownAtTheDoor(): Promise<{ readonly socket: tls.TLSSocket; readonly serial: string }> {
  return new Promise((resolve, reject) => {
    const bundle = (name: string): string => readFileSync(path.join(program.home, 'bundles/s-1', name), 'utf8')
    const socket = tls.connect({ port: program.endpoints.mqtt.port, host: '127.0.0.1', servername: 'localhost', ca: bundle('ca.pem'), cert: bundle('device.pem') + bundle('chain.pem'), key: bundle('device.key') }, () => {
      resolve({ socket, serial: socket.getPeerX509Certificate()?.serialNumber.toLowerCase() ?? '' })
    })
    socket.once('error', reject)
  })
}

describe('cert renew', () => {
  test('orders devices, tells how far that has come, and is ended', () => {
    const dry = program.run('cert', 'renew', '--group', 'sensors', '--dry-run')
    expect(dry.stdout).toBe('3 devices: demo-sensor, s-1, s-2. 0 connected, 3 not.\nNobody was asked.\n')
    const { id } = program.json('cert', 'renew', '--group', 'sensors', '--over', '6h') as { id: string }
    expect(program.json('cert', 'renew', '--status')).toMatchObject({ items: [{ id, overMs: 21_600_000, devices: 3, done: 0, fetched: 0, connected: 0, away: 3 }] })
    expect(program.run('cert', 'renew', '--status').stdout).toContain('group sensors')
    expect(program.run('cert', 'renew', '--end', id).stdout).toContain(`Order ${id} has ended.`)
    expect(program.run('cert', 'renew', '--end', id).status).toBe(3)
    expect(program.run('cert', 'renew', '--status').stdout).toBe('No order is open.\n')
    const log = program.json('audit', 'tail') as { items?: readonly unknown[] }
    expect(JSON.stringify(log)).toContain('"action":"renewal-ordered"')
  })

  test.each<[string, readonly string[]]>([
    ['nobody', []], ['two things', ['--group', 'a', '--status']], ['a duration without an order', ['--status', '--over', '1h']],
    ['no duration', ['--device', 's-1', '--over', 'soon']], ['a time that is none', ['--issued-before', 'yesterday']], ['another credential', ['--own', 'root']], ['no id of an order', ['--end', '*']],
  ])('that says %s is a usage error, and orders nothing', (_, args) => {
    const { status, stderr } = program.run('cert', 'renew', ...args)
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^sallyport: /)])
    expect(program.json('cert', 'renew', '--status')).toEqual({ items: [] })
  })

  test('of a device that is not there is refused, and of an empty group orders nothing', () => {
    expect(program.run('cert', 'renew', '--device', 'nobody').status).toBe(3)
    expect(program.run('cert', 'renew', '--group', 'nobody')).toMatchObject({ status: 0, stdout: 'No device that is meant has a certificate in force which a renewal would replace.\n' })
  })

  test('--own server: the door shows the new certificate, and who was connected stays so', async () => {
    const before = await shownAtTheDoor()
    expect(before.serial).toBe(serialOf('server'))
    expect(program.run('cert', 'renew', '--own', 'server').stdout).toContain(`sallyport cert revoke --serial ${before.serial}`)
    const after = await shownAtTheDoor()
    expect(after.serial).toBe(serialOf('server'))
    expect(after.serial).not.toBe(before.serial)
    expect(before.socket.readyState).toBe('open')
    for (const { socket } of [before, after]) socket.destroy()
  })

  test('--own operator: the next command works with the new one', () => {
    const before = serialOf('operator')
    expect(program.run('cert', 'renew', '--own', 'operator').status).toBe(0)
    expect(serialOf('operator')).not.toBe(before)
    expect(program.run('cert', 'revoke', '--serial', before, '--yes').status).toBe(0)
    expect(program.json('device', 'show', 's-1')).toMatchObject({ id: 's-1' })
  })
})

describe('cert expiring', () => {
  test('says nothing is near with exit code 0, and what is with 1, devices counted and listed soonest first', () => {
    const near = program.run('cert', 'expiring')
    expect([near.status, near.stdout.split('\n')[0]]).toEqual([0, 'Within 30d: 0 certificates of devices, 2 of the organisation\'s own.'])
    const far = program.run('cert', 'expiring', '--within', '366d', '--group', 'sensors', '--limit', '2')
    expect(far.status).toBe(1)
    expect(far.stdout).toMatch(/^Within 366d: 3 certificates of devices, 0 of the organisation's own\.\nEXPIRES +KIND +NAME +SERIAL +REMARK\n.* device .*\n.* device .*\nmore: --after \S+\n$/)
    const next = /--after (\S+)/.exec(far.stdout)?.[1] ?? ''
    const rest = program.run('cert', 'expiring', '--within', '366d', '--group', 'sensors', '--after', next).stdout
    const rows = [...`${far.stdout}${rest}`.matchAll(/^(\S+) +device +(\S+)/gm)].map(([, at = '', name = '']) => ({ at, name }))
    // Of two that end in the same second either comes first.
    expect(rows.map(({ name }) => name).toSorted()).toEqual(['demo-sensor', 's-1', 's-2'])
    expect(rows.map(({ at }) => at)).toEqual(rows.map(({ at }) => at).toSorted())
    for (const within of ['0d', 'x', '99999d']) expect(program.run('cert', 'expiring', '--within', within).status).toBe(2)
  })

  test('without a server it is the same, and so are orders and own credentials; doctor finds nothing', async () => {
    const answer = program.run('cert', 'expiring', '--within', '366d', '--json')
    await program.stop()
    const { status, stdout } = program.run('cert', 'expiring', '--within', '366d', '--json')
    expect([status, JSON.parse(stdout)]).toEqual([1, JSON.parse(answer.stdout)])
    const before = serialOf('server')
    expect(program.run('cert', 'renew', '--own', 'server').status).toBe(0)
    expect(serialOf('server')).not.toBe(before)
    expect(program.run('cert', 'renew', '--device', 's-1').stdout).toContain('asks 1 device: s-1. 0 connected, 1 not.')
    const checks = (JSON.parse(program.run('doctor', '--json').stdout) as { findings: readonly { check: string; ok: boolean }[] }).findings
    for (const check of ['certificate server', 'certificate operator', 'CRLs and OCSP responders', 'certificates of devices']) expect(checks).toContainEqual(expect.objectContaining({ check, ok: true }))
  })
})
