// May these bytes be signed? The signer's own judgement: the journal says what was planned, the profile what it may be, and
// the bytes must be what both together give. Nothing of what the asker says is believed.

import { judgeId, type CaIds } from '../core/ca-names.ts'
import type { CertificateFacts, SubjectAltName } from '../core/certificate.ts'
import { keyProblem } from '../core/certificate-rules.ts'
import type { SerialNumber } from '../core/ids.ts'
import { judgeNames } from '../core/name-constraints.ts'
import type { CertificatePlan, CertificateRecord, ProfileName } from '../core/registry.ts'
import { CA_LIMITS } from '../limits.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { keyFacts } from '../x509/keys.ts'
import { joinCertificate } from '../x509/template.ts'

/** What the rules ask of a profile. */
interface ProfileLimits {
  readonly validityMs: number
  readonly ca: boolean
  readonly altNames: 'none' | 'hosts'
}

export interface Journal {
  record(serial: SerialNumber): CertificateRecord | undefined
  plan(serial: SerialNumber): CertificatePlan | undefined
}

export interface PlanPorts {
  readonly journal: Journal
  readonly profiles: Readonly<Record<ProfileName, ProfileLimits>>
  readonly issuer: Pick<CertificateFacts, 'notBefore' | 'notAfter' | 'nameConstraints'> & { readonly ids?: CaIds }
  readonly signatureIdentifier: Uint8Array
  /** The bytes that this plan gives. */
  readonly rebuild: (planned: { readonly record: CertificateRecord; readonly plan: CertificatePlan; readonly spki: Uint8Array }) => Uint8Array
}

/** Why the signer refuses, as a sentence for the log. */
export type SignerRefusal = { readonly allow: false; readonly why: string }
const no = (why: string): SignerRefusal => ({ allow: false, why })

/** Allows exactly the bytes of a plan that is committed and not issued yet. */
export function judgeTbs(tbs: Uint8Array, ports: PlanPorts): { readonly allow: true; readonly serial: SerialNumber } | SignerRefusal {
  // As a certificate with an empty signature, so that the strict parser of certificates reads it.
  const wrapped = joinCertificate(tbs, ports.signatureIdentifier, new Uint8Array())
  const facts = parseCertificate(wrapped)
  const parts = certificateParts(wrapped)
  if (!facts.allow || !parts.allow) return no('these bytes are no certificate to be signed')
  const serial = facts.value.serial as SerialNumber
  const record = ports.journal.record(serial)
  const plan = ports.journal.plan(serial)
  if (record === undefined || plan === undefined) return no('no plan with this serial number is committed')
  if (record.state !== 'planned') return no(`the certificate with this serial number is ${record.state}`)
  const spki = parts.value.spki.raw
  const key = keyFacts(spki)
  if (key.spkiSha256 !== record.spkiSha256) return no('the plan is for another key')
  if (keyProblem(key) !== undefined) return no('the key is too weak')
  const bent = profileProblem(record, plan, ports)
  if (bent !== undefined) return no(bent)
  if (!judgeNames(facts.value, ports.issuer).allow) return no('the plan has a name that the certificate of its issuer does not permit')
  return Buffer.from(ports.rebuild({ record, plan, spki })).equals(tbs) ? { allow: true, serial } : no('the bytes say something else than the plan')
}

/** The plan itself is not believed either: whoever can write the registry can still not have what no profile gives. */
function profileProblem(record: CertificateRecord, plan: CertificatePlan, { profiles, issuer }: PlanPorts): string | undefined {
  const profile = profiles[record.profile]
  const names = namesProblem(record, plan, profile)
  if (record.device !== undefined && !judgeId(issuer.ids, record.device).allow) return 'the plan names a device that this CA may not name'
  if (names !== undefined) return names
  if (profile.ca) return 'this key signs no certificates of CAs'
  if (record.notAfter - record.notBefore > profile.validityMs + CA_LIMITS.backdateMs + SECOND_MS) return 'the plan is valid for longer than its profile allows'
  if (record.notBefore < issuer.notBefore || record.notAfter > issuer.notAfter || record.notAfter <= record.notBefore) return 'the plan is not valid within its issuer'
  return undefined
}

function namesProblem({ device, profile: name }: CertificateRecord, { commonName, subjectAltNames }: CertificatePlan, profile: ProfileLimits): string | undefined {
  if ((name === 'device') !== (device !== undefined)) return 'a device certificate is for a device, and no other one is'
  if (device !== undefined && commonName !== device) return 'the plan names another device'
  const unwritable = (alt: SubjectAltName): boolean => alt.kind !== 'dns' && alt.kind !== 'ip'
  if (profile.altNames === 'none' ? subjectAltNames.length > 0 : subjectAltNames.some(unwritable)) return 'the plan has names that its profile does not give'
  return undefined
}

const SECOND_MS = 1_000
