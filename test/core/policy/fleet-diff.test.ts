// What a change means to devices: what each may do in one policy and not in the other, and which of its subscriptions end.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Device } from '../../../src/core/device.ts'
import type { CaName } from '../../../src/core/ids.ts'
import { diffDocuments } from '../../../src/core/policy/diff.ts'
import { addCounts, openFleetDiff, openFleetTally, type DeviceDiff, type HeldSession } from '../../../src/core/policy/fleet-diff.ts'
import { grantsFor } from '../../../src/core/policy/grants.ts'
import { comparePermissions, type Permission } from '../../../src/core/policy/permissions.ts'
import { ask, questionOf } from '../../../src/core/policy/question.ts'
import type { Principal } from '../../../src/core/policy/template.ts'
import { device } from '../facts.ts'
import { anyAsked, anyDevice, anyPolicyText } from './arbitraries.ts'
import { policyOf } from './policies.ts'

const CA = 'issuing-1' as CaName
const principal = (of: Device = device('d', { groups: ['g'] as unknown as Device['groups'], attributes: { model: 'm' } })): Principal & { clientId: string } => ({ device: of, ca: CA, clientId: of.id })
const grants = (...rules: readonly string[]): string => `version: 1\ngrants:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`

function diff(before: string, after: string, sessions: readonly HeldSession[] = []): DeviceDiff | undefined {
  const [old, next] = [policyOf(before), policyOf(after, 2)]
  const fleet = openFleetDiff(old, next, diffDocuments(old.document, next.document))
  const who = principal()
  return fleet.concerns(who.device, who.ca) ? fleet.device(who, sessions) : undefined
}
const words = (permissions: readonly Permission[] | undefined): readonly string[] => (permissions ?? []).map(({ kind, topic, terms, rule, deny, instead }) => `${kind} ${topic}${terms === undefined ? '' : ` (${terms})`} by ${deny === true ? 'deny ' : ''}${rule}${instead === undefined ? '' : `, else ${instead}`}`)
const lost = (before: string, after: string): readonly string[] => words(diff(before, after)?.lost)
const gained = (before: string, after: string): readonly string[] => words(diff(before, after)?.gained)

describe('what a device loses and gains', () => {
  const A = grants('{ id: r, to: any, publish: ["t/${device.id}/#"], subscribe: ["c/+"] }')

  test('is nothing between a policy and itself, for any policy and device', () => {
    fc.assert(fc.property(anyPolicyText(), anyDevice(), (text, of) => {
      const [old, next] = [policyOf(text), policyOf(`# moved\n${text}`, 2)]
      const changes = diffDocuments(old.document, next.document)
      expect(changes).toEqual([])
      const { lost: none, gained: nothing, mayConnect } = comparePermissions(old, next, principal(of))
      expect([none, nothing, mayConnect.before === mayConnect.after]).toEqual([[], [], true])
      expect(openFleetDiff(old, next, changes).concerns(of, CA)).toBe(false)
    }), { numRuns: 300 })
  })

  test('is told for whatever a device could do and cannot any more, for any two policies', () => {
    fc.assert(fc.property(anyPolicyText(), anyPolicyText(), anyDevice(), anyAsked(), (a, b, of, asked) => {
      const question = questionOf(asked)
      // A deny that overlaps a filter refuses it only where the policy is strict, which is told as a change of the policy.
      const strict = (text: string): string => text.replace('strictDeny: true', 'strictDeny: false')
      const [old, next] = [policyOf(strict(a)), policyOf(strict(b), 2)]
      if (question === undefined) throw new Error('no question')
      const may = (policy: typeof old): boolean => ask(grantsFor(policy, { ...principal(of), now: 0, connection: { source: '10.0.0.1', tls: '1.3' } }), question).effect === 'allow'
      const fleet = openFleetDiff(old, next, diffDocuments(old.document, next.document))
      const told = fleet.concerns(of, CA) ? fleet.device(principal(of), []) : undefined
      const tells = (permissions: readonly Permission[] | undefined): boolean => (permissions ?? []).length > 0 || told?.connect !== undefined
      expect(!(may(old) && !may(next)) || tells(told?.lost)).toBe(true)
      expect(!(!may(old) && may(next)) || tells(told?.gained)).toBe(true)
      // What is lost one way is gained the other way.
      const back = openFleetDiff(next, old, diffDocuments(next.document, old.document)).device(principal(of), [])
      expect(back?.gained ?? []).toEqual(fleet.device(principal(of), [])?.lost ?? [])
    }), { numRuns: 4_000 })
  })

  test('is the pattern with its variables filled in, and the rule', () => {
    expect(lost(A, grants('{ id: r, to: any, subscribe: ["c/+"] }'))).toEqual(['publish t/d/# by r'])
    expect(gained(A, grants('{ id: r, to: any, publish: ["t/${device.id}/#", "u/${device.attr.model}"], subscribe: ["c/+"] }'))).toEqual(['publish u/m by r'])
  })

  test('is nothing where another rule covers it, wider or the same', () => {
    expect(diff(A, grants('{ id: r, to: any, publish: ["t/#"], subscribe: ["c/+"] }'))).toMatchObject({ lost: [], gained: [{ topic: 't/#' }] })
    expect(diff(A, grants('{ id: other, to: { group: g }, publish: ["t/${device.id}/#"], subscribe: ["c/+"] }'))).toBeUndefined()
    expect(lost(A, grants('{ id: other, to: { group: h }, publish: ["t/#"], subscribe: ["#"] }'))).toEqual(['publish t/d/# by r', 'subscribe c/+ by r'])
  })

  test.each([
    ['publish: [ { topic: a } ]', 'publish: [ { topic: a, qos: 1 } ]', ['publish a by r, else qos≤1'], []],
    ['publish: [ { topic: a, retain: true } ]', 'publish: [ { topic: a } ]', ['publish a (retain) by r, else '], []],
    ['publish: [ { topic: a } ]', 'publish: [ { topic: a, rate: 1/s } ]', ['publish a by r, else rate 1/s'], []],
    ['publish: [ { topic: a, rate: 5/s } ]', 'publish: [ { topic: a, rate: 1/s, burst: 9 } ]', ['publish a (rate 5/s) by r, else rate 1/s burst 9'], ['publish a (rate 1/s burst 9) by r, else rate 5/s']],
    ['publish: [ { topic: a, maxBytes: 8KiB } ]', 'publish: [ { topic: a, maxBytes: 4KiB } ]', ['publish a (≤8KiB) by r, else ≤4KiB'], []],
    ['subscribe: [ { topic: a, share: [w, v] } ]', 'subscribe: [ { topic: a, share: ["w*"] } ]', ['subscribe a (share w v) by r, else share w*'], ['subscribe a (share w*) by r, else share w v']],
    ['subscribe: [ { topic: "a/#", wildcard: filter } ]', 'subscribe: [ { topic: "a/#" } ]', ['subscribe a/# (wildcard filter) by r, else '], []],
    ['will: [ { topic: a, retain: true } ]', 'will: [ { topic: a, retain: false } ]', ['will a (retain) by r, else '], []],
    ['publish: [a]', 'when: { tls: "1.3" }, publish: [a]', ['connect session by r, else when tls 1.3', 'publish a by r, else when tls 1.3'], []],
  ])('are the terms, too: %s → %s', (before, after, loses, gains) => {
    const [a, b] = [grants(`{ id: r, to: any, ${before} }`), grants(`{ id: r, to: any, ${after} }`)]
    expect([lost(a, b), gained(a, b)]).toEqual([loses, gains])
    expect([lost(b, a), gained(b, a)]).toEqual([gains, loses])
  })

  test('a denial is a loss where it touches what is granted, and only there', () => {
    const denied = (topics: string): string => `${A}deny:\n  - { id: no, to: any, ${topics} }\n`
    expect(lost(A, denied('publish: ["t/+/admin", "x"]'))).toEqual(['publish t/+/admin by deny no'])
    expect(lost(A, denied('receive: ["c/secret"], subscribe: ["c/x"]'))).toEqual(['subscribe c/x by deny no', 'receive c/secret by deny no'])
    expect(gained(denied('publish: ["t/+/admin"]'), A)).toEqual(['publish t/+/admin by deny no'])
    expect(diff(denied('publish: ["t/+/admin/#"]'), denied('publish: ["t/+/admin/#", "t/d/admin/x"]'))).toBeUndefined()
    expect(diff(A, denied('publish: ["x"]'))).toBeUndefined()
  })

  test('what a denial had made worthless is not lost with its grant', () => {
    const denied = `${grants('{ id: r, to: any, publish: ["t/a"] }', '{ id: s, to: any }')}deny:\n  - { id: no, to: any, publish: ["t/#"] }\n`
    expect(diff(denied, denied.replace('["t/a"]', '[]'))).toBeUndefined()
  })

  test('the last grant, and the first one', () => {
    expect(diff(A, 'version: 1')).toMatchObject({ connect: 'lost' })
    expect(diff('version: 1', grants('{ id: r, to: any }'))).toMatchObject({ connect: 'gained', lost: [], gained: [] })
    expect(lost(grants('{ id: r, to: any }'), grants('{ id: r, to: any, when: { tls: "1.3" } }'))).toEqual(['connect session by r, else when tls 1.3'])
    expect(lost(grants('{ id: r, to: any, connect: { clientId: ["*"] } }'), grants('{ id: r, to: any }'))).toEqual(['connect clientId d or d:*, the default by deny r'])
    expect(diff(grants('{ id: r, to: any }'), grants('{ id: r, to: any, connect: { clientId: ["${device.id}"], sessions: 1 } }'))).toMatchObject({ lost: [{ kind: 'connect', topic: 'clientId d' }, { kind: 'connect', topic: 'sessions≤1' }] })
  })

  test('a group that another contains no longer', () => {
    const rule = grants('{ id: r, to: { group: outer }, publish: [a] }')
    expect(lost(`${rule}groups: { outer: [g] }\n`, `${rule}groups: { outer: [h] }\n`)).toEqual(['publish a by r'])
  })

  test('of a thousand lines some are told, and how many more there are', () => {
    const many = grants(`{ id: r, to: any, publish: [${Array.from({ length: 200 }, (_, i) => `t/${i}`).join(', ')}] }`)
    expect(diff(many, grants('{ id: r, to: any }'))).toMatchObject({ lost: { length: 50 }, more: 150 })
  })
})

describe('what a session loses', () => {
  const session = (...filters: readonly string[]): HeldSession => ({ principal: { ...principal(), now: 0, connection: { source: '10.0.0.1', tls: '1.3' } }, isConnected: true, subscriptions: filters.map((filter) => ({ filter, qos: 1 })) })
  const POLICY = grants('{ id: r, to: any, subscribe: ["a/#", { topic: "b/+", share: [w] }] }')

  test('the filters that are granted no longer, each with its reason; the others it keeps', () => {
    const after = `${POLICY}deny:\n  - { id: no, to: any, subscribe: ["a/x/#"] }\n`
    expect(diff(POLICY, after, [session('a/x/y', 'a/y', '$share/w/b/+')])?.sessions).toEqual([{ clientId: 'd', isConnected: true, lost: [{ filter: 'a/x/y', reason: 'subscribe-denied', rule: 'no', at: expect.objectContaining({ line: 5 }) }], lowered: [], narrowed: [] }])
    expect(diff(POLICY, after, [session('a/#')])?.sessions).toMatchObject([{ lost: [], narrowed: ['a/#'] }])
  })

  test('the QoS that is granted no longer', () => {
    expect(diff(POLICY, POLICY.replace('"a/#"', '{ topic: "a/#", qos: 0 }'), [session('a/1', 'b/+')])?.sessions).toMatchObject([{ lost: [], lowered: [{ filter: 'a/1', qos: 0 }] }])
  })

  test('itself, when no grant is left or its client id is none of its own any more', () => {
    expect(diff(POLICY, 'version: 1', [session('a/1')])?.sessions).toMatchObject([{ ends: 'no-grant', lost: [{ filter: 'a/1' }] }])
    expect(diff(POLICY, POLICY.replace('to: any,', 'to: any, connect: { clientId: ["x"] },'), [session('a/1')])?.sessions).toMatchObject([{ ends: 'client-id-mismatch' }])
  })

  test('the newest, where fewer sessions are granted than are connected', () => {
    const second: HeldSession = { ...session('a/1'), principal: { ...session().principal, clientId: 'd:2' } }
    const after = POLICY.replace('to: any,', 'to: any, connect: { sessions: 1 },')
    expect(diff(POLICY, after, [session('a/1'), second])?.sessions).toMatchObject([{ clientId: 'd:2', ends: 'sessions-limit', lost: [] }])
  })

  test('nothing by a condition of the connection that it fulfils, or that was judged when it went away', () => {
    const [fits, not] = ['1.3', '1.2'].map((tls) => POLICY.replace('to: any,', `to: any, when: { tls: "${tls}" },`))
    expect(diff(POLICY, fits!, [session('a/1')])?.sessions).toEqual([])
    expect(diff(POLICY, not!, [session('a/1')])?.sessions).toMatchObject([{ ends: 'no-grant' }])
    expect(diff(POLICY, not!, [{ ...session('a/1'), principal: principal(), isConnected: false }])?.sessions).toEqual([])
  })
})

describe('the counts of many', () => {
  test('are by rule and by group, and two parts make the whole', () => {
    const [old, next] = [policyOf(grants('{ id: r, to: any, publish: [a] }', '{ id: s, to: { group: g }, subscribe: [b] }')), policyOf(grants('{ id: r, to: any, publish: [c] }'), 2)]
    const fleet = openFleetDiff(old, next, diffDocuments(old.document, next.document))
    const tally = (...ids: readonly string[]) => {
      const counted = openFleetTally()
      for (const id of ids) counted.add(fleet.device(principal(device(id, { groups: (id === 'x' ? [] : ['g']) as unknown as Device['groups'] })), []))
      counted.add(undefined)
      return counted.counts()
    }
    expect(tally('d', 'x')).toMatchObject({ devices: 3, concerned: 2, losing: 2, gaining: 2, shutOut: 0, rules: { r: { lost: 2, gained: 2 }, s: { lost: 1, gained: 0 } }, groups: { g: { lost: 1, gained: 1 } } })
    expect(addCounts(tally('d'), tally('x', 'y'))).toEqual({ ...tally('d', 'x', 'y'), devices: 5 })
  })
})
