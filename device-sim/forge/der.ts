// ASN.1 values of the forge: names, times, object identifiers, raw DER. It composes what the caller asks for, legal or
// not; it judges nothing. asn1js does the encoding.

import { BitString, GeneralizedTime, Integer, ObjectIdentifier, OctetString, Sequence, UTCTime, fromBER } from 'asn1js'

/** Anything that asn1js can encode. */
export interface Encodable {
  toBER(sizeOnly?: boolean, writer?: { write(bytes: ArrayBuffer): void }): ArrayBuffer
}

export interface Attribute {
  /** The dotted OID. */
  readonly type: string
  /** Text, or the content octets as they are, with the tag of the encoding. */
  readonly value: string | Buffer
  readonly encoding?: keyof typeof STRING_TAG
}

const STRING_TAG = { utf8: 0x0c, printable: 0x13, teletex: 0x14, bmp: 0x1e } as const
/** A name as RDNs, each a list of attributes: two attributes in one RDN is the multi-valued kind. */
export type ForgedName = readonly (readonly Attribute[])[]

export const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  userId: '0.9.2342.19200300.100.1.1',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  crlDistributionPoints: '2.5.29.31',
  crlNumber: '2.5.29.20',
  extensionRequest: '1.2.840.113549.1.9.14',
  challengePassword: '1.2.840.113549.1.9.7',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha1: '1.2.840.10045.4.1',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  sha256WithRsa: '1.2.840.113549.1.1.11',
  sha1WithRsa: '1.2.840.113549.1.1.5',
  md5WithRsa: '1.2.840.113549.1.1.4',
  ed25519: '1.3.101.112',
  ecPublicKey: '1.2.840.10045.2.1',
  primeField: '1.2.840.10045.1.1',
  rsaEncryption: '1.2.840.113549.1.1.1',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  anyExtendedKeyUsage: '2.5.29.37.0',
} as const

export function der(value: Encodable): Buffer {
  return Buffer.from(value.toBER(false))
}

export function sequence(...value: readonly Encodable[]): Sequence {
  return new Sequence({ value: value.map(asBlock) })
}

/** DER that is already encoded, put in as it stands. */
export function raw(bytes: Uint8Array): Encodable {
  const data = arrayBuffer(bytes)
  return {
    // asn1js encodes the children of a SEQUENCE into its writer and looks at what they return only for their size. Its own
    // RawData does not write, and would vanish.
    toBER(_sizeOnly, writer) {
      writer?.write(data)
      return data
    },
  }
}

/** A SET of these encodings, as they stand. */
export function setOf(values: readonly Buffer[]): Buffer {
  return tlv(0x31, Buffer.concat(values))
}

export function oid(dotted: string): ObjectIdentifier {
  return new ObjectIdentifier({ value: dotted })
}

export function octets(bytes: Uint8Array): OctetString {
  return new OctetString({ valueHex: arrayBuffer(bytes) })
}

export function bits(bytes: Uint8Array, unusedBits = 0): BitString {
  return new BitString({ valueHex: arrayBuffer(bytes), unusedBits })
}

/** An INTEGER with exactly these content octets. */
export function integer(content: Uint8Array): Integer {
  return new Integer({ valueHex: arrayBuffer(content) })
}

/** A string of that type, whether its octets are of that type or not. */
function text({ value, encoding = 'utf8' }: Attribute): Encodable {
  const octetsOf = (plain: string): Buffer => (encoding === 'bmp' ? Buffer.from(plain, 'utf16le').swap16() : Buffer.from(plain, encoding === 'utf8' ? 'utf8' : 'latin1'))
  return raw(tlv(STRING_TAG[encoding], Buffer.isBuffer(value) ? value : octetsOf(value)))
}

/** One element with this tag, its length in the shortest form. */
export function tlv(tag: number, contents: Buffer): Buffer {
  const length = contents.length.toString(16)
  const long = Buffer.from(length.length % 2 === 0 ? length : `0${length}`, 'hex')
  return Buffer.concat([Buffer.from(contents.length < 0x80 ? [tag, contents.length] : [tag, 0x80 | long.length, ...long]), contents])
}

export function name(rdns: ForgedName): Buffer {
  const sets = rdns.map((rdn) => raw(tlv(0x31, Buffer.concat(rdn.map((attribute) => der(sequence(oid(attribute.type), text(attribute))))))))
  return der(sequence(...sets))
}

/** CN=<value>, in an RDN of its own. */
export function commonName(value: string): ForgedName {
  return [[{ type: OID.commonName, value }]]
}

/** UTCTime until 2049, GeneralizedTime after [RFC 5280 §4.1.2.5]; whole seconds. */
export function time(at: number): Encodable {
  const valueDate = new Date(Math.floor(at / 1_000) * 1_000)
  return valueDate.getUTCFullYear() < 2050 ? new UTCTime({ valueDate }) : new GeneralizedTime({ valueDate })
}

export function arrayBuffer(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length)
  new Uint8Array(copy).set(bytes)
  return copy
}

/** The elements of a SEQUENCE in DER, each as its own bytes. */
export function elements(bytes: Uint8Array): readonly Buffer[] {
  const parsed = fromBER(arrayBuffer(bytes))
  if (!(parsed.result instanceof Sequence)) throw new Error('the forge expected a SEQUENCE')
  return parsed.result.valueBlock.value.map((element) => Buffer.from(element.valueBeforeDecodeView))
}

type Block = NonNullable<NonNullable<ConstructorParameters<typeof Sequence>[0]>['value']>[number]
// asn1js types the children of a SEQUENCE as its own classes, though it only ever calls toBER of them.
function asBlock(value: Encodable): Block {
  return value as unknown as Block
}
