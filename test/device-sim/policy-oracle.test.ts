// The oracle of changing policies must see a leak where there is one, and none where there is none: each with its nearest neighbour.

import { beforeEach, describe, expect, test } from 'vitest'
import { filterMatches, openPolicyOracle, type PolicyOracle, type Receiver } from '../../device-sim/policy-oracle.ts'

/** A world is what is allowed, as sentences. */
type World = readonly string[]
const ALL: World = ['d holds a/#', 'd hears a/x', 's says a/x']

let oracle: PolicyOracle<World>
let d: Receiver
let s: Receiver
beforeEach(() => {
  oracle = openPolicyOracle<World>({
    mayPublish: (world, device, { topic }) => world.includes(`${device} says ${topic}`),
    mayHold: (world, device, filter) => world.includes(`${device} holds ${filter}`),
    mayReceive: (world, device, topic) => world.includes(`${device} hears ${topic}`),
  }, ALL)
  d = oracle.receiver('d')
  s = oracle.receiver('s')
  d.connecting(true)
  s.connecting(true)
  d.subscribing('a/#')
})
const leaks = (): number => oracle.count().leaks.length
/** Said, and taken at once. */
function said(topic = 'a/x', more: { readonly retain?: boolean } = {}): string {
  const { payload, taken } = s.say({ topic, qos: 1, retain: more.retain ?? false })
  taken()
  return payload
}
const hears = (payload: string, more: { readonly topic?: string; readonly retain?: boolean; readonly dup?: boolean } = {}): void => d.received({ topic: 'a/x', payload, retain: false, dup: false, ...more })
/** The world is another one, and everybody has heard of it. */
function settle(world: World): void {
  oracle.change(world)()
  for (const one of [d, s]) one.ask()()
}

test('what is allowed is no leak', () => {
  hears(said())
  expect(oracle.count()).toEqual({ deliveries: { live: 1, queued: 0, resent: 0, retained: 0, shared: 0 }, decisive: 0, said: 1, leaks: [] })
})

describe('a right that is lost', () => {
  test.each(ALL.slice(0, 2))('of its receiver (%s): a delivery behind the answer is a leak, one before it may be on its way', (right) => {
    const payload = said()
    oracle.change(ALL.filter((r) => r !== right))()
    const answered = d.ask()
    hears(payload)
    expect(leaks()).toBe(0)
    answered()
    hears(payload)
    expect(leaks()).toBe(1)
  })

  test('an answer to a question from before the change says nothing', () => {
    const answered = d.ask()
    oracle.change([])()
    answered()
    hears(said())
    expect(leaks()).toBe(0)
  })

  test('while a change is being made both worlds may be in force; when it is made, the old one is over', () => {
    const done = oracle.change([])
    d.ask()()
    const payload = said()
    hears(payload)
    expect(leaks()).toBe(0)
    done()
    d.ask()()
    hears(payload)
    expect(leaks()).toBe(1)
  })

  test('and comes back is one again', () => {
    settle(['s says a/x'])
    settle(ALL)
    hears(said())
    expect(leaks()).toBe(0)
  })

  test('of its sender: what was taken before counts, what was said after does not', () => {
    const before = said()
    settle(ALL.slice(0, 2))
    hears(before)
    expect(leaks()).toBe(0)
    hears(said())
    expect(leaks()).toBe(1)
  })

  test('a message that is not acknowledged yet may have been taken by any world since', () => {
    settle(ALL.slice(0, 2))
    const { payload } = s.say({ topic: 'a/x', qos: 1, retain: false })
    settle(ALL)
    hears(payload)
    expect(leaks()).toBe(0)
  })

  test('before a connection is no right of it', () => {
    oracle.change([])()
    d.connecting(false)
    hears(said())
    expect(leaks()).toBe(1)
  })
})

describe('what it holds', () => {
  test('is what it subscribed to and did not give up; a fresh session holds nothing', () => {
    d.unsubscribed('a/#')
    hears(said())
    expect(leaks()).toBe(1)
    d.subscribing('a/#')
    hears(said())
    expect(leaks()).toBe(1)
    d.connecting(true)
    hears(said())
    expect(leaks()).toBe(2)
  })

  test('must match, and be granted in the same world in which the topic may be heard', () => {
    hears(said('b'), { topic: 'b' })
    expect(oracle.count().leaks).toHaveLength(2)
    oracle.change(['d holds a/#', 's says a/x'])()
    oracle.change(['d hears a/x', 's says a/x'])()
    d.ask()()
    hears(said())
    expect(leaks()).toBe(3)
  })
})

describe('a SUBSCRIBE that is refused', () => {
  test('leaves what was held where no policy has refused it, and takes it where one has, though it is granted again', () => {
    d.connecting(true)
    d.subscribing('a/#').granted()
    d.subscribing('a/#').refused()
    hears(said())
    expect(leaks()).toBe(0)
    settle(ALL.slice(1))
    const asked = d.subscribing('a/#')
    settle(ALL)
    asked.refused()
    hears(said())
    expect(leaks()).toBe(1)
  })

  test('takes nothing of one that is not answered yet: answers may come in another order, and what is judged last counts', () => {
    d.connecting(true)
    const [first, second] = [d.subscribing('a/#'), d.subscribing('a/#')]
    oracle.change(ALL.slice(1))()
    oracle.change(ALL)()
    second.refused()
    hears(said())
    expect(leaks()).toBe(0)
    first.refused()
    hears(said())
    expect(leaks()).toBe(1)
  })

  test('nor of one that was granted while it was waited for; of one that was granted before it went out it does', () => {
    d.connecting(true)
    const [first, second] = [d.subscribing('a/#'), d.subscribing('a/#')]
    oracle.change(ALL.slice(1))()
    oracle.change(ALL)()
    first.granted()
    second.refused()
    hears(said())
    expect(leaks()).toBe(0)
    const third = d.subscribing('a/#')
    third.refused()
    hears(said())
    expect(leaks()).toBe(1)
  })

  test('on a new connection counts for what the one before had asked without an answer', () => {
    d.connecting(false)
    oracle.change(ALL.slice(1))()
    oracle.change(ALL)()
    hears(said())
    expect(leaks()).toBe(0)
    d.subscribing('a/#').refused()
    hears(said())
    expect(leaks()).toBe(1)
  })
})

describe('what is retained', () => {
  test('is a leak where its sender may not say it any longer, at any time since the filter was subscribed to', () => {
    const payload = said('a/x', { retain: true })
    settle(ALL.slice(0, 2))
    hears(payload, { retain: true })
    expect(leaks()).toBe(0)
    const asked = d.subscribing('a/#')
    hears(payload, { retain: true })
    expect(leaks()).toBe(0)
    asked.granted()
    hears(payload, { retain: true })
    expect(leaks()).toBe(1)
  })

  test('and was shown before may come again, or wait for a session that comes back: then every SUBSCRIBE of it counts', () => {
    const payload = said('a/x', { retain: true })
    settle(ALL.slice(0, 2))
    d.subscribing('a/#').granted()
    hears(payload, { retain: true, dup: true })
    d.connecting(false)
    hears(payload, { retain: true })
    expect(leaks()).toBe(0)
    d.connecting(true)
    d.subscribing('a/#').granted()
    hears(payload, { retain: true, dup: true })
    expect(leaks()).toBe(1)
  })

  test('is not shown by a share', () => {
    d.unsubscribed('a/#')
    d.subscribing('$share/g/a/#')
    settle([...ALL, 'd holds $share/g/a/#'])
    hears(said())
    expect(leaks()).toBe(0)
    hears(said(), { retain: true })
    expect(leaks()).toBe(1)
  })

  test('and was shown by a filter that is gone comes again where a share covers its topic, and nowhere else', () => {
    const payload = said('a/x', { retain: true })
    d.unsubscribed('a/#')
    d.subscribing('$share/g/a/#')
    settle([...ALL, 'd holds $share/g/a/#'])
    hears(payload, { retain: true, dup: true })
    expect(leaks()).toBe(0)
    settle(ALL)
    hears(payload, { retain: true, dup: true })
    expect(leaks()).toBe(1)
  })
})

test('kinds of deliveries are told apart, and those that a world before would have forbidden are counted', () => {
  settle([])
  settle([...ALL, 'd holds $share/g/a/#'])
  const old = said()
  d.connecting(false)
  hears(old)
  hears(old, { dup: true })
  hears(said())
  hears(said(), { retain: true })
  d.unsubscribed('a/#')
  d.subscribing('$share/g/a/#')
  hears(said())
  expect(oracle.count()).toMatchObject({ deliveries: { live: 1, queued: 1, resent: 1, retained: 1, shared: 1 }, decisive: 5, leaks: [] })
})

test.each(['', 'x', '{"from":"s","topic":"a/x","n":99}', '{"from":"d","topic":"a/x","n":0}', '{"from":"s","topic":"a/y","n":0}'])('a payload that nobody said is a leak: %j', (payload) => {
  hears(said())
  hears(payload)
  expect(oracle.count().leaks).toEqual([expect.stringContaining('nobody said that')])
})

test.each([['a/b', 'a/b', true], ['a/b', 'a', false], ['a/+', 'a/b', true], ['a/+', 'a/b/c', false], ['a/#', 'a', true], ['a/#', 'a/b/c', true], ['a/#', 'ab', false], ['#', 'x', true], ['#', '$SYS/x', false], ['+/x', '/x', true], ['+', '$x', false]])('%s matches %s: %s', (filter, topic, expected) => {
  expect(filterMatches(filter, topic)).toBe(expected)
})
