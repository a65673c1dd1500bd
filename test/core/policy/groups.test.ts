// Groups that contain groups: who is in what, to any depth, and circles. Beside a search that was written without looking.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { GroupName } from '../../../src/core/ids.ts'
import type { GroupRule } from '../../../src/core/policy/document.ts'
import { groupCircles, groupClosure } from '../../../src/core/policy/groups.ts'

const at = { file: 'policy.yaml', line: 1, column: 1 }
const rule = (group: string, ...contains: string[]): GroupRule => ({ group: group as GroupName, contains: contains as GroupName[], at })
const of = (rules: readonly GroupRule[], ...direct: string[]): readonly string[] => groupClosure(rules)(direct as GroupName[])
const cycle = (...rules: GroupRule[]): readonly string[] | undefined => circlesOf(rules)[0]?.map(({ group }) => group)

function circlesOf(rules: readonly GroupRule[]): readonly (readonly GroupRule[])[] {
  const steps = groupCircles(rules)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  return step.value
}

/** A device of one is of the other, by walking down from the container. */
function isIn(rules: readonly GroupRule[], inner: string, outer: string, seen: readonly string[] = []): boolean {
  if (inner === outer) return true
  if (seen.includes(outer)) return false
  return rules.some(({ group, contains }) => group === outer && contains.some((one) => isIn(rules, inner, one, [...seen, outer])))
}

describe('the groups of a device', () => {
  const PLANT = [rule('plant', 'line-1', 'line-2'), rule('company', 'plant', 'office'), rule('sensors', 'line-1')]

  test('are its own, those that contain them, and those that contain those', () => {
    expect(of(PLANT, 'line-1')).toEqual(['line-1', 'plant', 'sensors', 'company'])
    expect(of(PLANT, 'plant')).toEqual(['plant', 'company'])
    expect(of(PLANT, 'office')).toEqual(['office', 'company'])
  })

  test('are none that it contains, and none of its siblings', () => {
    expect(of(PLANT, 'company')).toEqual(['company'])
    expect(of(PLANT, 'line-2')).toEqual(['line-2', 'plant', 'company'])
  })

  test('are each there once, by however many ways', () => {
    const diamond = [rule('left', 'low'), rule('right', 'low'), rule('high', 'left', 'right')]
    expect(of(diamond, 'low').toSorted()).toEqual(['high', 'left', 'low', 'right'])
    expect(of(diamond, 'left', 'right', 'low').toSorted()).toEqual(['high', 'left', 'low', 'right'])
  })

  test('of one that no rule speaks of are its own, and nobody\'s are none', () => {
    expect([of(PLANT, 'elsewhere'), of(PLANT), of([], 'line-1')]).toEqual([['elsewhere'], [], ['line-1']])
  })

  test('names of JavaScript\'s own are groups like others', () => {
    expect(of([rule('constructor', 'toString'), rule('valueOf', 'constructor')], 'toString')).toEqual(['toString', 'constructor', 'valueOf'])
    expect(of(PLANT, 'hasOwnProperty')).toEqual(['hasOwnProperty'])
  })

  test('are found in a chain of 10,000 groups', () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => rule(`g${i + 1}`, `g${i}`))
    const found = of(chain, 'g0')
    expect([found.length, found[0], found.at(-1)]).toEqual([10_001, 'g0', 'g10000'])
    expect(of(chain, 'g9999')).toEqual(['g9999', 'g10000'])
  })

  test('are found where 10,000 groups contain one', () => {
    expect(of(Array.from({ length: 10_000 }, (_, i) => rule(`g${i}`, 'all')), 'all')).toHaveLength(10_001)
  })

  test('are found, and the search ends, even in a circle, which no policy that is read has', () => {
    expect(of([rule('a', 'b'), rule('b', 'c'), rule('c', 'a')], 'a').toSorted()).toEqual(['a', 'b', 'c'])
    expect(of([rule('a', 'a')], 'a')).toEqual(['a'])
  })
})

describe('a circle', () => {
  test('is found, with its groups in their order and none of those that lead to it', () => {
    expect(cycle(rule('a', 'a'))).toEqual(['a'])
    expect(cycle(rule('a', 'b'), rule('b', 'a'))).toEqual(['a', 'b'])
    expect(cycle(rule('way', 'in'), rule('in', 'a'), rule('a', 'x', 'b'), rule('b', 'c'), rule('c', 'y', 'a'))).toEqual(['a', 'b', 'c'])
  })

  test('is none where two ways lead to one group, or a group is only named', () => {
    expect(cycle()).toBeUndefined()
    expect(cycle(rule('a', 'b', 'c'), rule('b', 'd'), rule('c', 'd'), rule('d', 'e'))).toBeUndefined()
    expect(cycle(rule('a', 'nobody'))).toBeUndefined()
  })

  test('is told of beside others, and a group in one of them', () => {
    const all = (...rules: GroupRule[]): readonly string[] => circlesOf(rules).map((circle) => circle.map(({ group }) => group).join(''))
    expect(all(rule('a', 'b'), rule('b', 'a'), rule('c', 'd'), rule('d', 'c'), rule('e', 'e', 'a'))).toEqual(['ab', 'cd', 'e'])
    expect(all(rule('x', 'y'), rule('y', 'a', 'b'), rule('a', 'b'), rule('b', 'a'))).toEqual(['ab'])
    expect(all(rule('a', 'b'), rule('b', 'c', 'd'), rule('c', 'a'), rule('d', 'd'))).toEqual(['abc', 'd'])
    expect(all(rule('a', 'b', 'c'), rule('b', 'd'), rule('c', 'd'))).toEqual([])
  })

  test('is looked for in steps, so that somebody else may have a turn', () => {
    const steps = groupCircles(Array.from({ length: 1_000 }, (_, i) => rule(`g${i + 1}`, `g${i}`)))
    let count = 0
    while (steps.next().done !== true) count++
    expect(count).toBeGreaterThan(1_000)
  })

  test('is found at the far end of a chain of 10,000 groups, and without recursion', () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => rule(`g${i + 1}`, `g${i}`))
    expect(cycle(...chain)).toBeUndefined()
    expect(cycle(...chain.toReversed())).toBeUndefined()
    expect(cycle(...chain, rule('g0', 'g10000'))).toHaveLength(10_001)
    expect(cycle(...chain, rule('g0', 'g2'))?.toSorted()).toEqual(['g0', 'g1', 'g2'])
  })
})

describe('whatever the groups', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const name = fc.constantFrom(...names)
  const rules = fc.uniqueArray(fc.tuple(name, fc.uniqueArray(name, { maxLength: 3 })), { selector: ([group]) => group, maxLength: 6 }).map((all) => all.map(([group, contains]) => rule(group, ...contains)))

  test('a device is of exactly those that a search from above finds it in', () => {
    fc.assert(fc.property(rules, fc.uniqueArray(name, { maxLength: 3 }), (all, direct) => {
      const found = of(all, ...direct)
      expect(found.toSorted()).toEqual(names.filter((outer) => direct.some((inner) => isIn(all, inner, outer))))
    }), { numRuns: 2_000 })
  })

  test('there is a circle exactly where some group is in one that it contains, and what is named is one', () => {
    const seen = { circles: 0, none: 0 }
    fc.assert(fc.property(rules, (all) => {
      const circles = circlesOf(all)
      const [found] = circles
      const isInCircle = all.some(({ group, contains }) => contains.some((inner) => isIn(all, group, inner)))
      expect(found !== undefined).toBe(isInCircle)
      for (const circle of circles) for (const [i, one] of circle.entries()) expect(one.contains).toContain(circle[(i + 1) % circle.length]?.group)
      expect(new Set(circles.flat()).size).toBe(circles.flat().length)
      seen[found === undefined ? 'none' : 'circles'] += 1
    }), { numRuns: 2_000 })
    expect(Math.min(seen.circles, seen.none)).toBeGreaterThan(300)
  })
})
