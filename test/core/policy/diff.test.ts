// Two policies side by side: what each rule says and said. Where it stands, and in which order, is no change.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { diffDocuments } from '../../../src/core/policy/diff.ts'
import { anyPolicyText } from './arbitraries.ts'
import { documentOf } from './policies.ts'

const diff = (before: string, after: string) => diffDocuments(documentOf(before), documentOf(after))
const grants = (...rules: readonly string[]): string => `version: 1\ngrants:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`

describe('the difference of two policies', () => {
  test('of a policy and itself is nothing; nor is it when its rules stand elsewhere', () => {
    fc.assert(fc.property(anyPolicyText(), (text) => {
      expect(diff(text, text)).toEqual([])
      expect(diff(text, `# moved\n\n${text}`)).toEqual([])
    }), { numRuns: 200 })
    expect(diff(grants('{ id: a, to: any }', '{ id: b, to: any, publish: [x, y] }'), grants('{ id: b, to: any, publish: [y, x] }', '{ id: a, to: any }'))).toEqual([])
  })

  test('the other way round has what was added as removed', () => {
    fc.assert(fc.property(anyPolicyText(), anyPolicyText(), (a, b) => {
      const key = ({ kind, id }: { kind: string; id: string }): string => `${kind} ${id}`
      const turned = diff(b, a).map((c) => JSON.stringify([key(c), c.added.toSorted(), c.removed.toSorted()])).toSorted()
      expect(diff(a, b).map((c) => JSON.stringify([key(c), c.removed.toSorted(), c.added.toSorted()])).toSorted()).toEqual(turned)
    }), { numRuns: 200 })
  })

  test('says of a rule what it said and what it says', () => {
    const [changed, added, removed] = diff(
      grants('{ id: a, to: { group: g }, when: { tls: "1.3" }, publish: [ { topic: "t/#", qos: 1, maxBytes: 8KiB, rate: 20/s } ] }', '{ id: old, to: any }'),
      grants('{ id: a, to: { attr: { model: [X1, X2] } }, publish: [ { topic: "t/#", qos: 1, maxBytes: 8KiB, rate: 600/m, burst: 5 } ] }', '{ id: new, to: { device: d }, connect: { clientId: ["${device.id}:*"], sessions: 2, sessionExpiryMax: 1h } }'),
    )
    expect(changed).toMatchObject({ kind: 'grant', id: 'a', change: 'changed', at: { line: 3 }, removed: ['to group g', 'when tls 1.3', 'publish t/# (qos≤1, ≤8KiB, rate 20/s)'], added: ['to devices with model=X1|X2', 'publish t/# (qos≤1, ≤8KiB, rate 10/s burst 5)'] })
    expect(added).toMatchObject({ id: 'new', change: 'added', removed: [], added: ['to device d', 'connect clientId ${device.id}:*', 'connect sessions≤2', 'connect session expiry≤1h'] })
    expect(removed).toMatchObject({ id: 'old', change: 'removed', removed: ['to everybody'], added: [] })
  })

  test('knows settings, groups, identity rules and conditions by what they say', () => {
    const identity = (pattern: string): string => `version: 1\nidentity: [ { ca: f, device: "a\${cert.subject.CN}", idPattern: "${pattern}", groups: [g], register: auto } ]\n`
    expect(diff(identity('a.*'), identity('b.*'))).toMatchObject([{ kind: 'identity', id: 'f', removed: ['idPattern a.*'], added: ['idPattern b.*'] }])
    expect(diff('version: 1\ngroups: { o: [a, b] }', 'version: 1\ngroups: { o: [b, c] }\nstrictDeny: true\nretained: purge')).toMatchObject([
      { kind: 'setting', id: 'strictDeny', removed: ['false'], added: ['true'] }, { kind: 'setting', id: 'retained', removed: ['hide'], added: ['purge'] }, { kind: 'group', id: 'o', removed: ['contains a'], added: ['contains c'] },
    ])
    const when = (text: string): string => grants(`{ id: r, to: any, when: { time: ${text} } }`)
    expect(diff(when('{ from: "06:00", zone: Europe/Berlin }'), when('{ from: "06:00", zone: UTC }'))[0]).toMatchObject({ removed: ['when time 06:00–24:00 Europe/Berlin'], added: ['when time 06:00–24:00 UTC'] })
  })

  test('is not deceived by a topic that reads like a term', () => {
    expect(diff(grants('{ id: r, to: any, publish: [ { topic: "t", retain: true } ] }'), grants('{ id: r, to: any, publish: [ { topic: "t (retain)" } ] }'))).toMatchObject([{ removed: ['publish t (retain)'], added: ['publish "t (retain)"'] }])
    expect(diff(grants('{ id: r, to: { attr: { m: [a, b] } } }'), grants('{ id: r, to: { attr: { m: "a|b" } } }'))).toMatchObject([{ removed: ['to devices with m=a|b'], added: ['to devices with m="a|b"'] }])
  })
})
