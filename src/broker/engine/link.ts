// One connection inside the engine room, from the finished handshake to the closed socket, and what is done to its bytes:
// the frame guard in front of the engine, when the engine may read on, and the last words to a peer.

import type { Duplex } from 'node:stream'
import { BROKER_LIMITS } from '../../limits.ts'
import type { Denied } from '../../core/decision.ts'
import type { SessionKey } from '../../core/ids.ts'
import type { Publisher } from '../../core/message.ts'
import type { SessionChange } from '../../core/session-store.ts'
import type { Traffic } from '../../core/traffic.ts'
import { openFrameGuard, type FrameGuard } from '../frame-guard.ts'
import type { SecureConnection } from '../listener.ts'
import type { Peer } from '../peer.ts'
import type { ConnectionBounds } from '../ports.ts'
import type { Session } from '../sessions.ts'
import type { Opening } from './connect.ts'
import type { AnswerOrder } from './order.ts'
import type { Outbound } from './outbound.ts'
import type { Output } from './output.ts'
import type { Pace, Waiter } from './pace.ts'
import type { PacketGate } from './packet-gate.ts'
import type { RetainedShow } from './retained.ts'
import type { EngineClient, WirePacket } from './surface.ts'
import type { UserPropertyOrder } from './user-properties.ts'

export interface Link {
  readonly connection: SecureConnection
  readonly peer: Peer
  readonly client: EngineClient
  readonly output: Output
  /** What it may do, as it was when it began. */
  readonly bounds: ConnectionBounds
  readonly answers: AnswerOrder
  readonly userProperties: UserPropertyOrder
  reading: Reading | undefined
  /** Its device is slowed down: that of all its connections. */
  pace: Pace | undefined
  /** What had been read when it was last looked at: how much was asked, and whether it spoke. */
  readonly looked: { asks: number; packets: number }
  /** Resolves when the stream is closed, and the socket with it. */
  readonly closed: Promise<void>
  /** Writes to the session store; when that fails the connection ends, and the promise never resolves. */
  commit(changes: readonly SessionChange[]): Promise<void>
  gate: PacketGate | undefined
  /** Ends a connection whose CONNECT is not answered in time. */
  deadline: NodeJS.Timeout | undefined
  connect: WirePacket | undefined
  opening: Opening | undefined
  session: Session | undefined
  /** The connection that this one takes its session over from. */
  incumbent: Link | undefined
  outbound: Outbound | undefined
  /** Its session as the store keeps it with what it retains: one object for all. */
  publisher: Publisher | undefined
  /** How many messages had been published when the router knew all subscriptions of its session. */
  routedAt: number | undefined
  /** What is retained under filters that were just subscribed to. */
  readonly retained: RetainedShow[]
  /** The session store has its Will. */
  willSet: boolean
  /** Sessions of the same device that are kept and not connected, with how many subscriptions each has. */
  absent: Map<SessionKey, number>
  /** What its output had taken when it was last looked at, and since when it takes nothing. */
  stalled: { taken: number; since: number } | undefined
  /** Somebody said no and the audit log knows: what the engine reports after that is an echo. */
  refused: boolean
}

export function openLink(parts: Pick<Link, 'connection' | 'peer' | 'client' | 'output' | 'bounds' | 'answers' | 'userProperties' | 'commit'>): Link {
  const closed = new Promise<void>((resolve) => {
    parts.connection.stream.once('close', () => resolve())
  })
  return {
    ...parts, closed, reading: undefined, pace: undefined, looked: { asks: 0, packets: 0 }, gate: undefined, deadline: undefined, connect: undefined, opening: undefined, session: undefined, incumbent: undefined,
    outbound: undefined, publisher: undefined, routedAt: undefined, retained: [], willSet: false, absent: new Map(), stalled: undefined, refused: false,
  }
}

export interface Reading {
  /** What was read: packets, those among them that ask for something, and bytes. */
  readonly counted: Pick<FrameGuard, 'packets' | 'asks' | 'bytes'>
  /** Runs the parser; while it runs the engine reads nothing: it would parse one chunk in the middle of another. */
  parsing(parse: () => number): number
  /** Reads on, if the engine wanted to and had to wait. */
  resume(): void
  /** Nothing more is read until what this returns is called. */
  hold(): () => void
  /** From here on what comes is thrown away, unread by anybody. */
  discard(): void
}

interface InputPorts {
  readonly mayRead: () => boolean
  /** Where the device is slowed down. */
  readonly pace: () => Pace | undefined
  readonly onFault: (fault: Denied) => void
  readonly traffic: Pick<Traffic, 'bytesReceived'>
}

/**
 * Puts the frame guard into `read`, which is where the engine takes its bytes: no copy and no stream in between, and what
 * does not pass is never buffered. While `mayRead` says no the engine finds nothing to read, and the network makes the peer
 * wait. With a pace, it is one packet at a time.
 */
export function guardInput(client: EngineClient, stream: Duplex, packetBytesMax: number, ports: InputPorts): Reading {
  const { mayRead, onFault, traffic } = ports
  const guard = openFrameGuard(packetBytesMax, () => client.connackSent)
  const read = stream.read.bind(stream)
  let broken = false
  let discarding = false
  let parsing = false
  let held = false
  let holds = 0
  stream.read = (size?: number): Buffer | null => {
    if (discarding) return read(size) as Buffer | null
    if (broken) return null
    if (parsing || holds > 0 || !mayRead()) {
      held = true
      return null
    }
    const pace = ports.pace()
    if (pace !== undefined && stream.readableLength > 0) return readPacket(pace)
    const chunk = read(size) as Buffer | null
    return chunk === null ? null : passed(chunk)
  }

  /** What of these bytes may go on. */
  function passed(chunk: Buffer): Buffer | null {
    traffic.bytesReceived += chunk.length
    const judged = guard.inspect(chunk)
    if (judged.allow && judged.value === chunk.length) return chunk
    broken = true
    if (!judged.allow) onFault(judged)
    return judged.allow && judged.value > 0 ? chunk.subarray(0, judged.value) : null
  }

  /** One packet, as far as it is there. No byte more: what is not read fills the buffer of the stream, and then the network's. */
  function readPacket(pace: Pace): Buffer | null {
    held = true
    if (guard.wanted === 0 && !pace.enter(waiter)) return null
    const before = guard.asks
    const pieces: Buffer[] = []
    do {
      const piece = passed(read(Math.min(stream.readableLength, Math.max(1, guard.wanted))) as Buffer)
      if (piece === null) return null
      pieces.push(piece)
    } while (guard.wanted > 0 && stream.readableLength > 0 && !broken)
    if (guard.asks > before) pace.spend()
    return Buffer.concat(pieces)
  }

  const waiter: Waiter = {
    resume,
    // It is not silent: it is not listened to.
    onWaiting: () => void client._keepaliveTimer?.refresh(),
  }

  function resume(): void {
    if (!held || discarding || parsing || holds > 0 || client.closed || !mayRead()) return
    held = false
    client._nextBatch()
  }

  return {
    counted: guard,
    resume,
    hold() {
      let done = false
      holds += 1
      return () => {
        if (done) return
        done = true
        holds -= 1
        resume()
      }
    },
    discard() {
      discarding = true
      stream.removeAllListeners('readable')
      stream.resume()
    },
    parsing(parse) {
      parsing = true
      try {
        return parse()
      } finally {
        parsing = false
        // The engine reads no further while any message is unanswered, a PINGREQ behind it included: `mayRead` bounds that.
        if (client.connackSent) client._parsingBatch = 0
        // On the stack of this chunk the next one would be read, and so on, for as long as there are bytes.
        if (held && client._parsingBatch <= 0) setImmediate(resume)
      }
    },
  }
}

/** Sends last words and closes, politely for a moment, then in any case. */
export function farewell(stream: Duplex, bytes: Uint8Array): void {
  stream.end(bytes)
  const linger = setTimeout(() => stream.destroy(), BROKER_LIMITS.lingerMs)
  stream.once('close', () => clearTimeout(linger))
}
