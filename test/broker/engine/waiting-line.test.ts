// A line that is taken from in front, with its bytes counted.

import { expect, test } from 'vitest'
import { WaitingLine } from '../../../src/broker/engine/waiting-line.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

const entry = (n: number): { readonly n: number; readonly bytes: number } => ({ n, bytes: n })

test('gives back in order what came in, over many more entries than are cut off at a time, and counts what is left', () => {
  const line = new WaitingLine<ReturnType<typeof entry>>()
  const many = BROKER_LIMITS.queuePageMessages * 3 + 7
  for (let n = 1; n <= many; n++) line.push(entry(n))
  const taken: number[] = []
  while (line.length > 5) taken.push(line.shift()!.n)
  expect(taken).toEqual(Array.from({ length: many - 5 }, (_, i) => i + 1))
  expect([line.length, line.bytes]).toEqual([5, 5 * many - 10])
})

test('what is changed counts as it is now, what is removed not at all, taken ones least of all', () => {
  const line = new WaitingLine<ReturnType<typeof entry>>()
  for (let n = 1; n <= 6; n++) line.push(entry(n))
  line.shift()
  line.change((each) => (each.n % 2 === 1 ? undefined : each.n === 2 ? { ...each, bytes: 0 } : each))
  expect([line.length, line.bytes, line.shift()?.n, line.shift()?.n, line.shift()?.n, line.shift()]).toEqual([3, 10, 2, 4, 6, undefined])
  line.push(entry(7))
  line.clear()
  expect([line.length, line.bytes, line.shift()]).toEqual([0, 0, undefined])
})
