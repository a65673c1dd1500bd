// How a refusal sounds on the wire: CONNACK and DISCONNECT bytes from the reason table. The device hears the public code
// and sentence; the detail stays in the audit log. It owns no connection.

import mqttPacket from 'mqtt-packet'
import { REASONS, type DenyReason } from '../vocabulary.ts'

/**
 * The same answer in words and without: in words where it fits into the client's Maximum Packet Size, without where only that
 * does, and not at all where nothing does [MQTT-3.1.2-24].
 */
function fitting(packetBytesMax: number | undefined, sentence: string | undefined, answer: (sentence: string | undefined) => Buffer): Buffer | undefined {
  for (const words of sentence === undefined ? [undefined] : [sentence, undefined]) {
    const bytes = answer(words)
    if (packetBytesMax === undefined || bytes.length <= packetBytesMax) return bytes
  }
  return undefined
}

const inWords = (sentence: string | undefined): { readonly properties?: { readonly reasonString: string } } => (sentence === undefined ? {} : { properties: { reasonString: sentence } })

/**
 * The CONNACK that refuses, in the version that the CONNECT spoke; undefined where the client takes none. MQTT 5 carries a
 * Reason String where it fits: a CONNACK may always have one [MQTT-3.1.2-29], [MQTT-3.2.2-19].
 */
export function refusalConnack(reason: DenyReason, protocol: 3 | 4 | 5, packetBytesMax?: number): Buffer | undefined {
  const { reason5, connack3, sentence } = REASONS[reason]
  if (protocol !== 5) return mqttPacket.generate({ cmd: 'connack', sessionPresent: false, returnCode: connack3 }, { protocolVersion: 4 })
  return fitting(packetBytesMax, sentence, (words) => mqttPacket.generate({ cmd: 'connack', sessionPresent: false, reasonCode: reason5, ...inWords(words) }, { protocolVersion: 5 }))
}

/**
 * The CONNACK that admits, in the version that was asked for; `properties` are those of MQTT 5. Undefined where the client
 * takes none of that size. Of what it says only the Topic Alias Maximum may be left out: the client then uses no aliases.
 */
export function connackPacket(sessionPresent: boolean, properties: Readonly<Record<string, unknown>>, protocol: 4 | 5, packetBytesMax: number | undefined): Buffer | undefined {
  if (protocol === 4) return mqttPacket.generate({ cmd: 'connack', sessionPresent, returnCode: 0 }, { protocolVersion: 4 })
  const { topicAliasMaximum: _, ...bare } = properties
  const connacks = [properties, bare].map((said) => mqttPacket.generate({ cmd: 'connack', sessionPresent, reasonCode: 0, properties: said }, { protocolVersion: 5 }))
  return connacks.find((bytes) => packetBytesMax === undefined || bytes.length <= packetBytesMax)
}

/** Codes of a CONNACK that a DISCONNECT does not have, and what it says instead: not authorized, and a fault of this server. MQTT 5 §2.4. */
const CONNACK_ONLY: Readonly<Record<number, number>> = { 0x84: 0x82, 0x85: 0x87, 0x86: 0x87, 0x88: 0x83, 0x8a: 0x87, 0x8c: 0x87 }

/** The DISCONNECT that ends a session, for MQTT 5 only: 3.1.1 has no way to say why. In words where they fit [MQTT-3.14.2-3]; undefined where nothing does. */
export function disconnectPacket(reasonCode: number, sentence: string, packetBytesMax: number | undefined): Buffer | undefined {
  return fitting(packetBytesMax, sentence, (words) => mqttPacket.generate({ cmd: 'disconnect', reasonCode: CONNACK_ONLY[reasonCode] ?? reasonCode, ...inWords(words) }, { protocolVersion: 5 }))
}

/** SUBACK: one code for each filter, in the order of the SUBSCRIBE [MQTT-3.9.3-1]. */
export function subackPacket(messageId: number, codes: readonly number[], protocol: 4 | 5): Buffer {
  return mqttPacket.generate({ cmd: 'suback', messageId, granted: [...codes] }, { protocolVersion: protocol })
}

/** UNSUBACK: one code for each filter, in the order of the UNSUBSCRIBE [MQTT-3.11.3-1]; MQTT 3.1.1 has no codes. */
export function unsubackPacket(messageId: number, codes: readonly number[], protocol: 4 | 5): Buffer {
  return mqttPacket.generate({ cmd: 'unsuback', messageId, granted: [...codes] }, { protocolVersion: protocol })
}

/**
 * PUBACK or PUBREC of MQTT 5 that refuses a message, and says why unless the client asked not to be told [MQTT-3.1.2-29] or
 * the words do not fit [MQTT-3.4.2-2]; undefined where nothing does.
 */
export function refusalAck(reason: DenyReason, cmd: 'puback' | 'pubrec', messageId: number, client: { readonly wantsWords: boolean; readonly packetBytesMax: number | undefined }): Buffer | undefined {
  const { reason5, sentence } = REASONS[reason]
  return fitting(client.packetBytesMax, client.wantsWords ? sentence : undefined, (words) => mqttPacket.generate({ cmd, messageId, reasonCode: reason5, ...inWords(words) }, { protocolVersion: 5 }))
}

/** PUBREL: the message that the peer has received is released. */
export function pubrelPacket(messageId: number, protocol: 4 | 5): Buffer {
  return mqttPacket.generate({ cmd: 'pubrel', messageId }, { protocolVersion: protocol })
}

/** PUBCOMP of MQTT 5 for a PUBREL whose packet id nobody knows: 0x92. §3.7.2.1. */
export function pubcompUnknownPacket(messageId: number): Buffer {
  return mqttPacket.generate({ cmd: 'pubcomp', messageId, reasonCode: 0x92 }, { protocolVersion: 5 })
}

/** PUBREC that accepts. */
export function pubrecPacket(messageId: number, protocol: 4 | 5): Buffer {
  return mqttPacket.generate({ cmd: 'pubrec', messageId }, { protocolVersion: protocol })
}
