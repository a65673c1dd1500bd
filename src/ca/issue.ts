// Issuance, in the order of a careful public CA: judge, commit the plan, lint what will be signed, sign, read our own output
// back and compare it with the plan, commit, hand out. A crash at any step leaves a recorded orphan, never a certificate
// that is not recorded.

import { supersededEvent, type Actor, type AuditEvent } from '../core/audit.ts'
import type { CertificateFacts, KeyFacts, SubjectAltName } from '../core/certificate.ts'
import { keyProblem } from '../core/certificate-rules.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import { ENROLLABLE_STATES } from '../core/enrollment.ts'
import { SallyportError } from '../core/errors.ts'
import type { CaName, DeviceId, EpochMs, OperatorName, SerialNumber, TokenName } from '../core/ids.ts'
import type { CaState, CertificatePlan, CertificateRecord, Change, Expectation, ProfileName, Registry } from '../core/registry.ts'
import { CA_LIFE_LIMITS } from '../ca-limits.ts'
import { CA_LIMITS, LIFE, REGISTRY_LIMITS } from '../limits.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { keyFacts, openPublicKey } from '../x509/keys.ts'
import { isCertificateSignedBy } from '../x509/signatures.ts'
import { readPointers, type Pointers } from '../x509/pointers.ts'
import { joinCertificate } from '../x509/template.ts'
import { pointersOf, type PublicDoor } from './pointers.ts'
import type { Profile, Profiles } from './profiles.ts'
import type { Signer } from './signer.ts'
import { openNameRules, type NamesAsked } from './name-rules.ts'
import { openTbs, readIssuer, subjectOf, unreadableIssuer, type IssuerCertificate } from './tbs.ts'

/** What shall be certified. `spki` is DER. */
export interface IssueRequest {
  readonly profile: ProfileName
  readonly commonName: string
  readonly organization?: string
  readonly spki: Uint8Array
  /** What `spki` is, where that was read already. */
  readonly key?: KeyFacts
  readonly device?: DeviceId
  /** The operator whose certificate it is from the plan on; without one it is the first operator's. */
  readonly operator?: OperatorName
  readonly subjectAltNames?: readonly SubjectAltName[]
  /** What is done with the plan, or not at all: a credential is used up. */
  readonly along?: { readonly changes: readonly Change[]; readonly audit: readonly AuditEvent[]; readonly expected?: readonly Expectation[] }
  /** The token that it comes through. */
  readonly through?: TokenName | undefined
  /** When it ends, where that is earlier than its profile says. */
  readonly until?: EpochMs
  /** How many certificates in force the device may have with it, where that is fewer than ever. */
  readonly inForceMax?: number
  /** 'issued': it waits for its first use. Active at once where nothing is said. */
  readonly state?: 'issued' | 'active'
  /** Certificates that were never used, which end with the commit of the plan. */
  readonly ends?: readonly CertificateRecord[]
}

export interface Issued {
  readonly record: CertificateRecord
  readonly der: Uint8Array
}

export interface Authority {
  readonly issuer: CaName
  readonly issuerDer: Uint8Array
  /** May it give these names? For who writes something before it asks for a certificate. Reason: ca-name-outside. */
  mayName(asked: NamesAsked): Promise<Decision<void>>
  /**
   * Issues one certificate, recorded before and after. Asking again for the same device and key gives the same certificate
   * while it is in force (where it is to wait for its first use: while it waits); who asks while the first request is under way gets its answer. Reasons: key-weak, key-in-use, ca-name-outside,
   * certificates-limit, device-<state>, revision-conflict, request-invalid for an end that the profile does not reach, and what `along` expects. Failures: 'internal' when its serial numbers repeat,
   * 'certificate-unusable' when the CA itself is not in force, 'issuance-mismatch', whatever the signer or the registry throws. After a failure the plan stays recorded.
   */
  issue(request: IssueRequest, actor: Actor): Promise<Decision<Issued>>
}

export interface AuthorityPorts {
  readonly registry: Registry
  readonly signer: Signer
  readonly issuer: IssuerCertificate
  readonly profiles: Profiles
  /** Where certificates point to; without it they point nowhere. */
  readonly door?: PublicDoor | undefined
  readonly clock: () => EpochMs
  /** Unpredictable bytes. */
  readonly random: (count: number) => Uint8Array
}

const SECOND_MS = 1_000
const NOTHING: NonNullable<IssueRequest['along']> = { changes: [], audit: [] }
/** States of a CA in which it may issue. */
const ISSUING_STATES: readonly CaState[] = ['current', 'replaced']

/** 16 octets, of which the first bit is 0 (positive) and the second 1 (never shorter). RFC 5280 §4.1.2.2. */
export function newSerial(random: (count: number) => Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(random(CA_LIMITS.serialBytes))
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

export function openAuthority(ports: AuthorityPorts): Authority {
  const issuer = readIssuer(ports.issuer)
  const { facts: issuerFacts, subjectDer: issuerDer, keyId: issuerKeyId } = issuer
  // The key in the issuer's certificate, not the one that the signer claims: what does not verify under the former is nobody's.
  const issuerKey = openPublicKey(issuer.spki) ?? throwing(unreadableIssuer(ports.issuer.name))
  const buildTbs = openTbs(issuer, ports.signer.signatureIdentifier, ports.profiles)
  const judgeName = openNameRules(ports.issuer, issuer)

  /** The certificate that an earlier request of the same device and key was answered with. */
  function issuedBefore(request: IssueRequest, spkiSha256: string, now: EpochMs): Issued | undefined {
    if (request.device === undefined) return undefined
    const isIt = (r: CertificateRecord): boolean =>
      r.spkiSha256 === spkiSha256 && r.profile === request.profile && (r.state === 'issued' || (r.state === 'active' && request.state !== 'issued')) && r.notAfter > now && r.issuer === ports.issuer.name
    let after: string | undefined
    do {
      // Expired and revoked certificates stay on record: those of short life fill more than one page.
      const page = ports.registry.certificates({ device: request.device, limit: REGISTRY_LIMITS.pageSizeMax, after })
      const record = page.items.find(isIt)
      const der = record && ports.registry.certificateDer(record.issuer, record.serial)
      if (record !== undefined && der !== undefined) return { record, der }
      after = page.next
    } while (after !== undefined)
    return undefined
  }

  /** Requests of devices that are under way, by device, profile and key. */
  const underway = new Map<string, Promise<Decision<Issued>>>()

  async function issue(request: IssueRequest, actor: Actor): Promise<Decision<Issued>> {
    const key = request.key ?? keyFacts(request.spki)
    const weak = keyProblem(key)
    if (weak !== undefined) return deny('key-weak', weak)
    if (request.device === undefined) return issueNew(request, key, actor)
    const asked = [request.device, request.profile, request.state ?? 'active', key.spkiSha256].join('/')
    const running = underway.get(asked)
    if (running !== undefined) return running
    const before = issuedBefore(request, key.spkiSha256, ports.clock())
    if (before !== undefined) return allow(before)
    const started = issueNew(request, key, actor).finally(() => underway.delete(asked))
    underway.set(asked, started)
    return started
  }

  async function issueNew(request: IssueRequest, key: KeyFacts, actor: Actor, draws = 1): Promise<Decision<Issued>> {
    const now = ports.clock()
    const named = judgeName(request)
    if (!named.allow) return named

    const profile = ports.profiles[request.profile]
    const { until = now + profile.validityMs, inForceMax = CA_LIMITS.certificatesInForceMax } = request
    if (until > Math.min(now + profile.validityMs, issuerFacts.notAfter) && request.until !== undefined) return deny('request-invalid', `a certificate of the profile ${profile.name} lives ${Math.floor(profile.validityMs / LIFE.day)} days, and not longer than its CA`)
    const serial = newSerial(ports.random)
    const notBefore = wholeSeconds(Math.max(now - CA_LIMITS.backdateMs, issuerFacts.notBefore))
    const notAfter = wholeSeconds(Math.min(until, issuerFacts.notAfter))
    if (notAfter <= Math.max(now, notBefore)) throw new SallyportError('certificate-unusable', `The certificate of ${ports.issuer.name} is not in force: it is valid from ${new Date(issuerFacts.notBefore).toISOString()} to ${new Date(issuerFacts.notAfter).toISOString()}, and the clock of this machine says ${new Date(now).toISOString()}.`, { fix: 'Correct the clock of this machine; if the CA has expired, a new one is needed.' })
    const record: CertificateRecord = {
      issuer: ports.issuer.name,
      serial: Buffer.from(serial).toString('hex') as SerialNumber,
      profile: profile.name,
      state: 'planned',
      spkiSha256: key.spkiSha256,
      notBefore, notAfter,
      createdAt: now,
      ...(request.device === undefined ? {} : { device: request.device }),
      ...(request.through === undefined ? {} : { through: request.through }),
    }
    const expected: Expectation[] = [
      // Who asked before the switch may be answered after it; of a CA that is retired nothing comes any more.
      { kind: 'ca-state', name: ports.issuer.name, states: ISSUING_STATES },
      { kind: 'key-free', spkiSha256: key.spkiSha256, ...(request.device === undefined ? {} : { device: request.device }) },
      ...(request.device === undefined ? [] : [
        { kind: 'device-state', id: request.device, states: ENROLLABLE_STATES } as const,
        { kind: 'certificates-in-force', device: request.device, max: inForceMax, now } as const,
      ]),
    ]
    const { ends = [], along = NOTHING } = request
    const certified = request.operator === undefined ? [] : [{ kind: 'operator-certified', name: request.operator, issuer: record.issuer, serial: record.serial } as const]
    const plan: CertificatePlan = {
      commonName: request.commonName, subjectAltNames: request.subjectAltNames ?? [], actor,
      ...(request.organization === undefined ? {} : { organization: request.organization }),
      ...(ports.door === undefined ? {} : { door: ports.door }),
    }
    const planned = await ports.registry.commit(
      [...along.changes, ...ends.map(({ issuer, serial }) => ({ kind: 'certificate-state', issuer, serial, state: 'superseded' }) as const), { kind: 'certificate-planned', certificate: record, plan }, ...certified],
      [...expected, ...(along.expected ?? []), ...ends.map(({ issuer, serial, state }) => ({ kind: 'certificate-state', issuer, serial, states: [state] }) as const)],
      [...along.audit, ...ends.map((ended) => supersededEvent(ended, record.serial, now, actor)), auditOf('certificate-planned', record, now, actor), ...certified.map(({ name }) => ({ kind: 'operator-certified', at: now, operator: name, actor }) as const)],
    )
    // Nothing was written: what is recorded under this serial number is somebody else's, and another one is drawn.
    if (!planned.allow && ports.registry.certificate(record.issuer, record.serial) !== undefined) {
      if (draws >= CA_LIFE_LIMITS.serialDrawsMax) throw repeating(record)
      return issueNew(request, key, actor, draws + 1)
    }
    if (!planned.allow) return planned

    const subjectDer = subjectOf(plan, issuer)
    const tbs = buildTbs({ record, plan, spki: request.spki })
    const der = joinCertificate(tbs, ports.signer.signatureIdentifier, await ports.signer.sign(tbs))
    const facts = readBack(der, { record, profile, subjectDer, issuerDer, issuerKeyId, request, pointers: pointersOf(profile, record.issuer, record.serial, plan.door) })
    if (!isCertificateSignedBy(der, issuerKey)) throw mismatch(record, 'the signature does not verify')

    const state = request.state ?? 'active'
    const issued: CertificateRecord = { ...record, state, sha256: facts.sha256 }
    const committed = await ports.registry.commit(
      [{ kind: 'certificate-issued', issuer: record.issuer, serial: record.serial, sha256: facts.sha256, der, state }],
      [{ kind: 'certificate-state', issuer: record.issuer, serial: record.serial, states: ['planned'] }],
      [{ ...auditOf('certificate-issued', record, ports.clock(), actor), sha256: facts.sha256 } as AuditEvent],
    )
    return committed.allow ? allow({ record: issued, der }) : committed
  }

  return { issuer: ports.issuer.name, issuerDer: ports.issuer.der, issue, mayName: (asked) => Promise.resolve(judgeName(asked)) }
}

function repeating({ serial }: CertificateRecord): SallyportError {
  return new SallyportError('internal', `The random numbers of this machine repeat themselves: ${CA_LIFE_LIMITS.serialDrawsMax} serial numbers that were drawn one after the other are recorded already, the last is ${serial}. Nothing was issued.`, { fix: 'Do not issue with this machine until its random source is mended: keys that are made here cannot be trusted either.' })
}

function throwing(failure: SallyportError): never {
  throw failure
}

function auditOf(kind: 'certificate-planned' | 'certificate-issued', record: CertificateRecord, at: EpochMs, actor: Actor): AuditEvent {
  const { issuer, serial, profile, device } = record
  return { kind, at, issuer, serial, profile, actor, ...(device === undefined ? {} : { device }) } as AuditEvent
}

const wholeSeconds = (ms: EpochMs): EpochMs => Math.floor(ms / SECOND_MS) * SECOND_MS

function mismatch(record: Pick<CertificateRecord, 'serial'>, what: string): SallyportError {
  return new SallyportError('issuance-mismatch', `The certificate ${record.serial} came out different from its plan: ${what}. It was not handed out.`, { fix: 'Report this: it is a defect. The serial number is recorded as planned.' })
}

interface PlanToCompare {
  readonly record: CertificateRecord
  readonly profile: Profile
  readonly subjectDer: Uint8Array
  readonly issuerDer: Uint8Array
  readonly issuerKeyId: Uint8Array
  readonly request: Pick<IssueRequest, 'subjectAltNames'>
  readonly pointers?: Pointers
}

/** The lint: our own output, parsed as a stranger's, must say exactly what was planned. */
export function readBack(der: Uint8Array, { record, profile, subjectDer, issuerDer, issuerKeyId, request, pointers = {} }: PlanToCompare): CertificateFacts {
  const parsed = parseCertificate(der)
  if (!parsed.allow) throw mismatch(record, parsed.detail ?? parsed.reason)
  const facts = parsed.value
  const same: Readonly<Record<string, boolean>> = {
    version: facts.version === 3,
    serial: facts.serial === record.serial && facts.serialDerHex === record.serial,
    subject: facts.subjectDerHex === Buffer.from(subjectDer).toString('hex'),
    issuer: facts.issuerDerHex === Buffer.from(issuerDer).toString('hex'),
    validity: facts.notBefore === record.notBefore && facts.notAfter === record.notAfter && facts.notBefore < facts.notAfter,
    key: facts.key.spkiSha256 === record.spkiSha256,
    'basic constraints': facts.basicConstraints?.ca === profile.ca && facts.basicConstraints?.pathLength === profile.pathLength,
    'key usage': sameSet(facts.keyUsage ?? [], profile.keyUsage),
    'extended key usage': sameSet(facts.extendedKeyUsage ?? [], profile.extendedKeyUsage),
    'alternative names': sameSet((facts.subjectAltNames ?? []).map(nameText), (request.subjectAltNames ?? []).map(nameText)),
    'key identifiers': facts.subjectKeyId !== undefined && facts.authorityKeyId === Buffer.from(issuerKeyId).toString('hex'),
    extensions: facts.unknownCritical.length === 0 && facts.duplicateExtensions.length === 0 && facts.malformedExtensions.length === 0 && !facts.hasNameConstraints,
    pointers: samePointers(readPointers(der), pointers),
    'signature algorithm': facts.signatureAlgorithmsAgree,
  }
  const different = Object.entries(same).find(([, equal]) => !equal)
  if (different !== undefined) throw mismatch(record, different[0])
  return facts
}

const nameText = (name: SubjectAltName): string => `${name.kind}:${name.kind === 'ip' ? canonicalIp(name.value) : name.value}`

/** '::1' and '0:0:0:0:0:0:0:1' are one address. */
function canonicalIp(text: string): string {
  if (!text.includes(':')) return text
  return new URL(`http://[${text}]/`).hostname
}

function samePointers(found: Pointers | undefined, planned: Pointers): boolean {
  return found !== undefined && found.issuer === planned.issuer && found.ocsp === planned.ocsp && found.crl === planned.crl && found.ocspNoCheck === planned.ocspNoCheck
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((x) => b.includes(x))
}
