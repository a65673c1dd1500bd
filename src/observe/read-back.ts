// Reads what the audit log has written: from the start, to verify it, and backwards from the end, to look something up. It
// never writes, and a long log does not keep the door waiting: between two pieces the event loop has its turn.

import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AuditRecord, AuditVerdict } from '../core/desk.ts'
import type { LogPlace } from '../core/webhook.ts'
import { WEBHOOK_LIMITS } from '../feed-limits.ts'
import { AUDIT_LIMITS } from '../limits.ts'
import { OBSERVE_LIMITS } from '../observe-limits.ts'
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

/** Records before a place of the log, newest first, and the place before which the next page begins; absent at its start. */
export interface PageBack<T> {
  readonly items: readonly T[]
  readonly next?: number
}

/** Is this the end of a line, or of the log? Whoever names any other place has made it up, or the log is another one. */
export function isLineEnd(descriptor: number, at: number, end: number): boolean {
  return Number.isSafeInteger(at) && at >= 0 && at <= end && (at === 0 || readRange(descriptor, at - 1, at)[0] === LINE_BREAK)
}

/**
 * A page of the records before `to` for which `pick` says something. However little is found, it reads no more at a time than
 * OBSERVE_LIMITS.auditPageBytesMax: a page may be short, and even empty, and not be the last.
 */
export async function pageBack<T>(descriptor: number, to: number, limit: number, pick: (record: AuditRecord, line: string) => T | undefined): Promise<PageBack<T>> {
  const items: T[] = []
  const floor = Math.max(0, to - OBSERVE_LIMITS.auditPageBytesMax)
  let end = to
  while (end > floor) {
    // Whatever the length that a line may have, one is in it whole.
    const from = Math.max(0, end - READ_BYTES - AUDIT_LIMITS.lineBytesMax)
    const chunk = readRange(descriptor, from, end)
    const first = from === 0 ? 0 : chunk.indexOf(LINE_BREAK) + 1
    // One line is longer than that: it is no record of ours, and nothing is read beyond it.
    if (first === chunk.length) return { items }
    let lineEnd = chunk.length - 1
    while (lineEnd >= first) {
      const lineStart = lineEnd === first ? first : Math.max(first, chunk.lastIndexOf(LINE_BREAK, lineEnd - 1) + 1)
      const line = chunk.subarray(lineStart, lineEnd).toString('utf8')
      const record = line === '' ? undefined : parseLine(line)
      const found = record && pick(record, line)
      if (found !== undefined) items.push(found)
      lineEnd = lineStart - 1
      if (items.length >= limit) return from + lineStart > 0 ? { items, next: from + lineStart } : { items }
    }
    end = from + first
    await nextTurn()
  }
  return end > 0 ? { items, next: end } : { items }
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
