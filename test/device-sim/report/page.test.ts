// The report as a page: nothing in it loads or runs, whatever a server said, and its charts have their numbers.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { chart, ticksTo } from '../../../device-sim/report/charts.ts'
import { writeReport, type RunReport } from '../../../device-sim/report/json-file.ts'
import { escape, html, htmlPage, htmlTable } from '../../../device-sim/report/page.ts'
import { readReport } from '../../../device-sim/report/read-report.ts'
import { scenarioPage } from '../../../device-sim/report/scenario-page.ts'
import { scenarioText } from '../../../device-sim/report/scenario-text.ts'
import type { ScenarioResult } from '../../../device-sim/scenario/outcome.ts'

const EVIL = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>\u001B[2J\u202E`

const spread = { count: 10, p50Ms: 1.25, p90Ms: 20, p99Ms: 150, maxMs: 12_000 }
const RESULT: ScenarioResult = {
  file: `${EVIL}.yaml`, name: EVIL, about: EVIL, seed: 7, devices: 1_200, threads: 1,
  phases: [{ name: 'arrive', fromSecond: 0, toSecond: 2 }, { name: EVIL, fromSecond: 2, toSecond: 4 }],
  messages: { sent: 12_000, unsent: 1, due: 11_990, received: 11_989, lost: 1, duplicates: 0, misordered: 0, unjudged: 9 },
  leaks: { count: 1, shown: [EVIL] }, failures: { count: 60, shown: [{ step: 'connect (line 8)', device: EVIL, expected: 'accepted', seen: EVIL }] },
  refused: { [EVIL]: 3 }, timings: { delivery: spread, revoke: spread },
  thresholds: [{ name: 'lost', bound: 0, seen: 1, ok: false }, { name: 'revoke.p99', bound: 1_000, seen: 150, ok: true }, { name: 'renew.p99', bound: 1_000, seen: Infinity, ok: false }],
  timeline: [0, 1, 2, 3].map((second) => ({ second, connected: second, sent: 10 * second, received: 9 * second, unsent: 0, refused: second === 2 ? { [EVIL]: 3 } : {}, timings: second === 1 ? {} : { delivery: spread }, memoryMiB: 200 })),
  generator: { busiest: 0.95, cpuSeconds: 3 }, interrupted: false, ok: false,
}
const REPORT: RunReport = { startedAt: '2026-11-28T09:54:20.000Z', durationMs: 1, target: { name: 'sallyport', host: '127.0.0.1', port: 8883, own: true }, interrupted: false, ok: false, scenario: RESULT }

describe('the page of a scenario', () => {
  const page = scenarioPage(REPORT, RESULT)

  test('runs nothing and loads nothing, whatever a server or a file said', () => {
    expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'")
    expect(page).not.toMatch(/<(script|img|iframe|link|object|a)\b|<[a-z][^>]*\s(src|href|on\w+)=|@import|url\(|https?:/i)
    expect(page).not.toMatch(/[\p{Cf}]|(?!\n)\p{Cc}/u)
    expect(page).toContain('&lt;script&gt;')
    // Attributes end where they should: every quote inside one is escaped.
    for (const [, value = ''] of page.matchAll(/aria-label="([^"]*)"/g)) expect(value).not.toMatch(/[<>]/)
  })

  test('has its verdict, figures, thresholds and failures', () => {
    expect(page).toContain('<span class="verdict no">failed</span>')
    expect(page).toContain('<b>1,200</b>')
    expect(page).toContain('<b>150 ms</b><span>revoke→closed, p99</span>')
    expect(page).toMatch(/<td>renew\.p99<\/td><td>1000 ms<\/td><td>never<\/td><td class="bad">failed<\/td>/)
    expect(page).toContain('and 59 more')
    expect(page.match(/<figure>/g)).toHaveLength(6)
  })

  test('is well-formed where it is drawn', () => {
    for (const [, svg = ''] of page.matchAll(/<svg[^>]*>([\s\S]*?)<\/svg>/g)) {
      expect(svg).not.toMatch(/NaN|Infinity|undefined/)
      expect(svg.match(/<text/g)?.length).toBe(svg.match(/<\/text>/g)?.length)
    }
  })
})

test('a page made from the JSON file is the same as the one that was made at once', async () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'sallyport-page-')), 'report.json')
  await writeReport(file, REPORT)
  const report = await readReport(file)
  rmSync(path.dirname(file), { recursive: true })
  expect(report.scenario === undefined ? '' : scenarioPage(report, report.scenario)).toBe(scenarioPage(REPORT, RESULT))
})

test('a scenario in the terminal moves no cursor', () => {
  const text = scenarioText(RESULT, { columns: 140, colour: (_, each) => each })
  expect(text).not.toMatch(/[\p{Cf}]|(?!\n)\p{Cc}/u)
  expect(text).toMatch(/60|and 59 more/)
  expect(text).toContain('renew.p99   ≤ 1000 ms  never   FAILED')
})

test('what is escaped, and what is not', () => {
  expect(escape(`a<b>&"c'\u0000d`)).toBe('a&lt;b&gt;&amp;&quot;c&#39; d')
  expect(html`<p>${'<b>'}${html`<i>`}${[1, 'x']}</p>`.html).toBe('<p>&lt;b&gt;<i>1x</p>')
  expect(htmlTable(['<h>'], [['<c>', { text: '<d>', tone: 'bad' }]]).html).toContain('<th>&lt;h&gt;</th></tr></thead><tbody><tr><td>&lt;c&gt;</td><td class="bad">&lt;d&gt;</td>')
  expect(htmlPage('</title>', html`<p>x</p>`)).toContain('<title>&lt;/title&gt;</title>')
})

describe('a chart', () => {
  test.each([[0, [0, 1]], [1, [0, 0.5, 1]], [7, [0, 2, 4, 6, 8]], [50, [0, 20, 40, 60]], [400, [0, 100, 200, 300, 400]], [0.03, [0, 0.01, 0.02, 0.03]]])('up to %d has round ticks', (max, ticks) => {
    expect(ticksTo(max).map((tick) => Number(tick.toFixed(6)))).toEqual(ticks)
  })

  test('of lines leaves a gap where there is no value', () => {
    const { html: svg } = chart({ title: 'x', unit: 'ms', bands: [], kind: 'lines', series: [{ name: 'p50', values: [1, undefined, 3, 4] }] })
    expect(svg.match(/ d="([^"]*)"/)?.[1]?.match(/M/g)).toHaveLength(2)
  })

  test('of bars puts them on each other, to the height of their sum', () => {
    const { html: svg } = chart({ title: 'x', unit: '', bands: [], kind: 'bars', series: [{ name: 'a', values: [2, 0] }, { name: 'b', values: [3, 4] }] })
    const tops = [...svg.matchAll(/<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill/g)].map(([, y, height]) => [Number(y), Number(height)])
    expect(tops).toHaveLength(3)
    const [a, b] = tops
    expect((b?.[0] ?? 0) + (b?.[1] ?? 0)).toBeCloseTo(a?.[0] ?? -1, 0)
  })
})
