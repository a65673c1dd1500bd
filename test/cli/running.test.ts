// The command line beside a running server: commands go through its admin API, and what a server leaves behind, in whatever
// way it ended, does not confuse them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import { connectAsync } from 'mqtt'
import mqttPacket from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/vocabulary.ts'
import { LAUNCH, Program } from '../e2e/program.ts'
import { sallyport, temporary } from './shell.ts'

let program: Program
const place = temporary()
const file = (name: string): string => path.join(program.home, name)
const cli = (...args: string[]) => sallyport(args, { home: program.home })
const json = async (...args: string[]): Promise<unknown> => JSON.parse((await cli(...args, '--json')).stdout)
beforeAll(async () => {
  program = new Program()
  await program.serve()
})
afterAll(async () => {
  await program[Symbol.asyncDispose]()
  place[Symbol.dispose]()
})

/** Waits until the server has said this. */
async function said(text: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const poll = setInterval(() => program.output.includes(text) && resolve(), 20)
  await promise
  clearInterval(poll)
}

describe('commands of a home that is served', () => {
  test('are done by the server, as its operator', async () => {
    expect((await cli('device', 'add', 'run-1', '--group', 'sensors')).status).toBe(0)
    const [last] = ((await json('audit', 'tail', '--count', '1')) as { items: { event: { action: string }; user: { name: string } }[] }).items
    expect(last).toMatchObject({ event: { action: 'device-added' }, user: { name: expect.stringMatching(/^operator:/) } })
  })

  test('answer as agreed: a bundle for the port of the server, a revocation with its counts, the refusals with their fixes', async () => {
    await cli('device', 'bundle', 'run-1', '--out', place.at('run-1'))
    expect(JSON.parse(readFileSync(place.at('run-1/connection.json'), 'utf8'))).toMatchObject({ host: 'localhost', port: program.endpoints.mqtt.port })
    expect(await json('cert', 'revoke', '--device', 'run-1', '--reason', 'superseded')).toEqual({ revoked: [expect.stringMatching(/^[0-9a-f]{32}$/)], sessionsClosed: 0, closedMs: expect.any(Number) })
    expect(await json('policy', 'explain', '--device', 'run-1', '--publish', 't/run-1/a')).toMatchObject({ effect: 'allow', reason: 'granted', rule: 'sensor', at: { file: 'policy.yaml', line: expect.any(Number) }, bindings: { 'device.id': 'run-1' }, generation: 1 })
    expect(await json('why', 'run-1')).toEqual({ device: 'run-1', refusals: [], detections: [] })
    expect((await cli('cert', 'show', 'ffff')).status).toBe(EXIT.notFound)
    expect((await cli('device', 'add', 'run-1')).status).toBe(EXIT.refused)
  })

  test('change what a device is, and who is connected has what that gives', async () => {
    const bundle = program.device('set-1', 'nowhere-yet')
    const read = (name: string): string => readFileSync(path.join(bundle, name), 'utf8')
    expect((await cli('device', 'set', 'set-1', '--group', 'sensors', '--attr', 'model=k2')).stdout).toBe('set-1 is now of groups sensors, model=k2.\n')
    const live = await connectAsync(`mqtts://localhost:${program.endpoints.mqtt.port}`, { ca: read('ca.pem'), cert: read('device.pem'), key: read('device.key'), clientId: 'set-1', protocolVersion: 5, reconnectPeriod: 0 })
    await live.publishAsync('t/set-1/x', 'x', { qos: 1 })
    const { promise: gone, resolve } = Promise.withResolvers<void>()
    live.once('close', () => resolve())
    expect(await json('device', 'set', 'set-1', '--no-groups', '--unset', 'model')).toMatchObject({ groups: [], attributes: {}, revision: 3 })
    await gone
    expect(((await json('why', 'set-1')) as { refusals: unknown[] }).refusals).toEqual([])
    expect((await cli('device', 'set', 'set-1', '--group', 'b', '--revision', '2')).stderr).toContain('Somebody else changed this at the same time (the device is at revision 3)')
    expect(await json('device', 'add', 'set-2', '--tenant', 'acme')).toMatchObject({ id: 'set-2', tenant: 'acme' })
    expect((await cli('device', 'quarantine', 'set-2')).stdout).toBe('set-2 is quarantined.\n')
    expect((await cli('device', 'show', 'set-2')).stdout).toContain('set-2: quarantined, tenant acme, groups (none)')
  })
})

describe('doctor connect names the check that refuses', () => {
  const connect = (bundle: string, ...args: string[]) => cli('doctor', 'connect', '--cert', path.join(bundle, 'device.pem'), '--key', path.join(bundle, 'device.key'), '--json', ...args)
  const steps = (stdout: string) => (JSON.parse(stdout) as { steps: { step: string; ok: boolean; reason?: string; message: string }[] }).steps

  test('a device in force connects, and its live session is not disturbed', async () => {
    const bundle = program.device('doc-1')
    const read = (name: string): Buffer => readFileSync(path.join(bundle, name))
    const live = await connectAsync(`mqtts://localhost:${program.endpoints.mqtt.port}`, { ca: read('ca.pem'), cert: read('device.pem'), key: read('device.key'), clientId: 'doc-1', protocolVersion: 5, reconnectPeriod: 0 })
    let closed = false
    live.on('close', () => {
      closed = true
    })
    const { status, stdout } = await connect(bundle)
    expect(steps(stdout).map((s) => [s.step, s.ok])).toEqual(['key', 'certificate', 'identity', 'registry', 'tls', 'connect'].map((s) => [s, true]))
    expect(status).toBe(0)
    expect(closed).toBe(false)
    await live.endAsync()
  })

  test('a key of another certificate, a suspended device, a revoked certificate, an operator', async () => {
    const [one, two] = [program.device('doc-2'), program.device('doc-3')]
    const crossed = await cli('doctor', 'connect', '--cert', path.join(one, 'device.pem'), '--key', path.join(two, 'device.key'), '--json')
    expect(steps(crossed.stdout)[0]).toMatchObject({ step: 'key', ok: false, reason: 'tls-possession-unproven' })
    await cli('device', 'suspend', 'doc-2')
    const suspended = await connect(one)
    expect(steps(suspended.stdout).find((s) => s.step === 'registry')).toMatchObject({ ok: false, reason: 'device-suspended' })
    await cli('cert', 'revoke', '--device', 'doc-3', '--reason', 'keyCompromise')
    const revoked = await connect(two)
    expect(steps(revoked.stdout).filter((s) => !s.ok).map((s) => s.step)).toEqual(['registry', 'connect'])
    expect(revoked.stdout).toContain('certificate-revoked')
    const operator = await cli('doctor', 'connect', '--cert', file('certs/local/operator/cert.pem'), '--key', file('certs/local/operator/key.pem'), '--json')
    expect(steps(operator.stdout).find((s) => s.step === 'registry')).toMatchObject({ ok: false, reason: 'certificate-purpose' })
    expect([crossed, suspended, revoked, operator].map((a) => a.status)).toEqual([EXIT.refused, EXIT.refused, EXIT.refused, EXIT.refused])
  })

  test('a device that the policy grants nothing is told so by the audit log, since the server does not tell everything', async () => {
    const bundle = program.device('doc-4', 'nowhere')
    const { status, stdout } = await connect(bundle)
    expect(steps(stdout).at(-1)).toMatchObject({ step: 'connect', ok: false, reason: 'no-grant' })
    expect(status).toBe(EXIT.refused)
  })

  test('however long the name of the device is', async () => {
    const { stdout } = await connect(program.device('d'.repeat(64), 'nowhere'))
    expect(steps(stdout).at(-1)).toMatchObject({ step: 'connect', ok: false, reason: 'no-grant' })
  })

  test('the refusals of the device itself, which goes on trying meanwhile, are not taken for those of the attempt', async () => {
    const bundle = program.device('doc-5')
    const read = (name: string): Buffer => readFileSync(path.join(bundle, name))
    const itself = () => connectAsync(`mqtts://localhost:${program.endpoints.mqtt.port}`, { ca: read('ca.pem'), cert: read('device.pem'), key: read('device.key'), clientId: 'doc-4', protocolVersion: 5, reconnectPeriod: 0 }).catch(() => {})
    // In the place of the server: it refuses when the device itself has been refused for a reason of its own.
    const server = tls.createServer({ cert: readFileSync(file('certs/local/server/cert.pem')), key: readFileSync(file('certs/local/server/key.pem')) }, (socket) => {
      socket.on('error', () => {})
      socket.once('data', () => void itself().then(() => socket.write(mqttPacket.generate({ cmd: 'connack', reasonCode: 0x87, sessionPresent: false }, { protocolVersion: 5 }))))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    const { stdout } = await connect(bundle, '--port', String(port))
    server.close()
    expect(steps(stdout).at(-1)).toEqual({ step: 'connect', ok: false, message: 'refused with 0x87' })
    expect(await json('why', 'doc-5')).toMatchObject({ refusals: [{ reason: 'client-id-mismatch', clientId: 'doc-4' }] })
  })

  test('a certificate of another organisation; nobody at that port', async () => {
    using other = temporary()
    await sallyport(['ca', 'init', '--home', other.folder])
    await sallyport(['device', 'add', 'doc-1', '--home', other.folder])
    await sallyport(['device', 'bundle', 'doc-1', '--out', other.at('doc-1'), '--home', other.folder])
    await sallyport(['device', 'add', 'ghost', '--home', other.folder])
    await sallyport(['device', 'bundle', 'ghost', '--out', other.at('ghost'), '--home', other.folder])
    const foreign = await connect(other.at('doc-1'))
    expect(steps(foreign.stdout).find((s) => s.step === 'certificate')).toMatchObject({ ok: false })
    expect(foreign.status).toBe(EXIT.refused)
    // A device that nobody registered here, and that somebody claims to be, with the root of this server so that it gets that far.
    await connect(other.at('ghost'), '--ca', file('certs/local/root.pem'))
    expect(await json('why', 'ghost')).toMatchObject({ device: 'ghost', refusals: [{ claimed: true, reason: 'tls-signature-invalid' }] })
    expect((await cli('why', 'ghost')).stdout).toContain('somebody who claimed to be this device')
    expect((await cli('why', 'ghost-2')).status).toBe(EXIT.notFound)
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const nobody = await connect(path.join(program.home, 'bundles/doc-1'), '--port', String(port))
    expect(steps(nobody.stdout).at(-1)).toMatchObject({ step: 'tls', ok: false, message: expect.stringContaining('ECONNREFUSED') })
    expect(nobody.status).toBe(EXIT.unreachable)
  })

  test('doctor finds this home in order', async () => {
    expect(await json('doctor')).toMatchObject({ ok: true })
  })
})

describe('reload (SIGHUP)', () => {
  const explained = () => json('policy', 'explain', '--device', 'demo-sensor', '--publish', 'new/topic') as Promise<{ effect: string; generation: number }>

  test.each([
    ['sallyport.yaml', 'listn: {}\n', 'unknown key'],
    ['policy.yaml', 'version: 1\ngrnts: []\n', 'unknown key'],
  ])('a mistake in %s leaves what was in force, and the log says what is wrong', async (name, text, sentence) => {
    const before = readFileSync(file(name), 'utf8')
    writeFileSync(file(name), text)
    process.kill(program.endpoints.pid, 'SIGHUP')
    await said(`${name}:`)
    expect(program.output).toContain(sentence)
    // Read again by every command that is not told by the server, so it is put back first.
    writeFileSync(file(name), before)
    expect(await explained()).toMatchObject({ effect: 'deny', generation: 1 })
  })

  test('a good one is in force, with the next generation', async () => {
    writeFileSync(file('policy.yaml'), readFileSync(file('policy.yaml'), 'utf8').replace('publish:', 'publish:\n      - { topic: "new/topic" }'))
    process.kill(program.endpoints.pid, 'SIGHUP')
    await said('reloaded')
    expect(await explained()).toMatchObject({ effect: 'allow', generation: 2 })
  })
})

describe('what a server leaves behind', () => {
  test('a second server is refused; so is a command, when the first one holds the home and does not answer', async () => {
    const second = await cli('serve', '--ports', 'auto')
    expect(second.status).toBe(EXIT.configuration)
    expect(second.stderr).toMatch(/^sallyport: .*\nfix: /)
    renameSync(file('data/endpoints.json'), file('data/hidden'))
    try {
      const { status, stderr } = await cli('device', 'list')
      expect(status).toBe(EXIT.configuration)
      expect(stderr).toContain('no server answers there')
    } finally {
      renameSync(file('data/hidden'), file('data/endpoints.json'))
    }
    expect((await cli('device', 'list')).status).toBe(0)
  })

  test('a port in use is a sentence, and nothing is half started', async () => {
    using other = temporary()
    writeFileSync(other.at('sallyport.yaml'), `listen:\n  mqtt: { port: ${program.endpoints.mqtt.port} }\n  admin: { port: 0 }\n`)
    const { status, stderr } = await sallyport(['serve', '--home', other.folder])
    expect(status).toBe(EXIT.configuration)
    expect(stderr).toMatch(/sallyport: .*\nfix: /)
    expect(existsSync(other.at('data/endpoints.json'))).toBe(false)
  })

  test('after kill -9 its endpoints file misleads nobody, not even when another process has its number', async () => {
    const left = readFileSync(file('data/endpoints.json'), 'utf8')
    await program.stop('SIGKILL')
    expect(existsSync(file('data/endpoints.json'))).toBe(true)
    expect((await cli('device', 'show', 'run-1')).status).toBe(0)
    writeFileSync(file('data/endpoints.json'), JSON.stringify({ ...(JSON.parse(left) as object), pid: process.pid }))
    expect((await cli('device', 'show', 'run-1')).status).toBe(0)
    for (const text of ['', '{', '[]', '{"pid":-1}', '{"pid":1,"mqtt":{"host":"::","port":1},"admin":{"url":"file:///etc/passwd"}}']) {
      writeFileSync(file('data/endpoints.json'), text)
      expect((await cli('device', 'show', 'run-1')).status, text).toBe(0)
    }
    expect(await json('audit', 'verify')).toMatchObject({ intact: true })
  })
})

describe('ending', () => {
  test('a reader of its first lines that goes away does not end the server; two signals of one Ctrl-C are one', async () => {
    using other = temporary()
    const server = spawn(process.execPath, [LAUNCH, 'serve', '--ports', 'auto', '--home', other.folder], { stdio: ['ignore', 'pipe', 'pipe'] })
    const exited = once(server, 'exit')
    server.stdout.destroy()
    let log = ''
    const { promise: ready, resolve } = Promise.withResolvers<void>()
    server.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (log.includes('"ready"')) resolve()
    })
    await ready
    expect((await sallyport(['device', 'list'], { home: other.folder })).status).toBe(0)
    server.kill('SIGINT')
    server.kill('SIGINT')
    expect(await exited).toEqual([0, null])
    expect(existsSync(other.at('data/endpoints.json'))).toBe(false)
  })
})
