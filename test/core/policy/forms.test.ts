// The grammar of policy.md, key by key: what is a policy and what is not, where, and with which suggestion. A bad text is
// told all of its problems, and nothing else.

import { describe, expect, test } from 'vitest'
import * as conditions from './forms/conditions.ts'
import * as rules from './forms/rules.ts'
import { withoutRule } from './forms/texts.ts'
import * as topics from './forms/topics.ts'
import { problemsOf } from './policies.ts'

describe.each([
  ['the document and its rules', rules.GOOD, [...rules.BAD_FORM, ...rules.BAD_SENSE]],
  ['topics and their terms', topics.GOOD, [...topics.BAD_FORM, ...topics.BAD_SENSE]],
  ['conditions', conditions.GOOD, [...conditions.BAD_FORM, ...conditions.BAD_SENSE]],
] as const)('%s', (_, good, bad) => {
  test.each(good)('%j is a policy', (text) => {
    expect(problemsOf(text)).toEqual([])
  })

  test.each(bad)('%j: %s', (text, ...problems) => {
    expect(problemsOf(text).map(withoutRule)).toEqual(problems.map((problem) => `policy.yaml:${problem}`))
  })
})
