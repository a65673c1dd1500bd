// A failure is an exception: something is broken or wrongly set up, as opposed to somebody being refused. It owns the
// one error class and the codes; how a failure is shown is the business of cli.ts and http/.

import { EXIT, REASONS, type DenyReason, type ExitCode } from '../vocabulary.ts'
import type { Denied } from './decision.ts'

/** What can fail, with the exit code of a command that fails so. */
export const FAILURES = {
  'config-invalid': EXIT.configuration,
  'policy-invalid': EXIT.configuration,
  'profile-invalid': EXIT.configuration,
  'key-unreadable': EXIT.configuration,
  'key-permissions': EXIT.configuration,
  'passphrase-wrong': EXIT.configuration,
  'home-not-writable': EXIT.configuration,
  'home-in-use': EXIT.configuration,
  'home-empty': EXIT.configuration,
  'port-in-use': EXIT.configuration,
  'database-corrupt': EXIT.configuration,
  'database-newer': EXIT.configuration,
  'audit-unwritable': EXIT.configuration,
  'backup-unusable': EXIT.configuration,
  'certificate-unusable': EXIT.configuration,
  'store-overloaded': EXIT.failed,
  'signer-unavailable': EXIT.failed,
  'issuance-mismatch': EXIT.failed,
  'audit-broken': EXIT.failed,
  'unreachable': EXIT.unreachable,
  'usage': EXIT.usage,
  'not-found': EXIT.notFound,
  'refused': EXIT.refused,
  'internal': EXIT.failed,
} as const satisfies Record<string, ExitCode>
export type FailureCode = keyof typeof FAILURES

/** Where in a text something is wrong; line and column count from 1. */
export interface SourcePosition {
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface FailureFacts {
  /** What the reader can do about it, as a sentence. */
  readonly fix?: string
  readonly at?: SourcePosition
  /** Set when the failure carries a refusal to somebody who asked for success. */
  readonly reason?: DenyReason
  readonly cause?: unknown
}

export class SallyportError extends Error {
  override readonly name = 'SallyportError'
  readonly code: FailureCode
  readonly fix: string | undefined
  readonly at: SourcePosition | undefined
  readonly reason: DenyReason | undefined

  constructor(code: FailureCode, message: string, facts: FailureFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    this.fix = facts.fix
    this.at = facts.at
    this.reason = facts.reason
  }
}

/** Where a caller needs success, a denial becomes a failure with the same reason. */
export function refused(denied: Denied, sentence: string): SallyportError {
  return new SallyportError('refused', sentence, { reason: denied.reason })
}

/** A refusal, for an operator who asked for success: its sentence, its detail and its fix. */
export function failureOf(denied: Denied): SallyportError {
  const { sentence, fix, http } = REASONS[denied.reason]
  const detail = denied.detail === undefined ? '' : ` (${denied.detail})`
  return new SallyportError(http === 404 ? 'not-found' : 'refused', `${sentence.replace(/\.$/, '')}${detail}.`, { fix, reason: denied.reason })
}
