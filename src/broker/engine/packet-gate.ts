// Judges the packets of a session between the parser and the engine: what the engine must never see, it does not see.
// Filters that are denied are renamed to topics that nobody can be granted, so that the engine still answers every filter
// of a SUBSCRIBE in its place, and stores and matches nothing (traps 1, 4, 7). It decides by the session's grants only.

import type { DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { deny, type Denied } from '../../core/decision.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import type { Session } from '../sessions.ts'
import type { EngineClient, EngineSubscription, WirePacket } from './surface.ts'

/** Below "$", where no grant can reach and no wildcard matches. */
export const REFUSED_ROOT = '$refused/'

export interface GatePorts {
  /** The session of this connection, once it is admitted. */
  session(): Session | undefined
  onRefusal(session: Session, refusal: { readonly reason: DenyReason; readonly detail?: string; readonly topic?: string; readonly verdict?: Verdict }): void
  /** The client broke the protocol or a quota: the session must end. */
  onFault(fault: Denied): void
}

// U+FFFD stands where the bytes were not UTF-8 [MQTT-1.5.4-1]; NUL must not occur at all [MQTT-1.5.4-2].
const NOT_A_STRING = /[\0\uFFFD]/

export interface PacketGate {
  /** Judges what was held while the CONNECT was being judged. */
  release(): void
  /** The QoS 2 exchange of this packet id ended with a refusal: no PUBREL will follow. */
  forget(packetId: number): void
}

/**
 * Puts the gate in front of the engine's packet handler. Packets that arrive while the CONNECT is still being judged
 * are held, in order and bounded, until `release` is called.
 */
export function installPacketGate(client: EngineClient, ports: GatePorts): PacketGate {
  const parser = client._parser
  const [handler] = parser.listeners('packet')
  if (handler === undefined) throw new Error('the engine registers no packet handler: see engine/surface.ts')
  const handle = handler.bind(parser)
  parser.removeAllListeners('packet')
  let held: WirePacket[] = []
  /** Packet ids of inbound QoS 2 messages between PUBLISH and PUBREL. */
  const receiving = new Set<number>()

  function onPacket(packet: WirePacket): void {
    const session = ports.session()
    if (packet.cmd === 'connect') handle(packet)
    else if (session === undefined) {
      if (held.length >= BROKER_LIMITS.packetsBeforeConnackMax) ports.onFault(deny('quota-exceeded', 'packets before CONNACK'))
      else held.push(packet)
    } else if (session.ending === undefined && passes(packet, session)) handle(packet)
  }

  function passes(packet: WirePacket, session: Session): boolean {
    switch (packet.cmd) {
      case 'publish':
        return passesPublish(packet)
      case 'pubrel':
        if (packet.messageId !== undefined) receiving.delete(packet.messageId)
        return true
      case 'subscribe':
        return passesSubscribe(packet, session)
      case 'auth':
        ports.onFault(deny('protocol-error', 'AUTH without an authentication method')) // MQTT 5 §4.12
        return false
      default:
        return true
    }
  }

  function passesPublish(packet: WirePacket): boolean {
    if (packet.topic !== undefined && NOT_A_STRING.test(packet.topic)) {
      ports.onFault(deny('malformed-packet', 'topic is not UTF-8 text'))
      return false
    }
    if (packet.qos !== 2 || packet.messageId === undefined) return true
    // The engine looks a packet id up and stores it in two steps; a repetition in between would be published twice.
    if (receiving.has(packet.messageId)) return false
    if (receiving.size >= BROKER_LIMITS.receiveMaximum) {
      ports.onFault(deny('receive-maximum'))
      return false
    }
    receiving.add(packet.messageId)
    return true
  }

  function passesSubscribe(packet: WirePacket, session: Session): boolean {
    const filters = packet.subscriptions ?? []
    if (filters.length === 0) {
      ports.onFault(deny('protocol-error', 'SUBSCRIBE without a filter')) // [MQTT-3.8.3-3]
      return false
    }
    if (filters.length > BROKER_LIMITS.filtersPerSubscribeMax) {
      ports.onFault(deny('quota-exceeded', `${filters.length} filters in one SUBSCRIBE`))
      return false
    }
    let room = BROKER_LIMITS.subscriptionsPerSessionMax - Object.keys(client.subscriptions).length
    filters.forEach((filter, index) => {
      const verdict = session.grants.subscribe(filter.topic, filter.qos)
      const known = client.subscriptions[filter.topic] !== undefined
      if (verdict.effect === 'allow' && (known || room > 0)) {
        if (!known) room -= 1
        filter.qos = verdict.grantedQos ?? filter.qos
        return
      }
      const reason = verdict.reason === 'granted' ? 'quota-exceeded' : verdict.reason
      ports.onRefusal(session, { reason, topic: filter.topic, verdict })
      refuse(filter, index, session)
    })
    return true
  }

  function refuse(filter: EngineSubscription, index: number, session: Session): void {
    // The engine answers $share of MQTT 5 by itself, with the code that says why (0x9E).
    if (session.protocol === 5 && filter.topic.startsWith('$share/')) return
    filter.topic = `${REFUSED_ROOT}${index}`
  }

  parser.on('packet', onPacket)
  return {
    release() {
      const packets = held
      held = []
      packets.forEach(onPacket)
    },
    forget(packetId) {
      receiving.delete(packetId)
    },
  }
}
