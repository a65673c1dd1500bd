// Certificate requests: honest ones, and ones that lie about their key, their name, or ask for what no device may have.
// RFC 2986. It signs what it is told and judges nothing.

import { sign, type KeyObject } from 'node:crypto'
import { Constructed, Integer, Set as Asn1Set } from 'asn1js'
import { bits, commonName, der, name, oid, OID, raw, sequence, type ForgedName } from './der.ts'
import { basicConstraints, extendedKeyUsage, extensionBlock, keyUsage, pem, signatureAlgorithm, subjectAltNames, type ForgedExtension } from './certificate.ts'
import { spki } from './keys.ts'

export interface RequestWishes {
  readonly subject?: ForgedName
  readonly extensions?: readonly ForgedExtension[]
  /** Signs in place of the key that the request asks to certify. E01. */
  readonly signWith?: KeyObject
}

/** A PKCS#10 request in PEM. */
export function forgeRequest(key: KeyObject, id: string, wishes: RequestWishes = {}): string {
  const signer = wishes.signWith ?? key
  const extensions = wishes.extensions ?? []
  const attributes = extensions.length === 0
    ? []
    : [sequence(oid(OID.extensionRequest), new Asn1Set({ value: [sequence(...extensions.map(extensionBlock))] }))]
  const info = der(sequence(
    new Integer({ value: 0 }),
    raw(name(wishes.subject ?? commonName(id))),
    raw(spki(key)),
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: attributes }),
  ))
  return pem('CERTIFICATE REQUEST', der(sequence(raw(info), signatureAlgorithm(signer), bits(sign('sha256', info, signer)))))
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
