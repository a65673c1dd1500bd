// The file of the audit log: opened, written and cut at a place, and where to go on in it after a stop. It knows lines and places, and
// nothing of what a record says.

import { existsSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { SallyportError } from '../core/errors.ts'
import { EMPTY_HEAD, followLine, type ChainHead } from './chain.ts'
import { LINE_BREAK, readRange } from './read-back.ts'

export function openFile(file: string): number {
  try {
    return openSync(file, existsSync(file) ? 'r+' : 'wx+', 0o600)
  } catch (cause) {
    throw new SallyportError('audit-unwritable', `The audit log ${file} cannot be written.`, { fix: 'Check who owns it and that the disk is not full.', cause })
  }
}

export function writeAt(descriptor: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done, bytes.length - done, at + done)
}

/** What was written of a line that did not find room is not part of the log. */
export function cutTo(descriptor: number, bytes: number): void {
  try {
    ftruncateSync(descriptor, bytes)
  } catch {
    // The next write begins at the same place, and a restart cuts a line without its end.
  }
}

/**
 * Where to go on. Lines beyond the remembered head were written and synced before a crash: they count when they chain. A
 * last line without its end was never acknowledged to anybody: it is cut off. What does not chain stays for `verify`.
 */
export function reconcile(descriptor: number, saved: { readonly records: number; readonly hash: string; readonly bytes: number; readonly position: number }): { head: ChainHead; bytes: number; position: number } {
  let head: ChainHead = saved.records === 0 ? EMPTY_HEAD : { records: saved.records, hash: saved.hash }
  let { position } = saved
  const { size } = fstatSync(descriptor)
  if (size <= saved.bytes) return { head, bytes: size < saved.bytes ? lineEnd(descriptor, size) : size, position }
  const beyond = readRange(descriptor, saved.bytes, size)
  const complete = beyond.lastIndexOf(LINE_BREAK) + 1
  const bytes = saved.bytes + complete
  if (bytes < size) ftruncateSync(descriptor, bytes)
  for (const line of beyond.subarray(0, complete).toString('utf8').split('\n')) {
    if (line === '') continue
    const followed = followLine(line, head)
    if ('problem' in followed) break
    head = followed.head
    position = followed.outbox ?? position
  }
  return { head, bytes, position }
}

/** The end of a file that somebody has cut: what is left stays as it is, and the next record begins a line of its own. */
function lineEnd(descriptor: number, size: number): number {
  if (size === 0 || readRange(descriptor, size - 1, size)[0] === LINE_BREAK) return size
  writeAt(descriptor, Uint8Array.of(LINE_BREAK), size)
  return size + 1
}
