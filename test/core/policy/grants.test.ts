// The decisions, rule by rule of policy.md (R1–R9, R11, R12): every allow beside its nearest deny.

import * as fc from 'fast-check'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { POLICY_LIMITS } from '../../../src/limits.ts'
import type { Device } from '../../../src/core/device.ts'
import type { CaName } from '../../../src/core/ids.ts'
import { grantsFor, type Grants, type Verdict } from '../../../src/core/policy/grants.ts'
import { device, leaf, nameOf } from '../facts.ts'
import { frozenMeter, grant, grantAndDeny, grantsOf, policyOf, type Asking } from './policies.ts'

/** 'granted', or why not. */
const publish = (g: Grants, topic: string, qos: 0 | 1 | 2 = 0, retain = false, bytes = 0): string => g.publish(topic, qos, retain, bytes).reason
const will = (g: Grants, topic: string, qos: 0 | 1 | 2 = 0, retain = false, bytes = 0): string => g.will(topic, qos, retain, bytes).reason
/** The granted QoS, or why not. */
const subscribe = (g: Grants, filter: string, qos: 0 | 1 | 2 = 0): string | number => {
  const verdict = g.subscribe(filter, qos)
  return verdict.effect === 'allow' ? (verdict.grantedQos ?? -1) : verdict.reason
}

describe('R1: default deny', () => {
  test.each(['', 'version: 1', 'version: 1\ngrants: []\n', 'version: 1\ngrants:\n  - { id: r, to: { group: other }, publish: ["#"], subscribe: ["#"], will: ["#"] }\n', 'version: 1\ndeny:\n  - { id: r, to: any, publish: [x] }\n'])('%j grants nothing, and says so', (text) => {
    const g = grantsOf(text)
    expect(g.empty).toBe(true)
    expect([publish(g, 'a'), subscribe(g, 'a'), will(g, 'a'), g.mayReceive('a')]).toEqual(['publish-not-granted', 'subscribe-not-granted', 'will-not-granted', false])
  })

  test('any grant lets a device connect, even one that grants no topic', () => {
    const g = grantsOf(grant('connect: { sessions: 1 }'))
    expect([g.empty, g.connect('d').reason, publish(g, 'a')]).toEqual([false, 'granted', 'publish-not-granted'])
  })

  test('a grant for publishing is none for subscribing, receiving or a Will, and so on round', () => {
    expect([publish(grantsOf(grant('publish: [a]')), 'a'), subscribe(grantsOf(grant('publish: [a]')), 'a'), will(grantsOf(grant('publish: [a]')), 'a')]).toEqual(['granted', 'subscribe-not-granted', 'will-not-granted'])
    expect([publish(grantsOf(grant('will: [a]')), 'a'), will(grantsOf(grant('will: [a]')), 'a'), grantsOf(grant('will: [a]')).mayReceive('a')]).toEqual(['publish-not-granted', 'granted', false])
    expect([publish(grantsOf(grant('subscribe: [a]')), 'a'), subscribe(grantsOf(grant('subscribe: [a]')), 'a')]).toEqual(['publish-not-granted', 0])
  })
})

describe('R2: deny wins, whatever the order', () => {
  const GRANT = 'grants:\n  - { id: r, to: any, publish: ["a/#"], subscribe: ["a/#"], will: ["a/#"] }\n'
  const DENY = 'deny:\n  - { id: no, to: any, publish: ["a/secret"], subscribe: ["a/secret"], receive: ["a/hidden"] }\n'

  test.each([`version: 1\n${GRANT}${DENY}`, `version: 1\n${DENY}${GRANT}`])('%j', (text) => {
    const g = grantsOf(text)
    expect([publish(g, 'a/secret'), publish(g, 'a/public')]).toEqual(['publish-denied', 'granted'])
    expect([will(g, 'a/secret'), will(g, 'a/public')]).toEqual(['publish-denied', 'granted'])
    expect([subscribe(g, 'a/secret'), subscribe(g, 'a/public')]).toEqual(['subscribe-denied', 0])
    expect([g.mayReceive('a/hidden'), g.mayReceive('a/public')]).toEqual([false, true])
  })

  test('a deny for another group, device or CA denies nothing here', () => {
    for (const to of ['{ group: other }', '{ device: other }', '{ ca: other }']) {
      expect(publish(grantsOf(`${grant('publish: [a]')}deny:\n  - { id: no, to: ${to}, publish: [a] }\n`), 'a')).toBe('granted')
    }
    for (const to of ['any', '{ group: g }', '{ device: d }', '{ ca: issuing-1 }']) {
      expect(publish(grantsOf(`${grant('publish: [a]')}deny:\n  - { id: no, to: ${to}, publish: [a] }\n`), 'a')).toBe('publish-denied')
    }
  })
})

describe('R3: variables', () => {
  test('what cannot be filled in is no grant, and is told once for the audit', () => {
    const g = grantsOf(grant('publish: ["t/${device.attr.x}/#", ok], subscribe: ["${cert.subject.OU}"], will: ["${device.attr.y}"], connect: { clientId: ["${device.attr.z}", "${device.id}"] }'))
    expect([publish(g, 't//a'), publish(g, 't/undefined/a'), publish(g, 't/+/a'), publish(g, 'ok')]).toEqual(['publish-not-granted', 'publish-not-granted', 'topic-invalid', 'granted'])
    expect(subscribe(g, '#')).toBe('subscribe-not-granted')
    expect(g.unresolved).toEqual(['device.attr.x', 'device.attr.y', 'cert.subject.OU', 'device.attr.z'].map((variable) => ({ rule: 'r', variable, effect: 'grant-absent' })))
    expect(g.connect('d').reason).toBe('granted')
  })

  test('what cannot be filled in denies every value', () => {
    const g = grantsOf(grantAndDeny('publish: ["#"], subscribe: ["#"]', 'publish: ["t/${device.attr.x}/cfg"], receive: ["r/${device.attr.x}"], subscribe: ["s/x-${device.attr.x}"]'))
    expect([publish(g, 't/anything/cfg'), publish(g, 't//cfg'), publish(g, 't/a/other'), publish(g, 't/a/b/cfg')]).toEqual(['publish-denied', 'publish-denied', 'granted', 'granted'])
    expect([g.mayReceive('r/1'), g.mayReceive('q/1'), g.mayReceive('s/1')]).toEqual([false, true, false])
    expect([subscribe(g, 's/1'), subscribe(g, 's/+'), subscribe(g, 's/#')]).toEqual(['subscribe-denied', 'subscribe-denied', 0])
    expect(g.unresolved.every((u) => u.effect === 'deny-widened' && u.rule === 'no')).toBe(true)
    expect(g.unresolved).toHaveLength(3)
  })

  test('a deny that can be filled in denies that value alone', () => {
    const g = grantsOf(grantAndDeny('publish: ["#"]', 'publish: ["t/${device.id}/cfg"]'))
    expect([publish(g, 't/d/cfg'), publish(g, 't/e/cfg')]).toEqual(['publish-denied', 'granted'])
  })

  test('a certificate is asked only when the policy speaks of it', () => {
    let asked = 0
    const asking = (text: string): Grants => grantsFor(policyOf(text), {
      device: device('d'), ca: 'issuing-1' as CaName,
      get certificate() {
        asked++
        return leaf({ subject: nameOf('CN=c') })
      },
    })
    expect([publish(asking(grant('publish: ["t/${device.id}"]')), 't/d'), asked]).toEqual(['granted', 0])
    expect([publish(asking(grant('publish: ["t/${cert.subject.CN}"]')), 't/c'), asked > 0]).toEqual(['granted', true])
  })
})

describe('R4: publish', () => {
  const g = grantsOf(grant('publish: [ { topic: "t/+/#", qos: 1, maxBytes: 100 }, { topic: "t/r", qos: 2, retain: true }, { topic: "t/big/#", qos: 0, maxBytes: 1KiB } ]'))

  test.each<[string, 0 | 1 | 2, boolean, number, string]>([
    ['t/a/b', 1, false, 100, 'granted'], ['t/a/b', 2, false, 0, 'publish-qos'], ['t/a/b', 0, true, 0, 'publish-retain'], ['t/a/b', 0, false, 101, 'publish-size'],
    ['t/a', 0, false, 0, 'granted'], ['t', 0, false, 0, 'publish-not-granted'], ['T/a', 0, false, 0, 'publish-not-granted'], ['t//', 0, false, 0, 'granted'],
    ['t/r', 2, true, 1e9, 'granted'], ['t/r/x', 2, false, 0, 'publish-qos'],
    // Of several grants one must allow all of it; they do not lend each other their terms.
    ['t/big/x', 0, false, 1_024, 'granted'], ['t/big/x', 1, false, 100, 'granted'], ['t/big/x', 1, false, 101, 'publish-size'], ['t/big/x', 2, false, 0, 'publish-qos'],
  ])('%s at QoS %d, retain %s, %d bytes: %s', (topic, qos, retain, bytes, expected) => {
    expect(publish(g, topic, qos, retain, bytes)).toBe(expected)
    // From the memory of the session, too.
    expect(publish(g, topic, qos, retain, bytes)).toBe(expected)
  })

  test('of several grants that refuse it, the one that came nearest gives the reason, in whichever order they stand', () => {
    const lines = ['{ topic: t, qos: 0, retain: true }', '{ topic: t, qos: 1, maxBytes: 9 }', '{ topic: t, qos: 1, retain: true, maxBytes: 5 }']
    for (const order of [lines, lines.toReversed(), [lines[1], lines[0], lines[2]], [lines[2], lines[0], lines[1]]]) {
      const nearest = grantsOf(grant(`publish: [ ${order.join(', ')} ]`))
      expect([publish(nearest, 't', 2, true, 99), publish(nearest, 't', 1, true, 6), publish(nearest, 't', 1, false, 10), publish(nearest, 't', 1, false, 9)]).toEqual(['publish-qos', 'publish-size', 'publish-size', 'granted'])
    }
    expect(publish(grantsOf(grant('publish: [ { topic: t, retain: true, qos: 0 }, { topic: t } ]')), 't', 1, true)).toBe('publish-retain')
  })

  test.each([['#', 'topic-invalid'], ['t/+/x', 'topic-invalid'], ['', 'topic-invalid'], ['t/a\0', 'topic-invalid'], ['$SYS/x', 'topic-reserved'], ['$share/g/t/a', 'topic-reserved'], ['$', 'topic-reserved']])('%j is refused whatever is granted', (topic, reason) => {
    expect(publish(grantsOf(grant('publish: ["#", "+/#"]')), topic)).toBe(reason)
  })
})

describe('R5: subscribe', () => {
  const g = grantsOf(grant('subscribe: [ { topic: "cmd/${device.id}/+", qos: 1 }, { topic: "fw/#", wildcard: forbid }, "t/#" ]'))

  test.each<[string, 0 | 1 | 2, string | number]>([
    ['cmd/d/+', 2, 1], ['cmd/d/+', 1, 1], ['cmd/d/+', 0, 0], ['cmd/d/x', 2, 1], ['cmd/d/#', 0, 'subscribe-not-granted'], ['cmd/+/+', 0, 'subscribe-not-granted'], ['cmd/d', 0, 'subscribe-not-granted'], ['cmd/d/x/y', 0, 'subscribe-not-granted'], ['cmd/d2/x', 0, 'subscribe-not-granted'],
    ['fw/a', 2, 2], ['fw', 0, 0], ['fw/a/b', 1, 1], ['fw/#', 0, 'subscribe-not-granted'], ['fw/+', 0, 'subscribe-not-granted'],
    ['t/#', 2, 2], ['t/+/#', 2, 2], ['t', 2, 2], ['#', 0, 'subscribe-not-granted'], ['+/#', 0, 'subscribe-not-granted'], ['+', 0, 'subscribe-not-granted'], ['$SYS/#', 0, 'subscribe-not-granted'],
    ['t/a#', 0, 'filter-invalid'], ['', 0, 'filter-invalid'], ['t/\0', 0, 'filter-invalid'], ['/'.repeat(65_535), 0, 'filter-invalid'],
  ])('%s at QoS %d: %s', (filter, qos, expected) => {
    expect(subscribe(g, filter, qos)).toBe(expected)
  })

  test('of two grants the higher QoS is granted, in whichever order they stand', () => {
    const low = '{ topic: "a/#", qos: 0 }'
    const high = '{ topic: "a/b", qos: 2 }'
    for (const order of [`[ ${low}, ${high} ]`, `[ ${high}, ${low} ]`]) {
      const both = grantsOf(grant(`subscribe: ${order}`))
      expect([subscribe(both, 'a/b', 2), subscribe(both, 'a/b', 1), subscribe(both, 'a/c', 2), subscribe(both, 'a/#', 2)]).toEqual([2, 1, 0, 0])
    }
  })

  test('two grants do not add up to a filter that neither contains', () => {
    const halves = grantsOf(grant('subscribe: [ "a", "a/+", "a/+/#" ]'))
    expect([subscribe(halves, 'a/#'), subscribe(halves, 'a/+/#'), subscribe(halves, 'a')]).toEqual(['subscribe-not-granted', 0, 0])
  })

  test('a shared subscription is judged on its inner filter first, so that the answer tells nothing', () => {
    expect(subscribe(g, '$share/x/t/#')).toBe('share-not-granted')
    expect(subscribe(g, '$share/x/secret/#')).toBe('subscribe-not-granted')
    expect(subscribe(g, '$share/x/#')).toBe('subscribe-not-granted')
    expect(subscribe(g, '$share/x/$share/y/t/#')).toBe('subscribe-not-granted')
    expect(subscribe(g, '$share/x/fw/#')).toBe('subscribe-not-granted')
    expect(subscribe(g, '$share/t/#')).toBe('subscribe-not-granted')
    expect(subscribe(g, '$share/x')).toBe('filter-invalid')
  })

  test('a share name is granted by itself or by its beginning, for the filters of its own grant', () => {
    const shared = grantsOf(grant('subscribe: [ { topic: "t/#", qos: 1, share: [workers, "lab-*"] }, { topic: "u/#", share: ["*"] }, { topic: "t/a", qos: 2 } ]'))
    expect([subscribe(shared, '$share/workers/t/#', 2), subscribe(shared, '$share/lab-/t/+'), subscribe(shared, '$share/lab-7/t/+'), subscribe(shared, '$share/any/u/#', 2)]).toEqual([1, 0, 0, 2])
    expect([subscribe(shared, '$share/worker/t/#'), subscribe(shared, '$share/workers2/t/#'), subscribe(shared, '$share/lab/t/#'), subscribe(shared, '$share/any/#')]).toEqual(['share-not-granted', 'share-not-granted', 'share-not-granted', 'subscribe-not-granted'])
    // The grant with the higher QoS has no share: the other one admits it.
    expect([subscribe(shared, 't/a', 2), subscribe(shared, '$share/workers/t/a', 2), subscribe(shared, '$share/x/t/a', 2)]).toEqual([2, 1, 'share-not-granted'])
  })

  test('a deny that contains the filter refuses it, also when it is shared; one that overlaps narrows what is delivered', () => {
    const narrowed = grantsOf(grantAndDeny('subscribe: ["#"]', 'subscribe: ["s/+"]'))
    expect([subscribe(narrowed, 's/+'), subscribe(narrowed, 's/a'), subscribe(narrowed, '$share/g/s/a')]).toEqual(['subscribe-denied', 'subscribe-denied', 'subscribe-denied'])
    expect([subscribe(narrowed, 's/#'), subscribe(narrowed, '#'), subscribe(narrowed, '+/+')]).toEqual([0, 0, 0])
    expect([narrowed.mayReceive('s/a'), narrowed.mayReceive('s'), narrowed.mayReceive('s/a/b')]).toEqual([false, true, true])
  })
})

describe('R5: wildcard: filter', () => {
  const g = grantsOf(grantAndDeny('subscribe: [ { topic: "t/+/a", wildcard: filter, qos: 1 }, { topic: "u/b", qos: 2 } ]', 'receive: ["t/no/a"]'))

  test.each<[string, string | number]>([
    ['t/x/a', 1], ['t/+/a', 1], ['t/#', 1], ['#', 1], ['+/+/+', 1], ['+/x/#', 1], ['t/no/a', 1], ['t/x/a/#', 1],
    ['t/+', 'subscribe-not-granted'], ['t/x/b', 'subscribe-not-granted'], ['t/x', 'subscribe-not-granted'], ['+/+', 'subscribe-not-granted'], ['t/x/a/b', 'subscribe-not-granted'], ['t/+/a/+', 'subscribe-not-granted'], ['x/#', 'subscribe-not-granted'],
    // The other grant must contain it.
    ['u/b', 2], ['u/+', 'subscribe-not-granted'], ['u/#', 'subscribe-not-granted'],
    ['$SYS/#', 'subscribe-not-granted'], ['$share/g/t/#', 'share-not-granted'], ['$share/g/x/#', 'subscribe-not-granted'],
  ])('%s, of which t/+/a is granted: %s', (filter, expected) => {
    expect(subscribe(g, filter, 2)).toBe(expected)
  })

  test('what overlaps stands, and only what is granted is delivered', () => {
    expect(['t/x/a', 't//a', 'u/b'].map((topic) => g.mayReceive(topic))).toEqual([true, true, true])
    expect(['t/no/a', 't/x/b', 't/x', 't/x/a/b', 'x', '$SYS/a', 'u/c'].map((topic) => g.mayReceive(topic))).toEqual([false, false, false, false, false, false, false])
  })

  test('a deny that contains the filter refuses it, and one that overlaps narrows it further', () => {
    const denied = grantsOf(grantAndDeny('subscribe: [ { topic: "t/#", wildcard: filter } ]', 'subscribe: ["t/+/secret", "s/#"]'))
    expect([subscribe(denied, '#'), subscribe(denied, 't/+/+'), subscribe(denied, 't/+/secret'), subscribe(denied, 't/x/secret'), subscribe(denied, 's/#')]).toEqual([0, 0, 'subscribe-denied', 'subscribe-denied', 'subscribe-denied'])
    expect([denied.mayReceive('t/x/open'), denied.mayReceive('t/x/secret'), denied.mayReceive('s/a')]).toEqual([true, false, false])
  })

  test('is shared under its own names alone', () => {
    const shared = grantsOf(grant('subscribe: [ { topic: "t/+", wildcard: filter, share: [g] } ]'))
    expect([subscribe(shared, '$share/g/t/#'), subscribe(shared, '$share/h/t/#'), subscribe(shared, '$share/g/u')]).toEqual([0, 'share-not-granted', 'subscribe-not-granted'])
  })

  test('contain, which is the default, and forbid admit none of what only overlaps', () => {
    for (const mode of ['', ', wildcard: contain', ', wildcard: forbid']) {
      const strict = grantsOf(grant(`subscribe: [ { topic: "t/+/a"${mode} } ]`))
      expect([subscribe(strict, 't/#'), subscribe(strict, '#'), subscribe(strict, 't/x/#'), subscribe(strict, 't/x/a')]).toEqual(['subscribe-not-granted', 'subscribe-not-granted', 'subscribe-not-granted', 0])
    }
  })
})

describe('R5: strictDeny', () => {
  const body = 'subscribe: ["#"], publish: ["#"]'
  const denied = 'subscribe: ["s/+"], receive: ["r/x"], publish: ["p/+"]'
  const strict = grantsOf(`strictDeny: true\n${grantAndDeny(body, denied)}`)
  const lenient = grantsOf(grantAndDeny(body, denied))

  test.each<[string, string | number, string | number]>([
    ['s/a', 'subscribe-denied', 'subscribe-denied'], ['s/+', 'subscribe-denied', 'subscribe-denied'],
    ['s/#', 'subscribe-denied', 0], ['#', 'subscribe-denied', 0], ['+/+', 'subscribe-denied', 0], ['+/a', 'subscribe-denied', 0], ['$share/g/#', 'subscribe-denied', 'share-not-granted'],
    ['r/x', 'receive-denied', 0], ['r/+', 'receive-denied', 0], ['r/#', 'receive-denied', 0], ['+/x', 'subscribe-denied', 0],
    ['s', 0, 0], ['s/a/b', 0, 0], ['r/y', 0, 0], ['r', 0, 0], ['+', 0, 0], ['+/+/#', 'subscribe-denied', 0], ['+/+/+', 0, 0], ['t/#', 0, 0], ['p/#', 0, 0],
  ])('%s: %s, and without it %s', (filter, withIt, without) => {
    expect([subscribe(strict, filter), subscribe(lenient, filter)]).toEqual([withIt, without])
  })

  test('names the rule and the line of the deny', () => {
    const verdict = strict.subscribe('r/#', 0)
    expect([verdict.rule, verdict.at?.line]).toEqual(['no', 6])
  })

  test('changes nothing about what is published and delivered', () => {
    for (const topic of ['s/a', 's', 'r/x', 'r/y', 'p/a', 'p', 't']) expect([strict.mayReceive(topic), publish(strict, topic)]).toEqual([lenient.mayReceive(topic), publish(lenient, topic)])
    expect([publish(strict, 'p/a'), publish(strict, 'p')]).toEqual(['publish-denied', 'granted'])
  })
})

describe('R6: receive', () => {
  test('what no grant admits, or a rule denies, is not delivered', () => {
    const g = grantsOf(grantAndDeny('subscribe: ["t/#", "+/status"]', 'receive: ["t/+/key"]'))
    for (const topic of ['t', 't/a', 't/a/b', 'x/status', '/status']) expect(g.mayReceive(topic)).toBe(true)
    for (const topic of ['t/a/key', 'x', 'x/y', '$x/status', '$SYS/a', 't/+', '#', '', 't/\0', 'T/a']) expect(g.mayReceive(topic)).toBe(false)
  })

  test('a deny for receiving leaves the subscription and publishing alone', () => {
    const g = grantsOf(grantAndDeny('subscribe: [a], publish: [a]', 'receive: [a]'))
    expect([subscribe(g, 'a'), publish(g, 'a'), g.mayReceive('a')]).toEqual([0, 'granted', false])
  })
})

describe('R8: Wills', () => {
  test('have their own grants and defaults, and the denials of publishing', () => {
    const g = grantsOf(grantAndDeny('will: [ { topic: "state/${device.id}", qos: 1, maxBytes: 8 } ], publish: ["#"]', 'publish: ["state/+"]'))
    expect(will(g, 'state/d')).toBe('publish-denied')
    const free = grantsOf(grant('will: [ { topic: "state/${device.id}", qos: 1, maxBytes: 8 }, { topic: plain, retain: false } ]'))
    expect([will(free, 'state/d', 1, true, 8), will(free, 'state/d', 2), will(free, 'state/d', 0, false, 9), will(free, 'state/e'), will(free, 'plain', 0, true), will(free, 'state/+'), will(free, '$SYS/x')]).toEqual(['granted', 'publish-qos', 'publish-size', 'will-not-granted', 'publish-retain', 'will-invalid', 'will-invalid'])
  })
})

describe('R9: client ids and sessions', () => {
  const admits = (body: string, ...ids: string[]): readonly boolean[] => ids.map((id) => grantsOf(grant(body), { clientId: id }).connect(id).effect === 'allow')

  test('without a rule: the device id, or it and ":" and a suffix', () => {
    expect(admits('publish: [a]', 'd', 'd:1', 'd:a:b', 'd:', 'd1', 'e', 'D', '')).toEqual([true, true, true, false, false, false, false, false])
  })

  test('a rule replaces the default, a last "*" stands for anything, and one pattern of a rule is enough', () => {
    expect(admits('connect: { clientId: ["gw-${device.id}", "tool-*"] }', 'gw-d', 'gw-d1', 'tool-', 'tool-x', 'too', 'd')).toEqual([true, false, true, true, false, false])
    expect(admits('connect: { clientId: [] }', 'd')).toEqual([false])
  })

  test('every rule that speaks of client ids must admit it: connect narrows', () => {
    const text = 'version: 1\ngrants:\n  - { id: one, to: any, connect: { clientId: ["*"], sessions: 4, sessionExpiryMax: 1h } }\n  - { id: two, to: any, connect: { clientId: ["${device.id}"], sessions: 2 } }\n  - { id: three, to: any, connect: { sessionExpiryMax: 10s } }\n'
    const g = grantsOf(text)
    expect([g.connect('d').effect, g.connect('x').effect, g.connect('x').rule, g.connect('x').at?.line]).toEqual(['allow', 'deny', 'two', 4])
    expect([g.sessionsMax, g.sessionExpirySecondsMax]).toEqual([2, 10])
  })

  test('a client id pattern that cannot be filled in admits nobody', () => {
    expect(admits('connect: { clientId: ["${device.attr.x}*"] }', 'd', '', 'undefined')).toEqual([false, false, false])
  })

  test('nothing said, nothing limited', () => {
    const g = grantsOf(grant('publish: [a]'))
    expect([g.sessionsMax, g.sessionExpirySecondsMax]).toEqual([undefined, undefined])
  })
})

describe('rates', () => {
  const limited = (lines: string, more = ''): Grants => grantsOf(`${grant(`publish: [ ${lines} ]`)}${more}`, { meter: frozenMeter() })
  const times = (n: number, ask: () => string): readonly string[] => Array.from({ length: n }, ask)

  test('a device publishes as often as its line says, and then is told so', () => {
    const g = limited('{ topic: "t/#", rate: 2/s }')
    expect(times(4, () => publish(g, 't/a'))).toEqual(['granted', 'granted', 'publish-rate', 'publish-rate'])
    const verdict = g.publish('t/b', 0, false, 0)
    expect([verdict.reason, verdict.rule, verdict.at?.line, verdict.onDeny]).toEqual(['publish-rate', 'r', 3, 'drop'])
  })

  test('a burst is how many at once', () => {
    const g = limited('{ topic: t, rate: 1/h, burst: 3 }')
    expect(times(4, () => publish(g, 't'))).toEqual(['granted', 'granted', 'granted', 'publish-rate'])
  })

  test('the meter is told the rate per second, the burst, and the same key for every topic of the line', () => {
    const told: unknown[] = []
    const g = grantsOf(grant('publish: [ { topic: "t/${device.id}/+", rate: 600/m, burst: 30 } ]'), { meter: { take: (key, rate) => told.push([key, rate]) > 0 } })
    for (const topic of ['t/d/a', 't/d/b', 't/d/a']) publish(g, topic)
    expect(told.map((t) => (t as unknown[])[1])).toEqual(Array.from({ length: 3 }, () => ({ perSecond: 10, burst: 30 })))
    expect(new Set(told.map((t) => (t as unknown[])[0])).size).toBe(1)
  })

  test('a message that is refused for another reason uses nothing up', () => {
    const g = limited('{ topic: t, qos: 0, maxBytes: 5, rate: 1/s }', 'deny:\n  - { id: no, to: any, publish: ["d/#"] }\n')
    expect([publish(g, 't', 1), publish(g, 't', 0, true), publish(g, 't', 0, false, 6), publish(g, 'd/t'), publish(g, 'u'), publish(g, 't'), publish(g, 't')]).toEqual(['publish-qos', 'publish-retain', 'publish-size', 'publish-denied', 'publish-not-granted', 'granted', 'publish-rate'])
  })

  test('where a line without a rate allows it, nothing is used up, whichever stands first', () => {
    for (const lines of ['{ topic: "t/#", rate: 1/s }, { topic: t/free, qos: 0 }', '{ topic: t/free, qos: 0 }, { topic: "t/#", rate: 1/s }']) {
      const g = limited(lines)
      expect([...times(3, () => publish(g, 't/free')), publish(g, 't/free', 1), publish(g, 't/free', 1), publish(g, 't/free')]).toEqual(['granted', 'granted', 'granted', 'granted', 'publish-rate', 'granted'])
    }
  })

  test('lines have a bucket each, also those of one topic in one rule', () => {
    const g = limited('{ topic: t, qos: 0, rate: 1/s }, { topic: t, qos: 1, rate: 2/s }')
    expect([publish(g, 't', 1), publish(g, 't', 1), publish(g, 't', 1), publish(g, 't', 0), publish(g, 't', 0)]).toEqual(['granted', 'granted', 'publish-rate', 'granted', 'publish-rate'])
  })

  test('several lines with a rate add up, the lowest is used first, and their order does not matter', () => {
    const lines = ['{ topic: "t/#", rate: 3/s }', '{ topic: t/alarm, rate: 1/s }', '{ topic: "+/alarm", rate: 1/s, burst: 2 }']
    for (const order of [lines, lines.toReversed(), [lines[1], lines[2], lines[0]]]) {
      const g = limited(order.join(', '))
      expect(times(3, () => publish(g, 't/alarm'))).toEqual(['granted', 'granted', 'granted'])
      // Those were the two narrow lines: the wide one is as full as ever.
      expect(times(4, () => publish(g, 't/other'))).toEqual(['granted', 'granted', 'granted', 'publish-rate'])
      expect([publish(g, 't/alarm'), publish(g, 'u/alarm')]).toEqual(['publish-rate', 'publish-rate'])
    }
  })

  test('the lowest is that of the fewest messages in the same time, whatever the burst', () => {
    const g = limited('{ topic: "t/#", rate: 2/s, burst: 1 }, { topic: t/slow, rate: 100/m, burst: 3 }, { topic: t/slow, rate: 5000/h, burst: 2 }')
    // 5,000 an hour are fewer than 100 a minute, and those are fewer than 2 a second.
    expect([...times(5, () => publish(g, 't/slow')), publish(g, 't/other'), publish(g, 't/slow')]).toEqual([...times(6, () => 'granted'), 'publish-rate'])
  })

  test('in whatever order rules and lines stand, a device may send the same', () => {
    const line = fc.record({ topic: fc.constantFrom('a', 'b', '+', '#'), qos: fc.constantFrom(0, 1), rate: fc.constantFrom('', '1/s', '2/s', '60/m', '3/s'), burst: fc.constantFrom(1, 2) })
      .map(({ topic, qos, rate, burst }) => (rate === '' ? { topic, qos } : rate === '3/s' ? { topic, qos, rate } : { topic, qos, rate, burst }))
    const rules = fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }).map((all) => all.map((publishes, i) => ({ id: `r${i}`, to: 'any', publish: publishes })))
    const sends = fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom<0 | 1>(0, 1)), { maxLength: 12 })
    let rated = 0
    fc.assert(fc.property(rules, sends, (grants, asks) => {
      const [there, back] = [grants, grants.toReversed().map((rule) => ({ ...rule, publish: rule.publish.toReversed() }))].map((order) => grantsOf(JSON.stringify({ version: 1, grants: order }), { meter: frozenMeter() })) as [Grants, Grants]
      for (const [topic, qos] of asks) {
        const reason = publish(there, topic, qos)
        expect(publish(back, topic, qos)).toBe(reason)
        if (reason === 'publish-rate') rated += 1
      }
    }), { numRuns: 1_000 })
    expect(rated).toBeGreaterThan(200)
  })

  test('all sessions of a device share what the meter holds', () => {
    const meter = frozenMeter()
    const [one, two] = [1, 2].map((n) => grantsOf(grant('publish: [ { topic: "t/${clientId}", rate: 2/s } ]'), { clientId: `d:${n}`, meter })) as [Grants, Grants]
    expect([publish(one, 't/d:1'), publish(two, 't/d:2'), publish(one, 't/d:1'), publish(two, 't/d:2')]).toEqual(['granted', 'granted', 'publish-rate', 'publish-rate'])
  })

  test('without a meter every rate has room: a question is no message', () => {
    const g = grantsOf(grant('publish: [ { topic: t, rate: 1/h } ]'))
    expect(times(5, () => publish(g, 't'))).toEqual(Array.from({ length: 5 }, () => 'granted'))
  })
})

describe('conditions', () => {
  const NIGHT = Date.parse('2027-03-01T23:00:00Z')
  const here = { source: '10.0.0.1', tls: '1.3' } as const
  const there = { source: '12.0.0.1', tls: '1.2' } as const
  const when = (condition: string): string => grant(`when: ${condition}, publish: [a], subscribe: [a], will: [a], connect: { sessions: 3 }`)
  const all = (g: Grants): readonly unknown[] => [g.empty, publish(g, 'a'), subscribe(g, 'a'), will(g, 'a'), g.mayReceive('a'), g.sessionsMax]
  const EVERYTHING = [false, 'granted', 0, 'granted', true, 3]
  const NOTHING = [true, 'publish-not-granted', 'subscribe-not-granted', 'will-not-granted', false, undefined]

  test('a grant whose condition does not hold is not there at all', () => {
    expect(all(grantsOf(when('{ source: [10.0.0.0/8] }'), { connection: here }))).toEqual(EVERYTHING)
    expect(all(grantsOf(when('{ source: [10.0.0.0/8] }'), { connection: there }))).toEqual(NOTHING)
    expect(all(grantsOf(when('{ time: { from: "06:00", to: "22:00" } }'), { now: NIGHT }))).toEqual(NOTHING)
  })

  test('a deny whose condition does not hold denies nothing', () => {
    const denying = `${grant('publish: [a], subscribe: ["#"]')}deny:\n  - { id: no, to: any, when: { tls: "1.2" }, publish: [a], subscribe: [a], receive: [b] }\n`
    const told = (asking: Asking): readonly unknown[] => {
      const g = grantsOf(denying, asking)
      return [publish(g, 'a'), subscribe(g, 'a'), g.mayReceive('b')]
    }
    expect(told({ connection: here })).toEqual(['granted', 0, true])
    expect(told({ connection: there })).toEqual(['publish-denied', 'subscribe-denied', false])
  })

  test('what is not known keeps a grant, and adds no denial', () => {
    expect(all(grantsOf(when('{ source: [10.0.0.0/8], tls: ">=1.3", time: { from: "06:00", to: "22:00" } }')))).toEqual(EVERYTHING)
    expect(publish(grantsOf(`${grant('publish: [a]')}deny:\n  - { id: no, to: any, when: { source: [10.0.0.0/8] }, publish: [a] }\n`), 'a')).toBe('granted')
  })

  test('but what is known to fail takes it away, even if the rest is not known', () => {
    expect(all(grantsOf(when('{ source: [10.0.0.0/8], attested: true }')))).toEqual(NOTHING)
    expect(all(grantsOf(when('{ source: [10.0.0.0/8], notAfter: 2027-03-01T23:00:00Z }'), { now: NIGHT }))).toEqual(NOTHING)
  })

  test('terms of connect narrow only while their condition holds', () => {
    const text = `version: 1\ngrants:\n  - { id: all, to: any, publish: [a] }\n  - { id: outside, to: any, when: { source: [12.0.0.0/8] }, connect: { clientId: ["x"], sessions: 1, sessionExpiryMax: 1m } }\n`
    const [inside, outside] = [grantsOf(text, { connection: here }), grantsOf(text, { connection: there })]
    expect([inside.connect('d').effect, inside.sessionsMax, inside.sessionExpirySecondsMax]).toEqual(['allow', undefined, undefined])
    expect([outside.connect('d').rule, outside.sessionsMax, outside.sessionExpirySecondsMax]).toEqual(['outside', 1, 60])
  })

  test('a rule that is not there has no variables to tell of', () => {
    const text = grant('when: { source: [10.0.0.0/8] }, publish: ["${device.attr.x}"]')
    expect([grantsOf(text, { connection: here }).unresolved.length, grantsOf(text, { connection: there }).unresolved.length]).toEqual([1, 0])
  })

  test('until is the first instant at which any rule of the device may change, grant or deny', () => {
    const rules = (...whens: readonly string[]): string => `version: 1\ngrants:\n${whens.map((w, i) => `  - { id: g${i}, to: ${i === 2 ? '{ device: other }' : 'any'}, when: { notBefore: ${w} }, publish: [a] }\n`).join('')}`
    const text = `${rules('2027-03-02T03:00:00Z', '2027-03-02T02:00:00Z', '2027-03-02T00:00:00Z')}deny:\n  - { id: no, to: any, when: { notAfter: 2027-03-02T01:00:00Z }, publish: [b] }\n`
    const asked = (instant: string): number | undefined => grantsOf(text, { now: Date.parse(instant) }).until
    expect(asked('2027-03-01T23:00:00Z')).toBe(Date.parse('2027-03-02T01:00:00Z'))
    expect(asked('2027-03-02T01:00:00Z')).toBe(Date.parse('2027-03-02T02:00:00Z'))
    expect(asked('2027-03-02T02:00:00Z')).toBe(Date.parse('2027-03-02T03:00:00Z'))
    expect(asked('2027-03-02T03:00:00Z')).toBeUndefined()
    expect(grantsOf(grant('publish: [a]'), { now: NIGHT }).until).toBeUndefined()
  })
})

describe('states of the device', () => {
  const in_ = (state: Device['state']): Asking => ({ device: device('d', { state }) })
  const GRANTS = 'version: 1\ngrants:\n  - { id: plain, to: any, publish: [plain] }\n  - { id: both, to: any, when: { state: [active, quarantined] }, publish: [both] }\n  - { id: other, to: any, when: { source: [10.0.0.0/8] }, publish: [when] }\n'
  const DENIES = 'deny:\n  - { id: no, to: any, publish: [plain/no, both, q/no] }\n  - { id: no-active, to: any, when: { state: active }, publish: ["q/#"] }\n'
  const QUARANTINE = 'quarantine: { publish: [ "q/#" ], subscribe: [ q ], will: [ q ], connect: { sessions: 1 } }\n'
  const publishes = (text: string, state: Device['state']): readonly string[] => ['plain', 'both', 'when', 'q/a', 'q/no'].map((topic) => publish(grantsOf(text, in_(state)), topic))

  test('a grant that says no state is for active devices alone, whatever else it says', () => {
    expect(publishes(GRANTS, 'active')).toEqual(['granted', 'granted', 'granted', 'publish-not-granted', 'publish-not-granted'])
    expect(publishes(GRANTS, 'quarantined')).toEqual(['publish-not-granted', 'granted', 'publish-not-granted', 'publish-not-granted', 'publish-not-granted'])
  })

  test('a deny that says none is for all, and one that says one for that', () => {
    expect(publishes(GRANTS + DENIES + QUARANTINE, 'active')).toEqual(['granted', 'publish-denied', 'granted', 'publish-denied', 'publish-denied'])
    expect(publishes(GRANTS + DENIES + QUARANTINE, 'quarantined')).toEqual(['publish-not-granted', 'publish-denied', 'publish-not-granted', 'granted', 'publish-denied'])
  })

  test('the quarantine block is all that a quarantined device may do, and nothing for others', () => {
    const told = (state: Device['state']): readonly unknown[] => {
      const g = grantsOf(grant('publish: [a], subscribe: [a]') + QUARANTINE, in_(state))
      return [g.empty, publish(g, 'a'), subscribe(g, 'a'), publish(g, 'q/x'), subscribe(g, 'q'), will(g, 'q'), g.mayReceive('q'), g.mayReceive('a'), g.sessionsMax]
    }
    expect(told('quarantined')).toEqual([false, 'publish-not-granted', 'subscribe-not-granted', 'granted', 0, 'granted', true, false, 1])
    expect(told('active')).toEqual([false, 'granted', 0, 'publish-not-granted', 'subscribe-not-granted', 'will-not-granted', false, true, undefined])
  })

  test('without it a quarantined device has no grant, and may not even connect', () => {
    expect([grantsOf(grant('publish: [a]'), in_('quarantined')).empty, grantsOf(grant('publish: [a]'), in_('active')).empty]).toEqual([true, false])
  })

  test.each(['pending', 'suspended', 'retired'] as const)('a device that is %s has none', (state) => {
    expect([grantsOf(GRANTS + QUARANTINE, in_(state)).empty, ...publishes(GRANTS + QUARANTINE, state)]).toEqual([true, ...Array.from({ length: 5 }, () => 'publish-not-granted')])
  })
})

describe('R11: what a denied publish costs', () => {
  test('drop unless the policy or the deny rule says otherwise; the rule wins', () => {
    const text = (top: string, own: string): string => `${grantAndDeny('publish: ["#"]', `publish: [a]${own}`)}${top}`
    expect(grantsOf(text('', '')).publish('a', 0, false, 0).onDeny).toBe('drop')
    expect(grantsOf(text('onDeny: disconnect\n', '')).publish('a', 0, false, 0).onDeny).toBe('disconnect')
    expect(grantsOf(text('onDeny: disconnect\n', ', onDeny: drop')).publish('a', 0, false, 0).onDeny).toBe('drop')
    expect(grantsOf(text('', ', onDeny: disconnect')).publish('a', 0, false, 0).onDeny).toBe('disconnect')
  })

  test('the policy\'s word holds where no rule decided', () => {
    const g = grantsOf('version: 1\nonDeny: disconnect\ngrants:\n  - { id: r, to: any, publish: [ { topic: a, qos: 0 } ] }\n')
    for (const verdict of [g.publish('b', 0, false, 0), g.publish('a', 1, false, 0), g.publish('#', 0, false, 0), g.publish('$x', 0, false, 0)]) expect(verdict.onDeny).toBe('disconnect')
    expect(g.publish('a', 0, false, 0).onDeny).toBeUndefined()
  })
})

describe('R12: every decision says why', () => {
  const TEXT = 'version: 1\ngrants:\n  - id: sensor\n    to: any\n    publish:\n      - { topic: "t/${device.id}/#", qos: 0, maxBytes: 1 }\n    subscribe:\n      - "c/${device.attr.site}/+"\ndeny:\n  - id: no-key\n    to: any\n    publish:\n      - "t/+/key"\n'
  const g = grantsOf(TEXT, { device: device('d') })
  const told = ({ effect, reason, rule, at, bindings, generation }: Verdict): unknown => ({ effect, reason, rule, at: at && `${at.file}:${at.line}:${at.column}`, bindings, generation })

  test.each<[string, Verdict, object]>([
    ['granted', g.publish('t/d/x', 0, false, 0), { effect: 'allow', reason: 'granted', rule: 'sensor', at: 'policy.yaml:6:9', bindings: { 'device.id': 'd' }, generation: 1 }],
    ['over a limit of the grant', g.publish('t/d/x', 1, false, 0), { effect: 'deny', reason: 'publish-qos', rule: 'sensor', at: 'policy.yaml:6:9', bindings: { 'device.id': 'd' }, generation: 1 }],
    ['denied', g.publish('t/d/key', 0, false, 0), { effect: 'deny', reason: 'publish-denied', rule: 'no-key', at: 'policy.yaml:13:9', bindings: {}, generation: 1 }],
    ['nothing grants it', g.publish('x', 0, false, 0), { effect: 'deny', reason: 'publish-not-granted', rule: undefined, at: undefined, bindings: {}, generation: 1 }],
    ['subscribed', g.subscribe('c/north/x', 0), { effect: 'allow', reason: 'granted', rule: 'sensor', at: 'policy.yaml:8:9', bindings: { 'device.attr.site': 'north' }, generation: 1 }],
  ])('%s', (_, verdict, expected) => expect(told(verdict)).toEqual(expected))

  test('a hostile attribute name cannot reach a prototype through the bindings', () => {
    const hostile = grantsOf(grant('publish: ["${device.attr.constructor}/x"]'), { device: device('d', { attributes: { constructor: 'y' } }) })
    const { bindings } = hostile.publish('y/x', 0, false, 0)
    expect(Object.entries(bindings)).toEqual([['device.attr.constructor', 'y']])
  })
})

describe('the memory of a session', () => {
  test('forgets the oldest topics, and decides the same without them', () => {
    const g = grantsOf(grantAndDeny('publish: [ { topic: "t/#", qos: 1 } ], subscribe: ["t/#"], will: ["t/#"]', 'publish: ["t/no/#"], receive: ["t/no/#"]'))
    const topics = Array.from({ length: 3 * POLICY_LIMITS.decisionCacheMax }, (_, i) => ['t', i % 3 === 0 ? 'no' : 'yes', String(i)].join('/'))
    const answers = (): unknown => topics.map((t) => [publish(g, t), publish(g, t, 2), will(g, t), g.mayReceive(t)])
    expect(answers()).toEqual(topics.map((t) => (t.startsWith('t/no') ? ['publish-denied', 'publish-denied', 'publish-denied', false] : ['granted', 'publish-qos', 'granted', true])))
    expect(answers()).toEqual(answers())
  })

  test('what is no topic is not remembered: 256 names of 64 KiB each would be 16 MiB for one session', () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const heap = (): number => {
      collect()
      return process.memoryUsage().heapUsed
    }
    const g = grantsOf(grant('publish: ["#"], will: ["#"], subscribe: ["#"]'))
    const before = heap()
    // Made from bytes, as the topic of a packet is: a string that shares nothing.
    for (let i = 0; i < POLICY_LIMITS.decisionCacheMax; i++) {
      const topic = Buffer.from(`${i}/${'x'.repeat(65_000)}`).toString('latin1')
      publish(g, topic)
      will(g, topic)
      g.mayReceive(topic)
    }
    expect(heap() - before).toBeLessThan(8 * 1_024 * 1_024)
    expect(publish(g, 'a')).toBe('granted')
  })
})
