// SUBSCRIBE and UNSUBSCRIBE of one connection: every filter is judged, counted, written where the session is kept, handed to the
// engine alone (traps 1, 4, 7, 18), and answered in its place. They take effect in the order in which they came.

import { REASONS, type DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { deny, type Denied } from '../../core/decision.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import type { SessionChange } from '../../core/session-store.ts'
import { parseTopicFilter, SHARE_ROOT } from '../../core/topic.ts'
import { subackPacket, unsubackPacket } from '../replies.ts'
import type { Session } from '../sessions.ts'
import { toEngineFilter, toWireFilter } from './filters.ts'
import type { RetainedShow } from './retained.ts'
import type { EngineClient, EngineSubscription, WirePacket } from './surface.ts'

export type SubscriptionChange = SessionChange & { readonly kind: 'subscribed' | 'unsubscribed' }

export interface SubscribingPorts {
  /** Filters that this session holds, and those of all sessions of its device, connected or kept. */
  filtersHeld(session: Session): { readonly ofSession: number; readonly ofDevice: number }
  /**
   * Writes what the session holds from now on; undefined where it is not kept. Resolves when no crash can undo it; where it
   * cannot be written the session ends and this never resolves.
   */
  keep(session: Session, changes: readonly SubscriptionChange[]): Promise<void> | undefined
  /** A SUBSCRIBE or UNSUBSCRIBE waits no longer. */
  onAnswered(): void
  /** What is retained under the filters that were subscribed to since this was last asked. */
  takeRetained(): readonly RetainedShow[]
  onRefusal(session: Session, refusal: { readonly reason: DenyReason; readonly detail?: string; readonly topic?: string; readonly verdict?: Verdict }): void
  /** Writes to the client. */
  send(bytes: Uint8Array): void
  /** The client broke the protocol or a quota: the session must end. */
  onFault(fault: Denied): void
  /** The parser or the engine threw: the connection must end, and the person who runs the server should know. */
  onThrow(error: unknown): void
}

export interface Subscribing {
  subscribe(packet: WirePacket, session: Session): void
  unsubscribe(packet: WirePacket, session: Session): void
  /** Filters that were granted and that the engine does not hold yet. */
  granting(): number
  /** SUBSCRIBEs and UNSUBSCRIBEs that wait for the store. */
  waiting(): number
}

/** A SUBSCRIBE or UNSUBSCRIBE that takes effect when the store has it. */
interface Step {
  isStored: boolean
  readonly run: (done: () => void) => void
}

export function openSubscribing(client: EngineClient, ports: SubscribingPorts): Subscribing {
  /** Filter → by how many SUBSCRIBEs it was granted. */
  const granting = new Map<string, number>()
  const steps: Step[] = []
  let isStepping = false

  /**
   * Every filter is answered in its place [MQTT-3.9.3-1]. The engine would answer a repeated filter once and numeric ones
   * first, so it is handed one filter at a time and asked for no SUBACK.
   */
  function subscribe(packet: WirePacket, session: Session): void {
    const asked = packet.subscriptions ?? []
    const held = ports.filtersHeld(session)
    const room = { left: Math.min(BROKER_LIMITS.subscriptionsPerSessionMax - held.ofSession, BROKER_LIMITS.subscriptionsPerDeviceMax - held.ofDevice) }
    const codes = asked.map((filter) => judgeFilter(filter, session, room))
    // [MQTT-3.8.3-4]
    if (asked.some((filter) => filter.nl === true && filter.topic.startsWith(SHARE_ROOT))) return ports.onFault(deny('protocol-error', 'No Local on a shared subscription'))
    const granted = asked.filter((filter, i) => filter.qos === codes[i])
    const identifier = packet.properties?.['subscriptionIdentifier']
    let left = granted.length
    const answer = (): void => ports.send(subackPacket(packet.messageId ?? 0, codes, session.protocol))
    if (left === 0) return answer()
    const kept = granted.map((filter) => toStored(filter, session, typeof identifier === 'number' ? identifier : undefined))
    const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } }
    for (const filter of granted) {
      filter.topic = toEngineFilter(filter.topic)
      granting.set(filter.topic, (granting.get(filter.topic) ?? 0) + 1)
    }
    inTurn(ports.keep(session, kept), (done) => {
      for (const filter of granted) {
        client.subscribe({ subscriptions: [filter], ...properties }, (error) => {
          left -= 1
          isGranted(filter.topic)
          if (error) ports.onThrow(error)
          // The engine tells of what is retained just after this.
          if (left === 0) queueMicrotask(() => void answerAndShow(answer, done))
        })
      }
    })
  }

  function isGranted(filter: string): void {
    const others = (granting.get(filter) ?? 1) - 1
    if (others === 0) granting.delete(filter)
    else granting.set(filter, others)
  }

  /**
   * A filter that is named twice is given up the first time and not there the second [MQTT-3.10.4-6]. What is given up is given
   * up for good before that is acknowledged: the engine would ask the store only for what it answers itself.
   */
  function unsubscribe(packet: WirePacket, session: Session): void {
    const filters = (packet.unsubscriptions ?? []).map(toEngineFilter)
    const answer = (codes: readonly number[]): void => ports.send(unsubackPacket(packet.messageId ?? 0, codes, session.protocol))
    const codeOfAbsent = (filter: string): number => (parseTopicFilter(toWireFilter(filter)).allow ? NO_SUBSCRIPTION : REASONS['filter-invalid'].reason5)
    // What is not known here is not kept either: nothing is written for it.
    const known = [...new Set(filters.filter(isKnown))]
    if (known.length === 0) return answer(filters.map(codeOfAbsent))
    inTurn(ports.keep(session, known.map((filter) => ({ kind: 'unsubscribed', key: session.key, filter: toWireFilter(filter) }))), (done) => {
      const codes = filters.map((filter) => {
        if (client.subscriptions[filter] === undefined) return codeOfAbsent(filter)
        client.unsubscribe({ unsubscriptions: [filter] }, (error) => {
          if (error) ports.onThrow(error)
        })
        return 0
      })
      answer(codes)
      done()
    })
  }

  /** Takes effect when it is written, and behind whatever came before it: of SUBSCRIBE and UNSUBSCRIBE of one filter the last counts. */
  function inTurn(written: Promise<void> | undefined, run: Step['run']): void {
    const step: Step = { isStored: written === undefined, run }
    steps.push(step)
    if (written !== undefined) void storedThen(step, written)
    takeSteps()
  }

  async function storedThen(step: Step, written: Promise<void>): Promise<void> {
    await written
    step.isStored = true
    takeSteps()
  }

  /** In a loop where it can be: thousands of steps that are ready at once must not overflow the stack. */
  function takeSteps(): void {
    while (!isStepping && !client.closed) {
      const [first] = steps
      if (first?.isStored !== true) return
      let isBack = false
      isStepping = true
      first.run(() => {
        isStepping = false
        steps.shift()
        ports.onAnswered()
        if (isBack) takeSteps()
      })
      isBack = true
    }
  }

  /** The session holds this filter, or is about to. */
  function isKnown(engineFilter: string): boolean {
    return client.subscriptions[engineFilter] !== undefined || granting.has(engineFilter)
  }

  /** SUBACK waits until what is retained was found, and that follows it: so it is there before what is published next. */
  async function answerAndShow(answer: () => void, done: () => void): Promise<void> {
    const shows = ports.takeRetained()
    if (shows.length > 0) await Promise.all(shows.map(({ found }) => found))
    answer()
    for (const each of shows) each.show()
    done()
  }

  /** The granted QoS, which is put into the filter, or the code that says why not. */
  function judgeFilter(filter: EngineSubscription, session: Session, room: { left: number }): number {
    const verdict = session.grants.subscribe(filter.topic, filter.qos)
    if (verdict.effect === 'allow' && session.protocol === 4 && filter.topic.startsWith(SHARE_ROOT)) {
      ports.onRefusal(session, { reason: 'share-unavailable', topic: filter.topic, verdict })
      return SUBACK_FAILURE
    }
    const known = isKnown(toEngineFilter(filter.topic))
    if (verdict.effect === 'allow' && (known || room.left > 0)) {
      if (!known) room.left -= 1
      filter.qos = verdict.grantedQos ?? filter.qos
      return filter.qos
    }
    const reason = verdict.reason === 'granted' ? 'quota-exceeded' : verdict.reason
    ports.onRefusal(session, { reason, topic: filter.topic, verdict })
    return session.protocol === 5 ? REASONS[reason].reason5 : SUBACK_FAILURE
  }

  return {
    subscribe,
    unsubscribe,
    granting: () => granting.size,
    waiting: () => steps.length,
  }
}

function toStored({ topic, qos, nl, rap, rh }: EngineSubscription, { key }: Session, identifier: number | undefined): SubscriptionChange {
  return { kind: 'subscribed', key, subscription: { filter: topic, qos, noLocal: nl === true, retainAsPublished: rap === true, retainHandling: rh === 1 ? 1 : rh === 2 ? 2 : 0, identifier } }
}

/** MQTT 5 §3.11.3: the filter was not subscribed to. */
const NO_SUBSCRIPTION = 0x11

/** The one word that MQTT 3.1.1 has for a filter that is not granted. */
const SUBACK_FAILURE = 0x80
