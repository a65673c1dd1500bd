// An application message: what a publisher said, apart from the packet it came in. The router carries it, the session
// store keeps it, the broker turns it back into packets. MQTT 5 §1.2, §3.3.

import type { CaName, DeviceId, EpochMs, SerialNumber, SessionKey } from './ids.ts'

export type Qos = 0 | 1 | 2

/** Name and value. */
export type UserProperty = readonly [name: string, value: string]

/** The properties of MQTT 5 that travel with a message to its subscribers; the rest belongs to one connection. §3.3.2.3. */
export interface MessageProperties {
  readonly payloadFormatIndicator?: boolean
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  /** In the order in which they were sent, which is kept [MQTT-3.3.2-18]; a name may occur more than once. */
  readonly userProperties?: readonly UserProperty[]
}

export interface Message {
  readonly topic: string
  readonly payload: Uint8Array
  /** As it was published; a subscriber gets it with this QoS or less. */
  readonly qos: Qos
  /** As it was published. */
  readonly retain: boolean
  readonly properties: MessageProperties | undefined
  /** The session that published it. */
  readonly publisher: SessionKey
  readonly receivedAt: EpochMs
  /** From the Message Expiry Interval; undefined: never. */
  readonly expiresAt: EpochMs | undefined
}

/** Who spoke, with which certificate: what is needed to judge a message again after its session is gone. */
export interface Publisher {
  readonly key: SessionKey
  readonly device: DeviceId
  readonly clientId: string
  readonly issuer: CaName
  readonly serial: SerialNumber
  /** The leaf certificate, DER: policy variables are read from it. */
  readonly leaf: Uint8Array
}
