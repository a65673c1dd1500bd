// Floods: connections that never finish, connections that never begin, and a certificate that connects again and again. What
// counts is not only that they are turned away, but that everybody else does not notice.

import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { clientHello, HANDSHAKE, record, TLS_VERSION } from '../forge/client-hello.ts'
import { inParallel, type Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Observed } from '../oracle.ts'
import { openSocket } from '../raw-socket.ts'
import { connectFrom, type Arena, type Bench, type Runner } from './arena.ts'

/** When a socket was closed by the server, in ms since it was connected; undefined when it was still open at the deadline. */
function closedAfter(socket: Socket, deadlineMs: number): Promise<number | undefined> {
  let started = performance.now()
  return new Promise((resolve) => {
    socket.once('connect', () => {
      started = performance.now()
    })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve(undefined)
    }, deadlineMs)
    socket.once('end', () => socket.destroy())
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(performance.now() - started)
    })
    socket.resume()
  })
}

/** Sends a ClientHello one byte at a time, slower than anybody waits. */
async function drip(socket: Socket): Promise<void> {
  for (const byte of record(HANDSHAKE.record, TLS_VERSION['TLS 1.0'], clientHello({ version: TLS_VERSION['TLS 1.2'] }))) {
    if (socket.destroyed) return
    socket.write(Buffer.from([byte]))
    await delay(SIM_LIMITS.slowlorisByteMs, undefined, { ref: false })
  }
}

/** Opens them a few at a time, so that what is measured is how long each is kept, not how long it waited to be accepted. */
async function openHalf(arena: Arena, source: string | undefined, count: number): Promise<readonly (number | undefined)[]> {
  const closed: Promise<number | undefined>[] = []
  for (let i = 0; i < count; i++) {
    const socket = openSocket(arena.target, source)
    closed.push(closedAfter(socket, SIM_LIMITS.handshakeMs + SIM_LIMITS.verdictMs))
    // Every fourth one pretends to begin.
    if (i % 4 === 0) void drip(socket)
    if (i % SIM_LIMITS.halfOpenAtOnce === 0) await delay(SIM_LIMITS.halfOpenPauseMs)
  }
  return Promise.all(closed)
}

/** Does an honest device come in, from an address of its own, and does the canary still hear itself? */
async function othersNotice(arena: Arena, honest: Identity): Promise<Observed> {
  const { seen, peer } = await connectFrom(arena, { credentials: honest, version: 5 }, honest.id)
  peer.end()
  if (seen.kind !== 'admitted') return { kind: 'disturbed', how: `an honest device was not admitted: ${seen.kind}` }
  return (await arena.canary.roundTrip()) === undefined ? { kind: 'disturbed', how: 'the canary device no longer hears itself' } : { kind: 'undisturbed' }
}

async function comesIn(arena: Arena, bench: Bench, label: string, honest: Identity): Promise<void> {
  const { seen, peer } = await connectFrom(arena, { credentials: honest, version: 4 }, honest.id)
  bench.control(label, seen.kind === 'admitted', seen.kind)
  peer.end()
}

async function halfOpen(arena: Arena, bench: Bench): Promise<void> {
  const honest = await arena.identities.fresh('t46')
  await comesIn(arena, bench, 'an honest device before', honest)
  const perSource = SIM_LIMITS.halfOpenSockets / SIM_LIMITS.halfOpenSources
  const sources = Array.from({ length: SIM_LIMITS.halfOpenSources }, () => arena.sources.next())
  const floods = sources.map((source) => ({ source, closed: openHalf(arena, source, perSource) }))
  // By then all are open, and none has been closed.
  await delay(SIM_LIMITS.halfOpenOpenedMs)
  bench.attack('others', 'an honest device and the canary meanwhile', await othersNotice(arena, honest))
  for (const { source, closed } of floods) {
    const after = await closed
    const times = after.filter((ms) => ms !== undefined)
    bench.attack('attack', `${perSource} half-open connections`, { kind: 'flood', tried: after.length, refused: times.length, slowestMs: Math.max(0, ...times) }, { address: source })
  }
  await comesIn(arena, bench, 'an honest device afterwards', honest)
}

/** Time in which a connection that is turned away at once has been turned away. */
const TURNED_AWAY_MS = 1_000
const RETRY_MS = 250

async function connectFlood(arena: Arena, bench: Bench): Promise<void> {
  const honest = await arena.identities.fresh('t47')
  const source = arena.sources.next()
  await comesIn(arena, bench, 'an honest device before', honest)
  const sockets = Array.from({ length: SIM_LIMITS.connectFloodSockets }, () => openSocket(arena.target, source))
  let refused = 0
  const arrived = Promise.all(sockets.map((socket) => new Promise<void>((resolve) => {
    socket.once('connect', () => resolve())
    socket.once('end', () => socket.destroy())
    socket.once('close', () => {
      refused += 1
      resolve()
    })
    socket.resume()
  })))
  await Promise.race([arrived, delay(SIM_LIMITS.connectFloodMs)])
  bench.attack('others', 'an honest device and the canary meanwhile', await othersNotice(arena, honest))
  await delay(TURNED_AWAY_MS)
  bench.attack('attack', 'connections without a ClientHello', { kind: 'flood', tried: sockets.length, refused, slowestMs: TURNED_AWAY_MS }, { address: source })
  for (const socket of sockets) socket.destroy()
  const again = await untilAdmitted(arena, honest, source)
  bench.control('the flooding address is served again when it has calmed down', again, `within ${SIM_LIMITS.connectFloodMs} ms`)
}

async function untilAdmitted(arena: Arena, honest: Identity, source: string | undefined): Promise<boolean> {
  const deadline = performance.now() + SIM_LIMITS.connectFloodMs
  while (performance.now() < deadline) {
    const { seen, peer } = await connectFrom(arena, { credentials: honest, version: 5, source }, honest.id)
    peer.end()
    if (seen.kind === 'admitted') return true
    await delay(RETRY_MS)
  }
  return false
}

/** Q37: one certificate connects at a rate that nobody needs, and hundreds of honest ones share its address. */
async function oneCertificate(arena: Arena, bench: Bench): Promise<void> {
  const flooder = await arena.identities.fresh('q37')
  const honest = await arena.identities.batch('q37', SIM_LIMITS.honestDevices)
  const source = arena.sources.next()
  const calm = new AbortController()
  const flood = floodWith(arena, flooder, source, calm.signal)
  const peers = await inParallel(honest, SIM_LIMITS.honestParallel, (identity) => connectFrom(arena, { credentials: identity, version: 5, source }, identity.id))
  calm.abort()
  const turnedAway = peers.filter(({ seen }) => seen.kind !== 'admitted')
  for (const { peer } of peers) peer.end()
  const [first] = turnedAway
  bench.attack('others', `${honest.length} honest devices behind the same address`, first === undefined ? { kind: 'undisturbed' } : { kind: 'disturbed', how: `${turnedAway.length} of ${honest.length} were turned away, the first: ${first.seen.kind}` })
  const { tried, refused, admitted, slowestMs } = await flood
  bench.control('the flooding device came in as often as one may', admitted > 0, `${admitted} of ${tried}`)
  bench.attack('attack', 'CONNECTs of one certificate', { kind: 'flood', tried, refused, slowestMs }, { address: source, device: flooder.id })
}

async function floodWith(arena: Arena, flooder: Identity, source: string | undefined, calm: AbortSignal): Promise<{ readonly tried: number; readonly refused: number; readonly admitted: number; readonly slowestMs: number }> {
  const attempts: Promise<{ readonly kind: string; readonly ms: number }>[] = []
  while (!calm.aborted || attempts.length < SIM_LIMITS.floodConnectsMin) {
    const started = performance.now()
    attempts.push(connectFrom(arena, { credentials: flooder, version: 5, source }, flooder.id).then(({ seen, peer }) => {
      peer.end()
      return { kind: seen.kind, ms: performance.now() - started }
    }))
    await delay(1_000 / SIM_LIMITS.floodPerSecond)
  }
  const ended = await Promise.all(attempts)
  const admitted = ended.filter(({ kind }) => kind === 'admitted').length
  return { tried: ended.length, refused: ended.filter(({ kind }) => kind === 'refused-by-connack').length, admitted, slowestMs: Math.max(...ended.map(({ ms }) => ms)) }
}

export const FLOOD_CASES = {
  T46: halfOpen,
  T47: connectFlood,
  Q37: oneCertificate,
} as const satisfies Record<string, Runner>
