// Name constraints, RFC 5280 §4.2.1.10: may a certificate below this CA have the names it has? Pure. It errs on the side of
// refusing: a name that cannot be decoded is outside what is permitted, and inside what is excluded.

import { attributesOf, type CertificateFacts, type NameAttribute, type NameFacts, type NameSubtree } from './certificate.ts'
import { allow, deny, type Decision } from './decision.ts'
import { printable } from './ids.ts'

/** Reason: certificate-name-constraints, with the name that is outside. */
export function judgeNames(below: CertificateFacts, constrained: CertificateFacts): Decision<void> {
  const { nameConstraints } = constrained
  if (nameConstraints === undefined) return allow(undefined)
  for (const name of namesOf(below)) {
    const { permitted, excluded } = nameConstraints
    const ofKind = permitted.filter((base) => base.kind === name.kind)
    if (ofKind.length > 0 && !ofKind.some((base) => isBelow(name, base) === true)) return deny('certificate-name-constraints', `${shown(name)} is not permitted`)
    if (excluded.some((base) => base.kind === name.kind && isBelow(name, base) !== false)) return deny('certificate-name-constraints', `${shown(name)} is excluded`)
  }
  return allow(undefined)
}

/** Every name that the certificate gives its subject. */
function namesOf(facts: CertificateFacts): readonly NameSubtree[] {
  const mail = attributesOf(facts.subject, 'emailAddress').map((a) => ({ kind: 'email', value: a.value ?? '' }) as const)
  const directory = facts.subject.length === 0 ? [] : [{ kind: 'directory', name: facts.subject } as const]
  return [...directory, ...mail, ...(facts.subjectAltNames ?? [])]
}

function shown(name: NameSubtree): string {
  return name.kind === 'directory' ? `the subject ${printable(name.name.flat().map((a) => `${a.short ?? a.type}=${a.value ?? '?'}`).join(', '))}` : `${name.kind} ${printable(name.value)}`
}

/** Undefined when it cannot be said. */
function isBelow(name: NameSubtree, base: NameSubtree): boolean | undefined {
  if (name.kind === 'directory') return base.kind === 'directory' ? isDirectoryBelow(name.name, base.name) : false
  if (base.kind === 'directory') return false
  const value = name.value.toLowerCase()
  const suffix = base.value.toLowerCase()
  switch (name.kind) {
    case 'dns':
      // An empty base is every name.
      return suffix === '' || value === suffix || value.endsWith(suffix.startsWith('.') ? suffix : `.${suffix}`)
    case 'email':
      return suffix.includes('@') ? name.value === base.value : isHostBelow(value.slice(value.lastIndexOf('@') + 1), suffix)
    case 'uri': {
      const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@[\]]+)(?::\d*)?(?:[/?#]|$)/.exec(value)?.[1]
      return host === undefined ? undefined : isHostBelow(host, suffix)
    }
    case 'ip':
      return isAddressBelow(value, base.value)
    case 'other':
      return undefined
  }
}

/** ".example.com" is every host below; "example.com" is that host alone. */
function isHostBelow(host: string, base: string): boolean {
  return base.startsWith('.') ? host.endsWith(base) : host === base
}

function isAddressBelow(address: string, base: string): boolean {
  const bytes = addressBytes(address)
  const octets = base.length / 4
  if (bytes.length !== octets) return false
  const at = (i: number): number => Number.parseInt(base.slice(2 * i, 2 * i + 2), 16)
  return bytes.every((byte, i) => (byte & at(octets + i)) === (at(i) & at(octets + i)))
}

/** x509/ writes IPv6 with all eight groups. */
function addressBytes(text: string): readonly number[] {
  if (!text.includes(':')) return text.split('.').map(Number)
  return text.split(':').flatMap((group) => {
    const word = Number.parseInt(group, 16)
    return [word >> 8, word & 0xff]
  })
}

function isDirectoryBelow(name: NameFacts, base: NameFacts): boolean | undefined {
  if (base.length > name.length) return false
  const relevant = name.slice(0, base.length)
  if ([...relevant, ...base].flat().some((a) => a.value === undefined)) return undefined
  return base.every((rdn, i) => {
    const there = new Set((relevant[i] ?? []).map(comparable))
    return there.size === new Set(rdn.map(comparable)).size && rdn.every((a) => there.has(comparable(a)))
  })
}

/** Case and runs of spaces do not tell names apart. RFC 5280 §7.1. */
function comparable({ type, value = '' }: NameAttribute): string {
  return `${type}=${value.trim().replaceAll(/\s+/g, ' ').toLowerCase()}`
}
