import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Link } from '../../../src/broker/engine/link.ts'
import { openWalk, type Looker } from '../../../src/broker/engine/walk.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

interface Room {
  readonly open: Set<Link>
  readonly said: string[]
  readonly looker: Looker
}

const ENDINGS = 2
const END = ['end 0', 'end 1', 'end']

const link = (name: string): Link => ({ name }) as unknown as Link

/** Looks at each for longer than a slice lasts. */
function slowRoom(size: number): Room {
  const said: string[] = []
  const open = new Set(Array.from({ length: size }, (_, n) => link(String(n))))
  const looker: Looker = {
    begin: () => void said.push('begin'),
    look(at) {
      const end = performance.now() + (2 * BROKER_LIMITS.walkSliceMs) / BROKER_LIMITS.walkStepsAtOnce
      while (performance.now() < end) continue
      said.push((at as unknown as { name: string }).name)
    },
    *end() {
      for (let n = 0; n < ENDINGS; n++) yield void said.push(`end ${n}`)
      said.push('end')
    },
  }
  return { open, said, looker }
}

async function untilEnd({ said }: Room): Promise<void> {
  while (said.at(-1) !== 'end') await nextTurn()
}

const SIZE = 4 * BROKER_LIMITS.walkStepsAtOnce
const NAMES = Array.from({ length: SIZE }, (_, n) => String(n))

test('each is looked at once, in portions between which others have their turn', async () => {
  const room = slowRoom(SIZE)
  openWalk(room.open, [room.looker]).begin()
  expect(room.said.length).toBe(1 + BROKER_LIMITS.walkStepsAtOnce)
  await untilEnd(room)
  expect(room.said).toEqual(['begin', ...NAMES, ...END])
})

test('a few are looked at there and then, and nobody is a walk, too', () => {
  for (const size of [0, 1, BROKER_LIMITS.walkStepsAtOnce - ENDINGS - 1]) {
    const room = slowRoom(size)
    openWalk(room.open, [room.looker]).begin()
    expect(room.said).toEqual(['begin', ...NAMES.slice(0, size), ...END])
  }
})

test('a walk that is under way is not begun again; the next is a whole one', async () => {
  const room = slowRoom(SIZE)
  const walk = openWalk(room.open, [room.looker])
  walk.begin()
  walk.begin()
  await untilEnd(room)
  walk.begin()
  room.said.push('again')
  await untilEnd(room)
  expect(room.said.filter((word) => word === 'begin')).toHaveLength(2)
  expect(room.said.filter((word) => word === '0')).toHaveLength(2)
  expect(room.said.filter((word) => word === String(SIZE - 1))).toHaveLength(2)
})

test('who goes meanwhile is not looked at, and who comes is', async () => {
  const room = slowRoom(SIZE)
  const [last] = [...room.open].slice(-1)
  openWalk(room.open, [room.looker]).begin()
  if (last !== undefined) room.open.delete(last)
  room.open.add(link('new'))
  await untilEnd(room)
  expect(room.said.slice(-4)).toEqual(['new', ...END])
  expect(room.said).not.toContain(String(SIZE - 1))
})

test('after a stop nothing is looked at', async () => {
  const room = slowRoom(SIZE)
  const walk = openWalk(room.open, [room.looker])
  walk.begin()
  walk.stop()
  const { length } = room.said
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  expect(room.said).toHaveLength(length)
})

test('a look that fails ends its walk, and not the next', async () => {
  const room = slowRoom(SIZE)
  let fails = true
  const walk = openWalk(room.open, [room.looker, { look: () => { if (fails) throw new Error('not now') } }])
  expect(() => walk.begin()).toThrow('not now')
  fails = false
  walk.begin()
  await untilEnd(room)
  expect(room.said).toEqual(['begin', '0', 'begin', ...NAMES, ...END])
})
