// Subscriptions that a change of policy takes away, told to the audit log: some for each device and moment one by one, the others
// counted. A device may hold a thousand filters, and a change may take them all.

import { AUDIT_LIMITS, BROKER_LIMITS } from '../../limits.ts'
import { printable, type DeviceId } from '../../core/ids.ts'
import type { Narrowing } from '../../core/policy/narrowing.ts'
import type { BrokerPorts } from '../ports.ts'

export interface LostReport {
  add(device: DeviceId, clientId: string, lost: Narrowing['lost']): void
  /** Tells what is left to tell. */
  close(): void
}

export function openLostReport({ audit, clock }: Pick<BrokerPorts, 'audit' | 'clock'>): LostReport {
  const windows = new Map<DeviceId, { written: number; counted: number }>()
  let timer: NodeJS.Timeout | undefined

  function tell(): void {
    clearTimeout(timer)
    timer = undefined
    for (const [device, { counted }] of windows) if (counted > 0) audit.record({ kind: 'subscriptions-lost', at: clock(), device, count: counted })
    windows.clear()
  }

  return {
    add(device, clientId, lost) {
      if (lost.length === 0) return
      if (windows.size >= AUDIT_LIMITS.refusalKeysMax) tell()
      const window = windows.get(device) ?? { written: 0, counted: 0 }
      windows.set(device, window)
      for (const { filter, verdict: { reason, generation, rule, at } } of lost) {
        if (window.written >= AUDIT_LIMITS.refusalsPerSecond || reason === 'granted') {
          window.counted += 1
          continue
        }
        window.written += 1
        audit.record({
          kind: 'subscription-lost', at: clock(), device, clientId, filter: printable(filter, BROKER_LIMITS.topicBytesMax), reason, generation,
          ...(rule === undefined ? {} : { rule }), ...(at === undefined ? {} : { ruleAt: `${at.file}:${at.line}` }),
        })
      }
      timer ??= setTimeout(tell, AUDIT_LIMITS.refusalWindowMs).unref()
    },
    close: tell,
  }
}
