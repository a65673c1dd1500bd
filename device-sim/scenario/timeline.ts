// How a run went, second by second: the samples of all threads, added up. Of seconds that are over only their percentiles are kept, so
// that a soak of a day takes no more memory than its chart.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import type { Sample } from './orders.ts'
import { TIMINGS, type Timing } from './scenario.ts'
import { wallMs } from './tag.ts'

export interface Spread {
  readonly count: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** One second of the run, for the charts. */
export interface Point {
  /** Seconds since the first phase began. */
  readonly second: number
  readonly connected: number
  sent: number
  received: number
  unsent: number
  readonly refused: Record<string, number>
  readonly timings: Partial<Record<Timing, Spread>>
  /** Of the server's process, where it runs here. */
  memoryMiB: number | undefined
}

export interface Timeline {
  /** Of this thread. */
  add(thread: number, sample: Sample): void
  memory(at: number, mebibytes: number): void
  time(timing: Timing, ms: number): void
  /** Of all threads, so far. */
  readonly received: number
  /** How many times each refusal was met, so far. */
  readonly refusals: ReadonlyMap<string, number>
  /** The last so many seconds, or all. */
  points(count?: number): readonly Point[]
  totals(): ReadonlyMap<Timing, RecordableHistogram>
  readonly generator: { readonly busiest: number; readonly cpuSeconds: number }
}

const MICROSECONDS = 1_000
const SECOND_MS = 1_000

export function spreadOf(histogram: RecordableHistogram): Spread {
  const at = (percentile: number): number => histogram.percentile(percentile) / MICROSECONDS
  return { count: histogram.count, p50Ms: at(50), p90Ms: at(90), p99Ms: at(99), maxMs: histogram.max / MICROSECONDS }
}

type Open = Map<Timing, RecordableHistogram>

export function openTimeline(startedAt: number): Timeline {
  const points: Point[] = []
  /** Of the seconds whose samples may still come. */
  const open = new Map<number, { readonly timings: Open; readonly connected: Map<number, number> }>()
  /** Of a thread whose sample fell into the next second, as many as before. */
  const connectedNow = new Map<number, number>()
  const totals: Open = new Map()
  const refusals = new Map<string, number>()
  let [cpuMs, busiest, received] = [0, 0, 0]

  const histogramIn = (map: Open, timing: Timing): RecordableHistogram => {
    const histogram = map.get(timing) ?? createHistogram()
    map.set(timing, histogram)
    return histogram
  }

  /** A second is over when no sample of it can come any more. */
  function settle(second: number): void {
    const point = points[second]
    const entry = open.get(second)
    if (point === undefined || entry === undefined) return
    points[second] = seenOf(point, entry, connectedNow)
    open.delete(second)
  }

  /** `now`: how many are connected, thread by thread, before this second; and after it. */
  function seenOf(point: Point, { timings, connected }: { readonly timings: Open; readonly connected: ReadonlyMap<number, number> }, now: Map<number, number>): Point {
    for (const [thread, count] of connected) now.set(thread, count)
    return { ...point, connected: [...now.values()].reduce((sum, count) => sum + count, 0), timings: Object.fromEntries([...timings].map(([timing, histogram]) => [timing, spreadOf(histogram)])) }
  }

  function entryAt(at: number): { readonly point: Point; readonly timings: Open; readonly connected: Map<number, number> } {
    // What comes for a second that is over is counted with the oldest that is not.
    const second = Math.max(Math.floor((at - startedAt) / SECOND_MS), points.length - SCENARIO_LIMITS.openSeconds, 0)
    while (points.length <= second) {
      const next = points.length
      points.push({ second: next, connected: 0, sent: 0, received: 0, unsent: 0, refused: {}, timings: {}, memoryMiB: undefined })
      open.set(next, { timings: new Map(), connected: new Map() })
      settle(next - SCENARIO_LIMITS.openSeconds)
    }
    const [point, entry] = [points[second], open.get(second)]
    if (point === undefined || entry === undefined) throw new Error(`second ${second} is over`)
    return { point, ...entry }
  }

  return {
    add(thread, sample) {
      const { point, timings, connected } = entryAt(sample.at)
      connected.set(thread, sample.connected)
      point.sent += sample.sent
      point.received += sample.received
      received += sample.received
      point.unsent += sample.unsent
      for (const [how, count] of Object.entries(sample.refused)) {
        point.refused[how] = (point.refused[how] ?? 0) + count
        refusals.set(how, (refusals.get(how) ?? 0) + count)
      }
      for (const timing of TIMINGS) {
        const histogram = sample.timings[timing]
        if (histogram === undefined) continue
        histogramIn(timings, timing).add(histogram)
        histogramIn(totals, timing).add(histogram)
      }
      cpuMs += sample.cpuMs
      // A moment shows nothing.
      if (sample.spentMs > SCENARIO_LIMITS.sampleMs / 2) busiest = Math.max(busiest, sample.cpuMs / sample.spentMs)
    },
    memory(at, mebibytes) {
      entryAt(at).point.memoryMiB = mebibytes
    },
    time(timing, ms) {
      const value = Math.max(1, Math.round(ms * MICROSECONDS))
      histogramIn(entryAt(wallMs()).timings, timing).record(value)
      histogramIn(totals, timing).record(value)
    },
    get received() {
      return received
    },
    refusals,
    points(count = points.length) {
      const now = new Map(connectedNow)
      // Seconds that are still open are the last ones, and each is told with what was connected before it.
      return points.slice(-Math.max(count, SCENARIO_LIMITS.openSeconds)).map((point) => {
        const entry = open.get(point.second)
        return entry === undefined ? point : seenOf(point, entry, now)
      }).slice(-count)
    },
    totals: () => totals,
    get generator() {
      return { busiest, cpuSeconds: cpuMs / SECOND_MS }
    },
  }
}
