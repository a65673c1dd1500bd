// Which core a program of the benchmarks runs on. Two programs that share a core measure each other; where the machine has
// one core, or no taskset, nothing is pinned, and the output says so.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const TASKSET = 'taskset'

export interface Cores {
  readonly broker: number
  readonly generator: number
}

/** One core for the broker and another for what loads it; undefined where that cannot be had. */
export function coresToUse(): Cores | undefined {
  if (spawnSync(TASKSET, ['--version']).error !== undefined) return undefined
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  const [broker, generator] = numbersOf(allowed)
  return broker === undefined || generator === undefined ? undefined : { broker, generator }
}

/** '0-2,5' as the kernel writes it → 0, 1, 2, 5. */
export function numbersOf(list: string): readonly number[] {
  return list.split(',').filter((range) => range !== '').flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}

/** The command, on that core only. */
export function pinned(core: number | undefined, [program, ...args]: readonly [string, ...string[]]): [string, ...string[]] {
  return core === undefined ? [program, ...args] : [TASKSET, '-c', String(core), program, ...args]
}
