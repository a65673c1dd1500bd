// Keeps a flood of refusals from becoming a flood of records: beyond a rate they are counted, and the count is one record.
// The rate is one of each device and reason, so that no device hides the refusals of its neighbours behind one address; who
// is no device, or has not proven to be one, is counted by address, whatever is claimed. Bounded: beyond a number of
// devices, or of addresses, the others share one count, and strangers with many addresses take no room from devices.

import { AUDIT_LIMITS } from '../limits.ts'
import type { AuditEvent } from '../core/audit.ts'
import type { EpochMs } from '../core/ids.ts'

type Refusal = AuditEvent & { readonly kind: 'refusal' }
type Counted = AuditEvent & { readonly kind: 'refusals-suppressed' }

interface Window {
  readonly from: EpochMs
  readonly until: EpochMs
  written: number
  counted: Counted | undefined
}

const isOver = ({ from, until }: Window, now: EpochMs): boolean => now >= until || now < from

export interface FloodGate {
  /** Is this refusal to be written? Counts it otherwise. */
  pass(event: Refusal): boolean
  /** Counted records of windows that are over at `now`; of all windows when it is Infinity. */
  sweep(now: number): readonly AuditEvent[]
}

export function openFloodGate(): FloodGate {
  const ofDevices = new Map<string, Window>()
  const ofStrangers = new Map<string, Window>()

  return {
    pass(event) {
      // Certificates are public: who fails in the handshake may have shown those of a thousand devices without their keys.
      const device = event.step === 'tls' ? undefined : event.device
      const windows = device === undefined ? ofStrangers : ofDevices
      const own = `${device ?? event.source?.address ?? ''} ${event.reason}`
      const key = windows.has(own) || windows.size < AUDIT_LIMITS.refusalKeysMax ? own : `(many) ${event.reason}`
      const window = windows.get(key)
      // A window that has counted stays open until it is swept, so that no count is forgotten.
      // So does one that lies in the future, because the clock was set back, for as long as it takes to sweep it.
      if (window === undefined || (isOver(window, event.at) && window.counted === undefined)) {
        windows.set(key, { from: event.at, until: event.at + AUDIT_LIMITS.refusalWindowMs, written: 1, counted: undefined })
        return true
      }
      if (!isOver(window, event.at) && window.written < AUDIT_LIMITS.refusalsPerSecond) {
        window.written += 1
        return true
      }
      window.counted = counting(window.counted, event)
      return false
    },
    sweep(now) {
      return [ofDevices, ofStrangers].flatMap((windows) => {
        const counted: Counted[] = []
        for (const [key, window] of windows) {
          if (!isOver(window, now)) continue
          windows.delete(key)
          if (window.counted !== undefined) counted.push({ ...window.counted, at: Math.min(window.until, now) })
        }
        return counted
      })
    },
  }
}

/** One more. What is not true of all that were counted is not said of any: the count would be a lie about somebody. */
function counting(before: Counted | undefined, { at, step, reason, source, device, claimed }: Refusal): Counted {
  const isFirst = before === undefined
  return {
    kind: 'refusals-suppressed', at, step, reason, count: (before?.count ?? 0) + 1,
    ...(source !== undefined && (isFirst || before.source?.address === source.address) ? { source: before?.source ?? source } : {}),
    ...(device !== undefined && (isFirst || before.device === device) ? { device } : {}),
    ...(claimed !== undefined && (isFirst || before.claimed === claimed) ? { claimed } : {}),
  }
}
