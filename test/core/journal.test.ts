// What a record is in the journal of issuance.

import { expect, test } from 'vitest'
import { journalState } from '../../src/core/journal.ts'
import { JOURNAL } from '../../src/signer-limits.ts'
import { planned, NOW, printOf } from '../contract/records.ts'

const record = planned('x', 'a', { createdAt: NOW })

test('a plan is an orphan a millisecond after its time, and not before', () => {
  expect(journalState(record, NOW + JOURNAL.orphanedAfterMs)).toBe('planned')
  expect(journalState(record, NOW + JOURNAL.orphanedAfterMs + 1)).toBe('orphaned')
})

test('a clock that was set back makes nothing an orphan', () => {
  expect(journalState(record, NOW - 1_000 * JOURNAL.orphanedAfterMs)).toBe('planned')
})

test('what was issued stays issued, revoked or not; an orphan that is revoked was never issued', () => {
  const late = NOW + 2 * JOURNAL.orphanedAfterMs
  expect(journalState({ ...record, state: 'active', sha256: printOf('x') }, late)).toBe('issued')
  expect(journalState({ ...record, state: 'revoked', sha256: printOf('x') }, late)).toBe('issued')
  expect(journalState({ ...record, state: 'revoked' }, late)).toBe('orphaned')
})
