// The terms of Erlang that an acl.conf is made of: atoms, integers, strings, binaries of one string, tuples and lists, each term
// ended by a dot. It knows nothing of what they say; every term keeps its place.

import type { SourcePosition } from '../errors.ts'
import { printable } from '../ids.ts'
import type { Problem } from '../source-tree.ts'

export type Term = { readonly at: SourcePosition } & (
  | { readonly kind: 'atom' | 'string'; readonly value: string }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'tuple'; readonly items: readonly Term[] }
  | { readonly kind: 'list'; readonly items: readonly Term[] }
)

/** Nesting beyond this is no rule that a person wrote. */
const DEPTH_MAX = 32

const SPACE = /\s+/y
const COMMENT = /%[^\n]*/y
const ATOM = /[a-z][A-Za-z0-9_@]*/y
const INTEGER = /-?\d+/y
const BINARY_END = /(?:\/utf8)?\s*>>/y
/** The dot that ends a term has a space, a comment or the end of the file behind it. */
const DOT = /\.(?=\s|%|$)/y

const ESCAPE = /\\(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|([0-7]{1,3})|\^([@-_a-z?])|([^]))/g
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', v: '\v', b: '\b', f: '\f', e: '\u001b', s: ' ', d: '\u007f' }

/** A term, with the text that it is written with. */
export interface WrittenTerm {
  readonly term: Term
  readonly text: string
}

class SyntaxProblem extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.message)
    this.problem = problem
  }
}

/** Every term of a file, or the first thing that is wrong with it: behind that nothing is known. */
export function readTerms(file: string, text: string): { readonly terms: readonly WrittenTerm[] } | { readonly problem: Problem } {
  const reader = new TermReader(file, text)
  try {
    return { terms: reader.all() }
  } catch (error) {
    if (error instanceof SyntaxProblem) return { problem: error.problem }
    throw error
  }
}

class TermReader {
  readonly #file: string
  readonly #text: string
  #offset = 0
  /** Where the line begins that the last place was in: places are asked for in the order of the text. */
  #line = 1
  #lineStart = 0

  constructor(file: string, text: string) {
    this.#file = file
    this.#text = text
  }

  all(): readonly WrittenTerm[] {
    const terms: WrittenTerm[] = []
    for (this.#skipSpace(); this.#offset < this.#text.length; this.#skipSpace()) {
      const start = this.#offset
      const term = this.#term(0)
      terms.push({ term, text: this.#text.slice(start, this.#offset).replaceAll(/\s+/g, ' ') })
      this.#skipSpace()
      if (this.#take(DOT) === undefined) this.#fail('a term must end with a dot.', 'A rule is, for example: {allow, {username, "a"}, publish, ["t/a/#"]}.')
    }
    return terms
  }

  #term(depth: number): Term {
    if (depth > DEPTH_MAX) return this.#fail(`nested more than ${DEPTH_MAX} deep.`, 'Write it flatter.')
    const at = this.#place()
    if (this.#skip('{')) return { kind: 'tuple', items: this.#items('}', depth), at }
    if (this.#skip('[')) return { kind: 'list', items: this.#items(']', depth), at }
    if (this.#skip('<<')) {
      this.#skipSpace()
      const value = this.#string()
      if (value === undefined || this.#take(BINARY_END) === undefined) return this.#fail('a binary must hold one string.', 'Write <<"text">>.')
      return { kind: 'string', value, at }
    }
    const text = this.#string()
    if (text !== undefined) return { kind: 'string', value: text, at }
    const integer = this.#take(INTEGER)
    if (integer !== undefined) return { kind: 'integer', value: Number(integer[0]), at }
    const atom = this.#quoted("'") ?? this.#take(ATOM)?.[0]
    return atom === undefined ? this.#fail(`${printable(this.#text.slice(this.#offset, this.#offset + 1)) || 'the end of the file'} begins no term.`, 'A term is an atom, a string, a number, {a, tuple} or [a, list].') : { kind: 'atom', value: atom, at }
  }

  #items(end: '}' | ']', depth: number): readonly Term[] {
    const items: Term[] = []
    this.#skipSpace()
    if (this.#skip(end)) return items
    for (;;) {
      this.#skipSpace()
      items.push(this.#term(depth + 1))
      this.#skipSpace()
      if (this.#skip(end)) return items
      if (!this.#skip(',')) return this.#fail(`"," or "${end}" is missing.`, 'Elements are parted by commas.')
    }
  }

  /** Strings that follow each other are one. */
  #string(): string | undefined {
    let text: string | undefined
    for (let part = this.#quoted('"'); part !== undefined; part = this.#quoted('"')) {
      text = (text ?? '') + part
      this.#skipSpace()
    }
    return text
  }

  /** What stands between two of these; not by a pattern, whose stack would grow with it. */
  #quoted(mark: '"' | "'"): string | undefined {
    if (this.#text[this.#offset] !== mark) return undefined
    let end = this.#offset + 1
    while (end < this.#text.length && this.#text[end] !== mark) end += this.#text[end] === '\\' ? 2 : 1
    if (end >= this.#text.length) return this.#fail(`the closing ${mark} is missing.`, 'It may be missing further up, too.')
    const inner = this.#text.slice(this.#offset + 1, end)
    this.#offset = end + 1
    return this.#unescaped(inner)
  }

  #skipSpace(): void {
    while (this.#take(SPACE) !== undefined || this.#take(COMMENT) !== undefined);
  }

  #unescaped(text: string): string {
    return text.replaceAll(ESCAPE, (_, braced?: string, hex?: string, octal?: string, control?: string, simple?: string) => {
      const code = braced ?? hex
      if (code !== undefined) return Number.parseInt(code, 16) <= 0x10ffff ? String.fromCodePoint(Number.parseInt(code, 16)) : '\uFFFD'
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8))
      if (control !== undefined) return control === '?' ? '\u007f' : String.fromCodePoint(control.toUpperCase().charCodeAt(0) - 64)
      return SIMPLE_ESCAPES[simple ?? ''] ?? simple ?? ''
    })
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#offset
    const match = pattern.exec(this.#text)
    if (match === null) return undefined
    this.#offset = pattern.lastIndex
    return match
  }

  #skip(text: string): boolean {
    const found = this.#text.startsWith(text, this.#offset)
    if (found) this.#offset += text.length
    return found
  }

  #place(): SourcePosition {
    for (let next = this.#text.indexOf('\n', this.#lineStart); next !== -1 && next < this.#offset; next = this.#text.indexOf('\n', this.#lineStart)) {
      this.#line++
      this.#lineStart = next + 1
    }
    return { file: this.#file, line: this.#line, column: this.#offset - this.#lineStart + 1 }
  }

  #fail(message: string, fix: string): never {
    throw new SyntaxProblem({ at: this.#place(), message, fix })
  }
}
