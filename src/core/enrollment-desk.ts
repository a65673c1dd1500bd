// What an operator does about enrollment: tokens made, listed, revoked, and requests that wait approved or rejected.

import type { EpochMs, GroupName, TokenName } from './ids.ts'
import type { EnrollmentQuery, Page, PageQuery } from './registry.ts'
import type { EnrollmentRecord, EnrollmentState, TokenRecord, TokenTarget } from './token.ts'

export interface NewToken {
  readonly target: TokenTarget
  readonly register: boolean
  readonly groups: readonly GroupName[]
  readonly networks: readonly string[]
  readonly approve: TokenRecord['approve']
  readonly uses: number
  /** How long it can be used, from now. */
  readonly lifeMs: number
}

/** A token as it is listed: all but what would let anybody guess. */
export type TokenShown = Omit<TokenRecord, 'secretSha256'>

export interface TokenMade {
  readonly name: TokenName
  /** Name and secret. It is shown now and never again. */
  readonly token: string
  readonly target: TokenTarget
  readonly expiresAt: EpochMs
}

/** Refusals are thrown, as by the rest of the Desk. */
export interface EnrollmentDesk {
  /** All of them or none, in their order: a sheet of them is one commit. */
  createTokens(tokens: readonly NewToken[]): Promise<readonly TokenMade[]>
  tokens(query: PageQuery): Promise<Page<TokenShown>>
  /** Who has its certificate keeps it. */
  revokeToken(name: TokenName): Promise<TokenShown>
  enrollments(query: EnrollmentQuery): Promise<Page<EnrollmentRecord>>
  /** The device gets its certificate, or its refusal, when it asks again. */
  decideEnrollment(id: string, state: Exclude<EnrollmentState, 'pending'>): Promise<EnrollmentRecord>
}
