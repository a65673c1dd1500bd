// Topic names and topic filters: what is one, which names a filter matches, and when one filter contains another. The
// arithmetic that every grant rests on. MQTT 5 §4.7; policy.md for `contains`.

import { BROKER_LIMITS } from '../limits.ts'
import { RESERVED_ROOT_PREFIX } from '../vocabulary.ts'
import { allow, deny, type Decision } from './decision.ts'
import { printable } from './ids.ts'

/** The levels of a name or filter: 'a//b' is ['a', '', 'b']. */
export type Levels = readonly string[]

/** A name that may be published to: no wildcards, no reserved root. */
export interface TopicName {
  readonly text: string
  readonly levels: Levels
}

export interface TopicFilter {
  readonly text: string
  /** The levels of the filter itself: for `$share/g/a/+` those of `a/+`. */
  readonly levels: Levels
  /** The share name of a shared subscription. */
  readonly share?: string
}

// NUL is forbidden [MQTT-1.5.4-2]; other control characters and noncharacters may be refused (§1.5.4), and a log is
// better without them. U+FFFD stands where the bytes were not UTF-8.
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\uFFFD]/u

/** What the filter of a shared subscription begins with. MQTT 5 §4.8.2. */
export const SHARE_ROOT = '$share/'

function problemOf(text: string): string | undefined {
  if (text === '') return 'empty'
  // A string of n UTF-16 units has at least n bytes, and at most 3n.
  if (text.length > BROKER_LIMITS.topicBytesMax || new TextEncoder().encode(text).length > BROKER_LIMITS.topicBytesMax) return `more than ${BROKER_LIMITS.topicBytesMax} bytes`
  if (FORBIDDEN.test(text)) return 'a character that is not allowed'
  return undefined
}

/** Reasons: topic-invalid, topic-reserved. */
export function parseTopicName(text: string): Decision<TopicName> {
  const problem = problemOf(text)
  if (problem !== undefined) return deny('topic-invalid', problem)
  if (/[+#]/.test(text)) return deny('topic-invalid', 'a wildcard in a topic name') // [MQTT-3.3.2-2]
  if (text.startsWith(RESERVED_ROOT_PREFIX)) return deny('topic-reserved')
  const levels = text.split('/')
  if (levels.length > BROKER_LIMITS.topicLevelsMax) return deny('topic-invalid', `more than ${BROKER_LIMITS.topicLevelsMax} levels`)
  return allow({ text, levels })
}

/** Reason: filter-invalid. A filter below a reserved root is a filter; whether it is granted is another question. */
export function parseTopicFilter(text: string): Decision<TopicFilter> {
  const problem = problemOf(text)
  if (problem !== undefined) return deny('filter-invalid', problem)
  if (!text.startsWith(SHARE_ROOT)) return parseLevels(text, text, undefined)
  const end = text.indexOf('/', SHARE_ROOT.length)
  const share = end === -1 ? '' : text.slice(SHARE_ROOT.length, end)
  const inner = end === -1 ? '' : text.slice(end + 1)
  // [MQTT-4.8.2-1], [MQTT-4.8.2-2]
  if (share === '' || /[+#]/.test(share) || inner === '') return deny('filter-invalid', 'a malformed shared subscription')
  return parseLevels(text, inner, share)
}

function parseLevels(text: string, filter: string, share: string | undefined): Decision<TopicFilter> {
  const levels = filter.split('/')
  if (levels.length > BROKER_LIMITS.topicLevelsMax) return deny('filter-invalid', `more than ${BROKER_LIMITS.topicLevelsMax} levels`)
  const bad = levels.find((level, i) => (level.length > 1 && /[+#]/.test(level)) || (level === '#' && i !== levels.length - 1))
  if (bad !== undefined) return deny('filter-invalid', `level ${printable(bad)}`) // [MQTT-4.7.1-1], [MQTT-4.7.1-2]
  return allow(share === undefined ? { text, levels } : { text, levels, share })
}

/** T ∈ L(F). A filter that starts with a wildcard never matches a topic that starts with $ [MQTT-4.7.2-1]. */
export function matches(filter: Levels, topic: Levels): boolean {
  const first = filter[0]
  if ((first === '+' || first === '#') && topic[0]?.startsWith('$') === true) return false
  for (let i = 0; ; i++) {
    const f = filter[i]
    if (f === '#') return true // a/# also matches a
    if (i === filter.length || i === topic.length) return i === filter.length && i === topic.length
    if (f !== '+' && f !== topic[i]) return false
  }
}

/**
 * L(F) ⊆ L(A), by the algorithm of policy.md: sound, and complete for a single A but for one pair: '+/#' has exactly the
 * topics of '#', and is not said to contain it.
 */
export function contains(a: Levels, f: Levels): boolean {
  const a0 = a[0] ?? ''
  const f0 = f[0] ?? ''
  if (a0.startsWith('$') !== f0.startsWith('$')) return false
  for (let i = 0; ; i++) {
    const ai = a[i]
    const fi = f[i]
    if (i === a.length) return i === f.length
    if (ai === '#') return true
    if (i === f.length) return false
    // Only '#' covers '#': a device/+ grant must not admit device/#.
    if (fi === '#') return false
    if (fi === '+' && ai !== '+') return false
    if (ai !== '+' && ai !== fi) return false
  }
}

/** L(A) ∩ L(F) ≠ ∅. */
export function intersects(a: Levels, f: Levels): boolean {
  const a0 = a[0] ?? ''
  const f0 = f[0] ?? ''
  const wild = (level: string): boolean => level === '+' || level === '#'
  if ((a0.startsWith('$') && wild(f0)) || (f0.startsWith('$') && wild(a0))) return false
  for (let i = 0; ; i++) {
    const ai = a[i]
    const fi = f[i]
    if (ai === '#' || fi === '#') return true
    if (ai === undefined || fi === undefined) return ai === fi
    if (ai !== '+' && fi !== '+' && ai !== fi) return false
  }
}
