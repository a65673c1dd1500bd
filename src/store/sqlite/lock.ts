// The lock of a home: an exclusive lock on a SQLite file that holds nothing. It owns that file and knows nothing of the
// home. The operating system gives the lock up when the process ends, however it ends, so there is no stale lock to clean.

import { DatabaseSync } from 'node:sqlite'
import { SallyportError } from '../../core/errors.ts'
import { openingFailure, isBusy } from './database.ts'

/**
 * Takes the lock or throws at once: 'home-in-use' when another process (or another part of this one) has it,
 * 'home-not-writable' when the file cannot be made, 'database-corrupt' when something else lies in its place.
 * Disposing gives it up. Nobody else may open the file: closing any descriptor of it would drop the lock. [fcntl(2)]
 */
export function lockHome(file: string): Disposable {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { timeout: 0 })
    // A rollback journal: in WAL mode readers would not be kept out.
    db.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
  } catch (error) {
    db?.close()
    if (isBusy(error)) {
      throw new SallyportError('home-in-use', `Another Sallyport works in this home: it holds ${file}.`, {
        fix: 'Stop the other one, let it do the work (commands talk to a running server), or choose another --home.',
        cause: error,
      })
    }
    throw lockFailure(file, error)
  }
  const held = db
  return {
    [Symbol.dispose]() {
      if (held.isOpen) held.close()
    },
  }
}

function lockFailure(file: string, error: unknown): SallyportError {
  const failure = openingFailure(file, error)
  if (failure.code !== 'database-corrupt') return failure
  return new SallyportError('database-corrupt', `The lock file ${file} is not what Sallyport left there.`, {
    fix: `It holds nothing: make sure that no Sallyport runs in this home, then delete it.`,
    cause: error,
  })
}
