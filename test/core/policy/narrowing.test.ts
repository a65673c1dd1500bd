// The difference between what a session holds and what it is granted: what is lost, what is lowered, and that nothing else is.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CaName } from '../../../src/core/ids.ts'
import { grantsFor, type Grants } from '../../../src/core/policy/grants.ts'
import { narrowing, type HeldFilter } from '../../../src/core/policy/narrowing.ts'
import { readPolicy } from '../../../src/policy-file.ts'
import { device } from '../facts.ts'

function granted(...filters: readonly string[]): Grants {
  const read = readPolicy('policy.yaml', `version: 1\ngrants: [ { id: g, to: any, subscribe: [ ${filters.join(', ')} ] } ]\n`, 7)
  if (!('policy' in read)) throw new Error(JSON.stringify(read.problems))
  return grantsFor(read.policy, { device: device('d'), ca: 'ca' as CaName, clientId: 'd' })
}
const held = (...texts: readonly string[]): readonly HeldFilter[] => texts.map((text) => ({ filter: text.slice(0, -2), qos: Number(text.slice(-1)) as 0 | 1 | 2 }))

describe('narrowing', () => {
  test('names what no grant contains any longer, with the verdict, and what is granted with less', () => {
    const { lost, lowered } = narrowing(held('a/+ 2', 'a/x 1', 'b 1', '$share/g/a/x 1', '$share/h/a/x 1'), [granted('{ topic: a/x, qos: 1, share: [g] }', '{ topic: a/+, qos: 0 }')])
    expect(lost.map(({ filter, verdict: { reason, rule, generation } }) => [filter, reason, rule, generation])).toEqual([['b', 'subscribe-not-granted', undefined, 7], ['$share/h/a/x', 'share-not-granted', 'g', 7]])
    expect(lowered).toEqual(held('a/+ 0'))
  })

  test('of several that it may come to have, one is enough, and the highest QoS counts', () => {
    const both = [granted('{ topic: a, qos: 0 }', 'b'), granted('{ topic: a, qos: 1 }', 'c')]
    expect(narrowing(held('a 2', 'b 2', 'c 2', 'd 2'), both)).toMatchObject({ lost: [{ filter: 'd' }], lowered: held('a 1') })
  })

  test('of what was granted by the same grants there is none, and what it leaves is granted as it is left', () => {
    const filter = fc.constantFrom('a', 'a/b', 'a/+', 'a/#', '#', '+', '$share/g/a', 'b/c')
    const grant = fc.record({ topic: fc.constantFrom('a/#', '#', '+', 'b/c', 'a'), qos: fc.constantFrom(0, 1, 2) }).map(({ topic, qos }) => `{ topic: "${topic}", qos: ${qos}, share: [ g ] }`)
    fc.assert(fc.property(fc.array(fc.tuple(filter, fc.constantFrom<0 | 1 | 2>(0, 1, 2)).map(([f, qos]) => ({ filter: f, qos })), { maxLength: 6 }), fc.array(grant, { minLength: 1, maxLength: 4 }), (has, grants) => {
      const now = granted(...grants)
      const { lost, lowered } = narrowing(has, [now])
      const left = has.filter((h) => !lost.some((l) => l.filter === h.filter)).map((h) => ({ ...h, qos: Math.min(h.qos, ...lowered.filter((l) => l.filter === h.filter).map(({ qos }) => qos)) as 0 | 1 | 2 }))
      for (const { filter: f, qos } of left) expect(now.subscribe(f, qos)).toMatchObject({ effect: 'allow', grantedQos: qos })
      for (const { filter: f } of lost) expect(now.subscribe(f, 0).effect).toBe('deny')
      expect(narrowing(left, [now])).toEqual({ lost: [], lowered: [] })
    }))
  })
})
