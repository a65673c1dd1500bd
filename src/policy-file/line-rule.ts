// One rule of the line form: the lines below its first one, and the mapping that they make.

import type { SourcePosition } from '../core/errors.ts'
import { parseGroupName, printable } from '../core/ids.ts'
import type { SourceNode } from '../core/source-tree.ts'
import { Entries, textNode, type Report } from './entries.ts'
import { CONDITION_TERMS, CONNECT_TERMS, NO_TERMS, PUBLISH_TERMS, readTerms, SUBSCRIBE_TERMS, TIME_TERMS, unknownWord, WILL_TERMS, type TermTable } from './terms.ts'
import type { Word, Words } from './words.ts'

export type RuleKind = 'grant' | 'deny' | 'quarantine' | 'identity'

/** topic: one more of a list. part: terms, said in one line or several. word, words: as they are. */
type BodyLine =
  | { readonly kind: 'topic'; readonly key: string; readonly terms: TermTable }
  | { readonly kind: 'part'; readonly terms: TermTable }
  | { readonly kind: 'word' | 'words'; readonly example: string }

const topic = (key: string, terms: TermTable): BodyLine => ({ kind: 'topic', key, terms })
const ANY_RULE: Readonly<Record<string, BodyLine>> = { id: { kind: 'word', example: 'id sensor' }, when: { kind: 'part', terms: CONDITION_TERMS } }
const ALLOWED: Readonly<Record<string, BodyLine>> = { connect: { kind: 'part', terms: CONNECT_TERMS }, pub: topic('publish', PUBLISH_TERMS), sub: topic('subscribe', SUBSCRIBE_TERMS), will: topic('will', WILL_TERMS) }
const DENIED: Readonly<Record<string, BodyLine>> = { pub: topic('publish', NO_TERMS), sub: topic('subscribe', NO_TERMS), recv: topic('receive', NO_TERMS) }
const BODIES: Readonly<Record<RuleKind, Readonly<Record<string, BodyLine>>>> = {
  grant: { ...ANY_RULE, ...ALLOWED },
  deny: { ...ANY_RULE, ...DENIED, onDeny: { kind: 'word', example: 'onDeny disconnect' } },
  quarantine: ALLOWED,
  identity: { device: { kind: 'word', example: 'device ${cert.subject.CN}' }, idPattern: { kind: 'word', example: 'idPattern "^[A-Z]{2}-[0-9]{8}$"' }, groups: { kind: 'words', example: 'groups ${cert.subject.OU}' }, register: { kind: 'word', example: 'register auto' } },
}
const NAMES: Readonly<Record<RuleKind, string>> = { grant: 'a grant', deny: 'a deny rule', quarantine: 'quarantine', identity: 'an identity rule' }

export const DENY_VERBS: readonly string[] = Object.keys(DENIED)
/** Words that stand in rules, and begin none. */
export const BODY_WORDS: readonly string[] = [...new Set(Object.values(BODIES).flatMap((body) => Object.keys(body)))]

export class LineRule {
  readonly kind: RuleKind
  readonly at: SourcePosition
  readonly entries = new Entries()
  readonly #report: Report
  readonly #parts = new Map<string, Entries>()

  constructor(kind: RuleKind, at: SourcePosition, report: Report) {
    this.kind = kind
    this.at = at
    this.#report = report
  }

  /** The id that it says, where that can be told. */
  get id(): string | undefined {
    const said = this.entries.textOf('id')
    return said !== undefined && parseGroupName(said).allow ? said : undefined
  }

  knows(verb: string): boolean {
    return Object.hasOwn(BODIES[this.kind], verb)
  }

  /** Reads a line of the rule behind its first word. Returns the topic that it names, if any. */
  line(verb: Word, words: Words): Word | undefined {
    const body = BODIES[this.kind]
    const line = Object.hasOwn(body, verb.text) ? body[verb.text] : undefined
    if (line === undefined) {
      words.skip()
      return this.#report(verb.at, `${NAMES[this.kind]} has no line "${printable(verb.text)}".`, unknownWord(verb.text, Object.keys(body)))
    }
    switch (line.kind) {
      case 'topic':
        return this.#topic(verb, line.key, line.terms, words)
      case 'part':
        return this.#part(verb, line.terms, words)
      case 'word':
        return this.#word(verb, line.example, words)
      case 'words':
        return this.#words(verb, line.example, words)
    }
  }

  #topic(verb: Word, key: string, table: TermTable, words: Words): Word | undefined {
    const found = words.topic(verb.text)
    if (found === undefined) return undefined
    const text = textNode(found.text, found.at)
    const entries = new Entries()
    entries.set('topic', found.at, text)
    readTerms(words, table, verb.text, () => entries, this.#report)
    const node = entries.node(found.at)
    this.entries.add(key, verb.at, node.entries.length === 1 ? text : node)
    return found
  }

  #part(verb: Word, table: TermTable, words: Words): undefined {
    if (words.isAtEnd) words.needed('what it says', `Write: ${verb.text} ${Object.values(table)[0]?.example ?? ''}`)
    readTerms(words, table, verb.text, (name, { at }) => {
      const whole = this.#entriesOf(verb.text, this.entries, verb.at)
      return table === CONDITION_TERMS && Object.hasOwn(TIME_TERMS, name) ? this.#entriesOf('time', whole, at) : whole
    }, this.#report)
  }

  #entriesOf(key: string, owner: Entries, at: SourcePosition): Entries {
    const known = this.#parts.get(key)
    if (known !== undefined) return known
    const entries = new Entries()
    this.#parts.set(key, entries)
    owner.set(key, at, entries.node(at))
    return entries
  }

  #word({ text, at }: Word, example: string, words: Words): undefined {
    const before = this.entries.placeOf(text)
    const value = words.needed(`the value of ${text}`, `Write: ${example}`)
    if (before !== undefined) return this.#report(at, `${text} is said already, in line ${before.line}.`, 'Say it once for each rule.')
    if (value !== undefined) this.entries.set(text, at, textNode(value.text, value.at))
    return undefined
  }

  #words({ text, at }: Word, example: string, words: Words): undefined {
    for (let each = words.needed(`the value of ${text}`, `Write: ${example}`); each !== undefined; each = words.word()) this.entries.add(text, at, textNode(each.text, each.at))
  }

  /** The rule as a mapping; `id` is its own where it says none. */
  node(id: string | undefined): SourceNode {
    if (id !== undefined && !this.entries.has('id')) this.entries.set('id', this.at, textNode(id, this.at))
    return this.entries.node(this.at)
  }
}
