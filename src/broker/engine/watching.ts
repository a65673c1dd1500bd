// What the detection ladder is told, and how it slows a device down. Everything that is told here was done by a peer that proved to
// be the device, with a certificate that is in force at that moment. Nothing is done for a message: what a device sends is read
// off its connections once a second.

import { DETECTION_LIMITS } from '../../detection-limits.ts'
import type { DenyReason } from '../../vocabulary.ts'
import { judgeStanding } from '../../core/admission.ts'
import { factOfRequest, factsOfConnect } from '../../core/detection/signals.ts'
import type { DeviceId, Fingerprint } from '../../core/ids.ts'
import { judgeTrust, type Peer } from '../peer.ts'
import type { BrokerPorts } from '../ports.ts'
import type { Session, SessionTable } from '../sessions.ts'
import { sourceKey } from '../../core/source.ts'
import type { Link } from './link.ts'
import { openPace, type Pace } from './pace.ts'
import type { Looker } from './walk.ts'

export interface Watching {
  /** Its handshake is done. A device that is slowed down does not get a fast second for connecting anew. */
  attached(link: Link): void
  refusedConnect(link: Link, clientId: string | undefined, reason: DenyReason): void
  admitted(session: Session): void
  /** A message or a filter of the client was refused. */
  refused(session: Pick<Session, 'device'>, refusal: { readonly reason: DenyReason; readonly topic?: string }): void
  /** The device publishes by another way than a connection of MQTT: false where it is slowed down, and has had its share. */
  publishes(device: DeviceId): boolean
  /** It came in by that way. */
  cameIn(where: Pick<Session, 'device' | 'sha256' | 'source'>): void
  /** What looks at each connection every second. */
  readonly looker: Looker
}

export function openWatching(ports: BrokerPorts, sessions: SessionTable): Watching {
  const { detection, view, clock } = ports
  const paces = new Map<DeviceId, Pace>()
  /** What each device asked by other ways than connections of MQTT, since the last look. */
  let asides = new Map<DeviceId, number>()
  /** How much each device asked since the last look. */
  let asked = new Map<DeviceId, number>()
  const places = openPlaces()
  let placesAt = clock()
  let placesDue = false

  function paceOf(device: DeviceId): Pace | undefined {
    if (!detection.isThrottled(device)) return undefined
    const pace = paces.get(device) ?? openPace(clock)
    paces.set(device, pace)
    return pace
  }

  /** Who shows a certificate that is revoked, superseded or trusted no longer is not the device any more. */
  function isDevice(peer: Peer): boolean {
    const standing = { now: clock(), record: view.certificate(peer.issuer, peer.serial), device: view.device(peer.device), grants: { empty: false } }
    return judgeStanding(standing).allow && judgeTrust(peer, ports).allow
  }

  function isElsewhere(session: Pick<Session, 'device' | 'sha256' | 'source'>): boolean {
    const place = sourceKey(session.source.address)
    return sessions.ofDevice(session.device).some((other) => other.sha256 === session.sha256 && sourceKey(other.source.address) !== place)
  }

  function begin(): void {
    detection.sweep()
    asked = asides
    asides = new Map()
    const now = clock()
    placesDue = Math.abs(now - placesAt) >= DETECTION_LIMITS.placesMs
    if (placesDue) placesAt = now
  }

  function look(link: Link): void {
    const { session, reading, looked } = link
    const asks = (reading?.counted.asks ?? 0) - looked.asks
    if (session !== undefined && asks > 0) {
      looked.asks += asks
      asked.set(session.device, (asked.get(session.device) ?? 0) + asks)
    }
    // Who is quiet need not be slowed down; who is slowed down may have to be let go.
    if (asks > 0 || link.pace !== undefined) link.pace = paceOf(link.peer.device)
    if (!placesDue || session === undefined || reading === undefined || reading.counted.packets === looked.packets) return
    looked.packets = reading.counted.packets
    places.spoke(session)
  }

  function* end(): Generator<void> {
    for (const [device, messages] of asked) yield sent(device, messages)
    for (const device of places.copied()) yield inTwoPlaces(device)
    letGo()
  }

  const sent = aside((device: DeviceId, messages: number) => detection.note(device, { kind: 'sent', messages }))
  const inTwoPlaces = aside((device: DeviceId) => detection.note(device, { kind: 'two-places' }))

  const letGo = aside(() => {
    for (const [device, pace] of paces) {
      if (detection.isThrottled(device)) continue
      paces.delete(device)
      pace.close()
    }
  })

  /** Whoever watches decides nothing: when it cannot look something up, the door and the messages go on as if nobody had watched. */
  function aside<A extends readonly unknown[]>(watch: (...facts: A) => void): (...facts: A) => void {
    return (...facts) => {
      try {
        watch(...facts)
      } catch (error) {
        ports.log('error', { error: error instanceof Error ? error.message : 'unknown' }, 'the detection ladder could not look at what happened')
      }
    }
  }

  return {
    attached: aside((link) => {
      link.pace = paceOf(link.peer.device)
    }),
    refusedConnect: aside(({ peer }, clientId, reason) => {
      const facts = factsOfConnect(peer.device, reason, clientId, (id) => view.device(id) !== undefined)
      if (facts.length > 0 && isDevice(peer)) for (const fact of facts) detection.note(peer.device, fact)
    }),
    admitted: aside((session) => {
      detection.note(session.device, { kind: 'connect' })
      if (isElsewhere(session)) detection.note(session.device, { kind: 'two-places' })
    }),
    refused: aside(({ device }, { reason, topic }) => {
      const fact = factOfRequest(reason, topic)
      if (fact !== undefined) detection.note(device, fact)
    }),
    publishes(device) {
      const pace = paceOf(device)
      if (pace?.hasRoom() === false) return false
      pace?.spend()
      asides.set(device, (asides.get(device) ?? 0) + 1)
      return true
    },
    cameIn: aside((where) => {
      if (isElsewhere(where)) detection.note(where.device, { kind: 'two-places' })
    }),
    looker: { begin: aside(begin), look: aside(look), end },
  }
}

interface Places {
  spoke(session: Session): void
  /** Of whom a certificate spoke from two places since this was last asked. */
  copied(): Iterable<DeviceId>
}

/** A connection that only was not closed yet says nothing. */
function openPlaces(): Places {
  const places = new Map<Fingerprint, string>()
  const copied = new Map<Fingerprint, DeviceId>()
  return {
    spoke({ sha256, device, source }) {
      const place = sourceKey(source.address)
      if ((places.get(sha256) ?? place) === place) places.set(sha256, place)
      else copied.set(sha256, device)
    },
    copied() {
      const devices = [...copied.values()]
      places.clear()
      copied.clear()
      return devices
    },
  }
}
