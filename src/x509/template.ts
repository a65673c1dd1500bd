// Certificates as templates: what is the same for every certificate of one profile and issuer is encoded once, through
// pkijs; what differs is filled in. The result is the TBSCertificate that is linted, signed and read again.

import { createHash } from 'node:crypto'
import * as asn1js from 'asn1js'
import * as pkijs from 'pkijs'
import { KEY_USAGE_BITS, type KeyUsageBit, type SubjectAltName } from '../core/certificate.ts'
import type { EpochMs } from '../core/ids.ts'
import { encode, encodeTime, readDer, TAG, tlv } from './der.ts'
import { OID } from './extensions.ts'
import { permittedBelow } from './permitted-names.ts'
import { pointerExtensions, type Pointers } from './pointers.ts'

export interface TemplateFacts {
  /** The issuer's subject and subject key identifier, as they stand in its certificate; empty for a root. */
  readonly issuerDer: Uint8Array
  readonly authorityKeyId: Uint8Array | undefined
  /** AlgorithmIdentifier of the issuer's signatures, DER. */
  readonly signatureIdentifier: Uint8Array
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength?: number }
  readonly keyUsage: readonly KeyUsageBit[]
  readonly extendedKeyUsage: readonly string[]
  /** Of a CA: the name (DER) below which it permits subjects. */
  readonly permitted?: Uint8Array | undefined
}

/** What differs from certificate to certificate. */
export interface TemplateValues {
  /** 16 octets, positive. */
  readonly serial: Uint8Array
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
  readonly subjectDer: Uint8Array
  readonly spki: Uint8Array
  readonly subjectAltNames: readonly SubjectAltName[]
  /** Of a key that has an identifier already, by which others know it; otherwise it is computed. */
  readonly subjectKeyId?: Uint8Array
  readonly pointers?: Pointers
}

export type CertificateTemplate = (values: TemplateValues) => Uint8Array

const TAG_EXPLICIT_0 = 0xa0
const TAG_EXPLICIT_3 = 0xa3
const VERSION_3 = tlv(TAG_EXPLICIT_0, tlv(TAG.integer, Uint8Array.of(2)))

function extension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  const extnValue = Uint8Array.from(value).buffer
  return encode(new pkijs.Extension({ extnID: oid, critical, extnValue }).toSchema())
}

function keyUsageBits(usages: readonly KeyUsageBit[]): Uint8Array {
  const highest = Math.max(...usages.map((u) => KEY_USAGE_BITS.indexOf(u)))
  const bytes = new Uint8Array(1 + (highest >> 3) + 1)
  for (const usage of usages) {
    const bit = KEY_USAGE_BITS.indexOf(usage)
    bytes[1 + (bit >> 3)] = (bytes[1 + (bit >> 3)] ?? 0) | (0x80 >> (bit & 7))
  }
  // DER: trailing zero bits of a named bit list are left out. X.690 §11.2.2.
  bytes[0] = 7 - (highest & 7)
  return tlv(TAG.bitString, bytes)
}

/** The first 160 bits of SHA-256 over the public key's bits. RFC 7093 §2 method 1. */
export function subjectKeyId(spki: Uint8Array): Uint8Array {
  const info = readDer(spki)
  const bits = info.allow ? info.value.children[1] : undefined
  if (bits?.tag !== TAG.bitString) throw new TypeError('not a SubjectPublicKeyInfo')
  // The first octet counts unused bits.
  return createHash('sha256').update(bits.contents.subarray(1)).digest().subarray(0, 20)
}

/** Context-specific, primitive. RFC 5280 §4.2.1.6. */
const GENERAL_NAME_TAGS = { email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87 } as const

/** GeneralNames, DER. Throws TypeError for a name of unknown kind. */
export function encodeAltNames(names: readonly SubjectAltName[]): Uint8Array {
  const general = names.map(({ kind, value }) => {
    if (kind === 'other') throw new TypeError('an alternative name of unknown kind cannot be written')
    return tlv(GENERAL_NAME_TAGS[kind], kind === 'ip' ? ipBytes(value) : Buffer.from(value, 'latin1'))
  })
  return tlv(TAG.sequence, ...general)
}

function ipBytes(text: string): Uint8Array<ArrayBuffer> {
  if (!text.includes(':')) return Uint8Array.from(text.split('.'), Number)
  // The last four octets may be written as IPv4. RFC 4291 §2.2.
  const [, before = '', a, b, c, d] = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text) ?? []
  if (a !== undefined) return ipBytes(`${before}${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`)
  const [head = '', tail] = text.split('::')
  const front = head.split(':').filter((g) => g !== '')
  const back = (tail ?? '').split(':').filter((g) => g !== '')
  const groups = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back].map((g) => Number.parseInt(g, 16))
  return Uint8Array.from(groups.flatMap((g) => [g >> 8, g & 0xff]))
}

/** Encodes what does not change. The order of extensions is fixed, so that equal plans give equal bytes. */
export function openTemplate(facts: TemplateFacts): CertificateTemplate {
  const { basicConstraints, keyUsage, extendedKeyUsage, authorityKeyId } = facts
  const fixed = [
    extension(OID.basicConstraints, true, encode(new pkijs.BasicConstraints({ cA: basicConstraints.ca, ...(basicConstraints.pathLength === undefined ? {} : { pathLenConstraint: basicConstraints.pathLength }) }).toSchema())),
    extension(OID.keyUsage, true, keyUsageBits(keyUsage)),
    ...(extendedKeyUsage.length === 0 ? [] : [extension(OID.extKeyUsage, false, encode(new pkijs.ExtKeyUsage({ keyPurposes: [...extendedKeyUsage] }).toSchema()))]),
  ]
  // Critical, always. RFC 5280 §4.2.1.10.
  const constraints = facts.permitted === undefined ? [] : [extension(OID.nameConstraints, true, permittedBelow(facts.permitted))]
  const authority = authorityKeyId === undefined ? [] : [extension(OID.authorityKeyIdentifier, false, encode(new pkijs.AuthorityKeyIdentifier({ keyIdentifier: new asn1js.OctetString({ valueHex: Uint8Array.from(authorityKeyId).buffer }) }).toSchema()))]

  return ({ serial, notBefore, notAfter, subjectDer, spki, subjectAltNames, pointers, subjectKeyId: identifier = subjectKeyId(spki) }) => {
    const varying = [
      extension(OID.subjectKeyIdentifier, false, tlv(TAG.octetString, identifier)),
      ...authority,
      ...(subjectAltNames.length === 0 ? [] : [extension(OID.subjectAltName, false, encodeAltNames(subjectAltNames))]),
      ...constraints,
      ...pointerExtensions(pointers ?? {}),
    ]
    return tlv(
      TAG.sequence,
      VERSION_3,
      tlv(TAG.integer, serial),
      facts.signatureIdentifier,
      facts.issuerDer.length === 0 ? subjectDer : facts.issuerDer,
      tlv(TAG.sequence, encodeTime(notBefore), encodeTime(notAfter)),
      subjectDer,
      spki,
      tlv(TAG_EXPLICIT_3, tlv(TAG.sequence, ...fixed, ...varying)),
    )
  }
}

/** tbs, algorithm and signature joined: a certificate. */
export function joinCertificate(tbs: Uint8Array, signatureIdentifier: Uint8Array, signature: Uint8Array): Uint8Array {
  return tlv(TAG.sequence, tbs, signatureIdentifier, tlv(TAG.bitString, Uint8Array.of(0), signature))
}
