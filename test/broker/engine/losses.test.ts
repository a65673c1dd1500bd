import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { newTraffic } from '../../../src/core/traffic.ts'
import { openLosses } from '../../../src/broker/engine/losses.ts'
import type { AuditEvent } from '../../../src/core/audit.ts'
import type { SessionKey } from '../../../src/core/ids.ts'
import { AUDIT_LIMITS } from '../../../src/limits.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function openHeard() {
  const heard: AuditEvent[] = []
  return { heard, losses: openLosses({ audit: { record: (event) => void heard.push(event) }, clock: () => 7, traffic: newTraffic() }) }
}
const key = (text: string): SessionKey => text as SessionKey

test('ten thousand messages that one session loses in one moment are one record with their number; the next moment has its own', () => {
  const { heard, losses } = openHeard()
  for (let i = 0; i < 10_000; i++) losses.add(key('default/away/away:1'), 1)
  losses.add(key('default/other/other'), 3)
  expect(heard).toEqual([])
  vi.advanceTimersByTime(AUDIT_LIMITS.refusalWindowMs)
  expect(heard).toEqual([
    { kind: 'messages-dropped', at: 7, device: 'away', clientId: 'away:1', count: 10_000 },
    { kind: 'messages-dropped', at: 7, device: 'other', clientId: 'other', count: 3 },
  ])
  losses.add(key('default/away/away:1'), 2)
  vi.advanceTimersByTime(AUDIT_LIMITS.refusalWindowMs)
  expect(heard.slice(2)).toMatchObject([{ device: 'away', count: 2 }])
})

test('what is left to tell at the end is told, once', () => {
  const { heard, losses } = openHeard()
  losses.add(key('default/away/away'), 5)
  losses.close()
  vi.advanceTimersByTime(2 * AUDIT_LIMITS.refusalWindowMs)
  expect(heard).toMatchObject([{ count: 5 }])
})

test('so many sessions at once are told of before their moment is over: the count has a bound', () => {
  const { heard, losses } = openHeard()
  for (let i = 0; i < AUDIT_LIMITS.refusalKeysMax - 1; i++) losses.add(key(`default/d${i}/c`), 1)
  expect(heard).toHaveLength(0)
  losses.add(key('default/last/c'), 1)
  expect(heard).toHaveLength(AUDIT_LIMITS.refusalKeysMax)
})
