// Distinguished names, read from their DER: every RDN as the set that it is, every value decoded strictly by its tag. Names
// are compared as raw DER, never as text; writing one uses one attribute per RDN.

import * as asn1js from 'asn1js'
import type { NameAttribute, NameFacts } from '../core/certificate.ts'
import { encode, oidText, readDer, TAG, tlv, type DerNode } from './der.ts'

/** Short names of RFC 4514 §3 and X.520. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.4': 'SN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'street',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.12': 'title',
  '2.5.4.42': 'GN',
  '2.5.4.46': 'dnQualifier',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
}
const OID_COMMON_NAME = '2.5.4.3'
const OID_ORGANIZATION = '2.5.4.10'
const OID_UNIT = '2.5.4.11'

const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf16 = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true })

/** Text of a string type, or undefined when its bytes are not what its tag says. */
export function decodeString({ tag, contents }: DerNode): string | undefined {
  const bytes = Buffer.from(contents)
  const ascii = bytes.toString('latin1')
  try {
    switch (tag) {
      case TAG.utf8:
        return utf8.decode(contents)
      case TAG.printable:
        return PRINTABLE.test(ascii) ? ascii : undefined
      case TAG.ia5:
        return bytes.every((b) => b < 0x80) ? ascii : undefined
      case TAG.numeric:
        return /^[0-9 ]*$/.test(ascii) ? ascii : undefined
      case TAG.bmp:
        return utf16.decode(contents)
      // T61String and UniversalString have no meaning that two programs agree on.
      default:
        return undefined
    }
  } catch {
    return undefined // The decoder is fatal: the bytes are not valid for their encoding.
  }
}

/** Undefined when it is not a Name at all. */
export function readName(node: DerNode): NameFacts | undefined {
  if (node.tag !== TAG.sequence) return undefined
  const rdns: NameAttribute[][] = []
  for (const rdn of node.children) {
    if (rdn.tag !== TAG.set || rdn.children.length === 0) return undefined
    const attributes: NameAttribute[] = []
    for (const attribute of rdn.children) {
      const [type, value] = attribute.children
      if (attribute.tag !== TAG.sequence || attribute.children.length !== 2 || type?.tag !== TAG.oid || value === undefined) return undefined
      const oid = oidText(type.contents)
      const short = SHORT_NAMES[oid]
      const text = decodeString(value)
      attributes.push({ type: oid, ...(short === undefined ? {} : { short }), ...(text === undefined ? {} : { value: text }) })
    }
    rdns.push(attributes)
  }
  return rdns
}

/** DER of a name with an organisation, when there is one, and a common name; UTF8String, one attribute per RDN. */
export function encodeName({ commonName, organization }: { readonly commonName: string; readonly organization?: string | undefined }): Uint8Array {
  const rdns = [...(organization === undefined ? [] : [rdn(OID_ORGANIZATION, organization)]), rdn(OID_COMMON_NAME, commonName)]
  return encode(new asn1js.Sequence({ value: rdns }))
}

/** DER of the name of a part of an organisation. */
export function encodeUnit(organization: string, unit: string): Uint8Array {
  return encode(new asn1js.Sequence({ value: [rdn(OID_ORGANIZATION, organization), rdn(OID_UNIT, unit)] }))
}

/** DER of the name that stands directly below another one (DER), whose bytes are kept as they are. */
export function encodeNameBelow(base: Uint8Array, commonName: string): Uint8Array {
  const above = readDer(base)
  if (!above.allow || above.value.tag !== TAG.sequence) throw new TypeError('not a name')
  return tlv(TAG.sequence, ...above.value.children.map(({ raw }) => raw), encode(rdn(OID_COMMON_NAME, commonName)))
}

function rdn(oid: string, value: string): asn1js.Set {
  return new asn1js.Set({ value: [new asn1js.Sequence({ value: [new asn1js.ObjectIdentifier({ value: oid }), new asn1js.Utf8String({ value })] })] })
}
