// What a policy becomes: the document that a text is read into, every problem of a text at once, its bounds, and policies of
// several files. Which texts are policies is in forms.test.ts.

import { describe, expect, test } from 'vitest'
import { POLICY_LIMITS } from '../../../src/limits.ts'
import { parsePolicyDocument, PolicyReader, type PolicyReading } from '../../../src/core/policy/read-document.ts'
import { describeProblem, type SourceNode } from '../../../src/core/source-tree.ts'
import { POLICY_TOOLS } from '../../../src/policy-file.ts'
import { readYaml } from '../../../src/yaml-source.ts'
import { deny, grant, groups, identity, top } from './forms/texts.ts'
import { documentOf, policyOf, problemsOf } from './policies.ts'

const TEXT = `version: 1
identity:
  - ca: factory-2026
    device: "\${cert.subject.CN}"
    idPattern: "^[A-Z]{2}-[0-9]{8}$"
    groups: ["\${cert.subject.OU}"]
    register: auto
  - { ca: other, device: "\${cert.subject.serialNumber}" }
onDeny: disconnect
strictDeny: true
retained: purge
willOnKick: publish
groups: { plant: [line-1, line-2, line-1], site: [plant] }
grants:
  - id: sensor
    to: { group: sensors }
    when: { source: ["10.0.0.0/8", "::1"], tls: ">=1.3", state: [active, quarantined], attested: false }
    connect: { clientId: ["\${device.id}", "\${device.id}:*"], sessions: 2, sessionExpiryMax: 24h }
    publish: [ { topic: "t/\${device.id}/#", qos: 1, retain: true, maxBytes: 8KiB, rate: 600/m, burst: 100 }, "plain", { topic: r, rate: 20/s } ]
    subscribe: [ { topic: "cmd/\${device.id}/+", qos: 0 }, { topic: "fw/\${device.attr.model}/#", wildcard: forbid, share: [a, "b*"] }, { topic: x, wildcard: filter }, y ]
    will: [ { topic: "state/\${device.id}", retain: false }, "w" ]
  - { id: by-device, to: { device: d1 } }
  - { id: by-ca, to: { ca: factory-2026 } }
  - { id: by-tenant, to: { tenant: acme } }
  - { id: by-attributes, to: { attr: { model: X1, site: [north, south, north] } } }
deny:
  - { id: no-admin, to: any, onDeny: drop, publish: ["t/+/admin/#"], subscribe: [ { topic: s } ], receive: ["audit/#"] }
quarantine: { publish: [q], connect: { sessions: 1 } }
`

describe('the whole grammar', () => {
  const document = documentOf(TEXT)

  test('identity rules', () => {
    expect(document.identity.map(({ ca, register, groups: all, at }) => [ca, register, all.length, at.line])).toEqual([['factory-2026', 'auto', 1, 3], ['other', 'known', 0, 8]])
  })

  test('groups, each of what it contains once', () => {
    expect(document.groups.map(({ group, contains, at }) => [group, contains, at.line, at.column])).toEqual([['plant', ['line-1', 'line-2'], 13, 11], ['site', ['plant'], 13, 44]])
  })

  test('targets', () => {
    expect(document.grants.map((g) => [g.id, g.to, g.at.line])).toEqual([
      ['sensor', { kind: 'group', group: 'sensors' }, 15], ['by-device', { kind: 'device', device: 'd1' }, 22], ['by-ca', { kind: 'ca', ca: 'factory-2026' }, 23], ['by-tenant', { kind: 'tenant', tenant: 'acme' }, 24],
      ['by-attributes', { kind: 'attributes', all: [{ name: 'model', values: ['X1'] }, { name: 'site', values: ['north', 'south'] }] }, 25], ['quarantine', { kind: 'any' }, 28],
    ])
  })

  test('terms of connect', () => {
    expect(document.grants[0]?.connect).toMatchObject({ sessionsMax: 2, sessionExpirySecondsMax: 86_400, clientIds: [{ prefix: false }, { prefix: true }] })
    expect(document.grants[1]?.connect).toEqual({})
  })

  test('conditions, and none where none are said', () => {
    expect(document.grants[0]?.when).toMatchObject({ source: { networks: ['10.0.0.0/8', '::1'] }, tls: { version: '1.3', orLater: true }, states: ['active', 'quarantined'], attested: false, at: { line: 17, column: 5 } })
    expect(document.grants[1]?.when).toBeUndefined()
  })

  test('what may be sent, with what holds where nothing is said', () => {
    const [sensor] = document.grants
    expect(sensor?.publish.map(({ topic, qos, retain, bytesMax, rate, at }) => [topic.text, qos, retain, bytesMax, rate, at.line])).toEqual([
      ['t/${device.id}/#', 1, true, 8_192, { perSecond: 10, burst: 100 }, 19], ['plain', 2, false, Number.POSITIVE_INFINITY, undefined, 19], ['r', 2, false, Number.POSITIVE_INFINITY, { perSecond: 20, burst: 20 }, 19],
    ])
    expect(sensor?.will.map(({ topic, qos, retain, rate }) => [topic.text, qos, retain, rate])).toEqual([['state/${device.id}', 2, false, undefined], ['w', 2, true, undefined]])
  })

  test('what may be subscribed to', () => {
    expect(document.grants[0]?.subscribe.map(({ topic, qos, wildcard, share }) => [topic.text, qos, wildcard, share])).toEqual([['cmd/${device.id}/+', 0, 'contain', []], ['fw/${device.attr.model}/#', 2, 'forbid', ['a', 'b*']], ['x', 2, 'filter', []], ['y', 2, 'contain', []]])
  })

  test('denials', () => {
    expect(document.deny.map((d) => [d.id, d.to, d.onDeny, d.publish.length, d.subscribe.length, d.receive.length])).toEqual([['no-admin', { kind: 'any' }, 'drop', 1, 1, 1]])
  })

  test('what is said once for all', () => {
    const { onDeny, strictDeny, retained, willOnKick } = document
    expect({ onDeny, strictDeny, retained, willOnKick }).toEqual({ onDeny: 'disconnect', strictDeny: true, retained: 'purge', willOnKick: 'publish' })
  })

  test('quarantine is a grant to everybody who is quarantined', () => {
    expect(document.grants.at(-1)).toMatchObject({ id: 'quarantine', to: { kind: 'any' }, when: { states: ['quarantined'] }, connect: { sessionsMax: 1 }, publish: [{ topic: { text: 'q' } }], subscribe: [], will: [] })
  })

  test('an hourly rate is one for each second, too', () => {
    expect(documentOf(grant('publish: [ { topic: a, rate: 100/h } ]')).grants[0]?.publish[0]?.rate).toEqual({ perSecond: 100 / 3_600, burst: 100 })
  })

  test('half a second of session expiry is none, never a longer one', () => {
    expect(documentOf(grant('connect: { sessionExpiryMax: 999ms }')).grants[0]?.connect.sessionExpirySecondsMax).toBe(0)
    expect(documentOf(grant('connect: { sessionExpiryMax: 1s }')).grants[0]?.connect.sessionExpirySecondsMax).toBe(1)
  })

  test('where nothing is said, the careful thing holds', () => {
    expect(documentOf('version: 1\ngrants:\ndeny: []\nidentity: ~\n')).toEqual({ identity: [], groups: [], grants: [], deny: [], onDeny: 'drop', strictDeny: false, retained: 'hide', willOnKick: 'suppress' })
  })
})

describe('a topic', () => {
  test.each([
    ['', 'is not a topic filter (empty)'], ['a+', 'is not a topic filter (level a+)'], ['a/#/b', 'level #'], ['#/', 'level #'], ['dev/me#', 'level me#'], ['+${device.id}', 'level +v'], ['${device.id}#', 'level v#'], ['a/$${+}', 'level ${+}'], ['a/$${#}', 'level ${#}'],
    ['a\\u0000', 'a character that is not allowed'], ['a\\uFFFD', 'a character that is not allowed'], ['/'.repeat(64), 'more than 64 levels'], ['a'.repeat(513), 'more than 512 bytes'],
    ['$SYS/#', 'topics that begin with $ are reserved. Choose a root of your own.'], ['$', 'reserved'], ['$share/g/a', 'reserved'], ['$queue/a', 'reserved'], ['$${device.id}/a', 'reserved'], ['$${x', 'reserved'],
    ['${device.id', 'a variable is not closed with "}". Write $${ for a literal ${.'], ['x${device.id${device.id}', 'not closed'], ['${${device.id}}', 'not closed'], ['${device.id/x}', 'not closed'],
    ['${}', 'there is no variable ${}.'], ['${device.ID}', 'there is no variable ${device.ID}. Did you mean ${device.id}?'], ['${device.attr}', 'there is no variable'], ['${device.attr.__proto__}', 'there is no variable'], ['${device.attr.a-b}', 'there is no variable'],
    ['${cert.subject.cn}', 'Did you mean ${cert.subject.CN}?'], ['${cert.subject.Foo}', 'there is no variable ${cert.subject.Foo}'], ['${cert.san.dns[100]}', 'there is no variable'], ['${cert.san.dns[-1]}', 'there is no variable'], ['${cert.san.other[0]}', 'there is no variable'], ['${spiffe.path}', 'there is no variable'],
    ['${username}', 'there is no variable ${username}'], ['${constructor}', 'there is no variable'], ['${ device.id }', 'there is no variable'], ['${\\u001b[2J}', 'there is no variable ${\\u{1b}[2J}'],
  ])('is not %j: %s', (topic, message) => {
    for (const text of [grant(`publish: [ "${topic}" ]`), grant(`subscribe: [ "${topic}" ]`), grant(`will: [ { topic: "${topic}" } ]`), deny(`publish: [ "${topic}" ], receive: [ { topic: "${topic}" } ]`)]) {
      expect(problemsOf(text).join('\n')).toContain(message)
    }
  })
})

describe('all problems of a file', () => {
  test('are listed at once, in the order of the file, each with its place', () => {
    const problems = problemsOf(`version: 1
onDeny: no
groups: { a: [b], b: [a] }
identity:
  - { ca: f }
grants:
  - { id: a, to: any, publish: [ "a+", { topic: b, qos: 9, burst: 2 }, "$SYS/#" ] }
  - { id: a, to: nobody, when: {} }
deny:
  - { id: b, to: any, publsh: [x], when: { tls: "1.1", time: { from: x } } }
quarantine: { to: any }
`)
    expect(problems.map((p) => /^policy\.yaml:(\d+):/.exec(p)?.[1])).toEqual(['2', '3', '5', '7', '7', '7', '7', '8', '8', '8', '10', '10', '10', '11'])
  })

  test('are told with the id of their rule, where it says one', () => {
    const inRule = (text: string): readonly (string | undefined)[] => problemsOf(text).map((problem) => / \[rule (.+)\]$/.exec(problem)?.[1])
    expect(inRule(top('grants:\n  - { to: any, publish: ["a+"], id: late, qos: 1 }\n  - { to: any, publish: ["a+"] }\n  - { id: "a b", to: anny }'))).toEqual(['late', 'late', undefined, undefined, undefined, undefined])
    expect(inRule(top('deny:\n  - { id: no, to: any, receive: ["a+"], when: { tls: 1.1 } }\nquarantine: { publish: ["a+"] }\nonDeny: no'))).toEqual(['no', 'no', 'quarantine', undefined])
    expect(problemsOf(grant('publish: [ { topic: "a+", qos: 3, retain: x, maxBytes: y, rate: z, burst: 0 } ], subscribe: [ { topic: "a+", qos: 3, wildcard: x, share: ["#"] } ]'))).toHaveLength(9)
  })

  test('with one problem there is no policy at all: nothing is half started', () => {
    expect(() => policyOf(`${grant('publish: [a]')}typo: 1\n`)).toThrow('unknown key "typo"')
  })

  test('a file that is wrong everywhere is told of a thousand times, and the rest is counted', () => {
    const problems = problemsOf(top(Array.from({ length: 1_500 }, (_, i) => `unknown-${i}: 1`).join('\n')))
    expect([problems.length, problems[0], problems.at(-1)]).toEqual([1_001, expect.stringContaining('policy.yaml:2:1: unknown key "unknown-0" in the policy.'), 'policy.yaml:1001:1: and 500 more problems.'])
    expect(problemsOf(top(Array.from({ length: 1_000 }, (_, i) => `unknown-${i}: 1`).join('\n')))).toHaveLength(1_000)
  })
})

describe('bounds', () => {
  const many = (count: number, item: (i: number) => string): string => `[ ${Array.from({ length: count }, (_, i) => item(i)).join(', ')} ]`

  test.each<[string, (list: string) => string, (i: number) => string, number]>([
    ['publish', (list) => grant(`publish: ${list}`), (i) => `"a/${i}"`, 1_000],
    ['clientId', (list) => grant(`connect: { clientId: ${list} }`), (i) => `"a${i}"`, 1_000],
    ['share', (list) => grant(`subscribe: [ { topic: a, share: ${list} } ]`), (i) => `"s${i}"`, 64],
    ['source', (list) => grant(`when: { source: ${list} }`), (i) => `"10.0.${i >> 8}.${i & 255}"`, 256],
    ['values', (list) => top(`grants: [ { id: r, to: { attr: { model: ${list} } } } ]`), (i) => `"m${i}"`, 256],
    ['the group g', (list) => groups(`{ g: ${list} }`), (i) => `"g${i}"`, 1_000],
    ['groups', (list) => identity(`device: x, groups: ${list}`), (i) => `"g${i}"`, 1_000],
  ])('%s: what fits is read, one more is refused', (name, text, item, max) => {
    expect(problemsOf(text(many(max, item)))).toEqual([])
    const problems = problemsOf(text(many(max + 1, item)))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`more than ${max} `)
    expect(problems[0]).toContain(name)
  })

  test('at most 32 attributes make a query', () => {
    const query = (count: number): string => top(`grants: [ { id: r, to: { attr: { ${Array.from({ length: count }, (_, i) => `a${i}: x`).join(', ')} } } } ]`)
    expect(problemsOf(query(32))).toEqual([])
    expect(problemsOf(query(33))).toEqual(['policy.yaml:2:32: attr names more than 32 attributes, which no device has. [rule r]'])
  })

  test('a section has at most 100,000 rules', () => {
    // As trees: the text of so many rules would be a test of the YAML parser.
    const at = { file: 'p', line: 1, column: 1 }
    const scalar = (value: string | number): SourceNode => ({ kind: 'scalar', value, text: String(value), at })
    const map = (entries: Readonly<Record<string, SourceNode>>): SourceNode => ({ kind: 'map', at, entries: Object.entries(entries).map(([key, value]) => ({ key, keyAt: at, value })) })
    const withRules = (count: number): SourceNode => map({ version: scalar(1), grants: { kind: 'list', at, items: Array.from({ length: count }, (_, i) => map({ id: scalar(`r${i}`), to: scalar('any') })) } })
    expect(POLICY_LIMITS.rulesMax).toBe(100_000)
    expect(readAll([withRules(100_000)]).document?.grants).toHaveLength(100_000)
    expect(readAll([withRules(100_001)]).problems.map(describeProblem)).toEqual(['p:1:1: grants has more than 100000 entries.'])
  })

  test('is read in steps, so that somebody else may have a turn after every rule', () => {
    const { tree } = readYaml('p', top(`groups: { a: [b], b: [c] }\ngrants:\n${Array.from({ length: 50 }, (_, i) => `  - { id: r${i}, to: any }\n`).join('')}`))
    const reader = new PolicyReader(POLICY_TOOLS)
    const steps = reader.file(tree!)
    let count = 0
    while (steps.next().done !== true) count++
    expect(count).toBe(52)
    const last = reader.end()
    let step = last.next()
    while (step.done !== true) step = last.next()
    expect(step.value.document?.grants).toHaveLength(50)
  })
})

const readAll = (trees: readonly SourceNode[]): PolicyReading => parsePolicyDocument(trees, POLICY_TOOLS)

describe('a policy of several files', () => {
  const parts: Readonly<Record<string, string>> = {
    'policy.yaml': 'version: 1\nonDeny: disconnect\ngroups: { plant: [line] }\ngrants:\n  - { id: a, to: { group: plant }, publish: [x] }\n',
    'policy.d/b.yaml': 'version: 1\nstrictDeny: true\ngroups: { site: [plant] }\nidentity:\n  - { ca: f, device: x }\n',
    'policy.d/c.yaml': 'version: 1\nretained: keep\ngrants:\n  - { id: b, to: any, subscribe: [y] }\ndeny:\n  - { id: c, to: any, publish: [z] }\n',
    'policy.d/empty.yaml': '',
  }
  const read = (files: Readonly<Record<string, string>>, order: readonly string[] = Object.keys(files)): PolicyReading => readAll(order.flatMap((file) => readYaml(file, files[file] ?? '').tree ?? []))
  const problemsIn = (files: Readonly<Record<string, string>>, order?: readonly string[]): readonly string[] => read(files, order).problems.map(describeProblem)

  test('is one policy, and every rule knows its file', () => {
    const { document } = read(parts)
    expect(document).toMatchObject({ onDeny: 'disconnect', strictDeny: true, retained: 'keep', willOnKick: 'suppress' })
    expect([...(document?.grants ?? []), ...(document?.deny ?? []), ...(document?.identity ?? []), ...(document?.groups ?? [])].map(({ at }) => `${at.file}:${at.line}`)).toEqual(['policy.yaml:5', 'policy.d/c.yaml:4', 'policy.d/c.yaml:6', 'policy.d/b.yaml:5', 'policy.yaml:3', 'policy.d/b.yaml:3'])
  })

  test('whatever the order of the files, the same is granted and the same is said', () => {
    const names = Object.keys(parts)
    const [forth, back] = [read(parts, names), read(parts, names.toReversed())]
    const contents = ({ document }: PolicyReading) => document && { ...document, grants: document.grants.toSorted(byId), groups: document.groups.toSorted((a, b) => (a.group < b.group ? -1 : 1)), identity: document.identity.map(({ ca }) => ca) }
    expect(contents(forth)?.grants.map(({ id }) => id)).toEqual(['a', 'b'])
    expect(contents(back)).toEqual(contents(forth))
    const wrong = { 'a.yaml': 'version: 1\nx: 1\n', 'b.yaml': 'version: 1\ngrants: [ { id: a+, to: any } ]\n' }
    expect(problemsIn(wrong, ['b.yaml', 'a.yaml'])).toEqual(problemsIn(wrong))
  })

  test('what is said for the whole policy is said in one of them', () => {
    const once = (line: string): readonly string[] => problemsIn({ 'policy.yaml': top(line), 'policy.d/a.yaml': top('onDeny: drop\nstrictDeny: false\nretained: keep\nwillOnKick: publish'), 'policy.d/b.yaml': 'version: 1\n' })
    expect(once('grants: []')).toEqual([])
    for (const line of ['onDeny: drop', 'strictDeny: false', 'retained: hide', 'willOnKick: suppress']) {
      const key = line.split(':')[0] ?? ''
      expect(once(line)).toEqual([expect.stringMatching(new RegExp(`^policy\\.d/a\\.yaml:\\d:1: ${key} is said already, in policy\\.yaml:2\\. Say it in one file: the order of files must not matter\\.$`))])
    }
    expect(problemsIn({ a: top('onDeny: drop'), b: top('onDeny: drop'), c: top('onDeny: disconnect') })).toEqual(['b:2:1: onDeny is said already, in a:2. Say it in one file: the order of files must not matter.', 'c:2:1: onDeny is said already, in a:2. Say it in one file: the order of files must not matter.'])
  })

  test('ids, groups, CAs and the quarantine are taken once in all of them', () => {
    expect(problemsIn({ a: top('grants: [ { id: r, to: any } ]'), b: top('deny: [ { id: r, to: any } ]') })).toEqual(['b:2:15: the rule id "r" is taken, by a:2. Give every rule an id of its own. [rule r]'])
    expect(problemsIn({ a: groups('{ g: [x] }'), b: groups('{ g: [y] }') })).toEqual(['b:2:11: the group "g" is described already, in a:2. Describe it once, with all that it contains.'])
    expect(problemsIn({ a: identity('device: x'), b: identity('device: y') })).toEqual(['b:3:11: the CA "f" has an identity rule already, in a:3. One rule for each CA: the order of rules must not matter.'])
    expect(problemsIn({ a: top('quarantine: {}'), b: top('quarantine: {}') })).toEqual(['b:2:1: quarantine is said already, in a:2. Say it once; a grant with the condition state: quarantined may say more. [rule quarantine]'])
    expect(problemsIn({ a: top('grants: [ { id: quarantine, to: any } ]'), b: top('quarantine: {}') })).toEqual(['b:2:1: quarantine is a rule id, too, and taken by a:2. Give that rule another id. [rule quarantine]'])
    expect(problemsIn({ a: groups('{ g: [h] }'), b: groups('{ h: [g] }') })).toEqual(['a:2:11: the groups contain each other in a circle: g → h → g. Take one of them out of the other.'])
  })

  test('each says its version; one without rules may be empty', () => {
    expect(problemsIn({ a: top(''), b: 'grants: []\n', c: '', d: '{}' })).toEqual(['b:1:1: the policy has no version. Begin the file with: version: 1'])
  })
})

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1
}
