// What deploy/ gives to Prometheus and Grafana: it speaks of metrics that there are, and of commands that there are.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { openMetrics } from '../../src/observe/metrics.ts'
import { METRICS } from '../../src/observe/metric-table.ts'
import { has } from '../e2e/program.ts'

const DEPLOY = path.resolve(import.meta.dirname, '../../deploy')
const read = (name: string): string => readFileSync(path.join(DEPLOY, name), 'utf8')

interface Rule { readonly alert: string; readonly expr: string; readonly labels: { readonly severity: string }; readonly annotations: { readonly summary: string; readonly action: string } }
const rules = (parse(read('prometheus/alerts.yaml')) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] }).groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(read('grafana/sallyport.json')) as { readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[]; readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>> }[] }
const asked = [...rules.map(({ alert, expr }) => [alert, expr] as const), ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const))]

/** Names as they stand in a scrape, and of those the series of histograms. */
async function served(): Promise<ReadonlySet<string>> {
  const text = await openMetrics('1').text()
  return new Set([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = '', type]) => (type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name])))
}

test('every metric that a panel or a rule asks for is served', async () => {
  const names = await served()
  expect(asked.length).toBeGreaterThan(30)
  for (const [where, expr] of asked) {
    const found = [...expr.matchAll(/\b(?:sallyport|process|nodejs)_[a-z0-9_]+\b/g)].map(([name]) => name)
    expect(found.length + Number(expr.startsWith('up{')), where).toBeGreaterThan(0)
    for (const name of found) expect(names, `${where}: ${name}`).toContain(name)
  }
})

test('every label that is asked for is one of its metric', () => {
  for (const [where, expr] of asked) {
    for (const [, name = '', labels = ''] of expr.matchAll(/\b(sallyport_[a-z0-9_]+?)(?:_bucket)?\{([^}]*)\}/g)) {
      const known = METRICS[name as keyof typeof METRICS].labels as readonly string[]
      for (const [, label = ''] of labels.matchAll(/(\w+)(?:=~|!~|=|!=)/g)) expect(['instance', 'job', ...known], `${where}: ${name}{${label}}`).toContain(label)
    }
  }
})

test('every metric of the program is on the dashboard or in a rule, or is only of use with others', () => {
  const text = asked.map(([, expr]) => expr).join('\n')
  const unseen = Object.keys(METRICS).filter((name) => !text.includes(name))
  expect(unseen).toEqual(['sallyport_build_info', 'sallyport_connections_total', 'sallyport_connects_total', 'sallyport_subscriptions_lost_total', 'sallyport_detection_steps_total', 'sallyport_policy_generation', 'sallyport_policy_loads_total', 'sallyport_audit_records', 'sallyport_audit_bytes'])
})

test('panels do not lie over each other, and the rules say what to do', () => {
  const cells = new Set<string>()
  for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
    for (let column = x; column < x + w; column++) {
      for (let row = y; row < y + h; row++) {
        expect(cells.has(`${column},${row}`), title).toBe(false)
        cells.add(`${column},${row}`)
      }
    }
    expect(x + w, title).toBeLessThanOrEqual(24)
  }
  for (const { alert, labels, annotations } of rules) {
    expect(['page', 'ticket'], alert).toContain(labels.severity)
    expect(annotations.summary, alert).toMatch(/\.$/)
    expect(annotations.action, alert).toMatch(/\.$/)
  }
})

describe.skipIf(!has('promtool'))('Prometheus itself (needs prometheus)', () => {
  test('takes the rules', () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', path.join(DEPLOY, 'prometheus/alerts.yaml')], { encoding: 'utf8' })
    expect([status, `${stdout}${stderr}`]).toEqual([0, expect.stringContaining(`${rules.length} rules found`)])
  })

  test('has nothing to say against a scrape', async () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: (await openMetrics('1').text()).split('\n').filter((line) => /sallyport_/.test(line)).join('\n').concat('\n'), encoding: 'utf8' })
    expect([status, stdout, stderr]).toEqual([0, '', ''])
  })

  test('raises them when it is time, and not before', () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', path.join(import.meta.dirname, 'alerts.test.yaml')], { encoding: 'utf8' })
    expect([status, `${stdout}${stderr}`]).toEqual([0, expect.stringContaining('SUCCESS')])
  })
})
