// A topic of an acl.conf → a pattern of the policy language, or why it cannot be one.

import type { FindingKind } from './import-draft.ts'
import { literalLevel, shortened, unsayable, type PatternLevels } from './import-patterns.ts'
import type { EmqxTopic } from './read-emqx-acl.ts'

export interface EmqxLevels {
  /** Undefined where the topic is not in the policy. Of a deny that is narrowed they are wider than the original. */
  readonly levels?: PatternLevels
  readonly finding?: { readonly kind: FindingKind; readonly why: string }
}

const PLACEHOLDER = /\$\{([^{}]*)\}/g
const CLIENT_ATTRIBUTE = /^client_attrs\.([A-Za-z][A-Za-z0-9_]{0,31})$/
const OF_EMQX_4 = /%[uc]/

/** What stands for a placeholder. The common name of a certificate may have a "/": `mayHaveLevels`. */
function variableOf(name: string): { readonly variable: string; readonly mayHaveLevels: boolean } | undefined {
  if (name === 'clientid') return { variable: '${clientId}', mayHaveLevels: false }
  if (name === 'username') return { variable: '${device.id}', mayHaveLevels: false }
  if (name === 'cn') return { variable: '${cert.subject.CN}', mayHaveLevels: true }
  const attribute = CLIENT_ATTRIBUTE.exec(name)?.[1]
  return attribute === undefined ? undefined : { variable: `\${device.attr.${attribute}}`, mayHaveLevels: false }
}

export function emqxLevels(topic: EmqxTopic, effect: 'allow' | 'deny', direction: 'publish' | 'subscribe'): EmqxLevels {
  const { text, exactly } = topic
  const words = text.split('/')
  if (exactly && direction === 'publish' && words.some((word) => /[+#]/.test(word))) return {}
  if (exactly && effect === 'allow' && words.some((word) => word === '+' || word === '#')) return lost(effect, 'a grant allows a filter and all that is within it, not one filter alone.')
  const levels: string[] = []
  for (const word of words) {
    const level = exactly ? literalLevel(word) : levelOf(word, effect)
    if (typeof level === 'string') levels.push(level)
    else if (effect === 'allow') return lost(effect, level.why)
    else if (level.isOneLevel) return { levels: [...levels, '+', ...words.slice(levels.length + 1).map((rest) => (rest === '#' ? '#' : '+'))], finding: { kind: 'narrowed', why: `${level.why} Here any text is denied there and behind it.` } }
    else return { levels: [...levels, '#'], finding: { kind: 'narrowed', why: `${level.why} Here all that begins like it is denied.` } }
  }
  const problem = unsayable(levels)
  if (problem === undefined) {
    return exactly && levels.includes('+') && levels.at(-1) !== '#' ? { levels, finding: { kind: 'narrowed', why: 'a deny is of a filter and all that is within it, not of one filter alone.' } } : { levels }
  }
  if (problem === 'reserved') return lost(effect, 'topics that begin with $ are reserved, and nothing grants them.')
  const wider = effect === 'deny' ? shortened(levels) : undefined
  return wider === undefined
    ? lost(effect, 'this is no topic filter here: a wildcard is not alone, it is too long, or has a character that is not accepted.')
    : { levels: wider, finding: { kind: 'narrowed', why: 'the filter is longer than one may be. Here all that begins like it is denied.' } }
}

/** Of a deny nothing is lost where no grant can reach. */
const lost = (effect: 'allow' | 'deny', why: string): EmqxLevels => ({ finding: { kind: effect === 'allow' ? 'left-out' : 'remark', why } })

function levelOf(word: string, effect: 'allow' | 'deny'): string | { readonly why: string; readonly isOneLevel: boolean } {
  if (OF_EMQX_4.test(word)) return { why: 'EMQX 4 fills in %u and %c, EMQX 5 does not: write ${username} or ${clientid}.', isOneLevel: true }
  let level = ''
  let last = 0
  for (const match of word.matchAll(PLACEHOLDER)) {
    const known = variableOf(match[1] ?? '')
    if (known === undefined) return { why: `there is no variable for ${match[0]}.`, isOneLevel: false }
    if (known.mayHaveLevels && effect === 'deny') return { why: `${match[0]} may have a "/".`, isOneLevel: false }
    const between = word.slice(last, match.index)
    if (between.endsWith('$')) return { why: 'behind a "$" a variable cannot be written.', isOneLevel: !known.mayHaveLevels }
    level += literalLevel(between) + known.variable
    last = match.index + match[0].length
  }
  return level + literalLevel(word.slice(last))
}
