// Which certificates a revocation touches, and what it must not touch. Pure; the commit and the closing of sessions follow.

import type { RevocationReason } from '../vocabulary.ts'
import { allow, deny, type Decision } from './decision.ts'
import type { EpochMs, SerialNumber } from './ids.ts'
import type { CertificateRecord, Change } from './registry.ts'

export interface RevocationPlan {
  /** One change per certificate that is not revoked yet. */
  readonly changes: readonly (Change & { readonly kind: 'certificate-revoked' })[]
  /** All serials that are revoked afterwards, those that were already included: asking twice is asking once. */
  readonly revoked: readonly SerialNumber[]
}

/**
 * Plans the revocation of these records. CA certificates are not revoked through this door (a CA is rotated), and the last
 * operator certificate in force is not: nobody could undo the next mistake. `operatorsInForce` counts those that are active now. Reasons: certificate-not-found,
 * certificate-purpose, state-transition.
 */
export function planRevocation(records: readonly CertificateRecord[], operatorsInForce: number, reason: RevocationReason, now: EpochMs): Decision<RevocationPlan> {
  if (records.length === 0) return deny('certificate-not-found')
  const ca = records.find((r) => r.profile === 'root' || r.profile === 'issuing')
  if (ca !== undefined) return deny('certificate-purpose', `${ca.serial} is a CA certificate; rotate the CA instead`)
  const open = records.filter((r) => r.state !== 'revoked')
  const operators = open.filter((r) => r.profile === 'operator' && r.state === 'active' && r.notAfter > now).length
  if (operators > 0 && operators >= operatorsInForce) return deny('state-transition', 'this is the last operator certificate in force')
  return allow({
    changes: open.map((r) => ({ kind: 'certificate-revoked', issuer: r.issuer, serial: r.serial, at: now, reason })),
    revoked: records.map((r) => r.serial),
  })
}
