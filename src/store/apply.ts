// What a change makes of the record that it names. The SQLite registry and the view in memory both ask here, so that they
// cannot disagree; it knows neither tables nor maps.

import { allow, deny, unreachable, type Decision } from '../core/decision.ts'
import type { Device } from '../core/device.ts'
import type { CaState, CertificateRecord, CertificateState, Change } from '../core/registry.ts'

export type DeviceChange = Extract<Change, { kind: 'device-state' | 'device-described' }>
export type CertificateChange = Extract<Change, { kind: 'certificate-issued' | 'certificate-state' | 'certificate-revoked' }>

/** The state that a certificate gets → the states from which it may. Revocation is final, and superseded never returns. */
const CERTIFICATE_STEPS: Readonly<Record<Exclude<CertificateState, 'planned'>, readonly CertificateState[]>> = {
  issued: ['planned'],
  active: ['issued', 'active'],
  superseded: ['planned', 'issued', 'active', 'superseded'],
  revoked: ['planned', 'issued', 'active', 'superseded'],
}

/** The state that a CA gets → the states from which it may. One that was current is replaced before it retires. */
const CA_STEPS: Readonly<Record<CaState, readonly CaState[]>> = {
  created: [],
  trusted: ['created'],
  current: ['trusted'],
  replaced: ['current'],
  retired: ['created', 'trusted', 'replaced'],
}

/** Whether the life of a CA has this step; [ca-step] otherwise. */
export function caStep(name: string, from: CaState, to: CaState): Decision<void> {
  return CA_STEPS[to].includes(from) ? allow(undefined) : deny('ca-step', `${name} is ${from}, and does not become ${to}`)
}

/** The device after the change, one revision later; [state-transition] when it is retired and would come back, and for a hold of a device that is not held. */
export function deviceAfter(device: Device, change: DeviceChange): Decision<Device> {
  const revision = device.revision + 1
  if (change.kind === 'device-described') {
    return allow({ ...device, groups: change.groups, attributes: change.attributes, revision })
  }
  if (device.state === 'retired' && change.state !== 'retired') return deny('state-transition', `${device.id} is retired`)
  if (change.hold !== undefined && change.state !== 'quarantined' && change.state !== 'suspended') return deny('state-transition', `nothing holds ${device.id} when it is ${change.state}`)
  const { hold: _, ...rest } = device
  return allow({ ...rest, state: change.state, revision, ...(change.hold === undefined ? {} : { hold: change.hold }) })
}

/** Does the life cycle have this step? */
export function isStep(from: CertificateState, change: CertificateChange): boolean {
  // Only the signature makes a plan a certificate, whatever state it is born in.
  if (change.kind === 'certificate-issued') return CERTIFICATE_STEPS.issued.includes(from)
  return CERTIFICATE_STEPS[change.kind === 'certificate-revoked' ? 'revoked' : change.state].includes(from)
}

/** The certificate after the change; [state-transition] when its life cycle has no such step. */
export function certificateAfter(record: CertificateRecord, change: CertificateChange): Decision<CertificateRecord> {
  if (!isStep(record.state, change)) return deny('state-transition', `${record.issuer}/${record.serial} is ${record.state}, and has no such step`)
  switch (change.kind) {
    case 'certificate-issued':
      return allow({ ...record, state: change.state, sha256: change.sha256 })
    case 'certificate-state':
      return allow({ ...record, state: change.state })
    case 'certificate-revoked':
      return allow({ ...record, state: 'revoked', revokedAt: change.at, revocationReason: change.reason })
    default:
      return unreachable(change)
  }
}
