import { expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/core/audit.ts'
import type { DeviceId } from '../../../src/core/ids.ts'
import { openGapReport } from '../../../src/broker/engine/gaps.ts'

const gaps = (generation: number, ...variables: string[]) => ({ generation, unresolved: variables.map((variable) => ({ rule: 'r', variable, effect: 'grant-absent' as const })) })
const device = (id: string): DeviceId => id as DeviceId

test('what a policy cannot fill in is told once for each device, and again under the next policy', () => {
  const events: AuditEvent[] = []
  const tell = openGapReport({ audit: { record: (event) => void events.push(event) }, clock: () => 7 })
  tell(device('a'), gaps(1, 'device.attr.model', 'cert.subject.OU'))
  expect(events).toMatchObject([{ kind: 'policy-unresolved', at: 7, device: 'a', rule: 'r', variable: 'device.attr.model', effect: 'grant-absent' }, { variable: 'cert.subject.OU' }])
  tell(device('a'), gaps(1, 'device.attr.model', 'cert.subject.OU'))
  tell(device('b'), gaps(1))
  expect(events).toHaveLength(2)
  tell(device('b'), gaps(1, 'clientId'))
  tell(device('a'), gaps(2, 'device.attr.model'))
  expect(events.map((e) => 'device' in e && e.device)).toEqual(['a', 'a', 'b', 'a'])
})
