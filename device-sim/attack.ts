// The attacks on one target: sets the scene that every case is given, runs the cases, and says whether the whole is a success.
// It knows no single case.

import { spawnSync } from 'node:child_process'
import { powersOf, type Aim } from './aim.ts'
import { watch, type Aftermath } from './attacks/aftermath.ts'
import { rowOf, type CaseId } from './attacks/catalogue.ts'
import { needsOf } from './attacks/powers.ts'
import { runCases, type CaseResult, type Contest } from './attacks/run.ts'
import { openCanary } from './canary.ts'
import { SIM_LIMITS } from './limits.ts'
import { isLoopback, openSources } from './target.ts'

export interface AttackPlan {
  readonly aim: Aim
  readonly cases: readonly CaseId[]
  readonly signal: AbortSignal
  onBegin(id: CaseId): void
  onResult(result: CaseResult): void
}

export interface AttackOutcome {
  /** In the order of the plan; when the run was interrupted, those that were finished. */
  readonly results: readonly CaseResult[]
  readonly manySources: boolean
  /** Undefined when the run was interrupted. */
  readonly aftermath: Aftermath | undefined
}

export async function attack(plan: AttackPlan): Promise<AttackOutcome> {
  const { aim, signal } = plan
  const { target, identities, acl, root, issuing, issuingAuthority, factoryAuthority, secondFactoryAuthority, doors } = aim
  const powers = await powersOf(aim)
  const canary = await openCanary(target, acl, await identities.fresh('canary'))
  const contest: Contest = {
    aim, powers,
    ground: { target, doors, identities, acl, root, issuing, issuingAuthority, factoryAuthority, secondFactoryAuthority, canary, sources: openSources(target), mosquittoSub: hasMosquittoSub(), pid: () => aim.pid() },
  }
  const watching = await watch({ canary, lost: aim.measure === 'letter' ? 'FAILED' : 'falls short', pid: () => aim.pid(), sessions: async () => aim.operator.sessions?.() })
  // At another broker a role has one name: two cases side by side would put each other's out.
  const lanes = aim.measure === 'letter' ? SIM_LIMITS.attackLanes : 1
  const until = isLoopback(target.host) ? Number.POSITIVE_INFINITY : performance.now() + SIM_LIMITS.elsewhereMs
  const finished = new Map<CaseId, CaseResult>()
  const onResult = (ended: CaseResult): void => {
    // What ends after the interruption has met a server that was being stopped.
    if (signal.aborted) return
    const result = watching.judge(ended)
    finished.set(result.case, result)
    plan.onResult(result)
  }
  let aftermath: Aftermath | undefined
  try {
    // A case may take a minute: an interruption does not wait for it.
    await Promise.race([runCases(plan.cases, contest, { lanes, until }, { onBegin: (id) => plan.onBegin(id), onResult }, signal), aborted(signal)])
    if (!signal.aborted) aftermath = await watching.end()
  } finally {
    canary.close()
  }
  return { results: plan.cases.flatMap((id) => finished.get(id) ?? []), manySources: powers.has('loopback-sources'), aftermath }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function hasMosquittoSub(): boolean {
  return spawnSync('mosquitto_sub', ['--help'], { stdio: 'ignore' }).error === undefined
}

/** What is no failure: as expected, or otherwise and no hole. */
const PASSED: readonly CaseResult['verdict'][] = ['ok', 'differs']

/**
 * Every case that could run has passed, and at least one did. A home that the simulator made has everything that a case needs,
 * so there only this machine may be an excuse.
 */
export function attackSucceeded(results: readonly CaseResult[], own: boolean, manySources: boolean): boolean {
  const passed = (result: CaseResult): boolean => PASSED.includes(result.verdict)
  const excused = (result: CaseResult): boolean =>
    result.verdict === 'not run' && (!own || (!manySources && needsOf(rowOf(result.case)).includes('loopback-sources')))
  return results.some(passed) && results.every((result) => passed(result) || excused(result))
}
