// AWS IoT policies as a policy: the examples of AWS's own documentation, with the nearest deny; what is told; and that the
// translation brings no message that a small model of AWS does not allow, and admits no filter that it denies.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Grants } from '../../../src/core/policy/grants.ts'
import { parseAwsTarget } from '../../../src/core/policy/import-aws.ts'
import { leaf, nameOf } from '../facts.ts'
import { awsImport, filtersOf, fromAws, matcher, problemsOf, topicsOf, translated, type Who } from './imports.ts'

const RUNS = 400
const ARN = 'arn:aws:iot:us-east-1:123456789012:'
const THING = '${iot:Connection.Thing.ThingName}'

type Statement = Readonly<Record<string, unknown>>
const policy = (...statements: readonly Statement[]) => ({ Version: '2012-10-17', Statement: statements })
const said = (effect: 'Allow' | 'Deny', action: string | readonly string[], resource: string | readonly string[], more: Statement = {}): Statement =>
  ({ Effect: effect, Action: action, Resource: typeof resource === 'string' ? at(resource) : resource.map(at), ...more })
const at = (resource: string): string => (resource === '*' ? '*' : ARN + resource)
const allow = (action: string | readonly string[], resource: string | readonly string[], more: Statement = {}): Statement => said('Allow', action, resource, more)
const deny = (action: string | readonly string[], resource: string | readonly string[], more: Statement = {}): Statement => said('Deny', action, resource, more)
const CONNECT = allow('iot:Connect', `client/${THING}`)

const publishes = (grants: Grants, ...topics: readonly string[]): readonly string[] => topics.map((topic) => grants.publish(topic, 1, false, 0).effect)
const subscribes = (grants: Grants, ...filters: readonly string[]): readonly string[] => filters.map((filter) => grants.subscribe(filter, 1).effect)
const lost = (told: readonly string[]): readonly string[] => told.filter((line) => !line.startsWith('remark'))

describe('the examples of the documentation', () => {
  test('a thing publishes below its name, but for bar', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow('iot:Publish', `topic/${THING}/*`), deny('iot:Publish', `topic/${THING}/bar`)))
    const g = grants({ id: 't1' })
    expect([publishes(g, 't1/foo', 't1/foo/x', 't1/'), publishes(g, 't1/bar', 't1', 't2/foo', 't1/foo\0')]).toEqual([['allow', 'allow', 'allow'], ['deny', 'deny', 'deny', 'deny']])
    expect([g.connect('t1').effect, g.connect('t2').effect, g.publish('t1/foo', 2, false, 0).reason, g.publish('t1/foo', 0, true, 0).reason]).toEqual(['allow', 'deny', 'publish-qos', 'publish-retain'])
    expect(told).toEqual([])
  })

  test('publish, subscribe and receive with a prefix: the filter a/# stands, and a itself is not delivered', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow(['iot:Publish', 'iot:Receive'], `topic/${THING}/*`), allow('iot:Subscribe', `topicfilter/${THING}/*`)))
    const g = grants({ id: 't1' })
    expect([subscribes(g, 't1/#', 't1/+', 't1/x/y'), subscribes(g, 't1', '#', '+/x', 't2/x')]).toEqual([['allow', 'allow', 'allow'], ['deny', 'deny', 'deny', 'deny']])
    expect([g.mayReceive('t1/x'), g.mayReceive('t1/x/y'), g.mayReceive('t1'), told]).toEqual([true, true, false, []])
  })

  test('subscribe to one topic that may be received', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow('iot:Subscribe', ['topicfilter/my/topic', 'topicfilter/my/othertopic']), allow('iot:Receive', 'topic/my/topic')))
    const g = grants({ id: 't1' })
    expect([subscribes(g, 'my/topic', 'my/othertopic', 'my/+'), told]).toEqual([['allow', 'deny', 'deny'], ['left-out 14: nothing that it takes is allowed by iot:Receive.']])
  })

  test('a filter with a wildcard of MQTT is that filter, and what is within it', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow('iot:Subscribe', 'topicfilter/some/+/topic'), allow('iot:Receive', 'topic/some/*/topic')))
    const g = grants({ id: 't1' })
    expect([subscribes(g, 'some/+/topic', 'some/x/topic'), subscribes(g, 'some/#', 'some/x/y/topic')]).toEqual([['allow', 'allow'], ['deny', 'deny']])
    expect(told.map((line) => line.slice(0, 30))).toEqual(['remark 12: AWS takes it for th', 'narrowed 17: in AWS * takes an'])
  })

  test('room* has no counterpart', () => {
    const { draft, told } = fromAws(policy(CONNECT, allow('iot:Subscribe', `topicfilter/${THING}/room*`), allow('iot:Receive', `topic/${THING}/room*`)))
    expect([draft.grants.flatMap((g) => g.subscribe), told.map((line) => line.slice(0, 60))]).toEqual([[], ['left-out 12: a wildcard of MQTT takes a whole level: a part ', 'left-out 17: a wildcard of MQTT takes a whole level: a part ']])
  })

  test('devices that are not registered there connect with the client ids that are named', () => {
    const { grants, told } = fromAws(policy(allow('iot:Connect', ['client/client1', 'client/client2']), allow('iot:Publish', 'topic/${iot:ClientId}/*')))
    const g = grants({ id: 'client1' })
    expect([g.connect('client1').effect, g.connect('client3').effect, publishes(g, 'client1/x', 'client2/x')]).toEqual(['allow', 'deny', ['allow', 'deny']])
    expect(lost(told)).toHaveLength(1)
    expect(lost(told)[0]).toContain('Register whoever connects as client1 under that id.')
  })

  test('who is denied to connect may neither send nor receive, and the others may', () => {
    const { grants, told } = fromAws(policy(deny('iot:Connect', ['client/client1', 'client/client2']), CONNECT, allow('iot:Publish', 'topic/t')))
    expect([publishes(grants({ id: 'client1' }), 't'), publishes(grants({ id: 'client3' }), 't'), told]).toEqual([['deny'], ['allow'], ['remark 8: here client1 may connect, and neither send nor receive.', 'remark 9: here client2 may connect, and neither send nor receive.']])
  })

  test('where a device may have several client ids, a deny of one of them is one of all, and is told as a loss', () => {
    const { grants, told } = fromAws(policy(deny('iot:Connect', 'client/client1:a'), allow('iot:Connect', '*'), allow('iot:Publish', 'topic/t')))
    expect([publishes(grants({ id: 'client1' }), 't'), publishes(grants({ id: 'client2' }), 't'), told[0]]).toEqual([['deny'], ['allow'], 'narrowed 7: here client1 may connect, and neither send nor receive, whatever its client id.'])
  })

  test('retained messages, and a Will where CONNECT may have one', () => {
    const { grants, told } = fromAws(policy(allow('iot:Connect', 'client/device1', { Condition: { 'ForAllValues:StringEquals': { 'iot:ConnectAttributes': ['LastWill'] } } }), allow(['iot:Publish', 'iot:RetainPublish'], 'topic/will')))
    const g = grants({ id: 'device1' })
    expect([g.will('will', 1, true, 0).effect, g.will('won', 1, true, 0).effect, g.publish('will', 1, true, 0).effect, g.sessionExpirySecondsMax, told]).toEqual(['allow', 'deny', 'allow', 0, []])
  })

  test.each([
    ['ForAllValues:StringEquals', ['PersistentConnect'], 'deny', undefined], ['ForAllValues:StringEquals', ['PersistentConnect', 'LastWill'], 'allow', undefined],
    ['ForAllValues:StringEquals', [], 'deny', 0], ['ForAllValues:StringNotEquals', ['PersistentConnect'], 'allow', 0],
  ] as const)('%s %j', (operator, values, will, expiry) => {
    const g = fromAws(policy({ ...CONNECT, Condition: { [operator]: { 'iot:ConnectAttributes': values } } }, allow('iot:Publish', 'topic/t'))).grants({ id: 't1' })
    expect([g.will('t', 0, false, 0).effect, g.sessionExpirySecondsMax]).toEqual([will, expiry])
  })

  test('a deny of what a CONNECT has takes that', () => {
    const g = fromAws(policy(CONNECT, allow('iot:Publish', 'topic/t'), deny('iot:Connect', '*', { Condition: { 'ForAnyValue:StringEquals': { 'iot:ConnectAttributes': ['PersistentConnect'] } } }))).grants({ id: 't1' })
    expect([publishes(g, 't'), g.will('t', 0, false, 0).effect, g.sessionExpirySecondsMax]).toEqual([['allow'], 'allow', 0])
  })

  test('a thing that is attached, of a type, with an attribute', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow('iot:Publish', 'topic/device/stats', { Condition: { StringEquals: { 'iot:Connection.Thing.Attributes[envType]': ['a', 'b'], 'iot:Connection.Thing.ThingTypeName': 'T' }, Bool: { 'iot:Connection.Thing.IsAttached': 'true' } } }), allow('iot:Publish', 'topic/${iot:Connection.Thing.Attributes[envType]}/x')))
    const of = (attributes: Who['attributes'] = {}): readonly string[] => publishes(grants({ id: 't1', attributes }), 'device/stats', 'a/x')
    expect([of({ envType: 'a', thingType: 'T' }), of({ envType: 'c', thingType: 'T' }), of({ envType: 'a' }), of(), told]).toEqual([['allow', 'allow'], ['deny', 'deny'], ['deny', 'allow'], ['deny', 'deny'], []])
  })

  test('addresses', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow('iot:Publish', 'topic/t', { Condition: { IpAddress: { 'aws:SourceIp': '123.45.167.89' } } })))
    expect([publishes(grants({ id: 't1', source: '123.45.167.89' }), 't'), publishes(grants({ id: 't1', source: '123.45.167.88' }), 't'), told]).toEqual([['allow'], ['deny'], []])
  })

  test('a deny outside of networks is an allow within them', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow('iot:Publish', ['topic/t', 'topic/u']), deny('iot:Publish', 'topic/t', { Condition: { NotIpAddress: { 'aws:SourceIp': ['10.0.0.0/8'] } } })))
    expect([publishes(grants({ id: 't1', source: '10.1.1.1' }), 't', 'u'), publishes(grants({ id: 't1', source: '11.1.1.1' }), 't', 'u'), told]).toEqual([['allow', 'allow'], ['deny', 'allow'], []])
  })

  test('the common name of the certificate', () => {
    const { grants, told } = fromAws(policy(CONNECT, allow('iot:Publish', 'topic/${iot:Certificate.Subject.CommonName}')))
    expect([publishes(grants({ id: 't1', certificate: leaf({ subject: nameOf('CN=x') }) }), 'x', 't1'), told]).toEqual([['allow', 'deny'], []])
  })

  test('everything', () => {
    const { grants, told } = fromAws(policy(allow('iot:*', '*')))
    const g = grants({ id: 't1' })
    expect([publishes(g, 'a', 'a/b'), subscribes(g, '#', '$share/g/a/#', 'a'), g.publish('a', 1, true, 0).effect, g.mayReceive('a'), g.connect('t1:x').effect, g.connect('x').effect]).toEqual([['allow', 'allow'], ['allow', 'allow', 'allow'], 'allow', true, 'allow', 'deny'])
    expect(told.map((line) => line.slice(0, 50))).toEqual(['narrowed 7: a client id belongs to its device: her'])
  })

  test('a thing may only connect, and does', () => {
    const { grants } = fromAws(policy(CONNECT))
    expect([grants({ id: 't1' }).empty, grants({ id: 't1' }).connect('t1').effect, grants({ id: 't1' }).connect('t2').effect]).toEqual([false, 'allow', 'deny'])
  })
})

describe('what is told', () => {
  const told = (...statements: readonly Statement[]): readonly string[] => fromAws(policy(CONNECT, ...statements)).told.map((line) => line.replace(/ \d+:/, ':'))

  test.each([
    [allow('iot:GetThingShadow', 'thing/x'), 'left-out: this is no action of MQTT: there is no shadow'],
    [deny('iot:GetThingShadow', 'thing/x'), 'remark: this is no action of MQTT, and nothing grants it here'],
    [allow('iot:Publish', 'topicfilter/a'), 'remark: no action of the statement is about a topicfilter'],
    [allow('iot:Publish', 'topic/a/#'), 'remark: no topic name has + or #'],
    [allow('iot:Publish', 'topic/$aws/things/x'), 'left-out: topics that begin with $ are reserved'],
    [allow('iot:Publish', 'topic*'), 'left-out: this is no resource of AWS IoT'],
    [allow('iot:Publish', 'top*/a'), 'left-out: the kind of the resource is left open'],
    [deny('iot:Publish', 'top*/a'), 'narrowed: the kind of the resource is left open'],
    [allow('iot:Publish', 'topic/a?'), 'left-out: a wildcard of MQTT takes a whole level'],
    [deny('iot:Publish', 'topic/a?'), 'narrowed: a wildcard of MQTT takes a whole level: a part of one cannot be left open. Here all that begins like it is denied'],
    [allow('iot:Publish', 'topic/a/*/b'), 'narrowed: in AWS * takes any number of levels'],
    [allow('iot:Publish', 'topic/${iot:CertificateId}'), 'left-out: there is no variable for ${iot:CertificateId}'],
    [deny('iot:Publish', 'topic/${iot:CertificateId}'), 'narrowed: there is no variable for ${iot:CertificateId}'],
    [deny('iot:Publish', 'topic/${iot:Certificate.Subject.CommonName}'), 'narrowed: ${iot:Certificate.Subject.CommonName} may have a "/"'],
    [allow('iot:Publish', 'topic/$${iot:ClientId}'), 'left-out: there is no variable for'],
    [allow('iot:Subscribe', 'topicfilter/$share/g/a'), 'left-out: a grant of a shared subscription'],
    [allow('iot:Publish', 'topic/a', { Condition: { StringLike: { 'iot:ClientId': 'x*' } } }), 'left-out: no policy asks for StringLike of iot:ClientId'],
    [deny('iot:Publish', 'topic/a', { Condition: { StringLike: { 'iot:ClientId': 'x*' } } }), 'narrowed: no policy asks for StringLike of iot:ClientId. Here it is denied without that condition'],
    [allow('iot:Publish', 'topic/a', { Condition: { NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }), 'left-out: a rule is for networks, not for what is outside of them'],
    [allow('iot:Publish', 'topic/a', { Condition: { Bool: { 'iot:Connection.Thing.IsAttached': 'false' } } }), 'remark: the condition never holds'],
    [{ Effect: 'Allow', NotAction: 'iot:Connect', Resource: '*' }, 'left-out: a policy names what it allows'],
    [{ Effect: 'Deny', Action: 'iot:Publish', NotResource: 'x' }, 'narrowed: a policy names what it denies'],
  ])('%j', (statement, expected) => {
    expect(told(statement).filter((line) => line.startsWith(expected))).toHaveLength(1)
  })

  test('its place is that in the file and that in the JSON', () => {
    const { findings } = fromAws(policy(CONNECT, allow('iot:Publish', ['topic/a', 'topic/b?']))).draft
    expect(findings.map(({ at: place, path, original }) => [place, path, original])).toEqual([[{ file: 'policy-1.json', line: 14, column: 5 }, 'Statement[1].Resource[1]', `${ARN}topic/b?`]])
  })

  test('a deny of a wider form than a grant of its kind leaves nothing of it', () => {
    const { grants } = fromAws(policy(CONNECT, allow('iot:Publish', ['topic/a/b', 'topic/x']), deny('iot:Publish', 'topic/a/?')))
    expect(publishes(grants({ id: 't1' }), 'a/b', 'x')).toEqual(['deny', 'allow'])
  })

  test('what begins with a name is denied with its filters', () => {
    const { grants, told: findings } = fromAws(policy(CONNECT, allow(['iot:Subscribe', 'iot:Receive'], '*'), deny('iot:Subscribe', ['topicfilter/a/*', 'topicfilter/#'])))
    const g = grants({ id: 't1' })
    expect([subscribes(g, 'a/#', 'a/b', 'a', '#'), subscribes(g, 'b/#', '+/#', 'b'), g.mayReceive('a/b'), g.mayReceive('b')]).toEqual([['deny', 'deny', 'deny', 'deny'], ['allow', 'allow', 'allow'], false, true])
    expect(lost(findings)).toEqual([
      'narrowed 21: here a itself is denied, too, which Statement[1].Resource allows.',
      'narrowed 21: AWS refuses the filter and delivers its topics by a wider one, as Statement[1].Resource allows; here they are not delivered.',
    ])
  })

  test('a deny of messages is one of messages', () => {
    const { grants, told: findings } = fromAws(policy(CONNECT, allow(['iot:Subscribe', 'iot:Receive'], '*'), deny('iot:Receive', 'topic/a/*')))
    const g = grants({ id: 't1' })
    expect([subscribes(g, '#', 'a/#', 'a/b'), g.mayReceive('a/b'), g.mayReceive('a'), findings]).toEqual([['allow', 'allow', 'allow'], false, true, []])
  })

  test('a deny of the retain flag takes the flag, and of shared subscriptions the sharing', () => {
    const { grants, told: findings } = fromAws(policy(allow('iot:*', '*'), deny('iot:RetainPublish', '*'), deny('iot:Subscribe', 'topicfilter/$share/*')))
    const g = grants({ id: 't1' })
    expect([g.publish('a', 1, true, 0).effect, publishes(g, 'a'), subscribes(g, '$share/g/a', 'a'), lost(findings)]).toEqual(['deny', ['allow'], ['deny', 'allow'], [expect.stringContaining('a client id belongs')]])
  })

  test.each([[allow('iot:Publish', '*')], [deny('iot:Connect', '*'), CONNECT, allow('iot:Publish', '*')], [deny('iot:Connect', 'client/t*'), allow('iot:Connect', 'client/t1'), allow('iot:Publish', '*')], [allow('iot:Connect', 'client/a/b'), allow('iot:Publish', '*')]])('who may not connect may nothing: %j', (...statements) => {
    const { draft, told: findings } = fromAws(policy(...statements))
    expect([draft.grants, draft.deny, findings.some((line) => line.includes('nothing that is left allows iot:Connect'))]).toEqual([[], [], true])
  })

  test('a client id of others that is denied by how it begins goes', () => {
    const { grants } = fromAws(policy(allow('iot:Connect', ['client/a1', 'client/b1', 'client/c*']), deny('iot:Connect', ['client/a*', 'client/c9']), allow('iot:Publish', 'topic/t')))
    const g = grants({ id: 'b1' })
    expect(['a1', 'b1', 'c1', 'c9'].map((id) => g.connect(id).effect)).toEqual(['deny', 'allow', 'deny', 'deny'])
  })
})

describe('whom it is for', () => {
  const one = policy(CONNECT, allow('iot:Publish', 'topic/t'))

  test('a group: others have nothing', () => {
    const { grants } = fromAws(one, { group: 'g' })
    expect([publishes(grants({ id: 't1', groups: ['g'] }), 't'), grants({ id: 't1', groups: ['h'] }).empty]).toEqual([['allow'], true])
  })

  test('of a group attributes cannot be asked for', () => {
    const { told } = fromAws(policy(CONNECT, allow('iot:Publish', 'topic/t', { Condition: { StringEquals: { 'iot:Connection.Thing.Attributes[a]': 'x' } } })), { group: 'g' })
    expect(told).toEqual(['left-out 15: a rule for a group does not ask for the attribute a: import with --to any, and it asks for that instead.'])
  })

  test('policies that are attached together are one', () => {
    const { grants } = translated(awsImport([JSON.stringify(policy(CONNECT)), JSON.stringify(policy(allow('iot:Publish', 'topic/t')))]))
    expect(publishes(grants({ id: 't1' }), 't', 'u')).toEqual(['allow', 'deny'])
  })

  test.each([['any', 'any'], ['sensors', { group: 'sensors' }], ['a b', undefined], ['', undefined]])('--to %j', (text, expected) => {
    expect(parseAwsTarget(text)).toEqual(expected)
  })
})

describe('what is no policy document', () => {
  test.each([
    ['[]', 'policy-1.json:1:1: the policy document must be a mapping'],
    ['{}', 'policy-1.json:1:1: the Version must be'],
    ['{"Version":"2008-10-17","Statement":[]}', 'policy-1.json:1:12: the Version must be "2012-10-17"'],
    ['{"Version":"2012-10-17"}', 'policy-1.json:1:1: the policy has no Statement'],
    ['{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}', 'policy-1.json:1:48: Effect must be'],
    ['{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*"}]}', 'policy-1.json:1:38: the statement needs an Action and a Resource'],
    ['{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}}]}', 'policy-1.json:1:84: unknown key "Conditions"'],
    ['{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[{}],"Resource":"*"}]}', 'policy-1.json:1:66: Statement[0].Action[0] must be a text'],
    ['{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', 'policy-1.json:1:25: not valid YAML: the key "Version" is there already'],
    ['{"policyName":"x","policyDocument":"{}"}', 'policy-1.json:1:1: this is the answer of a command'],
    ['{', 'policy-1.json:1:2: not valid YAML'],
  ])('%s', (text, expected) => {
    expect(problemsOf(awsImport([text]))[0]?.slice(0, expected.length)).toBe(expected)
  })

  test('without statements it is one, and grants nothing', () => {
    expect(fromAws(policy()).draft.grants).toEqual([])
  })
})

// AWS in few words: a text matches by * and ?, a deny wins, Subscribe is of the text of a filter, Receive of each message.
interface Clause { readonly effect: 'Allow' | 'Deny'; readonly action: string; readonly name: string; readonly source?: string | undefined; readonly outside?: string | undefined }
const like = (pattern: string, text: string): boolean => new RegExp(`^${pattern.replaceAll(/[.+^$(){}|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(text)
function model(clauses: readonly Clause[], who: { readonly id: string; readonly clientId: string; readonly source: string }, action: string, name: string): boolean | 'denied' {
  const fitting = clauses.filter((clause) => clause.action === action && (clause.source === undefined || clause.source === who.source) && clause.outside !== who.source && like(clause.name.replaceAll(THING, who.id).replaceAll('${iot:ClientId}', who.clientId), name))
  return fitting.some(({ effect }) => effect === 'Deny') ? 'denied' : fitting.length > 0
}

const ALPHABET = ['a', 'b', '', 'd1']
const TOPICS = topicsOf(ALPHABET, 3)
const FILTERS = filtersOf(ALPHABET, 3)
const TOPICS_OF = new Map(FILTERS.map((filter) => [filter, TOPICS.filter(matcher(filter))]))
const KIND: Readonly<Record<string, string>> = { Publish: 'topic', RetainPublish: 'topic', Receive: 'topic', Subscribe: 'topicfilter' }
const level = fc.constantFrom('a', 'a', 'b', '', 'd1', THING, '${iot:ClientId}', '*', 'a*', '?')
const name = (action: string): fc.Arbitrary<string> => fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.array(action === 'Subscribe' ? fc.oneof({ weight: 6, arbitrary: level }, { weight: 1, arbitrary: fc.constantFrom('+') }) : level, { minLength: 1, maxLength: 2 }), fc.constantFrom('', '', '/*', '/*', ...(action === 'Subscribe' ? ['/#'] : []))).map(([levels, end]) => levels.join('/') + end).filter((text) => text !== '') },
  { weight: 1, arbitrary: fc.constantFrom('*', ...(action === 'Subscribe' ? ['#', '+/#'] : [])) })
const clause: fc.Arbitrary<Clause> = fc.constantFrom('Publish', 'RetainPublish', 'Subscribe', 'Subscribe', 'Receive', 'Receive').chain((action) => fc.record({
  effect: fc.constantFrom<Clause['effect']>('Allow', 'Allow', 'Allow', 'Deny'), action: fc.constant(action), name: name(action), source: fc.constantFrom(undefined, undefined, undefined, '10.0.0.1'),
})).chain((one) => (one.effect === 'Deny' && one.source === undefined ? fc.constantFrom(undefined, undefined, '10.0.0.1').map((outside): Clause => ({ ...one, outside })) : fc.constant<Clause>(one)))

describe('against a model of AWS', () => {
  test('no message more, no filter that is denied; and what nothing is told of is the same', () => {
    let complete = 0
    fc.assert(fc.property(fc.array(clause, { minLength: 1, maxLength: 7 }), fc.constantFrom({ id: 'd1', clientId: 'd1', source: '10.0.0.1' }, { id: 'd1', clientId: 'd1:a', source: '10.0.0.2' }, { id: 'd2', clientId: 'd2', source: '10.0.0.1' }), (clauses, who) => {
      const statements = clauses.map(({ effect, action, name: text, source, outside }) => said(effect, `iot:${action}`, `${KIND[action] ?? ''}/${text}`, {
        ...(source === undefined ? {} : { Condition: { IpAddress: { 'aws:SourceIp': source } } }), ...(outside === undefined ? {} : { Condition: { NotIpAddress: { 'aws:SourceIp': outside } } }),
      }))
      const translation = fromAws(policy(allow('iot:Connect', [`client/${THING}`, `client/${THING}:a`]), ...statements))
      const grants = translation.grants(who)
      const isSilent = translation.told.length === 0
      if (isSilent) complete++
      for (const topic of TOPICS) for (const retain of [false, true]) {
        const ours = grants.publish(topic, 1, retain, 0).effect === 'allow'
        const theirs = model(clauses, who, 'Publish', topic) === true && (!retain || model(clauses, who, 'RetainPublish', topic) === true)
        expect(ours && !theirs, `wider: publish ${topic} ${retain}`).toBe(false)
        if (translation.complete) expect(ours, `publish ${topic} ${retain}`).toBe(theirs)
      }
      const admitted = FILTERS.filter((filter) => model(clauses, who, 'Subscribe', filter) === true)
      const mayReceive = new Set(TOPICS.filter((topic) => model(clauses, who, 'Receive', topic) === true))
      // Whatever a client could get, by all the filters that AWS admits.
      const reachable = new Set(admitted.flatMap((filter) => (TOPICS_OF.get(filter) ?? []).filter((topic) => mayReceive.has(topic))))
      for (const [asked, within] of TOPICS_OF) {
        const ours = grants.subscribe(asked, 1).effect === 'allow'
        const delivered = ours ? within.filter((topic) => grants.mayReceive(topic)) : []
        if (ours) expect(model(clauses, who, 'Subscribe', asked), `denied there: ${asked}`).not.toBe('denied')
        expect(delivered.filter((topic) => !reachable.has(topic)), `wider: ${asked}`).toEqual([])
        if (isSilent) expect([ours, delivered], asked).toEqual([admitted.includes(asked), admitted.includes(asked) ? within.filter((topic) => mayReceive.has(topic)) : []])
      }
    }), { numRuns: RUNS })
    expect(complete).toBeGreaterThan(RUNS / 25)
  }, 120_000)
})
