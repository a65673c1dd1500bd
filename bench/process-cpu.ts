// CPU time of another process, as the kernel counts it, and the few statistics that the tables need. Linux only: it reads
// /proc.

import { readdirSync, readFileSync } from 'node:fs'

const NS_PER_MS = 1e6

/**
 * Time on a CPU, in ms, of all threads of a process that are alive, to the nanosecond: /proc/PID/stat counts in ticks of
 * 10 ms, which is a twentieth of what a round costs. A thread that ends takes its time with it; the servers measured here
 * keep theirs.
 */
export function cpuMsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const ns = threads.map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]))
  return ns.reduce((sum, n) => sum + n, 0) / NS_PER_MS
}

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export function spread(samples: readonly number[]): Spread {
  return { min: percentile(samples, 0), median: percentile(samples, 50), max: percentile(samples, 100) }
}

/** The smallest sample that at least `p` percent of the samples do not exceed. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.min(sorted.length - 1, Math.ceil((p / 100) * sorted.length) - 1))] ?? Number.NaN
}
