// From the evidence of a case to its verdict. At a target of ours everything that is not as it was written down is a failure. At
// another broker it falls short only where something is not given that mutual TLS and an access control list promise; what is
// otherwise than expected and no hole is said, and counts as kept.

import type { Aim } from '../aim.ts'
import { agrees, describe } from '../oracle.ts'
import { noHole } from '../promises.ts'
import type { Attempt, Control } from './arena.ts'
import type { CatalogueRow } from './catalogue-row.ts'

export type Verdict = 'ok' | 'differs' | 'falls short' | 'FAILED' | 'not run'

export interface Evidence {
  readonly attempts: Attempt[]
  readonly controls: Control[]
  readonly skipped: string[]
  /** What is wrong with the run of the case. */
  readonly faults: string[]
  /** What is wrong with the target: its audit log, its process, its canary. */
  readonly harm: string[]
  /** The target does not have what the case asked for on its way. */
  notOffered: string | undefined
}

export const noEvidence = (): Evidence => ({ attempts: [], controls: [], skipped: [], faults: [], harm: [], notOffered: undefined })

export interface Judgement {
  readonly verdict: Verdict
  readonly notes: readonly string[]
}

export function judgeCase(row: CatalogueRow, evidence: Evidence, aim: Pick<Aim, 'measure' | 'acl'>): Judgement {
  const differing = new Map<string, string[]>()
  const broken: string[] = [...evidence.harm]
  const tried = new Set(evidence.attempts.map((attempt) => attempt.claim))
  for (const attempt of evidence.attempts) {
    const claim = row.claims[attempt.claim]
    if (claim !== undefined && agrees(claim.outcome, attempt.seen)) continue
    const told = `${attempt.label}: ${describe(attempt.seen)}`
    const excuse = claim === undefined || aim.measure === 'letter' ? undefined : noHole(claim, attempt.seen, aim.acl.identity, tried)
    if (excuse === undefined) broken.push(told)
    else differing.set(excuse, [...(differing.get(excuse) ?? []), told])
  }
  const differs = [...differing].map(([excuse, told]) => `${told[0] ?? ''}${told.length > 1 ? `, and ${told.length - 1} more` : ''}. ${excuse}`)
  const faults = [...evidence.faults, ...controlFaults(evidence)]
  if (evidence.notOffered !== undefined && broken.length === 0) return { verdict: 'not run', notes: [evidence.notOffered] }
  const notes = [...faults, ...broken, ...differs, ...evidence.skipped]
  if (aim.measure === 'promises' && broken.length > 0) return { verdict: 'falls short', notes }
  if (faults.length + broken.length > 0) return { verdict: 'FAILED', notes }
  return { verdict: differs.length > 0 ? 'differs' : 'ok', notes }
}

/** A case that tried nothing, or that compared with nothing, has shown nothing. */
function controlFaults({ attempts, controls, notOffered }: Evidence): readonly string[] {
  if (notOffered !== undefined) return []
  return [
    ...(attempts.length === 0 ? ['no attack was made'] : []),
    ...(controls.length === 0 ? ['no positive control was made'] : []),
    ...controls.filter((control) => !control.works).map((control) => `control failed: ${control.label} (${control.seen})`),
  ]
}
