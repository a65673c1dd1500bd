// Name constraints, RFC 5280 §4.2.1.10: may a certificate below this CA have the names it has? Pure. It errs on the side of
// refusing: a name that cannot be decoded is outside what is permitted, and inside what is excluded.

import { attributesOf, type CertificateFacts, type NameAttribute, type NameFacts, type NameSubtree } from './certificate.ts'
import { allow, deny, type Decision } from './decision.ts'
import { printable } from './ids.ts'

/** Reason: certificate-name-constraints, with the name that is outside. */
export function judgeNames(below: Pick<CertificateFacts, 'subject' | 'subjectAltNames'>, constrained: Pick<CertificateFacts, 'nameConstraints'>): Decision<void> {
  const { nameConstraints } = constrained
  if (nameConstraints === undefined) return allow(undefined)
  for (const name of namesOf(below)) {
    const { permitted, excluded } = nameConstraints
    const ofForm = permitted.filter((base) => formOf(base) === formOf(name))
    if (ofForm.length > 0 && !ofForm.some((base) => isBelow(name, base) === true)) return deny('certificate-name-constraints', `${shown(name)} is not permitted`)
    if (excluded.some((base) => formOf(base) === formOf(name) && isBelow(name, base) !== false)) return deny('certificate-name-constraints', `${shown(name)} is excluded`)
  }
  return allow(undefined)
}

/** Every name that the certificate gives its subject. */
function namesOf(facts: Pick<CertificateFacts, 'subject' | 'subjectAltNames'>): readonly NameSubtree[] {
  const mail = attributesOf(facts.subject, 'emailAddress').map((a) => ({ kind: 'email', value: a.value ?? '' }) as const)
  const directory = facts.subject.length === 0 ? [] : [{ kind: 'directory', name: facts.subject } as const]
  return [...directory, ...mail, ...(facts.subjectAltNames ?? [])]
}

/** A constraint speaks of names of its own form only. A directory name among the alternative names comes undecoded. */
function formOf(name: NameSubtree): string {
  return name.kind === 'directory' ? DIRECTORY_NAME : name.kind === 'other' ? name.value : name.kind
}

/** directoryName [4] of GeneralName, as x509/ shows the forms that it does not decode. */
const DIRECTORY_NAME = '[4]'

function shown(name: NameSubtree): string {
  return name.kind === 'directory' ? `the subject ${printable(name.name.flat().map((a) => `${a.short ?? a.type}=${a.value ?? '?'}`).join(', '))}` : `${name.kind} ${printable(name.value)}`
}

/** Undefined when it cannot be said. */
function isBelow(name: NameSubtree, base: NameSubtree): boolean | undefined {
  if (name.kind === 'other' || base.kind === 'other') return undefined
  if (name.kind === 'directory') return base.kind === 'directory' ? isDirectoryBelow(name.name, base.name) : false
  if (base.kind === 'directory') return false
  const suffix = base.value.toLowerCase()
  switch (name.kind) {
    case 'dns': {
      const host = name.value.toLowerCase()
      // An empty base is every name.
      if (suffix === '') return true
      return hasEmptyLabel(host) ? undefined : host === suffix || host.endsWith(suffix.startsWith('.') ? suffix : `.${suffix}`)
    }
    case 'email':
      return isMailboxBelow(name.value, base.value)
    case 'uri': {
      const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@\\]*@)?([a-z0-9._-]+)(?::\d*)?(?:[/?#]|$)/.exec(name.value.toLowerCase())?.[1]
      // No host, or an address as the host: the RFC wants the certificate refused, whatever the constraint.
      return host === undefined || hasEmptyLabel(host) || /(?:^|\.)[0-9]+$/.test(host) ? undefined : isHostBelow(host, suffix)
    }
    case 'ip':
      return isAddressBelow(name.value, base.value)
  }
}

/** "evil.com." is evil.com to a resolver, and no text below it. */
function hasEmptyLabel(host: string): boolean {
  return host.split('.').includes('')
}

/** The local part is compared as it stands, the host without case. RFC 5280 §7.5. */
function isMailboxBelow(mailbox: string, base: string): boolean | undefined {
  const at = mailbox.lastIndexOf('@')
  const host = mailbox.slice(at + 1).toLowerCase()
  if (at < 1 || hasEmptyLabel(host)) return undefined
  const baseAt = base.lastIndexOf('@')
  const baseHost = base.slice(baseAt + 1).toLowerCase()
  return baseAt === -1 ? isHostBelow(host, baseHost) : mailbox.slice(0, at) === base.slice(0, baseAt) && host === baseHost
}

/** ".example.com" is every host below; "example.com" is that host alone. What an empty base means the RFC does not say. */
function isHostBelow(host: string, base: string): boolean | undefined {
  if (base === '') return undefined
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

/** Case, runs of spaces, ways to compose a letter and characters that show nothing do not tell names apart. RFC 5280 §7.1. */
function comparable({ type, value = '' }: NameAttribute): string {
  const mapped = value.replaceAll(/\p{Default_Ignorable_Code_Point}/gu, '').normalize('NFKC').toLowerCase()
  return `${type}=${mapped.trim().replaceAll(/\s+/g, ' ')}`
}
