// The open loop: message k is due at k / rate, whatever has become of those before it. A generator that was held up sends
// what has become due in the meantime with the times at which it was due, so that a server which stops for a second is
// charged with that second by every message of it, and not by one (no coordinated omission).

import { SIM_LIMITS } from '../limits.ts'

export interface Pace {
  readonly ratePerSecond: number
  /** Messages in all. */
  readonly total: number
  readonly signal: AbortSignal
  /** Milliseconds. */
  clock(): number
  /** Message `index` was due at `dueAt` on the clock. */
  send(index: number, dueAt: number): void
  /** Lets others run, for about so many milliseconds. */
  rest(ms: number): Promise<void>
}

/** Sends everything when it is due; how many messages became due before the end, or before the signal. */
export async function keepPace(pace: Pace): Promise<number> {
  const start = pace.clock()
  const dueAt = (index: number): number => start + (index * 1_000) / pace.ratePerSecond
  let next = 0
  while (next < pace.total && !pace.signal.aborted) {
    const now = pace.clock()
    const before = next
    while (next < pace.total && dueAt(next) <= now && next - before < SIM_LIMITS.loadBurstMax) {
      pace.send(next, dueAt(next))
      next += 1
    }
    // Behind: others run, and then at once the rest. Otherwise until the next is due, but never so long that the end is missed.
    const behind = next - before === SIM_LIMITS.loadBurstMax
    const ahead = Math.min(dueAt(next) - now, SIM_LIMITS.progressMs)
    if (next < pace.total) await pace.rest(behind ? 0 : Math.max(SIM_LIMITS.loadTickMs, ahead))
  }
  return next
}
