// One compilation of one policy in a process of its own: nothing is warm, as when a server starts. It is told how many grants and
// groups, and answers with a line of JSON. Run with --expose-gc, because what is held afterwards is counted when the rest is gone.

import { parsePolicyDocument } from '../../src/core/policy/read-document.ts'
import { compilePolicy } from '../../src/core/policy/compile.ts'
import { POLICY_TOOLS } from '../../src/policy-file.ts'
import { readYaml } from '../../src/yaml-source.ts'
import { largePolicy } from './compile.ts'

const [grants = 0, groups = 0] = process.argv.slice(2).map(Number)
const BYTES_PER_MB = 1e6

function heldMb(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / BYTES_PER_MB
}

function compiled(text: string): { readonly policy: unknown; readonly yamlMs: number; readonly documentMs: number; readonly indexMs: number } {
  const began = performance.now()
  const { tree } = readYaml('policy.yaml', text)
  const parsed = performance.now()
  const { document } = tree === undefined ? {} : parsePolicyDocument([tree], POLICY_TOOLS)
  const read = performance.now()
  if (document === undefined) throw new Error('the policy of this benchmark is not one')
  const policy = compilePolicy(document, 1)
  return { policy, yamlMs: parsed - began, documentMs: read - parsed, indexMs: performance.now() - read }
}

const text = largePolicy(grants, groups)
const before = heldMb()
const cpu = process.cpuUsage()
const { policy, ...times } = compiled(text)
const { user, system } = process.cpuUsage(cpu)
const memoryMb = heldMb() - before
process.stdout.write(`${JSON.stringify({ ...times, bytes: text.length, cpuMs: (user + system) / 1_000, memoryMb, isHeld: policy !== undefined })}\n`)
