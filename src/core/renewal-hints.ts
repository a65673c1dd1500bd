// Should this device be told, now, that it is time to renew? At two thirds of the life of its certificate, and a little later for
// each in its own way, so that what was provisioned in one minute does not come back in one minute; or where an operator has ordered it.
// Pure: facts of the registry and of what was told before in, a hint out. It knows neither topics nor connections.

import { RENEWAL_LIMITS } from '../renewal-limits.ts'
import type { Device } from './device.ts'
import { ENROLLABLE_STATES } from './enrollment.ts'
import type { EpochMs, SerialNumber } from './ids.ts'
import type { CertificateRecord } from './registry.ts'
import { isOrdered, shareOf, turnOf, type RenewalOrder } from './renewal-orders.ts'

export interface RenewalHint {
  /** Of the certificate that is to be renewed. */
  readonly serial: SerialNumber
  readonly notAfter: EpochMs
  /** The device may choose its moment until then. */
  readonly renewBefore: EpochMs
  readonly reason: 'expiring' | 'ordered'
  /** It is not said again before this. */
  readonly againAt: EpochMs
}

export interface HintFacts {
  /** The certificate with which the device is connected. */
  readonly record: CertificateRecord
  readonly device: Device | undefined
  /** All certificates of this device that have not ended. */
  readonly ofDevice: readonly CertificateRecord[]
  /** Its issuer is a CA of ours: with another one nothing can be renewed here. */
  readonly isOurs: boolean
  /** Those that are open. */
  readonly orders: readonly RenewalOrder[]
  /** When the device was last told. */
  readonly toldAt: EpochMs | undefined
  readonly now: EpochMs
}

const THIRD = 3
const lifeOf = ({ notBefore, notAfter }: CertificateRecord): number => notAfter - notBefore

/** When its time comes: two thirds of its life, and up to a twelfth of it more. */
export function hintTime(record: CertificateRecord): EpochMs {
  const life = lifeOf(record)
  return record.notBefore + Math.floor(life - life / THIRD + (life / RENEWAL_LIMITS.hintSpreadParts) * shareOf(record.sha256, 0))
}

/** How long a device is left alone after it was told. */
export function hintPause(record: CertificateRecord): number {
  return Math.min(RENEWAL_LIMITS.hintEveryMs, Math.floor(lifeOf(record) / RENEWAL_LIMITS.hintPauseParts))
}

/** Undefined: nothing is to be said now. */
export function hintFor(facts: HintFacts): RenewalHint | undefined {
  const { record, now } = facts
  const order = orderOf(facts)
  const isExpiring = hintTime(record) <= now
  if ((order === undefined && !isExpiring) || !mayRenew(facts)) return undefined
  const pause = hintPause(record)
  // A certificate that waits is an answer, which may have been lost: it counts as the last word to the device, and not for ever.
  const waiting = facts.ofDevice.filter(({ state, createdAt }) => state === 'issued' && createdAt > record.createdAt)
  const words = [facts.toldAt, ...waiting.map(({ createdAt }) => createdAt)]
  // A clock that was set back makes the last word one of the future: it silences nobody for longer than a pause.
  if (words.some((at) => at !== undefined && Math.abs(now - at) < pause)) return undefined
  const said = { serial: record.serial, notAfter: record.notAfter, againAt: now + pause }
  const by = isExpiring ? record.notAfter - Math.floor(lifeOf(record) / RENEWAL_LIMITS.hintSpreadParts) : Math.max(now + pause, order === undefined ? 0 : order.at + order.overMs)
  return { ...said, renewBefore: Math.min(record.notAfter, Math.max(by, now + pause)), reason: isExpiring ? 'expiring' : 'ordered' }
}

function orderOf({ record, device, orders, now }: HintFacts): RenewalOrder | undefined {
  return orders.find((order) => isOrdered(record, device, order, now) && turnOf(record, order) <= now)
}

/** Would it be given a next certificate? Nobody is asked for what is then refused. */
function mayRenew({ record, device, ofDevice, isOurs, now }: HintFacts): boolean {
  if (record.profile !== 'device' || !isOurs || device === undefined || !ENROLLABLE_STATES.includes(device.state)) return false
  if ((record.state !== 'active' && record.state !== 'issued') || record.notAfter <= now) return false
  // With a longer one in force it has renewed already, and may have no third.
  return !ofDevice.some((other) => other.profile === record.profile && other.state === 'active' && other.serial !== record.serial && other.notAfter > record.notAfter)
}
