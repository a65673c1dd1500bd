// What a device may do, line by line: each as the grants decide it, with its place, and with what keeps it from counting.

import { describe, expect, test } from 'vitest'
import type { CaName } from '../../../src/core/ids.ts'
import { effectiveTopics, type EffectiveTopics } from '../../../src/core/policy/effective-topics.ts'
import { grantsFor, type Principal } from '../../../src/core/policy/grants.ts'
import { device } from '../facts.ts'
import { policyOf } from './policies.ts'

const POLICY = `version: 1
grants:
  - id: sensor
    to: { group: sensors }
    publish: [{ topic: "t/\${device.id}/#", qos: 1, maxBytes: 100 }]
    subscribe: [{ topic: "cmd/\${device.attr.site}/+", qos: 2, share: ["w*"] }]
    will: ["state/\${device.id}"]
  - id: at-home
    to: any
    when: { source: ["10.0.0.0/8"] }
    publish: ["local/#"]
  - id: others
    to: { group: backend }
    publish: ["#"]
deny:
  - { id: no-secrets, to: any, publish: ["secret/\${device.attr.site}/#"], receive: ["t/+/private"] }
`
const of = (more: Partial<Principal> = {}): { readonly topics: EffectiveTopics; readonly grants: ReturnType<typeof grantsFor> } => {
  const principal: Principal = { device: device('pump', { groups: ['sensors' as never], attributes: { site: 'north' } }), ca: 'issuing-1' as CaName, now: 1_800_000_000_000, ...more }
  const policy = policyOf(POLICY)
  return { topics: effectiveTopics(policy, principal), grants: grantsFor(policy, principal) }
}

test('every line of the rules that concern it is there, filled in, with rule and place; those of others are not', () => {
  const { topics, grants } = of()
  expect(topics.publish).toMatchObject([
    { pattern: 't/pump/#', rule: 'sensor', at: { line: 5 }, inForce: 'yes', qos: 1, retain: false, bytesMax: 100 },
    { pattern: 'local/#', rule: 'at-home', inForce: 'depends', because: ['source'] },
  ])
  expect(topics.subscribe).toMatchObject([{ pattern: 'cmd/north/+', rule: 'sensor', at: { line: 6 }, inForce: 'yes', qos: 2, share: ['w*'] }])
  expect(topics.will).toMatchObject([{ pattern: 'state/pump', inForce: 'yes', retain: true }])
  expect(topics.deny).toMatchObject([{ action: 'publish', pattern: 'secret/north/#', rule: 'no-secrets' }, { action: 'receive', pattern: 't/+/private' }])
  expect(grants.publish('t/pump/x', 1, false, 100).effect).toBe('allow')
  expect(grants.publish('secret/north/x', 0, false, 0).reason).toBe('publish-denied')
})

describe('what does not count says why', () => {
  test('a condition that holds, does not hold, or is not known', () => {
    const inForce = (source?: string): string | undefined => of(source === undefined ? {} : { connection: { source } }).topics.publish.find(({ rule }) => rule === 'at-home')?.inForce
    expect([inForce('10.1.2.3'), inForce('11.1.2.3'), inForce()]).toEqual(['yes', 'no', 'depends'])
    expect(of({ connection: { source: '11.1.2.3' } }).grants.publish('local/x', 0, false, 0).effect).toBe('deny')
  })
  test('a variable that is missing takes a grant away and makes a deny rule wider', () => {
    const { topics, grants } = of({ device: device('pump', { groups: ['sensors' as never], attributes: {} }) })
    expect(topics.subscribe).toMatchObject([{ pattern: 'cmd/${device.attr.site}/+', inForce: 'no', unresolved: 'device.attr.site' }])
    expect(topics.deny[0]).toMatchObject({ pattern: 'secret/+/#', inForce: 'yes', unresolved: 'device.attr.site' })
    expect([grants.subscribe('cmd/north/a', 0).effect, grants.publish('secret/any/x', 0, false, 0).reason]).toEqual(['deny', 'publish-denied'])
  })
  test('a device that is quarantined has what is meant for it, and nothing else', () => {
    const { topics, grants } = of({ device: device('pump', { groups: ['sensors' as never], attributes: { site: 'north' }, state: 'quarantined' }) })
    expect(topics.publish.map(({ inForce, because }) => [inForce, because])).toEqual([['no', ['state']], ['no', ['source', 'state']]])
    expect(grants.publish('t/pump/x', 0, false, 0).effect).toBe('deny')
  })
})
