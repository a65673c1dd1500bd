// The CONNECT: gathers the facts that core/admission judges, and makes the session of who is admitted. It reads the view
// and the grants, both in memory; nothing here waits but the question whether a session is kept under the device id, which is
// asked before a client without a client id is judged.

import { randomUUID } from 'node:crypto'
import { admit, judgeStanding, type Admitted, type WillFacts } from '../../core/admission.ts'
import { allow, deny, type Decision } from '../../core/decision.ts'
import type { Device } from '../../core/device.ts'
import { sessionKey, type SessionKey } from '../../core/ids.ts'
import type { ConnectionFacts } from '../../core/policy/conditions.ts'
import type { Grants } from '../../core/policy/grants.ts'
import { judgeTrust, type Peer } from '../peer.ts'
import type { BrokerPorts } from '../ports.ts'
import type { SessionTable } from '../sessions.ts'
import { openConnectRates, type ConnectRates } from './connect-rates.ts'
import type { Granting } from './granting.ts'
import { isText, judgeProperties } from './properties.ts'
import type { EngineWill, WirePacket } from './surface.ts'

/** A judged CONNECT that may open a session. */
export interface Opening extends Admitted {
  readonly key: SessionKey
  readonly protocol: 4 | 5
  readonly grants: Grants
}

export interface ConnectJudge {
  /** The rate that every CONNECT uses up; so does every other way in. */
  readonly withinRate: ConnectRates
  /**
   * Must a client that sends no client id be given another than the device id, because a session has that, connected or kept?
   * Answered at once wherever the store need not be asked.
   */
  isDeviceIdTaken(packet: WirePacket, peer: Peer): boolean | Promise<boolean>
  /** `deviceIdTaken` is the answer to that; sessions that connected since are seen here. */
  judge(packet: WirePacket, peer: Peer, connection: ConnectionFacts, deviceIdTaken: boolean): Decision<Opening>
}

/** The protocol that is spoken; 3 for MQTT 3.1 and for what else the parser lets pass: MQIsdp of a later level, a bridge's bit. */
export function protocolOf(packet: WirePacket): 3 | 4 | 5 {
  if (packet.protocolId !== 'MQTT' || packet.bridgeMode === true) return 3
  return packet.protocolVersion === 5 ? 5 : packet.protocolVersion === 4 ? 4 : 3
}

/** The Maximum Packet Size of the client, where its CONNECT has one that can be read. */
export function packetBytesMaxOf({ properties }: WirePacket): number | undefined {
  const asked = properties?.['maximumPacketSize']
  return typeof asked === 'number' && asked > 0 ? asked : undefined
}

function willFacts(will: EngineWill | undefined): WillFacts | undefined {
  return will === undefined || will === null ? undefined : { topic: will.topic, qos: will.qos, retain: will.retain, bytes: will.payload.length }
}

export function openConnectJudge(ports: BrokerPorts, sessions: SessionTable, granting: Granting): ConnectJudge {
  const withinRate = openConnectRates(ports.detection)

  function freeClientId({ id, tenant }: Device, deviceIdTaken: boolean): string {
    return deviceIdTaken || sessions.get(sessionKey(tenant, id, id)) !== undefined ? `${id}:${randomUUID()}` : id
  }

  return {
    withinRate,
    isDeviceIdTaken(packet, peer) {
      const device = ports.view.device(peer.device)
      if (packet.clientId !== '' || device === undefined) return false
      const key = sessionKey(device.tenant, device.id, device.id)
      // One that is connected now may be gone, and kept, when the store has answered. What cannot be asked counts as taken.
      if (sessions.get(key) !== undefined || !ports.store.health.ok) return true
      return ports.store.session(key).then(
        (kept) => kept !== undefined && (kept.expiresAt === undefined || kept.expiresAt > ports.clock()),
        () => true,
      )
    },
    judge(packet, peer, connection, deviceIdTaken) {
      const form = judgeForm(packet)
      if (!form.allow) return form
      const issuer = judgeTrust(peer, ports)
      if (!issuer.allow) return issuer
      const now = ports.clock()
      const standing = { now, record: ports.view.certificate(peer.issuer, peer.serial), device: ports.view.device(peer.device) }
      // Whether a quarantined device is granted anything is not known yet: `admit` asks.
      const inForce = judgeStanding({ ...standing, grants: { empty: false } })
      if (!inForce.allow) return inForce
      const device = inForce.value
      const protocol = protocolOf(packet)
      const wireId = packet.clientId ?? ''
      const clientId = wireId === '' ? freeClientId(device, deviceIdTaken) : wireId
      const granted = granting.connected(device, peer, clientId, connection)
      const key = sessionKey(device.tenant, device.id, clientId)
      const others = new Set(sessions.ofDevice(device.id).filter((s) => s.key !== key && s.ending === undefined).map((s) => s.key))
      const admitted = admit({
        ...standing,
        protocol,
        clientId: wireId,
        freeClientId: clientId,
        clean: packet.clean === true,
        will: willFacts(packet.will),
        authenticationMethod: packet.properties?.authenticationMethod,
        grants: granted,
        otherSessions: others.size,
        withinRate: withinRate(device.id, now),
      })
      if (!admitted.allow) return admitted
      if (protocol === 3) return deny('protocol-version')
      // The owner check before take-over and before a clean start wipes: the key holds tenant and device, so another
      // device's session cannot have this key; if it ever does, nobody gets it.
      const incumbent = sessions.get(key)
      if (incumbent !== undefined && (incumbent.device !== device.id || incumbent.tenant !== device.tenant)) return deny('client-id-mismatch', 'owned by another device')
      return allow({ ...admitted.value, key, protocol, grants: granted })
    },
  }
}

/** What any CONNECT must keep to, whoever sends it. */
function judgeForm(packet: WirePacket): Decision<void> {
  // Bytes that were no UTF-8 have become U+FFFD by now: two ids that differ would be one.
  if (!isText(packet.clientId)) return deny('client-id-invalid', 'not UTF-8 text')
  const { username, password, will } = packet
  if (username !== undefined && !isText(username)) return deny('malformed-packet', 'user name is not UTF-8 text') // [MQTT-3.1.3-11]
  // [MQTT-3.1.2-22]; in MQTT 5 a password may stand alone.
  if (password !== undefined && username === undefined && protocolOf(packet) !== 5) return deny('malformed-packet', 'a password without a user name')
  if (will !== undefined && !isText(will.topic)) return deny('malformed-packet', 'Will topic is not UTF-8 text') // [MQTT-3.1.3-10]
  if (will !== undefined && will.qos > 2) return deny('malformed-packet', 'Will of QoS 3') // [MQTT-3.1.2-14]
  const properties = judgeProperties('connect', packet.properties)
  return properties.allow ? judgeProperties('will', will?.properties) : properties
}
