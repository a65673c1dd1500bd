// The policy of a home: the one in force, those before it, and the way to the next. main.ts puts a server behind it; a command
// without a server has the files alone.

import path from 'node:path'
import type { Actor } from './core/audit.ts'
import type { EpochMs } from './core/ids.ts'
import type { Because, PolicyText } from './core/policy-desk.ts'
import { EMPTY_POLICY, type CompiledPolicy } from './core/policy/compile.ts'
import { grantsFor } from './core/policy/grants.ts'
import type { Principal } from './core/policy/template.ts'
import type { AuditSink } from './core/registry.ts'
import type { PoliciesOfHome } from './desk.ts'
import { devicesAfter, principalOf, type FleetPorts } from './fleet.ts'
import { applyPolicy, recoverPolicy, type PolicyInForce } from './policy-apply.ts'
import type { LoadedPolicy } from './policy-file.ts'
import { sha256OfTexts } from './policy-file/files.ts'
import type { PolicyMemory } from './policy-desk.ts'
import { openPolicyHistory } from './policy-history.ts'

export interface Policies extends PoliciesOfHome {
  /** Reads and compiles a policy file. Failure: 'policy-invalid'. */
  load(policyFile: string): Promise<PolicyInForce>
  /** It is in force from here on. */
  replace(next: PolicyInForce): void
  /** Tells the audit log what is in force, and the history where it is new. It is in force whatever becomes of that. */
  note(because: Because, actor: Actor): void
}

export interface PoliciesPorts {
  /** data/ of the home. */
  readonly data: string
  /** Of the configuration at the start, absolute. */
  readonly policyFile: string
  readonly fleet: () => FleetPorts
  readonly audit: AuditSink
  readonly clock: () => EpochMs
  readonly warn: (message: string) => void
  /** Reads and compiles a policy file, and texts alone. Failure: 'policy-invalid'. */
  readonly read: (policyFile: string) => Promise<LoadedPolicy>
  readonly compile: (texts: readonly PolicyText[], generation: number) => Promise<CompiledPolicy>
  /** One after the other: two policies at once must not be of one generation. */
  readonly serially: <T>(work: () => Promise<T>) => Promise<T>
  /** Another policy is in force: every session is to be judged by it. */
  readonly onReplaced?: () => void
  readonly connected?: () => Iterable<Principal>
}

/** Until one is loaded, nothing is granted. What a crash left half done is finished or undone first. */
export async function openPolicies(ports: PoliciesPorts): Promise<Policies> {
  const { clock, audit, warn, policyFile: file } = ports
  const history = openPolicyHistory(path.join(ports.data, 'policies'), warn)
  const recovered = await recoverPolicy(history, file)
  if (recovered !== 'nothing') warn(`a policy was being applied when the server ended: that is ${recovered}`)
  const memory: PolicyMemory = { policies: new Map() }
  let inForce: PolicyInForce = { file, policy: EMPTY_POLICY, texts: [], sha256: sha256OfTexts([]) }

  /** Never a number that another policy had, also where the history could not be written. */
  function generationOf(texts: readonly PolicyText[]): number {
    const { policy: { generation }, sha256 } = inForce
    const sameAsNow = generation > 0 && sha256OfTexts(texts) === sha256
    const known = history.generationOf(texts)
    return sameAsNow ? generation : known > generation ? known : generation + 1
  }

  /** What was asked about the one before is not asked again, and may be large. */
  function replace(next: PolicyInForce): void {
    inForce = next
    memory.policies.clear()
    memory.diff = undefined
  }

  function told(because: Because, actor: Actor): void {
    const { policy: { generation }, sha256 } = inForce
    audit.record({ kind: 'policy-loaded', at: clock(), generation, sha256, actor, because })
  }

  function note(because: Because, actor: Actor): void {
    told(because, actor)
    const { policy: { generation }, texts } = inForce
    if (history.versions.at(-1)?.generation === generation) return
    try {
      history.record({ generation, at: clock(), actor, because }, texts)
    } catch (error) {
      warn(`policy generation ${generation} is in force, and not in the history (${error instanceof Error ? error.message : 'unknown'})`)
    }
  }

  /** Nobody may be left outside by mistake: all who are connected; when nobody is, all who could. */
  async function cutsAll(next: CompiledPolicy): Promise<string | undefined> {
    const before = inForce.policy
    const tally = { connected: 0, registered: 0 }
    const loses = (principal: Principal): boolean | undefined => (grantsFor(before, principal).empty ? undefined : grantsFor(next, principal).empty)
    for (const principal of ports.connected?.() ?? []) {
      const lost = loses(principal)
      if (lost === false) return undefined
      if (lost === true) tally.connected++
    }
    if (tally.connected > 0) return `${tally.connected} connected`
    const fleet = ports.fleet()
    for await (const device of devicesAfter(fleet, undefined)) {
      const lost = loses(principalOf(fleet, device, { now: clock() }))
      if (lost === false) return undefined
      if (lost === true) tally.registered++
    }
    return tally.registered === 0 ? undefined : `nobody is connected; ${tally.registered} of the registry`
  }

  return {
    history, note, generationOf,
    compile: ports.compile,
    memory,
    inForce: () => inForce,
    async load(policyFile) {
      const loaded = await ports.read(policyFile)
      return { ...loaded, file: policyFile, policy: { ...loaded.policy, generation: generationOf(loaded.texts) } }
    },
    replace,
    apply: (request, actor) => ports.serially(() => applyPolicy({
      history, clock, cutsAll, generationOf, compile: ports.compile,
      inForce: () => inForce,
      replace(next, because, by) {
        replace(next)
        ports.onReplaced?.()
        told(because, by)
      },
    }, request, actor)),
  }
}
