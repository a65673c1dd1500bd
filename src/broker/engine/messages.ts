// Every message that a client publishes is judged here, from its session's grants, before anything is done with it; then it
// is published, and the engine is let go on to acknowledge it when whoever must not lose it has it (trap 10).

import { REASONS, type DenyReason } from '../../vocabulary.ts'
import type { Qos } from '../../core/message.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import type { HeldFilter } from '../../core/policy/narrowing.ts'
import { isBelowDeviceRoot } from '../../core/policy/own-topics.ts'
import { countByQos } from '../../core/traffic.ts'
import { refusalAck } from '../replies.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session } from '../sessions.ts'
import { messageOf, publisherOf } from './application-message.ts'
import { toWireFilter } from './filters.ts'
import type { Link } from './link.ts'
import type { AnswerRequest } from './renewing.ts'
import type { Publishing, PublishOutcome } from './publishing.ts'
import type { EngineClient, EnginePacket, EngineSubscription } from './surface.ts'

const NO_RETAINED_ROOM = 'published, but not retained: the device has left as many retained messages as it may'
const NO_STORE_ROOM = 'the session store takes no more'

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
  readonly publishing: Publishing
  linkOf(client: EngineClient): Link | undefined
  /** What a device asks of the server, below its own $device/ topics. */
  readonly answerRequest: AnswerRequest
  onRefusal(session: Session, refusal: { readonly reason: DenyReason; readonly detail?: string; readonly topic?: string; readonly verdict?: Verdict }): void
  /** The QoS with which a filter is granted that was granted and stored a moment ago; undefined: no longer, and it is stored no longer. */
  stillGranted(session: Session, held: HeldFilter): Qos | undefined
  /** MQTT 3.1.1 has no way to say that a message was not taken: its connection ends unacknowledged. */
  onUnavailable(link: Link): void
}

export interface MessageHooks {
  authorizePublish(client: EngineClient | null, packet: EnginePacket, answer: Answer): void
  authorizeSubscribe(client: EngineClient, subscription: EngineSubscription, answer: (error: Error | null, subscription: EngineSubscription | null) => void): void
  authorizeForward(client: EngineClient, packet: EnginePacket): null
}

const atOnce = (answer: () => void): void => answer()

export function openMessageHooks(ports: MessagePorts): MessageHooks {
  function publish(link: Link, session: Session, packet: EnginePacket, answer: Answer): void {
    const verdict = session.grants.publish(packet.topic, packet.qos, packet.retain, packet.payload.length)
    if (session.ending !== undefined) return answer(no('the session is ending'))
    const inTurn = packet.qos === 0 ? atOnce : link.answers.enter()
    if (verdict.effect === 'deny') return inTurn(() => refuse(link, session, packet, verdict, answer))
    if (isBelowDeviceRoot(packet.topic)) return void request(session, packet, inTurn, answer)
    countByQos(ports.broker.traffic.received, packet.qos)
    const { messageId } = packet
    // What the store remembers of an exchange ends with its session, as the exchange does.
    const received = packet.qos === 2 && messageId !== undefined && link.outbound?.kept === true ? { key: session.key, packetId: messageId } : undefined
    const facts = { publisher: (link.publisher ??= publisherOf(session)), ...(received === undefined ? {} : { received }) }
    if (packet.qos === 0) answer(null)
    ports.publishing.publish(messageOf(packet, session.key, ports.broker.clock(), link.userProperties), facts, (outcome) => inTurn(() => conclude(link, session, packet, outcome, answer)))
  }

  /** It is for the server itself: neither routed nor retained nor queued. It is acknowledged when its answer is decided. */
  async function request(session: Session, packet: EnginePacket, inTurn: (answer: () => void) => void, answer: Answer): Promise<void> {
    if (packet.qos === 0) answer(null)
    await ports.answerRequest(session, packet)
    if (packet.qos > 0) inTurn(() => answer(null))
  }

  function conclude(link: Link, session: Session, packet: EnginePacket, outcome: PublishOutcome, answer: Answer): void {
    const { qos } = packet
    if (outcome === 'stored') return qos === 0 ? undefined : answer(null)
    const detail = outcome === 'unretained' ? NO_RETAINED_ROOM : NO_STORE_ROOM
    ports.onRefusal(session, { reason: 'quota-exceeded', topic: packet.topic, detail })
    // A message of QoS 0 is answered by nobody, and nothing waits for its retained copy.
    if (qos === 0) return
    if (session.protocol === 5) refuseInWords(link, packet, 'quota-exceeded', answer)
    else if (outcome === 'unretained') answer(null)
    else ports.onUnavailable(link)
  }

  /** R11: a denied publish is dropped and acknowledged, or ends the session, as its policy says. Trap 9. */
  function refuse(link: Link, session: Session, packet: EnginePacket, verdict: Verdict, answer: Answer): void {
    const reason = verdict.reason === 'granted' ? 'publish-not-granted' : verdict.reason
    ports.onRefusal(session, { reason, topic: packet.topic, verdict })
    if (verdict.onDeny === 'disconnect') {
      void session.end(reason, 'itself')
      answer(no(REASONS[reason].sentence))
    } else if (session.protocol === 5) refuseInWords(link, packet, reason, answer)
    // MQTT 3.1.1 cannot say no to a PUBLISH: it is acknowledged [MQTT-3.3.5-2], and nobody is told of it.
    else answer(null)
  }

  /** The engine answers every refused message with 0x87: here it is left to drop what it takes for one that needs no answer (trap 23). */
  function refuseInWords(link: Link, packet: EnginePacket, reason: DenyReason, answer: Answer): void {
    const { qos, messageId } = packet
    if (qos > 0 && messageId !== undefined) {
      if (qos === 2) link.gate?.forget(messageId)
      const { _requestProblemInformation: wantsWords, maximumPacketSize: packetBytesMax } = link.client
      const answered = refusalAck(reason, qos === 1 ? 'puback' : 'pubrec', messageId, { wantsWords, packetBytesMax })
      if (answered !== undefined) link.gate?.send(answered)
      packet.qos = 0
    }
    answer(no(REASONS[reason].sentence))
  }

  return {
    authorizePublish(client, packet, answer) {
      // The engine's own sweep after a crash has no client; Wills go another way. Trap 5.
      const link = client === null ? undefined : ports.linkOf(client)
      if (link?.session === undefined) return answer(no('the publisher has no session'))
      if (link.session.ending !== undefined) return answer(no('the session is ending'))
      publish(link, link.session, packet, answer)
    },

    /** Asked for every filter that the packet gate has let through, and for those of a session that is resumed. */
    authorizeSubscribe(client, subscription, answer) {
      const session = ports.linkOf(client)?.session
      if (session === undefined || session.ending !== undefined) return answer(null, null)
      const granted = ports.stillGranted(session, { filter: toWireFilter(subscription.topic), qos: subscription.qos })
      if (granted === undefined) return answer(null, null)
      subscription.qos = granted
      answer(null, subscription)
    },

    // The engine forwards nothing: what a session is sent goes through its outbound.
    authorizeForward: () => null,
  }
}
