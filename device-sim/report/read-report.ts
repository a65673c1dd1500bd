// The JSON file of a run, read back: for a page of it, and to compare it with another.

import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { SimError } from '../failure.ts'
import { TIMINGS } from '../scenario/scenario.ts'

const count = z.number().min(0)
const Spread = z.looseObject({ count, p50Ms: z.number(), p90Ms: z.number(), p99Ms: z.number(), maxMs: z.number() })
const timings = z.partialRecord(z.enum(TIMINGS), Spread)
const counts = z.record(z.string(), count)

const ScenarioRead = z.looseObject({
  file: z.string(), name: z.string(), about: z.string(), seed: z.number(), devices: count, threads: count,
  phases: z.array(z.looseObject({ name: z.string(), fromSecond: z.number(), toSecond: z.number() })),
  messages: z.looseObject({ sent: count, unsent: count, due: count, received: count, lost: count, duplicates: count, misordered: count, unjudged: count }),
  leaks: z.looseObject({ count, shown: z.array(z.string()) }),
  failures: z.looseObject({ count, shown: z.array(z.looseObject({ step: z.string(), device: z.string(), expected: z.string(), seen: z.string() })) }),
  refused: counts, timings,
  // What never happened has no number in JSON.
  thresholds: z.array(z.looseObject({ name: z.string(), bound: z.number(), seen: z.number().nullable().transform((seen) => seen ?? Infinity), ok: z.boolean() })),
  timeline: z.array(z.looseObject({ second: count, connected: count, sent: count, received: count, unsent: count, refused: counts, timings, memoryMiB: z.number().optional().transform((mebibytes) => mebibytes) })),
  generator: z.looseObject({ busiest: z.number(), cpuSeconds: z.number() }),
  interrupted: z.boolean(), ok: z.boolean(),
})

const ReportRead = z.looseObject({
  startedAt: z.string(), durationMs: z.number(), interrupted: z.boolean(), ok: z.boolean(),
  // Reports that are older than other targets do not name theirs.
  target: z.looseObject({ name: z.string().default('sallyport'), host: z.string(), port: z.number(), own: z.boolean() }),
  scenario: ScenarioRead.optional(),
  cases: z.array(z.looseObject({ case: z.string(), title: z.string(), verdict: z.enum(['ok', 'differs', 'not run', 'falls short', 'FAILED']), seen: z.string() })).optional(),
})
export type ReadReport = z.infer<typeof ReportRead>

export async function readReport(file: string): Promise<ReadReport> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) throw new SimError('usage', `${file} cannot be read. A run writes one with --json FILE.`)
  try {
    return ReportRead.parse(JSON.parse(text))
  } catch {
    throw new SimError('usage', `${file} is not a report of the simulator: a run writes one with --json FILE.`)
  }
}
