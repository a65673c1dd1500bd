import { expect, test } from 'vitest'
import type { AuditEvent } from '../../src/core/audit.ts'
import { openBundles } from '../../src/enroll/bundles.ts'
import { DOOR_LIMITS } from '../../src/enrollment-limits.ts'
import type { DenyReason } from '../../src/vocabulary.ts'

const refusal = (reason: DenyReason, port = 1): AuditEvent => ({ kind: 'refusal', at: 1, step: 'enrollment', reason, source: { address: '192.0.2.1', port } })

/** The first bundle of what is fed. */
function bundles(feed: (record: (event: AuditEvent) => void) => void): Promise<readonly AuditEvent[]> {
  return new Promise((resolve) => feed(openBundles(resolve)))
}

test('events come together, in their order, as they were', async () => {
  const events = Array.from({ length: 10 }, (_, port) => refusal('token-unknown', port))
  expect(await bundles((record) => events.forEach(record))).toEqual(events)
})

test('of more than a bundle holds there is the number, by reason, and none is forgotten', async () => {
  const put = await bundles((record) => {
    for (let i = 0; i < DOOR_LIMITS.bundleEventsMax + 100; i++) record(refusal(i % 4 === 0 ? 'source-rate' : 'token-unknown'))
  })
  const counted = put.flatMap((event) => (event.kind === 'refusals-suppressed' ? [[event.reason, event.step, event.count]] : []))
  expect(put).toHaveLength(DOOR_LIMITS.bundleEventsMax + 2)
  expect(new Set(counted)).toEqual(new Set([['source-rate', 'source', 25], ['token-unknown', 'enrollment', 75]]))
})

test('the next bundle begins empty', async () => {
  const put: (readonly AuditEvent[])[] = []
  await new Promise<void>((resolve) => {
    const record = openBundles((events) => {
      put.push(events)
      if (put.length === 2) resolve()
      else record(refusal('token-locked'))
    })
    record(refusal('token-unknown'))
  })
  expect(put.map((events) => events.map((event) => (event.kind === 'refusal' ? event.reason : event.kind)))).toEqual([['token-unknown'], ['token-locked']])
})
