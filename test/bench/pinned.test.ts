// Which cores the benchmarks may use.

import { expect, test } from 'vitest'
import { numbersOf, pinned } from '../../bench/pinned.ts'

test('the kernel\'s list of cores has ranges and single ones', () => {
  expect(numbersOf('0-2,5')).toEqual([0, 1, 2, 5])
  expect(numbersOf('7')).toEqual([7])
  expect(numbersOf('')).toEqual([])
})

test('a command is pinned to its core, and without one stays what it is', () => {
  expect(pinned(1, ['node', 'x.ts'])).toEqual(['taskset', '-c', '1', 'node', 'x.ts'])
  expect(pinned(undefined, ['node', 'x.ts'])).toEqual(['node', 'x.ts'])
})
