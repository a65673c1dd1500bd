// The moment of a restore: the files of a home change places with those that lie ready beside them. What is to be done is written
// down before the first of them moves, so that a process killed anywhere leaves the old home whole, or a list by which the next
// command makes the new one whole. It knows no backup and no registry.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { writeSecretFile } from './ca/key-file.ts'
import { SallyportError } from './core/errors.ts'
import { syncPath } from './store/sqlite/backup-file.ts'

/** Folders of a home that a restore makes: what lies ready, and what was there before. */
export const READY_PREFIX = '.restore-'
export const BEFORE_PREFIX = 'before-restore-'

const pendingSchema = z.object({
  format: z.literal('sallyport-restore'),
  ready: z.string().regex(/^\.restore-[0-9a-f]+$/),
  before: z.string().regex(/^before-restore-[0-9a-zA-Z.-]+$/),
  /** Names in the home. What has no file ready is only moved away: a log of a database that is replaced. */
  names: z.array(z.string()),
})
type Pending = z.infer<typeof pendingSchema>

const pendingFile = (home: string): string => path.join(home, 'restore-begun.json')

/** Was a restore of this home decided and not finished? */
export function isRestorePending(home: string): boolean {
  return existsSync(pendingFile(home))
}

/** From here on the new home is the one that counts. The caller holds the lock of the home, and calls `finishRestore`. */
export function decideRestore(home: string, pending: Omit<Pending, 'format'>): void {
  writeSecretFile(pendingFile(home), JSON.stringify({ format: 'sallyport-restore', ...pending }))
}

/** Does what is left to do of a restore that was decided; nothing when there is none. The caller holds the lock of the home. */
export function finishRestore(home: string, atStep: (step: string) => void = () => {}): void {
  const pending = readPending(home)
  if (pending === undefined) return
  const folders = new Set<string>()
  const move = (from: string, to: string): void => {
    mkdirSync(path.dirname(to), { recursive: true, mode: 0o700 })
    renameSync(from, to)
    for (const folder of [from, to]) folders.add(path.dirname(folder))
  }
  for (const name of pending.names) {
    const [ready, before, place] = [pending.ready, pending.before, ''].map((folder) => path.join(home, folder, name)) as [string, string, string]
    // What was moved away once is the old one; what stands in its place after that is the new one.
    if (existsSync(place) && !existsSync(before)) {
      // A file that was put there by a run before this one has nothing ready any more.
      if (!existsSync(ready) && existsSync(path.join(home, pending.ready, DONE, name))) continue
      move(place, before)
      atStep(`${name} moved away`)
    }
    if (existsSync(ready)) {
      note(home, pending, name)
      move(ready, place)
      atStep(`${name} in place`)
    }
  }
  for (const folder of folders) syncPath(folder)
  rmSync(pendingFile(home))
  syncPath(home)
  atStep('done')
  clearReady(home)
}

/** Names of what has had a file ready: a home that was empty has nothing before, and what is in its place must stay there. */
const DONE = '.done'

function note(home: string, pending: Pending, name: string): void {
  mkdirSync(path.join(home, pending.ready, DONE, name), { recursive: true, mode: 0o700 })
}

/** Folders that a restore made ready and never decided to use. */
export function clearReady(home: string): void {
  for (const name of readdirSync(home)) if (name.startsWith(READY_PREFIX)) rmSync(path.join(home, name), { recursive: true, force: true })
}

function readPending(home: string): Pending | undefined {
  if (!isRestorePending(home)) return undefined
  try {
    return pendingSchema.parse(JSON.parse(readFileSync(pendingFile(home), 'utf8')))
  } catch (cause) {
    throw new SallyportError('home-not-writable', `${pendingFile(home)} is not what a restore left there.`, { fix: 'Restore the backup into another, empty home.', cause })
  }
}
