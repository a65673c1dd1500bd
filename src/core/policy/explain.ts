// An answer in the shape that people and programs read: the verdict that the broker acts on, what it rested on, and for a
// refusal what came nearest to allowing it.

import type { DenyReason } from '../../vocabulary.ts'
import type { SourcePosition } from '../errors.ts'
import type { EpochMs } from '../ids.ts'
import { compilePolicy, type CompiledPolicy } from './compile.ts'
import { judgeConditions } from './conditions.ts'
import type { DenyRule, GrantRule, OnDeny, PolicyDocument } from './document.ts'
import { grantsFor, type Verdict } from './grants.ts'
import { nearestGrants, type NearMiss } from './nearest.ts'
import { conditionsShown, type ConditionShown } from './obstacles.ts'
import { ask, type Question } from './question.ts'
import { relevantTo } from './relevant.ts'
import type { Principal } from './template.ts'

/** A rule that would change the answer, if it were known whether its conditions hold. */
export interface Depends {
  readonly rule: string
  readonly at: SourcePosition
  /** Those that are not known. */
  readonly conditions: readonly ConditionShown[]
}

export interface Explanation {
  readonly effect: 'allow' | 'deny'
  readonly reason: DenyReason | 'granted'
  readonly rule?: string
  readonly at?: SourcePosition
  readonly bindings: Readonly<Record<string, string>>
  readonly generation: number
  /** Of a subscription that is allowed: the QoS that SUBACK would grant. */
  readonly grantedQos?: 0 | 1 | 2
  /** Of a refused publish: what becomes of it. */
  readonly onDeny?: OnDeny
  /** Conditions of the rule that decided, and how they stand. */
  readonly conditions?: readonly ConditionShown[]
  /** Time alone may change the answer, at this instant at the earliest. */
  readonly until?: EpochMs
  readonly depends?: readonly Depends[]
  /** Of a refusal: the grants that almost allowed it, nearest first. */
  readonly nearest?: readonly NearMiss[]
}

export function explain(policy: CompiledPolicy, principal: Principal, question: Question): Explanation {
  const grants = grantsFor(policy, principal)
  const { effect, reason, rule, at, bindings, generation, grantedQos, onDeny } = ask(grants, question)
  // Most answers hang on no condition, and a policy may be large.
  const relevant = grants.until !== undefined || unknownRules(policy, principal).size > 0 ? compilePolicy(relevantTo(policy.document, question), generation) : undefined
  const until = relevant && grantsFor(relevant, principal).until
  const conditions = rule === undefined ? [] : conditionsShown(ruleOf(policy.document, rule)?.when, principal)
  const depends = relevant === undefined ? [] : dependsOn(relevant, principal, question, effect)
  const nearest = effect === 'allow' ? [] : nearestGrants(policy, principal, question)
  return {
    effect, reason, bindings, generation,
    ...(rule === undefined ? {} : { rule }),
    ...(at === undefined ? {} : { at }),
    ...(effect === 'allow' && grantedQos !== undefined ? { grantedQos } : {}),
    ...(effect === 'deny' && question.kind === 'publish' && onDeny !== undefined ? { onDeny } : {}),
    ...(conditions.length === 0 ? {} : { conditions }),
    ...(until === undefined ? {} : { until }),
    ...(depends.length === 0 ? {} : { depends }),
    ...(nearest.length === 0 ? {} : { nearest }),
  }
}

/** Would the answer be another if it were known what the question leaves open? */
export function isOpen(policy: CompiledPolicy, principal: Principal, question: Question, effect: Verdict['effect']): boolean {
  return dependsOn(policy, principal, question, effect).length > 0
}

const ruleOf = ({ grants, deny }: PolicyDocument, id: string) => grants.find((rule) => rule.id === id) ?? deny.find((rule) => rule.id === id)

/** Those that concern this principal, and of which nobody can say whether they apply. */
function unknownRules(policy: CompiledPolicy, principal: Principal): ReadonlySet<GrantRule | DenyRule> {
  const { device, ca } = principal
  return new Set([...policy.grantsOf(device, ca), ...policy.deniesOf(device, ca)].filter(({ when }) => when !== undefined && judgeConditions(when, principal).holds === 'unknown'))
}

/**
 * What is not known counts for a grant and against a denial, as it does for what was said earlier. Would the answer be another
 * if it were the other way round?
 */
function dependsOn(policy: CompiledPolicy, principal: Principal, question: Question, effect: Verdict['effect']): readonly Depends[] {
  const unknown = unknownRules(policy, principal)
  if (unknown.size === 0) return []
  const { document, generation } = policy
  const turned = compilePolicy({ ...document, grants: document.grants.filter((rule) => !unknown.has(rule)), deny: document.deny.map((rule) => (unknown.has(rule) ? unconditional(rule) : rule)) }, generation)
  if (ask(grantsFor(turned, principal), question).effect === effect) return []
  return [...unknown].map(({ id, at, when }) => ({ rule: id, at, conditions: conditionsShown(when, principal).filter(({ holds }) => holds === 'unknown') }))
}

function unconditional(rule: DenyRule): DenyRule {
  const { when: _, ...always } = rule
  return always
}
