// Runs cases and brings in the verdicts: a case is passed only when its control worked, every attempt came to what was
// written down, the audit log holds exactly the record it should, and the server is the same and still serves. What
// cannot be run is "not run", never passed.

import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { unreachable } from '../failure.ts'
import { SIM_LIMITS } from '../limits.ts'
import { agrees, describe, judgeAudit, selects, type RefusalRecord } from '../oracle.ts'
import { inParallel } from '../identities.ts'
import { resourcesOf } from '../resources.ts'
import type { Arena, Attempt, Bench, Control, Runner } from './arena.ts'
import { rowOf, type CaseId } from './catalogue.ts'
import type { CatalogueRow, Need } from './catalogue-row.ts'
import { RUNNERS } from './families.ts'

export interface CaseResult {
  readonly case: CaseId
  readonly title: string
  readonly expected: string
  readonly seen: string
  /** The reasons that the audit log gave. */
  readonly reasons: readonly string[]
  readonly verdict: 'ok' | 'FAILED' | 'not run'
  /** What failed, or why it was not run. */
  readonly notes: readonly string[]
  readonly durationMs: number
}

const NEED_MISSING: Readonly<Record<Need, string>> = {
  'ca-key': 'the issuing CA\'s key is not at hand: only in a home that the simulator made',
  'loopback-sources': 'this machine or target has one source address only',
  'server-process': 'the server is no process of this machine that could be looked at',
  'own-policy': 'it needs groups that only the policy of a home has that the simulator made',
  'websocket': 'MQTT over WebSocket is not served',
}

async function missing(arena: Arena, need: Need): Promise<boolean> {
  switch (need) {
    case 'ca-key': return arena.issuingAuthority === undefined
    case 'loopback-sources': return !arena.manySources
    case 'server-process': return (await resourcesOf(await arena.pid())) === undefined
    case 'own-policy': return arena.issuingAuthority === undefined
    case 'websocket': return arena.websocket === undefined
    default: return unreachable(need)
  }
}

interface Evidence {
  readonly attempts: Attempt[]
  readonly controls: Control[]
  readonly skipped: string[]
  readonly faults: string[]
}

function benchFor(row: CatalogueRow, evidence: Evidence): Bench {
  return {
    attack(claim, label, seen, audit = {}) {
      if (row.claims[claim] === undefined) evidence.faults.push(`the case laid down what nobody wrote an expectation for: ${claim}`)
      else evidence.attempts.push({ claim, label, seen, audit })
    },
    control: (label, works, seen) => void evidence.controls.push({ label, works, seen }),
    skip: (label, reason) => void evidence.skipped.push(`${label} not run: ${reason}`),
  }
}

/** Runs one case. It never rejects: a fault of the run is a failed case. */
async function runCase(id: CaseId, arena: Arena, runner: Runner = RUNNERS[id]): Promise<CaseResult> {
  const row = rowOf(id)
  const started = performance.now()
  const facts = { case: id, title: row.title, expected: row.expected }
  for (const need of row.needs ?? []) {
    if (await missing(arena, need)) return { ...facts, seen: '', reasons: [], verdict: 'not run', notes: [NEED_MISSING[need]], durationMs: 0 }
  }

  const evidence: Evidence = { attempts: [], controls: [], skipped: [], faults: [] }
  const reasons = new Set<string>()
  try {
    const [pid, mark] = await Promise.all([arena.pid(), arena.admin.refusalsAfter(0)])
    await withDeadline(runner(arena, benchFor(row, evidence)), SIM_LIMITS.caseMs)
    evidence.faults.push(...(await serverFaults(arena, pid)), ...(await auditFaults(arena, row, evidence.attempts, mark.newest, reasons)))
  } catch (fault) {
    evidence.faults.push(fault instanceof Error ? fault.message : String(fault))
  }
  const faults = [...evidence.faults, ...outcomeFaults(row, evidence)]
  return {
    ...facts,
    seen: [...new Set(evidence.attempts.map((attempt) => describe(attempt.seen)))].join('; '),
    reasons: [...reasons],
    verdict: faults.length === 0 ? 'ok' : 'FAILED',
    notes: [...faults, ...evidence.skipped],
    durationMs: performance.now() - started,
  }
}

async function withDeadline(work: Promise<void>, ms: number): Promise<void> {
  const stop = new AbortController()
  try {
    await Promise.race([
      work,
      delay(ms, undefined, { signal: stop.signal }).then(() => Promise.reject(new Error(`the case was not finished after ${ms} ms`))),
    ])
  } finally {
    stop.abort()
  }
}

function outcomeFaults(row: CatalogueRow, evidence: Evidence): readonly string[] {
  const faults: string[] = []
  // A case that tried nothing, or that compared with nothing, has shown nothing.
  if (evidence.attempts.length === 0) faults.push('no attack was made')
  if (evidence.controls.length === 0) faults.push('no positive control was made')
  for (const control of evidence.controls) {
    if (!control.works) faults.push(`control failed: ${control.label} (${control.seen})`)
  }
  for (const attempt of evidence.attempts) {
    const claim = row.claims[attempt.claim]
    if (claim === undefined || !agrees(claim.outcome, attempt.seen)) faults.push(`${attempt.label}: ${describe(attempt.seen)}`)
  }
  return faults
}

async function serverFaults(arena: Arena, pidBefore: number | undefined): Promise<readonly string[]> {
  const [trip, pid] = await Promise.all([arena.canary.roundTrip(), arena.pid()])
  return [
    ...(trip === undefined ? ['the canary device no longer hears itself'] : []),
    ...(pid === pidBefore ? [] : [`the server is another process than before (${pidBefore ?? 'none'} → ${pid ?? 'none'})`]),
  ]
}

/** Reads the audit log until every attempt has its record, or the deadline; then says what is missing or too much. */
async function auditFaults(arena: Arena, row: CatalogueRow, attempts: readonly Attempt[], mark: number, reasons: Set<string>): Promise<readonly string[]> {
  const deadline = performance.now() + SIM_LIMITS.auditMs
  for (;;) {
    const { refusals } = await arena.admin.refusalsAfter(mark)
    const faults: string[] = []
    let waiting = false
    for (const attempt of attempts) {
      const claim = row.claims[attempt.claim]
      // An attempt that names no connection leaves nothing that could be told from other records.
      if (claim === undefined || Object.values(attempt.audit).every((value) => value === undefined)) continue
      const records = refusals.filter((record) => selects(attempt.audit, record))
      for (const record of records) reasons.add(record.reason)
      const verdict = judgeAudit(claim, records)
      if (verdict === 'fits') continue
      if (verdict === 'missing') waiting = true
      faults.push(`${attempt.label}: the audit log has ${auditText(records)}`)
    }
    if (!waiting || performance.now() > deadline) return faults
    await delay(SIM_LIMITS.auditPollMs)
  }
}

function auditText(records: readonly RefusalRecord[]): string {
  return records.length === 0 ? 'no record' : records.map((record) => `${record.reason}${record.count > 1 ? ` ×${record.count}` : ''}`).join(', ')
}

/** Runs many: the slow ones in the background, most side by side, the greedy ones alone at the end. In the order given. */
export async function runCases(ids: readonly CaseId[], arena: Arena, onResult: (result: CaseResult) => void, signal: AbortSignal): Promise<readonly CaseResult[]> {
  const results = new Map<CaseId, CaseResult>()
  const pace = (wanted: CatalogueRow['pace']): readonly CaseId[] => ids.filter((id) => rowOf(id).pace === wanted)
  const run = async (id: CaseId): Promise<void> => {
    if (signal.aborted) return
    const result = await runCase(id, arena)
    // Ctrl-C reaches the server, too, and a turn of the event loop hands out signals after sockets: what the end of the
    // server did to a case is known here before the interruption is.
    await nextTurn()
    results.set(id, result)
    onResult(result)
  }
  const background = Promise.all(pace('background').map(run))
  await inParallel(pace(undefined), SIM_LIMITS.attackLanes, run)
  await background
  await inParallel(pace('alone'), 1, run)
  return ids.flatMap((id) => results.get(id) ?? interrupted(id))
}

function interrupted(id: CaseId): CaseResult {
  const row = rowOf(id)
  return { case: id, title: row.title, expected: row.expected, seen: '', reasons: [], verdict: 'not run', notes: ['interrupted'], durationMs: 0 }
}
