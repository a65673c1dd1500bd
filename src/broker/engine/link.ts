// One connection inside the engine room, from the finished handshake to the closed socket, and what is done to its bytes:
// the frame guard in front of the engine, the bound on what waits to be sent, and the last words to a peer.

import type { TLSSocket } from 'node:tls'
import { BROKER_LIMITS } from '../../limits.ts'
import { deny, type Denied } from '../../core/decision.ts'
import { openFrameGuard } from '../frame-guard.ts'
import type { SecureConnection } from '../listener.ts'
import type { Peer } from '../peer.ts'
import type { Session } from '../sessions.ts'
import type { Opening } from './connect.ts'
import type { PacketGate } from './packet-gate.ts'
import type { EngineClient, WirePacket } from './surface.ts'

export interface Link {
  readonly connection: SecureConnection
  readonly peer: Peer
  readonly client: EngineClient
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>
  gate: PacketGate | undefined
  /** Ends a connection whose CONNECT is not answered in time. */
  deadline: NodeJS.Timeout | undefined
  connect: WirePacket | undefined
  opening: Opening | undefined
  session: Session | undefined
  /** Somebody said no and the audit log knows: what the engine reports after that is an echo. */
  refused: boolean
}

export function openLink(connection: SecureConnection, peer: Peer, client: EngineClient): Link {
  const closed = new Promise<void>((resolve) => {
    connection.socket.once('close', () => resolve())
  })
  return { connection, peer, client, closed, gate: undefined, deadline: undefined, connect: undefined, opening: undefined, session: undefined, refused: false }
}

/**
 * Puts the frame guard into `read`, which is where the engine takes its bytes: no copy and no stream in between, and
 * what does not pass is never buffered.
 */
export function guardInput(client: EngineClient, socket: TLSSocket, packetBytesMax: number, onFault: (fault: Denied) => void): void {
  const guard = openFrameGuard(packetBytesMax, () => client.connackSent)
  const read = socket.read.bind(socket)
  let broken = false
  socket.read = (size?: number): Buffer | null => {
    const chunk = broken ? null : (read(size) as Buffer | null)
    if (chunk === null) return null
    const judged = guard.inspect(chunk)
    if (judged.allow) return chunk
    broken = true
    onFault(judged)
    return null
  }
}

/** A reader that stalls costs itself only: the engine waits for nobody's drain (trap 12), and what waits has an end. */
export function boundOutput(client: EngineClient, socket: TLSSocket, onFault: (fault: Denied) => void): void {
  client.waitForDrain = (callback) => {
    if (socket.writableLength > BROKER_LIMITS.outboundBytesMax) onFault(deny('quota-exceeded', 'the client reads too slowly'))
    setImmediate(callback, null, client)
  }
}

/** Sends last words and closes, politely for a moment, then in any case. */
export function farewell(socket: TLSSocket, bytes: Uint8Array): void {
  socket.end(bytes)
  const linger = setTimeout(() => socket.destroy(), BROKER_LIMITS.lingerMs)
  socket.once('close', () => clearTimeout(linger))
}
