// Certificate authorities of the forge: honest ones for the simulator's own home and its false servers, strangers, and
// look-alikes of a real one. It knows how to make leaves; what a leaf is missing is the caller's choice.

import type { KeyObject } from 'node:crypto'
import {
  authorityKeyId, basicConstraints, content, extendedKeyUsage, forgeCertificate, keyIdentifier, keyUsage, publicKeyOf, readCertificate,
  subjectAltNames, subjectKeyId, type CopiedFields, type ForgedExtension, type ForgedSignature,
} from './certificate.ts'
import { commonName, elements, name, OID, type Encodable, type ForgedName } from './der.ts'
import { privateKey, spki } from './keys.ts'

const DAY = 24 * 3_600 * 1_000

export interface ForgedAuthority {
  /** DER. */
  readonly certificate: Buffer
  readonly key: KeyObject
}

export interface ForgedLeaf {
  readonly certificate: Buffer
  readonly key: KeyObject
}

export function forgeRoot(organisation: string): ForgedAuthority {
  const key = privateKey()
  const subject = name([[{ type: OID.organization, value: organisation }], [{ type: OID.commonName, value: `${organisation} root` }]])
  return { key, certificate: authorityCertificate({ subject, key, issuer: subject, signWith: key, authorityId: keyIdentifier(spki(key)) }) }
}

export function forgeIssuing(root: ForgedAuthority, organisation: string): ForgedAuthority {
  return forgeIntermediate(root, organisation, { pathLength: 0 })
}

export interface AuthorityWishes {
  readonly key?: KeyObject
  readonly pathLength?: number
  /** Null: none at all. */
  readonly basicConstraints?: ForgedExtension | null
  readonly subject?: Buffer
  readonly more?: readonly ForgedExtension[]
}

/** A CA below another, as it should be but for the wishes. */
export function forgeIntermediate(above: ForgedAuthority, organisation: string, wishes: AuthorityWishes = {}): ForgedAuthority {
  const key = wishes.key ?? privateKey()
  const subject = wishes.subject ?? name([[{ type: OID.organization, value: organisation }], [{ type: OID.commonName, value: `${organisation} issuing` }]])
  const parent = readCertificate(above.certificate)
  return { key, certificate: authorityCertificate({ subject, key, issuer: parent.subject, signWith: above.key, authorityId: keyIdentifier(parent.spki), ...wishes }) }
}

/**
 * A CA that looks like `original` in everything but its key: subject, issuer, serial number and every extension, key
 * identifiers included, are copied. It is signed with its own key unless `signedBy` is given. T04, T05, D02. `borrowed`: a
 * public key that is not its own, and how it signs all the same. T32.
 */
export function lookalikeOf(original: Buffer, signedBy?: ForgedAuthority, borrowed?: BorrowedKey): ForgedAuthority {
  const key = privateKey()
  const copied = readCertificate(original)
  const now = Date.now()
  const certificate = forgeCertificate({
    subject: copied.subject,
    issuer: copied.issuer,
    serial: copied.serial,
    spki: borrowed?.spki ?? spki(key),
    notBefore: now - DAY,
    notAfter: now + 3_650 * DAY,
    signWith: signedBy?.key ?? key,
    signature: borrowed?.signature(),
    extensions: copied.extensions.map((extension) => extension.der),
  })
  return { key, certificate }
}

export interface BorrowedKey {
  readonly spki: Buffer
  signature(): ForgedSignature
}

interface AuthorityFields extends AuthorityWishes {
  readonly subject: Buffer
  readonly issuer: Buffer
  readonly key: KeyObject
  readonly signWith: KeyObject
  readonly authorityId: Buffer
}

function authorityCertificate(fields: AuthorityFields): Buffer {
  const now = Date.now()
  return forgeCertificate({
    subject: fields.subject,
    issuer: fields.issuer,
    signWith: fields.signWith,
    spki: spki(fields.key),
    notBefore: now - DAY,
    notAfter: now + 3_650 * DAY,
    extensions: [
      ...(fields.basicConstraints === null ? [] : [fields.basicConstraints ?? basicConstraints(true, fields.pathLength)]),
      keyUsage('keyCertSign', 'cRLSign'),
      subjectKeyId(keyIdentifier(spki(fields.key))),
      authorityKeyId(fields.authorityId),
      ...(fields.more ?? []),
    ],
  })
}

export interface LeafWishes {
  readonly subject?: ForgedName
  readonly serial?: Buffer
  readonly version?: number
  readonly notBefore?: number
  readonly notAfter?: number
  readonly times?: readonly [Encodable, Encodable]
  /** Undefined: clientAuth. Null: no extension at all. */
  readonly extendedKeyUsage?: readonly string[] | null
  readonly basicConstraints?: ForgedExtension
  readonly keyUsage?: ForgedExtension
  readonly names?: readonly string[]
  /** Behind the others. */
  readonly more?: readonly ForgedExtension[]
  /** No extension at all. */
  readonly bare?: true
  readonly key?: KeyObject
  /** In place of the key's own: whoever shows it cannot prove anything. */
  readonly spki?: Buffer
  readonly signature?: (signer: KeyObject) => ForgedSignature
  /** Signed by its own key and naming itself as issuer. */
  readonly selfSigned?: true
  /** What becomes of it when it is done. */
  readonly altered?: (certificate: Buffer) => Buffer
}

/** A device's leaf as our CA would make it, but for the wishes. */
export function forgeLeaf(authority: ForgedAuthority, id: string, wishes: LeafWishes = {}): ForgedLeaf {
  const key = wishes.key ?? privateKey()
  const issuer = readCertificate(authority.certificate)
  const subject = name(wishes.subject ?? commonName(id))
  const now = Date.now()
  const self = wishes.selfSigned === true
  const signWith = self ? key : authority.key
  const certificate = forgeCertificate({
    subject,
    issuer: self ? subject : issuer.subject,
    serial: wishes.serial,
    version: wishes.version,
    notBefore: wishes.notBefore ?? now - DAY / 24,
    notAfter: wishes.notAfter ?? now + 30 * DAY,
    times: wishes.times,
    spki: wishes.spki ?? spki(key),
    signWith,
    signature: wishes.signature?.(signWith),
    extensions: wishes.bare === true ? [] : leafExtensions(wishes, key, self ? keyIdentifier(spki(key)) : subjectKeyIdOf(issuer)),
  })
  return { key, certificate: wishes.altered?.(certificate) ?? certificate }
}

function leafExtensions(wishes: LeafWishes, key: KeyObject, authorityId: Buffer): readonly ForgedExtension[] {
  const usages = wishes.extendedKeyUsage === undefined ? [OID.clientAuth] : wishes.extendedKeyUsage
  return [
    wishes.basicConstraints ?? basicConstraints(false),
    wishes.keyUsage ?? keyUsage('digitalSignature'),
    ...(usages === null ? [] : [extendedKeyUsage(...usages)]),
    ...(wishes.names === undefined ? [] : [subjectAltNames(wishes.names)]),
    subjectKeyId(keyIdentifier(spki(key))),
    authorityKeyId(authorityId),
    ...(wishes.more ?? []),
  ]
}

/** The key identifier that a leaf of this issuer names: what the issuer says of itself, true or not. */
function subjectKeyIdOf(issuer: CopiedFields): Buffer {
  const stated = issuer.extensions.find((extension) => extension.id === OID.subjectKeyId)
  const value = stated === undefined ? undefined : elements(stated.der).at(-1)
  return value === undefined ? keyIdentifier(issuer.spki) : content(content(value))
}

/** A server's certificate for these names, but for the wishes. */
export function forgeServer(authority: ForgedAuthority, names: readonly string[], wishes: LeafWishes = {}): ForgedLeaf {
  return forgeLeaf(authority, names[0] ?? 'localhost', { extendedKeyUsage: [OID.serverAuth], names, ...wishes })
}

/** The certificate matches the key: what an import of a CA is asked first. */
export function belongsTogether(authority: ForgedAuthority): boolean {
  return spki(publicKeyOf(authority.certificate)).equals(spki(authority.key))
}
