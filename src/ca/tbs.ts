// What will be signed: the TBSCertificate of a plan, built from the journal, the profile and the issuer and from nothing
// else. Issuance and the signer build it each for itself, and the bytes must be equal.

import { SallyportError } from '../core/errors.ts'
import type { CaIds } from '../core/ca-names.ts'
import type { CertificateFacts } from '../core/certificate.ts'
import type { CaName, SerialNumber } from '../core/ids.ts'
import type { CertificatePlan, CertificateRecord, ProfileName } from '../core/registry.ts'
import { certificateParts, parseCertificate } from '../x509/certificate.ts'
import { encodeName, encodeNameBelow } from '../x509/names.ts'
import { permittedBase } from '../x509/permitted-names.ts'
import { openTemplate, subjectKeyId, type CertificateTemplate } from '../x509/template.ts'
import { pointersOf } from './pointers.ts'
import type { Profiles } from './profiles.ts'

export interface IssuerCertificate {
  readonly name: CaName
  readonly der: Uint8Array
  /** The device ids that it may name; absent where it may name any. */
  readonly ids?: CaIds
  /** The certificate of the root above it: the names that it permits count, too. */
  readonly root?: Uint8Array | undefined
}

export interface IssuerFacts {
  readonly facts: CertificateFacts
  readonly subjectDer: Uint8Array
  /** The name (DER) below which all its subjects stand, where it permits no others. */
  readonly base: Uint8Array | undefined
  readonly keyId: Uint8Array
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
}

/** Reads the certificate of an issuer. Failure: 'certificate-unusable'. */
export function readIssuer({ name, der, root }: Pick<IssuerCertificate, 'name' | 'der' | 'root'>): IssuerFacts {
  const parsed = parseCertificate(der)
  const parts = certificateParts(der)
  if (!parsed.allow || !parts.allow) throw unreadableIssuer(name)
  const { subjectKeyId: keyId } = parsed.value
  const spki = parts.value.spki.raw
  return { facts: parsed.value, subjectDer: parts.value.subject.raw, base: permittedBase(der) ?? (root === undefined ? undefined : permittedBase(root)), keyId: keyId === undefined ? subjectKeyId(spki) : Buffer.from(keyId, 'hex'), spki }
}

export function unreadableIssuer(name: CaName): SallyportError {
  return new SallyportError('certificate-unusable', `The certificate of ${name} cannot be read.`, { fix: 'Restore it from your backup.' })
}

export interface Planned {
  readonly record: CertificateRecord
  readonly plan: Omit<CertificatePlan, 'actor'>
  readonly spki: Uint8Array
}

/** Equal plans give equal bytes. */
export type BuildTbs = (planned: Planned) => Uint8Array

export function subjectOf({ commonName, organization }: Pick<CertificatePlan, 'commonName' | 'organization'>, { base }: Pick<IssuerFacts, 'base'>): Uint8Array {
  return base === undefined ? encodeName({ commonName, organization }) : encodeNameBelow(base, commonName)
}

export function openTbs(issuer: IssuerFacts, signatureIdentifier: Uint8Array, profiles: Profiles): BuildTbs {
  const templates = new Map<ProfileName, CertificateTemplate>()

  function templateOf(name: ProfileName): CertificateTemplate {
    const known = templates.get(name)
    if (known !== undefined) return known
    const profile = profiles[name]
    const template = openTemplate({
      issuerDer: issuer.subjectDer,
      authorityKeyId: issuer.keyId,
      signatureIdentifier,
      basicConstraints: profile.pathLength === undefined ? { ca: profile.ca } : { ca: profile.ca, pathLength: profile.pathLength },
      keyUsage: profile.keyUsage,
      extendedKeyUsage: profile.extendedKeyUsage,
    })
    templates.set(name, template)
    return template
  }

  return ({ record, plan, spki }) =>
    templateOf(record.profile)({ serial: serialBytes(record.serial), notBefore: record.notBefore, notAfter: record.notAfter, subjectDer: subjectOf(plan, issuer), spki, subjectAltNames: plan.subjectAltNames, pointers: pointersOf(profiles[record.profile], record.issuer, record.serial, plan.door) })
}

const serialBytes = (serial: SerialNumber): Uint8Array => Uint8Array.from(Buffer.from(serial, 'hex'))
