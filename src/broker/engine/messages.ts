// Every message is judged: what a session publishes, what it subscribes to, what is delivered to it, and its Will when it
// fires. Synchronous, from the session's grants; the registry is asked again where time may have passed (Wills, retained).

import type { DenyReason } from '../../vocabulary.ts'
import { REASONS } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { judgeStanding } from '../../core/admission.ts'
import { matches, parseTopicFilter, parseTopicName } from '../../core/topic.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import { refusalAck } from '../replies.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session } from '../sessions.ts'
import type { ConnectJudge } from './connect.ts'
import type { EngineClient, EnginePacket, EngineSubscription } from './surface.ts'

/** Below "$", where no grant can reach and no wildcard matches: what is sent here is heard by nobody. */
const REFUSED_ROOT = '$refused/'

const NO_RETAINED_ROOM = 'the device has left as many retained messages as it may'

type Answer = (error?: Error | null) => void

/** An answer to the engine that says no; the engine reports it again as a fault of the client, which it is not. */
class Refusal extends Error {
  readonly refusal = true
}
const no = (sentence: string): Error => new Refusal(sentence)

export function isRefusal(error: Error): boolean {
  return error instanceof Refusal
}

export interface MessagePorts {
  readonly broker: BrokerPorts
  readonly connect: ConnectJudge
  sessionOf(client: EngineClient): Session | undefined
  /** The Will that this client announced at CONNECT, as the very object that the engine fires. */
  willOf(client: EngineClient): unknown
  /** A QoS 2 exchange ended with a refusal. */
  forget(client: EngineClient, packetId: number): void
  /** Writes an answer of ours to this client. */
  send(client: EngineClient, bytes: Uint8Array): void
  /** Is there room for this retained message among those that the publisher's device has left? */
  hasRetainedRoom(publisherKey: string, packet: EnginePacket): boolean
  onRefusal(session: Session, refusal: { readonly reason: DenyReason; readonly detail?: string; readonly topic?: string; readonly verdict?: Verdict }): void
}

export interface MessageHooks {
  authorizePublish(client: EngineClient | null, packet: EnginePacket, answer: Answer): void
  authorizeSubscribe(client: EngineClient, subscription: EngineSubscription, answer: (error: Error | null, subscription: EngineSubscription | null) => void): void
  authorizeForward(client: EngineClient, packet: EnginePacket): EnginePacket | null
  /** May this retained message be shown? Its publisher must still be in force and still be granted the topic. R7. */
  mayShow(publisherKey: string | undefined, packet: EnginePacket): boolean
}

export function openMessageHooks(ports: MessagePorts): MessageHooks {
  /** Who said what is retained, by topic, and with which certificate: it is judged again when shown. Who is forgotten is hidden. */
  const publishers = new Map<string, Publisher>()
  const filters = new WeakMap<EngineClient, FilterCache>()

  function rememberPublisher({ key, device, clientId, issuer, leaf, serial }: Session, { topic, payload }: EnginePacket): void {
    publishers.delete(topic)
    if (payload.length === 0) return // Nothing is retained. [MQTT-3.3.1-6]
    publishers.set(topic, { key, device, clientId, issuer, leaf, serial })
    const oldest = publishers.keys().next()
    if (publishers.size > BROKER_LIMITS.retainedPublishersMax && oldest.done !== true) publishers.delete(oldest.value)
  }

  function publish(client: EngineClient, session: Session, packet: EnginePacket, answer: Answer): void {
    const verdict = session.grants.publish(packet.topic, packet.qos, packet.retain, packet.payload.length)
    if (verdict.effect === 'allow') {
      // The publisher stays with a retained message, so that it can be judged again when it is shown.
      packet.clientId = client.id
      if (packet.retain && !ports.hasRetainedRoom(session.key, packet)) {
        return refuse(client, session, packet, { effect: 'deny', reason: 'quota-exceeded', bindings: {}, generation: verdict.generation }, answer, NO_RETAINED_ROOM)
      }
      if (packet.retain) rememberPublisher(session, packet)
      answer(null)
      return
    }
    refuse(client, session, packet, verdict, answer)
  }

  /** R11: a denied publish is dropped and acknowledged, or ends the session, as its policy says. Trap 9. */
  function refuse(client: EngineClient, session: Session, packet: EnginePacket, verdict: Verdict, answer: Answer, detail?: string): void {
    const reason = verdict.reason === 'granted' ? 'publish-not-granted' : verdict.reason
    ports.onRefusal(session, { reason, topic: packet.topic, verdict, ...(detail === undefined ? {} : { detail }) })
    if (verdict.onDeny === 'disconnect') {
      void session.end(reason, 'fire')
      answer(no(REASONS[reason].sentence))
      return
    }
    if (session.protocol === 5) {
      if (packet.qos === 2 && packet.messageId !== undefined) ports.forget(client, packet.messageId)
      // The engine answers QoS 1 and 2 with 0x87 and this sentence, and drops the message. It has no other code: a quota is
      // answered here, and the engine is left to drop what it takes for a message that needs no answer.
      if (reason === 'quota-exceeded' && packet.qos > 0 && packet.messageId !== undefined) {
        ports.send(client, refusalAck(reason, packet.qos === 1 ? 'puback' : 'pubrec', packet.messageId, client._requestProblemInformation))
        packet.qos = 0
      }
      answer(no(REASONS[reason].sentence))
      return
    }
    // MQTT 3.1.1 cannot say no to a PUBLISH: it is acknowledged [MQTT-3.3.5-2] and goes where nobody can listen.
    packet.topic = `${REFUSED_ROOT}publish`
    packet.payload = Buffer.alloc(0)
    packet.retain = false
    answer(null)
  }

  /** The Will was judged at CONNECT; when it fires, the device must still be in force and the Will still granted. R8. */
  function will(session: Session, packet: EnginePacket, answer: Answer): void {
    const { view, clock } = ports.broker
    const device = view.device(session.device)
    const standing = judgeStanding({ now: clock(), record: view.certificate(session.issuer, session.serial), device })
    // A certificate that expired with its session is no reason to keep silent about the session's end.
    if (!standing.allow && standing.reason !== 'certificate-expired') return denyWill(standing.reason, undefined)
    if (device === undefined) return denyWill('device-unknown', undefined)
    const grants = ports.connect.grants(device, session, session.clientId)
    const verdict = grants.will(packet.topic, packet.qos, packet.retain, packet.payload.length)
    if (verdict.effect === 'deny') return denyWill(verdict.reason === 'granted' ? 'will-not-granted' : verdict.reason, verdict)
    if (packet.retain && !ports.hasRetainedRoom(session.key, packet)) return denyWill('quota-exceeded', undefined)
    packet.clientId = session.key
    if (packet.retain) rememberPublisher(session, packet)
    // Will properties are not PUBLISH properties: a strict client refuses a message with a Will Delay. Trap 15.
    if (packet.properties !== undefined) {
      const { willDelayInterval: _, ...properties } = packet.properties
      packet.properties = properties
    }
    answer(null)

    function denyWill(reason: DenyReason, verdict: Verdict | undefined): void {
      ports.onRefusal(session, { reason, detail: 'the Will was not published', topic: packet.topic, ...(verdict === undefined ? {} : { verdict }) })
      answer(no(REASONS[reason].sentence))
    }
  }

  return {
    authorizePublish(client, packet, answer) {
      // The sweep after a crash fires Wills of clients that nobody knows: null denies. Trap 5.
      if (client === null) return answer(no('the publisher is not known'))
      const session = ports.sessionOf(client)
      if (session === undefined) return answer(no('the publisher has no session'))
      if (packet === ports.willOf(client)) return will(session, packet, answer)
      if (session.ending !== undefined) return answer(no('the session is ending'))
      publish(client, session, packet, answer)
    },

    authorizeSubscribe(client, subscription, answer) {
      const session = ports.sessionOf(client)
      if (session === undefined || session.ending !== undefined) return answer(null, null)
      const verdict = session.grants.subscribe(subscription.topic, subscription.qos)
      if (verdict.effect === 'deny') return answer(null, null)
      subscription.qos = verdict.grantedQos ?? subscription.qos
      answer(null, subscription)
    },

    authorizeForward(client, packet) {
      const session = ports.sessionOf(client)
      if (session === undefined || session.ending !== undefined) return null
      if (!session.grants.mayReceive(packet.topic)) return null
      // The engine lowers the QoS only where filter and topic are equal; a wildcard subscription is lowered here. Trap 7.
      packet.qos = lowered(client, packet)
      return packet
    },

    mayShow(publisherKey, packet) {
      const publisher = publishers.get(packet.topic)
      if (publisher === undefined || publisher.key !== publisherKey) return false
      const { view } = ports.broker
      const device = view.device(publisher.device)
      if (device === undefined || device.state !== 'active') return false
      // What was said with a certificate that is revoked is hidden with it, whatever the device has been given since: its key
      // may have been a thief's. One that expired, or was superseded, takes nothing back.
      const record = view.certificate(publisher.issuer, publisher.serial)
      if (record === undefined || record.state === 'revoked') return false
      const grants = ports.connect.grants(device, publisher, publisher.clientId)
      const bytes = packet.payload.length
      return grants.publish(packet.topic, packet.qos, true, bytes).effect === 'allow' || grants.will(packet.topic, packet.qos, true, bytes).effect === 'allow'
    },
  }

  /** The highest QoS that any subscription of this session which matches was granted, and not more than the message has. [MQTT-3.3.5-1] */
  function lowered(client: EngineClient, { topic, qos }: EnginePacket): 0 | 1 | 2 {
    const held = Object.entries(client.subscriptions)
    if (held.every(([, subscription]) => subscription.qos >= qos)) return qos
    const name = parseTopicName(topic)
    const levelsOf = filters.get(client) ?? openFilterCache()
    filters.set(client, levelsOf)
    let highest: 0 | 1 | 2 = 0
    for (const [text, subscription] of held) {
      if (subscription.qos <= highest || !name.allow) continue
      const levels = levelsOf(text, held.length)
      if (levels === undefined || !matches(levels, name.value.levels)) continue
      if (subscription.qos >= qos) return qos
      highest = subscription.qos
    }
    return highest
  }
}

/** A session and the certificate that it spoke with. */
type Publisher = Pick<Session, 'key' | 'device' | 'clientId' | 'issuer' | 'leaf' | 'serial'>

type Levels = Parameters<typeof matches>[0]
type FilterCache = (text: string, held: number) => Levels | undefined

/**
 * The levels of the filters that a session holds. Parsing them for every delivery let one device with many filters slow
 * everybody down. It forgets all when most of what it knows is no longer held.
 */
function openFilterCache(): FilterCache {
  const known = new Map<string, Levels | undefined>()
  return (text, held) => {
    if (known.has(text)) return known.get(text)
    if (known.size > 2 * held) known.clear()
    const filter = parseTopicFilter(text)
    const levels = filter.allow ? filter.value.levels : undefined
    known.set(text, levels)
    return levels
  }
}
