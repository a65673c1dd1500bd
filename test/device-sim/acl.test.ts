// What a target's access control list makes of the cases: what is a device's own, and the nearest that is not.

import { array, assert, boolean, constantFrom, property, tuple } from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  commandTopic, echoOf, forbiddenWillTopics, foreignTopics, mayPublish, maySubscribe, ownFilters, ownTopic, sharedFilters, speaksStarterTopics, STARTER_ACL, wideFilters, willTopic, type Acl,
} from '../../device-sim/acl.ts'

const PLANT: Acl = { publish: ['plants/${id}/up/+', 'alarms/${id}'], subscribe: ['plants/${id}/down/#', 'news/+'], will: ['plants/${id}/up/state'], backend: ['plants/+/down/#'], identity: 'certificate' }

describe('of the starter policy', () => {
  test('a device speaks, hears itself and is commanded where it was before there were other lists', () => {
    expect(ownTopic(STARTER_ACL, 'd', 'x')).toBe('t/d/x')
    expect(willTopic(STARTER_ACL, 'd')).toBe('state/d')
    expect(echoOf(STARTER_ACL, 'd', 'x')).toEqual({ topic: 't/d/x', filter: 't/d/#' })
    expect(commandTopic(STARTER_ACL, 'd', 'x')).toBe('cmd/d/x')
    expect(ownFilters(STARTER_ACL, 'd')).toEqual(['t/d/#', 'cmd/d/+'])
    expect(speaksStarterTopics(STARTER_ACL)).toBe(true)
    expect(speaksStarterTopics(PLANT)).toBe(false)
  })

  test('topics that are not its own are those that a person wrote down', () => {
    expect(Object.values(foreignTopics(STARTER_ACL, 'me', 'you'))).toEqual(['t/you/a', 'cmd/you/reboot', 't/me0/a', 'x/me/a', 'T/me/a', '/t/me/a'])
    expect(Object.values(forbiddenWillTopics(STARTER_ACL, 'me', 'you'))).toEqual(['state/you', 't/you/a', 'cmd/you/reboot', '$SYS/broker/uptime', 'state/+', '#'])
  })

  test('wide filters and those of a share are at least those that a person wrote down', () => {
    const wide = ['#', '+', '+/#', '+/+/+', '//', 't/#', 't/+/x', 't/+/#', 't/you/#', 't/you/x', 't/me#', 't/me+/x', 't/me/#/x', 'cmd/#', 'cmd/you/+', 'cmd/me/#', 'state/#', 'T/#', '/#']
    expect(wideFilters(STARTER_ACL, 'me', 'you')).toEqual(expect.arrayContaining(wide))
    const shared = ['$share/g/#', '$share/g/t/#', '$share/g/t/you/#', '$share/g/t/mex/#', '$share/g/$SYS/#', '$share/g', '$share//t/#', '$share/+/t/#', '$share/g/$share/h/#', '$queue/#', '$queue/t/you/x']
    expect(sharedFilters(STARTER_ACL, 'me', 'you')).toEqual(shared)
  })
})

describe('of another list', () => {
  test('its own topics are made of its templates', () => {
    expect(ownTopic(PLANT, 'd', 'x')).toBe('plants/d/up/x')
    expect(echoOf(PLANT, 'd', 'x')).toBeUndefined()
    expect(commandTopic(PLANT, 'd', 'x')).toBe('plants/d/down/x')
  })

  test('what the list grants is no attack: a topic that all may hear is not among the wide filters', () => {
    const wide = wideFilters(PLANT, 'me', 'you')
    expect(wide).toEqual(expect.arrayContaining(['#', 'plants/#', 'plants/+/up/+', 'plants/you/up/+', 'plants/me#', 'plants/me/#', 'PLANTS/#', 'alarms/+', 'alarms/you']))
    expect(wide).not.toContain('news/+')
    expect(foreignTopics({ ...PLANT, publish: ['${id}/a', '+/a'] }, 'me', 'you')).not.toHaveProperty('telemetry of another device')
  })

  test('an id that means something to String.replace stands for itself', () => {
    expect(ownTopic(STARTER_ACL, "$&$'", 'x')).toBe("t/$&$'/x")
  })
})

const level = constantFrom('a', 'b', '+', '', 'me', 'you')
const filter = tuple(array(level, { minLength: 1, maxLength: 4 }), boolean()).map(([levels, deep]) => [...levels, ...(deep ? ['#'] : [])].join('/'))
const topic = array(constantFrom('a', 'b', '', 'me', 'you'), { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'))

test('whoever may subscribe to a filter may hear every topic of it, and nothing forbidden is among what is granted', () => {
  assert(property(filter, filter, topic, (granted, asked, heard) => {
    const acl: Acl = { publish: [granted], subscribe: [granted], will: [], identity: 'certificate' }
    const matched = mayPublish({ ...acl, publish: [asked] }, 'me', heard)
    expect(!maySubscribe(acl, 'me', asked) || !matched || mayPublish(acl, 'me', heard)).toBe(true)
    expect(wideFilters({ ...acl, publish: ['t/${id}'] }, 'me', 'you').some((each) => maySubscribe(acl, 'me', each))).toBe(false)
    expect(Object.values(foreignTopics({ ...acl, publish: ['t/${id}', granted] }, 'me', 'you')).some((each) => mayPublish({ ...acl, publish: ['t/${id}', granted] }, 'me', each))).toBe(false)
  }))
})
