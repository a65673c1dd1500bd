// The line form: it says what the YAML form says, and is told as exactly where it is wrong.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PolicyDocument } from '../../src/core/policy/document.ts'
import { describeProblem, type SourceNode } from '../../src/core/source-tree.ts'
import { readPolicy } from '../../src/policy-file.ts'
import { readLines } from '../../src/policy-file/lines.ts'
import { withoutRule } from '../core/policy/forms/texts.ts'
import { asLines, asYaml, policies, said, styles } from './both-forms.ts'

function documentOf(file: string, text: string): PolicyDocument {
  const read = readPolicy(file, text, 1)
  if ('policy' in read) return read.policy.document
  throw new Error(`${read.problems.map(describeProblem).join('\n')}\nin: ${text}`)
}
const problemsOf = (text: string): readonly string[] => {
  const read = readPolicy('p.policy', text, 1)
  return 'policy' in read ? [] : read.problems.map((problem) => describeProblem(problem).replace('p.policy:', ''))
}

const HEADS = 'Known: any, group, device, ca, tenant, attr, deny, quarantine, identity, version, onDeny, strictDeny, retained, willOnKick.'
const LINES = `# What a plant may say.
version 1
onDeny disconnect
strictDeny yes
retained purge
willOnKick publish

group plant contains line-1 line-2

group sensors
  id sensor
  when source=10.0.0.0/8,2001:db8::/32 tls>=1.3 state=active,quarantined
  when days=mon-fri,sun from=06:00 to=22:00 zone=Europe/Berlin certificateAge>=1d certificateAge<90d
  connect clientId=\${device.id},\${device.id}:* sessions=2 sessionExpiryMax=24h
  pub  t/\${device.id}/#   qos<=1 retain=yes max=8KiB rate=20/s burst=100     # its own
  pub  "a b/c,d"
  sub  cmd/\${device.id}/+ qos<=0 wildcard=forbid share=fw*,"a,b"
  sub  #
  will state/\${device.id} retain=no

device d1
ca factory-2026
tenant acme
any
attr model=X1 site=north,"south east"

deny pub t/+/admin/#
  recv audit/#
deny group guests
  id no-guests
  when notBefore=2027-03-01T00:00:00Z notAfter=2027-04-01T00:00:00Z attested=no
  sub #
  onDeny drop

identity factory-2026
  device \${cert.subject.CN}
  idPattern "^[A-Z]{2}-[0-9]{8}$"
  groups \${cert.subject.OU} sensors
  register auto

quarantine
  pub quarantine/\${device.id}
`

const YAML = `version: 1
onDeny: disconnect
strictDeny: true
retained: purge
willOnKick: publish
groups: { plant: [line-1, line-2] }
grants:
  - id: sensor
    to: { group: sensors }
    when: { source: ["10.0.0.0/8", "2001:db8::/32"], tls: ">=1.3", state: [active, quarantined], time: { days: [mon-fri, sun], from: "06:00", to: "22:00", zone: Europe/Berlin }, certificateAge: ">=1d <90d" }
    connect: { clientId: ["\${device.id}", "\${device.id}:*"], sessions: 2, sessionExpiryMax: 24h }
    publish: [ { topic: "t/\${device.id}/#", qos: 1, retain: true, maxBytes: 8KiB, rate: 20/s, burst: 100 }, "a b/c,d" ]
    subscribe: [ { topic: "cmd/\${device.id}/+", qos: 0, wildcard: forbid, share: ["fw*", "a,b"] }, "#" ]
    will: [ { topic: "state/\${device.id}", retain: false } ]
  - { id: device.d1, to: { device: d1 } }
  - { id: ca.factory-2026, to: { ca: factory-2026 } }
  - { id: tenant.acme, to: { tenant: acme } }
  - { id: any, to: any }
  - { id: attr.a487fa0ebb57, to: { attr: { model: X1, site: [north, "south east"] } } }
deny:
  - { id: deny.pub.84a3eed7826f, to: any, publish: ["t/+/admin/#"], receive: ["audit/#"] }
  - { id: no-guests, to: { group: guests }, when: { notBefore: 2027-03-01T00:00:00Z, notAfter: 2027-04-01T00:00:00Z, attested: false }, subscribe: ["#"], onDeny: drop }
identity:
  - { ca: factory-2026, device: "\${cert.subject.CN}", idPattern: "^[A-Z]{2}-[0-9]{8}$", groups: ["\${cert.subject.OU}", sensors], register: auto }
quarantine: { publish: ["quarantine/\${device.id}"] }
`

describe('both forms say the same', () => {
  test('in a policy that uses every word', () => {
    expect(said(documentOf('p.policy', LINES))).toEqual(said(documentOf('p.yaml', YAML)))
  })

  test('in any policy, however it is written', () => {
    fc.assert(fc.property(policies, styles, (policy, style) => {
      expect(said(documentOf('p.policy', asLines(policy, style)))).toEqual(said(documentOf('p.yaml', asYaml(policy))))
    }), { numRuns: 1_000 })
  })

  test('and what tells them apart is told apart', () => {
    const other = (from: string, to: string): PolicyDocument => documentOf('p.policy', LINES.replace(from, to))
    for (const [from, to] of [['qos<=1', 'qos<=2'], ['retain=yes', 'retain=no'], ['8KiB', '9KiB'], ['20/s', '21/s'], ['burst=100', 'burst=99'], ['tls>=1.3', 'tls=1.3'], ['to=22:00', 'to=22:01'], ['Europe/Berlin', 'UTC'], ['<90d', '<91d'], ['sessions=2', 'sessions=3'], ['24h', '25h'], ['forbid', 'filter'], ['fw*', 'fv*'], ['X1', 'X2'], ['line-2', 'line-3'], ['attested=no', 'attested=yes'], ['{8}', '{9}'], ['recv', 'sub'], ['  sub  #', '  sub  +'], ['strictDeny yes', 'strictDeny no'], ['10.0.0.0/8', '10.0.0.0/9']] as const) {
      expect(said(other(from, to)), from).not.toEqual(said(documentOf('p.policy', LINES)))
    }
  })
})

describe('places', () => {
  test('are those of the line form, with its line and column', () => {
    const { grants, deny, identity, groups } = documentOf('p.policy', LINES)
    expect([...grants, ...deny, ...identity, ...groups].map(({ at }) => `${at.line}:${at.column}`)).toEqual(['10:1', '21:1', '22:1', '23:1', '24:1', '25:1', '41:1', '27:1', '29:1', '35:1', '8:7'])
    expect([...grants[0]?.publish ?? [], ...grants[0]?.subscribe ?? [], ...grants[0]?.will ?? []].map(({ at }) => `${at.file}:${at.line}:${at.column}`)).toEqual(['p.policy:15:8', 'p.policy:16:8', 'p.policy:17:8', 'p.policy:18:8', 'p.policy:19:8'])
    expect(grants[0]?.when?.at).toEqual({ file: 'p.policy', line: 12, column: 3 })
    expect(deny[0]?.publish[0]?.at).toEqual({ file: 'p.policy', line: 27, column: 10 })
  })
})

describe('words', () => {
  const topicOf = (line: string): string | undefined => documentOf('p.policy', `any\n${line}`).grants[0]?.publish[0]?.topic.text

  test.each([
    ['  pub a', 'a'], ['\tpub\ta\t', 'a'], [' \t pub \t a # b', 'a'], ['  pub a#b', undefined], ['  pub "a b"', 'a b'], ['  pub "a#b"', undefined], ['  pub #', '#'], ['  pub # ', '#'], ['  pub #\t#', '#'], ['  pub "#"', '#'], ['  pub a/# # b', 'a/#'], ['  pub "\\"" # "', '"'], ['  pub "\\u00e4\\\\"', 'ä\\'], ['  pub "" ', undefined],
    ["  pub 'a", "'a"], ['  pub a,b=c', 'a,b=c'], ['  pub qos<=1', 'qos<=1'], ['  pub a\u00A0b', 'a\u00A0b'], ['  pub "pub"', 'pub'], ['  "pub" a', 'a'], ['  pub {a}[b]:-&*!|>%@`', '{a}[b]:-&*!|>%@`'], ['  pub ${device.id}', '${device.id}'],
  ])('%j is a line for the topic %j', (line, topic) => {
    expect(problemsOf(`any\n${line}`).length === 0 ? topicOf(line) : undefined).toBe(topic)
  })

  test('an empty file, one of comments, and one with a mark of its byte order are policies', () => {
    for (const text of ['', '\n', '# a\n  # b\n\t#c', '\uFEFF', '   \n\t\n', '\r\n\r\n']) expect([text, problemsOf(text)]).toEqual([text, []])
    expect(documentOf('p.policy', '\uFEFFany\r\n  pub a\r\n').grants[0]?.publish[0]?.topic.text).toBe('a')
    expect(documentOf('p.policy', 'any\n  pub a').grants[0]?.publish).toHaveLength(1)
  })
})

describe('ids that nobody wrote', () => {
  const ids = (text: string): readonly string[] => {
    const { grants, deny } = documentOf('p.policy', text)
    return [...grants, ...deny].map(({ id }) => id)
  }

  test('come from the target, or from the topic that is denied', () => {
    expect(ids('group sensors\ndevice d1\nca f\ntenant t\nany\ndeny any\ndeny group g\ndeny pub a\ndeny sub a\ndeny recv a\ndeny pub a/b\nattr a=b')).toEqual(['group.sensors', 'device.d1', 'ca.f', 'tenant.t', 'any', expect.stringMatching(/^attr\.[0-9a-f]{12}$/), 'deny.any', 'deny.group.g', 'deny.pub.a', 'deny.sub.a', 'deny.recv.a', expect.stringMatching(/^deny\.pub\.[0-9a-f]{12}$/)])
  })

  test('stay what they are, whatever stands around the rule and wherever it stands', () => {
    const [attr, deny] = ids('attr model=X1 site=north,south\ndeny pub t/+/admin/#')
    expect(ids('deny pub x\n\n# more\ndeny pub t/+/admin/#   # note\n  recv audit/#\nany\nattr   site=south,north model="X1"\n  pub a qos<=1')).toEqual(['any', attr, 'deny.pub.x', deny])
    expect(ids('deny pub t/+/admin/+')).not.toContain(deny)
    expect(ids('deny sub t/+/admin/#')).not.toContain(deny)
    expect(ids('attr model=X1 site=north')).not.toContain(attr)
  })

  test('are short, whatever they come from, and taken once', () => {
    const long = 'x'.repeat(64)
    expect(ids(`group ${long}\ndeny group ${long}`)).toEqual([expect.stringMatching(/^group\.[0-9a-f]{12}$/), expect.stringMatching(/^deny\.group\.[0-9a-f]{12}$/)])
    expect(problemsOf('group g\ngroup g\n  id other')).toEqual([])
    expect(problemsOf('group g\n\ngroup g')).toEqual(['3:1: the rule id "group.g" is taken, by p.policy:1. Give every rule an id of its own. [rule group.g]'])
    expect(problemsOf('deny pub a/b\ndeny pub a/b')[0]).toMatch(/^2:1: the rule id "deny\.pub\.[0-9a-f]{12}" is taken, by p\.policy:1\./)
  })
})

describe('what is wrong is told at its place, all at once', () => {
  test.each<readonly [string, ...string[]]>([
    ['gruop sensors\n  pub a+\n  pbu x', '1:1: no rule begins with "gruop". Did you mean "group"?', '2:7: the topic of publish: "a+" is not a topic filter (level a+). A "+" fills a level alone, a "#" is the last level, alone.', '3:3: a grant has no line "pbu". Did you mean "pub"?'],
    ['pub a', '1:1: no rule begins with "pub". Indent it below a line such as: group sensors'],
    ['when tls=1.3', '1:1: no rule begins with "when". Indent it below a line such as: group sensors'],
    ['  pub a', '1:3: no rule stands above this line. What is not indented begins a rule: group sensors'],
    ['group p contains a\n  pub a', '2:3: no rule stands above this line. What is not indented begins a rule: group sensors'],
    ['onDeny drop\n  pub a', '2:3: no rule stands above this line. What is not indented begins a rule: group sensors'],
    ['any\n  group b', '2:3: "group" is no line of a rule. A line that begins with group is not indented.'],
    ['any\n  deny pub a', '2:3: "deny" is no line of a rule. A line that begins with deny is not indented.'],
    ['user bob\ntopic read a', `1:1: no rule begins with "user". ${HEADS}`, `2:1: no rule begins with "topic". ${HEADS}`],
    ['group', '1:6: the name of the group is missing. Write: group NAME'],
    ['group a b', '1:9: "b" is not expected here. A group of groups is written: group plant contains line-1 line-2'],
    ['device a contains b', '1:10: "contains" is not expected here. Begin another line.'],
    ['group a contains', '1:17: the name of a group is missing. A group of groups is written: group plant contains line-1 line-2'],
    ['group a contains a', '1:7: the groups contain each other in a circle: a → a. Take one of them out of the other.'],
    ['group "a b"', '1:7: group must be a name, not "a b". Names are 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or digit.'],
    ['any x', '1:5: "x" is not expected here. Begin another line.'],
    ['attr', '1:5: the attribute is missing. Write: attr model=X1 site=north,south'],
    ['attr model', '1:6: "model" is no term of attr. Write: attr model=X1 site=north,south'],
    ['attr model>=3', '1:6: an attribute is not written with ">=". Write: attr model=X1 site=north,south'],
    ['attr a=1 b=2 a=3', '1:14: the attribute a is said already. Say it once, with all of its values.'],
    ['attr a=b/c', '1:6: attr: no device can have this attribute: value of a: b/c. Attribute names are letters, digits and _; values have no / + # and no control characters.'],
    ['deny', '1:5: what is denied is missing. Write: deny pub t/+/admin/#, deny any, or deny group sensors'],
    ['deny everything', '1:6: deny knows no "everything". Known: pub, sub, recv, any, group, device, ca, tenant, attr.'],
    ['deny will a', '1:6: deny knows no "will". Known: pub, sub, recv, any, group, device, ca, tenant, attr.'],
    ['deny pub', '1:9: the topic of pub is missing. Write: pub t/${device.id}/#'],
    ['deny pub a b', '1:12: "b" is no term of pub. It has none; what has blanks in it is quoted.'],
    ['deny any\n  will a\n  pub a qos<=1', '2:3: a deny rule has no line "will". Known: id, when, pub, sub, recv, onDeny.', '3:9: unknown term "qos" of pub. It has none.'],
    ['deny any\n  onDeny dropp', '2:10: onDeny must be drop or disconnect, not dropp. Did you mean "drop"?'],
    ['quarantine\n  id x\nquarantine', '2:3: quarantine has no line "id". Known: connect, pub, sub, will.', '3:1: quarantine is said already, in line 1. Say it once, with all that it allows.'],
    ['quarantine x', '1:12: "x" is not expected here. Begin another line, or quote what has blanks in it.'],
    ['identity', '1:1: the identity rule does not say where the device id comes from. Add, for example, device: "${cert.subject.CN}".', '1:9: the name of the CA is missing. Write: identity factory-2026'],
    ['identity f\n  device x y\n  device\n  register maybe', '2:12: "y" is not expected here. Begin another line, or quote what has blanks in it.', '3:3: device is said already, in line 2. Say it once for each rule.', '3:9: the value of device is missing. Write: device ${cert.subject.CN}', '4:12: register must be known or auto, not maybe.'],
    ['identity f\n  device x\n  group y', '3:3: "group" is no line of a rule. A line that begins with group is not indented.'],
    ['identity f\n  device ${device.id}', '2:10: device: ${device.id} is not known yet: the certificate is read to find the device. Use a variable of the certificate, such as ${cert.subject.CN}.'],
    ['version 2', '1:9: version must be 1, not 2.'],
    ['version', '1:8: the value of version is missing. Write: version 1'],
    ['strictDeny true\nstrictDeny yes\nstrictDeny no', '1:12: strictDeny must be yes or no, not true.', '3:1: strictDeny is said already, in line 2. Say it once.'],
    ['onDeny\nretained hidden', '1:7: the value of onDeny is missing. Write: onDeny disconnect', '2:10: retained must be hide or keep or purge, not hidden. Did you mean "hide"?'],
    ['onDeny drop drop', '1:13: "drop" is not expected here. Begin another line, or quote what has blanks in it.'],
    ['any\n  id a\n  id b', '3:3: id is said already, in line 2. Say it once for each rule.'],
    ['any\n  id a b', '2:8: "b" is not expected here. Begin another line, or quote what has blanks in it.'],
    ['any\n  publish a\n  subscribe a\n  receive a', '2:3: a grant has no line "publish". Did you mean "pub"?', '3:3: a grant has no line "subscribe". Did you mean "sub"?', '4:3: a grant has no line "receive". Known: id, when, connect, pub, sub, will.'],
    ['deny any\n  receive a', '2:3: a deny rule has no line "receive". Did you mean "recv"?'],
    ['any\n  pub', '2:6: the topic of pub is missing. Write: pub t/${device.id}/#'],
    ['any\n  pub a b', '2:9: "b" is no term of pub. A term is written as qos<=1; what has blanks in it is quoted.'],
    ['any\n  pub a qos=1', '2:9: qos is not written with "=". Write: qos<=1'],
    ['any\n  pub a qos<=3', '2:14: qos must be a whole number from 0 to 2, not 3.'],
    ['any\n  pub a qos<="1"', '2:14: qos must be a whole number from 0 to 2, not "1". Write it without quotes.'],
    ['any\n  pub a qos<=1 qos<=2', '2:16: qos is said already, in line 2. Say it once.'],
    ['any\n  pub a qos<=1,2', '2:16: qos has one value. A comma in it is quoted.'],
    ['any\n  pub a retain=maybe', '2:16: retain must be yes or no, not maybe.'],
    ['any\n  pub a retain=true', '2:16: retain must be yes or no, not true.'],
    ['any\n  pub a maxBytes=5', '2:9: unknown term "maxBytes" of pub. Did you mean "max"?'],
    ['any\n  pub a max=8kb', '2:13: maxBytes must be a size, not 8kb. Write bytes: 512, 8KiB or 1MiB.'],
    ['any\n  pub a rat=20/s', '2:9: unknown term "rat" of pub. Did you mean "rate"?'],
    ['any\n  pub a burst=5', '2:9: burst needs a rate. Say how often, too: a rate such as 20/s.'],
    ['any\n  pub a __proto__=1', '2:9: "__proto__=1" is no term of pub. A term is written as qos<=1; what has blanks in it is quoted.'],
    ['any\n  pub a constructor=1', '2:9: unknown term "constructor" of pub. Known: qos, retain, max, rate, burst.'],
    ['any\n  sub a retain=yes', '2:9: unknown term "retain" of sub. Known: qos, wildcard, share.'],
    ['any\n  sub a wildcard=filtr', '2:18: wildcard must be contain or forbid or filter, not filtr. Did you mean "filter"?'],
    ['any\n  sub a share=b, c', '2:17: a value is missing. Write values without blanks, as a,b; or in quotes: "a b".'],
    ['any\n  sub a share=', '2:15: a value is missing. Write values without blanks, as a,b; or in quotes: "a b".'],
    ['any\n  sub a share=a,', '2:17: a value is missing. Write values without blanks, as a,b; or in quotes: "a b".'],
    ['any\n  sub a share="a"b', '2:18: a blank is missing. Write values without blanks, as a,b; or in quotes: "a b".'],
    ['any\n  sub a share=a"b"', '2:16: a blank is missing. Write values without blanks, as a,b; or in quotes: "a b".'],
    ['any\n  will a rate=1/s', '2:10: unknown term "rate" of will. Known: qos, retain, max.'],
    ['any\n  pub "a b', '2:7: the quote is not closed. Close it in the same line.'],
    ['any\n  pub a"b', '2:8: a quote stands in the middle of a word. Quote the whole word, and write \\" for a quote in it.'],
    ['any\n  pub "a"b', '2:10: a blank is missing. Write values without blanks, as a,b; or in quotes: "a b".'],
    ['any\n  pub "\\x"', '2:7: "\\x" is not quoted text. Inside quotes, write \\" \\\\ \\t \\n or \\u20ac as in JSON.'],
    ['any\n  pub "a\tb"', '2:7: "a\\u{9}b" is not quoted text. Inside quotes, write \\" \\\\ \\t \\n or \\u20ac as in JSON.'],
    ['any\n  pub #x', '2:7: the topic of pub is missing. Write: pub t/${device.id}/#'],
    ['any\n  pub # all of them', '2:9: "all" is no term of pub. A term is written as qos<=1; what has blanks in it is quoted.'],
    ['any\n  when', '2:7: what it says is missing. Write: when source=10.0.0.0/8'],
    ['any\n  connect # nothing', '2:11: what it says is missing. Write: connect clientId=${device.id}'],
    ['any\n  when tls<1.3', '2:8: tls is not written with "<". Write: tls>=1.3'],
    ['any\n  when tls=1.4', '2:12: tls must be a version of TLS. Write "1.3", "1.2" or ">=1.2".'],
    ['any\n  when tls=1.2\n  when tls=1.3', '3:8: tls is said already, in line 2. Say it once.'],
    ['any\n  when from=25:00 zone=Mars', '2:13: from must be a time of day. Write hours and minutes in quotes: "06:00".', '2:24: zone: "Mars" is no time zone. Write a name of the IANA time zone database, such as Europe/Berlin or UTC.'],
    ['any\n  when from=08:00 to=08:00', '2:8: time: the window is empty. A window that ends when it begins has no time in it; leave out from and to for the whole day.'],
    ['any\n  when certificateAge=1d', '2:8: certificateAge is not written with "=". Write: certificateAge<90d'],
    ['any\n  when certificateAge>=1d certificateAge>=2d', '2:24: certificateAge must be bounds of an age. Write "<90d", ">=1d" or ">=1d <90d".'],
    ['any\n  when source=10.0.0.0/33,::1', '2:15: source: "10.0.0.0/33" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.'],
    ['any\n  connect sessions=many', '2:20: sessions must be a whole number from 1 to 32, not "many".'],
    ['any\n  connect session=1', '2:11: unknown term "session" of connect. Did you mean "sessions"?'],
    ['any\n  connect clientId=a*b', '2:20: only the last character of a client id pattern may be "*".'],
  ])('%j', (text, ...problems) => {
    expect(problemsOf(text).map(withoutRule)).toEqual(problems)
  })

  test.each([
    ['group g\n  pub a+\n  sub "x', ['group.g', 'group.g']], ['group g\n  pub a+ qos<=7\n  pbu x\n  id mine', ['mine', 'mine', 'mine']], ['any\n  id a b\n  pub x y\n\nany\n  pub #x', ['a', 'a', 'any']], ['deny pub a+\n  id a/b', [undefined, undefined]],
    ['quarantine\n  pub a+', ['quarantine']], ['gruop x\n  pub a+', ['line-1', 'line-1']], ['onDeny nothing\n  pub a', [undefined, undefined]],
  ])('with the id of its rule, wherever that is said: %j', (text, expected) => {
    expect(problemsOf(text).map((problem) => / \[rule (.+)\]$/.exec(problem)?.[1])).toEqual(expected)
  })

  test('a line that is wrong leaves the others their say', () => {
    expect(problemsOf(`any\n  pub "x\n  sub a+\ngroup g+\n  pub a qos<=9\nonDeny nothing\n`).map((p) => p.split(': ')[0])).toEqual(['2:7', '3:7', '4:7', '5:14', '6:8'])
  })

  test('a hostile line is shown without its control characters, and short', () => {
    for (const text of [`\u001B[2J${'x'.repeat(10_000)}`, `any\n  pub a \u001B[2J${'y'.repeat(10_000)}`, `any\n  pub "\\q\u001B${'z'.repeat(10_000)}"`]) {
      const [problem = ''] = problemsOf(text)
      expect(problem).toMatch(/^[\x20-\x7e…]+$/)
      expect(problem.length).toBeLessThan(400)
    }
  })
})

describe('texts that are made to hurt', () => {
  test.each<[string, string]>([
    ['a line without an end', `any\n  pub ${'a '.repeat(1_000_000)}`], ['a quote without an end', `any\n  pub "${'\\"'.repeat(1_000_000)}`], ['a million empty lines', '\n'.repeat(1_000_000)], ['a million commas', `any\n  sub a share=${','.repeat(1_000_000)}`],
    ['a million values', `any\n  sub a share=${'a,'.repeat(1_000_000)}a`], ['half a million heads', 'x\n'.repeat(500_000)], ['blanks', ' '.repeat(8_000_000)], ['terms', `any\n  pub a ${'qos<=1 '.repeat(500_000)}`],
  ])('%s is answered in time that grows with it', (_, text) => {
    expect(problemsOf(text).length).toBeLessThanOrEqual(2_002)
  })

  test('8 MiB are read, and a byte more is refused', () => {
    const mib8 = 8 * 1_024 * 1_024
    expect(problemsOf(`#${'x'.repeat(mib8 - 1)}`)).toEqual([])
    expect(problemsOf(`#${'x'.repeat(mib8)}`)).toEqual([`1:1: the file is larger than ${mib8} bytes.`])
  })

  test('any text at all gives a tree, or problems with places in it', () => {
    const fragments = fc.constantFrom('group', 'any', 'deny', 'pub', 'sub', 'recv', 'when', 'id', 'attr', 'identity', 'quarantine', 'contains', ' ', '  ', '\t', '\n', '\r\n', '"', '\\', '#', '/', '+', 'a', 'a=b', 'qos<=1', '=', '<=', ',', '${device.id}', '\0', '\uFEFF', '\uD800', '😀')
    const walk = (node: SourceNode): readonly number[] => [node.at.line, ...(node.kind === 'list' ? node.items.flatMap(walk) : node.kind === 'map' ? node.entries.flatMap(({ value }) => walk(value)) : [])]
    fc.assert(fc.property(fc.array(fragments, { maxLength: 40 }).map((parts) => parts.join('')), (text) => {
      const count = text.split('\n').length
      const { tree, problems } = readLines('p', text)
      expect(Math.max(...(tree === undefined ? [] : walk(tree)), ...problems.map(({ at }) => at.line), 1)).toBeLessThanOrEqual(count)
      expect(Array.isArray(problemsOf(text))).toBe(true)
    }), { numRuns: 2_000 })
  })
})
