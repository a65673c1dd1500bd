// Holds docs/mqtt-conformance.md to what it says: every statement of both specifications is in its table or among those
// that only a client owes, once; every file that it names exists, and every test; and no test of conformance speaks of a
// statement whose row does not name it.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../../..')
const BROKER_TESTS = path.join(ROOT, 'test/broker')
const DOCUMENT = readFileSync(path.join(ROOT, 'docs/mqtt-conformance.md'), 'utf8')

/** Section of the specification → its first and last numbered statement, from Appendix B of each. None is left out in between. */
const STATEMENTS = {
  '3.1.1': {
    '1.5.3': [1, 3], '2.2.2': [1, 2], '2.3.1': [1, 7], '3.1.0': [1, 2], '3.1.2': [1, 24], '3.1.3': [1, 11], '3.1.4': [1, 5], '3.2.0': [1, 1], '3.2.2': [1, 6],
    '3.3.1': [1, 12], '3.3.2': [1, 3], '3.3.4': [1, 1], '3.3.5': [1, 2], '3.6.1': [1, 1], '3.8.1': [1, 1], '3.8.3': [1, 4], '3.8.4': [1, 6], '3.9.3': [1, 2],
    '3.10.1': [1, 1], '3.10.3': [1, 2], '3.10.4': [1, 6], '3.12.4': [1, 1], '3.14.1': [1, 1], '3.14.4': [1, 3], '4.1.0': [1, 2], '4.3.1': [1, 1], '4.3.2': [1, 2],
    '4.3.3': [1, 2], '4.4.0': [1, 1], '4.5.0': [1, 2], '4.6.0': [1, 6], '4.7.1': [1, 3], '4.7.2': [1, 1], '4.7.3': [1, 4], '4.8.0': [1, 2], '6.0.0': [1, 4],
    '7.0.0': [1, 2], '7.1.1': [1, 1], '7.1.2': [1, 1],
  },
  '5': {
    '1.5.4': [1, 3], '1.5.5': [1, 1], '1.5.7': [1, 1], '2.1.3': [1, 1], '2.2.1': [2, 6], '2.2.2': [1, 1], '3.1.0': [1, 2], '3.1.2': [1, 30], '3.1.3': [1, 12],
    '3.1.4': [1, 6], '3.2.0': [1, 2], '3.2.2': [1, 22], '3.3.1': [1, 13], '3.3.2': [1, 20], '3.3.4': [1, 10], '3.4.2': [1, 3], '3.5.2': [1, 3], '3.6.1': [1, 1],
    '3.6.2': [1, 3], '3.7.2': [1, 3], '3.8.1': [1, 1], '3.8.3': [1, 5], '3.8.4': [1, 8], '3.9.2': [1, 2], '3.9.3': [1, 2], '3.10.1': [1, 1], '3.10.3': [1, 2],
    '3.10.4': [1, 6], '3.11.2': [1, 2], '3.11.3': [1, 2], '3.12.4': [1, 1], '3.14.0': [1, 1], '3.14.1': [1, 1], '3.14.2': [1, 4], '3.14.4': [1, 3], '3.15.1': [1, 1],
    '3.15.2': [1, 3], '4.1.0': [1, 2], '4.2.0': [1, 1], '4.3.1': [1, 1], '4.3.2': [1, 5], '4.3.3': [1, 13], '4.4.0': [1, 2], '4.5.0': [1, 2], '4.6.0': [1, 6],
    '4.7.0': [1, 1], '4.7.1': [1, 2], '4.7.2': [1, 1], '4.7.3': [1, 4], '4.8.2': [1, 6], '4.9.0': [1, 3], '4.12.0': [1, 7], '4.12.1': [1, 2], '4.13.1': [1, 1],
    '4.13.2': [1, 1], '6.0.0': [1, 4],
  },
} as const satisfies Record<string, Record<string, readonly [number, number]>>
type Spec = keyof typeof STATEMENTS
const specs: readonly Spec[] = ['3.1.1', '5']

interface Row {
  readonly id: string
  readonly statement: string
  readonly obeyedBy: string
  readonly tests: readonly { readonly file: string; readonly title: string }[]
}

function partOf(spec: Spec): string {
  const part = DOCUMENT.split('\n## ').find((text) => text.startsWith(`MQTT ${spec}\n`))
  if (part === undefined) throw new Error(`docs/mqtt-conformance.md has no part "MQTT ${spec}"`)
  return part
}

function rowsOf(spec: Spec): readonly Row[] {
  return partOf(spec).split('\n').filter((line) => line.startsWith('| MQTT-')).map((line) => {
    const [, id = '', statement = '', obeyedBy = '', tests = '', ...rest] = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
    if (rest.length !== 1) throw new Error(`a row of ${rest.length + 3} cells: ${line}`)
    const named = tests === '—' ? [] : tests.split('<br>').map((text) => {
      const [, file = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(text) ?? []
      return { file, title: title.replaceAll(String.raw`\|`, '|') }
    })
    return { id, statement, obeyedBy, tests: named }
  })
}

const leftOut = (spec: Spec): readonly string[] => /Left out, for clients only: (.+)\.\n?/.exec(partOf(spec))?.[1]?.split(', ') ?? []
const allStatements = (spec: Spec): readonly string[] =>
  Object.entries(STATEMENTS[spec]).flatMap(([section, [first, last]]) => Array.from({ length: last - first + 1 }, (_, i) => `MQTT-${section}-${first + i}`))

interface Title {
  readonly file: string
  /** Without the statement ids that it begins with. */
  readonly title: string
  readonly statements: readonly { readonly id: string; readonly spec: string | undefined }[]
}

/** The titles of the tests in a file: string literals that are followed by a function. */
function titlesOf(file: string): readonly Title[] {
  const source = readFileSync(path.join(BROKER_TESTS, file), 'utf8')
  return [...source.matchAll(/\((['"`])((?:\\.|(?!\1).)*)\1, (?:async )?\(/g)].map((match) => {
    const whole = (match[2] ?? '').replaceAll(/\\(.)/g, '$1')
    const ids = /^(?:\[MQTT-[^\]]+\] )+/.exec(whole)?.[0] ?? ''
    const statements = [...ids.matchAll(/\[(MQTT-[\d.]+-\d+)(?: in (3\.1\.1|5))?\]/g)].map((m) => ({ id: m[1] ?? '', spec: m[2] }))
    return { file, title: whole.slice(ids.length), statements }
  })
}

const conformance = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts') && name !== 'table.test.ts').flatMap((name) => titlesOf(`conformance/${name}`))

describe.each(specs)('the table of MQTT %s', (spec) => {
  const rows = rowsOf(spec)

  test('has every statement of the specification once, or leaves it out by name, and says how many', () => {
    const listed = [...rows.map((row) => row.id), ...leftOut(spec)]
    expect(listed.filter((id, i) => listed.indexOf(id) !== i)).toEqual([])
    expect(new Set(listed)).toEqual(new Set(allStatements(spec)))
    expect(partOf(spec)).toContain(`\n${rows.length} statements.\n`)
    expect(DOCUMENT.replaceAll('\n', ' ')).toContain(spec === '5' ? `and ${leftOut(spec).length} of 5.` : `${leftOut(spec).length} of 3.1.1`)
  })

  test('says of every statement what it is, and names a test, unless it does not arise', () => {
    expect(rows.filter((row) => row.statement === '' || row.obeyedBy === '').map((row) => row.id)).toEqual([])
    expect(rows.filter((row) => row.tests.length === 0 && !row.obeyedBy.startsWith('does not arise: ')).map((row) => row.id)).toEqual([])
  })

  test('names files that exist', () => {
    const named = rows.flatMap((row) => [...row.obeyedBy.matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? ''))
    expect([...new Set(named)].filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([])
  })

  test('names tests that exist, by file and title', () => {
    const files = new Set(rows.flatMap((row) => row.tests.map((named) => named.file)))
    expect([...files].filter((file) => file === '' || !existsSync(path.join(BROKER_TESTS, file)))).toEqual([])
    const titles = new Map([...files].map((file) => [file, new Set(titlesOf(file).map((t) => t.title))]))
    expect(rows.flatMap((row) => row.tests.filter(({ file, title }) => titles.get(file)?.has(title) !== true).map((named) => `${row.id} ${named.file}: ${named.title}`))).toEqual([])
  })

  test('names every test of conformance that speaks of a statement of it', () => {
    const missing = conformance.flatMap(({ file, title, statements }) =>
      statements.filter((s) => s.spec === spec && rows.find((row) => row.id === s.id)?.tests.some((named) => named.file === file && named.title === title) !== true).map((s) => `${s.id} ${file}: ${title}`))
    expect(missing).toEqual([])
  })
})

describe('the tests of conformance', () => {
  test('that name a statement of both versions stand in the row of one at least', () => {
    const rows = specs.flatMap(rowsOf)
    const missing = conformance.flatMap(({ file, title, statements }) =>
      statements.filter((s) => s.spec === undefined && !rows.some((row) => row.id === s.id && row.tests.some((named) => named.file === file && named.title === title))).map((s) => `${s.id} ${file}: ${title}`))
    expect(missing).toEqual([])
  })
})
