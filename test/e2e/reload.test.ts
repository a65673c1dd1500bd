// A reload as an operator asks for it: what can be changed while it runs is changed, for whoever connects from then on; what cannot is named;
// and what is wrong is refused with its place, in the answer of the command.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'
import mqttPacket from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { has, Program } from './program.ts'

const program = new Program()
const file = path.join(program.home, 'sallyport.yaml')
let bundle: string

beforeAll(async () => {
  await program.serve('--set', 'log.level=info')
  bundle = program.device('sensor-1')
}, 60_000)
afterAll(() => program[Symbol.asyncDispose]())

const configure = (text: string): void => writeFileSync(file, text)
const reload = (...args: string[]) => program.run('reload', ...args)

/** What the server says in its CONNACK to a client of MQTT 5 that asks for the longest keep-alive. */
async function connack(): Promise<{ readonly maximumPacketSize?: number; readonly serverKeepAlive?: number }> {
  const read = (name: string): string => readFileSync(path.join(bundle, name), 'utf8')
  const socket = tls.connect({ host: '127.0.0.1', port: program.endpoints.mqtt.port, ca: read('ca.pem'), cert: read('device.pem') + read('chain.pem'), key: read('device.key'), servername: 'localhost' })
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  const answer = Promise.withResolvers<mqttPacket.Packet>()
  parser.on('packet', answer.resolve)
  socket.on('data', (chunk: Buffer) => void parser.parse(chunk)).on('error', answer.reject).on('close', () => answer.reject(new Error('closed')))
  socket.once('secureConnect', () => socket.write(mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'sensor-1', clean: true, keepalive: 65_535, properties: {} }, { protocolVersion: 5 })))
  const packet = await answer.promise
  socket.destroy()
  return packet.cmd === 'connack' ? packet.properties ?? {} : expect.fail(`a ${packet.cmd}`)
}

describe('what can be changed is in force', () => {
  test('limits of a connection, for the next one', async () => {
    expect(await connack()).toMatchObject({ maximumPacketSize: 262_144, serverKeepAlive: 1_200 })
    configure('limits: { packetBytesMax: 64KiB, keepAliveSecondsMax: 60 }\n')
    const answer = reload()
    expect([answer.status, answer.stdout]).toEqual([0, 'reloaded: policy generation 1, 0 trusted CAs, and the server certificate\nlimits.packetBytesMax changed from 256KiB to 64KiB\nlimits.keepAliveSecondsMax changed from 1200 to 60\n'])
    expect(await connack()).toMatchObject({ maximumPacketSize: 65_536, serverKeepAlive: 60 })
    configure('')
    expect(program.json('reload')).toEqual({ policyGeneration: 1, trustedCas: 0, changed: [{ key: 'limits.packetBytesMax', from: '64KiB', to: '256KiB' }, { key: 'limits.keepAliveSecondsMax', from: '60', to: '1200' }], atNextStart: [] })
    expect(await connack()).toMatchObject({ maximumPacketSize: 262_144, serverKeepAlive: 1_200 })
  })

  test('the rate of one address, at its next connection', async () => {
    configure('limits: { sourceRatePerSecond: 1, sourceBurst: 1 }\n')
    expect(reload().status).toBe(0)
    // The bucket of this address still holds what it held; a rate of one fills it no further than one.
    const results = await Promise.allSettled([connack(), connack(), connack(), connack()])
    expect(results.filter(({ status }) => status === 'rejected').length).toBeGreaterThanOrEqual(2)
    configure('limits: { sourceRatePerSecond: 1000000 }\n')
    expect(reload().status).toBe(0)
    await expect(connack()).resolves.toMatchObject({ serverKeepAlive: 1_200 })
  })

  test('the level of the log, and each key that changed is in the audit log with who asked', () => {
    configure('')
    reload()
    const kept = program.json('audit', 'tail', '--count', '10') as { items: { event: { action: string }; message?: string }[] }
    expect(kept.items.findLast(({ event }) => event.action === 'config-loaded')).toMatchObject({ message: 'limits.sourceRatePerSecond changed from 1000000 to 500; limits.sourceBurst changed from 1000000 to 2000', user: { name: expect.any(String) } })
  })
})

describe('what cannot be changed', () => {
  test('is named with both values, by command and log, until it is taken back', async () => {
    configure('organisation: Acme\nlisten: { mqtt: { host: 127.0.0.1 }, websocket: {} }\n')
    const answer = reload()
    expect(answer.stdout.split('\n').slice(1, -1)).toEqual([
      'listen.websocket changed from off to on: takes effect at the next start',
      'organisation changed from Sallyport to Acme: takes effect at the next start',
      'listen.mqtt.host changed from :: to 127.0.0.1: takes effect at the next start',
    ])
    await vi.waitFor(() => expect(program.output).toContain('"organisation changed from Sallyport to Acme: takes effect at the next start"'))
    // It still is not in force: it is told again.
    expect(reload().stdout).toContain('organisation changed from Sallyport to Acme')
    configure('')
    expect(reload().stdout.split('\n')).toHaveLength(2)
  })

  test('is not what a flag of this server has set', () => {
    configure('listen: { mqtt: { port: 8884 } }\nlog: { level: debug }\n')
    // --ports auto and --set log.level win over the file, at the next start with the same flags, too.
    expect(reload().stdout.split('\n')).toHaveLength(2)
    configure('')
  })
})

describe('what is wrong', () => {
  test('is refused with file, line and column as the answer, and what was in force stays', async () => {
    configure('limits:\n  keepAliveSecondsMax: 60\n  packetBytesMx: 1MiB\n')
    const answer = reload()
    expect([answer.status, answer.stdout, answer.stderr]).toEqual([78, '', 'sallyport: sallyport.yaml:3:3: unknown key "packetBytesMx" in limits. Did you mean "packetBytesMax"?\n'])
    expect(await connack()).toMatchObject({ serverKeepAlive: 1_200 })
    const tail = program.json('audit', 'tail', '--count', '10') as { items: { event: { action: string }; message?: string }[] }
    expect(tail.items.findLast(({ event }) => event.action === 'config-rejected')?.message).toContain('sallyport.yaml:3:3')
    configure('')
    const policy = path.join(program.home, 'policy.yaml')
    const before = readFileSync(policy, 'utf8')
    writeFileSync(policy, 'version: 1\ngrant: []\n')
    const refused = reload()
    expect([refused.status, refused.stderr]).toEqual([78, expect.stringContaining('policy.yaml:2:1: unknown key "grant"')])
    writeFileSync(policy, before)
    expect(reload().status).toBe(0)
  })

  test('a pipe in the place of a file is refused, and devices are served meanwhile', async () => {
    execFileSync('mkfifo', [path.join(program.home, 'factory.pem')])
    configure('trust: [{ name: factory, file: factory.pem }]\n')
    expect(reload()).toMatchObject({ status: 78, stderr: expect.stringContaining('factory.pem cannot be read: it is not a file') as string })
    expect(await connack()).toMatchObject({ serverKeepAlive: 1_200 })
    configure('')
    expect(reload().status).toBe(0)
  })

  test.skipIf(!has('curl'))('fifty that ask at once, with curl and the operator certificate, are all answered', async () => {
    const operator = path.join(program.home, 'certs/local/operator')
    const ask = (): Promise<string> => new Promise((resolve) => {
      const child = spawn('curl', ['-s', '-X', 'POST', '--cacert', path.join(operator, 'ca.pem'), '--cert', path.join(operator, 'cert.pem'), '--key', path.join(operator, 'key.pem'), `${program.endpoints.admin.url}/v1/reload`])
      let text = ''
      child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString() }).once('close', () => resolve(text))
    })
    const answers = await Promise.all(Array.from({ length: 50 }, ask))
    expect(answers.map((text) => (JSON.parse(text) as { policyGeneration: number }).policyGeneration)).toEqual(Array.from({ length: 50 }, () => 1))
  })
})

test('without a server there is nothing to reload, and the configuration is looked at by itself', async () => {
  await using fresh = new Program()
  expect(fresh.run('reload')).toMatchObject({ status: 5, stderr: expect.stringContaining('No server runs in this home') as string })
  writeFileSync(path.join(fresh.home, 'sallyport.yaml'), 'listen: { mqtt: { prt: 1 } }\nlog: { level: loud }\n')
  expect(fresh.run('config', 'check')).toEqual({ status: 78, stdout: '', stderr: 'sallyport: sallyport.yaml:1:19: unknown key "prt" in listen.mqtt. Did you mean "port"?\nsallyport.yaml:2:15: log.level must be error or warn or info or debug, not loud.\n' })
  const asJson = fresh.run('config', 'check', '--json')
  expect([asJson.status, JSON.parse(asJson.stdout)]).toMatchObject([78, { ok: false, problems: [{ file: 'sallyport.yaml', line: 1, column: 19, fix: 'Did you mean "port"?' }, { line: 2 }], warnings: [] }])
  const other = path.join(fresh.home, 'other.yaml')
  writeFileSync(other, 'log: { level: debug }\n')
  expect(fresh.run('config', 'check', other)).toMatchObject({ status: 0, stdout: `${other}: nothing is wrong.\n` })
  rmSync(path.join(fresh.home, 'sallyport.yaml'))
  expect(fresh.run('config', 'check')).toMatchObject({ status: 0, stdout: 'sallyport.yaml: nothing is wrong.\n' })
  expect(fresh.run('config', 'show', 'lisen')).toMatchObject({ status: 2, stderr: expect.stringContaining('Did you mean listen?') as string })
})

test('who asks by a signal while the server starts is heard when it has', { timeout: 60_000 }, async () => {
  await using fresh = new Program()
  const served = fresh.serve()
  await expect.poll(() => existsSync(path.join(fresh.home, 'data')), { timeout: 20_000, interval: 5 }).toBe(true)
  const ended = fresh.stop('SIGHUP')
  await served
  await expect.poll(() => fresh.output, { timeout: 20_000 }).toContain('"msg":"reloaded: configuration, policy')
  process.kill(fresh.endpoints.pid, 'SIGTERM')
  expect(await ended).toBe(0)
})
