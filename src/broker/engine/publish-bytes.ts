// The bytes of one message as it goes out: made once for all subscribers that get the same ones, and copied for those who
// need a packet id in them. It knows no session, and writes to nobody. MQTT 5 §3.3.

import mqttPacket, { type IPublishPacket } from 'mqtt-packet'
import { BROKER_LIMITS } from '../../limits.ts'
import { SallyportError } from '../../core/errors.ts'
import type { EpochMs } from '../../core/ids.ts'
import type { Message, Qos } from '../../core/message.ts'
import { publishSize, varintBytes, type Protocol, type PublishSize } from './publish-size.ts'

/** Where what changes from one subscriber to the next stands in the bytes. */
interface Template {
  readonly bytes: Buffer
  /** After the topic: where the packet id is, if there is one. */
  readonly afterTopic: number
  /** The Message Expiry Interval in it. It holds for a second. */
  readonly seconds: number | undefined
}

/** What a connection adds that no other one shares. */
export interface Addressed {
  readonly qos: Qos
  readonly retain: boolean
  readonly dup: boolean
  readonly identifiers: readonly number[]
  /** Not 0 where QoS is not. */
  readonly packetId: number
}

export interface PublishBytes {
  /** Shared: whoever gets it must not change it. */
  qos0(protocol: Protocol, retain: boolean, identifiers: readonly number[], now: EpochMs): Buffer
  /** The caller's own. */
  withPacketId(protocol: Protocol, qos: 1 | 2, retain: boolean, dup: boolean, identifiers: readonly number[], packetId: number, now: EpochMs): Buffer
  /** For a connection of MQTT 5 with a Topic Alias; `withTopic`: the alias is given its meaning [MQTT-3.3.2-12]. The caller's own. */
  aliased(to: Addressed, alias: number, withTopic: boolean, now: EpochMs): Buffer
  /** The size of what the first two give. An alias with its topic has up to 5 bytes more. */
  wireBytes(protocol: Protocol, qos: Qos, identifiers: readonly number[]): number
}

const DUP = 0x08
const TOPIC_ALIAS = 0x23
const ALIAS_BYTES = 3
const MS_PER_SECOND = 1_000
/** The largest Message Expiry Interval: a clock that went back does not make one that cannot be written. */
const SECONDS_MAX = 0xffff_ffff

/** What is left of its life, in whole seconds; a message that is sent has at least one [MQTT-3.3.2-6]. */
function secondsLeft(expiresAt: EpochMs | undefined, now: EpochMs): number | undefined {
  return expiresAt === undefined ? undefined : Math.min(SECONDS_MAX, Math.max(1, Math.ceil((expiresAt - now) / MS_PER_SECOND)))
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The properties as mqtt-packet writes them: in the order of this object, those that are not there left out. */
function propertiesOf({ properties }: Message, identifiers: readonly number[], seconds: number | undefined): NonNullable<IPublishPacket['properties']> {
  const plain: NonNullable<IPublishPacket['properties']> = {}
  if (properties?.payloadFormatIndicator !== undefined) plain.payloadFormatIndicator = properties.payloadFormatIndicator
  if (seconds !== undefined) plain.messageExpiryInterval = seconds
  if (properties?.contentType !== undefined) plain.contentType = properties.contentType
  if (properties?.responseTopic !== undefined) plain.responseTopic = properties.responseTopic
  if (properties?.correlationData !== undefined) plain.correlationData = asBuffer(properties.correlationData)
  if (identifiers.length > 0) plain.subscriptionIdentifier = [...identifiers]
  if (properties?.userProperties === undefined) return plain
  // A list of objects with one name each is written in its order, which one object would not keep.
  const userProperties = properties.userProperties.map(([name, value]) => ({ __proto__: null, [name]: value }))
  return userProperties.length === 0 ? plain : Object.assign(plain, { userProperties })
}

function makeTemplate(message: Message, protocol: Protocol, qos: Qos, retain: boolean, identifiers: readonly number[], seconds: number | undefined): Template {
  const packet: IPublishPacket = { cmd: 'publish', topic: message.topic, payload: asBuffer(message.payload), qos, dup: false, retain, messageId: 0 }
  if (protocol === 5) packet.properties = propertiesOf(message, identifiers, seconds)
  const bytes = mqttPacket.generate(packet, { protocolVersion: protocol })
  // What it cannot write it leaves out without a word.
  if (bytes.length === 0) throw new SallyportError('internal', 'a PUBLISH that cannot be written')
  return { bytes, afterTopic: afterLength(bytes) + 2 + bytes.readUInt16BE(afterLength(bytes)), seconds }
}

/** Where the Remaining Length ends. */
function afterLength(bytes: Buffer): number {
  let at = 1
  while (((bytes[at] ?? 0) & 0x80) !== 0) at++
  return at + 1
}

function writeVarint(bytes: Buffer, value: number, at: number): number {
  let rest = value
  let end = at
  do {
    bytes[end++] = (rest & 0x7f) | (rest > 0x7f ? 0x80 : 0)
    rest >>>= 7
  } while (rest > 0)
  return end
}

function readVarint(bytes: Buffer, at: number): number {
  let value = 0
  for (let i = 0; ; i++) {
    const byte = bytes[at + i] ?? 0
    value += (byte & 0x7f) << (7 * i)
    if ((byte & 0x80) === 0) return value
  }
}

/** The same packet with a Topic Alias as its first property, and without its topic where the alias has its meaning already. */
function withAlias({ bytes, afterTopic }: Template, qos: Qos, alias: number, withTopic: boolean): { readonly bytes: Buffer; readonly afterTopic: number } {
  const topicAt = afterLength(bytes)
  const topic = bytes.subarray(topicAt + 2, withTopic ? afterTopic : topicAt + 2)
  const idBytes = qos === 0 ? 0 : 2
  const before = readVarint(bytes, afterTopic + idBytes)
  const rest = bytes.subarray(afterTopic + idBytes + varintBytes(before))
  const properties = before + ALIAS_BYTES
  const length = 2 + topic.length + idBytes + varintBytes(properties) + ALIAS_BYTES + rest.length
  const made = Buffer.allocUnsafe(1 + varintBytes(length) + length)
  made[0] = bytes[0] ?? 0
  let at = made.writeUInt16BE(topic.length, writeVarint(made, length, 1))
  at += topic.copy(made, at)
  const idAt = at
  at = writeVarint(made, properties, at + idBytes)
  made[at] = TOPIC_ALIAS
  rest.copy(made, made.writeUInt16BE(alias, at + 1))
  return { bytes: made, afterTopic: idAt }
}

function stamp(bytes: Buffer, at: number, packetId: number, dup: boolean): void {
  bytes[at] = packetId >>> 8
  bytes[at + 1] = packetId & 0xff
  if (dup) bytes[0] = (bytes[0] ?? 0) | DUP
}

export function publishBytes(message: Message): PublishBytes {
  // By protocol, QoS and RETAIN; most subscribers have no identifiers.
  const plain: (Template | undefined)[] = []
  let size: PublishSize | undefined
  let identified: Map<string, Template> | undefined

  function template(protocol: Protocol, qos: Qos, retain: boolean, identifiers: readonly number[], now: EpochMs): Template {
    const slot = (protocol === 5 ? 6 : 0) + 2 * qos + (retain ? 1 : 0)
    const seconds = protocol === 5 ? secondsLeft(message.expiresAt, now) : undefined
    if (protocol === 4 || identifiers.length === 0) {
      let known = plain[slot]
      if (known === undefined || known.seconds !== seconds) {
        known = makeTemplate(message, protocol, qos, retain, identifiers, seconds)
        plain[slot] = known
      }
      return known
    }
    const key = `${slot}:${identifiers.join(',')}`
    const known = identified?.get(key)
    if (known !== undefined && known.seconds === seconds) return known
    const made = makeTemplate(message, protocol, qos, retain, identifiers, seconds)
    identified ??= new Map()
    if (identified.has(key) || identified.size < BROKER_LIMITS.templatesPerMessageMax) identified.set(key, made)
    return made
  }

  return {
    qos0: (protocol, retain, identifiers, now) => template(protocol, 0, retain, identifiers, now).bytes,
    withPacketId(protocol, qos, retain, dup, identifiers, packetId, now) {
      const { bytes, afterTopic } = template(protocol, qos, retain, identifiers, now)
      const own = Buffer.allocUnsafe(bytes.length)
      own.set(bytes)
      stamp(own, afterTopic, packetId, dup)
      return own
    },
    aliased({ qos, retain, dup, identifiers, packetId }, alias, withTopic, now) {
      const { bytes, afterTopic } = withAlias(template(5, qos, retain, identifiers, now), qos, alias, withTopic)
      if (qos > 0) stamp(bytes, afterTopic, packetId, dup)
      return bytes
    },
    wireBytes(protocol, qos, identifiers) {
      size ??= publishSize(message)
      return size(protocol, qos, identifiers)
    },
  }
}
