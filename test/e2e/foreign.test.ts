// Devices of another organisation's CA, against the program as it is started: trusted by an edit and a SIGHUP, kept to their
// own devices, and gone with the next edit. And what a reload is: all of the new, or all of the old.

import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import path from 'node:path'
import { connect as dial, connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forgeLeaf, forgeRoot, type ForgedAuthority } from '../../device-sim/forge/authority.ts'
import { pem } from '../../device-sim/forge/certificate.ts'
import { keyPem } from '../../device-sim/forge/keys.ts'
import { EXIT } from '../../src/vocabulary.ts'
import { Program } from './program.ts'

const factory = forgeRoot('Factory')
let program: Program
const file = (name: string): string => path.join(program.home, name)
const write = (name: string, text: string): void => writeFileSync(file(name), text)
const IDENTITY = 'identity:\n  - { ca: factory, device: "${cert.subject.CN}", idPattern: "F-[0-9]+|demo-.*", groups: ["sensors"], register: auto }\n'
const TRUST = 'trust: [{ name: factory, file: factory.pem }]\n'

beforeAll(async () => {
  program = new Program()
  await program.serve()
  write('factory.pem', pem('CERTIFICATE', factory.certificate))
  appendFileSync(file('policy.yaml'), IDENTITY)
  write('sallyport.yaml', TRUST)
  expect(await reload()).toBe('reloaded')
})
afterAll(() => program[Symbol.asyncDispose]())

/** Sends SIGHUP and waits until the server has said what came of it. */
async function reload(): Promise<'reloaded' | 'refused'> {
  const before = program.output.length
  process.kill(program.endpoints.pid, 'SIGHUP')
  const { promise, resolve } = Promise.withResolvers<'reloaded' | 'refused'>()
  const poll = setInterval(() => {
    const said = program.output.slice(before)
    if (said.includes('reloaded: configuration, policy, trust')) resolve('reloaded')
    else if (said.includes('reload refused')) resolve('refused')
  }, 20)
  try {
    return await promise
  } finally {
    clearInterval(poll)
  }
}

const credential = (authority: ForgedAuthority, id: string): Pick<IClientOptions, 'cert' | 'key'> => {
  const leaf = forgeLeaf(authority, id)
  return { cert: pem('CERTIFICATE', leaf.certificate), key: keyPem(leaf.key) }
}
const url = (): string => `mqtts://localhost:${program.endpoints.mqtt.port}`
const optionsOf = (id: string, who: Pick<IClientOptions, 'cert' | 'key'>): IClientOptions => ({ ca: readFileSync(file('certs/local/root.pem')), clientId: id, protocolVersion: 5, reconnectPeriod: 0, ...who })
const connect = (id: string, who: Pick<IClientOptions, 'cert' | 'key'>, options: IClientOptions = {}): Promise<MqttClient> => connectAsync(url(), { ...optionsOf(id, who), ...options })
const bundle = (folder: string): Pick<IClientOptions, 'cert' | 'key'> => ({ cert: readFileSync(path.join(folder, 'device.pem')), key: readFileSync(path.join(folder, 'device.key')) })
/** Whoever is refused before MQTT is told nothing: its connection is closed. */
const outcome = (id: string, who: Pick<IClientOptions, 'cert' | 'key'>): Promise<'in' | 'out'> =>
  new Promise((resolve) => {
    const client = dial(url(), optionsOf(id, who))
    const end = (seen: 'in' | 'out'): void => {
      client.end(true)
      resolve(seen)
    }
    client.once('connect', () => end('in')).once('close', () => end('out')).on('error', () => {})
  })
const why = (id: string): { reason: string; fix: string } => (program.json('why', id) as { refusals: { reason: string; fix: string }[] }).refusals[0]!
/** What the audit log says of the last events of one kind, newest first. */
const audited = (action: string): readonly string[] =>
  readFileSync(file('data/audit.ndjson'), 'utf8').trim().split('\n').filter((line) => line.includes(`"${action}"`)).toReversed()

describe('a foreign CA that is trusted', () => {
  test('brings its devices in, whose certificates can be revoked like any other', async () => {
    const who = credential(factory, 'F-1')
    const client = await connect('F-1', who)
    await client.subscribeAsync('t/F-1/#')
    await client.publishAsync('t/F-1/a', 'x', { qos: 1 })
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
    expect(program.json('cert', 'revoke', '--device', 'F-1', '--reason', 'keyCompromise')).toMatchObject({ sessionsClosed: 1 })
    await closed
    expect(await outcome('F-1', who)).toBe('out')
    expect(why('F-1').reason).toBe('certificate-revoked')
  })

  test('is recorded and audited once, counted alone, and not one of our own CAs', () => {
    expect(audited('ca-added').filter((line) => line.includes('factory'))).toHaveLength(1)
    expect(JSON.parse(audited('trust-loaded')[0]!)).toMatchObject({ detail: { cas: 1 } })
    expect((program.json('ca', 'show') as { items: { name: string }[] }).items.map((ca) => ca.name).toSorted()).toEqual(['issuing-1', 'root'])
  })

  test('does not speak for a device of ours, and an operator reads why', async () => {
    const own = program.device('F-2')
    const who = credential(factory, 'F-2')
    expect(await outcome('F-2', who)).toBe('out')
    expect(why('F-2')).toMatchObject({ reason: 'device-issuer-mismatch', fix: 'Enroll it with that CA, or register it under another id.' })
    expect(await outcome('F-2', bundle(own))).toBe('in')
    write('f2.pem', String(who.cert))
    write('f2.key', String(who.key))
    expect(program.run('doctor', 'connect', '--cert', file('f2.pem'), '--key', file('f2.key')).stdout).toContain('NO   registry: The device has certificates of another CA')
  })
})

describe('out of trust', () => {
  test('its sessions end at the reload, without their Will, and its devices are nobody; in trust again they come in', async () => {
    const witness = await connect('demo-backend', bundle(file('demo/demo-backend')))
    const heard: string[] = []
    const second = new Promise<void>((resolve) => {
      witness.on('message', (topic) => {
        heard.push(topic)
        if (topic === 'state/F-4') resolve()
      })
    })
    await witness.subscribeAsync('state/#')
    const [who, other] = [credential(factory, 'F-3'), program.device('F-4')]
    const foreign = await connect('F-3', who, { will: { topic: 'state/F-3', payload: Buffer.from('gone'), qos: 0, retain: false } })
    const ours = await connect('F-4', bundle(other), { will: { topic: 'state/F-4', payload: Buffer.from('gone'), qos: 0, retain: false } })
    const closed = new Promise<void>((resolve) => foreign.once('close', () => resolve()))
    write('sallyport.yaml', '# nobody\n')
    expect(await reload()).toBe('reloaded')
    await closed
    expect(ours.connected).toBe(true)
    // The nearest that is heard: the Will of one that is still trusted and breaks off.
    ours.stream.destroy()
    await second
    expect(heard).toEqual(['state/F-4'])
    expect(await outcome('F-3', who)).toBe('out')
    expect(why('F-3').reason).toBe('tls-untrusted-issuer')
    expect(await outcome('F-4', bundle(other))).toBe('in')
    write('sallyport.yaml', TRUST)
    expect(await reload()).toBe('reloaded')
    expect(await outcome('F-3', who)).toBe('in')
    await witness.endAsync()
  })
})

describe('a reload is all or nothing', () => {
  const generation = (): number => (program.json('policy', 'explain', '--device', 'F-3', '--publish', 't/F-3/a') as { generation: number }).generation

  test('a name that goes over to another key, and two certificates in one file, leave what was in force, also the policy', async () => {
    const who = credential(factory, 'F-5')
    expect(await outcome('F-5', who)).toBe('in')
    const before = [generation(), readFileSync(file('policy.yaml'), 'utf8')] as const
    write('policy.yaml', 'version: 1\n')
    const successor = forgeRoot('Factory')
    write('factory.pem', pem('CERTIFICATE', successor.certificate))
    expect(await reload()).toBe('refused')
    expect(program.output).toContain('the name factory belongs to another key')
    write('factory.pem', pem('CERTIFICATE', factory.certificate) + pem('CERTIFICATE', successor.certificate))
    expect(await reload()).toBe('refused')
    expect(program.output).toContain('holds 2 certificates')
    expect(generation()).toBe(before[0])
    expect([await outcome('F-5', who), await outcome('F-6', credential(successor, 'F-6'))]).toEqual(['in', 'out'])
    // Under a name of its own, it comes in beside the old one.
    write('policy.yaml', `${before[1]}  - { ca: factory-2, device: "\${cert.subject.CN}", groups: ["sensors"], register: auto }\n`)
    write('factory.pem', pem('CERTIFICATE', factory.certificate))
    write('factory-2.pem', pem('CERTIFICATE', successor.certificate))
    write('sallyport.yaml', 'trust: [{ name: factory, file: factory.pem }, { name: factory-2, file: factory-2.pem }]\n')
    expect(await reload()).toBe('reloaded')
    expect([await outcome('F-5', who), await outcome('F-6', credential(successor, 'F-6'))]).toEqual(['in', 'in'])
    expect(await outcome('F-5', credential(successor, 'F-5'))).toBe('out')
    expect(why('F-5').reason).toBe('device-issuer-mismatch')
    expect(generation()).toBe(before[0] + 1)
  })

  test('the audit log has the hash of the text that is in force', () => {
    const sha256 = createHash('sha256').update(readFileSync(file('policy.yaml'))).digest('hex')
    expect(audited('policy-loaded')[0]).toContain(sha256)
    expect(audited('policy-loaded')[1]).not.toContain(sha256)
  })

  test('a host that a reload brings is in the server certificate, and accepted by the admin API', async () => {
    const status = (host: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const [read, operator] = [(name: string) => readFileSync(file(name)), 'certs/local/operator'] as const
        const { port } = new URL(program.endpoints.admin.url)
        const sent = request({ host: '127.0.0.1', port, servername: host, path: '/v1/status', agent: false, ca: read('certs/local/root.pem'), cert: read(`${operator}/cert.pem`), key: read(`${operator}/key.pem`), headers: { host: `${host}:${port}` } }, (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        })
        sent.on('error', reject)
        sent.end()
      })
    await expect(status('mqtt.example.org')).rejects.toThrow(/altnames/)
    appendFileSync(file('sallyport.yaml'), 'hosts: [mqtt.example.org]\n')
    expect(await reload()).toBe('reloaded')
    expect([await status('mqtt.example.org'), await status('localhost')]).toEqual([200, 200])
    await expect(status('other.example.org')).rejects.toThrow(/altnames/)
  })
})

test('a start with a name that went over to another key ends with 78, and with the old key it starts', async () => {
  expect(await program.stop()).toBe(0)
  write('factory.pem', pem('CERTIFICATE', forgeRoot('Factory').certificate))
  const refused = program.run('serve', '--ports', 'auto')
  expect(refused.status).toBe(EXIT.configuration)
  expect(refused.stderr).toContain('The trusted CA factory: the name factory belongs to another key.')
  expect(refused.stderr).toContain('Give the new CA a name of its own.')
  write('factory.pem', pem('CERTIFICATE', factory.certificate))
  await program.serve()
  expect(await outcome('F-7', credential(factory, 'F-7'))).toBe('in')
})
