// The texts of a policy → a compiled policy, or every problem of them. The one place where the policy language meets files and
// a pattern engine; it decides nothing.

import { RE2JS } from 're2js'
import { BlockList, isIP } from 'node:net'
import { printable } from './core/ids.ts'
import { SallyportError } from './core/errors.ts'
import type { PolicyText } from './core/policy-desk.ts'
import { compilePolicy, type CompiledPolicy } from './core/policy/compile.ts'
import type { LocalTime } from './core/policy/document.ts'
import { parsePolicyDocument, type PolicyReading } from './core/policy/read-document.ts'
import type { DocumentTools } from './core/policy/read-rules.ts'
import { describeProblem, inOrder, type Problem } from './core/source-tree.ts'
import { readPolicyTexts, sha256OfTexts } from './policy-file/files.ts'
import { readSource } from './policy-file/source.ts'

/** RE2 syntax: linear in the length of what is matched, whatever the pattern. Must match the whole value. */
function compilePattern(text: string): ((value: string) => boolean) | string {
  try {
    const pattern = RE2JS.compile(text)
    return (value) => pattern.matches(value)
  } catch (cause) {
    return cause instanceof Error ? cause.message : 'unknown syntax'
  }
}

const CIDR = /^([0-9A-Fa-f:.]+?)(?:\/(\d{1,3}))?$/
const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** An IPv4 address and its mapped form (::ffff:10.0.0.1), as a dual-stack socket shows it, are the same to a BlockList. */
export function networkOf(text: string): ((address: string) => boolean) | string {
  const [, address = '', bits] = CIDR.exec(text) ?? []
  const longest = familyOf(address) === 'ipv6' ? 128 : 32
  const prefix = Number(bits ?? longest)
  if (isIP(address) === 0 || prefix > longest) return `"${printable(text)}" is no network.`
  const list = new BlockList()
  list.addSubnet(address, prefix, familyOf(address))
  return (peer) => isIP(peer) !== 0 && list.check(peer, familyOf(peer))
}

const MINUTE_MS = 60_000
/** Of one clock, until it forgets them all: sessions are judged together, in one minute, and ask about few others. */
const MINUTES_KNOWN = 64
const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

function localTimeOf(name: string): LocalTime | string {
  // "+01:00" is taken for a zone, too, and has no summer.
  if (!/^[A-Za-z]/.test(name)) return `"${printable(name)}" is no time zone.`
  try {
    const clock = new Intl.DateTimeFormat('en-US', { timeZone: name, weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
    const known = new Map<number, ReturnType<LocalTime>>()
    return (at) => {
      const thatMinute = Math.floor(at / MINUTE_MS)
      const before = known.get(thatMinute)
      if (before !== undefined) return before
      const parts = new Map(clock.formatToParts(at).map(({ type, value }) => [type, value]))
      const local = { day: WEEKDAYS.indexOf(parts.get('weekday') ?? '') + 1, minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) }
      if (known.size === MINUTES_KNOWN) known.clear()
      known.set(thatMinute, local)
      return local
    }
  } catch {
    return `"${printable(name)}" is no time zone.`
  }
}

/** What the policy language needs of the platform. */
export const POLICY_TOOLS: DocumentTools = { pattern: compilePattern, network: networkOf, zone: localTimeOf }

export type PolicyRead = { readonly policy: CompiledPolicy } | { readonly problems: readonly Problem[] }

/** `file` is only a name, for positions and for the form. */
export function readPolicy(file: string, text: string, generation: number): PolicyRead {
  return readTexts([{ name: file, text }], generation)
}

/** All files of a policy, in whatever order. No file at all grants nothing (R1). It blocks while it reads: background.ts does not. */
export function readTexts(texts: readonly PolicyText[], generation: number): PolicyRead {
  const sources = texts.map(({ name, text }) => readSource(name, text))
  return policyOf(parsePolicyDocument(sources.flatMap(({ tree }) => tree ?? []), POLICY_TOOLS), sources.flatMap(({ problems }) => problems), generation)
}

/** What was read, unless the texts had problems of their own. */
export function policyOf({ document, problems }: PolicyReading, ofTexts: readonly Problem[], generation: number): PolicyRead {
  const all = inOrder([...ofTexts, ...problems])
  return document === undefined || all.length > 0 ? { problems: all } : { policy: compilePolicy(document, generation) }
}

/** Failure: 'policy-invalid' with all problems, at the place of the first. */
export function needPolicy(read: PolicyRead): CompiledPolicy {
  if ('policy' in read) return read.policy
  const [first] = read.problems
  throw new SallyportError('policy-invalid', read.problems.map(describeProblem).join('\n'), first === undefined ? {} : { at: first.at })
}

export interface LoadedPolicy {
  readonly policy: CompiledPolicy
  /** What was compiled; empty where there is no policy. */
  readonly texts: readonly PolicyText[]
  readonly sha256: string
}

/** Reads and compiles the policy with this main file. Failure: 'policy-invalid' with all problems, at the place of the first. */
export async function loadPolicy(policyFile: string, generation: number): Promise<LoadedPolicy> {
  const texts = await readPolicyTexts(policyFile)
  return { policy: needPolicy(readTexts(texts, generation)), texts, sha256: sha256OfTexts(texts) }
}
