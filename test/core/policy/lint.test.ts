// What lint finds in a policy, each beside the nearest policy in which it finds nothing.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import type { CaName } from '../../../src/core/ids.ts'
import { joinLint, lintFleet, openFleetLint } from '../../../src/core/policy/lint-fleet.ts'
import { lintPolicy } from '../../../src/core/policy/lint.ts'
import { openPatternIndex } from '../../../src/core/policy/pattern-index.ts'
import { grantsFor } from '../../../src/core/policy/grants.ts'
import { contains } from '../../../src/core/topic.ts'
import { device, leaf } from '../facts.ts'
import { anyDevice, anyPattern, anyPolicyText } from './arbitraries.ts'
import { documentOf, policyOf } from './policies.ts'

const NOW = Date.parse('2026-06-01T12:00:00Z')
const grants = (...rules: readonly string[]): string => `version: 1\ngrants:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`
const denying = (...rules: readonly string[]): string => `deny:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`
const found = (text: string): readonly string[] => lintPolicy(documentOf(text), NOW).map(({ code, rule, message }) => `${code} ${rule}: ${message}`)
const codes = (text: string): readonly string[] => lintPolicy(documentOf(text), NOW).map(({ code, rule }) => `${code} ${rule}`)

describe('grants that a denial makes worthless', () => {
  const rule = (to: string, topic = 't/${device.id}/a'): string => grants(`{ id: r, to: ${to}, publish: ["${topic}"], subscribe: [ok] }`)

  test('are told with the denial and its place', () => {
    expect(found(rule('any') + denying('{ id: no, to: any, publish: ["t/${device.id}/#"] }'))).toEqual(['grant-denied r: publish t/${device.id}/a allows nothing: rule no (policy.yaml:5) denies all of it.'])
  })

  test.each([
    ['everybody, for a group', rule('{ group: g }'), '{ id: no, to: any, publish: ["t/+/a"] }', true],
    ['a group that contains it', `${rule('{ group: g }')}groups: { o: [p], p: [g] }\n`, '{ id: no, to: { group: o }, publish: ["#"] }', true],
    ['fewer attributes', rule('{ attr: { a: x, b: y } }'), '{ id: no, to: { attr: { a: [x, z] } }, publish: ["t/#"] }', true],
    ['a group, for everybody', rule('any'), '{ id: no, to: { group: g }, publish: ["t/#"] }', false],
    ['another group', rule('{ group: g }'), '{ id: no, to: { group: h }, publish: ["t/#"] }', false],
    ['more attributes', rule('{ attr: { a: x } }'), '{ id: no, to: { attr: { a: x, b: y } }, publish: ["t/#"] }', false],
    ['a part of the topics', rule('any', 't/#'), '{ id: no, to: any, publish: ["t/+"] }', false],
    ['another variable', rule('any'), '{ id: no, to: any, publish: ["t/${device.attr.x}/a"] }', false],
    ['at some times', rule('any'), '{ id: no, to: any, when: { tls: "1.2" }, publish: ["t/#"] }', false],
    ['subscribing, not publishing', rule('any'), '{ id: no, to: any, subscribe: ["t/#"] }', false],
  ])('where it is for %s: %#', (_, text, denial, isFound) => {
    expect(codes(text + denying(denial)).includes('grant-denied r')).toBe(isFound)
  })

  test('and subscriptions of which nothing may be delivered, and Wills', () => {
    expect(codes(grants('{ id: r, to: any, subscribe: ["a/b"], will: ["w"] }') + denying('{ id: no, to: any, receive: ["a/#"], publish: ["w"] }'))).toEqual(['grant-denied r', 'grant-denied r'])
  })

  test('allow nothing indeed, for any policy and device', () => {
    fc.assert(fc.property(anyPolicyText(), anyDevice(), (text, of) => {
      const policy = policyOf(text)
      const place = (at: { readonly line: number; readonly column: number } | undefined): string => `${at?.line}:${at?.column}`
      const dead = new Set(lintPolicy(policy.document, NOW).filter(({ code }) => code === 'grant-denied').map(({ at }) => place(at)))
      const granted = grantsFor(policy, { device: of, ca: 'issuing-1' as CaName, clientId: of.id, now: NOW, connection: { source: '10.0.0.1', tls: '1.3' } })
      const topics = ['a', 'b', 'a/b', 'b/a', 'd', 'a/d', 'a/a', 'xd/a', 'a/b/a']
      const verdicts = topics.flatMap((topic) => [granted.publish(topic, 0, false, 0), granted.will(topic, 0, false, 0), granted.subscribe(topic, 0), granted.receive(topic)].filter(({ effect }) => effect === 'allow'))
      // A filter may be subscribed to of which nothing is delivered.
      const subscribed = new Set(policy.document.grants.flatMap(({ subscribe }) => subscribe.map(({ at }) => place(at))))
      expect(verdicts.filter(({ at, grantedQos }) => dead.has(place(at)) && !(grantedQos !== undefined && subscribed.has(place(at))))).toEqual([])
    }), { numRuns: 500 })
  })
})

describe('lines that say nothing new', () => {
  test('are told once: of two that say the same, the second', () => {
    expect(found(grants('{ id: a, to: any, publish: [x] }', '{ id: b, to: any, publish: [x] }'))).toEqual(['grant-redundant b: publish x is granted already, by rule a (policy.yaml:3).'])
    expect(codes(grants('{ id: a, to: { group: g }, publish: [x] }', '{ id: b, to: any, publish: [x] }'))).toEqual(['grant-redundant a'])
    expect(codes(grants('{ id: a, to: any, subscribe: ["t/a", "t/#"] }'))).toEqual(['grant-redundant a'])
  })

  test('are none when one of their terms is wider', () => {
    for (const term of ['qos: 1', 'maxBytes: 1KiB', 'rate: 1/s']) {
      expect(codes(grants(`{ id: a, to: any, publish: [ { topic: x, ${term} } ] }`, '{ id: b, to: any, publish: [x] }'))).toEqual(['grant-redundant a'])
      expect(codes(grants(`{ id: a, to: any, publish: [ { topic: "x/#", ${term} } ] }`, '{ id: b, to: any, publish: [x] }'))).toEqual([])
    }
    expect(codes(grants('{ id: a, to: any, subscribe: ["x/#"] }', '{ id: b, to: any, subscribe: [ { topic: x, share: [w] } ] }'))).toEqual([])
    expect(codes(grants('{ id: a, to: any, when: { tls: "1.3" }, publish: [x] }', '{ id: b, to: any, publish: [x] }'))).toEqual(['grant-redundant a'])
  })

  test('among denials, too', () => {
    expect(codes(`version: 1\n${denying('{ id: a, to: any, publish: ["x/#"], subscribe: ["y"] }', '{ id: b, to: { group: g }, publish: ["x/y"], receive: ["y"] }')}`)).toEqual(['deny-redundant b', 'deny-redundant b'])
    expect(codes(`version: 1\n${denying('{ id: a, to: { group: g }, publish: ["x/#"], receive: ["y"] }', '{ id: b, to: any, publish: ["x/y"], subscribe: ["y"] }')}`)).toEqual(['deny-redundant a'])
  })

  test('a denial of nothing', () => {
    expect(codes(`version: 1\n${denying('{ id: a, to: any }')}`)).toEqual(['deny-nothing a'])
  })
})

describe('grants that are too broad', () => {
  test.each(['#', '+/#'])('of everything: %s', (topic) => {
    expect(codes(grants(`{ id: a, to: any, publish: ["${topic}"] }`, `{ id: b, to: { group: g }, subscribe: ["${topic}"] }`))).toEqual(['grant-everything-to-any a', 'grant-everything b'])
    expect(codes(grants(`{ id: a, to: any, publish: ["t/${topic}", "+/t"] }`))).toEqual([])
  })

  test('of a topic that the client names', () => {
    expect(codes(grants('{ id: a, to: any, publish: ["t/x-${clientId}"] }', '{ id: b, to: any, publish: ["u/${device.id}"] }'))).toEqual(['client-id-in-topic a'])
  })
})

describe('conditions', () => {
  const when = (text: string): readonly string[] => codes(grants(`{ id: r, to: any, when: { ${text} }, publish: [a] }`))

  test('that never hold (again)', () => {
    expect(when('notAfter: 2026-06-01T12:00:00Z')).toEqual(['condition-never r'])
    expect(when('notAfter: 2026-06-01T12:00:01Z')).toEqual([])
    // From Saturday to Sunday there is no Monday.
    expect(when('notBefore: 2026-06-06T00:00:00Z, notAfter: 2026-06-08T00:00:00Z, time: { days: [mon] }')).toEqual(['condition-never r'])
    expect(when('notBefore: 2026-06-06T00:00:00Z, notAfter: 2026-06-08T00:01:00Z, time: { days: [mon] }')).toEqual([])
    expect(when('time: { days: [sun], from: "23:59" }')).toEqual([])
    expect(when('notBefore: 2036-06-06T00:00:00Z, source: [10.0.0.0/8], tls: "1.3", state: quarantined, certificateAge: "<1d"')).toEqual([])
  })

  test('that hold for nobody yet', () => {
    expect(when('attested: true')).toEqual(['attested-nobody r'])
    expect(when('attested: false')).toEqual([])
  })
})

describe('beside the devices of the registry', () => {
  const fleet = (text: string, ...devices: readonly Device[]): readonly string[] => {
    const policy = policyOf(text)
    // In two parts, as a large fleet is asked.
    const parts = [devices.slice(0, 2), devices.slice(2)].map((some) => {
      const lint = openFleetLint(policy)
      for (const of of some) lint.add({ device: of, ca: 'issuing-1' as CaName, clientId: of.id, certificate: leaf() })
      return lint.part()
    })
    return lintFleet(policy.document, joinLint(parts[0]!, parts[1]!)).map(({ code, rule, message }) => `${code} ${rule}: ${message}`)
  }
  const d = (id: string, facts: Partial<Device> = {}): Device => device(id, { groups: ['g'] as unknown as Device['groups'], attributes: {}, ...facts })

  test('a rule for a group, device, CA or attribute that nobody has', () => {
    const text = grants('{ id: a, to: { group: h } }', '{ id: b, to: { group: g } }', '{ id: c, to: { ca: f } }', '{ id: e, to: { attr: { model: X1 } } }', '{ id: f, to: any }')
    expect(fleet(text, d('x'))).toEqual(['target-nobody a: it is for group h, and no device of the registry is.', 'target-nobody c: it is for devices of CA f, and no device of the registry is.', 'target-nobody e: it is for devices with model=X1, and no device of the registry is.'])
    expect(fleet(`${text}groups: { h: [g] }\n`, d('x', { attributes: { model: 'X1' } }))).toEqual([expect.stringContaining('CA f')])
  })

  test('who is retired counts for nobody', () => {
    expect(fleet(grants('{ id: a, to: { group: g } }'), d('x', { state: 'retired' }))).toEqual([expect.stringContaining('target-nobody a')])
    expect(fleet(grants('{ id: a, to: { group: g } }'), d('x', { state: 'suspended' }))).toEqual([])
  })

  test('variables that devices do not have: how many, and some of them', () => {
    const text = grants('{ id: a, to: any, publish: ["t/${device.attr.model}", "u/${device.attr.model}"] }') + denying('{ id: no, to: any, publish: ["x/${device.attr.site}"] }')
    expect(fleet(text, ...['p', 'q', 'r', 's'].map((id) => d(id)), d('t', { attributes: { model: 'm', site: 'n' } }))).toEqual([
      'variable-unresolved a: ${device.attr.model} is not known of 4 devices (p, q, r, …): for them the grant does not exist.', 'variable-unresolved no: ${device.attr.site} is not known of 4 devices (p, q, r, …): for them the denial has a + in its place.',
    ])
  })
})

describe('the index of patterns', () => {
  test('finds what contains a pattern, as the arithmetic of topics has it', () => {
    fc.assert(fc.property(fc.array(anyPattern(), { maxLength: 20 }), anyPattern(), (random, other) => {
      const [asked = '', ...patterns] = [other, ...random].map((pattern) => pattern.replaceAll(/[${}]/g, '_'))
      const index = openPatternIndex<string>()
      for (const pattern of patterns) index.add(pattern.split('/'), pattern)
      expect(index.containing(asked.split('/')).toSorted()).toEqual(patterns.filter((pattern) => contains(pattern.split('/'), asked.split('/'))).toSorted())
    }), { numRuns: 1_000 })
  })

  test('10,000 grants of one form to 10,000 groups are linted in a moment', () => {
    const document = documentOf(grants(...Array.from({ length: 10_000 }, (_, i) => `{ id: r${i}, to: { group: g${i} }, publish: ["t/\${device.id}/#"] }`)))
    const before = performance.now()
    expect(lintPolicy(document, NOW)).toEqual([])
    expect(performance.now() - before).toBeLessThan(2_000)
  })
})
