// How a certificate stands before others: what CRLs and OCSP say of it. Pure. Whom our own door keeps out for good or for a
// while is published as revoked, so that nobody else's door is weaker than ours.

import type { PublishedReason } from '../vocabulary.ts'
import type { EpochMs } from './ids.ts'
import type { CertificateRecord, DeviceOut } from './registry.ts'

export type Standing = { readonly kind: 'good' } | { readonly kind: 'unknown' } | { readonly kind: 'revoked'; readonly at: EpochMs; readonly reason: PublishedReason }

/** The reasons for a device that is kept out: a suspension can end, a retirement cannot. RFC 5280 §5.3.1. */
const OUT_REASONS = { suspended: 'certificateHold', retired: 'cessationOfOperation' } as const satisfies Record<DeviceOut['state'], PublishedReason>

/** Of a device that is kept out: what is published of its certificates that are not revoked themselves. */
export function outStanding({ state, since }: Pick<DeviceOut, 'state' | 'since'>): Standing & { readonly kind: 'revoked' } {
  return { kind: 'revoked', at: since, reason: OUT_REASONS[state] }
}

/** `out`: its device, where that is suspended or retired. What was never signed is unknown, which is not good. */
export function standingOf(record: CertificateRecord | undefined, out: Pick<DeviceOut, 'state' | 'since'> | undefined): Standing {
  if (record === undefined || record.sha256 === undefined && record.state !== 'revoked') return { kind: 'unknown' }
  if (record.state === 'revoked') return { kind: 'revoked', at: record.revokedAt ?? record.createdAt, reason: record.revocationReason ?? 'unspecified' }
  return out === undefined ? { kind: 'good' } : outStanding(out)
}

export interface ListedUntil {
  readonly notAfter: EpochMs
  readonly at: EpochMs
}

/**
 * Must it stand on the next CRL? An entry leaves when a CRL that was issued beyond the certificate's life has shown it
 * (RFC 5280 §3.3). `before`: a moment since which a whole CRL has been published, undefined where there was none.
 */
export function isStillListed({ notAfter, at }: ListedUntil, before: EpochMs | undefined): boolean {
  return before === undefined || notAfter >= before || at >= before
}
