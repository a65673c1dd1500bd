// What expires soon: certificates that the server or the whole fleet depends on, told of in time.

import { LIFE } from '../limits.ts'
import type { EpochMs } from './ids.ts'

/** In this time a CA can be replaced. */
const EXPIRY_WARNING_MS = 30 * LIFE.day

/** Which of these expire within 30 days, or have expired already. */
export function expiringSoon<T extends { readonly notAfter: EpochMs }>(certificates: readonly T[], now: EpochMs): readonly T[] {
  return certificates.filter(({ notAfter }) => notAfter - now < EXPIRY_WARNING_MS)
}
