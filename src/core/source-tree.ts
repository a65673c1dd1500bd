// A document with positions: what a parser of YAML (or anything else) hands to the rules, so that core can read documents
// without knowing their syntax, and every problem has a file, a line and a column. All problems of a file are collected.

import { POLICY_LIMITS } from '../limits.ts'
import type { SourcePosition } from './errors.ts'
import { printable } from './ids.ts'

export interface MapEntry {
  readonly key: string
  readonly keyAt: SourcePosition
  readonly value: SourceNode
}

export type MapNode = { readonly kind: 'map'; readonly entries: readonly MapEntry[]; readonly at: SourcePosition }
export type ListNode = { readonly kind: 'list'; readonly items: readonly SourceNode[]; readonly at: SourcePosition }
/** `text` is the scalar as written, without quotes. */
export type ScalarNode = { readonly kind: 'scalar'; readonly value: string | number | boolean | null; readonly text: string; readonly at: SourcePosition }
export type SourceNode = MapNode | ListNode | ScalarNode

export interface Problem {
  readonly at: SourcePosition
  readonly message: string
  readonly fix?: string
  /** The id of the rule that it is in. */
  readonly rule?: string
}

/** One line per problem: file:line:column: message fix [rule id]. */
export function describeProblem({ at, message, fix, rule }: Problem): string {
  return `${at.file}:${at.line}:${at.column}: ${message}${fix === undefined ? '' : ` ${fix}`}${rule === undefined ? '' : ` [rule ${rule}]`}`
}

/** By file, line and column. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  return problems.toSorted(({ at: a }, { at: b }) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || a.column - b.column))
}

/** The candidate that is most like `word`, when one is like it at all. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  // As many mistakes as there are letters make any word of any other.
  let bestDistance = Math.min(word.length, Math.max(2, Math.floor(word.length / 3)) + 1)
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Levenshtein's distance. Words longer than this are not typing mistakes of anything. */
const WORD_CHARS_MAX = 64

function editDistance(a: string, b: string): number {
  if (a.length > WORD_CHARS_MAX || b.length > WORD_CHARS_MAX) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution))
    }
    row = next
  }
  return row[b.length] ?? 0
}

const KIND_WORDS = { map: 'a mapping (key: value)', list: 'a list', scalar: 'a single value' } as const

/** Words that other notations have for true and false, and texts that look like them. */
const TRUTH_WORDS: Readonly<Record<string, string>> = { true: 'Write it without quotes.', false: 'Write it without quotes.', yes: 'Write: true', on: 'Write: true', no: 'Write: false', off: 'Write: false' }

const DURATION = /^(\d{1,9})(ms|s|m|h|d)$/
const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES = /^(\d{1,12})(B|KiB|MiB|GiB)?$/
const BYTES_UNIT: Readonly<Record<string, number>> = { B: 1, KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 }

/** Reads typed values out of a tree and collects what is wrong. Every reader returns undefined after reporting. */
export class TreeReader {
  readonly #problems: Problem[] = []
  #untold = 0
  #rule: string | undefined

  /** File by file, in the order of the lines, whatever the order of reading. Beyond `problemsMax` they are only counted. */
  get problems(): readonly Problem[] {
    const told = inOrder(this.#problems)
    const last = told.at(-1)
    return last === undefined || this.#untold === 0 ? told : [...told, { at: last.at, message: `and ${this.#untold} more problems.` }]
  }

  report(at: SourcePosition, message: string, fix?: string): undefined {
    if (this.#isFull) this.#untold++
    else this.#problems.push({ at, message, ...(fix === undefined ? {} : { fix }), ...(this.#rule === undefined ? {} : { rule: this.#rule }) })
    return undefined
  }

  /** What is reported while `read` runs is in the rule with this id. */
  inRule<T>(id: string | undefined, read: () => T): T {
    this.#rule = id
    try {
      return read()
    } finally {
      this.#rule = undefined
    }
  }

  /** What nobody will be told needs no thought. */
  get #isFull(): boolean {
    return this.#problems.length >= POLICY_LIMITS.problemsMax
  }

  /** A mapping with these keys and no others. `misplaced` keys belong elsewhere: with the word where. */
  map(node: SourceNode, what: string, keys: readonly string[], misplaced: Readonly<Record<string, string>> = {}): ReadonlyMap<string, MapEntry> | undefined {
    if (node.kind !== 'map') return this.#wrongKind(node, what, 'map')
    const found = new Map<string, MapEntry>()
    for (const entry of node.entries) {
      const where = Object.hasOwn(misplaced, entry.key) ? misplaced[entry.key] : undefined
      if (where !== undefined) this.report(entry.keyAt, `"${entry.key}" does not belong in ${what}: ${where}`)
      else if (keys.includes(entry.key)) found.set(entry.key, entry)
      else {
        const near = this.#isFull ? undefined : nearest(entry.key, keys)
        this.report(entry.keyAt, `unknown key "${printable(entry.key)}" in ${what}.`, near === undefined ? `Known keys: ${keys.join(', ')}.` : `Did you mean "${near}"?`)
      }
    }
    return found
  }

  list(node: SourceNode, what: string): readonly SourceNode[] | undefined {
    return node.kind === 'list' ? node.items : this.#wrongKind(node, what, 'list')
  }

  string(node: SourceNode, what: string): string | undefined {
    if (node.kind !== 'scalar') return this.#wrongKind(node, what, 'scalar')
    if (node.value === null) return this.report(node.at, `${what} must be text, not nothing.`)
    return typeof node.value === 'string' ? node.value : this.report(node.at, `${what} must be text, not ${printable(node.text)}.`, `Write it in quotes: "${printable(node.text)}".`)
  }

  /** What is written, whatever type it looks like. */
  written(node: SourceNode, what: string): string | undefined {
    return node.kind === 'scalar' ? node.text : this.#wrongKind(node, what, 'scalar')
  }

  boolean(node: SourceNode, what: string): boolean | undefined {
    if (node.kind !== 'scalar') return this.#wrongKind(node, what, 'scalar')
    return typeof node.value === 'boolean' ? node.value : this.report(node.at, `${what} must be true or false, not ${printable(node.text)}.`, Object.hasOwn(TRUTH_WORDS, node.text) ? TRUTH_WORDS[node.text] : undefined)
  }

  integer(node: SourceNode, what: string, min: number, max: number): number | undefined {
    if (node.kind !== 'scalar') return this.#wrongKind(node, what, 'scalar')
    const { value } = node
    return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? value
      : this.report(node.at, `${what} must be ${min === max ? min : `a whole number from ${min} to ${max}`}, not ${typeof value === 'string' ? `"${printable(value)}"` : printable(node.text)}.`, typeof value === 'string' && /^\d+$/.test(value) ? 'Write it without quotes.' : undefined)
  }

  /** `words` are the accepted ones. */
  oneOf<Word extends string>(node: SourceNode, what: string, words: readonly Word[]): Word | undefined {
    const text = node.kind === 'scalar' ? node.text : undefined
    const word = words.find((w) => w === text)
    if (word !== undefined) return word
    const near = text === undefined ? undefined : nearest(text, words)
    return this.report(node.at, `${what} must be ${words.join(' or ')}${text === undefined ? '' : `, not ${printable(text)}`}.`, near === undefined ? undefined : `Did you mean "${near}"?`)
  }

  /** '90s', '24h', '7d' → ms. */
  duration(node: SourceNode, what: string): number | undefined {
    if (node.kind !== 'scalar') return this.#wrongKind(node, what, 'scalar')
    const match = DURATION.exec(node.text)
    const unit = match?.[2] === undefined ? undefined : DURATION_MS[match[2]]
    return unit === undefined ? this.report(node.at, `${what} must be a duration, not ${printable(node.text)}.`, 'Write a number and a unit: 500ms, 90s, 15m, 24h or 7d.') : Number(match?.[1]) * unit
  }

  /** '512', '8KiB', '1MiB' → bytes. */
  bytes(node: SourceNode, what: string): number | undefined {
    if (node.kind !== 'scalar') return this.#wrongKind(node, what, 'scalar')
    const match = BYTES.exec(node.text)
    const unit = BYTES_UNIT[match?.[2] ?? 'B']
    return match === null || unit === undefined ? this.report(node.at, `${what} must be a size, not ${printable(node.text)}.`, 'Write bytes: 512, 8KiB or 1MiB.') : Number(match[1]) * unit
  }

  #wrongKind(node: SourceNode, what: string, wanted: SourceNode['kind']): undefined {
    const found = node.kind === 'scalar' ? (node.value === null ? 'nothing' : `"${printable(node.text)}"`) : KIND_WORDS[node.kind]
    return this.report(node.at, `${what} must be ${KIND_WORDS[wanted]}, not ${found}.`, wanted === 'list' && node.kind === 'scalar' && node.value !== null ? `Write: [ ${printable(node.text)} ]` : undefined)
  }
}
