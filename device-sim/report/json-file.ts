// The result of a run for programs: one JSON file. Its shape is what test/planted and whoever compares runs rely on.

import { constants } from 'node:fs'
import { access, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Aftermath } from '../attacks/aftermath.ts'
import type { CaseResult } from '../attacks/run.ts'
import { SimError } from '../failure.ts'
import type { FleetResult } from '../fleet.ts'
import type { ScenarioResult } from '../scenario/outcome.ts'

export interface TargetFacts {
  readonly name: string
  readonly host: string
  readonly port: number
  /** The simulator has made it for this run, and it is ours. */
  readonly own: boolean
}

interface RunFacts {
  /** RFC 3339. */
  readonly startedAt: string
  readonly durationMs: number
  readonly interrupted: boolean
  /** Everything that could run came to what was expected. */
  readonly ok: boolean
}

export interface RunReport extends RunFacts {
  readonly target: TargetFacts
  readonly fleet?: FleetResult
  readonly cases?: readonly CaseResult[]
  /** What the cases did to everybody else, and left behind. */
  readonly aftermath?: Aftermath
  readonly scenario?: ScenarioResult
}

/** The same cases at several targets. */
export interface ComparisonReport extends RunFacts {
  readonly targets: readonly { readonly target: TargetFacts; readonly ok: boolean; readonly cases: readonly CaseResult[] }[]
}

/** A run takes minutes: that its report has no place is said before. */
export async function refuseUnwritable(option: string, file: string): Promise<void> {
  const folder = path.dirname(path.resolve(file))
  const writable = await access(folder, constants.W_OK).then(() => true, () => false)
  const isFolder = await stat(file).then((found) => found.isDirectory(), () => false)
  if (!writable || isFolder) throw new SimError('usage', `${option} ${file} cannot be written: ${isFolder ? 'it is a folder' : `${folder} is missing or read-only`}.`)
}

export async function writeReport(file: string, report: RunReport | ComparisonReport): Promise<void> {
  await writeFile(file, reportText(report))
}

export function reportText(report: RunReport | ComparisonReport): string {
  return `${JSON.stringify(report, undefined, 2)}\n`
}
