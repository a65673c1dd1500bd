// From a certificate to the device it speaks for. Certificates of our own CA name their device in their one common name;
// those of a foreign CA are read by the identity rule that the policy has for that CA, and by no other. A rule may change:
// it never moves a recorded certificate to another device.

import { REGISTRY_LIMITS } from '../limits.ts'
import { allow, deny, type Decision } from './decision.ts'
import type { CertificateFacts } from './certificate.ts'
import { deviceNameOf } from './certificate-rules.ts'
import { DEFAULT_TENANT, parseDeviceId, parseGroupName, printable, type CaName, type DeviceId, type GroupName } from './ids.ts'
import type { CompiledPolicy } from './policy/compile.ts'
import { resolveParts, type Parts } from './policy/template.ts'

export interface Identity {
  readonly device: DeviceId
  /** known: the device must be registered. auto: the first connect registers it. */
  readonly register: 'known' | 'auto'
  /** Groups for the registration; afterwards the registry rules. */
  readonly groups: readonly GroupName[]
}

/** Reasons: those of the device name; device-unknown when no rule speaks for this CA or the name does not fit it. */
export function identify(leaf: CertificateFacts, ca: CaName, ownCa: boolean, rules: CompiledPolicy['identity']): Decision<Identity> {
  if (ownCa) {
    const name = deviceNameOf(leaf)
    return name.allow ? allow({ device: name.value, register: 'known', groups: [] }) : name
  }
  const rule = rules.get(ca)
  if (rule === undefined) return deny('device-unknown', `no identity rule for ${ca}`)
  const text = fromCertificate(rule.device, leaf, ca)
  if (text === undefined) return deny('certificate-name-ambiguous', `the identity rule for ${ca} finds no single value`)
  const device = parseDeviceId(text)
  if (!device.allow) return deny('certificate-name-invalid', printable(text))
  if (!rule.idMatches(device.value)) return deny('device-unknown', `${device.value} does not fit the idPattern for ${ca}`)
  const groups = rule.groups.flatMap((parts) => {
    const group = parseGroupName(fromCertificate(parts, leaf, ca) ?? '')
    return group.allow ? [group.value] : []
  })
  // The certificate is somebody else's text: what the registry would refuse from an operator does not come in here.
  return allow({ device: device.value, register: rule.register, groups: [...new Set(groups)].slice(0, REGISTRY_LIMITS.groupsPerDeviceMax) })
}

/**
 * The identity of a certificate of a foreign CA under the rules of this moment. `recorded` is the device that the registry
 * has this very certificate for, where it has been seen before. Reasons: those of `identify`; device-name-mismatch.
 */
export function identifyForeign(leaf: CertificateFacts, ca: CaName, recorded: DeviceId | undefined, rules: CompiledPolicy['identity']): Decision<Identity> {
  const identity = identify(leaf, ca, false, rules)
  if (!identity.allow || recorded === undefined || recorded === identity.value.device) return identity
  return deny('device-name-mismatch', `recorded for ${recorded}, and the identity rule for ${ca} says ${identity.value.device}`)
}

/** A template over the certificate alone: there is no device yet, and document.ts refuses variables that speak of one. */
function fromCertificate(parts: Parts, certificate: CertificateFacts, ca: CaName): string | undefined {
  const nobody = { id: '' as DeviceId, tenant: DEFAULT_TENANT, groups: [], attributes: {}, state: 'pending', createdAt: 0, revision: 0 } as const
  const text = resolveParts(parts, { device: nobody, ca, certificate }, {})
  return typeof text === 'string' ? text : undefined
}
