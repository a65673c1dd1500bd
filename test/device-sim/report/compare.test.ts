// Two runs side by side, and the verdicts as JUnit XML.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { compare, compareText, type ComparedReport } from '../../../device-sim/report/compare.ts'
import { readReport } from '../../../device-sim/report/read-report.ts'
import { junitOf } from '../../../device-sim/report/junit.ts'
import type { RunReport } from '../../../device-sim/report/json-file.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-compare-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const paper = { columns: 160, colour: (_: string, text: string) => text }

const run = (p99Ms: number, lost = 0, cases: ComparedReport['cases'] = []): ComparedReport => ({
  cases,
  scenario: { messages: { sent: 10, unsent: 0, due: 10, received: 10, lost, duplicates: 0, misordered: 0, unjudged: 0 }, leaks: { count: 0, shown: [] }, failures: { count: 0, shown: [] }, timings: { delivery: { count: 9, p50Ms: 10, p90Ms: 10, p99Ms, maxMs: p99Ms } } },
})
const verdictOf = (what: string, ...runs: readonly [ComparedReport, ComparedReport, number]) => compare(...runs).find((change) => change.what === what)?.verdict

describe('compare', () => {
  test.each([[100, 119, 'same'], [100, 121, 'worse'], [121, 100, 'same'], [130, 100, 'better'], [1, 4, 'same'], [1, 7, 'worse']])('p99 of %d and then %d ms is %s', (before, after, verdict) => {
    expect(verdictOf('delivery.p99', run(before), run(after), 0.2)).toBe(verdict)
  })
  test('a message that is lost is worse, however few', () => expect(verdictOf('lost', run(1), run(1, 1), 9)).toBe('worse'))
  test('a time that is no longer measured is worse', () => {
    const after = run(1)
    expect(verdictOf('delivery.p99', run(1), { ...after, scenario: { ...(after.scenario as NonNullable<ComparedReport['scenario']>), timings: {} } }, 1)).toBe('worse')
  })
  test.each([['ok', 'FAILED', 'worse'], ['ok', 'not run', 'worse'], ['FAILED', 'ok', 'better'], ['ok', 'ok', undefined]] as const)('a case that was %s and is %s: %s', (was, is, verdict) => {
    const of = (outcome: typeof was | typeof is) => run(1, 0, [{ case: 'T01', title: 'none', verdict: outcome, seen: 'seen' }])
    expect(verdictOf('T01 none', of(was), of(is), 1)).toBe(verdict)
  })
  test('is told in a table that moves no cursor', () => {
    expect(compareText(compare(run(1, 0, [{ case: 'T01', title: 'a\u001B[2J', verdict: 'ok', seen: '' }]), run(50), 0.2), paper)).toMatch(/delivery\.p99 +1\.0 ms +50\.0 ms +\+4900 % +worse\n[\s\S]*T01 a \[2J +ok +not run +worse\n\n2 became worse\.\n$/)
    expect(compareText(compare(run(1), run(1), 0.2), paper)).toMatch(/\nNothing became worse\.\n$/)
  })
  test('of what is no report says so', async () => {
    const file = path.join(folder, 'x.json')
    writeFileSync(file, '{"ok":true}')
    await expect(readReport(file)).rejects.toThrow('x.json is not a report of the simulator')
    await expect(readReport('nowhere.json')).rejects.toThrow('nowhere.json cannot be read. A run writes one with --json FILE.')
  })
})

test('JUnit: a test for each case and each bound, with what failed, and nothing that breaks the XML', () => {
  const report: RunReport = {
    startedAt: '', durationMs: 1, target: { name: 'sallyport', host: '127.0.0.1', port: 1, own: true }, interrupted: false, ok: false,
    cases: [
      { case: 'T01', title: 'no <certificate> & "none"', expected: 'closed', seen: '\u001B]0;x\u0007', reasons: [], verdict: 'FAILED', notes: ['n'], durationMs: 1_500 },
      { case: 'T02', title: 'x', expected: 'closed', seen: '', reasons: [], verdict: 'not run', notes: ['no key'], durationMs: 0 },
      { case: 'T03', title: 'x', expected: 'closed', seen: '', reasons: [], verdict: 'ok', notes: [], durationMs: 0 },
    ],
  }
  const xml = junitOf(report)
  expect(xml).toContain('<testsuites name="device-sim" tests="3" failures="1" skipped="1" time="1.500">')
  expect(xml).toContain('name="T01 no &lt;certificate&gt; &amp; &quot;none&quot;"')
  expect(xml).toContain('<skipped message="no key"/>')
  expect(xml).not.toMatch(/(?!\n)\p{Cc}/u)
})
