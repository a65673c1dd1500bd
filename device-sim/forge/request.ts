// Certificate requests: honest ones, and ones that lie about their key, their name, or ask for what no device may have.
// RFC 2986. It signs what it is told and judges nothing.

import { sign, type KeyObject } from 'node:crypto'
import { Constructed, Integer, Utf8String } from 'asn1js'
import { bits, commonName, der, name, oid, OID, raw, sequence, setOf, type ForgedName } from './der.ts'
import { basicConstraints, extendedKeyUsage, extensionBlock, keyUsage, pem, signatureAlgorithm, subjectAltNames, type ForgedExtension } from './certificate.ts'
import { spki } from './keys.ts'

/** An attribute and its values, DER. */
export interface ForgedAttribute {
  readonly id: string
  readonly values: readonly Buffer[]
}

export interface RequestWishes {
  readonly subject?: ForgedName
  readonly extensions?: readonly ForgedExtension[]
  /** Behind the request for extensions, in this order. */
  readonly attributes?: readonly ForgedAttribute[]
  /** Signs in place of the key that the request asks to certify. E01. */
  readonly signWith?: KeyObject
}

/** A PKCS#10 request in PEM. */
export function forgeRequest(key: KeyObject, id: string, wishes: RequestWishes = {}): string {
  const signer = wishes.signWith ?? key
  const extensions = wishes.extensions ?? []
  const asked = extensions.length === 0 ? [] : [{ id: OID.extensionRequest, values: [der(sequence(...extensions.map(extensionBlock)))] }]
  const attributes = [...asked, ...(wishes.attributes ?? [])].map(({ id: type, values }) => sequence(oid(type), raw(setOf(values))))
  const info = der(sequence(
    new Integer({ value: 0 }),
    raw(name(wishes.subject ?? commonName(id))),
    raw(spki(key)),
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: attributes }),
  ))
  return pem('CERTIFICATE REQUEST', der(sequence(raw(info), signatureAlgorithm(signer), bits(sign('sha256', info, signer)))))
}

/** A challengePassword: what EST binds a request to its connection with [RFC 7030 §3.5]. */
export function challengePassword(...texts: readonly string[]): ForgedAttribute {
  return { id: OID.challengePassword, values: texts.map((value) => der(new Utf8String({ value }))) }
}

/** The same request with one bit of its signature flipped; the bit lies inside the number s, so that the DER stays whole. */
export function flipSignature(requestDer: Buffer): Buffer {
  const flipped = Buffer.from(requestDer)
  flipped[flipped.length - 1] = (flipped[flipped.length - 1] ?? 0) ^ 1
  return flipped
}

const anything = der(sequence(oid(OID.anyExtendedKeyUsage)))

/** Everything that a device may not have, by the name under which the report shows it. E07. */
export const GREEDY_EXTENSIONS: Readonly<Record<string, ForgedExtension>> = {
  'CA:TRUE': basicConstraints(true, 3),
  'keyCertSign': keyUsage('digitalSignature', 'keyCertSign', 'cRLSign'),
  'EKU serverAuth, codeSigning, any': extendedKeyUsage(OID.clientAuth, OID.serverAuth, OID.codeSigning, OID.anyExtendedKeyUsage),
  'SAN': subjectAltNames(['localhost', 'admin', '127.0.0.1']),
  'name constraints': { id: OID.nameConstraints, critical: true, value: der(sequence()) },
  'policies': { id: OID.certificatePolicies, critical: false, value: der(sequence(raw(anything))) },
  'CRL distribution points': { id: OID.crlDistributionPoints, critical: false, value: der(sequence(sequence())) },
  'authority information': { id: OID.authorityInfoAccess, critical: false, value: der(sequence()) },
}
