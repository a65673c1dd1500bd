// The published mistakes of other brokers, each as a test of its name: what was granted, what a client got, and what it gets
// here. Each beside what its honest neighbour gets, so that no refusal is one because nothing is granted.

import { describe, expect, test } from 'vitest'
import type { Grants } from '../../../src/core/policy/grants.ts'
import { device } from '../facts.ts'
import { grant, grantAndDeny, grantsOf } from './policies.ts'

const publish = (g: Grants, topic: string): string => g.publish(topic, 0, false, 0).reason
const will = (g: Grants, topic: string): string => g.will(topic, 0, false, 0).reason
const subscribe = (g: Grants, filter: string): string => g.subscribe(filter, 0).reason
const may = (g: Grants, ...filters: readonly string[]): readonly boolean[] => filters.map((filter) => g.subscribe(filter, 0).effect === 'allow')
const as = (clientId: string, text: string): Grants => grantsOf(text, { clientId, device: device('d', { attributes: { user: clientId } }) })

describe('Mosquitto', () => {
  test.each(['+', '#', '+/+', 'd/#', 'a/b', ''])('CVE-2017-7650: a client id or user name of %j in a pattern line was the wildcard that it looks like', (name) => {
    const g = as(name, grant('connect: { clientId: ["*"] }, publish: ["t/${clientId}/x", "u/${device.attr.user}/x"], subscribe: ["t/${clientId}", "u/${device.attr.user}/#"], will: ["t/${clientId}"]'))
    expect(['t/a/x', 't/d/x', 'u/a/x', 'u/d/x', 't//x', 'u//x'].map((topic) => [publish(g, topic), g.mayReceive(topic)])).toEqual(Array.from({ length: 6 }, () => ['publish-not-granted', false]))
    expect([...may(g, 't/+', 't/#', 'u/#', 'u/+/#', 'u/a', '#'), will(g, 't/a')]).toEqual([false, false, false, false, false, false, 'will-not-granted'])
    const honest = as('d', grant('publish: ["t/${clientId}/x", "u/${device.attr.user}/x"]'))
    expect([publish(honest, 't/d/x'), publish(honest, 'u/d/x')]).toEqual(['granted', 'granted'])
  })

  test.each(['', '# only a comment\n', 'version: 1\n', 'version: 1\ngrants: []\n'])('CVE-2018-12550: a policy file with no rule in it allowed everything: %j', (text) => {
    const g = grantsOf(text)
    expect([g.empty, publish(g, 'a'), subscribe(g, '#'), will(g, 'a'), g.mayReceive('a')]).toEqual([true, 'publish-not-granted', 'subscribe-not-granted', 'will-not-granted', false])
  })

  test('CVE-2018-12546, EMQX issue 10192: what was retained or in flight outlived the right to it', () => {
    // Whoever shows a retained message asks the grants that its publisher has now; whoever delivers one, those of its reader.
    const [before, after] = [grantsOf(grant('publish: [ { topic: t/x, retain: true } ], subscribe: [t/x]')), grantsOf(grant('publish: [u], subscribe: [u]'))]
    expect([before, after].map((g) => [g.publish('t/x', 0, true, 0).reason, g.mayReceive('t/x')])).toEqual([['granted', true], ['publish-not-granted', false]])
  })

  test('CVE-2021-34432: a topic of no characters stopped the broker', () => {
    const g = grantsOf(grant('publish: ["#", "+"], subscribe: ["#", "+"], will: ["#", "+"]'))
    expect([publish(g, ''), will(g, ''), subscribe(g, ''), g.mayReceive('')]).toEqual(['topic-invalid', 'will-invalid', 'filter-invalid', false])
    expect([publish(g, '/'), subscribe(g, '/')]).toEqual(['granted', 'granted'])
  })

  test('CVE-2017-7653: a topic that is not UTF-8 was passed on, and its readers disconnected', () => {
    const g = grantsOf(grant('publish: ["#"], subscribe: ["#"], will: ["#"]'))
    for (const topic of [Buffer.from([0x74, 0x2f, 0xff]).toString(), 't/\uD800', 't/\0']) expect([publish(g, topic), will(g, topic), subscribe(g, topic), g.mayReceive(topic)]).toEqual(['topic-invalid', 'will-invalid', 'filter-invalid', false])
  })

  test('issues 294, 744, 2296, 2852: a client subscribed to "#" though one topic was granted', () => {
    const g = grantsOf(grant('subscribe: ["weather/hourly/${device.id}"]'))
    expect(may(g, 'weather/hourly/d', '#', 'weather/#', 'weather/hourly/#', 'weather/hourly/+', '+/+/+', 'weather/hourly/d/#', 'test')).toEqual([true, false, false, false, false, false, false, false])
  })

  test('issue 1589: a grant of foo/+ refused the filter foo/+ itself', () => {
    expect(may(grantsOf(grant('subscribe: ["foo/+"]')), 'foo/+', 'foo/bar', 'foo/bar/+', '+/+', 'foo/#')).toEqual([true, true, false, false, false])
  })

  test('issue 3101: a deny could not spare reading', () => {
    const g = grantsOf(grantAndDeny('publish: ["main/#"], subscribe: ["main/#"]', 'publish: ["main/test2/#"]'))
    expect([publish(g, 'main/test1/info'), publish(g, 'main/test2/info'), publish(g, 'main/test2'), g.mayReceive('main/test2/info'), subscribe(g, 'main/#')]).toEqual(['granted', 'publish-denied', 'publish-denied', true, 'granted'])
  })

  test('mosquitto.conf(5): a topic line of "#" is not one for $SYS', () => {
    const g = grantsOf(grant('subscribe: ["#", "+/#"]'))
    expect([...may(g, '#', '$SYS/#', '$SYS/broker/uptime', '+/broker/uptime', '$SYS/+'), g.mayReceive('$SYS/broker/uptime')]).toEqual([true, false, false, true, false, false])
  })
})

describe('EMQX', () => {
  test('issue 1079: one session may be watched with "+", and all of them may not', () => {
    const g = grantsOf(grant('subscribe: ["topic/session/123/da/+"]'))
    expect(may(g, 'topic/session/123/da/+', 'topic/session/123/da/aab', 'topic/session/+/da/+', 'topic/session/#', 'topic/session/123/#', 'topic/session/123/da/#')).toEqual([true, true, false, false, false, false])
  })

  test('issues 3931, 8577: a share was judged by something else than the filter inside', () => {
    const g = grantsOf(grant('subscribe: [ { topic: "ibm/c/msg", share: [g1] }, { topic: "/a/b", share: [g1] } ]'))
    expect(may(g, '$share/g1/ibm/c/msg', '$share/g1//a/b', '$share/g1/a/b', '$share/g1//ibm/c/msg', '$share/g1/g1/ibm/c/msg')).toEqual([true, true, false, false, false])
  })

  test('emqx-docs 3884: a deny of "#" did not hold what begins with $queue or $stream', () => {
    const everything = grantsOf(grant('subscribe: ["#", "+/#", "+/+/+"]'))
    const denied = grantsOf(grantAndDeny('subscribe: ["t/#"]', 'subscribe: ["#"]'))
    for (const filter of ['$queue/t/x', '$queue/q/t/#', '$stream/s/t/#', '$exclusive/t/x', '$retained/t/x', '$local/t']) expect([may(everything, filter), may(denied, filter), everything.mayReceive(filter)]).toEqual([[false], [false], false])
    expect([subscribe(everything, 't/x'), subscribe(denied, 't/x')]).toEqual(['granted', 'subscribe-denied'])
  })

  test('pull requests 9171, 9290: $delayed/2/deny/1 was judged as it stands, and published as deny/1', () => {
    const g = grantsOf(grantAndDeny('publish: ["#", "+/+/allow/#"], will: ["#"]', 'publish: ["deny/#"]'))
    expect([publish(g, 'allow/1'), publish(g, 'deny/1'), publish(g, '$delayed/2/deny/1'), publish(g, '$delayed/2/allow/1'), will(g, '$delayed/2/deny/1')]).toEqual(['granted', 'publish-denied', 'topic-reserved', 'topic-reserved', 'will-invalid'])
  })

  test('issues 8978, 1230, Moquette issue 689, mochi-mqtt issue 503: a Will was published that nobody had judged', () => {
    const g = grantsOf(grantAndDeny('publish: ["t/#"], will: ["state/${device.id}"]', 'publish: ["restricted/#", "state/other"]'))
    expect(['state/d', 'state/e', 't/x', '$SYS/test'].map((topic) => will(g, topic))).toEqual(['granted', 'will-not-granted', 'will-not-granted', 'will-invalid'])
    expect(will(grantsOf(grantAndDeny('will: ["#"]', 'publish: ["restricted/#"]')), 'restricted/demo')).toBe('publish-denied')
  })

  test('issue 12312, the acl.conf that it ships: what no rule names was allowed', () => {
    const g = grantsOf(grant('publish: [user-01], subscribe: [user-01]'))
    expect([subscribe(g, 'user-01'), subscribe(g, '#'), subscribe(g, 'user-02'), publish(g, 'user-02'), g.mayReceive('user-02')]).toEqual(['granted', 'subscribe-not-granted', 'subscribe-not-granted', 'publish-not-granted', false])
  })

  test('acl.conf: the first rule that matches wins, so a deny behind an allow does nothing', () => {
    const rules = ['grants:\n  - { id: r, to: any, publish: ["t/#"], subscribe: ["t/#"] }\n', 'deny:\n  - { id: no, to: any, publish: ["t/secret"], subscribe: ["t/secret"] }\n']
    for (const order of [rules, rules.toReversed()]) {
      const g = grantsOf(`version: 1\n${order.join('')}`)
      expect([publish(g, 't/secret'), subscribe(g, 't/secret'), g.mayReceive('t/secret'), publish(g, 't/open')]).toEqual(['publish-denied', 'subscribe-denied', false, 'granted'])
    }
  })

  test('flowfuse issue 4876, mqtt_cpp issue 779: a subscription that a deny only overlaps delivered what is denied', () => {
    const g = grantsOf(grantAndDeny('subscribe: ["foo/bar/#"]', 'receive: ["foo/bar/ben"]'))
    expect([subscribe(g, 'foo/bar/#'), g.mayReceive('foo/bar/alice'), g.mayReceive('foo/bar/ben'), g.mayReceive('foo/bar/ben/x')]).toEqual(['granted', true, false, true])
  })
})

describe('other brokers', () => {
  test('VerneMQ issue 72: matching one filter against another was too hard, so every subscription was granted', () => {
    const g = grantsOf(grant('subscribe: ["device/+"]'))
    expect(may(g, 'device/+', 'device/x', 'device/#', 'device', 'device/x/#', 'device/+/#', '+/x', '+/+', '#')).toEqual([true, true, false, false, false, false, false, false, false])
  })

  test('NanoMQ issue 1590: a subscription that was refused in the log stood all the same', () => {
    const g = grantsOf(grant('publish: ["test/#"]'))
    expect([publish(g, 'test/a'), subscribe(g, 'test/#'), subscribe(g, 'test/a'), g.mayReceive('test/a')]).toEqual(['granted', 'subscribe-not-granted', 'subscribe-not-granted', false])
  })

  test('async_mqtt issue 455, MQTT 5 §4.7.1.2: a/b/# did not reach a/b; sport/tennis/# is the parent, too', () => {
    const g = grantsOf(grant('publish: ["sport/tennis/#"], subscribe: ["sport/tennis/#"]'))
    expect([publish(g, 'sport/tennis'), g.mayReceive('sport/tennis'), subscribe(g, 'sport/tennis'), subscribe(g, 'sport'), g.mayReceive('sport'), publish(g, 'sport/tennisball')]).toEqual(['granted', true, 'granted', 'subscribe-not-granted', false, 'publish-not-granted'])
    // And the other way round: a alone is not a/#.
    expect(may(grantsOf(grant('subscribe: [a]')), 'a', 'a/#', 'a/+', 'a/')).toEqual([true, false, false, false])
  })

  test('nats.docs 932, AWS IoT policies: the wildcards of another language crossed levels', () => {
    const g = grantsOf(grant('publish: ["a/*", "b/>", "c/?", "d/%u"], subscribe: ["a/*", "b/>"]'))
    expect(['a/*', 'b/>', 'c/?', 'd/%u'].map((topic) => publish(g, topic))).toEqual(['granted', 'granted', 'granted', 'granted'])
    expect(['a/x', 'a/x/y', 'b/x', 'b/x/y', 'c/x', 'd/d'].map((topic) => publish(g, topic))).toEqual(Array.from({ length: 6 }, () => 'publish-not-granted'))
    expect(may(g, 'a/*', 'a/x', 'a/+', 'b/#')).toEqual([true, false, false, false])
  })

  test('AWS IoT: device/1* was meant for device/1, and had device/10; here levels are whole', () => {
    const g = grantsOf(grant('publish: ["device/${device.id}/#"]'), { device: device('1') })
    expect(['device/1', 'device/1/a', 'device/10', 'device/1a/b', 'device/'].map((topic) => publish(g, topic))).toEqual(['granted', 'granted', 'publish-not-granted', 'publish-not-granted', 'publish-not-granted'])
  })

  test('AWS IoT: "+" in a policy is a plus sign, so foo/+/bar admitted that filter and none of its topics', () => {
    expect(may(grantsOf(grant('subscribe: ["foo/+/bar"]')), 'foo/+/bar', 'foo/baz/bar', 'foo/baz/qux/bar', 'foo/#')).toEqual([true, true, false, false])
  })

  test('empty levels: a//b, /a and a/ were a/b, a and a', () => {
    const g = grantsOf(grant('publish: [a/b, a], subscribe: ["a/+", "+"]'))
    expect(['a/b', 'a', 'a//b', '/a', 'a/', '//a/b', 'a/b/'].map((topic) => publish(g, topic))).toEqual(['granted', 'granted', ...Array.from({ length: 5 }, () => 'publish-not-granted')])
    // "+" is a level, and an empty one is one.
    expect(may(g, 'a/', 'a/+', '+', '/a', '/', 'a//', '/+', '+/+')).toEqual([true, true, true, false, false, false, false, false])
    expect(['a/', '/', '/a', 'a//'].map((topic) => g.mayReceive(topic))).toEqual([true, false, false, false])
  })

  test('"+/+" is not "#", and "+/#" is not said to be', () => {
    expect([may(grantsOf(grant('subscribe: ["+/+"]')), '+/+', 'a/+', '/', '#', '+', '+/#', '+/+/+'), may(grantsOf(grant('subscribe: ["+/#"]')), '+/#', '+', 'a/#', '#')]).toEqual([[true, true, true, false, false, false, false], [true, true, true, false]])
  })

  test('a share of everything, or a share inside a share, was not judged on the filter inside', () => {
    const g = grantsOf(grant('subscribe: [ { topic: "t/#", share: ["*"] } ]'))
    expect(may(g, '$share/g/t/#', '$share/g/t/a', '$share/g/#', '$share/g/+/#', '$share/g/$share/h/t/#', '$share/t/#', '$share/g/', '$share//t/#', '$share/+/t/a', '$share', '$SHARE/g/t/#', '$share/g/$SYS/#')).toEqual([true, true, ...Array.from({ length: 10 }, () => false)])
  })
})
