// What an operator does about enrollment: tokens made, listed, revoked, and requests that wait approved or rejected.

import type { EpochMs, GroupName, SerialNumber, TenantId, TokenName } from './ids.ts'
import type { EnrollmentQuery, Page, TokenQuery } from './registry.ts'
import type { EnrollmentRecord, EnrollmentState, ManufacturerRule, TokenProof, TokenRecord, TokenTarget } from './token.ts'

export interface NewToken {
  readonly target: TokenTarget
  readonly register: boolean
  readonly groups: readonly GroupName[]
  readonly networks: readonly string[]
  readonly approve: TokenRecord['approve']
  readonly tenant?: TenantId
  readonly uses: number
  /** How long it can be used, from now. */
  readonly lifeMs: number
}

/** A token as it is listed: all but what would let anybody guess. */
export type TokenShown = Omit<TokenRecord, 'proof'> & { readonly proof: { readonly kind: 'secret' } | Exclude<TokenProof, { readonly kind: 'secret' }> }

export interface TokenMade {
  readonly name: TokenName
  /** Name and secret. It is shown now and never again. */
  readonly token: string
  readonly target: TokenTarget
  readonly expiresAt: EpochMs
}

/** A token that is proven by the key of a certificate. PEM. */
export interface ClaimMade {
  readonly name: TokenName
  readonly target: TokenTarget
  readonly expiresAt: EpochMs
  readonly serial: SerialNumber
  readonly certificate: string
  /** The issuing certificates, leaf side first, without the root. */
  readonly chain: readonly string[]
  /** What this server is verified with. */
  readonly root: string
}

/** Refusals are thrown, as by the rest of the Desk. */
export interface EnrollmentDesk {
  /** All of them or none, in their order: a sheet of them is one commit. */
  createTokens(tokens: readonly NewToken[]): Promise<readonly TokenMade[]>
  /** `csr`, PEM, has the key that proves it. Its certificate ends with it; it is recorded with it, or not at all. */
  createClaim(token: NewToken, csr: string): Promise<ClaimMade>
  /** Certificates of a CA that is trusted prove it, each for the device that it names. */
  admitManufacturer(token: NewToken, rule: ManufacturerRule): Promise<TokenShown>
  tokens(query: TokenQuery): Promise<Page<TokenShown>>
  token(name: TokenName): Promise<TokenShown>
  /** Refused from now on, or no longer. */
  suspendToken(name: TokenName, suspended: boolean): Promise<TokenShown>
  /** Who has its certificate keeps it. The certificate of a claim is revoked with it. */
  revokeToken(name: TokenName): Promise<TokenShown>
  enrollments(query: EnrollmentQuery): Promise<Page<EnrollmentRecord>>
  enrollment(id: string): Promise<EnrollmentRecord>
  /** The device gets its certificate, or its refusal, when it asks again. */
  decideEnrollment(id: string, state: Exclude<EnrollmentState, 'pending'>): Promise<EnrollmentRecord>
}
