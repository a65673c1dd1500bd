// The bounds of a queue, and what happens at them. It owns that one policy, which every session store shares, and knows
// nothing of how a queue is kept.

import type { EpochMs, SessionKey } from '../../core/ids.ts'
import { BROKER_LIMITS } from '../../limits.ts'

/** The queue of one session, as its store keeps it. */
export interface BoundedQueue {
  readonly messages: number
  readonly bytes: number
  /** Of all sessions of the same device. */
  ownerBytes(): number
  /** Drops the oldest QoS 1 entry of stage publish that was queued before `before`. False: there is none. */
  dropOldest(before: EpochMs): boolean
  /** Appends the message and says under which sequence number. */
  append(): number
}

export interface Place {
  /** 0: it is not queued. */
  readonly sequence: number
  readonly full: boolean
  readonly dropped: number
}

/** The tenant/device of a session key: neither of the two contains a slash. */
export function ownerOf(key: SessionKey): string {
  return key.slice(0, key.indexOf('/', key.indexOf('/') + 1))
}

function exceeds(queue: BoundedQueue, bytes: number, times: number): boolean {
  return (
    queue.messages + 1 > times * BROKER_LIMITS.queueMessagesMax ||
    queue.bytes + bytes > times * BROKER_LIMITS.queueBytesPerSessionMax ||
    queue.ownerBytes() + bytes > times * BROKER_LIMITS.queueBytesPerDeviceMax
  )
}

/**
 * Finds a message of `bytes` bytes its place. A connected session is not cheated of what it was promised: over its bounds it
 * is reported, so that it can be disconnected, and only twice the bounds are the end. An absent one loses its oldest QoS 1
 * messages; QoS 2 is never dropped for the sake of something newer.
 */
export function place(queue: BoundedQueue, bytes: number, attached: boolean, now: EpochMs): Place {
  if (attached) {
    if (exceeds(queue, bytes, 2)) return { sequence: 0, full: true, dropped: 1 }
    const full = exceeds(queue, bytes, 1)
    return { sequence: queue.append(), full, dropped: 0 }
  }
  let dropped = 0
  const tooOld = now - 1_000 * BROKER_LIMITS.queueAgeSecondsMax
  while (queue.dropOldest(tooOld)) dropped++
  while (exceeds(queue, bytes, 1)) {
    if (!queue.dropOldest(Infinity)) return { sequence: 0, full: false, dropped: dropped + 1 }
    dropped++
  }
  return { sequence: queue.append(), full: false, dropped }
}
