// The router's contract: which connected sessions a message goes to. It matches and merges; whether a session may receive
// is asked of the session, and what is written to it is its own business. In-process half: router/memory.ts.

import type { SessionKey } from './ids.ts'
import type { Qos } from './message.ts'
import type { TopicFilter } from './topic.ts'

/** A connected session, as the router sees it. */
export interface Subscriber {
  readonly key: SessionKey
  /** Could it take a message of this topic now? Asked of the members of a shared subscription, in turn. */
  isWilling(topic: string): boolean
}

export interface SubscriptionOptions {
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** Subscription Identifier. */
  readonly identifier: number | undefined
}

/** One message to one session: overlapping subscriptions are one delivery with the highest QoS [MQTT-3.3.4-2]. */
export interface Delivery<S extends Subscriber> {
  readonly subscriber: S
  /** The highest QoS of the subscriptions that match; not yet bounded by that of the message. */
  readonly qos: Qos
  /** One of them asked for Retain As Published. */
  readonly retainAsPublished: boolean
  /** All of their identifiers [MQTT-3.3.4-3], [MQTT-3.3.4-4]. */
  readonly identifiers: readonly number[]
}

export interface Route<S extends Subscriber> {
  readonly deliveries: readonly Delivery<S>[]
  /** Shared subscriptions that match: `$share/group/filter`, and the delivery to the member whose turn it is; undefined: none is willing. */
  readonly shared: readonly { readonly filter: string; readonly delivery: Delivery<S> | undefined }[]
}

/** Synchronous; matching does not recurse and costs the levels of the topic and the matches, not the subscriptions. */
export interface Router<S extends Subscriber> {
  /** Adds, or replaces the one with the same filter text. */
  subscribe(subscriber: S, filter: TopicFilter, options: SubscriptionOptions): void
  /** False: there was no such subscription. */
  unsubscribe(subscriber: S, filter: TopicFilter): boolean
  /** All subscriptions of this one go. */
  remove(subscriber: S): void
  /** Where a message of `publisher` on this topic name goes: No Local leaves out the publisher's own [MQTT-3.8.3-3]. Moves the turn of the shared subscriptions. */
  route(topic: string, publisher: SessionKey): Route<S>
  readonly subscriptionCount: number
}
