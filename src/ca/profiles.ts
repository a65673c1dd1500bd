// Profiles: what each kind of certificate contains, read strictly from certs/profiles/*.yaml. A certificate has what its
// profile says and nothing that a requester asked for.

import { EXTENDED_KEY_USAGES, KEY_USAGE_BITS, type KeyUsageBit } from '../core/certificate.ts'
import { SallyportError } from '../core/errors.ts'
import { PROFILE_NAMES, type ProfileName } from '../core/registry.ts'
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
}

export type Profiles = Readonly<Record<ProfileName, Profile>>

const USAGE_NAMES = ['serverAuth', 'clientAuth', 'ocspSigning'] as const

/** Reads one profile. Failure: 'profile-invalid' with every problem of the file. */
export function parseProfile(tree: SourceNode): Profile {
  const reader = new TreeReader()
  const map = reader.map(tree, 'a profile', ['name', 'validity', 'key', 'keyUsage', 'extendedKeyUsage', 'ca', 'pathLength', 'altNames'])
  const need = (key: string): SourceNode => {
    const entry = map?.get(key)
    if (entry === undefined) reader.report(tree.at, `the profile does not say "${key}".`, `Add: ${key}: …`)
    return entry?.value ?? tree
  }
  const list = <Word extends string>(key: string, words: readonly Word[]): Word[] => {
    const entry = map?.get(key)
    if (entry === undefined) return []
    return (reader.list(entry.value, key) ?? []).flatMap((node) => reader.oneOf(node, key, words) ?? [])
  }
  const name = reader.oneOf(need('name'), 'name', PROFILE_NAMES)
  const validityMs = reader.duration(need('validity'), 'validity')
  const key = reader.oneOf(need('key'), 'key', KEY_KINDS)
  const caEntry = map?.get('ca')
  const pathLength = map?.get('pathLength')
  const altNames = map?.get('altNames')
  const profile = {
    keyUsage: list('keyUsage', KEY_USAGE_BITS),
    extendedKeyUsage: list('extendedKeyUsage', USAGE_NAMES).map((usage) => EXTENDED_KEY_USAGES[usage]),
    ca: (caEntry && reader.boolean(caEntry.value, 'ca')) ?? false,
    altNames: (altNames && reader.oneOf(altNames.value, 'altNames', ['none', 'hosts'])) ?? 'none',
  } as const
  const depth = pathLength && reader.integer(pathLength.value, 'pathLength', 0, 10)
  if (profile.keyUsage.length === 0) reader.report(tree.at, 'a profile needs a keyUsage.', 'Leaves: [digitalSignature]. CAs: [keyCertSign, cRLSign].')
  if (profile.ca !== profile.keyUsage.includes('keyCertSign')) reader.report(tree.at, 'ca and keyUsage contradict each other.', 'keyCertSign belongs to CAs, to all of them and to nobody else.')
  if (reader.problems.length > 0 || name === undefined || validityMs === undefined || key === undefined) {
    const [first] = reader.problems
    throw new SallyportError('profile-invalid', reader.problems.map(describeProblem).join('\n'), first === undefined ? {} : { at: first.at })
  }
  return { name, validityMs, key, ...profile, ...(depth === undefined ? {} : { pathLength: depth }) }
}

/** All profiles, one of each name. Failure: 'profile-invalid'. */
export function collectProfiles(found: readonly Profile[]): Profiles {
  const byName = new Map(found.map((p) => [p.name, p]))
  const missing = PROFILE_NAMES.filter((name) => !byName.has(name))
  if (missing.length > 0) throw new SallyportError('profile-invalid', `There is no profile named ${missing.join(', ')}.`, { fix: 'Restore the files in certs/profiles.' })
  return Object.fromEntries(byName) as Record<ProfileName, Profile>
}
