// Forgetting a device that cannot come back: what is connected leaves nothing, what is kept goes, and a Will that goes with
// it is told.

import { expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/core/audit.ts'
import { openForgetting, type KeepingPorts } from '../../../src/broker/engine/keeping.ts'
import { device } from '../../core/facts.ts'

test('what is connected is kept no longer than its connection; what is kept goes, with its timers, and its Will is told', async () => {
  const done: string[] = []
  const events: AuditEvent[] = []
  const client = { sessionExpiryInterval: 600 }
  const sensor = device('sensor-7')
  const forget = openForgetting({
    broker: { audit: { record: (event: AuditEvent) => void events.push(event) }, clock: () => 5, log: () => undefined },
    core: {
      id: 'b', clearSessionExpiry: (key: string) => void done.push(`expiry ${key}`), clearDelayedWill: (key: string) => void done.push(`delay ${key}`),
      persistence: { delWill: ({ id }: { id: string }) => Promise.resolve(id.endsWith(':2') ? { topic: 'state/x' } : undefined), cleanSubscriptions: ({ id }: { id: string }) => Promise.resolve(void done.push(`clean ${id}`)) },
    },
    judge: { kept: (owner: string) => (owner === `${sensor.tenant}/sensor-7` ? [`${owner}/sensor-7`, `${owner}/sensor-7:2`] : []) },
    sessions: { ofDevice: (id: string) => (id === 'sensor-7' ? [{}] : []) },
    clientOf: () => client,
  } as unknown as KeepingPorts)
  forget(device('sensor-8'), 'device-retired')
  expect([client.sessionExpiryInterval, done]).toEqual([600, []])
  forget(sensor, 'device-retired')
  const keys = ['sensor-7', 'sensor-7:2'].map((id) => `${sensor.tenant}/sensor-7/${id}`)
  expect(client.sessionExpiryInterval).toBe(0)
  expect(done).toEqual(keys.flatMap((key) => [`expiry ${key}`, `delay ${key}`, `clean ${key}`]))
  await new Promise((resolve) => void setImmediate(resolve))
  expect(events).toEqual([{ kind: 'refusal', at: 5, step: 'registry', reason: 'device-retired', device: 'sensor-7', clientId: 'sensor-7:2', topic: 'state/x', detail: 'the Will was not published' }])
})
