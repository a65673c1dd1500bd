import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { openSqliteSessions } from '../../../src/store/sessions/sqlite.ts'
import { keyOf, START, textsOf } from '../../contract/session-records.ts'
import { startChild } from '../children.ts'
import { has, tempDir } from '../temp.ts'

const SCRIPT = new URL('child.ts', import.meta.url)

async function waitingIn(file: string): Promise<number[]> {
  const store = await openSqliteSessions({ file, clock: () => START, log: () => {} })
  const { items } = await store.queue(keyOf('a'), 0, { messagesMax: 100_000, bytesMax: 1e9 })
  await store.close()
  return textsOf(items).map(Number)
}

const numbers = (lines: readonly string[], word: string): number[] => lines.filter((line) => line.startsWith(`${word} `)).map((line) => Number(line.split(' ')[1]))

test('killed in the middle of commits, twelve times: what was acknowledged is there, once and in order, and what was completed is gone', async () => {
  using dir = tempDir()
  const file = dir.file('sessions.db')
  const stored: number[] = []
  const completing = new Set<number>()
  const completed = new Set<number>()
  for (let round = 0; round < 12; round++) {
    await using child = startChild(SCRIPT, ['publish', file, String(1 + round * 10_000)])
    const last = 1 + round * 10_000 + ((round * 37) % 80)
    await child.until((line) => line === `stored ${last}`)
    const lines = await child.kill()
    stored.push(...numbers(lines, 'stored'))
    for (const number of numbers(lines, 'completing')) completing.add(number)
    for (const number of numbers(lines, 'completed')) completed.add(number)

    const waiting = await waitingIn(file)
    expect(waiting).toEqual([...new Set(waiting)].toSorted((a, b) => a - b))
    expect(stored.filter((number) => !completing.has(number) && !waiting.includes(number))).toEqual([])
    expect(waiting.filter((number) => completed.has(number))).toEqual([])
  }
  expect(stored.length).toBeGreaterThan(12 * 4)
  expect(completed.size).toBeGreaterThan(10)
})

test('killed among Wills and retained messages, six times: each is there once or was taken away, its time is kept, and what was connected has its delay', async () => {
  using dir = tempDir()
  const file = dir.file('sessions.db')
  const set = new Set<number>()
  const due = new Set<number>()
  const clearing = new Set<number>()
  const gone = new Set<number>()
  for (let round = 0; round < 6; round++) {
    const first = 1 + round * 10_000
    await using child = startChild(SCRIPT, ['leave', file, String(first)])
    await child.until((line) => line === `set ${first + 8 + ((round * 37) % 40)}`)
    const lines = await child.kill()
    for (const [word, all] of [['set', set], ['scheduled', due], ['clearing', clearing], ['cleared', gone]] as const) for (const number of numbers(lines, word)) all.add(number)

    const store = await openSqliteSessions({ file, clock: () => START, log: () => {} })
    const numbersAt = async (now: number): Promise<number[]> => (await store.due(now, 100_000)).wills.map(({ publisher: { clientId } }) => Number(clientId.slice(1))).toSorted((a, b) => a - b)
    const [now, before, after] = [await numbersAt(START), await numbersAt(START + 9_999), await numbersAt(START + 10_000)]
    const left = (await store.retained('t/+', undefined, 100_000)).items.map((item) => Number(item.message.topic.slice(2))).toSorted((a, b) => a - b)
    await store.close()

    expect(after).toEqual([...new Set(after)])
    expect(left).toEqual(after)
    expect([...set].filter((number) => !clearing.has(number) && !after.includes(number))).toEqual([])
    expect(after.filter((number) => gone.has(number))).toEqual([])
    expect([...due].filter((number) => !clearing.has(number) && !now.includes(number))).toEqual([])
    // Nothing else is due at once: what stayed connected is due after its ten seconds.
    expect(now.filter((number) => number % 3 === 0)).toEqual([])
    expect(before).toEqual(now)
  }
  expect(Math.min(set.size, due.size, gone.size)).toBeGreaterThan(6 * 2)
})

test.skipIf(!has('prlimit'))('a full disk: nothing is acknowledged, the store says so, and it goes on by itself when there is room (needs prlimit)', async () => {
  using dir = tempDir()
  const file = dir.file('sessions.db')
  await using child = startChild(SCRIPT, ['insist', file, '400'])
  await child.until((line) => line === 'stored 3')
  spawnSync('prlimit', ['--pid', String(child.process.pid), '--fsize=600000:unlimited'])
  expect(await child.until((line) => line.startsWith('ill'))).toMatch(/could not be written|cannot be opened for writing/)
  const acknowledged = numbers(child.lines, 'stored').length
  spawnSync('prlimit', ['--pid', String(child.process.pid), '--fsize=unlimited:unlimited'])
  await child.until((line) => line === 'closed')
  const ill = child.lines.findIndex((line) => line.startsWith('ill'))
  expect(child.lines[ill + 1]).toBe('well')
  expect(numbers(child.lines.slice(0, ill), 'stored')).toHaveLength(acknowledged)
  expect(acknowledged).toBeLessThan(400)
  expect(await waitingIn(file)).toEqual(Array.from({ length: 400 }, (_, i) => i + 1))
})

test.skipIf(!has('strace'))('fsync fails for a while: nothing is lost and nothing is stored twice (needs strace)', async () => {
  using dir = tempDir()
  const file = dir.file('sessions.db')
  await using child = startChild(SCRIPT, ['insist', file, '60'], ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO:when=30..34'])
  await child.until((line) => line === 'closed')
  const ill = child.lines.findIndex((line) => line.startsWith('ill'))
  expect(child.lines[ill]).toMatch(/could not be written/)
  expect(child.lines[ill + 1]).toBe('well')
  expect(await waitingIn(file)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
})

test('a process ends by itself while its store is open and idle, and not before what it committed is stored', async () => {
  using dir = tempDir()
  await using idle = startChild(SCRIPT, ['idle', dir.file('sessions.db')])
  expect(await idle.exited()).toEqual({ code: 0, signal: null })
  expect(idle.lines).toEqual(['opened'])
  await using hurry = startChild(SCRIPT, ['hurry', dir.file('sessions.db')])
  expect(await hurry.exited()).toEqual({ code: 0, signal: null })
  expect(hurry.lines).toEqual(['stored'])
})
