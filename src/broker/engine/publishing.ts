// The path of a message that was judged and may be published: to the connected sessions at once, to the store for everyone
// and everything that must not lose it, and only then is it acknowledged (traps 10 and 12). Kept sessions get it when it
// is durable: so a message of QoS 2 is never sent under a packet id that a crash could forget.

import { SHARE_ROOT } from '../../core/topic.ts'
import type { SessionKey } from '../../core/ids.ts'
import type { Message, Publisher, Qos } from '../../core/message.ts'
import type { Delivery, Route, Router } from '../../core/router.ts'
import type { Holder, SessionChange, SessionsCommitted, SessionStore, Target } from '../../core/session-store.ts'
import type { Holders } from './holders.ts'
import type { Outbound } from './outbound.ts'
import { Parcel } from './parcel.ts'

/** stored: whoever must not lose it has it. unretained: so it is, but for its retained copy, for which its device has no room. refused: the store takes no more. */
export type PublishOutcome = 'stored' | 'unretained' | 'refused'

export interface PublishFacts {
  /** Who is kept with a retained message. */
  readonly publisher: Publisher
  /** The exchange of QoS 2 in which a kept session sent it. */
  readonly received?: { readonly key: SessionKey; readonly packetId: number }
  /** What is to be committed together with it. */
  readonly also?: readonly SessionChange[]
}

export interface Publishing {
  /** Messages so far. */
  readonly count: number
  /** Those of them that went to the store. */
  readonly stored: number
  /** Those that are not queued yet, because the store was asked for whom they are. */
  readonly asking: number
  /** Routes a message that may be published. `done` is called once, at once where nothing must be stored. */
  publish(message: Message, facts: PublishFacts, done: (outcome: PublishOutcome) => void): void
  /** Hands a message to one session, by way of its queue where it is kept. Resolves when it has it. */
  hand(outbound: Outbound, message: Message, qos: Qos, retain: boolean, identifiers: readonly number[]): Promise<void>
}

export interface PublishingPorts {
  readonly router: Router<Outbound>
  readonly store: SessionStore
  readonly holders: Holders
  /** The session that is connected under this key, its subscriptions restored. */
  outboundOf(key: SessionKey): Outbound | undefined
  /** How many messages had been published when the router knew all subscriptions of this session; undefined: it does not. */
  routedAt(key: SessionKey): number | undefined
  /** Is this the session that is connected or kept under its key, and not one that began anew? */
  goesOn(outbound: Outbound): boolean
  onFull(key: SessionKey): void
  onDropped(key: SessionKey, messages: number): void
  onStoreFault(cause: unknown): void
  /** A message is committed as the one that is retained under this topic. */
  onRetaining(topic: string): void
}

/** For whom a message is queued; one entry for a session, however many of its subscriptions match (trap 19). */
type Targets = Map<SessionKey, Target>

type Done = (outcome: PublishOutcome) => void

/** A message with the sessions that the router named. */
interface Routed {
  readonly parcel: Parcel
  readonly route: Route<Outbound>
  readonly targets: Targets | undefined
  /** The shared subscriptions that somebody took. */
  readonly served: ReadonlySet<string> | undefined
  /** Which of all messages it is. */
  readonly place: number
}

interface Stored {
  readonly parcel: Parcel
  readonly list: readonly Target[]
  /** Which of those that went to the store it is. */
  readonly place: number
}

const least = (a: Qos, b: Qos): Qos => (a < b ? a : b)

export function openPublishing(ports: PublishingPorts): Publishing {
  const { router, store, holders } = ports
  let turn = 0
  let count = 0
  let stored = 0
  let asking = 0

  function publish(message: Message, facts: PublishFacts, done: Done): void {
    count += 1
    const place = count
    const parcel = new Parcel(message)
    const route = router.route(message.topic, message.publisher)
    let targets: Targets | undefined
    const hand = (delivery: Delivery<Outbound>): void => {
      const target = handNow(parcel, delivery)
      if (target !== undefined) (targets ??= new Map()).set(target.key, target)
    }
    for (const delivery of route.deliveries) hand(delivery)
    let served: Set<string> | undefined
    for (const { filter, delivery } of route.shared) {
      if (delivery === undefined) continue
      hand(delivery)
      if (message.qos > 0) (served ??= new Set()).add(filter)
    }
    const absent = message.qos > 0 ? holders.of(message.topic) : NOBODY
    if (!(absent instanceof Promise)) {
      if (absent.length > 0) targets = withHolders(targets ?? new Map(), absent, message, served, place)
      return settle(parcel, targets, facts, done)
    }
    void publishLater({ parcel, route, targets, served, place }, absent, facts, done)
  }

  /** The store is asked first whom the message concerns: this topic is new, or subscriptions have changed. */
  async function publishLater({ parcel, route, targets = new Map(), served, place }: Routed, absent: Promise<readonly Holder[]>, facts: PublishFacts, done: Done): Promise<void> {
    const { message } = parcel.pin()
    asking += 1
    // Whoever hears of it already and then asks for what is retained must find it.
    const retaining = message.retain ? store.commit([retainedChange(message, facts.publisher)]) : undefined
    if (message.retain) ports.onRetaining(message.topic)
    // A failure is met below.
    retaining?.catch(() => undefined)
    try {
      const found = await absent
      // Meanwhile a session may have begun anew under the same key: it has not subscribed to this.
      for (const { subscriber } of route.deliveries) if (!ports.goesOn(subscriber)) targets.delete(subscriber.key)
      for (const { delivery } of route.shared) if (delivery !== undefined && !ports.goesOn(delivery.subscriber)) targets.delete(delivery.subscriber.key)
      settle(parcel, withHolders(targets, found, message, served, place), facts, done, retaining)
    } catch (cause) {
      ports.onStoreFault(cause)
      done('refused')
    } finally {
      asking -= 1
    }
  }

  /** Delivers what need not be stored; otherwise says for whom it is to be queued. */
  function handNow(parcel: Parcel, { subscriber, qos, retainAsPublished, identifiers }: Delivery<Outbound>): Target | undefined {
    const { message } = parcel
    const granted = least(message.qos, qos)
    const retain = message.retain && retainAsPublished
    if (granted > 0 && subscriber.kept) return { key: subscriber.key, qos: granted as 1 | 2, retain, identifiers, attached: true }
    subscriber.deliver(parcel, { qos: granted, retain, identifiers })
    return undefined
  }

  /** Adds the kept sessions that are not connected, or are about to be. */
  function withHolders(targets: Targets, found: readonly Holder[], message: Message, served: ReadonlySet<string> | undefined, place: number): Targets {
    let groups: Map<string, Holder[]> | undefined
    for (const holder of found) {
      const { key, subscription } = holder
      if (subscription.filter.startsWith(SHARE_ROOT)) {
        if (served?.has(subscription.filter) === true) continue
        const members = (groups ??= new Map<string, Holder[]>()).get(subscription.filter)
        if (members === undefined) groups.set(subscription.filter, [holder])
        else members.push(holder)
      } else if (!((ports.routedAt(key) ?? place) < place) && !(subscription.noLocal && key === message.publisher)) queueFor(targets, holder, message)
    }
    // Nobody of the group takes it now: it waits for one of them, each in turn.
    for (const members of groups?.values() ?? []) {
      turn += 1
      const member = members[turn % members.length]
      if (member !== undefined) queueFor(targets, member, message)
    }
    return targets
  }

  function queueFor(targets: Targets, { key, session, subscription }: Holder, message: Message): void {
    const qos = least(message.qos, subscription.qos)
    if (qos === 0) return
    const before = targets.get(key)
    const identifiers = subscription.identifier === undefined ? [] : [subscription.identifier]
    targets.set(key, {
      key, session,
      qos: before !== undefined && before.qos > qos ? before.qos : qos,
      retain: (message.retain && subscription.retainAsPublished) || before?.retain === true,
      identifiers: before === undefined ? identifiers : [...new Set([...before.identifiers, ...identifiers])],
      attached: ports.outboundOf(key) !== undefined,
    })
  }

  function settle(parcel: Parcel, targets: Targets | undefined, facts: PublishFacts, done: Done, retaining?: Promise<SessionsCommitted>): void {
    const { message } = parcel
    const { received, publisher, also } = facts
    const changes: SessionChange[] = also === undefined ? [] : [...also]
    const list = targets === undefined ? NO_TARGETS : [...targets.values()]
    if (list.length > 0 || received !== undefined) changes.push({ kind: 'published', message, targets: list, ...(received === undefined ? {} : { received }) })
    if (message.retain && retaining === undefined) {
      changes.push(retainedChange(message, publisher))
      ports.onRetaining(message.topic)
    }
    if (changes.length === 0 && retaining === undefined) return done('stored')
    if (list.length > 0) parcel.pin()
    stored += 1
    const written = store.commit(changes)
    void conclude({ parcel, list, place: stored }, [written, retaining ?? written], done)
  }

  /** Offers the message to the sessions that are connected when it is durable, and tells. */
  async function conclude({ parcel, list, place }: Stored, written: readonly [Promise<SessionsCommitted>, Promise<SessionsCommitted>], done: Done): Promise<void> {
    let outcome: PublishOutcome = 'refused'
    try {
      const [committed, retained] = await Promise.all(written)
      report(committed)
      list.forEach((target, i) => {
        const sequence = committed.placed[0]?.sequences[i] ?? 0
        if (sequence > 0) ports.outboundOf(target.key)?.offer(sequence, place, parcel, target)
      })
      outcome = retained.unretained.length > 0 ? 'unretained' : 'stored'
    } catch (cause) {
      ports.onStoreFault(cause)
    }
    done(outcome)
  }

  function report({ full, dropped }: SessionsCommitted): void {
    for (const key of full) ports.onFull(key)
    for (const { key, messages } of dropped) ports.onDropped(key, messages)
  }

  return {
    publish,
    get count() {
      return count
    },
    get stored() {
      return stored
    },
    get asking() {
      return asking
    },
    async hand(outbound, message, qos, retain, identifiers) {
      const parcel = new Parcel(message)
      if (qos === 0 || !outbound.kept) return outbound.deliver(parcel, { qos, retain, identifiers })
      const target = { key: outbound.key, qos, retain, identifiers, attached: true }
      stored += 1
      const place = stored
      const committed = await store.commit([{ kind: 'published', message, targets: [target] }])
      report(committed)
      const sequence = committed.placed[0]?.sequences[0] ?? 0
      if (sequence > 0) outbound.offer(sequence, place, parcel, target)
    },
  }
}

/** A message without a payload takes away what is retained under its topic [MQTT-3.3.1-6]. */
function retainedChange(message: Message, publisher: Publisher): SessionChange {
  return message.payload.length === 0 ? { kind: 'retained-cleared', topic: message.topic } : { kind: 'retained', message, publisher }
}

const NOBODY: readonly Holder[] = []
const NO_TARGETS: readonly Target[] = []
