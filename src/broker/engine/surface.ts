// The part of aedes 2.0.0-beta.1 that its declarations do not show and that the hardening needs, declared once. Every
// field here was read in its source; an upgrade of aedes starts by reading this file again. No aedes type leaves broker/.

import type { EventEmitter } from 'node:events'
import type { Duplex, Readable } from 'node:stream'

/** A PUBLISH of a client, as the engine hands it to be authorised. */
export interface EnginePacket {
  cmd: string
  topic: string
  payload: Uint8Array | string
  qos: 0 | 1 | 2
  retain: boolean
  messageId?: number | undefined
  properties?: Record<string, unknown> | undefined
}

export interface EngineWill {
  topic: string
  payload: Uint8Array | string
  qos: 0 | 1 | 2
  retain: boolean
  properties?: Record<string, unknown>
}

/** A filter of a SUBSCRIBE, with the options of MQTT 5 §3.8.3.1, and as the engine stores and restores it. */
export interface EngineSubscription {
  topic: string
  qos: 0 | 1 | 2
  /** No Local. */
  nl?: boolean
  /** Retain As Published. */
  rap?: boolean
  /** Retain Handling. */
  rh?: number
  subscriptionIdentifier?: number
}

/** What the engine keeps of a subscription of a connected client. */
export interface HeldSubscription {
  qos: 0 | 1 | 2
  nl?: boolean
  rap?: boolean
  rh?: number
  /** Subscription Identifier. */
  si?: number
}

/** The CONNACK that the engine has worded. */
export interface EngineConnack {
  cmd: 'connack'
  sessionPresent: boolean
  reasonCode?: number
  returnCode?: number
  properties?: Record<string, unknown>
}

/** Any packet a client sends, as mqtt-packet parses it. */
export interface WirePacket {
  cmd: string
  /** Remaining Length, as announced. */
  length?: number
  protocolId?: string
  /** The parser takes the high bit off the protocol level and remembers it here. */
  bridgeMode?: boolean
  messageId?: number
  /** Of PUBACK, PUBREC, PUBREL, PUBCOMP and DISCONNECT of MQTT 5. */
  reasonCode?: number
  topic?: string
  qos?: 0 | 1 | 2
  retain?: boolean
  subscriptions?: EngineSubscription[]
  unsubscriptions?: string[]
  clientId?: string
  clean?: boolean
  keepalive?: number
  protocolVersion?: number
  username?: string
  password?: Uint8Array
  will?: EngineWill
  properties?: Record<string, unknown> & { sessionExpiryInterval?: number; authenticationMethod?: string }
}

export interface EngineParser extends EventEmitter {
  /** Where the parser stands in the packet it emits. */
  _pos: number
  parse(bytes: Uint8Array): number
  _parseStringPair(): { readonly name: string | null; readonly value: string | null }
  _parseProperties(): object | false
  listeners(event: string): Array<(packet: WirePacket) => void>
}

export interface EngineClient extends EventEmitter {
  id: string
  closed: boolean
  connected: boolean
  connecting: boolean
  connackSent: boolean
  clean: boolean
  version: number
  sessionExpiryInterval: number
  conn: Duplex
  will: EngineWill | null
  subscriptions: Record<string, HeldSubscription>
  duplicates: Record<string, number>
  /** The engine reaches its store, router and Wills through this: engine/seat.ts puts our own in place. */
  broker: EngineCore
  /** What CONNECT asked for; undefined: nothing. The engine stores them and obeys neither. */
  receiveMaximum: number
  maximumPacketSize: number | undefined
  /** Packets of the chunk in hand that are not done; below 1 the next chunk is read. */
  _parsingBatch: number
  _nextBatch(): void
  _will: EngineWill | null
  _parser: EngineParser
  _keepaliveTimer: NodeJS.Timeout | null
  /** A DISCONNECT came. */
  _disconnected: boolean
  _serverKeepAlive?: number
  _assignedClientId?: string | undefined
  /** What CONNECT asked for, before it was lowered. */
  _connectSessionExpiryInterval: number
  /** False where the client asked for no Reason Strings. MQTT 5 §3.1.2.11.7. */
  _requestProblemInformation: boolean
  _sessionExpiryClamped: boolean
  waitForDrain(callback: (error?: Error | null, client?: unknown) => void): void
  /** Without a packet id nothing is acknowledged. */
  subscribe(packet: { subscriptions: EngineSubscription[]; properties?: Record<string, unknown> }, done: (error?: Error | null) => void): void
  /** Without a packet id the store is not asked and nothing is acknowledged. */
  unsubscribe(packet: { unsubscriptions: string[] }, done: (error?: Error | null) => void): void
  close(done?: () => void): void
}

/**
 * What the engine asks of a store on behalf of one connected client. It asks for more (retained messages, offline queues) when
 * it routes; it does not route here.
 */
export interface EngineStore {
  /** Before a clean start. */
  cleanSubscriptions(): Promise<void>
  /** Where the start is not clean. None: there is no session to resume. */
  subscriptionsByClient(): Promise<EngineSubscription[]>
  addSubscriptions(): Promise<void>
  removeSubscriptions(): Promise<void>
  /** For the filters of a SUBSCRIBE that get what is retained. */
  createRetainedStreamCombi(patterns: string[]): Readable
  /** PUBREC came, and this PUBREL will go. */
  outgoingUpdate(client: unknown, pubrel: { messageId: number }): Promise<void>
  /** PUBACK or PUBCOMP came, or a PUBREC that refuses. */
  outgoingClearMessageId(client: unknown, packet: { messageId: number }): Promise<void>
  /** What waited, at CONNECT. */
  outgoingStream(): Readable
  /** PUBLISH of QoS 2, PUBREL: rejects when there is no such exchange. */
  incomingGetPacket(client: unknown, packet: { cmd: string; messageId: number }): Promise<object>
  incomingStorePacket(): Promise<void>
  /** PUBREL came for an exchange that is open. */
  incomingDelPacket(client: unknown, packet: { messageId: number }): Promise<void>
  putWill(client: unknown, will: EngineWill): Promise<void>
  delWill(): Promise<void>
}

export interface EngineCore extends EventEmitter {
  id: string
  closed: boolean
  clients: Record<string, EngineClient>
  brokers: Record<string, unknown>
  handle(stream: Duplex): EngineClient
  close(done: () => void): void
}

/** MQTT 5 §2.4: reason codes from here on say that something failed. */
export const FIRST_FAILURE_CODE = 0x80

/** Ordinary ends of a connection that the engine reports as errors. */
export const ORDINARY_ENDS: ReadonlySet<string> = new Set(['keep alive timeout', 'connection closed', 'connect did not arrive in time'])
