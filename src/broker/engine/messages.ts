// Every message is judged: what a session publishes, what it subscribes to, what is delivered to it, and its Will when it
// fires. Synchronous, from the session's grants; the registry is asked again where time may have passed (Wills, retained).

import type { DenyReason } from '../../vocabulary.ts'
import { REASONS } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { judgeStanding } from '../../core/admission.ts'
import type { DeviceId } from '../../core/ids.ts'
import { matches, parseTopicFilter, parseTopicName } from '../../core/topic.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session } from '../sessions.ts'
import type { ConnectJudge } from './connect.ts'
import type { EngineClient, EnginePacket, EngineSubscription } from './surface.ts'

/** Below "$", where no grant can reach and no wildcard matches: what is sent here is heard by nobody. */
const REFUSED_ROOT = '$refused/'

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
  /** Certificates of sessions that have left retained messages: a grant may speak of them. Who is forgotten is hidden. */
  const publishers = new Map<string, Pick<Session, 'issuer' | 'leaf'>>()

  function rememberPublisher({ key, issuer, leaf }: Session): void {
    publishers.delete(key)
    publishers.set(key, { issuer, leaf })
    const oldest = publishers.keys().next()
    if (publishers.size > BROKER_LIMITS.retainingSessionsMax && oldest.done !== true) publishers.delete(oldest.value)
  }

  function publish(client: EngineClient, session: Session, packet: EnginePacket, answer: Answer): void {
    const verdict = session.grants.publish(packet.topic, packet.qos, packet.retain, packet.payload.length)
    if (verdict.effect === 'allow') {
      // The publisher stays with a retained message, so that it can be judged again when it is shown.
      packet.clientId = client.id
      if (packet.retain) rememberPublisher(session)
      answer(null)
      return
    }
    refuse(client, session, packet, verdict, answer)
  }

  /** R11: a denied publish is dropped and acknowledged, or ends the session, as its policy says. Trap 9. */
  function refuse(client: EngineClient, session: Session, packet: EnginePacket, verdict: Verdict, answer: Answer): void {
    const reason = verdict.reason === 'granted' ? 'publish-not-granted' : verdict.reason
    ports.onRefusal(session, { reason, topic: packet.topic, verdict })
    if (verdict.onDeny === 'disconnect') {
      void session.end(reason, 'fire')
      answer(no(REASONS[reason].sentence))
      return
    }
    if (session.protocol === 5) {
      // The engine answers QoS 1 and 2 with 0x87 and this sentence, and drops the message.
      if (packet.qos === 2 && packet.messageId !== undefined) ports.forget(client, packet.messageId)
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
    packet.clientId = session.key
    if (packet.retain) rememberPublisher(session)
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
      if (Object.values(client.subscriptions).some((s) => s.qos < packet.qos)) {
        const granted = grantedQos(client, packet.topic)
        if (granted < packet.qos) packet.qos = granted
      }
      return packet
    },

    mayShow(publisherKey, packet) {
      const publisher = publisherOf(publisherKey)
      if (publisher === undefined) return false
      const { view } = ports.broker
      const device = view.device(publisher.device)
      if (device === undefined || device.state !== 'active') return false
      // A device all of whose certificates are revoked has lost its voice, and what it left with it.
      if (!view.certificatesOf(device.id).some((r) => r.state !== 'revoked' && r.state !== 'planned')) return false
      const grants = ports.connect.grants(device, publisher.certificate, publisher.clientId)
      const bytes = packet.payload.length
      return grants.publish(packet.topic, packet.qos, true, bytes).effect === 'allow' || grants.will(packet.topic, packet.qos, true, bytes).effect === 'allow'
    },
  }

  /** From the session key that the store keeps with a retained message: tenant/device/client id, as `sessionKey` made it. */
  function publisherOf(key: string | undefined): { readonly device: DeviceId; readonly clientId: string; readonly certificate: Pick<Session, 'issuer' | 'leaf'> } | undefined {
    const certificate = key === undefined ? undefined : publishers.get(key)
    const [, device, ...rest] = key?.split('/') ?? []
    return certificate === undefined || device === undefined ? undefined : { device: device as DeviceId, clientId: rest.join('/'), certificate }
  }
}

/** The highest QoS that any subscription of this session which matches the topic was granted. [MQTT-3.3.5-1] */
function grantedQos(client: EngineClient, topic: string): 0 | 1 | 2 {
  let highest: 0 | 1 | 2 = 0
  const name = parseTopicName(topic)
  if (!name.allow) return highest
  for (const [text, subscription] of Object.entries(client.subscriptions)) {
    if (subscription.qos <= highest) continue
    const filter = parseTopicFilter(text)
    if (filter.allow && matches(filter.value.levels, name.value.levels)) highest = subscription.qos
  }
  return highest
}
