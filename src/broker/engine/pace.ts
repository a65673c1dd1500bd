// A device that is slowed down: its connections are read one packet at a time, in turn, as fast as all of them together may ask.
// Nothing is refused and nothing is lost: what is not read waits in the network, and its sender with it.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import type { EpochMs } from '../../core/ids.ts'
import { fullBucket, hasToken, takeToken } from '../../core/token-bucket.ts'

/** A connection that would be read. */
export interface Waiter {
  /** Its turn has come; it may ask to enter once more. */
  resume(): void
  /** It goes on waiting. */
  onWaiting(): void
}

export interface Pace {
  /** May one packet of this connection be read now? When not, it is told when it may. */
  enter(waiter: Waiter): boolean
  /** May something that waits for no turn be done now? Those that wait come first. */
  hasRoom(): boolean
  /** A packet that asks for something was read. */
  spend(): void
  /** Nobody waits any longer. */
  close(): void
}

const RATE = { perSecond: DETECTION_LIMITS.throttledPerSecond, burst: DETECTION_LIMITS.throttledBurst }
const SECOND_MS = 1_000
const TURN_MS = SECOND_MS / RATE.perSecond

export function openPace(clock: () => EpochMs): Pace {
  const bucket = fullBucket(RATE, clock())
  /** Longest waiting first. */
  const line = new Set<Waiter>()
  let turn: Waiter | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function schedule(): void {
    timer ??= setTimeout(next, TURN_MS).unref()
  }

  /** Everybody in the line has at most one turn: who asks again goes to its end. */
  function next(): void {
    timer = undefined
    for (const waiter of line) waiter.onWaiting()
    const waiting = [...line]
    for (const waiter of waiting) {
      if (!hasToken(bucket, RATE, clock())) break
      line.delete(waiter)
      turn = waiter
      waiter.resume()
      turn = undefined
    }
    if (line.size > 0) schedule()
  }

  return {
    enter(waiter) {
      if (closed || ((waiter === turn || line.size === 0) && hasToken(bucket, RATE, clock()))) return true
      line.add(waiter)
      schedule()
      return false
    },
    hasRoom: () => closed || (line.size === 0 && hasToken(bucket, RATE, clock())),
    spend() {
      takeToken(bucket, RATE, clock())
    },
    close() {
      closed = true
      clearTimeout(timer)
      const waiting = [...line]
      line.clear()
      for (const waiter of waiting) waiter.resume()
    },
  }
}
