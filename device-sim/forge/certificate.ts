// Certificates that a CA would refuse to make: every field is the caller's. It signs what it is told and judges nothing.

import { createHash, createPublicKey, randomBytes, sign, type KeyObject } from 'node:crypto'
import { Boolean as Asn1Boolean, Constructed, Integer, Primitive } from 'asn1js'
import { arrayBuffer, bits, der, elements, integer, octets, oid, OID, raw, sequence, time, tlv, type Encodable } from './der.ts'

export interface ForgedExtension {
  readonly id: string
  readonly critical: boolean
  /** The extnValue's content, DER. */
  readonly value: Buffer
}

export interface CertificatePlan {
  /** Names in DER. */
  readonly subject: Buffer
  readonly issuer: Buffer
  /** The content octets of the serial number; 16 random ones when absent. */
  readonly serial?: Uint8Array | undefined
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  /** In place of the two: the times as they are to be written. */
  readonly times?: readonly [Encodable, Encodable] | undefined
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /** Built ones, or whole extensions copied from another certificate, DER. None at all: the list is left out. */
  readonly extensions: readonly (ForgedExtension | Buffer)[]
  readonly signWith: KeyObject
  /** 3 when absent. Version 1 is not written: it is the default. */
  readonly version?: number | undefined
  /** What is signed with, and what is said about it inside and outside of the signed part. */
  readonly signature?: ForgedSignature | undefined
}

export interface ForgedSignature {
  /** Null: the kind of key says it. */
  readonly hash: string | null
  readonly inner: Encodable
  readonly outer: Encodable
  /** In place of signing with the key. */
  readonly sign?: (tbs: Buffer) => Buffer
}

/** The certificate in DER, signed with SHA-256 unless something else is wished for. */
export function forgeCertificate(plan: CertificatePlan): Buffer {
  const algorithm = signatureAlgorithm(plan.signWith)
  const { hash, inner, outer, sign: signIt } = plan.signature ?? { hash: digestOf(plan.signWith), inner: algorithm, outer: algorithm }
  const version = plan.version ?? 3
  const tbs = der(sequence(
    ...(version === 1 ? [] : [new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [new Integer({ value: version - 1 })] })]),
    integer(plan.serial ?? randomSerial()),
    inner,
    raw(plan.issuer),
    sequence(...(plan.times ?? [time(plan.notBefore), time(plan.notAfter)])),
    raw(plan.subject),
    raw(plan.spki),
    ...(plan.extensions.length === 0 ? [] : [new Constructed({ idBlock: { tagClass: 3, tagNumber: 3 }, value: [sequence(...plan.extensions.map((e) => (Buffer.isBuffer(e) ? raw(e) : extensionBlock(e))))] })]),
  ))
  return der(sequence(raw(tbs), outer, bits(signIt === undefined ? sign(hash, tbs, plan.signWith) : signIt(tbs))))
}

function digestOf(key: KeyObject): string | null {
  return key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
}

export function signatureAlgorithm(key: KeyObject): Encodable {
  switch (key.asymmetricKeyType) {
    case 'rsa': return rsaAlgorithm(OID.sha256WithRsa)
    case 'ed25519': return sequence(oid(OID.ed25519))
    default: return sequence(oid(OID.ecdsaWithSha256))
  }
}

/** RSA's algorithms have parameters, and they are NULL. RFC 4055 §5. */
export function rsaAlgorithm(id: string): Encodable {
  return sequence(oid(id), raw(Buffer.from([0x05, 0x00])))
}

export function extensionBlock(extension: ForgedExtension): Encodable {
  const critical = extension.critical ? [new Asn1Boolean({ value: true })] : []
  return sequence(oid(extension.id), ...critical, octets(extension.value))
}

/** 16 octets, positive, no leading zero. */
function randomSerial(): Buffer {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

export function keyIdentifier(publicKeyInfo: Buffer): Buffer {
  const [, key] = elements(publicKeyInfo)
  // The BIT STRING's content without its count of unused bits. RFC 5280 §4.2.1.2 (1).
  const headerBytes = (key?.[1] ?? 0) < 0x80 ? 2 : 2 + ((key?.[1] ?? 0) & 0x7f)
  return createHash('sha1').update(key?.subarray(headerBytes + 1) ?? '').digest()
}

export function basicConstraints(ca: boolean, pathLength?: number): ForgedExtension {
  const fields = [...(ca ? [new Asn1Boolean({ value: true })] : []), ...(pathLength === undefined ? [] : [new Integer({ value: pathLength })])]
  return { id: OID.basicConstraints, critical: true, value: der(sequence(...fields)) }
}

const KEY_USAGE_BIT = { digitalSignature: 0, keyEncipherment: 2, keyAgreement: 4, keyCertSign: 5, cRLSign: 6 } as const

export function keyUsage(...usages: readonly (keyof typeof KEY_USAGE_BIT)[]): ForgedExtension {
  const byte = usages.reduce((value, usage) => value | (0x80 >> KEY_USAGE_BIT[usage]), 0)
  // DER: no trailing zero bits in a named bit list. X.690 §11.2.2.
  let unused = 0
  while (unused < 7 && ((byte >> unused) & 1) === 0) unused += 1
  return { id: OID.keyUsage, critical: true, value: der(bits(Buffer.from([byte]), unused)) }
}

export function extendedKeyUsage(...oids: readonly string[]): ForgedExtension {
  return { id: OID.extendedKeyUsage, critical: false, value: der(sequence(...oids.map(oid))) }
}

/** DNS names, IPv4 addresses and URIs. */
export function subjectAltNames(names: readonly string[]): ForgedExtension {
  return { id: OID.subjectAltName, critical: false, value: der(sequence(...names.map(generalName))) }
}

function generalName(text: string): Encodable {
  const address = /^\d+\.\d+\.\d+\.\d+$/.test(text)
  const bytes = address ? Buffer.from(text.split('.').map(Number)) : Buffer.from(text)
  return new Primitive({ idBlock: { tagClass: 3, tagNumber: address ? 7 : text.includes('://') ? 6 : 2 }, valueHex: arrayBuffer(bytes) })
}

/** Subtrees of DNS names and URI hosts, or of one directory name in DER. RFC 5280 §4.2.1.10. */
export function nameConstraints(kind: 'permitted' | 'excluded', bases: readonly (string | Buffer)[]): ForgedExtension {
  const subtree = (base: string | Buffer): Buffer => der(sequence(Buffer.isBuffer(base) ? raw(tlv(0xa4, base)) : generalName(base)))
  const list = raw(tlv(kind === 'permitted' ? 0xa0 : 0xa1, Buffer.concat(bases.map(subtree))))
  return { id: OID.nameConstraints, critical: true, value: der(sequence(list)) }
}

export function subjectKeyId(id: Buffer): ForgedExtension {
  return { id: OID.subjectKeyId, critical: false, value: der(octets(id)) }
}

export function authorityKeyId(id: Buffer): ForgedExtension {
  const keyId = new Primitive({ idBlock: { tagClass: 3, tagNumber: 0 }, valueHex: arrayBuffer(id) })
  return { id: OID.authorityKeyId, critical: false, value: der(sequence(keyId)) }
}

/** The fields of a certificate that a forger copies, as bytes. */
export interface CopiedFields {
  readonly serial: Buffer
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly spki: Buffer
  readonly extensions: readonly { readonly id: string; readonly der: Buffer }[]
}

/** Reads a version 3 certificate by the places of its fields. RFC 5280 §4.1. */
export function readCertificate(certificate: Uint8Array): CopiedFields {
  const [tbs] = elements(certificate)
  const [, serial, , issuer, , subject, publicKeyInfo, wrapped] = elements(tbs ?? Buffer.alloc(0))
  if (serial === undefined || issuer === undefined || subject === undefined || publicKeyInfo === undefined) throw new Error('not a version 3 certificate')
  const list = wrapped === undefined ? [] : elements(content(wrapped))
  const extensions = list.map((extension) => ({ id: dotted(elements(extension)[0] ?? Buffer.alloc(0)), der: extension }))
  return { serial: content(serial), issuer, subject, spki: publicKeyInfo, extensions }
}

/** What is inside one TLV. */
export function content(tlv: Buffer): Buffer {
  const first = tlv[1] ?? 0
  return tlv.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f))
}

function dotted(tlv: Buffer): string {
  const bytes = content(tlv)
  const arcs: number[] = []
  let value = 0
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f)
    if ((byte & 0x80) !== 0) continue
    if (arcs.length === 0) arcs.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)))
    else arcs.push(value)
    value = 0
  }
  return arcs.join('.')
}

export function pem(label: 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'X509 CRL', bytes: Uint8Array): string {
  const lines = Buffer.from(bytes).toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** All blocks of this label, DER. */
export function unpem(text: string, label = 'CERTIFICATE'): readonly Buffer[] {
  const blocks = text.matchAll(new RegExp(`-----BEGIN ${label}-----([^-]*)-----END ${label}-----`, 'g'))
  return [...blocks].map((block) => Buffer.from(block[1] ?? '', 'base64'))
}

export function publicKeyOf(certificate: Uint8Array): KeyObject {
  return createPublicKey({ key: readCertificate(certificate).spki, format: 'der', type: 'spki' })
}
