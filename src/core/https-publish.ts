// What the door where messages are posted over HTTPS and the engine that publishes them say to each other: who is there, what is to be
// published, and what became of it. Plain data: it goes from one thread to another.

import type { Source } from './audit.ts'
import type { Decision } from './decision.ts'
import type { DeviceId } from './ids.ts'
import type { MessageProperties } from './message.ts'
import type { TlsVersion } from './policy/document.ts'

/** What a peer showed in its handshake. It has proven that it holds the key of the leaf. */
export interface Shown {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** OpenSSL's verdict on the chain; undefined where it verified. */
  readonly failure: string | undefined
  readonly source: Source
  readonly tls: TlsVersion
}

/** One connection whose peer was judged and may publish. No number is used twice while the program runs. */
export type CallerId = number

export interface Caller {
  readonly id: CallerId
  readonly device: DeviceId
}

/** A message as it was asked for. */
export interface Post {
  readonly topic: string
  readonly qos: 0 | 1
  readonly retain: boolean
  readonly payload: Uint8Array
  readonly properties: MessageProperties | undefined
  readonly expirySeconds: number | undefined
}

/** `ends`: the connection is to be closed once this is said. */
export interface Posted {
  readonly decision: Decision<void>
  readonly ends: boolean
}

/** Who publishes what is posted. All refusals of its own it has recorded by itself. */
export interface PublishDesk {
  /** Reasons: those of handshake, certificate and registry at MQTT's door; connect-rate, no-grant, client-id-mismatch, sessions-limit, publish-busy. */
  introduce(shown: Shown): Promise<Decision<Caller>>
  /**
   * Judges the caller anew, then the message. Allowed: everybody who is connected has been handed it, and, of QoS 1 or retained, it is stored for
   * whoever must not lose it. Reasons besides those above: those of a PUBLISH; publish-throttled, packet-too-large, store-unavailable.
   */
  publish(caller: CallerId, post: Post): Promise<Posted>
  /** The connection is closed. */
  gone(caller: CallerId): void
  /** All connections are. */
  allGone(): void
  /** To be told of callers that may speak no longer: their connections are to be closed now. One listener at a time. */
  onEnd(listener: (caller: CallerId) => void): void
  /** A body of more than this is not read. */
  readonly packetBytesMax: number
}
