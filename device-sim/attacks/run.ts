// Runs cases and brings in the verdicts: a case is passed only when its control worked, every attempt came to what was
// written down, the audit log holds exactly the record it should, and the server is the same and still serves. What
// cannot be run is "not run", never passed.

import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import type { Aim } from '../aim.ts'
import { SIM_LIMITS } from '../limits.ts'
import { describe, judgeAudit, selects, type RefusalRecord } from '../oracle.ts'
import { inParallel } from '../identities.ts'
import type { Arena, Attempt, Bench, Runner } from './arena.ts'
import { rowOf, type CaseId } from './catalogue.ts'
import type { CatalogueRow, Need } from './catalogue-row.ts'
import { RUNNERS } from './families.ts'
import { guardedAdmin, needsOf, NotOffered, whyNotRun } from './powers.ts'
import { judgeCase, noEvidence, type Evidence, type Verdict } from './verdict.ts'

export interface CaseResult {
  readonly case: CaseId
  readonly title: string
  readonly expected: string
  readonly seen: string
  /** The reasons that the audit log gave. */
  readonly reasons: readonly string[]
  readonly verdict: Verdict
  /** What failed, in what it differs, or why it was not run. */
  readonly notes: readonly string[]
  readonly durationMs: number
}

/** How many side by side, and until when a case may begin, in ms of performance.now(). */
export interface Pace {
  readonly lanes: number
  readonly until: number
}

/** Who is told how it goes. */
export interface Onlooker {
  onBegin(id: CaseId): void
  onResult(result: CaseResult): void
}

/** A run of cases: what they are all given, and what the target has. */
export interface Contest {
  readonly aim: Aim
  readonly powers: ReadonlySet<Need>
  /** Everything of an arena that is the same for all cases. */
  readonly ground: Omit<Arena, 'admin' | 'take' | 'offers'>
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

/** The arena of one case. What it takes without having named it is a fault of its row: nobody could know what a target must have. */
function arenaFor(row: CatalogueRow, { ground, aim, powers }: Contest, evidence: Evidence): Arena {
  const named = new Set(needsOf(row))
  const note = (need: Need): void => {
    const fault = `the row does not name what the case takes: ${need}`
    if (!named.has(need) && !evidence.faults.includes(fault)) evidence.faults.push(fault)
  }
  return {
    ...ground,
    admin: guardedAdmin(aim.operator, note),
    take(need) {
      note(need)
      if (!powers.has(need)) throw new NotOffered(need)
    },
    offers(need) {
      named.add(need)
      return powers.has(need)
    },
  }
}

/** Runs one case. It never rejects: a fault of the run is a failed case. */
export async function runCase(id: CaseId, contest: Contest, runner: Runner = RUNNERS[id]): Promise<CaseResult> {
  const row = rowOf(id)
  const { aim, powers } = contest
  const started = performance.now()
  const absent = needsOf(row).find((need) => !powers.has(need))
  if (absent !== undefined) return notRun(id, whyNotRun(row, absent))

  const evidence = noEvidence()
  const reasons = new Set<string>()
  try {
    const [pid, mark] = await Promise.all([aim.pid(), aim.operator.refusalsAfter?.(0)])
    await withDeadline(runner(arenaFor(row, contest, evidence), benchFor(row, evidence)), SIM_LIMITS.caseMs)
    evidence.harm.push(...(await serverFaults(contest, pid)))
    if (mark !== undefined) evidence.harm.push(...(await auditFaults(aim.operator, row, evidence.attempts, mark.newest, reasons)))
  } catch (fault) {
    if (fault instanceof NotOffered) evidence.notOffered = fault.message
    else evidence.faults.push(fault instanceof Error ? fault.message : String(fault))
  }
  return {
    case: id, title: row.title, expected: row.expected,
    seen: [...new Set(evidence.attempts.map((attempt) => describe(attempt.seen)))].join('; '),
    reasons: [...reasons],
    ...judgeCase(row, evidence, aim),
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

async function serverFaults({ aim, ground }: Contest, pidBefore: number | undefined): Promise<readonly string[]> {
  const [trip, pid] = await Promise.all([ground.canary.roundTrip(), aim.pid()])
  return [
    ...(trip === undefined ? ['the canary device no longer hears itself'] : []),
    ...(pid === pidBefore ? [] : [`the server is another process than before (${pidBefore ?? 'none'} → ${pid ?? 'none'})`]),
  ]
}

/** Reads the audit log until every attempt has its record, or the deadline; then says what is missing or too much. */
async function auditFaults(operator: Aim['operator'], row: CatalogueRow, attempts: readonly Attempt[], mark: number, reasons: Set<string>): Promise<readonly string[]> {
  const deadline = performance.now() + SIM_LIMITS.auditMs
  for (;;) {
    const { refusals } = (await operator.refusalsAfter?.(mark)) ?? { refusals: [] }
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
export async function runCases(ids: readonly CaseId[], contest: Contest, { lanes, until }: Pace, onlooker: Onlooker, signal: AbortSignal): Promise<readonly CaseResult[]> {
  const results = new Map<CaseId, CaseResult>()
  const pace = (wanted: CatalogueRow['pace']): readonly CaseId[] => ids.filter((id) => rowOf(id).pace === wanted)
  const run = async (id: CaseId): Promise<void> => {
    if (signal.aborted) return
    onlooker.onBegin(id)
    const result = performance.now() > until ? notRun(id, 'the time that a target elsewhere is given was over') : await runCase(id, contest)
    // Ctrl-C reaches the server, too, and a turn of the event loop hands out signals after sockets: what the end of the
    // server did to a case is known here before the interruption is.
    await nextTurn()
    results.set(id, result)
    onlooker.onResult(result)
  }
  const background = Promise.all(pace('background').map(run))
  await inParallel(pace(undefined), lanes, run)
  await background
  await inParallel(pace('alone'), 1, run)
  return ids.map((id) => results.get(id) ?? notRun(id, 'interrupted'))
}

function notRun(id: CaseId, why: string): CaseResult {
  const { title, expected } = rowOf(id)
  return { case: id, title, expected, seen: '', reasons: [], verdict: 'not run', notes: [why], durationMs: 0 }
}
