// Latencies as a histogram: constant memory however many there are. Microseconds inside, milliseconds outside.

import { createHistogram } from 'node:perf_hooks'

export interface LatencySummary {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface Latency {
  record(ms: number): void
  summary(): LatencySummary
}

const MICROSECONDS = 1_000

export function openLatency(): Latency {
  const histogram = createHistogram()
  return {
    // A histogram begins at 1; what took less than a microsecond took one.
    record: (ms) => histogram.record(Math.max(1, Math.round(ms * MICROSECONDS))),
    summary() {
      if (histogram.count === 0) return { count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 }
      const at = (percentile: number): number => histogram.percentile(percentile) / MICROSECONDS
      return { count: histogram.count, p50Ms: at(50), p99Ms: at(99), maxMs: histogram.max / MICROSECONDS }
    },
  }
}
