// What a scenario came to, for a person at a terminal: what was held to, what was seen, and every failure with device and step.

import { refusalInWords } from './refusal-words.ts'
import { oneLine, table } from './table.ts'
import type { Paper } from './text.ts'
import type { ScenarioResult, Threshold } from '../scenario/outcome.ts'
import type { Spread } from '../scenario/timeline.ts'

const ms = (value: number): string => (value === Infinity ? 'never' : value < 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`)
const spread = ({ count, p50Ms, p90Ms, p99Ms, maxMs }: Spread): string => `p50 ${ms(p50Ms)}, p90 ${ms(p90Ms)}, p99 ${ms(p99Ms)}, max ${ms(maxMs)} (${count})`

export const TIMING_NAMES = {
  connect: 'connect', enroll: 'enroll', delivery: 'publish→receive', command: 'command→answer', renew: 'renew', revoke: 'revoke→closed', deny: 'rule→in force', generator: 'sent late by',
} as const

export function scenarioText(result: ScenarioResult, paper: Paper): string {
  const { messages, failures, leaks } = result
  const verdict = result.ok ? paper.colour('green', 'ok') : result.interrupted ? paper.colour('yellow', 'interrupted') : paper.colour('red', 'FAILED')
  const lines = [
    `${oneLine(result.name)}  ${verdict}`,
    `  devices    ${result.devices}, seed ${result.seed}, ${result.phases.map(({ name, fromSecond, toSecond }) => `${oneLine(name)} ${(toSecond - fromSecond).toFixed(1)} s`).join(', ')}`,
    `  messages   ${messages.sent} sent; ${messages.due} deliveries due: ${messages.lost} lost, ${messages.duplicates} twice, ${messages.misordered} out of order${messages.unsent === 0 ? '' : `; ${messages.unsent} not sent`}${messages.unjudged === 0 ? '' : `; ${messages.unjudged} to devices that were away`}`,
    `  leaks      ${leaks.count}`,
    ...(Object.keys(TIMING_NAMES) as (keyof typeof TIMING_NAMES)[]).flatMap((timing) => {
      const found = result.timings[timing]
      return found === undefined ? [] : [`  ${TIMING_NAMES[timing].padEnd(16)} ${spread(found)}`]
    }),
    ...Object.entries(result.refused).map(([how, count]) => `  refused    ${refusalInWords(how)} ×${count}`),
    ...(result.generator.busiest > 0.9 ? [paper.colour('yellow', '  The generator was busy to its limit at times: these are not the limits of the server.')] : []),
    ...leaks.shown.map((leak) => `  ${paper.colour('red', `LEAK ${oneLine(leak)}`)}`),
  ]
  return `${lines.join('\n')}\n${thresholdsText(result.thresholds, paper)}${failuresText(failures, paper)}`
}

function bound({ name, bound: value }: Threshold): string {
  return name.includes('.') ? `≤ ${ms(value)}` : value === 0 ? 'none' : `≤ ${value}`
}

function thresholdsText(thresholds: readonly Threshold[], paper: Paper): string {
  const rows = thresholds.map((threshold) => [threshold.name, bound(threshold), threshold.name.includes('.') ? ms(threshold.seen) : String(threshold.seen), threshold.ok ? 'ok' : 'FAILED'])
  const paint = (text: string, row: number | undefined, column: number): string => (row === undefined ? paper.colour('bold', text) : column === 3 ? paper.colour(thresholds[row]?.ok === true ? 'green' : 'red', text) : text)
  return `\n${table({ head: ['held to', 'bound', 'seen', 'verdict'], rows, columns: paper.columns, paint })}`
}

function failuresText({ count, shown }: ScenarioResult['failures'], paper: Paper): string {
  if (count === 0) return ''
  const rows = shown.map(({ device, step, expected, seen }) => [device, step, expected, seen])
  const more = count - shown.length
  return `\n${table({ head: ['device', 'step', 'expected', 'seen'], rows, columns: paper.columns, paint: (text, row) => (row === undefined ? paper.colour('bold', text) : text) })}${more > 0 ? `and ${more} more\n` : ''}`
}
