// The shape of a decision, and that no reason can be forgotten: every one has its row.

import { describe, expect, test } from 'vitest'
import { allow, deny, unreachable } from '../../src/core/decision.ts'
import { REASONS, STEPS, type DenyReason } from '../../src/vocabulary.ts'

describe('a decision', () => {
  test('an allowance carries a value, a denial a reason, and a detail only when there is one', () => {
    expect(allow(7)).toEqual({ allow: true, value: 7 })
    expect(deny('no-grant')).toStrictEqual({ allow: false, reason: 'no-grant' })
    expect(deny('no-grant', '')).toStrictEqual({ allow: false, reason: 'no-grant', detail: '' })
  })

  test('a case that the compiler says cannot be throws when it is', () => {
    expect(() => unreachable({ kind: 'new' } as never)).toThrow('unreachable: {"kind":"new"}')
  })

  test.each(Object.keys(REASONS) as DenyReason[])('%s belongs to a step, says what happened and what to do', (reason) => {
    expect(STEPS).toContain(REASONS[reason].step)
    expect(REASONS[reason].sentence).toMatch(/^[A-Z].*\.$/)
    expect(REASONS[reason].fix).toMatch(/^[A-Z].*\.$/)
    // A refusal is never answered with a success code of MQTT or HTTP.
    expect(REASONS[reason].reason5).toBeGreaterThanOrEqual(0x80)
    expect(REASONS[reason].connack3).toBeGreaterThanOrEqual(1)
    // Who waits for an operator is not refused yet: 202, as RFC 7030 §4.2.3 has it.
    expect(REASONS[reason].http).toBeGreaterThanOrEqual(reason === 'enrollment-pending' ? 202 : 400)
  })
})
