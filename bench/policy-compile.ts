// What it takes to compile a large policy: at once, as a start does, and in the background, as a reload does, and how long the
// event loop stood still meanwhile. Runs alone: node bench/policy-compile.ts [--grants N] [--groups N] [--rounds N] [--form lines].

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { compileInBackground } from '../src/policy-file/background.ts'
import type { PolicyText } from '../src/core/policy-desk.ts'
import { needPolicy, readTexts } from '../src/policy-file.ts'
import { spread, type Spread } from './process-cpu.ts'

export interface CompileOptions {
  readonly grants: number
  readonly groups: number
  readonly rounds: number
  readonly form: 'yaml' | 'lines'
}

export interface CompileSeen {
  readonly bytes: number
  /** ms. */
  readonly atOnceMs: Spread
  readonly backgroundMs: Spread
  /**
   * The longest that the event loop was busy with one thing while a policy was compiled in the background; ms. That it was ready to run and
   * had no CPU, because others had them, is not counted.
   */
  readonly blockedMs: Spread
  /** The CPU time of the thread that serves: what its sessions do without; ms. */
  readonly servingCpuMs: Spread
}

const NS_PER_MS = 1e6
const SETTLE_MS = 200
const TICK_MS = 1

/** Each grant is for a group of its own, with a topic to publish and one to subscribe to; each group contains two. */
export function largePolicy({ grants, groups, form }: CompileOptions): PolicyText {
  const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n)
  const groupOf = (n: number): string => `line-${n % (2 * groups)}`
  if (form === 'lines') {
    const contained = numbers(groups).map((n) => `group site-${n} contains line-${2 * n} line-${2 * n + 1}`)
    const rules = numbers(grants).map((n) => `group ${groupOf(n)}\n  id grant-${n}\n  pub t/\${device.id}/k${n}/# qos<=1 retain=no max=8KiB rate=20/s\n  sub cmd/\${device.id}/k${n}/+`)
    return { name: 'policy.policy', text: `${[...contained, ...rules].join('\n')}\n` }
  }
  const contained = numbers(groups).map((n) => `  site-${n}: [line-${2 * n}, line-${2 * n + 1}]`)
  const rules = numbers(grants).map((n) => `  - id: grant-${n}\n    to: { group: ${groupOf(n)} }\n    publish: [ { topic: "t/\${device.id}/k${n}/#", qos: 1, retain: false, maxBytes: 8KiB, rate: 20/s } ]\n    subscribe: [ "cmd/\${device.id}/k${n}/+" ]`)
  return { name: 'policy.yaml', text: `version: 1\ngroups:\n${contained.join('\n')}\ngrants:\n${rules.join('\n')}\n` }
}

export async function measureCompile(options: CompileOptions): Promise<CompileSeen> {
  const texts = [largePolicy(options)]
  const rounds: { atOnce: number; background: number; blocked: number; cpu: number }[] = []
  for (let round = 0; round < options.rounds; round++) {
    const begun = performance.now()
    needPolicy(readTexts(texts, 1))
    const atOnce = performance.now() - begun
    rounds.push({ atOnce, ...(await inBackground(texts)) })
  }
  const of = (pick: (round: (typeof rounds)[number]) => number): Spread => spread(rounds.map(pick))
  return { bytes: Buffer.byteLength(texts[0]?.text ?? ''), atOnceMs: of((r) => r.atOnce), backgroundMs: of((r) => r.background), blockedMs: of((r) => r.blocked), servingCpuMs: of((r) => r.cpu) }
}

async function inBackground(texts: readonly PolicyText[]): Promise<{ background: number; blocked: number; cpu: number }> {
  // What the round before left behind is collected before, not in, what is measured.
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  const before = process.threadCpuUsage()
  const begun = performance.now()
  let isDone = false
  let blocked = 0
  let last = { at: begun, waited: waitedMs() }
  const tick = (): void => {
    const now = { at: performance.now(), waited: waitedMs() }
    blocked = Math.max(blocked, now.at - last.at - (now.waited - last.waited) - TICK_MS)
    last = now
    if (!isDone) setTimeout(tick, TICK_MS)
  }
  setTimeout(tick, TICK_MS)
  await compileInBackground(texts, 1)
  const background = performance.now() - begun
  const { user, system } = process.threadCpuUsage(before)
  tick()
  isDone = true
  return { background, blocked, cpu: (user + system) / 1_000 }
}

/** How long the main thread was ready to run and did not, as the kernel counts it. */
function waitedMs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[1]) / NS_PER_MS
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { grants: { type: 'string', default: '10000' }, groups: { type: 'string', default: '1000' }, rounds: { type: 'string', default: '5' }, form: { type: 'string', default: 'yaml' } } })
  const { bytes, atOnceMs, backgroundMs, blockedMs, servingCpuMs } = await measureCompile({ grants: Number(values.grants), groups: Number(values.groups), rounds: Number(values.rounds), form: values.form === 'lines' ? 'lines' : 'yaml' })
  const three = ({ min, median, max }: Spread): string => `${[min, median, max].map((n) => n.toFixed(0)).join(' / ')} ms`
  console.log(`${values.grants} grants, ${values.groups} groups, ${bytes} bytes of ${values.form}; minimum / median / maximum of ${values.rounds} rounds`)
  for (const [what, seen] of [['compiled at once', atOnceMs], ['compiled in the background', backgroundMs], ['longest block of the event loop meanwhile', blockedMs], ['CPU of the serving thread for it', servingCpuMs]] as const) console.log(`${what.padEnd(42)} ${three(seen)}`)
}

if (import.meta.main) await main()
