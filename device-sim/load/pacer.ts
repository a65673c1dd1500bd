// The open loop: each message is due at its time, whatever has become of those before it. A generator that was held up sends
// what has become due in the meantime with the times at which it was due, so that a server which stops for a second is
// charged with that second by every message of it, and not by one (no coordinated omission).

import { SIM_LIMITS } from '../limits.ts'

export interface Pace {
  /** Messages per second; a function says it for so many milliseconds after the begin. */
  readonly ratePerSecond: number | ((elapsedMs: number) => number)
  /** Messages in all, or as many as become due in this time. */
  readonly total: number
  readonly forMs?: number
  readonly signal: AbortSignal
  /** Milliseconds. */
  clock(): number
  /** Message `index` was due at `dueAt` on the clock. */
  send(index: number, dueAt: number): void
  /** Lets others run, for about so many milliseconds. */
  rest(ms: number): Promise<void>
}

const SECOND_MS = 1_000

/** Sends everything when it is due; how many messages became due before the end, or before the signal. */
export async function keepPace(pace: Pace): Promise<number> {
  const { ratePerSecond: rate, total, forMs = Infinity } = pace
  const start = pace.clock()
  let next = 0
  let dueAt = start
  const isLeft = (): boolean => next < total && dueAt < start + forMs
  while (isLeft() && !pace.signal.aborted) {
    const now = pace.clock()
    const before = next
    while (isLeft() && dueAt <= now && next - before < SIM_LIMITS.loadBurstMax) {
      pace.send(next, dueAt)
      next += 1
      // A steady rate is counted from the begin, so that nothing adds up.
      dueAt = typeof rate === 'number' ? start + (next * SECOND_MS) / rate : dueAt + SECOND_MS / rate(dueAt - start)
    }
    // Behind: others run, and then at once the rest. Otherwise until the next is due, but never so long that the end is missed.
    const behind = next - before === SIM_LIMITS.loadBurstMax
    const ahead = Math.min(dueAt - now, SIM_LIMITS.progressMs)
    if (isLeft()) await pace.rest(behind ? 0 : Math.max(SIM_LIMITS.loadTickMs, ahead))
  }
  return next
}
