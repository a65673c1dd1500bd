// An explanation is the verdict that the broker acts on, with what it rested on; for a refusal, what came nearest to allowing
// it and what was missing.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import type { CaName } from '../../../src/core/ids.ts'
import { explain, type Explanation } from '../../../src/core/policy/explain.ts'
import { grantsFor } from '../../../src/core/policy/grants.ts'
import { ask, questionOf, type Asked } from '../../../src/core/policy/question.ts'
import type { Principal } from '../../../src/core/policy/template.ts'
import { device, leaf, nameOf } from '../facts.ts'
import { anyAsked, anyDevice, anyPolicyText } from './arbitraries.ts'
import { policyOf } from './policies.ts'

const MONDAY_NOON = Date.parse('2026-06-01T12:00:00Z')
const groups = (...names: readonly string[]): Device['groups'] => names as unknown as Device['groups']

function explained(text: string, asked: Asked, who: Partial<Principal> = {}): Explanation {
  const question = questionOf(asked)
  if (question === undefined) throw new Error('no question')
  return explain(policyOf(text), { device: device('d', { groups: groups('g'), attributes: { model: 'X1' } }), ca: 'issuing-1' as CaName, clientId: 'd', ...who }, question)
}
const rules = (...lines: readonly string[]): string => `version: 1\ngrants:\n${lines.map((line) => `  - ${line}\n`).join('')}`
const missing = ({ nearest }: Explanation): readonly string[] => (nearest ?? []).flatMap(({ rule, obstacles }) => obstacles.map(({ kind, message }) => `${rule ?? '-'} ${kind}: ${message}`))

describe('the answer', () => {
  const POLICY = rules('{ id: r, to: any, publish: [ { topic: "t/${device.id}", qos: 1, retain: true, maxBytes: 10 } ], subscribe: [ { topic: "s/#", qos: 1 } ] }')
  const AT = { file: 'policy.yaml', line: 3 }

  test('to a publish is asked with QoS 0, no retain and no bytes, unless the question says otherwise', () => {
    expect(explained(POLICY, { publish: 't/d' })).toMatchObject({ effect: 'allow', reason: 'granted', rule: 'r', at: AT, bindings: { 'device.id': 'd' }, generation: 1 })
    expect(explained(POLICY, { publish: 't/d', qos: 2 })).toMatchObject({ effect: 'deny', reason: 'publish-qos', rule: 'r', at: AT, onDeny: 'drop' })
    expect(explained(POLICY, { publish: 't/d', bytes: 11 })).toMatchObject({ reason: 'publish-size' })
    expect(explained(POLICY, { publish: 't/d', qos: 1, retain: true, bytes: 10 })).toMatchObject({ effect: 'allow' })
  })

  test('to a subscription says the QoS that SUBACK would grant, and only where it grants', () => {
    expect(explained(POLICY, { subscribe: 's/+', qos: 2 })).toMatchObject({ effect: 'allow', grantedQos: 1 })
    expect(explained(POLICY, { subscribe: 's/+' })).toMatchObject({ effect: 'allow', grantedQos: 0 })
    expect(explained(POLICY, { subscribe: 'x' })).toStrictEqual({ effect: 'deny', reason: 'subscribe-not-granted', bindings: {}, generation: 1 })
  })

  test('to what would be delivered names the grant, or the denial', () => {
    const denied = `${POLICY}deny:\n  - { id: no, to: any, receive: ["s/x"], subscribe: ["s/y"] }\n`
    expect(explained(denied, { receive: 's/a' })).toStrictEqual({ effect: 'allow', reason: 'granted', rule: 'r', at: { ...AT, column: expect.any(Number) }, bindings: {}, generation: 1 })
    expect(explained(denied, { receive: 's/x' })).toMatchObject({ effect: 'deny', reason: 'receive-denied', rule: 'no' })
    expect(explained(denied, { receive: 's/y' })).toMatchObject({ effect: 'deny', reason: 'subscribe-denied', rule: 'no' })
    expect(explained(denied, { receive: 't/d' })).toMatchObject({ effect: 'deny', reason: 'receive-not-granted' })
  })

  test('to a CONNECT is that of the door: what is no client id, no grant, another client id', () => {
    expect(explained(POLICY, { connect: 'd:1' })).toMatchObject({ effect: 'allow' })
    expect(explained(POLICY, { connect: 'a/b' })).toMatchObject({ reason: 'client-id-invalid' })
    expect(explained(POLICY, { connect: 'e' })).toMatchObject({ reason: 'client-id-mismatch', nearest: [{ line: 'the default for client ids', obstacles: [{ kind: 'client-id', message: 'the client id is d, or d: and a suffix' }] }] })
    expect(explained('version: 1', { connect: 'd' })).toMatchObject({ reason: 'no-grant' })
  })

  test('has no rule and no place where none decided; of what is no topic nothing is near', () => {
    expect(Object.keys(explained(POLICY, { publish: 'x' })).toSorted()).toEqual(['bindings', 'effect', 'generation', 'onDeny', 'reason'])
    expect(explained(POLICY, { publish: 'a/#' })).not.toHaveProperty('nearest')
    expect(explained(POLICY, { publish: '' })).toMatchObject({ reason: 'topic-invalid' })
  })

  test('asks for exactly one thing', () => {
    expect(questionOf({})).toBeUndefined()
    expect(questionOf({ publish: 'a', receive: 'a' })).toBeUndefined()
    expect(questionOf({ publish: '' })).toMatchObject({ kind: 'publish', topic: '' })
  })
})

describe('the conditions', () => {
  const POLICY = rules('{ id: day, to: any, when: { source: [10.0.0.0/8], time: { days: [mon-fri], from: "06:00", to: "22:00" } }, publish: [a] }')

  test('that held are told with what was seen, and when the answer may change', () => {
    const answer = explained(POLICY, { publish: 'a' }, { now: MONDAY_NOON, connection: { source: '10.1.2.3', tls: '1.3' } })
    expect(answer).toMatchObject({ effect: 'allow', rule: 'day', conditions: [{ condition: 'source', wanted: '10.0.0.0/8', holds: 'yes', seen: 'the connection comes from 10.1.2.3' }, { condition: 'time', wanted: 'mon,tue,wed,thu,fri 06:00–22:00 UTC', holds: 'yes', seen: 'it is 2026-06-01T12:00:00Z' }] })
    expect(answer.until).toBeGreaterThan(MONDAY_NOON)
  })

  test('that do not hold are what is missing, with the time from which they will', () => {
    const saturday = Date.parse('2026-06-06T12:00:00Z')
    expect(missing(explained(POLICY, { publish: 'a' }, { now: saturday, connection: { source: '10.1.2.3' } }))).toEqual(['day condition: time must be mon,tue,wed,thu,fri 06:00–22:00 UTC: it is 2026-06-06T12:00:00Z; it holds from 2026-06-08T06:00:00Z on'])
    expect(missing(explained(POLICY, { publish: 'a' }, { now: MONDAY_NOON, connection: { source: '192.0.2.1' } }))).toEqual(['day condition: source must be 10.0.0.0/8: the connection comes from 192.0.2.1'])
  })

  test('that time cannot bring have no time', () => {
    const over = rules('{ id: r, to: any, when: { notAfter: 2026-01-01T00:00:00Z }, publish: [a] }')
    expect(missing(explained(over, { publish: 'a' }, { now: MONDAY_NOON }))).toEqual(['r condition: notAfter must be 2026-01-01T00:00:00Z: it is 2026-06-01T12:00:00Z'])
    const aged = rules('{ id: r, to: any, when: { certificateAge: ">=1d <90d", tls: "1.3", attested: true }, publish: [a] }')
    const certificate = leaf({ notBefore: MONDAY_NOON - 3_600_000 })
    expect(missing(explained(aged, { publish: 'a' }, { now: MONDAY_NOON, certificate, connection: { tls: '1.2' } }))).toEqual([
      'r condition: tls must be 1.3: the connection has TLS 1.2', 'r condition: certificateAge must be >=1d <90d: the certificate is 1h old', 'r condition: attested must be true: no enrollment attests a device yet',
    ])
  })

  test('that are not known are told only where they would change the answer', () => {
    expect(explained(POLICY, { publish: 'a' }, { now: MONDAY_NOON })).toMatchObject({ effect: 'allow', depends: [{ rule: 'day', conditions: [{ condition: 'source', holds: 'unknown' }] }] })
    const twice = `${POLICY}  - { id: always, to: any, publish: [a] }\n`
    expect(explained(twice, { publish: 'a' }, { now: MONDAY_NOON })).not.toHaveProperty('depends')
    const denied = `${twice}deny:\n  - { id: outside, to: any, when: { tls: "1.2" }, publish: [a] }\n`
    expect(explained(denied, { publish: 'a' }, { now: MONDAY_NOON })).toMatchObject({ effect: 'allow', depends: [{ rule: 'day' }, { rule: 'outside', conditions: [{ condition: 'tls', wanted: '1.2' }] }] })
    expect(explained(denied, { publish: 'a' }, { now: MONDAY_NOON, connection: { source: '10.0.0.1', tls: '1.3' } })).not.toHaveProperty('depends')
  })
})

describe('what is nearest to a refusal', () => {
  test('the level that differs, and the variable that stands there', () => {
    expect(missing(explained(rules('{ id: r, to: any, publish: ["t/${device.id}/#"] }'), { publish: 't/e/x' }))).toEqual(['r topic: level 2 is "e", where the grant has "d", ${device.id}'])
    expect(missing(explained(rules('{ id: r, to: any, publish: ["t/a/b"] }'), { publish: 't/a' }))).toEqual(['r topic: it ends after level 2, where the grant goes on with "b"'])
    expect(missing(explained(rules('{ id: r, to: any, publish: ["t/a"] }'), { publish: 't/a/b' }))).toEqual(['r topic: it goes on after level 2, where the grant ends'])
  })

  test('a grant of another subject is not near', () => {
    expect(explained(rules('{ id: r, to: any, publish: ["x/y/z"] }'), { publish: 'a/b/c' })).not.toHaveProperty('nearest')
    expect(explained(rules('{ id: r, to: { group: h }, publish: ["t/a"] }'), { publish: 't/b' })).not.toHaveProperty('nearest')
  })

  test.each([
    ['{ group: h }', 'it is for group h; the device is in g'],
    ['{ device: e }', 'it is for the device e'],
    ['{ ca: f }', 'it is for devices of CA f; the certificate is of issuing-1'],
    ['{ tenant: acme }', 'it is for tenant acme; the device is of default'],
    ['{ attr: { model: [X2, X3] } }', 'it asks for attribute model=X2|X3; the device has model=X1'],
    ['{ attr: { site: north } }', 'it asks for attribute site=north; the device has none'],
  ])('a grant to others (%s): what the device is instead', (to, message) => {
    expect(missing(explained(rules(`{ id: r, to: ${to}, publish: ["a"] }`), { publish: 'a' }))).toEqual([`r target: ${message}`])
  })

  test('a group that contains the group of the device is its own', () => {
    const text = `${rules('{ id: r, to: { group: outer }, publish: [ { topic: a, qos: 0 } ] }')}groups: { outer: [g] }\n`
    expect(missing(explained(text, { publish: 'a', qos: 1 }))).toEqual(['r qos: it allows QoS 0 at most'])
  })

  test('a quarantined device is told so, and an active one that a rule is for quarantined ones', () => {
    const quarantined = device('d', { groups: groups(), state: 'quarantined' })
    expect(missing(explained(rules('{ id: r, to: any, publish: ["a"] }'), { publish: 'a' }, { device: quarantined }))).toEqual(['r state: it is for active devices; the device is quarantined'])
    expect(missing(explained(rules('{ id: r, to: any, when: { state: quarantined }, publish: ["a"] }'), { publish: 'a' }))).toEqual(['r state: state must be quarantined: the device is active'])
  })

  test('a variable that is not known: missing, several values, a value that is no level', () => {
    const of = (variable: string) => rules(`{ id: r, to: any, publish: ["t/\${${variable}}"] }`)
    expect(missing(explained(of('device.attr.site'), { publish: 't/x' }))).toEqual(['r unresolved: ${device.attr.site} is not known: the device has no such value'])
    expect(missing(explained(of('device.group'), { publish: 't/x' }, { device: device('d', { groups: groups('g', 'h') }) }))).toEqual(['r unresolved: ${device.group} is not known: it has 2 values'])
    expect(missing(explained(of('cert.subject.CN'), { publish: 't/x' }, { certificate: leaf({ subject: nameOf('CN=a/b') }) }))).toEqual(['r unresolved: ${cert.subject.CN} is not known: "a/b" cannot stand in a topic'])
  })

  test('the terms of a publish, all at once', () => {
    expect(missing(explained(rules('{ id: r, to: any, publish: [ { topic: a, qos: 0, maxBytes: 1KiB } ] }'), { publish: 'a', qos: 1, retain: true, bytes: 1_025 }))).toEqual(['r qos: it allows QoS 0 at most', 'r retain: it allows no retained messages', 'r size: it allows 1024 bytes at most'])
  })

  test('a filter that asks for more, one with a wildcard, one that is shared', () => {
    const grant = rules('{ id: r, to: any, subscribe: [ { topic: "t/+", wildcard: forbid }, { topic: "u/a", share: [w] } ] }')
    expect(missing(explained(grant, { subscribe: 't/+' }))).toEqual(['r wildcard: it forbids wildcards in the filter'])
    expect(missing(explained(grant, { subscribe: 'u/#' }))).toEqual(['r topic: "#" at level 2 asks for more than "a"'])
    expect(missing(explained(grant, { subscribe: '$share/v/u/a' }))).toEqual(['r share: share name "v" is not one of w'])
    expect(missing(explained(rules('{ id: r, to: any, subscribe: ["#"] }'), { subscribe: '$SYS/#' }))).toEqual([])
  })

  test('the denial that wins over a grant, with its place', () => {
    const text = `${rules('{ id: r, to: any, publish: ["t/#"], subscribe: ["t/#"] }')}deny:\n  - { id: no, to: any, publish: ["t/+/admin"], subscribe: ["t/x/#"] }\n  - { id: other, to: { group: h }, publish: ["t/#"] }\n`
    const answer = explained(text, { publish: 't/d/admin' })
    expect(answer).toMatchObject({ reason: 'publish-denied', rule: 'no', nearest: [{ rule: 'r', line: 'publish t/#', obstacles: [{ kind: 'deny', message: 'rule no denies t/+/admin', rule: 'no', at: { line: 5 } }] }] })
    expect(missing(explained(text, { subscribe: 't/x/y' }))).toEqual(['r deny: rule no denies t/x/#'])
    expect(explained(`${text}strictDeny: true\n`, { subscribe: 't/#' })).toMatchObject({ reason: 'subscribe-denied', nearest: [{ obstacles: [{ kind: 'deny' }] }] })
  })

  test('a term is nearer than a condition, that nearer than another group; three are told', () => {
    const text = rules(
      '{ id: group, to: { group: h }, publish: ["t/d"] }', '{ id: level, to: any, publish: ["t/e"] }', '{ id: later, to: any, when: { notBefore: 2030-01-01T00:00:00Z }, publish: ["t/d"] }', '{ id: term, to: any, publish: [ { topic: "t/d", qos: 0 } ] }',
    )
    expect(explained(text, { publish: 't/d', qos: 1 }, { now: MONDAY_NOON }).nearest?.map(({ rule }) => rule)).toEqual(['term', 'later', 'group'])
    // Of another topic only where there is none for this one.
    expect(explained(text, { publish: 't/f', qos: 1 }, { now: MONDAY_NOON }).nearest?.map(({ rule }) => rule)).toEqual(['level', 'term', 'later'])
  })

  test('client ids that the grants ask for', () => {
    const text = rules('{ id: r, to: any, connect: { clientId: ["${device.id}-*", "x"] } }', '{ id: s, to: any, connect: { clientId: ["*"] } }')
    expect(missing(explained(text, { connect: 'd' }))).toEqual(['r client-id: the client id must be d-* or x'])
    expect(missing(explained(rules('{ id: r, to: { group: h }, publish: [a] }'), { connect: 'd' }))).toEqual(['r target: it is for group h; the device is in g'])
  })
})

describe('for any policy, device and question', () => {
  test('the effect, reason and rule are those of the grants; a refusal has only grants with something missing', () => {
    fc.assert(fc.property(anyPolicyText(), anyDevice(), anyAsked(), (text, of, asked) => {
      const policy = policyOf(text)
      const principal: Principal = { device: of, ca: 'issuing-1' as CaName, clientId: of.id, now: MONDAY_NOON, connection: { source: '10.0.0.1', tls: '1.2' } }
      const question = questionOf(asked)
      if (question === undefined) throw new Error('no question')
      const { effect, reason, rule, at } = ask(grantsFor(policy, principal), question)
      const answer = explain(policy, principal, question)
      expect({ effect: answer.effect, reason: answer.reason, rule: answer.rule, at: answer.at }).toEqual({ effect, reason, rule, at })
      expect(answer.depends ?? []).toEqual([])
      expect(asked.receive === undefined || grantsFor(policy, principal).mayReceive(asked.receive) === (effect === 'allow')).toBe(true)
      for (const { obstacles } of answer.nearest ?? []) expect(obstacles.length).toBeGreaterThan(0)
      // What no grant allows for a topic that some grant names is never without a reason.
      const isNamed = policy.document.grants.some(({ publish }) => publish.some(({ topic }) => topic.text === asked.publish))
      expect(effect === 'deny' && isNamed && answer.nearest === undefined).toBe(false)
    }), { numRuns: 400 })
  })
})
