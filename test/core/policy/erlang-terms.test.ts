// The terms of an acl.conf: what each form is read as, and where what is none of them is told.

import { describe, expect, test } from 'vitest'
import { readTerms, type Term } from '../../../src/core/policy/erlang-terms.ts'
import { describeProblem } from '../../../src/core/source-tree.ts'

/** As JSON: an atom is :atom. */
function plain(term: Term): unknown {
  if (term.kind === 'tuple') return { tuple: term.items.map(plain) }
  if (term.kind === 'list') return term.items.map(plain)
  return term.kind === 'atom' ? `:${term.value}` : term.value
}

function termsOf(text: string): unknown {
  const read = readTerms('f', text)
  return 'problem' in read ? describeProblem(read.problem) : read.terms.map(({ term }) => plain(term))
}

describe('a term', () => {
  test.each([
    ['', []],
    ['%% only a comment', []],
    ['{allow, all}.', [{ tuple: [':allow', ':all'] }]],
    ["{'and', [{a, \"x\"}]}.\n", [{ tuple: [':and', [{ tuple: [':a', 'x'] }]] }]],
    ['[].%', [[]]],
    ['{a,%c\n 1 , -2}. {}.', [{ tuple: [':a', 1, -2] }, { tuple: [] }]],
    ['"a" "b"\n"c".', ['abc']],
    ['<<"a">>. << "b"/utf8 >>.', ['a', 'b']],
    [String.raw`"\"\\\n\s\x41\x{1F600}\101\^A\q".`, ['"\\\n A\u{1F600}A\u0001q']],
    ['"${clientid}/#".', ['${clientid}/#']],
    ['a@b_1.', [':a@b_1']],
  ])('%j', (text, expected) => {
    expect(termsOf(text)).toEqual(expected)
  })

  test('its text is kept, and its place', () => {
    const read = readTerms('f', '% x\n\n  {allow,\n   all}.\n{b}.')
    expect('terms' in read && read.terms.map(({ term, text }) => [term.at, text])).toEqual([[{ file: 'f', line: 3, column: 3 }, '{allow, all}'], [{ file: 'f', line: 5, column: 1 }, '{b}']])
  })
})

describe('no term', () => {
  test.each([
    ['{allow, all}', 'f:1:13: a term must end with a dot'],
    ['{allow, all}.{b}.', 'f:1:13: a term must end with a dot'],
    ['{allow all}.', 'f:1:8: "," or "}" is missing'],
    ['[a, ]. ', 'f:1:5: ] begins no term'],
    ['{a', 'f:1:3: "," or "}" is missing'],
    ['\n {', 'f:2:3: the end of the file begins no term'],
    ['"a', 'f:1:1: the closing " is missing'],
    ["{a, 'b}. ", "f:1:5: the closing ' is missing"],
    [String.raw`"a\"`, 'f:1:1: the closing " is missing'],
    ['Var.', 'f:1:1: V begins no term'],
    ['#{a => b}.', 'f:1:1: # begins no term'],
    ['<<1>>.', 'f:1:3: a binary must hold one string'],
    ['['.repeat(40), 'f:1:34: nested more than 32 deep'],
    ['\u0000.', 'f:1:1: \\u{0} begins no term'],
  ])('%j', (text, expected) => {
    expect(String(termsOf(text)).slice(0, expected.length)).toBe(expected)
  })
})

describe('8 MiB of anything', () => {
  const size = 8 * 1024 * 1024
  test.each([['a string', `"${'a'.repeat(size)}".`], ['escapes', `"${String.raw`\n`.repeat(size / 2)}".`], ['a comment', `%${'a'.repeat(size)}`], ['comments', '%\n'.repeat(size / 2)], ['space', ' '.repeat(size)], ['a string without an end', `"${'a'.repeat(size)}`], ['brackets', '['.repeat(size)], ['terms', 'a.\n'.repeat(size / 4)], ['digits', '1'.repeat(size)]])('%s is read, or refused', (_, text) => {
    const read = readTerms('f', text)
    expect('terms' in read || read.problem.message !== '').toBe(true)
  })
})
