// Keeps a flood of refusals from becoming a flood of records: beyond a rate per source and reason they are counted, and the
// count is one record. Bounded: an attacker with many addresses shares one count.

import { AUDIT_LIMITS } from '../limits.ts'
import type { AuditEvent } from '../core/audit.ts'

type Refusal = AuditEvent & { readonly kind: 'refusal' }

interface Window {
  readonly first: Refusal
  readonly until: number
  written: number
  suppressed: number
}

const isOver = ({ first, until }: Window, now: number): boolean => now >= until || now < first.at

export interface FloodGate {
  /** Is this refusal to be written? Counts it otherwise. */
  pass(event: Refusal): boolean
  /** Counted records of windows that are over at `now`; of all windows when it is Infinity. */
  sweep(now: number): readonly AuditEvent[]
}

export function openFloodGate(): FloodGate {
  const windows = new Map<string, Window>()

  return {
    pass(event) {
      const key = windows.size < AUDIT_LIMITS.refusalKeysMax ? `${event.source?.address ?? ''} ${event.reason}` : `(many) ${event.reason}`
      const window = windows.get(key)
      // A window that has counted stays open until it is swept, so that no count is forgotten.
      // So does one that lies in the future, because the clock was set back, for as long as it takes to sweep it.
      if (window === undefined || (isOver(window, event.at) && window.suppressed === 0)) {
        windows.set(key, { first: event, until: event.at + AUDIT_LIMITS.refusalWindowMs, written: 1, suppressed: 0 })
        return true
      }
      if (!isOver(window, event.at) && window.written < AUDIT_LIMITS.refusalsPerSecond) {
        window.written += 1
        return true
      }
      window.suppressed += 1
      return false
    },
    sweep(now) {
      const counted: AuditEvent[] = []
      for (const [key, window] of windows) {
        if (!isOver(window, now)) continue
        const { first, until, suppressed } = window
        windows.delete(key)
        if (suppressed > 0) counted.push({ kind: 'refusals-suppressed', at: Math.min(until, now), step: first.step, reason: first.reason, count: suppressed, ...(first.source === undefined ? {} : { source: first.source }) })
      }
      return counted
    },
  }
}
