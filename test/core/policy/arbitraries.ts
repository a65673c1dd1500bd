// Random small policies, devices and questions over a small alphabet: so small that grants, denials and questions meet.

import * as fc from 'fast-check'
import type { Device } from '../../../src/core/device.ts'
import type { Asked } from '../../../src/core/policy/question.ts'
import { device } from '../facts.ts'

const LEVELS = ['a', 'b', '${device.id}', '${device.attr.model}', 'x${device.id}'] as const
const level = fc.constantFrom<string>(...LEVELS, '+')

export function anyPattern(): fc.Arbitrary<string> {
  return fc.tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean()).map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'))
}

const target = fc.constantFrom('any', '{ group: g }', '{ group: h }', '{ group: outer }', '{ device: d }', '{ ca: issuing-1 }', '{ attr: { model: m } }', '{ tenant: default }')
const when = fc.constantFrom('', '', '', 'when: { source: [10.0.0.0/8] }, ', 'when: { tls: ">=1.3" }, ', 'when: { notBefore: 2030-01-01T00:00:00Z }, ', 'when: { state: quarantined }, ', 'when: { state: [active, quarantined] }, ')
const qos = fc.constantFrom(0, 1, 2)

const sent = fc.record({ topic: anyPattern(), qos, retain: fc.boolean(), maxBytes: fc.constantFrom(1, 100) }).map((g) => `{ topic: "${g.topic}", qos: ${g.qos}, retain: ${g.retain}, maxBytes: ${g.maxBytes} }`)
const read = fc.record({ topic: anyPattern(), qos, wildcard: fc.constantFrom('contain', 'forbid', 'filter'), share: fc.constantFrom('', ', share: [w]', ', share: ["*"]') }).map((g) => `{ topic: "${g.topic}", qos: ${g.qos}, wildcard: ${g.wildcard}${g.share} }`)
const list = (item: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.array(item, { maxLength: 3 }).map((items) => `[ ${items.join(', ')} ]`)
const quoted = anyPattern().map((text) => `"${text}"`)

const connect = fc.constantFrom('', '', '', 'connect: { clientId: ["*"] }, ', 'connect: { clientId: ["${device.id}"] }, ', 'connect: { clientId: ["x", "${device.id}:*"] }, ')

const grant = fc.record({ to: target, when, connect, publish: list(sent), subscribe: list(read), will: list(sent) })
const deny = fc.record({ to: target, when, publish: list(quoted), subscribe: list(quoted), receive: list(quoted) })

export function anyPolicyText(): fc.Arbitrary<string> {
  return fc.record({ grants: fc.array(grant, { maxLength: 4 }), denies: fc.array(deny, { maxLength: 2 }), strict: fc.boolean(), groups: fc.constantFrom('', 'groups: { outer: [g] }\n', 'groups: { outer: [h] }\n') }).map(({ grants, denies, strict, groups }) => [
    'version: 1\n', groups, `strictDeny: ${strict}\n`,
    'grants:\n', ...grants.map((g, i) => `  - { id: g${i}, to: ${g.to}, ${g.when}${g.connect}publish: ${g.publish}, subscribe: ${g.subscribe}, will: ${g.will} }\n`),
    'deny:\n', ...denies.map((d, i) => `  - { id: d${i}, to: ${d.to}, ${d.when}publish: ${d.publish}, subscribe: ${d.subscribe}, receive: ${d.receive} }\n`),
  ].join(''))
}

export function anyDevice(): fc.Arbitrary<Device> {
  return fc.record({ id: fc.constantFrom('d', 'a', 'b'), groups: fc.subarray(['g', 'h']), model: fc.constantFrom(undefined, 'a', 'm'), state: fc.constantFrom('active', 'active', 'quarantined', 'suspended') }).map(({ id, groups, model, state }) =>
    device(id, { groups: groups as unknown as Device['groups'], attributes: model === undefined ? {} : { model }, state: state as Device['state'] }))
}

const topicLevel = fc.constantFrom('a', 'b', 'd', 'm', 'xd', 'xa')
const topic = fc.array(topicLevel, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
const filter = fc.tuple(fc.constantFrom('', '', '$share/w/', '$share/v/'), fc.array(fc.oneof(topicLevel, fc.constant('+')), { minLength: 1, maxLength: 3 }), fc.boolean()).map(([share, levels, open]) => share + [...levels, ...(open ? ['#'] : [])].join('/'))

export function anyAsked(): fc.Arbitrary<Asked> {
  const terms = fc.record({ qos: fc.constantFrom(0 as const, 1 as const, 2 as const), retain: fc.boolean(), bytes: fc.constantFrom(0, 50, 101) })
  return fc.oneof(
    fc.tuple(topic, terms).map(([publish, more]) => ({ publish, ...more })),
    fc.tuple(topic, terms).map(([will, more]) => ({ will, ...more })),
    fc.tuple(filter, terms).map(([subscribe, { qos: asked }]) => ({ subscribe, qos: asked })),
    topic.map((receive) => ({ receive })),
    fc.constantFrom('d', 'a', 'a:1', 'x').map((connect) => ({ connect })),
  )
}
