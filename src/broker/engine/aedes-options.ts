// What the engine is told when it is made: bounds that are ours, hooks that are ours, and nothing in the places where it would route
// and store by itself. No aedes type leaves this folder.

import type { AedesOptions } from 'aedes'
import { BROKER_LIMITS } from '../../limits.ts'

/** `hooks`: preConnect, authenticate and the authorize… of aedes. */
export function engineOptions(hooks: object): AedesOptions {
  // Our hooks speak of the surface that we declared; the engine's declarations know less of it.
  return { ...OPTIONS, mq: NO_ROUTER, persistence: NO_STORE, ...hooks }
}

const OPTIONS = {
  concurrency: 0,
  queueLimit: BROKER_LIMITS.packetsBeforeConnackMax, // trap 16
  // The engine sees session keys; the length of what a client sends is judged at CONNECT.
  maxClientsIdLength: Number.MAX_SAFE_INTEGER,
  maxTopicLevels: BROKER_LIMITS.topicLevelsMax + 2, // `$shared/group/` before a filter
  topicAliasMaximum: BROKER_LIMITS.topicAliasMaximum,
  receiveMaximum: BROKER_LIMITS.receiveMaximum,
  sessionExpiryIntervalLimit: BROKER_LIMITS.sessionExpirySecondsMax,
  // Of each connection the frame guard knows what it may send, before the engine sees anything; this one is a second net.
  maximumPacketSize: BROKER_LIMITS.outboundBytesMax,
  // Our deadline comes first and says why; this one is a second net.
  connectTimeout: 2 * BROKER_LIMITS.connectMs,
} as const

/**
 * The engine's own emitter and store: every client has a seat (seat.ts) with ours, so that these are asked by the engine's
 * housekeeping alone. mqemitter recurses and stalls (traps 3 and 12); neither has anything to do here.
 */
const NO_ROUTER = { on: (_topic: string, _listener: unknown, done?: () => void) => done?.(), removeListener: (_topic: string, _listener: unknown, done?: () => void) => done?.(), emit: (_packet: unknown, done?: () => void) => done?.(), close: (done?: () => void) => done?.() } as unknown as NonNullable<AedesOptions['mq']>
const NO_STORE = { async setup() {}, async storeRetained() {}, async *streamWill() {} } as unknown as NonNullable<AedesOptions['persistence']>
