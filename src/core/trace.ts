// What is told to whoever traces: a piece of work that is over, and what came of it. One that may hold the ids of devices: traces are
// sampled, and kept for days.

import type { DenyReason } from '../vocabulary.ts'
import type { EpochMs } from './ids.ts'

export interface Span {
  readonly name: 'connect' | 'enroll' | 'revoke'
  readonly begunAt: EpochMs
  readonly endedAt: EpochMs
  /** Names as OpenTelemetry has them, or below `sallyport.`. */
  readonly attributes: Readonly<Record<string, string | number>>
  /** It was refused. */
  readonly reason?: DenyReason
}

export type Trace = (span: Span) => void
