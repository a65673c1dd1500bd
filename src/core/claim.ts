// Certificates as the proof of an enrollment token: that of a claim, which a line of production shares, and a manufacturer's, which is
// in one device. What they may not do is judged here, from facts; that the peer holds the key, and who signed, was found out before.

import { attributesOf, type NameFacts } from './certificate.ts'
import { allow, deny, type Decision } from './decision.ts'
import { parseDeviceId, printable, type DeviceId, type EpochMs } from './ids.ts'
import type { CertificateRecord } from './registry.ts'
import type { ManufacturerRule, TokenRecord, TokenUse } from './token.ts'

/** Is this certificate of a claim in force? Reasons: certificate-unrecorded, -revoked, -superseded, -not-yet-valid, -expired. */
export function judgeClaim(record: CertificateRecord, now: EpochMs): Decision<void> {
  if (record.state === 'planned') return deny('certificate-unrecorded')
  if (record.state === 'revoked') return deny('certificate-revoked', record.revocationReason)
  if (record.state === 'superseded') return deny('certificate-superseded')
  if (now < record.notBefore) return deny('certificate-not-yet-valid')
  // Expired at the very millisecond of notAfter.
  return record.notAfter <= now ? deny('certificate-expired') : allow(undefined)
}

/** Is it a certificate that speaks for many devices? It is in many hands, or in the hand of whoever opened one device. */
export function isShared({ proof, target }: Pick<TokenRecord, 'proof' | 'target'>): boolean {
  return proof.kind !== 'secret' && 'pattern' in target
}

/**
 * May a shared certificate enroll this device with this key? Not one that has, or had, a certificate for another key: whoever copied
 * the key of a production line would take over its devices, and a device that was revoked would come back by itself. What the
 * manufacturer certified is no certificate of ours. Reason: device-enrolled.
 */
export function judgeTakeover(token: Pick<TokenRecord, 'proof' | 'target'>, use: TokenUse, ofDevice: readonly CertificateRecord[]): Decision<void> {
  const { proof } = token
  if (!isShared(token)) return allow(undefined)
  const other = ofDevice.find((c) => c.sha256 !== undefined && c.spkiSha256 !== use.spkiSha256 && !(proof.kind === 'manufacturer' && c.issuer === proof.ca))
  return other === undefined ? allow(undefined) : deny('device-enrolled', `${use.device}, ${other.serial}`)
}

/** The one device that a factory certificate speaks for. Reasons: certificate-subject-empty, -name-ambiguous, -name-invalid. */
export function deviceOfFactory(subject: NameFacts, { nameFrom, prefix }: ManufacturerRule): Decision<DeviceId> {
  const [name, ...more] = attributesOf(subject, nameFrom)
  if (name === undefined || name.value === '') return deny('certificate-subject-empty', `it has no ${nameFrom}`)
  if (more.length > 0) return deny('certificate-name-ambiguous', `${more.length + 1} times ${nameFrom}`)
  const id = name.value === undefined ? undefined : parseDeviceId(`${prefix}${name.value}`)
  return id?.allow === true ? id : deny('certificate-name-invalid', name.value === undefined ? 'not decodable' : printable(`${prefix}${name.value}`))
}
