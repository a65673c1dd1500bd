// From the packets of the engine to application messages: a PUBLISH or a Will becomes a core Message, with the properties
// that travel and without those that belong to its connection.

import type { EpochMs, SessionKey } from '../../core/ids.ts'
import type { Message, MessageProperties, Publisher } from '../../core/message.ts'
import type { Session } from '../sessions.ts'
import type { EnginePacket, EngineWill } from './surface.ts'
import type { UserPropertyOrder } from './user-properties.ts'

/** What was parsed and held to the table of properties.ts; everything else stays behind (trap 15: Will Delay; topic aliases). */
function travelling(properties: Record<string, unknown>, order: UserPropertyOrder): MessageProperties | undefined {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData } = properties
  const pairs = order(properties)
  const userProperties = pairs.length === 0 ? undefined : pairs
  const kept = Object.fromEntries(Object.entries({ payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties }).filter(([, value]) => value !== undefined))
  return Object.keys(kept).length === 0 ? undefined : kept
}

/** `order`: the User Properties of a properties object of this connection's parser, as they were sent. */
export function messageOf({ topic, payload, qos, retain, properties }: EnginePacket | EngineWill, publisher: SessionKey, now: EpochMs, order: UserPropertyOrder): Message {
  const expiry = properties?.['messageExpiryInterval']
  return {
    topic, qos, retain, publisher, receivedAt: now,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    properties: properties === undefined ? undefined : travelling(properties, order),
    expiresAt: typeof expiry === 'number' ? now + expiry * 1_000 : undefined,
  }
}

export function publisherOf({ key, device, clientId, issuer, serial, leaf }: Session): Publisher {
  return { key, device, clientId, issuer, serial, leaf }
}
