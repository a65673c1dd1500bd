// An EMQX acl.conf as a policy: what its rules become, with the nearest deny; how order, which means nothing here, is laid out;
// what is told; and that the translation allows what a small model of EMQX allows, or less and says so.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { importEmqx } from '../../../src/core/policy/import-emqx.ts'
import type { Grants } from '../../../src/core/policy/grants.ts'
import { POLICY_TOOLS } from '../../../src/policy-file.ts'
import { filtersOf, fromEmqx, matcher, problemsOf, topicsOf, type Who } from './imports.ts'

const RUNS = 500
const END = '{deny, all}.\n'
const effects = (grants: Grants, ...topics: readonly string[]): readonly string[] => topics.map((topic) => grants.publish(topic, 0, false, 0).effect)
const filters = (grants: Grants, ...asked: readonly string[]): readonly string[] => asked.map((filter) => grants.subscribe(filter, 0).effect)

describe('the file that EMQX brings', () => {
  const DEFAULT = '{allow, {username, {re, "^dashboard$"}}, subscribe, ["$SYS/#"]}.\n\n{allow, {ipaddr, "127.0.0.1"}, all, ["$SYS/#", "#"]}.\n\n{deny, all, subscribe, ["$SYS/#", {eq, "#"}, {eq, "+/#"}]}.\n\n{allow, all}.\n'
  const { grants, told } = fromEmqx(DEFAULT)

  test('everybody publishes everything, and subscribes to all but the filters "#" and "+/#"', () => {
    const g = grants({ id: 'a' })
    expect([effects(g, 'x', 'x/y/z'), g.will('x', 2, true, 0).effect, g.publish('x', 2, true, 0).effect]).toEqual([['allow', 'allow'], 'allow', 'allow'])
    expect([filters(g, 'x', '+', 'x/y', 'x/+', 'x/y/#', '+/+/#', '$share/g/x/y'), filters(g, '#', '+/#', '$SYS/#')]).toEqual([Array(7).fill('allow'), Array(3).fill('deny')])
    expect(['x', 'x/y', 'x/y/z'].every((topic) => g.mayReceive(topic))).toBe(true)
  })

  test('who comes from 127.0.0.1 may subscribe to "#", and its neighbour may not', () => {
    expect([filters(grants({ id: 'a', source: '127.0.0.1' }), '#'), filters(grants({ id: 'a', source: '127.0.0.2' }), '#')]).toEqual([['allow'], ['deny']])
  })

  test('what is lost is told: $SYS, and x/#', () => {
    expect(filters(grants({ id: 'a' }), 'x/#')).toEqual(['deny'])
    expect(told.map((line) => line.slice(0, 80))).toEqual([
      'left-out 1: $SYS/#: topics that begin with $ are reserved, and nothing grants th',
      'left-out 3: $SYS/#: topics that begin with $ are reserved, and nothing grants th',
      'remark 5: $SYS/#: topics that begin with $ are reserved, and nothing grants them',
      'narrowed 7: line 5 denies +/# as a filter: here other filters of # that end in "',
    ])
  })

  test('without {eq, "+/#"}, as it was before, nothing but $SYS is lost', () => {
    const before = fromEmqx(DEFAULT.replace(', {eq, "+/#"}', ''))
    expect([filters(before.grants({ id: 'a' }), '+/#', 'x/#', '#'), before.told.some((line) => line.startsWith('narrowed'))]).toEqual([['allow', 'allow', 'deny'], false])
  })
})

describe('whom a rule is for', () => {
  const allowed = (who: string, ...asking: readonly Who[]): readonly string[] => {
    const { grants } = fromEmqx(`{allow, ${who}, publish, ["t"]}.\n${END}`)
    return asking.map((each) => grants(each).publish('t', 0, false, 0).effect)
  }

  test.each([
    ['all', [{ id: 'a' }], ['allow']],
    ['{user, "a"}', [{ id: 'a' }, { id: 'b' }], ['allow', 'deny']],
    ['{username, <<"a">>}', [{ id: 'a' }, { id: 'ab' }], ['allow', 'deny']],
    [String.raw`{username, {re, "^a\\.b$"}}`, [{ id: 'a.b' }, { id: 'axb' }], ['allow', 'deny']],
    ['{username, {re, "^a.b$"}}', [{ id: 'a.b' }], ['deny']],
    ['{username, {re, "a"}}', [{ id: 'a' }], ['deny']],
    ['{ipaddr, "10.0.0.0/8"}', [{ id: 'a', source: '10.1.1.1' }, { id: 'a', source: '11.1.1.1' }], ['allow', 'deny']],
    ['{ipaddrs, ["10.0.0.1", "::1"]}', [{ id: 'a', source: '::1' }, { id: 'a', source: '::2' }], ['allow', 'deny']],
    ["{'and', [{user, \"a\"}, {ipaddr, \"10.0.0.1\"}]}", [{ id: 'a', source: '10.0.0.1' }, { id: 'a', source: '10.0.0.2' }, { id: 'b', source: '10.0.0.1' }], ['allow', 'deny', 'deny']],
    ["{'and', [{user, \"a\"}, {'or', [{ipaddr, \"10.0.0.1\"}, {ipaddr, \"10.0.0.2\"}]}]}", [{ id: 'a', source: '10.0.0.2' }, { id: 'a', source: '10.0.0.3' }], ['allow', 'deny']],
    ["{'or', [{user, \"a\"}, {user, \"b\"}]}", [{ id: 'b' }, { id: 'c' }], ['allow', 'deny']],
    ["{'and', [{user, \"a\"}, {user, \"b\"}]}", [{ id: 'a' }, { id: 'b' }], ['deny', 'deny']],
    ["{'or', []}", [{ id: 'a' }], ['deny']],
    ["{'and', []}", [{ id: 'a' }], ['allow']],
    ["{'and', [{ipaddr, \"10.0.0.1\"}, {ipaddr, \"10.0.0.0/8\"}]}", [{ id: 'a', source: '10.0.0.1' }], ['deny']],
    ['{zone, "z"}', [{ id: 'a' }], ['deny']],
    ['{ipaddr, "nonsense"}', [{ id: 'a' }], ['deny']],
  ] as const)('%s', (who, asking, expected) => {
    expect(allowed(who, ...asking)).toEqual(expected)
  })

  test('a client id is one of its device, which then connects with no other', () => {
    const { grants, told } = fromEmqx(`{allow, {clientid, "a"}, publish, ["t"]}.\n${END}`)
    const g = grants({ id: 'a' })
    expect([effects(g, 't'), g.connect('a').effect, g.connect('a:1').effect, grants({ id: 'b' }).empty]).toEqual([['allow'], 'allow', 'deny', true])
    expect(told).toEqual(['narrowed 1: a client id is one of its device: a may now connect with this one alone. To be free of that, write {username, "a"}.'])
  })

  test('whom nobody can name is denied with everybody, and allowed with nobody', () => {
    const { grants, told } = fromEmqx(`{deny, {username, {re, "^guest"}}, publish, ["t/secret"]}.\n{allow, {username, {re, "^guest"}}, publish, ["g"]}.\n{allow, all, publish, ["t/#"]}.\n${END}`)
    expect(effects(grants({ id: 'a' }), 't/secret', 't/x', 'g')).toEqual(['deny', 'allow', 'deny'])
    expect(told.map((line) => line.slice(0, 60))).toEqual(['narrowed 1: no policy asks whether a user name is like a pat', 'left-out 2: no policy asks whether a user name is like a pat'])
  })

  test('a deny of all of it to whom nobody can name leaves the allow out, and those before it alone', () => {
    const { grants, told } = fromEmqx(`{allow, {user, "a"}, publish, ["t/1"]}.\n{deny, {username, {re, "^guest"}}, all, ["#"]}.\n{allow, all, publish, ["t/#"]}.\n${END}`)
    expect([effects(grants({ id: 'a' }), 't/1', 't/2'), told.filter((line) => line.startsWith('left-out'))]).toEqual([['allow', 'deny'], ['left-out 3: line 2 denies it to some before it is asked, and whom cannot be said.']])
  })
})

describe('what an action allows', () => {
  const of = (action: string): Grants => fromEmqx(`{allow, all, ${action}, ["t"]}.\n${END}`).grants({ id: 'a' })

  test.each([
    ['publish', 'allow allow deny'], ['subscribe', 'deny deny allow'], ['all', 'allow allow allow'], ['pubsub', 'allow allow allow'],
    ['{publish, [{retain, false}]}', 'allow deny deny'], ['{publish, [{retain, true}]}', 'deny deny deny'], ['{all, [{retain, all}]}', 'allow allow allow'],
  ])('%s', (action, expected) => {
    const g = of(action)
    expect([g.publish('t', 0, false, 0).effect, g.publish('t', 0, true, 0).effect, g.subscribe('t', 0).effect].join(' ')).toBe(expected)
  })

  test.each([['{publish, [{qos, 0}]}', [true, false, false]], ['{publish, [{qos, [0, 1]}]}', [true, true, false]], ['{publish, [{qos, 1}]}', [false, false, false]], ['{publish, [{qos, 0}, {qos, 2}]}', [true, false, false]]])('%s: a QoS and those below it', (action, expected) => {
    expect(([0, 1, 2] as const).map((qos) => of(action).publish('t', qos, false, 0).effect === 'allow')).toEqual(expected)
  })

  test('a subscription gets the QoS that is allowed', () => {
    expect(of('{subscribe, [{qos, [0, 1]}]}').subscribe('t', 2).grantedQos).toBe(1)
  })
})

describe('what a topic is', () => {
  const allowed = (topic: string, who: Who, ...topics: readonly string[]): readonly string[] => effects(fromEmqx(`{allow, all, publish, [${topic}]}.\n${END}`).grants(who), ...topics)

  test('placeholders are the client id, the user name, an attribute, the common name; in a part of a level, too', () => {
    const who = { id: 'a', clientId: 'a:1', attributes: { site: 'n' } }
    expect(allowed('"${clientid}/${username}/x-${client_attrs.site}"', who, 'a:1/a/x-n', 'a/a/x-n', 'a:1/a/x-m')).toEqual(['allow', 'deny', 'deny'])
    expect(allowed('"${cn}"', who, 'a')).toEqual(['deny'])
  })

  test('{eq, …} and "eq …" are the text itself', () => {
    expect(allowed('{eq, "${clientid}x"}', { id: 'a' }, 'ax', '${clientid}x')).toEqual(['deny', 'deny'])
    expect(allowed('"eq t/${clientid}"', { id: 'a' }, 't/a', 't/${clientid}')).toEqual(['deny', 'allow'])
  })

  test.each(['"a/%u"', '"${zone}"', '"a$${clientid}"', '"a/b#"', '"$SYS/#"', `"${'x'.repeat(513)}"`])('%s is left out, and told', (topic) => {
    const { told, draft } = fromEmqx(`{allow, all, publish, [${topic}]}.\n${END}`)
    expect([draft.grants, told.map((line) => line.slice(0, 8))]).toEqual([[], ['left-out']])
  })

  test.each([['"a/%u/b"', ['deny', 'deny', 'allow']], ['"a/${zone}"', ['deny', 'deny', 'deny']], ['"a/${cn}"', ['deny', 'deny', 'deny']], ['"a/$${clientid}"', ['allow', 'allow', 'deny']]])('a deny of %s takes more', (topic, expected) => {
    const { grants, told } = fromEmqx(`{deny, all, publish, [${topic}]}.\n{allow, all, publish, ["a/+/b", "a/+"]}.\n${END}`)
    expect([effects(grants({ id: 'x' }), 'a/x/b', 'a/y/b', 'a/x'), told.some((line) => line.startsWith('narrowed') || line.startsWith('left-out'))]).toEqual([expected, true])
  })
})

describe('order', () => {
  test('an allow before a deny of the same stands, and the deny is told to do nothing', () => {
    const { grants, told } = fromEmqx(`{allow, {user, "a"}, publish, ["t/#"]}.\n{deny, {user, "a"}, publish, ["t/x"]}.\n{allow, {user, "a"}, publish, ["#"]}.\n${END}`)
    expect([effects(grants({ id: 'a' }), 't/x', 'u'), told]).toEqual([['allow', 'allow'], ['remark 2: t/x: line 1 allows all of it before this is asked. It is not in the policy.']])
  })

  test('an allow behind a deny of a part of it has the rest', () => {
    const { grants, told } = fromEmqx(`{deny, all, publish, ["t/x"]}.\n{allow, all, publish, ["t/#"]}.\n${END}`)
    expect([effects(grants({ id: 'a' }), 't/x', 't/y'), told]).toEqual([['deny', 'allow'], []])
  })

  test('an allow behind a deny of all of it is told to do nothing', () => {
    const { draft, told } = fromEmqx(`{deny, all, publish, ["t/#"]}.\n{allow, all, publish, ["t/x"]}.\n${END}`)
    expect([draft.grants, draft.deny, told]).toEqual([[], [], ['remark 2: t/x: line 1 denies all of it before it is asked.']])
  })

  test('a deny between two that it meets narrows the first, and says so', () => {
    const { grants, told } = fromEmqx(`{allow, all, publish, ["+/x"]}.\n{deny, all, publish, ["t/#"]}.\n{allow, all, publish, ["#"]}.\n${END}`)
    expect([effects(grants({ id: 'a' }), 't/x', 't/y', 'u/x'), told]).toEqual([['deny', 'deny', 'allow'], ['narrowed 2: t/#: line 1 allows a part of it before this is asked; here a deny wins.']])
  })

  test('a deny that only limits what is behind it limits it', () => {
    const { grants, told, draft } = fromEmqx(`{deny, all, {publish, [{retain, true}]}, ["#"]}.\n{deny, all, {publish, [{qos, 2}]}, ["t/#"]}.\n{allow, all, publish, ["t/#"]}.\n${END}`)
    const g = grants({ id: 'a' })
    expect([g.publish('t', 1, false, 0).effect, g.publish('t', 1, true, 0).effect, g.publish('t', 2, false, 0).effect, draft.deny, told]).toEqual(['allow', 'deny', 'deny', [], []])
  })

  test('a deny of a subscription is one of its messages, too, and says so', () => {
    const { grants, told } = fromEmqx(`{deny, all, subscribe, ["t/secret"]}.\n{allow, all, subscribe, ["t/#"]}.\n${END}`)
    const g = grants({ id: 'a' })
    expect([filters(g, 't/secret', 't/#', 't/x'), g.mayReceive('t/secret'), g.mayReceive('t/x')]).toEqual([['deny', 'allow', 'allow'], false, true])
    expect(told).toEqual(['narrowed 1: t/secret: EMQX refuses the filter and delivers its topics by a wider one; here they are not delivered.'])
  })

  test('a/# is refused where EMQX takes it for a filter within a/+ that is denied, and is not granted with a/+', () => {
    const denied = fromEmqx(`{deny, all, subscribe, ["a/+"]}.\n{allow, all, subscribe, ["a/#"]}.\n${END}`).grants({ id: 'x' })
    expect(filters(denied, 'a/#', 'a/+', 'a/b', 'a', 'a/+/c', 'a/b/#')).toEqual(['deny', 'deny', 'deny', 'allow', 'allow', 'allow'])
    const granted = fromEmqx(`{allow, all, subscribe, ["a/+"]}.\n${END}`)
    expect([filters(granted.grants({ id: 'x' }), 'a/#', 'a/+'), granted.told]).toEqual([['deny', 'allow'], ['narrowed 1: EMQX takes a/# for a filter within a/+; here it is none.']])
  })

  test('without a last rule for everybody it is told what becomes of the rest', () => {
    expect(fromEmqx('{allow, {user, "a"}, all, ["#"]}.').told).toEqual(['narrowed 1: what no rule matches is up to authorization.no_match, which is allow unless the configuration says deny; here it is denied. If it is deny, end the file with {deny, all}.'])
    expect([fromEmqx('').told.length, fromEmqx(END).told, fromEmqx('{allow, all}.').told]).toEqual([1, [], []])
  })
})

describe('what EMQX does not load is no acl.conf', () => {
  test.each([
    ['allow.', '1:1: this is no rule'], ['{allow}.', '1:1: this is no rule'], ['{allow, {user, "a"}}.', '1:1: this is no rule'], ['{maybe, all}.', '1:1: this is no rule'],
    ['{allow, all, publish, ["a"], x}.', '1:1: this is no rule'], ['{allow, all, publish, "a"}.', '1:23: the topics must be a list'], ['{allow, all, constructor, []}.', '1:14: this is no action'],
    ['{allow, all, {publish, [{qos, 3}]}, []}.', '1:25: this is no option'], ['{allow, all, {subscribe, [{retain, true}]}, []}.', '1:27: this is no option'], ['{allow, all, publish, [a]}.', '1:24: this is no topic'],
    ['{allow, all, publish, ["a"]}', '1:29: a term must end with a dot'],
  ])('%s', (text, expected) => {
    expect(problemsOf(importEmqx('acl.conf', text, POLICY_TOOLS)).map((line) => line.slice(0, 'acl.conf:'.length + expected.length))).toEqual([`acl.conf:${expected}`])
  })

  test('all of it is told at once', () => {
    expect(problemsOf(importEmqx('acl.conf', '{allow}.\n{allow, all, publish, [a]}.', POLICY_TOOLS))).toHaveLength(2)
  })
})

// EMQX's emqx_authz_rule.erl and emqx_topic:match in few words: the first rule whose action, client and topics match; a filter is
// matched word by word, "+" taking any word.
interface Rule { readonly effect: 'allow' | 'deny'; readonly user: string; readonly client: string; readonly source: string; readonly action: 'publish' | 'subscribe' | 'all'; readonly qos: readonly number[]; readonly retain: 'all' | 'true' | 'false'; readonly topic: string; readonly eq: boolean }
const isPattern = (name: string): boolean => /[$^]/.test(name)
const wordsMatch = (asked: readonly string[], rule: readonly string[]): boolean => (rule.length === 1 && rule[0] === '#') || (asked.length === 0 || rule.length === 0 ? asked.length === rule.length : (asked[0] === rule[0] || rule[0] === '+') && wordsMatch(asked.slice(1), rule.slice(1)))
function model(rules: readonly Rule[], who: Required<Pick<Who, 'id' | 'clientId' | 'source'>>, action: 'publish' | 'subscribe', topic: string, qos: number, retain = false): boolean {
  const first = rules.find((rule) => {
    if (rule.action !== 'all' && rule.action !== action) return false
    if (!rule.qos.includes(qos) || (action === 'publish' && rule.retain !== 'all' && rule.retain !== String(retain))) return false
    if ((rule.user !== '' && !(isPattern(rule.user) ? new RegExp(rule.user).test(who.id) : rule.user === who.id)) || (rule.client !== '' && rule.client !== who.clientId) || (rule.source !== '' && rule.source !== who.source)) return false
    if (rule.eq) return rule.topic === topic
    return wordsMatch(topic.split('/'), rule.topic.replaceAll('${username}', who.id).replaceAll('${clientid}', who.clientId).replaceAll('${client_attrs.k}', 'a').split('/'))
  })
  return first?.effect === 'allow'
}

const ALPHABET = ['a', 'b', '', 'd1']
const TOPICS = topicsOf(ALPHABET, 3)
const FILTERS = filtersOf(ALPHABET, 3)
const TOPICS_OF = new Map(FILTERS.map((filter) => [filter, TOPICS.filter(matcher(filter))]))
const level = fc.constantFrom('a', 'a', 'b', '', '+', 'd1', '${username}', '${clientid}', '${client_attrs.k}', '%u')
const pattern = fc.oneof({ weight: 4, arbitrary: fc.tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '', '/#')).map(([levels, end]) => levels.join('/') + end).filter((text) => text !== '') }, { weight: 1, arbitrary: fc.constant('#') })
const rule: fc.Arbitrary<Rule> = fc.record({
  effect: fc.constantFrom('allow', 'allow', 'deny'), user: fc.constantFrom('', '', '', 'd1', 'd2', '^d', '1$'), client: fc.constantFrom('', '', '', '', '', 'd1', 'd1:a'), source: fc.constantFrom('', '', '', '10.0.0.1'), action: fc.constantFrom('publish', 'subscribe', 'all'),
  qos: fc.oneof({ weight: 5, arbitrary: fc.constant([0, 1, 2]) }, { weight: 1, arbitrary: fc.subarray([0, 1, 2], { minLength: 1 }) }), retain: fc.constantFrom('all', 'all', 'all', 'true', 'false'),
  topic: pattern, eq: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
})
const text = (rules: readonly Rule[]): string => rules.map(({ effect, user, client, source, action, qos, retain, topic, eq }) => {
  const who = [...(user === '' ? [] : [isPattern(user) ? `{user, {re, "${user}"}}` : `{user, "${user}"}`]), ...(client === '' ? [] : [`{clientid, "${client}"}`]), ...(source === '' ? [] : [`{ipaddr, "${source}"}`])]
  return `{${effect}, ${who.length === 0 ? 'all' : `{'and', [${who.join(', ')}]}`}, {${action}, [{qos, [${qos.join(', ')}]}${action === 'subscribe' ? '' : `, {retain, ${retain}}`}]}, [${eq ? `{eq, "${topic}"}` : `"${topic}"`}]}.\n`
}).join('')
const everything = (effect: 'allow' | 'deny'): Rule => ({ effect, user: '', client: '', source: '', action: 'all', qos: [0, 1, 2], retain: 'all', topic: '#', eq: false })

describe('against a model of EMQX', () => {
  test('the translation allows what EMQX allows, or less and says so', () => {
    let complete = 0
    fc.assert(fc.property(fc.array(rule, { minLength: 1, maxLength: 6 }), fc.constantFrom('allow', 'deny'), fc.constantFrom({ id: 'd1', clientId: 'd1', source: '10.0.0.1' }, { id: 'd1', clientId: 'd1:a', source: '10.0.0.2' }, { id: 'd2', clientId: 'd2', source: '10.0.0.1' }), (some, last, who) => {
      const rules = [...some, everything(last)]
      const translation = fromEmqx(text(rules))
      const grants = translation.grants({ ...who, attributes: { k: 'a' } })
      if (translation.complete) complete++
      // Who is known by one client id connects with no other, which is told.
      const connects = grants.connect(who.clientId).effect === 'allow'
      expect(connects || !translation.complete).toBe(true)
      if (!connects) return
      for (const topic of TOPICS) for (const qos of [0, 1, 2] as const) for (const retain of [false, true]) {
        const [ours, theirs] = [grants.publish(topic, qos, retain, 0).effect === 'allow', model(rules, who, 'publish', topic, qos, retain)]
        expect(ours && !theirs, `wider: publish ${topic} ${qos} ${retain}`).toBe(false)
        expect(grants.will(topic, qos, retain, 0).effect === 'allow', `Will ${topic}`).toBe(ours)
        if (translation.complete) expect(ours, `publish ${topic} ${qos} ${retain}`).toBe(theirs)
      }
      for (const [asked, within] of TOPICS_OF) for (const qos of [0, 1, 2] as const) {
        const verdict = grants.subscribe(asked, qos)
        const ours = verdict.effect === 'allow' && verdict.grantedQos === qos
        if (verdict.effect === 'allow') expect(model(rules, who, 'subscribe', asked, verdict.grantedQos ?? 3), `wider: ${asked} ${qos}`).toBe(true)
        if (!translation.complete) continue
        expect(ours, `subscribe ${asked} ${qos}`).toBe(model(rules, who, 'subscribe', asked, qos))
        if (ours) expect(within.filter((topic) => !grants.mayReceive(topic)), `delivered by ${asked}`).toEqual([])
      }
    }), { numRuns: RUNS })
    expect(complete).toBeGreaterThan(RUNS / 30)
  }, 120_000)
})
