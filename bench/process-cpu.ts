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

/** What a process and its children have had of the CPU, and how long they waited for it while they were ready to run. */
export interface Usage {
  readonly cpuMs: number
  readonly waitMs: number
}

/** All threads that are alive, of the process and of everything it has started. */
export function usageOf(pid: number): Usage {
  let [ran, waited] = [0, 0]
  for (const one of treeOf(pid)) {
    for (const tid of readdirSync(`/proc/${one}/task`)) {
      const [cpu = 0, wait = 0] = readFileSync(`/proc/${one}/task/${tid}/schedstat`, 'utf8').split(' ').map(Number)
      ran += cpu
      waited += wait
    }
  }
  return { cpuMs: ran / NS_PER_MS, waitMs: waited / NS_PER_MS }
}

/** Of the thread that asks, in this process: /proc says who that is. */
export function usageOfThisThread(): Usage {
  const [ran = 0, waited = 0] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ').map(Number)
  return { cpuMs: ran / NS_PER_MS, waitMs: waited / NS_PER_MS }
}

/** What lies between two readings. */
export function usedBetween(before: Usage, after: Usage): Usage {
  return { cpuMs: after.cpuMs - before.cpuMs, waitMs: after.waitMs - before.waitMs }
}

/** Memory that is resident, in kB, of a process and its children. What the kernel holds for their sockets is not in it. */
export function residentKb(pid: number): number {
  const rss = (one: number): number => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0)
  return treeOf(pid).reduce((sum, one) => sum + rss(one), 0)
}

function treeOf(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((tid) => readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').split(' ').filter((child) => child !== ''))
  return [pid, ...children.flatMap((child) => treeOf(Number(child)))]
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
