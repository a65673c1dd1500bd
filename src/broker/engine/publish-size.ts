// How many bytes an outgoing PUBLISH has, counted without making it: a client says how large a packet it accepts, and what is
// larger must not be sent [MQTT-3.1.2-24]. MQTT 5 §3.3.

import type { Message, Qos } from '../../core/message.ts'

/** 3.1.1 or 5. */
export type Protocol = 4 | 5

// §2.2.2.2: an identifier of one byte, then the value; texts and binary data have a length of two bytes before them.
const FLAG_PROPERTY = 2
const FOUR_BYTE_PROPERTY = 5
const TEXT_PROPERTY = 3
const PAIR_PROPERTY = 5

/** Bytes of a Variable Byte Integer. §1.5.5. */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  return value < 0x20_0000 ? 3 : 4
}

function identifierBytes(identifiers: readonly number[]): number {
  let bytes = 0
  for (const identifier of identifiers) bytes += 1 + varintBytes(identifier)
  return bytes
}

/** The properties that are the same for all subscribers. */
function messagePropertyBytes({ properties, expiresAt }: Message): number {
  let bytes = expiresAt === undefined ? 0 : FOUR_BYTE_PROPERTY
  if (properties === undefined) return bytes
  if (properties.payloadFormatIndicator !== undefined) bytes += FLAG_PROPERTY
  if (properties.contentType !== undefined) bytes += TEXT_PROPERTY + Buffer.byteLength(properties.contentType)
  if (properties.responseTopic !== undefined) bytes += TEXT_PROPERTY + Buffer.byteLength(properties.responseTopic)
  if (properties.correlationData !== undefined) bytes += TEXT_PROPERTY + properties.correlationData.length
  for (const [name, value] of properties.userProperties ?? []) bytes += PAIR_PROPERTY + Buffer.byteLength(name) + Buffer.byteLength(value)
  return bytes
}

/** The whole packet, fixed header included, without a topic alias. */
export type PublishSize = (protocol: Protocol, qos: Qos, identifiers: readonly number[]) => number

/** Counts what is the same for all subscribers once. */
export function publishSize(message: Message): PublishSize {
  const body = 2 + Buffer.byteLength(message.topic) + message.payload.length
  const shared = messagePropertyBytes(message)
  return (protocol, qos, identifiers) => {
    const properties = shared + identifierBytes(identifiers)
    const length = body + (qos === 0 ? 0 : 2) + (protocol === 5 ? varintBytes(properties) + properties : 0)
    return 1 + varintBytes(length) + length
  }
}
