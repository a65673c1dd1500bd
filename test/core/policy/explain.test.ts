// An explanation is the verdict that the broker acts on: the same rule, place and bindings, and nothing added.

import { describe, expect, test } from 'vitest'
import { explain } from '../../../src/core/policy/explain.ts'
import { grantsOf } from './policies.ts'

const GRANTS = grantsOf('version: 1\ngrants:\n  - id: r\n    to: any\n    publish: [ { topic: "t/${device.id}", qos: 1, retain: true, maxBytes: 10 } ]\n    subscribe: [ { topic: "s/#", qos: 1 } ]\n')
const AT = { file: 'policy.yaml', line: 5 }

describe('an explanation', () => {
  test('of a publish asks with QoS 0, no retain and no bytes, unless the question says otherwise', () => {
    expect(explain(GRANTS, { publish: 't/d' })).toMatchObject({ effect: 'allow', reason: 'granted', rule: 'r', at: AT, bindings: { 'device.id': 'd' }, generation: 1 })
    expect(explain(GRANTS, { publish: 't/d', qos: 2 })).toMatchObject({ effect: 'deny', reason: 'publish-qos', rule: 'r', at: AT })
    expect(explain(GRANTS, { publish: 't/d', bytes: 11 })).toMatchObject({ reason: 'publish-size' })
    expect(explain(GRANTS, { publish: 't/d', qos: 1, retain: true, bytes: 10 })).toMatchObject({ effect: 'allow' })
  })

  test('of a subscription says the QoS that SUBACK would grant, and only where it grants', () => {
    expect(explain(GRANTS, { subscribe: 's/+', qos: 2 })).toMatchObject({ effect: 'allow', grantedQos: 1 })
    expect(explain(GRANTS, { subscribe: 's/+' })).toMatchObject({ effect: 'allow', grantedQos: 0 })
    expect(explain(GRANTS, { subscribe: '#' })).toStrictEqual({ effect: 'deny', reason: 'subscribe-not-granted', bindings: {}, generation: 1 })
  })

  test('of nothing is the refusal of the empty topic', () => {
    expect(explain(GRANTS, {})).toStrictEqual({ effect: 'deny', reason: 'topic-invalid', bindings: {}, generation: 1 })
  })

  test('has no rule and no place where none decided', () => {
    expect(Object.keys(explain(GRANTS, { publish: 'x' })).toSorted()).toEqual(['bindings', 'effect', 'generation', 'reason'])
  })
})
