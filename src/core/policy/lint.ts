// What is allowed to be said in a policy and is hardly ever meant: grants that a denial makes worthless, lines that another
// line covers, grants of everything, conditions that never hold. It looks at the policy alone; lint-fleet.ts asks the devices.

import type { SourcePosition } from '../errors.ts'
import { DEFAULT_TENANT, type CaName, type DeviceId, type EpochMs } from '../ids.ts'
import { contains, type Levels } from '../topic.ts'
import { holdsFrom } from './conditions.ts'
import type { Conditions, DenyPattern, GrantRule, PolicyDocument, PublishGrant, SubscribeGrant, Target } from './document.ts'
import { groupClosure } from './groups.ts'
import { openPatternIndex } from './pattern-index.ts'
import { coversTerms, type Terms } from './permissions.ts'
import { coveringTargets, targetKey } from './targets.ts'
import type { Principal, Template } from './template.ts'
import { partsWords, whenWords } from './words.ts'

export const LINT_CODES = {
  'grant-denied': 'error',
  'grant-everything': 'warning',
  'grant-everything-to-any': 'error',
  'grant-redundant': 'warning',
  'deny-redundant': 'warning',
  'deny-nothing': 'warning',
  'client-id-in-topic': 'warning',
  'condition-never': 'error',
  'attested-nobody': 'warning',
  'target-nobody': 'warning',
  'variable-unresolved': 'warning',
} as const satisfies Record<string, 'error' | 'warning'>
export type LintCode = keyof typeof LINT_CODES

export interface Finding {
  readonly code: LintCode
  readonly severity: 'error' | 'warning'
  readonly rule: string
  readonly at: SourcePosition
  readonly message: string
  /** How many devices it concerns, and some of them. */
  readonly devices?: number
  readonly examples?: readonly DeviceId[]
}

export function finding(code: LintCode, { id: rule }: { readonly id: string }, at: SourcePosition, message: string, more: Pick<Finding, 'devices' | 'examples'> = {}): Finding {
  return { code, severity: LINT_CODES[code], rule, at, message, ...more }
}

/** In the order of file and line. */
export function inPlace(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted(({ at: a }, { at: b }) => (a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1))
}

/** One line of a rule. Variables stand in their levels as tokens, equal where they are written the same. */
interface Line {
  readonly kind: 'publish' | 'subscribe' | 'will' | 'deny publish' | 'deny subscribe' | 'deny receive'
  readonly rule: { readonly id: string; readonly to: Target; readonly at: SourcePosition }
  readonly levels: Levels
  readonly topic: Template
  readonly terms?: Terms
  readonly when: string
  readonly at: SourcePosition
  /** Of two lines that say the same, the later one is told of. */
  readonly order: number
}

export function lintPolicy(document: PolicyDocument, now: EpochMs): readonly Finding[] {
  const lines = linesOf(document)
  const index = openLineIndex(document, lines)
  return inPlace([
    ...lines.flatMap((line) => [...judgeCovered(line, index), ...judgeBreadth(line), ...judgeClientId(line)]),
    ...[...document.grants, ...document.deny].flatMap((rule) => judgeWhen(rule, now)),
    ...document.deny.filter(({ publish, subscribe, receive }) => publish.length + subscribe.length + receive.length === 0).map((rule) => finding('deny-nothing', rule, rule.at, 'it denies no topic.')),
  ])
}

function linesOf({ grants, deny }: PolicyDocument): readonly Line[] {
  let order = 0
  const line = (kind: Line['kind'], rule: GrantRule | PolicyDocument['deny'][number], { topic, at }: DenyPattern, terms?: Terms): Line => ({
    kind, rule, topic, at, levels: tokensOf(topic), when: whenWords(rule.when), order: order++, ...(terms === undefined ? {} : { terms }),
  })
  const sent = (kind: 'publish' | 'will', rule: GrantRule, patterns: readonly PublishGrant[]): readonly Line[] => patterns.map((send) => line(kind, rule, send, { send }))
  const read = (rule: GrantRule, patterns: readonly SubscribeGrant[]): readonly Line[] => patterns.map((grant) => line('subscribe', rule, grant, { read: grant }))
  return [
    ...grants.flatMap((rule) => [...sent('publish', rule, rule.publish), ...read(rule, rule.subscribe), ...sent('will', rule, rule.will)]),
    ...deny.flatMap((rule) => [
      ...rule.publish.map((pattern) => line('deny publish', rule, pattern)), ...rule.subscribe.map((pattern) => line('deny subscribe', rule, pattern)), ...rule.receive.map((pattern) => line('deny receive', rule, pattern)),
    ]),
  ]
}

/** No level of a topic begins with this character: it is a control character. */
const TOKEN = '\u0001'

function tokensOf({ levels }: Template): Levels {
  return levels.map((level) => (typeof level === 'string' ? level : level.every((part) => 'literal' in part) ? partsWords(level) : TOKEN + partsWords(level)))
}

type LineIndex = (kinds: readonly Line['kind'][], line: Line) => readonly Line[]

/** Lines of these kinds that contain a line, for the same target or a wider one. */
function openLineIndex({ groups, grants, deny }: PolicyDocument, lines: readonly Line[]): LineIndex {
  const groupsOf = groupClosure(groups)
  const targets = [...grants, ...deny].map(({ to }) => to)
  const covering = coveringTargets(targets, groupsOf)
  const byTarget = new Map<string, ReturnType<typeof openPatternIndex<Line>>>()
  for (const line of lines) {
    const key = `${line.kind}/${targetKey(line.rule.to)}`
    const index = byTarget.get(key) ?? openPatternIndex<Line>()
    byTarget.set(key, index)
    index.add(line.levels, line)
  }
  return (kinds, line) => covering(line.rule.to).flatMap((target) => kinds.flatMap((kind) => byTarget.get(`${kind}/${target}`)?.containing(line.levels) ?? []))
    .filter((other) => other !== line && (other.when === '' || other.when === line.when))
}

const DENIED_BY = { publish: ['deny publish'], will: ['deny publish'], subscribe: ['deny subscribe', 'deny receive'] } as const
/** Who may not subscribe to it is not sent it either. */
const SAME_DENIAL = { 'deny publish': ['deny publish'], 'deny subscribe': ['deny subscribe'], 'deny receive': ['deny receive', 'deny subscribe'] } as const

const placed = ({ rule, at }: Pick<Line, 'rule' | 'at'>): string => `rule ${rule.id} (${at.file}:${at.line})`

function judgeCovered(line: Line, index: LineIndex): readonly Finding[] {
  const { kind } = line
  if (kind === 'deny publish' || kind === 'deny subscribe' || kind === 'deny receive') {
    const other = index(SAME_DENIAL[kind], line).find((its) => isTold(line, its))
    return other === undefined ? [] : [finding('deny-redundant', line.rule, line.at, `${line.topic.text} is denied already, by ${placed(other)}.`)]
  }
  const [deny] = index(DENIED_BY[kind], line)
  if (deny !== undefined) return [finding('grant-denied', line.rule, line.at, `${kind} ${line.topic.text} allows nothing: ${placed(deny)} denies all of it.`)]
  const other = index([kind], line).find((its) => its.terms !== undefined && line.terms !== undefined && coversTerms(its.terms, line.terms) && isTold(line, its))
  return other === undefined ? [] : [finding('grant-redundant', line.rule, line.at, `${kind} ${line.topic.text} is granted already, by ${placed(other)}.`)]
}

/** Where each covers the other, one of them is enough, and the first one stays. */
function isTold(line: Line, other: Line): boolean {
  const isMutual = line.kind === other.kind && targetKey(line.rule.to) === targetKey(other.rule.to) && line.when === other.when && contains(line.levels, other.levels)
    && (line.terms === undefined || other.terms === undefined || coversTerms(line.terms, other.terms))
  return !isMutual || other.order < line.order
}

function judgeBreadth({ kind, rule, topic, levels, at }: Line): readonly Finding[] {
  const isEverything = levels[0] === '#' || (levels[0] === '+' && levels[1] === '#')
  if (!isEverything || (kind !== 'publish' && kind !== 'subscribe' && kind !== 'will')) return []
  return rule.to.kind === 'any'
    ? [finding('grant-everything-to-any', rule, at, `${kind} ${topic.text} to everybody: each device may do so with the topics of all others.`)]
    : [finding('grant-everything', rule, at, `${kind} ${topic.text} is every topic there is; name the roots that are meant.`)]
}

function judgeClientId({ rule, topic, at }: Line): readonly Finding[] {
  const isUsed = topic.levels.some((level) => typeof level !== 'string' && level.some((part) => 'variable' in part && part.variable === 'clientId'))
  return isUsed ? [finding('client-id-in-topic', rule, at, `${topic.text}: a client chooses its client id, and each of its sessions has another; \${device.id} is what the registry says.`)] : []
}

function judgeWhen(rule: { readonly id: string; readonly when?: Conditions }, now: EpochMs): readonly Finding[] {
  const { when } = rule
  if (when === undefined) return []
  const { at, time, notBefore, notAfter } = when
  const ofTime: Conditions = { at, ...(time === undefined ? {} : { time }), ...(notBefore === undefined ? {} : { notBefore }), ...(notAfter === undefined ? {} : { notAfter }) }
  const isOver = notAfter !== undefined && notAfter <= now
  return [
    ...(holdsFrom(ofTime, { ...NOBODY, now }) === undefined ? [finding('condition-never', rule, at, isOver ? `it ended: notAfter is past. Remove the rule, or say another time.` : `no time is left in it: ${whenWords(ofTime)}.`)] : []),
    ...(when.attested === true ? [finding('attested-nobody', rule, at, 'attested: true applies to nobody: no enrollment attests a device yet.')] : []),
  ]
}

/** For conditions that ask nothing of a device. */
const NOBODY: Principal = { device: { id: 'nobody' as DeviceId, tenant: DEFAULT_TENANT, groups: [], attributes: {}, state: 'active', createdAt: 0, revision: 1 }, ca: 'nobody' as CaName }
