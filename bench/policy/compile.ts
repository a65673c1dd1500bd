// What it takes to compile a policy as a start does it, by the number of its grants: YAML, the document, the index, and what
// of it stays in memory. Every compilation has a process of its own (compile-once.ts).

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { spread, type Spread } from '../process-cpu.ts'

export interface Compiled {
  readonly grants: number
  readonly groups: number
  readonly bytes: number
  /** ms, on the clock. */
  readonly yamlMs: Spread
  readonly documentMs: Spread
  readonly indexMs: Spread
  readonly totalMs: Spread
  /** ms, of all threads. */
  readonly cpuMs: Spread
  /** MB, of live objects. */
  readonly memoryMb: Spread
}

/** Every group contains two, and every grant is for one of those; every tenth has a condition and every fifth a rate. */
export function largePolicy(grants: number, groups: number): string {
  const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n)
  const contained = numbers(groups).map((n) => `  site-${n}: [line-${2 * n}, line-${2 * n + 1}]`)
  const when = (n: number): string => (n % 10 === 0 ? 'when: { time: { days: [mon-fri], from: "06:00", to: "22:00", zone: Europe/Berlin } }, ' : '')
  const rate = (n: number): string => (n % 5 === 0 ? ', rate: 20/s' : '')
  const rules = numbers(grants).map((n) => `  - { id: grant-${n}, to: { group: line-${n % (2 * groups)} }, ${when(n)}publish: [ { topic: "t/\${device.id}/k${n}/#", qos: 1, maxBytes: 8KiB${rate(n)} } ], subscribe: [ "cmd/\${device.id}/k${n}/+" ] }`)
  return ['version: 1', 'groups:', ...contained, 'grants:', ...rules, ''].join('\n')
}

type Once = Readonly<Record<'yamlMs' | 'documentMs' | 'indexMs' | 'cpuMs' | 'memoryMb' | 'bytes', number>>

function once(grants: number, groups: number): Once {
  const said = spawnSync(process.execPath, ['--expose-gc', path.join(import.meta.dirname, 'compile-once.ts'), String(grants), String(groups)], { encoding: 'utf8' })
  if (said.status !== 0) throw new Error(`compiling ${grants} grants ended with ${said.status}: ${said.stderr}`)
  return JSON.parse(said.stdout) as Once
}

/** The sizes take turns: what slows the machine down for a while slows all of them. */
export function measureCompile(sizes: readonly (readonly [grants: number, groups: number])[], rounds: number): readonly Compiled[] {
  const seen = sizes.map((): Once[] => [])
  for (let round = 0; round < rounds; round++) for (const [i, [grants, groups]] of sizes.entries()) seen[i]?.push(once(grants, groups))
  return sizes.map(([grants, groups], i) => {
    const of = (value: (each: Once) => number): Spread => spread((seen[i] ?? []).map(value))
    return {
      grants, groups, bytes: seen[i]?.[0]?.bytes ?? 0,
      yamlMs: of((o) => o.yamlMs), documentMs: of((o) => o.documentMs), indexMs: of((o) => o.indexMs), totalMs: of((o) => o.yamlMs + o.documentMs + o.indexMs),
      cpuMs: of((o) => o.cpuMs), memoryMb: of((o) => o.memoryMb),
    }
  })
}
