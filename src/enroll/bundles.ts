// Refusals on their way from the door's thread to the audit log: in bundles, because a flood of them must not be one of messages between
// threads. Beyond what a bundle holds they are counted, by reason.

import { REASONS } from '../vocabulary.ts'
import type { AuditEvent } from '../core/audit.ts'
import { DOOR_LIMITS } from '../enrollment-limits.ts'

/** Takes an event; `put` is given those of the last moments. */
export function openBundles(put: (events: readonly AuditEvent[]) => void): (event: AuditEvent) => void {
  let events: AuditEvent[] = []
  let beyond = new Map<string, AuditEvent & { readonly kind: 'refusals-suppressed' }>()

  function flush(): void {
    const bundle = [...events, ...beyond.values()]
    events = []
    beyond = new Map()
    put(bundle)
  }

  return (event) => {
    if (events.length === 0) setTimeout(flush, DOOR_LIMITS.bundleMs)
    if (events.length < DOOR_LIMITS.bundleEventsMax || event.kind !== 'refusal') return void events.push(event)
    const { at, reason } = event
    beyond.set(reason, { kind: 'refusals-suppressed', at, reason, step: REASONS[reason].step, count: (beyond.get(reason)?.count ?? 0) + 1 })
  }
}
