// A file that is there whole or not at all, written in pieces without holding the event loop. What an interrupted write
// leaves behind is swept away at the next start.

import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'

const SUFFIX = '.tmp'
const PUBLIC_MODE = 0o644
/** Of a large file so much is handed over at a time. */
const PIECE_BYTES = 4 * 1024 * 1024

/** Temporary name, fsync, rename, fsync of the folder: a crash at any step leaves the old file or the new one. */
export async function writeWhole(file: string, pieces: readonly Uint8Array[]): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}${SUFFIX}`
  try {
    await using handle = await open(temporary, 'wx', PUBLIC_MODE)
    for (const piece of pieces) {
      for (let at = 0; at < piece.length; at += PIECE_BYTES) await handle.writeFile(piece.subarray(at, at + PIECE_BYTES))
    }
    await handle.sync()
  } catch (cause) {
    await rm(temporary, { force: true })
    throw cause
  }
  await rename(temporary, file)
  await using folder = await open(path.dirname(file), 'r')
  await folder.sync()
}

/** Makes the folder, and removes what writers that were killed have left in it. */
export async function sweepFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) if (name.endsWith(SUFFIX)) await rm(path.join(folder, name), { force: true })
}
