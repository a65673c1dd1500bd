// The members of one shared subscription and whose turn it is. They sit in a ring: whoever was served is asked last, who
// joins sits down last, and who leaves takes nobody else's turn. It knows no topics but to ask whether one is welcome. MQTT 5 §4.8.2.

import type { Delivery, Subscriber } from '../core/router.ts'

/** What one turn comes to; made once for each member, handed out at each of its turns. */
export interface Turn<S extends Subscriber> {
  /** `$share/group/filter`. */
  readonly filter: string
  readonly delivery: Delivery<S> | undefined
}

/** A member's place in the ring. A new one is a ring of its own. */
class Seat<S extends Subscriber> {
  turn: Turn<S>
  subscriber: S
  next: Seat<S> = this
  previous: Seat<S> = this
  /** Has left. Its `next` still leads on, for whoever is on the way around. */
  isGone = false

  constructor(filter: string, delivery: Delivery<S>) {
    this.subscriber = delivery.subscriber
    this.turn = Object.freeze({ filter, delivery })
  }
}
export type { Seat }

export interface ShareGroup<S extends Subscriber> {
  readonly filter: string
  readonly nobody: Turn<S>
  /** Who is asked next. */
  first: Seat<S> | undefined
  size: number
}

export function openShareGroup<S extends Subscriber>(filter: string): ShareGroup<S> {
  return { filter, nobody: Object.freeze({ filter, delivery: undefined }), first: undefined, size: 0 }
}

export function sitDown<S extends Subscriber>(group: ShareGroup<S>, delivery: Delivery<S>): Seat<S> {
  const seat = new Seat(group.filter, delivery)
  if (group.first !== undefined) {
    seat.next = group.first
    seat.previous = group.first.previous
    seat.previous.next = seat
    seat.next.previous = seat
  }
  group.first ??= seat
  group.size++
  return seat
}

/** A member asks for other options: its place stays. */
export function changeSeat<S extends Subscriber>(group: ShareGroup<S>, seat: Seat<S>, delivery: Delivery<S>): void {
  seat.turn = Object.freeze({ filter: group.filter, delivery })
}

export function standUp<S extends Subscriber>(group: ShareGroup<S>, seat: Seat<S>): void {
  if (seat.isGone) return
  seat.isGone = true
  seat.previous.next = seat.next
  seat.next.previous = seat.previous
  group.size--
  if (group.first === seat) group.first = group.size === 0 ? undefined : seat.next
}

/**
 * The next member who is willing; it is asked last from now on. Whoever is asked may leave, or make others leave or join,
 * before it answers: a session that turns out to be stalled is ended there and then.
 */
export function takeTurn<S extends Subscriber>(group: ShareGroup<S>, topic: string): Turn<S> {
  let seat = group.first
  for (let asks = group.size; asks > 0 && seat !== undefined; asks--) {
    if (seat.subscriber.isWilling(topic) && !seat.isGone) {
      group.first = seat.next
      return seat.turn
    }
    seat = following(group, seat)
  }
  return group.nobody
}

/** The next member after one who may have left meanwhile, as may those after it. */
function following<S extends Subscriber>(group: ShareGroup<S>, from: Seat<S>): Seat<S> | undefined {
  let seat = from.next
  // Who left pointed at somebody who was there then; only the last of all pointed at itself, and others may have come since.
  while (seat.isGone) {
    if (seat.next === seat) return group.first
    seat = seat.next
  }
  return seat
}
