// The reports of the simulator that lie in the home, for whoever looks at runs.

import type { EpochMs } from './ids.ts'

export interface ReportShown {
  /** Of the file: run-1.json. */
  readonly name: string
  readonly bytes: number
  /** When it was written. */
  readonly at: EpochMs
}

export interface ReportsDesk {
  /** Newest first. */
  reports(): Promise<readonly ReportShown[]>
  /** As it stands in the file. Reasons: report-not-found. */
  report(name: string): Promise<Readonly<Record<string, unknown>>>
}
