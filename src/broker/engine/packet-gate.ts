// Judges the packets of a session between the parser and the engine: what the engine must never see, it does not see. It decides
// by the form of the packets and by what is open on the connection; SUBSCRIBE and UNSUBSCRIBE go to subscribing.ts.

import { BROKER_LIMITS } from '../../limits.ts'
import { allow, deny, type Decision } from '../../core/decision.ts'
import { pubcompUnknownPacket, pubrecPacket } from '../replies.ts'
import type { Session } from '../sessions.ts'
import { isText, judgeProperties } from './properties.ts'
import { openSubscribing, type SubscribingPorts } from './subscribing.ts'
import type { EngineClient, WirePacket } from './surface.ts'

export interface GatePorts extends SubscribingPorts {
  /** The session of this connection, once it is admitted. */
  session(): Session | undefined
  /** Which QoS the message has that this client was sent under this packet id and has not acknowledged. */
  exchange(packetId: number): 1 | 2 | undefined
  /** The client has a message of QoS 2, or refuses it. */
  onPubrec(packet: WirePacket): void
  /** Runs the parser over a chunk; what it returns is how much is left. */
  parsing(parse: () => number): number
  /** Bytes that the client has not taken yet. */
  outputWaiting(): number
}

export interface PacketGate {
  /** CONNACK is sent: what was held behind the CONNECT is judged now. */
  release(): void
  /** The QoS 2 exchange of this packet id ended with a refusal: no PUBREL will follow. */
  forget(packetId: number): void
  /** The QoS 2 exchanges of a session that is resumed: their messages were published already. */
  resume(packetIds: readonly number[]): void
  /** Is this packet id being released, for the first time or again? */
  releases(packetId: number): boolean
  /** Its exchange is over and forgotten: PUBCOMP follows. */
  released(packetId: number): void
  /** Filters that were granted and that the engine does not hold yet. */
  granting(): number
  /** SUBSCRIBEs and UNSUBSCRIBEs that wait for the store. */
  waiting(): number
  /** Writes an answer of ours, within the bound on what may wait for the client. */
  send(bytes: Uint8Array): void
}

const PACKET_ID_MAX = 65_535
/** Of almost every packet: made once. */
const FORM_IS_GOOD = allow(undefined)
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
      return ports.parsing(() => parse(bytes))
    } catch (error) {
      ports.onThrow(error)
      return 0
    }
  }
  let held: WirePacket[] = []
  let heldBytes = 0
  /** Packet ids of inbound QoS 2 messages between PUBLISH and PUBREL. */
  const receiving = new Set<number>()
  /** Those between PUBREL and PUBCOMP: a repeated PUBREL belongs to them still. */
  const releasing = new Set<number>()

  function onPacket(packet: WirePacket): void {
    const length = packet.length ?? 0
    if (parser._pos > length) return ports.onFault(deny('malformed-packet', `${packet.cmd} reaches beyond its end`))
    // A PUBLISH ends with its payload; every other packet ends with its last field. [MQTT-3.1.2-18]: a CONNECT, too.
    if (parser._pos < length && packet.cmd !== 'publish') return ports.onFault(deny('malformed-packet', `${length - parser._pos} bytes behind the last field of ${packet.cmd}`))
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
    if (packet.cmd === 'pubrec') ports.onPubrec(packet)
    if (packet.cmd === 'subscribe') subscribing.subscribe(packet, session)
    else if (packet.cmd === 'unsubscribe') subscribing.unsubscribe(packet, session)
    else if (packet.cmd === 'pubrel' && !passesPubrel(packet, session)) return
    else if (packet.cmd !== 'publish' || passesPublish(packet, session)) return handle(packet)
    // What the engine does not see keeps the connection alive all the same.
    client._keepaliveTimer?.refresh()
  }

  /** A QoS 2 message is counted until its PUBREL, and what comes twice is acknowledged twice and published once. */
  function passesPublish(packet: WirePacket, session: Session): boolean {
    const { qos, messageId } = packet
    // Of QoS 1 the server owes the answer: who does not wait for it is read no further until it is given.
    if (messageId === undefined || qos !== 2) return true
    if (receiving.has(messageId)) {
      // The engine looks a packet id up and stores it in two steps; a repetition in between would be published twice.
      // [MQTT-4.3.3-10]: it is acknowledged all the same.
      send(pubrecPacket(messageId, session.protocol))
      return false
    }
    if (receiving.size >= (session.protocol === 4 ? BROKER_LIMITS.receivingMax : BROKER_LIMITS.receiveMaximum)) {
      ports.onFault(deny('receive-maximum'))
      return false
    }
    receiving.add(messageId)
    return true
  }

  /** PUBREL of an exchange that nobody knows: MQTT 5 has a word for that, and the engine would not use it. */
  function passesPubrel({ messageId = 0 }: WirePacket, session: Session): boolean {
    if (receiving.delete(messageId)) releasing.add(messageId)
    if (session.protocol === 4 || releasing.has(messageId)) return true
    send(pubcompUnknownPacket(messageId))
    return false
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
    if (cmd === 'puback' && packet.properties === undefined) return judgePuback(messageId)
    if (cmd === 'auth') return deny('protocol-error', 'AUTH without an authentication method') // MQTT 5 §4.12
    const properties = judgeProperties(cmd, packet.properties)
    if (!properties.allow) return properties
    if (WITH_PACKET_ID.has(cmd) || (cmd === 'publish' && (packet.qos ?? 0) > 0)) {
      if (messageId === undefined || messageId < 1 || messageId > PACKET_ID_MAX) return deny('malformed-packet', `${cmd} without a packet id`) // [MQTT-2.2.1-3]
    }
    const answered = messageId === undefined ? undefined : ports.exchange(messageId)
    if ((cmd === 'puback' && answered === 2) || ((cmd === 'pubrec' || cmd === 'pubcomp') && answered === 1)) return deny('protocol-error', `${cmd} for a message of QoS ${answered}`)
    if (cmd === 'publish') {
      if (!isText(topic)) return deny('malformed-packet', 'topic is not UTF-8 text')
      if (topic === '' && packet.properties?.['topicAlias'] === undefined) return deny('protocol-error', 'PUBLISH without a topic')
      if (/[+#]/.test(topic)) return deny('topic-invalid', 'a wildcard in a topic name') // [MQTT-3.3.2-2]
    }
    const named = cmd === 'subscribe' ? packet.subscriptions?.map((filter) => filter.topic) : cmd === 'unsubscribe' ? packet.unsubscriptions : undefined
    if (named?.every(isText) === false) return deny('malformed-packet', 'a filter is not UTF-8 text') // [MQTT-3.8.3-1], [MQTT-3.10.3-1]
    if (named?.length === 0) return deny('protocol-error', `${cmd} without a filter`) // [MQTT-3.8.3-2], [MQTT-3.10.3-2]
    if (named !== undefined && named.length > BROKER_LIMITS.filtersPerSubscribeMax) return deny('quota-exceeded', `${named.length} filters in one ${cmd}`)
    return allow(undefined)
  }

  /** The packet that there are most of: the same questions, and none that cannot concern it. */
  function judgePuback(messageId: number | undefined): Decision<void> {
    if (messageId === undefined || messageId < 1 || messageId > PACKET_ID_MAX) return deny('malformed-packet', 'puback without a packet id') // [MQTT-2.2.1-3]
    return ports.exchange(messageId) === 2 ? deny('protocol-error', 'puback for a message of QoS 2') : FORM_IS_GOOD
  }

  function send(bytes: Uint8Array): void {
    if (client.closed) return
    // [MQTT-3.1.2-24]: what cannot be answered cannot go on.
    if (client.maximumPacketSize !== undefined && bytes.length > client.maximumPacketSize) return ports.onFault(deny('packet-too-large', `an answer of ${bytes.length} bytes, of which the client takes ${client.maximumPacketSize}`))
    ports.send(bytes)
    hasRoomToAnswer()
  }

  function hasRoomToAnswer(): boolean {
    if (ports.outputWaiting() <= BROKER_LIMITS.outboundBytesMax) return true
    ports.onFault(deny('quota-exceeded', 'the client reads too slowly'))
    return false
  }

  const subscribing = openSubscribing(client, { ...ports, send })
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
    resume(packetIds) {
      for (const packetId of packetIds) receiving.add(packetId)
    },
    releases: (packetId) => releasing.has(packetId),
    released(packetId) {
      releasing.delete(packetId)
    },
    granting: () => subscribing.granting(),
    waiting: () => subscribing.waiting(),
  }
}
