// Which devices a CA may name: patterns, and what is no limit.

import { describe, expect, test } from 'vitest'
import { judgeId, parseCaIds, parseUnit } from '../../src/core/ca-names.ts'
import { CA_LIFE_LIMITS } from '../../src/ca-limits.ts'

const may = (ids: readonly string[] | undefined, id: string): boolean => judgeId(ids, id).allow

describe('ids of a CA', () => {
  test.each<[string, readonly string[] | undefined, string, boolean]>([
    ['no limit, any device', undefined, 'plant-8-press', true],
    ['what begins so', ['plant-7-*'], 'plant-7-press', true],
    ['the part itself with nothing behind it', ['plant-7-*'], 'plant-7-', true],
    ['one letter less', ['plant-7-*'], 'plant-7', false],
    ['what only looks like it', ['plant-7-*'], 'plant-70-press', false],
    ['case counts', ['plant-7-*'], 'Plant-7-press', false],
    ['what has it in the middle', ['plant-7-*'], 'x-plant-7-press', false],
    ['the second of two', ['plant-7-*', 'gate-?', 'spare'], 'spare', true],
    ['no pattern but itself', ['spare'], 'spare-2', false],
    ['none at all', [], 'spare', false],
  ])('%s', (_, ids, id, allowed) => {
    expect(may(ids, id)).toBe(allowed)
  })

  test('who is refused is told what there is', () => {
    expect(judgeId(['plant-7-*', 'spare'], 'plant-8-x')).toEqual({ allow: false, reason: 'ca-name-outside', detail: 'plant-8-x is none of plant-7-*, spare' })
  })

  test('an asterisk alone is no limit; beside others it is refused, as are patterns that fit everybody, or nobody could have', () => {
    expect(parseCaIds(['*'])).toEqual({ allow: true, value: undefined })
    expect(parseCaIds(['plant-7-*', 'plant-7-*', 'a'])).toEqual({ allow: true, value: ['plant-7-*', 'a'] })
    for (const texts of [[], ['plant-7-*', '*'], ['**'], ['a b'], ['a/b'], [''], ['#'], ['a'.repeat(65)], Array.from({ length: CA_LIFE_LIMITS.idPatternsMax + 1 }, (__, i) => `a${i}`)]) {
      expect(parseCaIds(texts), JSON.stringify(texts)).toMatchObject({ allow: false, reason: 'request-invalid' })
    }
    expect(parseCaIds(Array.from({ length: CA_LIFE_LIMITS.idPatternsMax }, (__, i) => `a${i}`)).allow).toBe(true)
  })

  test('a unit is a short word that every program shows alike', () => {
    for (const good of ['plant-7', 'Plant 7', 'a', 'a'.repeat(64)]) expect(parseUnit(good).allow, good).toBe(true)
    for (const bad of ['', ' a', 'a ', 'a,b', 'a+b', 'a=b', 'a/b', 'ä', 'a\n', 'a'.repeat(65)]) expect(parseUnit(bad).allow, bad).toBe(false)
  })
})
