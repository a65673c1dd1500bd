// Online messages: what a delivery costs a saturated broker, and how long it takes at a set and moderate rate. One round is
// one broker with fresh connections: warm up, saturate, and then the set rate.

import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { Target } from '../servers.ts'
import { startLoad, type LoadPlace, type Phase } from './generator.ts'
import { tailOf, type Tail, type Wanted } from './verdict.ts'

export interface Scenario {
  readonly name: string
  readonly speakers: number
  readonly listeners: number
  /** Whom a listener hears. */
  readonly filter: 'own' | 'all'
  /** Messages that every speaker keeps under way at saturation. */
  readonly window: number
  /** Messages of all speakers together at the set rate. */
  readonly perSecond: number
}

export interface Seconds {
  readonly warmUp: number
  readonly saturated: number
  readonly atRate: number
}

export interface Round {
  /** Broker CPU per delivery, saturated. */
  readonly cpuUs: number
  readonly perCpuSecond: number
  readonly perSecond: number
  readonly generatorCpu: number
  readonly wanted: Wanted
  readonly atRate: {
    /** From the time at which the message was due to its arrival, in ms. */
    readonly latencyMs: Tail
    readonly cpuUs: number
    /** Deliveries that never came, as far as five seconds of silence say so. */
    readonly lost: number
    readonly generatorCpu: number
    readonly wanted: Wanted
  }
}

const NS_PER_MS = 1e6
const MS_PER_S = 1e3
const US_PER_MS = 1e3

export function wantedIn({ broker, seconds, cpuSeconds, waitSeconds }: Phase): Wanted {
  return { broker: (broker.cpuMs + broker.waitMs) / MS_PER_S / seconds, generator: (cpuSeconds + waitSeconds) / seconds }
}

/** Broker CPU per delivery, in µs. */
export function cpuUsOf({ broker, delivered }: Pick<Phase, 'broker' | 'delivered'>): number {
  return (broker.cpuMs * US_PER_MS) / delivered
}

export async function measureRound(...of: Parameters<typeof measured>): Promise<Round> {
  const [, broker, scenario, qos] = of
  try {
    return await measured(...of)
  } catch (cause) {
    throw new Error(`${broker.name}, ${scenario.name}, QoS ${qos}: ${cause instanceof Error ? cause.message : 'unknown'}`, { cause })
  }
}

async function measured(place: LoadPlace, broker: Target, scenario: Scenario, qos: 0 | 1, seconds: Seconds, work: string): Promise<Round> {
  const { speakers, listeners, filter, window, perSecond } = scenario
  const load = startLoad(place, broker.pid, { port: broker.port, speakers, listeners, filter, qos })
  await load.open()
  await load.run(`saturate ${seconds.warmUp} ${window}`)
  const full = await load.run(`saturate ${seconds.saturated} ${window}`)
  if (full.missing > 0 || full.repeated > 0) throw new Error(`${full.missing} messages are missing or late, ${full.repeated} came again`)
  const file = path.join(work, 'latencies')
  const calm = await load.run(`rate ${perSecond} ${seconds.atRate} ${file}`)
  await load.end()
  const bytes = readFileSync(file)
  rmSync(file)
  const latencies = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)).map((ns) => ns / NS_PER_MS)
  const fan = filter === 'own' ? Math.max(1, listeners / speakers) : 1
  return {
    cpuUs: cpuUsOf(full),
    perCpuSecond: (full.delivered * MS_PER_S) / full.broker.cpuMs,
    perSecond: full.delivered / full.seconds,
    generatorCpu: full.cpuSeconds / full.seconds,
    wanted: wantedIn(full),
    atRate: { latencyMs: tailOf(latencies), cpuUs: cpuUsOf(calm), lost: calm.sent * fan - calm.delivered, generatorCpu: calm.cpuSeconds / calm.seconds, wanted: wantedIn(calm) },
  }
}
