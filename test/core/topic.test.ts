// Topic names and filters: every refusal beside its nearest acceptance, matching beside a matcher that was written without
// looking, and `contains` and `intersects` beside the sets of topics that they speak of.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contains, intersects, matches, parseTopicFilter, parseTopicName } from '../../src/core/topic.ts'
import { anyText, detailOf, reasonOf, valueOf } from './facts.ts'

const levels = (text: string): readonly string[] => text.split('/')

describe('topic names', () => {
  test.each(['a', '/', '//', 'a/b/c', 'a//b', '/a', 'a/', ' ', 'ä/日本', '😀', 'a b', 'a$b', 'a/$SYS', '\uFEFFa', 'constructor', '__proto__', '..', 'a/../b'])('%j is one', (text) => {
    expect(valueOf(parseTopicName(text))).toEqual({ text, levels: text.split('/') })
  })

  test.each([
    ['', 'empty'],
    ['a\0b', 'a character'], ['\u0001', 'a character'], ['a\n', 'a character'], ['\u007F', 'a character'], ['\u0085', 'a character'],
    ['\uD800', 'a character'], ['a\uDC00b', 'a character'], ['\uDE00\uD83D', 'a character'],
    ['\uFFFD', 'a character'], ['\uFFFE', 'a character'], ['\uFDD0', 'a character'], ['\u{1FFFF}', 'a character'],
    ['+', 'wildcard'], ['#', 'wildcard'], ['a/+', 'wildcard'], ['a/#/b', 'wildcard'], ['a+b', 'wildcard'], ['a/b#', 'wildcard'],
  ])('%j is none: %s', (text, detail) => {
    expect(reasonOf(parseTopicName(text))).toBe('topic-invalid')
    expect(detailOf(parseTopicName(text))).toContain(detail)
  })

  test.each(['$', '$SYS', '$SYS/broker', '$share/g/a', '$refused/1'])('%j is reserved', (text) => {
    expect(reasonOf(parseTopicName(text))).toBe('topic-reserved')
  })

  test('a topic has at most 512 bytes, whatever its characters', () => {
    expect(reasonOf(parseTopicName('a'.repeat(512)))).toBe('allowed')
    expect(reasonOf(parseTopicName('a'.repeat(513)))).toBe('topic-invalid')
    expect(reasonOf(parseTopicName('ä'.repeat(256)))).toBe('allowed')
    expect(reasonOf(parseTopicName('ä'.repeat(257)))).toBe('topic-invalid')
    expect(reasonOf(parseTopicName('😀'.repeat(128)))).toBe('allowed')
    expect(reasonOf(parseTopicName('😀'.repeat(129)))).toBe('topic-invalid')
  })

  test('a topic has at most 64 levels, and 65,535 slashes are refused without being counted', () => {
    expect(valueOf(parseTopicName('/'.repeat(63))).levels).toHaveLength(64)
    expect(detailOf(parseTopicName('/'.repeat(64)))).toBe('more than 64 levels')
    expect(detailOf(parseTopicName('/'.repeat(65_535)))).toBe('more than 512 bytes')
  })
})

describe('topic filters', () => {
  test.each(['#', '+', '+/#', 'a/#', '/#', '+/+', '/', 'a', '$SYS/#', '$', '$share', '$shared/g/a', 'a/$share/g'])('%j is one, and no shared subscription', (text) => {
    expect(valueOf(parseTopicFilter(text))).toEqual({ text, levels: text.split('/') })
  })

  test.each(['a+', '+a', 'a/b+/c', 'a#', '#a', '##', '++', '#/', '#/a', 'a/#/b', '+/#/', 'dev/me#', '+#', '#+'])('%j has a wildcard where none may be', (text) => {
    expect(reasonOf(parseTopicFilter(text))).toBe('filter-invalid')
  })

  test.each(['', 'a\0', '\uD800/#', '\uFFFD', 'a\u001Fb', '\uFFFF/+', 'a'.repeat(513), '/'.repeat(64), `${'+/'.repeat(64)}#`])('%j is no text for a filter', (text) => {
    expect(reasonOf(parseTopicFilter(text))).toBe('filter-invalid')
  })

  test('a filter has at most 64 levels, "#" included', () => {
    expect(reasonOf(parseTopicFilter(`${'+/'.repeat(63)}#`))).toBe('allowed')
    expect(detailOf(parseTopicFilter(`${'+/'.repeat(64)}#`))).toBe('more than 64 levels')
  })

  test.each([
    ['$share/g/a', 'g', ['a']], ['$share/g/#', 'g', ['#']], ['$share/g//', 'g', ['', '']], ['$share/g/ ', 'g', [' ']],
    ['$share/ü/a/+', 'ü', ['a', '+']], ['$share/g/$share/h/a', 'g', ['$share', 'h', 'a']], ['$share/g/$SYS/#', 'g', ['$SYS', '#']],
  ] as const)('%j is the share %j of the inner filter', (text, share, inner) => {
    expect(valueOf(parseTopicFilter(text))).toEqual({ text, levels: inner, share })
  })

  test.each(['$share/', '$share/g', '$share//a', '$share/g/', '$share/+/a', '$share/#/a', '$share/g+/a', '$share/a#b/c', '$share/g/a#', '$share/g/#/a'])('%j is a malformed share', (text) => {
    expect(reasonOf(parseTopicFilter(text))).toBe('filter-invalid')
  })

  test('a share name does not widen the limits of the text', () => {
    expect(reasonOf(parseTopicFilter(`$share/${'g'.repeat(512 - 9)}/a`))).toBe('allowed')
    expect(reasonOf(parseTopicFilter(`$share/${'g'.repeat(512 - 8)}/a`))).toBe('filter-invalid')
    expect(reasonOf(parseTopicFilter(`$share/g${'/'.repeat(64)}`))).toBe('allowed')
    expect(reasonOf(parseTopicFilter(`$share/g${'/'.repeat(65)}`))).toBe('filter-invalid')
  })

  test('every topic name is a filter that matches itself and no other name', () => {
    fc.assert(fc.property(anyText(12), anyText(12), (a, b) => {
      const name = parseTopicName(a)
      const other = parseTopicName(b)
      fc.pre(name.allow && other.allow)
      const filter = valueOf(parseTopicFilter(a))
      expect([matches(filter.levels, valueOf(name).levels), matches(filter.levels, valueOf(other).levels)]).toEqual([true, a === b])
    }))
  })

  test('whatever the text, parsing answers and never throws', () => {
    fc.assert(fc.property(anyText(600), (text) => {
      const filter = parseTopicFilter(text)
      expect(parseTopicName(text).allow && !filter.allow).toBe(false)
      expect(filter.allow ? filter.value.levels.length : 0).toBeLessThanOrEqual(64)
    }))
  })
})

/** MQTT 5 §4.7.1 by recursion over the two lists, without looking at src. */
function naiveMatch(filter: readonly string[], topic: readonly string[]): boolean {
  if (topic[0]?.startsWith('$') === true && (filter[0] === '+' || filter[0] === '#')) return false
  const rest = (f: readonly string[], t: readonly string[]): boolean => {
    if (f.length === 0) return t.length === 0
    if (f.length === 1 && f[0] === '#') return true
    if (t.length === 0) return false
    return (f[0] === '+' || f[0] === t[0]) && rest(f.slice(1), t.slice(1))
  }
  return rest(filter, topic)
}

const LETTERS = ['a', 'b', '', '$s']
const anyTopic = fc.array(fc.constantFrom(...LETTERS), { minLength: 1, maxLength: 5 })
const anyFilter = fc.tuple(fc.array(fc.constantFrom(...LETTERS, '+', '+'), { maxLength: 4 }), fc.constantFrom([], ['#'], ['a'])).map(([f, last]) => (f.length + last.length === 0 ? ['+'] : [...f, ...last]))

describe('matching', () => {
  test.each([
    ['a/#', 'a', true], ['a/#', 'a/b', true], ['a/#', 'a/', true], ['a/#', 'ab', false], ['a/#', '/a', false],
    ['a/+/#', 'a', false], ['a/+/#', 'a/b', true], ['a/+/#', 'a/', true],
    ['#', 'a', true], ['#', '/', true], ['#', '$SYS/a', false], ['+/a', '$SYS/a', false], ['$SYS/#', '$SYS/a', true], ['$SYS/#', '$SYS', true], ['$SYS/+', '$SYS/a', true],
    ['+', 'a', true], ['+', '/a', false], ['+/+', '/a', true], ['/+', '/a', true], ['+', '', true], ['a/+', 'a', false], ['a/+', 'a/', true],
    ['a//b', 'a/b', false], ['a/+/b', 'a//b', true], ['dev/1/#', 'dev/10/x', false], ['A', 'a', false], ['a/+', 'a/$SYS', true],
  ])('%s of %s is %s', (filter, topic, expected) => {
    expect(matches(levels(filter), levels(topic))).toBe(expected)
  })

  test('agrees with a matcher that was written without looking', () => {
    fc.assert(fc.property(anyFilter, anyTopic, (filter, topic) => {
      expect(matches(filter, topic)).toBe(naiveMatch(filter, topic))
    }), { numRuns: 20_000 })
  })
})

/** All lists of at most `depth` of these letters. */
function listsOf(letters: readonly string[], depth: number): readonly (readonly string[])[] {
  let last: readonly (readonly string[])[] = [[]]
  const all: (readonly string[])[] = []
  for (let i = 0; i < depth; i++) {
    last = last.flatMap((list) => letters.map((l) => [...list, l]))
    all.push(...last)
  }
  return all
}

describe('what contains what, by the topics themselves', () => {
  // 'x' stands for every level that no filter names; one level more than any filter has shows what only "#" reaches.
  const TOPICS = listsOf(['a', 'b', '', '$', 'x'], 4)
  const FILTERS = [...listsOf(['a', 'b', '', '$', '+'], 3), ...[[], ...listsOf(['a', 'b', '', '$', '+'], 2)].map((f) => [...f, '#'])]
  const languages = FILTERS.map((filter) => ({ filter, topics: new Set(TOPICS.flatMap((t, i) => (naiveMatch(filter, t) ? [i] : []))) }))
  const text = (filter: readonly string[]): string => filter.join('/')
  /** The one pair that contains does not know to be equal. */
  const isTwin = (a: readonly string[], f: readonly string[]): boolean => text(a) === '+/#' && text(f) === '#'

  test('the alphabet has work to do', () => {
    expect(FILTERS.length).toBe(186)
    expect(TOPICS.length).toBe(780)
  })

  test('contains(A, F) says that every topic of F is a topic of A, and its denial has a counter-example', () => {
    const wrong: string[] = []
    for (const a of languages) {
      for (const f of languages) {
        const isSubset = [...f.topics].every((t) => a.topics.has(t))
        if (contains(a.filter, f.filter) !== (isSubset && !isTwin(a.filter, f.filter))) wrong.push(`${text(a.filter)} ⊇ ${text(f.filter)}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('intersects(A, F) says that some topic is of both', () => {
    const wrong: string[] = []
    for (const a of languages) {
      for (const f of languages) {
        if (intersects(a.filter, f.filter) === ![...a.topics].some((t) => f.topics.has(t))) wrong.push(`${text(a.filter)} ∩ ${text(f.filter)}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('contains is transitive, and every filter contains itself', () => {
    fc.assert(fc.property(anyFilter, anyFilter, anyFilter, (a, b, c) => {
      expect(contains(a, a)).toBe(true)
      expect(!contains(a, b) || !contains(b, c) || contains(a, c)).toBe(true)
    }), { numRuns: 5_000 })
  })

  test('of a literal filter, containing and matching are the same', () => {
    fc.assert(fc.property(anyFilter, anyTopic, (a, topic) => {
      expect(contains(a, topic)).toBe(matches(a, topic))
      expect(intersects(a, topic)).toBe(matches(a, topic))
    }), { numRuns: 5_000 })
  })

  test('intersects does not depend on the order of its arguments', () => {
    fc.assert(fc.property(anyFilter, anyFilter, (a, b) => {
      expect(intersects(a, b)).toBe(intersects(b, a))
    }))
  })
})

describe('the published mistakes of others', () => {
  test.each([
    ['device/+', 'device/#', 'only "#" covers "#"'],
    ['device/+', 'device', '"+" is one level, not none'],
    ['device/+/x', 'device/#', '"#" reaches what is not below x'],
    ['a/+/#', 'a/#', 'a itself has no second level'],
    ['a', 'a/#', '"#" reaches below a'],
    ['a/b', 'a/+', '"+" is every level, not b'],
    ['#', '$SYS/#', 'wildcards do not reach $'],
    ['+/#', '$SYS/#', 'wildcards do not reach $'],
    ['+/broker', '$SYS/broker', 'wildcards do not reach $'],
    ['$SYS/#', '#', 'what is below $SYS is not everything'],
    ['a/b', 'a//b', 'an empty level is a level'],
    ['+/a', 'a', 'an absent level is no empty level'],
    ['dev/1', 'dev/10', 'levels are whole'],
    ['dev/me', 'dev/ME', 'case tells levels apart'],
    ['+', '+/', 'a trailing slash is one level more'],
    ['+/+', '#', '"#" has more than two levels'],
  ])('%s does not contain %s: %s', (a, f) => {
    expect(contains(levels(a), levels(f))).toBe(false)
  })

  test.each([
    ['a/#', 'a'], ['a/#', 'a/#'], ['a/#', 'a/+/+/#'], ['#', '+/#'], ['#', '#'], ['#', '/'], ['+/#', '+/+'], ['+/#', 'a/#'], ['a/+', 'a/'], ['+', '+'], ['+/+/b', 'a/+/b'], ['$SYS/#', '$SYS/+'], ['+', ''],
  ])('%s contains %s', (a, f) => {
    expect(contains(levels(a), levels(f))).toBe(true)
  })

  test('"+/#" has the topics of "#" and is not said to contain it: too narrow, never too wide', () => {
    expect(contains(levels('+/#'), levels('#'))).toBe(false)
  })

  test('two grants do not add up to a filter that neither contains', () => {
    // a and a/# … between them a/+ and a/+/# and a are all of a/#; no single one contains it.
    for (const single of ['a', 'a/+', 'a/+/#']) expect(contains(levels(single), levels('a/#'))).toBe(false)
  })
})
