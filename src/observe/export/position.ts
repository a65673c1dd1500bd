// How far a receiver has the audit log: kept in a file of its own, so that a restart goes on where it stopped. It is written when the
// receiver has taken something, and may be a batch behind: then something is sent twice, and nothing is left out.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { LINE_BREAK } from '../read-back.ts'

/** Behind the record with this hash, which ends at this byte. */
export interface ExportPosition {
  readonly bytes: number
  readonly hash: string
}

const START: ExportPosition = { bytes: 0, hash: '' }
const HASH = /"hash":"([0-9a-f]{64})"\}\}$/

export function readPosition(file: string): ExportPosition {
  try {
    const { bytes, hash } = JSON.parse(readFileSync(file, 'utf8')) as Partial<ExportPosition>
    return typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0 && typeof hash === 'string' ? { bytes, hash } : START
  } catch {
    return START // There is none yet, or it is not whole: everything is sent again.
  }
}

export function savePosition(file: string, position: ExportPosition): void {
  writeFileSync(`${file}.tmp`, JSON.stringify(position), { mode: 0o600 })
  renameSync(`${file}.tmp`, file)
}

export interface Batch {
  /** Whole lines, without their breaks. */
  readonly lines: readonly string[]
  readonly next: ExportPosition
}

/**
 * What follows on `from`, at most `bytesMax` bytes but at least one whole line; undefined: nothing does. A log in which `from` does not
 * end the record that it names is another one, of a home that was restored: it is begun at its first record.
 */
export async function readBatch(log: string, from: ExportPosition, bytesMax: number): Promise<Batch | undefined> {
  await using file = await open(log, 'r')
  const { size } = await file.stat()
  const at = await behindHole(file, (await continues(file, from)) ? from.bytes : 0, size)
  for (let bytes = Math.min(bytesMax, size - at); bytes > 0; bytes = Math.min(bytes * 2, size - at)) {
    const chunk = await piece(file, at, bytes)
    const end = chunk.lastIndexOf(LINE_BREAK) + 1
    if (end > 0) {
      const lines = chunk.subarray(0, end - 1).toString('utf8').split('\n').filter((line) => line !== '')
      return { lines, next: { bytes: at + end, hash: HASH.exec(lines.at(-1) ?? '')?.[1] ?? '' } }
    }
    // The last line is being written.
    if (at + bytes >= size) return undefined
  }
  return undefined
}

const HOLE_BYTES = 1024 * 1024

/** A log that somebody has emptied while it was written (copytruncate) is zeros up to where it is gone on with: not read into memory to look for a line. */
async function behindHole(file: FileHandle, from: number, size: number): Promise<number> {
  if (from >= size || (await piece(file, from, 1))[0] !== 0) return from
  const zeros = Buffer.alloc(HOLE_BYTES)
  for (let at = from; at < size; at += HOLE_BYTES) {
    const bytes = await piece(file, at, Math.min(HOLE_BYTES, size - at))
    if (!bytes.equals(zeros.subarray(0, bytes.length))) return at + bytes.findIndex((byte) => byte !== 0)
  }
  return size
}

/** Where a record ends, the hash that it ends with. */
const TAIL_BYTES = 80

async function continues(file: FileHandle, { bytes, hash }: ExportPosition): Promise<boolean> {
  if (bytes === 0) return true
  const from = Math.max(0, bytes - TAIL_BYTES)
  const tail = await piece(file, from, bytes - from)
  return tail.length === bytes - from && tail.at(-1) === LINE_BREAK && (HASH.exec(tail.subarray(0, -1).toString('latin1'))?.[1] ?? '') === hash
}

async function piece(file: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, at)
  return buffer.subarray(0, bytesRead)
}
