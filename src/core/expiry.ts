// What expires soon: certificates and lists that the server or the whole fleet depends on, told of in time.

import { LIFE } from '../limits.ts'
import { EXPIRY_LIMITS } from '../renewal-limits.ts'
import type { EpochMs, GroupName, SerialNumber } from './ids.ts'
import type { CertificateRecord } from './registry.ts'

/** In this time a CA can be replaced. */
const EXPIRY_WARNING_MS = 30 * LIFE.day

/** Which of these expire within 30 days, or have expired already. */
export function expiringSoon<T extends { readonly notAfter: EpochMs }>(certificates: readonly T[], now: EpochMs): readonly T[] {
  return certificates.filter(({ notAfter }) => notAfter - now < EXPIRY_WARNING_MS)
}

/** 'operator' is the first one, whose certificate this machine renews; a named one asks somebody. */
export type ExpiryKind = 'root' | 'issuing' | 'cross' | 'trusted' | 'server' | 'operator' | 'named-operator' | 'ocsp-responder' | 'crl'

/** Something of the organisation's own that ends: a certificate, or a CRL, whose end is its nextUpdate. */
export interface OwnExpiry {
  readonly kind: ExpiryKind
  /** The CA or the credential; of a CRL or a responder, the CA that it is of, too. */
  readonly name: string
  readonly serial?: SerialNumber
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
}

const RENEWS_ITSELF: ReadonlySet<ExpiryKind> = new Set(['server', 'operator', 'ocsp-responder', 'crl'])

/**
 * Is it to be told of? What a person must replace is 30 days before its end. What renews itself does so with a third of its life left,
 * be that 30 days or three: with a quarter left, that has failed.
 */
export function isNear({ kind, notBefore, notAfter }: Pick<OwnExpiry, 'kind' | 'notBefore' | 'notAfter'>, now: EpochMs): boolean {
  return notAfter - now < (RENEWS_ITSELF.has(kind) ? nearMs(notAfter - notBefore) : EXPIRY_LIMITS.warnMs)
}

/** Is this certificate of a device one that should have been renewed by now? Its hint came at two thirds of its life, or at three quarters. */
export function isOverdue({ notBefore, notAfter }: Pick<CertificateRecord, 'notBefore' | 'notAfter'>, now: EpochMs): boolean {
  return notAfter - now < nearMs(notAfter - notBefore)
}

const nearMs = (life: number): number => Math.min(EXPIRY_LIMITS.warnMs, life / EXPIRY_LIMITS.selfRenewedParts)

/** Devices of one group whose certificate expires soon. */
export interface GroupExpiry {
  /** Undefined: they are in none. */
  readonly group: GroupName | undefined
  readonly devices: number
  /** The first of these ends. */
  readonly notAfter: EpochMs
}
