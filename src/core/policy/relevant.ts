// The part of a policy that a question is about: the lines that could match it for some device, and nothing else. The verdict
// on the question is the same, for every device; a fleet is asked in a moment.

import { intersects, matches, parseTopicFilter, parseTopicName, type Levels } from '../topic.ts'
import type { DenyPattern, DenyRule, GrantRule, PolicyDocument } from './document.ts'
import type { Question } from './question.ts'
import type { Template } from './template.ts'

/** A template as the filter of all that it can become: a level with a variable may be anything. */
function widest({ levels }: Template): Levels {
  return levels.map((level) => (typeof level === 'string' ? level : level.every((part) => 'literal' in part) ? level.map((part) => ('literal' in part ? part.literal : '')).join('') : '+'))
}

type Concerns = (line: { readonly topic: Template }) => boolean

const NOTHING: Concerns = () => false

/** The document with only these lines; rules that keep none are gone. */
export function relevantTo(document: PolicyDocument, question: Question): PolicyDocument {
  if (question.kind === 'connect') return document
  const concerns = concerning(question)
  const { kind } = question
  const [sends, subscribes, receives] = [kind === 'publish' || kind === 'will', kind === 'subscribe', kind === 'subscribe' || kind === 'receive']
  const keep = <Line extends { readonly topic: Template }>(isAsked: boolean, lines: readonly Line[]): readonly Line[] => (isAsked ? lines.filter(concerns) : [])
  return {
    ...document,
    grants: document.grants.flatMap((rule) => some({
      ...rule, publish: keep(kind === 'publish', rule.publish), subscribe: keep(receives, rule.subscribe), will: keep(kind === 'will', rule.will),
    })),
    // What is denied to subscribe is not delivered either.
    deny: document.deny.flatMap((rule) => someDenied({ ...rule, publish: keep(sends, rule.publish), subscribe: keep(subscribes || receives, rule.subscribe), receive: keep(receives, rule.receive) })),
  }
}

function concerning(question: Exclude<Question, { kind: 'connect' }>): Concerns {
  if (question.kind === 'subscribe') {
    const filter = parseTopicFilter(question.topic)
    return filter.allow ? ({ topic }) => intersects(widest(topic), filter.value.levels) : NOTHING
  }
  const name = parseTopicName(question.topic)
  return name.allow ? ({ topic }) => matches(widest(topic), name.value.levels) : NOTHING
}

const some = (rule: GrantRule): readonly GrantRule[] => (rule.publish.length + rule.subscribe.length + rule.will.length > 0 ? [rule] : [])
const lengthOf = (...lists: readonly (readonly DenyPattern[])[]): number => lists.reduce((sum, list) => sum + list.length, 0)
const someDenied = (rule: DenyRule): readonly DenyRule[] => (lengthOf(rule.publish, rule.subscribe, rule.receive) > 0 ? [rule] : [])
