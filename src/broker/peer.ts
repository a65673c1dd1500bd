// From a finished handshake to a peer: which recorded certificate this is, or why it is not one. Reads the socket once.
// A certificate of our own CA whose bytes equal a recorded one needs no second verification of signature or form: the CA
// linted and re-read those bytes when it issued them, and OpenSSL has just verified the chain. All others take the long way,
// those of trusted foreign CAs every time: what a foreign CA may say is decided by the trust and the rules of this moment.

import { createHash } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { REASONS, type DenyReason } from '../vocabulary.ts'
import type { AuditEvent, Source } from '../core/audit.ts'
import type { CertificateFacts } from '../core/certificate.ts'
import { deviceNameOf } from '../core/certificate-rules.ts'
import { allow, deny, type Decision, type Denied } from '../core/decision.ts'
import { identifyForeign } from '../core/identity.ts'
import type { CaName, DeviceId, EpochMs, Fingerprint, GroupName, SerialNumber, TenantId } from '../core/ids.ts'
import type { CompiledPolicy } from '../core/policy/compile.ts'
import type { CertificateRecord, RegistryView } from '../core/registry.ts'
import { parseCertificate } from '../x509/certificate.ts'
import type { Trust } from '../x509/chain.ts'
import { presentedChain } from '../x509/presented.ts'
import { isPartialChain, presentedCertificate, reasonOfVerification, verificationFailure } from './tls-peer.ts'

/** A peer that proved possession of the key of a certificate that was issued or is trusted by this organisation. */
export interface Peer {
  readonly issuer: CaName
  readonly serial: SerialNumber
  readonly sha256: Fingerprint
  readonly leaf: Uint8Array
  readonly notAfter: EpochMs
  /** The name that the certificate is recorded for, or that the identity rule of its foreign CA gives. */
  readonly device: DeviceId
  /** Set for a certificate of a foreign CA that is seen for the first time: it has to be observed before it is judged. */
  readonly firstSight?: FirstSight
}

export interface FirstSight {
  readonly facts: CertificateFacts
  readonly tenant: TenantId
  readonly register: 'known' | 'auto'
  readonly groups: readonly GroupName[]
}

export interface PeerPorts {
  readonly view: RegistryView
  readonly trust: () => Trust
  readonly clock: () => EpochMs
  readonly policy: () => CompiledPolicy
}

export function judgePeer(socket: TLSSocket, ports: PeerPorts): Decision<Peer> {
  const presented = presentedCertificate(socket)
  // A session without a certificate, as OpenSSL may resume one, is nobody.
  if (presented === undefined) return deny('tls-no-certificate', 'the session has no certificate')
  return judgeShown(presented.raw, () => presentedChain(presented), verificationFailure(socket), ports)
}

/**
 * The same for a peer that proved in another way that it holds the key of `leaf`: `chain` is what it showed, DER, leaf first, `failure` OpenSSL's
 * verdict on it. A chain whose certificates were all verified here, up to a CA of others that is an anchor without being a root, needs none.
 */
export function judgeShown(leaf: Uint8Array, chain: () => readonly Uint8Array[], failure: string | undefined, ports: PeerPorts): Decision<Peer> {
  const sha256 = createHash('sha256').update(leaf).digest('hex') as Fingerprint
  const record = ports.view.certificateBySha256(sha256)
  if (failure === undefined && record !== undefined && isOwn(ports.trust().roleOf(record.issuer))) return judgeRecorded(record, leaf, sha256, ports)
  return judgeUnrecorded(chain(), sha256, failure, ports)
}

/** Where a handshake broke off at something that the client sent. */
const BROKEN_OFF: readonly DenyReason[] = ['tls-malformed', 'tls-possession-unproven']

/**
 * Why a handshake failed whose client had shown `chain` by then. What is wrong with the certificate says more than where the
 * handshake broke off, and does not depend on how the bytes arrived: OpenSSL's complaints about a chain stay in its queue of
 * errors, and Node takes one for a failure of the handshake when it has to wait for the next segment.
 */
export function judgeFailedHandshake(denied: Denied, chain: readonly Uint8Array[], ports: Pick<PeerPorts, 'trust' | 'clock'>): Denied {
  if (chain.length === 0 || !BROKEN_OFF.includes(denied.reason)) return denied
  const judged = ports.trust().judge(chain, ports.clock())
  return judged.allow ? denied : judged
}

/**
 * Does the CA of this peer still speak for its device? Asked at every CONNECT and when policy or trust change: between the
 * handshake and now either may have. Reasons: tls-untrusted-issuer, certificate-name-constraints; for foreign CAs those of `identifyForeign`.
 */
export function judgeTrust(peer: Pick<Peer, 'issuer' | 'leaf' | 'device'>, ports: Pick<PeerPorts, 'trust' | 'policy'>): Decision<void> {
  const role = ports.trust().roleOf(peer.issuer)
  if (role === undefined) return deny('tls-untrusted-issuer', `${peer.issuer} is not trusted any more`)
  if (isOwn(role)) return ports.trust().judgeId(peer.issuer, peer.device)
  const facts = parseCertificate(peer.leaf)
  const identity = facts.allow ? identifyForeign(facts.value, peer.issuer, peer.device, ports.policy().identity) : facts
  return identity.allow ? allow(undefined) : identity
}

const isOwn = (role: ReturnType<Trust['roleOf']>): boolean => role === 'root' || role === 'issuing'

function judgeRecorded(record: CertificateRecord, leaf: Uint8Array, sha256: Fingerprint, { clock, trust }: PeerPorts): Decision<Peer> {
  const now = clock()
  if (record.profile !== 'device' || record.device === undefined) return deny('certificate-purpose', `profile ${record.profile}`)
  // A resumed session was verified when it was new; the clock has moved since.
  if (record.notAfter <= now) return deny('certificate-expired')
  if (now < record.notBefore) return deny('certificate-not-yet-valid')
  // What its CA may not name it has not issued: the record was made behind our back.
  const named = trust().judgeId(record.issuer, record.device)
  return named.allow ? allow({ issuer: record.issuer, serial: record.serial, sha256, leaf, notAfter: record.notAfter, device: record.device }) : named
}

function judgeUnrecorded(chain: readonly Uint8Array[], sha256: Fingerprint, failure: string | undefined, ports: PeerPorts): Decision<Peer> {
  const judged = ports.trust().judge(chain, ports.clock(), failure === undefined)
  if (!judged.allow) return judged
  const { leaf, issuer, tenant, role } = judged.value
  if (failure !== undefined && !(role === 'trusted' && isPartialChain(failure))) return deny(reasonOfVerification(failure), `OpenSSL: ${failure}`)
  const serial = leaf.serial as SerialNumber
  if (role !== 'trusted') {
    // What is wrong with the certificate itself is named before what the registry does not know of it.
    const name = deviceNameOf(leaf)
    if (!name.allow) return name
    const named = ports.trust().judgeId(issuer, name.value)
    return named.allow ? notOurs(ports.view.certificate(issuer, serial)) : named
  }
  const recorded = ports.view.certificate(issuer, serial)
  if (recorded !== undefined && recorded.sha256 !== sha256) return deny('certificate-mismatch', `serial ${serial} of ${issuer}`)
  const identity = identifyForeign(leaf, issuer, recorded?.device, ports.policy().identity)
  if (!identity.allow) return identity
  const { device, register, groups } = identity.value
  const peer = { issuer, serial, sha256, leaf: chain[0] ?? new Uint8Array(), notAfter: leaf.notAfter, device }
  return allow(recorded === undefined ? { ...peer, firstSight: { facts: leaf, tenant, register, groups } } : peer)
}

/** A certificate of our own CA whose bytes we never recorded: the CA key was used behind our back. */
function notOurs(recorded: CertificateRecord | undefined): Denied {
  return recorded === undefined || recorded.sha256 === undefined
    ? deny('certificate-unrecorded')
    : deny('certificate-mismatch', `serial ${recorded.serial} is recorded for another certificate`)
}

/** The record of a refusal whose peer is known. */
export function peerRefusal(peer: Peer, source: Source, { reason, detail }: Denied, at: EpochMs): AuditEvent & { readonly kind: 'refusal' } {
  return {
    kind: 'refusal', at, step: REASONS[reason].step, reason, source, device: peer.device,
    presented: { serial: peer.serial, issuer: peer.issuer, sha256: peer.sha256, notAfter: peer.notAfter },
    ...(detail === undefined ? {} : { detail }),
  }
}
