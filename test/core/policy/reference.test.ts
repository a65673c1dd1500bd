// src and the reference agree on random policies, devices and requests. The alphabets are small, so that rules meet, deny,
// miss by one level and fill in hostile values all the time.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DEFAULT_TENANT, type CaName, type DeviceId } from '../../../src/core/ids.ts'
import { compilePolicy } from '../../../src/core/policy/compile.ts'
import { parsePolicyDocument } from '../../../src/core/policy/read-document.ts'
import { grantsFor, type Grants, type Verdict } from '../../../src/core/policy/grants.ts'
import { describeProblem, type SourceNode } from '../../../src/core/source-tree.ts'
import { POLICY_TOOLS } from '../../../src/policy-file.ts'
import { leaf, nameOf } from '../facts.ts'
import { judge, type RefAnswer, type RefAsk, type RefDeny, type RefGrant, type RefPolicy, type RefPrincipal, type RefTarget, type RefTopic } from './reference.ts'

const RUNS = 1_000
const PRINCIPALS = 4
const REQUESTS = 28

/** Plain data as a tree, without the cost of YAML. */
function tree(value: unknown): SourceNode {
  const at = { file: 'random', line: 1, column: 1 }
  if (Array.isArray(value)) return { kind: 'list', items: value.map(tree), at }
  if (typeof value === 'object' && value !== null) return { kind: 'map', entries: Object.entries(value).filter(([, v]) => v !== undefined).map(([key, v]) => ({ key, keyAt: at, value: tree(v) })), at }
  const plain = value as string | number | boolean
  return { kind: 'scalar', value: plain, text: String(plain), at }
}

const pick = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

const VARIABLES = ['${device.id}', '${device.group}', '${device.attr.k}', '${cert.subject.CN}', '${cert.san.dns[0]}', '${spiffe.path[0]}', '${clientId}']
const firstLevel = pick('a', 'a', 'b', '', '+', 'd1', ...VARIABLES)
const nextLevel = pick('a', 'a', 'b', '', '+', '+', '$s', 'd1', 'x-${device.id}', '${device.attr.k}b', '$${device.id}', ...VARIABLES)
const pattern = fc.tuple(firstLevel, fc.array(nextLevel, { maxLength: 3 }), pick('', '', '/#', '#')).map(([first, rest, end]) => (end === '#' ? '#' : [first, ...rest].join('/') + end)).filter((p) => p !== '')

const target: fc.Arbitrary<RefTarget> = pick<RefTarget>('any', 'any', { group: 'g1' }, { group: 'g2' }, { device: 'd1' }, { device: 'd' }, { ca: 'c1' })
const some = <T>(of: fc.Arbitrary<T>, max: number): fc.Arbitrary<readonly T[]> => fc.array(of, { maxLength: max })
const said = (topic: string, rest: object): RefTopic => ({ topic, ...rest })
const sent = fc.oneof(pattern, fc.tuple(pattern, pick({}, { qos: 0 }, { qos: 1 }, { retain: true }, { retain: false }, { maxBytes: 5 }, { qos: 1, retain: true, maxBytes: 5 })).map(([topic, rest]) => said(topic, rest)))
const read = fc.oneof(pattern, fc.tuple(pattern, pick({}, { qos: 0 }, { qos: 1 }, { share: ['g'] }, { qos: 0, share: ['h', 'g*'] }, { wildcard: 'forbid', share: ['*'] }, { wildcard: 'forbid' }, { qos: 1, wildcard: 'forbid' })).map(([topic, rest]) => said(topic, rest)))
const clientIds = fc.option(some(pick('${device.id}', '${device.id}:*', '*', 'gw-${device.id}', '${device.attr.k}', '${cert.subject.CN}*'), 2), { nil: undefined, freq: 2 })

const grantRule: fc.Arbitrary<Omit<RefGrant, 'id'>> = fc.record({ to: target, connect: fc.record({ clientId: clientIds, sessions: pick(undefined, undefined, 2, 5) }), publish: some(sent, 3), subscribe: some(read, 3), will: some(sent, 2) }) as never
const denyRule: fc.Arbitrary<Omit<RefDeny, 'id'>> = fc.record({ to: target, onDeny: pick(undefined, undefined, 'drop', 'disconnect'), publish: some(pattern, 1), subscribe: some(pattern, 1), receive: some(pattern, 1) }) as never
const policies: fc.Arbitrary<RefPolicy> = fc.tuple(pick(undefined, 'drop', 'disconnect'), some(grantRule, 3), some(denyRule, 2)).map(([onDeny, grants, deny]) => ({
  version: 1, onDeny, grants: grants.map((g, i) => ({ id: `g${i}`, ...g })), deny: deny.map((d, i) => ({ id: `d${i}`, ...d })),
}) as RefPolicy)

const VALUES = ['a', 'b', 'd2', '', '+', '#', 'a/b', '$s', '${device.id}', 'é', 'e\u0301', 'a\0', 'x'.repeat(129), '\uFFFD']
const ids = pick('d', 'd1', 'd2')
const principals: fc.Arbitrary<RefPrincipal> = ids.chain((id) => fc.record({
  id: fc.constant(id), tenant: fc.constant('default'), groups: pick(['g1'], ['g2'], [], ['g1', 'g2']), ca: pick('c1', 'c2'),
  attributes: fc.oneof(fc.constant([]), pick(...VALUES).map((v) => [['k', v] as const])),
  clientId: pick(id, id, `${id}:a`, `${id}:$s`, 'd2', `${id}1`, `gw-${id}`, '$s'),
  subject: pick<[string, string][]>([], [['CN', 'a']], [['CN', 'd1']], [['CN', 'a'], ['CN', 'b']], [['CN', '+']], [['OU', 'a']], [['CN', '$s']]),
  dns: pick([], ['a'], ['b', 'a'], ['#']), uris: pick([], ['spiffe://td/a/b'], ['spiffe://td/a', 'spiffe://td/b'], ['https://x/a', 'spiffe://td/d1'], ['spiffe://td']),
}))

const topicLevel = pick('a', 'a', 'b', '', 'd1', 'd', 'd2', '$s', '${device.id}', 'x-d1', 'ab', 'g1', 'd:a')
const topic = fc.oneof({ weight: 12, arbitrary: fc.array(topicLevel, { minLength: 1, maxLength: 5 }).map((l) => l.join('/')) }, { weight: 1, arbitrary: pick('#', 'a/+', '', '$SYS/a', 'a\0', '/'.repeat(70), 'a'.repeat(513), 'a/#') })
const filterLevel = fc.oneof({ weight: 3, arbitrary: topicLevel }, { weight: 2, arbitrary: fc.constant('+') })
const filter = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(pick('', '', '', '$share/g/', '$share/h2/'), fc.array(filterLevel, { minLength: 1, maxLength: 4 }), pick('', '', '/#')).map(([share, l, end]) => share + l.join('/') + end) },
  { weight: 1, arbitrary: pick('#', '+/#', '$SYS/#', 'a+', 'a/#/b', '', '$share/g', '$share//a', '$share/+/a', '$share/g/#', '$share/g/$share/h/a', 'a\0') },
)
const qos = pick(0, 1, 2)
const request: fc.Arbitrary<RefAsk> = fc.oneof(
  fc.record({ kind: fc.constant('connect' as const), clientId: pick('d', 'd1', 'd2', 'd:a', 'd1:', 'd1:x', 'gw-d1', 'a', '', 'x') }),
  { weight: 4, arbitrary: fc.record({ kind: pick('publish' as const, 'publish' as const, 'will' as const), topic, qos, retain: fc.boolean(), bytes: pick(0, 5, 6) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('subscribe' as const), filter, qos }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('receive' as const), topic }) },
)

function compiled(policy: RefPolicy): ReturnType<typeof compilePolicy> {
  const { document, problems } = parsePolicyDocument([tree(policy)], { ...POLICY_TOOLS, pattern: () => () => true })
  if (document === undefined) throw new Error(problems.map(describeProblem).join('\n'))
  return compilePolicy(document, 1)
}

function grantsTo(policy: ReturnType<typeof compilePolicy>, who: RefPrincipal): Grants {
  const subject = nameOf(...who.subject.map(([k, v]) => `${k}=${v}`))
  const names = [...who.dns.map((value) => ({ kind: 'dns' as const, value })), ...who.uris.map((value) => ({ kind: 'uri' as const, value }))]
  return grantsFor(policy, {
    device: { id: who.id as DeviceId, tenant: DEFAULT_TENANT, groups: who.groups as never, attributes: Object.fromEntries(who.attributes), state: 'active', createdAt: 0, revision: 1 },
    ca: who.ca as CaName, clientId: who.clientId, certificate: leaf({ subject, subjectAltNames: names }),
  })
}

/** src's answer, in the words of the reference. */
function asked(grants: Grants, ask: RefAsk): boolean | Verdict {
  switch (ask.kind) {
    case 'connect':
      return grants.empty ? false : grants.connect(ask.clientId)
    case 'publish':
    case 'will':
      return grants[ask.kind](ask.topic, ask.qos as 0, ask.retain, ask.bytes)
    case 'subscribe':
      return grants.subscribe(ask.filter, ask.qos as 0)
    case 'receive':
      return grants.mayReceive(ask.topic)
  }
}

/** Where they differ; undefined where they agree. */
function difference(got: boolean | Verdict, wanted: RefAnswer): string | undefined {
  if (typeof got === 'boolean') return got === wanted.allow ? undefined : `allow ${got}`
  if ((got.effect === 'allow') !== wanted.allow) return got.effect
  if (got.rule === undefined ? wanted.rules.length > 0 : !wanted.rules.includes(got.rule)) return `rule ${got.rule ?? 'none'}`
  if (wanted.grantedQos !== undefined && got.grantedQos !== wanted.grantedQos) return `QoS ${got.grantedQos ?? 'none'}`
  if (wanted.onDeny !== undefined && got.onDeny !== wanted.onDeny[got.rule ?? '']) return `onDeny ${got.onDeny ?? 'none'}`
  return undefined
}

describe('src and the reference', () => {
  test(`agree on ${RUNS * PRINCIPALS * REQUESTS} requests, and both say yes and no to every kind`, () => {
    const seen = new Map<string, number>()
    fc.assert(fc.property(policies, fc.array(principals, { minLength: PRINCIPALS, maxLength: PRINCIPALS }), fc.array(request, { minLength: REQUESTS, maxLength: REQUESTS }), (policy, whos, asks) => {
      const ready = compiled(policy)
      for (const who of whos) {
        const grants = grantsTo(ready, who)
        for (const ask of asks) {
          const wanted = judge(policy, who, ask)
          const wrong = difference(asked(grants, ask), wanted)
          if (wrong !== undefined) throw new Error(`${wrong} for ${JSON.stringify(ask)} of ${JSON.stringify(who)}; the reference says ${JSON.stringify(wanted)}`)
          const key = `${ask.kind} ${wanted.allow}`
          seen.set(key, (seen.get(key) ?? 0) + 1)
        }
      }
    }), { numRuns: RUNS })
    // Agreement about nothing would be none: each answer occurs often enough to mean something.
    for (const kind of ['connect', 'publish', 'will', 'subscribe', 'receive']) {
      for (const answer of [true, false]) expect([kind, answer, (seen.get(`${kind} ${answer}`) ?? 0) > 200]).toEqual([kind, answer, true])
    }
    expect([...seen.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(100_000)
  })

  test('the order of rules does not change what is allowed', () => {
    fc.assert(fc.property(policies, principals, fc.array(request, { minLength: 10, maxLength: 10 }), (policy, who, asks) => {
      const there = grantsTo(compiled(policy), who)
      const back = grantsTo(compiled({ ...policy, grants: policy.grants.toReversed().map((g) => ({ ...g, publish: g.publish?.toReversed() ?? [], subscribe: g.subscribe?.toReversed() ?? [] })), deny: policy.deny.toReversed() }), who)
      for (const ask of asks) {
        const essence = (answer: boolean | Verdict): unknown => (typeof answer === 'boolean' ? answer : [answer.effect, answer.grantedQos])
        expect(essence(asked(there, ask))).toEqual(essence(asked(back, ask)))
      }
    }), { numRuns: 200 })
  })

  test('a rule that is taken away allows nothing more, and a deny that is added neither', () => {
    fc.assert(fc.property(policies, denyRule, principals, fc.array(request, { minLength: 10, maxLength: 10 }), (policy, added, who, asks) => {
      const whole = grantsTo(compiled(policy), who)
      const fewer = grantsTo(compiled({ ...policy, grants: policy.grants.slice(1) }), who)
      const denied = grantsTo(compiled({ ...policy, deny: [...policy.deny, { id: 'added', ...added }] }), who)
      const allows = (grants: Grants, ask: RefAsk): boolean => {
        const answer = asked(grants, ask)
        return typeof answer === 'boolean' ? answer : answer.effect === 'allow'
      }
      // Terms of connect narrow, so there a rule less may allow more.
      const refused = asks.filter((ask) => ask.kind !== 'connect' && !allows(whole, ask))
      expect(refused.filter((ask) => allows(fewer, ask) || allows(denied, ask))).toEqual([])
    }), { numRuns: 200 })
  })
})
