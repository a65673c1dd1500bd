// Whom a rule is for: each target beside its nearest other, and that an index by target finds what a search would.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CaName, GroupName } from '../../../src/core/ids.ts'
import { compilePolicy, EMPTY_POLICY } from '../../../src/core/policy/compile.ts'
import { NOTHING_GRANTED, type Target } from '../../../src/core/policy/document.ts'
import { device } from '../facts.ts'
import { documentOf, policyOf } from './policies.ts'

const CA = 'issuing-1' as CaName
const g = (...names: string[]): GroupName[] => names as GroupName[]

describe('targets', () => {
  const policy = policyOf(`version: 1
grants:
  - { id: for-any, to: any }
  - { id: for-group, to: { group: x } }
  - { id: for-device, to: { device: x } }
  - { id: for-ca, to: { ca: x } }
`)
  const ids = (id: string, groups: string[], ca: string): readonly string[] => policy.grantsOf(device(id, { groups: g(...groups) }), ca as CaName).map((r) => r.id)

  test.each<[string, string[], string, string[]]>([
    ['y', [], 'y', ['for-any']], ['y', ['y'], 'y', ['for-any']],
    ['y', ['x'], 'y', ['for-any', 'for-group']], ['y', ['y', 'x', 'z'], 'y', ['for-any', 'for-group']],
    ['x', [], 'y', ['for-any', 'for-device']], ['y', [], 'x', ['for-any', 'for-ca']], ['X', ['X'], 'X', ['for-any']],
    ['x', ['x'], 'x', ['for-any', 'for-device', 'for-ca', 'for-group']],
  ])('device %s in %j from CA %s: %j', (id, groups, ca, expected) => {
    expect(ids(id, groups, ca)).toEqual(expected)
  })

  test('a name of one kind is no name of another', () => {
    expect(ids('group', ['any', 'device'], 'group')).toEqual(['for-any'])
    expect(ids('constructor', ['toString', 'hasOwnProperty'], 'constructor')).toEqual(['for-any'])
  })
})

describe('the index', () => {
  test('finds what a search through all rules finds', () => {
    const name = fc.constantFrom('a', 'b', 'any', 'group')
    const target: fc.Arbitrary<Target> = fc.oneof(fc.constant({ kind: 'any' as const }), name.map((n) => ({ kind: 'group' as const, group: n as never })), name.map((n) => ({ kind: 'device' as const, device: n as never })), name.map((n) => ({ kind: 'ca' as const, ca: n as never })))
    fc.assert(fc.property(fc.array(target, { maxLength: 8 }), name, fc.uniqueArray(name, { maxLength: 3 }), name, (targets, id, groups, ca) => {
      const rules = targets.map((to, i) => ({ id: `r${i}`, at: { file: 'f', line: i, column: 1 }, to, publish: [], subscribe: [], receive: [] }))
      const found = compilePolicy({ ...NOTHING_GRANTED, deny: rules }, 1).deniesOf(device(id, { groups: groups as never }), ca as CaName)
      const concerns = (to: Target): boolean => to.kind === 'any' || (to.kind === 'group' ? groups.includes(to.group as never) : to.kind === 'device' ? to.device === (id as never) : to.kind === 'ca' && to.ca === (ca as never))
      expect(found.map((r) => r.id).toSorted()).toEqual(rules.filter((r) => concerns(r.to)).map((r) => r.id).toSorted())
    }))
  })

  test('the generation is the one that it was compiled with, and nothing has generation 0', () => {
    expect(compilePolicy(documentOf('version: 1'), 7).generation).toBe(7)
    expect([EMPTY_POLICY.generation, EMPTY_POLICY.grantsOf(device('a'), CA), EMPTY_POLICY.deniesOf(device('a'), CA), EMPTY_POLICY.identity.size]).toEqual([0, [], [], 0])
  })
})
