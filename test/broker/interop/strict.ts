// A reader of what a server sends that forgives nothing: every frame of MQTT 3.1.1 or 5 is taken apart by hand to its last
// byte, by the tables of the two specifications. What a lenient client library would skip (a property that does not belong,
// a byte too many, a reserved bit) ends the test. It knows no connection and no broker.

import { TYPE, type RawFrame, type TypeName } from '../conformance/raw.ts'
import type { Version } from '../wire.ts'

type Kind = 'byte' | 'u16' | 'u32' | 'varint' | 'text' | 'bytes' | 'pair'
export type PropertyValue = number | string | Buffer | readonly [string, string]
/** What one packet carries, by the names of MQTT 5 §2.2.2.2; a list, because two of them may stand more than once. */
export type Properties = Readonly<Record<string, readonly PropertyValue[]>>

export interface Packet {
  readonly type: TypeName
  readonly dup: boolean
  readonly qos: number
  readonly retain: boolean
  /** 0 where the packet has none. */
  readonly packetId: number
  readonly topic: string
  readonly payload: string
  readonly sessionPresent: boolean
  /** One for each filter in SUBACK and UNSUBACK; one, or none, in others. */
  readonly codes: readonly number[]
  readonly properties: Properties
  /** Bytes behind the fixed header. */
  readonly length: number
}

const ACKS = ['puback', 'pubrec', 'pubrel', 'pubcomp', 'suback', 'unsuback'] as const
const EVERYWHERE: readonly TypeName[] = ['connack', 'publish', ...ACKS, 'disconnect']

/** What a server may send, and in which packets. MQTT 5 §2.2.2.2. */
const PROPERTIES: Readonly<Record<number, readonly [string, Kind, readonly TypeName[]]>> = {
  1: ['payloadFormatIndicator', 'byte', ['publish']],
  2: ['messageExpiryInterval', 'u32', ['publish']],
  3: ['contentType', 'text', ['publish']],
  8: ['responseTopic', 'text', ['publish']],
  9: ['correlationData', 'bytes', ['publish']],
  11: ['subscriptionIdentifier', 'varint', ['publish']],
  17: ['sessionExpiryInterval', 'u32', ['connack']], // in DISCONNECT for clients only [MQTT-3.14.2-2]
  18: ['assignedClientIdentifier', 'text', ['connack']],
  19: ['serverKeepAlive', 'u16', ['connack']],
  26: ['responseInformation', 'text', ['connack']],
  28: ['serverReference', 'text', ['connack', 'disconnect']],
  31: ['reasonString', 'text', ['connack', ...ACKS, 'disconnect']],
  33: ['receiveMaximum', 'u16', ['connack']],
  34: ['topicAliasMaximum', 'u16', ['connack']],
  35: ['topicAlias', 'u16', ['publish']],
  36: ['maximumQos', 'byte', ['connack']],
  37: ['retainAvailable', 'byte', ['connack']],
  38: ['userProperty', 'pair', EVERYWHERE],
  39: ['maximumPacketSize', 'u32', ['connack']],
  40: ['wildcardSubscriptionAvailable', 'byte', ['connack']],
  41: ['subscriptionIdentifiersAvailable', 'byte', ['connack']],
  42: ['sharedSubscriptionAvailable', 'byte', ['connack']],
}
const MAY_REPEAT: ReadonlySet<string> = new Set(['userProperty', 'subscriptionIdentifier'])

const MESSAGE_CODES = [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
/** The reason codes of MQTT 5 that a server may send. §2.4. */
const CODES: Readonly<Partial<Record<TypeName, readonly number[]>>> = {
  connack: [0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f],
  puback: MESSAGE_CODES,
  pubrec: MESSAGE_CODES,
  pubrel: [0, 0x92],
  pubcomp: [0, 0x92],
  suback: [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
  unsuback: [0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
  disconnect: [0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
}
const FROM_SERVER: Readonly<Record<Version, readonly TypeName[]>> = {
  4: ['connack', 'publish', ...ACKS, 'pingresp'],
  5: ['connack', 'publish', ...ACKS, 'pingresp', 'disconnect'],
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  take(count: number): Buffer {
    if (count > this.left) throw new Error(`${count} bytes wanted, ${this.left} left`)
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }

  uint(bytes: 1 | 2 | 4): number {
    return this.take(bytes).readUIntBE(0, bytes)
  }

  varint(): number {
    let value = 0
    for (let i = 0; i < 4; i++) {
      const byte = this.uint(1)
      value += (byte & 127) * 128 ** i
      if ((byte & 128) === 0) {
        // The fewest bytes [MQTT-1.5.5-1].
        if (i > 0 && byte === 0) throw new Error('a number in more bytes than it needs')
        return value
      }
    }
    throw new Error('a number of more than four bytes')
  }

  text(): string {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(this.uint(2)))
    if (text.includes('\0')) throw new Error('NUL in a text')
    return text
  }
}

function readValue(reader: Reader, kind: Kind): PropertyValue {
  switch (kind) {
    case 'byte': return reader.uint(1)
    case 'u16': return reader.uint(2)
    case 'u32': return reader.uint(4)
    case 'varint': return reader.varint()
    case 'text': return reader.text()
    case 'bytes': return Buffer.from(reader.take(reader.uint(2)))
    case 'pair': return [reader.text(), reader.text()]
  }
}

function readProperties(reader: Reader, type: TypeName): Properties {
  const within = new Reader(reader.take(reader.varint()))
  const found: Record<string, PropertyValue[]> = {}
  while (within.left > 0) {
    const id = within.varint()
    const row = PROPERTIES[id]
    if (row === undefined) throw new Error(`property ${id} is none that a server sends`)
    const [name, kind, packets] = row
    if (!packets.includes(type)) throw new Error(`${name} does not belong into ${type}`)
    if (found[name] !== undefined && !MAY_REPEAT.has(name)) throw new Error(`${name} twice`)
    ;(found[name] ??= []).push(readValue(within, kind))
  }
  return found
}

function typeOf(frame: RawFrame, version: Version): TypeName {
  const type = FROM_SERVER[version].find((name) => TYPE[name] === frame.first >> 4)
  if (type === undefined) throw new Error('a packet that no server sends')
  if (type !== 'publish' && (frame.first & 15) !== (type === 'pubrel' ? 2 : 0)) throw new Error(`reserved bits of ${type} are set`)
  return type
}

/** Takes one frame apart; throws where it is not exactly what the specification draws. */
export function readStrictly(frame: RawFrame, version: Version): Packet {
  try {
    return read(frame, version)
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : 'unreadable'}, in the frame ${frame.hex}`, { cause: error })
  }
}

function read(frame: RawFrame, version: Version): Packet {
  const type = typeOf(frame, version)
  const reader = new Reader(frame.body)
  const nothing: Packet = { type, dup: false, qos: 0, retain: false, packetId: 0, topic: '', payload: '', sessionPresent: false, codes: [], properties: {}, length: frame.body.length }
  const packet = type === 'publish' ? readPublish(reader, frame.first, version, nothing) : { ...nothing, ...readAnswer(reader, type, version) }
  if (reader.left > 0) throw new Error(`${reader.left} bytes behind the end of ${type}`)
  const codes = CODES[type]
  if (version === 5 && codes !== undefined && packet.codes.some((code) => !codes.includes(code))) throw new Error(`a reason code that ${type} does not have`)
  return packet
}

function readPublish(reader: Reader, first: number, version: Version, nothing: Packet): Packet {
  const [dup, qos, retain] = [(first & 8) !== 0, (first >> 1) & 3, (first & 1) !== 0]
  if (qos === 3 || (qos === 0 && dup)) throw new Error('QoS and DUP do not go together')
  const topic = reader.text()
  if (/[+#]/.test(topic)) throw new Error('a wildcard in a topic name')
  const packetId = qos === 0 ? 0 : readPacketId(reader)
  const properties = version === 5 ? readProperties(reader, 'publish') : {}
  if (topic === '' && properties['topicAlias'] === undefined) throw new Error('neither a topic nor an alias')
  if (properties['topicAlias']?.[0] === 0 || properties['subscriptionIdentifier']?.includes(0) === true) throw new Error('an alias or an identifier is 0')
  return { ...nothing, dup, qos, retain, topic, packetId, properties, payload: reader.take(reader.left).toString() }
}

function readPacketId(reader: Reader): number {
  const packetId = reader.uint(2)
  if (packetId === 0) throw new Error('packet id 0')
  return packetId
}

function readAnswer(reader: Reader, type: TypeName, version: Version): Partial<Packet> {
  if (type === 'pingresp') return {}
  if (type === 'connack') {
    const flags = reader.uint(1)
    if (flags > 1) throw new Error('acknowledge flags that are reserved')
    const code = reader.uint(1)
    if (version === 4 && code > 5) throw new Error('a return code that CONNACK does not have')
    if (code !== 0 && flags !== 0) throw new Error('a session is present and refused')
    return { sessionPresent: flags === 1, codes: [code], properties: version === 5 ? readProperties(reader, type) : {} }
  }
  if (type === 'disconnect') return readEnd(reader, type)
  const packetId = readPacketId(reader)
  if (type === 'suback' || (type === 'unsuback' && version === 5)) {
    const properties = version === 5 ? readProperties(reader, type) : {}
    const codes = [...reader.take(reader.left)]
    if (codes.length === 0) throw new Error(`${type} without a code`)
    if (version === 4 && codes.some((code) => ![0, 1, 2, 0x80].includes(code))) throw new Error('a return code that SUBACK does not have')
    return { packetId, codes, properties }
  }
  return { packetId, ...(version === 5 ? readEnd(reader, type) : {}) }
}

/** Reason code and properties, which may be left out from behind: 0, and none. */
function readEnd(reader: Reader, type: TypeName): Pick<Packet, 'codes' | 'properties'> {
  const code = reader.left > 0 ? reader.uint(1) : 0
  return { codes: [code], properties: reader.left > 0 ? readProperties(reader, type) : {} }
}
