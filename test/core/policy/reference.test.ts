// src and the reference agree on random policies, devices and requests. The alphabets are small, so that rules meet, deny,
// miss by one level and fill in hostile values all the time. TEST_TRIPLES says how many it must be: a million in CI.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import type { CaName, DeviceId, TenantId } from '../../../src/core/ids.ts'
import { compilePolicy } from '../../../src/core/policy/compile.ts'
import { parsePolicyDocument } from '../../../src/core/policy/read-document.ts'
import { grantsFor, type Grants, type Principal, type Verdict } from '../../../src/core/policy/grants.ts'
import { describeProblem, type SourceNode } from '../../../src/core/source-tree.ts'
import { POLICY_TOOLS } from '../../../src/policy-file.ts'
import { leaf, nameOf } from '../facts.ts'
import { frozenMeter } from './policies.ts'
import { judge, type RefAnswer, type RefAsk, type RefDeny, type RefGrant, type RefPolicy, type RefPrincipal, type RefTarget, type RefTopic, type RefUsed } from './reference.ts'
import type { RefWhen } from './reference-when.ts'

const TRIPLES = Number(process.env['TEST_TRIPLES'] ?? 112_000)
const PRINCIPALS = 4
const REQUESTS = 28
const RUNS = Math.ceil(TRIPLES / (PRINCIPALS * REQUESTS))
/** A million takes a minute or so. */
const TIMEOUT_MS = 60_000 + TRIPLES / 5

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
const pattern = fc.tuple(firstLevel, fc.array(nextLevel, { maxLength: 3 }), pick('', '', '/#', '/#', '#')).map(([first, rest, end]) => (end === '#' ? '#' : [first, ...rest].join('/') + end)).filter((p) => p !== '')

const target: fc.Arbitrary<RefTarget> = pick<RefTarget>(
  'any', 'any', 'any', 'any', { group: 'g1' }, { group: 'g2' }, { group: 'g3' }, { group: 'g4' }, { device: 'd1' }, { device: 'd' }, { ca: 'c1' }, { tenant: 't1' }, { attr: { k: 'a' } }, { attr: { k: ['b', 'd2'] } }, { attr: { k: ['a', 'b'], l: 'x' } },
)
const containments = pick<RefPolicy['groups']>(undefined, undefined, { g3: ['g1'] }, { g3: ['g2', 'g4'], g4: ['g1'] }, { g4: ['g3'], g3: ['g2'], g2: ['g1'] })

// Around the changes of the clock in Berlin (28 March and 31 October 2027), and around the bounds below.
const INSTANTS = [
  '2027-03-28T00:29:59.999Z', '2027-03-28T00:30:00Z', '2027-03-28T00:59:59.999Z', '2027-03-28T01:00:00Z', '2027-03-28T04:00:00Z', '2027-03-28T05:00:00Z', '2027-03-28T07:00:00Z', '2027-03-28T20:00:00Z', '2027-03-28T21:59:59.999Z', '2027-03-28T22:00:00Z',
  '2027-10-31T00:15:00Z', '2027-10-31T00:45:00Z', '2027-10-31T01:00:00Z', '2027-10-31T01:30:00Z', '2027-10-31T05:00:00Z', '2027-10-31T23:59:59.999Z', '2027-11-01T00:00:00Z', '2027-11-05T12:00:00Z',
].map((instant) => Date.parse(instant))
const window = fc.record({ days: pick(['mon-fri'], ['sun'], ['sat-mon', 'wed'], ['sun', 'mon']), from: pick('06:00', '22:00', '02:30', '00:00'), to: pick('07:00', '02:45', '23:00', '24:00', '00:00'), zone: pick('UTC', 'Europe/Berlin', 'Europe/Berlin', 'Australia/Lord_Howe') }, { requiredKeys: [] })
  // From the beginning of the day to its end is written by leaving both out.
  .map((w) => ((w.from ?? '00:00') === (w.to ?? '24:00') ? { ...w, to: '24:00' } : w))
const when: fc.Arbitrary<RefWhen> = fc.oneof(
  pick<RefWhen>(
    { source: '10.0.0.0/8' }, { source: ['192.168.1.0/25', '::1'] }, { source: ['::/0'] }, { source: ['::ffff:10.1.0.0/112', '2001:db8::/33'] }, { source: '0.0.0.0/0' }, { tls: '1.2' }, { tls: '1.3' }, { tls: '>=1.2' }, { tls: '>=1.3' },
    { attested: true }, { attested: false }, { state: 'active' }, { state: 'quarantined' }, { state: ['active', 'quarantined'] },
    { notBefore: '2027-03-28T01:00:00Z' }, { notAfter: '2027-10-31T02:00:00+01:00' }, { notBefore: '2027-03-28T00:30:00Z', notAfter: '2027-10-31T00:45:00Z' }, { certificateAge: '>=1d' }, { certificateAge: '<90d' }, { certificateAge: '>=1h <217d' },
    { source: '10.0.0.0/8', notAfter: '2027-10-31T01:00:00Z' }, { tls: '1.3', state: 'quarantined' }, { source: '10.0.0.0/8', attested: true },
  ),
  window.map((time) => ({ time })),
  fc.tuple(window, pick<RefWhen>({ tls: '1.2' }, { state: ['active', 'quarantined'] }, { certificateAge: '<1d' })).map(([time, more]) => ({ time, ...more })),
)
const sometimes = fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: when })
const some = <T>(of: fc.Arbitrary<T>, max: number): fc.Arbitrary<readonly T[]> => fc.array(of, { maxLength: max })
/** Nearly always one at least: what has none is told of soon. */
const many = <T>(of: fc.Arbitrary<T>, max: number): fc.Arbitrary<readonly T[]> => fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 9, arbitrary: fc.array(of, { minLength: Math.ceil(max / 2), maxLength: max, size: 'max' }) })
const said = (topic: string, rest: object): RefTopic => ({ topic, ...rest })
const sent = fc.oneof(pattern, fc.tuple(pattern, pick({}, { qos: 0 }, { qos: 1 }, { retain: true }, { retain: false }, { maxBytes: 5 }, { qos: 1, retain: true, maxBytes: 5 })).map(([topic, rest]) => said(topic, rest)))
const limited = fc.tuple(pattern, pick({ rate: '2/s' }, { rate: '120/m' }, { rate: '3/m', burst: 1 }, { rate: '1/h', qos: 1 }, { rate: '2/s', burst: 4, retain: true }, { rate: '1/s', maxBytes: 5 })).map(([topic, rest]) => said(topic, rest))
const read = fc.oneof(pattern, fc.tuple(pattern, pick({}, { qos: 0 }, { qos: 1 }, { share: ['g'] }, { qos: 0, share: ['h', 'g*'] }, { wildcard: 'forbid', share: ['*'] }, { wildcard: 'forbid' }, { qos: 1, wildcard: 'forbid' }, { wildcard: 'filter' }, { wildcard: 'filter', qos: 1, share: ['g'] }, { wildcard: 'contain' })).map(([topic, rest]) => said(topic, rest)))
const clientIds = fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: some(pick('${device.id}', '${device.id}:*', '*', 'gw-${device.id}', '${device.attr.k}', '${cert.subject.CN}*'), 2) })

const body = { connect: fc.record({ clientId: clientIds, sessions: pick(undefined, undefined, 2, 5) }), publish: many(fc.oneof({ weight: 3, arbitrary: sent }, { weight: 2, arbitrary: limited }), 4), subscribe: many(read, 4), will: many(sent, 3) }
const grantRule: fc.Arbitrary<Omit<RefGrant, 'id'>> = fc.record({ to: target, when: sometimes, ...body }) as never
const denyRule: fc.Arbitrary<Omit<RefDeny, 'id'>> = fc.record({ to: target, when: sometimes, onDeny: pick(undefined, undefined, 'drop', 'disconnect'), publish: some(pattern, 1), subscribe: some(pattern, 1), receive: some(pattern, 1) }) as never
const policies: fc.Arbitrary<RefPolicy> = fc.record({
  onDeny: pick(undefined, 'drop', 'disconnect'), strictDeny: pick(undefined, undefined, false, true), groups: containments, quarantine: fc.option(fc.record(body), { nil: undefined, freq: 2 }), grants: many(grantRule, 6), deny: some(denyRule, 2),
}).map(({ grants, deny, ...top }) => ({ version: 1, ...top, grants: grants.map((g, i) => ({ id: `g${i}`, ...g })), deny: deny.map((d, i) => ({ id: `d${i}`, ...d })) }) as RefPolicy)

const VALUES = ['a', 'b', 'd2', '', '+', '#', 'a/b', '$s', '${device.id}', 'é', 'e\u0301', 'a\0', 'x'.repeat(129), '\uFFFD']
const ids = pick('d', 'd1', 'd2')
const CERTIFIED_AT = INSTANTS.flatMap((t) => [t, t - 3_600_000, t - 86_400_000]).slice(0, 12)
const principals: fc.Arbitrary<RefPrincipal> = ids.chain((id) => fc.record({
  id: fc.constant(id), tenant: pick('default', 'default', 't1'), groups: pick(['g1'], ['g2'], [], ['g1', 'g2'], ['g4']), ca: pick('c1', 'c2'),
  attributes: fc.tuple(fc.oneof(fc.constant([]), pick(...VALUES).map((v) => [['k', v] as const])), pick([], [], [['l', 'x'] as const])).map(([k, l]) => [...k, ...l]),
  clientId: pick(id, id, `${id}:a`, `${id}:$s`, 'd2', `${id}1`, `gw-${id}`, '$s'),
  subject: pick<[string, string][]>([], [['CN', 'a']], [['CN', 'd1']], [['CN', 'a'], ['CN', 'b']], [['CN', '+']], [['OU', 'a']], [['CN', '$s']]),
  dns: pick([], ['a'], ['b', 'a'], ['#']), uris: pick([], ['spiffe://td/a/b'], ['spiffe://td/a', 'spiffe://td/b'], ['https://x/a', 'spiffe://td/d1'], ['spiffe://td']),
  state: pick('active', 'active', 'active', 'active', 'active', 'active', 'quarantined', 'quarantined', 'suspended'), attested: fc.boolean(), now: pick(undefined, ...INSTANTS),
  connection: pick(undefined, ...['10.0.0.1', '10.1.0.255', '192.168.1.127', '192.168.1.128', '::ffff:10.1.0.1', '::1', '2001:db8:7fff::1', '2001:db8:8000::', '8.8.8.8'].flatMap((source) => ['1.2', '1.3'].map((tls) => ({ source, tls })))),
  issuedAt: pick(undefined, ...CERTIFIED_AT),
})).map(({ connection, issuedAt, now, ...who }) => ({
  ...who, ...connection, ...(now === undefined ? {} : { now }),
  // Without a certificate nothing of one is known.
  ...(issuedAt === undefined ? { subject: [], dns: [], uris: [] } : { issuedAt }),
}))

const topicLevel = pick('a', 'a', 'b', '', 'd1', 'd', 'd2', '$s', '${device.id}', 'x-d1', 'ab', 'g1', 'd:a')
const topic = fc.oneof({ weight: 12, arbitrary: fc.tuple(pick('a', 'b', 'd1', 'd', '', 'a', 'd2', '$s'), fc.array(topicLevel, { maxLength: 4 })).map(([first, rest]) => [first, ...rest].join('/')) }, { weight: 1, arbitrary: pick('#', 'a/+', '', '$SYS/a', 'a\0', '/'.repeat(70), 'a'.repeat(513), 'a/#') })
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

function principalOf(who: RefPrincipal): Principal {
  const subject = nameOf(...who.subject.map(([k, v]) => `${k}=${v}`))
  const names = [...who.dns.map((value) => ({ kind: 'dns' as const, value })), ...who.uris.map((value) => ({ kind: 'uri' as const, value }))]
  return {
    device: { id: who.id as DeviceId, tenant: who.tenant as TenantId, groups: who.groups as never, attributes: Object.fromEntries(who.attributes), state: who.state as Device['state'], createdAt: 0, revision: 1 },
    ca: who.ca as CaName, clientId: who.clientId, now: who.now, attested: who.attested,
    connection: who.source === undefined ? undefined : { source: who.source, tls: who.tls as '1.2' },
    certificate: who.issuedAt === undefined ? undefined : leaf({ subject, subjectAltNames: names, notBefore: who.issuedAt }),
  }
}

const grantsTo = (policy: ReturnType<typeof compilePolicy>, who: RefPrincipal): Grants => grantsFor(policy, principalOf(who), frozenMeter())

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
  if (wanted.reason !== undefined && got.reason !== wanted.reason) return `reason ${got.reason}`
  if (wanted.grantedQos !== undefined && got.grantedQos !== wanted.grantedQos) return `QoS ${got.grantedQos ?? 'none'}`
  if (wanted.onDeny !== undefined && got.onDeny !== wanted.onDeny[got.rule ?? '']) return `onDeny ${got.onDeny ?? 'none'}`
  return undefined
}

describe('src and the reference', () => {
  test(`agree on ${RUNS * PRINCIPALS * REQUESTS} requests, and both say yes and no to every kind`, { timeout: TIMEOUT_MS }, () => {
    const seen = new Map<string, number>()
    const count = (key: string): void => void seen.set(key, (seen.get(key) ?? 0) + 1)
    fc.assert(fc.property(policies, fc.array(principals, { minLength: PRINCIPALS, maxLength: PRINCIPALS }), fc.array(request, { minLength: REQUESTS, maxLength: REQUESTS }), (policy, whos, asks) => {
      const ready = compiled(policy)
      for (const who of whos) {
        const grants = grantsTo(ready, who)
        const used: RefUsed = new Map()
        for (const ask of asks) {
          const wanted = judge(policy, who, ask, used)
          const wrong = difference(asked(grants, ask), wanted)
          if (wrong !== undefined) throw new Error(`${wrong} for ${JSON.stringify(ask)} of ${JSON.stringify(who)}; the reference says ${JSON.stringify(wanted)}`)
          count(`${ask.kind} ${wanted.allow}`)
          if (wanted.reason !== undefined) count(wanted.reason)
        }
      }
    }), { numRuns: RUNS })
    for (const kind of ['connect', 'publish', 'will', 'subscribe', 'receive']) {
      for (const answer of [true, false]) expect([kind, answer, (seen.get(`${kind} ${answer}`) ?? 0) > 200]).toEqual([kind, answer, true])
    }
    const REASONS = ['publish-qos', 'publish-retain', 'publish-size', 'publish-rate', 'publish-denied', 'subscribe-denied', 'receive-denied', 'share-not-granted', 'topic-reserved', 'will-invalid', 'filter-invalid']
    expect(REASONS.filter((reason) => (seen.get(reason) ?? 0) < 50)).toEqual([])
    const answers = [...seen].filter(([key]) => key.includes(' ')).reduce((sum, [, n]) => sum + n, 0)
    expect(answers).toBeGreaterThanOrEqual(TRIPLES)
    if (process.env['TEST_TRIPLES'] !== undefined) console.log(`src and the reference agree on ${answers} triples of policy, device and request.`)
  })

  test('until is honest: the reference answers the same at every instant before it', () => {
    let moved = 0
    fc.assert(fc.property(policies, principals, fc.constantFrom(...INSTANTS), fc.array(request, { minLength: 12, maxLength: 12 }), fc.double({ min: 0, max: 1, noNaN: true }), (policy, somebody, now, asks, place) => {
      const who = { ...somebody, now }
      const { until } = grantsTo(compiled(policy), who)
      const last = (until ?? now + 400 * 86_400_000) - 1
      const answers = (at: number): unknown => asks.map((ask) => judge(policy, { ...who, now: at }, ask, new Map()))
      expect(until ?? Number.POSITIVE_INFINITY).toBeGreaterThan(now)
      expect([answers(last), answers(now + Math.floor((last - now) * place))]).toEqual([answers(now), answers(now)])
      if (until !== undefined) moved += 1
    }), { numRuns: 1_500 })
    expect(moved).toBeGreaterThan(300)
  })

  test('the order of rules does not change what is allowed', () => {
    fc.assert(fc.property(policies, principals, fc.array(request, { minLength: 10, maxLength: 10 }), (policy, who, asks) => {
      const there = grantsTo(compiled(policy), who)
      const back = grantsTo(compiled({ ...policy, grants: policy.grants.toReversed().map((g) => ({ ...g, publish: g.publish?.toReversed() ?? [], subscribe: g.subscribe?.toReversed() ?? [] })), deny: policy.deny.toReversed() }), who)
      for (const ask of asks) {
        const essence = (answer: boolean | Verdict): unknown => (typeof answer === 'boolean' ? answer : [answer.effect, answer.reason, answer.grantedQos])
        expect(essence(asked(there, ask))).toEqual(essence(asked(back, ask)))
      }
    }), { numRuns: 200 })
  })

  test('a rule that is taken away allows nothing more, and a deny that is added neither', () => {
    fc.assert(fc.property(policies, denyRule, principals, fc.array(request, { minLength: 10, maxLength: 10 }), (policy, added, who, asks) => {
      // Every rate has room: what a deny refuses uses none up, and that may leave some for the next message.
      const [whole, fewer, denied] = [policy, { ...policy, grants: policy.grants.slice(1) }, { ...policy, deny: [...policy.deny, { id: 'added', ...added }] }].map((p) => grantsFor(compiled(p), principalOf(who))) as [Grants, Grants, Grants]
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
