// Topic patterns with variables, compared before anybody has filled them in: what one surely contains, what two may have in
// common, and what remains of a filter when some filters within it are taken away. Where it cannot be known, the answer is the
// one that makes an importer grant less.

import { contains, parseTopicFilter } from '../topic.ts'
import { RESERVED_ROOT_PREFIX } from '../../vocabulary.ts'
import { parseParts } from './template.ts'

/** Levels of the policy language: '+', '#', or text with variables. */
export type PatternLevels = readonly string[]

const isWild = (level: string | undefined): boolean => level === '+' || level === '#'

/** A level of the original as a level that means itself. */
export function literalLevel(text: string): string {
  // A function, because "$$" in a replacement is one "$".
  return text.replaceAll('${', () => '$${')
}

export function hasVariable(level: string): boolean {
  if (!level.includes('${')) return false
  const parts = parseParts(level)
  return 'problem' in parts || parts.some((part) => 'variable' in part)
}

/** Why a pattern can be no topic of a policy; undefined when it can. */
export function unsayable(levels: PatternLevels): 'reserved' | 'invalid' | undefined {
  // With some letter for each variable.
  const form = levels.map((level) => {
    const parts = isWild(level) ? level : parseParts(level)
    return typeof parts === 'string' ? parts : 'problem' in parts ? '\0' : parts.map((part) => ('literal' in part ? part.literal : 'v')).join('')
  }).join('/')
  if (form.startsWith(RESERVED_ROOT_PREFIX)) return 'reserved'
  return parseTopicFilter(form).allow ? undefined : 'invalid'
}

const SHORT_LEVELS = 8

/** Everything that begins like a pattern which is too long to be written; undefined when no topic is so long, either. */
export function shortened(levels: PatternLevels): PatternLevels | undefined {
  // "+" may be an empty level: only then are there topics that are shorter than the pattern.
  const plus = levels.indexOf('+')
  return plus === -1 ? undefined : [...levels.slice(0, Math.min(plus, SHORT_LEVELS)), '#']
}

/** A variable may begin a pattern, but no reserved root: what begins with "$" is told from what is filled in. */
const marked = (levels: PatternLevels): PatternLevels => levels.map((level) => (isWild(level) ? level : `=${level}`))

/** Whatever the variables are, every topic and filter of `inner` is in `outer`. */
export function surelyContains(outer: PatternLevels, inner: PatternLevels): boolean {
  return contains(marked(outer), marked(inner))
}

const fixedPrefix = (level: string): string => {
  const parts = parseParts(level)
  const first = 'problem' in parts ? undefined : parts[0]
  return first !== undefined && 'literal' in first ? first.literal : ''
}

function mayEqual(a: string, b: string): boolean {
  if (a === b) return true
  if (!hasVariable(a) && !hasVariable(b)) return false
  const [x, y] = [fixedPrefix(a), fixedPrefix(b)]
  return hasVariable(a) && hasVariable(b) ? x.startsWith(y) || y.startsWith(x) : hasVariable(a) ? fixedPrefix(b).startsWith(x) : x.startsWith(y)
}

/** They may have a topic in common. */
export function mayOverlap(a: PatternLevels, b: PatternLevels): boolean {
  for (let i = 0; ; i++) {
    const ai = a[i]
    const bi = b[i]
    if (ai === '#' || bi === '#') return true
    if (ai === undefined || bi === undefined) return ai === bi
    if (ai !== '+' && bi !== '+' && !mayEqual(ai, bi)) return false
  }
}

/** The pattern of what is in both; 'unknown' where it depends on what is filled in. */
export function meet(a: PatternLevels, b: PatternLevels): PatternLevels | 'empty' | 'unknown' {
  if (!mayOverlap(a, b)) return 'empty'
  const common: string[] = []
  for (let i = 0; ; i++) {
    const ai = a[i]
    const bi = b[i]
    if (ai === '#') return [...common, ...b.slice(i)]
    if (bi === '#') return [...common, ...a.slice(i)]
    if (ai === undefined || bi === undefined) return common
    if (ai !== '+' && bi !== '+' && ai !== bi) return 'unknown'
    common.push(ai === '+' ? bi : ai)
  }
}

export interface Remaining {
  readonly patterns: readonly PatternLevels[]
  /** Nothing else is gone. */
  readonly exact: boolean
}

/**
 * Filters, not topics: what is left of a grant when the filters that end in "#" right after `prefix` are to be refused. Their topics
 * stay: device/# without the filter device/# is device and device/+/#. With `exactly`, "+" of the prefix is that word and no other;
 * else it takes any.
 */
export function withoutHashFilters(granted: PatternLevels, prefix: PatternLevels, exactly: boolean): Remaining {
  const k = prefix.length
  const m = granted.length - 1
  const stem = granted.slice(0, m)
  const takesAny = (i: number): boolean => !exactly && prefix[i] === '+'
  const takesSome = stem.every((level, i) => takesAny(i) || level === '+' || mayEqual(prefix[i] ?? '', level))
  // Only "#" contains a filter that ends in "#".
  if (granted.at(-1) !== '#' || m > k || !takesSome) return { patterns: [granted], exact: true }
  const plus = (count: number): readonly string[] => Array.from({ length: count }, () => '+')
  const shorter = Array.from({ length: k - m + 1 }, (_, n) => [...stem, ...plus(n)]).filter((levels) => levels.join('/') !== '')
  const takesAll = stem.every((level, i) => takesAny(i) || (prefix[i] === level && level !== '+'))
  return { patterns: [...shorter, [...stem, ...plus(k - m + 1), '#']], exact: m === k && takesAll }
}
