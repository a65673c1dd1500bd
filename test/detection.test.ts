// What an operator does with the ladder, over a real home: who is on it, how a device comes off it, and that nothing is undone that
// an operator has done. The ladder runs; what the broker would tell it is told here.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Actor, AuditEvent } from '../src/core/audit.ts'
import { DEFAULT_RULES, type DetectionRules } from '../src/core/detection/rules.ts'
import type { Desk } from '../src/core/desk.ts'
import type { DeviceAction, DeviceState } from '../src/core/device.ts'
import type { SallyportError } from '../src/core/errors.ts'
import { openDesk } from '../src/desk.ts'
import { holdDevice, openWatch, type Watch } from '../src/detection.ts'
import { openAdminClient } from '../src/http/admin-client.ts'
import type { DenyReason } from '../src/vocabulary.ts'
import { device, openHouse, type House } from './http/house.ts'

const MINUTE = 60_000
const START = Date.now()
const few = { observe: 2, throttle: 4, quarantine: 6, suspend: 8 }
let house: House
let watch: Watch
let desk: Desk
let now = START
let rules: DetectionRules = { ...DEFAULT_RULES, upTo: 'suspend', thresholds: { ...DEFAULT_RULES.thresholds, connects: few } }
const logged: string[] = []
let count = 0

beforeAll(async () => {
  house = await openHouse()
  restart()
})
afterEach(() => {
  watch[Symbol.dispose]()
  restart()
})
afterAll(() => house[Symbol.asyncDispose]())

const ports = () => ({ registry: house.home.registry, view: house.home.view, audit: house.home.audit, authority: house.organisation.authority, policies: house.policies, ca: house.home, clock: () => now })
/** A ladder that has seen nothing, as after a restart of the server. */
function restart(): void {
  watch = openWatch({ ...ports(), rules: () => rules, log: (_, facts, message) => void logged.push(`${message} ${JSON.stringify(facts)}`) })
  desk = openDesk({ ...ports(), detection: watch }, { kind: 'operator', name: '4711' })
}
async function fresh(): Promise<ReturnType<typeof device>> {
  const id = device(`d-${++count}`)
  await desk.addDevice({ id, groups: [], attributes: {} })
  return id
}
const connect = (id: ReturnType<typeof device>, times: number): void => {
  for (let i = 0; i < times; i++) watch.note(id, { kind: 'connect' })
}
/** Up to this rung, as far as it goes in minutes. */
async function on(id: ReturnType<typeof device>, rung: 'observe' | 'throttle' | 'quarantine' | 'suspend'): Promise<void> {
  connect(id, few.observe)
  if (rung !== 'observe') connect(id, few.throttle)
  for (const _ of rung === 'suspend' ? [1, 2] : rung === 'quarantine' ? [1] : []) {
    now += MINUTE
    connect(id, few.suspend)
    await watch.settled(id)
  }
  expect(watch.rungOf(id)).toBe(rung)
}
const stateOf = (id: ReturnType<typeof device>): DeviceState | undefined => house.home.registry.device(id)?.state
async function stepsOf(id: ReturnType<typeof device>): Promise<readonly string[]> {
  return (await desk.why(id)).detections.map(({ from, to }) => `${from}→${to}`)
}
async function changesOf(id: ReturnType<typeof device>): Promise<readonly unknown[]> {
  await house.home.audit.flush()
  type Record = { event: { action: string }; device?: { id: string }; user: { name: string }; detail: { action: string } }
  return (await house.home.audit.tail(1_000) as unknown as Record[]).filter((r) => r.event.action === 'device-changed' && r.device?.id === id).map((r) => [r.user.name, r.detail.action])
}

describe('who is on the ladder', () => {
  test('is listed, highest first, with since when, until when and why', async () => {
    const [observed, throttled, quarantined, suspended] = [await fresh(), await fresh(), await fresh(), await fresh()]
    await on(suspended, 'suspend')
    await on(quarantined, 'quarantine')
    const began = now
    await on(throttled, 'throttle')
    await on(observed, 'observe')
    now += 1_000
    const because = (n: number): string => `It connects over and over: ${n} CONNECTs within 10 minutes.`
    const listed = await desk.detections()
    expect(listed.slice(0, 2)).toMatchObject([{ device: suspended, rung: 'suspend' }, { device: quarantined, rung: 'quarantine' }])
    expect(listed[0]).not.toHaveProperty('until')
    expect(listed.slice(2)).toEqual([
      { device: throttled, rung: 'throttle', since: began, until: began + 10 * MINUTE, because: because(4), signal: 'connects' },
      { device: observed, rung: 'observe', since: began, until: began + 60 * MINUTE, because: because(2), signal: 'connects' },
    ])
    for (const { device: each } of listed) await desk.clearDetection(each)
    expect(await desk.detections()).toEqual([])
  })

  test('is told after a restart where the registry holds the device, and by a desk without a server; what was only counted is gone', async () => {
    const [throttled, quarantined] = [await fresh(), await fresh()]
    await on(throttled, 'throttle')
    await on(quarantined, 'quarantine')
    restart()
    for (const each of [desk, house.desk()]) expect(await each.detections()).toMatchObject([{ device: quarantined, rung: 'quarantine', because: expect.stringContaining('CONNECTs'), since: now }])
    expect(await house.desk().clearDetection(quarantined)).toEqual({ device: quarantined, was: 'quarantine', undone: true, state: 'active' })
    expect(await desk.detections()).toEqual([])
  })

  test('of many devices that operators have suspended none is', async () => {
    const ids = await Promise.all(Array.from({ length: 30 }, fresh))
    await Promise.all(ids.map((id) => desk.changeDevice(id, 'suspend')))
    expect(await desk.detections()).toEqual([])
  })
})

describe('clear', () => {
  test.each(['observe', 'throttle'] as const)('takes a device off %s: it begins anew, and its state is what it was', async (rung) => {
    const id = await fresh()
    await on(id, rung)
    expect(await desk.clearDetection(id)).toEqual({ device: id, was: rung, undone: false, state: 'active' })
    expect([watch.rungOf(id), watch.isThrottled(id), stateOf(id), await changesOf(id)]).toEqual(['none', false, 'active', []])
    expect((await stepsOf(id))[0]).toBe(`${rung}→none`)
    connect(id, few.observe - 1)
    expect(watch.rungOf(id)).toBe('none')
    connect(id, 1)
    expect(watch.rungOf(id)).toBe('observe')
  })

  test.each([['quarantine', 'quarantined'], ['suspend', 'suspended']] as const)('takes %s back, and says who did and who undid it', async (rung, state) => {
    const id = await fresh()
    await on(id, rung)
    expect(stateOf(id)).toBe(state)
    expect(await desk.clearDetection(id)).toEqual({ device: id, was: rung, undone: true, state: 'active' })
    expect(stateOf(id)).toBe('active')
    expect(house.home.registry.device(id)?.hold).toBeUndefined()
    expect((await changesOf(id)).slice(-2)).toEqual([['system', rung], ['operator:4711', 'resume']])
    expect((await stepsOf(id))[0]).toBe(`${rung}→none`)
    // Asked again, there is nothing left to do.
    expect(await desk.clearDetection(id)).toEqual({ device: id, was: 'none', undone: false, state: 'active' })
  })

  test.each<readonly [string, DeviceAction, DeviceState]>([['suspended', 'suspend', 'suspended'], ['quarantined', 'quarantine', 'quarantined'], ['retired', 'retire', 'retired']])('leaves a device %s that an operator has', async (_, action, state) => {
    const id = await fresh()
    await on(id, 'throttle')
    await desk.changeDevice(id, action)
    expect(await desk.clearDetection(id)).toEqual({ device: id, was: 'none', undone: false, state })
    expect(stateOf(id)).toBe(state)
  })

  test('of a device that the ladder suspended and an operator had quarantined goes back to quarantine', async () => {
    const id = await fresh()
    await desk.changeDevice(id, 'quarantine')
    await on(id, 'suspend')
    expect(stateOf(id)).toBe('suspended')
    expect(await desk.clearDetection(id)).toEqual({ device: id, was: 'suspend', undone: true, state: 'quarantined' })
    expect((await changesOf(id)).at(-1)).toEqual(['operator:4711', 'quarantine'])
  })

  test.each<DeviceAction>(['quarantine', 'suspend'])('does not undo what the ladder did and an operator has ordered since: %s', async (action) => {
    const id = await fresh()
    await on(id, 'quarantine')
    await desk.changeDevice(id, action)
    const state = stateOf(id)
    expect(await desk.clearDetection(id)).toEqual({ device: id, was: 'none', undone: false, state })
    expect(stateOf(id)).toBe(state)
  })

  test('of a device that is not there, and of one that is on no rung', async () => {
    await expect(desk.clearDetection(device('nobody'))).rejects.toMatchObject({ code: 'not-found', reason: 'device-not-found' })
    expect(await desk.clearDetection(await fresh())).toMatchObject({ was: 'none', undone: false, state: 'active' })
  })
})

describe('resume', () => {
  test.each(['observe', 'throttle', 'quarantine', 'suspend'] as const)('takes a device off %s as well', async (rung) => {
    const id = await fresh()
    await on(id, rung)
    expect(await desk.changeDevice(id, 'resume')).toMatchObject({ state: 'active' })
    expect(house.home.registry.device(id)?.hold).toBeUndefined()
    expect([watch.rungOf(id), (await stepsOf(id))[0]]).toEqual(['none', `${rung}→none`])
  })

  test('of a device on no rung says nothing of the ladder', async () => {
    const id = await fresh()
    await desk.changeDevice(id, 'resume')
    expect(await stepsOf(id).catch(() => [])).toEqual([])
  })
})

describe('at the same time', () => {
  test('an operator who clears while a step is on its way clears what comes of it', async () => {
    const id = await fresh()
    await on(id, 'throttle')
    now += MINUTE
    connect(id, few.suspend)
    // The step is being committed; nobody has waited for it.
    expect(await desk.clearDetection(id)).toMatchObject({ was: 'quarantine', undone: true, state: 'active' })
    expect([stateOf(id), watch.rungOf(id)]).toEqual(['active', 'none'])
  })

  test('an operator who suspends while a step is on its way has the last word', async () => {
    const id = await fresh()
    await on(id, 'throttle')
    now += MINUTE
    connect(id, few.suspend)
    await desk.changeDevice(id, 'suspend')
    await watch.settled(id)
    expect(house.home.registry.device(id)).toMatchObject({ state: 'suspended' })
    expect(house.home.registry.device(id)?.hold).toBeUndefined()
  })

  test('a step that another change comes before is not taken, and said so in the log', async () => {
    const id = await fresh()
    await on(id, 'throttle')
    now += MINUTE
    const { registry } = house.home
    const described = registry.commit([{ kind: 'device-described', id, groups: [], attributes: {} }], [], [])
    connect(id, few.suspend)
    await Promise.all([described, watch.settled(id)])
    expect([stateOf(id), watch.rungOf(id)]).toEqual(['active', 'throttle'])
    expect(logged.at(-1)).toContain('revision-conflict')
  })

  test('twenty who clear at once: one does it, the others find it done or are told of the other, and nothing is left', async () => {
    const id = await fresh()
    await on(id, 'quarantine')
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => desk.clearDetection(id)))
    const reasons = outcomes.flatMap((o) => (o.status === 'rejected' ? [(o.reason as SallyportError).reason] : []))
    expect(new Set<DenyReason | undefined>(reasons)).toEqual(new Set(['revision-conflict']))
    expect(outcomes.filter((o) => o.status === 'fulfilled' && o.value.undone)).toHaveLength(1)
    expect([stateOf(id), await changesOf(id)]).toEqual(['active', [['system', 'quarantine'], ['operator:4711', 'resume']]])
  })
})

describe('the ladder in a server', () => {
  test('says nothing of a device that nobody registered', () => {
    connect(device('ghost'), 100)
    expect(watch.rungOf(device('ghost'))).toBe('none')
  })

  test('obeys other rules from the next fact on: off is off', async () => {
    const id = await fresh()
    await on(id, 'throttle')
    const before = rules
    rules = { ...rules, upTo: 'none' }
    watch.sweep()
    rules = before
    expect([watch.rungOf(id), (await desk.why(id)).detections[0]]).toEqual(['none', expect.objectContaining({ from: 'throttle', to: 'none', because: 'The configuration has this rung no longer.' })])
  })

  test('does nothing to a device that is out already, or retired meanwhile, and records its step', async () => {
    const event = (id: ReturnType<typeof device>, to: 'quarantine' | 'suspend'): Extract<AuditEvent, { kind: 'detection' }> => ({ kind: 'detection', at: now, device: id, from: 'throttle', to, because: 'why' })
    const system: Actor = { kind: 'system' }
    for (const [action, to, state] of [['suspend', 'quarantine', 'suspended'], ['suspend', 'suspend', 'suspended'], ['retire', 'suspend', 'retired'], ['quarantine', 'quarantine', 'quarantined']] as const) {
      const id = await fresh()
      await openDesk(ports(), system).changeDevice(id, action)
      expect(await holdDevice(house.home.registry, event(id, to))).toEqual({ allow: true, value: undefined })
      expect(house.home.registry.device(id)).toMatchObject({ state, revision: 2 })
      expect(house.home.registry.device(id)?.hold).toBeUndefined()
      expect(await stepsOf(id)).toEqual([`throttle→${to}`])
    }
    expect(await holdDevice(house.home.registry, event(device('nobody'), 'suspend'))).toMatchObject({ allow: false, reason: 'device-not-found' })
  })
})

test('the admin API answers what the desk at hand answers', async () => {
  const id = await fresh()
  await on(id, 'quarantine')
  const remote = openAdminClient({ url: (await house.openAdmin()).url, ...house.operator, ca: house.root })
  try {
    expect(await remote.detections()).toEqual(await house.desk().detections())
    expect(await remote.why(id)).toEqual(await house.desk().why(id))
    expect(await remote.device(id)).toMatchObject({ state: 'quarantined', hold: { from: 'active', since: now, because: expect.any(String) } })
    await expect(remote.clearDetection(device('nobody'))).rejects.toMatchObject({ code: 'not-found', reason: 'device-not-found' })
    expect(await remote.clearDetection(id)).toEqual({ device: id, was: 'quarantine', undone: true, state: 'active' })
    expect(await remote.detections()).toEqual([])
  } finally {
    await remote[Symbol.asyncDispose]()
  }
})
