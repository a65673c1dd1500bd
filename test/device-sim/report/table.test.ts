// The table: aligned, one line for each row, cut where it must be, and never more than one line whatever a server said.

import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { oneLine, table } from '../../../device-sim/report/table.ts'

const head = ['case', 'seen', 'verdict']
const rows = [['T01', 'closed', 'ok'], ['T02 with a longer name', 'CONNACK 0x05, then closed by the server', 'FAILED']]

test('columns are as wide as their widest cell', () => {
  expect(table({ head, rows, columns: 200 })).toBe(
    'case                    seen                                     verdict\n' +
    'T01                     closed                                   ok\n' +
    'T02 with a longer name  CONNACK 0x05, then closed by the server  FAILED\n',
  )
})

test('where the line is too short the widest column gives way, visibly', () => {
  const text = table({ head, rows, columns: 50 })
  expect(text).toBe(
    'case                 seen                  verdict\n' +
    'T01                  closed                ok\n' +
    'T02 with a longer …  CONNACK 0x05, then …  FAILED\n',
  )
})

test('no column becomes so narrow that nothing is left of it', () => {
  const lines = table({ head, rows, columns: 1 }).split('\n')
  expect(lines[2]).toBe('T02 wit…  CONNACK…  FAILED')
})

test('colours do not count', () => {
  const plain = table({ head, rows, columns: 200 })
  const painted = table({ head, rows, columns: 200, paint: (text, row) => (row === undefined ? text : `\u001B[32m${text}\u001B[39m`) })
  expect(stripVTControlCharacters(painted).replaceAll(/ +\n/g, '\n')).toBe(plain)
})

describe('what a server said is one line and moves no cursor', () => {
  test.each([['a\nb', 'a b'], ['a\r\n\tb', 'a b'], ['\u001B[2Jx', ' [2Jx'], ['a\u2028b', 'a b'], ['\u202Eabc', ' abc'], ['plain → text', 'plain → text']])('%j', (text, expected) => {
    expect(oneLine(text)).toBe(expected)
    expect(table({ head: ['x'], rows: [[text]], columns: 80 }).split('\n')).toHaveLength(3)
  })
})
