// The report of a scenario: what it was held to, what came of it, and how it went, second by second.

import type { ScenarioResult, Threshold } from '../scenario/outcome.ts'
import { TIMINGS, type Timing } from '../scenario/scenario.ts'
import type { Point } from '../scenario/timeline.ts'
import { chart, type Series } from './charts.ts'
import type { RunReport } from './json-file.ts'
import { html, htmlPage, htmlTable, type Html } from './page.ts'
import { TIMING_NAMES } from './scenario-text.ts'

const ms = (value: number): string => (value === Infinity ? 'never' : value < 10 ? `${value.toFixed(1)} ms` : value < 10_000 ? `${value.toFixed(0)} ms` : `${(value / 1_000).toFixed(1)} s`)
const count = (value: number): string => value.toLocaleString('en')

export function scenarioPage(report: Pick<RunReport, 'startedAt' | 'target'>, result: ScenarioResult): string {
  const { messages, timings, timeline } = result
  const verdict = result.ok ? html`<span class="verdict">passed</span>` : html`<span class="verdict no">${result.interrupted ? 'interrupted' : 'failed'}</span>`
  const main: readonly Timing[] = (['revoke', 'command', 'renew', 'enroll', 'deny', 'delivery', 'connect'] as const).filter((timing) => timings[timing] !== undefined).slice(0, 3)
  const cards: readonly (readonly [string, string])[] = [
    ...main.map((timing) => [ms(timings[timing]?.p99Ms ?? 0), `${TIMING_NAMES[timing]}, p99`] as const),
    [count(result.devices), 'devices, each with its own certificate'],
    [count(messages.due), 'deliveries due'],
    [count(messages.lost), 'lost'],
    [count(result.leaks.count), 'leaks'],
  ]
  return htmlPage(`${result.name} – device-sim`, html`<h1>${result.name}${verdict}</h1><p>${result.about}</p>
<p class="quiet">${report.startedAt.slice(0, 19).replace('T', ' ')} UTC · ${report.target.host}:${report.target.port}${report.target.own ? ', a server of its own' : ''} · seed ${result.seed} · ${result.phases.map(({ name, fromSecond, toSecond }) => `${name} ${(toSecond - fromSecond).toFixed(1)} s`).join(' · ')}</p>
<div class="cards">${cards.map(([value, what]) => html`<div class="card"><b>${value}</b><span>${what}</span></div>`)}</div>
<div class="charts">${chartsOf(result, timeline)}</div>
<h2>Held to</h2>${thresholds(result.thresholds)}
<h2>Times</h2>${timesTable(result)}
${failures(result)}
<footer>Made by device-sim of Sallyport from ${result.file}. The same seed makes the same choices. ${messages.unjudged === 0 ? '' : `${count(messages.unjudged)} deliveries were to devices that were away and keep no session: nobody is held to them.`}</footer>`)
}

function chartsOf({ phases, timings }: ScenarioResult, timeline: readonly Point[]): readonly Html[] {
  const bands = phases.map(({ name, fromSecond, toSecond }) => ({ name, from: fromSecond, to: toSecond }))
  const seconds = timeline.at(-1)?.second ?? 0
  const byPoint = new Map(timeline.map((point) => [point.second, point]))
  const series = (name: string, value: (point: Point) => number | undefined): Series => ({ name, values: Array.from({ length: seconds + 1 }, (_, second) => { const point = byPoint.get(second); return point === undefined ? undefined : value(point) }) })
  const timing = (which: Timing): readonly Html[] => (timings[which] === undefined ? [] : [chart({ title: TIMING_NAMES[which], unit: 'milliseconds', kind: 'lines', bands, series: [series('p50', (point) => point.timings[which]?.p50Ms), series('p99', (point) => point.timings[which]?.p99Ms)] })])
  const reasons = [...new Set(timeline.flatMap(({ refused }) => Object.keys(refused)))]
  return [
    ...timing('delivery'),
    chart({ title: 'Messages', unit: 'per second', kind: 'lines', bands, series: [series('sent', ({ sent }) => sent), series('received', ({ received }) => received)] }),
    chart({ title: 'Connected devices', unit: '', kind: 'lines', bands, series: [series('connected', ({ connected }) => connected)] }),
    ...(reasons.length === 0 ? [] : [chart({ title: 'Refused and cut off', unit: 'per second, as the device saw it', kind: 'bars', bands, series: reasons.map((reason) => series(reason, ({ refused }) => refused[reason])) })]),
    ...timing('revoke'), ...timing('command'), ...timing('renew'), ...timing('enroll'), ...timing('connect'),
    ...(timeline.some(({ memoryMiB }) => memoryMiB !== undefined) ? [chart({ title: 'Memory of the server', unit: 'MiB', kind: 'lines', bands, series: [series('resident', ({ memoryMiB }) => memoryMiB)] })] : []),
  ]
}

function thresholds(all: readonly Threshold[]): Html {
  const said = ({ name }: Threshold, value: number): string => (name.includes('.') ? ms(value) : String(value))
  return htmlTable(['what', 'at most', 'seen', ''], all.map((each) => [each.name, said(each, each.bound), said(each, each.seen), { text: each.ok ? 'ok' : 'failed', tone: each.ok ? 'good' : 'bad' }]))
}

function timesTable({ timings }: ScenarioResult): Html {
  return htmlTable(['', 'p50', 'p90', 'p99', 'max', 'count'], TIMINGS.flatMap((timing) => {
    const spread = timings[timing]
    return spread === undefined ? [] : [[TIMING_NAMES[timing], ms(spread.p50Ms), ms(spread.p90Ms), ms(spread.p99Ms), ms(spread.maxMs), count(spread.count)]]
  }))
}

function failures({ failures: { count: all, shown }, leaks }: ScenarioResult): Html {
  if (all === 0 && leaks.count === 0) return html``
  const rows = shown.map(({ device, step, expected, seen }) => [device, step, expected, { text: seen, tone: 'bad' } as const])
  return html`${leaks.count === 0 ? '' : html`<h2>Leaks</h2>${leaks.shown.map((leak) => html`<p class="bad">${leak}</p>`)}`}${all === 0 ? '' : html`<h2>What was not as expected</h2>${htmlTable(['device', 'step', 'expected', 'seen'], rows)}${all > shown.length ? html`<p class="quiet">and ${all - shown.length} more</p>` : ''}`}`
}
