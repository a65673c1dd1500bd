// What a thread counts between two samples: messages, refusals by how they were said, and times as histograms that can be added up.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { wallMs } from './tag.ts'
import type { Sample } from './orders.ts'
import type { Timing } from './scenario.ts'

const MICROSECONDS = 1_000

export interface Tally {
  sent: number
  received: number
  connected: number
  /** Due, and not sent: the device was away, or the server had stopped reading. */
  unsent: number
  refused(how: string): void
  time(timing: Timing, ms: number): void
  /** What there is since the last one. */
  take(): Sample
}

export function openTally(): Tally {
  let refusals = new Map<string, number>()
  let timings: Partial<Record<Timing, RecordableHistogram>> = {}
  let cpu = process.threadCpuUsage()
  let since = performance.now()
  return {
    sent: 0,
    received: 0,
    connected: 0,
    unsent: 0,
    refused(text) {
      // Not for whom: there are as many of those as devices.
      const how = text.replace(/ for .*$/s, '')
      refusals.set(how, (refusals.get(how) ?? 0) + 1)
    },
    time(timing, ms) {
      const histogram = (timings[timing] ??= createHistogram())
      histogram.record(Math.max(1, Math.round(ms * MICROSECONDS)))
    },
    take() {
      const used = process.threadCpuUsage(cpu)
      const spent = performance.now() - since
      const sample: Sample = {
        at: wallMs(), connected: this.connected, sent: this.sent, received: this.received, unsent: this.unsent, refused: Object.fromEntries(refusals), timings,
        cpuMs: (used.user + used.system) / MICROSECONDS, spentMs: spent,
      }
      refusals = new Map()
      timings = {}
      cpu = process.threadCpuUsage()
      since = performance.now()
      this.sent = 0
      this.unsent = 0
      this.received = 0
      return sample
    },
  }
}
