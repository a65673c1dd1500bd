// The hunt: by which topic, filter, client id, attribute, certificate or policy does a device get something that no single
// grant gives? One class of attempts per test, beside what an honest device gets.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isOwnClientId, parseDeviceId, type DeviceId } from '../../../src/core/ids.ts'
import type { Grants } from '../../../src/core/policy/grants.ts'
import { matches } from '../../../src/core/topic.ts'
import { admit } from '../../../src/core/admission.ts'
import { device, leaf, nameOf, NOW, planned, reasonOf } from '../facts.ts'
import { grant, grantAndDeny, grantsOf } from './policies.ts'

const OWN = grantsOf(grant('publish: ["t/${device.id}/#"], subscribe: ["t/${device.id}/#", "cmd/${device.id}/+"], will: ["state/${device.id}"]'), { device: device('sensor-7') })

const mayPublish = (g: Grants, topic: string): boolean => g.publish(topic, 0, false, 0).effect === 'allow'
const maySubscribe = (g: Grants, filter: string): boolean => g.subscribe(filter, 0).effect === 'allow'
const maySendWill = (g: Grants, topic: string): boolean => g.will(topic, 0, false, 0).effect === 'allow'

/** The same text at every door. */
const anyDoor = (g: Grants, text: string): readonly boolean[] => [mayPublish(g, text), maySubscribe(g, text), maySendWill(g, text), g.mayReceive(text)]
const NO_DOOR = [false, false, false, false]

test('an honest device gets what is its own', () => {
  expect([mayPublish(OWN, 't/sensor-7/a'), maySubscribe(OWN, 't/sensor-7/#'), maySubscribe(OWN, 'cmd/sensor-7/+'), maySendWill(OWN, 'state/sensor-7'), OWN.mayReceive('cmd/sensor-7/x')]).toEqual([true, true, true, true, true])
})

describe('by the topic', () => {
  test.each(['t/sensor-77/a', 't/sensor-/a', 't/sensor-7x', 't/Sensor-7/a', 'T/sensor-7/a', '/t/sensor-7/a', 't//sensor-7/a', 't/sensor-7\u200B/a', 't/sensor‐7/a', ' t/sensor-7/a', 't/sensor-7 /a', 't/ѕensor-7/a'])('a name that looks like its own: %j', (topic) => {
    expect(anyDoor(OWN, topic)).toEqual(NO_DOOR)
  })

  test.each(['t/../t/sensor-8/a', './t/sensor-8/a', 't/sensor-8/../sensor-7/a', 't\\sensor-7\\a', 't%2Fsensor-7/a', 't/sensor-8%00/a'])('a path that a file system would read otherwise: %j', (topic) => {
    expect(anyDoor(OWN, topic)).toEqual(NO_DOOR)
  })

  test('dots below its own root are levels like others, and lead nowhere', () => {
    expect(mayPublish(OWN, 't/sensor-7/../sensor-8/a')).toBe(true)
    expect(matches(['t', 'sensor-8', '#'], 't/sensor-7/../sensor-8/a'.split('/'))).toBe(false)
  })

  test.each(['$SYS/broker', '$share/g/t/sensor-7/a', '$refused/1', '$', '$t/sensor-7', '$queue/t/sensor-7'])('a reserved root, even where everything is granted: %j', (topic) => {
    const everything = grantsOf(grant('publish: ["#", "+/#", "+"], subscribe: ["#", "+/#", "+/+"], will: ["#"]'))
    expect([mayPublish(everything, topic), maySendWill(everything, topic), everything.mayReceive(topic)]).toEqual([false, false, false])
    expect(maySubscribe(everything, topic)).toBe(false)
  })

  test.each(['t/sensor-7/#', 't/+/a', '+/sensor-7/a', '#', 't/sensor-7/+'])('a wildcard in a topic name: %j', (topic) => {
    expect([mayPublish(OWN, topic), maySendWill(OWN, topic), OWN.mayReceive(topic)]).toEqual([false, false, false])
  })

  test.each(['t/sensor-7/a\0', 't/sensor-7/\uD800', 't/sensor-7/\uFFFD', 't/sensor-7/\u0007', `t/sensor-7/${'/'.repeat(64)}`, `t/sensor-7/${'a'.repeat(512)}`, ''])('bytes that one program reads otherwise than another', (topic) => {
    expect(anyDoor(OWN, topic)).toEqual(NO_DOOR)
  })
})

describe('by the filter', () => {
  test.each(['#', '+/#', '+/+', '+/+/#', '+/sensor-7/#', 't/+', 't/+/#', 't/#', 't/+/a', 't/sensor-7+/a', 't/sensor-7#', 'cmd/sensor-7/#', 'cmd/+/+', 'cmd/sensor-7/+/+', '+', '/+/sensor-7/#', 't/sensor-8/#', '//', '/'])('one that is wider than its grant, or beside it: %j', (filter) => {
    expect(maySubscribe(OWN, filter)).toBe(false)
  })

  test.each(['$share/g/#', '$share/g/t/#', '$share/g/t/sensor-8/#', '$share/t/sensor-7/#', '$share/g/$share/h/t/sensor-7/#', '$share//t/sensor-7/#', '$share/g', '$SHARE/g/t/sensor-7/#', '$queue/t/sensor-7/#', '$share/g/t/sensor-7/#'])('one that is shared, with the inner filter anywhere: %j', (filter) => {
    expect(maySubscribe(OWN, filter)).toBe(false)
  })

  test('whatever is granted, every topic of the filter is a topic of one single grant', () => {
    const level = fc.constantFrom('a', 'b', '', '$s', '+')
    const filters = fc.tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '/#')).map(([l, end]) => l.join('/') + end).filter((f) => f !== '' && !f.startsWith('$'))
    const topics = fc.array(fc.constantFrom('a', 'b', '', '$s', 'x'), { minLength: 1, maxLength: 5 })
    fc.assert(fc.property(fc.array(filters, { minLength: 1, maxLength: 4 }), filters, fc.array(topics, { minLength: 10, maxLength: 10 }), (granted, asked, names) => {
      const g = grantsOf(grant(`subscribe: ${JSON.stringify(granted)}`))
      if (!maySubscribe(g, asked)) return
      const inAsked = names.filter((t) => matches(asked.split('/'), t))
      expect(granted.some((one) => inAsked.every((t) => matches(one.split('/'), t)))).toBe(true)
    }), { numRuns: 500 })
  })

  test('what is delivered is what a subscription could have asked for', () => {
    const level = fc.constantFrom('a', 'b', '', '+')
    const patterns = fc.array(fc.array(level, { minLength: 1, maxLength: 3 }).map((l) => l.join('/')).filter((p) => p !== ''), { minLength: 1, maxLength: 3 })
    fc.assert(fc.property(patterns, patterns, fc.array(fc.constantFrom('a', 'b', '', '$s'), { minLength: 1, maxLength: 3 }).map((l) => l.join('/')), (granted, denied, topic) => {
      fc.pre(topic !== '' && !topic.startsWith('$'))
      const g = grantsOf(grantAndDeny(`subscribe: ${JSON.stringify(granted)}`, `subscribe: ${JSON.stringify(denied)}`))
      expect(g.mayReceive(topic)).toBe(maySubscribe(g, topic))
    }), { numRuns: 500 })
  })
})

describe('by the client id', () => {
  const POLICY = grant('connect: { clientId: ["*"] }, publish: ["t/${clientId}/#", "u/${device.id}/#"], subscribe: ["t/${clientId}/#"], will: ["${clientId}/w"]')
  const as = (clientId: string): Grants => grantsOf(POLICY, { device: device('sensor-7'), clientId })

  test.each(['sensor-8', 'sensor-77', '+', '#', '$SYS', '$share', 'a/b', '', 'sensor-8:x', 'sensor-7x', '${device.id}', 't/sensor-8', '\0', '..'])('one that is another device\'s, where the policy admits every client id and fills it into topics: %j', (clientId) => {
    const g = as(clientId)
    for (const topic of ['t/sensor-8/a', `t/${clientId}/a`, 't/x/a', 't//a', `${clientId}/w`, 'w']) expect(anyDoor(g, topic)).toEqual(NO_DOOR)
    for (const filter of ['t/#', 't/+/#', '#', '+/#']) expect(maySubscribe(g, filter)).toBe(false)
    expect(mayPublish(g, 'u/sensor-7/a')).toBe(true)
  })

  test('its own one fills in itself, and nothing that another device could have', () => {
    expect([mayPublish(as('sensor-7'), 't/sensor-7/a'), mayPublish(as('sensor-7:tool'), 't/sensor-7:tool/a'), mayPublish(as('sensor-7:tool'), 't/sensor-7/a')]).toEqual([true, true, false])
    const ids = fc.stringMatching(/^[ab][ab.-]{0,2}$/)
    fc.assert(fc.property(ids, ids, fc.stringMatching(/^[ab:.-]{1,5}$/), (mine, other, clientId) => {
      if (mine === other) return
      const topic = `t/${other}/x`
      expect(mayPublish(grantsOf(POLICY, { device: device(mine), clientId }), topic)).toBe(false)
      expect(isOwnClientId(mine as DeviceId, clientId) && parseDeviceId(clientId).allow && clientId !== mine).toBe(false)
    }), { numRuns: 500 })
  })

  test('one that a deny speaks of: whoever has no own one is denied all', () => {
    const g = grantsOf(grantAndDeny('connect: { clientId: ["*"] }, publish: ["#"]', 'publish: ["t/${clientId}/key"]'), { device: device('sensor-7'), clientId: 'x' })
    expect([mayPublish(g, 't/x/key'), mayPublish(g, 't/sensor-7/key'), mayPublish(g, 't/x/other')]).toEqual([false, false, true])
  })

  test('one that makes another session key', () => {
    for (const clientId of ['../sensor-8', 'sensor-8/x', 'default/sensor-8/sensor-8', 'sensor-7:/../sensor-8']) {
      const facts = { now: NOW, record: planned('a', 'sensor-7', { state: 'active' }), device: device('sensor-7'), protocol: 5, clientId, freeClientId: 'sensor-7', clean: true, will: undefined, authenticationMethod: undefined, grants: as(clientId), otherSessions: 0, withinRate: true } as const
      expect(reasonOf(admit(facts))).toBe('client-id-invalid')
    }
  })
})

describe('by an attribute, a group or a certificate', () => {
  const HOSTILE = ['+', '#', 'a/#', '/', '', 'a/b', '$SYS', '$share', '${device.id}', '*', '\0', 'e\u0301', 'x'.repeat(129)]

  test.each(HOSTILE)('an attribute of %j gives no pattern that is wider than one level', (v) => {
    const g = grantsOf(grant('publish: ["t/${device.attr.v}/x"], subscribe: ["${device.attr.v}/#"], will: ["${device.attr.v}"]'), { device: device('d', { attributes: { v } }) })
    for (const filter of ['#', '+/#', 'a/#', '$SYS/#', '$share/#', '+', 'd/#']) expect(maySubscribe(g, filter)).toBe(false)
    for (const topic of ['t/a/x', 't/b/x', 't//x', 't/d/x', 'a', '$SYS']) expect([mayPublish(g, topic), maySendWill(g, topic)]).toEqual([false, false])
  })

  test.each(HOSTILE)('a subject, a SAN or a SPIFFE path of %j neither', (v) => {
    const certificate = leaf({ subject: nameOf(`CN=${v}`), subjectAltNames: [{ kind: 'dns', value: v }, { kind: 'uri', value: `spiffe://td/${v}` }] })
    const g = grantsOf(grant('publish: ["t/${cert.subject.CN}/x", "t/${cert.san.dns[0]}/x"], subscribe: ["${cert.subject.CN}/#", "s/${spiffe.path[0]}/#"]'), { certificate })
    for (const filter of ['#', '+/#', '$SYS/#', '$share/#', 's/#', 's/+/#', 's/b/#', 'd/#']) expect(maySubscribe(g, filter)).toBe(false)
    for (const topic of ['t/b/x', 't//x', 't/d/x']) expect(mayPublish(g, topic)).toBe(false)
  })

  test('two common names, in either order, are no name', () => {
    for (const subject of [nameOf('CN=d', 'CN=admin'), nameOf('CN=admin', 'CN=d'), nameOf(['CN=d', 'CN=admin'])]) {
      expect(mayPublish(grantsOf(grant('publish: ["t/${cert.subject.CN}/x"]'), { certificate: leaf({ subject }) }), 't/admin/x')).toBe(false)
    }
  })

  test('names of JavaScript\'s own are attributes that are not there', () => {
    for (const name of ['constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
      const g = grantsOf(grant(`publish: ["t/\${device.attr.${name}}/#"]`))
      expect(g.unresolved).toHaveLength(1)
      expect(mayPublish(g, 't/a/b')).toBe(false)
    }
  })

  test('two parts that are harmless alone do not make a wildcard, a separator or a reserved root together', () => {
    const g = grantsOf(grant('publish: ["${device.attr.a}${device.attr.b}/x", "x/${device.attr.a}${device.attr.b}/y"]'), { device: device('d', { attributes: { a: '$', b: 'SYS' } }) })
    expect([mayPublish(g, '$SYS/x'), mayPublish(g, 'x/$SYS/y')]).toEqual([false, true])
  })

  test('a device that is in many groups has each of their grants, and no product of them', () => {
    const text = 'version: 1\ngrants:\n  - { id: one, to: { group: one }, publish: [ { topic: "a/#", qos: 0 } ], subscribe: ["a"] }\n  - { id: two, to: { group: two }, publish: [ { topic: "a/b", qos: 2, retain: true, maxBytes: 1 } ], subscribe: ["a/+/#"] }\n'
    const g = grantsOf(text, { device: device('d', { groups: ['one', 'two'] as never }) })
    expect([g.publish('a/b', 2, true, 1).effect, g.publish('a/b', 0, false, 9).effect]).toEqual(['allow', 'allow'])
    expect([g.publish('a/b', 2, true, 9).effect, g.publish('a/b', 0, true, 9).effect, g.publish('a/c', 2, false, 0).effect, maySubscribe(g, 'a/#')]).toEqual(['deny', 'deny', 'deny', false])
  })
})

describe('by asking again', () => {
  test('a refused topic is refused whatever was asked before, and an allowed one does not lend its answer', () => {
    const g = grantsOf(grantAndDeny('publish: [ { topic: "t/#", qos: 0, maxBytes: 5 } ], will: ["w/#"], subscribe: ["t/#"]', 'publish: ["t/no"], receive: ["t/no"]'))
    for (let i = 0; i < 3; i++) {
      expect([g.publish('t/a', 0, false, 5).effect, g.publish('t/a', 1, false, 5).effect, g.publish('t/a', 0, false, 6).effect, g.publish('t/a', 0, true, 0).effect, g.will('t/a', 0, false, 0).effect, g.publish('w/a', 0, false, 0).effect]).toEqual(['allow', 'deny', 'deny', 'deny', 'deny', 'deny'])
      expect([g.publish('t/no', 0, false, 0).effect, g.mayReceive('t/no'), g.mayReceive('t/a')]).toEqual(['deny', false, true])
    }
  })

  test('topics called like properties of an object are topics', () => {
    const g = grantsOf(grant('publish: ["a"], subscribe: ["a"]'))
    for (const topic of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'size', 'get']) expect(anyDoor(g, topic)).toEqual(NO_DOOR)
  })
})
