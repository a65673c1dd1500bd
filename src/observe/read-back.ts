// Reads what the audit log has written: from the start, to verify it, and backwards from the end, to look something up. It
// never writes, and a long log does not keep the door waiting: between two pieces the event loop has its turn.

import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AuditRecord, AuditVerdict } from '../core/desk.ts'
import type { LogPlace } from '../core/webhook.ts'
import { WEBHOOK_LIMITS } from '../feed-limits.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { EMPTY_HEAD, followLine } from './chain.ts'

export const LINE_BREAK = 0x0a
/** What is read between two turns of the event loop, which has messages to carry: a few milliseconds' worth. */
const READ_BYTES = 64 * 1024

/** What the registry remembers of a log; `bytesNow` is how long the file is, when it is being written. */
interface RememberedLog {
  readonly records: number
  readonly hash: string
  readonly bytesNow?: number
}

/** Verifies a log against the head that the registry keeps, reading it from the start. */
export async function verifyAuditFile(file: string, saved: RememberedLog): Promise<AuditVerdict> {
  const bad = (records: number, line: number, problem: string): AuditVerdict => ({ intact: false, records, firstBad: { line, problem } })
  if (!existsSync(file)) return saved.records === 0 ? { intact: true, records: 0 } : bad(0, 1, `the log is gone: ${saved.records} records are missing`)
  const descriptor = openSync(file, 'r')
  try {
    const { size } = fstatSync(descriptor)
    // What is written from now on is beyond the question.
    const end = Math.min(size, saved.bytesNow ?? size)
    let head = EMPTY_HEAD
    let rest = Buffer.alloc(0)
    for (let at = 0; at < end; at += READ_BYTES) {
      const chunk = Buffer.concat([rest, readRange(descriptor, at, Math.min(end, at + READ_BYTES))])
      const complete = chunk.lastIndexOf(LINE_BREAK) + 1
      const lines = complete === 0 ? [] : chunk.subarray(0, complete - 1).toString('utf8').split('\n')
      for (const line of lines) {
        const followed = followLine(line, head)
        if ('problem' in followed) return bad(head.records, head.records + 1, followed.problem)
        head = followed.head
        if (head.records === saved.records && head.hash !== saved.hash) return bad(head.records, head.records, 'the record is not the one that the registry remembers')
      }
      rest = Buffer.from(chunk.subarray(complete))
      if (rest.length > AUDIT_LIMITS.lineBytesMax) return bad(head.records, head.records + 1, 'a line that does not end')
      await nextTurn()
    }
    if (rest.length > 0) return bad(head.records, head.records + 1, 'the last record is cut off')
    if (head.records < saved.records) return bad(head.records, head.records + 1, `the end is cut off: ${saved.records - head.records} records are missing`)
    if (saved.bytesNow !== undefined && size > saved.bytesNow) return bad(head.records, head.records + 1, 'added by somebody else')
    return { intact: true, records: head.records }
  } finally {
    closeSync(descriptor)
  }
}

/** Reads records from the end until `limit` of them were picked, within the bound on how far back it looks. */
export async function backwards<T>(descriptor: number, end: number, limit: number, pick: (record: AuditRecord, line: string) => T | undefined): Promise<T[]> {
  const picked: T[] = []
  const floor = Math.max(0, end - AUDIT_LIMITS.tailBytesMax)
  let rest = Buffer.alloc(0)
  for (let to = end; to > floor && picked.length < limit; ) {
    const from = Math.max(floor, to - READ_BYTES)
    const chunk = Buffer.concat([readRange(descriptor, from, to), rest])
    const first = from === 0 ? 0 : chunk.indexOf(LINE_BREAK) + 1
    for (const line of chunk.subarray(first).toString('utf8').split('\n').toReversed()) {
      if (line === '' || picked.length >= limit) continue
      const record = parseLine(line)
      const found = record && pick(record, line)
      if (found !== undefined) picked.push(found)
    }
    rest = Buffer.from(chunk.subarray(0, first))
    to = from
    await nextTurn()
  }
  return picked
}

/** A record, and the place behind it. */
export interface PlacedRecord {
  readonly record: AuditRecord
  readonly line: string
  readonly place: LogPlace
}

/** A page of the records behind this place, in order, up to `end`; undefined where the log does not go on there. */
export function readOn(descriptor: number, from: LogPlace, end: LogPlace): readonly PlacedRecord[] | undefined {
  if (from.number > end.number || from.offset > end.offset) return undefined
  const page = readRange(descriptor, from.offset, Math.min(end.offset, from.offset + WEBHOOK_LIMITS.pageBytes))
  const found: PlacedRecord[] = []
  let { number, offset } = from
  for (let at = 0, stop = page.indexOf(LINE_BREAK); stop >= 0; at = stop + 1, stop = page.indexOf(LINE_BREAK, at)) {
    const line = page.subarray(at, stop).toString('utf8')
    const record = parseLine(line)
    number += 1
    offset += stop + 1 - at
    if (record === undefined || (record['sallyport'] as { seq?: unknown } | undefined)?.seq !== number) return undefined
    found.push({ record, line, place: { number, offset } })
  }
  return found.length === 0 && end.offset > from.offset ? undefined : found
}

function parseLine(line: string): AuditRecord | undefined {
  try {
    return JSON.parse(line) as AuditRecord
  } catch {
    return undefined // `verify` names it.
  }
}

/** The bytes between two places, fewer where the file ends before. */
export function readRange(descriptor: number, from: number, to: number): Buffer {
  const buffer = Buffer.alloc(to - from)
  let done = 0
  while (done < buffer.length) {
    const got = readSync(descriptor, buffer, done, buffer.length - done, from + done)
    if (got === 0) break
    done += got
  }
  return buffer.subarray(0, done)
}
