// Load: many devices, each with a certificate of its own, that publish at a given rate in all and hear their own messages
// come back. It measures the server and, beside it, itself: a number that the generator could not keep up with is no
// number of the server.

import { setTimeout as delay } from 'node:timers/promises'
import { inParallel, type Identities, type Identity } from '../identities.ts'
import { SIM_LIMITS } from '../limits.ts'
import type { Sources, Target } from '../target.ts'
import { within } from '../within.ts'
import { openLatency, type Latency, type LatencySummary } from './latency.ts'
import { connectLight, type LightPeer, type Qos } from './light-peer.ts'
import { keepPace } from './pacer.ts'

export interface LoadPlan {
  readonly target: Target
  readonly identities: Identities
  readonly sources: Sources
  readonly devices: number
  /** Messages per second, of all devices together. */
  readonly ratePerSecond: number
  readonly seconds: number
  readonly qos: Qos
  /** How long the last messages may take to come back. */
  readonly drainMs: number
  readonly signal: AbortSignal
  /** Asked for its words only when they are shown. */
  onProgress(text: () => string): void
}

export interface LoadResult {
  readonly devices: number
  readonly connected: number
  /** Reasons of connections that were not made, and of those that ended. */
  readonly refused: Readonly<Record<string, number>>
  readonly dropped: Readonly<Record<string, number>>
  readonly connect: LatencySummary & { readonly perSecond: number }
  /** From the time at which a message was due to its return. */
  readonly roundTrip: LatencySummary
  readonly messages: {
    /** Became due; `unsent` of them could not be sent, because the device was cut off or the server had stopped reading. */
    readonly due: number
    readonly unsent: number
    readonly received: number
    readonly lost: number
    readonly duplicates: number
    readonly misordered: number
  }
  readonly rate: { readonly wanted: number; readonly achieved: number }
  readonly generator: { readonly cpuShare: number; readonly busyShare: number; readonly lateP99Ms: number; readonly bottleneck: boolean }
  readonly interrupted: boolean
  readonly ok: boolean
}

/** One device and what it has under way. */
interface Station {
  readonly identity: Identity
  readonly topic: string
  readonly due: Set<number>
  peer: LightPeer | undefined
  sent: number
  last: number
}

interface Tally {
  readonly roundTrip: Latency
  received: number
  duplicates: number
  misordered: number
  lastAt: number
  /** Messages that may still come back: sent, not received, by devices that are connected. */
  underWay: number
  /** Called when there are none. */
  settled(): void
}

const DUE_AT = 0
const SEQUENCE = 8

export async function runLoad(plan: LoadPlan): Promise<LoadResult> {
  const identities = await enroll(plan)
  const tally: Tally = { roundTrip: openLatency(), received: 0, duplicates: 0, misordered: 0, lastAt: 0, underWay: 0, settled: () => {} }
  const [refused, dropped] = [counter(), counter()]
  const stations = identities.map((identity): Station => ({ identity, topic: `t/${identity.id}/load`, due: new Set(), peer: undefined, sent: 0, last: -1 }))
  const connect = await connectAll(plan, stations, tally, refused, dropped)
  const there = stations.filter((station) => station.peer !== undefined)
  const spoken = await speak(plan, there, tally)
  for (const { peer } of there) peer?.end()

  const lost = there.reduce((sum, station) => sum + station.due.size, 0)
  const { received, duplicates, misordered } = tally
  // What was not waited for, because somebody stopped the run, is not lost.
  const messages = { due: spoken.due, unsent: spoken.unsent, received, lost: plan.signal.aborted ? 0 : lost, duplicates, misordered }
  return {
    devices: plan.devices,
    connected: there.length,
    refused: refused.counts,
    dropped: dropped.counts,
    connect,
    roundTrip: tally.roundTrip.summary(),
    messages,
    rate: { wanted: plan.ratePerSecond, achieved: tally.received === 0 ? 0 : received / Math.max(1 / 1_000, (tally.lastAt - spoken.startedAt) / 1_000) },
    generator: spoken.generator,
    interrupted: plan.signal.aborted,
    ok: !plan.signal.aborted && there.length === plan.devices && Object.keys(dropped.counts).length === 0 && messages.lost + messages.unsent + duplicates + misordered === 0,
  }
}

interface Counter {
  readonly counts: Readonly<Record<string, number>>
  count(what: string): void
}

function counter(): Counter {
  const counts: Record<string, number> = Object.create(null) as Record<string, number>
  return {
    counts,
    count(what) {
      counts[what] = (counts[what] ?? 0) + 1
    },
  }
}

/** In batches, so that what is done can be shown, and an interruption is heard. */
async function enroll(plan: LoadPlan): Promise<readonly Identity[]> {
  const identities: Identity[] = []
  while (identities.length < plan.devices && !plan.signal.aborted) {
    plan.onProgress(() => `enrolled ${identities.length} of ${plan.devices} devices`)
    identities.push(...(await plan.identities.batch('load', Math.min(SIM_LIMITS.registerPerRequest, plan.devices - identities.length))))
  }
  return identities
}

async function connectAll(plan: LoadPlan, stations: readonly Station[], tally: Tally, refused: Counter, dropped: Counter): Promise<LoadResult['connect']> {
  const latency = openLatency()
  const started = performance.now()
  let connected = 0
  await inParallel(stations, SIM_LIMITS.loadConnectParallel, async (station) => {
    if (plan.signal.aborted) return
    const begun = performance.now()
    try {
      station.peer = await connectLight({
        target: plan.target, id: station.identity.id, credentials: station.identity, source: plan.sources.next(),
        onMessage: (payload) => hear(station, tally, payload),
        onEnd: (reason) => {
          station.peer = undefined
          dropped.count(reason)
          settle(tally, station.due.size)
        },
      })
      latency.record(performance.now() - begun)
      connected += 1
    } catch (error) {
      refused.count(said(error))
    }
    plan.onProgress(() => `connected ${connected} of ${plan.devices} devices`)
  })
  const seconds = (performance.now() - started) / 1_000
  await inParallel(stations, SIM_LIMITS.loadConnectParallel, (station) => listen(plan, station, refused))
  return { ...latency.summary(), perSecond: connected / seconds }
}

/** A device that may not hear itself is not part of the load. */
async function listen(plan: LoadPlan, station: Station, refused: Counter): Promise<void> {
  const { peer } = station
  if (peer === undefined) return
  try {
    const granted = await within(peer.subscribe(station.topic, plan.qos).then(() => true), SIM_LIMITS.connectMs)
    if (granted === undefined) throw new Error(`no SUBACK in ${SIM_LIMITS.connectMs} ms`)
  } catch (error) {
    station.peer = undefined
    peer.end()
    refused.count(said(error))
  }
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function hear(station: Station, tally: Tally, payload: Buffer): void {
  const now = performance.now()
  // Something else on the same topic is somebody else's.
  if (payload.length !== SIM_LIMITS.loadPayloadBytes) return
  const sequence = payload.readUInt32BE(SEQUENCE)
  if (!station.due.delete(sequence)) {
    tally.duplicates += 1
    return
  }
  tally.roundTrip.record(now - payload.readDoubleBE(DUE_AT))
  tally.received += 1
  tally.lastAt = now
  // Messages of one publisher on one topic keep their order [MQTT-4.6.0-6].
  if (sequence < station.last) tally.misordered += 1
  station.last = Math.max(station.last, sequence)
  settle(tally, 1)
}

function settle(tally: Tally, messages: number): void {
  tally.underWay -= messages
  if (tally.underWay === 0) tally.settled()
}

interface Spoken {
  readonly startedAt: number
  readonly due: number
  readonly unsent: number
  readonly generator: LoadResult['generator']
}

/** Publishes on schedule, the devices in turn, and waits for what is still under way. */
async function speak(plan: LoadPlan, stations: readonly Station[], tally: Tally): Promise<Spoken> {
  const late = openLatency()
  const [cpu, loop, startedAt] = [process.cpuUsage(), performance.eventLoopUtilization(), performance.now()]
  const pings = setInterval(() => stations.forEach((station) => station.peer?.ping()), SIM_LIMITS.loadPingMs)
  let unsent = 0
  let sent = 0
  const send = (index: number, dueAt: number): void => {
    late.record(performance.now() - dueAt)
    if (say(stations[index % stations.length], tally, plan.qos, dueAt)) sent += 1
    else unsent += 1
    plan.onProgress(() => progress(plan, sent, tally))
  }
  const total = stations.length === 0 ? 0 : Math.round(plan.ratePerSecond * plan.seconds)
  const due = await keepPace({ ratePerSecond: plan.ratePerSecond, total, signal: plan.signal, clock: () => performance.now(), send, rest: (ms) => delay(ms, undefined) })
  const used = process.cpuUsage(cpu)
  const spokenMs = performance.now() - startedAt
  const busyShare = performance.eventLoopUtilization(loop).utilization
  await within(allBack(tally), plan.drainMs, plan.signal)
  clearInterval(pings)
  const lateP99Ms = late.summary().p99Ms
  return {
    startedAt, due, unsent,
    generator: {
      cpuShare: (used.user + used.system) / 1_000 / Math.max(1, spokenMs),
      busyShare, lateP99Ms,
      bottleneck: busyShare > SIM_LIMITS.generatorBusyShareMax || lateP99Ms > SIM_LIMITS.generatorLateMs,
    },
  }
}

/** False when it cannot be sent: the device is gone, or so much is under way that the server is not taking it. */
function say(station: Station | undefined, tally: Tally, qos: Qos, dueAt: number): boolean {
  const peer = station?.peer
  if (station === undefined || peer === undefined || station.due.size >= SIM_LIMITS.loadUnderWayMax || peer.underWay >= SIM_LIMITS.loadUnderWayMax) return false
  const payload = Buffer.alloc(SIM_LIMITS.loadPayloadBytes)
  payload.writeDoubleBE(dueAt, DUE_AT)
  payload.writeUInt32BE(station.sent, SEQUENCE)
  station.due.add(station.sent)
  station.sent += 1
  tally.underWay += 1
  peer.publish(station.topic, payload, qos)
  return true
}

function allBack(tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    tally.settled = resolve
    if (tally.underWay === 0) resolve()
  })
}

function progress(plan: LoadPlan, sent: number, tally: Tally): string {
  const { p50Ms, p99Ms } = tally.roundTrip.summary()
  return `sent ${sent} of ${Math.round(plan.ratePerSecond * plan.seconds)}, back ${tally.received}, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`
}
