// What the outbound of one session is handed: how messages come to it, what its client takes, and whom it asks and tells.

import type { DenyReason } from '../../vocabulary.ts'
import type { Denied } from '../../core/decision.ts'
import type { EpochMs } from '../../core/ids.ts'
import type { Qos } from '../../core/message.ts'
import type { QueuedMessage, SessionChange } from '../../core/session-store.ts'
import type { Traffic } from '../../core/traffic.ts'
import type { Session } from '../sessions.ts'
import type { Output } from './output.ts'

/** How one session gets a message. */
export interface Handing {
  readonly qos: Qos
  /** The RETAIN flag to send it with. */
  readonly retain: boolean
  readonly identifiers: readonly number[]
}

/** What the client said in its CONNECT. MQTT 5 §3.1.2.11. */
export interface ClientBounds {
  /** 65,535 where it said nothing. */
  readonly receiveMaximum: number
  readonly packetBytesMax: number | undefined
  readonly topicAliasMaximum: number
}

export interface OutboundPorts {
  readonly session: Session
  readonly output: Output
  readonly bounds: ClientBounds
  readonly clock: () => EpochMs
  readonly traffic: Traffic
  /** Writes to the store without waiting; a failure is reported there. */
  keep(change: SessionChange): void
  /** A page of the queue of a kept session. */
  read(after: number): Promise<{ readonly items: readonly QueuedMessage[]; readonly complete: boolean }>
  /** The session must end: it does not take what it asked for. */
  onFault(fault: Denied): void
  /** A message may not be delivered to this session any longer. */
  onWithheld(topic: string, reason: DenyReason): void
}
