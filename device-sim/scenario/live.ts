// How a scenario goes while it is played, once a second: what is known of it by now, a line of it for logs, and what the server's
// process takes, where it runs here.

import { readFile } from 'node:fs/promises'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import type { Timing } from './scenario.ts'
import { wallMs } from './tag.ts'
import { spreadOf, type Point, type Spread, type Timeline } from './timeline.ts'

/** A scenario half-way. */
export interface LiveFacts {
  readonly name: string
  /** Before the first phase devices are made. */
  readonly phase: { readonly name: string; readonly number: number; readonly of: number } | undefined
  readonly devices: number
  /** The last seconds; the newest is not over yet. */
  readonly points: readonly Point[]
  /** Of the whole run. */
  readonly timings: ReadonlyMap<Timing, Spread>
  readonly refusals: ReadonlyMap<string, number>
  readonly leaked: number
  readonly failed: number
}

export interface RunPorts {
  pid(): Promise<number | undefined>
  onProgress(text: () => string, facts?: () => LiveFacts): void
}

/** What a run knows of itself beside its timeline. */
export type Knowledge = Pick<LiveFacts, 'name' | 'phase' | 'devices' | 'leaked' | 'failed'> & { readonly timeline: Timeline }

/** Once a second, until it is cleared. */
export function watchRun(known: () => Knowledge, ports: RunPorts): NodeJS.Timeout {
  const look = async (): Promise<void> => {
    const pid = await ports.pid()
    const status = pid === undefined ? '' : await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    if (kibibytes !== undefined) known().timeline.memory(wallMs(), Number(kibibytes) / 1_024)
  }
  return setInterval(() => {
    void look()
    // Until then it is told how many devices there are already.
    if (known().phase !== undefined) ports.onProgress(() => lineOf(factsOf(known())), () => factsOf(known()))
  }, SCENARIO_LIMITS.sampleMs)
}

function factsOf({ timeline, ...known }: Knowledge): LiveFacts {
  return {
    ...known, points: timeline.points(SCENARIO_LIMITS.liveSeconds), refusals: timeline.refusals,
    timings: new Map([...timeline.totals()].map(([timing, histogram]) => [timing, spreadOf(histogram)])),
  }
}

/** The newest second that is over. */
export const lastWhole = ({ points }: Pick<LiveFacts, 'points'>): Point | undefined => points.at(-2) ?? points.at(-1)

function lineOf(facts: LiveFacts): string {
  const last = lastWhole(facts)
  if (last === undefined) return 'begun'
  const delivery = last.timings.delivery
  const refused = [...facts.refusals.values()].reduce((sum, count) => sum + count, 0)
  return `${last.second} s  ${last.connected} connected  ${last.sent}/s sent  ${last.received}/s received  ${delivery === undefined ? '' : `p50 ${delivery.p50Ms.toFixed(1)} p99 ${delivery.p99Ms.toFixed(1)} ms  `}${refused} refused`
}
