// OCSP (RFC 6960, nonces as RFC 9654 has them): requests read behind the DER gate, responses written. Which certificate has
// which status is for others to say; nothing here knows a registry.

import { createHash } from 'node:crypto'
import { PUBLISHED_REASONS, type PublishedReason } from '../vocabulary.ts'
import { PKI_LIMITS } from '../pki-limits.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { EpochMs } from '../core/ids.ts'
import { certificateParts } from './certificate.ts'
import { encodeExtension, encodeGeneralizedTime, encodeOid, oidText, readDer, TAG, tlv, type DerNode } from './der.ts'

/** One certificate that is asked about. */
export interface OcspCertId {
  /** The whole CertID, echoed as it came. */
  readonly raw: Uint8Array
  /** Undefined for a hash that is not served. */
  readonly hash: OcspHash | undefined
  readonly issuerNameHash: string
  readonly issuerKeyHash: string
  /** Lower-case hex without a leading zero octet. */
  readonly serial: string
}

export interface OcspRequest {
  readonly certificates: readonly OcspCertId[]
  /** The nonce extension's value, DER, echoed as it came. */
  readonly nonce: Uint8Array | undefined
}

type OcspHash = 'sha1' | 'sha256'
const HASH_OIDS: Readonly<Record<string, OcspHash>> = { '1.3.14.3.2.26': 'sha1', '2.16.840.1.101.3.4.2.1': 'sha256' }
const OID_NONCE = '1.3.6.1.5.5.7.48.1.2'
const OID_BASIC = '1.3.6.1.5.5.7.48.1.1'

const bad = (what: string): Decision<never> => deny('request-invalid', what)
const TAG_0 = 0xa0
const TAG_1 = 0xa1
const TAG_2 = 0xa2

/** Reads a request; a signature on it is allowed and not looked at. Never throws. Reason: request-invalid. */
export function parseOcspRequest(bytes: Uint8Array): Decision<OcspRequest> {
  const root = readDer(bytes, PKI_LIMITS.ocspRequestBytesMax)
  if (!root.allow) return bad(root.detail ?? 'not DER')
  const [tbs, signature, ...more] = root.value.children
  if (root.value.tag !== TAG.sequence || tbs?.tag !== TAG.sequence || (signature !== undefined && signature.tag !== TAG_0) || more.length > 0) return bad('not an OCSPRequest')
  const fields = [...tbs.children]
  // The version is v1, which DER leaves out: whatever stands here is another one.
  if (fields[0]?.tag === TAG_0) return bad('a version other than 1')
  if (fields[0]?.tag === TAG_1) fields.shift()
  const [list, wrapper, ...rest] = fields
  if (list?.tag !== TAG.sequence || (wrapper !== undefined && wrapper.tag !== TAG_2) || rest.length > 0) return bad('not a TBSRequest')
  if (list.children.length === 0 || list.children.length > PKI_LIMITS.ocspCertificatesMax) return bad(`${list.children.length} certificates in one request`)
  const certificates: OcspCertId[] = []
  for (const request of list.children) {
    const [id, single] = request.children
    const certificate = id === undefined ? undefined : readCertId(id)
    if (request.tag !== TAG.sequence || request.children.length > 2 || certificate === undefined) return bad('not a Request')
    if (single !== undefined && (single.tag !== TAG_0 || readExtensionList(single) === undefined)) return bad('an extension that is critical or malformed')
    certificates.push(certificate)
  }
  const extensions = wrapper === undefined ? EMPTY : readExtensionList(wrapper)
  if (extensions === undefined) return bad('an extension that is critical or malformed')
  const nonce = extensions.get(OID_NONCE)
  if (nonce !== undefined && !isNonce(nonce)) return bad(`a nonce that is not 1 to ${PKI_LIMITS.ocspNonceBytesMax} bytes`)
  return allow({ certificates, nonce })
}

const EMPTY: ReadonlyMap<string, Uint8Array> = new Map()

/** RFC 9654 §2.1: an OCTET STRING of 1 to 128 octets; any other is a malformed request. */
function isNonce(value: Uint8Array): boolean {
  const inner = readDer(value)
  return inner.allow && inner.value.tag === TAG.octetString && inner.value.contents.length >= 1 && inner.value.contents.length <= PKI_LIMITS.ocspNonceBytesMax
}

/** By OID. Undefined when one is malformed, there twice, or critical and not understood. */
function readExtensionList(wrapper: DerNode): ReadonlyMap<string, Uint8Array> | undefined {
  const [list] = wrapper.children
  if (wrapper.children.length !== 1 || list?.tag !== TAG.sequence || list.children.length === 0) return undefined
  const found = new Map<string, Uint8Array>()
  for (const extension of list.children) {
    const [type, second, third] = extension.children
    const value = third ?? second
    if (extension.tag !== TAG.sequence || extension.children.length > 3 || type?.tag !== TAG.oid || value?.tag !== TAG.octetString) return undefined
    // An explicit FALSE is not DER.
    if (third !== undefined && (second?.tag !== TAG.boolean || second.contents[0] !== 0xff)) return undefined
    const oid = oidText(type.contents)
    if (found.has(oid) || (third !== undefined && oid !== OID_NONCE)) return undefined
    found.set(oid, value.contents)
  }
  return found
}

function readCertId(node: DerNode): OcspCertId | undefined {
  const [algorithm, name, key, serial] = node.children
  const oid = algorithm?.children[0]
  if (node.tag !== TAG.sequence || node.children.length !== 4 || algorithm?.tag !== TAG.sequence || oid?.tag !== TAG.oid || name?.tag !== TAG.octetString || key?.tag !== TAG.octetString || serial?.tag !== TAG.integer) return undefined
  const digits = hex(serial.contents)
  return {
    raw: node.raw,
    hash: HASH_OIDS[oidText(oid.contents)],
    issuerNameHash: hex(name.contents),
    issuerKeyHash: hex(key.contents),
    serial: digits.length > 2 && digits.startsWith('00') ? digits.slice(2) : digits,
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** How requests name an issuer, by hash: of its subject and of the bits of its key. RFC 6960 §4.1.1. */
export function issuerHashes(der: Uint8Array): Readonly<Record<OcspHash, { readonly name: string; readonly key: string }>> {
  const parts = certificateParts(der)
  const bits = parts.allow ? keyBits(parts.value.spki) : undefined
  if (!parts.allow || bits === undefined) throw new TypeError('not a certificate')
  const by = (hash: OcspHash): { readonly name: string; readonly key: string } => ({
    name: createHash(hash).update(parts.value.subject.raw).digest('hex'),
    key: createHash(hash).update(bits).digest('hex'),
  })
  return { sha1: by('sha1'), sha256: by('sha256') }
}

/** The first octet of the BIT STRING counts unused bits. */
function keyBits(spki: DerNode): Uint8Array | undefined {
  return spki.children[1]?.contents.subarray(1)
}

export type OcspStatus = { readonly kind: 'good' } | { readonly kind: 'unknown' } | { readonly kind: 'revoked'; readonly at: EpochMs; readonly reason: PublishedReason }

export interface OcspAnswer {
  /** CertID, DER. */
  readonly id: Uint8Array
  readonly status: OcspStatus
}

export interface OcspResponseFacts {
  /** The responder's certificate, DER. */
  readonly responder: Uint8Array
  readonly answers: readonly OcspAnswer[]
  readonly nonce: Uint8Array | undefined
  readonly thisUpdate: EpochMs
  readonly nextUpdate: EpochMs
}

/** ResponseData: what is signed. The responder is named by its key. */
export function encodeOcspResponseData({ responder, answers, nonce, thisUpdate, nextUpdate }: OcspResponseFacts): Uint8Array {
  const now = encodeGeneralizedTime(thisUpdate)
  const until = tlv(TAG_0, encodeGeneralizedTime(nextUpdate))
  const keyHash = Buffer.from(issuerHashes(responder).sha1.key, 'hex')
  return tlv(
    TAG.sequence,
    tlv(TAG_2, tlv(TAG.octetString, keyHash)),
    now,
    tlv(TAG.sequence, ...answers.map(({ id, status }) => tlv(TAG.sequence, id, encodeStatus(status), now, until))),
    ...(nonce === undefined ? [] : [tlv(TAG_1, tlv(TAG.sequence, encodeExtension(OID_NONCE, false, nonce)))]),
  )
}

function encodeStatus(status: OcspStatus): Uint8Array {
  switch (status.kind) {
    case 'good':
      return tlv(0x80)
    case 'unknown':
      return tlv(0x82)
    case 'revoked': {
      const reason = status.reason === 'unspecified' ? [] : [tlv(TAG_0, tlv(TAG.enumerated, Uint8Array.of(PUBLISHED_REASONS[status.reason])))]
      return tlv(TAG_1, encodeGeneralizedTime(status.at), ...reason)
    }
  }
}

/** A successful OCSPResponse around signed ResponseData; `certificates` are DER. */
export function joinOcspResponse(data: Uint8Array, signatureIdentifier: Uint8Array, signature: Uint8Array, certificates: readonly Uint8Array[]): Uint8Array {
  const basic = tlv(TAG.sequence, data, signatureIdentifier, tlv(TAG.bitString, Uint8Array.of(0), signature), tlv(TAG_0, tlv(TAG.sequence, ...certificates)))
  return tlv(TAG.sequence, tlv(TAG.enumerated, Uint8Array.of(0)), tlv(TAG_0, tlv(TAG.sequence, encodeOid(OID_BASIC), tlv(TAG.octetString, basic))))
}

/** OCSPResponseStatus. RFC 6960 §4.2.1. */
const FAILURES = { malformedRequest: 1, internalError: 2, tryLater: 3, unauthorized: 6 } as const
export type OcspFailure = keyof typeof FAILURES

/** An OCSPResponse that says only why there is none. */
export function encodeOcspFailure(failure: OcspFailure): Uint8Array {
  return tlv(TAG.sequence, tlv(TAG.enumerated, Uint8Array.of(FAILURES[failure])))
}
