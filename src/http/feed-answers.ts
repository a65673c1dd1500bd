// The answers of the admin API about connections, refusals and what happens, as schemas.

import { z } from 'zod'
import { STEPS } from '../vocabulary.ts'
import { DEVICE_STATES, type DeviceState } from '../core/device.ts'
import { ATTENTION, LISTENERS } from '../core/feed-desk.ts'
import { PATH_STATES } from '../core/handshake-path.ts'
import { CONDITION_NAMES } from '../core/policy/conditions.ts'
import { WILDCARD_MODES } from '../core/policy/document.ts'
import { CERTIFICATE_STATES } from '../core/registry.ts'
import { aCa, aCount, aDevice, aDuration, anInstant, aPosition, aReason, aSerial, listOf } from './shapes.ts'

const connectionFields = {
  id: z.string().meta({ description: 'Of this connection alone: whoever comes back has another.' }),
  device: aDevice, clientId: z.string(), address: z.string(), port: z.number().int(), listener: z.enum(LISTENERS), since: anInstant,
  protocol: z.union([z.literal(4), z.literal(5)]).meta({ description: '4 is MQTT 3.1.1.' }),
  tls: z.string(), cipher: z.string(), keepAliveSeconds: z.number(),
  kept: z.boolean().meta({ description: 'The session outlives its connection.' }),
  subscriptions: aCount, queued: aCount, inFlight: aCount, issuer: aCa, serial: aSerial, notAfter: anInstant,
  bytesIn: aCount, bytesOut: aCount, packetsIn: aCount,
}
export const connectionPage = z.strictObject({ items: z.array(z.strictObject(connectionFields).meta({ id: 'Connection' })), next: z.string().exactOptional(), matched: aCount }).meta({ id: 'ConnectionPage' })
export const connectionEnded = z.strictObject({ id: z.string(), device: aDevice, clientId: z.string() }).meta({ id: 'ConnectionEnded' })

const reach = z.strictObject({ since: anInstant.exactOptional(), complete: z.boolean(), reading: z.boolean() }).meta({ id: 'Reach', description: 'How far back the memory of the server goes: what is older stands in the audit log.' })
const refusalFields = {
  id: z.number().int().meta({ description: 'Its number in the audit log.' }),
  at: anInstant, step: z.enum(STEPS), reason: aReason, sentence: z.string(), fix: z.string(), detail: z.string().exactOptional(),
  device: z.string().exactOptional(), claimed: z.string().exactOptional().meta({ description: 'A name that nothing vouches for.' }),
  address: z.string().exactOptional(), port: z.number().int().exactOptional(), door: z.string().exactOptional(), clientId: z.string().exactOptional(), topic: z.string().exactOptional(),
  rule: z.string().exactOptional(), ruleAt: z.string().exactOptional(),
  presented: z.strictObject({ subject: z.string().exactOptional(), issuer: z.string().exactOptional(), serial: z.string().exactOptional(), sha256: z.string().exactOptional(), notAfter: anInstant.exactOptional() }).exactOptional(),
  count: aCount.meta({ description: 'How many it stands for: beyond a rate they are counted, not written.' }),
}
const refusal = z.strictObject(refusalFields).meta({ id: 'RefusalShown' })
export const refusalPage = z.strictObject({ items: z.array(refusal), next: z.string().exactOptional(), reach }).meta({ id: 'RefusalPage' })
export const refusalGroups = z.strictObject({
  items: z.array(z.strictObject({ reason: aReason, step: z.enum(STEPS), sentence: z.string(), device: z.string().exactOptional(), claimed: z.string().exactOptional(), address: z.string().exactOptional(), count: aCount, first: anInstant, last: anInstant, id: z.number().int() })),
  more: aCount, reach,
}).meta({ id: 'RefusalGroups' })
export const refusalDetail = z.strictObject({
  ...refusalFields,
  path: z.array(z.strictObject({ name: z.string(), title: z.string(), state: z.enum(PATH_STATES) })).meta({ description: 'The way that the connection took, and where it was stopped.' }),
  similar: z.strictObject({ count: aCount, first: anInstant, last: anInstant, newest: z.array(z.strictObject({ id: z.number().int(), at: anInstant })) }),
}).meta({ id: 'RefusalDetail' })

const byState: z.ZodType<Readonly<Record<DeviceState, number>>> = z.strictObject(Object.fromEntries(DEVICE_STATES.map((state) => [state, aCount])) as Record<DeviceState, typeof aCount>)
export const overview = z.strictObject({
  at: anInstant,
  devices: z.strictObject({ total: aCount, byState }),
  connected: z.strictObject({ devices: aCount, sessions: aCount }),
  refused: z.strictObject({ hour: aCount, day: aCount, byReason: z.array(z.strictObject({ reason: aReason, sentence: z.string(), hour: aCount, day: aCount })) }),
  strip: z.strictObject({ bucketMs: aDuration, buckets: z.array(z.strictObject({ at: anInstant, connections: aCount, refusals: z.partialRecord(aReason, aCount) })), reach }),
  attention: z.array(z.strictObject({ kind: z.enum(ATTENTION), count: aCount, sentence: z.string(), command: z.string(), at: anInstant.exactOptional() })),
  newest: z.array(refusal),
}).meta({ id: 'Overview' })

export const deviceSessions = z.strictObject({
  device: aDevice,
  connected: z.array(z.strictObject({ ...connectionFields, filters: z.array(z.string()) })),
  kept: z.array(z.strictObject({ clientId: z.string(), expiresAt: anInstant.exactOptional(), queued: aCount, subscriptions: z.array(z.string()) })),
}).meta({ id: 'DeviceSessions' })

const qos = z.union([z.literal(0), z.literal(1), z.literal(2)])
const line = {
  pattern: z.string(), rule: z.string(), at: aPosition, inForce: z.enum(['yes', 'no', 'depends']), because: z.array(z.enum(CONDITION_NAMES)),
  unresolved: z.string().exactOptional().meta({ description: 'A variable that is missing or unusable for this device.' }),
}
const send = z.strictObject({ ...line, qos, retain: z.boolean(), bytesMax: z.number().exactOptional(), rate: z.strictObject({ perSecond: z.number(), burst: z.number() }).exactOptional() })
export const deviceTopics = z.strictObject({
  device: aDevice, generation: z.number().int(), publish: z.array(send), will: z.array(send),
  subscribe: z.array(z.strictObject({ ...line, qos, wildcard: z.enum(WILDCARD_MODES), share: z.array(z.string()) })),
  deny: z.array(z.strictObject({ ...line, action: z.enum(['publish', 'subscribe', 'receive']) })),
}).meta({ id: 'DeviceTopics' })

export const deviceTimeline = listOf(z.strictObject({
  issuer: aCa, serial: aSerial, state: z.enum(CERTIFICATE_STATES), plannedAt: anInstant, issuedAt: anInstant.exactOptional(), firstUsedAt: anInstant.exactOptional(), supersededAt: anInstant.exactOptional(),
  because: z.string().exactOptional(), revokedAt: anInstant.exactOptional(), revocationReason: z.string().exactOptional(), notBefore: anInstant, notAfter: anInstant, renews: aSerial.exactOptional(),
})).meta({ id: 'DeviceTimeline' })
