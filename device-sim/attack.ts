// The attacks on one home: sets the scene that every case is given, runs the cases, and says whether the whole is a success.
// It knows no single case.

import { spawnSync } from 'node:child_process'
import type { Arena } from './attacks/arena.ts'
import { rowOf, type CaseId } from './attacks/catalogue.ts'
import { runCases, type CaseResult } from './attacks/run.ts'
import { openCanary } from './canary.ts'
import type { Identities } from './identities.ts'
import type { OpenedHome } from './server-process.ts'
import { openSources } from './target.ts'

export interface AttackPlan {
  readonly home: OpenedHome
  readonly identities: Identities
  readonly cases: readonly CaseId[]
  readonly signal: AbortSignal
  onResult(result: CaseResult): void
}

export interface AttackOutcome {
  /** In the order of the plan; when the run was interrupted, those that were finished. */
  readonly results: readonly CaseResult[]
  readonly manySources: boolean
}

export async function attack(plan: AttackPlan): Promise<AttackOutcome> {
  const { home, identities, signal } = plan
  const sources = openSources(home.target)
  const manySources = sources.next() !== undefined
  const canary = await openCanary(home.target, await identities.fresh('canary'))
  const arena: Arena = {
    target: home.target, admin: home.admin, identities, sources, canary, root: home.root, issuing: home.issuing, enroll: home.enroll, websocket: home.websocket, pki: home.pki,
    issuingAuthority: home.issuingAuthority, factoryAuthority: home.factoryAuthority, secondFactoryAuthority: home.secondFactoryAuthority, manySources, mosquittoSub: hasMosquittoSub(), pid: () => home.pid(),
  }
  const finished = new Map<CaseId, CaseResult>()
  const onResult = (result: CaseResult): void => {
    // What ends after the interruption has met a server that was being stopped.
    if (signal.aborted) return
    finished.set(result.case, result)
    plan.onResult(result)
  }
  try {
    // A case may take a minute: an interruption does not wait for it.
    await Promise.race([runCases(plan.cases, arena, onResult, signal), aborted(signal)])
  } finally {
    canary.close()
  }
  return { results: plan.cases.flatMap((id) => finished.get(id) ?? []), manySources }
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

/**
 * Every case that could run is ok, and at least one was. A home that the simulator made has everything that a case needs,
 * so there only this machine may be an excuse.
 */
export function attackSucceeded(results: readonly CaseResult[], own: boolean, manySources: boolean): boolean {
  const excused = (result: CaseResult): boolean =>
    result.verdict === 'not run' && (!own || (!manySources && (rowOf(result.case).needs ?? []).includes('loopback-sources')))
  return results.some((result) => result.verdict === 'ok') && results.every((result) => result.verdict === 'ok' || excused(result))
}
