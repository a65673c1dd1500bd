// A certificate in DER → CertificateFacts. It reports what is there, also what should not be; whether a certificate is good
// is for core/certificate-rules.ts to say.

import { createHash } from 'node:crypto'
import type { CertificateFacts } from '../core/certificate.ts'
import { allow, deny, type Decision } from '../core/decision.ts'
import type { Fingerprint } from '../core/ids.ts'
import { decodeTime, oidText, readDer, TAG, type DerNode } from './der.ts'
import { readExtensions } from './extensions.ts'
import { keyFacts } from './keys.ts'
import { readName } from './names.ts'

const TAG_VERSION = 0xa0
const TAG_EXTENSIONS = 0xa3
/** issuerUniqueID and subjectUniqueID: allowed by X.509, used by nobody. */
const TAG_UNIQUE_IDS: readonly number[] = [0x81, 0x82]

const bytesEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** The parts of a certificate, as they stand in its DER. RFC 5280 §4.1. */
export interface CertificateParts {
  readonly tbs: DerNode
  readonly version: number
  readonly serial: DerNode
  readonly innerAlgorithm: DerNode
  readonly issuer: DerNode
  readonly notBefore: DerNode
  readonly notAfter: DerNode
  readonly subject: DerNode
  readonly spki: DerNode
  readonly extensions: DerNode | undefined
  readonly outerAlgorithm: DerNode
  readonly signature: DerNode
}

const bad = (what: string): Decision<never> => deny('certificate-malformed', what)

/** Takes a certificate apart. Reason: certificate-malformed. */
export function certificateParts(der: Uint8Array): Decision<CertificateParts> {
  const root = readDer(der)
  if (!root.allow) return root
  const [tbs, outerAlgorithm, signature] = root.value.children
  if (root.value.tag !== TAG.sequence || root.value.children.length !== 3 || tbs?.tag !== TAG.sequence || outerAlgorithm?.tag !== TAG.sequence || signature?.tag !== TAG.bitString) return bad('not a Certificate')
  const fields = [...tbs.children]
  const version = readVersion(fields[0]?.tag === TAG_VERSION ? fields.shift() : undefined)
  const [serial, innerAlgorithm, issuer, validity, subject, spki, ...rest] = fields
  const [notBefore, notAfter] = validity?.children ?? []
  if (version === undefined) return bad('a malformed version')
  if (serial?.tag !== TAG.integer || innerAlgorithm?.tag !== TAG.sequence || issuer === undefined || notBefore === undefined || notAfter === undefined || validity?.tag !== TAG.sequence || validity.children.length !== 2 || subject === undefined || spki?.tag !== TAG.sequence) return bad('not a TBSCertificate')
  const last = rest.at(-1)
  const wrapper = last?.tag === TAG_EXTENSIONS ? last : undefined
  if (rest.some((f) => f !== wrapper && !TAG_UNIQUE_IDS.includes(f.tag))) return bad('unknown fields in TBSCertificate')
  const extensions = wrapper?.children[0]
  // SEQUENCE SIZE (1..MAX): a wrapper around nothing, or around two lists, is not a list of extensions.
  if (wrapper !== undefined && (wrapper.children.length !== 1 || extensions?.tag !== TAG.sequence || extensions.children.length === 0)) return bad('malformed extensions')
  return allow({ tbs, version, serial, innerAlgorithm, issuer, notBefore, notAfter, subject, spki, extensions, outerAlgorithm, signature })
}

/** [0] EXPLICIT INTEGER DEFAULT v1, so an explicit v1 is not DER. */
function readVersion(wrapper: DerNode | undefined): number | undefined {
  if (wrapper === undefined) return 1
  const [version, ...more] = wrapper.children
  const number = version?.contents[0] ?? 0
  return version?.tag === TAG.integer && version.contents.length === 1 && more.length === 0 && number > 0 && number < 0x80 ? number + 1 : undefined
}

/** Reads one certificate of at most X509_LIMITS.certificateBytesMax. Never throws. Reason: certificate-malformed. */
export function parseCertificate(der: Uint8Array): Decision<CertificateFacts> {
  const taken = certificateParts(der)
  if (!taken.allow) return taken
  const parts = taken.value
  const issuer = readName(parts.issuer)
  const subject = readName(parts.subject)
  if (issuer === undefined || subject === undefined) return bad('a malformed name')
  const notBefore = decodeTime(parts.notBefore)
  const notAfter = decodeTime(parts.notAfter)
  if (notBefore === undefined || notAfter === undefined) return bad('a malformed time')
  const extensions = readExtensions(parts.extensions)
  if (extensions === undefined) return bad('malformed extensions')
  const algorithm = parts.outerAlgorithm.children[0]
  if (algorithm?.tag !== TAG.oid) return bad('a malformed signature algorithm')
  const serialDerHex = Buffer.from(parts.serial.contents).toString('hex')
  return allow({
    sha256: createHash('sha256').update(der).digest('hex') as Fingerprint,
    version: parts.version,
    serialDerHex,
    // A leading zero octet only keeps the number positive.
    serial: serialDerHex.length > 2 && serialDerHex.startsWith('00') ? serialDerHex.slice(2) : serialDerHex,
    issuer, subject, notBefore, notAfter,
    issuerDerHex: Buffer.from(parts.issuer.raw).toString('hex'),
    subjectDerHex: Buffer.from(parts.subject.raw).toString('hex'),
    key: keyFacts(parts.spki.raw),
    signatureAlgorithm: oidText(algorithm.contents),
    signatureAlgorithmsAgree: bytesEqual(parts.innerAlgorithm.raw, parts.outerAlgorithm.raw),
    ...extensions,
  })
}
