// Random policies and a small fleet for the tests of the exporter, and the lines of an ACL file for the model of Mosquitto.

import * as fc from 'fast-check'
import type { Device } from '../../../src/core/device.ts'
import type { CaName } from '../../../src/core/ids.ts'
import { exportMosquitto, type MosquittoExport, type MosquittoSettings } from '../../../src/core/policy/export-mosquitto.ts'
import { grantsFor, type Grants } from '../../../src/core/policy/grants.ts'
import { describeProblem } from '../../../src/core/source-tree.ts'
import { readPolicy } from '../../../src/policy-file.ts'
import { device } from '../facts.ts'
import type { Line } from './acl-files.ts'

const NO_SETTINGS: MosquittoSettings = { retainAvailable: true, maxQos: 2, messageSizeLimit: Number.POSITIVE_INFINITY }
export const FLEET: readonly Device[] = [
  device('d1', { groups: ['g1', 'g2'] as never, attributes: { k: 'a' } }), device('d2', { groups: ['g2'] as never, attributes: {} }), device('d3', { groups: ['g1'] as never, attributes: { k: 'b' }, state: 'suspended' }),
]

export interface Exported extends MosquittoExport {
  readonly complete: boolean
  readonly grants: (device: Device, clientId?: string) => Grants
}

export function exported(policy: string, devices: readonly Device[] | 'none' = FLEET, settings: Partial<MosquittoSettings> = {}): Exported {
  const read = readPolicy('policy.yaml', policy, 1)
  if ('problems' in read) throw new Error(read.problems.map(describeProblem).join('\n'))
  const made = exportMosquitto(read.policy.document, devices === 'none' ? undefined : devices, { ...NO_SETTINGS, ...settings })
  return {
    ...made, complete: made.findings.every(({ kind }) => kind === 'remark'),
    grants: (who, clientId = who.id) => grantsFor(read.policy, { device: who, ca: 'issuing-1' as CaName, clientId, now: 0, connection: { source: '192.0.2.1', tls: '1.3' } }),
  }
}

export function linesOf(acl: string): readonly Line[] {
  let user = ''
  return acl.split('\n').flatMap((text): readonly Line[] => {
    if (text === '' || text.startsWith('#')) return []
    if (text.startsWith('user ')) user = text.slice('user '.length)
    const [, kind, access = '', topic = ''] = /^(topic|pattern) (\w+) (.*)$/.exec(text) ?? []
    return kind === undefined ? [] : [{ kind: kind === 'topic' ? 'topic' : 'pattern', access, topic, user }]
  })
}

const plainLevel = fc.constantFrom('a', 'a', 'b', '', '+', 'd1', '${device.id}', '${device.id}', 'x${device.id}')
const level = fc.constantFrom('a', 'a', 'b', '', '+', 'd1', '${device.id}', '${device.id}', '${clientId}', '${device.attr.k}', 'x${device.id}', '%u', '${cert.subject.CN}')
const topicOf = (of: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof({ weight: 5, arbitrary: fc.tuple(fc.array(of, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '', '/#')).map(([levels, end]) => levels.join('/') + end).filter((text) => text !== '') }, { weight: 1, arbitrary: fc.constant('#') })
const [topic, plainTopic] = [topicOf(level), topicOf(plainLevel)]
const some = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> => fc.array(of, { maxLength: 3 })
const target = fc.constantFrom<unknown>('any', 'any', { group: 'g1' }, { group: 'g2' }, { group: 'g0' }, { device: 'd1' }, { device: 'd9' }, { attr: { k: ['a', 'c'] } }, { tenant: 'default' }, { ca: 'issuing-1' })
const when = fc.constantFrom<unknown>(undefined, undefined, undefined, undefined, { source: '192.0.2.1' }, { state: ['active', 'quarantined'] }, { state: 'quarantined' })
const grant = fc.record({
  to: target, when,
  publish: some(fc.record({ topic, retain: fc.constantFrom(true, true, true, false), qos: fc.constantFrom(2, 2, 2, 1), maxBytes: fc.constantFrom(undefined, undefined, undefined, 10), rate: fc.constantFrom(undefined, undefined, undefined, '1/s') })),
  subscribe: some(fc.record({ topic, qos: fc.constantFrom(2, 2, 2, 0), wildcard: fc.constantFrom(undefined, 'filter', 'forbid', 'contain') })),
  will: fc.constantFrom<unknown>([], [], ['a']), connect: fc.constantFrom<unknown>(undefined, undefined, undefined, { sessions: 2 }),
})
const deny = fc.record({ to: target, when, publish: fc.array(topic, { maxLength: 1 }), subscribe: fc.array(topic, { maxLength: 1 }), receive: fc.array(topic, { maxLength: 1 }) })
// What an ACL file can hold, most of the time.
const plainTarget = fc.constantFrom<unknown>('any', 'any', { group: 'g1' }, { group: 'g0' }, { device: 'd1' }, { attr: { k: ['a', 'c'] } })
const plainGrant = fc.record({ to: plainTarget, publish: some(fc.record({ topic: plainTopic, retain: fc.constant(true) })), subscribe: some(plainTopic) })
const plainDeny = fc.record({ to: plainTarget, both: fc.array(plainTopic, { maxLength: 2 }) }).map(({ to, both }) => ({ to, publish: both, receive: both }))

/** As text: JSON is YAML. */
export const policies: fc.Arbitrary<string> = fc.oneof(
  fc.tuple(fc.array(grant, { minLength: 1, maxLength: 3 }), fc.array(deny, { maxLength: 2 })),
  fc.tuple(fc.array(plainGrant, { minLength: 1, maxLength: 3 }), fc.array(plainDeny, { maxLength: 2 })),
).map(([grants, denies]) => JSON.stringify({
  version: 1, groups: { g0: ['g1'] }, grants: grants.map((rule, i) => ({ id: `g${i}`, ...rule })), deny: denies.map((rule, i) => ({ id: `d${i}`, ...rule })),
}))
