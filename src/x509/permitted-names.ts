// The name constraints that our CA writes and obeys: one subtree of directory names, below which every subject stands. RFC 5280
// §4.2.1.10. Reading those of strangers is the business of extensions.ts, judging them that of core.

import { certificateParts } from './certificate.ts'
import { oidText, readDer, TAG, tlv, type DerNode } from './der.ts'
import { OID } from './extensions.ts'

const TAG_PERMITTED = 0xa0
const TAG_DIRECTORY_NAME = 0xa4

/** The value of the extension: subjects below this name (DER) are permitted, and no others. */
export function permittedBelow(base: Uint8Array): Uint8Array {
  return tlv(TAG.sequence, tlv(TAG_PERMITTED, tlv(TAG.sequence, tlv(TAG_DIRECTORY_NAME, base))))
}

/**
 * The first directory name (DER) below which this CA permits subjects; undefined where it permits any. Whoever issues with it puts its
 * subjects there: a name that is outside would be refused by everybody who verifies.
 */
export function permittedBase(der: Uint8Array): Uint8Array | undefined {
  const parts = certificateParts(der)
  const extension = parts.allow ? parts.value.extensions?.children.find(({ children: [oid] }) => oid?.tag === TAG.oid && oidText(oid.contents) === OID.nameConstraints) : undefined
  const value = extension && readDer(extension.children.at(-1)?.contents ?? new Uint8Array())
  const permitted = value?.allow === true ? value.value.children.find(({ tag }) => tag === TAG_PERMITTED) : undefined
  const bases = permitted?.children.flatMap(({ children: [base] }): readonly DerNode[] => (base?.tag === TAG_DIRECTORY_NAME ? base.children : [])) ?? []
  return bases[0]?.raw
}
