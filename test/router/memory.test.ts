// The in-process router: what matches, what is merged, whose turn it is, what is remembered, and that nothing stays
// behind; all of it beside a router that was written without looking.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ROUTER_LIMITS } from '../../src/limits.ts'
import type { SessionKey } from '../../src/core/ids.ts'
import type { SubscriptionOptions } from '../../src/core/router.ts'
import { openRouter } from '../../src/router/memory.ts'
import { deliveriesOf, ear, filterOf, naiveRouter, PLAIN, shown, turnsOf, type Ear } from './crowd.ts'

const SOMEBODY = 'default/somebody/somebody' as SessionKey
const EMPTY = { sessions: 0, nodes: 0, topicsRemembered: 0, deliveriesRemembered: 0 }

function open() {
  const router = openRouter<Ear>()
  return {
    router,
    subscribe: (who: Ear, filter: string, options: Partial<SubscriptionOptions> = {}): void => router.subscribe(who, filterOf(filter), { ...PLAIN, ...options }),
    unsubscribe: (who: Ear, filter: string): boolean => router.unsubscribe(who, filterOf(filter)),
    deliveries: (topic: string, publisher = SOMEBODY): string[] => deliveriesOf(router.route(topic, publisher)),
    turns: (topic: string): string[] => turnsOf(router.route(topic, SOMEBODY)),
  }
}

describe('what matches', () => {
  test.each([
    ['a/#', 'a', true], ['a/#', 'a/b/c', true], ['a/#', 'ab', false], ['a/b/#', 'a/b', true], ['a/b/#', 'a', false],
    ['a/+/#', 'a', false], ['a/+/#', 'a/', true], ['a/+', 'a/', true], ['a/+', 'a', false], ['a/+', 'a/b/c', false],
    ['a//b', 'a//b', true], ['a//b', 'a/b', false], ['/a', '/a', true], ['/a', 'a', false], ['+/a', '/a', true], ['a/', 'a', false],
    ['#', '$SYS/a', false], ['+/a', '$SYS/a', false], ['+/#', '$SYS/a', false], ['$SYS/#', '$SYS/a', true], ['$SYS/+', '$SYS/a', true], ['a/+', 'a/$SYS', true], ['#', 'a$', true],
    ['constructor', 'constructor', true], ['__proto__/+', '__proto__/toString', true], ['+', 'hasOwnProperty', true],
  ])('%s of %s: %s', (filter, topic, expected) => {
    const { subscribe, deliveries } = open()
    subscribe(ear('a'), filter)
    expect(deliveries(topic)).toEqual(expected ? ['a 0 []'] : [])
  })

  test('$share/g/# reaches no more than # does', () => {
    const { subscribe, turns } = open()
    subscribe(ear('a'), '$share/g/#')
    expect(turns('x')).toEqual(['$share/g/#: a 0 []'])
    expect(turns('$SYS/x')).toEqual([])
  })

  test('64 levels are matched like 3', () => {
    const { subscribe, deliveries } = open()
    const topic = Array.from({ length: 64 }, (_, i) => String(i)).join('/')
    subscribe(ear('literal'), topic)
    subscribe(ear('plus'), '+/'.repeat(63).concat('+'))
    subscribe(ear('hash'), '+/'.repeat(63).concat('#'))
    subscribe(ear('short'), '+/'.repeat(62).concat('+'))
    expect(deliveries(topic)).toEqual(['hash 0 []', 'literal 0 []', 'plus 0 []'])
  })
})

describe('one delivery for each session', () => {
  test('it has the highest QoS, all identifiers and retain as published of the subscriptions that match', () => {
    const { subscribe, deliveries } = open()
    const a = ear('a')
    subscribe(a, 'x/y', { qos: 1, identifier: 7 })
    subscribe(a, 'x/+', { qos: 2, identifier: 3 })
    subscribe(a, 'x/#', { qos: 0, retainAsPublished: true })
    subscribe(a, 'z', { qos: 2, identifier: 9 })
    expect(deliveries('x/y')).toEqual(['a 2r [3,7]'])
    expect(deliveries('x/z')).toEqual(['a 2r [3]'])
    expect(deliveries('x')).toEqual(['a 0r []'])
  })

  test('an identifier that two of its subscriptions have is in it twice', () => {
    const { subscribe, deliveries } = open()
    const a = ear('a')
    subscribe(a, 'x', { identifier: 5 })
    subscribe(a, '#', { identifier: 5 })
    expect(deliveries('x')).toEqual(['a 0 [5,5]'])
  })

  test('a subscription with the same filter replaces the one before, also in what is remembered', () => {
    const { router, subscribe, deliveries } = open()
    const a = ear('a')
    for (const filter of ['x', '+']) {
      subscribe(a, filter, { qos: 2, identifier: 1 })
      expect(deliveries('x')).toEqual(['a 2 [1]'])
      subscribe(a, filter, { qos: 1, retainAsPublished: true })
      expect(deliveries('x')).toEqual(['a 1r []'])
      expect(router.subscriptionCount).toBe(1)
      router.remove(a)
    }
  })

  test('two sessions are two, and so are two connections of one session', () => {
    const { router, subscribe, deliveries } = open()
    const old = ear('old', 'default/a/a')
    subscribe(old, 'x')
    subscribe(ear('b'), 'x')
    subscribe(ear('new', 'default/a/a'), 'x')
    expect(deliveries('x')).toEqual(['b 0 []', 'new 0 []', 'old 0 []'])
    router.remove(old)
    expect(deliveries('x')).toEqual(['b 0 []', 'new 0 []'])
  })
})

describe('No Local', () => {
  test('a session does not hear itself where it asked for that, and hears the others', () => {
    const { subscribe, deliveries } = open()
    const a = ear('a')
    const b = ear('b')
    subscribe(a, 'x', { noLocal: true })
    subscribe(b, 'x')
    expect(deliveries('x', a.key)).toEqual(['b 0 []'])
    expect(deliveries('x', b.key)).toEqual(['a 0 []', 'b 0 []'])
  })

  test('an overlapping subscription without it still counts, and only that one', () => {
    const { subscribe, deliveries } = open()
    const a = ear('a')
    subscribe(a, 'x', { noLocal: true, qos: 2, identifier: 1, retainAsPublished: true })
    subscribe(a, '#', { qos: 1, identifier: 2 })
    expect(deliveries('x', a.key)).toEqual(['a 1 [2]'])
    expect(deliveries('x')).toEqual(['a 2r [1,2]'])
    expect(deliveries('y', a.key)).toEqual(['a 1 [2]'])
  })
})

describe('what is remembered', () => {
  test('the same route object is handed out until a subscription that matches changes', () => {
    const { router, subscribe, unsubscribe } = open()
    const a = ear('a')
    subscribe(a, 'x/+')
    const first = router.route('x/y', SOMEBODY)
    expect(Object.isFrozen(first) && Object.isFrozen(first.deliveries) && first.deliveries.every((d) => Object.isFrozen(d) && Object.isFrozen(d.identifiers))).toBe(true)
    subscribe(a, 'z/#')
    subscribe(a, 'x/z')
    unsubscribe(a, 'z/#')
    expect(router.route('x/y', SOMEBODY)).toBe(first)
    expect(router.route('x/y', a.key)).toBe(first)
    subscribe(ear('b'), 'x/y')
    expect(router.route('x/y', SOMEBODY)).not.toBe(first)
  })

  test('topics that the same filters match share one route', () => {
    const { router, subscribe } = open()
    subscribe(ear('a'), 'x/+')
    subscribe(ear('b'), '#')
    expect(router.route('x/1', SOMEBODY)).toBe(router.route('x/2', SOMEBODY))
    expect(router.route('x/1', SOMEBODY)).not.toBe(router.route('y', SOMEBODY))
  })

  test('with No Local, only the messages of its session take another way', () => {
    const { router, subscribe } = open()
    const a = ear('a')
    subscribe(a, 'x', { noLocal: true })
    const first = router.route('x', SOMEBODY)
    expect(router.route('x', a.key)).not.toBe(first)
    expect(router.route('x', SOMEBODY)).toBe(first)
  })

  test.each(['x/y', 'x/+', 'x/#', '+/y', '#', 'x/y/#', '+/+'])('a new subscription to %s is in the next route, and an ended one is not', (filter) => {
    const { subscribe, unsubscribe, deliveries } = open()
    const b = ear('b')
    subscribe(ear('a'), '#')
    expect(deliveries('x/y')).toEqual(['a 0 []'])
    subscribe(b, filter)
    expect(deliveries('x/y')).toEqual(['a 0 []', 'b 0 []'])
    expect(unsubscribe(b, filter)).toBe(true)
    expect(unsubscribe(b, filter)).toBe(false)
    expect(deliveries('x/y')).toEqual(['a 0 []'])
  })

  test('a change far down a long filter is noticed: more levels than are told apart', () => {
    const { subscribe, deliveries } = open()
    const deep = `${'l/'.repeat(ROUTER_LIMITS.prefixLevelsMax + 4)}x`
    subscribe(ear('other'), 'other')
    expect(deliveries(deep)).toEqual([])
    subscribe(ear('a'), `${deep}/#`)
    expect(deliveries(deep)).toEqual(['a 0 []'])
  })

  test('a spray of topics is forgotten, and what is in use stays', () => {
    const { router, subscribe } = open()
    subscribe(ear('a'), 'used/#')
    const used = router.route('used/1', SOMEBODY)
    for (let i = 0; i < ROUTER_LIMITS.topicsRememberedMax + 10; i++) {
      router.route(`spray/${i}`, SOMEBODY)
      if (i % 1_000 === 0) expect(router.route('used/1', SOMEBODY)).toBe(used)
    }
    expect(router.footprint.topicsRemembered).toBeLessThanOrEqual(ROUTER_LIMITS.topicsRememberedMax)
    expect(router.route('used/1', SOMEBODY)).toBe(used)
  })

  test('a change reaches also what was not in use since the last spray', () => {
    const { router, subscribe, deliveries } = open()
    for (const [name, filter] of [['b', 'x'], ['c', '+'], ['d', '#']] as const) {
      if (name === 'b') subscribe(ear('a'), '#')
      const before = deliveries('x')
      for (let i = 0; i < ROUTER_LIMITS.topicsRememberedMax * 0.6; i++) router.route(`spray/${name}/${i}`, SOMEBODY)
      subscribe(ear(name), filter)
      expect(deliveries('x')).toEqual([...before, `${name} 0 []`])
    }
  })

  test('many topics with a crowd behind each of them are forgotten, too', () => {
    const { router, subscribe } = open()
    const crowd = 2_500
    for (let i = 0; i < crowd; i++) subscribe(ear(`e${i}`), '#', { identifier: i + 1 })
    for (let i = 0; i < 300; i++) {
      subscribe(ear(`own${i}`), `t/${i}`)
      expect(router.route(`t/${i}`, SOMEBODY).deliveries).toHaveLength(crowd + 1)
      expect(router.footprint.deliveriesRemembered).toBeLessThanOrEqual(ROUTER_LIMITS.deliveriesRememberedMax)
    }
    expect(router.footprint.deliveriesRemembered).toBeGreaterThan(ROUTER_LIMITS.deliveriesRememberedMax / 4)
  })

  test('a crowd that grows behind remembered topics does not outgrow the bound', () => {
    const { router, subscribe } = open()
    const topics = Array.from({ length: 40 }, (_, i) => `t/${i}`)
    for (const topic of topics) subscribe(ear(topic), topic)
    for (let i = 0; i < 20_000; i++) {
      subscribe(ear(`e${i}`), '#', { identifier: 1 })
      if (i % 1_000 !== 0) continue
      for (const topic of topics) expect(router.route(topic, SOMEBODY).deliveries).toHaveLength(i + 2)
      expect(router.footprint.deliveriesRemembered).toBeLessThanOrEqual(ROUTER_LIMITS.deliveriesRememberedMax)
    }
    // Counted once more from outside: each topic has a route of its own, of 19,002 deliveries with almost as many identifiers.
    expect(router.footprint.topicsRemembered * 2 * 19_001).toBeLessThanOrEqual(ROUTER_LIMITS.deliveriesRememberedMax)
    expect(router.footprint.topicsRemembered).toBeGreaterThan(10)
  })

  test('sessions that are gone are not held for long by routes that nobody uses', () => {
    const { router, subscribe } = open()
    subscribe(ear('stays'), '#')
    for (let i = 0; i < 10; i++) router.route(`quiet/${i}`, SOMEBODY)
    for (let i = 0; i < ROUTER_LIMITS.goneSessionsMax; i++) {
      expect(router.footprint.topicsRemembered).toBe(10)
      const passing = ear(`e${i}`)
      subscribe(passing, 'other')
      router.remove(passing)
    }
    expect(router.footprint.topicsRemembered).toBe(0)
  })
})

describe('shared subscriptions', () => {
  const chosen = (turns: readonly string[]): string => turns.map((turn) => turn.split(': ')[1]?.split(' ')[0]).join(' ')

  function share(names: string) {
    const all = open()
    const ears = Object.fromEntries(names.split('').map((name) => [name, ear(name)]))
    for (const who of Object.values(ears)) all.subscribe(who, '$share/g/x')
    const next = (): string => chosen(all.turns('x'))
    return { ...all, ears, next, take: (count: number): string => Array.from({ length: count }, next).join('') }
  }

  test('each member is served in turn', () => {
    expect(share('abc').take(9)).toBe('abcabcabc')
  })

  test('a $share group of which a member leaves goes on with the next one: nobody is passed over or served twice', () => {
    for (const [leaver, expected] of [['a', 'bcdbcd'], ['b', 'cdacda'], ['c', 'bdabda'], ['d', 'bcabca']] as const) {
      const { take, unsubscribe, ears } = share('abcd')
      expect(take(1)).toBe('a')
      expect(unsubscribe(ears[leaver]!, '$share/g/x')).toBe(true)
      expect(take(6)).toBe(expected)
    }
  })

  test('who joins is served last, and again when it comes back', () => {
    const { take, router, subscribe, ears } = share('abc')
    expect(take(1)).toBe('a')
    subscribe(ear('n'), '$share/g/x')
    expect(take(4)).toBe('bcan')
    router.remove(ears['b']!)
    subscribe(ears['b']!, '$share/g/x')
    expect(take(4)).toBe('canb')
  })

  test('who asks again with other options keeps its place', () => {
    const { take, turns, subscribe, ears } = share('abc')
    expect(take(1)).toBe('a')
    subscribe(ears['b']!, '$share/g/x', { qos: 2, identifier: 4, retainAsPublished: true })
    expect(turns('x')).toEqual(['$share/g/x: b 2r [4]'])
    expect(take(3)).toBe('cab')
  })

  test('who is not willing is passed over; where nobody is, nobody is served, and the turn does not move', () => {
    const { take, turns, ears } = share('abc')
    ears['b']!.willing = false
    expect(take(4)).toBe('acac')
    ears['a']!.willing = ears['c']!.willing = false
    expect(turns('x')).toEqual(['$share/g/x: nobody'])
    ears['a']!.willing = ears['b']!.willing = ears['c']!.willing = true
    expect(take(3)).toBe('abc')
  })

  test('members are asked about the topic of the message', () => {
    const { router, subscribe } = open()
    const asked: string[] = []
    subscribe({ ...ear('a'), isWilling: (topic) => asked.push(topic) > 0 }, '$share/g/+')
    router.route('x', SOMEBODY)
    router.route('y', SOMEBODY)
    expect(asked).toEqual(['x', 'y'])
  })

  test('each share name and each filter is a group of its own, and every group is served', () => {
    const { subscribe, turns } = open()
    const a = ear('a')
    for (const filter of ['$share/g/x', '$share/h/x', '$share/g/+', '$share/g/y']) subscribe(a, filter)
    expect(turns('x')).toEqual(['$share/g/+: a 0 []', '$share/g/x: a 0 []', '$share/h/x: a 0 []'])
  })

  test('a session with a shared and a plain subscription gets a delivery from each', () => {
    const { router, subscribe } = open()
    const a = ear('a')
    subscribe(a, 'x', { qos: 1, identifier: 1 })
    subscribe(a, '$share/g/x', { qos: 2, identifier: 2 })
    const route = router.route('x', SOMEBODY)
    expect([deliveriesOf(route), turnsOf(route)]).toEqual([['a 1 [1]'], ['$share/g/x: a 2 [2]']])
  })

  test('No Local is no matter in it', () => {
    const { router, subscribe } = open()
    const a = ear('a')
    subscribe(a, '$share/g/x', { noLocal: true })
    expect(turnsOf(router.route('x', a.key))).toEqual(['$share/g/x: a 0 []'])
  })

  test('whatever members do while they are asked, a turn ends, and goes to a member or to nobody', () => {
    type Act = readonly ['leave' | 'join', number]
    const act = fc.tuple(fc.constantFrom('leave' as const, 'join' as const), fc.nat(5))
    const behaviour = fc.record({ willing: fc.boolean(), acts: fc.array(act, { maxLength: 4 }) })
    fc.assert(fc.property(fc.array(behaviour, { minLength: 6, maxLength: 6 }), fc.array(act, { maxLength: 8 }), (behaviours, before) => {
      const router = openRouter<Ear>()
      const members = new Set<Ear>()
      const acting = ([verb, who]: Act): void => {
        const target = ears[who]!
        if (verb === 'leave') {
          router.remove(target)
          members.delete(target)
        } else {
          router.subscribe(target, filterOf('$share/g/x'), PLAIN)
          members.add(target)
        }
      }
      const ears = behaviours.map(({ willing, acts }, i): Ear => ({ ...ear(`e${i}`), isWilling: () => { acts.forEach(acting); return willing } }))
      for (let i = 0; i < ears.length; i++) acting(['join', i])
      before.forEach(acting)
      for (let i = 0; i < 10; i++) {
        for (const { delivery } of router.route('x', SOMEBODY).shared) expect(delivery === undefined || members.has(delivery.subscriber)).toBe(true)
      }
      for (const one of ears) router.remove(one)
      expect(router.footprint).toEqual(EMPTY)
    }), { numRuns: 1_000 })
  })
})

describe('nothing stays behind', () => {
  test('when all have unsubscribed or are gone, the router is as it was when it was opened', () => {
    const { router, subscribe, unsubscribe } = open()
    const ears = Array.from({ length: 50 }, (_, i) => ear(`e${i}`))
    const filters = ['#', '+/+', 'a', 'a/b', 'a/b/c/d', 'a/+/c', '$share/g/a/b', '$share/h/#', '/', '$SYS/#']
    for (const who of ears) for (const filter of filters) subscribe(who, filter)
    expect(router.subscriptionCount).toBe(500)
    for (const topic of ['a', 'a/b', '/', '$SYS/x']) router.route(topic, SOMEBODY)
    ears.forEach((who, i) => {
      if (i % 2 === 0) router.remove(who)
      else for (const filter of filters) expect(unsubscribe(who, filter)).toBe(true)
    })
    expect([router.subscriptionCount, router.footprint]).toEqual([0, EMPTY])
  })

  test('who is removed twice, or was never there, is no fault', () => {
    const { router, subscribe, unsubscribe } = open()
    const a = ear('a')
    router.remove(a)
    expect(unsubscribe(a, 'x')).toBe(false)
    subscribe(a, 'x')
    router.remove(a)
    router.remove(a)
    expect(router.footprint).toEqual(EMPTY)
  })
})

describe('beside a router that was written without looking', () => {
  const level = fc.constantFrom('a', 'b', '', '$s')
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/')).filter((text) => text !== '')
  const inner = fc.tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/')).filter((text) => text !== '')
  const filter = fc.oneof(inner, fc.constant('#'), fc.tuple(fc.constantFrom('g', 'h'), fc.oneof(inner, fc.constant('#'))).map(([name, text]) => `$share/${name}/${text}`))
  const options = fc.record({ qos: fc.constantFrom(0, 1, 2), noLocal: fc.boolean(), retainAsPublished: fc.boolean(), identifier: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }) })
  const who = fc.nat(5)
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ verb: fc.constant('subscribe' as const), who, filter: fc.nat(), options }) },
    { weight: 2, arbitrary: fc.record({ verb: fc.constant('unsubscribe' as const), who, filter: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ verb: fc.constant('remove' as const), who }) },
    { weight: 1, arbitrary: fc.record({ verb: fc.constant('mood' as const), who }) },
    { weight: 8, arbitrary: fc.record({ verb: fc.constant('route' as const), who, topic: fc.nat() }) },
  )

  test('any sequence of subscribe, unsubscribe, remove and route comes to the same', () => {
    const pools = fc.record({ filters: fc.array(filter, { minLength: 1, maxLength: 12 }), topics: fc.array(topic, { minLength: 1, maxLength: 6 }) })
    fc.assert(fc.property(pools, fc.array(step, { maxLength: 80 }), ({ filters, topics }, steps) => {
      // The last one is a second connection of the first session.
      const ears = ['a', 'b', 'c', 'd', 'e'].map((name) => ear(name)).concat(ear('a2', 'default/a/a'))
      const router = openRouter<Ear>()
      const naive = naiveRouter()
      for (const one of steps) {
        const session = ears[one.who]!
        if (one.verb === 'remove') {
          router.remove(session)
          naive.remove(session)
        } else if (one.verb === 'mood') {
          session.willing = !session.willing
        } else if (one.verb === 'route') {
          const name = topics[one.topic % topics.length]!
          const route = router.route(name, session.key)
          expect({ deliveries: deliveriesOf(route), turns: turnsOf(route) }).toEqual(naive.route(name, session.key))
        } else {
          const asked = filterOf(filters[one.filter % filters.length]!)
          if (one.verb === 'unsubscribe') {
            expect(router.unsubscribe(session, asked)).toBe(naive.unsubscribe(session, asked))
          } else {
            router.subscribe(session, asked, one.options)
            naive.subscribe(session, asked, one.options)
          }
        }
        expect(router.subscriptionCount).toBe(naive.subscriptionCount)
      }
      for (const one of ears) router.remove(one)
      expect([router.subscriptionCount, router.footprint]).toEqual([0, EMPTY])
    }), { numRuns: 3_000 })
  })

  test('a thousand overlapping filters of thirty sessions are thirty deliveries', () => {
    const { router, subscribe } = open()
    const filters = Array.from({ length: 1_000 }, (_, i) => i.toString(2).padStart(10, '0').replaceAll('0', '+/').replaceAll('1', 'a/').concat('a'))
    for (let i = 0; i < 30; i++) for (const [k, text] of filters.entries()) subscribe(ears[i]!, text, { qos: k === 999 ? 1 : 0, identifier: k + 1 })
    const { deliveries } = router.route('a/'.repeat(10).concat('a'), SOMEBODY)
    expect(deliveries.map(({ subscriber, qos, identifiers }) => `${subscriber.name} ${qos} ${new Set(identifiers).size}`)).toEqual(ears.map(({ name }) => `${name} 1 1000`))
    expect(router.footprint.nodes).toBeLessThanOrEqual(2_000)
    expect(shown(router.route('b/'.repeat(10).concat('a'), SOMEBODY).deliveries[0]!)).toBe('e0 0 [1]')
  })
  const ears = Array.from({ length: 30 }, (_, i) => ear(`e${i}`))
})
