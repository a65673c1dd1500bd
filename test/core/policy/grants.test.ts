// The decisions, rule by rule of policy.md (R1–R9, R11, R12): every allow beside its nearest deny.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { POLICY_LIMITS } from '../../../src/limits.ts'
import type { CaName } from '../../../src/core/ids.ts'
import { grantsFor, type Grants, type Verdict } from '../../../src/core/policy/grants.ts'
import { device, leaf, nameOf } from '../facts.ts'
import { grant, grantAndDeny, grantsOf, policyOf } from './policies.ts'

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
    ['t/big/x', 0, false, 1_024, 'granted'], ['t/big/x', 1, false, 100, 'granted'], ['t/big/x', 1, false, 101, 'publish-qos'], ['t/big/x', 2, false, 0, 'publish-qos'],
  ])('%s at QoS %d, retain %s, %d bytes: %s', (topic, qos, retain, bytes, expected) => {
    expect(publish(g, topic, qos, retain, bytes)).toBe(expected)
    // From the memory of the session, too.
    expect(publish(g, topic, qos, retain, bytes)).toBe(expected)
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
