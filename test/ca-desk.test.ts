// The CA's part of the desk: what a dry run leaves alone, a retirement that is interrupted, and what is put down about keys.

import { readFileSync, renameSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { CA_LIFE_LIMITS } from '../src/ca-limits.ts'
import { openDesk } from '../src/desk.ts'
import type { Desk } from '../src/core/desk.ts'
import type { CaName } from '../src/core/ids.ts'
import type { RotationStep } from '../src/core/rotation.ts'
import { ACTOR, filesOf, requestOf, withCommits } from './ca/organisation.ts'
import { openHouse, type House } from './http/house.ts'

vi.mock(import('../src/limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIMITS: { ...real.CA_LIMITS, scryptLogN: 4 as 17 } }
})
// Three commits for what one would do, so that one can be interrupted between two.
vi.mock(import('../src/ca-limits.ts'), async (original) => {
  const real = await original()
  return { ...real, CA_LIFE_LIMITS: { ...real.CA_LIFE_LIMITS, revokedPerCommitMax: 2 as 50, lookedAtOnceMax: 3 as 250, devicesNamedMax: 3 as 100 } }
})

let house: House
let now = Date.now()
beforeEach(async () => {
  house = await openHouse()
  now = Date.now()
})
afterEach(() => house[Symbol.asyncDispose]())

const ports = (registry = house.home.registry) => ({
  registry, view: house.home.view, audit: house.home.audit, authority: house.organisation.authority, policies: house.policies, clock: () => now,
  ca: { genesis: (actor: Parameters<typeof house.home.genesis>[0]) => ({ ...house.home.genesis(actor), registry }), alone: house.home.alone, changed: () => house.home.followCas() },
})
const desk = (registry = house.home.registry): Desk => openDesk(ports(registry), { kind: 'local' })
const steps = async (...names: readonly RotationStep[]): Promise<void> => {
  for (const step of names) await desk().rotateCa({ step, root: true })
}
const states = (): string => house.home.registry.cas().map(({ name, state }) => `${name} ${state}`).toSorted().join(', ')
const failure = (work: Promise<unknown>): Promise<unknown> => work.then(() => expect.fail('it was not refused'), (error: unknown) => error)
const enrolled = async (count: number): Promise<void> => {
  for (let i = 1; i <= count; i++) await house.device(`d-${i}`)
}

describe('a dry run', () => {
  test('of every step writes nothing, neither to the registry nor to a file', async () => {
    await enrolled(1)
    for (const step of ['start', 'trust', 'cross-sign', 'switch', 'retire'] as const) {
      const before = [house.home.view.sequence, filesOf(path.join(house.folder, 'certs'))]
      expect(await desk().rotateCa({ step, root: true, dryRun: true, force: true })).toMatchObject({ outcome: 'would', next: step, sessionsClosed: 0, revoked: 0 })
      expect([house.home.view.sequence, filesOf(path.join(house.folder, 'certs'))]).toEqual(before)
      await desk().rotateCa({ step, root: true, force: true })
    }
  })

  test('names as many as are named, and counts all', async () => {
    await enrolled(5)
    await steps('start', 'trust', 'cross-sign', 'switch')
    const would = await desk().rotateCa({ step: 'retire', dryRun: true })
    expect([would.breaksCount, would.breaks.length]).toEqual([5, 3])
    expect(would.told.join(' ')).toContain('2 certificates of operators and of the server')
  })
})

describe('a retirement', () => {
  beforeEach(async () => {
    await enrolled(5)
    await steps('start', 'trust', 'cross-sign', 'switch')
  })

  test.each([1, 2, 3, 4, 5, 6])('that is killed at commit %d goes on where it was', async (at) => {
    let commits = 0
    const dying = withCommits(house.home.registry, (real, ...commit) => (++commits === at ? Promise.reject(new Error('killed')) : real(...commit))) as typeof house.home.registry
    const done = await desk(dying).rotateCa({ step: 'retire', force: true }).then(() => true, () => false)
    expect(done).toBe(false)
    expect(states()).toBe('issuing-1 replaced, issuing-2 current, root replaced, root-2 current')
    await desk().rotateCa({ step: 'retire', force: true })
    expect(states()).toBe('issuing-1 retired, issuing-2 current, root retired, root-2 current')
    const left = (['planned', 'issued', 'active'] as const).flatMap((state) => house.home.registry.certificates({ issuer: 'issuing-1' as CaName, state }).items)
    expect(left).toEqual([])
  })

  test('of more than one request does goes on with the next, and retires when nothing is left', async () => {
    Object.assign(CA_LIFE_LIMITS, { revokedPerRequestMax: 3 })
    onTestFinished(() => void Object.assign(CA_LIFE_LIMITS, { revokedPerRequestMax: 10_000 }))
    const answers: unknown[] = []
    for (let outcome = 'part'; outcome === 'part';) {
      const done = await desk().rotateCa({ step: 'retire', force: true })
      answers.push([done.outcome, done.revoked])
      outcome = done.outcome
    }
    expect(answers).toEqual([['part', 3], ['part', 3], ['did', 1]])
    expect(states()).toContain('issuing-1 retired')
  })

  test('that was not forced, and is refused, ends nothing', async () => {
    const before = house.home.view.sequence
    expect(await failure(desk().rotateCa({ step: 'retire' }))).toMatchObject({ reason: 'ca-in-use', message: expect.stringContaining('5 of devices, of 5 of them the only one: d-') })
    expect(house.home.view.sequence).toBe(before)
  })

  test('is not overtaken by a certificate that is on its way: it comes to nothing', async () => {
    const old = await house.home.authorities.of('issuing-1' as CaName)
    await desk().rotateCa({ step: 'retire', force: true })
    expect(await old.issue(requestOf('d-1'), ACTOR)).toMatchObject({ allow: false, reason: 'ca-step' })
  })

  test('leaves an operator who can undo the next mistake', async () => {
    await desk().rotateCa({ step: 'retire', force: true })
    const operators = house.home.registry.certificates({ state: 'active', limit: 100 }).items.filter(({ profile }) => profile === 'operator')
    expect(operators.map(({ issuer }) => issuer)).toEqual(['issuing-2'])
  })
})

describe('the server and the operator', () => {
  test('have new certificates after the switch, and with a restart the same ones', async () => {
    await steps('start', 'trust', 'cross-sign', 'switch')
    const read = (): readonly string[] => ['server/cert.pem', 'operator/cert.pem', 'root.pem', 'issuing.pem'].map((name) => readFileSync(path.join(house.folder, 'certs/local', name), 'utf8'))
    const before = read()
    await house.home.organisation({ kind: 'system' }, 'make')
    expect(read()).toEqual(before)
    expect((await house.home.organisation({ kind: 'system' }, 'open')).authority.issuer).toBe('issuing-2')
  })
})

describe('what expires', () => {
  test('is told of 30 days ahead, of every CA that is not retired', async () => {
    await steps('start', 'trust')
    const expiring = async (): Promise<readonly string[]> => (await desk().caRotation()).expiring.map(({ certificate }) => certificate)
    const { notAfter } = (await desk().cas()).find(({ name }) => name === 'issuing-1')!
    now = notAfter - 30 * 86_400_000
    expect(await expiring()).toEqual([])
    now += 1
    expect(await expiring()).toContain('issuing-1')
    await desk().rotateCa({ step: 'abort' })
    now = notAfter
    expect(await expiring()).toEqual(['issuing-1'])
  })
})

describe('what is said of keys', () => {
  test('is in the audit log, of roots alone', async () => {
    await desk().noteCaKey('root' as CaName, 'exported')
    await desk().noteCaKey('root' as CaName, 'removed')
    expect(await failure(desk().noteCaKey('issuing-1' as CaName, 'removed'))).toMatchObject({ reason: 'ca-step' })
    expect(await failure(desk().noteCaKey('nobody' as CaName, 'removed'))).toMatchObject({ reason: 'ca-step' })
    const told = (await desk().auditTail(2)).map((record) => (record['detail'] as Record<string, unknown>))
    expect(told).toEqual([{ ca: 'root', action: 'exported' }, { ca: 'root', action: 'removed' }])
  })

  test('no key that is lent is in the audit log', async () => {
    renameSync(path.join(house.folder, 'certs/local/root.key'), path.join(house.folder, 'away'))
    expect(await failure(desk().rotateCa({ step: 'start', rootKey: { text: 'SECRET-TEXT', passphrase: 'SECRET-PASS' } }))).toMatchObject({ code: 'key-unreadable', message: expect.not.stringContaining('SECRET') })
    const log = JSON.stringify(await desk().auditTail(100))
    expect(log).toContain('"lent"')
    expect(log).not.toContain('SECRET')
  })
})
