// Judges the packets of a session between the parser and the engine: what the engine must never see, it does not see.
// SUBSCRIBE is answered here: the engine is handed the granted filters, one at a time, and stores and matches nothing else
// (traps 1, 4, 7, 18). It decides by the session's grants only.

import { REASONS, type DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import { allow, deny, type Decision, type Denied } from '../../core/decision.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import { pubrecPacket, subackPacket } from '../replies.ts'
import type { Session } from '../sessions.ts'
import { isText, judgeProperties } from './properties.ts'
import type { EngineClient, EngineSubscription, WirePacket } from './surface.ts'

export interface GatePorts {
  /** The session of this connection, once it is admitted. */
  session(): Session | undefined
  /** Filters that this session holds or was just granted, and those of all sessions of its device, connected or kept. */
  filtersHeld(session: Session): { readonly ofSession: number; readonly ofDevice: number }
  onRefusal(session: Session, refusal: { readonly reason: DenyReason; readonly detail?: string; readonly topic?: string; readonly verdict?: Verdict }): void
  /** The client broke the protocol or a quota: the session must end. */
  onFault(fault: Denied): void
  /** The parser or the engine threw: the connection must end, and the person who runs the server should know. */
  onThrow(error: unknown): void
}

export interface PacketGate {
  /** CONNACK is sent: what was held behind the CONNECT is judged now. */
  release(): void
  /** The QoS 2 exchange of this packet id ended with a refusal: no PUBREL will follow. */
  forget(packetId: number): void
  /** Writes an answer of ours, within the bound on what may wait for the client. */
  send(bytes: Uint8Array): void
}

const PACKET_ID_MAX = 65_535
/** Packets that carry a packet id, PUBLISH of QoS 0 aside. */
const WITH_PACKET_ID: ReadonlySet<string> = new Set(['puback', 'pubrec', 'pubrel', 'pubcomp', 'subscribe', 'unsubscribe'])

/**
 * Puts the gate in front of the engine's packet handler. Packets that arrive behind the CONNECT are held, in order and
 * bounded, until `release` is called.
 */
export function installPacketGate(client: EngineClient, ports: GatePorts): PacketGate {
  const parser = client._parser
  const [handler] = parser.listeners('packet')
  if (handler === undefined) throw new Error('the engine registers no packet handler: see engine/surface.ts')
  const handle = handler.bind(parser)
  parser.removeAllListeners('packet')
  const parse = parser.parse.bind(parser)
  // Both throw where they should not, in the middle of a read event: that would end the process, not the connection.
  parser.parse = (bytes) => {
    try {
      return parse(bytes)
    } catch (error) {
      ports.onThrow(error)
      return 0
    }
  }
  let held: WirePacket[] = []
  let heldBytes = 0
  /** Packet ids of inbound QoS 2 messages between PUBLISH and PUBREL. */
  const receiving = new Set<number>()

  function onPacket(packet: WirePacket): void {
    if (parser._pos > (packet.length ?? 0)) return ports.onFault(deny('malformed-packet', `${packet.cmd} reaches beyond its end`))
    if (packet.cmd === 'connect') handle(packet)
    else if (!client.connackSent) {
      heldBytes += packet.length ?? 0
      if (held.length >= BROKER_LIMITS.packetsBeforeConnackMax) ports.onFault(deny('quota-exceeded', 'packets before CONNACK'))
      else if (heldBytes > BROKER_LIMITS.bytesBeforeConnackMax) ports.onFault(deny('quota-exceeded', 'bytes before CONNACK'))
      else held.push(packet)
    } else judge(packet)
  }

  function judge(packet: WirePacket): void {
    const session = ports.session()
    if (session === undefined || session.ending !== undefined || client.closed) return
    // Whoever asks without reading the answers is stopped before the next question: the engine bounds deliveries only.
    if (!hasRoomToAnswer()) return
    const form = judgeForm(packet)
    if (!form.allow) return ports.onFault(form)
    if (packet.cmd === 'disconnect') {
      const expiry = judgeLastExpiry(packet, session)
      if (!expiry.allow) return ports.onFault(expiry)
    }
    if (packet.cmd === 'subscribe') subscribe(packet, session)
    else if (packet.cmd !== 'publish' || passesPublish(packet, session)) return handle(packet)
    // What the engine does not see keeps the connection alive all the same.
    client._keepaliveTimer?.refresh()
  }

  /** A QoS 2 message is counted until its PUBREL, and what comes twice is acknowledged twice and published once. */
  function passesPublish(packet: WirePacket, session: Session): boolean {
    const { qos, messageId } = packet
    if (qos !== 2 || messageId === undefined) return true
    if (receiving.has(messageId)) {
      // The engine looks a packet id up and stores it in two steps; a repetition in between would be published twice.
      // [MQTT-4.3.3-10]: it is acknowledged all the same.
      send(pubrecPacket(messageId, session.protocol))
      return false
    }
    if (receiving.size >= BROKER_LIMITS.receiveMaximum) {
      ports.onFault(deny('receive-maximum'))
      return false
    }
    receiving.add(messageId)
    return true
  }

  /**
   * DISCONNECT may change how long its session is kept, within what the policy grants: the engine knows only the bound of
   * the server. A session that was to end with its connection is not made one that stays [MQTT-3.14.2-2].
   */
  function judgeLastExpiry({ properties }: WirePacket, session: Session): Decision<void> {
    const asked = properties?.sessionExpiryInterval
    if (properties === undefined || asked === undefined) return allow(undefined)
    if (asked > 0 && client._connectSessionExpiryInterval === 0) return deny('protocol-error', 'DISCONNECT raises a Session Expiry of 0')
    properties.sessionExpiryInterval = Math.min(asked, session.grants.sessionExpirySecondsMax ?? BROKER_LIMITS.sessionExpirySecondsMax)
    return allow(undefined)
  }

  /** What any client may say, whoever it is. */
  function judgeForm(packet: WirePacket): Decision<void> {
    const { cmd, topic, messageId } = packet
    if (cmd === 'auth') return deny('protocol-error', 'AUTH without an authentication method') // MQTT 5 §4.12
    const properties = judgeProperties(cmd, packet.properties)
    if (!properties.allow) return properties
    if (WITH_PACKET_ID.has(cmd) || (cmd === 'publish' && (packet.qos ?? 0) > 0)) {
      if (messageId === undefined || messageId < 1 || messageId > PACKET_ID_MAX) return deny('malformed-packet', `${cmd} without a packet id`) // [MQTT-2.2.1-3]
    }
    if (cmd === 'pubrel' && messageId !== undefined) receiving.delete(messageId)
    if (cmd === 'publish') {
      if (!isText(topic)) return deny('malformed-packet', 'topic is not UTF-8 text')
      if (topic === '' && packet.properties?.['topicAlias'] === undefined) return deny('protocol-error', 'PUBLISH without a topic')
      if (/[+#]/.test(topic)) return deny('topic-invalid', 'a wildcard in a topic name') // [MQTT-3.3.2-2]
    }
    const named = cmd === 'subscribe' ? packet.subscriptions : cmd === 'unsubscribe' ? packet.unsubscriptions : undefined
    if (named?.length === 0) return deny('protocol-error', `${cmd} without a filter`) // [MQTT-3.8.3-2], [MQTT-3.10.3-2]
    if (named !== undefined && named.length > BROKER_LIMITS.filtersPerSubscribeMax) return deny('quota-exceeded', `${named.length} filters in one ${cmd}`)
    return allow(undefined)
  }

  /**
   * Every filter is answered in its place [MQTT-3.9.3-1]. The engine would answer a repeated filter once and numeric ones
   * first, so it is handed one filter at a time and asked for no SUBACK.
   */
  function subscribe(packet: WirePacket, session: Session): void {
    const asked = packet.subscriptions ?? []
    const held = ports.filtersHeld(session)
    const room = { left: Math.min(BROKER_LIMITS.subscriptionsPerSessionMax - held.ofSession, BROKER_LIMITS.subscriptionsPerDeviceMax - held.ofDevice) }
    const codes = asked.map((filter) => judgeFilter(filter, session, room))
    const granted = asked.filter((filter, i) => filter.qos === codes[i])
    const identifier = packet.properties?.['subscriptionIdentifier']
    let left = granted.length
    const answer = (): void => send(subackPacket(packet.messageId ?? 0, codes, session.protocol))
    if (left === 0) return answer()
    for (const filter of granted) {
      client.subscribe({ subscriptions: [filter], ...(identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } }) }, (error) => {
        left -= 1
        if (error) ports.onThrow(error)
        else if (left === 0) answer()
      })
    }
  }

  /** The granted QoS, which is put into the filter, or the code that says why not. */
  function judgeFilter(filter: EngineSubscription, session: Session, room: { left: number }): number {
    const verdict = session.grants.subscribe(filter.topic, filter.qos)
    const known = client.subscriptions[filter.topic] !== undefined
    if (verdict.effect === 'allow' && (known || room.left > 0)) {
      if (!known) room.left -= 1
      filter.qos = verdict.grantedQos ?? filter.qos
      return filter.qos
    }
    const reason = verdict.reason === 'granted' ? 'quota-exceeded' : verdict.reason
    ports.onRefusal(session, { reason, topic: filter.topic, verdict })
    return session.protocol === 5 ? REASONS[reason].reason5 : SUBACK_FAILURE
  }

  function send(bytes: Uint8Array): void {
    if (client.closed) return
    client.conn.write(bytes)
    hasRoomToAnswer()
  }

  function hasRoomToAnswer(): boolean {
    if (client.conn.writableLength <= BROKER_LIMITS.outboundBytesMax) return true
    ports.onFault(deny('quota-exceeded', 'the client reads too slowly'))
    return false
  }

  parser.on('packet', onPacket)
  return {
    send,
    release() {
      const packets = held
      held = []
      heldBytes = 0
      packets.forEach(judge)
    },
    forget(packetId) {
      receiving.delete(packetId)
    },
  }
}

/** The one word that MQTT 3.1.1 has for a filter that is not granted. */
const SUBACK_FAILURE = 0x80
