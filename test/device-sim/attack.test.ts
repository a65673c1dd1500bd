// When a run of attacks is a success: nothing that could be run failed, and something was run.

import { describe, expect, test } from 'vitest'
import { attackSucceeded } from '../../device-sim/attack.ts'
import type { CaseId } from '../../device-sim/attacks/catalogue.ts'
import type { CaseResult } from '../../device-sim/attacks/run.ts'

const result = (id: CaseId, verdict: CaseResult['verdict']): CaseResult => ({ case: id, title: '', expected: '', seen: '', reasons: [], verdict, notes: [], durationMs: 1 })
const ok = result('T01', 'ok')

test('all ok is a success, on any home', () => {
  expect(attackSucceeded([ok, result('Q01', 'ok')], true, true)).toBe(true)
  expect(attackSucceeded([ok, result('Q01', 'ok')], false, false)).toBe(true)
})

test('one failure is none', () => expect(attackSucceeded([ok, result('Q01', 'FAILED')], false, false)).toBe(false))

test('nothing run is none', () => {
  expect(attackSucceeded([], true, true)).toBe(false)
  expect(attackSucceeded([result('T06', 'not run')], false, true)).toBe(false)
})

describe('a case that was not run', () => {
  // T06 needs the CA's key, T46 many source addresses.
  test('is excused on a home that somebody else has made', () => {
    expect(attackSucceeded([ok, result('T06', 'not run'), result('T46', 'not run')], false, true)).toBe(true)
  })

  test('is a failure on a home of its own, which has everything', () => {
    expect(attackSucceeded([ok, result('T06', 'not run')], true, true)).toBe(false)
    expect(attackSucceeded([ok, result('T46', 'not run')], true, true)).toBe(false)
  })

  test('is excused on a home of its own when it is the machine that has one address only', () => {
    expect(attackSucceeded([ok, result('T46', 'not run')], true, false)).toBe(true)
    expect(attackSucceeded([ok, result('T06', 'not run')], true, false)).toBe(false)
  })
})
