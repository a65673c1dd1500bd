// The policy's part of the desk over an open home: what is asked about the policy in force, or about one that is not, and
// the way to another one. It gathers devices and sessions; every judgement is core's.

import { CONSOLE_LIMITS } from './console-limits.ts'
import { deny } from './core/decision.ts'
import type { Device } from './core/device.ts'
import { failureOf } from './core/errors.ts'
import type { DeviceId, EpochMs } from './core/ids.ts'
import type { Applied, ApplyRequest, DiffQuery, ExplainQuestion, FleetPart, HistoryShown, LintPart, LintQuery, OfPolicy, PolicyDesk, PolicyDiff, PolicyShown, PolicyText, WhoCan, WhoCanItem, WhoCanQuery } from './core/policy-desk.ts'
import { compilePolicy, type CompiledPolicy } from './core/policy/compile.ts'
import type { PolicyDocument } from './core/policy/document.ts'
import { diffDocuments, type RuleChange } from './core/policy/diff.ts'
import { explain, isOpen, type Explanation } from './core/policy/explain.ts'
import { openFleetDiff, openFleetTally, type DeviceDiff, type FleetDiff, type HeldSession } from './core/policy/fleet-diff.ts'
import { grantsFor } from './core/policy/grants.ts'
import { inPlace, lintPolicy } from './core/policy/lint.ts'
import { openFleetLint } from './core/policy/lint-fleet.ts'
import { ask, questionOf, type Asked, type Question } from './core/policy/question.ts'
import { relevantTo } from './core/policy/relevant.ts'
import { principalOf, walkFleet, type FleetPorts } from './fleet.ts'
import { keptTexts, type PolicyInForce } from './policy-apply.ts'
import { readPolicyTexts, sha256OfTexts } from './policy-file/files.ts'
import type { PolicyHistory } from './policy-history.ts'

export interface PolicyDeskPorts extends FleetPorts {
  readonly device: (id: DeviceId) => Device
  readonly clock: () => EpochMs
  readonly policies: PoliciesPort
  /** Sessions of a device, connected and kept. Without a server nobody is connected. */
  readonly sessionsOf?: ((device: Device) => Promise<readonly HeldSession[]>) | undefined
}

/** The policy of a home: in force, on the disk, and before. */
export interface PoliciesPort {
  inForce(): PolicyInForce
  readonly history: PolicyHistory
  generationOf(texts: readonly PolicyText[]): number
  /** Failure: 'policy-invalid'. */
  compile(texts: readonly PolicyText[], generation: number): Promise<CompiledPolicy>
  apply(request: ApplyRequest): Promise<Applied>
  readonly memory: PolicyMemory
}

/** What the last questions were about: a fleet is asked about the same policies range by range. */
export interface PolicyMemory {
  /** By the hash of their texts and their generation, the last two. */
  readonly policies: Map<string, CompiledPolicy>
  diff?: undefined | { readonly before: CompiledPolicy; readonly after: CompiledPolicy; readonly changes: readonly RuleChange[]; readonly fleet: FleetDiff }
}

/** One is compared with another. */
const POLICIES_REMEMBERED = 2

const linesOf = ({ grants, deny: denied }: PolicyDocument): number =>
  grants.reduce((sum, { publish, subscribe, will }) => sum + publish.length + subscribe.length + will.length, 0) + denied.reduce((sum, { publish, subscribe, receive }) => sum + publish.length + subscribe.length + receive.length, 0)

/** When nobody says how many devices are listed. */
const LISTED = 100

export function openPolicyDesk(ports: PolicyDeskPorts): PolicyDesk {
  const { policies, clock } = ports

  /** That of these texts, with the generation that it would have. Failure: 'policy-invalid'. */
  async function compiled(texts: readonly PolicyText[]): Promise<CompiledPolicy> {
    const { policies: known } = policies.memory
    const number = policies.generationOf(texts)
    const key = `${number} ${sha256OfTexts(texts)}`
    const policy = known.get(key) ?? (await policies.compile(texts, number))
    known.delete(key)
    known.set(key, policy)
    for (const oldest of known.keys()) if (known.size > POLICIES_REMEMBERED) known.delete(oldest)
    return policy
  }

  function compared(before: CompiledPolicy, after: CompiledPolicy): NonNullable<PolicyMemory['diff']> {
    const { memory } = policies
    if (memory.diff?.before === before && memory.diff.after === after) return memory.diff
    const changes = diffDocuments(before.document, after.document)
    memory.diff = { before, after, changes, fleet: openFleetDiff(before, after, changes) }
    return memory.diff
  }

  const policyOf = ({ files }: OfPolicy): CompiledPolicy | Promise<CompiledPolicy> => (files === undefined ? policies.inForce().policy : compiled(files))
  const generation = (): number => policies.inForce().policy.generation

  async function explained({ device: id, clientId, source, tls, at, files, ...asked }: ExplainQuestion): Promise<Explanation> {
    const device = ports.device(id)
    const question = asking(asked)
    const policy = await policyOf({ files })
    return explain(policy, principalOf(ports, device, { connection: connectionOf({ source, tls }), now: at ?? clock(), clientId: question.kind === 'connect' ? question.clientId : clientId }), question)
  }

  async function whoCan({ files, after, limit = LISTED, source, tls, at, ...asked }: WhoCanQuery): Promise<WhoCan> {
    const question = asking(asked)
    if (question.kind === 'connect') throw failureOf(deny('request-invalid', 'ask for publish, subscribe, receive or will'))
    const policy = await policyOf({ files })
    const part = compilePolicy(relevantTo(policy.document, question), policy.generation)
    const circumstances = { connection: connectionOf({ source, tls }), now: at ?? clock() }
    const rules = new Map<string, { readonly at: WhoCanItem['at']; readonly devices: number }>()
    const items: WhoCanItem[] = []
    let allowed = 0
    const walked = await walkFleet(ports, after, (device) => {
      const principal = principalOf(ports, device, circumstances)
      if (part.grantsOf(device, principal.ca).length === 0) return
      const { effect, rule, at: place, grantedQos } = ask(grantsFor(part, principal), question)
      if (effect === 'deny' || rule === undefined || place === undefined) return
      allowed++
      rules.set(rule, { at: rules.get(rule)?.at ?? place, devices: (rules.get(rule)?.devices ?? 0) + 1 })
      if (items.length >= limit) return
      items.push({ device: device.id, rule, at: place, ...(grantedQos === undefined ? {} : { grantedQos }), ...(isOpen(part, principal, question, effect) ? { depends: true } : {}) })
    })
    return { generation: generation(), ...walked, allowed, rules: Object.fromEntries(rules), items }
  }

  async function lintFleet({ files, after, fleet = true }: LintQuery): Promise<LintPart> {
    const policy = await policyOf({ files })
    const lint = openFleetLint(policy)
    const findings = after === undefined && linesOf(policy.document) <= CONSOLE_LIMITS.lintLinesMax ? { findings: inPlace(lintPolicy(policy.document, clock())) } : {}
    if (!fleet) return { generation: generation(), devices: 0, ...findings, idle: [], unknown: [] }
    const walked = await walkFleet(ports, after, (device) => lint.add(principalOf(ports, device, { now: clock() })))
    return { generation: generation(), ...walked, ...findings, ...lint.part() }
  }

  async function diffPolicy(query: DiffQuery): Promise<PolicyDiff> {
    const { from, to, files } = query
    const kept = (number: number): readonly PolicyText[] => keptTexts(policies.history, number)
    const before = from === undefined ? policies.inForce().policy : await compiled(typeof from === 'number' ? kept(from) : from)
    const texts = to === undefined ? files ?? (await readPolicyTexts(policies.inForce().file)) : kept(to)
    const after = await compiled(texts)
    const { changes, fleet } = compared(before, after)
    // What has been told is not told again with every range.
    const answer = { generation: generation(), sha256: sha256OfTexts(texts), changes: query.after === undefined ? changes : [] }
    return query.fleet === true ? { ...answer, fleet: await diffFleet(fleet, query) } : answer
  }

  async function diffFleet(diff: FleetDiff, query: DiffQuery): Promise<FleetPart> {
    const tally = openFleetTally()
    const items: DeviceDiff[] = []
    const limit = query.limit ?? LISTED
    const now = clock()
    const walked = await walkFleet(ports, query.after, async (device) => {
      const principal = principalOf(ports, device, { now })
      const found = diff.concerns(device, principal.ca) ? diff.device(principal, (await ports.sessionsOf?.(device)) ?? []) : undefined
      tally.add(found)
      if (found !== undefined && items.length < limit) items.push(found)
    })
    return { generation: generation(), ...walked, counts: tally.counts(), items }
  }

  async function shown(): Promise<PolicyShown> {
    const { file, policy, sha256, texts } = policies.inForce()
    return { generation: policy.generation, sha256, files: texts, edited: sha256OfTexts(await readPolicyTexts(file)) !== sha256 }
  }

  function history(): HistoryShown {
    const { history: kept } = policies
    return { generation: generation(), items: kept.versions.toReversed().map((version) => ({ ...version, kept: kept.isKept(version.files) })) }
  }

  return {
    explain: explained,
    whoCan, lintFleet, diffPolicy,
    policy: shown,
    // A promise that starts with a throw must reject, not throw.
    policyHistory: async () => history(),
    applyPolicy: (request) => policies.apply(request),
  }
}

function asking(asked: Asked): Question {
  const question = questionOf(asked)
  if (question === undefined) throw failureOf(deny('request-invalid', 'ask for exactly one of publish, subscribe, receive, will, connect'))
  return question
}

function connectionOf({ source, tls }: Pick<ExplainQuestion, 'source' | 'tls'>) {
  return { ...(source === undefined ? {} : { source }), ...(tls === undefined ? {} : { tls }) }
}
