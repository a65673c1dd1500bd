// Certificate requests, PKCS#10 (RFC 2986): read with proof of possession, and made. What a request asks for beyond its key
// is reported and goes no further.

import { sign, verify, type KeyObject } from 'node:crypto'
import * as asn1js from 'asn1js'
import type { CsrFacts } from '../core/certificate.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import { X509_LIMITS } from '../limits.ts'
import { encode, oidText, readDer, TAG, tlv, type DerNode } from './der.ts'
import { OID, readAltNames } from './extensions.ts'
import { keyFacts, openPublicKey, spkiOf } from './keys.ts'
import { decodeString, encodeName, readName } from './names.ts'
import { decodePem, encodePem } from './pem.ts'
import { hashOfSignature, signingAlgorithm } from './signatures.ts'

const OID_EXTENSION_REQUEST = '1.2.840.113549.1.9.14'
const OID_CHALLENGE_PASSWORD = '1.2.840.113549.1.9.7'
const TAG_ATTRIBUTES = 0xa0
const PEM_LABELS = ['CERTIFICATE REQUEST'] as const

const bad = (what: string): Decision<never> => deny('csr-malformed', what)

/** Reads a request from PEM or DER. Never throws. Reason: csr-malformed. */
export function parseCsr(request: string | Uint8Array): Decision<CsrFacts> {
  const der = typeof request === 'string' ? fromPem(request) : allow(request)
  if (!der.allow) return der
  const root = readDer(der.value, X509_LIMITS.csrBytesMax)
  if (!root.allow) return bad(root.detail ?? 'not DER')
  const [info, algorithm, signature] = root.value.children
  if (root.value.tag !== TAG.sequence || root.value.children.length !== 3 || info?.tag !== TAG.sequence || algorithm?.tag !== TAG.sequence || signature?.tag !== TAG.bitString) return bad('not a CertificationRequest')
  const [version, subject, spki, attributes] = info.children
  if (info.children.length > 4 || version?.tag !== TAG.integer || version.contents.length !== 1 || version.contents[0] !== 0 || subject === undefined || spki?.tag !== TAG.sequence || (attributes !== undefined && attributes.tag !== TAG_ATTRIBUTES)) return bad('not a CertificationRequestInfo')
  const name = readName(subject)
  const oid = algorithm.children[0]
  if (name === undefined || oid?.tag !== TAG.oid) return bad('a malformed name or algorithm')
  const signatureAlgorithm = oidText(oid.contents)
  const key = openPublicKey(spki.raw)
  const listed = attributesOf(attributes)
  return allow({
    subject: name,
    key: keyFacts(spki.raw, key),
    spki: Uint8Array.from(spki.raw),
    possessionProven: isSignedBy(key, info.raw, signature, signatureAlgorithm),
    signatureAlgorithm,
    ...requestedExtensions(listed),
    attributes: listed.map(({ oid: type }) => type),
    challengePasswords: listed.filter(({ oid: type }) => type === OID_CHALLENGE_PASSWORD).flatMap(({ values }) => (values.length === 0 ? [''] : values.map((value) => decodeString(value) ?? ''))),
  })
}

function fromPem(text: string): Decision<Uint8Array> {
  const blocks = decodePem(text.replaceAll('NEW CERTIFICATE REQUEST', PEM_LABELS[0]), PEM_LABELS[0])
  if (!blocks.allow) return bad(blocks.detail ?? 'not PEM')
  const [der] = blocks.value
  return der === undefined || blocks.value.length !== 1 ? bad('more than one request') : allow(der)
}

/** The proof of possession. RFC 2986 §3 note 2. */
function isSignedBy(key: KeyObject | undefined, info: Uint8Array, signature: DerNode, algorithm: string): boolean {
  const hash = hashOfSignature(algorithm)
  // node:crypto takes the kind of signature from the key: an algorithm that names another kind would pass unseen.
  if (key === undefined || hash === undefined || key.asymmetricKeyType !== hash.keyType || signature.contents[0] !== 0) return false
  try {
    return verify(hash.name, info, key, signature.contents.subarray(1))
  } catch {
    return false // Bytes that are no signature.
  }
}

interface Attribute {
  readonly oid: string
  readonly values: readonly DerNode[]
}

/** What is no attribute is passed over: nobody acts on it. */
function attributesOf(list: DerNode | undefined): readonly Attribute[] {
  return (list?.children ?? []).flatMap(({ children: [type, values] }) => (type?.tag === TAG.oid ? [{ oid: oidText(type.contents), values: values?.children ?? [] }] : []))
}

/** What the request would like to have in its certificate. Unreadable wishes are wishes that nobody grants. */
function requestedExtensions(attributes: readonly Attribute[]): Pick<CsrFacts, 'requestedAltNames' | 'requestedExtensions'> {
  const extensions = attributes.flatMap(({ oid, values: [list] }) => (oid === OID_EXTENSION_REQUEST ? (list?.children ?? []) : []))
  const oids = extensions.flatMap((e) => (e.children[0]?.tag === TAG.oid ? [oidText(e.children[0].contents)] : []))
  const altNames = extensions.filter((e) => e.children[0] !== undefined && oidText(e.children[0].contents) === OID.subjectAltName).flatMap((e) => {
    const inner = readDer(e.children.at(-1)?.contents ?? new Uint8Array())
    return inner.allow ? (readAltNames(inner.value) ?? []) : []
  })
  return { requestedAltNames: altNames, requestedExtensions: oids }
}

/** The request as it would be if this key, which was made here, were the requester's own. */
export function underKey(csr: CsrFacts, key: KeyObject): CsrFacts {
  const spki = spkiOf(key)
  return { ...csr, key: keyFacts(spki), spki, possessionProven: true, signatureAlgorithm: signingAlgorithm(key)?.oid ?? csr.signatureAlgorithm }
}

/** A request in PEM, signed by this private key, whose subject is one common name. */
export function makeCsr(key: KeyObject, commonName: string): string {
  const algorithm = signingAlgorithm(key)
  if (algorithm === undefined) throw new TypeError(`no request can be signed with a key of type ${key.asymmetricKeyType ?? 'unknown'}`)
  const info = tlv(TAG.sequence, encode(new asn1js.Integer({ value: 0 })), encodeName({ commonName }), spkiOf(key), tlv(TAG_ATTRIBUTES))
  const signature = sign(algorithm.name, info, key)
  return encodePem('CERTIFICATE REQUEST', tlv(TAG.sequence, info, algorithm.identifier, tlv(TAG.bitString, Uint8Array.of(0), signature)))
}
