// May this request become a certificate of this device? Pure: facts of the request and of the registry in, a plan out. The
// plan takes nothing from the request but its public key; names come from the registry, everything else from the profile.

import { attributesOf, type CsrFacts } from './certificate.ts'
import { isSignatureAccepted, keyProblem } from './certificate-rules.ts'
import { allow, deny, type Decision } from './decision.ts'
import type { Device, DeviceState } from './device.ts'
import { printable, type DeviceId, type KeyHash } from './ids.ts'
import type { DenyReason } from '../vocabulary.ts'

/** What shall be certified, and for whom. */
export interface EnrollmentPlan {
  readonly device: DeviceId
  readonly spki: Uint8Array
  readonly spkiSha256: KeyHash
}

const STATE_REFUSAL: Readonly<Record<DeviceState, DenyReason | undefined>> = {
  pending: undefined,
  active: undefined,
  suspended: 'device-suspended',
  quarantined: 'device-quarantined',
  retired: 'device-retired',
}

/** States in which a device may be given a certificate. */
export const ENROLLABLE_STATES: readonly DeviceState[] = ['pending', 'active']

/**
 * Judges a request for a first certificate. Reasons: those of `judgeRequest`, and key-not-reported for a key that is not the one
 * which the factory reported. A renewal is judged without that: it is asked for with a certificate that this key began.
 */
export function judgeEnrollment(csr: CsrFacts, device: Device): Decision<EnrollmentPlan> {
  const plan = judgeRequest(csr, device)
  return plan.allow && device.keySha256 !== undefined && device.keySha256 !== plan.value.spkiSha256 ? deny('key-not-reported', device.id) : plan
}

/**
 * Judges a request. A subject is accepted when it is empty or names this device and nobody else; extensions and alternative
 * names that it asks for are dropped. Reasons: device-<state>, csr-signature-invalid, key-weak, csr-name-mismatch.
 */
export function judgeRequest(csr: CsrFacts, device: Device): Decision<EnrollmentPlan> {
  const state = STATE_REFUSAL[device.state]
  if (state !== undefined) return deny(state)
  if (!csr.possessionProven) return deny('csr-signature-invalid')
  const weak = keyProblem(csr.key)
  if (weak !== undefined) return deny('key-weak', weak)
  if (!isSignatureAccepted(csr.signatureAlgorithm)) return deny('csr-signature-invalid', `signature algorithm ${csr.signatureAlgorithm}`)
  const names = attributesOf(csr.subject, 'CN')
  const foreign = names.find((name) => name.value !== device.id)
  if (foreign !== undefined || names.length > 1) return deny('csr-name-mismatch', printable(foreign?.value ?? 'two common names'))
  return allow({ device: device.id, spki: csr.spki, spkiSha256: csr.key.spkiSha256 })
}
