import { expect, test } from 'vitest'
import { SESSION_LIMITS } from '../../../src/limits.ts'
import { leastFree, requireRoom } from '../../../src/store/sessions/room.ts'
import { tempDir } from '../temp.ts'

test('a large disk keeps 64 MiB free, a small one a fiftieth of itself', () => {
  const edge = SESSION_LIMITS.freeBytesMin * SESSION_LIMITS.freeDivisor
  expect(leastFree(edge)).toBe(SESSION_LIMITS.freeBytesMin)
  expect(leastFree(100 * edge)).toBe(SESSION_LIMITS.freeBytesMin)
  expect(leastFree(24 * 1_048_576)).toBe((24 * 1_048_576) / 50)
})

test('a disk with room is written, and one that does not answer is not taken for a full one', () => {
  using dir = tempDir()
  expect(() => requireRoom(dir.file('sessions.db'))).not.toThrow()
  expect(() => requireRoom(dir.file('missing/sessions.db'))).not.toThrow()
})
