// The line form of a policy: text → the tree that the YAML form makes, with the places of the line form. A line that begins
// at the margin begins a rule or says something for the whole policy; an indented one belongs to the rule above it. What
// the words mean is the reader's business. docs/policy.md is its manual.

import { createHash } from 'node:crypto'
import type { SourcePosition } from '../core/errors.ts'
import { parseGroupName, printable } from '../core/ids.ts'
import { TreeReader, type MapNode, type Problem, type SourceNode } from '../core/source-tree.ts'
import { POLICY_LIMITS } from '../limits.ts'
import { Entries, textNode, type Report } from './entries.ts'
import { BODY_WORDS, DENY_VERBS, LineRule, type RuleKind } from './line-rule.ts'
import { numberNode, readAttributes, truthNode, unknownWord } from './terms.ts'
import { Words, type Word } from './words.ts'

/** Reads a policy in its line form. The tree is what could be understood, problems or not; an empty text is an empty policy. */
export function readLines(file: string, text: string): { readonly tree?: SourceNode; readonly problems: readonly Problem[] } {
  const start: SourcePosition = { file, line: 1, column: 1 }
  if (Buffer.byteLength(text) > POLICY_LIMITS.documentBytesMax) return { problems: [{ at: start, message: `the file is larger than ${POLICY_LIMITS.documentBytesMax} bytes.` }] }
  const reader = new LineReader()
  let number = 1
  for (let from = text.startsWith('\uFEFF') ? 1 : 0; from <= text.length; number++) {
    const newline = text.indexOf('\n', from)
    const to = newline === -1 ? text.length : newline
    reader.line(text.slice(from, text[to - 1] === '\r' ? to - 1 : to), { file, line: number })
    from = to + 1
  }
  return reader.end(start)
}

const TARGETS: readonly string[] = ['any', 'group', 'device', 'ca', 'tenant', 'attr']
const SETTINGS: Readonly<Record<string, string>> = { version: 'version 1', onDeny: 'onDeny disconnect', strictDeny: 'strictDeny yes', retained: 'retained purge', willOnKick: 'willOnKick publish' }
const HEADS: readonly string[] = [...TARGETS, 'deny', 'quarantine', 'identity', ...Object.keys(SETTINGS)]
const LISTS: Readonly<Record<Exclude<RuleKind, 'quarantine'>, string>> = { grant: 'grants', deny: 'deny', identity: 'identity' }
const CONTAINS = 'A group of groups is written: group plant contains line-1 line-2'
const HASH_DIGITS = 12

/** Whom a rule is for; `name` tells it from other targets of its kind. */
interface Target {
  readonly to: SourceNode
  readonly kind: string
  readonly name: string
  /** The place of a group's name: it may turn out to be one that contains others. */
  readonly group?: Word
}

class LineReader {
  readonly #problems = new TreeReader()
  readonly #top = new Entries()
  readonly #groups = new Entries()
  /** The rule whose lines are being read, and its id where it says none. */
  #rule: { readonly lines: LineRule; readonly id?: string } | undefined
  /** Problems of the rule: its id may stand below them. */
  #pending: (() => void)[] = []
  readonly #report: Report = (at, message, fix) => {
    this.#pending.push(() => this.#problems.report(at, message, fix))
    if (this.#pending.length > POLICY_LIMITS.problemsMax) this.#tell()
    return undefined
  }

  line(text: string, place: { readonly file: string; readonly line: number }): void {
    const words = new Words(text, place, this.#report)
    if (words.isAtEnd) return
    if (!words.isIndented) this.#close()
    const word = words.word()
    if (word === undefined) return
    if (words.isIndented) this.#body(word, words)
    else this.#head(word, words)
    const extra = words.word()
    if (extra !== undefined) this.#report(extra.at, `"${printable(extra.text)}" is not expected here.`, 'Begin another line, or quote what has blanks in it.')
  }

  end(start: SourcePosition): { readonly tree: SourceNode; readonly problems: readonly Problem[] } {
    this.#close()
    const groups = this.#groups.node(start)
    if (groups.entries.length > 0) this.#top.set('groups', start, groups)
    // The suffix of the file says which language it is in.
    if (!this.#top.has('version')) this.#top.set('version', start, { kind: 'scalar', value: 1, text: '1', at: start })
    return { tree: this.#top.node(start), problems: this.#problems.problems }
  }

  #head(word: Word, words: Words): void {
    const { text, at } = word
    if (TARGETS.includes(text)) this.#grantOrGroup(word, words)
    else if (text === 'deny') this.#deny(word, words)
    else if (text === 'quarantine') this.#open('quarantine', at)
    else if (text === 'identity') {
      const ca = words.needed('the name of the CA', 'Write: identity factory-2026')
      this.#open('identity', at).entries.set('ca', at, textNode(ca?.text ?? spareId(word), ca?.at ?? at))
    } else if (Object.hasOwn(SETTINGS, text)) this.#setting(word, words)
    else {
      this.#report(at, `no rule begins with "${printable(text)}".`, BODY_WORDS.includes(text) ? 'Indent it below a line such as: group sensors' : unknownWord(text, HEADS))
      words.skip()
      // What else is wrong in the lines below it is told at once.
      this.#open('grant', at, textNode('any', at), spareId(word))
    }
  }

  #body(verb: Word, words: Words): void {
    const lines = this.#rule?.lines
    if (lines !== undefined && (lines.knows(verb.text) || !HEADS.includes(verb.text))) lines.line(verb, words)
    else {
      words.skip()
      if (lines === undefined) this.#report(verb.at, 'no rule stands above this line.', 'What is not indented begins a rule: group sensors')
      else this.#report(verb.at, `"${verb.text}" is no line of a rule.`, `A line that begins with ${verb.text} is not indented.`)
    }
  }

  #grantOrGroup(word: Word, words: Words): void {
    const { to, kind, name, group } = this.#target(word, words)
    const next = words.word()
    if (next?.text === 'contains' && group !== undefined) return this.#group(group, words)
    this.#open('grant', word.at, to, derivedId(kind, name))
    if (next === undefined) return
    this.#report(next.at, `"${printable(next.text)}" is not expected here.`, group === undefined ? 'Begin another line.' : CONTAINS)
    words.skip()
  }

  #group(group: Word, words: Words): void {
    const contained: SourceNode[] = []
    for (let inner = words.needed('the name of a group', CONTAINS); inner !== undefined; inner = words.word()) contained.push(textNode(inner.text, inner.at))
    this.#groups.set(group.text, group.at, { kind: 'list', items: contained, at: group.at })
  }

  #deny(deny: Word, words: Words): void {
    const word = words.needed('what is denied', 'Write: deny pub t/+/admin/#, deny any, or deny group sensors')
    if (word !== undefined && TARGETS.includes(word.text)) {
      const { to, kind, name } = this.#target(word, words)
      this.#open('deny', deny.at, to, derivedId(`deny.${kind}`, name))
      return
    }
    const isTopic = word !== undefined && DENY_VERBS.includes(word.text)
    const lines = this.#open('deny', deny.at, textNode('any', deny.at), spareId(deny))
    if (isTopic) this.#rule = { lines, id: derivedId(`deny.${word.text}`, lines.line(word, words)?.text ?? '') }
    else if (word !== undefined) {
      this.#report(word.at, `deny knows no "${printable(word.text)}".`, unknownWord(word.text, [...DENY_VERBS, ...TARGETS]))
      words.skip()
    }
  }

  /** Where the line does not say it, that is reported, and the rule is read on: what else is wrong with it is told at once. */
  #target(word: Word, words: Words): Target {
    const { text: kind, at } = word
    if (kind === 'any') return { to: textNode('any', at), kind, name: '' }
    const entries = new Entries()
    if (kind === 'attr') {
      const attributes = readAttributes(words, this.#report).node(at)
      entries.set(kind, at, attributes)
      return attributes.entries.length === 0 ? { to: textNode('any', at), kind: spareId(word), name: '' } : { to: entries.node(at), kind, name: canonical(attributes) }
    }
    const name = words.needed(`the name of the ${kind}`, `Write: ${kind} NAME`)
    if (name === undefined) return { to: textNode('any', at), kind: spareId(word), name: '' }
    entries.set(kind, at, textNode(name.text, name.at))
    return { to: entries.node(at), kind, name: name.text, ...(kind === 'group' ? { group: name } : {}) }
  }

  #setting({ text, at }: Word, words: Words): void {
    const value = words.needed(`the value of ${text}`, `Write: ${SETTINGS[text]}`)
    const before = this.#top.placeOf(text)
    if (before !== undefined) return this.#report(at, `${text} is said already, in line ${before.line}.`, 'Say it once.')
    const node = value && (text === 'version' ? numberNode(value) : text === 'strictDeny' ? truthNode(text, value, this.#report) : textNode(value.text, value.at))
    if (node !== undefined) this.#top.set(text, at, node)
  }

  #open(kind: RuleKind, at: SourcePosition, to?: SourceNode, id?: string): LineRule {
    const lines = new LineRule(kind, at, this.#report)
    if (to !== undefined) lines.entries.set('to', to.at, to)
    this.#rule = { lines, ...(id === undefined ? {} : { id }) }
    return lines
  }

  #tell(): void {
    const pending = this.#pending
    this.#pending = []
    this.#problems.inRule(this.#rule?.lines.id ?? this.#rule?.id, () => pending.forEach((report) => report()))
  }

  #close(): void {
    this.#tell()
    if (this.#rule === undefined) return
    const { lines: { kind, at }, id } = this.#rule
    const node = this.#rule.lines.node(id)
    this.#rule = undefined
    if (kind !== 'quarantine') return this.#top.add(LISTS[kind], at, node)
    const before = this.#top.placeOf(kind)
    if (before !== undefined) return this.#problems.report(at, `quarantine is said already, in line ${before.line}.`, 'Say it once, with all that it allows.')
    this.#top.set(kind, at, node)
  }
}

/** What can be no other rule's id, for a rule that is wrong anyway. */
const spareId = ({ at }: Word): string => `line-${at.line}`

/** `group.sensors`, `deny.any`; where that is no id, a hash stands for the name. The same rule has the same id wherever it stands. */
function derivedId(kind: string, name: string): string {
  const id = name === '' ? kind : `${kind}.${name}`
  return parseGroupName(id).allow ? id : `${kind}.${createHash('sha256').update(name).digest('hex').slice(0, HASH_DIGITS)}`
}

/** The same text for the same attributes, in whatever order they are written. */
function canonical(attributes: MapNode): string {
  const all = attributes.entries.map(({ key, value }) => [key, value.kind === 'list' ? value.items.map((item) => (item.kind === 'scalar' ? item.text : '')).toSorted() : []])
  return JSON.stringify(all.toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)))
}
