// How a refusal sounds on the wire: CONNACK and DISCONNECT bytes from the reason table. The device hears the public code
// and sentence; the detail stays in the audit log. It owns no connection.

import mqttPacket from 'mqtt-packet'
import { REASONS, type DenyReason } from '../vocabulary.ts'

/**
 * The CONNACK that refuses, in the version that the CONNECT spoke. MQTT 5 carries a Reason String: a CONNACK may always
 * have one [MQTT-3.1.2-29].
 */
export function refusalConnack(reason: DenyReason, protocol: 3 | 4 | 5): Buffer {
  const answer = REASONS[reason]
  return protocol === 5
    ? mqttPacket.generate(
        { cmd: 'connack', sessionPresent: false, reasonCode: answer.reason5, properties: { reasonString: answer.sentence } },
        { protocolVersion: 5 },
      )
    : mqttPacket.generate({ cmd: 'connack', sessionPresent: false, returnCode: answer.connack3 }, { protocolVersion: 4 })
}

/** The DISCONNECT that ends a session, for MQTT 5 only: 3.1.1 has no way to say why. */
export function disconnectPacket(reasonCode: number, sentence: string): Buffer {
  return mqttPacket.generate({ cmd: 'disconnect', reasonCode, properties: { reasonString: sentence } }, { protocolVersion: 5 })
}

/** SUBACK: one code for each filter, in the order of the SUBSCRIBE [MQTT-3.9.3-1]. */
export function subackPacket(messageId: number, codes: readonly number[], protocol: 4 | 5): Buffer {
  return mqttPacket.generate({ cmd: 'suback', messageId, granted: [...codes] }, { protocolVersion: protocol })
}

/** PUBACK or PUBREC of MQTT 5 that refuses a message, and says why unless the client asked not to be told [MQTT-3.1.2-29]. */
export function refusalAck(reason: DenyReason, cmd: 'puback' | 'pubrec', messageId: number, inWords: boolean): Buffer {
  const { reason5, sentence } = REASONS[reason]
  return mqttPacket.generate({ cmd, messageId, reasonCode: reason5, ...(inWords ? { properties: { reasonString: sentence } } : {}) }, { protocolVersion: 5 })
}

/** PUBREC that accepts. */
export function pubrecPacket(messageId: number, protocol: 4 | 5): Buffer {
  return mqttPacket.generate({ cmd: 'pubrec', messageId }, { protocolVersion: protocol })
}
