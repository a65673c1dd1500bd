// Enrollment tokens: who may enroll which devices, for a while, so many times. What proves one is a secret, the certificate of a
// claim, or a manufacturer's. Whether one opens the door is judged here from facts; that it was proven was found out before: a
// secret in constant time and by a hash, for it is kept nowhere, a certificate by TLS.

import { allow, deny, type Decision } from './decision.ts'
import type { CaName, DeviceId, EpochMs, GroupName, KeyHash, TenantId, TokenName } from './ids.ts'

/** What a token is for: a device, or every device whose id fits a pattern in which `*` is any run of characters. */
export type TokenTarget = { readonly device: DeviceId } | { readonly pattern: string }

/** Attributes of a factory certificate's subject that may name its device. */
export const NAME_SOURCES = ['CN', 'serialNumber'] as const

/** What a factory certificate of a manufacturer says of the device: the id is `prefix` and what this attribute of its subject says. */
export interface ManufacturerRule {
  readonly ca: CaName
  readonly nameFrom: (typeof NAME_SOURCES)[number]
  readonly prefix: string
}

/** What proves that somebody holds a token. `sha256` is lower-case hex. */
export type TokenProof =
  /**
   * Of the secret. It is 130 random bits: stretching would slow down only ourselves. Of a password: of the device id, a zero and the
   * password, so that whoever has the registry guesses at one device at a time.
   */
  | { readonly kind: 'secret'; readonly sha256: string }
  /** Of the public key of the claim's certificate. */
  | { readonly kind: 'claim'; readonly sha256: KeyHash }
  /** Of the public key of the CA, one of whose certificates is shown. */
  | ({ readonly kind: 'manufacturer'; readonly sha256: KeyHash } & ManufacturerRule)

export interface TokenRecord {
  readonly name: TokenName
  readonly proof: TokenProof
  /** Its secret is a password from elsewhere, and it is found by its device, the only one that it is for. */
  readonly password?: true
  readonly target: TokenTarget
  /** A device that nobody registered is registered with its first use, in these groups. */
  readonly register: boolean
  readonly groups: readonly GroupName[]
  /** Networks from which it may be used; none: from everywhere. */
  readonly networks: readonly string[]
  readonly approve: 'auto' | 'operator'
  /** An operator of this tenant made it: it is good for devices of this tenant alone, and registers them there. */
  readonly tenant?: TenantId
  readonly usesMax: number
  readonly uses: number
  readonly createdAt: EpochMs
  readonly expiresAt: EpochMs
  readonly revokedAt?: EpochMs
  /** Refused from then on, until it is resumed. */
  readonly suspendedAt?: EpochMs
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

/** May this token be used for this device now? Reasons: token-revoked, -suspended, -expired, -device, -source, -used-up. */
export function judgeToken({ token, device, usedBefore, sourceFits, now }: TokenFacts): Decision<void> {
  if (token.revokedAt !== undefined) return deny('token-revoked')
  if (token.suspendedAt !== undefined) return deny('token-suspended')
  // Expired at the very millisecond of expiresAt.
  if (token.expiresAt <= now) return deny('token-expired')
  if (!isTarget(token.target, device)) return deny('token-device', device)
  if (!sourceFits) return deny('token-source')
  return usedBefore || token.uses < token.usesMax ? allow(undefined) : deny('token-used-up', `${token.usesMax} of ${token.usesMax}`)
}

const PREFIX = /^(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,31})?$/

/** What stands before the name of a factory certificate in the id of its device: nothing, or the beginning of a device id. */
export function parsePrefix(text: string): Decision<string> {
  return PREFIX.test(text) ? allow(text) : deny('request-invalid', 'a prefix is the beginning of a device id, of at most 32 characters')
}

/** Does a token for this target speak for this device? */
export function isTarget(target: TokenTarget, device: DeviceId): boolean {
  return 'device' in target ? target.device === device : fitsPattern(target.pattern, device)
}

/** Does this id fit a pattern in which `*` is any run of characters? */
export function fitsPattern(pattern: string, id: string): boolean {
  return fits(pattern.split('*'), id)
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
