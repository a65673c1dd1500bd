import { expect, test } from 'vitest'
import { judgeBinding, type BindingFound, type BindingRule } from '../../src/core/channel-binding.ts'
import { reasonOf } from './facts.ts'

test.each<[BindingFound, BindingRule, string]>([
  ['fits', 'required', 'allowed'],
  ['fits', 'optional', 'allowed'],
  ['absent', 'optional', 'allowed'],
  ['absent', 'required', 'channel-binding'],
  // RFC 7030 §3.5: if it is included, the server must verify it.
  ['differs', 'optional', 'channel-binding'],
  ['differs', 'required', 'channel-binding'],
])('a binding that is %s, where it is %s: %s', (found, rule, expected) => {
  expect(reasonOf(judgeBinding(found, rule))).toBe(expected)
})
