// A question is answered by the lines that could match it, as by the whole policy, for every device.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CaName } from '../../../src/core/ids.ts'
import { compilePolicy } from '../../../src/core/policy/compile.ts'
import { grantsFor } from '../../../src/core/policy/grants.ts'
import { ask, questionOf } from '../../../src/core/policy/question.ts'
import { relevantTo } from '../../../src/core/policy/relevant.ts'
import type { Principal } from '../../../src/core/policy/template.ts'
import { anyAsked, anyDevice, anyPolicyText } from './arbitraries.ts'
import { policyOf } from './policies.ts'

test('the verdict is the same, with its rule, place and bindings', () => {
  fc.assert(fc.property(anyPolicyText(), anyDevice(), anyAsked(), (text, device, asked) => {
    const policy = policyOf(text)
    const question = questionOf(asked)
    if (question === undefined) throw new Error('no question')
    const principal: Principal = { device, ca: 'issuing-1' as CaName, clientId: device.id }
    const part = compilePolicy(relevantTo(policy.document, question), policy.generation)
    expect(ask(grantsFor(part, principal), question)).toEqual(ask(grantsFor(policy, principal), question))
  }), { numRuns: 1_000 })
})

test('nothing else is left of the policy', () => {
  const { document } = policyOf('version: 1\ngrants:\n  - { id: r, to: any, publish: ["t/a", "t/b"], subscribe: ["t/a"] }\n  - { id: s, to: any, publish: ["x"] }\ndeny:\n  - { id: no, to: any, publish: ["t/+"], receive: ["t/a"] }\n')
  const part = relevantTo(document, { kind: 'publish', topic: 't/a', qos: 0, retain: false, bytes: 0 })
  expect(part.grants.map(({ id, publish, subscribe }) => [id, publish.map(({ topic }) => topic.text), subscribe.length])).toEqual([['r', ['t/a'], 0]])
  expect(part.deny.map(({ publish, receive }) => [publish.length, receive.length])).toEqual([[1, 0]])
  expect(relevantTo(document, { kind: 'receive', topic: 't/+' })).toMatchObject({ grants: [], deny: [] })
})
