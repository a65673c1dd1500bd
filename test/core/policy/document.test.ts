// The grammar of policy.md, key by key: what is read, what is refused, where, and with which suggestion. What the language
// has and this version does not enforce is refused, never ignored.

import { describe, expect, test } from 'vitest'
import { POLICY_LIMITS } from '../../../src/limits.ts'
import { documentOf, grant, policyOf, problemsOf } from './policies.ts'

const rule = (body: string): string => grant(body)
const identity = (body: string): string => `version: 1\nidentity:\n  - { ${body} }\n`
const deny = (body: string): string => `version: 1\ndeny:\n  - { ${body} }\n`

describe('the whole grammar that is enforced', () => {
  const TEXT = `version: 1
identity:
  - ca: factory-2026
    device: "\${cert.subject.CN}"
    idPattern: "^[A-Z]{2}-[0-9]{8}$"
    groups: ["\${cert.subject.OU}"]
    register: auto
  - { ca: other, device: "\${cert.subject.serialNumber}" }
onDeny: disconnect
grants:
  - id: sensor
    to: { group: sensors }
    connect: { clientId: ["\${device.id}", "\${device.id}:*"], sessions: 2, sessionExpiryMax: 24h }
    publish: [ { topic: "t/\${device.id}/#", qos: 1, retain: true, maxBytes: 8KiB }, "plain" ]
    subscribe: [ { topic: "cmd/\${device.id}/+", qos: 0 }, { topic: "fw/\${device.attr.model}/#", wildcard: forbid }, { topic: x, wildcard: contain }, y ]
    will: [ { topic: "state/\${device.id}", retain: false }, "w" ]
  - { id: by-device, to: { device: d1 } }
  - { id: by-ca, to: { ca: factory-2026 } }
deny:
  - { id: no-admin, to: any, onDeny: drop, publish: ["t/+/admin/#"], subscribe: [ { topic: s } ], receive: ["audit/#"] }
`
  const document = documentOf(TEXT)

  test('identity rules', () => {
    expect(document.identity.map(({ ca, register, groups, at }) => [ca, register, groups.length, at.line])).toEqual([['factory-2026', 'auto', 1, 3], ['other', 'known', 0, 8]])
  })

  test('targets and terms of connect', () => {
    expect(document.grants.map((g) => [g.id, g.to, g.at.line])).toEqual([['sensor', { kind: 'group', group: 'sensors' }, 11], ['by-device', { kind: 'device', device: 'd1' }, 17], ['by-ca', { kind: 'ca', ca: 'factory-2026' }, 18]])
    expect(document.grants[0]?.connect).toMatchObject({ sessionsMax: 2, sessionExpirySecondsMax: 86_400, clientIds: [{ prefix: false }, { prefix: true }] })
    expect(document.grants[1]?.connect).toEqual({})
  })

  test('grants, with what holds where nothing is said', () => {
    const [sensor] = document.grants
    expect(sensor?.publish.map(({ topic, qos, retain, bytesMax, at }) => [topic.text, qos, retain, bytesMax, at.line])).toEqual([['t/${device.id}/#', 1, true, 8_192, 14], ['plain', 2, false, Number.POSITIVE_INFINITY, 14]])
    expect(sensor?.subscribe.map(({ topic, qos, wildcard }) => [topic.text, qos, wildcard])).toEqual([['cmd/${device.id}/+', 0, 'contain'], ['fw/${device.attr.model}/#', 2, 'forbid'], ['x', 2, 'contain'], ['y', 2, 'contain']])
    expect(sensor?.will.map(({ topic, qos, retain }) => [topic.text, qos, retain])).toEqual([['state/${device.id}', 2, false], ['w', 2, true]])
  })

  test('denials', () => {
    expect(document.onDeny).toBe('disconnect')
    expect(document.deny.map((d) => [d.id, d.to, d.onDeny, d.publish.length, d.subscribe.length, d.receive.length])).toEqual([['no-admin', { kind: 'any' }, 'drop', 1, 1, 1]])
  })

  test('a section without entries is an empty one', () => {
    expect(documentOf('version: 1\ngrants:\ndeny: []\nidentity: ~\n')).toMatchObject({ grants: [], deny: [], identity: [], onDeny: 'drop' })
  })
})

describe('the document', () => {
  test.each([
    ['grants: []', '1:1', 'the policy has no version. Begin the file with: version: 1'],
    ['version: 2', '1:10', 'version must be a whole number from 1 to 1, not 2.'],
    ['version: "1"', '1:10', 'version must be a whole number'],
    ['version: ~', '1:10', 'version must be a whole number'],
    ['[]', '1:1', 'the policy must be a mapping (key: value), not a list.'],
    ['hello', '1:1', 'the policy must be a mapping (key: value), not "hello".'],
    ['version: 1\ngrant: []', '2:1', 'unknown key "grant" in the policy. Did you mean "grants"?'],
    ['version: 1\nVersion: 1', '2:1', 'Did you mean "version"?'],
    ['version: 1\n__proto__: {}', '2:1', 'unknown key "__proto__" in the policy.'],
    ['version: 1\nversion: 1', '2:1', 'Map keys must be unique'],
    ['version: 1\nonDeny: ignore', '2:9', 'onDeny must be drop or disconnect, not ignore.'],
    ['version: 1\nonDeny: [drop]', '2:9', 'onDeny must be drop or disconnect.'],
    ['version: 1\ngrants: {}', '2:9', 'grants must be a list, not a mapping'],
    ['version: 1\ngrants: [x]', '2:10', 'a grant must be a mapping (key: value), not "x".'],
    ['version: 1\ndeny: any', '2:7', 'deny must be a list, not "any".'],
    ['version: 1\nidentity:\n  - 7', '3:5', 'an identity rule must be a mapping'],
    ['version: 1\nstrictDeny: true', '2:1', '"strictDeny" in the policy is not enforced yet'],
    ['version: 1\nquarantine: {}', '2:1', '"quarantine" in the policy is not enforced yet'],
  ])('%j', (text, at, message) => {
    const problems = problemsOf(text)
    expect(problems[0]).toContain(`policy.yaml:${at}: `)
    expect(problems.join('\n')).toContain(message)
  })
})

describe('what the language has and this version does not enforce', () => {
  test.each([
    [rule('when: { source: ["10.0.0.0/8"], tls: ">=1.3", attested: true }'), '"when" in a grant is not enforced yet: conditions'],
    [deny('id: a, to: any, when: {}'), '"when" in a deny rule is not enforced yet: conditions'],
    [rule('publish: [ { topic: a, rate: 20/s } ]'), '"rate" in publish is not enforced yet: rates'],
    [rule('will: [ { topic: a, rate: 20/s } ]'), '"rate" in will is not enforced yet: rates'],
    [rule('share: [g]'), '"share" in a grant is not enforced yet: it stands with a topic'],
    [rule('retained: purge'), '"retained" in a grant is not enforced yet'],
    [rule('willOnKick: publish'), '"willOnKick" in a grant is not enforced yet'],
    [rule('subscribe: [ { topic: a, wildcard: filter } ]'), 'wildcard: filter is not enforced yet. Use contain (the default) or forbid.'],
    ['version: 1\ngrants: [ { id: r, to: { attr: { site: north } } } ]', '"attr" in to is not enforced yet: attribute queries'],
  ])('%j is refused', (text, message) => {
    const problem = problemsOf(text).find((p) => p.includes(message))
    expect(problem).toMatch(/^policy\.yaml:\d+:\d+: /)
  })
})

describe('rules and their targets', () => {
  test.each([
    ['version: 1\ngrants:\n  - { to: any }', '3:5', 'the rule has no id.'],
    ['version: 1\ngrants:\n  - { id: r }', '3:5', 'the rule does not say whom it is for. Add, for example: to: { group: sensors }'],
    ['version: 1\ngrants:\n  - { id: 7, to: any }', '3:11', 'id must be text, not 7. Write it in quotes: "7".'],
    ['version: 1\ngrants:\n  - { id: "a b", to: any }', '3:11', 'a rule id is 1 to 64'],
    ['version: 1\ngrants:\n  - { id: "a/b", to: any }', '3:11', 'a rule id is 1 to 64'],
    ['version: 1\ngrants:\n  - { id: __proto__, to: any }', '3:11', 'a rule id is 1 to 64'],
    ['version: 1\ngrants:\n  - { id: r, to: any }\n  - { id: r, to: any }', '4:11', 'the rule id "r" is taken by line 3.'],
    ['version: 1\ngrants:\n  - { id: r, to: any }\ndeny:\n  - { id: r, to: any }', '5:11', 'the rule id "r" is taken by line 3.'],
    ['version: 1\ngrants:\n  - { id: r, to: all }', '3:18', 'to must be any, not all.'],
    ['version: 1\ngrants:\n  - { id: r, to: anny }', '3:18', 'Did you mean "any"?'],
    ['version: 1\ngrants:\n  - { id: r, to: [any] }', '3:18', 'to must be a mapping'],
    ['version: 1\ngrants:\n  - { id: r, to: {} }', '3:18', 'to must name exactly one of group, device or ca. Everybody is written: to: any'],
    ['version: 1\ngrants:\n  - { id: r, to: { group: a, device: b } }', '3:18', 'to must name exactly one'],
    ['version: 1\ngrants:\n  - { id: r, to: { groups: a } }', '3:20', 'unknown key "groups" in to. Did you mean "group"?'],
    ['version: 1\ngrants:\n  - { id: r, to: { any: true } }', '3:20', 'unknown key "any" in to. Known keys: group, device, ca.'],
    ['version: 1\ngrants:\n  - { id: r, to: { group: "a b" } }', '3:27', 'group is not a valid name.'],
    ['version: 1\ngrants:\n  - { id: r, to: { group: "${device.id}" } }', '3:27', 'group is not a valid name.'],
    ['version: 1\ngrants:\n  - { id: r, to: { device: "+" } }', '3:28', 'device is not a valid name.'],
    ['version: 1\ngrants:\n  - { id: r, to: { ca: [x] } }', '3:24', 'ca must be a single value, not a list.'],
    ['version: 1\ngrants:\n  - { id: r, to: any, publsh: [] }', '3:23', 'unknown key "publsh" in a grant. Did you mean "publish"?'],
    ['version: 1\ngrants:\n  - { id: r, to: any, receive: [] }', '3:23', 'unknown key "receive" in a grant.'],
    ['version: 1\ngrants:\n  - { id: r, to: any, onDeny: drop }', '3:23', 'unknown key "onDeny" in a grant.'],
    ['version: 1\ndeny:\n  - { id: r, to: any, will: [] }', '3:23', 'unknown key "will" in a deny rule.'],
    ['version: 1\ndeny:\n  - { id: r, to: any, connect: {} }', '3:23', 'unknown key "connect" in a deny rule.'],
    ['version: 1\ndeny:\n  - { id: r, to: any, onDeny: dropp }', '3:31', 'Did you mean "drop"?'],
  ])('%j', (text, at, message) => {
    const problems = problemsOf(text)
    expect(problems.some((p) => p.startsWith(`policy.yaml:${at}: `) && p.includes(message))).toBe(true)
  })
})

describe('publish, subscribe, will and their denials', () => {
  test.each([
    [rule('publish: a'), 'publish must be a list, not "a".'],
    [rule('publish: [ [a] ]'), 'publish must be a mapping (key: value), not a list.'],
    [rule('publish: [ { qos: 1 } ]'), 'publish has no topic. Add: topic: "…"'],
    [rule('publish: [ 7 ]'), 'the topic of publish must be text, not 7.'],
    [rule('publish: [ { topic: [a] } ]'), 'the topic of publish must be a single value, not a list.'],
    [rule('publish: [ { topic: a, qos: 3 } ]'), 'qos must be a whole number from 0 to 2, not 3.'],
    [rule('publish: [ { topic: a, qos: -1 } ]'), 'qos must be a whole number from 0 to 2, not -1.'],
    [rule('publish: [ { topic: a, qos: "1" } ]'), 'qos must be a whole number'],
    [rule('publish: [ { topic: a, qos: <=1 } ]'), 'qos must be a whole number'],
    [rule('publish: [ { topic: a, retain: yes } ]'), 'retain must be true or false, not yes.'],
    [rule('publish: [ { topic: a, maxBytes: 8kb } ]'), 'maxBytes must be a size, not 8kb. Write bytes: 512, 8KiB or 1MiB.'],
    [rule('publish: [ { topic: a, maxBytes: -1 } ]'), 'maxBytes must be a size, not -1.'],
    [rule('publish: [ { topic: a, wildcard: contain } ]'), 'unknown key "wildcard" in publish.'],
    [rule('publish: [ { topc: a } ]'), 'unknown key "topc" in publish. Did you mean "topic"?'],
    [rule('subscribe: [ { topic: a, retain: true } ]'), 'unknown key "retain" in subscribe.'],
    [rule('subscribe: [ { topic: a, maxBytes: 1 } ]'), 'unknown key "maxBytes" in subscribe.'],
    [rule('subscribe: [ { topic: a, wildcard: forbidden } ]'), 'wildcard must be contain or forbid or filter, not forbidden. Did you mean "forbid"?'],
    [rule('will: [ { topic: a, wildcard: forbid } ]'), 'unknown key "wildcard" in will.'],
    [deny('id: a, to: any, publish: [ { topic: a, qos: 1 } ]'), 'unknown key "qos" in a denied topic.'],
    [deny('id: a, to: any, publish: [ {} ]'), 'a denied topic must be a single value, not a mapping'],
    [deny('id: a, to: any, receive: [ ~ ]'), 'a denied topic must be text'],
  ])('%j', (text, message) => {
    expect(problemsOf(text).join('\n')).toContain(message)
  })

  test.each(['#', '+', '+/#', 'a', '/', 'a//b', '/a', 'a/', '${device.id}', 't/x-${device.id}-y/#', '${device.id}${device.tenant}', 'a/$${x}', 'a/$SYS', 'ä/😀', '${device.id}/$share', '%c', '%u/%c'])('%j is a pattern', (topic) => {
    expect(problemsOf(rule(`publish: [ ${JSON.stringify(topic)} ]`))).toEqual([])
  })

  test.each([
    ['', 'is not a topic filter (empty)'], ['a+', 'is not a topic filter (level a+)'], ['a/#/b', 'level #'], ['#/', 'level #'], ['dev/me#', 'level me#'], ['+${device.id}', 'level +v'], ['${device.id}#', 'level v#'], ['a/$${+}', 'level ${+}'], ['a/$${#}', 'level ${#}'],
    ['a\\u0000', 'a character that is not allowed'], ['a\\uFFFD', 'a character that is not allowed'], ['/'.repeat(64), 'more than 64 levels'], ['a'.repeat(513), 'more than 512 bytes'],
    ['$SYS/#', 'topics that begin with $ are reserved. Choose a root of your own.'], ['$', 'reserved'], ['$share/g/a', 'reserved'], ['$queue/a', 'reserved'], ['$${device.id}/a', 'reserved'], ['$${x', 'reserved'],
    ['${device.id', 'a variable is not closed with "}". Write $${ for a literal ${.'], ['x${device.id${device.id}', 'not closed'], ['${${device.id}}', 'not closed'], ['${device.id/x}', 'not closed'],
    ['${}', 'there is no variable ${}.'], ['${device.ID}', 'there is no variable ${device.ID}. Did you mean ${device.id}?'], ['${device.attr}', 'there is no variable'], ['${device.attr.__proto__}', 'there is no variable'], ['${device.attr.a-b}', 'there is no variable'],
    ['${cert.subject.cn}', 'Did you mean ${cert.subject.CN}?'], ['${cert.subject.Foo}', 'there is no variable ${cert.subject.Foo}'], ['${cert.san.dns[100]}', 'there is no variable'], ['${cert.san.dns[-1]}', 'there is no variable'], ['${cert.san.other[0]}', 'there is no variable'], ['${spiffe.path}', 'there is no variable'],
    ['${username}', 'there is no variable ${username}'], ['${constructor}', 'there is no variable'], ['${ device.id }', 'there is no variable'], ['${\\u001b[2J}', 'there is no variable ${\\u{1b}[2J}'],
  ])('%j: %s', (topic, message) => {
    for (const text of [rule(`publish: [ "${topic}" ]`), rule(`subscribe: [ "${topic}" ]`), rule(`will: [ { topic: "${topic}" } ]`), deny(`id: a, to: any, publish: [ "${topic}" ], receive: [ { topic: "${topic}" } ]`)]) {
      expect(problemsOf(text).join('\n')).toContain(message)
    }
  })
})

describe('connect', () => {
  test.each([
    [rule('connect: [a]'), 'connect must be a mapping'],
    [rule('connect: ~'), 'connect must be a mapping (key: value), not nothing.'],
    [rule('connect: { clientID: [a] }'), 'unknown key "clientID" in connect. Did you mean "clientId"?'],
    [rule('connect: { clientId: a }'), 'clientId must be a list, not "a".'],
    [rule('connect: { clientId: [7] }'), 'a client id pattern must be text, not 7.'],
    [rule('connect: { clientId: ["${clientId}"] }'), 'a client id cannot be compared with itself. Use "${device.id}".'],
    [rule('connect: { clientId: ["${clientId}:*"] }'), 'a client id cannot be compared with itself.'],
    [rule('connect: { clientId: ["a*b"] }'), 'only the last character of a client id pattern may be "*".'],
    [rule('connect: { clientId: ["**"] }'), 'only the last character'],
    [rule('connect: { clientId: ["${device.idd}"] }'), 'a client id pattern: there is no variable ${device.idd}. Did you mean ${device.id}?'],
    [rule('connect: { clientId: ["${device.id"] }'), 'a client id pattern: a variable is not closed'],
    [rule('connect: { sessions: 0 }'), 'sessions must be a whole number from 1 to 32, not 0.'],
    [rule('connect: { sessions: 33 }'), 'sessions must be a whole number from 1 to 32, not 33.'],
    [rule('connect: { sessions: many }'), 'sessions must be a whole number'],
    [rule('connect: { sessionExpiryMax: 3600 }'), 'sessionExpiryMax must be a duration, not 3600. Write a number and a unit'],
    [rule('connect: { sessionExpiryMax: never }'), 'sessionExpiryMax must be a duration'],
  ])('%j', (text, message) => {
    expect(problemsOf(text).join('\n')).toContain(message)
  })

  test('half a second of session expiry is none, never a longer one', () => {
    expect(documentOf(rule('connect: { sessionExpiryMax: 999ms }')).grants[0]?.connect.sessionExpirySecondsMax).toBe(0)
    expect(documentOf(rule('connect: { sessionExpiryMax: 1s }')).grants[0]?.connect.sessionExpirySecondsMax).toBe(1)
  })
})

describe('identity', () => {
  test.each([
    [identity('device: "${cert.subject.CN}"'), 'ca is missing.'],
    [identity('ca: "a b", device: "${cert.subject.CN}"'), 'ca is not a valid name.'],
    [identity('ca: "CN=Factory", device: "${cert.subject.CN}"'), 'ca is not a valid name.'],
    [identity('ca: f'), 'the identity rule does not say where the device id comes from. Add: device: "${cert.subject.CN}"'],
    [identity('ca: f, device: 7'), 'device must be text, not 7.'],
    [identity('ca: f, device: "${cert.subject.XX}"'), 'there is no variable ${cert.subject.XX}'],
    [identity('ca: f, device: "${cert.subject.CN"'), 'not closed'],
    [identity('ca: f, device: "${device.id}"'), 'device: ${device.id} is not known yet: the certificate is read to find the device.'],
    [identity('ca: f, device: "${device.tenant}"'), '${device.tenant} is not known yet'],
    [identity('ca: f, device: "${clientId}"'), '${clientId} is not known yet'],
    [identity('ca: f, device: "${cert.subject.CN}", groups: ["${device.attr.x}"]'), 'a group: ${device.attr.x} is not known yet'],
    [identity('ca: f, device: "${cert.subject.CN}", groups: sensors'), 'groups must be a list'],
    [identity('ca: f, device: "${cert.subject.CN}", groups: [7]'), 'a group must be text'],
    [identity('ca: f, device: "${cert.subject.CN}", register: always'), 'register must be known or auto, not always.'],
    [identity('ca: f, device: "${cert.subject.CN}", register: atuo'), 'Did you mean "auto"?'],
    [identity('ca: f, device: "${cert.subject.CN}", idPattern: "("'), 'idPattern cannot be used: '],
    [identity('ca: f, device: "${cert.subject.CN}", idPattern: 7'), 'idPattern must be text, not 7.'],
    [identity('ca: f, device: "${cert.subject.CN}", pattern: x'), 'unknown key "pattern" in an identity rule.'],
    [identity('ca: f, device: "${cert.subject.CN}" }\n  - { ca: f, device: "${cert.subject.OU}"'), 'the CA "f" has an identity rule already, in line 3.'],
  ])('%j', (text, message) => {
    const problems = problemsOf(text)
    expect(problems.join('\n')).toContain(message)
    expect(problems[0]).toMatch(/^policy\.yaml:\d+:\d+: /)
  })

  test.each(['${cert.subject.CN}', '${cert.subject.serialNumber}', '${san.uri[0]}', '${san.dns[0]}', '${cert.san.ip[3]}', '${cert.san.email}', '${spiffe.path[1]}', '${cert.sha256}', '${cert.serial}', '${cert.issuer.O}-${cert.subject.CN}', 'gateway'])('%j may name a device', (text) => {
    expect(problemsOf(identity(`ca: f, device: "${text}"`))).toEqual([])
  })
})

describe('all problems of a file', () => {
  test('are listed at once, in the order of the file, each with its place', () => {
    const problems = problemsOf(`version: 1
onDeny: no
identity:
  - { ca: f }
grants:
  - { id: a, to: any, publish: [ "a+", { topic: b, qos: 9 }, "$SYS/#" ] }
  - { id: a, to: nobody, when: {} }
deny:
  - { id: b, to: any, publsh: [x] }
`)
    expect(problems.map((p) => /^policy\.yaml:(\d+):/.exec(p)?.[1])).toEqual(['2', '4', '6', '6', '6', '7', '7', '7', '9'])
  })

  test('with one problem there is no policy at all: nothing is half started', () => {
    expect(() => policyOf(`${grant('publish: [a]')}typo: 1\n`)).toThrow('unknown key "typo"')
  })
})

describe('limits', () => {
  test('a section has at most 100,000 rules', () => {
    // As a tree: the text of so many rules would be a test of the YAML parser.
    expect(POLICY_LIMITS.rulesMax).toBe(100_000)
    const many = Array.from({ length: 1_001 }, (_, i) => `"a/${i}"`)
    expect(problemsOf(rule(`publish: [ ${many.join(', ')} ]`)).join()).toContain('publish has more than 1000 entries.')
    expect(problemsOf(rule(`publish: [ ${many.slice(1).join(', ')} ]`))).toEqual([])
  })
})
