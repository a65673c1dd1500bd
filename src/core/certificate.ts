// What a certificate says, as facts, and the rules that our CA and our door hold every certificate to. x509/ turns DER
// into these facts; nothing here touches bytes. OpenSSL accepts much that these rules refuse (docs/threats.md).

import type { Fingerprint, KeyHash, EpochMs } from './ids.ts'

export type KeyAlgorithm = 'ec' | 'rsa' | 'ed25519' | 'ed448' | 'other'

export interface KeyFacts {
  readonly algorithm: KeyAlgorithm
  /** Of an EC key: 'P-256', 'P-384', 'P-521' or the dotted OID of another curve; undefined for explicit parameters. */
  readonly curve?: string
  /** Of an RSA key: the size of the modulus in bits. */
  readonly bits?: number
  /** Of an RSA key: the public exponent, as a decimal. */
  readonly exponent?: string
  /** Set when the private key is known or can be computed: why. */
  readonly weakness?: string
  /** SHA-256 over the SubjectPublicKeyInfo as it stands in the DER. */
  readonly spkiSha256: KeyHash
}

/** Short names of attributes, as RFC 4514 §3 and X.520 have them: those that x509/ knows and a policy can speak of. */
export const ATTRIBUTE_SHORT_NAMES = ['CN', 'SN', 'serialNumber', 'C', 'L', 'ST', 'street', 'O', 'OU', 'title', 'GN', 'dnQualifier', 'UID', 'DC', 'emailAddress'] as const

/** One attribute of a name, e.g. {type: '2.5.4.3', short: 'CN', value: 'sensor-7'}. */
export interface NameAttribute {
  /** The dotted OID. */
  readonly type: string
  /** The short name of RFC 4514 §3 and X.520 where it has one: CN, OU, O, C, L, ST, UID, serialNumber … */
  readonly short?: string
  /** Decoded strictly by its tag; undefined when the bytes are not valid for their tag. */
  readonly value?: string
}

/** A name is a sequence of RDNs; each RDN a set of attributes. */
export type NameFacts = readonly (readonly NameAttribute[])[]

export type SubjectAltName =
  | { readonly kind: 'dns' | 'uri' | 'email'; readonly value: string }
  | { readonly kind: 'ip'; readonly value: string }
  | { readonly kind: 'other'; readonly value: string }

/** One base of a name constraint; `ip` is address and mask in hex. RFC 5280 §4.2.1.10. */
export type NameSubtree =
  | { readonly kind: 'dns' | 'uri' | 'email' | 'ip' | 'other'; readonly value: string }
  | { readonly kind: 'directory'; readonly name: NameFacts }

export interface NameConstraints {
  readonly permitted: readonly NameSubtree[]
  readonly excluded: readonly NameSubtree[]
}

export const KEY_USAGE_BITS = [
  'digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement',
  'keyCertSign', 'cRLSign', 'encipherOnly', 'decipherOnly',
] as const
export type KeyUsageBit = (typeof KEY_USAGE_BITS)[number]

/** Extended key usages that Sallyport knows by name. RFC 5280 §4.2.1.12. */
export const EXTENDED_KEY_USAGES = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ocspSigning: '1.3.6.1.5.5.7.3.9',
  any: '2.5.29.37.0',
} as const

/** Everything that a rule may ask about one certificate. Times in ms since the epoch; names also as the hex of their DER. */
export interface CertificateFacts {
  readonly sha256: Fingerprint
  /** 1, 2 or 3. */
  readonly version: number
  /** The INTEGER's content octets as hex, as they stand: negative, zero and overlong serials stay visible. */
  readonly serialDerHex: string
  /** As `SerialNumber` prints it when it is one; otherwise equal to `serialDerHex`. */
  readonly serial: string
  readonly issuer: NameFacts
  readonly issuerDerHex: string
  readonly subject: NameFacts
  readonly subjectDerHex: string
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
  readonly key: KeyFacts
  /** The dotted OID of the outer signatureAlgorithm. */
  readonly signatureAlgorithm: string
  /** The signatureAlgorithm inside the signed part is the same, parameters included. RFC 5280 §4.1.1.2. */
  readonly signatureAlgorithmsAgree: boolean
  readonly basicConstraints?: { readonly ca: boolean; readonly pathLength?: number }
  readonly keyUsage?: readonly KeyUsageBit[]
  /** Dotted OIDs; an empty sequence is an empty list, an absent extension undefined. */
  readonly extendedKeyUsage?: readonly string[]
  /** Undefined when the extension is absent. */
  readonly subjectAltNames?: readonly SubjectAltName[]
  readonly authorityKeyId?: string
  readonly subjectKeyId?: string
  readonly hasNameConstraints: boolean
  /** Undefined when the extension is absent or malformed. */
  readonly nameConstraints?: NameConstraints
  /** Dotted OIDs of critical extensions that Sallyport does not process. */
  readonly unknownCritical: readonly string[]
  /** OIDs of extensions that occur more than once. RFC 5280 §4.2 forbids it. */
  readonly duplicateExtensions: readonly string[]
  /** Extensions whose value is not what their OID says, e.g. a SAN that does not decode. */
  readonly malformedExtensions: readonly string[]
}

/** Everything that a rule may ask about a certificate request. Extensions it asks for are reported, never honoured. */
export interface CsrFacts {
  readonly subject: NameFacts
  readonly key: KeyFacts
  /** The SubjectPublicKeyInfo, DER. The only thing that issuance takes from a request. */
  readonly spki: Uint8Array
  /** The request is signed by the key that it asks to certify. */
  readonly possessionProven: boolean
  readonly signatureAlgorithm: string
  readonly requestedAltNames: readonly SubjectAltName[]
  /** OIDs of the extensions asked for. */
  readonly requestedExtensions: readonly string[]
  /** OIDs of its attributes, of which the request for extensions is one. */
  readonly attributes: readonly string[]
  /** The values of challengePassword, all that there are; one that is no text is empty. RFC 2985 §5.4.1. */
  readonly challengePasswords: readonly string[]
}

/** The attributes of a name with this short name, over all RDNs. */
export function attributesOf(name: NameFacts, short: string): readonly NameAttribute[] {
  return name.flat().filter((a) => a.short === short)
}
