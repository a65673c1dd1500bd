// Lists on a thread of their own: the same as those of the registry, never behind a commit, bounded, and answered or refused whatever becomes
// of the thread.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import type { DeviceId, GroupName } from '../../../src/core/ids.ts'
import { LIST_LIMITS } from '../../../src/http-limits.ts'
import { openLists, type BeginThread } from '../../../src/store/sqlite/lists.ts'
import { openRegistry } from '../../../src/store/sqlite/registry.ts'
import { added, issued, NOW, plan, revoked } from '../../contract/records.ts'
import { tempDir } from '../temp.ts'

const options = { clock: () => NOW }
/** A thread that hears and says nothing. */
const mute: BeginThread = () => new Worker("require('node:worker_threads').parentPort.on('message', () => {})", { eval: true })
const internal = (words: RegExp): unknown => expect.objectContaining({ code: 'internal', message: expect.stringMatching(words) })

describe('a list', () => {
  test('is what the registry itself says, page for page and filter for filter', async () => {
    using dir = tempDir()
    using registry = openRegistry(dir.file('registry.db'), options)
    for (let i = 0; i < 30; i++) await registry.commit([added(`d${i}`, { groups: [`g${i % 3}` as GroupName] }), plan(`d${i}`, `d${i}`), issued(`d${i}`), ...(i % 2 === 0 ? [revoked(`d${i}`)] : [])], [], [])
    await using lists = openLists(dir.file('registry.db'))
    const queries = [{}, { limit: 7 }, { limit: 7, after: 'd15' }, { q: 'D2' }, { q: '%' }, { group: 'g1' as GroupName }, { state: 'suspended' }, { attribute: { name: 'site', value: 'north' } }, { expiring: { now: NOW, before: NOW + 2_000_000 } }] as const
    for (const query of queries) expect(await lists.devices(query)).toEqual(registry.devices(query))
    for (const query of [{}, { limit: 4 }, { state: 'revoked' }, { device: 'd3' as DeviceId }] as const) expect(await lists.certificates(query)).toEqual(registry.certificates(query))
    expect(await lists.journal({ limit: 9 })).toEqual(registry.journal({ limit: 9 }))
    expect(await lists.devicesByState()).toEqual(registry.devicesByState())
  })

  test('has what was committed when it was asked for, and not what was refused', async () => {
    using dir = tempDir()
    using registry = openRegistry(dir.file('registry.db'), options)
    await using lists = openLists(dir.file('registry.db'))
    for (let i = 0; i < 50; i++) {
      await registry.commit([added(`d${i}`)], [], [])
      expect((await lists.devices({ limit: 100 })).items).toHaveLength(i + 1)
    }
    expect(await registry.commit([added('other'), added('d1')], [], [])).toMatchObject({ allow: false })
    expect((await lists.devices({ q: 'other' })).items).toEqual([])
  })

  test('fifty that are asked for at once get each its own answer', async () => {
    using dir = tempDir()
    using registry = openRegistry(dir.file('registry.db'), options)
    await registry.commit(Array.from({ length: 50 }, (_, i) => added(`d${i}-`)), [], [])
    await using lists = openLists(dir.file('registry.db'))
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => lists.devices({ q: `d${i}-` })))
    expect(answers.map(({ items }) => items.map(({ id }) => id))).toEqual(Array.from({ length: 50 }, (_, i) => [`d${i}-`]))
  })
})

describe('what waits', () => {
  test('is bounded: one more is refused, and those before it are answered', async () => {
    using dir = tempDir()
    using registry = openRegistry(dir.file('registry.db'), options)
    await registry.commit([added('a')], [], [])
    await using lists = openLists(dir.file('registry.db'))
    const all = Array.from({ length: LIST_LIMITS.waitingMax }, () => lists.devices({}))
    await expect(lists.devices({})).rejects.toMatchObject({ reason: 'registry-unavailable' })
    expect((await Promise.all(all)).every(({ items }) => items.length === 1)).toBe(true)
    expect((await lists.devices({})).items).toHaveLength(1)
  })

  test('ends with the thread, and the next question starts another one', async () => {
    using dir = tempDir()
    using _registry = openRegistry(dir.file('registry.db'), options)
    const threads: Worker[] = []
    await using lists = openLists(dir.file('registry.db'), (start) => {
      // The first one is gone in the middle of it, as one is that ran out of memory.
      const thread = threads.length === 0 ? mute(start) : new Worker(new URL('../../../src/store/sqlite/lists-worker.ts', import.meta.url), { workerData: start })
      threads.push(thread)
      return thread
    })
    const asked = Promise.allSettled([lists.devices({}), lists.devicesByState()])
    await once(threads[0]!, 'online')
    await threads[0]!.terminate()
    expect(await asked).toEqual([{ status: 'rejected', reason: internal(/has ended/) }, { status: 'rejected', reason: internal(/has ended/) }])
    expect(await lists.devices({})).toEqual({ items: [] })
    expect(threads).toHaveLength(2)
  })

  test('for a disk that hangs is told so when its time is over', async () => {
    using dir = tempDir()
    await using lists = openLists(dir.file('registry.db'), mute, 50)
    await expect(lists.devices({})).rejects.toEqual(internal(/longer than 50 ms/))
  })

  test('when the home is closed is told that, and so is who comes later', async () => {
    using dir = tempDir()
    const lists = openLists(dir.file('registry.db'), mute)
    const asked = Promise.allSettled([lists.devices({})])
    await lists[Symbol.asyncDispose]()
    expect(await asked).toEqual([{ status: 'rejected', reason: internal(/is closed/) }])
    await expect(lists.devices({})).rejects.toEqual(internal(/is closed/))
  })
})

test('a registry that cannot be read says what it is, and is read again when it can be', async () => {
  using dir = tempDir()
  await using lists = openLists(dir.file('registry.db'))
  await expect(lists.devices({})).rejects.toMatchObject({ code: 'home-not-writable', fix: expect.any(String) })
  using _registry = openRegistry(dir.file('registry.db'), options)
  expect(await lists.devices({})).toEqual({ items: [] })
})

test('nobody asks, and no thread is started', async () => {
  using dir = tempDir()
  let begun = 0
  const lists = openLists(dir.file('registry.db'), (start) => {
    begun += 1
    return mute(start)
  })
  await lists[Symbol.asyncDispose]()
  expect(begun).toBe(0)
})
