// Many files at once into one folder. A disk takes a hundred of them nearly as fast as one when it is not asked for each in turn. And what
// a writer that was killed has left of one.

import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import path from 'node:path'

/** Writes each file whole or not at all. All are on disk, with their names, when it resolves; the folder is there. */
export async function writeFiles(folder: string, files: ReadonlyMap<string, string>, mode: number): Promise<void> {
  if (files.size === 0) return
  await Promise.all([...files].map(([name, text]) => writeOne(path.join(folder, name), text, mode)))
  await using directory = await open(folder, 'r')
  await directory.sync()
}

async function writeOne(file: string, text: string, mode: number): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  try {
    {
      await using handle = await open(temporary, 'wx', mode)
      await handle.writeFile(text)
      await handle.sync()
    }
    await rename(temporary, file)
  } catch (cause) {
    await rm(temporary, { force: true })
    throw cause
  }
}

/** Removes files of this name that were being written when an import was killed: some hold a key. The folder is listed once, when first asked. */
export function sweeper(folder: string): (name: string) => void {
  let left: readonly string[] | undefined
  return (name) => {
    left ??= existsSync(folder) ? readdirSync(folder).filter((entry) => /\.[0-9a-f]{12}\.tmp$/.test(entry)) : []
    for (const entry of left) if (entry.replace(/\.[0-9a-f]{12}\.tmp$/, '') === name) rmSync(path.join(folder, entry), { force: true })
  }
}
