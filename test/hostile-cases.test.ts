// The table of docs/threats.md about A01 to A17, against the tests: each case has tests that name it, and each test that names one is in its row.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '..')
const CASES = Array.from({ length: 17 }, (_, i) => `A${String(i + 1).padStart(2, '0')}`)

/** The tests of each row, in the order of the table. */
const rows = [...readFileSync(path.join(ROOT, 'docs/threats.md'), 'utf8').matchAll(/^\| (A\d{2}) \| .* \| ([^|]*) \|$/gm)].map(([, name = '', tests = '']) => [name, [...tests.matchAll(/`([^`]+)`/g)].map(([, file]) => file ?? '').toSorted()] as const)

/** What stands in the names of tests and of their groups: as text, or in a table of test.each. */
function casesIn(file: string): ReadonlySet<string> {
  const names = [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(/\((['"`])((?:(?!\1|\n).|\\.)*)\1, (?:\{|async\b|\()/g)].map(([, , name = '']) => name)
  return new Set(names.flatMap((name) => [...name.matchAll(/\bA(?:0[1-9]|1[0-7])\b/g)].map(([code]) => code)))
}

test('every case has its row, in order, with at least one test', () => {
  expect(rows.map(([name]) => name)).toEqual(CASES)
  for (const [name, tests] of rows) expect([name, tests.length > 0]).toEqual([name, true])
})

test('the tests of a row are those that have the number of its case in their names, all of them and no others', () => {
  const files = readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts')).map((name) => `test/${name.replaceAll(path.sep, '/')}`)
  const named = files.map((file) => [file, casesIn(file)] as const)
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(CASES.map((code) => [code, named.flatMap(([file, cases]) => (cases.has(code) ? [file] : [])).toSorted()])))
})
