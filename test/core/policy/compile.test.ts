// Whom a rule is for: each target beside its nearest other, and that an index by target finds what a search would.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CaName, GroupName, TenantId } from '../../../src/core/ids.ts'
import { compilePolicy, EMPTY_POLICY } from '../../../src/core/policy/compile.ts'
import { NOTHING_GRANTED, type GroupRule, type Target } from '../../../src/core/policy/document.ts'
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

describe('a tenant', () => {
  const policy = policyOf('version: 1\ngrants:\n  - { id: for-x, to: { tenant: x } }\n  - { id: for-default, to: { tenant: default } }\ndeny:\n  - { id: no-x, to: { tenant: x }, publish: [a] }\n')

  test('is that of the device, to the letter', () => {
    const rules = (tenant: string): readonly string[] => [...policy.grantsOf(device('a', { tenant: tenant as TenantId }), CA), ...policy.deniesOf(device('a', { tenant: tenant as TenantId }), CA)].map((r) => r.id)
    expect([rules('x'), rules('default'), rules('X'), rules('y')]).toEqual([['for-x', 'no-x'], ['for-default'], [], []])
  })
})

describe('groups that contain groups', () => {
  const policy = policyOf('version: 1\ngroups: { plant: [line], company: [plant] }\ngrants:\n  - { id: of-company, to: { group: company } }\n  - { id: of-plant, to: { group: plant } }\n  - { id: of-line, to: { group: line } }\ndeny:\n  - { id: no-company, to: { group: company }, publish: [a] }\n')
  const ids = (...groups: string[]): readonly string[] => [...policy.grantsOf(device('a', { groups: g(...groups) }), CA), ...policy.deniesOf(device('a', { groups: g(...groups) }), CA)].map((r) => r.id).toSorted()

  test('give a device the rules of all that its group is in, and of none that is in its group', () => {
    expect(ids('line')).toEqual(['no-company', 'of-company', 'of-line', 'of-plant'])
    expect(ids('plant')).toEqual(['no-company', 'of-company', 'of-plant'])
    expect(ids('company')).toEqual(['no-company', 'of-company'])
    expect(ids('office')).toEqual([])
  })

  test('give it a rule once, by however many ways', () => {
    expect(ids('line', 'plant', 'company')).toEqual(['no-company', 'of-company', 'of-line', 'of-plant'])
  })
})

describe('an attribute query', () => {
  const ids = (query: string, attributes: Record<string, string>): readonly string[] =>
    policyOf(`version: 1\ngrants:\n  - { id: r, to: { attr: ${query} } }\n`).grantsOf(device('a', { attributes }), CA).map((r) => r.id)

  test.each<[string, Record<string, string>, boolean]>([
    ['{ model: X1 }', { model: 'X1' }, true], ['{ model: X1 }', { model: 'X1', site: 'north' }, true],
    ['{ model: X1 }', { model: 'x1' }, false], ['{ model: X1 }', { model: 'X10' }, false], ['{ model: X1 }', { Model: 'X1' }, false], ['{ model: X1 }', {}, false], ['{ model: X1 }', { site: 'X1' }, false],
    ['{ model: [X1, X2] }', { model: 'X2' }, true], ['{ model: [X1, X2] }', { model: 'X3' }, false],
    ['{ model: X1, site: [north, south] }', { model: 'X1', site: 'south' }, true], ['{ model: X1, site: [north, south] }', { model: 'X1', site: 'east' }, false],
    ['{ model: X1, site: [north, south] }', { model: 'X1' }, false], ['{ model: X1, site: [north, south] }', { site: 'north' }, false],
    ['{ constructor: x }', { constructor: 'x' }, true], ['{ constructor: x }', {}, false], ['{ toString: x, model: X1 }', { model: 'X1' }, false],
    // YAML reads a number and a truth; an attribute is text.
    ['{ floor: "3" }', { floor: '3' }, true],
  ])('%s of a device with %j: %s', (query, attributes, expected) => {
    expect(ids(query, attributes)).toEqual(expected ? ['r'] : [])
  })

  test('has its rule once, even if a value is named twice', () => {
    const at = { file: 'f', line: 1, column: 1 }
    const twice = { id: 'r', at, to: { kind: 'attributes', all: [{ name: 'model', values: ['X1', 'X1'] }] } as const, publish: [], subscribe: [], receive: [] }
    expect(compilePolicy({ ...NOTHING_GRANTED, deny: [twice] }, 1).deniesOf(device('a', { attributes: { model: 'X1' } }), CA)).toHaveLength(1)
  })
})

describe('the index', () => {
  const NAMES = ['a', 'b', 'any', 'group']
  const name = fc.constantFrom(...NAMES)
  const query = fc.uniqueArray(fc.record({ name, values: fc.uniqueArray(name, { minLength: 1, maxLength: 2 }) }), { selector: (q) => q.name, minLength: 1, maxLength: 2 })
  const target: fc.Arbitrary<Target> = fc.oneof(
    fc.constant({ kind: 'any' as const }), name.map((n) => ({ kind: 'group' as const, group: n as never })), name.map((n) => ({ kind: 'device' as const, device: n as never })), name.map((n) => ({ kind: 'ca' as const, ca: n as never })),
    name.map((n) => ({ kind: 'tenant' as const, tenant: n as never })), query.map((all) => ({ kind: 'attributes' as const, all })),
  )
  const containment = fc.uniqueArray(fc.record({ group: name, contains: fc.uniqueArray(name, { maxLength: 2 }) }), { selector: (r) => r.group, maxLength: 3 })
    .map((all) => all.map((r) => ({ ...r, at: { file: 'f', line: 1, column: 1 } })) as unknown as readonly GroupRule[])
  const somebody = fc.record({
    id: name, tenant: name, ca: name, groups: fc.uniqueArray(name, { maxLength: 3 }), attributes: fc.dictionary(name, name, { maxKeys: 3, noNullPrototype: true }),
  })

  /** In a group that is in one that … up to as many steps as there are names. */
  function isOf(groups: readonly string[], wanted: string, rules: readonly GroupRule[], steps = NAMES.length): boolean {
    if (groups.includes(wanted)) return true
    const inner = rules.find(({ group }) => group === (wanted as never))?.contains ?? []
    return steps > 0 && inner.some((one) => isOf(groups, one, rules, steps - 1))
  }

  test('finds what a search through all rules finds, each rule once', () => {
    const kinds = new Set<string>()
    fc.assert(fc.property(fc.array(target, { maxLength: 8 }), containment, somebody, (targets, groups, { id, tenant, ca, groups: direct, attributes }) => {
      const rules = targets.map((to, i) => ({ id: `r${i}`, at: { file: 'f', line: i, column: 1 }, to, publish: [], subscribe: [], receive: [] }))
      const found = compilePolicy({ ...NOTHING_GRANTED, groups, deny: rules }, 1).deniesOf(device(id, { tenant: tenant as never, groups: direct as never, attributes }), ca as CaName)
      const concerns: { readonly [K in Target['kind']]: (to: Extract<Target, { kind: K }>) => boolean } = {
        any: () => true,
        group: (to) => isOf(direct, to.group, groups),
        device: (to) => to.device === (id as never),
        ca: (to) => to.ca === (ca as never),
        tenant: (to) => to.tenant === (tenant as never),
        attributes: (to) => to.all.every((q) => Object.entries(attributes).some(([k, v]) => k === q.name && q.values.includes(v))),
      }
      const searched = rules.filter(({ to }) => concerns[to.kind](to as never))
      for (const { to } of searched) kinds.add(to.kind)
      expect(found.map((r) => r.id).toSorted()).toEqual(searched.map((r) => r.id).toSorted())
    }), { numRuns: 3_000 })
    expect(kinds.size).toBe(6)
  })

  test('the generation is the one that it was compiled with, and nothing has generation 0', () => {
    expect(compilePolicy(documentOf('version: 1'), 7).generation).toBe(7)
    expect([EMPTY_POLICY.generation, EMPTY_POLICY.grantsOf(device('a'), CA), EMPTY_POLICY.deniesOf(device('a'), CA), EMPTY_POLICY.identity.size]).toEqual([0, [], [], 0])
  })
})
