// How the benchmark reads, out of a broker's system calls, whether an acknowledgement waited for the disk.

import { expect, test } from 'vitest'
import { acknowledgementsIn } from '../../bench/mqtt/durability.ts'

const trace = (...lines: string[]): string => `${lines.join('\n')}\n`
const received = '7     read(6<socket:[14]>, ""..., 65536) = 180'
const sent = '7     write(6<socket:[14]>, ""..., 26) = 26'
const synced = '8     fdatasync(9</data/sessions.db-wal>) = 0'

test('an acknowledgement after the sync of its message is one', () => {
  expect(acknowledgementsIn(trace(received, synced, sent, received, synced, sent))).toEqual({ acknowledged: 2, afterSync: 2 })
})

test('an acknowledgement before the sync is not, whatever is synced later', () => {
  expect(acknowledgementsIn(trace(received, sent, synced, received, sent, synced))).toEqual({ acknowledged: 2, afterSync: 0 })
})

test('a sync that began on another thread and ended before the acknowledgement counts', () => {
  const lines = [received, '8     fdatasync(9</data/sessions.db-wal> <unfinished ...>', '7     read(6<socket:[14]>, 0x1, 65536) = -1 EAGAIN (Resource temporarily unavailable)', '8     <... fdatasync resumed>) = 0', sent]
  expect(acknowledgementsIn(trace(...lines))).toEqual({ acknowledged: 1, afterSync: 1 })
})

test('a sync that has not ended, or that failed, does not count', () => {
  expect(acknowledgementsIn(trace(received, '8     fsync(9</data/x> <unfinished ...>', sent, '8     <... fsync resumed>) = 0'))).toEqual({ acknowledged: 1, afterSync: 0 })
  expect(acknowledgementsIn(trace(received, '8     fsync(9</data/x>) = -1 EIO (Input/output error)', sent))).toEqual({ acknowledged: 1, afterSync: 0 })
})

test('what is written to a file is no acknowledgement, and what is read from one is no message', () => {
  const file = ['7     read(9</etc/hosts>, ""..., 4096) = 10', '7     write(9</data/sessions.db-wal>, ""..., 4096) = 4096']
  expect(acknowledgementsIn(trace(...file, received, ...file, sent, ...file))).toEqual({ acknowledged: 1, afterSync: 0 })
})

test('a message that arrives in pieces is one message', () => {
  expect(acknowledgementsIn(trace(received, received, synced, sent))).toEqual({ acknowledged: 1, afterSync: 1 })
})

test('no trace is no acknowledgement', () => {
  expect(acknowledgementsIn('')).toEqual({ acknowledged: 0, afterSync: 0 })
})

test('what another connection says between changes nothing', () => {
  const stray = '7     read(8<socket:[15]>, ""..., 26) = 26'
  expect(acknowledgementsIn(trace(received, sent, stray, synced, received, sent))).toEqual({ acknowledged: 2, afterSync: 0 })
  expect(acknowledgementsIn(trace(received, synced, stray, sent))).toEqual({ acknowledged: 1, afterSync: 1 })
})
