// May this device have its next certificate, on the strength of the one that it has? Pure: facts of the presented certificate,
// of the request and of the registry in, a plan out. Make before break: the next certificate waits until the device first
// connects with it, and only then are those before it superseded. It knows no door and reads no clock.

import { LIFE } from '../limits.ts'
import type { CertificateFacts, CsrFacts, NameFacts, SubjectAltName } from './certificate.ts'
import { allow, deny, type Decision, type Denied } from './decision.ts'
import type { Device } from './device.ts'
import { judgeRequest, type EnrollmentPlan } from './enrollment.ts'
import type { EpochMs, GroupName } from './ids.ts'
import type { CertificateRecord, Change, Expectation } from './registry.ts'

/** What the organisation says of renewal. */
export interface RenewalRules {
  /** For how long after its end a certificate may still be renewed, at a door for renewals alone. */
  readonly graceMs: number
  /** The same of devices in these groups. Of several the shortest counts. */
  readonly graceOfGroups: ReadonlyMap<GroupName, number>
  /** The next certificate may be for the same key. */
  readonly sameKey: 'allowed' | 'refused'
}

const GRACE_DAYS = 30

export const DEFAULT_RENEWAL: RenewalRules = { graceMs: GRACE_DAYS * LIFE.day, graceOfGroups: new Map(), sameKey: 'allowed' }

export interface RenewalFacts {
  readonly csr: CsrFacts
  /** The certificate with which the requester proved who it is. */
  readonly presented: CertificateFacts
  readonly record: CertificateRecord | undefined
  readonly device: Device | undefined
  /** All certificates of this device. */
  readonly ofDevice: readonly CertificateRecord[]
  /** The issuer of the presented certificate is a CA of ours, not one that is only trusted. */
  readonly isOurs: boolean
  /** The door is one at which an expired certificate may be shown. */
  readonly mayBeLate: boolean
  readonly now: EpochMs
  readonly rules: RenewalRules
}

export interface RenewalPlan extends EnrollmentPlan {
  /**
   * Certificates of this device that were never used: they end when the next one is planned. A device that lost its new key could
   * otherwise never ask again, since each of them counts among the certificates that it may have.
   */
  readonly ends: readonly CertificateRecord[]
}

/** How long after its end a certificate of this device may be renewed. */
export function graceOf(device: Pick<Device, 'groups'>, { graceMs, graceOfGroups }: RenewalRules): number {
  const named = device.groups.flatMap((group) => graceOfGroups.get(group) ?? [])
  return named.length === 0 ? graceMs : Math.min(...named)
}

/**
 * Judges a renewal. Revocation is named before expiry: it says more. Reasons: certificate-unrecorded, -mismatch, -purpose,
 * -revoked, -superseded, -not-yet-valid, -expired, device-unknown, device-name-mismatch, device-issuer-mismatch, csr-subject-changed,
 * renewal-same-key, and those of `judgeRequest`.
 */
export function judgeRenewal(facts: RenewalFacts): Decision<RenewalPlan> {
  const { csr, presented, ofDevice, rules } = facts
  const standing = judgePresented(facts)
  if (!standing.allow) return standing
  const { device, record } = standing.value
  if (!asksForTheSame(csr, presented)) return deny('csr-subject-changed')
  const plan = judgeRequest(csr, device)
  if (!plan.allow) return plan
  if (rules.sameKey === 'refused' && csr.key.spkiSha256 === presented.key.spkiSha256) return deny('renewal-same-key')
  const ends = ofDevice.filter((other) => isUnused(other) && other.profile === record.profile && !isSame(other, record) && other.spkiSha256 !== csr.key.spkiSha256)
  return allow({ ...plan.value, ends })
}

function judgePresented({ presented, record, device, ofDevice, isOurs, mayBeLate, now, rules }: RenewalFacts): Decision<{ readonly device: Device; readonly record: CertificateRecord }> {
  if (record === undefined || record.state === 'planned') return deny('certificate-unrecorded')
  if (record.sha256 !== presented.sha256) return deny('certificate-mismatch')
  if (record.profile !== 'device') return deny('certificate-purpose', `profile ${record.profile}`)
  if (record.state === 'revoked') return deny('certificate-revoked', record.revocationReason)
  if (record.state === 'superseded') return deny('certificate-superseded')
  if (device === undefined) return deny('device-unknown', record.device)
  if (record.device !== device.id) return deny('device-name-mismatch', `recorded for ${record.device ?? 'nobody'}`)
  if (!isOurs) return deny('device-issuer-mismatch', `issued by ${record.issuer}`)
  if (now < record.notBefore) return deny('certificate-not-yet-valid')
  // Expired at the very millisecond of notAfter.
  const late = record.notAfter <= now ? judgeLate(record, device, { ofDevice, mayBeLate, now, rules }) : undefined
  return late ?? allow({ device, record })
}

function judgeLate(record: CertificateRecord, device: Device, { ofDevice, mayBeLate, now, rules }: Pick<RenewalFacts, 'ofDevice' | 'mayBeLate' | 'now' | 'rules'>): Denied | undefined {
  if (!mayBeLate) return deny('certificate-expired', 'not at this door')
  const grace = graceOf(device, rules)
  if (record.notAfter + grace <= now) return deny('certificate-expired', `longer ago than ${grace / LIFE.day} days`)
  // An old key, found in a drawer, must not push out the certificate that the device works with.
  const newer = ofDevice.find((other) => other.state === 'active' && other.notAfter > now && other.profile === record.profile && !isSame(other, record))
  return newer === undefined ? undefined : deny('certificate-superseded', `${newer.serial} is in force`)
}

/** Subject and alternative names must be those of the certificate. RFC 7030 §4.2.2. */
function asksForTheSame(csr: CsrFacts, presented: CertificateFacts): boolean {
  const names = csr.requestedAltNames.map(altNameText)
  // A wish for names that cannot be read is a wish for others.
  if (names.length === 0 && csr.requestedExtensions.includes(SUBJECT_ALT_NAME)) return false
  // A CA that permits subjects in one place only puts them there: who asks by the common name alone asks for the same device.
  const own = presented.subject.filter((rdn) => rdn.some(({ short }) => short === 'CN'))
  return [presented.subject, own].some((subject) => nameText(csr.subject) === nameText(subject)) && sameTexts(names, (presented.subjectAltNames ?? []).map(altNameText))
}

const SUBJECT_ALT_NAME = '2.5.29.17'
const altNameText = ({ kind, value }: SubjectAltName): string => `${kind}:${value}`
/** The kind of string that a name is encoded in is no part of it. RFC 5280 §7.1. */
const nameText = (name: NameFacts): string => JSON.stringify(name.map((rdn) => rdn.map(({ type, value }) => `${type}=${value === undefined ? 'unreadable' : JSON.stringify(value)}`).toSorted()))
const sameTexts = (a: readonly string[], b: readonly string[]): boolean => JSON.stringify(a.toSorted()) === JSON.stringify(b.toSorted())

const isUnused = ({ state }: CertificateRecord): boolean => state === 'issued' || state === 'planned'
const isSame = (a: CertificateRecord, b: CertificateRecord): boolean => a.issuer === b.issuer && a.serial === b.serial

export interface FirstUse {
  readonly changes: readonly Extract<Change, { kind: 'certificate-state' }>[]
  readonly expected: readonly Expectation[]
  /** Those that it replaces. */
  readonly superseded: readonly CertificateRecord[]
}

/**
 * The device has connected with a certificate that waited for its first use: from here on that is the one in force, and those of
 * the same profile that are older are superseded. A younger one waits for its own first use. Undefined where it does not wait.
 * Older is what was recorded before, and not what a clock said that may have been set back between the two. `ofDevice`: in the order in
 * which they were recorded.
 */
export function planFirstUse(record: CertificateRecord, ofDevice: readonly CertificateRecord[]): FirstUse | undefined {
  if (record.state !== 'issued') return undefined
  const older = ofDevice.slice(0, Math.max(0, ofDevice.findIndex((other) => isSame(other, record))))
  const superseded = older.filter((other) => (other.state === 'active' || other.state === 'issued') && other.profile === record.profile)
  const become = ({ issuer, serial }: CertificateRecord, state: 'active' | 'superseded') => ({ kind: 'certificate-state', issuer, serial, state }) as const
  return {
    changes: [become(record, 'active'), ...superseded.map((other) => become(other, 'superseded'))],
    // Whoever was revoked meanwhile stays revoked, and nothing is superseded on its account.
    expected: [record, ...superseded].map(({ issuer, serial, state }) => ({ kind: 'certificate-state', issuer, serial, states: [state] })),
    superseded,
  }
}
