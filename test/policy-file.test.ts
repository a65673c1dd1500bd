// policy.yaml as a whole: what an empty or broken file means, patterns of linear time, and that the starter policy grants
// what it says, and nothing beside it.

import { describe, expect, test } from 'vitest'
import type { CaName } from '../src/core/ids.ts'
import { grantsFor, type Grants } from '../src/core/policy/grants.ts'
import { describeProblem } from '../src/core/source-tree.ts'
import { readPolicy } from '../src/policy-file.ts'
import { STARTER_LINES, STARTER_POLICY } from '../src/starter.ts'
import { device } from './core/facts.ts'
import { said } from './policy-file/both-forms.ts'

function problemsOf(text: string): readonly string[] {
  const read = readPolicy('policy.yaml', text, 1)
  return 'policy' in read ? [] : read.problems.map(describeProblem)
}

function grantsOf(text: string, id: string, ...groups: string[]): Grants {
  const read = readPolicy('policy.yaml', text, 1)
  if (!('policy' in read)) throw new Error(read.problems.map(describeProblem).join('\n'))
  return grantsFor(read.policy, { device: device(id, { groups: groups as never }), ca: 'issuing-1' as CaName, clientId: id })
}

describe('a file without rules', () => {
  test.each(['', '\n', '# nothing\n', '{}', 'version: 1\n', 'version: 1\ngrants:\n'])('%j is a policy, and denies everything', (text) => {
    const g = grantsOf(text, 'a', 'sensors')
    expect([g.empty, g.publish('a', 0, false, 0).reason, g.subscribe('a', 0).reason, g.mayReceive('a')]).toEqual([true, 'publish-not-granted', 'subscribe-not-granted', false])
  })

  test.each([['---\n', 'the policy must be a mapping (key: value), not nothing.'], ['null', 'not nothing.'], ['[]', 'not a list.'], ['deny all', 'not "deny all".']])('%j is none', (text, message) => {
    expect(problemsOf(text).join()).toContain(message)
  })

  test('the generation is the one that was asked for', () => {
    for (const text of ['', 'version: 1']) {
      const read = readPolicy('policy.yaml', text, 7)
      expect('policy' in read && read.policy.generation).toBe(7)
    }
  })
})

describe('id patterns', () => {
  const withPattern = (pattern: string): string => `version: 1\nidentity:\n  - { ca: f, device: "\${cert.subject.CN}", idPattern: ${JSON.stringify(pattern)} }\n`
  const fits = (pattern: string, id: string): boolean => {
    const read = readPolicy('policy.yaml', withPattern(pattern), 1)
    if (!('policy' in read)) throw new Error(read.problems.map(describeProblem).join('\n'))
    return read.policy.identity.get('f' as CaName)?.idMatches(id) === true
  }

  test.each([
    ['[A-Z]{2}-[0-9]{3}', 'AB-123', true], ['[A-Z]{2}-[0-9]{3}', 'xAB-123', false], ['[A-Z]{2}-[0-9]{3}', 'AB-1234', false], ['^[A-Z]+$', 'AB', true], ['^[A-Z]+$', 'AB-1', false],
    ['a|ab', 'ab', true], ['a|b', 'ab', false], ['a*?', 'aaa', true], ['(?i)abc', 'ABC', true], ['.*', 'anything', true], ['', '', true], ['', 'a', false], ['\\d+', '٣', false], ['\\pL+', 'abc', true], ['a$', 'a\n', false],
  ])('%s and %j: %s', (pattern, id, expected) => {
    expect(fits(pattern, id)).toBe(expected)
  })

  test.each(['(', '[', 'a**', '(?=a)', '(?!a)', '(?<=a)', '(a)\\1', '\\', 'a{1001}', '(a{1000}){1000}', '((a{100}){100}){10}', '('.repeat(5_000), '*', '(?P<n'])('%j is refused with its place', (pattern) => {
    const problems = problemsOf(withPattern(pattern.slice(0, 6_000)))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/^policy\.yaml:3:\d+: idPattern cannot be used: .*\. It is RE2 syntax: no look-around and no back references\.$/)
    expect(problems[0]?.length).toBeLessThan(400)
  })

  test.each(['(a*)*b', '(a+)+$', '(a|a)*b', '(a|aa)+$', '(.*a){20}', '([a-z]+)*!'])('%s is matched in time that grows with the id, not with its powers', (pattern) => {
    // A backtracking engine would not come back from these: the timeout of the test is the witness.
    expect(fits(pattern, `${'a'.repeat(5_000)}!x`)).toBe(false)
  })
})

describe('the starter policy', () => {
  const sensor = grantsOf(STARTER_POLICY, 's1', 'sensors')
  const backend = grantsOf(STARTER_POLICY, 'b1', 'backend')
  const nobody = grantsOf(STARTER_POLICY, 'x1', 'other')
  const both = grantsOf(STARTER_POLICY, 's1', 'sensors', 'backend')
  const send = (g: Grants, topic: string, qos: 0 | 1 | 2 = 0, retain = false): boolean => g.publish(topic, qos, retain, 0).effect === 'allow'
  const ask = (g: Grants, filter: string): boolean => g.subscribe(filter, 2).grantedQos === 2
  const last = (g: Grants, topic: string, retain = false): boolean => g.will(topic, 2, retain, 0).effect === 'allow'

  test.each([['t/s1', true], ['t/s1/a', true], ['t/s1/a/b', true], ['t/s2/a', false], ['t/s10/a', false], ['t/S1/a', false], ['t', false], ['cmd/s1/x', false], ['state/s1', false], ['s1', false], ['t/s1/+', false], ['$SYS/x', false]])('a sensor publishes %s: %s', (topic, expected) => {
    expect([send(sensor, topic), send(sensor, topic, 2)]).toEqual([expected, expected])
    expect(send(sensor, topic, 0, true)).toBe(false)
  })

  test.each([['t/s1/#', true], ['t/s1/+', true], ['t/s1', true], ['cmd/s1/+', true], ['cmd/s1/reboot', true], ['t/#', false], ['t/+/#', false], ['t/s2/#', false], ['cmd/s1/#', false], ['cmd/s1', false], ['cmd/+/+', false], ['cmd/s1/a/b', false], ['cmd/s2/+', false], ['state/s1', false], ['state/#', false], ['#', false], ['+/#', false], ['$SYS/#', false], ['$share/g/t/s1/#', true], ['$share/g/t/s2/#', false], ['$share/g/cmd/s1/+', false], ['$share/g/#', false]])('a sensor subscribes to %s: %s', (filter, expected) => {
    expect(ask(sensor, filter)).toBe(expected)
  })

  test.each([['state/s1', true], ['state/s2', false], ['state/s1/x', false], ['state', false], ['t/s1/x', false], ['state/+', false]])('the Will of a sensor on %s: %s', (topic, expected) => {
    expect([last(sensor, topic), last(sensor, topic, true)]).toEqual([expected, expected])
  })

  test.each([['t/s1/a', true], ['cmd/s1/a', true], ['cmd/s1', false], ['cmd/s1/a/b', false], ['t/s2/a', false], ['state/s1', false], ['state/s2', false]])('a sensor receives %s: %s', (topic, expected) => {
    expect(sensor.mayReceive(topic)).toBe(expected)
  })

  test.each([['cmd/s1/reboot', true], ['cmd/any/thing', true], ['cmd/s1', false], ['cmd/s1/a/b', false], ['t/s1/a', false], ['t/b1/a', false], ['state/b1', false], ['#', false]])('a backend publishes %s: %s', (topic, expected) => {
    expect(send(backend, topic)).toBe(expected)
    expect(send(backend, topic, 0, true)).toBe(false)
  })

  test.each([['t/#', true], ['t/+/a', true], ['t/s1/#', true], ['state/#', true], ['state/+', true], ['state/s1', true], ['cmd/#', false], ['cmd/+/+', false], ['#', false], ['+/s1/#', false], ['$SYS/#', false]])('a backend subscribes to %s: %s', (filter, expected) => {
    expect(ask(backend, filter)).toBe(expected)
  })

  test('a backend has no Will, and receives what it may subscribe to', () => {
    expect([last(backend, 'state/b1'), backend.mayReceive('t/s1/a'), backend.mayReceive('state/s1'), backend.mayReceive('cmd/s1/x')]).toEqual([false, true, true, false])
  })

  test('a device of another group gets nothing, not even a connection', () => {
    expect([nobody.empty, send(nobody, 't/x1/a'), ask(nobody, 't/x1/#'), last(nobody, 'state/x1')]).toEqual([true, false, false, false])
  })

  test('a device of both groups gets the two, side by side', () => {
    expect([send(both, 't/s1/a'), send(both, 'cmd/s2/x'), send(both, 't/s2/a'), ask(both, 't/#'), ask(both, 'cmd/s2/+'), last(both, 'state/s1')]).toEqual([true, true, false, true, false, true])
  })

  test('says the same in lines', () => {
    const documentOf = (file: string, text: string): unknown => {
      const read = readPolicy(file, text, 1)
      return 'policy' in read ? said(read.policy.document) : read.problems
    }
    expect(documentOf('p.policy', STARTER_LINES)).toEqual(documentOf('p.yaml', STARTER_POLICY))
    expect(documentOf('p.policy', STARTER_LINES.replace('# deny pub', 'deny pub'))).toMatchObject({ deny: [{ publish: [{ topic: { text: 't/+/admin/#' } }] }] })
  })

  test('its client id is its own', () => {
    for (const [clientId, expected] of [['s1', 'allow'], ['s1:tool', 'allow'], ['s2', 'deny'], ['', 'deny']] as const) expect(sensor.connect(clientId).effect).toBe(expected)
  })

  test('every decision points into the file that a person can open', () => {
    const at = sensor.publish('t/s1/a', 0, false, 0).at
    expect(at?.file).toBe('policy.yaml')
    expect(STARTER_POLICY.split('\n')[(at?.line ?? 0) - 1]).toContain('t/${device.id}/#')
  })

  test('the deny that it shows as a comment is one that works', () => {
    const uncommented = STARTER_POLICY.replace('# deny:', 'deny:').replace(/^# {3}- \{ id: no-admin/m, '  - { id: no-admin')
    expect(send(grantsOf(uncommented, 's1', 'sensors'), 't/s1/admin/x')).toBe(false)
    expect(send(grantsOf(uncommented, 's1', 'sensors'), 't/s1/x')).toBe(true)
  })
})
