// For a refusal: the grants that almost allowed it, nearest first, each with what was missing. Computed only when somebody
// asks; what the broker acts on is grants.ts alone.

import type { SourcePosition } from '../errors.ts'
import { contains, intersects, matches, parseTopicFilter, parseTopicName, type Levels } from '../topic.ts'
import type { CompiledPolicy } from './compile.ts'
import { judgeConditions } from './conditions.ts'
import type { DenyPattern, GrantRule, PublishGrant, SubscribeGrant } from './document.ts'
import { ADMITS } from './grants.ts'
import { conditionObstacles, distance, readObstacles, sendObstacles, targetObstacles, unresolvedObstacle, type Obstacle } from './obstacles.ts'
import type { Question } from './question.ts'
import { resolveParts, resolveTemplate, type Principal, type Template } from './template.ts'
import { connectWords, readWords, sendWords, targetWords } from './words.ts'

export interface NearMiss {
  /** Undefined: the rule that holds where no grant says otherwise. */
  readonly rule?: string
  readonly at?: SourcePosition
  /** The line of the grant, in words. */
  readonly line: string
  /** At least one. */
  readonly obstacles: readonly Obstacle[]
}

const SHOWN_MAX = 3
/** Beyond so many levels that differ, a grant is about something else. */
const LEVELS_DIFFERING_MAX = 2

/** How much each thing that is missing takes a grant away from the question: terms are changed sooner than groups. */
const COST: Readonly<Record<Obstacle['kind'], number>> = {
  qos: 1, retain: 1, size: 1, share: 1, wildcard: 1, condition: 2, state: 2, unresolved: 3, deny: 3, 'client-id': 3, topic: 4, target: 5,
}
const COST_OF_FURTHER_LEVEL = 2

interface Candidate {
  readonly near: NearMiss
  readonly cost: number
}

/** The grants of this kind that would allow it, were it not for what their obstacles say. Nearest first, at most three. */
export function nearestGrants(policy: CompiledPolicy, principal: Principal, question: Question): readonly NearMiss[] {
  const found = question.kind === 'connect' ? connectCandidates(policy, principal, question.clientId) : topicCandidates(policy, principal, question)
  // Beside a grant that is for this device and this topic, one for another topic explains nothing.
  const isMeant = found.some(({ near }) => near.obstacles.every(({ kind }) => kind !== 'topic' && kind !== 'target'))
  return found.filter(({ near }) => near.obstacles.length > 0 && !(isMeant && near.obstacles.some(({ kind }) => kind === 'topic'))).toSorted((a, b) => a.cost - b.cost).slice(0, SHOWN_MAX).map(({ near }) => near)
}

const costOf = (obstacles: readonly Obstacle[]): number => obstacles.reduce((sum, { kind }) => sum + COST[kind], 0)

function ofRule(rule: GrantRule, policy: CompiledPolicy, principal: Principal): readonly Obstacle[] {
  return [...targetObstacles(rule.to, principal, policy.groupsOf), ...conditionObstacles(rule, principal)]
}

function connectCandidates(policy: CompiledPolicy, principal: Principal, clientId: string): readonly Candidate[] {
  const concerning = policy.document.grants.map((rule) => ({ rule, obstacles: ofRule(rule, policy, principal) }))
  const inForce = concerning.filter(({ obstacles }) => obstacles.length === 0).map(({ rule }) => rule)
  const near = ({ id, at, to }: GrantRule, line: string, obstacles: readonly Obstacle[]): Candidate => ({ near: { rule: id, at, line: line === '' ? `to ${targetWords(to)}` : line, obstacles }, cost: costOf(obstacles) })
  // Any grant would let it in.
  if (inForce.length === 0) return concerning.map(({ rule, obstacles }) => near(rule, '', obstacles))
  const speaking = inForce.filter(({ connect }) => connect.clientIds !== undefined)
  if (speaking.length === 0) {
    const { id } = principal.device
    return [{ near: { line: 'the default for client ids', obstacles: [{ kind: 'client-id', message: `the client id is ${id}, or ${id}: and a suffix` }] }, cost: 0 }]
  }
  return speaking.flatMap((rule) => {
    const allowed = (rule.connect.clientIds ?? []).map(({ parts, prefix }) => ({ text: resolveParts(parts, principal, {}), prefix }))
    const admits = allowed.some(({ text, prefix }) => typeof text === 'string' && (prefix ? clientId.startsWith(text) : clientId === text))
    const known = allowed.flatMap(({ text, prefix }) => (typeof text === 'string' ? [text + (prefix ? '*' : '')] : []))
    return admits ? [] : [near(rule, `connect ${connectWords(rule.connect)[0] ?? ''}`, [{ kind: 'client-id', message: known.length === 0 ? 'none of its client ids is known for this device' : `the client id must be ${known.join(' or ')}` }])]
  })
}

type TopicQuestion = Exclude<Question, { kind: 'connect' }>

/** What was asked for, in levels; undefined where it is no topic and no filter. */
function askedLevels({ kind, topic }: TopicQuestion): { readonly levels: Levels; readonly share?: string | undefined } | undefined {
  const parsed = kind === 'subscribe' ? parseTopicFilter(topic) : parseTopicName(topic)
  return parsed.allow ? parsed.value : undefined
}

function topicCandidates(policy: CompiledPolicy, principal: Principal, question: TopicQuestion): readonly Candidate[] {
  const asked = askedLevels(question)
  if (asked === undefined) return []
  const denies = deniesOf(policy, principal, question, asked.levels)

  function candidate(rule: GrantRule, { topic, at }: { readonly topic: Template; readonly at: SourcePosition }, line: string, terms: (pattern: Levels) => readonly Obstacle[], fits: (pattern: Levels, asked: Levels) => boolean): readonly Candidate[] {
    const missing: string[] = []
    const { levels } = resolveTemplate(topic, principal, (variable) => {
      missing.push(variable)
      return '+'
    }) ?? { levels: [] }
    const others = ofRule(rule, policy, principal)
    const away = fits(levels, asked?.levels ?? []) ? undefined : distance(levels, topic, asked?.levels ?? [])
    const isFar = away !== undefined && (away.differing > LEVELS_DIFFERING_MAX || away.same === 0 || others.some(({ kind }) => kind === 'target'))
    if (isFar) return []
    const obstacles = [
      ...others, ...missing.map((variable) => unresolvedObstacle(variable, topic, principal)), ...(away?.obstacle === undefined ? [] : [away.obstacle]), ...terms(levels), ...(away === undefined ? denies : []),
    ]
    return [{ near: { rule: rule.id, at, line: `${question.kind === 'receive' ? 'subscribe' : question.kind} ${line}`, obstacles }, cost: costOf(obstacles) + COST_OF_FURTHER_LEVEL * Math.max(0, (away?.differing ?? 1) - 1) }]
  }

  const sent = (rule: GrantRule, grant: PublishGrant): readonly Candidate[] =>
    candidate(rule, grant, sendWords(grant), () => ('bytes' in question ? sendObstacles(grant, question) : []), matches)
  const read = (rule: GrantRule, grant: SubscribeGrant): readonly Candidate[] => (question.kind === 'receive'
    ? candidate(rule, grant, readWords(grant), () => [], matches)
    : candidate(rule, grant, readWords(grant), (pattern) => readObstacles(grant, pattern, asked.levels, asked.share), grant.wildcard === 'filter' ? ADMITS.filter : contains))

  return policy.document.grants.flatMap((rule) => {
    if (question.kind === 'publish') return rule.publish.flatMap((grant) => sent(rule, grant))
    if (question.kind === 'will') return rule.will.flatMap((grant) => sent(rule, grant))
    return rule.subscribe.flatMap((grant) => read(rule, grant))
  })
}

/** The denies that stand in the way of whatever grants it, as grants.ts finds them. */
function deniesOf(policy: CompiledPolicy, principal: Principal, { kind }: TopicQuestion, asked: Levels): readonly Obstacle[] {
  return policy.deniesOf(principal.device, principal.ca).filter(({ when }) => when === undefined || judgeConditions(when, principal).holds === 'yes').flatMap((rule) => {
    const hit = (patterns: readonly DenyPattern[], fits: (pattern: Levels, asked: Levels) => boolean): readonly Obstacle[] => patterns.flatMap(({ topic, at }) => {
      const levels = resolveTemplate(topic, principal, () => '+')?.levels ?? []
      return fits(levels, asked) ? [{ kind: 'deny', message: `rule ${rule.id} denies ${topic.text}`, rule: rule.id, at }] : []
    })
    if (kind === 'publish' || kind === 'will') return hit(rule.publish, matches)
    if (kind === 'receive') return hit([...rule.subscribe, ...rule.receive], matches)
    return policy.strictDeny ? hit([...rule.subscribe, ...rule.receive], intersects) : hit(rule.subscribe, contains)
  })
}
