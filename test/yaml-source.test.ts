// YAML as plain data with positions: what is not plain is refused at its place, and no text takes the parser down.

import { describe, expect, test } from 'vitest'
import { describeProblem, type SourceNode } from '../src/core/source-tree.ts'
import { readYaml } from '../src/yaml-source.ts'

function treeOf(text: string): SourceNode {
  const { tree, problems } = readYaml('f.yaml', text)
  if (tree === undefined) throw new Error(problems.map(describeProblem).join('\n'))
  return tree
}
const problemsOf = (text: string): readonly string[] => readYaml('f.yaml', text).problems.map(describeProblem)

/** A tree as plain data. */
function plain(node: SourceNode): unknown {
  if (node.kind === 'list') return node.items.map(plain)
  if (node.kind === 'map') return node.entries.map(({ key, value }) => [key, plain(value)])
  return node.value
}

describe('plain data', () => {
  test.each<[string, unknown]>([
    ['a: 1', [['a', 1]]], ['a: "1"', [['a', '1']]], ["a: '1'", [['a', '1']]], ['a: x y', [['a', 'x y']]], ['a: true', [['a', true]]], ['a: ~', [['a', null]]], ['a:', [['a', null]]],
    ['[1, two, [3]]', [1, 'two', [3]]], ['- a\n- b: c', ['a', [['b', 'c']]]], ['{a: {b: c}}', [['a', [['b', 'c']]]]],
    // Words that older YAML read as truth values are text.
    ['a: yes', [['a', 'yes']]], ['a: no', [['a', 'no']]], ['a: on', [['a', 'on']]], ['a: off', [['a', 'off']]], ['%YAML 1.1\n---\na: yes', [['a', 'yes']]],
    ['a: 1e3', [['a', 1_000]]], ['a: 0x10', [['a', 16]]], ['a: 2026-01-01', [['a', '2026-01-01']]], ['a: 10:30', [['a', '10:30']]],
    ['a: "\\u0000\\n"', [['a', '\0\n']]], ['a: |\n  x\n  y\n', [['a', 'x\ny\n']]], ['a: >-\n  x\n  y\n', [['a', 'x y']]],
    ['# only a comment', []], ['', []], ['\n\n', []], ['\uFEFFa: 1', [['a', 1]]], ['a: 1 # why', [['a', 1]]], ['hello', 'hello'],
    ['__proto__: 1\nconstructor: 2', [['__proto__', 1], ['constructor', 2]]], ['1: x', [['1', 'x']]], ['"a b": x', [['a b', 'x']]], ['a: "[[["', [['a', '[[[']]], ['a: "*b &c !d"', [['a', '*b &c !d']]], ['a: "<<"', [['a', '<<']]], ['--- |\n]', ']\n'], ['--- >-\n]', ']'],
    [`a: [${Array.from({ length: 40 }, () => '-1').join(', ')}]`, [['a', Array.from({ length: 40 }, () => -1)]]], [`a: ${'x - ? '.repeat(40)}x`, [['a', `${'x - ? '.repeat(40)}x`]]],
  ])('%j', (text, expected) => {
    expect(plain(treeOf(text))).toEqual(expected)
  })

  test('infinity is a number, and no reader of whole numbers takes it', () => {
    expect(plain(treeOf('a: .inf'))).toEqual([['a', Number.POSITIVE_INFINITY]])
  })

  test('text as it was written stays beside the value', () => {
    const tree = treeOf('a: 0x10\nb: "7"\nc: 20/s')
    expect(tree.kind === 'map' && tree.entries.map(({ value }) => value.kind === 'scalar' && value.text)).toEqual(['0x10', '7', '20/s'])
  })

  test('every key and value has its line and column, from 1', () => {
    const places: string[] = []
    const walk = (node: SourceNode, path: string): void => {
      places.push(`${path} ${node.at.line}:${node.at.column}`)
      if (node.kind === 'list') node.items.forEach((item, i) => walk(item, `${path}[${i}]`))
      if (node.kind === 'map') node.entries.forEach(({ key, keyAt, value }) => {
        places.push(`${path}.${key}: ${keyAt.line}:${keyAt.column}`)
        walk(value, `${path}.${key}`)
      })
    }
    walk(treeOf('# x\na:\n  - b: ä\n    c: d\n  - {e: f}\r\ng:\n'), '')
    expect(places).toEqual([' 2:1', '.a: 2:1', '.a 3:3', '.a[0] 3:5', '.a[0].b: 3:5', '.a[0].b 3:8', '.a[0].c: 4:5', '.a[0].c 4:8', '.a[1] 5:5', '.a[1].e: 5:6', '.a[1].e 5:9', '.g: 6:1', '.g 6:3'])
  })
})

describe('what is not plain is refused at its place', () => {
  test.each([
    ['a: &x 1', '1:7', 'anchors (&name) are not accepted.'], ['&x a: 1', '1:4', 'anchors'], ['a: &x {b: 1}', '1:7', 'anchors'], ['a: &x [1]', '1:7', 'anchors'],
    ['a: 1\nb: *x', '2:4', 'aliases (*name) are not accepted.'], ['a: &x 1\nb: *x', '2:4', 'aliases (*name) are not accepted.'], ['a: 1\n? *x\n: 1', '1:1', 'a key must be plain text.'],
    ['a: !x 1', '1:7', 'tags (!name) are not accepted.'], ['a: !!str 1', '1:10', 'tags'], ['a: !!int "1"', '1:10', 'tags'], ['a: !!binary aGk=', '1:13', 'tags'], ['a: !!set {x}', '1:10', 'tags'], ['a: !!map {x: 1}', '1:10', 'tags'], ['a: !!seq [1]', '1:10', 'tags'], ['!!str a: 1', '1:7', 'tags'], ['a: ! 1', '1:6', 'tags'], ['a: !!js/function "x"', '1:18', 'tags'],
    ['%TAG ! tag:yaml.org,2002:\n---\na: !str 1', '3:9', 'tags'], ['a: !<tag:yaml.org,2002:str> 1', '1:29', 'tags'],
    ['? [a]\n: 1', '1:1', 'a key must be plain text.'], ['{[a]: 1}', '1:1', 'a key must be plain text.'],
    ['a: 1\na: 2', '2:1', 'not valid YAML: the key "a" is there already. Write each key once.'], ['a: {b: 1, "b": 2}', '1:11', 'the key "b" is there already'], ['1: x\n"1": y', '2:1', 'the key "1" is there already'],
    ['a: 1\n---\nb: 2', '2:1', 'a file has one document, and here another begins'], ['a: [', '1:5', 'not valid YAML'], ['a: ]', '1:4', 'not valid YAML: "]" closes nothing.'], ['a: "x', '1:6', 'not valid YAML'], ['a:\n\tb: 1', '2:1', 'not valid YAML'], ['a: b: c', '1:4', 'not valid YAML'], ['- a\nb: c', '2:1', 'not valid YAML'], ['a: @x', '1:4', 'not valid YAML'], ['a: `x', '1:4', 'not valid YAML'],
  ])('%j', (text, at, message) => {
    const problems = problemsOf(text)
    expect(problems.join('\n')).toContain(message)
    expect(problems.some((p) => p.startsWith(`f.yaml:${at}: `))).toBe(true)
    expect(readYaml('f.yaml', text).tree).toBeUndefined()
  })

  test('a merge key is a key called "<<", which no document has', () => {
    expect(plain(treeOf('<<: {a: 1}'))).toEqual([['<<', [['a', 1]]]])
  })

  test('all of them are listed', () => {
    expect(problemsOf('a: &x 1\nb: !y 2\nc: *x')).toHaveLength(3)
  })

  test('what the parser quotes of a hostile file is shown without control characters', () => {
    for (const problem of problemsOf('a: "\\u001b\u001B[2J\nb: }\u001B')) expect(problem).toMatch(/^[\x20-\x7e…]*$/)
  })
})

describe('texts that are made to hurt', () => {
  test.each<[string, string]>([
    ['brackets', '['.repeat(1_000_000)], ['closed brackets', '['.repeat(100_000) + ']'.repeat(100_000)], ['braces', '{a: '.repeat(100_000)], ['brackets with values between', '[a, '.repeat(100_000)], ['dashes in one line', '- '.repeat(100_000)], ['question marks in one line', '? '.repeat(100_000)], ['brackets in many lines', '[\n'.repeat(100_000)],
  ])('%s: nesting is refused once, without paying for it', (_, text) => {
    expect(problemsOf(text)).toEqual([expect.stringContaining('nested more than 32 deep.')])
  })

  test('nesting by indentation is refused as well', () => {
    const text = Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')
    expect(problemsOf(text)).toEqual(['f.yaml:34:34: nested more than 32 deep. Write it flatter.'])
  })

  test('32 levels are accepted and 33 are not', () => {
    expect(problemsOf(`${'['.repeat(32)}${']'.repeat(32)}`)).toEqual([])
    expect(problemsOf(`${'['.repeat(33)}${']'.repeat(33)}`)).toEqual(['f.yaml:1:33: nested more than 32 deep.'])
    expect(problemsOf(`${'- '.repeat(32)}a`)).toEqual([])
  })

  test('the place of what is nested is right also behind quotes, comments and other scripts', () => {
    expect(problemsOf(`# [[\na: "[["\nb: 'ä]'\nc: x]y\nd: |\n  [[[\ne: ${'['.repeat(33)}`)).toEqual(['f.yaml:7:36: nested more than 32 deep.'])
  })

  test.each<[string, string]>([['closing brackets', ']'.repeat(1_000_000)], ['closing braces in many lines', '}\n'.repeat(100_000)]])('%s are refused at the first one', (_, text) => {
    expect(problemsOf(text)).toEqual([expect.stringMatching(/^f\.yaml:1:1: not valid YAML: "[\]}]" closes nothing\.$/)])
  })

  test('a file of nothing but mistakes is answered with a hundred of them', () => {
    expect(problemsOf('@\n'.repeat(2_000)).length).toBeLessThanOrEqual(100)
  })

  test('a thousand laughs are no laughing matter: no alias is ever followed', () => {
    const text = ['a: &a [x, x]', ...Array.from({ length: 20 }, (_, i) => `${String.fromCharCode(98 + i)}: &${String.fromCharCode(98 + i)} [*${String.fromCharCode(97 + i)}, *${String.fromCharCode(97 + i)}]`)].join('\n')
    expect(problemsOf(text)).toHaveLength(21)
  })

  test('a hundred thousand keys are told apart in time that grows with their number, not with its square', () => {
    expect(problemsOf(`${Array.from({ length: 100_000 }, (_, i) => `k${i}: 1`).join('\n')}\nk7: 2`)).toEqual(['f.yaml:100001:1: not valid YAML: the key "k7" is there already. Write each key once.'])
  })

  test('of a hundred thousand documents the second one is told of', () => {
    expect(problemsOf('--- a\n'.repeat(100_000))).toEqual(['f.yaml:2:1: not valid YAML: a file has one document, and here another begins.'])
  })

  test('of a hundred thousand aliases a hundred are told of', () => {
    expect(problemsOf('- *a\n'.repeat(100_000))).toHaveLength(100)
  })

  test('8 MiB are read, and a byte more is refused before it is parsed', () => {
    const mib8 = 8 * 1_024 * 1_024
    expect(plain(treeOf(`a: 1 #${'x'.repeat(mib8 - 6)}`))).toEqual([['a', 1]])
    expect(problemsOf(`a: 1 #${'x'.repeat(mib8 - 5)}`)).toEqual([`f.yaml:1:1: the file is larger than ${mib8} bytes.`])
    expect(problemsOf(`a: 1 #${'ä'.repeat(mib8 / 2)}`)).toHaveLength(1)
  })
})
