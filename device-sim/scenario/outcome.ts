// From the accounts of all devices to what the run came to: losses, repetitions, leaks, percentiles, and the thresholds that were set.

import type { RecordableHistogram } from 'node:perf_hooks'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import { fill, matches, type Player, type Speech } from './cast.ts'
import { lostOf, type Heard } from './hearing.ts'
import type { Failure, PlayerAccount } from './orders.ts'
import { METRICS, PERCENTILES, TIMINGS, type Scenario, type Timing } from './scenario.ts'
import { spreadOf, type Point, type Spread } from './timeline.ts'

export interface Threshold {
  readonly name: string
  readonly bound: number
  readonly seen: number
  readonly ok: boolean
}

export interface ScenarioResult {
  readonly file: string
  readonly name: string
  readonly about: string
  readonly seed: number
  readonly devices: number
  readonly threads: number
  readonly phases: readonly { readonly name: string; readonly fromSecond: number; readonly toSecond: number }[]
  readonly messages: {
    readonly sent: number
    /** Became due while the device was away, or the server had stopped reading. */
    readonly unsent: number
    /** One for each message and receiver that is held to it. */
    readonly due: number
    readonly received: number
    readonly lost: number
    readonly duplicates: number
    readonly misordered: number
    /** Deliveries to receivers that were away in between and keep no session. */
    readonly unjudged: number
  }
  readonly leaks: { readonly count: number; readonly shown: readonly string[] }
  readonly failures: { readonly count: number; readonly shown: readonly Failure[] }
  readonly refused: Readonly<Record<string, number>>
  readonly timings: Readonly<Partial<Record<Timing, Spread>>>
  readonly thresholds: readonly Threshold[]
  readonly timeline: readonly Point[]
  /** The share of one core that the busiest thread used in its busiest second, and what all threads used in all. */
  readonly generator: { readonly busiest: number; readonly cpuSeconds: number }
  readonly interrupted: boolean
  readonly ok: boolean
}

/** Who must hear this stream: whoever subscribes to its topic. */
function receiversOf(speech: Speech, owner: string, players: readonly Player[]): readonly Player[] {
  if (speech.kind === 'stray') return []
  const topic = fill(speech.topic, owner)
  return players.filter(({ hears }) => hears.some((filter) => matches(filter, topic)))
}

export function judgeMessages(players: readonly Player[], speeches: readonly Speech[], accounts: readonly PlayerAccount[]): Omit<ScenarioResult['messages'], 'unsent'> {
  const byIndex = new Map(accounts.map((account) => [account.index, account]))
  const heardOf = new Map(accounts.map((account) => [account.index, new Map(account.heard.map(({ speech, owner, heard }) => [`${speech}/${owner}`, heard]))]))
  const sums = { sent: 0, due: 0, received: 0, lost: 0, duplicates: 0, misordered: 0, unjudged: 0 }
  // A receiver of one device only is found by its name; the others are asked for every stream.
  const wide = players.filter(({ hears }) => hears.some((filter) => filter.startsWith('t/#') || filter === '#' || filter.includes('+/')))
  for (const { index: publisher, sent } of accounts) {
    for (const stream of sent) {
      const speech = speeches[stream.speech]
      const owner = players[stream.owner]
      if (speech === undefined || owner === undefined) continue
      sums.sent += stream.count
      const notDue = new Set(stream.notDue)
      const near = [owner, ...(publisher === owner.index ? [] : [players[publisher]])].filter((player) => player !== undefined)
      const owed = [...notDue].filter((sequence) => sequence < stream.due).length
      for (const receiver of receiversOf(speech, owner.id, [...new Set([...wide, ...near])])) {
        const heard = heardOf.get(receiver.index)?.get(`${stream.speech}/${stream.owner}`)
        const account = byIndex.get(receiver.index)
        const isJudged = account?.steadySince !== undefined && (receiver.isKept || account.steadySince <= stream.firstAt)
        if (isJudged) {
          sums.due += stream.due - owed
          sums.lost += lostOf(heard, stream.due, notDue)
        } else sums.unjudged += stream.due - owed
        add(sums, heard)
      }
    }
  }
  return sums
}

function add(sums: { received: number; duplicates: number; misordered: number }, heard: Heard | undefined): void {
  if (heard === undefined) return
  sums.received += heard.received
  sums.duplicates += heard.duplicates
  sums.misordered += heard.misordered
}

/** What nobody set a threshold for is held to nothing lost, repeated or out of order, and nothing unexpected. */
export function judgeThresholds(scenario: Scenario, counts: Readonly<Record<(typeof METRICS)[number], number>>, totals: ReadonlyMap<Timing, RecordableHistogram>): readonly Threshold[] {
  const ofCounts = METRICS.flatMap((name): readonly Threshold[] => {
    // A device that is away does not send; whoever counts that says so.
    const bound = scenario.thresholds[name] ?? (name === 'unsent' ? undefined : 0)
    return bound === undefined ? [] : [{ name, bound, seen: counts[name], ok: counts[name] <= bound }]
  })
  const ofTimings = TIMINGS.flatMap((timing) => PERCENTILES.flatMap((percentile): readonly Threshold[] => {
    const bound = scenario.thresholds[`${timing}.${percentile}`]
    if (bound === undefined) return []
    const histogram = totals.get(timing)
    const spread = histogram === undefined ? undefined : spreadOf(histogram)
    const seen = spread === undefined ? Infinity : { p50: spread.p50Ms, p90: spread.p90Ms, p99: spread.p99Ms, max: spread.maxMs }[percentile]
    // A bound on what never happened has shown nothing.
    return [{ name: `${timing}.${percentile}`, bound, seen, ok: seen <= bound }]
  }))
  return [...ofCounts, ...ofTimings]
}

export interface Findings {
  readonly failures: Failure[]
  readonly leaks: string[]
  failed: number
  leaked: number
}

export function openFindings(): Findings {
  return { failures: [], leaks: [], failed: 0, leaked: 0 }
}

export function noteFailure(findings: Findings, failure: Failure): void {
  findings.failed += 1
  if (findings.failures.length < SCENARIO_LIMITS.failuresShownMax) findings.failures.push(failure)
}

export function noteLeak(findings: Findings, leak: string): void {
  findings.leaked += 1
  if (findings.leaks.length < SCENARIO_LIMITS.failuresShownMax) findings.leaks.push(leak)
}
