// When something that ends is to be told of: 30 days before for what a person must replace, a quarter of its life for what should have
// renewed itself, to the millisecond.

import { describe, expect, test } from 'vitest'
import { isNear, isOverdue, type ExpiryKind } from '../../src/core/expiry.ts'
import { LIFE } from '../../src/limits.ts'
import { NOW } from '../contract/records.ts'

const { day } = LIFE
const near = (kind: ExpiryKind, lifeMs: number, leftMs: number): boolean => isNear({ kind, notBefore: NOW + leftMs - lifeMs, notAfter: NOW + leftMs }, NOW)

describe('what is told of', () => {
  test.each(['root', 'issuing', 'cross', 'trusted'] as const)('%s: from 30 days before its end on, however long it lives', (kind) => {
    for (const life of [20 * day, 365 * day, 7_300 * day]) {
      expect(near(kind, life, 30 * day - 1)).toBe(true)
      expect(near(kind, life, 30 * day)).toBe(false)
      expect(near(kind, life, -1)).toBe(true)
    }
  })

  test.each(['server', 'operator', 'ocsp-responder', 'crl'] as const)('%s: with a quarter of its life left, at most 30 days; by then it should have renewed itself', (kind) => {
    for (const [life, left] of [[1, 0.25], [30, 7.5], [90, 22.5], [365, 30]] as const) {
      expect(near(kind, life * day, left * day - 1)).toBe(true)
      expect(near(kind, life * day, left * day)).toBe(false)
      // A third is when it renews.
      expect(near(kind, life * day, (life * day) / 3)).toBe(false)
    }
  })

  test('a device is overdue when the last hour of its hint is past: three quarters of its life, or 30 days before its end', () => {
    const overdue = (life: number, left: number): boolean => isOverdue({ notBefore: NOW + left - life, notAfter: NOW + left }, NOW)
    expect([overdue(8 * day, 2 * day - 1), overdue(8 * day, 2 * day)]).toEqual([true, false])
    expect([overdue(365 * day, 30 * day - 1), overdue(365 * day, 30 * day)]).toEqual([true, false])
  })
})
