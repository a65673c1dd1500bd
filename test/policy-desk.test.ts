// What the desk says about a policy and a fleet: the policy in force or one that is not, device by device, in ranges that make
// the whole; and the same through the admin API.

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { CONSOLE_LIMITS } from '../src/console-limits.ts'
import type { Desk } from '../src/core/desk.ts'
import { SallyportError } from '../src/core/errors.ts'
import type { CaName } from '../src/core/ids.ts'
import type { HeldSession } from '../src/core/policy/fleet-diff.ts'
import { addCounts, type FleetCounts } from '../src/core/policy/fleet-diff.ts'
import { grantsFor } from '../src/core/policy/grants.ts'
import type { WhoCanQuery } from '../src/core/policy-desk.ts'
import { openAdminClient } from '../src/http/admin-client.ts'
import { POLICY_LIMITS } from '../src/limits.ts'
import { ask, device, group, openHouse, type House } from './http/house.ts'

const FLEET = 60
let house: House
let desk: Desk
let remote: Desk
let url: string
beforeAll(async () => {
  house = await openHouse()
  house.policies.note('start', { kind: 'system' })
  desk = house.desk()
  await Promise.all(Array.from({ length: FLEET }, (_, i) => desk.addDevice({ id: device(`d-${String(i).padStart(2, '0')}`), groups: i % 3 === 0 ? [group('sensors')] : i % 3 === 1 ? [group('backend')] : [], attributes: {} })))
  ;({ url } = await house.openAdmin())
  remote = openAdminClient({ url, ...house.operator, ca: house.root })
})
afterAll(async () => {
  await remote[Symbol.asyncDispose]()
  await house[Symbol.asyncDispose]()
})

const files = (text: string): WhoCanQuery['files'] => [{ name: 'other.yaml', text }]
const TO_SENSORS = files('version: 1\ngrants: [ { id: only, to: { group: sensors }, publish: ["x/${device.id}"], connect: { sessions: 1 } } ]\n')

async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(() => undefined, (failure: unknown) => failure)
  return error instanceof SallyportError ? `${error.code} ${error.reason ?? ''}` : 'done'
}

describe('explain', () => {
  test('answers with the policy in force, and with another that is named', async () => {
    expect(await desk.explain({ device: device('d-00'), publish: 't/d-00/a' })).toMatchObject({ effect: 'allow', rule: 'sensor', generation: 1 })
    expect(await desk.explain({ device: device('d-00'), publish: 't/d-00/a', files: TO_SENSORS })).toMatchObject({ effect: 'deny', generation: 2 })
    expect(await desk.explain({ device: device('d-00'), publish: 'x/d-00', files: TO_SENSORS })).toMatchObject({ effect: 'allow', rule: 'only', at: { file: 'other.yaml' } })
    expect(house.policies.inForce().policy.generation).toBe(1)
  })

  test('knows where and when it is asked about, or says that it depends', async () => {
    const when = files('version: 1\ngrants: [ { id: r, to: any, when: { source: [10.0.0.0/8], notAfter: 2030-01-01T00:00:00Z }, publish: [a] } ]\n')
    const asked = { device: device('d-00'), publish: 'a', files: when, at: Date.parse('2029-01-01T00:00:00Z') }
    expect(await remote.explain(asked)).toMatchObject({ effect: 'allow', depends: [{ rule: 'r' }] })
    expect(await remote.explain({ ...asked, source: '10.0.0.1' })).toMatchObject({ effect: 'allow', until: Date.parse('2030-01-01T00:00:00Z') })
    expect(await remote.explain({ ...asked, source: '192.0.2.1' })).toMatchObject({ effect: 'deny', nearest: [{ obstacles: [{ kind: 'condition' }] }] })
    expect(await remote.explain({ ...asked, source: '10.0.0.1', at: Date.parse('2031-01-01T00:00:00Z') })).toMatchObject({ effect: 'deny' })
  })

  test('asks about a CONNECT, a delivery and a Will', async () => {
    expect(await desk.explain({ device: device('d-00'), connect: 'd-01' })).toMatchObject({ reason: 'client-id-mismatch' })
    expect(await desk.explain({ device: device('d-00'), receive: 'cmd/d-00/x' })).toMatchObject({ effect: 'allow', rule: 'sensor' })
    expect(await desk.explain({ device: device('d-00'), will: 'state/d-00', retain: true })).toMatchObject({ effect: 'allow' })
  })

  test('reads the certificate of the device where the policy speaks of it, and only there', async () => {
    await house.device('certified')
    const read = vi.spyOn(house.home.registry, 'certificateDer')
    const spoken = files('version: 1\ngrants: [ { id: r, to: any, publish: ["${cert.subject.CN}"] } ]\n')
    expect(await desk.explain({ device: device('certified'), publish: 'certified', files: spoken })).toMatchObject({ effect: 'allow', bindings: { 'cert.subject.CN': 'certified' } })
    expect(read).toHaveBeenCalledTimes(1)
    await desk.explain({ device: device('certified'), publish: 't/certified/a' })
    await desk.whoCan({ publish: 't/certified/a' })
    expect(read).toHaveBeenCalledTimes(1)
    read.mockRestore()
  })
})

describe('who-can', () => {
  test.each([{ publish: 't/d-03/a' }, { publish: 'cmd/d-00/x', qos: 1 as const }, { subscribe: 't/#' }, { subscribe: 't/d-03/#', qos: 2 as const }, { receive: 'cmd/d-06/x' }, { will: 'state/d-09', retain: true }])('is what asking every device is: %j', async (asked) => {
    const { policy } = house.policies.inForce()
    const all = house.home.registry.devices({ limit: 1_000 }).items
    const expected = all.filter((of) => {
      const grants = grantsFor(policy, { device: of, ca: 'issuing-1' as CaName, clientId: of.id })
      const verdict = asked.publish !== undefined ? grants.publish(asked.publish, asked.qos ?? 0, false, 0) : asked.will !== undefined ? grants.will(asked.will, 0, true, 0) : asked.subscribe !== undefined ? grants.subscribe(asked.subscribe, asked.qos ?? 0) : grants.receive(asked.receive ?? '')
      return verdict.effect === 'allow'
    }).map(({ id }) => id)
    for (const through of [desk, remote]) {
      const answer = await through.whoCan({ ...asked, limit: 1_000 })
      expect(answer.items.map((item) => item.device)).toEqual(expected)
      expect([answer.allowed, answer.devices, Object.values(answer.rules).reduce((sum, { devices }) => sum + devices, 0)]).toEqual([expected.length, all.length, expected.length])
    }
  })

  test('is asked in ranges: those of all devices are the whole', async () => {
    const bound = vi.spyOn(POLICY_LIMITS, 'fleetDevicesPerRequestMax', 'get').mockReturnValue(7 as never)
    const whole: string[] = []
    let [after, ranges, devices]: [string | undefined, number, number] = [undefined, 0, 0]
    do {
      const part: Awaited<ReturnType<Desk['whoCan']>> = await desk.whoCan({ subscribe: 't/#', after })
      whole.push(...part.items.map((item) => item.device))
      ;[after, ranges, devices] = [part.next, ranges + 1, devices + part.devices]
    } while (after !== undefined)
    bound.mockRestore()
    const { items, devices: all } = await desk.whoCan({ subscribe: 't/#' })
    expect([whole, devices]).toEqual([items.map((item) => item.device), all])
    expect(ranges).toBeGreaterThan(5)
  })

  test('lists as many as are asked for, and counts all', async () => {
    expect(await desk.whoCan({ subscribe: 't/#', limit: 2 })).toMatchObject({ items: { length: 2 }, allowed: FLEET / 3 })
    expect(await desk.whoCan({ subscribe: 't/#', limit: 0 })).toMatchObject({ items: [], allowed: FLEET / 3 })
  })

  test('says where it depends on the connection, and asks about topics alone', async () => {
    const when = files('version: 1\ngrants: [ { id: r, to: { device: d-00 }, when: { tls: "1.3" }, publish: [a] }, { id: s, to: { device: d-01 }, publish: [a] } ]\n')
    expect((await desk.whoCan({ publish: 'a', files: when })).items).toMatchObject([{ device: 'd-00', depends: true }, { device: 'd-01' }])
    expect((await desk.whoCan({ publish: 'a', files: when, tls: '1.2' })).items.map((item) => item.device)).toEqual(['d-01'])
    expect(await reasonOf(desk.whoCan({ connect: 'd-00' }))).toBe('refused request-invalid')
    expect(await reasonOf(desk.whoCan({}))).toBe('refused request-invalid')
  })
})

describe('diff', () => {
  test('says what another policy would mean to each device, and its sessions', async () => {
    const { device: one } = { device: house.home.view.device(device('d-00'))! }
    const sessions: HeldSession[] = [1, 2].map((n) => ({ principal: { device: one, ca: 'issuing-1' as CaName, clientId: n === 1 ? 'd-00' : 'd-00:2', now: Date.now() }, isConnected: true, subscriptions: [{ filter: 'cmd/d-00/+', qos: 1 }] }))
    const witnessed = house.desk({ closed: () => Promise.resolve(0), of: ({ id }) => Promise.resolve(id === 'd-00' ? sessions : []) })
    const { changes, fleet, generation } = await witnessed.diffPolicy({ files: TO_SENSORS, fleet: true, limit: 1 })
    expect(changes.map(({ id, change }) => `${change} ${id}`)).toEqual(['added only', 'removed sensor', 'removed backend'])
    expect([generation, fleet?.counts]).toMatchObject([1, { devices: FLEET + 1, concerned: 41, shutOut: 20, sessionsEnding: 1, subscriptionsLost: 2, groups: { sensors: { lost: 21 }, backend: { lost: 20, gained: 0 } } }])
    // Without a session of theirs, those of the group that comes first in the order of ids.
    expect(fleet?.items).toMatchObject([{ device: 'certified' }])
    const whole = await witnessed.diffPolicy({ files: TO_SENSORS, fleet: true, limit: 100 })
    expect(whole.fleet?.items.find((item) => item.device === 'd-00')?.sessions).toMatchObject([{ clientId: 'd-00', lost: [{ filter: 'cmd/d-00/+', reason: 'subscribe-not-granted' }] }, { clientId: 'd-00:2', ends: 'sessions-limit' }])
  })

  test('of ranges is the whole', async () => {
    const { fleet } = await remote.diffPolicy({ files: TO_SENSORS, fleet: true })
    const bound = vi.spyOn(POLICY_LIMITS, 'fleetDevicesPerRequestMax', 'get').mockReturnValue(10 as never)
    let counts: FleetCounts | undefined
    let after: string | undefined
    do {
      const part: Awaited<ReturnType<Desk['diffPolicy']>> = await desk.diffPolicy({ files: TO_SENSORS, fleet: true, after, limit: 0 })
      counts = counts === undefined ? part.fleet?.counts : addCounts(counts, part.fleet!.counts)
      after = part.fleet?.next
    } while (after !== undefined)
    bound.mockRestore()
    expect(counts).toEqual(fleet?.counts)
  })

  test('of the policy in force and itself is nothing, for the fleet as well', async () => {
    expect(await desk.diffPolicy({ fleet: true })).toMatchObject({ changes: [], fleet: { counts: { concerned: 0, devices: FLEET + 1 }, items: [] } })
  })

  test('compares with a generation, or with files', async () => {
    const before = house.policies.inForce().texts
    await desk.applyPolicy({ files: [{ name: 'policy.yaml', text: `${before[0]?.text ?? ''}\nstrictDeny: true\n` }] })
    expect((await remote.diffPolicy({ from: 1 })).changes).toMatchObject([{ id: 'strictDeny', added: ['true'] }])
    expect((await remote.diffPolicy({ from: 1, to: 1 })).changes).toEqual([])
    expect((await remote.diffPolicy({ to: 1 })).changes).toMatchObject([{ id: 'strictDeny', added: ['false'] }])
    expect((await remote.diffPolicy({ from: files('version: 1\n'), files: TO_SENSORS })).changes).toMatchObject([{ id: 'only', change: 'added' }])
    expect(await reasonOf(remote.diffPolicy({ from: 99 }))).toBe('not-found generation-unknown')
    await desk.applyPolicy({ rollback: 1 })
  })
})

describe('lint of the fleet', () => {
  test('says what the text alone shows, at its line; of a text that is too long for that it says nothing', async () => {
    const all = files('version: 1\ngrants:\n  - { id: all, to: any, publish: ["#"] }\n')
    for (const through of [desk, remote]) expect((await through.lintFleet({ files: all, fleet: false })).findings).toMatchObject([{ code: 'grant-everything-to-any', severity: 'error', rule: 'all', at: { file: 'other.yaml', line: 3 } }])
    const long = files(`version: 1\ngrants:\n${Array.from({ length: CONSOLE_LIMITS.lintLinesMax + 1 }, (_, index) => `  - { id: r${index}, to: any, publish: ["a/${index}"] }\n`).join('')}`)
    expect(await desk.lintFleet({ files: long, fleet: false })).toEqual({ generation: expect.any(Number), devices: 0, idle: [], unknown: [] })
  })

  test('knows who is concerned by a rule, and which variables are not known', async () => {
    const odd = files('version: 1\ngrants: [ { id: nobody, to: { group: pumps } }, { id: some, to: any, publish: ["t/${device.attr.model}"] } ]\n')
    for (const through of [desk, remote]) expect(await through.lintFleet({ files: odd, fleet: false })).toEqual({ generation: expect.any(Number), devices: 0, findings: [], idle: [], unknown: [] })
    for (const through of [desk, remote]) expect(await through.lintFleet({ files: odd })).toMatchObject({ idle: ['nobody'], unknown: [{ rule: 'some', variable: 'device.attr.model', devices: FLEET + 1, examples: { length: 3 } }], devices: FLEET + 1 })
  })
})

describe('the policy', () => {
  test('is shown with its texts, and whether the files are others', async () => {
    const file = path.join(house.folder, 'policy.yaml')
    const [{ text } = { text: '' }] = house.policies.inForce().texts
    expect(await remote.policy()).toMatchObject({ generation: 3, files: [{ name: 'policy.yaml', text }], edited: false })
    writeFileSync(file, `${text}\n`)
    expect(await remote.policy()).toMatchObject({ edited: true, files: [{ text }] })
    writeFileSync(file, text)
  })

  test('is applied through the API by the operator who asks, and its history says so', async () => {
    const [{ text } = { text: '' }] = house.policies.inForce().texts
    expect(await remote.applyPolicy({ files: [{ name: 'policy.yaml', text: `# mine\n${text}` }], base: 3 })).toMatchObject({ generation: 4, changed: true, changes: [] })
    const { items, generation } = await remote.policyHistory()
    expect([generation, items[0], items[1]]).toMatchObject([4, { generation: 4, because: 'apply', actor: { kind: 'operator', name: house.operator.serial }, kept: true }, { generation: 3, because: 'rollback', of: 1, actor: { kind: 'local' } }])
    expect(await reasonOf(remote.applyPolicy({ rollback: 3, base: 3 }))).toBe('refused revision-conflict')
    expect(await remote.applyPolicy({ rollback: 3, base: 4 })).toMatchObject({ generation: 5 })
  })

  test('that does not compile is the same failure through the API: with its place, and the exit code of a wrong file', async () => {
    const wrong = [{ name: 'policy.yaml', text: 'version: 1\ngrnts: []\n' }]
    for (const through of [desk, remote]) {
      for (const work of [() => through.applyPolicy({ files: wrong }), () => through.diffPolicy({ files: wrong }), () => through.explain({ device: device('d-00'), publish: 'a', files: wrong }), () => through.whoCan({ publish: 'a', files: wrong }), () => through.lintFleet({ files: wrong })]) {
        await expect(work()).rejects.toMatchObject({ code: 'policy-invalid', message: expect.stringContaining('policy.yaml:2:1: unknown key "grnts"') })
      }
    }
  })

  test.each([
    ['POST', '/v1/policy', { files: [{ name: 'policy.yaml', text: 5 }] }], ['POST', '/v1/policy', { files: [], rollback: 1 }], ['POST', '/v1/policy', { rollback: 0 }], ['POST', '/v1/policy', { base: -1 }], ['POST', '/v1/policy', { force: 'yes' }],
    ['POST', '/v1/policy', { actor: { kind: 'system' } }], ['POST', '/v1/policy', { sha256: 'x' }], ['POST', '/v1/policy/diff', { from: 'policy.yaml' }], ['POST', '/v1/policy/diff', { limit: 1e9 }], ['POST', '/v1/policy/who-can', { publish: 'a', source: 'nowhere' }],
    ['POST', '/v1/policy/who-can', { publish: 'a', tls: '1.4' }], ['POST', '/v1/policy/who-can', { publish: 'a', at: -1 }], ['POST', '/v1/policy/explain', { device: 'd-00', publish: 'a', qos: 3 }],
    ['POST', '/v1/policy/explain', { device: 'd-00' }], ['POST', '/v1/policy/explain', { device: 'd-00', publish: 'a', will: 'a' }], ['POST', '/v1/policy/lint', { files: 'x' }],
  ])('what is no request is refused: %s %s %j', async (method, at, body) => {
    const answer = await ask(url, house.root, { method, path: at, body: JSON.stringify(body), credential: house.operator })
    expect([answer.status, answer.json()['code']]).toEqual([400, 'request-invalid'])
  })

  test('nobody but an operator asks, reads or changes it', async () => {
    const stranger = await house.device('curious')
    for (const [method, at] of [['GET', '/v1/policy'], ['GET', '/v1/policy/history'], ['POST', '/v1/policy'], ['POST', '/v1/policy/diff'], ['POST', '/v1/policy/who-can'], ['POST', '/v1/policy/lint'], ['POST', '/v1/policy/explain']] as const) {
      const answer = await ask(url, house.root, { method, path: at, ...(method === 'POST' ? { body: '{}' } : {}), credential: stranger })
      expect([answer.status, answer.json()['code']], at).toEqual([403, 'operator-required'])
    }
  })

  test('that is larger than any is not read', async () => {
    const body = JSON.stringify({ files: [{ name: 'policy.yaml', text: '#'.repeat(POLICY_LIMITS.documentBytesMax + 1) }] })
    expect((await ask(url, house.root, { method: 'POST', path: '/v1/policy', body, credential: house.operator })).status).toBe(400)
    const huge = `{"files":"${'x'.repeat(21 * 1024 * 1024)}"}`
    const status = await ask(url, house.root, { method: 'POST', path: '/v1/policy', body: huge, credential: house.operator }).then(({ status: code }) => code, () => 413)
    expect(status).toBe(413)
  })
})
