// A name in an AWS IoT policy → a pattern of topics or filters, or why it cannot be one. What a grant cannot say of it is left
// out; a deny then takes more.

import { levelsOf, type NameLevel } from './import-aws-names.ts'
import { shortened, unsayable, type PatternLevels } from './import-patterns.ts'
import type { FindingKind } from './import-draft.ts'

export interface AwsPattern {
  /** Undefined where there is nothing to write. */
  readonly levels?: PatternLevels
  /** Of filters: this very one, which ends in "#". */
  readonly isOneFilter?: boolean
  /** Of filters: the name was "*", so that it has shared ones, too. */
  readonly withShares?: boolean
  /** A deny of shared subscriptions. */
  readonly isShare?: boolean
  readonly finding?: { readonly kind: FindingKind; readonly why: string }
}

type Effect = 'Allow' | 'Deny'

const SHARE = '$share'
const isMqttWildcard = ({ text, wild }: NameLevel): boolean => wild === 'none' && /[+#]/.test(text)
const textsOf = (levels: readonly NameLevel[]): readonly string[] => levels.map(({ text }) => text)

/** Of Publish, RetainPublish and Receive: topic names. */
export function messagesOf(name: string, effect: Effect): AwsPattern {
  const levels = levelsOf(name)
  if (levels.some(isMqttWildcard)) return { finding: { kind: 'remark', why: 'no topic name has + or #, so AWS matches nothing with it. For all that is below a topic write topic/a/*.' } }
  // What begins with a/ is a/+/#: a/# would have a, too.
  return patternOf(levels, effect, (prefix) => (prefix.length === 0 ? ['#'] : [...prefix, '+', '#']))
}

/** Of Subscribe: topic filters. */
export function filtersOf(name: string, effect: Effect): AwsPattern {
  const levels = levelsOf(name)
  const [first] = levels
  if (first?.text === SHARE && first.wild === 'none') {
    if (effect === 'Allow') return { finding: { kind: 'left-out', why: 'a grant of a shared subscription is one of its filter, too. Write the filter with share: [NAME] where that is meant.' } }
    const isAll = levels.length === 2 && levels[1]?.wild === 'whole'
    return { isShare: true, ...(isAll ? {} : { finding: { kind: 'narrowed', why: 'here no subscription may be shared.' } }) }
  }
  const pattern = patternOf(levels, effect, (prefix) => [...prefix, '#'])
  if (pattern.levels === undefined || pattern.finding !== undefined) return pattern
  if (levels.length === 1 && first?.wild === 'whole') return { ...pattern, withShares: true }
  if (!levels.some(isMqttWildcard)) return pattern
  const isOneFilter = levels.at(-1)?.text === '#'
  if (effect === 'Allow') return { ...pattern, isOneFilter, finding: { kind: 'remark', why: 'AWS takes it for this one filter. Here it is also granted to subscribe to a part of it, which brings no message more.' } }
  if (isOneFilter) return { ...pattern, isOneFilter }
  return { ...pattern, finding: { kind: 'narrowed', why: 'a deny is of a filter and all that is within it, not of one filter alone.' } }
}

/** `all`: everything that begins with these levels and a "/". */
function patternOf(levels: readonly NameLevel[], effect: Effect, all: (prefix: readonly string[]) => PatternLevels): AwsPattern {
  const odd = levels.findIndex(({ wild, unknown, mayHaveLevels }) => wild !== 'none' || unknown !== undefined || (effect === 'Deny' && mayHaveLevels !== undefined))
  const isTail = odd === levels.length - 1 && levels[odd]?.wild === 'whole'
  const written = odd === -1 ? textsOf(levels) : all(textsOf(levels.slice(0, odd)))
  if (odd === -1 || isTail) return checked(written, effect)
  const why = whyNot(levels)
  if (effect === 'Deny') return withFinding(checked(written, effect), 'narrowed', `${why} Here all that begins like it is denied.`)
  if (levels.some(({ wild, unknown }) => wild === 'part' || unknown !== undefined)) return { finding: { kind: 'left-out', why } }
  const last = levels.at(-1)
  const plain = textsOf(last?.wild === 'whole' ? levels.slice(0, -1) : levels).map((text, i) => (levels[i]?.wild === 'whole' ? '+' : text))
  return withFinding(checked(last?.wild === 'whole' ? all(plain) : plain, effect), 'narrowed', 'in AWS * takes any number of levels; here it takes one.')
}

function whyNot(levels: readonly NameLevel[]): string {
  const unknown = levels.find((level) => level.unknown !== undefined)?.unknown
  if (unknown !== undefined) return `there is no variable for \${${unknown}}.`
  const long = levels.find((level) => level.mayHaveLevels !== undefined)?.mayHaveLevels
  if (long !== undefined) return `\${${long}} may have a "/".`
  return 'a wildcard of MQTT takes a whole level: a part of one cannot be left open.'
}

const withFinding = (pattern: AwsPattern, kind: FindingKind, why: string): AwsPattern => (pattern.levels === undefined ? pattern : { ...pattern, finding: { kind, why } })

function checked(levels: PatternLevels, effect: Effect): AwsPattern {
  const problem = unsayable(levels)
  if (problem === undefined) return { levels }
  // Of a deny nothing is lost where no grant can reach.
  const kind = effect === 'Allow' ? 'left-out' : 'remark'
  if (problem === 'reserved') return { finding: { kind, why: 'topics that begin with $ are reserved, and nothing grants them. For shadows see docs/policies/aws-shadow.' } }
  const wider = effect === 'Deny' ? shortened(levels) : undefined
  return wider === undefined
    ? { finding: { kind, why: 'this is no topic here: a wildcard of MQTT is not alone, it is too long, or has a character that is not accepted.' } }
    : { levels: wider, finding: { kind: 'narrowed', why: 'it is longer than a filter may be. Here all that begins like it is denied.' } }
}
