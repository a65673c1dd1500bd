// How connections end when the server ends them: what the peer hears, what becomes of its Will, what the audit log says.
// One place, so that no ending is silent and none is told twice.

import { DISCONNECT, REASONS, type DenyReason } from '../../vocabulary.ts'
import { BROKER_LIMITS } from '../../limits.ts'
import type { Denied } from '../../core/decision.ts'
import { printable } from '../../core/ids.ts'
import type { Verdict } from '../../core/policy/grants.ts'
import { disconnectPacket, refusalConnack } from '../replies.ts'
import { peerRefusal } from '../peer.ts'
import type { BrokerPorts } from '../ports.ts'
import type { EndedBy, Session } from '../sessions.ts'
import { packetBytesMaxOf, protocolOf } from './connect.ts'
import { farewell, type Link } from './link.ts'
import type { WirePacket } from './surface.ts'

export interface SessionRefusal {
  readonly reason: DenyReason
  readonly detail?: string
  readonly topic?: string
  readonly verdict?: Verdict
}

export interface Endings {
  /** A packet of a session was refused; the session goes on. */
  refusal(session: Session, refusal: SessionRefusal): void
  /** A CONNECT was refused: CONNACK, then closed. */
  refuseConnect(link: Link, packet: WirePacket, denied: Denied): void
  /** The client broke the protocol, a quota or a deadline: its connection ends, and its Will fires. */
  fault(link: Link, fault: Denied): void
  /** The bytes were no MQTT packet. */
  malformed(link: Link, error: Error): void
  /** Its session has gone to another connection. */
  takeOver(link: Link): void
  /** The server ends a session. */
  end(link: Link, session: Session, reason: DenyReason, by: EndedBy): Promise<void>
}

/** `silence`: takes back the Will of a connection. */
export function openEndings(ports: BrokerPorts, silence: (link: Link) => void): Endings {
  function refusal(session: Session, { reason, detail, topic, verdict }: SessionRefusal): void {
    const ruleAt = verdict?.at === undefined ? undefined : `${verdict.at.file}:${verdict.at.line}`
    ports.audit.record({
      kind: 'refusal', at: ports.clock(), step: REASONS[reason].step, reason,
      source: session.source, device: session.device, clientId: session.clientId,
      ...(detail === undefined ? {} : { detail }),
      ...(topic === undefined ? {} : { topic: printable(topic, BROKER_LIMITS.topicBytesMax) }),
      ...(verdict?.rule === undefined ? {} : { rule: verdict.rule }),
      ...(ruleAt === undefined ? {} : { ruleAt }),
    })
  }

  function auditLink(link: Link, denied: Denied, clientId: string | undefined): void {
    ports.audit.record({ ...peerRefusal(link.peer, link.connection.source, denied, ports.clock()), ...(clientId === undefined ? {} : { clientId: printable(clientId) }) })
  }

  /** MQTT 5 is told why; 3.1.1 has no words for it. Then the engine lets go of the connection. */
  function close(link: Link, session: Session, reasonCode: number, sentence: string, after: 'at once' | 'when heard' = 'at once'): void {
    const { client, connection: { stream } } = link
    link.outbound?.stop()
    const words = session.protocol === 5 && client.connackSent && !client.closed ? disconnectPacket(reasonCode, sentence, client.maximumPacketSize) : undefined
    // The engine destroys the socket, and with it what is still on its way behind an earlier write: it waits for the words.
    if (words === undefined) client.close()
    else {
      link.output.finish(words, () => {
        if (after === 'at once' || client.closed) return client.close()
        // A client that still sends would have its connection reset, and might never read why: it is left to close its side.
        link.reading?.discard()
        stream.end()
      })
    }
    // A peer that does not read must not delay the end.
    const linger = setTimeout(() => stream.destroy(), BROKER_LIMITS.lingerMs)
    void link.closed.then(() => clearTimeout(linger))
  }

  return {
    refusal,
    refuseConnect(link, packet, denied) {
      link.refused = true
      auditLink(link, denied, packet.clientId)
      const { acceptedAt, source } = link.connection
      ports.trace({ name: 'connect', begunAt: acceptedAt, endedAt: ports.clock(), attributes: { 'sallyport.device': link.peer.device, 'network.protocol.name': 'mqtt', 'client.address': source.address }, reason: denied.reason })
      const protocol = protocolOf(packet)
      const { stream } = link.connection
      // [MQTT-3.1.4-1]: what is no CONNECT MQTT 3.1.1 closes without a CONNACK, which has no code for it.
      const connack = protocol !== 5 && NO_CONNECT.has(denied.reason) ? undefined : refusalConnack(denied.reason, protocol, packetBytesMaxOf(packet))
      if (connack === undefined) stream.destroy()
      else farewell(stream, connack)
    },
    fault(link, fault) {
      if (link.refused) return
      link.refused = true
      const { session } = link
      if (session === undefined) {
        auditLink(link, fault, link.connect?.clientId)
        link.connection.stream.destroy()
        return
      }
      if (session.ending !== undefined) return
      refusal(session, { reason: fault.reason, ...(fault.detail === undefined ? {} : { detail: fault.detail }) })
      session.ending = fault.reason
      close(link, session, REASONS[fault.reason].reason5, REASONS[fault.reason].sentence, 'when heard')
    },
    malformed(link, error) {
      if (link.refused) return
      link.refused = true
      const { session } = link
      const wrongVersion = link.connect === undefined && /protocol ?(version|id)/i.test(error.message)
      const denied: Denied = { allow: false, reason: wrongVersion ? 'protocol-version' : 'malformed-packet', detail: printable(error.message) }
      auditLink(link, denied, session?.clientId)
      const { stream } = link.connection
      if (session !== undefined) {
        session.ending ??= denied.reason
        close(link, session, REASONS[denied.reason].reason5, REASONS[denied.reason].sentence, 'when heard')
        return
      }
      // [MQTT-3.1.2-2]: an unacceptable protocol level is answered with 0x01, in the format of 3.1.1.
      const connack = wrongVersion ? refusalConnack('protocol-version', 4) : undefined
      if (connack === undefined) stream.destroy()
      else farewell(stream, connack)
    },
    takeOver(link) {
      if (link.session !== undefined) close(link, link.session, DISCONNECT.sessionTakenOver, TAKEN_OVER)
    },
    end(link, session, reason, by) {
      if (session.ending !== undefined && session.ending !== 'session-taken-over') return link.closed
      session.ending = reason
      link.refused = true
      ports.audit.record({ kind: 'session-closed', at: ports.clock(), device: session.device, clientId: session.clientId, because: REASONS[reason].sentence, reason })
      if (by !== 'itself' && ports.policy().willOnKick === 'suppress') suppressWill(link)
      close(link, session, by === 'operator' ? DISCONNECT.administrativeAction : REASONS[reason].reason5, REASONS[reason].sentence)
      return link.closed
    },
  }

  /** policy.md R8: who is kicked leaves no Will, also none that would wait for its delay. */
  function suppressWill(link: Link): void {
    link.client.will = null
    link.client._will = null
    silence(link)
  }
}

const TAKEN_OVER = 'Another connection has the client id of this one.'

/** A CONNECT of this kind is none. */
const NO_CONNECT: ReadonlySet<DenyReason> = new Set(['malformed-packet', 'protocol-error'])
