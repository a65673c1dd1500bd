// A rotation while devices are connected: real sessions over TLS, through every step. Who is not concerned is not disconnected, who
// knows one root only gets in, and whoever is out at the end was named before.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connect, type MqttClient } from 'mqtt'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { writeBundle } from '../../src/bundle.ts'
import { loadConfig } from '../../src/config.ts'
import type { Desk } from '../../src/core/desk.ts'
import type { CaRotation } from '../../src/core/ca-desk.ts'
import type { CaName, DeviceId, GroupName } from '../../src/core/ids.ts'
import type { RotationStep } from '../../src/core/rotation.ts'
import { openAdminClient } from '../../src/http/admin-client.ts'
import { serve } from '../../src/main.ts'
import type { Ready } from '../../src/ready.ts'
import { decodePem, encodePem } from '../../src/x509/pem.ts'

vi.mock(import('../../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})

let home: string
let ending: AbortController
let served: Promise<void>
let ready: Ready
let desk: Desk
const clients: MqttClient[] = []

beforeEach(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'sallyport-rotation-'))
  ending = new AbortController()
  const readiness = Promise.withResolvers<Ready>()
  served = serve({ home, config: () => loadConfig(home, { SALLYPORT_LOG_LEVEL: 'error' }, { portsAuto: true }), signal: ending.signal, onReady: readiness.resolve, onReload: () => {}, version: '0.0.0' })
  ready = await Promise.race([readiness.promise, served.then(() => Promise.reject(new Error('it ended')))])
  desk = operator()
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true)
  await desk[Symbol.asyncDispose]()
  ending.abort()
  await served
  rmSync(home, { recursive: true, force: true })
})

const local = (name: string): string => readFileSync(path.join(home, 'certs/local', name), 'utf8')
/** With the operator's certificate as it lies there now. */
const operator = (): Desk => openAdminClient({ url: ready.admin.url, key: local('operator/key.pem'), cert: local('operator/cert.pem'), ca: local('operator/ca.pem') })
const folder = (id: string): string => path.join(home, 'bundles', id)
const file = (id: string, name: string): string => readFileSync(path.join(folder(id), name), 'utf8')
const blocks = (text: string): readonly string[] => {
  const read = decodePem(text, 'CERTIFICATE')
  return read.allow ? read.value.map((der) => encodePem('CERTIFICATE', der)) : []
}
const rootsNow = (): readonly string[] => blocks(local('root.pem'))

async function bundle(id: string): Promise<void> {
  if (!existsSync(folder(id))) await desk.addDevice({ id: id as DeviceId, groups: ['sensors' as GroupName], attributes: {} })
  await writeBundle(desk, id as DeviceId, { folder: folder(id), connectTo: { host: 'localhost', port: ready.mqtt.port }, existingKey: 'replace' })
}

/** A session of a device that verifies the server with these roots. */
async function session(id: string, roots: readonly string[], clientId = id): Promise<MqttClient & { dropped: number }> {
  const client = connect({ protocol: 'mqtts', host: 'localhost', port: ready.mqtt.port, protocolVersion: 5, clientId, reconnectPeriod: 0, ca: roots.join(''), cert: file(id, 'device.pem'), key: file(id, 'device.key') })
  clients.push(client)
  // A server that does not like the certificate closes without a word.
  await new Promise<void>((resolve, reject) => void client.once('connect', () => resolve()).once('error', reject).once('close', () => reject(new Error('closed'))))
  const counted = Object.assign(client, { dropped: 0 })
  client.on('close', () => counted.dropped++)
  return counted
}

const closing = (client: MqttClient): Promise<void> => new Promise((resolve) => void client.once('close', resolve))

/** Whether the server can be verified with these roots by this device, on a new connection. */
async function getsIn(id: string, roots: readonly string[]): Promise<boolean> {
  const client = await session(id, roots, `${id}:again`).catch(() => undefined)
  await client?.endAsync()
  return client !== undefined
}

const use = async (): Promise<Record<string, CaRotation['cas'][number]>> => Object.fromEntries((await desk.caRotation()).cas.map((ca) => [ca.name, ca]))
async function step(name: RotationStep, more: object = {}): Promise<Awaited<ReturnType<Desk['rotateCa']>>> {
  const done = await desk.rotateCa({ step: name, ...more })
  await desk[Symbol.asyncDispose]()
  desk = operator()
  return done
}
const failure = (work: Promise<unknown>): Promise<unknown> => work.then(() => expect.fail('it was not refused'), (error: unknown) => error)
async function audited(): Promise<readonly { readonly action: string; readonly device: string | undefined; readonly detail: Record<string, unknown> }[]> {
  const records = await desk.auditTail(1_000)
  return records.map((record) => {
    const { event, device, detail } = record as unknown as { event: { action: string }; device?: { id: string }; detail: Record<string, unknown> }
    return { action: event.action, device: device?.id, detail }
  })
}

describe('a rotation of the root', () => {
  test('keeps every session, lets devices in that know one root only, and ends at last those that were named', async () => {
    const ids = ['s-1', 's-2', 's-3', 's-4', 's-5', 's-6']
    for (const id of ids) await bundle(id)
    const [old] = rootsNow()
    const sessions = await Promise.all(ids.map((id) => session(id, [old!])))
    /** Every session still takes messages, and none was closed. */
    const allStand = async (of = sessions): Promise<void> => {
      await Promise.all(of.map((client) => client.publishAsync(`t/${client.options.clientId!.split(':')[0]}/temperature`, '20', { qos: 1 })))
      expect(of.map(({ dropped }) => dropped)).toEqual(of.map(() => 0))
    }

    await step('start', { root: true })
    expect(rootsNow()).toEqual([old])
    expect(await getsIn('s-1', [old!])).toBe(true)
    await allStand()

    await step('trust')
    const [, fresh] = rootsNow()
    expect(await getsIn('s-1', [old!])).toBe(true)
    // Nothing leads from the new root to the server yet; and nobody was given it alone.
    expect(await getsIn('s-1', [fresh!])).toBe(false)
    await bundle('s-early')
    expect(blocks(file('s-early', 'ca.pem'))).toEqual([old, fresh])
    await allStand()

    await step('cross-sign')
    for (const roots of [[old!], [fresh!], [old!, fresh!]]) expect(await getsIn('s-1', roots)).toBe(true)
    await allStand()

    await step('switch')
    for (const roots of [[old!], [fresh!], [old!, fresh!]]) expect(await getsIn('s-1', roots)).toBe(true)
    await bundle('s-new')
    expect(blocks(file('s-new', 'chain.pem'))).toEqual(blocks(local('issuing.pem')))
    expect(blocks(file('s-new', 'ca.pem'))).toEqual([fresh, old])
    for (const roots of [[old!], [fresh!]]) expect(await getsIn('s-new', roots)).toBe(true)
    await allStand()

    // Half of the fleet moves: each has a session with its new certificate beside the old one.
    const moved = ids.slice(0, 3)
    for (const id of moved) await bundle(id)
    const again = await Promise.all(moved.map((id) => session(id, [fresh!], `${id}:new`)))
    const watching = await session('s-new', [fresh!])
    expect(await use()).toMatchObject({ 'issuing-1': { state: 'replaced', certificates: 9, only: 6, sessions: 6 }, 'issuing-2': { state: 'current', certificates: 4, sessions: 4 } })

    const would = await step('retire', { dryRun: true })
    expect([would.outcome, would.breaks.toSorted()]).toEqual(['would', ['demo-backend', 'demo-sensor', 's-4', 's-5', 's-6', 's-early']])
    expect(await failure(step('retire'))).toMatchObject({ code: 'refused', reason: 'ca-in-use', message: expect.stringContaining('s-4') })
    await allStand()
    await allStand([...again, watching])

    const ended = Promise.all(sessions.map(closing))
    const done = await step('retire', { force: true })
    await ended
    expect(done).toMatchObject({ outcome: 'did', breaksCount: would.breaksCount, sessionsClosed: 6, next: 'start' })
    await allStand([...again, watching])
    expect(rootsNow()).toEqual([fresh])
    expect(await getsIn('s-4', [old!])).toBe(false)
    // Who knows only the old root verifies the server still: its certificate alone was not enough.
    for (const roots of [[old!], [fresh!]]) expect(await getsIn('s-2', roots)).toBe(true)
    const { refusals } = await desk.why('s-4' as DeviceId)
    expect(refusals[0]).toMatchObject({ reason: 'certificate-issuer-retired', detail: 'issuing-1' })

    const events = await audited()
    expect(events.filter(({ action }) => action === 'ca-state').map(({ detail }) => `${String(detail['ca'])} ${String(detail['state'])}`)).toEqual([
      'root-2 trusted', 'issuing-2 trusted', 'root replaced', 'issuing-1 replaced', 'root-2 current', 'issuing-2 current', 'root retired', 'issuing-1 retired',
    ])
    expect(events.filter(({ action, device }) => action === 'certificate-revoked' && device === 's-4')).toHaveLength(1)
    // The new root does not vouch for the old one any longer; the old one does for the new.
    const issued = (await desk.certificates({ limit: 100 })).items.filter(({ profile }) => profile === 'root')
    expect(issued.map(({ issuer, state }) => `${issuer} ${state}`).toSorted()).toEqual(['root active', 'root-2 revoked'])
  }, 60_000)
})

describe('a rotation of the issuing CA', () => {
  test('ends with nobody out when everybody has moved, by names and by numbers', async () => {
    for (const id of ['s-1', 's-2']) await bundle(id)
    const root = rootsNow()
    const first = await session('s-1', root)
    for (const name of ['start', 'trust', 'switch'] as const) {
      await step(name)
      expect(await getsIn('s-2', root)).toBe(true)
    }
    expect(rootsNow()).toEqual(root)
    for (const id of ['s-1', 's-2', 'demo-sensor', 'demo-backend']) {
      const known = await desk.device(id as DeviceId)
      for (const { serial, issuer } of known.certificates.filter((c) => c.issuer === ('issuing-1' as CaName))) {
        if (id !== 's-1') await desk.revoke({ serial }, 'superseded')
        expect(issuer).toBe('issuing-1')
      }
      if (id.startsWith('s-')) await bundle(id)
    }
    const second = await session('s-1', root, 's-1:new')
    expect(await failure(step('retire'))).toMatchObject({ reason: 'ca-in-use', message: expect.stringContaining('none') })
    const closed = closing(first)
    const left = (await desk.device('s-1' as DeviceId)).certificates.find((c) => c.issuer === ('issuing-1' as CaName))
    await desk.revoke({ serial: left!.serial }, 'superseded')
    await closed
    expect(await step('retire')).toMatchObject({ outcome: 'did', breaksCount: 0, sessionsClosed: 0 })
    await second.publishAsync('t/s-1/temperature', '20', { qos: 1 })
    expect(second.dropped).toBe(0)
    expect(await use()).toMatchObject({ 'issuing-1': { state: 'retired' }, 'issuing-2': { state: 'current', certificates: 2 } })
  }, 60_000)

  test('that is asked for by fifty at once makes one CA, which works', async () => {
    const results = await Promise.all(Array.from({ length: 50 }, () => desk.rotateCa({ step: 'start' })))
    expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['did', ...Array.from({ length: 49 }, () => 'done')].toSorted())
    await step('trust')
    const switched = await Promise.all(Array.from({ length: 50 }, () => operator().rotateCa({ step: 'switch' })))
    expect(switched.filter(({ outcome }) => outcome === 'did')).toHaveLength(1)
    desk = operator()
    await bundle('s-1')
    expect((await desk.device('s-1' as DeviceId)).certificates).toMatchObject([{ issuer: 'issuing-2' }])
    expect(await getsIn('s-1', rootsNow())).toBe(true)
  }, 60_000)

  test('is asked for in the words of the API, and in no others', async () => {
    for (const wrong of [{ step: 'destroy' }, { step: 'start', root: 'yes' }, { step: 'start', rootKey: { text: 'x'.repeat(100_000) } }, { step: 'start', rootKey: { text: 'x', file: '/etc/passwd' } }, {}]) {
      expect(await failure(desk.rotateCa(wrong as never))).toMatchObject({ code: 'refused', reason: 'request-invalid' })
    }
    expect(await failure(desk.importCa({ cert: 'no certificate' }))).toMatchObject({ reason: 'ca-step', message: expect.stringContaining('no request') })
    await desk.requestCa()
    expect(await failure(desk.importCa({ cert: 'no certificate' }))).toMatchObject({ code: 'refused', reason: 'request-invalid', message: expect.stringContaining('not PEM') })
    expect(await failure(desk.noteCaKey('../root' as CaName, 'removed'))).toMatchObject({ reason: 'request-invalid' })
    expect(Object.keys(await use())).toEqual(['root', 'issuing-1'])
  })

  test('that is given up leaves everything as it was, and the next one has the next number', async () => {
    await bundle('s-1')
    const one = await session('s-1', rootsNow())
    const before = [local('root.pem'), local('server/cert.pem'), local('operator/cert.pem')]
    for (const name of ['start', 'trust', 'cross-sign'] as const) await step(name, { root: true })
    await step('abort')
    expect([local('root.pem'), local('server/cert.pem'), local('operator/cert.pem')]).toEqual(before)
    expect(await failure(step('switch'))).toMatchObject({ reason: 'ca-step' })
    expect((await step('start')).told).toEqual(['issuing-3 is created.'])
    await one.publishAsync('t/s-1/temperature', '20', { qos: 1 })
    expect(one.dropped).toBe(0)
  }, 60_000)
})
