// Typed values out of a tree with positions: what is accepted, what is reported and where, and which word is suggested.

import { describe, expect, test } from 'vitest'
import { describeProblem, nearest, TreeReader, type SourceNode } from '../../src/core/source-tree.ts'

const at = (line: number, column = 1) => ({ file: 'f.yaml', line, column })
const scalar = (value: string | number | boolean | null, text = String(value ?? '')): SourceNode => ({ kind: 'scalar', value, text, at: at(5, 9) })
const list = (...items: SourceNode[]): SourceNode => ({ kind: 'list', items, at: at(6, 3) })
const map = (entries: Readonly<Record<string, SourceNode>>): SourceNode => ({ kind: 'map', at: at(1), entries: Object.entries(entries).map(([key, value], i) => ({ key, keyAt: at(i + 1, 3), value })) })

/** What a read gives, and the problems that it reported, one line each. */
function reading<T>(read: (reader: TreeReader) => T): { value: T; problems: readonly string[] } {
  const reader = new TreeReader()
  const value = read(reader)
  return { value, problems: reader.problems.map(describeProblem) }
}

describe('the nearest word', () => {
  test.each([
    ['publsh', 'publish'], ['Publish', 'publish'], ['pubilsh', 'publish'], ['sub', undefined], ['subscribes', 'subscribe'], ['to', 'to'], ['too', 'to'], ['x', undefined], ['di', undefined], ['ids', 'id'],
    ['', undefined], ['entirely-else', undefined], ['p'.repeat(65), undefined], ['p'.repeat(100_000), undefined],
  ])('of %j is %j', (word, expected) => {
    expect(nearest(word, ['id', 'to', 'publish', 'subscribe'])).toBe(expected)
  })

  test('the first of two that are as near wins, so that the answer is always the same', () => {
    expect(nearest('qoz', ['qos', 'qox'])).toBe('qos')
  })

  test('without candidates there is none', () => expect(nearest('a', [])).toBeUndefined())
})

describe('a mapping', () => {
  test('gives the entries of known keys', () => {
    const { value, problems } = reading((r) => r.map(map({ id: scalar('a'), to: scalar('any') }), 'a rule', ['id', 'to', 'will']))
    expect([...(value ?? [])].map(([key, entry]) => [key, entry.keyAt.line])).toEqual([['id', 1], ['to', 2]])
    expect(problems).toEqual([])
  })

  test('reports every unknown key at its place, with the nearest known one or with all', () => {
    const { problems } = reading((r) => r.map(map({ di: scalar('a'), tp: scalar('any'), quality: scalar(1), __proto__x: scalar(1), constructor: scalar(1) }), 'a rule', ['id', 'to']))
    expect(problems).toEqual([
      'f.yaml:1:3: unknown key "di" in a rule. Known keys: id, to.',
      'f.yaml:2:3: unknown key "tp" in a rule. Did you mean "to"?',
      'f.yaml:3:3: unknown key "quality" in a rule. Known keys: id, to.',
      'f.yaml:4:3: unknown key "__proto__x" in a rule. Known keys: id, to.',
      'f.yaml:5:3: unknown key "constructor" in a rule. Known keys: id, to.',
    ])
  })

  test('a key called __proto__ is a key like any other, and unknown', () => {
    const hostile: SourceNode = { kind: 'map', at: at(1), entries: [{ key: '__proto__', keyAt: at(1), value: scalar(1) }, { key: 'hasOwnProperty', keyAt: at(2), value: scalar(1) }] }
    expect(reading((r) => r.map(hostile, 'a rule', ['id'], { when: 'later.' })).problems).toHaveLength(2)
  })

  test('a key that belongs elsewhere is told where', () => {
    const { value, problems } = reading((r) => r.map(map({ when: scalar(1), id: scalar('a') }), 'a grant', ['id'], { when: 'it stands under to.' }))
    expect(problems).toEqual(['f.yaml:1:3: "when" does not belong in a grant: it stands under to.'])
    expect([...(value ?? [])].map(([key]) => key)).toEqual(['id'])
  })

  test('a hostile key is shown without its control characters, and short', () => {
    const { problems } = reading((r) => r.map(map({ [`\u001B[2J${'x'.repeat(1_000)}`]: scalar(1) }), 'a rule', ['id']))
    expect(problems[0]).toContain('\\u{1b}[2J')
    expect(problems[0]?.length).toBeLessThan(200)
  })

  test.each([[scalar('x'), '"x"', '5:9'], [scalar(null), 'nothing', '5:9'], [list(), 'a list', '6:3']])('is not %j', (node, found, place) => {
    expect(reading((r) => r.map(node, 'a rule', []))).toEqual({ value: undefined, problems: [`f.yaml:${place}: a rule must be a mapping (key: value), not ${found}.`] })
  })
})

describe('lists and scalars', () => {
  test('a list gives its items', () => {
    expect(reading((r) => r.list(list(scalar(1)), 'grants')).value).toHaveLength(1)
    expect(reading((r) => r.list(map({}), 'grants')).problems).toEqual(['f.yaml:1:1: grants must be a list, not a mapping (key: value).'])
    expect(reading((r) => r.list(scalar('a'), 'grants')).problems).toEqual(['f.yaml:5:9: grants must be a list, not "a". Write: [ a ]'])
    expect(reading((r) => r.list(scalar(null), 'grants')).problems).toEqual(['f.yaml:5:9: grants must be a list, not nothing.'])
  })

  test('text is text, and what looks like a number asks for quotes', () => {
    expect(reading((r) => r.string(scalar('7'), 'id'))).toEqual({ value: '7', problems: [] })
    expect(reading((r) => r.string(scalar(''), 'id'))).toEqual({ value: '', problems: [] })
    expect(reading((r) => r.string(scalar(7), 'id')).problems).toEqual(['f.yaml:5:9: id must be text, not 7. Write it in quotes: "7".'])
    expect(reading((r) => r.string(scalar(true), 'id')).problems).toEqual(['f.yaml:5:9: id must be text, not true. Write it in quotes: "true".'])
    expect(reading((r) => r.string(scalar(null), 'id')).problems).toEqual(['f.yaml:5:9: id must be text, not nothing.'])
    expect(reading((r) => r.string(list(), 'id')).problems).toEqual(['f.yaml:6:3: id must be a single value, not a list.'])
  })

  test('what is written is the text of a value of any type', () => {
    for (const [value, text] of [['a', 'a'], [7, '7'], [1.3, '1.30'], [true, 'true'], [null, '']] as const) expect(reading((r) => r.written(scalar(value, text), 'tls'))).toEqual({ value: text, problems: [] })
    expect(reading((r) => r.written(list(), 'tls')).problems).toEqual(['f.yaml:6:3: tls must be a single value, not a list.'])
  })

  test('a boolean is true or false, and no word for it', () => {
    expect(reading((r) => r.boolean(scalar(false), 'retain'))).toEqual({ value: false, problems: [] })
    for (const wrong of [scalar('yes'), scalar('true'), scalar(1), scalar(null)]) expect(reading((r) => r.boolean(wrong, 'retain')).value).toBeUndefined()
    expect(reading((r) => [r.boolean(scalar('no'), 'a'), r.boolean(scalar('true'), 'b'), r.boolean(scalar('constructor'), 'c')]).problems).toEqual(['f.yaml:5:9: a must be true or false, not no. Write: false', 'f.yaml:5:9: b must be true or false, not true. Write it without quotes.', 'f.yaml:5:9: c must be true or false, not constructor.'])
    expect(reading((r) => r.boolean(map({}), 'retain')).problems).toEqual(['f.yaml:1:1: retain must be a single value, not a mapping (key: value).'])
  })

  test.each([[0, true], [2, true], [-1, false], [3, false], [1.5, false], [Number.NaN, false], [Number.POSITIVE_INFINITY, false], [2 ** 60, false]])('from 0 to 2: %s is %s', (n, good) => {
    expect(reading((r) => r.integer(scalar(n), 'qos', 0, 2)).value).toBe(good ? n : undefined)
  })

  test('an integer is no text', () => {
    expect(reading((r) => r.integer(scalar('1'), 'qos', 0, 2)).problems).toEqual(['f.yaml:5:9: qos must be a whole number from 0 to 2, not "1". Write it without quotes.'])
    expect(reading((r) => r.integer(scalar('many'), 'qos', 0, 2)).problems).toEqual(['f.yaml:5:9: qos must be a whole number from 0 to 2, not "many".'])
    expect(reading((r) => r.integer(scalar(2), 'version', 1, 1)).problems).toEqual(['f.yaml:5:9: version must be 1, not 2.'])
    expect(reading((r) => r.integer(list(), 'qos', 0, 2)).problems).toEqual(['f.yaml:6:3: qos must be a single value, not a list.'])
  })

  test('one of some words, with the nearest one suggested', () => {
    expect(reading((r) => r.oneOf(scalar('drop'), 'onDeny', ['drop', 'disconnect'])).value).toBe('drop')
    expect(reading((r) => r.oneOf(scalar('dorp'), 'onDeny', ['drop', 'disconnect'])).problems).toEqual(['f.yaml:5:9: onDeny must be drop or disconnect, not dorp. Did you mean "drop"?'])
    expect(reading((r) => r.oneOf(scalar('allow'), 'onDeny', ['drop', 'disconnect'])).problems).toEqual(['f.yaml:5:9: onDeny must be drop or disconnect, not allow.'])
    expect(reading((r) => r.oneOf(list(), 'onDeny', ['drop', 'disconnect'])).problems).toEqual(['f.yaml:6:3: onDeny must be drop or disconnect.'])
  })
})

describe('durations and sizes', () => {
  test.each([['500ms', 500], ['0s', 0], ['90s', 90_000], ['15m', 900_000], ['24h', 86_400_000], ['7d', 604_800_000]])('%s is %d ms', (text, ms) => {
    expect(reading((r) => r.duration(scalar(text), 'expiry'))).toEqual({ value: ms, problems: [] })
  })

  test.each(['', '24', 'h', '1.5h', '-1h', '1 h', '1H', '1w', '24h ', '1h30m', '1e3s', '0x1s', '9999999999s', '２h'])('%j is no duration', (text) => {
    expect(reading((r) => r.duration(scalar(text), 'expiry')).problems).toHaveLength(1)
  })

  test.each([['0', 0], ['512', 512], ['512B', 512], ['8KiB', 8_192], ['1MiB', 1_048_576], ['2GiB', 2_147_483_648]])('%s is %d bytes', (text, bytes) => {
    expect(reading((r) => r.bytes(scalar(text), 'maxBytes'))).toEqual({ value: bytes, problems: [] })
  })

  test.each(['', '8kb', '8KB', '8 KiB', '-1', '1.5MiB', '1TiB', 'KiB', '1e3', '9'.repeat(13)])('%j is no size', (text) => {
    expect(reading((r) => r.bytes(scalar(text), 'maxBytes')).problems).toEqual([`f.yaml:5:9: maxBytes must be a size, not ${text}. Write bytes: 512, 8KiB or 1MiB.`])
  })

  test('neither is a list', () => {
    expect(reading((r) => [r.duration(list(), 'a'), r.bytes(list(), 'b')]).problems).toEqual(['f.yaml:6:3: a must be a single value, not a list.', 'f.yaml:6:3: b must be a single value, not a list.'])
  })
})

describe('problems', () => {
  const report = (r: TreeReader, file: string, line: number, column: number): undefined => r.report({ file, line, column }, `${file}${line}${column}`)

  test('are told file by file, in the order of the lines, whatever the order of reading', () => {
    const { problems } = reading((r) => [report(r, 'b', 1, 1), report(r, 'a', 2, 1), report(r, 'a', 1, 9), report(r, 'a', 1, 2), report(r, 'b', 0, 5)])
    expect(problems.map((p) => p.split(' ')[1])).toEqual(['a12', 'a19', 'a21', 'b05', 'b11'])
  })

  test('a thousand are told; what is beyond is counted, at the last of them', () => {
    expect(reading((r) => Array.from({ length: 1_000 }, (_, i) => report(r, 'a', i, 1))).problems).toHaveLength(1_000)
    const { problems } = reading((r) => Array.from({ length: 1_002 }, (_, i) => report(r, 'a', i, 1)))
    expect([problems.length, problems.at(-1)]).toEqual([1_001, 'a:999:1: and 2 more problems.'])
  })
})
