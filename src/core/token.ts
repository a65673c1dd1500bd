// Enrollment tokens: passwords for one purpose, for a while, for so many devices. Whether one opens the door is judged here from
// facts; that its secret is right was found out before, in constant time, and by a hash: the secret itself is kept nowhere.

import { allow, deny, type Decision } from './decision.ts'
import type { DeviceId, EpochMs, GroupName, KeyHash, TokenName } from './ids.ts'

/** What a token is for: a device, or every device whose id fits a pattern in which `*` is any run of characters. */
export type TokenTarget = { readonly device: DeviceId } | { readonly pattern: string }

export interface TokenRecord {
  readonly name: TokenName
  /**
   * SHA-256 of the secret as lower-case hex. It is 130 random bits: stretching would slow down only ourselves. Of a password: of the device id, a zero
   * and the password, so that whoever has the registry guesses at one device at a time.
   */
  readonly secretSha256: string
  /** Its secret is a password from elsewhere, and it is found by its device, the only one that it is for. */
  readonly password?: true
  readonly target: TokenTarget
  /** A device that nobody registered is registered with its first use, in these groups. */
  readonly register: boolean
  readonly groups: readonly GroupName[]
  /** Networks from which it may be used; none: from everywhere. */
  readonly networks: readonly string[]
  readonly approve: 'auto' | 'operator'
  readonly usesMax: number
  readonly uses: number
  readonly createdAt: EpochMs
  readonly expiresAt: EpochMs
  readonly revokedAt?: EpochMs
}

/** One use: this device, with this key. Asked for again it is the same use. */
export interface TokenUse {
  readonly device: DeviceId
  readonly spkiSha256: KeyHash
}

export const ENROLLMENT_STATES = ['pending', 'approved', 'rejected'] as const
export type EnrollmentState = (typeof ENROLLMENT_STATES)[number]

/** A use that waits for an operator, or about which one has decided. */
export interface EnrollmentRecord extends TokenUse {
  /** The first 12 digits of the key's hash, and the token: short enough to be read out on a telephone. */
  readonly id: string
  readonly token: TokenName
  readonly state: EnrollmentState
  readonly source: string
  readonly createdAt: EpochMs
  readonly decidedAt?: EpochMs
}

export function enrollmentId(token: TokenName, { spkiSha256 }: Pick<TokenUse, 'spkiSha256'>): string {
  return `${token}-${spkiSha256.slice(0, 12)}`
}

export interface TokenFacts {
  readonly token: TokenRecord
  readonly device: DeviceId
  /** This device used it before, with this very key: a lost answer is asked for again. */
  readonly usedBefore: boolean
  /** The source address lies in one of `networks`, or there is none. */
  readonly sourceFits: boolean
  readonly now: EpochMs
}

/** May this token be used for this device now? Reasons: token-revoked, -expired, -device, -source, -used-up. */
export function judgeToken({ token, device, usedBefore, sourceFits, now }: TokenFacts): Decision<void> {
  if (token.revokedAt !== undefined) return deny('token-revoked')
  // Expired at the very millisecond of expiresAt.
  if (token.expiresAt <= now) return deny('token-expired')
  if (!isTarget(token.target, device)) return deny('token-device', device)
  if (!sourceFits) return deny('token-source')
  return usedBefore || token.uses < token.usesMax ? allow(undefined) : deny('token-used-up', `${token.usesMax} of ${token.usesMax}`)
}

/** Does a token for this target speak for this device? */
export function isTarget(target: TokenTarget, device: DeviceId): boolean {
  return 'device' in target ? target.device === device : fits(target.pattern.split('*'), device)
}

/** The parts stand in this order, the first at the beginning, the last at the end. Linear: a part is looked for once. */
function fits(parts: readonly string[], id: string): boolean {
  const [first = '', ...rest] = parts
  if (!id.startsWith(first)) return false
  const last = rest.pop()
  if (last === undefined) return id === first
  let at = first.length
  for (const part of rest) {
    const found = id.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return id.length - last.length >= at && id.endsWith(last)
}

const PATTERN = /^[A-Za-z0-9*][A-Za-z0-9_.*-]{0,63}$/

/** A pattern of device ids. One of nothing but asterisks is refused: it fits everybody. */
export function parsePattern(text: string): Decision<string> {
  if (!PATTERN.test(text)) return deny('request-invalid', 'a pattern is of the characters of device ids and *')
  return /[^*]/.test(text) ? allow(text) : deny('request-invalid', 'a pattern that fits everybody: begin it with what the ids have in common')
}
