// The room on the disk that the session store leaves to others: the registry and the audit log share the disk with it, and have
// to go on when messages have filled it. It reads the disk, and knows nothing of what is stored.

import { statfsSync } from 'node:fs'
import path from 'node:path'
import { SallyportError } from '../../core/errors.ts'
import { SESSION_LIMITS } from '../../limits.ts'

const MiB = 1_048_576

/** The least room, in bytes, that has to be free on a disk of this size for anything to be stored. */
export function leastFree(diskBytes: number): number {
  return Math.min(SESSION_LIMITS.freeBytesMin, diskBytes / SESSION_LIMITS.freeDivisor)
}

/** Throws 'home-not-writable' when the disk that `file` is on is nearly full. That may pass. */
export function requireRoom(file: string): void {
  let disk
  try {
    disk = statfsSync(path.dirname(file))
  } catch {
    // A disk that does not even say how full it is: whoever writes finds out what is wrong with it.
    return
  }
  const { bavail, blocks, bsize } = disk
  // Some file systems do not know their size.
  if (blocks === 0 || bavail * bsize >= leastFree(blocks * bsize)) return
  throw new SallyportError('home-not-writable', `The disk of ${file} is nearly full: ${(bavail * bsize / MiB).toFixed(1)} MiB are free.`, { fix: 'Make room on the disk. Nothing was acknowledged that is not stored.' })
}
