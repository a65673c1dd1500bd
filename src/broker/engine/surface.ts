// The part of aedes 2.0.0-beta.1 that its declarations do not show and that the hardening needs, declared once. Every
// field here was read in its source; an upgrade of aedes starts by reading this file again. No aedes type leaves broker/.

import type { EventEmitter } from 'node:events'
import type { TLSSocket } from 'node:tls'
import type { Readable } from 'node:stream'

/** A message as it travels inside the engine. */
export interface EnginePacket {
  cmd: string
  topic: string
  payload: Uint8Array | string
  qos: 0 | 1 | 2
  retain: boolean
  messageId?: number | undefined
  dup?: boolean
  brokerId?: string | null
  brokerCounter?: number
  /** The session key of the publisher, where the engine or we have set it. */
  clientId?: string
  properties?: Record<string, unknown> | undefined
}

export interface EngineWill {
  topic: string
  payload: Uint8Array | string
  qos: 0 | 1 | 2
  retain: boolean
  properties?: Record<string, unknown>
}

export interface EngineSubscription {
  topic: string
  qos: 0 | 1 | 2
}

/** A subscription of a session that is kept, as the store matches it. */
export interface StoredSubscription {
  clientId: string
  topic: string
  qos: number
  /** No Local. MQTT 5 §3.8.3.1. */
  nl?: boolean
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
  topic?: string
  qos?: 0 | 1 | 2
  subscriptions?: EngineSubscription[]
  unsubscriptions?: string[]
  clientId?: string
  clean?: boolean
  keepalive?: number
  protocolVersion?: number
  username?: string
  will?: EngineWill
  properties?: Record<string, unknown> & { sessionExpiryInterval?: number; authenticationMethod?: string }
}

export interface EngineParser extends EventEmitter {
  /** Where the parser stands in the packet it emits. */
  _pos: number
  parse(bytes: Uint8Array): number
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
  conn: TLSSocket
  will: EngineWill | null
  subscriptions: Record<string, EngineSubscription>
  duplicates: Record<string, number>
  _will: EngineWill | null
  _parser: EngineParser
  _keepaliveTimer: NodeJS.Timeout | null
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
  close(done?: () => void): void
}

/** The client itself, where the store keeps what belongs to its connection. */
export interface StoreClient {
  id: string
  clean?: boolean
}

/** The store that the engine calls; every method is called on `engine.persistence` at the moment of use. */
export interface EngineStore {
  setup(broker: unknown): Promise<void>
  storeRetained(packet: EnginePacket): Promise<void>
  createRetainedStream(pattern: string): Readable
  createRetainedStreamCombi(patterns: string[]): Readable
  addSubscriptions(client: { id: string }, subscriptions: EngineSubscription[]): Promise<void>
  removeSubscriptions(client: { id: string }, topics: string[]): Promise<void>
  subscriptionsByClient(client: { id: string }): Promise<EngineSubscription[]>
  subscriptionsByTopic(topic: string): Promise<StoredSubscription[]>
  cleanSubscriptions(client: { id: string }): Promise<void>
  outgoingEnqueue(subscription: { clientId: string }, packet: EnginePacket): Promise<void>
  outgoingEnqueueCombi(subscriptions: StoredSubscription[], packet: EnginePacket): Promise<void>
  outgoingUpdate(client: { id: string }, packet: EnginePacket): Promise<void>
  outgoingClearMessageId(client: { id: string }, packet: EnginePacket): Promise<EnginePacket | undefined>
  outgoingStream(client: { id: string }): Readable
  incomingStorePacket(client: StoreClient, packet: EnginePacket): Promise<void>
  incomingGetPacket(client: StoreClient, packet: { messageId?: number }): Promise<EnginePacket>
  incomingDelPacket(client: StoreClient, packet: { messageId?: number }): Promise<void>
  putWill(client: { id: string }, packet: EngineWill): Promise<void>
  getWill(client: { id: string }): Promise<EngineWill | undefined>
  delWill(client: { id: string; brokerId?: string }): Promise<EngineWill | undefined>
  streamWill(brokers: Record<string, unknown>): Readable
  destroy?(): Promise<void>
}

export interface EngineCore extends EventEmitter {
  id: string
  closed: boolean
  clients: Record<string, EngineClient>
  brokers: Record<string, unknown>
  connectedClients: number
  persistence: EngineStore
  handle(socket: TLSSocket): EngineClient
  clearDelayedWill(clientId: string): void
  /** Called when a client is gone: keeps its session, ends it, or ends it later. */
  scheduleSessionExpiry(client: EngineClient): void
  clearSessionExpiry(clientId: string): void
  close(done: () => void): void
}
