// A draft as the text of a policy, in the form in which a person would have written it: each topic with the line that it came
// from. Whoever shows it reads it again first, with the reader of the language.

import { POLICY_LIMITS } from '../../limits.ts'
import { printable } from '../ids.ts'
import type { Draft, DraftDeny, DraftGrant, DraftRead, DraftSend, DraftTarget } from './import-draft.ts'

const COMMENT_CHARS_MAX = 160
const PLAIN = /^(?!(?:true|false|null)$)[A-Za-z][A-Za-z0-9_-]*$/i

/** A scalar of YAML: a quoted one is written as JSON has it, which YAML takes. */
const scalar = (text: string): string => (PLAIN.test(text) ? text : JSON.stringify(text))
const list = (items: readonly string[]): string => `[${items.map(scalar).join(', ')}]`
const comment = (text: string): string => printable(text, COMMENT_CHARS_MAX)

/** `head`: what stands on top, a line each. */
export function writeDraft({ grants, deny }: Draft, head: readonly string[]): string {
  const taken = new Set([...grants, ...deny].map(({ id }) => id))
  const granted = grants.flatMap((grant) => inParts(grant, ['publish', 'subscribe', 'will'], taken)).flatMap(grantLines)
  const denied = deny.flatMap((rule) => inParts(rule, ['publish', 'subscribe', 'receive'], taken)).flatMap(denyLines)
  return [
    head.map((line) => `# ${comment(line)}`), ['version: 1', ''],
    granted.length === 0 ? ['grants: []'] : ['grants:'], granted, denied.length === 0 ? [] : ['', 'deny:'], denied, [''],
  ].flat().join('\n')
}

/** A rule has so many topics of a kind at most; one with more becomes several. */
function inParts<Rule extends DraftGrant | DraftDeny>(rule: Rule, kinds: readonly (keyof Rule & string)[], taken: Set<string>): readonly Rule[] {
  const max = POLICY_LIMITS.patternsPerRuleMax
  const listOf = (kind: keyof Rule & string): readonly unknown[] => (Array.isArray(rule[kind]) ? rule[kind] : [])
  const parts = Math.max(1, ...kinds.map((kind) => Math.ceil(listOf(kind).length / max)))
  return Array.from({ length: parts }, (_, i) => ({
    ...rule, ...(i === 0 ? {} : { id: freeId(rule.id, taken) }),
    ...Object.fromEntries(kinds.map((kind) => [kind, listOf(kind).slice(i * max, (i + 1) * max)])),
  }))
}

function freeId(like: string, taken: Set<string>): string {
  let n = 2
  while (taken.has(`${like}_${n}`)) n++
  taken.add(`${like}_${n}`)
  return `${like}_${n}`
}

function headLines({ id, to, source }: DraftGrant | DraftDeny): readonly string[] {
  return [`  - id: ${scalar(id)}`, `    to: ${target(to)}`, ...(source === undefined ? [] : [`    when: { source: ${list(source)} }`])]
}

function target(to: DraftTarget): string {
  if (to === 'any') return 'any'
  if ('attr' in to) return `{ attr: { ${Object.entries(to.attr).map(([name, values]) => `${name}: ${list(values)}`).join(', ')} } }`
  return 'device' in to ? `{ device: ${scalar(to.device)} }` : `{ group: ${scalar(to.group)} }`
}

function grantLines(grant: DraftGrant): readonly string[] {
  const { clientIds, endsWithConnection, publish, subscribe, will } = grant
  const connect = [...(clientIds === undefined ? [] : [`clientId: ${list(clientIds)}`]), ...(endsWithConnection === true ? ['sessionExpiryMax: 0s'] : [])]
  return [
    ...headLines(grant),
    ...(connect.length === 0 ? [] : [`    connect: { ${connect.join(', ')} }`]),
    ...topicLines('publish', publish, sent), ...topicLines('subscribe', subscribe, read), ...topicLines('will', will, sent),
  ]
}

function denyLines(rule: DraftDeny): readonly string[] {
  const denied = ({ topic }: { readonly topic: string }): string => JSON.stringify(topic)
  return [...headLines(rule), ...topicLines('publish', rule.publish, denied), ...topicLines('subscribe', rule.subscribe, denied), ...topicLines('receive', rule.receive, denied)]
}

function topicLines<T extends { readonly from: string }>(key: string, topics: readonly T[], written: (topic: T) => string): readonly string[] {
  return topics.length === 0 ? [] : [`    ${key}:`, ...topics.map((topic) => `      - ${written(topic)}   # ${comment(topic.from)}`)]
}

const qosOf = (qos: 0 | 1 | undefined): string => (qos === undefined ? '' : `, qos: ${qos}`)

/** retain is always said: its default is another one for a Will. */
const sent = ({ topic, qos, retain }: DraftSend): string => `{ topic: ${JSON.stringify(topic)}${qosOf(qos)}, retain: ${retain} }`

const read = ({ topic, qos, wildcard, share }: DraftRead): string =>
  `{ topic: ${JSON.stringify(topic)}${qosOf(qos)}${wildcard === undefined ? '' : `, wildcard: ${wildcard}`}${share === undefined ? '' : `, share: ${list(share)}`} }`
