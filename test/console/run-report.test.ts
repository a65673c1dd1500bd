import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readRun } from '../../src/console/run-report.ts'

test('a run is read as far as it is shown', () => {
  const run = readRun({
    startedAt: '2026-11-28T02:10:00Z', durationMs: 5, ok: true, interrupted: false, target: { name: 'sallyport', host: '::1', port: 8883 }, cases: [{ case: 'T01', title: 'no certificate', verdict: 'ok', seen: 'closed' }],
    scenario: { name: 'storm', about: 'x', devices: 2, timings: { connect: { count: 2, p50Ms: 1, p90Ms: 2, p99Ms: 3, maxMs: 4 } }, refused: { 'tls-expired': 2, never: 0 }, timeline: [{ second: 0, connected: 2, received: 1, refused: { a: 1, b: 2 } }] },
  })
  expect(run).toMatchObject({ ok: true, target: 'sallyport at ::1:8883', cases: [{ id: 'T01', verdict: 'ok' }], scenario: { devices: 2, refused: [['tls-expired', 2]], timeline: [{ second: 0, connected: 2, refused: 3 }] } })
})

test('a file that is none, or that somebody wrote by hand, harms nobody', () => {
  fc.assert(fc.property(fc.anything(), (value) => {
    expect(readRun(value).ok).toBe(typeof value === 'object' && value !== null && (value as { ok?: unknown }).ok === true)
    expect(Array.isArray(readRun({ scenario: value, cases: value, target: value }).cases)).toBe(true)
  }))
})
