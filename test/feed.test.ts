// The read models over a real audit log: what is recorded is there at once, and after a restart it is there again, as far as the log and
// the room go.

import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '../src/config.ts'
import type { AuditEvent } from '../src/core/audit.ts'
import type { CaName, DeviceId, SerialNumber } from '../src/core/ids.ts'
import { openFeed, type Feed } from '../src/feed.ts'
import { openHome, type OpenHome } from '../src/home.ts'
import { tmpdir } from 'node:os'
import path from 'node:path'

let folder: string
let home: OpenHome
let feed: Feed
const MINUTE = 60_000
beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'sallyport-feed-'))
  home = await openHome(folder, loadConfig(folder, {}))
  feed = openFeed({ audit: home.audit, clock: Date.now, log: () => {} })
  await feed.restored
})
afterEach(async () => {
  feed[Symbol.dispose]()
  await home[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function restart(): Promise<void> {
  feed[Symbol.dispose]()
  await home[Symbol.asyncDispose]()
  home = await openHome(folder, loadConfig(folder, {}))
  feed = openFeed({ audit: home.audit, clock: Date.now, log: () => {} })
  await feed.restored
}
const refuse = (device: string, at = Date.now()): void => home.audit.record({ kind: 'refusal', at, step: 'registry', reason: 'device-suspended', device: device as DeviceId, source: { address: '192.0.2.1', port: 7 } })
const admit = (device: string, at = Date.now()): void => home.audit.record({ kind: 'admission', at, device: device as DeviceId, clientId: device, serial: '01' as SerialNumber, issuer: 'issuing-1' as CaName, source: { address: '192.0.2.1', port: 7 }, protocol: 5 })
const devices = (): readonly (string | undefined)[] => feed.refusals.page({}).items.map(({ device }) => device)

describe('what is recorded', () => {
  test('is remembered at once, under its number in the log, and told to whoever follows', async () => {
    const told: unknown[] = []
    using _stop = { [Symbol.dispose]: feed.events.follow((event) => told.push([event.id, event.kind, event.device])) }
    admit('a')
    refuse('b')
    const [shown] = feed.refusals.page({}).items
    expect(told).toEqual([[shown!.id - 1, 'connection', 'a'], [shown!.id, 'refusal', 'b']])
    await home.audit.flush()
    const lines = readFileSync(home.paths.audit, 'utf8').trim().split('\n')
    expect(lines[shown!.id - 1]).toBe(feed.events.after({ id: shown!.id - 1 })![0]!.line)
    expect(feed.strip.buckets(Date.now()).at(-1)).toMatchObject({ connections: 1, refusals: { 'device-suspended': 1 } })
  })
  test('of a change of the registry comes with its commit', async () => {
    const before = feed.events.head
    const event: AuditEvent = { kind: 'device-added', at: Date.now(), device: 'x' as DeviceId, actor: { kind: 'local' } }
    await home.registry.commit([{ kind: 'device-added', device: { id: 'x' as DeviceId, tenant: 'default' as never, groups: [], attributes: {}, state: 'active', createdAt: 1, revision: 1 } }], [], [event])
    expect(feed.events.after(before)).toMatchObject([{ kind: 'registry', device: 'x' }])
  })
})

describe('after a restart', () => {
  test('everything is there again, in the same order and under the same numbers', async () => {
    for (const device of ['a', 'b', 'c']) refuse(device)
    admit('a')
    const before = feed.refusals.page({}).items
    const head = feed.events.head
    await restart()
    expect(feed.refusals.page({}).items).toEqual(before)
    expect(feed.events.head.id).toBeGreaterThanOrEqual(head.id)
    expect(feed.events.after({ id: head.id - 1 })!.map(({ id }) => id)).toContain(head.id)
    expect(feed.events.after(head)).toBeDefined()
    expect(feed.refusals.reach.complete).toBe(true)
    expect(feed.strip.buckets(Date.now()).reduce((sum, { connections, refusals }) => sum + connections + (refusals['device-suspended'] ?? 0), 0)).toBe(4)
  })
  test('the strip has nothing of the day before, and the list of refusals has', async () => {
    refuse('old', Date.now() - 25 * 60 * MINUTE)
    refuse('young', Date.now() - 23 * 60 * MINUTE)
    await restart()
    expect(devices()).toEqual(['young', 'old'])
    expect([...feed.strip.refusedSince(Date.now() - 48 * 60 * MINUTE, Date.now()).values()]).toEqual([1])
  })
  test('what comes while the log is being read stands in its place, once', async () => {
    for (let i = 0; i < 200; i++) refuse(`d${i}`)
    await home.audit.flush()
    feed[Symbol.dispose]()
    feed = openFeed({ audit: home.audit, clock: Date.now, log: () => {} })
    refuse('meanwhile')
    await feed.restored
    expect([devices()[0], devices()[1], feed.refusals.page({ limit: 500 }).items.length]).toEqual(['meanwhile', 'd199', 201])
    expect(feed.events.after({ id: feed.events.head.id - 2 })!.map(({ device }) => device)).toEqual(['d199', 'meanwhile'])
  })
  test('who was told what a crash has taken is not told to go on behind another record of that number', async () => {
    refuse('kept')
    await home.audit.flush()
    const image = `${folder}-image`
    cpSync(folder, image, { recursive: true })
    refuse('taken')
    const place = feed.events.head
    await using crashed = await openHome(image, loadConfig(image, {}))
    using after = openFeed({ audit: crashed.audit, clock: Date.now, log: () => {} })
    await after.restored
    expect(after.events.after(place)).toBeUndefined()
    for (const device of ['one', 'two', 'three']) crashed.audit.record({ kind: 'refusal', at: Date.now(), step: 'registry', reason: 'device-suspended', device: device as DeviceId })
    expect([after.events.head.id > place.id, after.events.after(place), after.events.after({ id: place.id })]).toEqual([true, undefined, expect.any(Array)])
    rmSync(image, { recursive: true, force: true })
  })
  test('a count of refusals that comes up because the log is read stands in it once', async () => {
    feed[Symbol.dispose]()
    const now = Date.now()
    for (let i = 0; i < 15; i++) refuse('flood', now - 5_000)
    feed = openFeed({ audit: home.audit, clock: Date.now, log: () => {} })
    await feed.restored
    expect(feed.refusals.page({ limit: 500 }).items.map(({ count }) => count)).toEqual([5, ...Array.from({ length: 10 }, () => 1)])
    expect(feed.events.after({ id: feed.events.head.id - 2 })!.map(({ id }) => id)).toEqual([feed.events.head.id - 1, feed.events.head.id])
  })
  test('a record that somebody has written into the log by hand harms nobody', async () => {
    refuse('a')
    await home.audit.flush()
    appendFileSync(home.paths.audit, 'not json\n{"event":{"action":"__proto__","reason":"constructor"},"device":[]}\n{"event":{"action":"refusal","reason":"toString"}}\n')
    await restart()
    expect(devices()).toEqual(['a'])
  })
})
