// An operator's order to renew: which certificates it means, and when each of them has its turn. An order is kept as what was
// said, and not as a list: whoever is away, or comes to the group later, is meant by it as long as the certificate is older than the
// order, and who has renewed is not. Pure; who reads the registry by it is elsewhere.

import type { Device } from './device.ts'
import type { CaName, DeviceId, EpochMs, GroupName } from './ids.ts'
import type { CertificateRecord } from './registry.ts'

/** All that is said must hold; at least one of them is said. */
export interface RenewalChoice {
  readonly device?: DeviceId | undefined
  readonly group?: GroupName | undefined
  /** The CA that issued the certificate. */
  readonly ca?: CaName | undefined
  /** Before this time. */
  readonly issuedBefore?: EpochMs | undefined
}

export interface RenewalOrder {
  /** Eight hex digits. */
  readonly id: string
  readonly choice: RenewalChoice
  readonly at: EpochMs
  /** The turns are spread over this time. */
  readonly overMs: number
  /** How many devices it meant when it was given. */
  readonly devices: number
}

/** Is this certificate in force, of a device, and older than the order, and does the choice name it? */
export function isOrdered(record: CertificateRecord, device: Device | undefined, { choice, at }: Pick<RenewalOrder, 'choice' | 'at'>, now: EpochMs): boolean {
  return (
    record.profile === 'device' &&
    (record.state === 'active' || record.state === 'issued') &&
    record.notAfter > now &&
    record.createdAt < at &&
    (choice.device === undefined || record.device === choice.device) &&
    (choice.group === undefined || device?.groups.includes(choice.group) === true) &&
    (choice.ca === undefined || record.issuer === choice.ca) &&
    (choice.issuedBefore === undefined || record.createdAt < choice.issuedBefore)
  )
}

/** When this certificate has its turn: the same at every look, and evenly spread over all. */
export function turnOf({ sha256 }: CertificateRecord, { at, overMs }: Pick<RenewalOrder, 'at' | 'overMs'>): EpochMs {
  return at + Math.floor(overMs * shareOf(sha256, 1))
}

const DIGITS = 8
const SHARES = 2 ** (4 * DIGITS)

/** A number from 0 to 1, the same for one certificate always: one of the first words of its hash, which nobody chooses. */
export function shareOf(sha256: CertificateRecord['sha256'], word: 0 | 1): number {
  return sha256 === undefined ? 0 : Number.parseInt(sha256.slice(word * DIGITS, (word + 1) * DIGITS), 16) / SHARES
}
