// One line of the line form as words and terms, with their places. Words are parted by blanks; what has blanks, quotes or
// commas in it is quoted as in JSON; a word that begins with # is a comment. It knows no word of the language.

import type { SourcePosition } from '../core/errors.ts'
import { printable } from '../core/ids.ts'
import type { Report } from './entries.ts'

export interface Word {
  readonly text: string
  readonly at: SourcePosition
  readonly quoted: boolean
}

/** `name=value`, `name<=value`, `name=a,b`. */
export interface Term {
  readonly name: string
  readonly at: SourcePosition
  readonly operator: string
  /** At least one. */
  readonly values: readonly Word[]
}

const BLANKS = /[ \t]*/y
const BARE = /[^ \t]+/y
const BARE_VALUE = /[^ \t,"]+/y
const LONE_HASH = /^#[ \t]?$/
const QUOTED = /"(?:[^"\\]|\\.)*"/y
const NAME = /[A-Za-z][A-Za-z0-9_]*/y
const OPERATOR = /<=|>=|=|<|>/y
const WITHOUT_BLANKS = 'Write values without blanks, as a,b; or in quotes: "a b".'

export class Words {
  readonly #text: string
  readonly #place: { readonly file: string; readonly line: number }
  readonly #report: Report
  #index = 0

  constructor(text: string, place: { readonly file: string; readonly line: number }, report: Report) {
    this.#text = text
    this.#place = place
    this.#report = report
  }

  get isIndented(): boolean {
    return this.#text.startsWith(' ') || this.#text.startsWith('\t')
  }

  /** Nothing follows but a comment. */
  get isAtEnd(): boolean {
    this.#take(BLANKS)
    return this.#index >= this.#text.length || this.#text[this.#index] === '#'
  }

  /** The next word; undefined at the end, or when it is malformed: then that is reported, and nothing follows. */
  word(): Word | undefined {
    return this.isAtEnd ? undefined : this.#word()
  }

  /** The next word, which must be there. */
  needed(what: string, fix: string): Word | undefined {
    return this.isAtEnd ? this.#fail(this.#here, `${what} is missing.`, fix) : this.#word()
  }

  /** The next word where a topic stands: there, # alone is one. */
  topic(verb: string): Word | undefined {
    this.#take(BLANKS)
    return LONE_HASH.test(this.#text.slice(this.#index, this.#index + 2)) ? this.#word() : this.needed(`the topic of ${verb}`, `Write: ${verb} t/\${device.id}/#`)
  }

  /** What follows is not looked at. */
  skip(): void {
    this.#index = this.#text.length
  }

  /** The next term; undefined at the end, or when it is malformed: then that is reported, and nothing follows. */
  term(what: string, fix: string): Term | undefined {
    if (this.isAtEnd) return undefined
    const at = this.#here
    const name = this.#take(NAME)
    const operator = name === undefined ? undefined : this.#take(OPERATOR)
    if (name === undefined || operator === undefined) {
      const word = this.#take(BARE) ?? ''
      return this.#fail(at, `"${printable(`${name ?? ''}${word}`)}" is no term of ${what}.`, fix)
    }
    const values: Word[] = []
    do {
      const value = this.#value()
      if (value === undefined) return undefined
      values.push(value)
    } while (this.#take(/,/y) !== undefined)
    return this.#isParted() ? { name, at, operator, values } : undefined
  }

  get #here(): SourcePosition {
    return { ...this.#place, column: this.#index + 1 }
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#index
    const found = pattern.exec(this.#text)?.[0]
    this.#index += found?.length ?? 0
    return found
  }

  #fail(at: SourcePosition, message: string, fix: string): undefined {
    this.skip()
    return this.#report(at, message, fix)
  }

  #word(): Word | undefined {
    const at = this.#here
    if (this.#text[this.#index] === '"') {
      const quoted = this.#quoted()
      return quoted !== undefined && this.#isParted() ? quoted : undefined
    }
    const text = this.#take(BARE) ?? ''
    if (text.includes('"')) return this.#fail({ ...at, column: at.column + text.indexOf('"') }, 'a quote stands in the middle of a word.', 'Quote the whole word, and write \\" for a quote in it.')
    return { text, at, quoted: false }
  }

  #value(): Word | undefined {
    const at = this.#here
    if (this.#text[this.#index] === '"') return this.#quoted()
    const text = this.#take(BARE_VALUE)
    return text === undefined ? this.#fail(at, 'a value is missing.', WITHOUT_BLANKS) : { text, at, quoted: false }
  }

  #quoted(): Word | undefined {
    const at = this.#here
    const source = this.#take(QUOTED)
    if (source === undefined) return this.#fail(at, 'the quote is not closed.', 'Close it in the same line.')
    const text = parseJsonString(source)
    return text === undefined ? this.#fail(at, `${printable(source)} is not quoted text.`, 'Inside quotes, write \\" \\\\ \\t \\n or \\u20ac as in JSON.') : { text, at, quoted: true }
  }

  #isParted(): boolean {
    const next = this.#text[this.#index]
    if (next === undefined || next === ' ' || next === '\t') return true
    this.#fail(this.#here, 'a blank is missing.', WITHOUT_BLANKS)
    return false
  }
}

function parseJsonString(source: string): string | undefined {
  try {
    const value: unknown = JSON.parse(source)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
