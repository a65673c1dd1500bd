// A message as bytes, and back: how it is stored, how it crosses to the thread that stores it, and how it is counted. It knows
// no table. The layout has a version, because what one release stored another reads.

import type { SessionKey } from '../../core/ids.ts'
import type { Message, MessageProperties, Qos } from '../../core/message.ts'

// version and flags · received at · expires at · lengths of topic, publisher, properties, correlation data · these four · the payload.
const VERSION = 1
const LENGTHS_AT = 18
const HEADER_BYTES = 34
const RETAIN = 0x04
const PROPERTIES = 0x08
const CORRELATION = 0x10

type Described = Omit<MessageProperties, 'correlationData'>

function describe(properties: MessageProperties | undefined): string {
  if (properties === undefined) return ''
  const { correlationData: _apart, ...described } = properties
  return JSON.stringify(described satisfies Described)
}

/** How many bytes `encodeMessage` makes of it: the measure of every bound. */
export function messageBytes(message: Message): number {
  return (
    HEADER_BYTES + Buffer.byteLength(message.topic) + Buffer.byteLength(message.publisher) + Buffer.byteLength(describe(message.properties)) +
    (message.properties?.correlationData?.length ?? 0) + message.payload.length
  )
}

/** Writes the message into `target` from `offset` and returns where it ends. */
export function encodeMessage(message: Message, target: Buffer, offset: number): number {
  const { properties } = message
  const correlation = properties?.correlationData
  const flags = message.qos | (message.retain ? RETAIN : 0) | (properties === undefined ? 0 : PROPERTIES) | (correlation === undefined ? 0 : CORRELATION)
  target[offset] = VERSION
  target[offset + 1] = flags
  target.writeDoubleLE(message.receivedAt, offset + 2)
  target.writeDoubleLE(message.expiresAt ?? Infinity, offset + 10)
  let at = offset + HEADER_BYTES
  const part = (index: number, write: () => number): void => {
    const length = write()
    target.writeUInt32LE(length, offset + LENGTHS_AT + 4 * index)
    at += length
  }
  part(0, () => target.write(message.topic, at))
  part(1, () => target.write(message.publisher, at))
  part(2, () => target.write(describe(properties), at))
  part(3, () => Buffer.from(correlation ?? []).copy(target, at))
  target.set(message.payload, at)
  return at + message.payload.length
}

/** The topic of an encoded message, without the rest. */
export function encodedTopic(bytes: Uint8Array): string {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return source.toString('utf8', HEADER_BYTES, HEADER_BYTES + source.readUInt32LE(LENGTHS_AT))
}

/** The inverse. Throws a plain Error for bytes that it did not make; whoever read them knows from where. */
export function decodeMessage(bytes: Uint8Array): Message {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const flags = source[1] ?? 0
  if (source[0] !== VERSION || source.length < HEADER_BYTES) throw new Error('a stored message has a layout that is not known')
  let at = HEADER_BYTES
  const take = (index: number): Buffer => source.subarray(at, (at += source.readUInt32LE(LENGTHS_AT + 4 * index)))
  const topic = take(0).toString()
  const publisher = take(1).toString() as SessionKey
  const described = take(2)
  const correlationData = take(3)
  if (at > source.length) throw new Error('a stored message is shorter than it says')
  const expiresAt = source.readDoubleLE(10)
  return {
    topic,
    payload: source.subarray(at),
    qos: (flags & 0x03) as Qos,
    retain: (flags & RETAIN) !== 0,
    properties: (flags & PROPERTIES) === 0 ? undefined : propertiesOf(described, (flags & CORRELATION) === 0 ? undefined : correlationData),
    publisher,
    receivedAt: source.readDoubleLE(2),
    expiresAt: expiresAt === Infinity ? undefined : expiresAt,
  }
}

function propertiesOf(described: Buffer, correlationData: Uint8Array | undefined): MessageProperties {
  const properties = JSON.parse(described.toString()) as Described
  return correlationData === undefined ? properties : { ...properties, correlationData }
}
