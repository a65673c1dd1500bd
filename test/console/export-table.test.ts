// A08: what a device could write into a cell never becomes a formula of whoever opens the file.

import { parse } from 'csv-parse/sync'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { csv, json } from '../../src/console/export-table.ts'

const COLUMNS = [{ head: 'id', value: ({ id }: { id: string }) => id }]
const cellOf = (text: string): string => parse(csv(COLUMNS, [{ id: text }]))[1]?.[0] ?? ''

describe('A08: a cell of CSV', () => {
  test.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', ' =1', '  -cmd|x', '＝1', '\u0000=1', '-'])('that begins like a formula is text: %j', (text) => {
    expect(cellOf(text)).toBe(`'${text}`)
  })

  test.each(['', 'pump-7', 'a=b', '1-2', 'x@y', '"', 'a,b', 'a;b', 'a\nb', "'"])('that begins otherwise is what it was: %j', (text) => {
    expect(cellOf(text)).toBe(text)
  })

  test('is one cell, whatever stands in it, and never begins a formula', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
      const cell = cellOf(text)
      expect([text, `'${text}`]).toContain(cell)
      expect(cell).not.toMatch(/^[\s]*[=+\-@]/)
    }))
  })

  test('that is a number is a number, a negative one, too', () => {
    expect(csv([{ head: 'n', value: (n: number) => n }], [-1, 2])).toBe('"n"\r\n-1\r\n2\r\n')
  })
})

test('JSON holds everything as it is', () => {
  expect(JSON.parse(json([{ id: '=1+1' }]))).toEqual([{ id: '=1+1' }])
})
