// Patience with an end: every wait of the simulator has a deadline, and most can be called off.

import { setTimeout as delay } from 'node:timers/promises'

/** What `work` comes to; undefined when it is not done after `ms`, or the signal comes first. It rejects as `work` does. */
export async function within<T>(work: Promise<T>, ms: number, signal?: AbortSignal): Promise<T | undefined> {
  const over = new AbortController()
  const givenUp = delay(ms, undefined, { signal: signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]) }).catch(() => undefined)
  try {
    return await Promise.race([work, givenUp])
  } finally {
    over.abort()
  }
}
