// Does the disk of the home take a write, and say that it has it? Asked with one byte, and not more often than is worth it.

import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { OBSERVE_LIMITS } from '../observe-limits.ts'

export interface DiskAnswer {
  readonly ok: boolean
  readonly problem?: string
}

export type DiskProbe = () => Promise<DiskAnswer>

/** `file` is made where it is not there, and stays. */
export function openDiskProbe(file: string, clock: () => number): DiskProbe {
  let last: { readonly at: number; readonly answer: DiskAnswer } | undefined
  let running: Promise<DiskAnswer> | undefined

  async function write(): Promise<DiskAnswer> {
    try {
      await using handle = await open(file, 'w', 0o600)
      await handle.write('.')
      await handle.datasync()
      return { ok: true }
    } catch (error) {
      return { ok: false, problem: (error as NodeJS.ErrnoException).code ?? 'unknown' }
    }
  }

  /** A disk that hangs is asked once, and not again by everybody who comes. */
  function ask(): Promise<DiskAnswer> {
    running ??= write().finally(() => (running = undefined))
    return running
  }

  return async () => {
    const now = clock()
    if (last !== undefined && now - last.at >= 0 && now - last.at < OBSERVE_LIMITS.diskProbeMs) return last.answer
    const deadline = new AbortController()
    const late = delay(OBSERVE_LIMITS.diskAnswerMs, undefined, { signal: deadline.signal }).then((): DiskAnswer => ({ ok: false, problem: `no answer within ${OBSERVE_LIMITS.diskAnswerMs} ms` }), (): DiskAnswer => ({ ok: false }))
    const answer = await Promise.race([ask(), late])
    deadline.abort()
    last = { at: now, answer }
    return answer
  }
}
