// What a run of cases did to everybody else, and what it left behind: the canary device is heard all the while, and the server's
// process is looked at before the first case and after the last. Losing the canary fails the case that ran meanwhile; being slow
// is only told, for the simulator forges in the same process and on the same machine, and a time is not a verdict.

import { setTimeout as delay } from 'node:timers/promises'
import type { Canary } from '../canary.ts'
import { SIM_LIMITS } from '../limits.ts'
import { resourcesOf, type Resources } from '../resources.ts'
import type { CaseResult } from './run.ts'

export interface Watched {
  readonly canary: Canary
  pid(): Promise<number | undefined>
  /** Connected sessions, where they are counted. */
  sessions(): Promise<number | undefined>
  /** What a case is during which the canary was lost. */
  readonly lost: CaseResult['verdict']
}

export interface Holding extends Resources {
  readonly sessions: number | undefined
}

/** Round trips of the canary device. */
export interface Trips {
  readonly count: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface Aftermath {
  readonly canary: {
    /** Before the first case, and from the first to the last. */
    readonly calm: Trips
    readonly during: Trips
    /** Cases during which the p99 was above twice that of calm. */
    readonly slowed: readonly { readonly case: CaseResult['case']; readonly p99Ms: number }[]
  }
  /** Undefined where the server is no process that can be looked at. */
  readonly server?: { readonly before: Holding; readonly after: Holding }
  /** What was not given back. */
  readonly faults: readonly string[]
}

export interface Watch {
  /** The result of a case that has just ended, failed where the canary was lost meanwhile. */
  judge(result: CaseResult): CaseResult
  /** Ends the watching and waits until the server has given back what it held, or should have. */
  end(): Promise<Aftermath>
}

interface Sample {
  readonly at: number
  /** Undefined: it did not come back. */
  readonly ms: number | undefined
}

/** Of those that came back. */
function tripsOf(samples: readonly Sample[]): Trips {
  const sorted = samples.flatMap(({ ms }) => ms ?? []).toSorted((a, b) => a - b)
  return { count: sorted.length, p99Ms: sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0, maxMs: sorted.at(-1) ?? 0 }
}

async function holding(watched: Watched): Promise<Holding | undefined> {
  const resources = await resourcesOf(await watched.pid())
  return resources === undefined ? undefined : { ...resources, sessions: await watched.sessions() }
}

/** Within 5 %, and a little: an operator's client opens and closes connections of its own. */
const isBack = (before: Holding, after: Holding): boolean =>
  after.descriptors <= before.descriptors * SIM_LIMITS.leftShareMax + SIM_LIMITS.adminSocketsMax && (after.sessions ?? 0) <= (before.sessions ?? 0) * SIM_LIMITS.leftShareMax

function leftBehind(before: Holding, after: Holding, settleMs: number): readonly string[] {
  if (isBack(before, after)) return []
  return [`after ${settleMs / 1_000} s the server still holds ${after.descriptors} descriptors and ${after.sessions ?? 'uncounted'} sessions; before it were ${before.descriptors} and ${before.sessions ?? 'uncounted'}`]
}

export async function watch(watched: Watched, settleMs: number = SIM_LIMITS.settleMs): Promise<Watch> {
  const { canary } = watched
  const sample = async (): Promise<Sample> => ({ at: performance.now(), ms: await canary.roundTrip() })
  const calmSamples: Sample[] = []
  for (let i = 0; i < SIM_LIMITS.canaryCalmTrips; i++) calmSamples.push(await sample())
  const calm = tripsOf(calmSamples)
  const before = await holding(watched)
  const samples: Sample[] = []
  const slowed: { case: CaseResult['case']; p99Ms: number }[] = []
  const over = new AbortController()

  async function listen(): Promise<void> {
    while (!over.signal.aborted) {
      samples.push(await sample())
      await delay(SIM_LIMITS.canaryEveryMs, undefined, { signal: over.signal }).catch(() => undefined)
    }
  }
  const listening = listen()

  return {
    judge(result) {
      const from = performance.now() - result.durationMs
      const meanwhile = samples.filter(({ at, ms }) => at + (ms ?? SIM_LIMITS.witnessMs) >= from)
      const lost = meanwhile.filter(({ ms }) => ms === undefined).length
      const { p99Ms } = tripsOf(meanwhile)
      if (p99Ms > SIM_LIMITS.canarySlowFactor * calm.p99Ms) slowed.push({ case: result.case, p99Ms })
      if (lost === 0 || result.verdict === 'not run') return result
      return { ...result, verdict: watched.lost, notes: [`the canary device did not hear itself within ${SIM_LIMITS.witnessMs} ms, ${lost} times`, ...result.notes] }
    },
    async end() {
      over.abort()
      await listening
      const heard = { calm, during: tripsOf(samples), slowed }
      if (before === undefined) return { canary: heard, faults: [] }
      const deadline = performance.now() + settleMs
      let after = await holding(watched)
      while (after !== undefined && !isBack(before, after) && performance.now() < deadline) {
        await delay(SIM_LIMITS.settlePollMs)
        after = await holding(watched)
      }
      return after === undefined ? { canary: heard, faults: ['the server is gone'] } : { canary: heard, server: { before, after }, faults: leftBehind(before, after, settleMs) }
    },
  }
}
