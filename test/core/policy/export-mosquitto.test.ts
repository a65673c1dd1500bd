// A policy as an ACL file of Mosquitto: what it holds, what is told of what it does not, and that a small model of Mosquitto
// allows with it what the policy allows, or less and says so.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { model, TOPICS } from './acl-files.ts'
import { exported, FLEET, linesOf, policies } from './exports.ts'

const RUNS = 300
const policy = (grants: string, deny = ''): string => `version: 1\ngrants:\n  - { id: a, ${grants} }\n${deny === '' ? '' : `deny:\n  - { id: b, ${deny} }\n`}`
const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
const told = (text: string, devices: typeof FLEET | 'none' = FLEET): readonly string[] => exported(text, devices).findings.map(({ kind, original, why }) => `${kind} ${original}: ${why}`)

describe('what it holds', () => {
  test('what is for everybody is a pattern, with %u for the device and for its client id', () => {
    const { text } = exported(policy('to: any, publish: [{ topic: "t/${device.id}/#", retain: true }], subscribe: ["cmd/${clientId}/+", "all"]'))
    expect(lines(text)).toEqual(['pattern write t/%u/#', 'pattern read cmd/%u/+', 'pattern read all', 'user d3', 'topic deny #'])
  })

  test('what is for some is the lines of each, filled in, denies first; who is suspended has none', () => {
    const { text } = exported(policy('to: { group: g1 }, publish: [{ topic: "x-${device.id}/${device.attr.k}", retain: true }]', 'to: any, publish: ["+/b"], receive: ["+/b"]'))
    expect(lines(text)).toEqual(['pattern deny +/b', 'user d1', 'topic deny +/b', 'topic write x-d1/a', 'user d3', 'topic deny #'])
  })

  test('a device that has a group by another has its rights', () => {
    const { text } = exported('version: 1\ngroups: { plant: [g2] }\ngrants:\n  - { id: a, to: { group: plant }, subscribe: [r] }\n')
    expect(lines(text)).toEqual(['user d1', 'topic read r', 'user d2', 'topic read r', 'user d3', 'topic deny #'])
  })

  test('what is denied to a group is denied to its devices, and stands before what patterns grant them', () => {
    const { text } = exported(policy('to: any, subscribe: ["#"]', 'to: { group: g1 }, receive: [secret], publish: [secret]'))
    expect(lines(text)).toEqual(['pattern read #', 'user d1', 'topic deny secret', 'user d3', 'topic deny #'])
  })

  test('settings of mosquitto.conf hold what a line cannot', () => {
    const limited = policy('to: any, publish: [{ topic: a, qos: 1, maxBytes: 8KiB }], subscribe: [{ topic: b, qos: 1 }]')
    expect(lines(exported(limited, []).text)).toEqual([])
    expect(lines(exported(limited, [], { retainAvailable: false, maxQos: 1, messageSizeLimit: 8_192 }).text)).toEqual(['pattern write a', 'pattern read b'])
    expect(lines(exported(limited, [], { retainAvailable: false, maxQos: 1, messageSizeLimit: 8_193 }).text)).toEqual(['pattern read b'])
  })

  test('without a registry a device that is named has its lines, with what may be denied to it', () => {
    const { text } = exported('version: 1\ngrants:\n  - { id: a, to: { device: x }, subscribe: ["r/#", "${device.tenant}", "${device.attr.k}"] }\n  - { id: g, to: { group: g1 }, subscribe: [s] }\ndeny:\n  - { id: b, to: { group: g1 }, receive: ["r/${device.id}/${device.tenant}"], publish: ["r/${device.id}/${device.tenant}"] }\n', 'none')
    expect(lines(text)).toEqual(['pattern deny r/%u/+', 'user x', 'topic deny r/x/+', 'topic read r/#'])
  })
})

describe('what is told', () => {
  test.each([
    [policy('to: any, publish: [a]'), 'left-out a: publish a: who may write may retain. It is exported with --setting retain_available=false'],
    [policy('to: any, publish: [{ topic: a, retain: true, qos: 1 }]'), 'left-out a: publish a: who may write may with every QoS. It is exported with --setting max_qos=1'],
    [policy('to: any, publish: [{ topic: a, retain: true, maxBytes: 9 }]'), 'left-out a: publish a: who may write may send what is of any size. It is exported with --setting message_size_limit=9'],
    [policy('to: any, publish: [{ topic: a, retain: true, rate: 1/s }]'), 'left-out a: publish a: an ACL file limits no rates'],
    [policy('to: any, subscribe: [{ topic: a, qos: 0 }]'), 'left-out a: subscribe a: what is read is read with every QoS'],
    [policy('to: any, subscribe: [{ topic: a, wildcard: forbid }]'), 'left-out a: subscribe a: an ACL file forbids no wildcards'],
    [policy('to: any, when: { tls: "1.3" }, subscribe: [a]'), 'left-out a: subscribe a: an ACL file has no conditions'],
    [policy('to: any, when: { state: quarantined }, subscribe: [a]'), 'left-out a: subscribe a: an ACL file has no conditions'],
    [policy('to: { ca: issuing-1 }, subscribe: [a]'), 'left-out a: subscribe a: an ACL file does not know which CA'],
    [policy('to: any, will: [a]'), 'left-out a: will a: who may leave a Will there may publish there'],
    [policy('to: any, connect: { sessions: 1 }'), 'left-out a: connect: an ACL file says nothing of client ids'],
    [policy('to: any, subscribe: ["${clientId}"]'), 'narrowed a: subscribe ${clientId}: a client id is no proof there'],
    [policy('to: any, subscribe: ["${cert.subject.CN}"]'), 'left-out a: subscribe ${cert.subject.CN}: a variable of it is not in the registry'],
    [policy('to: { attr: { k: a } }, subscribe: ["${device.attr.z}"]'), 'left-out a: subscribe ${device.attr.z}: a variable of it is not in the registry'],
    [policy('to: any, subscribe: [a]', 'to: any, when: { tls: "1.3" }, receive: [b], publish: [b]'), 'narrowed b: deny b: an ACL file has no conditions'],
    [policy('to: any, subscribe: [a]', 'to: any, receive: ["${clientId}"], publish: ["${clientId}"]'), 'narrowed b: deny ${clientId}: what it would be filled in with is not known there'],
    [policy('to: any, subscribe: [a]', 'to: any, receive: ["x${device.id}"], publish: ["x${device.id}"]'), 'narrowed b: deny x${device.id}: a pattern knows %u alone'],
    [policy('to: any, subscribe: [a]', 'to: any, publish: [a]'), 'narrowed b: deny a: an ACL file denies both directions: it takes read from a, too'],
    [policy('to: any, publish: [{ topic: a, retain: true }]', 'to: any, receive: [a]'), 'narrowed b: deny a: an ACL file denies both directions: it takes write from a, too'],
  ])('%j', (text, expected) => {
    expect(told(text).filter((line) => line.startsWith(expected)).length).toBeGreaterThan(0)
  })

  test('nothing, where nothing is lost', () => {
    expect(told(policy('to: any, when: { state: [active, quarantined] }, publish: [{ topic: a, retain: true }], will: [a], subscribe: [{ topic: b, share: [g] }]', 'to: any, publish: [a, z], receive: [a, c], subscribe: [d]'))).toEqual([])
  })

  test('without a registry, what needs one', () => {
    expect(told(policy('to: { group: g }, subscribe: [a]'), 'none')).toEqual(['left-out a: subscribe a: whom it is for, and what its variables are, stands in the registry: export in a home.'])
  })

  test('a topic that would be another one there is not written', () => {
    const { text, complete } = exported(policy('to: any, subscribe: [" a", "b ", "c d", "%u"]'))
    expect([lines(text).filter((line) => !line.includes('d3') && !line.includes('#')), complete]).toEqual([['pattern read c d', 'user d1', 'topic read %u', 'user d2', 'topic read %u'], false])
  })
})

describe('against a model of Mosquitto', () => {
  test('it allows what the policy allows, or less and says so', () => {
    let complete = 0
    fc.assert(fc.property(policies, fc.boolean(), (text, withRegistry) => {
      const made = exported(text, withRegistry ? FLEET : 'none')
      const acl = linesOf(made.text)
      if (made.complete && withRegistry) complete++
      for (const device of FLEET) {
        const grants = made.grants(device)
        const isActive = device.state === 'active'
        // Without a registry nobody knows that a device is suspended.
        if (!isActive && !withRegistry) continue
        for (const clientId of [device.id, 'else']) for (const topic of TOPICS) {
          const theirs = { write: model(acl, { id: device.id, clientId }, 'write', topic), read: model(acl, { id: device.id, clientId }, 'read', topic) }
          const ours = { write: isActive && grants.publish(topic, 2, true, 1_000_000).effect === 'allow', read: isActive && grants.mayReceive(topic) }
          expect([theirs.write && !ours.write, theirs.read && !ours.read], `wider: ${device.id} ${topic}`).toEqual([false, false])
          if (made.complete && withRegistry) expect(theirs, `${device.id} ${topic}`).toEqual(ours)
        }
      }
    }), { numRuns: RUNS })
    expect(complete).toBeGreaterThan(RUNS / 30)
  }, 120_000)
})
