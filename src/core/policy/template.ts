// Topic patterns with variables: parsed when a policy is compiled, resolved once per session. A variable fills a part of
// one level and can never become a separator or a wildcard. policy.md R3.

import { REGISTRY_LIMITS } from '../../limits.ts'
import { ATTRIBUTE_SHORT_NAMES, attributesOf, type CertificateFacts, type SubjectAltName } from '../certificate.ts'
import type { Device } from '../device.ts'
import { isOwnClientId, printable, type CaName, type EpochMs } from '../ids.ts'
import { nearest } from '../source-tree.ts'
import type { ConnectionFacts } from './conditions.ts'

/** What a policy can speak of. */
export type PolicyCertificate = Pick<CertificateFacts, 'serial' | 'sha256' | 'subject' | 'issuer' | 'subjectAltNames' | 'notBefore'>

/** Whose grants are asked for. `certificate` may be a getter: it is read only when the policy speaks of it. */
export interface Principal {
  readonly device: Device
  readonly ca: CaName
  readonly certificate?: PolicyCertificate | undefined
  readonly clientId?: string
  /** Undefined where what was said earlier is judged again: its time was judged when it was said. */
  readonly now?: EpochMs | undefined
  /** What is known of it; undefined where nobody is connected. */
  readonly connection?: Partial<ConnectionFacts> | undefined
  /** The enrollment of the certificate proved what device it is. */
  readonly attested?: boolean
}

export type Part = { readonly literal: string } | { readonly variable: string; readonly read: (principal: Principal) => readonly string[] }

/** Text with variables. */
export type Parts = readonly Part[]

/** One level of a pattern: '+', '#', or parts that make a literal level once their variables are known. */
export type TemplateLevel = '+' | '#' | Parts

export interface Template {
  readonly text: string
  readonly levels: readonly TemplateLevel[]
}

/** A template whose variables are known. `bindings` are those that it used. */
export interface Resolved {
  readonly levels: readonly string[]
  readonly bindings: Readonly<Record<string, string>>
}

type Reader = (principal: Principal) => readonly string[]

const altNames = (kind: SubjectAltName['kind'], index: number | undefined): Reader => (p) => at(
  (p.certificate?.subjectAltNames ?? []).filter((n) => n.kind === kind).map((n) => n.value),
  index,
)
const at = (values: readonly string[], index: number | undefined): readonly string[] => (index === undefined ? values : values.slice(index, index + 1))

const SPIFFE = /^spiffe:\/\/[^/]+\/(.+)$/
const spiffePath = (index: number | undefined): Reader => (p) => {
  const uris = (p.certificate?.subjectAltNames ?? []).filter((n) => n.kind === 'uri').flatMap((n) => SPIFFE.exec(n.value)?.[1] ?? [])
  const [path] = uris
  return uris.length === 1 && path !== undefined ? at(path.split('/'), index) : []
}

/** Variables without a parameter. */
const SIMPLE: Readonly<Record<string, Reader>> = {
  'device.id': (p) => [p.device.id],
  'device.tenant': (p) => [p.device.tenant],
  'device.group': (p) => p.device.groups,
  'cert.serial': (p) => (p.certificate === undefined ? [] : [p.certificate.serial]),
  'cert.sha256': (p) => (p.certificate === undefined ? [] : [p.certificate.sha256]),
  // Where a policy admits client ids beyond the device's own, one that another device could have names nobody: what a peer
  // merely says must not fill in a topic.
  clientId: (p) => (p.clientId !== undefined && isOwnClientId(p.device.id, p.clientId) ? [p.clientId] : []),
}

const SHORT_NAMES = ATTRIBUTE_SHORT_NAMES.join('|')

const FAMILIES: readonly (readonly [RegExp, (name: string, index: number | undefined) => Reader])[] = [
  [/^device\.attr\.([A-Za-z][A-Za-z0-9_]*)$/, (name) => (p) => (Object.hasOwn(p.device.attributes, name) ? [p.device.attributes[name] ?? ''] : [])],
  [new RegExp(`^cert\\.subject\\.(${SHORT_NAMES})$`), (name) => (p) => (p.certificate === undefined ? [] : attributesOf(p.certificate.subject, name).map((a) => a.value ?? ''))],
  [new RegExp(`^cert\\.issuer\\.(${SHORT_NAMES})$`), (name) => (p) => (p.certificate === undefined ? [] : attributesOf(p.certificate.issuer, name).map((a) => a.value ?? ''))],
  [/^(?:cert\.)?san\.(dns|uri|email|ip)(?:\[(\d{1,2})\])?$/, (kind, index) => altNames(kind as 'dns' | 'uri' | 'email' | 'ip', index)],
  [/^spiffe\.path(?:\[(\d{1,2})\])$/, (_, index) => spiffePath(index)],
]

const KNOWN = [...Object.keys(SIMPLE), 'device.attr.NAME', 'cert.subject.CN', 'cert.issuer.CN', 'cert.san.dns[0]', 'cert.san.uri[0]', 'cert.san.email[0]', 'cert.san.ip[0]', 'spiffe.path[0]']

/** The reader of a variable, or a problem. */
export function variableReader(name: string): Reader | { readonly problem: string; readonly fix: string } {
  const simple = Object.hasOwn(SIMPLE, name) ? SIMPLE[name] : undefined
  if (simple !== undefined) return simple
  for (const [pattern, make] of FAMILIES) {
    const match = pattern.exec(name)
    if (match === null) continue
    // spiffe.path has its index in the first group, SANs in the second.
    const index = match[2] ?? (pattern.source.startsWith('^spiffe') ? match[1] : undefined)
    return make(match[1] ?? '', index === undefined ? undefined : Number(index))
  }
  const near = nearest(name, KNOWN)
  return { problem: `there is no variable \${${printable(name)}}.`, fix: near === undefined ? `Known: ${KNOWN.join(', ')}.` : `Did you mean \${${near}}?` }
}

const UNCLOSED = { problem: 'a variable is not closed with "}".', fix: 'Write $${ for a literal ${.' } as const

const VARIABLE = /\$\$\{|\$\{([^{}]*)\}/g

/** Splits text at its variables. `$${` stands for a literal `${`; what a variable yields is never looked into again. */
export function parseParts(text: string): Parts | { readonly problem: string; readonly fix?: string } {
  const parts: Part[] = []
  let last = 0
  let literal = ''
  for (const match of text.matchAll(VARIABLE)) {
    const between = text.slice(last, match.index)
    if (between.includes('${')) return UNCLOSED
    literal += between
    last = match.index + match[0].length
    const name = match[1]
    if (name === undefined) {
      literal += '${'
      continue
    }
    const reader = variableReader(name)
    if ('problem' in reader) return reader
    if (literal !== '') parts.push({ literal })
    literal = ''
    parts.push({ variable: name, read: reader })
  }
  const rest = text.slice(last)
  if (rest.includes('${')) return UNCLOSED
  literal += rest
  if (literal !== '' || parts.length === 0) parts.push({ literal })
  return parts
}

// policy.md R3: what makes a value unusable inside a topic level.
const UNUSABLE = /[/+#\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\uFFFD]/u
// Nearly every value is one of these, and is asked about for every pattern of every session.
const PLAIN = /^[A-Za-z0-9_.:-]+$/

function usable(value: string): boolean {
  if (value.length <= REGISTRY_LIMITS.attributeValueBytesMax && PLAIN.test(value)) return true
  return value !== '' && !UNUSABLE.test(value) && value.normalize('NFC') === value && new TextEncoder().encode(value).length <= REGISTRY_LIMITS.attributeValueBytesMax
}

/** The text of parts for a principal; undefined with the name of the variable when one is missing, ambiguous or unusable. */
export function resolveParts(parts: Parts, principal: Principal, bindings: Record<string, string>): string | { readonly unresolved: string } {
  let text = ''
  for (const part of parts) {
    if ('literal' in part) {
      text += part.literal
      continue
    }
    const values = part.read(principal)
    const [value] = values
    if (values.length !== 1 || value === undefined || !usable(value)) return { unresolved: part.variable }
    bindings[part.variable] = value
    text += value
  }
  return text
}

/** Resolves a whole pattern. `onUnresolved` decides what an unresolved level becomes: undefined gives the pattern up. */
export function resolveTemplate(template: Template, principal: Principal, onUnresolved: (variable: string) => '+' | undefined): Resolved | undefined {
  // Its keys are names of variables, none of which an object has of its own.
  const bindings: Record<string, string> = {}
  const levels: string[] = []
  for (const [i, level] of template.levels.entries()) {
    if (level === '+' || level === '#') {
      levels.push(level)
      continue
    }
    let resolved = resolveParts(level, principal, bindings)
    // A value must not move a pattern below a reserved root; a literal cannot, document.ts has refused it.
    if (i === 0 && typeof resolved === 'string' && resolved.startsWith('$')) resolved = { unresolved: level.find((p) => 'variable' in p)?.variable ?? '$' }
    const text = typeof resolved === 'string' ? resolved : onUnresolved(resolved.unresolved)
    if (text === undefined) return undefined
    levels.push(text)
  }
  return { levels, bindings }
}
