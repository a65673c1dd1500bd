// Revoking many certificates by what they have in common: a group, a CA, a token, a window of time. What is chosen, what may not be,
// and what is told before it is done. Pure; the pages are read and committed elsewhere.

import type { RevocationReason } from '../vocabulary.ts'
import type { Device } from './device.ts'
import type { CaName, DeviceId, EpochMs, GroupName, TokenName } from './ids.ts'
import type { CertificateRecord } from './registry.ts'

/** All that is said must hold; at least one of them is said. Times: from `issuedAfter` on, and before `issuedBefore`. */
export interface RevocationChoice {
  readonly group?: GroupName | undefined
  readonly ca?: CaName | undefined
  /** What came through this token, its claim's certificate included. The token is revoked first. */
  readonly token?: TokenName | undefined
  readonly issuedAfter?: EpochMs | undefined
  readonly issuedBefore?: EpochMs | undefined
}

export interface MassRevocation {
  readonly choice: RevocationChoice
  readonly reason: RevocationReason
  /** Only counts. */
  readonly dryRun: boolean
  /** What a dry run has counted: where it has become more meanwhile, nothing is done. */
  readonly atMost?: number | undefined
}

export interface MassRevoked {
  readonly dryRun: boolean
  /** Certificates: that were revoked, or would be. */
  readonly certificates: number
  readonly devices: number
  /** The first of these devices. */
  readonly first: readonly DeviceId[]
  /** Sessions that were closed, or would be. */
  readonly sessions: number
  /** The longest that it took from a commit to the last socket closed. */
  readonly closedMs: number
}

/**
 * Is this certificate chosen? Only those of devices and claims are: an operator, a server or a CA is revoked by name, or the
 * organisation would lock itself out with its own fleet. What expired or is revoked already is left as it is.
 */
export function isChosen(record: CertificateRecord, device: Device | undefined, choice: RevocationChoice, now: EpochMs): boolean {
  return (
    (record.profile === 'device' || record.profile === 'claim') &&
    record.state !== 'revoked' &&
    record.notAfter > now &&
    (choice.group === undefined || device?.groups.includes(choice.group) === true) &&
    (choice.ca === undefined || record.issuer === choice.ca) &&
    (choice.token === undefined || record.through === choice.token) &&
    (choice.issuedAfter === undefined || record.createdAt >= choice.issuedAfter) &&
    (choice.issuedBefore === undefined || record.createdAt < choice.issuedBefore)
  )
}
