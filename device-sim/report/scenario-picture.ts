// A scenario half-way, on a terminal: rates, percentiles, refusals by how they were said, and the last minute as bars. What matters
// most stands on top: a terminal that is low shows no more.

import { lastWhole, type LiveFacts } from '../scenario/live.ts'
import type { Timing } from '../scenario/scenario.ts'
import type { Spread } from '../scenario/timeline.ts'
import { refusalInWords } from './refusal-words.ts'
import { TIMING_NAMES } from './scenario-text.ts'
import type { Line, Size } from './screen.ts'
import { clockOf, sparkline } from './sparkline.ts'

const LABEL = 12
const RATE = 12
const NUMBER = 10
/** Refusals that are shown one by one. */
const REFUSALS_MAX = 6

const label = (text: string): string => text.padEnd(LABEL)
const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`.padStart(NUMBER)

export function scenarioPicture(facts: LiveFacts, { columns }: Size): readonly Line[] {
  const { name, phase, devices, points, failed, leaked } = facts
  const now = lastWhole(facts)
  const bars = Math.max(0, columns - LABEL - RATE - 2)
  const rate = (title: string, of: 'sent' | 'received'): Line => [{ text: label(title), style: 'dim' }, `${now?.[of] ?? 0}/s`.padEnd(RATE), { text: sparkline(points.slice(0, -1).slice(-bars).map((point) => point[of])), style: 'green' }]
  const wrong = (title: string, count: number): Line => [`   ${title} `, count === 0 ? '0' : { text: String(count), style: 'red' }]
  return [
    [{ text: name, style: 'bold' }, ...(phase === undefined ? [] : [`   ${phase.number} of ${phase.of}: ${phase.name}`]), `   ${clockOf(points.at(-1)?.second ?? 0)}`],
    [{ text: label('connected'), style: 'dim' }, `${now?.connected ?? 0} of ${devices}`, ...wrong('leaks', leaked), ...wrong('not as expected', failed), ...((now?.unsent ?? 0) > 0 ? [`   unsent ${now?.unsent ?? 0}/s`] : [])],
    rate('sent', 'sent'),
    rate('received', 'received'),
    ...timings(facts),
    ...refusals(facts),
    ...(now?.memoryMiB === undefined ? [] : [[{ text: label('server'), style: 'dim' as const }, `${now.memoryMiB.toFixed(0)} MiB`]]),
  ]
}

function timings({ timings: found, ...facts }: LiveFacts): readonly Line[] {
  if (found.size === 0) return []
  const last = lastWhole(facts)?.timings.delivery
  const width = Math.max(...Object.values(TIMING_NAMES).map((name) => name.length)) + 2
  const row = (name: string, { p50Ms, p90Ms, p99Ms, maxMs, count }: Spread): Line => [{ text: name.padEnd(width), style: 'dim' }, ms(p50Ms), ms(p90Ms), ms(p99Ms), ms(maxMs), String(count).padStart(NUMBER)]
  const head = ['p50', 'p90', 'p99', 'max', 'count'].map((text) => text.padStart(NUMBER)).join('')
  return [
    [{ text: `${''.padEnd(width)}${head}`, style: 'dim' }],
    ...(Object.keys(TIMING_NAMES) as Timing[]).flatMap((timing) => {
      const spread = found.get(timing)
      return spread === undefined ? [] : [row(TIMING_NAMES[timing], spread), ...(timing === 'delivery' && last !== undefined ? [row('  last second', last)] : [])]
    }),
  ]
}

function refusals({ refusals: met }: LiveFacts): readonly Line[] {
  const sorted = [...met].toSorted(([, a], [, b]) => b - a)
  const more = sorted.slice(REFUSALS_MAX).reduce((sum, [, count]) => sum + count, 0)
  return [
    ...sorted.slice(0, REFUSALS_MAX).map(([how, count], i): Line => [{ text: label(i === 0 ? 'refused' : ''), style: 'dim' }, `×${count}`.padEnd(RATE), refusalInWords(how)]),
    ...(more === 0 ? [] : [[label(''), `×${more}`.padEnd(RATE), 'others']]),
  ]
}
