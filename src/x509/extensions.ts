// Extensions of certificates, decoded to facts. What does not decode is reported as malformed, by OID; whether that matters
// is for core to say.

import { KEY_USAGE_BITS, type CertificateFacts, type KeyUsageBit, type NameSubtree, type SubjectAltName } from '../core/certificate.ts'
import { X509_LIMITS } from '../limits.ts'
import { oidText, readDer, TAG, type DerNode } from './der.ts'
import { readName } from './names.ts'

export const OID = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  cRLNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  issuingDistributionPoint: '2.5.29.28',
  nameConstraints: '2.5.29.30',
  cRLDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
} as const

/** Extensions whose meaning is processed, here or by OpenSSL; any other must not be critical. RFC 5280 §4.2. */
const PROCESSED: ReadonlySet<string> = new Set([OID.subjectKeyIdentifier, OID.keyUsage, OID.subjectAltName, OID.basicConstraints, OID.nameConstraints, OID.authorityKeyIdentifier, OID.extKeyUsage])

type ExtensionFacts = Pick<CertificateFacts, 'hasNameConstraints' | 'unknownCritical' | 'duplicateExtensions' | 'malformedExtensions'> &
  Partial<Pick<CertificateFacts, 'basicConstraints' | 'keyUsage' | 'extendedKeyUsage' | 'subjectAltNames' | 'nameConstraints' | 'authorityKeyId' | 'subjectKeyId'>>

type FactsUnderway = { -readonly [K in keyof ExtensionFacts]: ExtensionFacts[K] }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** `list` is the SEQUENCE of extensions, or undefined when there is none. Undefined when the list itself is malformed. */
export function readExtensions(list: DerNode | undefined): ExtensionFacts | undefined {
  const facts: FactsUnderway = { hasNameConstraints: false, unknownCritical: [], duplicateExtensions: [], malformedExtensions: [] }
  const seen = new Set<string>()
  const unknownCritical: string[] = []
  const duplicates: string[] = []
  const malformed: string[] = []
  for (const extension of list?.children ?? []) {
    const [type, second, third] = extension.children
    const value = third ?? second
    const critical = third !== undefined && second?.tag === TAG.boolean && second.contents[0] === 0xff
    // DER leaves a default out: an explicit FALSE is malformed.
    const explicitFalse = third !== undefined && !critical
    if (extension.tag !== TAG.sequence || extension.children.length > 3 || type?.tag !== TAG.oid || value?.tag !== TAG.octetString || explicitFalse) return undefined
    const oid = oidText(type.contents)
    if (oid === OID.nameConstraints) facts.hasNameConstraints = true
    if (seen.has(oid)) duplicates.push(oid)
    seen.add(oid)
    if (critical && !PROCESSED.has(oid)) unknownCritical.push(oid)
    const decode = DECODERS[oid]
    if (decode === undefined) continue
    const inner = readDer(value.contents)
    const decoded = inner.allow ? decode(inner.value) : undefined
    if (decoded === undefined) malformed.push(oid)
    else Object.assign(facts, decoded)
  }
  return { ...facts, unknownCritical, duplicateExtensions: duplicates, malformedExtensions: malformed }
}

/** AuthorityKeyIdentifier.keyIdentifier, [0] IMPLICIT. */
const TAG_KEY_IDENTIFIER = 0x80

const DECODERS: Readonly<Record<string, (node: DerNode) => Partial<ExtensionFacts> | undefined>> = {
  [OID.basicConstraints](node) {
    // SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }: an explicit FALSE is not DER.
    const fields = [...node.children]
    const ca = fields[0]?.tag === TAG.boolean ? fields.shift()?.contents[0] === 0xff : undefined
    const length = fields.shift()
    if (node.tag !== TAG.sequence || ca === false || fields.length > 0) return undefined
    if (length === undefined) return { basicConstraints: { ca: ca ?? false } }
    const pathLength = length.contents[0] ?? 0
    // A path length belongs to CAs, and is not negative. RFC 5280 §4.2.1.9.
    return ca === true && length.tag === TAG.integer && length.contents.length === 1 && pathLength < 0x80 ? { basicConstraints: { ca, pathLength } } : undefined
  },
  [OID.keyUsage](node) {
    if (node.tag !== TAG.bitString) return undefined
    const bits: KeyUsageBit[] = KEY_USAGE_BITS.filter((_, i) => ((node.contents[1 + (i >> 3)] ?? 0) & (0x80 >> (i & 7))) !== 0)
    return { keyUsage: bits }
  },
  [OID.extKeyUsage](node) {
    if (node.tag !== TAG.sequence || node.children.some((c) => c.tag !== TAG.oid)) return undefined
    return { extendedKeyUsage: node.children.map((c) => oidText(c.contents)) }
  },
  [OID.subjectAltName](node) {
    const names = readAltNames(node)
    return names === undefined ? undefined : { subjectAltNames: names }
  },
  [OID.nameConstraints](node) {
    const [first, second] = node.children
    const permitted = first?.tag === TAG_PERMITTED ? first : undefined
    const excluded = first?.tag === TAG_EXCLUDED ? first : second
    // At least one of the two, in this order. RFC 5280 §4.2.1.10.
    if (node.tag !== TAG.sequence || first === undefined || node.children.length !== (permitted === undefined ? 0 : 1) + (excluded === undefined ? 0 : 1) || (excluded !== undefined && excluded.tag !== TAG_EXCLUDED)) return undefined
    const lists = { permitted: permitted === undefined ? [] : readSubtrees(permitted), excluded: excluded === undefined ? [] : readSubtrees(excluded) }
    return lists.permitted === undefined || lists.excluded === undefined ? undefined : { nameConstraints: { permitted: lists.permitted, excluded: lists.excluded } }
  },
  [OID.subjectKeyIdentifier]: (node) => (node.tag === TAG.octetString && node.contents.length > 0 ? { subjectKeyId: hex(node.contents) } : undefined),
  [OID.authorityKeyIdentifier](node) {
    const id = node.children.find((c) => c.tag === TAG_KEY_IDENTIFIER)
    if (node.tag !== TAG.sequence) return undefined
    return id === undefined ? {} : { authorityKeyId: hex(id.contents) }
  },
}

const TAG_PERMITTED = 0xa0
const TAG_EXCLUDED = 0xa1
const TAG_DIRECTORY_NAME = 0xa4

/** GeneralSubtrees. `minimum` must be 0, which DER leaves out, and `maximum` absent: each subtree is its base alone. */
function readSubtrees(list: DerNode): readonly NameSubtree[] | undefined {
  const subtrees: NameSubtree[] = []
  for (const { tag, children } of list.children) {
    const [base] = children
    if (tag !== TAG.sequence || base === undefined || children.length !== 1) return undefined
    const subtree = readSubtree(base)
    if (subtree === undefined) return undefined
    subtrees.push(subtree)
  }
  return subtrees.length === 0 ? undefined : subtrees
}

function readSubtree({ tag, contents, children }: DerNode): NameSubtree | undefined {
  const text = Buffer.from(contents).toString('latin1')
  const isText = /^[\x21-\x7e]*$/.test(text)
  switch (tag) {
    case GENERAL_NAME.dns:
      return isText ? { kind: 'dns', value: text } : undefined
    case GENERAL_NAME.email:
      return isText ? { kind: 'email', value: text } : undefined
    case GENERAL_NAME.uri:
      return isText ? { kind: 'uri', value: text } : undefined
    case GENERAL_NAME.ip:
      return contents.length === 8 || contents.length === 32 ? { kind: 'ip', value: hex(contents) } : undefined
    case TAG_DIRECTORY_NAME: {
      const name = children[0] === undefined ? undefined : readName(children[0])
      return name === undefined || children.length !== 1 ? undefined : { kind: 'directory', name }
    }
    default:
      return OTHER_NAMES.includes(tag) ? { kind: 'other', value: `[${tag & 0x1f}]` } : undefined
  }
}

const GENERAL_NAME = { email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87 } as const
/** otherName, x400Address, directoryName, ediPartyName, registeredID: legal, and no identity here. */
const OTHER_NAMES: readonly number[] = [0xa0, 0xa3, 0xa4, 0xa5, 0x88]

/** GeneralNames as facts; undefined when one is not what its tag says. RFC 5280 §4.2.1.6. */
export function readAltNames(node: DerNode): readonly SubjectAltName[] | undefined {
  if (node.tag !== TAG.sequence || node.children.length === 0 || node.children.length > X509_LIMITS.subjectAltNamesMax) return undefined
  const names: SubjectAltName[] = []
  for (const { tag, contents } of node.children) {
    const text = Buffer.from(contents).toString('latin1')
    if (tag === GENERAL_NAME.ip) {
      const ip = ipText(contents)
      if (ip === undefined) return undefined
      names.push({ kind: 'ip', value: ip })
    } else if (tag === GENERAL_NAME.email || tag === GENERAL_NAME.dns || tag === GENERAL_NAME.uri) {
      // IA5String without control characters: what is shown or compared must not hide anything.
      if (!/^[\x21-\x7e]+$/.test(text)) return undefined
      names.push({ kind: tag === GENERAL_NAME.email ? 'email' : tag === GENERAL_NAME.dns ? 'dns' : 'uri', value: text })
    } else if (OTHER_NAMES.includes(tag)) names.push({ kind: 'other', value: `[${tag & 0x1f}]` })
    else return undefined
  }
  return names
}

function ipText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return [...bytes].join('.')
  if (bytes.length !== 16) return undefined
  return Array.from({ length: 8 }, (_, i) => (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16)).join(':')
}
