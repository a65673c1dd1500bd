// Files that the configuration names are read by who serves, and read again while it serves: one that is none must not keep it waiting.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { SallyportError } from '../core/errors.ts'

const PIECE_BYTES = 65_536

/**
 * The text of a plain file of at most so many bytes. Failure: 'config-invalid' with a word why; whoever names the file says which. A pipe
 * without a writer, a device without an end and a folder are none of these; /proc and /sys say 0 where they have more.
 */
export function readPlainFile(file: string, bytesMax: number): string {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!fstatSync(descriptor).isFile()) throw new SallyportError('config-invalid', 'it is not a file')
    const pieces: Buffer[] = []
    for (let count = 0; ; ) {
      const piece = Buffer.alloc(PIECE_BYTES)
      const read = readSync(descriptor, piece)
      if (read === 0) return Buffer.concat(pieces).toString('utf8')
      count += read
      if (count > bytesMax) throw new SallyportError('config-invalid', `it is larger than ${bytesMax} bytes`)
      pieces.push(piece.subarray(0, read))
    }
  } finally {
    closeSync(descriptor)
  }
}

/** Why a file could not be read, in a few words. */
export const whyUnread = (cause: unknown): string => (cause instanceof SallyportError ? cause.message : (cause as NodeJS.ErrnoException).code ?? 'unknown')
