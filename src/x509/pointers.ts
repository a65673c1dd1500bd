// Where a certificate points: to its issuer's certificate, an OCSP responder and a CRL (RFC 5280 §4.2.1.13, §4.2.2.1), and
// the mark of an OCSP responder that is not to be asked about itself (RFC 6960 §4.2.2.2.1). Written and read back here.

import { encodeExtension, encodeOid, oidText, readDer, TAG, tlv, type DerNode } from './der.ts'
import { certificateParts } from './certificate.ts'
import { OID } from './extensions.ts'

/** URIs, ASCII. What is absent is not in the certificate. */
export interface Pointers {
  readonly issuer?: string
  readonly ocsp?: string
  readonly crl?: string
  readonly ocspNoCheck?: true
}

const OID_CA_ISSUERS = '1.3.6.1.5.5.7.48.2'
const OID_OCSP = '1.3.6.1.5.5.7.48.1'
const TAG_URI = 0x86
const TAG_0 = 0xa0

const uri = (text: string): Uint8Array => tlv(TAG_URI, Buffer.from(text, 'latin1'))

/** A DistributionPointName whose full name is one URI. */
export function distributionPointName(text: string): Uint8Array {
  return tlv(TAG_0, tlv(TAG_0, uri(text)))
}

/** The extensions in a fixed order, none of them critical. */
export function pointerExtensions({ issuer, ocsp, crl, ocspNoCheck }: Pointers): readonly Uint8Array[] {
  const access = [
    ...(ocsp === undefined ? [] : [tlv(TAG.sequence, encodeOid(OID_OCSP), uri(ocsp))]),
    ...(issuer === undefined ? [] : [tlv(TAG.sequence, encodeOid(OID_CA_ISSUERS), uri(issuer))]),
  ]
  return [
    ...(access.length === 0 ? [] : [encodeExtension(OID.authorityInfoAccess, false, tlv(TAG.sequence, ...access))]),
    ...(crl === undefined ? [] : [encodeExtension(OID.cRLDistributionPoints, false, tlv(TAG.sequence, tlv(TAG.sequence, distributionPointName(crl))))]),
    ...(ocspNoCheck === undefined ? [] : [encodeExtension(OID.ocspNoCheck, false, tlv(TAG.null))]),
  ]
}

/** The pointers of a certificate that has them in the form in which they are written here; undefined for any other form. */
export function readPointers(der: Uint8Array): Pointers | undefined {
  const parts = certificateParts(der)
  if (!parts.allow) return undefined
  const found: { -readonly [K in keyof Pointers]: Pointers[K] } = {}
  for (const { children } of parts.value.extensions?.children ?? []) {
    const oid = children[0] === undefined ? '' : oidText(children[0].contents)
    const value = readDer(children.at(-1)?.contents ?? new Uint8Array())
    if (!Object.hasOwn(READERS, oid)) continue
    const read = value.allow && children.length === 2 ? READERS[oid]?.(value.value) : undefined
    if (read === undefined) return undefined
    Object.assign(found, read)
  }
  return found
}

const text = (node: DerNode | undefined): string | undefined => (node?.tag === TAG_URI ? Buffer.from(node.contents).toString('latin1') : undefined)

const READERS: Readonly<Record<string, (node: DerNode) => Pointers | undefined>> = {
  [OID.authorityInfoAccess](node) {
    const found: { issuer?: string; ocsp?: string } = {}
    for (const { children: [method, location] } of node.children) {
      const [oid, where] = [method === undefined ? '' : oidText(method.contents), text(location)]
      if (where === undefined) return undefined
      if (oid === OID_OCSP && found.ocsp === undefined) found.ocsp = where
      else if (oid === OID_CA_ISSUERS && found.issuer === undefined) found.issuer = where
      else return undefined
    }
    return found
  },
  [OID.cRLDistributionPoints](node) {
    const crl = text(node.children[0]?.children[0]?.children[0]?.children[0])
    return crl === undefined || node.children.length !== 1 ? undefined : { crl }
  },
  [OID.ocspNoCheck]: (node) => (node.tag === TAG.null ? { ocspNoCheck: true } : undefined),
}
