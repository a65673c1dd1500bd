// Profiles: what each kind of certificate contains, read strictly from certs/profiles/*.yaml. A certificate has what its
// profile says and nothing that a requester asked for.

import { EXTENDED_KEY_USAGES, KEY_USAGE_BITS, type KeyUsageBit } from '../core/certificate.ts'
import { SallyportError, type SourcePosition } from '../core/errors.ts'
import { PROFILE_NAMES, type ProfileName } from '../core/registry.ts'
import { CA_LIMITS, LIFE } from '../limits.ts'
import { describeProblem, TreeReader, type SourceNode } from '../core/source-tree.ts'
import { KEY_KINDS, type KeyKind } from '../x509/keys.ts'

export interface Profile {
  readonly name: ProfileName
  readonly validityMs: number
  /** The kind of key that Sallyport makes, where it makes it. */
  readonly key: KeyKind
  readonly keyUsage: readonly KeyUsageBit[]
  /** Dotted OIDs; empty for CAs, which are not narrowed. */
  readonly extendedKeyUsage: readonly string[]
  readonly ca: boolean
  readonly pathLength?: number
  /** hosts: the names and addresses under which the server is reached. */
  readonly altNames: 'none' | 'hosts'
  /** What its certificates point to, where the public door has a URL. */
  readonly pointers: readonly (typeof POINTERS)[number][]
  /** Nobody is to ask whether this OCSP responder is revoked: it lives for a short time. RFC 6960 §4.2.2.2.1. */
  readonly ocspNoCheck: boolean
}

export type Profiles = Readonly<Record<ProfileName, Profile>>

const POINTERS = ['issuer', 'ocsp', 'crl'] as const
const USAGE_NAMES = ['serverAuth', 'clientAuth', 'ocspSigning'] as const

/** What a kind of certificate must be able to do; with less than this it would be refused where it is used. */
const PURPOSES: Readonly<Record<ProfileName, (typeof USAGE_NAMES)[number] | 'ca'>> = {
  'root': 'ca', 'issuing': 'ca', 'server': 'serverAuth', 'operator': 'clientAuth', 'device': 'clientAuth', 'claim': 'clientAuth', 'ocsp-responder': 'ocspSigning',
}

/** A hundred years: beyond it lies no plan, and at last the end of what a certificate can say. */
const VALIDITY_DAYS_MAX = 36_500
const VALIDITY_MS_MAX = VALIDITY_DAYS_MAX * LIFE.day
const SECOND_MS = 1_000

/** Reads one profile. Failure: 'profile-invalid' with every problem of the file. */
export function parseProfile(tree: SourceNode): Profile {
  const reader = new TreeReader()
  const map = reader.map(tree, 'a profile', ['name', 'validity', 'key', 'keyUsage', 'extendedKeyUsage', 'ca', 'pathLength', 'altNames', 'pointers', 'ocspNoCheck'])
  const need = <T>(key: string, read: (node: SourceNode) => T | undefined): T | undefined => {
    const entry = map?.get(key)
    if (map !== undefined && entry === undefined) reader.report(tree.at, `the profile does not say "${key}".`, `Add: ${key}: …`)
    return entry && read(entry.value)
  }
  /** Undefined when a word is wrong: what follows from the others would only be noise. */
  const list = <Word extends string>(key: string, words: readonly Word[]): readonly Word[] | undefined => {
    const entry = map?.get(key)
    if (entry === undefined) return []
    const found = reader.list(entry.value, key)?.map((node) => reader.oneOf(node, key, words))
    return found?.every((word) => word !== undefined) === true ? found : undefined
  }
  const name = need('name', (node) => reader.oneOf(node, 'name', PROFILE_NAMES))
  const validityMs = need('validity', (node) => validityOf(reader, node))
  const key = need('key', (node) => reader.oneOf(node, 'key', KEY_KINDS))
  const caEntry = map?.get('ca')
  const pathLengthEntry = map?.get('pathLength')
  const altNamesEntry = map?.get('altNames')
  const keyUsage = list('keyUsage', KEY_USAGE_BITS)
  const extendedKeyUsage = list('extendedKeyUsage', USAGE_NAMES)?.map((usage) => EXTENDED_KEY_USAGES[usage])
  const pointers = list('pointers', POINTERS)
  const noCheckEntry = map?.get('ocspNoCheck')
  const ocspNoCheck = noCheckEntry === undefined ? false : reader.boolean(noCheckEntry.value, 'ocspNoCheck')
  const ca = caEntry === undefined ? false : reader.boolean(caEntry.value, 'ca')
  const altNames = altNamesEntry === undefined ? 'none' : reader.oneOf(altNamesEntry.value, 'altNames', ['none', 'hosts'])
  const pathLength = pathLengthEntry && reader.integer(pathLengthEntry.value, 'pathLength', 0, 10)
  if (map !== undefined && keyUsage?.length === 0) reader.report(map.get('keyUsage')?.value.at ?? tree.at, 'a profile needs a keyUsage.', 'Leaves: [digitalSignature]. CAs: [keyCertSign, cRLSign].')
  else if (map !== undefined) checkSense(reader, { name, keyUsage, extendedKeyUsage, ca, pathLength, pointers, ocspNoCheck }, (key) => map.get(key)?.value.at ?? tree.at)
  if (reader.problems.length > 0 || name === undefined || validityMs === undefined || key === undefined || keyUsage === undefined || extendedKeyUsage === undefined || ca === undefined || altNames === undefined || pointers === undefined || ocspNoCheck === undefined) {
    const [first] = reader.problems
    throw new SallyportError('profile-invalid', reader.problems.map(describeProblem).join('\n'), first === undefined ? {} : { at: first.at })
  }
  return { name, validityMs, key, keyUsage, extendedKeyUsage, ca, altNames, pointers, ocspNoCheck, ...(pathLength === undefined ? {} : { pathLength }) }
}

function validityOf(reader: TreeReader, node: SourceNode): number | undefined {
  const ms = reader.duration(node, 'validity')
  if (ms === undefined || (ms > CA_LIMITS.backdateMs && ms <= VALIDITY_MS_MAX)) return ms
  return reader.report(node.at, `validity must be more than ${CA_LIMITS.backdateMs / SECOND_MS}s and at most ${VALIDITY_DAYS_MAX}d.`, 'A certificate begins a little in the past, for clocks that lag.')
}

type Sense = { readonly [K in 'name' | 'keyUsage' | 'extendedKeyUsage' | 'ca' | 'pathLength' | 'pointers' | 'ocspNoCheck']: Profile[K] | undefined }

/** A profile that is well-formed can still make certificates that are refused wherever they are shown. What was not readable is undefined. */
function checkSense(reader: TreeReader, { name, keyUsage, extendedKeyUsage, ca, pathLength, pointers, ocspNoCheck }: Sense, at: (key: string) => SourcePosition): void {
  if (ca !== undefined && keyUsage !== undefined && ca !== keyUsage.includes('keyCertSign')) reader.report(at('keyUsage'), 'ca and keyUsage contradict each other.', 'keyCertSign belongs to CAs, to all of them and to nobody else.')
  // RFC 5280 §4.2.1.9.
  if (pathLength !== undefined && ca === false) reader.report(at('pathLength'), 'a pathLength belongs to CAs.', 'Remove it.')
  if (name === 'root' && pathLength === 0) reader.report(at('pathLength'), 'a root with pathLength 0 may not sign an issuing CA.', 'Write pathLength: 1, or leave it out.')
  if (ca === true && pointers !== undefined && pointers.length > 0) reader.report(at('pointers'), 'pointers are for certificates of leaves.', 'Remove it.')
  if (ocspNoCheck === true && name !== 'ocsp-responder') reader.report(at('ocspNoCheck'), 'ocspNoCheck is for the OCSP responder: any other certificate is to be checked.', 'Remove it.')
  if (name === undefined) return
  const purpose = PURPOSES[name]
  if (ca !== undefined && ca !== (purpose === 'ca')) reader.report(at('ca'), `a certificate of the kind "${name}" is ${ca ? 'not a CA' : 'a CA'}.`, ca ? 'Remove ca: true.' : 'Add: ca: true.')
  if (purpose === 'ca') return
  if (extendedKeyUsage?.includes(EXTENDED_KEY_USAGES[purpose]) === false) reader.report(at('extendedKeyUsage'), `a certificate of the kind "${name}" needs the extended key usage ${purpose}.`, `Add: extendedKeyUsage: [${purpose}].`)
  if (keyUsage !== undefined && (!keyUsage.includes('digitalSignature') || keyUsage.includes('cRLSign'))) reader.report(at('keyUsage'), `a certificate of the kind "${name}" signs handshakes, and no lists.`, 'Write keyUsage: [digitalSignature].')
}

/** All profiles, one of each name. Failure: 'profile-invalid'. */
export function collectProfiles(found: readonly Profile[]): Profiles {
  const byName = new Map(found.map((p) => [p.name, p]))
  const twice = found.find((p) => byName.get(p.name) !== p)
  if (twice !== undefined) throw new SallyportError('profile-invalid', `There are two profiles named ${twice.name}.`, { fix: 'Keep one file for each name in certs/profiles.' })
  const missing = PROFILE_NAMES.filter((name) => !byName.has(name))
  if (missing.length > 0) throw new SallyportError('profile-invalid', `There is no profile named ${missing.join(', ')}.`, { fix: 'Restore the files in certs/profiles.' })
  return Object.fromEntries(byName) as Record<ProfileName, Profile>
}
