// What a set of matching filters comes to: one delivery for each subscriber, made once and handed out for every message
// until a subscription changes. It knows neither topics nor how the filters were found.

import type { SessionKey } from '../core/ids.ts'
import type { Qos } from '../core/message.ts'
import type { Delivery, Route, Subscriber, SubscriptionOptions } from '../core/router.ts'
import type { TopicFilter } from '../core/topic.ts'
import type { Seat, ShareGroup } from './share-group.ts'
import type { TreeNode } from './topic-tree.ts'

export interface Member<S extends Subscriber> {
  readonly subscriber: S
  /** By filter text. */
  readonly held: Map<string, Held<S>>
  /** The last merge that met this member, and where its delivery stands in it: cheaper than a Map of thousands for each merge. */
  mergedIn: number
  slot: number
}

interface Holding<S extends Subscriber> {
  readonly filter: TopicFilter
  readonly node: TreeNode<Leaf<S>>
}

/** A subscription that is not shared. */
export interface Plain<S extends Subscriber> extends Holding<S> {
  readonly kind: 'plain'
  readonly member: Member<S>
  options: SubscriptionOptions
  /** Its place among those of its filter. */
  at: number
  /** Of this subscription alone; made when it is needed, the same for all topics. */
  delivery: Delivery<S> | undefined
}

/** A member's part in a shared subscription. */
export interface Part<S extends Subscriber> extends Holding<S> {
  readonly kind: 'shared'
  readonly group: ShareGroup<S>
  readonly seat: Seat<S>
}

export type Held<S extends Subscriber> = Plain<S> | Part<S>

/** All that hangs at one filter. */
export interface Leaf<S extends Subscriber> {
  /** Never given again. */
  readonly id: number
  /** Counts the changes that alter what it comes to. Who joins or leaves a shared subscription that stays is not one. */
  version: number
  readonly plain: Plain<S>[]
  /** By share name. */
  groups: Map<string, ShareGroup<S>> | undefined
}

export interface Merged<S extends Subscriber> {
  readonly route: Route<S>
  readonly groups: readonly ShareGroup<S>[]
  /** What its subscriber gets instead of a delivery when the message is its own; undefined: nothing. Absent where nobody asked for No Local. */
  readonly own: { readonly keys: ReadonlySet<SessionKey>; readonly instead: ReadonlyMap<Delivery<S>, Delivery<S> | undefined> } | undefined
  /** What it holds: deliveries, identifiers and filters. */
  readonly weight: number
}

const NO_IDENTIFIERS: readonly number[] = Object.freeze([])

export function deliveryFor<S extends Subscriber>(subscriber: S, { qos, retainAsPublished, identifier }: SubscriptionOptions): Delivery<S> {
  return Object.freeze({ subscriber, qos, retainAsPublished, identifiers: identifier === undefined ? NO_IDENTIFIERS : Object.freeze([identifier]) })
}

function deliveryOf<S extends Subscriber>(plain: Plain<S>): Delivery<S> {
  return (plain.delivery ??= deliveryFor(plain.member.subscriber, plain.options))
}

/** Overlapping subscriptions of one session: the highest QoS, all identifiers, and twice the same one where two filters have it. §3.3.4. */
function overlapping<S extends Subscriber>(first: Plain<S>, all: readonly Plain<S>[]): Delivery<S> {
  let qos: Qos = 0
  let retainAsPublished = false
  const identifiers: number[] = []
  for (const { options } of all) {
    if (options.qos > qos) qos = options.qos
    retainAsPublished ||= options.retainAsPublished
    if (options.identifier !== undefined) identifiers.push(options.identifier)
  }
  return Object.freeze({ subscriber: first.member.subscriber, qos, retainAsPublished, identifiers: Object.freeze(identifiers) })
}

/** The subscriptions that match, by member: alone, or as a list where there are several. */
function byMember<S extends Subscriber>(leaves: readonly Leaf<S>[], merge: number): (Plain<S> | Plain<S>[])[] {
  const slots: (Plain<S> | Plain<S>[])[] = []
  for (const { plain } of leaves) {
    for (const one of plain) {
      const { member } = one
      if (member.mergedIn !== merge) {
        member.mergedIn = merge
        member.slot = slots.length
        slots.push(one)
        continue
      }
      const before = slots[member.slot]
      if (Array.isArray(before)) before.push(one)
      else if (before !== undefined) slots[member.slot] = [before, one]
    }
  }
  return slots
}

/** `merge` is a number that no merge before had. */
export function mergeLeaves<S extends Subscriber>(leaves: readonly Leaf<S>[], merge: number): Merged<S> {
  const deliveries: Delivery<S>[] = []
  const keys = new Set<SessionKey>()
  const instead = new Map<Delivery<S>, Delivery<S> | undefined>()
  let weight = leaves.length + 1
  for (const slot of byMember(leaves, merge)) {
    const isOne = !Array.isArray(slot)
    const first = isOne ? slot : slot[0]
    if (first === undefined) continue
    const delivery = isOne ? deliveryOf(slot) : overlapping(first, slot)
    deliveries.push(delivery)
    weight += 1 + delivery.identifiers.length
    // Most sessions of a crowd have one subscription that matches, and want to hear themselves.
    if (isOne && !slot.options.noLocal) continue
    const all = isOne ? [slot] : slot
    if (!all.some(({ options }) => options.noLocal)) continue
    const rest = all.filter(({ options }) => !options.noLocal)
    keys.add(first.member.subscriber.key)
    instead.set(delivery, rest.length === 0 ? undefined : overlapping(first, rest))
    weight += 1 + delivery.identifiers.length
  }
  const groups = leaves.flatMap((leaf) => (leaf.groups === undefined ? [] : [...leaf.groups.values()]))
  weight += groups.length
  return { route: routeTo(deliveries), groups, own: keys.size === 0 ? undefined : { keys, instead }, weight }
}

/** A route without shared subscriptions. */
function routeTo<S extends Subscriber>(deliveries: Delivery<S>[]): Route<S> {
  return Object.freeze({ deliveries: Object.freeze(deliveries), shared: NO_TURNS })
}

const NO_TURNS: readonly never[] = Object.freeze([])

/** The route of a message that `publisher` said itself: No Local subscriptions of its own do not count [MQTT-3.8.3-3]. */
export function routeOfOwn<S extends Subscriber>({ route, own }: Merged<S>, publisher: SessionKey): Route<S> {
  if (own === undefined) return route
  const deliveries: Delivery<S>[] = []
  for (const delivery of route.deliveries) {
    const mine = delivery.subscriber.key === publisher && own.instead.has(delivery) ? own.instead.get(delivery) : delivery
    if (mine !== undefined) deliveries.push(mine)
  }
  return routeTo(deliveries)
}
