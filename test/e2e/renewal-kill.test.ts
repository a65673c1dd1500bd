// A renewal that is cut off by kill -9 between any two of its steps: request, plan, signature, record, answer, first CONNECT, supersede.
// Afterwards the device connects with at least one certificate, nothing is in force that is not recorded, and it asks again successfully.
// A step is held by the lock of the database or by a signer that is stopped, so that the kill comes where it is meant to.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { makeCsr } from '../../src/x509/csr.ts'
import { Program } from './program.ts'

const LINUX = process.platform === 'linux'
const WAIT = { timeout: 15_000, interval: 2 }

/** What a device connects with. */
interface Credential {
  readonly cert: string
  readonly key: string
}
interface Answer {
  readonly certificate: string
  readonly chain: readonly string[]
}

let program: Program
let root: string
beforeAll(async () => {
  program = new Program()
  await program.serve()
  root = readFileSync(path.join(program.home, 'certs/local/root.pem'), 'utf8')
})
afterAll(() => program[Symbol.asyncDispose]())

const database = (): string => path.join(program.home, 'data/registry.db')
const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const credentialOf = ({ certificate, chain }: Answer, key: KeyObject): Credential => ({ cert: certificate + chain.join(''), key: pemOf(key) })
const renewTopic = (id: string): string => `$device/${id}/certificate/renew`

/** The states of its certificates in the database itself, oldest first. */
function states(id: string): readonly string[] {
  using db = new DatabaseSync(database(), { readOnly: true })
  return db.prepare('SELECT state FROM certificates WHERE device = ? ORDER BY number').all(id).map((row) => String(row['state']))
}

/** Nobody else writes meanwhile. */
function heldDatabase(): Disposable {
  const db = new DatabaseSync(database())
  db.exec('PRAGMA busy_timeout = 5000')
  db.exec('BEGIN IMMEDIATE')
  return { [Symbol.dispose]: () => db.close() }
}

function signer(): { readonly pid: number; readonly written: () => number } {
  const { pid: server } = program.endpoints
  const pid = readFileSync(`/proc/${server}/task/${server}/children`, 'utf8').trim().split(' ').map(Number).find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('signer-process'))
  if (pid === undefined) throw new Error('no signer runs')
  return { pid, written: () => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]) }
}

function device(id: string): Credential {
  const folder = program.device(id)
  const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8')
  return { cert: read('device.pem') + read('chain.pem'), key: read('device.key') }
}

function connect(id: string, { cert, key }: Credential, options: IClientOptions = {}): Promise<MqttClient> {
  return mqtt.connectAsync(`mqtts://localhost:${program.endpoints.mqtt.port}`, { ca: root, cert, key, clientId: id, reconnectPeriod: 0, protocolVersion: 5, ...options })
}

/** On its way to the server when it resolves; nobody waits for an answer, and its connection breaks with the server. */
async function request(id: string, old: Credential, key: KeyObject): Promise<MqttClient> {
  const client = await connect(id, old)
  client.on('error', () => undefined)
  await client.subscribeAsync(`${renewTopic(id)}/+`, { qos: 1 })
  await new Promise<void>((resolve, reject) => {
    client.publish(renewTopic(id), makeCsr(key, id), { qos: 0 }, (error) => (error === undefined || error === null ? resolve() : reject(error)))
  })
  return client
}

async function renewed(id: string, old: Credential, key: KeyObject): Promise<Credential> {
  const client = await connect(id, old)
  const heard = new Promise<Answer>((resolve, reject) => {
    client.once('message', (topic, payload) => (topic.endsWith('/accepted') ? resolve(JSON.parse(payload.toString()) as Answer) : reject(new Error(payload.toString()))))
  })
  await client.subscribeAsync(`${renewTopic(id)}/+`, { qos: 1 })
  await client.publishAsync(renewTopic(id), makeCsr(key, id), { qos: 1 })
  const answer = await heard
  await client.endAsync()
  return credentialOf(answer, key)
}

async function killed(client?: MqttClient): Promise<void> {
  await program.stop('SIGKILL')
  client?.end(true)
}

async function comesIn(id: string, credential: Credential): Promise<boolean> {
  try {
    const client = await connect(id, credential)
    await client.endAsync()
    return true
  } catch {
    return false
  }
}

/** After the kill: what it left, and that the device goes on from there with what it has. */
async function expectGoesOn(id: string, has: readonly Credential[], key: KeyObject, left: readonly string[]): Promise<void> {
  expect(states(id)).toEqual(left)
  expect(left.filter((state) => state === 'active' || state === 'issued').length).toBeLessThanOrEqual(2)
  await program.serve()
  const working: Credential[] = []
  for (const credential of has) if (await comesIn(id, credential)) working.push(credential)
  expect(working.length).toBeGreaterThanOrEqual(1)
  const next = await renewed(id, working.at(-1)!, key)
  expect(await comesIn(id, next)).toBe(true)
  await vi.waitFor(() => expect(states(id).filter((state) => state === 'active')).toHaveLength(1), WAIT)
  for (const credential of has) if (credential.cert !== next.cert) expect(await comesIn(id, credential)).toBe(false)
}

describe.skipIf(!LINUX)('kill -9 in a renewal (needs Linux)', () => {
  test('before the plan is recorded: nothing was asked for', async () => {
    const [id, key] = ['k-1', newKey()]
    const old = device(id)
    {
      using _lock = heldDatabase()
      await killed(await request(id, old, key))
    }
    await expectGoesOn(id, [old], key, ['active'])
  }, 60_000)

  test('between plan and signature: an orphan that is listed, and never a certificate', async () => {
    const [id, key] = ['k-2', newKey()]
    const old = device(id)
    const { pid } = signer()
    process.kill(pid, 'SIGSTOP')
    const client = await request(id, old, key)
    await vi.waitFor(() => expect(states(id)).toEqual(['active', 'planned']), WAIT)
    await killed(client)
    // It sees that nobody is there, and ends.
    process.kill(pid, 'SIGCONT')
    await expectGoesOn(id, [old], key, ['active', 'planned'])
  }, 60_000)

  test('between signature and record: what was signed is an orphan, and nobody has it', async () => {
    const [id, key] = ['k-3', newKey()]
    const old = device(id)
    const { pid, written } = signer()
    process.kill(pid, 'SIGSTOP')
    const client = await request(id, old, key)
    await vi.waitFor(() => expect(states(id)).toEqual(['active', 'planned']), WAIT)
    {
      using _lock = heldDatabase()
      const before = written()
      process.kill(pid, 'SIGCONT')
      // The signature is on its way through the pipe.
      await vi.waitFor(() => expect(written()).toBeGreaterThan(before), WAIT)
      await killed(client)
    }
    await expectGoesOn(id, [old], key, ['active', 'planned'])
  }, 60_000)

  test('between record and answer: asked again with the same key, the device is given the same certificate', async () => {
    const [id, key] = ['k-4', newKey()]
    const old = device(id)
    const client = await request(id, old, key)
    await vi.waitFor(() => expect(states(id)).toEqual(['active', 'issued']), WAIT)
    await killed(client)
    await expectGoesOn(id, [old], key, ['active', 'issued'])
    expect(states(id)).toEqual(['superseded', 'active'])
  }, 60_000)

  test('between answer and first CONNECT: both come in, and the new one supersedes', async () => {
    const [id, key] = ['k-5', newKey()]
    const old = device(id)
    const next = await renewed(id, old, key)
    await killed()
    expect(states(id)).toEqual(['active', 'issued'])
    await program.serve()
    expect(await comesIn(id, old)).toBe(true)
    expect(await comesIn(id, next)).toBe(true)
    await vi.waitFor(() => expect(states(id)).toEqual(['superseded', 'active']), WAIT)
    expect(await comesIn(id, old)).toBe(false)
  }, 60_000)

  test('between the first CONNECT and its record: neither is lost, and the next CONNECT records it', async () => {
    const [id, key] = ['k-6', newKey()]
    const old = device(id)
    const next = await renewed(id, old, key)
    {
      using _lock = heldDatabase()
      const client = await connect(id, next)
      client.on('error', () => undefined)
      await killed(client)
    }
    expect(states(id)).toEqual(['active', 'issued'])
    await program.serve()
    expect(await comesIn(id, old)).toBe(true)
    expect(await comesIn(id, next)).toBe(true)
    await vi.waitFor(() => expect(states(id)).toEqual(['superseded', 'active']), WAIT)
  }, 60_000)

  test('just after it: the new one is in force, alone, and renews', async () => {
    const [id, key] = ['k-7', newKey()]
    const old = device(id)
    const next = await renewed(id, old, key)
    const client = await connect(id, next)
    client.on('error', () => undefined)
    await vi.waitFor(() => expect(states(id)).toEqual(['superseded', 'active']), WAIT)
    await killed(client)
    await expectGoesOn(id, [old, next], newKey(), ['superseded', 'active'])
  }, 60_000)

  test('after all of these: no serial number twice, orphans listed, the home is whole', () => {
    using db = new DatabaseSync(database(), { readOnly: true })
    const [rows] = db.prepare('SELECT count(*) AS all_rows, count(DISTINCT issuer || serial) AS serials FROM certificates').all()
    expect(rows?.['all_rows']).toBe(rows?.['serials'])
    expect(program.json('audit', 'verify')).toMatchObject({ intact: true })
    const planned = program.json('cert', 'list', '--state', 'planned', '--limit', '100') as { items: readonly { device: string }[] }
    expect(new Set(planned.items.map((record) => record.device))).toEqual(new Set(['k-2', 'k-3']))
  })
})
