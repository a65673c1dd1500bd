// Tests of policies: what a file may say, what is wrong with one that says something else, and when a test has passed.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { junitXml } from '../../../src/core/policy/junit.ts'
import { readPolicyTests, type PolicyTest } from '../../../src/core/policy/read-tests.ts'
import { runTests, type TestResult } from '../../../src/core/policy/run-tests.ts'
import { describeProblem } from '../../../src/core/source-tree.ts'
import { readYaml } from '../../../src/yaml-source.ts'
import { policyOf } from './policies.ts'

function read(text: string): { readonly tests: readonly PolicyTest[]; readonly problems: readonly string[]; readonly policy?: string | undefined } {
  const { tree, problems } = readYaml('test.yaml', text)
  const answer = tree === undefined ? { problems } : readPolicyTests(tree)
  return 'file' in answer ? { tests: answer.file.tests, policy: answer.file.policy, problems: [] } : { tests: [], problems: answer.problems.map(describeProblem) }
}

const DEVICES = 'version: 1\ndevices: { d: { groups: [g] } }\n'
const tests = (...lines: readonly string[]): string => `${DEVICES}tests:\n${lines.map((line) => `  - ${line}\n`).join('')}`
const POLICY = `version: 1
grants:
  - { id: r, to: { group: g }, publish: [ { topic: "t/\${device.id}/#", qos: 1 } ], subscribe: [ { topic: "c/+", qos: 1 } ], will: [w] }
  - { id: later, to: any, when: { notBefore: 2030-01-01T00:00:00Z, source: [10.0.0.0/8] }, publish: [later] }
deny:
  - { id: no, to: any, publish: ["t/+/admin"], receive: [c/x] }
`
function run(...lines: readonly string[]): readonly TestResult[] {
  const { tests: asked, problems } = read(tests(...lines))
  expect(problems).toEqual([])
  return runTests(policyOf(POLICY), asked)
}
const passes = (...lines: readonly string[]): readonly boolean[] => run(...lines).map(({ passed }) => passed)

describe('a test', () => {
  test('passes when the effect, the reason, the rule and the QoS are as expected, and fails when one is not', () => {
    expect(passes('{ device: d, publish: t/d/a, expect: allow }', '{ device: d, publish: t/d/a, expect: deny }', '{ device: d, publish: t/e/a, expect: deny }')).toEqual([true, false, true])
    expect(passes('{ device: d, publish: t/e, expect: publish-not-granted }', '{ device: d, publish: t/d/admin, expect: publish-not-granted }', '{ device: d, publish: t/d/admin, expect: publish-denied, rule: no }')).toEqual([true, false, true])
    expect(passes('{ device: d, publish: t/d, expect: allow, rule: r }', '{ device: d, publish: t/d, expect: allow, rule: no }')).toEqual([true, false])
    expect(passes('{ device: d, subscribe: c/a, qos: 2, expect: allow, grantedQos: 1 }', '{ device: d, subscribe: c/a, qos: 2, expect: allow, grantedQos: 2 }')).toEqual([true, false])
  })

  test('asks each kind, with its terms', () => {
    expect(passes(
      '{ device: d, publish: t/d, qos: 2, expect: publish-qos }', '{ device: d, publish: t/d, retain: true, expect: publish-retain }', '{ device: d, publish: t/d, bytes: 1KiB, expect: allow }',
      '{ device: d, will: w, retain: true, expect: allow }', '{ device: d, receive: c/y, expect: allow }', '{ device: d, receive: c/x, expect: receive-denied }', '{ device: d, connect: "d:1", expect: allow }', '{ device: d, connect: e, expect: client-id-mismatch }',
    )).toEqual(Array(8).fill(true))
  })

  test('of what hangs on a circumstance says it, or fails', () => {
    const [silent, said, early, elsewhere] = run(
      '{ device: d, publish: later, expect: allow }', '{ device: d, publish: later, when: { at: 2031-01-01T00:00:00Z, source: 10.1.1.1 }, expect: allow, rule: later }',
      '{ device: d, publish: later, when: { at: 2029-01-01T00:00:00Z }, expect: deny }', '{ device: d, publish: later, when: { source: 192.0.2.1 }, expect: deny }',
    )
    expect(silent).toMatchObject({ passed: false, note: 'the answer depends on what the test does not say: add when: { source: …, at: … } (rule later)' })
    expect([said, early, elsewhere].map((result) => result?.passed)).toEqual([true, true, true])
  })

  test('of a rule that is not there says so', () => {
    expect(run('{ device: d, publish: t/d, expect: allow, rule: gone }')).toMatchObject([{ passed: false, expected: 'allow by rule gone', note: 'the policy has no rule gone', got: { effect: 'allow', rule: 'r' } }])
  })

  test('knows the device as it is described', () => {
    const { tests: asked, problems } = read(`version: 1
devices:
  d: { groups: g, attributes: { model: X1, line: 7 }, tenant: acme, state: quarantined, ca: f, certificate: { subject: { CN: c, OU: [a, b] }, dns: a.example, serial: 12, notBefore: 2026-01-01T00:00:00Z } }
  plain:
tests: [ { device: d, clientId: "d:9", publish: a, expect: deny, name: n }, { device: plain, connect: x, expect: deny } ]
`)
    expect(problems).toEqual([])
    expect(asked[0]).toMatchObject({ name: 'n', clientId: 'd:9', at: { file: 'test.yaml', line: 5 }, who: { ca: 'f', device: { id: 'd', tenant: 'acme', groups: ['g'], attributes: { model: 'X1', line: '7' }, state: 'quarantined' }, certificate: { serial: '12', notBefore: Date.parse('2026-01-01T00:00:00Z'), subjectAltNames: [{ kind: 'dns', value: 'a.example' }] } } })
    expect(asked[0]?.who.certificate?.subject.flat().map(({ short, value }) => `${short}=${value}`)).toEqual(['CN=c', 'OU=a', 'OU=b'])
    expect(asked[1]).toMatchObject({ name: 'plain connect x', clientId: 'x', who: { ca: 'issuing-1', device: { state: 'active', groups: [] }, certificate: undefined } })
  })

  test('fills in the variables of the certificate that it describes', () => {
    const policy = policyOf('version: 1\ngrants: [ { id: r, to: any, publish: ["t/${cert.subject.CN}/${cert.san.dns[0]}/${cert.serial}"] } ]')
    const asked = (certificate: string) => read(`version: 1\ndevices: { d: { certificate: { ${certificate} } } }\ntests: [ { device: d, publish: t/c/x/1, expect: allow } ]`).tests
    expect(runTests(policy, asked('subject: { CN: c }, dns: [x], serial: "1"'))[0]).toMatchObject({ passed: true })
    expect(runTests(policy, asked('subject: { CN: c }, dns: [x]'))[0]).toMatchObject({ passed: false, got: { nearest: [{ obstacles: [{ kind: 'unresolved' }] }] } })
  })
})

describe('a file of tests', () => {
  test('may name its policy', () => {
    expect(read(`policy: p.yaml\n${tests('{ device: d, publish: a, expect: deny }')}`).policy).toBe('p.yaml')
    expect(read(tests('{ device: d, publish: a, expect: deny }')).policy).toBeUndefined()
  })

  test.each([
    ['{ device: d, publish: a }', '4:5: the test does not say what is expected. Add: expect: allow, deny, or a reason code.'],
    ['{ device: d, publish: a, expect: publish-not-grantd }', '4:38: expect must be allow, deny or a reason code, not publish-not-grantd. Did you mean "publish-not-granted"?'],
    ['{ device: e, publish: a, expect: deny }', '4:15: there is no device "e" in this file. Describe it under devices.'],
    ['{ publish: a, expect: deny }', '4:5: the test does not say which device. Add: device: ID, and describe it under devices.'],
    ['{ device: d, expect: deny }', '4:5: a test asks exactly one of publish, subscribe, receive, will, connect.'],
    ['{ device: d, publish: a, subscribe: a, expect: deny }', '4:5: a test asks exactly one of publish, subscribe, receive, will, connect.'],
    ['{ device: d, subscribe: a, retain: true, expect: deny }', '4:32: retain says nothing of subscribe.'],
    ['{ device: d, receive: a, qos: 1, expect: deny }', '4:30: qos says nothing of receive.'],
    ['{ device: d, publish: a, grantedQos: 1, expect: deny }', '4:30: grantedQos is of a subscribe.'],
    ['{ device: d, publish: a, qos: 3, expect: deny }', '4:35: qos must be a whole number from 0 to 2, not 3.'],
    ['{ device: d, publish: a, when: { at: yesterday }, expect: deny }', '4:42: at must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
    ['{ device: d, publish: a, when: { tls: 1.4 }, expect: deny }', '4:43: tls must be 1.2 or 1.3, not 1.4. Did you mean "1.2"?'],
    ['{ device: d, publsh: a, expect: deny }', '4:18: unknown key "publsh" in a test. Did you mean "publish"?'],
    ['nonsense', '4:5: a test must be a mapping (key: value), not "nonsense".'],
  ])('with a mistake says where: %s', (line, problem) => {
    expect(read(tests(line)).problems).toContain(`test.yaml:${problem}`)
  })

  test.each([
    ['', 'test.yaml:1:1: the file has no version. Begin it with: version: 1'],
    ['version: 2\ntests: []', 'test.yaml:1:10: version must be 1, not 2.'],
    ['version: 1\ntests: []', 'test.yaml:2:1: there is no test in this file. Write, for example: tests: [ { device: sensor-1, publish: t/sensor-1/a, expect: allow } ]'],
    ['version: 1\ndevices: [d]\ntests: []', 'test.yaml:2:10: devices must say who is asked about. Write: devices: { sensor-1: { groups: [sensors] } }'],
    ['version: 1\ndevices: { a/b: {} }', 'test.yaml:2:12: "a/b" is not a device id. Device ids are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.'],
    ['version: 1\ndevices: { d: { attributes: { m: a/b } } }', 'test.yaml:2:29: attributes: no device can have them (value of m: a/b). Names are letters, digits and _; values at most 128 bytes, without / + # or control characters.'],
    ['version: 1\ndevices: { d: { state: sleeping } }', 'test.yaml:2:24: state must be pending or active or suspended or quarantined or retired, not sleeping.'],
    ['version: 1\ndevices: { d: { certificate: { subject: { XX: 1 } } } }', 'test.yaml:2:43: unknown key "XX" in subject. Did you mean "CN"?'],
  ])('that is wrong as a whole says why: %#', (text, problem) => {
    const [near] = problem.split(' Did you mean')
    expect(read(text).problems.some((told) => told.startsWith(near ?? problem))).toBe(true)
  })

  test('tells all that is wrong at once', () => {
    expect(read(tests('{ device: d, publish: a }', '{ device: e, publish: a, expect: deny }', '{ device: d, expect: deny }')).problems).toHaveLength(3)
  })
})

describe('the starter policies', () => {
  const FOLDER = path.resolve(import.meta.dirname, '../../../docs/policies')
  test.each(readdirSync(FOLDER, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name))('pass their tests: %s', (name) => {
    const { tests: asked, policy = '', problems } = read(readFileSync(path.join(FOLDER, name, 'test.yaml'), 'utf8'))
    expect(problems).toEqual([])
    expect(runTests(policyOf(readFileSync(path.join(FOLDER, name, policy), 'utf8')), asked).filter(({ passed }) => !passed)).toEqual([])
    expect(asked.length).toBeGreaterThan(10)
  })
})

describe('the format', () => {
  test('that the manual shows is one that is read', () => {
    const manual = readFileSync(path.resolve(import.meta.dirname, '../../../docs/policy.md'), 'utf8')
    const [, text = ''] = /### Tests\n```yaml\n([\s\S]*?)```/.exec(manual) ?? []
    expect(read(text)).toMatchObject({ policy: 'policy.yaml', problems: [], tests: [{ name: 'a sensor speaks below its own id', rule: 'sensor', who: { device: { id: 'sensor-1' } } }] })
  })
})

describe('JUnit XML', () => {
  test('has a suite for each file, a case for each test, a failure for each that failed, and nothing that is no XML', () => {
    const results = run('{ device: d, publish: t/d, expect: allow, name: "a <b> & \\"c\\" \\u0007" }', '{ device: d, publish: x, expect: allow }')
    const xml = junitXml([{ name: "it's", results }], ({ got }) => `got\n${got.reason} <&>`)
    expect(xml).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sallyport policy test" tests="2" failures="1" errors="0" skipped="0" time="0">
  <testsuite name="it&apos;s" tests="2" failures="1" errors="0" skipped="0" time="0">
    <testcase classname="it&apos;s" name="a &lt;b&gt; &amp; &quot;c&quot; \uFFFD" file="test.yaml" line="4" time="0"/>
    <testcase classname="it&apos;s" name="d publish x" file="test.yaml" line="5" time="0">
      <failure type="publish-not-granted" message="expected allow, got deny (publish-not-granted)">got&#10;publish-not-granted &lt;&amp;&gt;</failure>
    </testcase>
  </testsuite>
</testsuites>
`)
  })
})
