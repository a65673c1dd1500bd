// Enrollment with a certificate in place of a secret: that of a claim, which names no device; that of a manufacturer, which names one; and
// that of a device, which has its own renewed and nobody else's. The peer has proven in the handshake that it holds the key.

import { createHash } from 'node:crypto'
import type { Presented, Source } from './core/audit.ts'
import { attributesOf, type CertificateFacts, type CsrFacts } from './core/certificate.ts'
import { deviceOfFactory, isShared, judgeClaim } from './core/claim.ts'
import { allow, deny, type Decision, type Denied } from './core/decision.ts'
import { printable, type CaName, type DeviceId, type EpochMs, type Fingerprint } from './core/ids.ts'
import type { CertificateRecord, Expectation, Registry, RegistryView } from './core/registry.ts'
import { isTarget, type ManufacturerRule, type TokenRecord } from './core/token.ts'
import { deviceOf, type Certified, type EnrollmentDoor } from './enrollment-desk.ts'
import { readRequest, type AskedHow } from './est-request.ts'
import type { DenyReason } from './vocabulary.ts'
import type { Trust } from './x509/chain.ts'

export interface CertificateRequest extends AskedHow {
  /** As it was presented, DER, leaf first; at least the leaf. */
  readonly chain: readonly Uint8Array[]
  /** The id that the request says besides, outside the certificate request. */
  readonly device?: string | undefined
  readonly csr: Uint8Array
  readonly source: Source
}

export interface CertificateDoorPorts {
  readonly registry: Registry
  readonly view: RegistryView
  /** Whose certificates are known at this door. */
  readonly trust: () => Trust
  readonly enroll: Pick<EnrollmentDoor, 'withProven' | 'fits'>
  readonly renew: CertificateDoor['renew']
  readonly clock: () => EpochMs
}

export interface CertificateDoor {
  /**
   * Reasons: of a claim those of `judgeClaim` and `EnrollmentDoor.withProven`; of a device csr-name-mismatch and those of a renewal; of others
   * of ours certificate-purpose; of strangers those of `Trust.judge`, manufacturer-unregistered, certificate-unrecorded, -mismatch, -revoked.
   */
  withCertificate(request: CertificateRequest): Promise<Decision<Certified>>
  /** The same for who says that it renews. */
  renew(request: AskedHow & { readonly leaf: Uint8Array; readonly csr: Uint8Array; readonly source: Source }): Promise<Decision<Certified>>
}

type Rule = TokenRecord & { readonly proof: { readonly kind: 'manufacturer' } & ManufacturerRule }

export function openCertificateDoor({ registry, view, trust, enroll, renew, clock }: CertificateDoorPorts): CertificateDoor {
  return {
    renew,
    async withCertificate(request) {
      const { chain: [leaf], device: said, ...asked } = request
      if (leaf === undefined) return deny('credential-missing')
      const record = view.certificateBySha256(createHash('sha256').update(leaf).digest('hex') as Fingerprint)
      // That a CA of others is recorded says only that its name is taken: what it may say is found out anew each time.
      if (record === undefined || isOfOthers(record)) return withFactory(request)
      if (record.profile === 'claim') return withClaim(record, request)
      if (said !== undefined && said !== '' && record.profile === 'device' && said !== record.device) return deny('csr-name-mismatch', printable(said))
      return renew({ leaf, ...asked })
    },
  }

  function isOfOthers({ issuer }: CertificateRecord): boolean {
    return registry.cas().some(({ name, role }) => name === issuer && role === 'trusted')
  }

  async function withClaim(record: CertificateRecord, { device: said, csr: der, source, ...how }: CertificateRequest): Promise<Decision<Certified>> {
    const standing = judgeClaim(record, clock())
    if (!standing.allow) return standing
    if (trust().roleOf(record.issuer) === undefined) return deny('certificate-issuer-retired', record.issuer)
    const token = registry.tokensProvenBy(record.spkiSha256).find(({ proof }) => proof.kind === 'claim')
    // Older ones than tokens of this kind, and what was issued by hand, claim nothing.
    if (token === undefined) return deny('certificate-purpose', `profile ${record.profile}`)
    const csr = readRequest(der, how)
    if (!csr.allow) return csr
    const id = deviceOf(said, csr.value)
    if (!id.allow) return id
    return enroll.withProven({ token, device: id.value, csr: csr.value, source, serverKey: how.serverKey, expected: [notRevoked(record)], presented: { serial: record.serial, issuer: record.issuer, notAfter: record.notAfter, ...(record.sha256 === undefined ? {} : { sha256: record.sha256 }) } })
  }

  async function withFactory({ chain, device: said, csr: der, source, ...how }: CertificateRequest): Promise<Decision<Certified>> {
    const judged = trust().judge(chain, clock())
    if (!judged.allow) return judged
    const { leaf, issuer, role } = judged.value
    // A certificate of our own CA that we never recorded: its key was used behind our back.
    if (role !== 'trusted') return deny('certificate-unrecorded')
    const standing = standingOf(leaf, issuer)
    if (standing !== undefined) return standing
    const rules = rulesOf(issuer)
    if (rules.length === 0) return deny('manufacturer-unregistered', issuer)
    const csr = readRequest(der, how)
    if (!csr.allow) return csr
    const chosen = choose(rules, leaf, csr.value, source)
    if (!chosen.allow) return chosen
    const { token, device } = chosen.value
    if (said !== undefined && said !== '' && said !== device) return deny('token-device', printable(said))
    const recorded = view.certificate(issuer, leaf.serial)
    return enroll.withProven({ token, device, csr: underItsOwnName(csr.value, leaf), source, expected: recorded === undefined ? [] : [notRevoked(recorded)], serverKey: how.serverKey, presented: presentedOf(leaf, issuer) })
  }

  /** It may have been seen at the device port, and revoked. */
  function standingOf(leaf: CertificateFacts, issuer: CaName): Denied | undefined {
    const recorded = view.certificate(issuer, leaf.serial)
    if (recorded === undefined) return undefined
    if (recorded.sha256 !== leaf.sha256) return deny('certificate-mismatch', `serial ${leaf.serial} of ${issuer}`)
    return recorded.state === 'revoked' ? deny('certificate-revoked', recorded.revocationReason) : undefined
  }

  function rulesOf(issuer: CaName): readonly Rule[] {
    const ca = registry.cas().find(({ name }) => name === issuer)
    return ca === undefined ? [] : registry.tokensProvenBy(ca.spkiSha256).filter((token): token is Rule => token.proof.kind === 'manufacturer')
  }

  /** A rule for other devices says so first, and not that it is over. */
  function fitsRule(token: Rule, device: DeviceId, csr: CsrFacts, source: Source): ReturnType<EnrollmentDoor['fits']> {
    return isTarget(token.target, device) ? enroll.fits(token, { device, spkiSha256: csr.key.spkiSha256 }, source) : deny('token-device', device)
  }

  /** The rule by which this very request came before; else one that allows it, one for this device first; else what says most of why none does. */
  function choose(rules: readonly Rule[], leaf: CertificateFacts, csr: CsrFacts, source: Source): Decision<{ readonly token: TokenRecord; readonly device: DeviceId }> {
    let first: { readonly token: TokenRecord; readonly device: DeviceId } | undefined
    let best: Denied | undefined
    for (const token of rules) {
      const device = deviceOfFactory(leaf.subject, token.proof)
      const fits = device.allow ? fitsRule(token, device.value, csr, source) : device
      if (!fits.allow) best = best === undefined || weightOf(fits.reason) > weightOf(best.reason) ? fits : best
      else if (device.allow) {
        if (fits.value.usedBefore) return allow({ token, device: device.value })
        if (first === undefined || isShared(first.token)) first = { token, device: device.value }
      }
    }
    return first === undefined ? (best ?? deny('manufacturer-unregistered')) : allow(first)
  }
}

/** What was revoked while its request was on its way has no claim any more. */
const notRevoked = ({ issuer, serial, state }: CertificateRecord): Expectation => ({ kind: 'certificate-state', issuer, serial, states: state === 'issued' ? ['issued', 'active'] : [state] })

/** Of the denials of several rules: one that finds no name, is for other devices, or is over, says less than one that is for this device now. */
const WEIGHTS: Partial<Readonly<Record<DenyReason, number>>> = { 'certificate-subject-empty': 0, 'token-device': 1, 'certificate-name-invalid': 2, 'certificate-name-ambiguous': 2, 'token-revoked': 3, 'token-expired': 4 }
const MOST = 5
const weightOf = (reason: DenyReason): number => WEIGHTS[reason] ?? MOST

/** A device from the factory knows the name that the factory gave it, and no other: a request for that one asks for ours. */
function underItsOwnName(csr: CsrFacts, leaf: CertificateFacts): CsrFacts {
  const ofLeaf = attributesOf(leaf.subject, 'CN').map(({ value }) => value)
  const asked = attributesOf(csr.subject, 'CN').map(({ value }) => value)
  return asked.length === 1 && ofLeaf.length === 1 && asked[0] !== undefined && asked[0] === ofLeaf[0] ? { ...csr, subject: [] } : csr
}

function presentedOf(leaf: CertificateFacts, issuer: CaName): Presented {
  const name = leaf.subject.flat().map((a) => `${a.short ?? a.type}=${a.value ?? '?'}`).join(', ')
  return { subject: printable(name, SUBJECT_CHARS_MAX), issuer, serial: printable(leaf.serial), sha256: leaf.sha256, notAfter: leaf.notAfter }
}
const SUBJECT_CHARS_MAX = 200
