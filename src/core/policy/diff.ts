// Two policies side by side: which rules came, went, or say something else. Whom that concerns is asked in permissions.ts.

import type { SourcePosition } from '../errors.ts'
import type { GroupRule, PolicyDocument } from './document.ts'
import { denyLines, grantLines, identityLines } from './words.ts'

export interface RuleChange {
  readonly kind: 'grant' | 'deny' | 'identity' | 'group' | 'setting'
  /** Of the rule, the CA, the group or the setting. */
  readonly id: string
  readonly change: 'added' | 'removed' | 'changed'
  /** Where it stands; of one that is removed, where it stood. A setting has no place. */
  readonly at?: SourcePosition
  /** What it said and says no longer. */
  readonly removed: readonly string[]
  readonly added: readonly string[]
}

interface Rule {
  readonly at?: SourcePosition
  readonly lines: readonly string[]
}

type Rules = ReadonlyMap<string, Rule>

/** In the order of the new policy, then what is gone in the order of the old one. Where rules stand, and in which order, is no change. */
export function diffDocuments(before: PolicyDocument, after: PolicyDocument): readonly RuleChange[] {
  return SECTIONS.flatMap(([kind, read]) => diffRules(kind, read(before), read(after)))
}

type Section = readonly [RuleChange['kind'], (document: PolicyDocument) => Rules]

const SECTIONS: readonly Section[] = [
  ['setting', settings],
  ['identity', ({ identity }) => new Map(identity.map((rule) => [rule.ca, { at: rule.at, lines: identityLines(rule) }]))],
  ['group', ({ groups }) => new Map(groups.map((rule) => [rule.group, { at: rule.at, lines: groupLines(rule) }]))],
  ['grant', ({ grants }) => new Map(grants.map((rule) => [rule.id, { at: rule.at, lines: grantLines(rule) }]))],
  ['deny', ({ deny }) => new Map(deny.map((rule) => [rule.id, { at: rule.at, lines: denyLines(rule) }]))],
]

const groupLines = ({ contains }: GroupRule): readonly string[] => contains.map((group) => `contains ${group}`)

/** What holds for the whole policy is always said, if only by what it is when nobody says it. */
function settings({ onDeny, strictDeny, retained, willOnKick }: PolicyDocument): Rules {
  return new Map(Object.entries({ onDeny, strictDeny, retained, willOnKick }).map(([name, value]) => [name, { lines: [String(value)] }]))
}

function diffRules(kind: RuleChange['kind'], before: Rules, after: Rules): readonly RuleChange[] {
  const place = ({ at }: Rule): Pick<RuleChange, 'at'> => (at === undefined ? {} : { at })
  const present = [...after].flatMap(([id, rule]): RuleChange[] => {
    const old = before.get(id)
    if (old === undefined) return [{ kind, id, change: 'added', ...place(rule), removed: [], added: rule.lines }]
    const [removed, added] = [without(old.lines, rule.lines), without(rule.lines, old.lines)]
    return removed.length + added.length === 0 ? [] : [{ kind, id, change: 'changed', ...place(rule), removed, added }]
  })
  const gone = [...before].flatMap(([id, rule]): RuleChange[] => (after.has(id) ? [] : [{ kind, id, change: 'removed', ...place(rule), removed: rule.lines, added: [] }]))
  return [...present, ...gone]
}

/** Lines that the others do not have; one that stands twice is one. */
function without(lines: readonly string[], others: readonly string[]): readonly string[] {
  const known = new Set(others)
  return [...new Set(lines)].filter((line) => !known.has(line))
}
