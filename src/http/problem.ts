// Errors as RFC 9457 problems: a stable code, a sentence, a hint. No stack, no path of this machine, nothing of what the
// request held.

import { REASONS, type DenyReason } from '../vocabulary.ts'
import { SallyportError, type FailureCode } from '../core/errors.ts'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail?: string
  readonly hint?: string
}

const FAILURE_STATUS = 500
/** What is wrong with what was asked, or passes, and is no defect of the server. */
const STATUS_OF: Partial<Readonly<Record<FailureCode, number>>> = { 'not-found': 404, 'policy-invalid': 422, 'config-invalid': 422, 'signer-unavailable': 503 }

export function problemOf(reason: DenyReason, detail?: string): Problem {
  const { http, sentence, fix } = REASONS[reason]
  return { type: `urn:sallyport:reason:${reason}`, title: sentence, status: http, code: reason, hint: fix, ...(detail === undefined ? {} : { detail }) }
}

/** What the file system says of a disk on which nothing can be written. */
const DISK_FAILS: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'])

/** What a failure may say to the outside. */
export function problemOfError(error: unknown): Problem {
  if (error instanceof SallyportError && error.reason !== undefined) return problemOf(error.reason, error.message)
  if (error instanceof SallyportError) return { type: `urn:sallyport:failure:${error.code}`, title: error.message, status: STATUS_OF[error.code] ?? FAILURE_STATUS, code: error.code, ...(error.fix === undefined ? {} : { hint: error.fix }) }
  if (error instanceof Error && 'code' in error && DISK_FAILS.has(error.code)) return { type: 'urn:sallyport:failure:internal', title: 'The server could not write to its disk; its log says what.', status: FAILURE_STATUS, code: 'internal', hint: 'Look for a full or failing disk.' }
  return { type: 'urn:sallyport:failure:internal', title: 'The server failed to do this; its log says why.', status: FAILURE_STATUS, code: 'internal' }
}
