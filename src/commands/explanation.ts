// An explanation as people read it: who decided and where, what that rested on, and for a refusal what came nearest and what
// was missing.

import type { Explanation } from '../core/policy/explain.ts'
import { REASONS } from '../vocabulary.ts'
import { time } from './context.ts'
import { placeWords } from './policy-source.ts'

/** What to say for a condition that is not known, on the command line. */
const OPTION_OF: Readonly<Record<string, string>> = { source: '--source', tls: '--tls', time: '--at', notBefore: '--at', notAfter: '--at', certificateAge: '--at' }

export function explanationWords(explanation: Explanation): string {
  const { effect, reason, rule, at, grantedQos, onDeny, bindings } = explanation
  const by = rule === undefined ? (effect === 'allow' ? 'nothing forbids it' : 'no rule grants it') : `rule ${rule}${at === undefined ? '' : ` at ${placeWords(at)}`}`
  const sentence = reason === 'granted' ? `granted${grantedQos === undefined ? '' : ` with QoS ${grantedQos}`}` : REASONS[reason].sentence
  return [
    `${effect}: ${by} (${sentence})`,
    ...Object.entries(bindings).map(([name, value]) => `  \${${name}} = ${value}`),
    ...circumstanceLines(explanation),
    ...(onDeny === 'disconnect' ? ['  the session would be disconnected'] : []),
    ...nearestLines(explanation),
  ].join('\n')
}

function circumstanceLines({ conditions = [], depends = [], until }: Explanation): readonly string[] {
  return [
    ...conditions.map(({ condition, wanted, holds, seen }) => `  when ${condition} ${wanted}: ${holds === 'unknown' ? 'not known' : `${holds}${seen === undefined ? '' : `, ${seen}`}`}`),
    ...depends.map(({ rule, at, conditions: open }) => `  this depends on rule ${rule} (${placeWords(at)}): ${open.map(({ condition, wanted }) => `${condition} ${wanted}${OPTION_OF[condition] === undefined ? '' : ` (say ${OPTION_OF[condition]})`}`).join(', ')}`),
    ...(until === undefined ? [] : [`  the answer may change at ${time(until)}`]),
  ]
}

function nearestLines({ nearest = [] }: Explanation): readonly string[] {
  return nearest.flatMap(({ rule, at, line, obstacles }) => [
    `  near: ${rule === undefined ? line : `rule ${rule}${at === undefined ? '' : ` at ${placeWords(at)}`}, ${line}`}`,
    ...obstacles.map(({ message, at: place }) => `    but ${message}${place === undefined ? '' : ` (${placeWords(place)})`}`),
  ])
}
