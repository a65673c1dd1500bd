// The verdicts as JUnit XML, which every CI shows: a test for each case, and for each thing that a scenario was held to.

import type { RunReport } from './json-file.ts'

interface Tested {
  readonly suite: string
  readonly name: string
  readonly seconds: number
  readonly failure?: string | undefined
  readonly skipped?: string | undefined
}

/** Of the first few; the report has them all. */
const FAILURES_TOLD = 5
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
/** XML 1.0 has no way to write most control characters. */
const xml = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').replaceAll(/[&<>"]/g, (character) => ESCAPES[character] ?? '')

export function junitOf(report: RunReport): string {
  const tests = testsOf(report)
  const suites = Map.groupBy(tests, ({ suite }) => suite)
  const lines = [...suites].map(([suite, all]) => `<testsuite name="${xml(suite)}"${counts(all)}>\n${all.map(one).join('')}</testsuite>\n`)
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="device-sim"${counts(tests)}>\n${lines.join('')}</testsuites>\n`
}

function counts(tests: readonly Tested[]): string {
  const seconds = tests.reduce((sum, each) => sum + each.seconds, 0)
  return ` tests="${tests.length}" failures="${tests.filter(({ failure }) => failure !== undefined).length}" skipped="${tests.filter(({ skipped }) => skipped !== undefined).length}" time="${seconds.toFixed(3)}"`
}

function one({ suite, name, seconds, failure, skipped }: Tested): string {
  const inside = failure !== undefined ? `<failure message="${xml(failure)}"/>` : skipped !== undefined ? `<skipped message="${xml(skipped)}"/>` : ''
  return `<testcase classname="${xml(suite)}" name="${xml(name)}" time="${seconds.toFixed(3)}">${inside}</testcase>\n`
}

function testsOf({ cases = [], fleet, scenario }: RunReport): readonly Tested[] {
  const ofCases = cases.map(({ case: id, title, expected, seen, verdict, notes, durationMs }): Tested => ({
    suite: 'attacks', name: `${id} ${title}`, seconds: durationMs / 1_000,
    failure: verdict === 'FAILED' || verdict === 'falls short' ? `expected: ${expected}; seen: ${seen}; ${notes.join('; ')}` : undefined,
    skipped: verdict === 'not run' ? notes.join('; ') : undefined,
  }))
  const ofFleet: readonly Tested[] = fleet === undefined ? [] : [{ suite: 'fleet', name: `fleet of ${fleet.devices} devices`, seconds: 0, failure: fleet.ok ? undefined : fleet.faults.join('; ') }]
  if (scenario === undefined) return [...ofCases, ...ofFleet]
  const { leaks, failures } = scenario
  return [
    ...ofCases, ...ofFleet,
    { suite: scenario.name, name: 'nothing leaks', seconds: 0, failure: leaks.count === 0 ? undefined : `${leaks.count} leaks: ${leaks.shown.join('; ')}` },
    ...scenario.thresholds.map(({ name, bound, seen, ok }): Tested => ({
      suite: scenario.name, name: `${name} ≤ ${bound}`, seconds: 0,
      failure: ok ? undefined : `seen: ${seen}${name === 'unexpected' ? `; ${failures.shown.slice(0, FAILURES_TOLD).map((each) => `${each.device}, ${each.step}: expected ${each.expected}, seen ${each.seen}`).join('; ')}` : ''}`,
    })),
  ]
}
