// What the data plane counts while it works: plain numbers, which cost it nothing, and which are read when somebody looks. They
// only grow. How they are called outside is the business of observe/.

import type { Qos } from './message.ts'

export interface Traffic {
  /** Connections whose handshake was completed, with a peer that may go on to CONNECT; and those of them that are closed. */
  opened: number
  closed: number
  /** Messages that were allowed, by QoS: PUBLISH packets, and those that were posted over HTTPS. */
  readonly received: [number, number, number]
  /** PUBLISH packets written to clients, by QoS. */
  readonly sent: [number, number, number]
  /** Of MQTT, before TLS. */
  bytesReceived: number
  bytesSent: number
  /** Messages of QoS 0 that a slow reader did not get. */
  droppedQos0: number
  /** Messages that the full queues of sessions that are away have lost. */
  droppedQueued: number
}

export function newTraffic(): Traffic {
  return { opened: 0, closed: 0, received: [0, 0, 0], sent: [0, 0, 0], bytesReceived: 0, bytesSent: 0, droppedQos0: 0, droppedQueued: 0 }
}

/** One more of this QoS. */
export function countByQos(counts: [number, number, number], qos: Qos): void {
  counts[qos] += 1
}

/** What takes time, and is worth knowing how long: each is a histogram outside. */
export const TIMED = ['revocation-closed', 'signature', 'registry-commit', 'session-commit'] as const
export type Timed = (typeof TIMED)[number]

/** Takes note of how long something took, in seconds. */
export type Timing = (what: Timed, seconds: number) => void
