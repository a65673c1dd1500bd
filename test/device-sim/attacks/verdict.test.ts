// From evidence to verdict: of ours to the letter, of others by what was promised; and never 'ok' where nothing was shown.

import { describe, expect, test } from 'vitest'
import { STARTER_ACL } from '../../../device-sim/acl.ts'
import type { CatalogueRow } from '../../../device-sim/attacks/catalogue-row.ts'
import { judgeCase, noEvidence, type Evidence } from '../../../device-sim/attacks/verdict.ts'
import type { Observed } from '../../../device-sim/oracle.ts'

const ROW: CatalogueRow = { family: 'tls', title: 'T', why: 'W', expected: 'closed', claims: { attack: { outcome: { kind: 'tls' }, reasons: [] } } }
const OURS = { measure: 'letter', acl: STARTER_ACL } as const
const OTHERS = { measure: 'promises', acl: { ...STARTER_ACL, identity: 'certificate' } } as const

const refused: Observed = { kind: 'refused-in-tls', how: 'closed' }
const byConnack: Observed = { kind: 'refused-by-connack', version: 5, code: 0x86 }
const admitted: Observed = { kind: 'admitted' }

function evidence(seen: readonly Observed[], changes: Partial<Evidence> = {}): Evidence {
  const attempts = seen.map((each, i) => ({ claim: 'attack', label: `try ${i + 1}`, seen: each, audit: {} }))
  return { ...noEvidence(), attempts, controls: [{ label: 'a good one', works: true, seen: 'admitted' }], ...changes }
}
const badControl = { controls: [{ label: 'a good one', works: false, seen: 'refused-in-tls' }] }

test('as expected, beside a control that worked, is ok everywhere', () => {
  expect(judgeCase(ROW, evidence([refused]), OURS)).toEqual({ verdict: 'ok', notes: [] })
  expect(judgeCase(ROW, evidence([refused]), OTHERS)).toEqual({ verdict: 'ok', notes: [] })
})

test('another layer of refusal fails ours and only differs of others, counted once', () => {
  expect(judgeCase(ROW, evidence([refused, byConnack]), OURS)).toEqual({ verdict: 'FAILED', notes: ['try 2: CONNACK 0x86'] })
  expect(judgeCase(ROW, evidence([byConnack, byConnack, byConnack]), OTHERS)).toEqual({ verdict: 'differs', notes: ['try 1: CONNACK 0x86, and 2 more. It was refused, in another layer or with another code.'] })
})

test('one that is let in fails ours, and others fall short', () => {
  expect(judgeCase(ROW, evidence([refused, admitted]), OURS)).toEqual({ verdict: 'FAILED', notes: ['try 2: admitted'] })
  expect(judgeCase(ROW, evidence([byConnack, admitted]), OTHERS)).toMatchObject({ verdict: 'falls short', notes: ['try 2: admitted', expect.stringContaining('CONNACK')] })
})

test('harm to the server is a failure of ours, and others fall short by it', () => {
  expect(judgeCase(ROW, evidence([refused], { harm: ['the server is another process'] }), OURS).verdict).toBe('FAILED')
  expect(judgeCase(ROW, evidence([refused], { harm: ['the server is another process'] }), OTHERS).verdict).toBe('falls short')
})

describe('where nothing was shown, nothing is ok', () => {
  test.each([
    ['no attack', evidence([])],
    ['no control', evidence([refused], { controls: [] })],
    ['a control that did not work: whoever refuses everybody has refused nobody', evidence([refused], badControl)],
    ['a fault on the way', evidence([refused], { faults: ['the case was not finished'] })],
  ])('%s', (_, shown) => {
    expect(judgeCase(ROW, shown, OURS).verdict).toBe('FAILED')
    expect(judgeCase(ROW, shown, OTHERS).verdict).toBe('FAILED')
  })

  test('but a hole is one even where the control did not work', () => expect(judgeCase(ROW, evidence([admitted], badControl), OTHERS).verdict).toBe('falls short'))
  test('what the target does not have is not run, unless a hole was seen before', () => {
    expect(judgeCase(ROW, evidence([], { notOffered: 'no ears', controls: [] }), OTHERS)).toEqual({ verdict: 'not run', notes: ['no ears'] })
    expect(judgeCase(ROW, evidence([refused], { notOffered: 'no ears' }), OTHERS).verdict).toBe('not run')
    expect(judgeCase(ROW, evidence([admitted], { notOffered: 'no ears' }), OTHERS).verdict).toBe('falls short')
    expect(judgeCase(ROW, evidence([admitted], { notOffered: 'no ears' }), OURS).verdict).toBe('FAILED')
  })
})
