// The terms of the line form: which there are, how they are written, and which key of the YAML form each of them is.

import { printable } from '../core/ids.ts'
import { nearest, type SourceNode } from '../core/source-tree.ts'
import { Entries, textNode, type Report } from './entries.ts'
import type { Term, Word, Words } from './words.ts'

/** number, yes-no and text have one value, list has several; of a bound the operator is a part of the text: '>=1.3'. */
type TermKind = 'number' | 'yes-no' | 'text' | 'list' | 'bound'

interface TermRow {
  readonly key: string
  readonly kind: TermKind
  readonly operators: readonly string[]
  readonly example: string
  /** It may be said twice, and both are one text. */
  readonly twice?: true
}

export type TermTable = Readonly<Record<string, TermRow>>

const row = (key: string, kind: TermKind, example: string, operators: readonly string[] = ['=']): TermRow => ({ key, kind, operators, example })

const QOS = row('qos', 'number', 'qos<=1', ['<='])
const RETAIN = row('retain', 'yes-no', 'retain=no')
const MAX = row('maxBytes', 'text', 'max=8KiB')

export const PUBLISH_TERMS: TermTable = { qos: QOS, retain: RETAIN, max: MAX, rate: row('rate', 'text', 'rate=20/s'), burst: row('burst', 'number', 'burst=100') }
export const WILL_TERMS: TermTable = { qos: QOS, retain: RETAIN, max: MAX }
export const SUBSCRIBE_TERMS: TermTable = { qos: QOS, wildcard: row('wildcard', 'text', 'wildcard=forbid'), share: row('share', 'list', 'share=workers,fw*') }
export const NO_TERMS: TermTable = {}
export const CONNECT_TERMS: TermTable = { clientId: row('clientId', 'list', 'clientId=${device.id}'), sessions: row('sessions', 'number', 'sessions=2'), sessionExpiryMax: row('sessionExpiryMax', 'text', 'sessionExpiryMax=24h') }
export const TIME_TERMS: TermTable = { days: row('days', 'list', 'days=mon-fri'), from: row('from', 'text', 'from=06:00'), to: row('to', 'text', 'to=22:00'), zone: row('zone', 'text', 'zone=Europe/Berlin') }
export const CONDITION_TERMS: TermTable = {
  source: row('source', 'list', 'source=10.0.0.0/8'),
  tls: row('tls', 'bound', 'tls>=1.3', ['=', '>=']),
  ...TIME_TERMS,
  notBefore: row('notBefore', 'text', 'notBefore=2027-03-01T06:00:00Z'),
  notAfter: row('notAfter', 'text', 'notAfter=2027-03-01T06:00:00Z'),
  certificateAge: { ...row('certificateAge', 'bound', 'certificateAge<90d', ['>=', '<']), twice: true },
  attested: row('attested', 'yes-no', 'attested=yes'),
  state: row('state', 'list', 'state=quarantined'),
}

const ATTRIBUTES = 'attr model=X1 site=north,south'

/** What the YAML form calls it, or another program. */
const OTHER_WORDS: Readonly<Record<string, string>> = { maxBytes: 'max', publish: 'pub', subscribe: 'sub', receive: 'recv', topic: 'pub, sub', to: 'group', grant: 'group' }

/** A word that is not one of these, with the one that is meant. */
export function unknownWord(word: string, words: readonly string[]): string {
  const other = Object.hasOwn(OTHER_WORDS, word) ? OTHER_WORDS[word] : undefined
  const near = (other !== undefined && words.includes(other) ? other : undefined) ?? nearest(word, words)
  return near === undefined ? `Known: ${words.join(', ')}.` : `Did you mean "${near}"?`
}

/** Reads the rest of a line as terms of this table, into the entries that `into` gives for each of them. */
export function readTerms(words: Words, table: TermTable, what: string, into: (name: string, term: Term) => Entries, report: Report): void {
  const names = Object.keys(table)
  const [first] = Object.values(table)
  const form = `${first === undefined ? 'It has none' : `A term is written as ${first.example}`}; what has blanks in it is quoted.`
  for (let term = words.term(what, form); term !== undefined; term = words.term(what, form)) {
    const known = Object.hasOwn(table, term.name) ? table[term.name] : undefined
    if (known === undefined) report(term.at, `unknown term "${printable(term.name)}" of ${what}.`, names.length === 0 ? 'It has none.' : unknownWord(term.name, names))
    else if (!known.operators.includes(term.operator)) report(term.at, `${term.name} is not written with "${term.operator}".`, `Write: ${known.example}`)
    else setTerm(term, known, into(term.name, term), report)
  }
}

const TRUTH: Readonly<Record<string, boolean>> = { yes: true, no: false }
const WHOLE_NUMBER = /^-?\d{1,15}$/

export function numberNode({ text, at, quoted }: Word): SourceNode {
  return !quoted && WHOLE_NUMBER.test(text) ? { kind: 'scalar', value: Number(text), text, at } : textNode(text, at)
}

export function truthNode(what: string, { text, at }: Word, report: Report): SourceNode | undefined {
  const value = Object.hasOwn(TRUTH, text) ? TRUTH[text] : undefined
  return value === undefined ? report(at, `${what} must be yes or no, not ${printable(text)}.`) : { kind: 'scalar', value, text, at }
}

function setTerm(term: Term, known: TermRow, entries: Entries, report: Report): void {
  const before = entries.placeOf(known.key)
  if (before !== undefined && known.twice !== true) return report(term.at, `${term.name} is said already, in line ${before.line}.`, 'Say it once.')
  const value = valueOf(term, known, report)
  if (value === undefined) return
  if (before === undefined) entries.set(known.key, term.at, value)
  else if (value.kind === 'scalar') entries.extend(known.key, value.text)
}

function valueOf({ name, operator, values }: Term, { kind }: TermRow, report: Report): SourceNode | undefined {
  const [first, second] = values
  if (first === undefined) return undefined
  if (kind === 'list') return { kind: 'list', items: values.map(({ text, at }) => textNode(text, at)), at: first.at }
  if (second !== undefined) return report(second.at, `${name} has one value.`, 'A comma in it is quoted.')
  switch (kind) {
    case 'number':
      return numberNode(first)
    case 'yes-no':
      return truthNode(name, first, report)
    case 'bound':
      return textNode(operator === '=' ? first.text : `${operator}${first.text}`, first.at)
    case 'text':
      return textNode(first.text, first.at)
  }
}

/** `attr model=X1 site=north,south`: the attributes that a device has, each with one of its values. */
export function readAttributes(words: Words, report: Report): Entries {
  const entries = new Entries()
  if (words.isAtEnd) words.needed('the attribute', `Write: ${ATTRIBUTES}`)
  for (let term = words.term('attr', `Write: ${ATTRIBUTES}`); term !== undefined; term = words.term('attr', `Write: ${ATTRIBUTES}`)) {
    if (term.operator !== '=') report(term.at, `an attribute is not written with "${term.operator}".`, `Write: ${ATTRIBUTES}`)
    else if (entries.has(term.name)) report(term.at, `the attribute ${term.name} is said already.`, 'Say it once, with all of its values.')
    else for (const value of term.values) entries.add(term.name, term.at, textNode(value.text, value.at))
  }
  return entries
}
