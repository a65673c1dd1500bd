import { expect, test } from 'vitest'
import { earlyAnswers } from './order-of-writes.ts'

const LOG = '/h/registry.db-wal'
const write = `7  pwrite64(24<${LOG}>, "\\x0a"..., 4096, 28896) = 4096`
const sync = `7  fsync(24<${LOG}>) = 0`
const answer = '7  write(42<TCPv6:[[::ffff:127.0.0.1]:8443->[::ffff:127.0.0.1]:47686]>, "\\x17\\x03"..., 949) = 949'
const early = (...lines: readonly string[]): number => earlyAnswers(lines, LOG, 8443).length

test('a certificate that leaves after the sync is in time, one that leaves between write and sync is early', () => {
  expect(early(write, sync, answer)).toBe(0)
  expect(early(write, answer, sync)).toBe(1)
  expect(early(write, sync, write, answer)).toBe(1)
  expect(early(answer)).toBe(0)
})

test('a certificate that leaves before its record is even written is early', () => {
  const octets = ['00', '00', '01', '61', '00', '00', '00', '05', '00', '30', '82', '01', '58', 'a0', '03', '02', '01', '02', '02', '10', ...Array.from({ length: 16 }, () => '41')]
  const signing = `7  write(28<UNIX-STREAM:[1->2]>, "${octets.map((octet) => String.raw`\x${octet}`).join('')}"..., 357) = 357`
  expect(early(write, sync, signing, answer, write, sync)).toBe(1)
  expect(early(write, sync, signing, write, sync, answer)).toBe(0)
})

test('a sync that failed is none', () => {
  expect(early(write, `7  fsync(24<${LOG}>) = -1 EIO (Input/output error) (INJECTED)`, answer)).toBe(1)
})

test('a sync of something else, and of a file whose name is longer, is none', () => {
  expect(early(write, sync.replace('-wal', ''), answer)).toBe(1)
  expect(early(write, sync.replace('-wal', '-wal2'), answer)).toBe(1)
})

test('a sync that is told in two lines counts from its end, and an answer that is told in two is one', () => {
  const [begun, ended] = [`7  fsync(24<${LOG}> <unfinished ...>`, '7  <... fsync resumed>) = 0']
  const [asked, said] = [answer.replace(/\) = 949$/, ' <unfinished ...>'), '7  <... write resumed>) = 949']
  expect(early(write, begun, '8  write(20<anon_inode:[eventfd]>, "\\x01", 8) = 8', ended, answer)).toBe(0)
  expect(early(write, begun, answer, ended)).toBe(1)
  expect(early(write, asked, '8  write(20<anon_inode:[eventfd]>, "\\x01", 8) = 8', said)).toBe(1)
})

test('a refusal, another port and an answer that did not leave are none', () => {
  expect(early(write, answer.replaceAll('949', '300'))).toBe(0)
  expect(early(write, answer.replace('8443->', '8883->'))).toBe(0)
  expect(early(write, answer.replace('= 949', '= -1 EPIPE'))).toBe(0)
})
