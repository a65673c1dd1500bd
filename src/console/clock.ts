// What time it is, as the server has it. A browser whose clock is wrong would call what has just happened three hours old, and a
// certificate in date expired: every answer of the server says its time, and the difference is put right here.

import { makeStore } from './store.ts'

/** Below this it is the way of the answer, and the whole seconds in which HTTP tells the time. */
const EVEN_MS = 3_000

/** How much this machine's clock is behind the server's, in milliseconds; 0 where they agree. */
export const clockBehind = makeStore(0)

/** `date`: the header of an answer that has just come. */
export function noteServerTime(date: string | null, here: number = Date.now()): void {
  const there = Date.parse(date ?? '')
  if (Number.isNaN(there)) return
  const behind = there - here
  const before = clockBehind.get()
  if (Math.abs(behind) < EVEN_MS) clockBehind.set(0)
  // It swings by a second from answer to answer: only a real change is one.
  else if (Math.abs(behind - before) >= EVEN_MS) clockBehind.set(behind)
}

export const serverNow = (): number => Date.now() + clockBehind.get()
