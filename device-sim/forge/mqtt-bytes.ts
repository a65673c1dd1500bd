// MQTT packets as bytes, legal or not: what a library refuses to write. MQTT 3.1.1 and 5, chapters 2 and 3. It composes what the
// caller asks for and judges nothing.

import type { MqttVersion } from '../oracle.ts'

/** Packet types with the flags that they must carry [MQTT-2.1.3-1], unless it is the flags that are to be wrong. */
export const HEADER = {
  connect: 0x10, connack: 0x20, publish: 0x30, puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70, subscribe: 0x82, suback: 0x90, unsubscribe: 0xa2, unsuback: 0xb0,
  pingreq: 0xc0, pingresp: 0xd0, disconnect: 0xe0, auth: 0xf0,
} as const

/** Property identifiers. MQTT 5 §2.2.2.2. */
export const PROPERTY = {
  payloadFormat: 0x01, messageExpiry: 0x02, contentType: 0x03, responseTopic: 0x08, correlationData: 0x09, subscriptionIdentifier: 0x0b, sessionExpiry: 0x11, serverKeepAlive: 0x13,
  authenticationMethod: 0x15, authenticationData: 0x16, willDelay: 0x18, receiveMaximum: 0x21, topicAliasMaximum: 0x22, topicAlias: 0x23, userProperty: 0x26, maximumPacketSize: 0x27,
} as const

export function u8(value: number): Buffer {
  return Buffer.from([value])
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A Variable Byte Integer, of as many bytes as it takes: four are allowed. */
export function varint(value: number): Buffer {
  const bytes: number[] = []
  let left = value
  do {
    const low = left % 128
    left = Math.floor(left / 128)
    bytes.push(left > 0 ? low | 0x80 : low)
  } while (left > 0)
  return Buffer.from(bytes)
}

/** A string, or bytes that say that they are one. */
export function text(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
  return Buffer.concat([u16(bytes.length), bytes])
}

export function packet(header: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([u8(header), varint(body.length), body])
}

export function property(identifier: number, ...value: readonly Uint8Array[]): Buffer {
  return Buffer.concat([u8(identifier), ...value])
}

export function userProperty(name: string, value: string): Buffer {
  return property(PROPERTY.userProperty, text(name), text(value))
}

/** The properties of a packet, with their length in front; MQTT 3.1.1 has none. */
function properties(version: MqttVersion, given: readonly Buffer[]): Buffer {
  const all = Buffer.concat(given)
  return version === 5 ? Buffer.concat([varint(all.length), all]) : Buffer.alloc(0)
}

export interface ForgedPublish {
  readonly version: MqttVersion
  readonly topic: string | Buffer
  readonly qos?: number
  readonly retain?: boolean
  readonly dup?: boolean
  readonly messageId?: number
  readonly properties?: readonly Buffer[]
  readonly payload?: string | Buffer
}

export function publishBytes({ version, topic, qos = 0, retain = false, dup = false, messageId, properties: given = [], payload = '' }: ForgedPublish): Buffer {
  const header = HEADER.publish | (dup ? 0x08 : 0) | (qos << 1) | (retain ? 1 : 0)
  return packet(header, text(topic), ...(messageId === undefined ? [] : [u16(messageId)]), properties(version, given), Buffer.from(payload))
}

export interface ForgedSubscribe {
  readonly version: MqttVersion
  readonly messageId: number
  /** Filters, or bytes in their place. */
  readonly filters: readonly (string | Buffer)[]
  readonly options?: number
  readonly properties?: readonly Buffer[]
}

export function subscribeBytes({ version, messageId, filters, options = 0, properties: given = [] }: ForgedSubscribe): Buffer {
  return packet(HEADER.subscribe, u16(messageId), properties(version, given), ...filters.flatMap((filter) => [text(filter), u8(options)]))
}

export function unsubscribeBytes({ version, messageId, filters }: Omit<ForgedSubscribe, 'options' | 'properties'>): Buffer {
  return packet(HEADER.unsubscribe, u16(messageId), properties(version, []), ...filters.map(text))
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP in their short form. */
export function acknowledgeBytes(header: number, messageId: number): Buffer {
  return packet(header, u16(messageId))
}

/** Clean Session, Clean Start. MQTT 5 §3.1.2.3. */
const CLEAN = 0x02

export interface ForgedConnect {
  readonly version: MqttVersion
  readonly clientId: string | Buffer
  readonly protocol?: string
  /** The byte behind the protocol's name; a bridge sets its highest bit. */
  readonly level?: number
  /** The Connect Flags: a clean session and nothing else, unless they are given. */
  readonly flags?: number
  readonly keepAlive?: number
  readonly properties?: readonly Buffer[]
  /** What follows the client id: Will, user name, password. */
  readonly payload?: readonly Uint8Array[]
}

export function connectBytes({ version, clientId, protocol = 'MQTT', level = version, flags = CLEAN, keepAlive = 60, properties: given = [], payload = [] }: ForgedConnect): Buffer {
  return packet(HEADER.connect, text(protocol), u8(level), u8(flags), u16(keepAlive), properties(version, given), text(clientId), ...payload)
}

export const PINGREQ = packet(HEADER.pingreq)
