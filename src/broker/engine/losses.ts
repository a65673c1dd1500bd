// Messages that full queues have lost, counted for the audit log: one record for each session and moment, not one for each
// message. Otherwise whoever fills the queue of somebody who is away fills the log, and the disk, with the same stroke.

import { AUDIT_LIMITS } from '../../limits.ts'
import type { DeviceId, SessionKey } from '../../core/ids.ts'
import type { BrokerPorts } from '../ports.ts'

export interface Losses {
  add(key: SessionKey, messages: number): void
  /** Tells what is left to tell. */
  close(): void
}

export function openLosses({ audit, clock, traffic }: Pick<BrokerPorts, 'audit' | 'clock' | 'traffic'>): Losses {
  const lost = new Map<SessionKey, number>()
  let timer: NodeJS.Timeout | undefined

  function tell(): void {
    clearTimeout(timer)
    timer = undefined
    for (const [key, count] of lost) {
      const [, device, ...clientId] = key.split('/')
      audit.record({ kind: 'messages-dropped', at: clock(), device: device as DeviceId, clientId: clientId.join('/'), count })
    }
    lost.clear()
  }

  return {
    add(key, messages) {
      traffic.droppedQueued += messages
      lost.set(key, (lost.get(key) ?? 0) + messages)
      if (lost.size >= AUDIT_LIMITS.refusalKeysMax) tell()
      else timer ??= setTimeout(tell, AUDIT_LIMITS.refusalWindowMs).unref()
    },
    close: tell,
  }
}
