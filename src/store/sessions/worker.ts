// The thread that has the session store's database: SQLite's calls block, and here they block nobody else. It runs one batch
// at a time, tries it again while the storage fails, and says so.

import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { SallyportError } from '../../core/errors.ts'
import { SESSION_LIMITS } from '../../limits.ts'
import { mayPass } from '../sqlite/database.ts'
import { checkSlices } from './check.ts'
import { openSessions, toFailure, type Batch, type OpenSessions } from './open-sessions.ts'
import type { FromWorker, ToWorker } from './wire.ts'

export interface WorkerStart {
  readonly file: string
  readonly now: number
}

function serve(port: MessagePort, store: OpenSessions): void {
  const say = (message: FromWorker): void => port.postMessage(message, [])
  let isWell = true
  let isBusy = false

  const end = (error: unknown): void => {
    say({ kind: 'failed', failure: toFailure(store.failure(error)) })
    port.close()
  }
  const attempt = (batch: Batch, again: boolean): void => {
    isBusy = true
    try {
      if (again) store.reopen()
      const answer = store.run(batch)
      if (!isWell) say({ kind: 'health', problem: undefined })
      isWell = true
      isBusy = false
      say(answer)
    } catch (error) {
      if (!mayPass(error)) return end(error)
      if (isWell) say({ kind: 'health', problem: store.failure(error).message })
      isWell = false
      setTimeout(() => attempt(batch, true), SESSION_LIMITS.retryMs)
    }
  }
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'batch') return attempt(message, false)
    try {
      store.close()
    } catch (error) {
      say({ kind: 'health', problem: store.failure(error).message })
    }
    say({ kind: 'closed' })
    port.close()
  })
  if (store.unchecked) {
    const slices = checkSlices(store)
    const next = (): void => {
      if (!store.db.isOpen) return
      try {
        if (isBusy) setTimeout(next, SESSION_LIMITS.retryMs)
        else if (slices.next().done !== true) setImmediate(next)
      } catch (error) {
        // A disk that fails is met again by whoever needs it; damage is the end.
        if (!mayPass(error)) end(error)
      }
    }
    setImmediate(next)
  }
  say({ kind: 'opened', anySubscription: store.anySubscription })
}

if (parentPort !== null) {
  const { file, now } = workerData as WorkerStart
  try {
    serve(parentPort, openSessions(file, now))
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error
    const failed: FromWorker = { kind: 'failed', failure: toFailure(error) }
    parentPort.postMessage(failed, [])
    parentPort.close()
  }
}
