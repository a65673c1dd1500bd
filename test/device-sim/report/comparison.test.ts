// The same audit of two targets: as a golden file for the terminal, and as a page in which a hostile server stays text.

import { expect, test } from 'vitest'
import type { CaseResult } from '../../../device-sim/attacks/run.ts'
import { comparisonPage, comparisonText, type Comparison } from '../../../device-sim/report/comparison.ts'
import type { Paper } from '../../../device-sim/report/text.ts'

const paper: Paper = { columns: 180, colour: (_, text) => text }
const result = (changes: Partial<CaseResult>): CaseResult => ({ case: 'T01', title: 'no client certificate', expected: 'closed without an MQTT byte', seen: 'closed without an answer (ECONNRESET)', reasons: ['tls-no-certificate'], verdict: 'ok', notes: [], durationMs: 12, ...changes })
const HOSTILE = '<img src=x onerror=alert(1)>\u001B[2J\u202E'

const COMPARISON: Comparison = {
  startedAt: '2026-11-28T10:00:00.000Z',
  cases: ['T01', 'T10', 'I18', 'Q11'],
  targets: [
    { name: 'sallyport 0.1.0', audit: true, results: [result({}), result({ case: 'T10', title: 'revoked while connected', seen: 'cut after 0 ms' }), result({ case: 'I18', title: 'device suspended', seen: 'cut after 1 ms' }), result({ case: 'Q11', title: 'subscribe to #', seen: 'SUBACK 0x87' })] },
    {
      name: 'weak <broker>', audit: false,
      results: [
        result({ seen: 'admitted', verdict: 'falls short', reasons: [], notes: ['no certificate, TLSv1.2: admitted', HOSTILE] }),
        result({ case: 'T10', title: 'revoked while connected', seen: '', verdict: 'FAILED', reasons: [], notes: ['control failed: connected before'] }),
        result({ case: 'I18', title: 'device suspended', seen: '', verdict: 'not run', reasons: [], notes: ['this target has no registry of devices'] }),
        result({ case: 'Q11', title: 'subscribe to #', seen: 'SUBACK 0x00', verdict: 'differs', reasons: [], notes: ['#: SUBACK 0x00, and 3 more. The filter was granted and nothing was delivered by it.'] }),
      ],
    },
  ],
}

test('for the terminal', async () => await expect(comparisonText(COMPARISON, paper)).toMatchFileSnapshot('../golden/comparison.txt'))

test('an interrupted run has a place for what was not finished', () => {
  const [first] = COMPARISON.targets
  const text = comparisonText({ ...COMPARISON, targets: [...COMPARISON.targets.slice(0, 1), { name: 'second', audit: false, results: [] }] }, paper)
  expect(first?.name).toBe('sallyport 0.1.0')
  expect(text).toContain('second: 0 of 4 cases: 0 ok, 0 failed, 0 not run\n')
  expect(comparisonPage({ ...COMPARISON, targets: [{ name: 'second', audit: true, results: [] }] })).toContain('not finished')
})

test('the page has every case, verdict, reason and why; what a server said and what it is called stays text', () => {
  const text = comparisonPage(COMPARISON)
  for (const part of ['Audit of sallyport 0.1.0 and weak &lt;broker&gt;', '<strong>T01</strong> no client certificate', 'falls short', '<code>tls-no-certificate</code>', 'this target has no registry of devices', 'Anybody on the network could publish.', 'Where weak &lt;broker&gt; fails', 'no audit log is read there']) expect(text).toContain(part)
  expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;')
  for (const part of ['<img', '\u001B', '\u202E', '<broker>']) expect(text).not.toContain(part)
})
