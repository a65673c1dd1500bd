// The audit log on a real file and a real registry: what is committed comes in exactly once whatever is interrupted, what is
// tampered with is named, a full disk stops nothing but the log, and reading backwards finds what is there.

import type fs from 'node:fs'
import { appendFileSync, copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import type { DeviceId } from '../../src/core/ids.ts'
import { AUDIT_LIMITS } from '../../src/limits.ts'
import { openAuditLog, type AuditLog, type AuditOutboxPort } from '../../src/observe/audit-log.ts'
import { verifyAuditFile } from '../../src/observe/read-back.ts'
import { openRegistry, type SqliteRegistry } from '../../src/store/sqlite/registry.ts'
import { added, eventOf, NOW } from '../contract/records.ts'
import { tempDir } from '../store/temp.ts'

const disk = vi.hoisted(() => ({ full: false, room: Number.POSITIVE_INFINITY }))
vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>()
  const noSpace = (): never => {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  }
  return {
    ...real,
    writeSync: (descriptor: number, bytes: Uint8Array, offset: number, length: number, position: number) => {
      if (!disk.full) return real.writeSync(descriptor, bytes, offset, length, position)
      if (disk.room <= 0) return noSpace()
      // A disk that fills up takes a part before it refuses.
      const part = Math.min(length, disk.room)
      disk.room -= part
      return real.writeSync(descriptor, bytes, offset, part, position)
    },
  }
})

let folder: ReturnType<typeof tempDir>
let registry: SqliteRegistry
let file: string
let now = NOW
const open: AuditLog[] = []

beforeEach(() => {
  folder = tempDir()
  file = folder.file('audit.ndjson')
  registry = openRegistry(folder.file('registry.db'), { clock: () => NOW })
  now = NOW
})
afterEach(() => {
  disk.full = false
  disk.room = Number.POSITIVE_INFINITY
  vi.useRealTimers()
  for (const log of open.splice(0)) log.close()
  registry.close()
  folder[Symbol.dispose]()
})

async function openLog(outbox: AuditOutboxPort = registry.audit): Promise<AuditLog> {
  const log = await openAuditLog({ file, outbox, clock: () => now })
  open.push(log)
  return log
}
/** The process is gone: nothing more is written, nothing is said goodbye to. */
const abandon = (log: AuditLog): void => void open.splice(open.indexOf(log), 1)
const commit = async (id: string): Promise<void> => void (await registry.commit([added(id)], [], [eventOf(id)]))
const refusal = (device: string, more: Partial<AuditEvent & { kind: 'refusal' }> = {}): AuditEvent => ({ kind: 'refusal', at: now, step: 'policy', reason: 'publish-not-granted', device: device as DeviceId, source: { address: device, port: 1 }, ...more })
interface Line {
  readonly event: { readonly action: string }
  readonly device?: { readonly id: string }
  readonly detail: { readonly count: number }
}
const lines = (): readonly Line[] => readFileSync(file, 'utf8').split('\n').filter((l) => l !== '').map((l) => JSON.parse(l) as Line)
const devicesIn = (): readonly string[] => lines().flatMap((l) => (l.device === undefined ? [] : [l.device.id]))

describe('what is committed with a change', () => {
  test('is in the log exactly once, in the order of the commits, among what is recorded without one', async () => {
    const log = await openLog()
    for (let i = 0; i < 5; i++) {
      await commit(`c${i}`)
      log.record(refusal(`r${i}`))
    }
    await log.flush()
    expect(devicesIn()).toEqual(['c0', 'r0', 'c1', 'r1', 'c2', 'r2', 'c3', 'r3', 'c4', 'r4'])
    expect(await log.verify()).toEqual({ intact: true, records: 10 })
  })

  test('before the log was opened is taken in when it is', async () => {
    for (let i = 0; i < AUDIT_LIMITS.outboxPage + 3; i++) registry.commit([added(`c${i}`)], [], [eventOf(`c${i}`)]).catch(() => {})
    await commit('last')
    const log = await openLog()
    await log.flush()
    expect(devicesIn()).toHaveLength(AUDIT_LIMITS.outboxPage + 4)
  })

  test.each<[string, (log: AuditLog) => Promise<void>]>([
    ['after the commit, before anything is written', async () => {}],
    ['after the write, before the registry knows', (log) => log.flush()],
    ['after the registry knows', async (log) => {
      await log.verify()
    }],
  ])('is in the log exactly once when the process ends %s', async (_, until) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const log = await openLog()
    await commit('a')
    await log.verify()
    await commit('b')
    await until(log)
    abandon(log)
    vi.useRealTimers()
    const again = await openLog()
    await commit('c')
    await again.flush()
    expect(devicesIn()).toEqual(['a', 'b', 'c'])
    expect(await again.verify()).toEqual({ intact: true, records: 3 })
  })

  test('is in the log exactly once when the last line was torn, at every byte', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const log = await openLog()
    await commit('a')
    await log.verify()
    await commit('b')
    await log.flush()
    abandon(log)
    const whole = readFileSync(file)
    const from = whole.indexOf(0x0a) + 1
    for (let length = from; length <= whole.length; length += 17) {
      writeFileSync(file, whole.subarray(0, length))
      // The registry goes on remembering what it remembered then.
      const again = await openLog({ head: () => registry.audit.head(), waiting: (p, l) => registry.audit.waiting(p, l), onWaiting: (l) => registry.audit.onWaiting(l), saveHead: () => {} })
      await again.flush()
      expect(devicesIn(), `cut at ${length}`).toEqual(['a', 'b'])
      abandon(again)
    }
  })
})

describe('tampering', () => {
  async function written(count: number): Promise<readonly string[]> {
    const log = await openLog()
    for (let i = 0; i < count; i++) log.record(refusal(`d${i}`))
    await log.verify()
    log.close()
    return readFileSync(file, 'utf8').split('\n').slice(0, -1)
  }
  const verdict = (changed: readonly string[], end = '\n') => {
    writeFileSync(file, changed.join('\n') + end)
    return verifyAuditFile(file, registry.audit.head())
  }

  test('is named by its line: altered, missing, moved, added, cut off, gone', async () => {
    const all = await written(10)
    expect(await verdict(all)).toEqual({ intact: true, records: 10 })
    expect(await verdict(all.with(3, all[3]!.replace('d3', 'd9')))).toMatchObject({ intact: false, firstBad: { line: 4, problem: 'the record was changed' } })
    expect(await verdict(all.toSpliced(3, 1))).toMatchObject({ firstBad: { line: 4 } })
    expect(await verdict(all.with(3, all[4]!).with(4, all[3]!))).toMatchObject({ firstBad: { line: 4 } })
    expect(await verdict(all.toSpliced(3, 0, all[2]!))).toMatchObject({ firstBad: { line: 4 } })
    expect(await verdict(all.toSpliced(3, 0, 'garbage'))).toMatchObject({ firstBad: { line: 4, problem: 'not a record of this log' } })
    expect(await verdict(all.slice(0, 7))).toMatchObject({ firstBad: { line: 8, problem: 'the end is cut off: 3 records are missing' } })
    expect(await verdict(all, '')).toMatchObject({ firstBad: { line: 10, problem: 'the last record is cut off' } })
    expect(await verdict([...all, all[9]!.slice(0, 40)], '')).toMatchObject({ firstBad: { line: 11 } })
    rmSync(file)
    expect(await verifyAuditFile(file, registry.audit.head())).toMatchObject({ intact: false, firstBad: { line: 1 } })
  })

  test('with a tail that was made anew is found by what the registry remembers', async () => {
    const all = await written(4)
    const { chainLine, followLine, EMPTY_HEAD } = await import('../../src/observe/chain.ts')
    let head = EMPTY_HEAD
    for (const line of all.slice(0, 3)) {
      const followed = followLine(line, head)
      if ('problem' in followed) throw new Error(followed.problem)
      head = followed.head
    }
    expect(await verdict([...all.slice(0, 3), chainLine({ event: { action: 'forged' } }, head, undefined).line])).toMatchObject({ firstBad: { line: 4, problem: 'the record is not the one that the registry remembers' } })
  })

  test('while the log is being written is found, too: cut off, and a record that fits and is not ours', async () => {
    const log = await openLog()
    log.record(refusal('a'))
    expect(await log.verify()).toMatchObject({ intact: true })
    const { chainLine, followLine, EMPTY_HEAD } = await import('../../src/observe/chain.ts')
    const followed = followLine(readFileSync(file, 'utf8').trim(), EMPTY_HEAD)
    if ('problem' in followed) throw new Error(followed.problem)
    const before = readFileSync(file)
    appendFileSync(file, `${chainLine({ event: { action: 'forged' } }, followed.head, undefined).line}\n`)
    expect(await log.verify()).toMatchObject({ intact: false, firstBad: { line: 2 } })
    writeFileSync(file, before.subarray(0, 10))
    expect(await log.verify()).toMatchObject({ intact: false, firstBad: { line: 1 } })
  })

  test('with a log that was cut off before a start is named after it, and what follows is kept', async () => {
    await written(5)
    const size = readFileSync(file).length
    truncateSync(file, Math.floor(size / 2))
    const log = await openLog()
    log.record(refusal('later'))
    expect(await log.verify()).toMatchObject({ intact: false, firstBad: { line: 3 } })
    expect(await log.tail(1)).toMatchObject([{ device: { id: 'later' } }])
  })

  test('a line that does not end does not eat the memory', async () => {
    await written(1)
    appendFileSync(file, 'x'.repeat(3 * 1024 * 1024))
    expect(await verifyAuditFile(file, registry.audit.head())).toMatchObject({ intact: false, firstBad: { line: 2, problem: 'a line that does not end' } })
  })
})

describe('a full disk', () => {
  test('keeps what is recorded until there is room, and loses nothing of it', async () => {
    const log = await openLog()
    log.record(refusal('before'))
    await log.flush()
    disk.full = true
    disk.room = 40
    log.record(refusal('during'))
    await commit('committed')
    await log.flush()
    expect(log.degraded).toBe(true)
    expect(devicesIn()).toEqual(['before'])
    expect(await log.verify()).toEqual({ intact: true, records: 1 })
    disk.full = false
    await log.flush()
    expect(log.degraded).toBe(false)
    expect(devicesIn()).toEqual(['before', 'during', 'committed'])
    expect(await log.verify()).toEqual({ intact: true, records: 3 })
  })

  test('a process that ends meanwhile loses nothing that was committed: the registry is not told of what is not on disk', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const log = await openLog()
    await commit('a')
    await log.verify()
    disk.full = true
    disk.room = 0
    await commit('b')
    now += 10 * AUDIT_LIMITS.headDelayMs
    await log.verify()
    abandon(log)
    disk.full = false
    vi.useRealTimers()
    const again = await openLog()
    await again.flush()
    expect(devicesIn()).toEqual(['a', 'b'])
    expect(await again.verify()).toEqual({ intact: true, records: 2 })
  })

  test('for long: what has no room in memory either is counted, said when there is room, and the chain holds across a restart', async () => {
    const log = await openLog()
    disk.full = true
    disk.room = 0
    const long = 'x'.repeat(AUDIT_LIMITS.fieldCharsMax)
    const closed = (i: number): AuditEvent => ({ kind: 'session-closed', at: now, device: `d${i}` as DeviceId, clientId: long, because: long })
    let recorded = 0
    for (; recorded < 30_000; recorded++) log.record(closed(recorded))
    await commit('committed')
    await log.flush()
    disk.full = false
    now += 10 * AUDIT_LIMITS.headDelayMs
    await log.flush()
    const last = lines().at(-1)!
    expect(last.event.action).toBe('audit-lost')
    await log.flush()
    // What was committed waited in the registry.
    expect(devicesIn()).toContain('committed')
    expect(last.detail.count).toBeGreaterThan(0)
    expect(last.detail.count + lines().length - 2).toBe(recorded)
    log.close()
    const again = await openLog()
    again.record(refusal('after'))
    expect(await again.verify()).toMatchObject({ intact: true })
  })

  test('of the registry, too, stops nothing', async () => {
    const failing: AuditOutboxPort = { ...registry.audit, head: () => registry.audit.head(), waiting: (p, l) => registry.audit.waiting(p, l), onWaiting: (l) => registry.audit.onWaiting(l), saveHead: () => { throw new Error('disk full') } }
    const log = await openLog(failing)
    log.record(refusal('a'))
    now += 10 * AUDIT_LIMITS.headDelayMs
    await log.flush()
    expect(devicesIn()).toEqual(['a'])
    log.close()
  })
})

describe('floods', () => {
  test('become counted records, also when the log is closed before their window is over', async () => {
    const log = await openLog()
    for (let i = 0; i < 500; i++) log.record(refusal('flood', { source: { address: '192.0.2.1', port: i } }))
    log.record({ kind: 'server-started', at: now, version: '1' })
    log.close()
    const kinds = lines().map((l) => l.event.action)
    expect(kinds.filter((k) => k === 'refusal')).toHaveLength(AUDIT_LIMITS.refusalsPerSecond)
    expect(kinds).toContain('server-started')
    expect(lines().find((l) => l.event.action === 'refusals-suppressed')).toMatchObject({ detail: { count: 490 } })
    expect(await verifyAuditFile(file, registry.audit.head())).toMatchObject({ intact: true, records: 12 })
  })
})

describe('verifying', () => {
  test('a log that many ask about is read by one after the other: who asks meanwhile shares the next reading, which has what was recorded by then', async () => {
    const log = await openLog()
    log.record(eventOf('d-1'))
    const first = log.verify()
    await new Promise(setImmediate)
    log.record(eventOf('d-2'))
    const later = Array.from({ length: 50 }, () => log.verify())
    expect(new Set(later).size).toBe(1)
    expect([(await first).records, (await later[0])?.records]).toEqual([1, 2])
    expect(await log.verify()).toEqual({ intact: true, records: 2 })
  })

  test('gives others their turn every few milliseconds', async () => {
    const log = await openLog()
    for (let i = 0; i < 4_000; i++) log.record(refusal(`d-${i}`, { detail: 'x'.repeat(400) }))
    await log.flush()
    let turns = 0
    let turn = setImmediate(function next() {
      turns += 1
      turn = setImmediate(next)
    })
    expect((await log.verify()).intact).toBe(true)
    clearImmediate(turn)
    expect(turns).toBeGreaterThan(log.size.bytes / (128 * 1_024))
  })
})

describe('reading backwards', () => {
  test('finds the last records and the last refusals of a device across the borders of what is read at once', async () => {
    const log = await openLog()
    const long = 'y'.repeat(AUDIT_LIMITS.fieldCharsMax)
    // About 3 MiB, read a megabyte at a time.
    for (let i = 0; i < 4_000; i++) log.record(refusal(`d${i % 400}`, { at: now + i, detail: `${i}`, topic: long, clientId: long, source: { address: `s${i}`, port: 1 } }))
    await log.flush()
    expect(readFileSync(file).length).toBeGreaterThan(2.5 * 1024 * 1024)
    const tail = (await log.tail(4_000)) as readonly { readonly detail: { readonly text: string } }[]
    expect(tail.map((r) => r.detail.text)).toEqual(Array.from({ length: 4_000 }, (_, i) => String(i)))
    expect((await log.tail(3) as readonly { readonly detail: { readonly text: string } }[]).map((r) => r.detail.text)).toEqual(['3997', '3998', '3999'])
    expect((await log.refusals('d7', 100)).map((r) => r.detail)).toEqual(['3607', '3207', '2807', '2407', '2007', '1607', '1207', '807', '407', '7'])
    expect((await log.refusals('d7', 2)).map((r) => r.detail)).toEqual(['3607', '3207'])
    expect(await log.refusals('nobody', 5)).toEqual([])
  })
  test('gives others their turn, is not disturbed by what is written meanwhile, and outlives the log', async () => {
    const log = await openLog()
    const long = 'y'.repeat(AUDIT_LIMITS.fieldCharsMax)
    for (let i = 0; i < 4_000; i++) log.record(refusal(`d${i}`, { topic: long, clientId: long, detail: `${i}` }))
    await log.flush()
    const read = { done: false }
    const reading = Promise.all([log.refusals('d0', 5), log.tail(4_001)]).finally(() => {
      read.done = true
    })
    let turns = 0
    for (; !read.done; turns++) {
      if (turns === 1) {
        log.record(refusal('d0', { detail: 'meanwhile', reason: 'publish-denied' }))
        await log.flush()
      }
      if (turns === 2) log.close()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(turns).toBeGreaterThanOrEqual(3)
    const [refusals, tail] = await reading
    expect(refusals.map((r) => r.detail)).toEqual(['0'])
    expect(tail).toHaveLength(4_000)
    expect(await log.tail(1)).toEqual([])
    expect(lines().at(-1)).toMatchObject({ detail: { text: 'meanwhile' } })
  })
  test('of an empty log finds nothing', async () => {
    const log = await openLog()
    expect(await log.tail(5)).toEqual([])
    expect(await log.refusals('a', 5)).toEqual([])
    expect(await log.verify()).toEqual({ intact: true, records: 0 })
  })
})

test('a file that cannot be opened is a failure that says what to do, and the file is readable for its owner only', async () => {
  const log = await openLog()
  log.record(refusal('a'))
  await log.flush()
  const { statSync } = await import('node:fs')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  copyFileSync(file, folder.file('copy'))
  await expect(openAuditLog({ file: folder.path, outbox: registry.audit, clock: () => now })).rejects.toMatchObject({ code: 'audit-unwritable' })
})
