// How a scenario goes while it is played: a line for the person who waits, and what the server's process takes, where it runs here.

import { readFile } from 'node:fs/promises'
import { SCENARIO_LIMITS } from '../scenario-limits.ts'
import { wallMs } from './tag.ts'
import type { Timeline } from './timeline.ts'

/** Once a second, until it is cleared. */
export function watchRun(timeline: () => Timeline, plan: { pid(): Promise<number | undefined>; onProgress(text: () => string): void }): NodeJS.Timeout {
  const look = async (): Promise<void> => {
    const pid = await plan.pid()
    const status = pid === undefined ? '' : await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    if (kibibytes !== undefined) timeline().memory(wallMs(), Number(kibibytes) / 1_024)
  }
  return setInterval(() => {
    void look()
    plan.onProgress(() => progressText(timeline()))
  }, SCENARIO_LIMITS.sampleMs)
}

const BARS = '▁▂▃▄▅▆▇█'
const SPARKS = 20

function sparkline(values: readonly number[]): string {
  const max = Math.max(1, ...values)
  return values.map((value) => BARS[Math.min(BARS.length - 1, Math.floor((value / max) * (BARS.length - 1)))] ?? '').join('')
}

function progressText(timeline: Timeline): string {
  const points = timeline.points(SPARKS)
  const last = points.at(-2) ?? points.at(-1)
  if (last === undefined) return 'begun'
  const delivery = last.timings.delivery
  return `${last.second} s  ${last.connected} connected  ${last.received}/s ${sparkline(points.map(({ received }) => received))}  ${delivery === undefined ? '' : `p50 ${delivery.p50Ms.toFixed(1)} p99 ${delivery.p99Ms.toFixed(1)} ms  `}${timeline.refused} refused`
}
