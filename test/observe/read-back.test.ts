// The audit log read page by page, from its end to its first record: every record once, whatever the size of a page, and no more of
// the file at a time than a page may read.

import { appendFileSync, closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AUDIT_LIMITS } from '../../src/limits.ts'
import { OBSERVE_LIMITS } from '../../src/observe-limits.ts'
import { isLineEnd, pageBack } from '../../src/observe/read-back.ts'
import { tempDir } from '../store/temp.ts'

let folder: ReturnType<typeof tempDir>
let file: string
let descriptor: number
beforeEach(() => {
  folder = tempDir()
  file = folder.file('audit.ndjson')
  writeFileSync(file, '')
  descriptor = openSync(file, 'r')
})
afterEach(() => {
  closeSync(descriptor)
  folder[Symbol.dispose]()
})

const line = (seq: number, filler = 0): string => `${JSON.stringify({ seq, text: 'x'.repeat(filler) })}\n`
const seqOf = (record: Readonly<Record<string, unknown>>): unknown => record['seq']

async function allBy(limit: number, pick: (seq: number) => boolean = () => true): Promise<{ readonly found: readonly unknown[]; readonly pages: number }> {
  const found: unknown[] = []
  let pages = 0
  for (let to: number | undefined = statSync(file).size; to !== undefined; pages++) {
    const page: { items: readonly unknown[]; next?: number } = await pageBack(descriptor, to, limit, (record) => (pick(seqOf(record) as number) ? seqOf(record) : undefined))
    expect(page.items.length).toBeLessThanOrEqual(limit)
    found.push(...page.items)
    to = page.next
  }
  return { found, pages }
}

test.each([1, 2, 3, 7, 50, 1_000])('every record comes once, newest first, in pages of %d', async (limit) => {
  writeFileSync(file, Array.from({ length: 50 }, (_, index) => line(index + 1, (index * 37) % 400)).join(''))
  const { found, pages } = await allBy(limit)
  expect(found).toEqual(Array.from({ length: 50 }, (_, index) => 50 - index))
  expect(pages).toBe(Math.max(1, Math.ceil(50 / limit)))
})

test('records across the borders of what is read at once are whole', async () => {
  const count = 700
  writeFileSync(file, Array.from({ length: count }, (_, index) => line(index + 1, 4_000 + (index % 13))).join(''))
  expect((await allBy(90)).found).toEqual(Array.from({ length: count }, (_, index) => count - index))
})

test('records as long as a line may be are whole, too', async () => {
  const filler = AUDIT_LIMITS.lineBytesMax - line(10).length
  writeFileSync(file, Array.from({ length: 40 }, (_, index) => line(index + 10, filler)).join(''))
  expect(Buffer.byteLength(line(10, filler))).toBe(AUDIT_LIMITS.lineBytesMax)
  expect((await allBy(3)).found).toEqual(Array.from({ length: 40 }, (_, index) => 49 - index))
})

test('where nothing fits, a page ends after so many bytes, empty, and says where it goes on', async () => {
  const count = Math.ceil((2.5 * OBSERVE_LIMITS.auditPageBytesMax) / 30_000)
  for (let seq = 1; seq <= count; seq++) appendFileSync(file, line(seq, 30_000))
  const first = await pageBack(descriptor, statSync(file).size, 10, () => undefined)
  expect(first.items).toEqual([])
  expect(statSync(file).size - (first.next ?? 0)).toBeLessThanOrEqual(OBSERVE_LIMITS.auditPageBytesMax + 2 ** 20)
  // The nearest that is found: the very first record.
  expect((await allBy(10, (seq) => seq === 1)).found).toEqual([1])
})

test('an empty log is one page, and a line that never ends is the end of reading and not of the process', async () => {
  expect(await pageBack(descriptor, 0, 10, seqOf)).toEqual({ items: [] })
  writeFileSync(file, `${line(1)}${'y'.repeat(3 * 2 ** 20)}\n${line(2)}`)
  expect(await pageBack(descriptor, statSync(file).size, 10, seqOf)).toEqual({ items: [2] })
})

test('garbage between records is left out', async () => {
  writeFileSync(file, `${line(1)}{"seq":\n\n${line(2)}`)
  expect((await allBy(10)).found).toEqual([2, 1])
})

test('a place is the end of a line of this log, and nothing else is', () => {
  writeFileSync(file, line(1) + line(2))
  const size = readFileSync(file).length
  const end = line(1).length
  expect([0, end, size].map((at) => isLineEnd(descriptor, at, size))).toEqual([true, true, true])
  expect([1, end - 1, end + 1, size + 1, -1, 0.5, Number.NaN].map((at) => isLineEnd(descriptor, at, size))).toEqual([false, false, false, false, false, false, false])
})
