// Which certificates a revocation touches, and what it must not touch. Pure; the commit and the closing of sessions follow.

import type { RevocationReason } from '../vocabulary.ts'
import { allow, deny, type Decision } from './decision.ts'
import type { EpochMs, SerialNumber } from './ids.ts'
import type { CertificateRecord, Change, Expectation } from './registry.ts'

export interface RevocationPlan {
  /** One change per certificate that is not revoked yet. */
  readonly changes: readonly (Change & { readonly kind: 'certificate-revoked' })[]
  /** What must hold when the changes are committed. */
  readonly expected: readonly Expectation[]
  /** All serials that are revoked afterwards, those that were already included: asking twice is asking once. */
  readonly revoked: readonly SerialNumber[]
  /** Those that were revoked before. A certificate is revoked once: its first reason and time stay. */
  readonly before: readonly SerialNumber[]
}

/**
 * Plans the revocation of these records. CA certificates are not revoked through this door (a CA is rotated), and the last
 * operator certificate in force is not: nobody could undo the next mistake. That is an expectation of the commit, since of
 * two revocations that are planned at the same time neither sees the other. `devicesOnly`: whoever asks works on devices, and takes nothing from
 * other operators or the server. Reasons: certificate-not-found, certificate-purpose, role-insufficient.
 */
export function planRevocation(records: readonly CertificateRecord[], reason: RevocationReason, now: EpochMs, devicesOnly = false): Decision<RevocationPlan> {
  if (records.length === 0) return deny('certificate-not-found')
  const ca = records.find((r) => r.profile === 'root' || r.profile === 'issuing')
  if (ca !== undefined) return deny('certificate-purpose', `${ca.serial} is a CA certificate; rotate the CA instead`)
  const other = devicesOnly ? records.find(({ profile }) => profile !== 'device' && profile !== 'claim') : undefined
  if (other !== undefined) return deny('role-insufficient', `this is a certificate of the profile ${other.profile}, this takes admin`)
  const open = records.filter((r) => r.state !== 'revoked')
  const isOperatorAtStake = open.some((r) => r.profile === 'operator' && r.state === 'active' && r.notAfter > now)
  return allow({
    changes: open.map((r) => ({ kind: 'certificate-revoked', issuer: r.issuer, serial: r.serial, at: now, reason })),
    expected: isOperatorAtStake ? [{ kind: 'operators-remain', now }] : [],
    revoked: records.map((r) => r.serial),
    before: records.filter((r) => r.state === 'revoked').map((r) => r.serial),
  })
}
