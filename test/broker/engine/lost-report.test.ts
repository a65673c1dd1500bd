// Lost subscriptions in the audit log: named one by one as far as somebody reads that, and then counted.

import { afterEach, expect, test, vi } from 'vitest'
import { openLostReport } from '../../../src/broker/engine/lost-report.ts'
import type { AuditEvent } from '../../../src/core/audit.ts'
import type { DeviceId } from '../../../src/core/ids.ts'
import type { Verdict } from '../../../src/core/policy/grants.ts'
import { AUDIT_LIMITS } from '../../../src/limits.ts'

afterEach(() => void vi.useRealTimers())
const NOW = 1_800_000_000_000
const [d, e] = ['d' as DeviceId, 'e' as DeviceId]
const verdict: Verdict = { effect: 'deny', reason: 'subscribe-denied', rule: 'r', at: { file: 'policy.yaml', line: 3, column: 1 }, bindings: {}, generation: 4 }
const lost = (count: number): { readonly filter: string; readonly verdict: Verdict }[] => Array.from({ length: count }, (_, i) => ({ filter: `a/${i}`, verdict }))

function report(): { readonly events: AuditEvent[]; readonly add: ReturnType<typeof openLostReport>['add']; readonly close: () => void } {
  const events: AuditEvent[] = []
  return { events, ...openLostReport({ audit: { record: (event) => void events.push(event) }, clock: () => NOW }) }
}

test('a loss names device, client id, filter, reason and rule', () => {
  const { events, add, close } = report()
  add(d, 'd:1', [{ filter: 'a/\u202e', verdict }])
  close()
  expect(events).toEqual([{ kind: 'subscription-lost', at: NOW, device: 'd', clientId: 'd:1', filter: 'a/\\u{202e}', reason: 'subscribe-denied', generation: 4, rule: 'r', ruleAt: 'policy.yaml:3' }])
})

test('beyond the rate they are counted, for each device by itself; in the next moment they are named again', () => {
  vi.useFakeTimers()
  const { events, add, close } = report()
  add(d, 'd', lost(AUDIT_LIMITS.refusalsPerSecond + 3))
  add(d, 'd:2', lost(2))
  add(e, 'e', lost(1))
  expect(events).toHaveLength(AUDIT_LIMITS.refusalsPerSecond + 1)
  vi.advanceTimersByTime(AUDIT_LIMITS.refusalWindowMs)
  expect(events.slice(-1)).toEqual([{ kind: 'subscriptions-lost', at: NOW, device: 'd', count: 5 }])
  add(d, 'd', lost(1))
  close()
  expect(events.at(-1)).toMatchObject({ kind: 'subscription-lost', clientId: 'd' })
})

test('what is counted is told when it closes, and a loss of nothing is none', () => {
  const { events, add, close } = report()
  add(d, 'd', [])
  add(e, 'e', lost(AUDIT_LIMITS.refusalsPerSecond + 1))
  close()
  close()
  expect(events.filter(({ kind }) => kind === 'subscriptions-lost')).toEqual([{ kind: 'subscriptions-lost', at: NOW, device: 'e', count: 1 }])
})
